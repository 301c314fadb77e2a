// SPDX-License-Identifier: ISC
//! `s6-svc`: sends commands to services, and may wait for what becomes of them.

use super::wait::{Goal, Waiter};
use crate::applet::Call;
use crate::words;
use core::ffi::CStr;
use live::tree::{SUPERVISE, Sent};
use sys::CWD;

/// The control byte of each signal that a user may send.
const BY_SIGNAL: &[(u8, u8)] = {
    use sys::signal::number as n;
    &[
        (n::ALRM, b'a'),
        (n::ABRT, b'b'),
        (n::QUIT, b'q'),
        (n::HUP, b'h'),
        (n::KILL, b'k'),
        (n::TERM, b't'),
        (n::INT, b'i'),
        (n::USR1, b'1'),
        (n::USR2, b'2'),
        (n::STOP, b'p'),
        (n::CONT, b'c'),
        (n::WINCH, b'y'),
    ]
};

/// Commands of one call at the most, as in s6.
const MAX_COMMANDS: usize = 62;

pub const OPTIONS: &str =
    "a/ b/ q/ h/ k/ t/ i/ 1/ 2/ p/ c/ y/ r/ l/ P/ C/ K/ o/ d/ u/ D/ U/ x/ O/ Q/ s= T# w=";

/// Bytes for the supervisors, in the order in which they were given.
type Commands = heapless::Vec<u8, MAX_COMMANDS>;

fn commands(call: &Call) -> Result<Commands, u8> {
    let (mut commands, mut options) = (Commands::new(), call.options());
    while let Ok(Some(letter)) = options.option() {
        let command = match letter {
            b'T' | b'w' => continue,
            b's' => by_signal(call, options.value.to_bytes())?,
            letter => letter,
        };
        commands.push(command).map_err(|_| call.misused(t!("too many commands: at most 62"), b""))?;
    }
    Ok(commands)
}

/// The control byte of a signal, by its name or number.
fn by_signal(call: &Call, text: &[u8]) -> Result<u8, u8> {
    let number = sys::signal::from_text(text).ok_or_else(|| call.misused(t!("'%' is no signal"), text))?;
    let byte = BY_SIGNAL.iter().find(|(n, _)| *n == number);
    byte.map(|(_, byte)| *byte)
        .ok_or_else(|| call.misused(t!("signal '%' can't be sent through a supervisor"), text))
}

pub fn main(call: &Call) -> Result<u8, u8> {
    let commands = commands(call)?;
    let goal = match call.value(b'w') {
        None => None,
        Some(text) => {
            let goal = text.to_bytes().first().and_then(|letter| Goal::of(*letter));
            Some(goal.ok_or_else(|| call.misused(t!("-w takes one of d D u U r R"), b""))?)
        }
    };
    let first = call.operand(t!("which service directory?"))?;
    if first.is_empty() {
        return Err(call.misused(t!("an empty path names no service"), b""));
    }
    let Some(goal) = goal else { return Ok(send_all(call, &commands)) };
    let goal = without_readiness(call, goal, first);
    let mut waiter = Waiter::new(call, call.words, call.number(b'T', 0))?;
    match send_all(call, &commands) {
        // A restart that we ask for ourselves has passed through "ready to be started".
        0 => waiter.wait(call, goal, false, !commands.is_empty()),
        code => Err(code),
    }
}

/// Readiness can't be waited for where a service has no way to tell it.
fn without_readiness(call: &Call, goal: Goal, first: &CStr) -> Goal {
    let lesser = match goal {
        Goal::Up(true) => Goal::Up(false),
        Goal::Restart(true) => Goal::Restart(false),
        other => return other,
    };
    let file = sys::fs::open_dir(CWD, first).and_then(|dir| sys::fs::access(&dir, c"notification-fd", 0));
    if file != Err(sys::Errno::NOENT) {
        return goal;
    }
    call.say(t!("warning: % has no notification-fd: waiting for 'up' instead of 'ready'"), first.to_bytes());
    lesser
}

fn send_all(call: &Call, commands: &Commands) -> u8 {
    let mut code = 0;
    for dir in call.words {
        let sent = sys::fs::open_dir(CWD, dir)
            .and_then(|service| live::tree::control(&service, SUPERVISE, commands));
        let dir = dir.to_bytes();
        match sent {
            Ok(Sent::Yes) => {}
            Ok(Sent::NobodyListens) => {
                code = call.fail(102, t!("can't control %: no supervisor runs on it"), dir);
            }
            Ok(Sent::Broken(e)) => {
                call.say_two(t!("something is wrong with %/supervise: %"), dir, words::errno(e));
                code = 1;
            }
            Err(e) => code = call.failed(t!("control %"), dir, e),
        }
    }
    code
}
