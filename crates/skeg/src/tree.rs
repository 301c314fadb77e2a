// SPDX-License-Identifier: ISC
//! The applets of the supervision tree: its processes, and the tools that talk to them.

mod notes;
mod svc;
mod svscan;
mod svstat;
mod svwait;
mod wait;

use crate::applet::{Applet, Call, USAGE};
use crate::words;
use live::tree::{SVSCAN, Sent};
use sys::CWD;
use text::args::Arg;

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet { name: "s6-svscan", about: "run a supervision tree", help: svscan::HELP, main: svscan::main },
    Applet {
        name: "s6-supervise",
        about: "supervise one service",
        help: svscan::SUPERVISE_HELP,
        main: svscan::supervise,
    },
    Applet {
        name: "s6-svscanctl",
        about: "send commands to a scanner",
        help: SVSCANCTL_HELP,
        main: svscanctl,
    },
    Applet { name: "s6-svc", about: "send commands to services", help: svc::HELP, main: svc::main },
    Applet {
        name: "s6-svstat",
        about: "print the state of a service",
        help: svstat::HELP,
        main: svstat::main,
    },
    Applet { name: "s6-svok", about: "tell whether a service is supervised", help: SVOK_HELP, main: svok },
    Applet {
        name: "s6-svwait",
        about: "wait for services to go up or down",
        help: svwait::HELP,
        main: svwait::main,
    },
];

const SVSCANCTL_HELP: &str = "\
usage: s6-svscanctl [-zabhitqnNR] SCANDIR

Sends commands to the s6-svscan that runs on SCANDIR, in the order given:
  -z  collect dead children          -a  scan the directory for new services
  -h  scan, and stop services whose entries are gone
  -n  stop services whose entries are gone (-N: their loggers too)
  -t  stop everything and exit (-q: loggers at once too; -i: as SIGINT)
  -b  exit now, without stopping anything
  -R  (ours only) become the program file that is in the scanner's place now; services go on untouched

exit codes: 0 sent, 100 wrong usage or no s6-svscan is there, 111 system call failed
";

fn svscanctl(call: &mut Call) -> u8 {
    let mut args = call.args();
    let mut bytes = heapless::Vec::<u8, 64>::new();
    loop {
        match args.option() {
            Ok(Some(Arg::Short(letter))) if b"zabhitqnNR".contains(&letter) => {
                if bytes.push(letter).is_err() {
                    return call.misused(&[b"too many commands: at most 64"]);
                }
            }
            Ok(Some(other)) => return call.unknown(other),
            Ok(None) => break,
            Err(e) => return call.refuse(e),
        }
    }
    let Some(dir) = args.operand() else { return call.misused(&[b"which scan directory?"]) };
    let sent = sys::fs::open_dir(CWD, dir).and_then(|scan| live::tree::control(&scan, SVSCAN, &bytes));
    match sent {
        Ok(Sent::Yes) => 0,
        Ok(Sent::NobodyListens) => {
            words::complain(call.name, &[b"can't control ", dir.to_bytes(), b": no s6-svscan runs on it"]);
            USAGE
        }
        Ok(Sent::Broken(e)) => {
            let dir = dir.to_bytes();
            words::complain(
                call.name,
                &[b"something is wrong with ", dir, b"/.s6-svscan: ", words::errno(e)],
            );
            USAGE
        }
        Err(e) => call.failed(&[b"control ", dir.to_bytes()], e),
    }
}

const SVOK_HELP: &str = "\
usage: s6-svok SERVICEDIR

exit codes: 0 a supervisor runs on SERVICEDIR, 1 none does, 100 wrong usage, 111 system call failed
";

fn svok(call: &mut Call) -> u8 {
    let mut args = call.args();
    match args.option() {
        Ok(None) => {}
        Ok(Some(other)) => return call.unknown(other),
        Err(e) => return call.refuse(e),
    }
    let Some(dir) = args.operand() else { return call.misused(&[b"which service directory?"]) };
    let supervised = match sys::fs::open_dir(CWD, dir) {
        Ok(service) => live::tree::is_supervised(&service),
        Err(sys::Errno::NOENT) => Ok(false),
        Err(e) => Err(e),
    };
    match supervised {
        Ok(yes) => u8::from(!yes),
        Err(e) => call.failed(&[b"check ", dir.to_bytes()], e),
    }
}
