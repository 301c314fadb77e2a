// SPDX-License-Identifier: ISC
//! `s6-svwait`: waits until services are up or down.

use super::wait::{Goal, Waiter};
use crate::applet::Call;
use alloc::vec::Vec;
use text::args::Arg;

pub const HELP: &str = "\
usage: s6-svwait [-u|-U|-d|-D|-r|-R] [-a|-o] [-t MS] SERVICEDIR...

Waits until the services are
  -u  up (default)     -U  up and ready
  -d  down             -D  down, with their finish scripts done
  -r  restarted        -R  restarted and ready
  -a  all of them (default)     -o  one of them
  -t MS  no longer than this many milliseconds; 0: for ever (default)

exit codes: 0 it is so, N so many failed for good or lost their supervisor, 99 time is over,
100 wrong usage, 111 system call failed
";

pub fn main(call: &mut Call) -> u8 {
    let mut args = call.args();
    let (mut goal, mut any, mut timeout) = (Goal::Up(false), false, 0);
    loop {
        match args.option() {
            Ok(Some(Arg::Short(b'a'))) => any = false,
            Ok(Some(Arg::Short(b'o'))) => any = true,
            Ok(Some(Arg::Short(b't'))) => match call.number(&mut args, b"timeout", u32::MAX) {
                Ok(ms) => timeout = ms,
                Err(code) => return code,
            },
            Ok(Some(arg)) => match arg {
                Arg::Short(letter) if Goal::of(letter).is_some() => goal = Goal::of(letter).unwrap_or(goal),
                other => return call.unknown(other),
            },
            Ok(None) => break,
            Err(e) => return call.refuse(e),
        }
    }
    let dirs: Vec<_> = core::iter::from_fn(|| args.operand()).collect();
    if dirs.is_empty() {
        return 0;
    }
    match Waiter::new(call, &dirs, timeout) {
        Ok(mut waiter) => waiter.wait(call, goal, any, false),
        Err(code) => code,
    }
}
