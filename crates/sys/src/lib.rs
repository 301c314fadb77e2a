// SPDX-License-Identifier: ISC
//! System calls, start-up code, file descriptors, clocks and signals: the only crate that holds `unsafe`.
//!
//! Every call goes through [`fault::enter`], which is nothing at all outside of tests: there it counts the
//! calls of a process and makes call *n* fail, or kills the process right before it. That is why the other
//! crates use these functions and never rustix itself.
//!
//! Paths are [`CStr`](core::ffi::CStr) relative to a directory descriptor; [`CBuf`] builds them in place, and is what the
//! resident processes take, [`CBox`] on the heap.
//! Errors are the bare [`Errno`]; callers add what they were doing.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

#[macro_use]
pub mod fault;
#[cfg(feature = "start")]
mod arena;
mod cbox;
mod cbuf;
pub mod credentials;
pub mod event;
pub mod fifodir;
pub mod fs;
#[cfg(feature = "start")]
mod memory_functions;
pub mod mm;
pub mod net;
mod owned;
pub mod process;
pub mod raw;
#[cfg(target_arch = "riscv64")]
mod save_restore;
pub mod signal;
pub mod spawn;
pub mod start;
pub mod time;
mod word;

#[cfg(feature = "start")]
pub use arena::{Once, is_out_of_memory};
pub use cbox::{CBox, Path};
pub use cbuf::{CBuf, PATH_ROOM, PathBuffer, TooLong};
pub use owned::OwnedFd;
pub use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
pub use rustix::io::Errno;

/// What a system call gives: its value, or the kernel's error number.
pub type Result<T> = core::result::Result<T, Errno>;

/// The current directory as the base of a relative path (`AT_FDCWD`).
pub use rustix::fs::CWD;

/// The standard streams, as descriptors that this program never closes.
pub mod stdio {
    // rustix marks these safe where the standard library is linked (host tests) and unsafe where it is not.
    #![allow(unused_unsafe)]
    #![allow(unsafe_code)]
    use super::BorrowedFd;

    /// Standard input.
    pub fn stdin() -> BorrowedFd<'static> {
        // SAFETY: the start of the process makes sure that 0, 1 and 2 are open, and nothing here closes them.
        unsafe { rustix::stdio::stdin() }
    }

    /// Makes this standard stream (0, 1 or 2) another file from now on.
    pub fn replace(number: u8, by: impl super::AsFd) -> super::Result<()> {
        let (from, to) = (rustix::fd::AsRawFd::as_raw_fd(&by.as_fd()), usize::from(number.min(2)));
        crate::fault::enter()?;
        // SAFETY: nobody owns a standard stream, so nobody's descriptor is taken away.
        unsafe { crate::raw::syscall6(crate::raw::nr::__NR_dup3, from as usize, to, 0, 0, 0, 0) }?;
        Ok(())
    }

    /// Standard output.
    pub fn stdout() -> BorrowedFd<'static> {
        // SAFETY: as for `stdin`.
        unsafe { rustix::stdio::stdout() }
    }

    /// Standard error.
    pub fn stderr() -> BorrowedFd<'static> {
        // SAFETY: as for `stdin`.
        unsafe { rustix::stdio::stderr() }
    }
}

pub use stdio::{stderr, stdin, stdout};
