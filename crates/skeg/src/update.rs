// SPDX-License-Identifier: ISC
//! The applets that update a live directory: `s6-rc-update`, `recover`, and those that show and perform plans.

mod conversion;
mod diff;
mod image;
mod install;
mod plan;
mod rc_update;
mod reason;
mod recover;

use crate::applet::Applet;
pub use image::ImageFile;
pub use rc_update::perform;
pub use recover::finish;

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet {
        name: "s6-rc-update",
        about: "put another image in force and adjust the services, by the rules of s6-rc",
        help: rc_update::HELP,
        main: rc_update::main,
    },
    Applet {
        name: "recover",
        about: "finish what a command left that was killed",
        help: recover::HELP,
        main: recover::main,
    },
    Applet {
        name: "diff",
        about: "compare source trees, images and the live state",
        help: diff::HELP,
        main: diff::main,
    },
    Applet {
        name: "plan",
        about: "show what an update would do, and why",
        help: plan::PLAN_HELP,
        main: plan::plan,
    },
    Applet {
        name: "apply",
        about: "perform a plan, or update by definitions",
        help: plan::APPLY_HELP,
        main: plan::apply,
    },
    Applet {
        name: "install",
        about: "make an image the one that the next boot takes",
        help: install::HELP,
        main: install::main,
    },
];
