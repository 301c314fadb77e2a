// SPDX-License-Identifier: ISC
//! What goes wrong with a live directory and with transitions, in words. Used by every applet that opens one.

use crate::applet::Call;
use crate::words;
use core::ffi::CStr;
use live::{Fault, LiveError, Op, What};
use sys::Errno;
use text::Line;

/// Exit code for an image or state that is not valid, as in the s6-rc tools.
pub const INVALID: u8 = 4;

/// Says what is wrong with the live directory at `path`; the exit code.
#[inline(never)]
pub fn complain(call: &Call, path: &CStr, error: LiveError) -> u8 {
    let mut line = Line::new();
    let code = tell(&mut line, path.to_bytes(), error);
    call.fail(code, t!("%"), line.as_bytes())
}

fn tell(line: &mut Line, path: &[u8], error: LiveError) -> u8 {
    match error.fault() {
        Fault::Sys(op, what, errno) => {
            line.put(b"can't ").put(verb(op)).put(b" ");
            place(line, path, what);
            line.put(b": ").put(words::errno(errno));
            if errno == Errno::NOSPC {
                line.put(b" (free some, then try again)");
            }
            return crate::applet::SYSTEM;
        }
        Fault::Absent => {
            line.put(b"no live directory at ").put(path).put(b": s6-rc-init makes one");
            return crate::applet::SYSTEM;
        }
        Fault::NotLive => {
            line.put(path).put(b" is not a live directory: it is no link to a generation of it");
            return INVALID;
        }
        Fault::Exists => line.put(path).put(b" exists already"),
        Fault::Busy(holder) => {
            line.put(b"the live directory ").put(path).put(b" is in use");
            whose(line, holder);
            line.put(b" (-b waits for it)")
        }
        Fault::TimedOut(holder) => {
            line.put(b"the live directory ").put(path).put(b" is still in use");
            whose(line, holder);
            line
        }
        Fault::BadState => {
            line.put(path).put(b"/state is not a valid state file");
            return INVALID;
        }
        Fault::OtherImage => {
            line.put(path).put(b"/image is not the image that ").put(path).put(b"/state belongs to");
            return INVALID;
        }
        Fault::BadJournal => {
            line.put(path).put(b":sv/journal can't be understood: another version of skeg wrote it");
            return INVALID;
        }
        Fault::Damaged => {
            line.put(b"damaged live directory ").put(path).put(b": ").put(path);
            line.put(b"/servicedirs lacks a longrun's link: put it back");
            return INVALID;
        }
        Fault::TooLong(what) => {
            line.put(b"a path or name is too long: ");
            place(line, path, what);
            line
        }
        Fault::Taken(_) => {
            line.put(b"the scan directory has an entry of a service's name that is not of ").put(path)
        }
        Fault::LongShebang => line.put(b"the path of the skeg binary is too long for a #! line"),
        #[allow(unreachable_patterns)]
        _ => line.put(b"the live directory ").put(path).put(b" can't be used"),
    };
    crate::applet::SYSTEM
}

/// Appends who holds a lock.
fn whose(line: &mut Line, holder: Option<core::num::NonZeroU32>) {
    let Some(pid) = holder else { return };
    let pid = pid.get();
    let mut command = [0; 256];
    let length = live::command_line(pid, &mut command);
    line.put(b": process ").num(u64::from(pid)).put(b" holds it");
    if length != 0 {
        line.put(b", '").put_quoted(command.get(..length).unwrap_or_default()).put(b"'");
    }
}

const fn verb(op: Op) -> &'static [u8] {
    match op {
        Op::Open => b"open",
        Op::Read => b"read",
        Op::Write => b"write",
        Op::Create => b"make",
        Op::Remove => b"remove",
        Op::Rename => b"rename",
        Op::Map => b"map",
        Op::Lock => b"lock",
        #[allow(unreachable_patterns)]
        _ => b"use",
    }
}

fn place(line: &mut Line, path: &[u8], what: What) {
    let (before, after): (&[u8], &[u8]) = match what {
        What::Parent => (b"the directory that holds ", b""),
        What::Link => (b"", b""),
        What::Supervised => (b"", b":sv"),
        What::Lock => (b"", b":sv/lock"),
        What::Journal => (b"", b":sv/journal"),
        What::History => (b"", b":sv/history"),
        What::Generation => (b"the generation of ", b""),
        What::State => (b"", b"/state"),
        What::Image => (b"", b"/image"),
        What::Note => (b"a note in ", b""),
        What::Names => (b"", b"/servicedirs"),
        What::ServiceDir => (b"a service directory in ", b":sv"),
        What::ScanDir => (b"the scan directory of ", b""),
        What::ScanEntry => (b"an entry in the scan directory of ", b""),
        What::Scanner => (b"the control FIFO of the scanner of ", b""),
        What::Listing => (b"a directory of ", b""),
        What::Store => (b"the installed images in ", b""),
        #[allow(unreachable_patterns)]
        _ => (b"a part of ", b""),
    };
    line.put(before).put(path).put(after);
}
