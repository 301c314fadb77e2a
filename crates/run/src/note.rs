// SPDX-License-Identifier: ISC
//! What a session tells its caller: each transition as it goes, and what could not be done. The words are in the binary.

use engine::Towards;
use live::LiveError;
use sys::Errno;

/// Why a transition did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The script exited with this code.
    Exited(u8),
    /// This signal killed the script.
    Killed(u8),
    /// It took longer than its definition, or the command, allows.
    TimedOut,
    /// `finish` said that the service must not be started again (exit code 125).
    Permanent,
    /// Its supervisor went away.
    SupervisorGone,
    /// Nobody supervises its service directory.
    NotSupervised,
    /// Its script could not be started.
    NotStarted(Errno),
    /// The oneshot runner is not there.
    NoRunner(Errno),
    /// The oneshot runner went away while the script ran.
    RunnerGone,
    /// A call on the way to the supervisor failed.
    Control(Errno),
    /// SIGTERM or SIGINT to the command.
    Interrupted,
    /// The state could not be recorded.
    State(LiveError),
    /// Its `reload-signal` is one that a supervisor can't be asked to send.
    ReloadSignal,
}

/// What a session tells while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A transition begins.
    Begin(u16, Towards),
    /// It succeeded, after so many milliseconds.
    Done(u16, Towards, u64),
    /// It failed, after so many milliseconds.
    Failed(u16, Towards, u64, Why),
    /// The service is already there.
    Already(u16, Towards),
    /// The service is essential and stays up.
    Essential(u16),
    /// The service was reloaded.
    Reloaded(u16),
    /// The service could not be reloaded.
    NotReloaded(u16, Why),
    /// The `down` file could not be made or removed.
    DownFile(u16, Errno),
    /// This signal came: longruns under way are given up, nothing new begins.
    Signal(u8),
}

/// How a change ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Transitions that failed.
    pub failures: usize,
    /// The time for the whole change was over.
    pub timed_out: bool,
    /// The signal that cut it short.
    pub signal: Option<u8>,
}

impl Outcome {
    /// Whether everything went as asked.
    pub const fn is_good(&self) -> bool {
        self.failures == 0 && !self.timed_out && self.signal.is_none()
    }
}

/// What stops a session or an init altogether.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunError {
    /// Signals, epoll: what the session itself needs.
    Prepare(Errno),
    /// Waiting for events.
    Wait(Errno),
    /// The live directory.
    Live(LiveError),
}

impl From<LiveError> for RunError {
    fn from(error: LiveError) -> Self {
        Self::Live(error)
    }
}
