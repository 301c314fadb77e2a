// SPDX-License-Identifier: ISC
//! `s6-svscan` and `s6-supervise`: the processes of the tree.

use super::notes;
use crate::applet::{Call, SYSTEM, USAGE};
use core::ffi::CStr;
use supervise::scanner::{Config, ScannerError};
use supervise::supervisor::SuperviseError;
use supervise::table::MAX_SERVICES;
use sys::spawn::{Word, Words};
use sys::{Errno, OwnedFd};

/// Services there may be where nothing is said, as in s6.
const DEFAULT_MAX: u32 = 1000;

// Two are between scanners: the layout's number, and where the handover is.
pub const OPTIONS: &str = "c#<8192 C#services-max<8192 L#name-max t#timeout d#notification-fd X#console-holder \
    -r#can-resume -R#resume";
const _: () = assert!(MAX_SERVICES == 8192);

/// The descriptor that an option names.
fn inherited(call: &Call, letter: u8) -> Result<Option<OwnedFd>, u8> {
    let Some(number) = call.value(letter) else { return Ok(None) };
    sys::fs::take_inherited(call.number(letter, 0))
        .map(Some)
        .map_err(|_| call.misused(t!("descriptor % is not open, or below 3"), number.to_bytes()))
}

pub fn main(call: &Call) -> Result<u8, u8> {
    if call.has(b'r') {
        return Ok(u8::from(call.number(b'r', 0) != supervise::again::LAYOUT));
    }
    if let Some(handover) = inherited(call, b'R')? {
        return Err(ended(call, c"", supervise::scanner::resume(handover, notes::say_scanner)));
    }
    let max = match call.last(b"cC") {
        0 => DEFAULT_MAX,
        letter => call.number(letter, 0).max(4),
    };
    let (ready, console) = (inherited(call, b'd')?, inherited(call, b'X')?);
    let directory = call.operand(t!("which scan directory?"))?;
    let config = Config {
        directory,
        capacity: max as u16,
        rescan: call.number(b't', 0),
        ready,
        console,
        say: notes::say_scanner,
    };
    Err(ended(call, directory, supervise::scanner::run(config)))
}

fn ended(call: &Call, directory: &CStr, how: Result<(), ScannerError>) -> u8 {
    match how {
        Ok(()) => finish(call),
        Err(ScannerError::Directory(e)) => call.failed(t!("enter %"), directory.to_bytes(), e),
        Err(ScannerError::ControlDirectory(e)) => {
            call.failed(t!("set up %/.s6-svscan"), directory.to_bytes(), e)
        }
        Err(ScannerError::AlreadyRunning) => {
            call.fail(USAGE, t!("another s6-svscan runs on % already"), directory.to_bytes())
        }
        Err(ScannerError::Kernel(e)) => {
            call.failed(t!("go on"), b"", e);
            become_program(call, c".s6-svscan/crash").unwrap_or(SYSTEM)
        }
    }
}

/// What comes after the tree.
fn finish(call: &Call) -> u8 {
    match become_program(call, c".s6-svscan/finish") {
        None => 0,
        Some(code) => {
            call.say(t!("trying .s6-svscan/crash instead"), b"");
            become_program(call, c".s6-svscan/crash").unwrap_or(code)
        }
    }
}

/// Becomes this program. Returns only if it can't: none if it is not there, else an exit code.
fn become_program(call: &Call, path: &CStr) -> Option<u8> {
    let words = [Word::new(path), Word::END];
    let error = match Words::new(&words) {
        Ok(arguments) => sys::spawn::exec(path, arguments, Words::environment()),
        Err(e) => e,
    };
    if error == Errno::NOENT {
        return None;
    }
    call.failed(t!("run %"), path.to_bytes(), error);
    Some(126)
}

pub fn supervise(call: &Call) -> Result<u8, u8> {
    let dir = call.operand(t!("which service directory?"))?;
    let path = dir.to_bytes();
    match supervise::supervisor::run_one(dir, notes::say_supervise) {
        Ok(()) => Ok(0),
        Err(SuperviseError::Directory(e)) => Err(call.failed(t!("enter %"), path, e)),
        Err(SuperviseError::Begin) => Err(SYSTEM),
        Err(SuperviseError::AlreadySupervised) => Err(call.fail(USAGE, t!("% is supervised already"), path)),
        Err(SuperviseError::NameTooLong) => {
            Err(call.misused(t!("the path is too long: at most 255 bytes"), b""))
        }
        Err(SuperviseError::Kernel(e)) => Err(call.failed(t!("go on"), b"", e)),
    }
}
