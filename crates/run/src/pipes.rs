// SPDX-License-Identifier: ISC
//! Pipes between services: made by the members, held by a resident process, kept by a second one when that dies.
//!
//! A pipe is a FIFO named `stdin` in the service directory of its consumer, so it can be found again by its path as long as
//! anyone has it open. [`join`] is a member's side, [`hold`] the holder's. Why it is so: `README.md`.
//!
//! The holder and its keeper never allocate; at most [`MAX_PIPES`] pipes.

mod hold;
mod join;

pub use hold::{HoldError, hold};
pub use join::{JoinError, join};

use core::ffi::CStr;

/// The consumer's FIFO in its service directory.
const FIFO: &CStr = c"stdin";
/// A producer's link to the FIFO that it wrote to last, for the time when its consumer's name is not to be found.
const LAST: &CStr = c"stdout";
/// The holder's socket in its service directory.
const SOCKET: &CStr = c"s";
/// The holder's service.
const HOLDER: &[u8] = b"s6rc-fdholder";
/// Pipes that are held at the most: each costs the holder and the keeper one descriptor.
pub const MAX_PIPES: usize = 1024;
/// What a member says with its descriptor, and what the holder answers.
const HELD: &[u8] = b"h";
