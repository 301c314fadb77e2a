// SPDX-License-Identifier: ISC
//! `s6-svc`: sends commands to services, and may wait for what becomes of them.

use super::wait::{Goal, Waiter};
use crate::applet::{Call, SYSTEM};
use crate::words;
use alloc::vec::Vec;
use core::ffi::CStr;
use live::tree::{SUPERVISE, Sent};
use sys::CWD;
use text::args::Arg;

pub const HELP: &str = "\
usage: s6-svc [-wu|-wU|-wd|-wD|-wr|-wR] [-T MS] [-s SIGNAL|-abqhkti12pcyrlPCK] [-oduDUxOQ] SERVICEDIR...

Sends commands to the supervisors of the services, in the order given.
signals: -a ALRM  -b ABRT  -q QUIT  -h HUP  -k KILL  -t TERM  -i INT  -1 USR1  -2 USR2  -p STOP  -c CONT
  -y WINCH  -r its down-signal (TERM)  -l its reload-signal (HUP)  -s SIGNAL by name or number, one of these
  -P STOP  -C CONT  -K KILL to its process group
  -u  up, and restart it when it ends     -U  as -u, and remove ./down
  -d  down                                -D  as -d, and make ./down
  -o  start it once, don't restart it     -O  don't restart it     -Q  as -O, and make ./down
  -x  the supervisor of this service leaves when the service is down
  -wX  wait as 's6-svwait -X' does     -T MS  wait no longer than this; 0: for ever (default)

exit codes: 0 done, 1 supervise directory broken, 99 time is over, 100 wrong usage, 102 not supervised,
111 system call failed; with -w also what s6-svwait says
";

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

struct Options {
    commands: heapless::Vec<u8, MAX_COMMANDS>,
    goal: Option<Goal>,
    timeout: u32,
    dirs: Vec<&'static CStr>,
}

fn parse(call: &Call) -> Result<Options, u8> {
    let mut args = call.args();
    let mut options = Options { commands: heapless::Vec::new(), goal: None, timeout: 0, dirs: Vec::new() };
    while let Some(arg) = args.option().map_err(|e| call.refuse(e))? {
        let command = match arg {
            Arg::Short(letter) if b"abqhkti12pcyrlPCKoduDUxOQ".contains(&letter) => letter,
            Arg::Short(b's') => {
                let text = args.value().map_err(|e| call.refuse(e))?.to_bytes();
                let number = sys::signal::from_text(text)
                    .ok_or_else(|| call.misused(&[b"'", text, b"' is no signal"]))?;
                let byte = BY_SIGNAL.iter().find(|(n, _)| *n == number);
                byte.ok_or_else(|| {
                    call.misused(&[b"signal '", text, b"' can't be sent through a supervisor"])
                })?
                .1
            }
            Arg::Short(b'T') => {
                options.timeout = call.number(&mut args, b"timeout", u32::MAX)?;
                continue;
            }
            Arg::Short(b'w') => {
                let text = args.value().map_err(|e| call.refuse(e))?.to_bytes();
                let goal = text.first().and_then(|letter| Goal::of(*letter));
                options.goal = Some(goal.ok_or_else(|| call.misused(&[b"-w takes one of d D u U r R"]))?);
                continue;
            }
            other => return Err(call.unknown(other)),
        };
        if options.commands.push(command).is_err() {
            return Err(call.misused(&[b"too many commands: at most 62"]));
        }
    }
    options.dirs.extend(core::iter::from_fn(|| args.operand()));
    match options.dirs.first() {
        None => Err(call.misused(&[b"which service directory?"])),
        Some(first) if first.is_empty() => Err(call.misused(&[b"an empty path names no service"])),
        Some(_) => Ok(options),
    }
}

pub fn main(call: &mut Call) -> u8 {
    let options = match parse(call) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let Some(goal) = options.goal else { return send_all(call, &options) };
    let goal = without_readiness(call, goal, &options.dirs);
    let mut waiter = match Waiter::new(call, &options.dirs, options.timeout) {
        Ok(waiter) => waiter,
        Err(code) => return code,
    };
    match send_all(call, &options) {
        // A restart that we ask for ourselves has passed through "ready to be started".
        0 => waiter.wait(call, goal, false, !options.commands.is_empty()),
        code => code,
    }
}

/// Readiness can't be waited for where a service has no way to tell it.
fn without_readiness(call: &Call, goal: Goal, dirs: &[&'static CStr]) -> Goal {
    let lesser = match goal {
        Goal::Up(true) => Goal::Up(false),
        Goal::Restart(true) => Goal::Restart(false),
        other => return other,
    };
    let Some(first) = dirs.first() else { return goal };
    let file = sys::fs::open_dir(CWD, first).and_then(|dir| sys::fs::access(&dir, c"notification-fd", 0));
    if file != Err(sys::Errno::NOENT) {
        return goal;
    }
    words::complain(
        call.name,
        &[b"warning: ", first.to_bytes(), b" has no notification-fd: waiting for 'up' instead of 'ready'"],
    );
    lesser
}

fn send_all(call: &Call, options: &Options) -> u8 {
    let mut code = 0;
    for dir in &options.dirs {
        let sent = sys::fs::open_dir(CWD, dir)
            .and_then(|service| live::tree::control(&service, SUPERVISE, &options.commands));
        let dir = dir.to_bytes();
        match sent {
            Ok(Sent::Yes) => {}
            Ok(Sent::NobodyListens) => {
                words::complain(call.name, &[b"can't control ", dir, b": no supervisor runs on it"]);
                code = 102;
            }
            Ok(Sent::Broken(e)) => {
                let pieces: [&[u8]; 4] = [b"something is wrong with ", dir, b"/supervise: ", words::errno(e)];
                words::complain(call.name, &pieces);
                code = 1;
            }
            Err(e) => {
                call.failed(&[b"control ", dir], e);
                code = SYSTEM;
            }
        }
    }
    code
}
