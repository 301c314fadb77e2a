// SPDX-License-Identifier: ISC
//! The live directory: generations, state, journal, lock, service directories.
//!
//! Used by `run` and, through it, by every command that looks at services or changes them; the oneshot runner uses
//! [`state::write`] alone, which never allocates. What lies where, each step of an init and an update, and what a
//! kill after it leaves, is in `PROTOCOL.md` beside this crate's sources.
//!
//! Limits: the last part of the live directory's path has at most 240 bytes, the whole path at most 1,000; a
//! prefix and a service's name have 255 together; the path of the skeg binary has at most 200. There are at most
//! 8,192 services.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod create;
#[cfg(test)]
mod damaged;
mod directory;
mod error;
pub mod generation;
pub mod history;
mod installed;
pub mod journal;
mod links;
mod lock;
mod names;
mod place;
mod remove;
mod saved;
mod scandir;

pub mod service_dir;
mod settle;
pub mod state;
pub mod tree;

pub use create::first;
pub use directory::{Live, Locked};
pub use error::{Fault, LiveError, Op, What, errno};
pub use generation::{Builder, Generation, ImageSource, Notes, switch_link};
pub use history::{History, Outcome, Record};
pub use installed::{Image, Judge, Store};
pub use journal::Journal;
pub use lock::{Access, Lock, Wait, command_line};
pub use names::{Names, settle_links};
pub use place::{Name, Place};
pub use saved::Saved;
pub use scandir::ScanDir;
pub use service_dir::{Id, ServiceDir, Supervisor, Umask};
pub use settle::{
    Differences, compare_entries, link_entries, remove_all, remove_directory, undo_init, undo_update,
};
pub use state::{Phase, State, States};

#[cfg(test)]
fn test_dir(name: &str) -> (std::path::PathBuf, std::ffi::CString) {
    let dir = std::env::temp_dir().join(format!("skeg-live-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let live = std::ffi::CString::new(dir.join("live").into_os_string().into_encoded_bytes()).unwrap();
    (dir, live)
}

#[cfg(test)]
fn remove_test_dir(dir: &std::path::Path) {
    std::fs::remove_dir_all(dir).unwrap();
}
