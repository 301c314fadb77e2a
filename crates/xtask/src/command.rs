// SPDX-License-Identifier: ISC
//! Running other programs and naming the project's folders. Used by every part of xtask.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a step gives: its value, or a sentence for the person at the terminal.
pub type Outcome<T = ()> = Result<T, String>;

/// The project's top folder.
pub fn root() -> &'static Path {
    static ROOT: std::sync::LazyLock<PathBuf> = std::sync::LazyLock::new(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.ancestors().nth(2).unwrap_or(here).to_path_buf()
    });
    &ROOT
}

/// Where built programs lie: `target/dist`.
pub fn dist() -> PathBuf {
    target().join("dist")
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs us, for everything that is not the device binary.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    forget_the_caller(&mut command);
    command
}

/// Takes out of the environment what `cargo run` put there for us, and which would make a child cargo
/// rebuild, or load another compiler's libraries.
pub fn forget_the_caller(command: &mut Command) {
    command.env_remove("LD_LIBRARY_PATH");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_BIN_NAME" {
            command.env_remove(&*name);
        }
    }
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let mut line = String::new();
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word.to_string_lossy());
    }
    line
}

/// Runs it with our own streams; anything but success is an error.
pub fn run(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|e| format!("{}: {e}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(command))) }
}

/// Runs it and gives its output; anything but success is an error with its last words.
pub fn output(command: &mut Command) -> Outcome<String> {
    let out = capture(command)?;
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        Err(format!("{}: {}: {}", shown(command), out.status, last_words(&out.stderr)))
    }
}

/// Runs it and gives all that it said, whatever its status.
pub fn capture(command: &mut Command) -> Outcome<Output> {
    command.stdin(Stdio::null()).output().map_err(|e| format!("{}: {e}", shown(command)))
}

/// The last line with something in it.
pub fn last_words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned()
}

/// Where this program lies in PATH (or itself, where it is a path).
pub fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    // Debian keeps some in /usr/sbin, which an ordinary user's PATH lacks.
    let more = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Whether we are root.
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
    })
}

/// Puts these bytes at this path in one step, so that a program that runs from there is not disturbed.
pub fn replace_file(path: &Path, bytes: &[u8], executable: bool) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let aside = path.with_extension("new");
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(&aside, bytes).map_err(failed)?;
    let mode = if executable { 0o755 } else { 0o644 };
    std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    std::fs::rename(&aside, path).map_err(failed)
}
