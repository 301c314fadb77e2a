// SPDX-License-Identifier: ISC
//! The compiler, and its faults in words.

use super::faults::put_fault;
use crate::applet::{Call, SYSTEM};
use alloc::vec::Vec;
use core::ffi::CStr;
use source::{Fault, What};

/// There is one.
pub const fn must_exist(_: &Call) -> Result<(), u8> {
    Ok(())
}

/// Compiles these directories, with the user of `-h`, and tells every fault; the image, and what it was warned of. Else the exit
/// code, `wrong` for definitions that are wrong.
#[inline(never)]
pub fn compile(
    call: &Call,
    sources: &[&'static CStr],
    keep_going: bool,
    verbosity: u32,
    wrong: u8,
) -> Result<(Vec<u8>, Vec<Fault>), u8> {
    let holder_user = call.value(b'h').map(CStr::to_bytes);
    if let Some(user) = holder_user {
        let mut settings = source::process::Settings::new();
        let mut wrong = false;
        settings.add_file(source::process::Setting::User, user, &mut |_| wrong = true);
        if wrong {
            return Err(call.misused(t!("'%' is no user"), user));
        }
    }
    let compiled = compile::compile(source::read(sources), &compile::Options { keep_going, holder_user });
    report(call, verbosity, &compiled.faults);
    let system = || compiled.faults.iter().any(|f| f.grave && matches!(f.what, What::Read(_)));
    match compiled.image {
        Some(image) => Ok((image, compiled.faults)),
        None => Err(if system() { SYSTEM } else { wrong }),
    }
}

/// Tells every fault, in one write.
fn report(call: &Call, verbosity: u32, faults: &[Fault]) {
    let mut all = Vec::new();
    for fault in faults {
        let quiet = match fault.what {
            What::Twice => 2,
            _ => 1,
        };
        if fault.grave || verbosity >= quiet {
            put_fault(&mut all, call.name, fault);
        }
    }
    if !all.is_empty() {
        let _ = sys::fs::write_all(sys::stderr(), &all);
    }
}
