// SPDX-License-Identifier: ISC
//! Links that take another's place in one step, and files that go whether they are there or not.

use crate::error::{During, LiveError, Op, What};
use core::ffi::CStr;
use sys::{BorrowedFd, Errno, fs};

/// Makes a link; one of that name is what a killed command left, and goes.
pub(crate) fn make(dir: BorrowedFd<'_>, target: &CStr, name: &CStr, what: What) -> Result<(), LiveError> {
    let made = match fs::symlink(target, dir, name) {
        Err(Errno::EXIST) => fs::unlink(dir, name).and_then(|()| fs::symlink(target, dir, name)),
        other => other,
    };
    made.during(Op::Create, what)
}

/// Puts a link in the place of another, atomically. `aside` is a name in the same directory for the moment.
pub(crate) fn replace(
    dir: BorrowedFd<'_>,
    target: &CStr,
    name: &CStr,
    aside: &CStr,
    what: What,
) -> Result<(), LiveError> {
    make(dir, target, aside, what)?;
    fs::rename(dir, aside, dir, name).during(Op::Rename, what)
}

/// Removes a file or link. None there is no error.
pub(crate) fn remove(dir: BorrowedFd<'_>, name: &CStr, what: What) -> Result<(), LiveError> {
    match fs::unlink(dir, name) {
        Err(Errno::NOENT) => Ok(()),
        other => other.during(Op::Remove, what),
    }
}
