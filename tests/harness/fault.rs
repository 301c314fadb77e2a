// SPDX-License-Identifier: ISC
//! Enumerating faults: a command of the test variant is run once per system call, and fails or dies right there.
//!
//! The test layer is `sys::fault`; this is its other end. A test gives a preparation, a command and a judge.

use crate::process::{Done, LONG, run_for};
use crate::program::Suite;
use crate::scratch::Scratch;
use std::process::Command;

/// What happens at call n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed right before it.
    Kill,
    /// Its whole process group is.
    KillGroup,
    /// It fails with this errno.
    Errno(i32),
    /// From there on each call that could need room on a file system fails with `ENOSPC`.
    Full,
}

/// `ENOSPC`, `EIO`, `ENOMEM`, `EMFILE`, `EAGAIN`, `EROFS`: the errors that a healthy program may meet anywhere.
pub const ENOSPC: i32 = 28;
/// Input/output error.
pub const EIO: i32 = 5;
/// Out of memory.
pub const ENOMEM: i32 = 12;
/// Too many open files.
pub const EMFILE: i32 = 24;

/// The word for a fault in `SKEG_FAULT`.
pub fn action(fault: Fault) -> String {
    fault.action()
}

impl Fault {
    fn action(self) -> String {
        match self {
            Self::Kill => "kill".to_owned(),
            Self::KillGroup => "killgroup".to_owned(),
            Self::Errno(errno) => errno.to_string(),
            Self::Full => "full".to_owned(),
        }
    }
}

/// Arms the command: call `n` of this applet meets the fault.
pub fn arm(command: &mut Command, applet: &str, n: u32, fault: Fault) {
    command.env("SKEG_FAULT", format!("{applet}:{n}:{}", fault.action()));
}

/// Runs the command once, whole, and counts its system calls.
#[track_caller]
pub fn count(scratch: &Scratch, command: &mut Command, applet: &str) -> (u32, Done) {
    let file = scratch.at(format!("fault-count-{applet}"));
    let _ = std::fs::remove_file(&file);
    command.env("SKEG_FAULT", format!("{applet}:0:count")).env("SKEG_FAULT_OUT", &file);
    let done = run_for(command, LONG);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let n = text.lines().last().and_then(|line| line.trim().parse().ok());
    (n.unwrap_or_else(|| panic!("no count of calls; {applet} ended with {done:?}")), done)
}

/// Runs one applet with call `n` at fault.
pub fn strike(
    scratch: &Scratch,
    suite: &Suite,
    applet: &str,
    words: &[String],
    n: u32,
    fault: Fault,
) -> Done {
    let mut command = scratch.command(suite, applet, words);
    arm(&mut command, applet, n, fault);
    run_for(&mut command, LONG)
}
