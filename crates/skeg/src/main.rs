// SPDX-License-Identifier: ISC
//! skeg: the service manager, its supervision tree and its init in one binary.
//!
//! The applet is chosen by `argv[0]`'s last part, or by the first word after `skeg`. Each area of the program is one
//! module with a table of its applets; words for errors live here and nowhere else.
#![no_std]
#![no_main]

extern crate alloc;

// `t!(…)`: the message of these words in the packed text.
include!(concat!(env!("OUT_DIR"), "/texts.rs"));

mod applet;
mod bundle;
mod compile;
mod db_query;
mod fault_words;
mod init;
mod live_words;
mod manager;
mod settings;
mod signature;
mod tree;
mod update;
mod words;

use applet::Applet;
use sys::start::Strings;

/// Each area's applets.
static AREAS: &[&[Applet]] = &[
    init::APPLETS,
    compile::APPLETS,
    bundle::APPLETS,
    db_query::APPLETS,
    manager::APPLETS,
    tree::APPLETS,
    settings::APPLETS,
    update::APPLETS,
];

sys::entry!(main);

fn main(arguments: Strings) -> u8 {
    if init::is_init(arguments) {
        init::process_1();
    }
    let code = applet::run(AREAS, arguments);
    if init::is_machine() {
        // The scanner of a booted machine has failed: process 1 must not end.
        init::after_a_panic();
    }
    code
}

/// Whether an applet has this name.
fn is_applet(name: &[u8]) -> bool {
    applet::find(AREAS, name).is_some()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    let lacking = sys::is_out_of_memory();
    let what = if lacking {
        "out of memory"
    } else {
        "a bug: the program has reached a state that cannot be; it stops here"
    };
    words::complain(words::name(), what, b"");
    if sys::process::pid() == 1 {
        init::after_a_panic();
    }
    if lacking {
        sys::process::exit(applet::SYSTEM);
    }
    sys::process::abort()
}
