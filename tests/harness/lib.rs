// SPDX-License-Identifier: ISC
//! What the black-box tests share: programs under test, scratch directories, scanners, listeners, status files.
//!
//! Nothing here uses skeg's own crates: what a test reads back is read by code that knows only the documented formats.
//! Everything waits for an event or a deadline, and everything that was started is ended by process id.

pub mod cases;
pub mod fault;
pub mod fifodir;
pub mod mount;
pub mod process;
pub mod program;
pub mod scratch;
pub mod status;
pub mod tree;
pub mod wait;

pub use process::Done;
pub use program::Suite;
pub use scratch::Scratch;
pub use tree::{Scanner, User};
pub use wait::until;
