// SPDX-License-Identifier: ISC
//! What a session tells its caller: each transition as it goes, and what could not be done. The words are in the binary.

use engine::Towards;
use live::{LiveError, errno};
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
    /// An update or a restart wants this service up and ends without; it needs that one, which is not up.
    StaysDown(u16, Option<u16>),
    /// The `down` file could not be made or removed.
    DownFile(u16, Errno),
    /// So many services have no supervisor yet, for a while now; the waiting goes on.
    Unsupervised(u16),
    /// This signal came: longruns under way are given up, nothing new begins.
    Signal(u8),
}

/// How a change ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Transitions that failed.
    pub failures: usize,
    /// Services that an update or a restart wanted up, and that are not.
    pub owed: usize,
    /// The time for the whole change was over.
    pub timed_out: bool,
    /// The signal that cut it short.
    pub signal: Option<u8>,
}

impl Outcome {
    /// A signal that cut this part short is for the parts that follow, too.
    pub(crate) fn hand_on(&self) {
        if let Some(signal) = self.signal {
            let _ = sys::signal::kill(sys::process::pid() as i32, signal);
        }
    }

    /// Whether everything went as asked.
    pub const fn is_good(&self) -> bool {
        self.failures == 0 && !self.timed_out && self.signal.is_none()
    }
}

/// What a [`RunError`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The live directory.
    Live(LiveError),
    /// Signals, epoll: what the session itself needs.
    Prepare(Errno),
    /// Waiting for events.
    Wait(Errno),
    /// No scanner runs on the scan directory.
    NoScanner,
    /// The scan directory can't be used.
    ScanDir(Errno),
    /// The live directory belongs to another image.
    OtherImage,
    /// It belongs to another scan directory.
    OtherScanDir,
    /// It has another prefix.
    OtherPrefix,
    /// An update or a change was cut short: that is to be recovered first.
    Unfinished,
    /// Not all supervisors came, or went, in time: how many.
    TimedOut(u32),
    /// A service asks for something that this scanner's supervisors can't do, and that must not be left out.
    Unable(u16),
    /// The generation in force is neither the old nor the new one of the journal.
    Elsewhere,
}

/// What stops a session, an init, an update or a recovery altogether: a [`Trouble`] in one word. The kinds of
/// [`LiveError`] are among its own, so that one becomes the other for nothing.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RunError(LiveError);

impl RunError {
    /// [`Trouble::NoScanner`]
    pub const NO_SCANNER: Self = Self::new(130, 0);
    /// [`Trouble::OtherImage`]
    pub const OTHER_IMAGE: Self = Self::new(132, 0);
    /// [`Trouble::OtherScanDir`]
    pub const OTHER_SCANDIR: Self = Self::new(133, 0);
    /// [`Trouble::OtherPrefix`]
    pub const OTHER_PREFIX: Self = Self::new(134, 0);
    /// [`Trouble::Unfinished`]
    pub const UNFINISHED: Self = Self::new(135, 0);
    /// [`Trouble::Elsewhere`]
    pub const ELSEWHERE: Self = Self::new(138, 0);

    const fn new(kind: u8, number: u32) -> Self {
        Self(LiveError::new(kind, number))
    }

    pub(crate) const fn prepare(errno: Errno) -> Self {
        Self::new(128, errno.raw_os_error() as u32)
    }

    pub(crate) const fn wait(errno: Errno) -> Self {
        Self::new(129, errno.raw_os_error() as u32)
    }

    pub(crate) const fn scandir(errno: Errno) -> Self {
        Self::new(131, errno.raw_os_error() as u32)
    }

    pub(crate) const fn timed_out(missing: usize) -> Self {
        Self::new(136, missing as u32)
    }

    pub(crate) const fn unable(service: u16) -> Self {
        Self::new(137, service as u32)
    }

    /// What it says.
    pub fn trouble(self) -> Trouble {
        let (kind, number) = self.0.parts();
        match kind {
            128 => Trouble::Prepare(errno(number)),
            129 => Trouble::Wait(errno(number)),
            130 => Trouble::NoScanner,
            131 => Trouble::ScanDir(errno(number)),
            132 => Trouble::OtherImage,
            133 => Trouble::OtherScanDir,
            134 => Trouble::OtherPrefix,
            135 => Trouble::Unfinished,
            136 => Trouble::TimedOut(number),
            137 => Trouble::Unable(number as u16),
            138 => Trouble::Elsewhere,
            _ => Trouble::Live(self.0),
        }
    }
}

impl core::fmt::Debug for RunError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.trouble().fmt(f)
    }
}

impl From<LiveError> for RunError {
    fn from(error: LiveError) -> Self {
        Self(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_was_put_into_it() {
        assert_eq!(RunError::prepare(Errno::MFILE).trouble(), Trouble::Prepare(Errno::MFILE));
        assert_eq!(RunError::wait(Errno::BADF).trouble(), Trouble::Wait(Errno::BADF));
        assert_eq!(RunError::scandir(Errno::NOENT).trouble(), Trouble::ScanDir(Errno::NOENT));
        assert_eq!(RunError::timed_out(8192).trouble(), Trouble::TimedOut(8192));
        assert_eq!(RunError::unable(8191).trouble(), Trouble::Unable(8191));
        assert_eq!(RunError::ELSEWHERE.trouble(), Trouble::Elsewhere);
        assert_eq!(RunError::from(LiveError::ABSENT).trouble(), Trouble::Live(LiveError::ABSENT));
    }
}
