// SPDX-License-Identifier: ISC
//! The applets of the service manager: init, changes, listings, oneshots, pipelines.

mod change;
mod facts;
mod init;
mod json;
mod oneshot;
mod open;
mod pipes;
mod report;
mod restart;
mod status;
mod why;

use crate::applet::Applet;
pub use init::{unable_to, warn_of};
pub use json::Json;
pub use open::{Opened, corrupt, lock, open, tell_unfinished};
pub use report::{Reporter, ended, owed, session_error};

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet { name: "s6-rc-init", options: Some(init::OPTIONS), main: init::main },
    Applet { name: "s6-rc", options: Some(change::OPTIONS), main: change::main },
    Applet { name: "s6-rc-dryrun", options: Some("v# t#"), main: oneshot::dryrun },
    Applet { name: "s6-rc-oneshot-run", options: Some("l=livedir b/block -n/no-block"), main: oneshot::run },
    Applet { name: "s6rc-oneshot-runner", options: None, main: oneshot::runner },
    Applet { name: "s6rc-fdholder", options: None, main: pipes::holder },
    Applet { name: "s6rc-pipe-run", options: None, main: pipes::member },
    Applet { name: "status", options: Some(status::OPTIONS), main: status::main },
    Applet { name: "why", options: Some(why::OPTIONS), main: why::main },
    Applet { name: "restart", options: Some(restart::OPTIONS), main: restart::main },
];

/// Where the live directory is unless an option says otherwise.
pub const LIVE: &core::ffi::CStr = c"/run/s6-rc";
/// The image that init takes unless an option says otherwise.
pub const COMPILED: &core::ffi::CStr = c"/etc/s6-rc/compiled";
/// How long a skeg verb waits for another command, in milliseconds.
pub const PATIENCE: u32 = 30_000;
