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
use sys::Errno;
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

    /// Whether it has words for this note.
    pub const fn tells(&self, note: &Note) -> bool {
        let least = match note {
            Note::Already(..) => 3,
            Note::Done(..) if self.times => 0,
            Note::Begin(..) | Note::Done(..) | Note::Reloaded(_) => 2,
            Note::Signal(_)
            | Note::Failed(..)
            | Note::NotReloaded(..)
            | Note::Essential(_)
            | Note::StaysDown(..)
            | Note::Unsupervised(_)
            | Note::DownFile(..) => 1,
        };
        self.verbosity >= least
    }

    /// Takes one note.
    pub fn take(&mut self, note: Note) {
        self.record(note);
        if !self.tells(&note) {
            return;
        }
        let mut line = Line::new();
        match note {
            Note::Signal(signal) => {
                let text = t!("SIG% came: starting nothing more, waiting for scripts that run");
                line.put_template(text.bytes(), &[sys::signal::name(signal)]);
            }
            Note::Unsupervised(services) => {
                let text = t!(
                    "% services have no supervisor yet; waiting (-t gives up). s6-svscan takes 1000 unless its -C says more, and tells it"
                );
                line.put_template(text.bytes(), &[text::Digits::decimal(u64::from(services)).as_bytes()]);
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
                line.put(t!(" is essential: it stays up (-D stops it, too)").bytes());
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
                line.put(t!(" was to be up and is not").bytes());
                if let Some(needs) = needs {
                    line.put_template(t!(": it needs %, which is not up").bytes(), &[self.image.name(needs)]);
                }
                line.put_template(t!(" ('skeg why %')").bytes(), &[self.image.name(service)]);
            }
            Note::DownFile(service, errno) => {
                line.put(t!("can't make or remove the 'down' file of ").bytes());
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
        Why::Killed(signal) => Outcome::Killed(signal),
        Why::TimedOut => Outcome::TimedOut,
        Why::Permanent => Outcome::Failed(125),
        Why::NotStarted(errno) => Outcome::NotStarted(errno.raw_os_error() as u8),
        Why::Interrupted => Outcome::Cut,
        _ => Outcome::Failed(111),
    }
}

fn reason(line: &mut Line, why: Why) {
    let number;
    let (text, argument): (_, &[u8]) = match why {
        Why::Exited(code) => {
            number = text::Digits::decimal(u64::from(code));
            (t!("its script exited %"), number.as_bytes())
        }
        Why::Killed(signal) => (t!("its script was killed by SIG%"), sys::signal::name(signal)),
        Why::TimedOut => (t!("timed out"), b""),
        Why::Permanent => (t!("it failed permanently (its finish script exited 125)"), b""),
        Why::SupervisorGone => (t!("its supervisor went away"), b""),
        Why::NotSupervised => (t!("it is not supervised (is the scanner running? s6-svok tells)"), b""),
        Why::NotStarted(errno) => (t!("its script can't be started: %"), words::errno(errno)),
        Why::NoRunner(errno) => {
            (t!("can't reach s6rc-oneshot-runner, which runs its script: %"), words::errno(errno))
        }
        Why::RunnerGone => (t!("s6rc-oneshot-runner went away while its script ran"), b""),
        Why::Control(errno) => (t!("can't talk to its supervisor: %"), words::errno(errno)),
        Why::Interrupted => (t!("interrupted by a signal"), b""),
        Why::State(_) => (t!("its new state can't be recorded (is the live directory full?)"), b""),
        Why::ReloadSignal => (t!("supervisors can't be asked to send its reload-signal"), b""),
    };
    line.put_template(text.bytes(), &[argument]);
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
        Trouble::Wait(Errno::TIMEDOUT) => {
            (SYSTEM, t!("timed out: a script of a command that was killed still runs"))
        }
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
        | Trouble::Unable(_) => (
            SYSTEM,
            t!(
                "the supervisors of % did not come or go in time: s6-svstat on each of %:sv/* shows a process that does not end; then try again"
            ),
        ),
    };
    call.fail(code, what, live.to_bytes())
}
