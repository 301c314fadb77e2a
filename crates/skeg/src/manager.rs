// SPDX-License-Identifier: ISC
//! The applets of the service manager: init, changes, listings, oneshots, pipelines.

mod change;
mod facts;
mod init;
mod json;
mod oneshot;
mod open;
mod pipes;
mod report;
mod restart;
mod status;
mod why;

use crate::applet::Applet;
pub use json::Json;
pub use open::{Opened, corrupt, open};
pub use report::{Reporter, session_error};

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet {
        name: "s6-rc-init",
        about: "make the live directory of an image and supervise its services",
        help: init::HELP,
        main: init::main,
    },
    Applet {
        name: "s6-rc",
        about: "list services, bring them up or down",
        help: change::HELP,
        main: change::main,
    },
    Applet {
        name: "s6-rc-dryrun",
        about: "print a command line instead of running it",
        help: oneshot::DRYRUN_HELP,
        main: oneshot::dryrun,
    },
    Applet {
        name: "s6-rc-oneshot-run",
        about: "run a oneshot's script in place of this process",
        help: oneshot::RUN_HELP,
        main: oneshot::run,
    },
    Applet {
        name: "s6rc-oneshot-runner",
        about: "run the scripts of oneshots (internal service)",
        help: oneshot::RUNNER_HELP,
        main: oneshot::runner,
    },
    Applet {
        name: "s6rc-fdholder",
        about: "keep the pipes of pipelines open (internal service)",
        help: pipes::HOLDER_HELP,
        main: pipes::holder,
    },
    Applet {
        name: "s6rc-pipe-run",
        about: "start a member of a pipeline (generated run)",
        help: pipes::MEMBER_HELP,
        main: pipes::member,
    },
    Applet {
        name: "status",
        about: "print the services, their state and processes",
        help: status::HELP,
        main: status::main,
    },
    Applet { name: "why", about: "say why a service is up or down", help: why::HELP, main: why::main },
    Applet {
        name: "restart",
        about: "restart services, and bring back all that was up",
        help: restart::HELP,
        main: restart::main,
    },
];

/// Where the live directory is unless an option says otherwise.
pub const LIVE: &core::ffi::CStr = c"/run/s6-rc";
/// The image that init takes unless an option says otherwise.
pub const COMPILED: &core::ffi::CStr = c"/etc/s6-rc/compiled";
/// How long a skeg verb waits for another command, in milliseconds.
pub const PATIENCE: u32 = 30_000;
