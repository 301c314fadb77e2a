// SPDX-License-Identifier: ISC
//! Results of system calls in one register, as the kernel has them: for the functions that are there once.
//!
//! A `Result` with a word in it comes back through memory on a CPU of 32 bits, and each caller has to make room for it.
#![allow(unsafe_code)]

use crate::{Errno, OwnedFd, Result};

/// The error number of a word below 0.
///
/// # Safety
/// The word is -4095 at least, and below 0.
#[inline(always)]
unsafe fn errno(word: i32) -> Errno {
    // rustix keeps an error number as the kernel gives it, in 16 bits, and its own constructor checks it again each time.
    const { assert!(as_is(-4095).raw_os_error() == 4095 && as_is(-1).raw_os_error() == 1) };
    const fn as_is(word: i16) -> Errno {
        // SAFETY: of the same size, as the compiler checks, and from -4095 to -1, which is all that comes here, the same
        // bits, as is checked above.
        unsafe { core::mem::transmute::<i16, Errno>(word) }
    }
    // SAFETY: the caller's duty.
    unsafe { core::hint::assert_unchecked((-4095..0).contains(&word)) };
    as_is(word as i16)
}

/// A count, or an error number below 0.
pub struct Count(
    /// Invariant: where it is below 0, an error number as the kernel gives it, from -4095 on.
    isize,
);

impl From<Result<usize>> for Count {
    #[inline(always)]
    fn from(result: Result<usize>) -> Self {
        Self(result.map_or_else(|e| -(e.raw_os_error() as isize), |n| n as isize))
    }
}

impl Count {
    /// The count. The kernel gives none beyond half of the address space.
    #[inline(always)]
    pub fn get(self) -> Result<usize> {
        // SAFETY: by the invariant.
        if self.0 < 0 { Err(unsafe { errno(self.0 as i32) }) } else { Ok(self.0 as usize) }
    }
}

/// Nothing to tell, or an error number below 0.
#[must_use]
pub struct Done(
    /// Invariant: 0, or an error number as the kernel gives it, from -4095 on.
    i32,
);

impl From<Result<()>> for Done {
    #[inline(always)]
    fn from(result: Result<()>) -> Self {
        Self(result.map_or_else(|e| -e.raw_os_error(), |()| 0))
    }
}

impl Done {
    /// Whether it went well.
    #[inline(always)]
    pub fn get(self) -> Result<()> {
        // SAFETY: by the invariant.
        if self.0 != 0 { Err(unsafe { errno(self.0) }) } else { Ok(()) }
    }
}

/// A new descriptor: with 64 bits a register has room for the whole `Result`.
#[cfg(target_pointer_width = "64")]
#[must_use]
pub struct NewFd(Result<OwnedFd>);

#[cfg(target_pointer_width = "64")]
impl<F: Into<OwnedFd>> From<Result<F>> for NewFd {
    #[inline(always)]
    fn from(result: Result<F>) -> Self {
        Self(result.map(Into::into))
    }
}

#[cfg(target_pointer_width = "64")]
impl NewFd {
    /// The descriptor.
    #[inline(always)]
    pub fn get(self) -> Result<OwnedFd> {
        self.0
    }
}

/// A new descriptor, or an error number below 0.
#[cfg(target_pointer_width = "32")]
#[must_use]
pub struct NewFd(
    /// Invariant: where it is below 0, an error number from -4095 on, else a descriptor that this owns.
    i32,
);

#[cfg(target_pointer_width = "32")]
impl<F: Into<OwnedFd>> From<Result<F>> for NewFd {
    #[inline(always)]
    fn from(result: Result<F>) -> Self {
        use crate::IntoRawFd;
        Self(result.map_or_else(|e| -e.raw_os_error(), |fd| fd.into().into_raw_fd()))
    }
}

#[cfg(target_pointer_width = "32")]
impl NewFd {
    /// The descriptor.
    #[inline(always)]
    pub fn get(self) -> Result<OwnedFd> {
        use crate::FromRawFd;
        if self.0 < 0 {
            // SAFETY: by the invariant.
            return Err(unsafe { errno(self.0) });
        }
        // SAFETY: by the invariant it is owned by `self`, which ends here.
        Ok(unsafe { OwnedFd::from_raw_fd(self.0) })
    }
}
