// SPDX-License-Identifier: ISC
//! `skeg recover`, and what every command does before anything else when it finds an unfinished one.

use crate::applet::Call;
use crate::live_words;
use crate::manager::{Reporter, lock, owed, session_error};
use core::ffi::CStr;
use live::journal::Journal;
use live::{Access, LiveError, Locked, Wait};
use run::RunError;
use run::recover::{Recovered, recover};
use sys::time::Millis;

pub const OPTIONS: &str = "0 l=livedir v#verbosity t#timeout w#wait";

pub fn main(call: &Call) -> Result<u8, u8> {
    let live = call.live();
    let locked = lock(call, live, Access::Change, call.patience())?;
    let services = mend(call, live, locked, call.deadline(), call.number(b'v', 1))?;
    Ok(u8::from(services.is_some_and(|o| !o.is_good())))
}

/// Finishes an unfinished command and says so; the lock is given up. How bringing services back went, where there were any;
/// else the exit code, after a message.
fn mend(
    call: &Call,
    live: &CStr,
    locked: Locked,
    deadline: Option<Millis>,
    verbosity: u32,
) -> Result<Option<run::Outcome>, u8> {
    let mut began = false;
    let mut tell = |image: &engine::Image<'_>, note| {
        let mut reporter = Reporter::new(call.name, image, verbosity, None);
        // Before anything is told of single services it must be clear whose doing it is.
        if reporter.tells(&note) && !core::mem::replace(&mut began, true) {
            call.say(t!("%: finishing what an earlier command has left"), live.to_bytes());
        }
        reporter.take(note);
    };
    let (what, services) = match recover(locked, deadline, &mut tell).map_err(|e| say(call, live, e))? {
        Recovered::Nothing => return Ok(None),
        Recovered::InitUndone => (t!("%: an init that was cut short has been undone"), None),
        Recovered::InitDone => (t!("%: an init that was cut short has been completed"), None),
        Recovered::UpdateUndone(o) => (t!("%: an update that was cut short has been undone"), Some(o)),
        Recovered::UpdateDone(o) => (t!("%: an update that was cut short has been completed"), Some(o)),
        Recovered::ChangeDone(o) => (t!("%: a change that was cut short has been completed"), Some(o)),
        Recovered::OwedStarted(o) => (t!("%: what a command that failed had left down was started"), Some(o)),
    };
    if verbosity > 0 {
        call.say(what, live.to_bytes());
        if services.is_some_and(|o| o.owed != 0) {
            call.say(t!("warning: not all services that were up came back"), b"");
        }
        if let Some(outcome) = services {
            owed(call, outcome);
        }
    }
    Ok(services)
}

/// For a command that holds the lock: finishes what another left, and takes the lock again.
/// Else the exit code, after a message.
pub fn finish(call: &Call, live: &CStr, mut locked: Locked, wait: Wait) -> Result<Locked, u8> {
    let complain = |e| live_words::complain(call, live, e);
    // Between the two locks another one may have come, and died.
    while locked.journal().map_err(complain)?.is_some() {
        let services = mend(call, live, locked, call.deadline(), 1)?;
        if services.is_some_and(|o| o.signal.is_some()) {
            // Who sent it means the whole command.
            return Err(1);
        }
        locked = Locked::open(live, Access::Change, wait).map_err(complain)?;
    }
    Journal::remove_new(locked.sv()).map_err(complain)?;
    Ok(locked)
}

fn say(call: &Call, live: &CStr, error: RunError) -> u8 {
    if error == LiveError::BAD_IMAGE.into() {
        let what = t!("%/image is corrupt: an unfinished command can't be finished");
        return call.fail(live_words::INVALID, what, live.to_bytes());
    }
    session_error(call, live, error)
}
