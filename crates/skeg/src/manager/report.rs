// SPDX-License-Identifier: ISC
//! What happens during a change, in words, and into the history. Used by every applet that changes services.

use super::open::direction;
use crate::applet::{Call, SYSTEM};
use crate::live_words;
use crate::words;
use core::ffi::CStr;
use engine::{Image, Towards};
use live::{History, Outcome, Record};
use run::{Note, RunError, Trouble, Why};
use text::Line;

/// Tells and records what a session does.
pub struct Reporter<'a> {
    name: &'static [u8],
    image: &'a Image<'a>,
    verbosity: u32,
    history: Option<History>,
    times: bool,
}

impl<'a> Reporter<'a> {
    /// For the applet of this name; `history` may be missing, a change goes on without it.
    pub fn new(name: &'static [u8], image: &'a Image<'a>, verbosity: u32, history: Option<History>) -> Self {
        Self { name, image, verbosity, history, times: false }
    }

    /// Also says each transition that is over, whatever the verbosity.
    pub const fn with_times(mut self, times: bool) -> Self {
        self.times = times;
        self
    }

    /// Takes one note.
    pub fn take(&mut self, note: Note) {
        self.record(note);
        let least = match note {
            Note::Already(..) => 3,
            Note::Done(..) if self.times => 0,
            Note::Begin(..) | Note::Done(..) | Note::Reloaded(_) | Note::Signal(_) => 2,
            Note::Failed(..)
            | Note::NotReloaded(..)
            | Note::Essential(_)
            | Note::StaysDown(..)
            | Note::DownFile(..) => 1,
        };
        if self.verbosity < least {
            return;
        }
        let mut line = Line::new();
        match note {
            Note::Signal(signal) => {
                let signal = sys::signal::name(signal);
                line.put(b"SIG")
                    .put(signal)
                    .put(b" came: starting nothing more, waiting for scripts that run");
            }
            Note::Begin(service, towards) => {
                self.service(&mut line, service);
                line.put(if towards == Towards::Up { b": starting" } else { b": stopping" });
            }
            Note::Done(service, towards, took) => {
                self.service(&mut line, service);
                line.put(b": ").put(direction(towards)).put(b" after ").seconds(took);
            }
            Note::Failed(service, towards, took, why) => {
                line.put(if towards == Towards::Up { b"can't start " } else { b"can't stop " });
                self.service(&mut line, service);
                line.put(b" (after ").seconds(took).put(b"): ");
                reason(&mut line, why);
            }
            Note::Already(service, towards) => {
                self.service(&mut line, service);
                line.put(b": already ").put(direction(towards));
            }
            Note::Essential(service) => {
                self.service(&mut line, service);
                line.put(b" is essential: it stays up (-D stops it, too)");
            }
            Note::Reloaded(service) => {
                self.service(&mut line, service);
                line.put(b": reloaded");
            }
            Note::NotReloaded(service, why) => {
                line.put(b"can't reload ");
                self.service(&mut line, service);
                line.put(b": ");
                reason(&mut line, why);
            }
            Note::StaysDown(service, needs) => {
                self.service(&mut line, service);
                line.put(b" was to be up and is down");
                if let Some(needs) = needs {
                    line.put(b": it needs ").put_quoted(self.image.name(needs)).put(b", which is down");
                }
                line.put(b" ('skeg why ").put(self.image.name(service)).put(b"')");
            }
            Note::DownFile(service, errno) => {
                line.put(b"can't make or remove the 'down' file of ");
                self.service(&mut line, service);
                line.put(b": ").put(words::errno(errno));
            }
        }
        words::complain(self.name, "%", line.as_bytes());
    }

    fn service(&self, line: &mut Line, service: u16) {
        line.put(b"service ").put_quoted(self.image.name(service));
    }

    fn record(&mut self, note: Note) {
        let (service, towards, took, outcome) = match note {
            Note::Done(service, towards, took) => (service, towards, took, Outcome::Done),
            Note::Failed(service, towards, took, why) => (service, towards, took, outcome(why)),
            _ => return,
        };
        let Some(history) = &mut self.history else { return };
        let record = Record {
            seconds: u64::try_from(sys::time::wall().seconds).unwrap_or(0),
            took: u32::try_from(took).unwrap_or(u32::MAX),
            up: towards == Towards::Up,
            outcome,
            name: self.image.name(service),
        };
        if history.append(&record).is_err() {
            // A ring that can't be written says nothing about the services.
            self.history = None;
        }
    }
}

const fn outcome(why: Why) -> Outcome {
    match why {
        Why::Exited(code) => Outcome::Failed(code),
        Why::Killed(signal) => Outcome::Failed(128u8.wrapping_add(signal)),
        Why::TimedOut => Outcome::TimedOut,
        Why::Permanent => Outcome::Failed(125),
        Why::NotStarted(_) => Outcome::Failed(127),
        Why::Interrupted => Outcome::Cut,
        _ => Outcome::Failed(111),
    }
}

fn reason(line: &mut Line, why: Why) {
    match why {
        Why::Exited(code) => line.put(b"its script exited ").num(u64::from(code)),
        Why::Killed(signal) => line.put(b"its script was killed by SIG").put(sys::signal::name(signal)),
        Why::TimedOut => line.put(b"timed out"),
        Why::Permanent => line.put(b"it failed permanently (its finish script exited 125)"),
        Why::SupervisorGone => line.put(b"its supervisor went away"),
        Why::NotSupervised => line.put(b"it is not supervised (is the scanner running? s6-svok tells)"),
        Why::NotStarted(errno) => line.put(b"its script can't be started: ").put(words::errno(errno)),
        Why::NoRunner(errno) => {
            line.put(b"can't reach s6rc-oneshot-runner, which runs its script: ").put(words::errno(errno))
        }
        Why::RunnerGone => line.put(b"s6rc-oneshot-runner went away while its script ran"),
        Why::Control(errno) => line.put(b"can't talk to its supervisor: ").put(words::errno(errno)),
        Why::Interrupted => line.put(b"interrupted by a signal"),
        Why::State(_) => line.put(b"its new state can't be recorded (is the live directory full?)"),
        Why::ReloadSignal => line.put(b"supervisors can't be asked to send its reload-signal"),
    };
}

/// Says what becomes of the services that were to be up and are not.
#[inline(never)]
pub fn owed(call: &Call, outcome: run::Outcome) {
    if outcome.owed != 0 && call.number(b'v', 1) != 0 {
        call.say(
            t!("'skeg recover' or the next update starts what was to be up; 's6-rc -d change NAME' gives it up"),
            b"",
        );
    }
}

/// The exit code of a change; one that timed out is said.
#[inline(never)]
pub fn ended(call: &Call, outcome: run::Outcome) -> u8 {
    owed(call, outcome);
    if outcome.timed_out {
        return call.fail(2, t!("timed out"), b"");
    }
    u8::from(!outcome.is_good())
}

/// Says why a session ended; the exit code.
#[inline(never)]
pub fn session_error(call: &Call, live: &CStr, error: RunError) -> u8 {
    let (code, what) = match error.trouble() {
        Trouble::Live(error) => return live_words::complain(call, live, error),
        Trouble::Prepare(errno) => return call.failed(t!("prepare the waiting for events"), b"", errno),
        Trouble::Wait(errno) => return call.failed(t!("wait for events"), b"", errno),
        Trouble::NoScanner => {
            (SYSTEM, t!("no s6-svscan runs on the scan directory of %: start it, then try again"))
        }
        Trouble::Elsewhere => {
            (live_words::INVALID, t!("% is neither where its journal began nor where it leads"))
        }
        Trouble::ScanDir(_)
        | Trouble::OtherImage
        | Trouble::OtherScanDir
        | Trouble::OtherPrefix
        | Trouble::Unfinished
        | Trouble::TimedOut(_)
        | Trouble::Unable(_) => (SYSTEM, t!("the supervisors of % did not come or go in time: try again")),
    };
    call.fail(code, what, live.to_bytes())
}
