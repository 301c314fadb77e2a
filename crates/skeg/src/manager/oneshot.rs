// SPDX-License-Identifier: ISC
//! The applets around oneshots: the runner, running one script in place, printing instead of running.

use super::open::open;
use crate::applet::{Call, SYSTEM};
use crate::words;
use core::ffi::CStr;
use engine::Script;
use live::{Access, Wait};
use run::oneshot::find_program;
use run::oneshot::runner::{Runner, RunnerError};
use sys::spawn::{Word, Words};
use sys::time::Millis;
use sys::{CBuf, Errno};
use text::args::Arg;

pub const RUNNER_HELP: &str = "\
usage: s6rc-oneshot-runner

The internal longrun that runs the scripts of oneshots for s6-rc and the other commands. It is started by the
supervision tree in its service directory, listens at the socket 's' there, and says that it is ready on descriptor 3.
SIGTERM ends it; SIGHUP sends SIGTERM to every script that runs.

exit codes: 0 after SIGTERM, 111 system call failed
";

/// The descriptor on which the runner says that it is ready (its `notification-fd`).
const READY: i32 = 3;

pub fn runner(call: &mut Call) -> u8 {
    let ready = sys::process::inherited(READY);
    let mut runner = match Runner::new() {
        Ok(runner) => runner,
        Err(e) => return runner_error(call, e),
    };
    if let Some(ready) = ready {
        let _ = sys::fs::write(&ready, b"\n");
    }
    match runner.serve() {
        Ok(()) => 0,
        Err(e) => runner_error(call, e),
    }
}

fn runner_error(call: &Call, error: RunnerError) -> u8 {
    let (what, errno): (&[u8], Errno) = match error {
        RunnerError::Prepare(e) => (b"can't prepare: ", e),
        RunnerError::Listen(e) => (b"can't listen at the socket 's': ", e),
        RunnerError::Wait(e) => (b"can't wait for events: ", e),
    };
    words::complain(call.name, &[what, words::errno(errno)]);
    SYSTEM
}

pub const RUN_HELP: &str = "\
usage: s6-rc-oneshot-run [-l LIVE] [-b] up|down|reload NUMBER

Executes into the script of the oneshot with this number in the live image, with RC_NAME in its environment.
States are not looked at and not changed.
  -l LIVE  the live directory (default /run/s6-rc)
  -b       wait for a command that is at work on LIVE (--no-block: the default)

exit codes: 3 no such oneshot, 4 invalid image, 100 wrong usage, 111 system call failed,
126 the script can't be executed, 127 its program is not there, else what the script exits with
";

pub fn run(call: &mut Call) -> u8 {
    let (mut live, mut wait) = (super::LIVE, Wait::No);
    let mut args = call.args();
    loop {
        match args.option() {
            Ok(Some(Arg::Short(b'l') | Arg::Long(b"livedir"))) => match args.value() {
                Ok(value) => live = value,
                Err(e) => return call.refuse(e),
            },
            Ok(Some(Arg::Short(b'b') | Arg::Long(b"block"))) => wait = Wait::Forever,
            Ok(Some(Arg::Long(b"no-block"))) => wait = Wait::No,
            Ok(Some(other)) => return call.unknown(other),
            Ok(None) => break,
            Err(e) => return call.refuse(e),
        }
    }
    let script = match args.operand().map(CStr::to_bytes) {
        Some(b"up") => Script::Up,
        Some(b"down") => Script::Down,
        Some(b"reload") => Script::Reload,
        _ => return call.misused(&[b"say which script: up, down or reload"]),
    };
    let Some(Ok(number)) = args.operand().map(|n| text::parse_u64(n.to_bytes())) else {
        return call.misused(&[b"say which oneshot, by its number"]);
    };
    // Under the lock of the command that runs it: reading needs none, as the generation is there while it is named.
    let access = if wait == Wait::No { Access::Look } else { Access::Read };
    let opened = match open(call.name, live, access, wait) {
        Ok(opened) => opened,
        Err(code) => return code,
    };
    let Ok(service) = u16::try_from(number) else { return no_such_oneshot(call) };
    let db = opened.image.db();
    if usize::from(service) >= db.len() || !opened.image.is_oneshot(service) {
        return no_such_oneshot(call);
    }
    execute(call, opened.image.name(service), opened.image.script(service, script))
}

fn no_such_oneshot(call: &Call) -> u8 {
    words::complain(call.name, &[b"the live image has no oneshot of this number"]);
    3
}

/// Executes into a command line; returns the exit code if that fails.
fn execute(call: &Call, name: &[u8], words: &[u8]) -> u8 {
    if words.is_empty() {
        return 0;
    }
    let mut arguments = alloc::vec::Vec::new();
    for word in words.split_inclusive(|b| *b == 0) {
        arguments.push(Word::new(CStr::from_bytes_with_nul(word).unwrap_or(c"")));
    }
    let program = arguments.first().and_then(|w| w.get()).unwrap_or(c"");
    arguments.push(Word::END);
    let variable = CBuf::<300>::from_pieces(&[b"RC_NAME=", name]).unwrap_or_default();
    let mut environment = alloc::vec![Word::new(&variable)];
    let others = sys::start::environment().filter(|v| !v.to_bytes().starts_with(b"RC_NAME="));
    for other in others {
        environment.push(Word::new(other));
    }
    environment.push(Word::END);
    let mut room = CBuf::new();
    let failed = match (find_program(program, &mut room), Words::new(&arguments), Words::new(&environment)) {
        (Ok(path), Ok(arguments), Ok(environment)) => sys::spawn::exec(path, arguments, environment),
        (Err(e), ..) | (_, Err(e), _) | (.., Err(e)) => e,
    };
    words::complain(call.name, &[b"can't execute ", program.to_bytes(), b": ", words::errno(failed)]);
    if failed == Errno::NOENT { 127 } else { 126 }
}

pub const DRYRUN_HELP: &str = "\
usage: s6-rc-dryrun [-v VERBOSITY] [-t MILLISECONDS] WORD...

Prints 's6-rc-dryrun: ' and the words, waits, and exits 0.
  -v VERBOSITY     0 prints nothing (default 1)
  -t MILLISECONDS  how long to wait (default 1000)

exit codes: 0, 100 wrong usage, 111 system call failed
";

pub fn dryrun(call: &mut Call) -> u8 {
    let (mut verbosity, mut pause) = (1, 1000);
    let mut args = call.args();
    loop {
        let (to, what): (_, &[u8]) = match args.option() {
            Ok(Some(Arg::Short(b'v'))) => (&mut verbosity, b"verbosity"),
            Ok(Some(Arg::Short(b't'))) => (&mut pause, b"time"),
            Ok(Some(other)) => return call.unknown(other),
            Ok(None) => break,
            Err(e) => return call.refuse(e),
        };
        match call.number(&mut args, what, u32::MAX) {
            Ok(n) => *to = n,
            Err(code) => return code,
        }
    }
    let Some(first) = args.operand() else { return call.misused(&[b"which command line?"]) };
    if verbosity != 0 {
        let mut line = alloc::vec::Vec::from(&b"s6-rc-dryrun:"[..]);
        let mut word = Some(first);
        while let Some(next) = word {
            line.push(b' ');
            line.extend_from_slice(next.to_bytes());
            word = args.operand();
        }
        line.push(b'\n');
        let code = words::print(&[&line]);
        if code != 0 {
            return code;
        }
    }
    let _ = sys::event::poll(&mut [], Some(Millis(u64::from(pause))));
    0
}
