// SPDX-License-Identifier: ISC
//! The oneshot runner: a longrun of the tree that runs the scripts of oneshots for the commands that ask.
//!
//! Resident, never allocates: its tables have fixed sizes ([`MAX_SCRIPTS`] scripts, [`MAX_CLIENTS`] connections). It is
//! the runner, not the command, that records a oneshot's state: `starting` or `stopping` before the fork, the result
//! after the end, by one write of one byte each into the state file whose descriptor came with the connection. So a
//! killed command leaves true states, and a killed runner leaves states that say that they are uncertain.
//!
//! A script gets: the runner's environment (that of the supervision tree) with `RC_NAME`, the runner's working
//! directory, the command's standard streams, no other descriptor, an empty signal mask, default signals.

use super::protocol::*;
use super::search::find_program;
use live::state::{self, State};
use sys::event::{Epoll, EventFlags};
use sys::net::{self, Fds, SocketType};
use sys::process::{self, Who};
use sys::signal::{self, Set, number};
use sys::spawn::{self, Spawn, Word, Words};
use sys::time::{Millis, monotonic};
use sys::{AsFd, BorrowedFd, CBuf, Errno, OwnedFd, PathBuffer, Result};

/// Connections at once: one command changes things at a time, and some that died may have scripts running.
pub const MAX_CLIENTS: usize = 8;
/// Words of a script's command line.
const MAX_WORDS: usize = 4096;
/// Variables of the environment that are passed on.
const MAX_VARIABLES: usize = 512;

/// Between the SIGTERM of a script that had its time and its SIGKILL. A script that is left is a script that all later
/// commands have to wait for, since it may still change what they are about to change.
const GRACE: Millis = Millis(3_000);

const LISTENER: u64 = u64::MAX;
const SIGNALS: u64 = u64::MAX - 1;

/// A command's connection. It stays until its last script is over, even when the command has gone.
struct Client {
    socket: Option<OwnedFd>,
    /// Standard input, output, error, and the state file; empty before the first message.
    fds: Fds,
    limit: u16,
    running: u16,
    /// It is to be told when no script of another one runs.
    waits: bool,
}

/// A script.
struct Slot {
    pid: u32,
    client: usize,
    service: u16,
    what: What,
    deadline: Option<Millis>,
    /// The client has been told that it failed.
    told: bool,
    /// Its end, not yet told. The process is gone when this is set and `pid` is 0.
    end: Option<End>,
}

/// The runner.
pub struct Runner {
    epoll: Epoll,
    listener: OwnedFd,
    signals: OwnedFd,
    clients: [Option<Client>; MAX_CLIENTS],
    slots: heapless::Vec<Slot, MAX_SCRIPTS>,
    packet: &'static mut [u8],
}

/// What the runner could not do; it exits then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerError {
    /// Preparing: signals, epoll, memory.
    Prepare(Errno),
    /// Making the socket `s` in the working directory.
    Listen(Errno),
    /// Waiting.
    Wait(Errno),
}

impl Runner {
    /// Listens at `s` in the working directory.
    pub fn new() -> core::result::Result<Self, RunnerError> {
        let prepare = RunnerError::Prepare;
        // A kernel before 5.11 can't; then scripts get what the tree was started with, as under s6.
        let _ = process::set_cloexec_from(3);
        let set = Set::of(&[number::CHLD, number::TERM, number::HUP, number::INT]);
        signal::set_mask(set).map_err(prepare)?;
        let signals = signal::signalfd(set).map_err(prepare)?;
        let epoll = Epoll::new().map_err(prepare)?;
        match sys::fs::unlink(sys::CWD, SOCKET) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(RunnerError::Listen(e)),
        }
        let mask = process::umask(0o077);
        let listener = net::listen(SOCKET, SocketType::SEQPACKET, MAX_CLIENTS as i32);
        process::umask(mask);
        let listener = listener.map_err(RunnerError::Listen)?;
        epoll.add(&listener, LISTENER, EventFlags::IN).map_err(prepare)?;
        epoll.add(&signals, SIGNALS, EventFlags::IN).map_err(prepare)?;
        let packet = sys::mm::scratch(MAX_PACKET).map_err(prepare)?;
        let clients = [const { None }; MAX_CLIENTS];
        Ok(Self { epoll, listener, signals, clients, slots: heapless::Vec::new(), packet })
    }

    /// Serves until SIGTERM.
    pub fn serve(&mut self) -> core::result::Result<(), RunnerError> {
        loop {
            let timeout = self.next_deadline().map(|d| Millis(d.0.saturating_sub(monotonic().0)));
            let keys = self.epoll.wait(timeout).map_err(RunnerError::Wait)?;
            for key in keys {
                match key {
                    LISTENER => self.accept(),
                    SIGNALS => {
                        if self.take_signals() {
                            return Ok(());
                        }
                    }
                    client => self.hear(client as usize),
                }
            }
            self.expire();
            for client in 0..MAX_CLIENTS {
                self.hear(client);
                self.tell(client);
                self.hear(client);
            }
        }
    }

    fn accept(&mut self) {
        let Ok(socket) = net::accept(&self.listener) else { return };
        let me = process::ids().0;
        if !net::peer(&socket).is_ok_and(|peer| peer.uid.as_raw() == 0 || peer.uid.as_raw() == me) {
            return;
        }
        let Some(place) = self.clients.iter().position(Option::is_none) else { return };
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        if self.epoll.add(&socket, place as u64, flags).is_ok()
            && let Some(client) = self.clients.get_mut(place)
        {
            *client =
                Some(Client { socket: Some(socket), fds: Fds::new(), limit: 1, running: 0, waits: false });
        }
    }

    /// Whether to end.
    fn take_signals(&mut self) -> bool {
        let mut over = false;
        // One a turn: the epoll tells when there are more.
        if let Ok(Some(info)) = signal::next_signal(self.signals.as_fd()) {
            match info.signal {
                number::TERM | number::INT => over = true,
                number::HUP => {
                    self.slots.iter().filter(|s| s.pid != 0).for_each(|s| end_script(s.pid));
                }
                _ => {}
            }
        }
        while self.slots.iter().any(|s| s.pid != 0)
            && let Ok(Some(death)) = process::reap(Who::Any)
        {
            self.bury(death);
        }
        over
    }

    fn bury(&mut self, death: process::Death) {
        let Some(at) = self.slots.iter().position(|s| s.pid == death.pid && s.pid != 0) else { return };
        let end = match (death.status & 0x7f) as u8 {
            0 => End::Exited((death.status >> 8) as u8),
            signal => End::Killed(signal),
        };
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.pid = 0;
        // One that had its time has failed, whatever it makes of the SIGTERM.
        let good = end == End::Exited(0) && !slot.told && slot.end.is_none();
        let (client, service, what, told) = (slot.client, slot.service, slot.what, slot.told);
        slot.end = slot.end.or(Some(end));
        let Some(Some(owner)) = self.clients.get_mut(client) else { return };
        record(owner, service, result(what, good));
        owner.running = owner.running.saturating_sub(1);
        let gone = owner.socket.is_none();
        if told || gone {
            self.slots.swap_remove(at);
        }
        if gone && self.clients.get(client).is_some_and(|c| c.as_ref().is_some_and(|c| c.running == 0)) {
            self.forget(client);
        }
    }

    fn next_deadline(&self) -> Option<Millis> {
        self.slots.iter().filter(|s| s.pid != 0).filter_map(|s| s.deadline).min()
    }

    fn expire(&mut self) {
        if self.next_deadline().is_none() {
            return;
        }
        let now = monotonic();
        for slot in &mut self.slots {
            if slot.pid == 0 || slot.deadline.is_none_or(|d| d > now) {
                continue;
            }
            if slot.end.is_none() {
                slot.end = Some(End::TimedOut);
                slot.deadline = Some(Millis(now.0 + GRACE.0));
                end_script(slot.pid);
            } else {
                slot.deadline = None;
                let _ = signal::kill(slot.pid as i32, number::KILL);
            }
        }
    }

    /// Tells a client that waits for it that no script of another one runs.
    fn tell_quiet(&mut self, client: usize) {
        // A connection whose command has died is there until all that it asked for is over.
        let others = self.clients.iter().enumerate().filter(|(at, _)| *at != client);
        let busy = others.filter_map(|(_, other)| other.as_ref()).any(|other| !other.waits);
        let Some(Some(owner)) = self.clients.get_mut(client) else { return };
        if !owner.waits || busy {
            return;
        }
        let mut room = [0; 8];
        let sent = match (&owner.socket, postcard::to_slice(&Reports::new(), &mut room)) {
            (Some(socket), Ok(bytes)) => net::send(socket, bytes, &[]).map(|_| ()),
            _ => Err(Errno::PIPE),
        };
        match sent {
            Ok(()) => owner.waits = false,
            Err(Errno::AGAIN) => {}
            Err(_) => self.leave(client),
        }
    }

    /// Sends what the client does not know yet.
    fn tell(&mut self, client: usize) {
        self.tell_quiet(client);
        loop {
            let mut reports = Reports::new();
            for slot in self.slots.iter().filter(|s| s.client == client && !s.told) {
                if let Some(end) = slot.end {
                    let _ = reports.push(Report { service: slot.service, what: slot.what, end });
                }
            }
            if reports.is_empty() {
                return;
            }
            let Some(Some(owner)) = self.clients.get(client) else { return };
            let mut room = [0; MAX_REPORTS * 8 + 8];
            let sent = match (&owner.socket, postcard::to_slice(&reports, &mut room)) {
                (Some(socket), Ok(bytes)) => net::send(socket, bytes, &[]).map(|_| ()),
                _ => Err(Errno::PIPE),
            };
            match sent {
                Ok(()) => {
                    for report in &reports {
                        self.told(client, report.service);
                    }
                }
                // It is told when the socket has room again: the epoll says so.
                Err(Errno::AGAIN) => return,
                Err(_) => return self.leave(client),
            }
        }
    }

    fn told(&mut self, client: usize, service: u16) {
        let at = self
            .slots
            .iter()
            .position(|s| s.client == client && s.service == service && !s.told && s.end.is_some());
        let Some(at) = at else { return };
        match self.slots.get_mut(at) {
            // It has timed out and is still there: its place is kept until it has died.
            Some(slot) if slot.pid != 0 => {
                slot.told = true;
            }
            _ => {
                self.slots.swap_remove(at);
            }
        }
    }

    /// The command has gone: what it started goes on.
    fn leave(&mut self, client: usize) {
        let mut at = 0;
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.client == client && slot.pid == 0 {
                self.slots.swap_remove(at);
            } else {
                at += 1;
            }
        }
        let Some(Some(owner)) = self.clients.get_mut(client) else { return };
        owner.socket = None;
        if owner.running == 0 {
            self.forget(client);
        }
    }

    fn forget(&mut self, client: usize) {
        if let Some(place) = self.clients.get_mut(client) {
            *place = None;
        }
    }

    /// Reads requests while there is room for another script.
    fn hear(&mut self, client: usize) {
        loop {
            let full = self.slots.is_full();
            let Some(Some(owner)) = self.clients.get_mut(client) else { return };
            let Some(socket) = &owner.socket else { return };
            if full || owner.running >= owner.limit {
                return;
            }
            let mut fds = Fds::new();
            let got = match net::receive(socket, self.packet, &mut fds) {
                Ok(0) => return self.leave(client),
                Ok(got) => got,
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Err(_) => return self.leave(client),
            };
            if self.obey(client, got, fds).is_none() {
                return self.leave(client);
            }
        }
    }

    /// Does what the message in `self.packet` asks; none if it makes no sense.
    fn obey(&mut self, client: usize, length: usize, fds: Fds) -> Option<()> {
        let request: Request<'_> = postcard::from_bytes(self.packet.get(..length)?).ok()?;
        let owner = self.clients.get_mut(client)?.as_mut()?;
        match request {
            Request::Hello { version: VERSION, scripts } if fds.len() == 4 => {
                owner.fds = fds;
                owner.limit = scripts.clamp(1, MAX_SCRIPTS as u16);
            }
            Request::Quiet => owner.waits = true,
            // A definition without this script: nothing to run is a success.
            Request::Run { service, what, words: [], .. } if owner.fds.len() == 4 => {
                record(owner, service, result(what, true));
                let end = Some(End::Exited(0));
                let _ =
                    self.slots.push(Slot { pid: 0, client, service, what, deadline: None, told: false, end });
            }
            Request::Run { service, what, timeout, name, words } if owner.fds.len() == 4 => {
                record(owner, service, before(what));
                let (pid, end) = match start(&owner.fds, name, words) {
                    Ok(pid) => {
                        owner.running += 1;
                        (pid, None)
                    }
                    Err(e) => {
                        record(owner, service, result(what, false));
                        (0, Some(End::NotStarted(e.raw_os_error() as u16)))
                    }
                };
                let deadline = (timeout != 0 && pid != 0).then(|| Millis(monotonic().0 + u64::from(timeout)));
                let slot = Slot { pid, client, service, what, deadline, told: false, end };
                let _ = self.slots.push(slot);
            }
            _ => return None,
        }
        Some(())
    }
}

/// The state while a script runs.
const fn before(what: What) -> Option<State> {
    match what {
        What::Up => Some(State::STARTING),
        What::Down => Some(State::STOPPING),
        What::Reload => None,
    }
}

/// The state after it.
const fn result(what: What, good: bool) -> Option<State> {
    match (what, good) {
        (What::Up, true) | (What::Down, false) => Some(State::UP),
        (What::Up, false) | (What::Down, true) => Some(State::DOWN),
        (What::Reload, _) => None,
    }
}

fn record(owner: &Client, service: u16, state: Option<State>) {
    if let (Some(file), Some(state)) = (owner.fds.get(3), state) {
        let _ = state::write(file.as_fd(), usize::from(service), state);
    }
}

fn end_script(pid: u32) {
    let _ = signal::kill(pid as i32, number::TERM);
    let _ = signal::kill(pid as i32, number::CONT);
}

/// Starts a script; its process id.
fn start(fds: &Fds, name: &[u8], words: &[u8]) -> Result<u32> {
    let mut arguments = heapless::Vec::<Word<'_>, MAX_WORDS>::new();
    for word in words.split_inclusive(|b| *b == 0) {
        let word = core::ffi::CStr::from_bytes_with_nul(word).map_err(|_| Errno::INVAL)?;
        arguments.push(Word::new(word)).map_err(|_| Errno::TOOBIG)?;
    }
    let program = arguments.first().and_then(|w| w.get()).ok_or(Errno::INVAL)?;
    arguments.push(Word::END).map_err(|_| Errno::TOOBIG)?;
    let mut rc_name = CBuf::<300>::new();
    rc_name.push_all(&[b"RC_NAME=", name]).map_err(|_| Errno::NAMETOOLONG)?;
    let mut environment = heapless::Vec::<Word<'_>, MAX_VARIABLES>::new();
    environment.push(Word::new(&rc_name)).map_err(|_| Errno::TOOBIG)?;
    for variable in sys::start::environment().filter(|v| !v.to_bytes().starts_with(b"RC_NAME=")) {
        environment.push(Word::new(variable)).map_err(|_| Errno::TOOBIG)?;
    }
    environment.push(Word::END).map_err(|_| Errno::TOOBIG)?;
    let mut found = PathBuffer::new();
    let [Some(input), Some(output), Some(error)] = [fds.first(), fds.get(1), fds.get(2)] else {
        return Err(Errno::BADF);
    };
    let streams: [(BorrowedFd<'_>, i32); 3] = [(input.as_fd(), 0), (output.as_fd(), 1), (error.as_fd(), 2)];
    spawn::spawn(&Spawn {
        path: find_program(program, &mut found)?,
        arguments: Words::new(&arguments)?,
        environment: Words::new(&environment)?,
        directory: None,
        fds: &streams,
        session: false,
        mask: Set(0),
        open_files: None,
        new_pids: false,
        record_pid: None,
    })
}
