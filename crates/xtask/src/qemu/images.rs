// SPDX-License-Identifier: ISC
//! The files a guest boots from: kernel, initramfs, root, made by `mkimage` from `qemu/router`.

use super::debian::{self, Unpacked};
use super::machine;
use crate::arch::Arch;
use crate::command::{self, Outcome, cargo, root, run};
use crate::dist::Variant;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a guest boots from.
#[derive(Clone)]
pub struct Images {
    /// The kernel.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
    /// The root; none: the initramfs is all there is.
    pub root: Option<PathBuf>,
}

/// Which root a guest gets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Root {
    /// The router with its compiled definitions.
    Router,
    /// The router's files without an image.
    NoImage,
    /// The router's files with a small image whose label is `own`, and what the tests of data partitions need.
    Small,
    /// The router with the binary that has no compiler.
    NoCompiler,
    /// [`Self::Small`] with the binary for tests, which checks signatures, and with the key of [`keys`].
    Signed,
}

/// The keys that a [`Root::Signed`] knows.
pub fn keys() -> ed25519_compact::KeyPair {
    ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([8; 32]))
}

impl Root {
    const fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::NoImage => "no-image",
            Self::NoCompiler => "no-compiler",
            Self::Small => "small",
            Self::Signed => "signed",
        }
    }
}

/// Modules that the initramfs loads, in this order; those that a kernel has built in are left out.
const EARLY: &[&str] = &[
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "squashfs",
    // For a data partition, where the kernel does not have it built in.
    "crc16",
    "mbcache",
    "jbd2",
    "crc32c_generic",
    "ext4",
];

/// Modules that only the tests of data partitions need, behind those.
const TESTS: &[&str] = &["loop", "fat", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"];

/// And those of f2fs, where the kernel has it.
const F2FS: &[&str] = &["lz4_compress", "lz4hc_compress", "zstd_compress", "crc32_generic", "f2fs"];

/// Modules of the router's own services, in this order.
const ROUTER: &[&str] = &[
    "failover",
    "net_failover",
    "virtio_net",
    "llc",
    "stp",
    "bridge",
    "garp",
    "mrp",
    "8021q",
    "dummy",
    "watchdog",
    "softdog",
];

/// Makes kernel, initramfs and root for this architecture from the binary in `target/dist`.
pub fn build_root(arch: &Arch, which: Root) -> Outcome<Images> {
    build_root_in(&command::target().join("qemu").join(arch.name), arch, which)
}

/// The same in a folder of its own, beside which others may boot the same architecture.
pub fn build_root_in(folder: &Path, arch: &Arch, which: Root) -> Outcome<Images> {
    let machine = machine(arch)?;
    let unpacked = debian::fetch(&machine.packages)?;
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let variant = if which == Root::NoCompiler { Variant::NO_COMPILER } else { Variant::DEVICE };
    let skeg = variant.folder(arch).join("skeg");
    if !skeg.is_file() {
        return Err(format!("{}: not there; `cargo xtask dist {}` makes it", skeg.display(), arch.name));
    }
    let mkimage = mkimage()?;
    let tests = matches!(which, Root::Small | Root::Signed);
    let initramfs = folder.join(match which {
        Root::Small | Root::Signed => "tests.cpio",
        Root::NoCompiler => "no-compiler.cpio",
        Root::Router | Root::NoImage => "initramfs.cpio",
    });
    let mut early = Command::new(&mkimage);
    early.arg("-o").arg(&initramfs).args(["--format", "cpio", "--skeg"]).arg(&skeg);
    let more = if tests { TESTS } else { &[] };
    let f2fs = if tests && !find_modules(&unpacked.modules, &["f2fs"]).is_empty() { F2FS } else { &[] };
    for module in find_modules(&unpacked.modules, &[EARLY, more, f2fs].concat()) {
        early.arg("--module").arg(module);
    }
    run(&mut early)?;
    let out = folder.join(format!("{}.sqfs", which.name()));
    let fault = skeg.with_file_name("skeg-fault");
    let init = if which == Root::Signed { &fault } else { &skeg };
    if !init.is_file() {
        crate::dist::build(arch, Variant::FAULT, None)?;
    }
    let mut command = root_command(&mkimage, &out, init, &unpacked);
    match which {
        Root::Router | Root::NoCompiler => {
            command.arg("--definitions").arg(root().join("qemu/router/source"))
        }
        Root::NoImage => &mut command,
        Root::Small | Root::Signed => {
            command.arg("--image").arg(super::define(folder, "own", super::Way::Limits)?)
        }
    };
    if tests {
        let hook = folder.join("hook");
        command::replace_file(&hook, b"#!/bin/sh\necho the hook of the root has run\n", true)?;
        command.arg("--file").arg(format!("{}=etc/skeg/up,0755", hook.display()));
        let check = folder.join("check-states");
        command::replace_file(&check, crate::power_cuts::SCRIPT, true)?;
        command.arg("--file").arg(format!("{}=bin/check-states,0755", check.display()));
        if which == Root::Signed {
            let key = folder.join("key");
            command::replace_file(&key, keys().pk.as_ref(), false)?;
            command.arg("--file").arg(format!("{}=etc/skeg/key", key.display()));
        }
        if fault.is_file() {
            command.arg("--file").arg(format!("{}=sbin/skeg-fault,0755", fault.display()));
            let boot = folder.join("faulty-boot");
            command::replace_file(&boot, FAULTY_BOOT, true)?;
            command.arg("--file").arg(format!("{}=sbin/faulty/boot,0755", boot.display()));
            command.args(["--link", "../skeg-fault=sbin/faulty/init"]);
        }
    }
    run(&mut command)?;
    Ok(Images { kernel: unpacked.kernel, initramfs, root: Some(out) })
}

/// `init=/sbin/faulty/boot`: the binary for tests boots, armed by the kernel's command line.
const FAULTY_BOOT: &[u8] = b"#!/bin/sh
for word in $(cat /proc/cmdline); do
    case $word in SKEG_FAULT=*) export \"$word\" ;; esac
done
exec /sbin/faulty/init
";

/// The device binary of this machine, which compiles the same bytes as any other.
pub fn host_skeg() -> Outcome<PathBuf> {
    let host = crate::arch::host()
        .ok_or("this machine's architecture is not one of ours: it can't compile definitions")?;
    let skeg = command::dist().join(host.name).join("skeg");
    if !skeg.is_file() {
        crate::dist::build(host, Variant::DEVICE, None)?;
    }
    Ok(skeg)
}

/// Compiles the router's definitions by themselves.
pub fn compile_router(folder: &Path) -> Outcome<PathBuf> {
    let skeg = host_skeg()?;
    let out = folder.join("router.image");
    let _ = std::fs::remove_file(&out);
    run(Command::new(skeg).arg("s6-rc-compile").arg(&out).arg(root().join("qemu/router/source")))?;
    Ok(out)
}

fn root_command(mkimage: &Path, out: &Path, skeg: &Path, unpacked: &Unpacked) -> Command {
    let mut command = Command::new(mkimage);
    command.arg("-o").arg(out).args(["--format", "squashfs", "--skeg"]).arg(skeg);
    command.arg("--busybox").arg(&unpacked.busybox);
    command.arg("--applets").arg(APPLETS.join(","));
    for module in find_modules(&unpacked.modules, ROUTER) {
        command.arg("--module").arg(module);
    }
    for (file, path) in &unpacked.others {
        command.arg("--file").arg(format!("{}={path},0755", file.display()));
    }
    // Where x86_64's programs look for their loader.
    command.args(["--link", "lib=lib64"]);
    command.arg("--overlay").arg(root().join("qemu/router/files"));
    command.arg("--file").arg(format!("{}=etc/shadow,0600", root().join("qemu/router/shadow").display()));
    command
}

/// The programs of busybox that the router's scripts and its console use by name.
const APPLETS: &[&str] = &[
    "awk", "brctl", "cat", "chmod", "chown", "cp", "crond", "cut", "date", "dd", "df", "dmesg", "echo",
    "env", "false", "free", "getty", "grep", "head", "hostname", "httpd", "id", "ifconfig", "ip", "kill",
    "klogd", "ln", "logger", "logread", "login", "losetup", "ls", "mkdir", "mkfifo", "mount", "mv", "nc",
    "netstat", "nslookup", "ping", "ps", "pwd", "readlink", "rm", "rmdir", "route", "sed", "seq", "sleep",
    "sort", "stat", "sync", "syslogd", "sysctl", "tail", "telnetd", "test", "top", "touch", "tr", "true",
    "udhcpc", "udhcpd", "umount", "uname", "uptime", "vi", "watchdog", "wc", "wget", "xargs",
];

/// The files of these modules, in order; a module that the kernel has built in has none.
fn find_modules(top: &Path, names: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left = vec![top.to_path_buf()];
    while let Some(dir) = left.pop() {
        for path in std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|e| e.path()) {
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            } else {
                files.push(path);
            }
        }
    }
    let stem =
        |path: &Path| path.file_name()?.to_str()?.split_once(".ko").map(|(stem, _)| stem.replace('-', "_"));
    names
        .iter()
        .filter_map(|name| files.iter().find(|file| stem(file).as_deref() == Some(*name)).cloned())
        .collect()
}

/// Builds `mkimage`; its path.
fn mkimage() -> Outcome<PathBuf> {
    run(cargo().args(["build", "--quiet", "--profile", "tool", "--package", "mkimage"]))?;
    Ok(command::target().join("tool/mkimage"))
}

/// A read-only data partition with these files; its path.
pub fn data_partition(folder: &Path, files: &[(&str, &[u8])]) -> Outcome<PathBuf> {
    let out = folder.join("data.sqfs");
    let mut command = Command::new(mkimage()?);
    command.arg("-o").arg(&out).args(["--format", "squashfs"]);
    for (name, bytes) in files {
        let file = folder.join(format!("data-{name}"));
        std::fs::write(&file, bytes).map_err(|e| format!("{}: {e}", file.display()))?;
        command.arg("--file").arg(format!("{}={name}", file.display()));
    }
    run(&mut command)?;
    Ok(out)
}
