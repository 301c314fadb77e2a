// SPDX-License-Identifier: ISC
//! The applets of pipelines: the holder of the pipes, and the start of a member.

use crate::applet::{Call, SYSTEM};
use core::ffi::CStr;
use run::pipes::{HoldError, JoinError, MAX_PIPES};
use sys::spawn::{Word, Words};
use sys::{Errno, Path, fs};

/// The descriptor on which the holder says that it is ready (its `notification-fd`).
const READY: i32 = 3;

pub fn holder(call: &Call) -> Result<u8, u8> {
    let (what, errno) = match run::pipes::hold(sys::process::inherited(READY)) {
        Ok(()) => return Ok(0),
        Err(HoldError::Prepare(e)) => (t!("prepare"), e),
        Err(HoldError::Listen(e)) => (t!("listen at the socket 's'"), e),
        Err(HoldError::Fork(e)) => (t!("start the keeper of the pipes"), e),
        Err(HoldError::Wait(e)) => (t!("wait for events"), e),
        Err(HoldError::TooMany) => {
            let most = text::Digits::decimal(MAX_PIPES as u64);
            return Err(call.fail(SYSTEM, t!("there are more pipes than %, the limit"), most.as_bytes()));
        }
    };
    Err(call.failed(what, b"", errno))
}

/// What a script's lines say.
#[derive(Default)]
struct Ends {
    reads: bool,
    writes: Option<Path>,
}

pub fn member(call: &Call) -> Result<u8, u8> {
    let script = call.operand(t!("which script?"))?;
    let ends = read_script(script).map_err(|e| call.failed(t!("read %"), script.to_bytes(), e))?;
    let joined = run::pipes::join(ends.reads, ends.writes.as_ref().map(Path::as_bytes));
    joined.map_err(|error| match error {
        JoinError::Place(e) => call.failed(t!("find the live directory of this service directory"), b"", e),
        JoinError::Fifo(e) => call.failed(t!("open the pipe"), b"", e),
        JoinError::Stream(e) => call.failed(t!("connect a standard stream to the pipe"), b"", e),
    })?;
    Err(execute(call, script))
}

fn read_script(script: &CStr) -> Result<Ends, Errno> {
    let mut buf = [0; 2048];
    let file = fs::open_read(sys::CWD, script)?;
    let length = fs::read_full(&file, &mut buf)?;
    let mut ends = Ends::default();
    for line in buf.get(..length).unwrap_or_default().split(|b| *b == b'\n') {
        if line.starts_with(b"read ") {
            ends.reads = true;
        } else if let Some(name) = line.strip_prefix(b"write ") {
            ends.writes = Some(Path::from_pieces(&[name]).map_err(|_| Errno::NAMETOOLONG)?);
        }
    }
    Ok(ends)
}

/// Executes into SCRIPT.user; the exit code if that fails.
fn execute(call: &Call, script: &CStr) -> u8 {
    let path = Path::from_pieces(&[script.to_bytes(), b".user"]).unwrap_or_default();
    let mut arguments = heapless::Vec::<Word<'_>, 16>::new();
    let _ = arguments.push(Word::new(&path));
    for word in call.words.skip(1) {
        if arguments.len() < 15 {
            let _ = arguments.push(Word::new(word));
        }
    }
    let _ = arguments.push(Word::END);
    let errno = match Words::new(&arguments) {
        Ok(arguments) => sys::spawn::exec(&path, arguments, Words::environment()),
        Err(e) => e,
    };
    call.failed(t!("execute %"), path.as_bytes(), errno);
    if errno == Errno::NOENT { 127 } else { 126 }
}
