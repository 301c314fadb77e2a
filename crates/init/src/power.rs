// SPDX-License-Identifier: ISC
//! The end: kills what is left, writes everything to disk, unmounts, and ends the machine.
//!
//! Runs as process 1 (the scanner's `finish`), or, where that does not come, in the process that was asked to stop the
//! machine. Every wait is bounded: a machine that was told to stop does.

use crate::{Fault, Step};
use sys::fs::{MountFlags, UnmountFlags};
use sys::process::{Machine, Who};
use sys::signal::number;
use sys::time::{Millis, monotonic};
use sys::{CBuf, CWD, Errno};

/// How long processes that got SIGTERM have; those of services had their own time before.
const TERM: Millis = Millis(2_000);
/// How long the kernel may take to end processes that got SIGKILL.
const KILL: Millis = Millis(2_000);
/// Longest pause between two looks for dead children, if no signal tells.
const LOOK: Millis = Millis(100);
/// Bytes of /proc/self/mounts that are read.
const MAX_MOUNTS: usize = 16 * 1024;
/// Rounds of unmounting: a mount on a mount goes in the round before.
const ROUNDS: usize = 3;

/// Ends all other processes: SIGTERM, a moment, SIGKILL.
pub fn end_all() {
    let _ = sys::signal::kill(-1, number::TERM);
    let _ = sys::signal::kill(-1, number::CONT);
    reap(TERM);
    let _ = sys::signal::kill(-1, number::KILL);
    reap(KILL);
}

/// Collects dead children until none is left, or the time is over.
fn reap(limit: Millis) {
    let end = monotonic().0.saturating_add(limit.0);
    let mask = sys::signal::Set::of(&[number::CHLD]);
    let _ = sys::signal::set_mask(mask);
    let signals = sys::signal::signalfd(mask);
    loop {
        match sys::process::reap(Who::Any) {
            Ok(Some(_)) => continue,
            Err(Errno::CHILD) if sys::process::pid() == 1 => return,
            _ => {}
        }
        let left = end.saturating_sub(monotonic().0);
        if left == 0 {
            return;
        }
        let pause = Some(Millis(left.min(LOOK.0)));
        let _ = match &signals {
            Ok(fd) => {
                let woken =
                    sys::event::poll(&mut [sys::event::PollFd::new(fd, sys::event::PollFlags::IN)], pause);
                let _ = sys::fs::read(fd, &mut [0; 128]);
                woken
            }
            Err(_) => sys::event::poll(&mut [], pause),
        };
    }
}

/// Writes everything to disk and takes the mounts away; what stays mounted becomes read-only.
pub fn unmount_all(fault: fn(&Fault)) {
    sys::fs::sync();
    let mut buf = [0; MAX_MOUNTS];
    for round in 1..=ROUNDS {
        let read =
            sys::fs::open_read(CWD, c"/proc/self/mounts").and_then(|f| sys::fs::read_full(f, &mut buf));
        let Ok(len) = read else { break };
        let mut left = false;
        // The last mount first; each line is `device directory type options 0 0`.
        for line in buf.get(..len).unwrap_or_default().rsplit(|b| *b == b'\n') {
            let Some(at) = line.split(|b| *b == b' ').nth(1) else { continue };
            if let Err(errno) = unmount(at) {
                left = true;
                if round == ROUNDS {
                    fault(&Fault::new(Step::Unmount, at, errno));
                }
            }
        }
        if !left {
            break;
        }
    }
    sys::fs::sync();
}

/// What the kernel and this program need to the end is in memory and stays.
fn unmount(at: &[u8]) -> sys::Result<()> {
    const STAY: [&[u8]; 4] = [b"/proc", b"/sys", b"/dev", b"/run"];
    if STAY.contains(&at) {
        return Ok(());
    }
    let mut path = CBuf::<512>::new();
    path.push(at).map_err(|_| Errno::NAMETOOLONG)?;
    if at == b"/" {
        return match sys::fs::remount(&path, MountFlags::RDONLY, c"") {
            // An initramfs as the root: nothing to save.
            Err(Errno::INVAL) => Ok(()),
            other => other,
        };
    }
    match sys::fs::unmount(&path, UnmountFlags::empty()) {
        Err(Errno::BUSY) => sys::fs::remount(&path, MountFlags::RDONLY, c""),
        // Gone with the one below it, or its name has an escaped blank.
        Err(Errno::NOENT | Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// Ends the machine; when the kernel refuses (in a container), waits for ever, since process 1 must not end.
pub fn end_machine(what: Machine) -> ! {
    sys::fs::sync();
    loop {
        let _ = sys::process::reboot(what);
        let _ = sys::event::poll(&mut [], Some(Millis(1_000)));
        if sys::process::pid() != 1 {
            sys::process::exit(111);
        }
    }
}
