// SPDX-License-Identifier: ISC
//! The applets that update a live directory: `s6-rc-update`, `recover`, and those that show and perform plans.

mod conversion;
mod image;
mod rc_update;
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
];
