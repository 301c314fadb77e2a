// SPDX-License-Identifier: ISC
//! Carries out changes and plans: talks to the supervision tree, runs oneshots, prepares a live directory.
//!
//! One process without a fork or an exec: a [`Session`] writes the control FIFOs of the services itself, listens to their
//! event directories itself, and has one connection to the oneshot runner. What happens next is the
//! engine's decision. `README.md` beside this crate says how pipelines keep their bytes and why.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod forward;
pub mod init;
mod longrun;
mod note;
pub mod oneshot;
mod owed;
pub mod pipes;
pub mod recover;
pub mod restart;
mod session;
pub mod update;

pub use note::{Note, Outcome, RunError, Trouble, Why};
pub use owed::{owed_set, up_or_on_its_way};
pub use session::{Desk, Session, Terms, up_set};
