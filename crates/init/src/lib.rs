// SPDX-License-Identifier: ISC
//! Stage 1, shutdown, operator questions: what process 1 does before it becomes the scanner and after it has been it.
//!
//! Nothing here has words for people: a step that fails gives a [`Fault`], and the binary says it. Nothing here
//! allocates, and every wait has a limit. Used by the binary's `init`, `poweroff`, `reboot` and `halt`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod cmdline;
pub mod early;
pub mod modules;
pub mod mounts;
pub mod power;
pub mod rescue;

use sys::{CBuf, Errno};

/// A path or a device's name as messages show it: the first 79 bytes.
pub type Name = CBuf<80>;

/// A step of the boot that failed: what, on what, why.
#[derive(Clone)]
pub struct Fault {
    /// What was attempted.
    pub step: Step,
    /// On what.
    pub what: Name,
    /// The kernel's answer.
    pub errno: Errno,
}

/// What was attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading a file.
    Read,
    /// Loading a kernel module.
    Module,
    /// Waiting until a device is there.
    Wait,
    /// Mounting a file system.
    Mount,
    /// Moving a mount into the new root.
    Move,
    /// Making the new root the root.
    Switch,
    /// Making a directory, a file, a FIFO or a link.
    Make,
    /// Unmounting a file system.
    Unmount,
}

impl Fault {
    pub(crate) fn new(step: Step, what: &[u8], errno: Errno) -> Self {
        Self { step, what: name(what), errno }
    }
}

/// These bytes as a name, cut to what fits.
pub fn name(bytes: &[u8]) -> Name {
    let len = bytes.len().min(79);
    Name::from_pieces(&[bytes.get(..len).unwrap_or_default()]).unwrap_or_default()
}
