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

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet { name: "s6-svscan", options: Some(svscan::OPTIONS), main: svscan::main },
    Applet { name: "s6-supervise", options: Some(""), main: svscan::supervise },
    Applet { name: "s6-svscanctl", options: Some("z/ a/ b/ h/ i/ t/ q/ n/ N/ R/"), main: svscanctl },
    Applet { name: "s6-svc", options: Some(svc::OPTIONS), main: svc::main },
    Applet { name: "s6-svstat", options: Some(svstat::OPTIONS), main: svstat::main },
    Applet { name: "s6-svok", options: Some(""), main: svok },
    Applet { name: "s6-svwait", options: Some(svwait::OPTIONS), main: svwait::main },
];

fn svscanctl(call: &Call) -> Result<u8, u8> {
    let mut commands = heapless::Vec::<u8, 64>::new();
    let mut options = call.options();
    while let Ok(Some(letter)) = options.option() {
        commands.push(letter).map_err(|_| call.misused(t!("too many commands: at most 64"), b""))?;
    }
    let dir = call.operand(t!("which scan directory?"))?;
    let sent = sys::fs::open_dir(CWD, dir).and_then(|scan| live::tree::control(&scan, SVSCAN, &commands));
    let dir = dir.to_bytes();
    match sent {
        Ok(Sent::Yes) => Ok(0),
        Ok(Sent::NobodyListens) => Err(call.fail(USAGE, t!("can't control %: no s6-svscan runs on it"), dir)),
        Ok(Sent::Broken(e)) => {
            call.say_two(t!("something is wrong with %/.s6-svscan: %"), dir, words::errno(e));
            Err(USAGE)
        }
        Err(e) => Err(call.failed(t!("control %"), dir, e)),
    }
}

fn svok(call: &Call) -> Result<u8, u8> {
    let dir = call.operand(t!("which service directory?"))?;
    let supervised = match sys::fs::open_dir(CWD, dir) {
        Ok(service) => live::tree::is_supervised(&service),
        Err(sys::Errno::NOENT) => Ok(false),
        Err(e) => Err(e),
    };
    supervised.map(|yes| u8::from(!yes)).map_err(|e| call.failed(t!("check %"), dir.to_bytes(), e))
}
