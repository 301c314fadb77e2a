// SPDX-License-Identifier: ISC
//! A supervision tree of a test: the scanner, its services, and its orderly end.

use crate::fifodir::Listener;
use crate::process::{self, wait_for};
use crate::program::Suite;
use crate::scratch::Scratch;
use crate::status::Status;
use crate::wait::{PATIENCE, must, until};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Who runs a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the test.
    Same,
    /// An ordinary user (65534), if the test is run by root.
    Ordinary,
}

impl User {
    /// The ids to change to, if any.
    pub fn ids(self) -> Option<(u32, u32)> {
        match self {
            Self::Same => None,
            Self::Ordinary => rustix::process::geteuid().is_root().then_some((65534, 65534)),
        }
    }
}

/// Someone has this FIFO open for reading.
pub fn listening(fifo: &Path) -> bool {
    rustix::fs::open(fifo, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

/// How many bytes of this FIFO nobody has read yet. (An end for reading is opened, and nothing is read.)
fn unread(fifo: &Path) -> Option<u64> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(fifo, flags, Mode::empty()).ok()?;
    rustix::io::ioctl_fionread(&fd).ok()
}

/// A running scanner. It is stopped with SIGTERM when it goes out of scope.
pub struct Scanner {
    child: Child,
    /// The scan directory.
    pub dir: PathBuf,
}

impl Scanner {
    /// Starts a scanner on `scan` in the scratch directory and waits until it listens.
    #[track_caller]
    pub fn start(scratch: &Scratch, suite: &Suite) -> Self {
        Self::start_with(scratch, suite, "scan", &[], |_| ())
    }

    /// Starts a scanner with more options on a scan directory of this name; `prepare` may change the command.
    #[track_caller]
    pub fn start_with(
        scratch: &Scratch,
        suite: &Suite,
        name: &str,
        options: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let dir = scratch.folder(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(scratch.at(format!("{name}.log")))
            .expect("the scanner's log");
        // The scanner must not outlive a test that is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).args(suite.words("s6-svscan"));
        command.args(options).arg(&dir).current_dir(scratch.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        scratch.mark(&mut command);
        prepare(&mut command);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let fifo = dir.join(".s6-svscan/control");
        let up = until(PATIENCE, || listening(&fifo) || !matches!(child.try_wait(), Ok(None)));
        let ended = child.try_wait().expect("a child");
        assert!(
            up && ended.is_none(),
            "the scanner does not listen ({ended:?}): {}",
            scratch.read(format!("{name}.log"))
        );
        Self { child, dir }
    }

    /// The scanner's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The one supervisor of skeg's scanner: its child that runs the same program. A service that a killed supervisor
    /// was about to start is one too, until its exec: it first blocks all signals, then leaves the session, then
    /// unblocks them.
    pub fn supervisor(&self) -> Option<u32> {
        let program = process::executable(self.pid())?;
        process::children(self.pid()).into_iter().find(|pid| {
            process::executable(*pid).as_ref() == Some(&program)
                && process::status_field(*pid, "SigBlk").is_some_and(|mask| !mask.starts_with("ffff"))
                && process::session(*pid) != Some(*pid)
        })
    }

    /// The same once it is there: while it starts a service it blocks all signals, too.
    pub fn must_supervisor(&self) -> u32 {
        let mut found = None;
        must("a supervisor", || {
            found = self.supervisor();
            found.is_some()
        });
        found.expect("it was found")
    }

    /// Whether that supervisor waits for something to do: then it has heeded all that it has read.
    pub fn is_idle(&self) -> bool {
        /// The numbers of epoll_wait, epoll_pwait and epoll_pwait2 on the machines that run tests.
        const WAITS: [&str; 5] = ["232", "281", "441", "22", "252"];
        let Some(pid) = self.supervisor() else { return false };
        match std::fs::read_to_string(format!("/proc/{pid}/syscall")) {
            Ok(call) => WAITS.contains(&call.split(' ').next().unwrap_or_default()),
            // Where the kernel does not tell: that it sleeps must do.
            Err(_) => process::state(pid) == Some('S'),
        }
    }

    /// Ends it with a signal; whether it ended by itself before the deadline.
    pub fn stop(&mut self, signal: Signal) -> bool {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Debian's scanner forgets a signal to end for an `n` that it reads in the same round.
            until(PATIENCE, || unread(&self.dir.join(".s6-svscan/control")).unwrap_or(0) == 0);
            process::kill(self.child.id(), signal);
        }
        wait_for(&mut self.child, PATIENCE).is_some()
    }

    /// Waits for its end without a signal.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        wait_for(&mut self.child, PATIENCE)
    }

    /// A service of the scan directory.
    pub fn service(&self, name: &str) -> Service {
        Service { dir: self.dir.join(name) }
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        if !self.stop(Signal::TERM) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A service directory.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its path.
    pub dir: PathBuf,
}

impl Service {
    /// The service directory at this path.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Its status file, if it can be read.
    pub fn status(&self) -> Option<Status> {
        Status::read(&self.dir)
    }

    /// Whether its control FIFO has a reader: what every s6 tool asks first.
    pub fn supervised(&self) -> bool {
        listening(&self.dir.join("supervise/control"))
    }

    /// A listener on its events.
    #[track_caller]
    pub fn listen(&self) -> Listener {
        Listener::new(&self.dir.join("event"))
    }

    /// Waits until its status is like this.
    #[track_caller]
    pub fn must(&self, what: &str, mut condition: impl FnMut(&Status) -> bool) -> Status {
        let mut last = None;
        let came = until(PATIENCE, || {
            last = self.status();
            last.as_ref().is_some_and(&mut condition)
        });
        assert!(came, "{}: did not become {what}; its status is {last:?}", self.dir.display());
        last.expect("a status that was read")
    }

    /// How many commands its supervisor has not read yet.
    pub fn unread(&self) -> Option<u64> {
        unread(&self.dir.join("supervise/control"))
    }

    /// Whether its supervisor has read all commands.
    pub fn has_read_all(&self) -> bool {
        self.unread() == Some(0)
    }

    /// Writes bytes into its control FIFO.
    #[track_caller]
    pub fn control(&self, bytes: &[u8]) {
        let path = self.dir.join("supervise/control");
        let fd = rustix::fs::open(&path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(rustix::io::write(&fd, bytes), Ok(bytes.len()), "{}", path.display());
    }
}
