// SPDX-License-Identifier: ISC
//! A descriptor that is closed when nobody needs it any more. Used by everyone.
//!
//! rustix's own would do, but it brings its system call and its check for -1 to each place where one is dropped or borrowed.
#![allow(unsafe_code)]

use crate::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};

/// An open descriptor. Dropping it closes it.
#[derive(Debug)]
#[repr(transparent)]
pub struct OwnedFd(
    /// Invariant: open, never -1, and nobody else closes it.
    RawFd,
);

/// close(2), there once.
///
/// # Safety
/// The caller owns the descriptor, and never uses it again.
#[inline(never)]
unsafe fn close(fd: RawFd) {
    // SAFETY: the caller's duty.
    unsafe { rustix::io::close(fd) };
}

impl Drop for OwnedFd {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: by the invariant it is ours, and this is its end.
        unsafe { close(self.0) };
    }
}

impl AsFd for OwnedFd {
    #[inline(always)]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // Not by `borrow_raw`, which looks at each place for the -1 that never comes.
        // SAFETY: a borrowed descriptor is its number (`repr(transparent)`), of which by the invariant none is -1; it is open
        // for as long as `self` lives, which the borrow does not outlive.
        unsafe { core::mem::transmute::<RawFd, BorrowedFd<'_>>(self.0) }
    }
}

impl AsRawFd for OwnedFd {
    #[inline(always)]
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl IntoRawFd for OwnedFd {
    #[inline(always)]
    fn into_raw_fd(self) -> RawFd {
        core::mem::ManuallyDrop::new(self).0
    }
}

impl FromRawFd for OwnedFd {
    #[inline(always)]
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        Self(fd)
    }
}

impl From<rustix::fd::OwnedFd> for OwnedFd {
    #[inline(always)]
    fn from(fd: rustix::fd::OwnedFd) -> Self {
        Self(fd.into_raw_fd())
    }
}
