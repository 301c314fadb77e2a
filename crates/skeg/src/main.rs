// SPDX-License-Identifier: ISC
//! skeg: the service manager, its supervision tree and its init in one binary.
//!
//! The applet is chosen by `argv[0]`'s last part, or by the first word after `skeg`. Each area of the program is one
//! module with a table of its applets; words for errors live here and nowhere else.
#![no_std]
#![no_main]

extern crate alloc;

mod applet;
mod tree;
mod words;

use applet::Applet;
use sys::start::Strings;

/// Each area's applets.
static AREAS: &[&[Applet]] = &[tree::APPLETS];

sys::entry!(main);

fn main(arguments: Strings) -> u8 {
    applet::run(AREAS, arguments)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    words::complain(b"skeg", &[b"a bug: the program has reached a state that cannot be; it stops here"]);
    sys::process::abort()
}
