// SPDX-License-Identifier: ISC
//! `s6-svscan` and `s6-supervise`: the processes of the tree.

use super::notes;
use crate::applet::{Call, SYSTEM, USAGE};
use crate::words;
use core::ffi::CStr;
use supervise::scanner::{Config, ScannerError};
use supervise::supervisor::SuperviseError;
use supervise::table::MAX_SERVICES;
use sys::spawn::{Word, Words};
use sys::{Errno, OwnedFd};
use text::args::Arg;

pub const HELP: &str = "\
usage: s6-svscan [-c MAX|-C MAX] [-t MS] [-d FD] [-X FD] SCANDIR

Supervises each directory in SCANDIR (names that start with a dot are skipped), and DIR/log as the logger of
DIR, until it is told to end; then runs SCANDIR/.s6-svscan/finish if there is one. May be process 1.
  -C, --services-max MAX     services there may be, loggers included: 4 to 8192 (default 1000)
  -L, --name-max N           accepted and ignored: names may have 251 bytes
  -t, --timeout MS           scan by itself every so many milliseconds; 0: never (default)
  -d, --notification-fd FD   write a newline there when commands are accepted
  -X, --console-holder FD    standard error of the service s6-svscan-log

signals: HUP scan, and stop what is gone; INT, TERM stop everything; QUIT the same, loggers at once;
ALRM scan; ABRT exit without stopping anything; SCANDIR/.s6-svscan/SIGxxx is run instead where it is there

exit codes: 0 ended, 100 wrong usage or another one runs there, 111 system call failed
";

pub const SUPERVISE_HELP: &str = "\
usage: s6-supervise SERVICEDIR

Supervises one service until it is told to leave. s6-svscan does this for a whole directory in one process.
signals: TERM stop it and leave; HUP leave when it ends; QUIT leave at once; INT the same, after SIGINT to it

exit codes: 0 ended, 100 wrong usage or already supervised, 111 system call failed
";

/// Services there may be where nothing is said, as in s6.
const DEFAULT_MAX: u32 = 1000;

struct Options {
    max: u32,
    rescan: u32,
    ready: Option<OwnedFd>,
    console: Option<OwnedFd>,
    dir: &'static CStr,
    /// What a scanner that has become this program hands over.
    resume: Option<OwnedFd>,
}

fn parse(call: &Call) -> Result<Options, u8> {
    let mut args = call.args();
    let mut options =
        Options { max: DEFAULT_MAX, rescan: 0, ready: None, console: None, dir: c"", resume: None };
    while let Some(arg) = args.option().map_err(|e| call.refuse(e))? {
        match arg {
            Arg::Short(b'c' | b'C') | Arg::Long(b"services-max") => {
                options.max = call.number(&mut args, b"number of services", u32::from(MAX_SERVICES))?.max(4);
            }
            Arg::Short(b'L') | Arg::Long(b"name-max") => {
                call.number(&mut args, b"length of names", u32::MAX)?;
            }
            Arg::Short(b't') | Arg::Long(b"timeout") => {
                options.rescan = call.number(&mut args, b"interval", u32::MAX)?;
            }
            Arg::Short(b'd') | Arg::Long(b"notification-fd") => {
                let number = call.number(&mut args, b"descriptor", u32::MAX)?;
                options.ready = Some(inherited(call, number)?);
            }
            Arg::Short(b'X') | Arg::Long(b"console-holder") => {
                let number = call.number(&mut args, b"descriptor", u32::MAX)?;
                options.console = Some(inherited(call, number)?);
            }
            // These two are between scanners: the layout's number, and where the handover is.
            Arg::Long(b"can-resume") => {
                let layout = call.number(&mut args, b"layout", u32::MAX)?;
                return Err(u8::from(layout != supervise::again::LAYOUT));
            }
            Arg::Long(b"resume") => {
                let number = call.number(&mut args, b"descriptor", u32::MAX)?;
                options.resume = Some(inherited(call, number)?);
                return Ok(options);
            }
            other => return Err(call.unknown(other)),
        }
    }
    options.dir = args.operand().ok_or_else(|| call.misused(&[b"which scan directory?"]))?;
    Ok(options)
}

fn inherited(call: &Call, number: u32) -> Result<OwnedFd, u8> {
    sys::fs::take_inherited(number).map_err(|_| {
        let digits = text::Digits::decimal(u64::from(number));
        call.misused(&[b"descriptor ", digits.as_bytes(), b" is not open, or below 3"])
    })
}

pub fn main(call: &mut Call) -> u8 {
    let options = match parse(call) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let directory = options.dir;
    if let Some(handover) = options.resume {
        return ended(call, directory, supervise::scanner::resume(handover, notes::say_scanner));
    }
    let config = Config {
        directory,
        capacity: u16::try_from(options.max).unwrap_or(MAX_SERVICES),
        rescan: options.rescan,
        ready: options.ready,
        console: options.console,
        say: notes::say_scanner,
    };
    ended(call, directory, supervise::scanner::run(config))
}

fn ended(call: &Call, directory: &CStr, how: Result<(), ScannerError>) -> u8 {
    match how {
        Ok(()) => finish(call),
        Err(ScannerError::Directory(e)) => call.failed(&[b"enter ", directory.to_bytes()], e),
        Err(ScannerError::ControlDirectory(e)) => {
            call.failed(&[b"set up ", directory.to_bytes(), b"/.s6-svscan"], e)
        }
        Err(ScannerError::AlreadyRunning) => {
            let dir = directory.to_bytes();
            words::complain(call.name, &[b"another s6-svscan runs on ", dir, b" already"]);
            USAGE
        }
        Err(ScannerError::Kernel(e)) => {
            call.failed(&[b"go on"], e);
            become_program(call, c".s6-svscan/crash").unwrap_or(SYSTEM)
        }
    }
}

/// What comes after the tree.
fn finish(call: &Call) -> u8 {
    match become_program(call, c".s6-svscan/finish") {
        None => 0,
        Some(code) => {
            words::complain(call.name, &[b"trying .s6-svscan/crash instead"]);
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
    call.failed(&[b"run ", path.to_bytes()], error);
    Some(126)
}

pub fn supervise(call: &mut Call) -> u8 {
    let mut args = call.args();
    match args.option() {
        Ok(None) => {}
        Ok(Some(other)) => return call.unknown(other),
        Err(e) => return call.refuse(e),
    }
    let Some(dir) = args.operand() else { return call.misused(&[b"which service directory?"]) };
    let path = dir.to_bytes();
    match supervise::supervisor::run_one(dir, notes::say_supervise) {
        Ok(()) => 0,
        Err(SuperviseError::Directory(e)) => call.failed(&[b"enter ", path], e),
        Err(SuperviseError::Begin) => SYSTEM,
        Err(SuperviseError::AlreadySupervised) => {
            words::complain(call.name, &[path, b" is supervised already"]);
            USAGE
        }
        Err(SuperviseError::NameTooLong) => call.misused(&[b"the path is too long: at most 255 bytes"]),
        Err(SuperviseError::Kernel(e)) => call.failed(&[b"go on"], e),
    }
}
