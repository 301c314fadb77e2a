// SPDX-License-Identifier: ISC
//! A command's connection to the oneshot runner: one for a change. Used by the change loop.

use super::protocol::*;
use crate::note::RunError;
use crate::session::RUNNER;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;
use engine::{Db, Target};
use live::tree::{Status, is_supervised};
use live::{Live, Phase};
use sys::event::{PollFd, PollFlags, poll};
use sys::fifodir::Listener;
use sys::net::{self, Fds, SocketType};
use sys::time::{Millis, monotonic};
use sys::{AsFd, BorrowedFd, Errno, OwnedFd, Result, fs};

/// A connection.
pub struct Scripts {
    socket: OwnedFd,
    packet: Vec<u8>,
}

/// Bytes of a request beside name and words.
const ROOM: usize = 64;

impl Scripts {
    /// Connects to the runner whose service directory is at this path relative to `base`, and hands over the
    /// streams of the scripts and the state file. `ECONNREFUSED` or `ENOENT`: the runner is not there.
    pub fn connect(
        base: BorrowedFd<'_>,
        directory: &CStr,
        state: BorrowedFd<'_>,
        scripts: u16,
    ) -> Result<Self> {
        let socket = connect_in(base, directory, SOCKET, SocketType::SEQPACKET)?;
        let mut this = Self { socket, packet: vec![0; 512] };
        let streams = [sys::stdin(), sys::stdout(), sys::stderr(), state];
        this.send(&Request::Hello { version: VERSION, scripts }, &streams)?;
        Ok(this)
    }

    fn send(&mut self, request: &Request<'_>, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let bytes = postcard::to_slice(request, &mut self.packet).map_err(|_| Errno::MSGSIZE)?;
        loop {
            match net::send(&self.socket, bytes, fds) {
                Err(Errno::INTR) => {}
                other => return other.map(|_| ()),
            }
        }
    }

    /// Asks for a script. `EMSGSIZE`: its words are too long for a packet.
    pub fn run(&mut self, service: u16, what: What, timeout: u32, name: &[u8], words: &[u8]) -> Result<()> {
        let wanted = name.len() + words.len() + ROOM;
        if wanted > MAX_PACKET {
            return Err(Errno::MSGSIZE);
        }
        if self.packet.len() < wanted {
            self.packet.resize(wanted, 0);
        }
        self.send(&Request::Run { service, what, timeout, name, words }, &[])
    }

    /// Waits until no script of another connection runs. `ETIMEDOUT`: the deadline has come.
    fn wait_quiet(&mut self, deadline: Option<Millis>) -> Result<()> {
        self.send(&Request::Quiet, &[])?;
        loop {
            let left = deadline.map(|d| Millis(d.0.saturating_sub(monotonic().0)));
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], left) {
                Ok(0) => return Err(Errno::TIMEDOUT),
                Ok(_) => return self.reports().map(|_| ()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The reports of one packet; `EPIPE`: the runner has gone.
    pub fn reports(&mut self) -> Result<Reports> {
        let mut room = [0; MAX_REPORTS * 8 + 8];
        loop {
            match net::receive(&self.socket, &mut room, &mut Fds::new()) {
                Ok(0) => return Err(Errno::PIPE),
                Ok(got) => {
                    return postcard::from_bytes(room.get(..got).unwrap_or_default())
                        .map_err(|_| Errno::PROTO);
                }
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(Errno::PIPE),
                Err(e) => return Err(e),
            }
        }
    }
}

impl AsFd for Scripts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether a script may be running that a command started which has died since.
pub fn is_unsettled(live: &Live) -> bool {
    let scripts = live.states().iter().skip(live.states().longruns());
    scripts.into_iter().any(|s| matches!(s.phase, Phase::Starting | Phase::Stopping))
}

/// Waits until no script runs that a command started which has died since, and reads the states again. To be called with the
/// lock and before the states are looked at: such a script would undo what was done meanwhile.
pub fn settle_scripts(live: &mut Live, deadline: Option<Millis>) -> core::result::Result<(), RunError> {
    if !is_unsettled(live) {
        return Ok(());
    }
    quiet_scripts(live, deadline)
}

/// As [`settle_scripts`], also where no state says that a script runs: what a command asked for just before it died
/// may not have begun yet. For recovery.
pub fn quiet_scripts(live: &mut Live, deadline: Option<Millis>) -> core::result::Result<(), RunError> {
    // Without a runner no script runs whose end is recorded: only the time that is over is an error.
    let waited = connect_runner(live, 1).and_then(|mut scripts| scripts.wait_quiet(deadline));
    if waited == Err(Errno::TIMEDOUT) {
        return Err(RunError::wait(Errno::TIMEDOUT));
    }
    Ok(live.states_mut().reread()?)
}

/// Which service the runner is, in an image that has been looked at. One without oneshots has none.
fn runner(live: &Live) -> Result<u16> {
    match Db::glance(live.image()).ok().and_then(|db| db.lookup(RUNNER)) {
        Some(Target::Service(runner)) => Ok(runner.index() as u16),
        _ => Err(Errno::NOENT),
    }
}

/// A connection to the runner of this live directory.
pub(crate) fn connect_runner(live: &Live, scripts: u16) -> Result<Scripts> {
    let path = live.service_path(runner(live)?, b"")?;
    Scripts::connect(live.locked().sv(), &path, live.states().as_fd(), scripts)
}

/// As [`connect_runner`]; a runner that died is waited for while its supervisor is about to start it again: that lets a
/// second pass between two starts. `timeout`: milliseconds at most; 0 = none. A signal ends the waiting.
pub(crate) fn connect_in_time(live: &Live, scripts: u16, timeout: u32, signals: &OwnedFd) -> Result<Scripts> {
    /// Longer than a supervisor's pause and a start.
    const PATIENCE: u64 = 5_000;
    let mut connected = connect_runner(live, scripts);
    if !is_away(&connected) {
        return connected;
    }
    let dir = live.service_dir(runner(live)?)?;
    let events = Listener::subscribe(&dir, c"event")?;
    let patience = if timeout == 0 { PATIENCE } else { PATIENCE.min(u64::from(timeout)) };
    let until = monotonic().0 + patience;
    loop {
        connected = connect_runner(live, scripts);
        let left = until.saturating_sub(monotonic().0);
        let comes = Status::read(&dir).is_ok_and(|status| status.wanted_up) && is_supervised(&dir)?;
        if !is_away(&connected) || !comes || left == 0 {
            return connected;
        }
        let mut watched = [PollFd::new(&events, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        poll(&mut watched, Some(Millis(left)))?;
        if !watched[1].revents().is_empty() {
            return connected;
        }
        events.read(&mut [0; 16])?;
    }
}

/// Whether nobody listens at the runner's socket.
fn is_away(connected: &Result<Scripts>) -> bool {
    matches!(connected, Err(Errno::CONNREFUSED | Errno::NOENT))
}

/// Connects to a socket in a directory whose path may be longer than the 107 bytes of a socket's address: through the
/// working directory, which is as before afterwards.
pub(crate) fn connect_in(
    base: BorrowedFd<'_>,
    directory: &CStr,
    socket: &CStr,
    kind: SocketType,
) -> Result<OwnedFd> {
    let flags = fs::OFlags::PATH | fs::OFlags::DIRECTORY;
    let there = fs::open(base, directory, flags, 0)?;
    let here = fs::open(sys::CWD, c".", flags, 0)?;
    fs::fchdir(&there)?;
    let connected = net::connect(socket, kind);
    fs::fchdir(&here)?;
    connected
}
