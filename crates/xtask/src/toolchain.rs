// SPDX-License-Identifier: ISC
//! Chooses the compiler of the device binary: rustup's prebuilt `core` for a target, or one built from source.
//!
//! Three ways lead to the same kind of program (`targets/README.md` has the reasons). They are tried in this order
//! and the choice is said, with what was in the way of those before it:
//! 1. `rustup`: stable Rust and rustup's musl target, installed or installable;
//! 2. `debian`: Debian's packaged compiler, which comes with the library's source, builds `core` and `alloc` itself:
//!    for machines where rustup can download nothing, and for targets that it has nothing for;
//! 3. `host`: the `core` that the installed compiler has for this very machine, linked without its C library.

use crate::arch::{self, Arch};
use crate::command::{Outcome, capture, find_program, forget_the_caller, last_words, output, root};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A way to build the device binary for one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// rustup's musl target.
    Rustup,
    /// Debian's compiler, `core` from source.
    Debian,
    /// The host's own prebuilt `core`.
    Host,
}

/// Debian's compiler and what makes it one for other targets.
pub const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Debian's cargo.
pub const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// The library's source, of the package `rust-web-src`.
pub const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/core/src/lib.rs";
/// The linker, of the package `lld-22`; the compiler's own package has a link to it.
pub const DEBIAN_LINKER: &str = "/usr/bin/rust-lld";

/// What the code generator is told, which runs in the linker.
const GENERATOR: [&str; 12] = [
    "-enable-misched=0",
    "-disable-post-ra",
    "-enable-machine-outliner=always",
    "-disable-machine-licm",
    "-disable-constant-hoisting",
    "-enable-load-pre=0",
    "-disable-block-placement",
    "-tail-merge-size=1",
    "-split-spill-mode=size",
    "-min-jump-table-entries=20",
    "-enable-gvn-hoist",
    "-enable-gvn-sink",
];
/// Flags of every way; those that the targets need to link at all stand in `.cargo/config.toml`. The compiler hands the
/// whole program to the linker before it is machine code, and that optimises all of it once more.
const FLAGS: &str = "-Cforce-unwind-tables=no -Csymbol-mangling-version=v0 \
    -Clinker-plugin-lto -Clink-arg=--lto-newpm-passes=lto<Oz>,default<Oz>,function(sink,instcombine,simplifycfg) -Clink-arg=--lto-partitions=1 \
    -Clink-arg=--no-eh-frame-hdr -Clink-arg=--icf=all -Crelro-level=off -Clink-arg=--no-rosegment";
/// Where the library is built too: a panic that nobody could read anyway is one instruction, in the library as well.
const BUILT_CORE: &str = "-Zunstable-options -Cpanic=immediate-abort";
/// What `.cargo/config.toml` says of musl targets: flags from the environment take its place.
const MUSL: &str = "-Clink-self-contained=no -Crelocation-model=static -Ctarget-feature=+crt-static";
/// The same for the host's own target: our `_start` instead of the C library's, and no library.
const HOST: &str = "-Clinker=rust-lld -Clinker-flavor=ld.lld -Crelocation-model=static \
    -Ctarget-feature=+crt-static -Clink-self-contained=no";

impl Way {
    /// The way of this name.
    pub fn named(name: &str) -> Outcome<Self> {
        match name {
            "rustup" => Ok(Self::Rustup),
            "debian" => Ok(Self::Debian),
            "host" => Ok(Self::Host),
            _ => Err(format!("{name}: no such way to build (known: rustup, debian, host)")),
        }
    }

    /// Its name, as an option takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
            Self::Host => "host",
        }
    }

    /// What the compiler is told to build for.
    pub fn triple(self, arch: &Arch) -> String {
        match self {
            Self::Rustup | Self::Debian => arch.triple.to_owned(),
            Self::Host => arch.triple.replace("musl", "gnu"),
        }
    }

    /// A `cargo build` for this target, without the package's name and features.
    pub fn cargo_build(self, arch: &Arch) -> Command {
        let triple = self.triple(arch);
        let mut command = match self {
            Self::Rustup | Self::Host => crate::command::cargo(),
            Self::Debian => {
                let mut command = Command::new(DEBIAN_CARGO);
                command.current_dir(root()).env_remove("RUSTUP_TOOLCHAIN");
                forget_the_caller(&mut command);
                // The source of the standard library is built with the switch that its own releases are built with.
                command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                command
            }
        };
        command.args(["build", "--target", &triple]);
        if self == Self::Debian {
            let features = "-Zbuild-std-features=compiler-builtins-mem,optimize_for_size";
            command.args(["-Zbuild-std=core,alloc", features]);
        }
        let flags = match self {
            Self::Rustup => MUSL.to_owned(),
            Self::Debian => format!("{MUSL} {BUILT_CORE}"),
            Self::Host => HOST.to_owned(),
        };
        let script = root().join("targets/layout.ld");
        let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", triple.to_uppercase().replace('-', "_"));
        let mut flags = format!("{flags} {FLAGS} {} -Clink-arg=-T{}", arch.flags, script.display());
        for option in GENERATOR.iter().chain(arch.generator) {
            // Both generate: the linker the program, the compiler what is not part of that.
            flags.extend([" -Cllvm-args=", option, " -Clink-arg=-mllvm -Clink-arg=", option]);
        }
        command.env(variable, flags);
        command.arg("--target-dir").arg(self.folder());
        command
    }

    /// Cargo's target folder.
    fn folder(self) -> PathBuf {
        crate::command::target().join("device").join(self.name())
    }

    /// What [`Self::cargo_build`] makes.
    pub fn built(self, arch: &Arch) -> PathBuf {
        self.folder().join(self.triple(arch)).join("dist/skeg")
    }

    /// Why this way is closed for this architecture, here and now.
    fn obstacle(self, arch: &Arch) -> Option<String> {
        match self {
            Self::Rustup => rustup_obstacle(arch),
            Self::Debian => debian_obstacle(),
            Self::Host => host_obstacle(arch),
        }
    }
}

/// The way to build for this architecture, and why it is not one before it in the order.
pub fn choose(arch: &Arch, wanted: Option<Way>) -> Outcome<(Way, String)> {
    let mut reasons = Vec::new();
    for way in [Way::Rustup, Way::Debian, Way::Host] {
        if wanted.is_some_and(|wanted| wanted != way) {
            continue;
        }
        match way.obstacle(arch) {
            None if wanted.is_some() => return Ok((way, "as asked".into())),
            None if reasons.is_empty() => return Ok((way, "its target is installed".into())),
            None => return Ok((way, reasons.join("; "))),
            Some(reason) => reasons.push(format!("not {}: {reason}", way.name())),
        }
    }
    Err(format!("no way to build for {}: {} (`cargo xtask setup` helps)", arch.name, reasons.join("; ")))
}

/// Whether this compiler has a prebuilt library for the target.
fn has_target(rustc: &mut Command, triple: &str) -> bool {
    let Ok(sysroot) = output(rustc.args(["--print", "sysroot"])) else { return false };
    let lib = Path::new(sysroot.trim()).join("lib/rustlib").join(triple).join("lib");
    std::fs::read_dir(lib).is_ok_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")))
    })
}

fn rustc() -> Command {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(root());
    command
}

fn rustup_obstacle(arch: &Arch) -> Option<String> {
    if has_target(&mut rustc(), arch.triple) {
        return None;
    }
    let rustup = match find_program("rustup") {
        Some(rustup) if std::env::var_os("RUSTUP_TOOLCHAIN").is_some() => rustup,
        _ => return Some("this cargo was not started through rustup".into()),
    };
    println!("{}: `rustup target add {}` (the library for that processor)", arch.name, arch.triple);
    let mut command = Command::new(rustup);
    command.args(["target", "add", arch.triple]).current_dir(root()).env("RUST_BACKTRACE", "0");
    match capture(&mut command) {
        Ok(out) if out.status.success() && has_target(&mut rustc(), arch.triple) => None,
        Ok(out) => Some(format!("rustup says: {}", cause(&String::from_utf8_lossy(&out.stderr)))),
        Err(e) => Some(e),
    }
}

/// The first and the last link of rustup's chain of causes, without the addresses between them.
fn cause(said: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix("error: "));
    let line = line.map_or_else(|| last_words(said.as_bytes()), str::to_owned);
    match (line.split_once(": "), line.rsplit_once(": ")) {
        (Some((first, _)), Some((_, last))) => format!("{first}: {last}"),
        _ => line,
    }
}

fn debian_obstacle() -> Option<String> {
    let needed = [
        (DEBIAN_RUSTC, "rustc-web"),
        (DEBIAN_CARGO, "cargo-web"),
        (DEBIAN_SOURCE, "rust-web-src"),
        (DEBIAN_LINKER, "rust-web-llvm and lld-22"),
    ];
    let missing: Vec<_> =
        needed.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, name)| *name).collect();
    if missing.is_empty() { None } else { Some(format!("package {} is missing", missing.join(", "))) }
}

fn host_obstacle(arch: &Arch) -> Option<String> {
    if arch::host() != Some(arch) {
        return Some(format!("this machine is not {}", arch.name));
    }
    let triple = Way::Host.triple(arch);
    if has_target(&mut rustc(), &triple) { None } else { Some(format!("the compiler has no {triple}")) }
}
