// SPDX-License-Identifier: ISC
//! The supervisor: one loop over the control FIFOs, readiness pipes, deaths and deadlines of all services.
//!
//! It may be killed at any moment. What it decides is committed to the table before it acts; what it finds there when
//! it starts, it carries on (`Supervisor::adopt`). Limits: those of the table. It never allocates, never panics, and never
//! waits for anything but its epoll set.

use crate::files::{self, Small};
use crate::keep::{self, CONTROL, DIR, NOTIFY};
use crate::machine::{Action, Actions, Event, Intent, Now, State, Tick, after, is_past};
use crate::table::{Ending, Header, Phase, Slot, Table};
use crate::{Note, Say, What};
use core::sync::atomic::{AtomicU8, Ordering::SeqCst};
use sys::event::{Epoll, EventFlags};
use sys::mm::FdTable;
use sys::process::{Rlimit, Who};
use sys::signal::{Set, number};
use sys::time::{Millis, Tai64n, monotonic};
use sys::{AsFd, BorrowedFd, Errno, OwnedFd, Result};

/// The catch-all logger: it reads what the scanner itself and all services without a logger say.
pub const CATCH_ALL: &[u8] = b"s6-svscan-log";
/// Between two attempts to write status files that could not be written, in ms: the first pause, which doubles, and the longest.
/// What is full may be full for days, and what waits for a status waits at most so long once it is not.
const REWRITE: (u32, u32) = (250, 16_000);

/// What a supervisor is given.
pub struct Parts {
    /// The table.
    pub table: Table,
    /// The descriptors of all services.
    pub fds: FdTable,
    /// The socket to the scanner, if there is one.
    pub keeper: Option<OwnedFd>,
    /// Where notes go.
    pub say: Say,
    /// The limit of open descriptors that services are to have.
    pub open_files: Option<Rlimit>,
    /// The signal mask that services are to have.
    pub mask: Set,
    /// Scan by itself every so many ms; 0 = never.
    pub rescan: u32,
    /// What the catch-all logger gets as its standard error.
    pub console: Option<OwnedFd>,
}

/// A supervisor at work.
pub struct Supervisor {
    pub(crate) table: Table,
    pub(crate) header: &'static Header,
    pub(crate) fds: FdTable,
    pub(crate) say: Say,
    pub(crate) open_files: Option<Rlimit>,
    pub(crate) mask: Set,
    pub(crate) console: Option<OwnedFd>,
    pub(crate) keeper: Option<OwnedFd>,
    epoll: Epoll,
    signals: OwnedFd,
    /// Where what comes through control FIFOs goes once more, to be thrown away.
    drain: Option<(OwnedFd, OwnedFd)>,
    rescan: u32,
    pub(crate) next_scan: Option<Tick>,
    pub(crate) scan_failed: bool,
    /// Nothing is due before this.
    earliest: Option<Tick>,
    /// When status files that could not be written are tried again; none where all are as they should be.
    rewrite: Option<Tick>,
    rewrite_pause: u32,
    pub(crate) told: Ending,
    /// The umask is ([`crate::files::is_narrow`]).
    pub(crate) narrow: bool,
}

/// Keys of the epoll set: a slot's number and kind, or one of these.
const KEY_SIGNALS: u64 = 1 << 32;
const KEY_KEEPER: u64 = 2 << 32;

/// Now, on the clock of deadlines.
pub fn tick() -> Tick {
    after(monotonic().0 as u32, 0)
}

impl Supervisor {
    /// Puts the parts together. The signals it reads must be blocked already.
    pub fn new(parts: Parts, signals: Set) -> Result<Self> {
        let header = parts.table.header()?;
        let epoll = Epoll::new()?;
        let signals = sys::signal::signalfd(signals)?;
        epoll.add(&signals, KEY_SIGNALS, EventFlags::IN)?;
        if let Some(keeper) = &parts.keeper {
            epoll.add(keeper, KEY_KEEPER, EventFlags::IN)?;
        }
        let next_scan = (parts.rescan != 0).then(|| after(tick(), parts.rescan));
        Ok(Self {
            header,
            epoll,
            signals,
            drain: sys::fs::pipe(sys::fs::PipeFlags::NONBLOCK).ok(),
            next_scan,
            table: parts.table,
            fds: parts.fds,
            say: parts.say,
            open_files: parts.open_files,
            mask: parts.mask,
            console: parts.console,
            keeper: parts.keeper,
            rescan: parts.rescan,
            earliest: None,
            rewrite: None,
            rewrite_pause: 0,
            scan_failed: false,
            told: Ending::No,
            narrow: files::is_narrow(),
        })
    }

    /// Says something about a service.
    pub(crate) fn note(&self, index: u16, what: What, errno: Option<Errno>) {
        let mut buf = [0; 256];
        let name = self.table.slot(index).map_or(&b""[..], |slot| slot.name(&mut buf));
        (self.say)(&Note { what, name, errno });
    }

    /// The descriptor of this kind.
    pub(crate) fn fd(&self, index: u16, kind: u8) -> Option<BorrowedFd<'_>> {
        self.fds.get(keep::place(index, kind))
    }

    /// Takes over the tree in a scan directory, and runs it until it has ended.
    pub fn run_tree(mut self) -> Result<()> {
        self.adopt()?;
        loop {
            self.fulfil();
            if self.end() {
                self.header.finished.store(1, SeqCst);
                return Ok(());
            }
            self.turn()?;
        }
    }

    /// Supervises the one service of slot 0 until its supervision has ended (`s6-supervise`).
    pub fn run_one(mut self) -> Result<()> {
        while self.table.slot(0).is_some_and(|slot| slot.phase() == Phase::Live) {
            self.timers();
            if self.table.slot(0).is_some_and(|slot| slot.phase() == Phase::Live) {
                self.turn()?;
            }
        }
        Ok(())
    }

    /// Waits once, and does what has come.
    fn turn(&mut self) -> Result<()> {
        let keys = self.epoll.wait(self.time_left())?;
        for key in keys {
            match key {
                KEY_SIGNALS => self.take_signals()?,
                KEY_KEEPER => self.take_pokes(),
                other => {
                    let index = (other >> 8) as u16;
                    match other as u8 {
                        CONTROL => self.take_control(index),
                        NOTIFY => self.take_readiness(index),
                        _ => {}
                    }
                }
            }
        }
        self.timers();
        Ok(())
    }

    fn time_left(&self) -> Option<Millis> {
        let now = tick();
        let next = match (self.earliest, self.next_scan) {
            (Some(a), Some(b)) => Some(if is_past(a, b) { a } else { b }),
            (a, b) => a.or(b),
        };
        next.map(|at| Millis(if is_past(at, now) { 0 } else { u64::from(at.wrapping_sub(now)) }))
    }

    /// Notes that something is due then.
    pub(crate) fn due(&mut self, at: Tick) {
        if at != 0 && self.earliest.is_none_or(|earliest| is_past(at, earliest)) {
            self.earliest = Some(at);
        }
    }

    /// Does what is due.
    fn timers(&mut self) {
        let now = tick();
        if self.next_scan.is_some_and(|at| is_past(at, now)) {
            self.next_scan = (self.rescan != 0).then(|| after(now, self.rescan));
            if self.rescan != 0 && self.header.ending() == Ending::No {
                self.scan();
            }
        }
        if self.earliest.is_none_or(|at| !is_past(at, now)) {
            return;
        }
        self.earliest = None;
        let rewrites = self.rewrite.is_some_and(|at| is_past(at, now));
        if rewrites {
            self.rewrite = None;
        }
        self.due(self.rewrite.unwrap_or(0));
        for index in self.table.indices() {
            let Some(slot) = self.table.slot(index) else { continue };
            if rewrites && slot.phase() == Phase::Live && slot.core().write_status {
                self.settle(index, slot);
            }
            let deadline = match slot.phase() {
                Phase::Free | Phase::Setup => continue,
                Phase::Live | Phase::Resting => slot.core().deadline,
            };
            if deadline == 0 {
                continue;
            }
            if !is_past(deadline, now) {
                self.due(deadline);
            } else if slot.phase() == Phase::Resting {
                self.wake(index);
            } else {
                self.event(index, Event::Timeout);
            }
        }
        if self.rewrite.is_none() {
            self.rewrite_pause = 0;
        }
    }

    /// One event of one service: decides, commits, acts.
    pub(crate) fn event(&mut self, index: u16, event: Event) {
        let Some(slot) = self.table.slot(index).filter(|slot| slot.phase() == Phase::Live) else { return };
        let now = Now { tick: tick(), stamp: Tai64n::now() };
        let mut core = slot.core();
        let mut actions = Actions::new();
        if event == Event::Timeout && matches!(core.state, State::Finish | State::LastFinish) {
            self.note(index, What::FinishTimeout, None);
        }
        if let Some(dir) = self.fd(index, DIR) {
            let complain = |what| self.note(index, what, None);
            core.step(event, now, &Small { dir, complain: &complain }, &mut actions);
        }
        slot.commit(&core);
        if let (Event::Died(_), Some(pid)) = (event, self.table.pid(index)) {
            // The number is free: it must not stand for this service when another process gets it.
            pid.store(0, SeqCst);
        }
        self.due(core.deadline);
        for action in actions {
            self.act(index, slot, core.pid, action);
        }
        self.settle(index, slot);
    }

    fn act(&self, index: u16, slot: &Slot, pid: u32, action: Action) {
        let Some(dir) = self.fd(index, DIR) else { return };
        let complain = |what| self.note(index, what, None);
        let small = Small { dir, complain: &complain };
        let done = match action {
            Action::Signal(signal) => signal_process(slot, pid, signal),
            Action::SignalGroup(signal) => signal_group(slot, pid, signal),
            Action::SignalDown => {
                signal_process(slot, pid, small.signal(c"down-signal", "down-signal", number::TERM))
            }
            Action::SignalReload => {
                signal_process(slot, pid, small.signal(c"reload-signal", "reload-signal", number::HUP))
            }
            Action::KillLate if files::has(dir, c"flag-timeout-killpg") => {
                let _ = signal_group(slot, pid, number::KILL);
                signal_group(slot, pid, number::CONT)
            }
            Action::KillLate => {
                let _ = signal_process(slot, pid, number::KILL);
                signal_process(slot, pid, number::CONT)
            }
            Action::AddDown | Action::RemoveDown => {
                let done = match action {
                    Action::AddDown => files::add_down(dir),
                    _ => files::remove_down(dir),
                };
                if let Err(e) = done {
                    self.note(index, What::DownFile, Some(e));
                }
                Ok(())
            }
        };
        // A process that has just gone is no fault.
        let _ = done;
    }

    /// Does all that has been decided and not been done, one thing after the other, each marked done when it is.
    pub(crate) fn settle(&mut self, index: u16, slot: &'static Slot) {
        /// More than any decision leaves to do.
        const STEPS: usize = 16;
        let mut is_stale = false;
        for _ in 0..STEPS {
            let mut core = slot.core();
            if core.write_tally {
                self.write_tally(index, &core);
                core.write_tally = false;
                slot.commit(&core);
            } else if core.intent != Intent::None {
                self.carry_out(index, slot, core);
            } else if core.write_status && !is_stale {
                is_stale = !self.write_status(index, &core);
                if is_stale {
                    // It stays to be written: by the next event, the next supervisor, or when its time has come.
                    continue;
                }
                core.write_status = false;
                // A status from before the first start says "paused" once, as s6 does.
                core.paused &= core.state != State::Down;
                slot.commit(&core);
            } else if core.events[0] != 0 {
                self.tell(index, &core.events);
                core.events = [0; 4];
                slot.commit(&core);
            } else {
                break;
            }
        }
        if slot.core().state == State::Gone {
            self.remove(index, slot);
        }
    }

    fn write_tally(&self, index: u16, core: &crate::machine::Core) {
        let Some(dir) = self.fd(index, DIR) else { return };
        let complain = |what| self.note(index, what, None);
        let most = Small { dir, complain: &complain }.tally();
        if let Err(e) = files::add_death(dir, core.stamp, core.wait, most) {
            self.note(index, What::WriteTally, Some(e));
        }
    }

    /// Whether it is written; else it is said, once for all until it can be, and tried again later.
    fn write_status(&mut self, index: u16, core: &crate::machine::Core) -> bool {
        let Some(dir) = self.fd(index, DIR) else { return true };
        let Err(e) = files::write_status(dir, &core.status()) else { return true };
        if self.rewrite_pause == 0 {
            self.note(index, What::WriteStatus, Some(e));
        }
        if self.rewrite.is_none() {
            self.rewrite_pause = (self.rewrite_pause * 2).clamp(REWRITE.0, REWRITE.1);
            let at = after(tick(), self.rewrite_pause);
            self.rewrite = Some(at);
            self.due(at);
        }
        false
    }

    fn tell(&self, index: u16, events: &[u8; 4]) {
        let len = events.iter().take_while(|e| **e != 0).count();
        let Some(dir) = self.fd(index, DIR) else { return };
        if let Err(e) = sys::fifodir::notify(dir, c"event", events.get(..len).unwrap_or_default()) {
            self.note(index, What::Notify, Some(e));
        }
    }

    /// Holds a descriptor, here and in the scanner. It is the scanner's before it is used.
    pub(crate) fn hold<const N: usize>(&mut self, index: u16, kind: u8, fds: [OwnedFd; N]) {
        if let Some(keeper) = &self.keeper {
            let borrowed = fds.each_ref().map(AsFd::as_fd);
            if let Err(e) = keep::send(keeper.as_fd(), index, kind, &borrowed) {
                self.note(index, What::Keep, Some(e));
            }
        }
        for (kind, fd) in (kind..).zip(fds) {
            let fd = sys::fs::dup(&fd, sys::spawn::inherited_end()).unwrap_or(fd);
            let _ = self.fds.put(keep::place(index, kind), fd);
        }
    }

    /// Lets go of a descriptor, here and in the scanner.
    pub(crate) fn drop_fd(&mut self, index: u16, kind: u8) {
        let Some(fd) = self.fds.take(keep::place(index, kind)) else { return };
        if kind == CONTROL || kind == NOTIFY {
            // The scanner has it open too, so closing ours would leave it in the set.
            let _ = self.epoll.delete(&fd);
        }
        drop(fd);
        if let Some(keeper) = &self.keeper {
            let _ = keep::forget(keeper.as_fd(), index, kind);
        }
    }

    /// Waits for a descriptor of a service, too; one that is not there is not waited for.
    pub(crate) fn watch(&self, index: u16, kind: u8) -> Result<()> {
        match self.fd(index, kind) {
            Some(fd) => match self.epoll.add(fd, u64::from(index) << 8 | u64::from(kind), EventFlags::IN) {
                Err(Errno::EXIST) => Ok(()),
                other => other,
            },
            None => Ok(()),
        }
    }

    fn take_control(&mut self, index: u16) {
        let Some(slot) = self.table.slot(index) else { return };
        loop {
            let Some(fd) = self.fd(index, CONTROL) else { return };
            // A pipe keeps the page that was read last for the next write, unless another pipe has it too: 4 KiB of each
            // service that ever got a command.
            let shared = self.drain.as_ref().filter(|(_, to)| sys::fs::tee(fd, to).is_ok());
            let read = sys::mm::read_shared(fd, &slot.control).unwrap_or(0);
            if let Some((drain, _)) = shared {
                let _ = sys::fs::read(drain, &mut [0; 64]);
            }
            self.obey(index, slot);
            if read < slot.control.len() {
                return;
            }
        }
    }

    /// Acts upon the control bytes that are in the slot. Each one is cleared when it has been acted upon.
    pub(crate) fn obey(&mut self, index: u16, slot: &'static Slot) {
        for place in &slot.control {
            let byte = place.load(SeqCst);
            if byte != 0 {
                self.event(index, Event::Command(byte));
                place.store(0, SeqCst);
            }
        }
    }

    /// Reads the readiness pipe until it is empty; it is closed after the newline, or at its end.
    fn take_readiness(&mut self, index: u16) {
        let Some(slot) = self.table.slot(index) else { return };
        loop {
            let Some(fd) = self.fd(index, NOTIFY) else { return };
            let read = sys::mm::read_shared(fd, &slot.notify);
            if self.heed(index, slot) {
                return;
            }
            match read {
                Ok(0) => return self.drop_fd(index, NOTIFY),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    /// Acts upon the readiness bytes in the slot; whether there was a newline.
    pub(crate) fn heed(&mut self, index: u16, slot: &'static Slot) -> bool {
        let is_ready = slot.notify.iter().any(|byte| byte.load(SeqCst) == b'\n');
        if is_ready {
            self.event(index, Event::Ready);
            self.drop_fd(index, NOTIFY);
        }
        clear(&slot.notify);
        is_ready
    }

    fn take_signals(&mut self) -> Result<()> {
        while let Some(info) = sys::signal::next_signal(self.signals.as_fd())? {
            match info.signal {
                number::CHLD => self.reap(),
                number::TERM => self.event(0, Event::Term),
                number::HUP => self.event(0, Event::Hup),
                number::QUIT => self.event(0, Event::Quit),
                number::INT => self.event(0, Event::Int),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the children that have died: recorded first, then reaped.
    fn reap(&mut self) {
        while let Ok(Some(death)) = sys::process::peek_death(Who::Any) {
            let index = self.table.find_pid(death.pid);
            if let Some(slot) = index.and_then(|i| self.table.slot(i)) {
                slot.record_death(death.pid, death.status);
            }
            let _ = sys::process::reap(Who::Pid(death.pid));
            if let Some(index) = index {
                self.take_death(index);
            }
        }
    }

    /// Acts upon the death that is recorded in the slot, if it is that of its process.
    pub(crate) fn take_death(&mut self, index: u16) {
        let Some(slot) = self.table.slot(index).filter(|slot| slot.phase() == Phase::Live) else { return };
        let core = slot.core();
        let Some(status) = slot.death(core.pid).filter(|_| core.pid != 0) else { return };
        if matches!(core.state, State::Up | State::LastUp) {
            // What it said before it died counts.
            self.take_readiness(index);
            self.drop_fd(index, NOTIFY);
        }
        self.event(index, Event::Died(status));
    }

    fn take_pokes(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        // One message an event: the socket blocks, so that nothing that is sent through it gets lost.
        match sys::net::receive(keeper, &mut [0; keep::SIZE], &mut sys::net::Fds::new()) {
            Err(Errno::INTR | Errno::AGAIN) => return,
            Ok(n) if n > 0 => {
                // Deaths that the scanner has recorded: of processes that another supervisor had started.
                self.table.indices().for_each(|index| self.take_death(index));
                return;
            }
            Ok(_) | Err(_) => {}
        }
        // The scanner is gone: the services live on, as they would under s6. Without it nothing is begun any more.
        let _ = self.epoll.delete(keeper);
        self.keeper = None;
    }
}

fn clear(bytes: &[AtomicU8]) {
    bytes.iter().for_each(|byte| byte.store(0, SeqCst));
}

/// Standard output and error go to the console from now on, or nowhere.
pub(crate) fn let_go_of_output(console: Option<&OwnedFd>) {
    let null = sys::fs::open(sys::CWD, c"/dev/null", sys::fs::OFlags::WRONLY, 0);
    let Some(to) = console.or(null.as_ref().ok()) else { return };
    let _ = sys::stdio::replace(1, to);
    let _ = sys::stdio::replace(2, to);
}

/// Signals a service's process, and never another one that got its number: a death is recorded before the number is free.
fn signal_process(slot: &Slot, pid: u32, signal: u8) -> Result<()> {
    if pid == 0 {
        return Ok(());
    }
    match sys::process::pidfd_open(pid) {
        Ok(process) if slot.death(pid).is_none() => sys::signal::kill_pidfd(process.as_fd(), signal),
        Ok(_) => Ok(()),
        Err(Errno::NOSYS) => sys::signal::kill(pid as i32, signal),
        Err(e) => Err(e),
    }
}

fn signal_group(slot: &Slot, pid: u32, signal: u8) -> Result<()> {
    match i32::try_from(pid) {
        Ok(group) if group > 1 && slot.death(pid).is_none() => sys::signal::kill(-group, signal),
        _ => Ok(()),
    }
}

/// Why a single supervisor could not begin, or had to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuperviseError {
    /// The service directory can't be entered.
    Directory(Errno),
    /// Something in it can't be made or taken; the reason has been noted.
    Begin,
    /// Another supervisor runs on it.
    AlreadySupervised,
    /// The name is too long.
    NameTooLong,
    /// The kernel refuses what a supervisor can't do without.
    Kernel(Errno),
}

/// Supervises the service in this directory until its supervision has ended.
pub fn run_one(directory: &core::ffi::CStr, say: Say) -> core::result::Result<(), SuperviseError> {
    const SIGNALS: Set = Set::of(&[number::CHLD, number::TERM, number::HUP, number::QUIT, number::INT]);
    let kernel = SuperviseError::Kernel;
    if directory.to_bytes().len() > crate::table::NAME_MAX {
        return Err(SuperviseError::NameTooLong);
    }
    sys::fs::chdir(directory).map_err(SuperviseError::Directory)?;
    let mask = sys::signal::set_mask(SIGNALS).map_err(kernel)?;
    sys::signal::set_disposition(number::PIPE, sys::signal::Disposition::Ignore).map_err(kernel)?;
    let (table, _) = Table::create(1).map_err(kernel)?;
    let fds = FdTable::new(keep::KINDS).map_err(kernel)?;
    let parts = Parts { table, fds, keeper: None, say, open_files: None, mask, rescan: 0, console: None };
    let mut supervisor = Supervisor::new(parts, SIGNALS).map_err(kernel)?;
    supervisor.begin_here(directory.to_bytes())?;
    supervisor.run_one().map_err(kernel)
}
