// SPDX-License-Identifier: ISC
//! In the compiler's place, for a device whose images are made elsewhere.

use crate::applet::{Call, USAGE};
use alloc::vec::Vec;
use core::ffi::CStr;
use source::Fault;

/// There is none; the exit code, after a message.
#[cold]
#[inline(never)]
pub fn must_exist(call: &Call) -> Result<(), u8> {
    let what =
        t!("this skeg was built without the compiler: make the image on the host that builds the firmware");
    Err(call.fail(USAGE, what, b""))
}

/// It can't.
pub fn compile(
    call: &Call,
    _: &[&'static CStr],
    _: bool,
    _: u32,
    _: u8,
) -> Result<(Vec<u8>, Vec<Fault>), u8> {
    must_exist(call)?;
    Err(USAGE)
}
