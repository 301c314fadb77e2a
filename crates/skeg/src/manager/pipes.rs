// SPDX-License-Identifier: ISC
//! The applets of pipelines: the holder of the pipes, and the start of a member.

use crate::applet::{Call, SYSTEM};
use crate::words;
use core::ffi::CStr;
use run::pipes::{HoldError, JoinError, MAX_PIPES};
use sys::spawn::{Word, Words};
use sys::{CBuf, Errno, fs};

pub const HOLDER_HELP: &str = "\
usage: s6rc-fdholder

The internal longrun that keeps the pipes of pipelines open, so that what is in them outlives every member. The
supervision tree starts it in its service directory; it listens at the socket 's' there, and says that it is ready on
descriptor 3. A child of it, the keeper, keeps the pipes while the holder itself is being restarted.

exit codes: 0 after SIGTERM, 111 system call failed
";

/// The descriptor on which the holder says that it is ready (its `notification-fd`).
const READY: i32 = 3;

pub fn holder(call: &mut Call) -> u8 {
    let (what, errno): (&[u8], Errno) = match run::pipes::hold(sys::process::inherited(READY)) {
        Ok(()) => return 0,
        Err(HoldError::Prepare(e)) => (b"prepare", e),
        Err(HoldError::Listen(e)) => (b"listen at the socket 's'", e),
        Err(HoldError::Fork(e)) => (b"start the keeper of the pipes", e),
        Err(HoldError::Wait(e)) => (b"wait for events", e),
        Err(HoldError::TooMany) => {
            let most = text::Digits::decimal(MAX_PIPES as u64);
            words::complain(call.name, &[b"there are more pipes than ", most.as_bytes(), b", the limit"]);
            return SYSTEM;
        }
    };
    call.failed(&[what], errno)
}

pub const MEMBER_HELP: &str = "\
usage: s6rc-pipe-run SCRIPT [ARGUMENT...]

The generated run and finish of a member of a pipeline. SCRIPT's lines say what to connect: 'read NAME' (standard input is
the pipe of NAME, this service) and 'write NAME' (standard output is the pipe of NAME, its consumer). Then
SCRIPT.user is executed with the ARGUMENTs.

exit codes: 111 a pipe can't be had, 126 SCRIPT.user can't be executed, 127 it is not there, else what it exits with
";

/// What a script's lines say.
#[derive(Default)]
struct Ends {
    reads: bool,
    writes: Option<CBuf<256>>,
}

pub fn member(call: &mut Call) -> u8 {
    let Some(script) = call.words.next() else { return call.misused(&[b"which script?"]) };
    let ends = match read_script(script) {
        Ok(ends) => ends,
        Err(e) => return call.failed(&[b"read ", script.to_bytes()], e),
    };
    let (what, errno): (&[u8], Errno) =
        match run::pipes::join(ends.reads, ends.writes.as_ref().map(CBuf::as_bytes)) {
            Ok(()) => return execute(call, script),
            Err(JoinError::Place(e)) => (b"find the live directory of this service directory", e),
            Err(JoinError::Fifo(e)) => (b"open the pipe", e),
            Err(JoinError::Stream(e)) => (b"connect a standard stream to the pipe", e),
        };
    call.failed(&[what], errno)
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
            ends.writes = Some(CBuf::from_pieces(&[name]).map_err(|_| Errno::NAMETOOLONG)?);
        }
    }
    Ok(ends)
}

/// Executes into SCRIPT.user; the exit code if that fails.
fn execute(call: &mut Call, script: &CStr) -> u8 {
    let path = CBuf::<512>::from_pieces(&[script.to_bytes(), b".user"]).unwrap_or_default();
    let mut arguments = heapless::Vec::<Word<'_>, 16>::new();
    let _ = arguments.push(Word::new(&path));
    for word in call.words.by_ref() {
        if arguments.len() < 15 {
            let _ = arguments.push(Word::new(word));
        }
    }
    let _ = arguments.push(Word::END);
    let errno = match Words::new(&arguments) {
        Ok(arguments) => sys::spawn::exec(&path, arguments, Words::environment()),
        Err(e) => e,
    };
    call.failed(&[b"execute ", path.as_bytes()], errno);
    if errno == Errno::NOENT { 127 } else { 126 }
}
