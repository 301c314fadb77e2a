// SPDX-License-Identifier: ISC
//! skeg: the service manager, its supervision tree and its init in one binary.
//!
//! The applet is chosen by `argv[0]`'s last part, or by the first word after `skeg`. Each area of the program is one
//! module with a table of its applets; words for errors live here and nowhere else.
#![no_std]
#![no_main]

extern crate alloc;

mod applet;
mod compile;
mod db_query;
mod fault_words;
mod init;
mod live_words;
mod manager;
mod settings;
mod tree;
mod update;
mod words;

use applet::Applet;
use sys::start::Strings;

/// Each area's applets.
static AREAS: &[&[Applet]] = &[
    init::APPLETS,
    compile::APPLETS,
    db_query::APPLETS,
    manager::APPLETS,
    tree::APPLETS,
    settings::APPLETS,
    update::APPLETS,
];
