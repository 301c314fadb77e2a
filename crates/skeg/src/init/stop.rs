// SPDX-License-Identifier: ISC
//! Stopping the machine: the request, the process that brings the services down, and the end of process 1.
//!
//! A request is a signal to process 1: USR1 halts, USR2 and PWR power off, TERM and INT (Ctrl-Alt-Del) start again. The
//! scanner runs the program of that name, `init-stop`, outside of every service. It brings all services down in order, then tells
//! the scanner to stop the tree; the scanner's `finish` does the rest. Should the scanner not get there, `init-stop` does it.

use super::say::{self, say};
use super::{LIVE, SCAN, own_program, read_options};
use crate::applet::{Call, USAGE};
use crate::words;
use ::init::{cmdline, power};
use core::ffi::CStr;
use db::Db;
use live::{Access, Locked, Phase, Wait};
use sys::event::{PollFd, PollFlags};
use sys::fs::{Lock, OFlags, RenameFlags};
use sys::process::{Machine, Who};
use sys::signal::number;
use sys::time::{Millis, monotonic};
use sys::{AsFd, CBox, CWD, Errno, Path};

pub const OPTIONS: &str = "f/force";

/// How long a command that is interrupted may take to end, and the scripts that it waits for.
const SCRIPTS: Millis = Millis(3_000);

/// How long the next one that waits for the lock may take to have it and to sign it. It may look only every 200 ms (`live::lock`).
const PAUSE: Millis = Millis(300);
/// How long the scanner has to end the tree when all services are down.
const TREE: Millis = Millis(20_000);

/// The applets `poweroff`, `reboot`, `halt`.
pub fn ask(call: &Call) -> Result<u8, u8> {
    let what = match call.name {
        b"poweroff" => Machine::PowerOff,
        b"halt" => Machine::Halt,
        _ => Machine::Reboot,
    };
    if !call.has(b'f') {
        return request(call, what);
    }
    sys::fs::sync();
    let failed = sys::process::reboot(what).err().unwrap_or(Errno::IO);
    Err(call.failed(t!("end the machine"), b"", failed))
}

/// Sends process 1 the signal for this.
pub fn request(call: &Call, what: Machine) -> Result<u8, u8> {
    let signal = match what {
        Machine::PowerOff => number::USR2,
        Machine::Halt => number::USR1,
        Machine::Reboot | Machine::AskOnCtrlAltDel => number::TERM,
    };
    sys::signal::kill(1, signal).map(|()| 0).map_err(|e| call.failed(t!("signal process 1"), b"", e))
}

/// The lock of the live directory, with the process that has taken it to change something.
const LOCK: &CStr = c"/run/s6-rc:sv/lock";

/// The note that says what becomes of the machine; made once.
const WANTED: &CStr = c"/run/skeg/wanted";

/// An inode and a page for it, made at the boot: /run may be full by then.
pub(super) const SPARE: &CStr = c"/run/skeg/spare";

/// Whether the machine is being stopped.
pub(super) fn is_requested() -> bool {
    sys::fs::access(CWD, WANTED, 0).is_ok()
}

/// Makes the note; `EEXIST` when it is there.
fn note(text: &[u8]) -> sys::Result<()> {
    let made = sys::fs::open(CWD, SPARE, OFlags::WRONLY, 0).and_then(|file| {
        sys::fs::rename_with(CWD, SPARE, CWD, WANTED, RenameFlags::NOREPLACE).map(|()| file)
    });
    match made {
        Ok(file) => {
            sys::fs::write_all(&file, text)?;
            sys::fs::ftruncate(&file, text.len() as u64)
        }
        Err(_) => super::note(WANTED, text),
    }
}

fn machine(word: &[u8]) -> Option<Machine> {
    let word = word.rsplit(|b| *b == b'/').next().unwrap_or_default();
    match words::place(word, "SIGUSR1 halt SIGUSR2 SIGPWR poweroff SIGTERM SIGINT SIGQUIT reboot")? {
        0 | 1 => Some(Machine::Halt),
        2..=4 => Some(Machine::PowerOff),
        _ => Some(Machine::Reboot),
    }
}

const fn name(what: Machine) -> &'static [u8] {
    match what {
        Machine::PowerOff => b"poweroff",
        Machine::Halt => b"halt",
        Machine::Reboot | Machine::AskOnCtrlAltDel => b"reboot",
    }
}

/// `init-stop`: brings everything down.
pub fn main(call: &Call) -> Result<u8, u8> {
    let Some(what) = { call.words }.next().and_then(|word| machine(word.to_bytes())) else {
        say("init-stop: the signal's name is missing or unknown", b"");
        return Err(USAGE);
    };
    match note(name(what)) {
        // A second request: the first one is on its way.
        Err(Errno::EXIST) => return Ok(0),
        Err(errno) => say::failed("write %", WANTED.to_bytes(), errno),
        Ok(()) => {}
    }
    say("stopping all services (%)", name(what));
    let start = monotonic();
    interrupt_all();
    stop_services();
    let mut line = text::Line::new();
    line.put(b"services stopped in ").seconds(monotonic().0.saturating_sub(start.0));
    say("%", line.as_bytes());
    stop_tree();
    // The scanner replaces process 1 by `init-finish`, which kills this process too. Still here: it did not.
    say("the scanner does not end: ending the machine without it", b"");
    the_end(what)
}

/// The command whose number this file has begins nothing more: a machine that hangs while it starts, or is changed, can be stopped.
/// Whether it has ended in time.
fn interrupt(note: impl AsFd) -> bool {
    let mut digits = [0; 16];
    let read = sys::fs::read_full(note, &mut digits).unwrap_or(0);
    let digits = digits.get(..read).unwrap_or_default().split(|b| *b == b'\n').next().unwrap_or_default();
    let pid = text::parse_u64(digits).ok().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 1);
    let Some(Ok(fd)) = pid.map(sys::process::pidfd_open) else {
        // The next one has the lock and has not signed yet.
        let _ = sys::event::poll(&mut [], Some(PAUSE));
        return true;
    };
    // One that the terminal has stopped heeds nothing until it goes on.
    for signal in [number::TERM, number::CONT] {
        let _ = sys::signal::kill_pidfd(fd.as_fd(), signal);
    }
    !matches!(sys::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(SCRIPTS)), Ok(0))
}

/// Interrupts the start, then whoever holds the lock of the live directory to change something: those that wait for it get it one
/// after the other.
fn interrupt_all() {
    /// Commands, times that one is told, and looks in vain.
    const LOOKS: usize = 8;
    if let Ok(note) = sys::fs::open_read(CWD, super::STARTING)
        && !interrupt(note)
    {
        end_scripts();
    }
    let (mut at_work, mut free) = (false, false);
    for _ in 0..LOOKS {
        let Ok(lock) = sys::fs::open_read(CWD, LOCK) else { return };
        // Not a reader's lock: the number in the file is not its own.
        if matches!(sys::fs::ofd_lock(&lock, Lock::Shared), Err(Errno::AGAIN | Errno::ACCESS)) {
            (at_work, free) = (true, false);
            if !interrupt(lock) && brings_up() {
                end_scripts();
            }
            continue;
        }
        // One that waited for it behind another takes it a little later.
        if !at_work || free {
            return;
        }
        drop(lock);
        free = true;
        let _ = sys::event::poll(&mut [], Some(PAUSE));
    }
}

/// Whether the script of a oneshot may run that brings something up. One that takes something down is part of every stop.
fn brings_up() -> bool {
    let live = Locked::open(LIVE, Access::Look, Wait::No).and_then(Locked::live);
    live.is_ok_and(|live| {
        let longruns = Db::open(live.image()).map_or(0, |db| db.longruns());
        live.states().iter().skip(longruns).any(|state| state.phase == Phase::Starting)
    })
}

/// They may take for ever: the runner ends them.
fn end_scripts() {
    let _ = control(&[SCAN.to_bytes(), b"/s6rc-oneshot-runner/supervise/control"], b"h");
}

/// Writes a command into a control FIFO.
fn control(path: &[&[u8]], command: &[u8]) -> sys::Result<()> {
    let path = Path::from_pieces(path).map_err(|_| Errno::NAMETOOLONG)?;
    let fifo = sys::fs::open(CWD, &path, OFlags::WRONLY | OFlags::NONBLOCK, 0)?;
    sys::fs::write_all(fifo, command)
}

/// All services down, the essential ones too, within the time of the command line.
fn stop_services() {
    if sys::fs::access(CWD, LIVE, 0).is_err() {
        return;
    }
    let mut line = [0; cmdline::MAX];
    let limit = Millis(u64::from(read_options(&mut line).stop_seconds) * 1000);
    let millis = CBox::from_pieces(&[text::Digits::decimal(limit.0).as_bytes()]).unwrap_or_default();
    let Ok(program) = own_program() else { return };
    let words = [
        c"s6-rc",
        c"-b",
        c"-t",
        millis.as_c(),
        c"-l",
        LIVE,
        c"-D",
        c"--shutdown",
        c"--times",
        c"-a",
        c"change",
    ];
    match super::run(&program, &words, super::handover()) {
        Ok(pid) => match wait_for(pid, Millis(limit.0 + 5_000)) {
            Some(0) => {}
            Some(_) => say("not every service stopped as it should", b""),
            None => say("the services take too long to stop: going on without them", b""),
        },
        Err(errno) => say::failed("run %", program.to_bytes(), errno),
    }
}

/// The exit code of a child, or none when the time is over. 256 and more: a signal.
pub fn wait_for(pid: u32, limit: Millis) -> Option<u16> {
    let end = monotonic().0.saturating_add(limit.0);
    let pidfd = sys::process::pidfd_open(pid);
    loop {
        if let Ok(Some(death)) = sys::process::reap(Who::Pid(pid)) {
            return Some(if death.status & 0x7f == 0 {
                death.status >> 8
            } else {
                256 + (death.status & 0x7f)
            });
        }
        let left = end.saturating_sub(monotonic().0);
        if left == 0 {
            return None;
        }
        let _ = match &pidfd {
            Ok(fd) => sys::event::poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(Millis(left))),
            Err(_) => sys::event::poll(&mut [], Some(Millis(left.min(100)))),
        };
    }
}

/// Tells the scanner to stop what is left and to end; gives it [`TREE`].
fn stop_tree() {
    match control(&[SCAN.to_bytes(), b"/.s6-svscan/control"], b"t") {
        Ok(()) => ::init::rescue::pause(TREE),
        Err(errno) => say::failed("reach the scanner", b"", errno),
    }
}

/// `init-finish`: what process 1 is when the tree is gone.
pub fn finish(_: &Call) -> Result<u8, u8> {
    let mut word = [0; 16];
    let len = sys::fs::open_read(CWD, WANTED).and_then(|f| sys::fs::read_full(f, &mut word)).unwrap_or(0);
    let what = machine(word.get(..len).unwrap_or_default());
    if what.is_none() {
        say("the scanner has ended without a request: starting again", b"");
    }
    the_end(what.unwrap_or(Machine::Reboot))
}

fn the_end(what: Machine) -> ! {
    power::end_all();
    power::unmount_all(say::fault);
    say(
        "%",
        match what {
            Machine::PowerOff => b"power off".as_slice(),
            Machine::Halt => b"halted",
            Machine::Reboot | Machine::AskOnCtrlAltDel => b"restart",
        },
    );
    power::end_machine(what)
}
