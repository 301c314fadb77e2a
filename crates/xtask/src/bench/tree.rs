// SPDX-License-Identifier: ISC
//! A supervision tree to measure: scanner, live directory, and the end of every process of it.

use super::World;
use super::memory::Group;
use super::shape::Shape;
use super::suite::{Suite, bare, must};
use crate::command::Outcome;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a tree may take to appear or to go.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running tree.
pub struct Tree<'a> {
    suite: &'a Suite,
    scanner: Child,
    /// Holds the scan directory and the live directory.
    folder: tempfile::TempDir,
    group: Option<&'a Group>,
}

impl<'a> Tree<'a> {
    /// An empty scan directory with its scanner, perhaps in a memory group.
    pub fn start(world: &World, suite: &'a Suite, group: Option<&'a Group>) -> Outcome<Self> {
        let folder = tempfile::Builder::new()
            .prefix("tree-")
            .tempdir_in(world.scratch.path())
            .map_err(|e| format!("a directory for the tree: {e}"))?;
        let scan = folder.path().join("scan");
        std::fs::create_dir(&scan).map_err(|e| e.to_string())?;
        let mut command = suite.command("s6-svscan");
        command.args(["-C", "8000"]).arg(&scan);
        let mut command = inside(group, command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let scanner = command.spawn().map_err(|e| format!("s6-svscan: {e}"))?;
        let mut tree = Self { suite, scanner, folder, group };
        let control = scan.join(".s6-svscan/control");
        tree.until("the scanner did not open its control FIFO", || listens(&control))?;
        Ok(tree)
    }

    fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) -> Outcome {
        let end = Instant::now() + PATIENCE;
        while !condition() {
            if Instant::now() > end || matches!(self.scanner.try_wait(), Ok(Some(_))) {
                return Err(what.into());
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    }

    /// The live directory.
    pub fn live(&self) -> PathBuf {
        self.folder.path().join("live")
    }

    /// A command of the suite, in the tree's memory group.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.suite.command(program);
        command.arg("-l").arg(self.live());
        command
    }

    /// `s6-rc-init`; how long it took.
    pub fn init(&self, world: &World, shape: Shape) -> Outcome<Duration> {
        let database = shape.database(world, self.suite)?;
        let mut command = self.command("s6-rc-init");
        command.arg("-c").arg(database).arg(self.folder.path().join("scan"));
        let mut command = inside(self.group, command);
        let start = Instant::now();
        bare(&mut command)?;
        Ok(start.elapsed())
    }

    /// `s6-rc -u change all`; how long it took.
    pub fn up(&self) -> Outcome<Duration> {
        let mut command = self.command("s6-rc");
        command.args(["-u", "change", "all"]);
        let mut command = inside(self.group, command);
        let start = Instant::now();
        bare(&mut command)?;
        Ok(start.elapsed())
    }

    /// The scanner and its own children: the part of the tree that is not services.
    pub fn overseers(&self) -> Vec<u32> {
        let scanner = self.scanner.id();
        let mut all = vec![scanner];
        all.extend(parents().into_iter().filter(|(_, parent)| *parent == scanner).map(|(pid, _)| pid));
        all
    }

    /// Stops everything and waits for its end.
    pub fn stop(mut self) -> Outcome {
        let scan = self.folder.path().join("scan");
        must(self.suite.command("s6-svscanctl").arg("-t").arg(scan))?;
        let end = Instant::now() + PATIENCE;
        while matches!(self.scanner.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Tree<'_> {
    /// Whatever of the tree is still there is killed, by process id: a failed measurement leaves nothing behind.
    fn drop(&mut self) {
        let parents = parents();
        let mut doomed = vec![self.scanner.id()];
        let mut at = 0;
        while let Some(parent) = doomed.get(at).copied() {
            doomed.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        if matches!(self.scanner.try_wait(), Ok(None)) {
            for pid in doomed {
                kill(pid);
            }
        }
        let _ = self.scanner.wait();
    }
}

/// SIGKILL.
pub fn kill(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Each process and its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    })
    .collect()
}

/// Whether somebody reads this FIFO.
fn listens(fifo: &Path) -> bool {
    use rustix::fs::{Mode, OFlags, open};
    open(fifo, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

/// The same command, started as a member of the group.
fn inside(group: Option<&Group>, command: Command) -> Command {
    let Some(group) = group else { return command };
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.members());
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell
}
