// SPDX-License-Identifier: ISC
//! The applets around oneshots: the runner, running one script in place, printing instead of running.

use super::open::open;
use crate::applet::Call;
use crate::words;
use alloc::vec::Vec;
use core::ffi::CStr;
use engine::Script;
use live::{Access, Wait};
use run::oneshot::find_program;
use run::oneshot::runner::{Runner, RunnerError};
use sys::spawn::{Word, Words};
use sys::time::Millis;
use sys::{CBox, Errno};

/// The descriptor on which the runner says that it is ready (its `notification-fd`).
const READY: i32 = 3;

pub fn runner(call: &Call) -> Result<u8, u8> {
    let ready = sys::process::inherited(READY);
    let mut runner = Runner::new().map_err(|e| runner_error(call, e))?;
    if let Some(ready) = ready {
        let _ = sys::fs::write(&ready, b"\n");
    }
    runner.serve().map(|()| 0).map_err(|e| runner_error(call, e))
}

fn runner_error(call: &Call, error: RunnerError) -> u8 {
    let (what, errno) = match error {
        RunnerError::Prepare(e) => (t!("prepare"), e),
        RunnerError::Listen(e) => (t!("listen at the socket 's'"), e),
        RunnerError::Wait(e) => (t!("wait for events"), e),
    };
    call.failed(what, b"", errno)
}

pub fn run(call: &Call) -> Result<u8, u8> {
    let mut words = call.words;
    let script = words.next().and_then(|word| words::place(word.to_bytes(), "up down reload"));
    let script = match script {
        Some(0) => Script::Up,
        Some(1) => Script::Down,
        Some(_) => Script::Reload,
        None => return Err(call.misused(t!("say which script: up, down or reload"), b"")),
    };
    let Some(Ok(number)) = words.next().map(|n| text::parse_u64(n.to_bytes())) else {
        return Err(call.misused(t!("say which oneshot, by its number"), b""));
    };
    // Under the lock of the command that runs it: reading needs none, as the generation is there while it is named.
    let wait = call.block();
    let access = if wait == Wait::No { Access::Look } else { Access::Read };
    let opened = open(call, call.live(), access, wait)?;
    let db = opened.image.db();
    let service = u16::try_from(number).ok().filter(|s| usize::from(*s) < db.len());
    let Some(service) = service.filter(|s| opened.image.is_oneshot(*s)) else {
        return Err(call.fail(3, t!("the live image has no oneshot of this number"), b""));
    };
    Ok(execute(call, opened.image.name(service), opened.image.script(service, script)))
}

/// Executes into a command line; returns the exit code if that fails.
fn execute(call: &Call, name: &[u8], words: &[u8]) -> u8 {
    if words.is_empty() {
        return 0;
    }
    let mut arguments = Vec::new();
    for word in words.split_inclusive(|b| *b == 0) {
        arguments.push(Word::new(CStr::from_bytes_with_nul(word).unwrap_or(c"")));
    }
    let program = arguments.first().and_then(|w| w.get()).unwrap_or(c"");
    arguments.push(Word::END);
    let variable = CBox::from_pieces(&[b"RC_NAME=", name]).unwrap_or_default();
    let mut environment = alloc::vec![Word::new(&variable)];
    let others = sys::start::environment().filter(|v| !v.to_bytes().starts_with(b"RC_NAME="));
    for other in others {
        environment.push(Word::new(other));
    }
    environment.push(Word::END);
    let mut room = sys::PathBuffer::new();
    let failed = match (find_program(program, &mut room), Words::new(&arguments), Words::new(&environment)) {
        (Ok(path), Ok(arguments), Ok(environment)) => sys::spawn::exec(path, arguments, environment),
        (Err(e), ..) | (_, Err(e), _) | (.., Err(e)) => e,
    };
    call.failed(t!("execute %"), program.to_bytes(), failed);
    if failed == Errno::NOENT { 127 } else { 126 }
}

pub fn dryrun(call: &Call) -> Result<u8, u8> {
    call.operand(t!("which command line?"))?;
    if call.number(b'v', 1) != 0 {
        let mut line = Vec::from(&b"s6-rc-dryrun:"[..]);
        for word in call.words {
            line.push(b' ');
            line.extend_from_slice(word.to_bytes());
        }
        line.push(b'\n');
        words::output(&line)?;
    }
    let _ = sys::event::poll(&mut [], Some(Millis(u64::from(call.number(b't', 1000)))));
    Ok(0)
}
