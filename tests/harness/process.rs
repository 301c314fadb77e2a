// SPDX-License-Identifier: ISC
//! Running a command up to a deadline, and looking at processes through /proc.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its exit code; 128 + signal when it was killed; -1 when it hung and was killed by the test.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// How long it took.
    pub took: Duration,
}

impl Done {
    /// Whether it did not end by itself.
    pub fn hung(&self) -> bool {
        self.code == -1
    }

    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code; it said: {}{}", self.out, self.err);
        self
    }

    /// The lines of standard output, sorted.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.out.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// A minute: what no command of a test takes.
pub const LONG: Duration = Duration::from_secs(60);

/// Runs the command with nothing on standard input; after a minute it is killed.
pub fn run(command: &mut Command) -> Done {
    run_for(command, LONG)
}

/// Runs the command up to this deadline. Output goes through files, since a service may inherit it and live on.
pub fn run_for(command: &mut Command, patience: Duration) -> Done {
    Running::start(command).finish(patience)
}

/// A command that has been started.
pub struct Running {
    child: Child,
    out: File,
    err: File,
    since: Instant,
}

impl Running {
    /// Starts it, with its output kept.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let (out, err) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        command.stdin(Stdio::null());
        command.stdout(out.try_clone().expect("a descriptor"));
        command.stderr(err.try_clone().expect("a descriptor"));
        let since = Instant::now();
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self { child, out, err, since }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.child.id(), signal);
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written to standard error so far.
    pub fn said(&self) -> String {
        text(&self.err)
    }

    /// Waits for its end up to the deadline, then kills it.
    pub fn finish(mut self, patience: Duration) -> Done {
        let status = wait_for(&mut self.child, patience);
        let code = match status {
            Some(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            None => {
                let _ = self.child.kill();
                let _ = self.child.wait();
                -1
            }
        };
        Done { code, out: text(&self.out), err: text(&self.err), took: self.since.elapsed() }
    }
}

/// All that was written to the file, whose position is the writer's.
fn text(file: &File) -> String {
    let length = file.metadata().map_or(0, |m| m.len());
    let mut bytes = vec![0; length as usize];
    let read = file.read_exact_at(&mut bytes, 0);
    if read.is_err() {
        bytes.clear();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the end of a child up to a deadline.
pub fn wait_for(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    let pid = Pid::from_raw(child.id() as i32)?;
    if let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) {
        let limit =
            Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
        let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit));
    }
    child.try_wait().ok().flatten()
}

/// Sends a signal to a process; whether there was one.
pub fn kill(pid: u32, signal: Signal) -> bool {
    Pid::from_raw(pid as i32).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Whether a process with this id is there and is no zombie.
pub fn alive(pid: u32) -> bool {
    state(pid).is_some_and(|s| s != 'Z' && s != 'X')
}

/// The letter of the process's state.
pub fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// The parent's id.
pub fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The session's id.
pub fn session(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}

/// A field of `/proc/PID/status`, without the white space around it.
pub fn status_field(pid: u32, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.map(|value| value.trim().to_owned())
}

/// All process ids.
pub fn all() -> Vec<u32> {
    let Ok(proc) = std::fs::read_dir("/proc") else { return Vec::new() };
    proc.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// The living children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    match std::fs::read_to_string(path) {
        Ok(list) => list.split_whitespace().filter_map(|p| p.parse().ok()).filter(|p| alive(*p)).collect(),
        Err(_) => all().into_iter().filter(|p| parent(*p) == Some(pid) && alive(*p)).collect(),
    }
}

/// The program that the process runs.
pub fn executable(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The words of its command line, joined by spaces.
pub fn command_line(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}
