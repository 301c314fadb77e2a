// SPDX-License-Identifier: ISC
//! A question to whoever sits at the console, with a limit. Used when the machine can't start its services.

use core::ffi::CStr;
use sys::event::{PollFd, PollFlags};
use sys::spawn::{Spawn, Word, Words, spawn};
use sys::time::{Millis, monotonic};
use sys::{AsFd, BorrowedFd, CWD};

/// Shells that a rescue uses, the first one that is there.
const SHELLS: [&CStr; 4] = [c"/sbin/sulogin", c"/bin/sh", c"/bin/busybox", c"/usr/bin/sh"];

/// The shell that the root has, if it has one.
pub fn shell() -> Option<&'static CStr> {
    /// `X_OK` of access(2).
    const EXECUTE: u32 = 1;
    SHELLS.into_iter().find(|path| sys::fs::access(CWD, path, EXECUTE).is_ok())
}

/// Whether somebody types a line on the console within the time.
pub fn answered(console: BorrowedFd<'_>, limit: Millis) -> bool {
    let end = monotonic().0.saturating_add(limit.0);
    loop {
        let left = end.saturating_sub(monotonic().0);
        if left == 0 {
            return false;
        }
        match sys::event::poll(&mut [PollFd::new(&console, PollFlags::IN)], Some(Millis(left))) {
            Ok(1..) => return matches!(sys::fs::read(console, &mut [0; 64]), Ok(1..)),
            Ok(0) => return false,
            Err(sys::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Runs the shell on the console until it ends.
pub fn run(shell: &'static CStr, console: BorrowedFd<'_>) -> sys::Result<()> {
    let name = if shell == c"/bin/busybox" { c"sh" } else { shell };
    let words = [Word::new(name), Word::END];
    let pid = spawn(&Spawn {
        path: shell,
        arguments: Words::new(&words)?,
        environment: Words::environment(),
        directory: None,
        fds: &[(console.as_fd(), 0), (console.as_fd(), 1), (console.as_fd(), 2)],
        session: true,
        mask: sys::signal::Set::default(),
        open_files: None,
        new_pids: false,
        record_pid: None,
    })?;
    loop {
        match sys::process::wait(sys::process::Who::Pid(pid)) {
            Err(sys::Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(()),
        }
    }
}

/// Waits, whatever comes on the way.
pub fn pause(limit: Millis) {
    let end = monotonic().0.saturating_add(limit.0);
    loop {
        let left = end.saturating_sub(monotonic().0);
        if left == 0 {
            return;
        }
        let _ = sys::event::poll(&mut [], Some(Millis(left)));
    }
}
