// SPDX-License-Identifier: ISC
//! Whole machines in QEMU: which one for each architecture, its kernel, its images, its console.
//!
//! Used by `demo` and `boot-test`. Always with software emulation (`-accel tcg`): a /dev/kvm that exists may still
//! hang a guest.

mod console;
mod debian;
mod disks;
mod images;
mod small;
mod visit;

pub use console::Guest;
pub use disks::{ext4, f2fs, fat};
pub use images::{Images, Root, build_root, build_root_in, compile_router, data_partition, keys};
pub use small::{Way, define};
pub use visit::{Page, Service, Shell, free_port};

use crate::arch::Arch;
use crate::command::{self, Outcome, find_program, run};
use debian::Packages;
use std::path::PathBuf;
use std::process::Command;

/// How a machine of one architecture is run.
pub struct Machine {
    /// The emulator.
    pub program: &'static str,
    /// The Debian package that has it.
    package: &'static str,
    /// Machine and CPU.
    options: &'static [&'static str],
    /// The name of its console in the guest.
    pub console: &'static str,
    /// How its virtio devices are attached: `pci`, or `device` for memory-mapped ones.
    bus: &'static str,
    /// What is fetched for it.
    packages: Packages,
}

static MACHINES: [(&str, Machine); 4] = [
    (
        "x86_64",
        Machine {
            program: "qemu-system-x86_64",
            package: "qemu-system-x86",
            // Not microvm: on a busy host its kernel finds no clock to calibrate by, and hangs.
            options: &["-M", "pc", "-nodefaults", "-display", "none", "-serial", "stdio"],
            console: "ttyS0",
            bus: "pci",
            packages: Packages {
                suite: "bookworm",
                debian: "amd64",
                kernel: "linux-image-cloud-amd64",
                daemons: &["openntpd", "dnsproxy", "libc6", "libevent-2.1-7"],
                megabytes: 30,
            },
        },
    ),
    (
        "aarch64",
        Machine {
            program: "qemu-system-aarch64",
            package: "qemu-system-arm",
            options: &["-M", "virt", "-cpu", "cortex-a53", "-nographic", "-monitor", "none"],
            console: "ttyAMA0",
            bus: "device",
            packages: Packages {
                suite: "bookworm",
                debian: "arm64",
                kernel: "linux-image-cloud-arm64",
                daemons: &["openntpd", "dnsproxy", "libc6", "libevent-2.1-7"],
                megabytes: 25,
            },
        },
    ),
    (
        "armv7",
        Machine {
            program: "qemu-system-arm",
            package: "qemu-system-arm",
            options: &["-M", "virt", "-cpu", "cortex-a7", "-nographic", "-monitor", "none"],
            console: "ttyAMA0",
            bus: "device",
            packages: Packages {
                suite: "bookworm",
                debian: "armhf",
                kernel: "linux-image-armmp",
                daemons: &["openntpd", "dnsproxy", "libc6", "libevent-2.1-7"],
                megabytes: 47,
            },
        },
    ),
    (
        "riscv64",
        Machine {
            program: "qemu-system-riscv64",
            package: "qemu-system-misc",
            options: &["-M", "virt", "-nographic", "-monitor", "none"],
            console: "ttyS0",
            bus: "device",
            packages: Packages {
                suite: "trixie",
                debian: "riscv64",
                kernel: "linux-image-riscv64",
                daemons: &["openntpd", "dnsproxy", "libc6", "libevent-2.1-7t64"],
                megabytes: 116,
            },
        },
    ),
];

/// The machine of this architecture, with its emulator installed where it was missing.
pub fn machine(arch: &Arch) -> Outcome<&'static Machine> {
    let machine = MACHINES
        .iter()
        .find(|(name, _)| *name == arch.name)
        .map(|(_, machine)| machine)
        .ok_or_else(|| format!("{}: no machine of it is known here", arch.name))?;
    if find_program(machine.program).is_none() {
        install(&[machine.package], "the emulator that boots the machine")?;
    }
    Ok(machine)
}

/// Installs Debian packages in this system, and says so first.
pub fn install(packages: &[&str], why: &str) -> Outcome {
    let names = packages.join(" ");
    println!("installing {names} with apt-get: {why}");
    let root = command::is_root();
    let apt = |words: &[&str]| {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            command.arg("apt-get");
        }
        run(command.env("DEBIAN_FRONTEND", "noninteractive").args(words))
    };
    let wanted: Vec<&str> =
        ["-qqy", "--no-install-recommends", "install"].iter().chain(packages).copied().collect();
    // A fresh machine has no lists yet, or old ones.
    if apt(&wanted).is_ok() {
        return Ok(());
    }
    apt(&["-qq", "update"])?;
    apt(&wanted)
}

/// A drive of a guest.
pub struct Drive {
    /// The file with its bytes.
    pub file: PathBuf,
    /// Whether the guest can't write it.
    pub read_only: bool,
    /// A file that gets all writes and flushes in their order, as QEMU's `blklogwrites` records them.
    pub log: Option<PathBuf>,
}

impl Drive {
    /// One that can only be read.
    pub fn fixed(file: PathBuf) -> Self {
        Self { file, read_only: true, log: None }
    }

    /// One that can be written.
    pub fn writable(file: PathBuf) -> Self {
        Self { file, read_only: false, log: None }
    }

    /// QEMU's words for it. Nothing is written through to the host's disk: the host is not what loses its power.
    fn words(&self, number: usize) -> [String; 2] {
        let file = self.file.display();
        match &self.log {
            None => {
                let read_only = if self.read_only { ",readonly=on" } else { "" };
                let words = format!("file={file},if=none,id=d{number},format=raw,cache=unsafe{read_only}");
                ["-drive".into(), words]
            }
            Some(log) => [
                "-blockdev".into(),
                format!(
                    "driver=blklogwrites,node-name=d{number},log-sector-size=512,file.driver=file,\
                     file.filename={file},file.cache.no-flush=on,log.driver=file,log.filename={},log.cache.no-flush=on",
                    log.display()
                ),
            ],
        }
    }
}

/// How a guest is to run.
#[derive(Default)]
pub struct Run {
    /// Words for the kernel, behind the usual ones.
    pub append: String,
    /// Ports of the guest that the host can reach: each gets a free port of the host.
    pub forward: Vec<(u16, u16)>,
    /// Further drives, behind the root.
    pub drives: Vec<Drive>,
    /// A socket for QEMU's monitor (x86_64 only).
    pub monitor: Option<PathBuf>,
    /// Whether the console is the terminal of whoever runs us.
    pub interactive: bool,
}

/// Megabytes of memory of each guest.
const MEMORY: &str = "128";

/// Starts a guest.
pub fn start(arch: &Arch, images: &Images, how: &Run) -> Outcome<Guest> {
    let machine = machine(arch)?;
    let mut command = Command::new(machine.program);
    command.args(machine.options).args(["-accel", "tcg", "-m", MEMORY, "-no-reboot"]);
    command.arg("-kernel").arg(&images.kernel).arg("-initrd").arg(&images.initramfs);
    let mut append = format!("console={} panic=-1 quiet", machine.console);
    if arch.name == "aarch64" {
        // Debian's kernel wants to set half of the memory aside for devices that there are none of, and complains.
        append.push_str(" cma=4M");
    }
    if arch.name == "x86_64" {
        // On a busy host its kernel hears nothing of the timer while it looks, and gives up: "IO-APIC + timer doesn't work".
        append.push_str(" no_timer_check");
    }
    if images.root.is_some() {
        append.push_str(" root=/dev/vda rootfstype=squashfs ro rootwait");
    }
    let root = images.root.iter().map(|root| Drive::fixed(root.clone()).words(0));
    let first = usize::from(images.root.is_some());
    let further = how.drives.iter().zip(first..).map(|(drive, number)| drive.words(number));
    let mut drives: Vec<_> = root.chain(further).enumerate().collect();
    // Memory-mapped devices get the last slot first; Arm's kernels name them in the order of the slots, so the other
    // way round.
    if matches!(arch.name, "aarch64" | "armv7") {
        drives.reverse();
    }
    for (number, words) in drives {
        command.args(words).arg("-device").arg(format!("virtio-blk-{},drive=d{number}", machine.bus));
    }
    if let Some(socket) = &how.monitor {
        command.arg("-monitor").arg(format!("unix:{},server=on,wait=off", socket.display()));
    }
    if how.forward.is_empty() {
        command.args(["-nic", "none"]);
    } else {
        let mut net = "user,id=n".to_owned();
        for (host, guest) in &how.forward {
            net.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
        }
        // No ROM to boot from: it would be a package more.
        let rom = if machine.bus == "pci" { ",romfile=" } else { "" };
        command.args(["-netdev", &net, "-device"]).arg(format!("virtio-net-{},netdev=n{rom}", machine.bus));
    }
    if !how.append.is_empty() {
        append.push(' ');
        append.push_str(&how.append);
    }
    command.arg("-append").arg(append);
    Guest::start(command, how.interactive)
}

/// `cargo xtask qemu`: fetches what booting needs, for those who want to be without a network later.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let mut archs = Vec::new();
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("help") | Short('h') => {
                println!(
                    "cargo xtask qemu [ARCH...|all]\nFetches the kernels and emulators that demo and boot-test need."
                );
                return Ok(());
            }
            Value(name) => archs.extend(crate::arch::named(&name.to_string_lossy())?),
            other => return Err(format!("qemu: {}", other.unexpected())),
        }
    }
    if archs.is_empty() {
        archs.extend(&crate::arch::ALL);
    }
    for arch in archs {
        let machine = machine(arch)?;
        let unpacked = debian::fetch(&machine.packages)?;
        println!("{}: {}", arch.name, unpacked.kernel.display());
    }
    Ok(())
}
