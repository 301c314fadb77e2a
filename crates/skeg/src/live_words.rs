// SPDX-License-Identifier: ISC
//! What goes wrong with a live directory and with transitions, in words. Used by every applet that opens one.

use crate::applet::{Call, SYSTEM};
use crate::words::{self, Text};
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
    let (code, text) = match error.fault() {
        Fault::Sys(op, what, errno) => {
            line.put(b"can't ").put(verb(op)).put(b" ").put_template(place(what).bytes(), &[path]);
            line.put(b": ").put(words::errno(errno));
            (SYSTEM, if errno == Errno::NOSPC { t!(" (free some, then try again)") } else { t!("") })
        }
        Fault::Absent => (SYSTEM, t!("no live directory at %: s6-rc-init makes one")),
        Fault::NotLive => (INVALID, t!("% is not a live directory: it is no link to a generation of it")),
        Fault::Exists => (SYSTEM, t!("% exists already")),
        Fault::Busy(holder) => {
            line.put_template(t!("the live directory % is in use").bytes(), &[path]);
            whose(line, holder);
            (SYSTEM, t!(" (-b waits for it)"))
        }
        Fault::TimedOut(holder) => {
            line.put_template(t!("the live directory % is still in use").bytes(), &[path]);
            whose(line, holder);
            (SYSTEM, t!(""))
        }
        Fault::BadState => (
            INVALID,
            t!(
                "%/state can't be understood: another version of skeg wrote it, or it is damaged: the next boot makes a new one"
            ),
        ),
        Fault::OtherImage => (INVALID, t!("%/image is not the image that %/state belongs to: put that back")),
        Fault::BadJournal => (
            INVALID,
            t!(
                "%:sv/journal can't be understood: another version of skeg wrote it, which can finish it, or it is damaged: then remove it, and start what 'skeg status' shows down"
            ),
        ),
        Fault::TooLong(what) => {
            line.put(t!("a path or name is too long: ").bytes());
            (SYSTEM, place(what))
        }
        Fault::Taken(_) => {
            (SYSTEM, t!("the scan directory has an entry of a service's name that is not of %"))
        }
        Fault::LongShebang => (SYSTEM, t!("the path of the skeg binary is too long for a #! line")),
        #[allow(unreachable_patterns)]
        _ => (SYSTEM, t!("the live directory % can't be used")),
    };
    line.put_template(text.bytes(), &[path]);
    code
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

/// What it is, for the path of the live directory.
const fn place(what: What) -> Text {
    match what {
        What::Parent => t!("the directory that holds %"),
        What::Link => t!("%"),
        What::Supervised => t!("%:sv"),
        What::Lock => t!("%:sv/lock"),
        What::Journal => t!("%:sv/journal"),
        What::History => t!("%:sv/history"),
        What::Generation => t!("the generation of %"),
        What::State => t!("%/state"),
        What::Image => t!("%/image"),
        What::Note => t!("a note in %"),
        What::Names => t!("%:sv/names"),
        What::ServiceDir => t!("a service directory in %:sv"),
        What::ScanDir => t!("the scan directory of %"),
        What::ScanEntry => t!("an entry in the scan directory of %"),
        What::Scanner => t!("the control FIFO of the scanner of %"),
        What::Listing => t!("a directory of %"),
        What::Store => t!("the installed images in %"),
        What::Trial => t!("%/trial"),
        #[allow(unreachable_patterns)]
        _ => t!("a part of %"),
    }
}
