// SPDX-License-Identifier: ISC
//! In the initramfs: waits for the root's device, mounts it, and makes it the root. Used by process 1 only.
//!
//! It must not fail silently, wait for ever, or delete anything outside of the memory file system it was started from.

use crate::cmdline::Options;
use crate::{Fault, Step, mounts};
use core::ffi::CStr;
use sys::event::{PollFd, PollFlags, WatchFlags};
use sys::fs::{FileType, MountFlags, UnmountFlags};
use sys::time::{Millis, monotonic};
use sys::{AsFd, BorrowedFd, CBuf, CWD, Errno};

/// Where the new root is mounted before it becomes the root.
pub const NEW_ROOT: &CStr = c"/sysroot";

/// How long a root's device may take with `rootwait`: slow USB and MMC controllers need some ten seconds. The
/// kernel would wait for ever; a device that nobody watches must come back to its boot loader.
const PATIENT: Millis = Millis(60_000);

/// How long without `rootwait`: a disk's partitions appear a moment after its driver was loaded.
const IMPATIENT: Millis = Millis(5_000);

/// Longest pause between two looks for the device: links below /dev are not seen by the watch.
const LOOK: Millis = Millis(100);

/// Directories below each other that are deleted; an initramfs has fewer.
const DEPTH: u32 = 32;

/// Whether this process runs in an initramfs: the root is a file system in memory.
pub fn in_initramfs() -> bool {
    const RAMFS: u64 = 0x8584_58f6;
    const TMPFS: u64 = 0x0102_1994;
    sys::fs::open_dir(CWD, c"/")
        .and_then(sys::fs::fstatfs)
        .is_ok_and(|fs| matches!(fs.f_type as u64 & 0xffff_ffff, RAMFS | TMPFS))
}

/// Waits for the root's device and mounts it at [`NEW_ROOT`].
pub fn mount_root(options: &Options<'_>) -> Result<(), Fault> {
    let root = options.root.unwrap_or_default();
    wait_for(root, if options.wait { PATIENT } else { IMPATIENT })?;
    let _ = sys::fs::mkdir(CWD, NEW_ROOT, 0o755);
    let flags = if options.writable { MountFlags::empty() } else { MountFlags::RDONLY };
    mounts::device(root, NEW_ROOT, options.root_type, flags, options.root_flags)
}

/// Waits until this path exists. `EINVAL`: it is none, but `UUID=…` or the like, which would be waited for in vain.
pub fn wait_for(path: &[u8], limit: Millis) -> Result<(), Fault> {
    let fault = |errno| Fault::new(Step::Wait, path, errno);
    if !path.starts_with(b"/") {
        return Err(fault(Errno::INVAL));
    }
    let mut device = CBuf::<256>::new();
    device.push(path).map_err(|_| fault(Errno::NAMETOOLONG))?;
    let end = monotonic().0.saturating_add(limit.0);
    let watch = sys::event::inotify().and_then(|i| {
        sys::event::inotify_watch(&i, c"/dev", WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
        Ok(i)
    });
    loop {
        match sys::fs::access(CWD, &device, 0) {
            Ok(()) => return Ok(()),
            Err(errno) if monotonic().0 >= end => return Err(fault(errno)),
            Err(_) => {}
        }
        let pause = Some(Millis(LOOK.0.min(end.saturating_sub(monotonic().0)).max(1)));
        let _ = match &watch {
            Ok(watch) => {
                let woken = sys::event::poll(&mut [PollFd::new(watch, PollFlags::IN)], pause);
                let _ = sys::fs::read(watch, &mut [0; 1024]);
                woken
            }
            Err(_) => sys::event::poll(&mut [], pause),
        };
    }
}

/// Makes what is mounted at [`NEW_ROOT`] the root: moves the mounts, deletes the initramfs, changes the root.
pub fn switch_root(fault: fn(&Fault)) -> Result<(), Fault> {
    for at in [c"/dev", c"/proc", c"/sys"] {
        if let Err(errno) = move_mount(at) {
            fault(&Fault::new(Step::Move, at.to_bytes(), errno));
            let _ = sys::fs::unmount(at, UnmountFlags::DETACH);
        }
    }
    let failed = |errno| Fault::new(Step::Switch, NEW_ROOT.to_bytes(), errno);
    let old = sys::fs::open_dir(CWD, c"/").map_err(failed)?;
    let device = sys::fs::fstat(&old).map_err(failed)?.st_dev;
    sys::fs::chdir(NEW_ROOT).map_err(failed)?;
    if in_initramfs() {
        clear(old.as_fd(), device, DEPTH);
    }
    sys::fs::mount_move(c".", c"/").map_err(failed)?;
    sys::fs::chroot(c".").map_err(failed)?;
    sys::fs::chdir(c"/").map_err(failed)
}

fn move_mount(at: &CStr) -> sys::Result<()> {
    let mut to = CBuf::<64>::new();
    to.push_all(&[NEW_ROOT.to_bytes(), at.to_bytes()]).map_err(|_| Errno::NAMETOOLONG)?;
    sys::fs::mount_move(at, &to)
}

/// Deletes what a directory holds, on its own device only. Memory that can't be freed is no reason to stop.
fn clear(directory: BorrowedFd<'_>, device: u64, depth: u32) {
    let Some(below) = depth.checked_sub(1) else { return };
    let _ = sys::fs::for_each_entry(directory, |name, _, kind| -> Result<(), Errno> {
        if kind == FileType::Directory {
            if let Ok(inner) = sys::fs::open_dir(directory, name) {
                if sys::fs::fstat(&inner).map_or(true, |s| s.st_dev != device) {
                    return Ok(());
                }
                clear(inner.as_fd(), device, below);
            }
            let _ = sys::fs::rmdir(directory, name);
        } else {
            let _ = sys::fs::unlink(directory, name);
        }
        Ok(())
    });
}
