// SPDX-License-Identifier: ISC
//! The applets that update a live directory: `s6-rc-update`, `recover`, and those that show and perform plans.

mod conversion;
mod diff;
mod image;
mod install;
mod look;
mod plan;
mod rc_update;
mod reason;
mod recover;
mod stores;
mod sync;

use crate::applet::Applet;
pub use image::{ImageFile, link_target, map_image, output, real_path};
pub use rc_update::perform;
pub use recover::finish;

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet { name: "s6-rc-update", options: Some(rc_update::OPTIONS), main: rc_update::main },
    Applet { name: "recover", options: Some(recover::OPTIONS), main: recover::main },
    Applet { name: "diff", options: Some(diff::OPTIONS), main: diff::main },
    Applet { name: "plan", options: Some(plan::PLAN_OPTIONS), main: plan::plan },
    Applet { name: "apply", options: Some(plan::APPLY_OPTIONS), main: plan::apply },
    Applet { name: "sync", options: Some(sync::OPTIONS), main: sync::main },
    Applet { name: "install", options: Some(install::OPTIONS), main: install::main },
];
