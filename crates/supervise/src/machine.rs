// SPDX-License-Identifier: ISC
//! What a supervisor does with one service: state and event in, state and actions out. Pure: no system call, no clock.
//!
//! STATE.md beside the crate's manifest says why. Used by the supervisor, which commits the state before it acts.

use sys::signal::number;
use sys::time::Tai64n;

/// Words of a packed [`Core`].
pub const WORDS: usize = 16;
/// What a failed spawn waits before the next attempt, in ms. s6 waits 60 s; most causes (no memory, a file that an
/// administrator is about to repair) are over sooner, and one attempt in ten seconds costs nothing.
pub const FAILED_SPAWN: u32 = 10_000;
/// Least time between two starts of a service that does not live as long, in ms: caps a crash loop at one start a second.
pub const RESPAWN: u32 = 1_000;
/// Between a SIGKILL and the next, in ms: a process in an uninterruptible wait is asked again.
pub const KILL_AGAIN: u32 = 5_000;
/// `finish` ends with this code to say: never again.
const PERMANENT_FAILURE: u16 = 125 << 8;

/// A point on the supervisor's clock: ms, wrapping; 0 is never one.
pub type Tick = u32;

/// Whether `a` is not later than `b`, on a clock that wraps.
pub const fn is_past(a: Tick, b: Tick) -> bool {
    b.wrapping_sub(a) < 1 << 31
}

/// The tick this many ms later; at most 24 days.
pub const fn after(now: Tick, ms: u32) -> Tick {
    let ms = if ms < 1 << 31 { ms } else { (1 << 31) - 1 };
    let at = now.wrapping_add(ms);
    if at == 0 { 1 } else { at }
}

/// Where a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing runs.
    Down,
    /// `run` runs.
    Up,
    /// `finish` runs, or is about to.
    Finish,
    /// `run` runs for the last time: its supervision ends with it.
    LastUp,
    /// `finish` runs for the last time.
    LastFinish,
    /// Its supervision has ended.
    Gone,
}

/// A process that is to be started: decided, committed, not yet (known to be) done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// None.
    None,
    /// Start `run`: prepare.
    Run,
    /// `run` is being started: its id is in the table if it was.
    RunNow,
    /// Start `finish`: prepare.
    Finish,
    /// `finish` is being started: its id is in the table if it was.
    FinishNow,
}

/// All that is known of a service, apart from what comes from outside. 64 bytes packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Where it is.
    pub state: State,
    /// What is to be started.
    pub intent: Intent,
    /// It was stopped by a signal; on its own in [`State::Down`]: it has never been started.
    pub paused: bool,
    /// It is to be up.
    pub wanted_up: bool,
    /// It said that it is ready; when down: it can be started.
    pub ready: bool,
    /// It was told to end and has a deadline for that.
    pub dying: bool,
    /// `finish` gets /dev/null as its standard input and output.
    pub closed: bool,
    /// The status file is to be written.
    pub write_status: bool,
    /// The death is to be added to the tally.
    pub write_tally: bool,
    /// Bytes for the listeners, in order; 0 = none.
    pub events: [u8; 4],
    /// The process that runs; 0 = none.
    pub pid: u32,
    /// What `run`'s process id was.
    pub run_pid: u32,
    /// How `run` ended last.
    pub wait: u16,
    /// When something is due; 0 = never.
    pub deadline: Tick,
    /// When `run` was started last; 0 = never.
    pub started: Tick,
    /// The pause that its last death has led to, in ms: `restart-backoff` doubles it; 0 = none.
    pub pause: u32,
    /// Since when it is up or down.
    pub stamp: Tai64n,
    /// Since when it is ready.
    pub ready_stamp: Tai64n,
}

/// Something that happens to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its deadline has come.
    Timeout,
    /// Its process has died; the status as wait(2) codes it.
    Died(u16),
    /// `run` or `finish`, whichever was intended, runs with this id.
    Started(u32),
    /// It could not be started; for `run`: try again after so many ms.
    NotStarted(u32),
    /// It said that it is ready.
    Ready,
    /// A byte of the control FIFO.
    Command(u8),
    /// Stop it and end its supervision.
    Term,
    /// End its supervision when it ends.
    Hup,
    /// End its supervision now and leave it as it is (`s6-supervise` only).
    Quit,
    /// SIGINT to its process group, then as `Quit` (`s6-supervise` only).
    Int,
}

/// Something to be done at once, after the state has been committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the process this signal.
    Signal(u8),
    /// Send the process group this signal.
    SignalGroup(u8),
    /// Send the signal of `down-signal`.
    SignalDown,
    /// Send the signal of `reload-signal`.
    SignalReload,
    /// SIGKILL and SIGCONT, to the group if `flag-timeout-killpg` says so.
    KillLate,
    /// Make the file `down`.
    AddDown,
    /// Remove the file `down`.
    RemoveDown,
}

/// Actions of one step: at most three.
pub type Actions = heapless::Vec<Action, 4>;

/// What a step may ask, when it needs it: the small files of the service directory are read at each use.
pub trait Settings {
    /// `timeout-kill` in ms; 0 = none.
    fn timeout_kill(&self) -> u32;
    /// `timeout-finish` in ms; 0 = none.
    fn timeout_finish(&self) -> u32;
    /// `restart-backoff` in ms: the first pause, and the longest; both 0 = none.
    fn backoff(&self) -> (u32, u32);
}

/// When a step happens.
#[derive(Clone, Copy)]
pub struct Now {
    /// On the clock of deadlines.
    pub tick: Tick,
    /// On the wall.
    pub stamp: Tai64n,
}

impl Core {
    /// A service whose supervision begins.
    pub fn new(now: Now, wanted_up: bool) -> Self {
        Self {
            state: State::Down,
            intent: Intent::None,
            paused: true,
            wanted_up,
            ready: true,
            dying: false,
            closed: false,
            write_status: true,
            write_tally: false,
            events: [b's', 0, 0, 0],
            pid: 0,
            run_pid: 0,
            wait: 0,
            deadline: after(now.tick, 0),
            started: 0,
            pause: 0,
            stamp: now.stamp,
            ready_stamp: now.stamp,
        }
    }

    /// What happens next; the caller commits, then acts.
    pub fn step(&mut self, event: Event, now: Now, settings: &impl Settings, out: &mut Actions) {
        match event {
            Event::Timeout => self.timeout(now, out),
            Event::Died(status) => self.died(status, now, settings),
            Event::Started(pid) => self.started(pid, now, settings),
            Event::NotStarted(wait) => self.not_started(wait, now),
            Event::Ready => self.readiness(now),
            Event::Command(byte) => self.command(byte, now, settings, out),
            Event::Term => match self.state {
                State::Down => self.leave(),
                State::Up => {
                    self.state = State::LastUp;
                    self.stop(now, settings, out);
                }
                State::LastUp => self.stop(now, settings, out),
                State::Finish => self.hang_up(),
                State::LastFinish | State::Gone => {}
            },
            Event::Hup => self.hang_up(),
            Event::Quit => self.leave(),
            Event::Int => {
                if self.pid != 0 {
                    let _ = out.push(Action::SignalGroup(number::INT));
                }
                self.leave();
            }
        }
    }

    /// Whether `run` is running.
    const fn is_up(&self) -> bool {
        matches!(self.state, State::Up | State::LastUp) && self.pid != 0
    }

    fn say(&mut self, events: &[u8]) {
        for event in events {
            if let Some(place) = self.events.iter_mut().find(|e| **e == 0) {
                *place = *event;
            }
        }
    }

    fn leave(&mut self) {
        if self.state != State::Gone {
            self.state = State::Gone;
            self.deadline = 0;
            self.say(b"x");
        }
    }

    fn hang_up(&mut self) {
        match self.state {
            State::Down => self.leave(),
            State::Up => (self.state, self.closed) = (State::LastUp, true),
            State::Finish => (self.state, self.closed) = (State::LastFinish, true),
            State::LastUp | State::LastFinish => self.closed = true,
            State::Gone => {}
        }
    }

    fn want(&mut self, up: bool) {
        (self.wanted_up, self.pause) = (up, 0);
        self.write_status = true;
    }

    fn start(&mut self) {
        self.intent = Intent::Run;
        self.deadline = 0;
    }

    /// Tells `run` to end, and what comes if it does not.
    fn stop(&mut self, now: Now, settings: &impl Settings, out: &mut Actions) {
        self.want(false);
        self.paused = false;
        let _ = out.push(Action::SignalDown);
        let _ = out.push(Action::Signal(number::CONT));
        let timeout = settings.timeout_kill();
        self.dying = timeout != 0;
        self.deadline = if timeout == 0 { 0 } else { after(now.tick, timeout) };
    }

    fn timeout(&mut self, now: Now, out: &mut Actions) {
        match self.state {
            State::Down if self.wanted_up => self.start(),
            State::Down | State::Gone => self.deadline = 0,
            State::Up | State::LastUp if self.dying => {
                let _ = out.push(Action::KillLate);
                self.deadline = after(now.tick, KILL_AGAIN);
            }
            State::Up | State::LastUp => self.deadline = 0,
            State::Finish | State::LastFinish => {
                let _ = out.push(Action::Signal(number::CONT));
                let _ = out.push(Action::Signal(number::KILL));
                self.deadline = after(now.tick, KILL_AGAIN);
            }
        }
    }

    fn died(&mut self, status: u16, now: Now, settings: &impl Settings) {
        match self.state {
            State::Up | State::LastUp => {
                self.state = if self.state == State::Up { State::Finish } else { State::LastFinish };
                self.wait = status;
                (self.run_pid, self.pid) = (self.pid, 0);
                (self.paused, self.ready, self.dying) = (false, false, false);
                self.stamp = now.stamp;
                self.write_tally = true;
                self.deadline = 0;
                self.intent = Intent::Finish;
                let (first, most) = settings.backoff();
                let is_stable = now.tick.wrapping_sub(self.started) >= most;
                self.pause =
                    if self.pause == 0 || is_stable { first } else { self.pause.saturating_mul(2).min(most) };
            }
            State::Finish | State::LastFinish => {
                self.pid = 0;
                if status == PERMANENT_FAILURE {
                    self.wanted_up = false;
                    self.down_and_ready(b"OD", now);
                } else {
                    self.down_and_ready(b"D", now);
                }
            }
            State::Down | State::Gone => {}
        }
    }

    fn down_and_ready(&mut self, events: &[u8], now: Now) {
        let last = self.state == State::LastFinish;
        (self.pid, self.ready, self.intent) = (0, true, Intent::None);
        self.ready_stamp = now.stamp;
        self.write_status = true;
        self.say(events);
        if last {
            return self.leave();
        }
        self.state = State::Down;
        // In this order, so that a start from before half a turn of the clock is no start to come.
        let young = RESPAWN.saturating_sub(now.tick.wrapping_sub(self.started));
        self.deadline = after(now.tick, young.max(self.pause));
    }

    fn started(&mut self, pid: u32, now: Now, settings: &impl Settings) {
        self.pid = pid;
        self.write_status = true;
        match self.intent {
            Intent::Run | Intent::RunNow => {
                self.state = State::Up;
                self.ready = false;
                self.stamp = now.stamp;
                (self.started, self.deadline) = (after(now.tick, 0), 0);
                self.say(b"u");
            }
            Intent::Finish | Intent::FinishNow => {
                let timeout = settings.timeout_finish();
                self.deadline = if timeout == 0 { 0 } else { after(now.tick, timeout) };
                self.say(b"d");
            }
            Intent::None => {}
        }
        self.intent = Intent::None;
    }

    fn not_started(&mut self, wait: u32, now: Now) {
        match self.intent {
            Intent::Run | Intent::RunNow => self.deadline = after(now.tick, wait),
            Intent::Finish | Intent::FinishNow => self.down_and_ready(b"dD", now),
            Intent::None => {}
        }
        self.intent = Intent::None;
    }

    fn readiness(&mut self, now: Now) {
        if self.is_up() && !self.ready {
            self.ready = true;
            self.ready_stamp = now.stamp;
            self.write_status = true;
            self.say(b"U");
        }
    }

    fn command(&mut self, byte: u8, now: Now, settings: &impl Settings, out: &mut Actions) {
        match byte {
            b'o' | b'u' | b'U' => {
                if byte == b'U' {
                    let _ = out.push(Action::RemoveDown);
                }
                self.want(byte != b'o');
                if self.state == State::Down {
                    self.start();
                }
            }
            b'd' | b'D' => {
                if byte == b'D' {
                    let _ = out.push(Action::AddDown);
                }
                if self.is_up() { self.stop(now, settings, out) } else { self.want(false) }
            }
            b'O' | b'Q' => {
                if byte == b'Q' {
                    let _ = out.push(Action::AddDown);
                }
                self.want(false);
            }
            b'x' => self.hang_up(),
            _ if self.is_up() => self.signal(byte, out),
            _ => {}
        }
    }

    fn signal(&mut self, byte: u8, out: &mut Actions) {
        let action = match byte {
            b'a' => Action::Signal(number::ALRM),
            b'b' => Action::Signal(number::ABRT),
            b'q' => Action::Signal(number::QUIT),
            b'h' => Action::Signal(number::HUP),
            b'k' => Action::Signal(number::KILL),
            b't' => Action::Signal(number::TERM),
            b'i' => Action::Signal(number::INT),
            b'1' => Action::Signal(number::USR1),
            b'2' => Action::Signal(number::USR2),
            b'p' => Action::Signal(number::STOP),
            b'c' => Action::Signal(number::CONT),
            b'y' => Action::Signal(number::WINCH),
            b'r' => Action::SignalDown,
            b'l' => Action::SignalReload,
            b'P' => Action::SignalGroup(number::STOP),
            b'C' => Action::SignalGroup(number::CONT),
            b'K' => Action::SignalGroup(number::KILL),
            _ => return,
        };
        if let b'p' | b'P' | b'c' | b'C' = byte {
            self.paused = byte.eq_ignore_ascii_case(&b'p');
            self.write_status = true;
        }
        let _ = out.push(action);
    }

    /// The status file's 35 bytes, as PROTOCOLS and s6 have them.
    pub fn status(&self) -> [u8; 35] {
        let finishing = self.pid != 0 && matches!(self.state, State::Finish | State::LastFinish);
        let flags = u8::from(self.paused)
            | u8::from(finishing) << 1
            | u8::from(self.wanted_up) << 2
            | u8::from(self.ready) << 3;
        let mut bytes = [0; 35];
        let parts: [&[u8]; 5] = [
            &self.stamp.0,
            &self.ready_stamp.0,
            &u64::from(self.pid).to_be_bytes(),
            &self.wait.to_be_bytes(),
            &[flags],
        ];
        for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }
}

impl Core {
    /// As the words of a slot.
    pub fn pack(&self) -> [u32; WORDS] {
        let flags = [
            self.paused,
            self.wanted_up,
            self.ready,
            self.dying,
            self.closed,
            self.write_status,
            self.write_tally,
        ];
        let flags = flags.iter().enumerate().fold(0u32, |bits, (at, on)| bits | u32::from(*on) << at);
        let mut words = [0; WORDS];
        words[0] = self.state as u32 | (self.intent as u32) << 8 | flags << 16;
        words[1] = u32::from_le_bytes(self.events);
        words[2] = self.pid;
        words[3] = self.run_pid;
        words[4] = u32::from(self.wait);
        words[5] = self.deadline;
        words[6] = self.started;
        words[13] = self.pause;
        let stamps = self.stamp.0.as_chunks().0.iter().chain(self.ready_stamp.0.as_chunks().0);
        for (word, bytes) in words[7..].iter_mut().zip(stamps) {
            *word = u32::from_le_bytes(*bytes);
        }
        words
    }

    /// From the words of a slot.
    pub fn unpack(words: &[u32; WORDS]) -> Self {
        let flag = |at: u32| words[0] >> (16 + at) & 1 != 0;
        let stamp = |from: usize| {
            let mut stamp = Tai64n::default();
            for (bytes, word) in stamp.0.chunks_exact_mut(4).zip(words.get(from..).unwrap_or_default()) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            stamp
        };
        Self {
            state: match words[0] & 0xff {
                0 => State::Down,
                1 => State::Up,
                2 => State::Finish,
                3 => State::LastUp,
                4 => State::LastFinish,
                _ => State::Gone,
            },
            intent: match words[0] >> 8 & 0xff {
                0 => Intent::None,
                1 => Intent::Run,
                2 => Intent::RunNow,
                3 => Intent::Finish,
                _ => Intent::FinishNow,
            },
            paused: flag(0),
            wanted_up: flag(1),
            ready: flag(2),
            dying: flag(3),
            closed: flag(4),
            write_status: flag(5),
            write_tally: flag(6),
            events: words[1].to_le_bytes(),
            pid: words[2],
            run_pid: words[3],
            wait: words[4] as u16,
            deadline: words[5],
            started: words[6],
            pause: words[13],
            stamp: stamp(7),
            ready_stamp: stamp(10),
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
