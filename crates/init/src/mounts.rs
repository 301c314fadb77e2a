// SPDX-License-Identifier: ISC
//! The file systems that a machine needs before its first service. Used by stage 1 and by process 1 on the root.

use crate::{Fault, Step, name};
use core::ffi::CStr;
use sys::fs::MountFlags;
use sys::{CBuf, CWD, Errno};

/// One file system: what, where, with which options.
struct Kernel {
    kind: &'static CStr,
    at: &'static CStr,
    flags: MountFlags,
    data: &'static CStr,
}

const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NOEXEC).union(MountFlags::NODEV);

/// In an initramfs.
const EARLY: &[Kernel] = &[
    Kernel { kind: c"proc", at: c"/proc", flags: QUIET, data: c"" },
    Kernel { kind: c"sysfs", at: c"/sys", flags: QUIET, data: c"" },
    Kernel { kind: c"devtmpfs", at: c"/dev", flags: MountFlags::NOSUID, data: c"mode=0755" },
];

/// On the root, after [`EARLY`]. /run may hold programs: the generated files of services run from there.
const LATE: &[Kernel] = &[
    Kernel {
        kind: c"devpts",
        at: c"/dev/pts",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        data: c"mode=0620,gid=5,ptmxmode=0666",
    },
    Kernel {
        kind: c"tmpfs",
        at: c"/run",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV),
        data: c"mode=0755",
    },
    Kernel {
        kind: c"tmpfs",
        at: c"/tmp",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV),
        data: c"mode=1777",
    },
];

/// Mounts /proc, /sys and /dev, and makes their directories where it can.
pub fn early(fault: fn(&Fault)) {
    all(EARLY, fault);
}

/// Mounts what is missing on the root: /proc, /sys, /dev, /dev/pts, /run and /tmp.
pub fn on_root(fault: fn(&Fault)) {
    all(EARLY, fault);
    all(LATE, fault);
    // What devtmpfs does not make, and scripts use. Already there is fine.
    for (target, at) in DEV_LINKS {
        let _ = sys::fs::symlink(target, CWD, at);
    }
}

/// The links of /dev to a process's own descriptors.
const DEV_LINKS: [(&CStr, &CStr); 4] = [
    (c"/proc/self/fd", c"/dev/fd"),
    (c"fd/0", c"/dev/stdin"),
    (c"fd/1", c"/dev/stdout"),
    (c"fd/2", c"/dev/stderr"),
];

/// What is mounted there already (`EBUSY`) is no fault.
fn all(list: &[Kernel], fault: fn(&Fault)) {
    for one in list {
        if is_mount_point(one.at) {
            continue;
        }
        let _ = sys::fs::mkdir(CWD, one.at, 0o755);
        match sys::fs::mount(one.kind, one.at, one.kind, one.flags, one.data) {
            Ok(()) | Err(Errno::BUSY) => {}
            Err(errno) => fault(&Fault { step: Step::Mount, what: name(one.at.to_bytes()), errno }),
        }
    }
}

/// Whether something is mounted on this directory: it lies on another device than the one above it.
fn is_mount_point(path: &CStr) -> bool {
    let Ok(parent) = CBuf::<64>::from_pieces(&[path.to_bytes(), b"/.."]) else { return false };
    match (sys::fs::stat(CWD, path), sys::fs::stat(CWD, &parent)) {
        (Ok(here), Ok(above)) => here.st_dev != above.st_dev,
        _ => false,
    }
}

/// Mounts a device. Without a type, each one that the kernel knows for devices is tried.
pub fn device(
    device: &[u8],
    at: &CStr,
    kind: Option<&[u8]>,
    flags: MountFlags,
    options: &[u8],
) -> Result<(), Fault> {
    let fault = |errno| Fault::new(Step::Mount, device, errno);
    let mut source = CBuf::<256>::new();
    source.push(device).map_err(|_| fault(Errno::NAMETOOLONG))?;
    let mut data = CBuf::<1024>::new();
    data.push(options).map_err(|_| fault(Errno::TOOBIG))?;
    let try_one = |kind: &[u8]| {
        let mut name = CBuf::<64>::new();
        name.push(kind).map_err(|_| Errno::NAMETOOLONG)?;
        sys::fs::mount(&source, at, &name, flags, &data)
    };
    if let Some(kind) = kind {
        return try_one(kind).map_err(fault);
    }
    let mut buf = [0; 4096];
    let read = sys::fs::open_read(CWD, c"/proc/filesystems").and_then(|f| sys::fs::read_full(f, &mut buf));
    let len = read.map_err(|e| Fault::new(Step::Read, b"/proc/filesystems", e))?;
    let mut last = Errno::NODEV;
    // A line is `nodev<TAB>proc` or `<TAB>ext4`.
    for kind in
        buf.get(..len).unwrap_or_default().split(|b| *b == b'\n').filter_map(|l| l.strip_prefix(b"\t"))
    {
        match try_one(kind) {
            Ok(()) => return Ok(()),
            Err(Errno::INVAL) => {}
            Err(errno) => last = errno,
        }
    }
    Err(fault(last))
}
