// SPDX-License-Identifier: ISC
//! The test layer: call *n* of a process fails with a given errno, or kills the process right before it.
//!
//! Outside of the feature `fault` this is an empty inline function. With it, the environment variable
//! `SKEG_FAULT` arms a process when it starts:
//!
//! `SKEG_FAULT=APPLET:N:ACTION` where APPLET is the applet's name (or `*`), N counts its system calls from 1,
//! and ACTION is `kill` (SIGKILL to the process right before call N), `killgroup` (to its whole process
//! group), `ERRNO` (a decimal number: call N fails with it) or `count`. With `count` (and N = 0) nothing
//! fails, and the number of calls is appended as a line to the file named by `SKEG_FAULT_OUT` at exit.
//!
//! A call is a wrapper in this crate, so a vfork child's calls before its exec count with its parent's.

use crate::Result;

/// Called by every wrapper before its system call. An error is what the call shall fail with.
#[cfg(not(feature = "fault"))]
#[inline(always)]
pub const fn enter() -> Result<()> {
    Ok(())
}

#[cfg(feature = "fault")]
pub use armed::{arm, enter, report};

/// `call!(expression)`: counts one system call, then evaluates the expression, whose value is the result.
macro_rules! call {
    ($call:expr) => {{
        $crate::fault::enter()?;
        $call
    }};
}

#[cfg(feature = "fault")]
mod armed {
    use super::Result;
    use crate::Errno;
    use core::ffi::CStr;
    use core::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};
    use rustix::process::{Pid, Signal};

    /// Calls so far.
    static CALLS: AtomicU32 = AtomicU32::new(0);
    /// The call to act on; 0 = none.
    static AT: AtomicU32 = AtomicU32::new(0);
    /// An errno, or one of the two below.
    static ACTION: AtomicI32 = AtomicI32::new(0);
    const KILL: i32 = -1;
    const KILL_GROUP: i32 = -2;
    const COUNT: i32 = -3;

    /// Reads `SKEG_FAULT`; called once by the entry with the applet's name.
    pub fn arm(applet: &[u8]) {
        let Some(spec) = crate::start::env(b"SKEG_FAULT") else { return };
        let mut parts = spec.to_bytes().split(|b| *b == b':');
        let (Some(name), Some(n), Some(action)) = (parts.next(), parts.next(), parts.next()) else { return };
        if name != b"*" && name != applet {
            return;
        }
        ACTION.store(
            match action {
                b"kill" => KILL,
                b"killgroup" => KILL_GROUP,
                b"count" => COUNT,
                number => decimal(number) as i32,
            },
            Relaxed,
        );
        AT.store(decimal(n), Relaxed);
    }

    fn decimal(digits: &[u8]) -> u32 {
        digits
            .iter()
            .take_while(|d| d.is_ascii_digit())
            .fold(0u32, |n, d| n.wrapping_mul(10) + u32::from(d - b'0'))
    }

    /// Counts one call and does what was armed for it.
    pub fn enter() -> Result<()> {
        let n = CALLS.fetch_add(1, Relaxed) + 1;
        if n != AT.load(Relaxed) {
            return Ok(());
        }
        match ACTION.load(Relaxed) {
            KILL => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
                Ok(())
            }
            KILL_GROUP => {
                let group = Pid::from_raw(rustix::process::getpgrp().as_raw_nonzero().get());
                if let Some(group) = group {
                    let _ = rustix::process::kill_process_group(group, Signal::KILL);
                }
                Ok(())
            }
            COUNT => Ok(()),
            errno => Err(Errno::from_raw_os_error(errno)),
        }
    }

    /// Writes the count where `count` was asked for; called by [`crate::process::exit`].
    pub fn report() {
        if ACTION.load(Relaxed) != COUNT {
            return;
        }
        let Some(path) = crate::start::env(b"SKEG_FAULT_OUT") else { return };
        let _ = append(path, CALLS.load(Relaxed));
    }

    fn append(path: &CStr, n: u32) -> Result<()> {
        use rustix::fs::{Mode, OFlags};
        let file = rustix::fs::open(
            path,
            OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE,
            Mode::from_raw_mode(0o644),
        )?;
        let mut line = crate::CBuf::<16>::new();
        let _ = line.push_number(u64::from(n));
        let _ = line.push(b"\n");
        rustix::io::write(&file, line.as_bytes()).map(|_| ())
    }
}
