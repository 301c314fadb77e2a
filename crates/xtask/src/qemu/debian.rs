// SPDX-License-Identifier: ISC
//! Kernels and busybox from Debian's packages, into a cache folder; nothing is installed in the system.
//!
//! An apt configuration of its own (lists, architecture, no other sources) downloads the packages of another
//! architecture; `dpkg-deb -x` unpacks them. The mirror is the one that this machine's own apt uses.

use crate::command::{self, Outcome, output, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is fetched for one architecture.
pub struct Packages {
    /// The suite.
    pub suite: &'static str,
    /// Debian's name of the architecture.
    pub debian: &'static str,
    /// The package that depends on the newest kernel.
    pub kernel: &'static str,
    /// Daemons that busybox lacks, and the libraries they want: Debian has no static ones.
    pub daemons: &'static [&'static str],
    /// About how many megabytes all of them are.
    pub megabytes: u32,
}

/// The unpacked packages.
pub struct Unpacked {
    /// Kernel image.
    pub kernel: PathBuf,
    /// Folder of the kernel's modules.
    pub modules: PathBuf,
    /// The static busybox.
    pub busybox: PathBuf,
    /// The other daemons' files and libraries, each with its path in the image.
    pub others: Vec<(PathBuf, String)>,
}

/// Where the daemons lie in their packages.
const DAEMONS: [&str; 2] = ["usr/sbin/ntpd", "usr/sbin/dnsproxy"];

/// How the names of the files begin that the daemons load, in any folder.
const LIBRARIES: [&str; 4] = ["ld-linux", "libc.so.", "libm.so.", "libevent-2.1.so.7."];

/// The keys that Debian's lists are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches what is not in the cache yet.
pub fn fetch(packages: &Packages) -> Outcome<Unpacked> {
    let folder = command::target().join("cache").join(format!("{}-{}", packages.suite, packages.debian));
    let root = folder.join("root");
    if let Ok(found) = unpacked(&root) {
        return Ok(found);
    }
    println!(
        "fetching {}, busybox-static and {} for {} ({} MB) from Debian {}: the kernel and the daemons that QEMU boots; \
         they are unpacked into {}, nothing is installed",
        packages.kernel,
        packages.daemons.join(", "),
        packages.debian,
        packages.megabytes,
        packages.suite,
        folder.display()
    );
    let config = configure(&folder, packages)?;
    apt("apt-get", &config).args(["-qq", "update"]).status().map_err(|e| format!("apt-get: {e}"))?;
    let kernel = newest_kernel(&config, packages)?;
    let debs = folder.join("deb");
    make_dir(&debs)?;
    run(apt("apt-get", &config)
        .current_dir(&debs)
        .args(["-q", "download", &kernel, "busybox-static"])
        .args(packages.daemons))?;
    let aside = folder.join("root.new");
    let _ = std::fs::remove_dir_all(&aside);
    for deb in std::fs::read_dir(&debs).map_err(|e| format!("{}: {e}", debs.display()))?.flatten() {
        run(Command::new("dpkg-deb").arg("-x").arg(deb.path()).arg(&aside))?;
    }
    let _ = std::fs::remove_dir_all(&root);
    std::fs::rename(&aside, &root).map_err(|e| format!("{}: {e}", root.display()))?;
    let _ = std::fs::remove_dir_all(&debs);
    unpacked(&root)
}

/// Finds the parts below the unpacked packages' root.
fn unpacked(root: &Path) -> Outcome<Unpacked> {
    let boot = root.join("boot");
    let kernel = children(&boot)
        .into_iter()
        .find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinu")))
        .ok_or_else(|| format!("{}: no kernel", boot.display()))?;
    // With a merged /usr the packages say /usr/lib and /usr/bin.
    let modules = ["lib/modules", "usr/lib/modules"]
        .into_iter()
        .flat_map(|dir| children(&root.join(dir)))
        .next()
        .ok_or_else(|| format!("{}: no modules", root.display()))?;
    let busybox = ["bin/busybox", "usr/bin/busybox"]
        .into_iter()
        .map(|path| root.join(path))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{}: no busybox", root.display()))?;
    Ok(Unpacked { kernel, modules, busybox, others: others(root)? })
}

/// The daemons and their libraries.
fn others(root: &Path) -> Outcome<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for daemon in DAEMONS {
        let file = root.join(daemon);
        if !file.is_file() {
            return Err(format!("{}: not there", file.display()));
        }
        found.push((file, daemon.trim_start_matches("usr/").to_owned()));
    }
    for dir in ["lib", "usr/lib"] {
        // One folder down for those of one architecture: lib/aarch64-linux-gnu.
        let top = root.join(dir);
        for folder in children(&top).into_iter().filter(|p| p.is_dir() && !p.is_symlink()).chain([top]) {
            found.extend(children(&folder).into_iter().filter_map(library));
        }
    }
    Ok(found)
}

/// A library that is wanted, and its place: the name that programs ask for, in /lib.
fn library(file: PathBuf) -> Option<(PathBuf, String)> {
    let name = file.file_name()?.to_str()?;
    let prefix = LIBRARIES.into_iter().find(|prefix| name.starts_with(prefix))?;
    if file.is_symlink() || !file.is_file() {
        return None;
    }
    let name = if prefix.starts_with("libevent") { "libevent-2.1.so.7" } else { name };
    let place = format!("lib/{name}");
    Some((file.clone(), place))
}

fn children(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn make_dir(dir: &Path) -> Outcome {
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))
}

fn apt(program: &str, config: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("APT_CONFIG", config);
    command
}

/// Writes the apt configuration; its path.
fn configure(folder: &Path, packages: &Packages) -> Outcome<PathBuf> {
    for dir in ["lists/partial", "archives/partial", "etc/preferences.d"] {
        make_dir(&folder.join(dir))?;
    }
    let mirror = mirror()?;
    if !Path::new(KEYRING).exists() {
        super::install(&["debian-archive-keyring"], "the keys that Debian's package lists are signed with")?;
    }
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok::<_, String>(path)
    };
    write("status", String::new())?;
    let sources =
        write("etc/sources.list", format!("deb [signed-by={KEYRING}] {mirror} {} main\n", packages.suite))?;
    let (dir, arch) = (folder.display(), packages.debian);
    write(
        "apt.conf",
        format!(
            "Dir::Etc \"{dir}/etc\";\nDir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::parts \"/dev/null\";\nDir::State \"{dir}\";\nDir::State::Lists \"{dir}/lists\";\n\
             Dir::State::status \"{dir}/status\";\nDir::Cache \"{dir}\";\nDir::Cache::archives \"{dir}/archives\";\n\
             APT::Architecture \"{arch}\";\nAPT::Architectures {{ \"{arch}\"; }};\nAcquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\nAPT::Sandbox::User \"root\";\n",
            sources.display()
        ),
    )
}

/// The package with the kernel itself: the newest is a dependency of the one without a version.
fn newest_kernel(config: &Path, packages: &Packages) -> Outcome<String> {
    let text = output(apt("apt-cache", config).args(["depends", packages.kernel]))?;
    text.split_whitespace()
        .find(|word| {
            word.strip_prefix("linux-image-").is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()))
        })
        .map(str::to_owned)
        .ok_or_else(|| format!("{}: apt knows no kernel behind it", packages.kernel))
}

/// Debian's mirror: `SKEG_DEBIAN_MIRROR`, else the one of this machine's apt, else (on Ubuntu) debootstrap's.
fn mirror() -> Outcome<String> {
    if let Ok(mirror) = std::env::var("SKEG_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(children(Path::new("/etc/apt/sources.list.d")));
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    if let Some(found) = texts.flat_map(|text| mirrors(&text)).next() {
        return Ok(found);
    }
    let debootstrap = Path::new("/usr/sbin/debootstrap");
    if !debootstrap.exists() {
        super::install(
            &["debootstrap"],
            "it knows where Debian's packages are, which this machine's apt does not",
        )?;
    }
    let text = std::fs::read_to_string(debootstrap).map_err(|e| format!("{}: {e}", debootstrap.display()))?;
    text.lines()
        .find_map(|line| line.trim().strip_prefix("DEF_MIRROR="))
        .map(|value| value.trim_matches('"').to_owned())
        .ok_or_else(|| "no mirror of Debian is known here: set SKEG_DEBIAN_MIRROR".to_owned())
}

/// The addresses in a list of sources (of either form) that end with `/debian`.
fn mirrors(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .filter(|word| word.contains("://") && word.ends_with("/debian"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_apts_sources_name_the_mirror() {
        let list = "# deb http://no.example/debian old main\ndeb [arch=amd64] http://a.example/debian/ bookworm main\n";
        assert_eq!(mirrors(list), ["http://a.example/debian"]);
        let stanza = "Types: deb\nURIs: http://b.example/debian\nSuites: bookworm\n\nURIs: http://b.example/debian-security\n";
        assert_eq!(mirrors(stanza), ["http://b.example/debian"]);
    }
}
