// SPDX-License-Identifier: ISC
//! What the processes of the tree have to say, in words.

use crate::words;
use supervise::{Note, What};
use text::Line;

pub fn say_scanner(note: &Note<'_>) {
    say(b"s6-svscan", note);
}

pub fn say_supervise(note: &Note<'_>) {
    say(b"s6-supervise", note);
}

fn say(program: &[u8], note: &Note<'_>) {
    let mut line = Line::new();
    if !note.name.is_empty() {
        line.put_filled("%: ", &[note.name]);
    }
    let (before, after) = phrase(note.what);
    line.put(before);
    match note.what {
        What::SupervisorDied(status) => line.num(u64::from(status)),
        What::UnknownCommand(byte) => line.num(u64::from(byte)),
        What::InvalidFile(file) => line.put(file.as_bytes()),
        _ => &mut line,
    };
    if let Some(errno) = note.errno {
        line.put(b": ").put(words::errno(errno));
    }
    words::complain(program, "%", line.put(after).as_bytes());
}

/// What comes before the detail or the reason, and what comes after it.
const fn phrase(what: What) -> (&'static [u8], &'static [u8]) {
    match what {
        What::SupervisorDied(_) => (b"the supervisor has died, wait status ", b"; another one takes over"),
        What::ForkSupervisor => (b"can't start the supervisor", b"; trying again in a second"),
        What::SignalProgram => (b"can't run it", b"; doing what the signal does by itself"),
        What::Again => (b"can't execute the scanner's program anew", b"; going on as before"),
        What::AgainRefused => (b"the new program can't take over", b"; going on as before"),
        What::UnknownCommand(_) => (b"unknown command byte ", b""),
        What::Keep => {
            (b"can't hand a descriptor to the scanner", b"; a restart of the supervisor may restart it")
        }
        What::ReadScanDirectory => (b"can't read the scan directory", b"; trying again in 5 seconds"),
        What::Stat => (b"can't look at it", b""),
        What::NameTooLong => (b"the name is too long for a service: at most 251 bytes", b""),
        What::TooManyServices => (b"too many services: -C says how many there may be", b""),
        What::OpenService => (b"can't open the service directory", b"; trying again in a second"),
        What::MakeEvent => (b"can't make 'event'", b"; trying again in a second"),
        What::MakeSupervise => (b"can't make 'supervise'", b"; trying again in a second"),
        What::Lock => (b"can't lock supervise/lock", b"; trying again in a second"),
        What::AlreadySupervised => (b"another supervisor runs on it", b"; trying again in a second"),
        What::MakeControl => (b"can't make supervise/control", b"; trying again in a second"),
        What::LogPipe => (b"can't make the pipe to its logger", b"; trying again in 5 seconds"),
        What::WriteStatus => (b"can't write supervise/status", b""),
        What::WriteTally => (b"can't write supervise/death_tally", b""),
        What::Notify => (b"can't notify listeners in 'event'", b""),
        What::DownFile => (b"can't make or remove 'down'", b""),
        What::InvalidFile(_) => (b"ignored for what it holds: the file ", b""),
        What::SpawnRun => (b"can't start ./run", b"; trying again in 10 seconds"),
        What::SpawnFinish => (b"can't start ./finish", b""),
        What::ServiceLocked => (b"another process holds the service's lock", b"; trying again in a second"),
        What::SwitchVersion => (b"can't switch 'current' to 'next'", b"; trying again in 10 seconds"),
        What::FinishTimeout => (b"./finish takes longer than it may: killed", b""),
        What::Watch => (b"can't wait for its events", b"; trying again"),
    }
}
