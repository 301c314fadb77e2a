// SPDX-License-Identifier: ISC
//! `skeg recover`, and what every command does before anything else when it finds an unfinished one.

use crate::applet::{Call, SYSTEM};
use crate::live_words;
use crate::manager::{LIVE, Reporter, session_error};
use crate::words;
use core::ffi::CStr;
use live::{Access, LiveError, Locked, Wait};
use run::Outcome;
use run::init::InitError;
use run::recover::{RecoverError, Recovered, recover};
use sys::time::{Millis, monotonic};
use text::args::Arg;

pub const HELP: &str = "\
usage: skeg recover [-l LIVE] [-v N] [-t MS] [-w MS]

Finishes what a command left that was killed, and does nothing else. An init or update that had not switched yet is undone, and
what it had stopped comes back; one that had switched is completed. Any command that changes things does the same first.
  -l LIVE  the live directory (--livedir; default /run/s6-rc)
  -v N     0 says nothing, 1 what was done (default), 2 each transition (--verbosity)
  -t MS    give up after this time (--timeout)
  -w MS    wait so long for another command that is at work on LIVE (--wait; default 30000)

exit codes: 0 nothing is unfinished any more, 1 but a service could not be brought up, 4 invalid image or state,
100 wrong usage, 111 system call failed or LIVE is in use
";

/// How long a skeg verb waits for the lock unless told otherwise.
pub const WAIT: u32 = 30_000;

pub fn main(call: &mut Call) -> u8 {
    run(call).unwrap_or_else(|code| code)
}

fn run(call: &Call) -> Result<u8, u8> {
    let (mut live, mut verbosity, mut timeout, mut wait) = (LIVE, 1, 0, WAIT);
    let mut args = call.args();
    while let Some(option) = args.option().map_err(|e| call.refuse(e))? {
        match option {
            Arg::Short(b'l') | Arg::Long(b"livedir") => live = args.value().map_err(|e| call.refuse(e))?,
            Arg::Short(b'v') | Arg::Long(b"verbosity") => {
                verbosity = call.number(&mut args, b"verbosity", u32::MAX)?;
            }
            Arg::Short(b't') | Arg::Long(b"timeout") => {
                timeout = call.number(&mut args, b"timeout", u32::MAX)?
            }
            Arg::Short(b'w') | Arg::Long(b"wait") => wait = call.number(&mut args, b"wait", u32::MAX)?,
            other => return Err(call.unknown(other)),
        }
    }
    let wait = Wait::Until(Millis(monotonic().0 + u64::from(wait)));
    let complain = |e| live_words::complain(call.name, live.to_bytes(), e);
    let locked = Locked::open(live, Access::Change, wait).map_err(complain)?;
    let deadline = (timeout != 0).then(|| Millis(monotonic().0 + u64::from(timeout)));
    let done = mend(call.name, live, locked, deadline, verbosity)?;
    Ok(match done {
        Recovered::UpdateUndone(o) | Recovered::UpdateDone(o) | Recovered::ChangeDone(o) => {
            u8::from(!o.is_good())
        }
        Recovered::Nothing | Recovered::InitUndone | Recovered::InitDone => 0,
    })
}

/// Finishes an unfinished command and says so; the lock is given up. Else the exit code, after a message.
fn mend(
    name: &'static [u8],
    live: &CStr,
    locked: Locked,
    deadline: Option<Millis>,
    verbosity: u32,
) -> Result<Recovered, u8> {
    let mut tell = |image: &engine::Image<'_>, note| Reporter::new(name, image, verbosity, None).take(note);
    let done = recover(locked, deadline, &mut tell).map_err(|e| say(name, live.to_bytes(), e))?;
    let what: &[u8] = match done {
        Recovered::Nothing => return Ok(done),
        Recovered::InitUndone => b"an init that was cut short has been undone",
        Recovered::InitDone => b"an init that was cut short has been completed",
        Recovered::UpdateUndone(_) => b"an update that was cut short has been undone",
        Recovered::UpdateDone(_) => b"an update that was cut short has been completed",
        Recovered::ChangeDone(_) => b"a change that was cut short has been completed",
    };
    if verbosity > 0 {
        words::complain(name, &[live.to_bytes(), b": ", what]);
        let services: Option<Outcome> = match done {
            Recovered::UpdateUndone(o) | Recovered::UpdateDone(o) | Recovered::ChangeDone(o) => Some(o),
            _ => None,
        };
        if services.is_some_and(|o| !o.is_good()) {
            words::complain(name, &[b"warning: not all services that were up came back"]);
        }
    }
    Ok(done)
}

/// For a command that holds the lock: finishes what another left, and takes the lock again.
/// Else the exit code, after a message.
pub fn finish(name: &'static [u8], live: &CStr, locked: Locked, wait: Wait) -> Result<Locked, u8> {
    let complain = |e| live_words::complain(name, live.to_bytes(), e);
    if locked.journal().map_err(complain)?.is_none() {
        return Ok(locked);
    }
    mend(name, live, locked, None, 1)?;
    Locked::open(live, Access::Change, wait).map_err(complain)
}

fn say(name: &[u8], live: &[u8], error: RecoverError) -> u8 {
    match error {
        RecoverError::Live(LiveError::BadImage(_)) => {
            words::complain(name, &[live, b"/image is corrupt: an unfinished command can't be finished"]);
            live_words::INVALID
        }
        RecoverError::Live(error) => live_words::complain(name, live, error),
        RecoverError::Run(InitError::Run(error)) => session_error(name, live, error),
        RecoverError::Run(InitError::NoScanner) => {
            words::complain(
                name,
                &[b"no s6-svscan runs on the scan directory of ", live, b": start it, then try again"],
            );
            SYSTEM
        }
        RecoverError::Run(_) => {
            words::complain(name, &[b"the supervisors of ", live, b" did not come or go in time: try again"]);
            SYSTEM
        }
        RecoverError::Elsewhere => {
            words::complain(name, &[live, b" is neither where its journal began nor where it leads"]);
            live_words::INVALID
        }
    }
}
