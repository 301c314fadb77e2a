// SPDX-License-Identifier: ISC
//! `cargo xtask setup`: what a task needs of the machine, why, and whether it is there; installs it on Debian and Ubuntu.
//!
//! Everything comes from the distribution's own packages and, for compiler targets, from rustup where there is one.
//! Nothing is installed without being named first.

use crate::arch;
use crate::command::{Outcome, capture, cargo, find_program, is_root, last_words, run};
use crate::toolchain::{self, Way};
use std::path::Path;
use std::process::Command;

const HELP: &str = "\
cargo xtask setup [--dry-run] [--for TASK]
Says what is missing for the project's tasks and why it is needed, then installs it with the system's packages.

  --dry-run    only say it
  --for TASK   only what this task needs: dist, check, test, demo, bench   (default: all of them)
";

/// Something that a task needs.
struct Need {
    /// A program, or a file where it begins with a slash.
    probe: &'static str,
    package: &'static str,
    why: &'static str,
    tasks: &'static [&'static str],
}

const fn need(
    probe: &'static str,
    package: &'static str,
    why: &'static str,
    tasks: &'static [&'static str],
) -> Need {
    Need { probe, package, why, tasks }
}

const ALL_TASKS: &[&str] = &["dist", "check", "test", "demo", "bench"];
const TEST: &[&str] = &["test"];
const BOOT: &[&str] = &["test", "demo"];

static NEEDS: &[Need] = &[
    need("cc", "gcc", "links the host tools and the compiler's plug-ins", ALL_TASKS),
    need("/usr/include/stdlib.h", "libc6-dev", "the same", ALL_TASKS),
    need("git", "git", "lists the source files", &["check", "test"]),
    need("qemu-arm", "qemu-user", "runs the other architectures' binaries", TEST),
    need("qemu-system-x86_64", "qemu-system-x86", "boots x86_64", BOOT),
    need("qemu-system-aarch64", "qemu-system-arm", "boots aarch64 and armv7", BOOT),
    need("qemu-system-riscv64", "qemu-system-misc", "boots riscv64", BOOT),
    need("/usr/lib/ipxe/qemu/efi-virtio.rom", "ipxe-qemu", "the network card of the emulated pc", BOOT),
    need("/usr/bin/busybox", "busybox-static", "real daemons for services, without a library", BOOT),
    need("mkfs.ext4", "e2fsprogs", "makes the data partitions of the boot tests", TEST),
    need("/usr/bin/s6-svscan", "s6", "another implementation to be held against", TEST),
    need("strace", "strace", "counts system calls", TEST),
    need("setpriv", "util-linux", "runs the tests as an ordinary user", TEST),
    need("python3", "python3", "the recorded cases' own judge", &[]),
];

/// Packages of the way that builds the core library from source.
const FROM_SOURCE: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// `cargo xtask setup`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let (mut dry, mut task) = (false, None);
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("dry-run") | Short('n') => dry = true,
            Long("for") => {
                task = Some(args.value().map_err(|e| e.to_string())?.to_string_lossy().into_owned());
            }
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(format!("setup: {}", other.unexpected())),
        }
    }
    if let Some(task) = task.as_deref().filter(|task| !ALL_TASKS.contains(task)) {
        return Err(format!("setup: {task}: no such task (see --help)"));
    }
    prepare(task.as_deref(), dry)
}

/// Sees to it that a task finds what it needs.
pub fn ensure(task: &str) -> Outcome {
    prepare(Some(task), false)
}

fn prepare(task: Option<&str>, dry: bool) -> Outcome {
    let wants = |tasks: &[&str]| task.is_none_or(|task| tasks.contains(&task));
    let mut packages: Vec<&str> = Vec::new();
    for need in NEEDS.iter().filter(|need| !need.tasks.is_empty() && wants(need.tasks)) {
        if !is_there(need.probe) {
            println!("missing: {} (package {}): {}", need.probe, need.package, need.why);
            packages.push(need.package);
        }
    }
    if wants(&["check", "test"]) {
        packages.extend(missing_tools());
    }
    packages.extend(missing_compilers());
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        println!("setup: everything is there");
        return Ok(());
    }
    if dry {
        println!("setup: would install {}", packages.join(" "));
        return Ok(());
    }
    install(&packages)
}

fn is_there(probe: &str) -> bool {
    if probe.starts_with('/') { Path::new(probe).exists() } else { find_program(probe).is_some() }
}

/// The format and lint commands of the cargo in use, where it is Debian's; rustup brings its own.
fn missing_tools() -> Vec<&'static str> {
    let mut packages = Vec::new();
    for (tool, component, package) in
        [("fmt", "rustfmt", "rustfmt-web"), ("clippy", "clippy", "rust-web-clippy")]
    {
        if capture(cargo().args([tool, "--version"])).is_ok_and(|out| out.status.success()) {
            continue;
        }
        println!("missing: cargo {tool}: checks the sources");
        let by_rustup = std::env::var_os("RUSTUP_TOOLCHAIN").is_some()
            && run(Command::new("rustup").args(["component", "add", component])).is_ok();
        if !by_rustup {
            packages.push(package);
        }
    }
    packages
}

/// The packages for building `core` from source, where an architecture has no other way.
fn missing_compilers() -> Vec<&'static str> {
    let closed: Vec<_> = arch::ALL
        .iter()
        .filter_map(|arch| match toolchain::choose(arch, Some(Way::Rustup)) {
            Ok(_) => None,
            Err(reason) => Some((arch.name, reason)),
        })
        .collect();
    let Some((_, reason)) = closed.first() else { return Vec::new() };
    if toolchain::choose(&arch::ALL[0], Some(Way::Debian)).is_ok() {
        return Vec::new();
    }
    let names: Vec<_> = closed.iter().map(|(name, _)| *name).collect();
    println!("missing: a compiler for {}: {reason}", names.join(", "));
    println!("  Debian's {} build the core library from its source instead", FROM_SOURCE.join(" "));
    FROM_SOURCE.to_vec()
}

fn install(packages: &[&str]) -> Outcome {
    println!("setup: installs {}", packages.join(" "));
    if find_program("apt-get").is_none() {
        return Err("this is neither Debian nor Ubuntu: install the equivalents of those by hand".into());
    }
    let update = capture(as_root("apt-get")?.args(["update", "-qq"]))?;
    if !update.status.success() {
        println!("  apt-get update: {} (going on with the lists that are here)", last_words(&update.stderr));
    }
    let mut command = as_root("apt-get")?;
    command.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    let out = capture(&mut command)?;
    if out.status.success() {
        return Ok(());
    }
    Err(format!("apt-get install {}: {}", packages.join(" "), last_words(&out.stderr)))
}

/// The command with the rights to install.
fn as_root(program: &str) -> Outcome<Command> {
    let mut command = if is_root() {
        Command::new(program)
    } else if find_program("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", program]);
        sudo
    } else {
        return Err("only root can install packages, and there is no sudo: install them by hand".into());
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}
