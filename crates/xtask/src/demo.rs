// SPDX-License-Identifier: ISC
//! `cargo xtask demo` and `cargo xtask boot-test`: the router in QEMU.

use crate::arch::{self, Arch};
use crate::command::Outcome;
use crate::qemu::{self, Root, Run};
use std::time::Duration;

/// `cargo xtask demo`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let mut wanted: Option<&Arch> = None;
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Value(name) => wanted = arch::named(&name.to_string_lossy())?.first(),
            other => return Err(format!("demo: {}", other.unexpected())),
        }
    }
    let arch = wanted.or(arch::host()).ok_or("demo: which architecture?")?;
    let images = qemu::build_root(arch, Root::NoImage)?;
    let mut guest =
        qemu::start(arch, &images, &Run { append: "skeg.rescue-timeout=2".into(), ..Run::default() })?;
    let code = guest.wait_end(Duration::from_secs(60), |line| println!("| {line}"))?;
    println!("QEMU ended with {code}");
    Ok(())
}

/// `cargo xtask boot-test`.
pub fn boot_test(_: lexopt::Parser) -> Outcome {
    Ok(())
}
