// SPDX-License-Identifier: ISC
//! A directory of a test's own, and the end of every process that was started in it.

use crate::process::{self, Done, Running};
use crate::program::Suite;
use crate::tree::User;
use crate::wait::until;
use rustix::process::Signal;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// The environment variable that marks every process of a scratch directory.
const MARK: &str = "SKEG_TEST_SCRATCH";

/// A temporary directory; when it goes, every process that lives in it or carries its mark goes first.
pub struct Scratch {
    dir: PathBuf,
    user: User,
}

impl Scratch {
    /// A new one for whoever runs the test.
    #[track_caller]
    pub fn new() -> Self {
        Self::of(User::Same)
    }

    /// A new one whose commands run as this user.
    #[track_caller]
    pub fn of(user: User) -> Self {
        let dir = tempfile::Builder::new().prefix("skeg-").tempdir().expect("a temporary directory").keep();
        let dir = dir.canonicalize().expect("the directory just made");
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).expect("chmod");
        if let Some((uid, gid)) = user.ids() {
            std::os::unix::fs::chown(&dir, Some(uid), Some(gid)).expect("chown");
        }
        Self { dir, user }
    }

    /// A new one in memory, as `/run` is, where the machine has such a place that programs can be run from: a file there
    /// costs a tenth of what it costs on a disk. Files that commands leave their words in go there, too.
    #[track_caller]
    pub fn in_memory() -> Self {
        static MEMORY: OnceLock<bool> = OnceLock::new();
        let place = Path::new("/dev/shm");
        let is_good = || {
            let Ok(dir) = tempfile::Builder::new().prefix("skeg-").tempdir_in(place) else { return false };
            let program = dir.path().join("true");
            let runs = || Command::new(&program).status().is_ok_and(|status| status.success());
            let mode = PermissionsExt::from_mode(0o755);
            std::fs::write(&program, "#!/bin/sh\nexit 0\n").is_ok()
                && std::fs::set_permissions(&program, mode).is_ok()
                && runs()
        };
        if *MEMORY.get_or_init(is_good) {
            let _ = tempfile::env::override_temp_dir(place);
        }
        Self::new()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// A path below it.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// A path below it, as text.
    pub fn text(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Writes a file below it, with the directories above; 0755 if it begins with `#!`, else 0644.
    #[track_caller]
    pub fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let mode = if content.as_ref().starts_with(b"#!") { 0o755 } else { 0o644 };
        self.file_mode(name, content, mode)
    }

    /// Writes a file below it with this mode.
    #[track_caller]
    pub fn file_mode(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.dir.join(name);
        self.folder(path.parent().expect("a file has a parent"));
        std::fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
        self.give(&path);
        path
    }

    /// Makes a directory below it, with those above.
    #[track_caller]
    pub fn folder(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.dir.join(name);
        let mut missing: Vec<&Path> = path.ancestors().take_while(|p| !p.is_dir()).collect();
        while let Some(dir) = missing.pop() {
            std::fs::create_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
            self.give(dir);
        }
        path
    }

    fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.user.ids() {
            std::os::unix::fs::lchown(path, Some(uid), Some(gid)).expect("chown");
        }
    }

    /// What a file below it holds; empty if it is not there.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join(name)).unwrap_or_default()).into_owned()
    }

    /// Marks the command as one of this directory's, and lets it run as its user.
    pub fn mark(&self, command: &mut Command) {
        command.env(MARK, &self.dir);
        if let Some((uid, gid)) = self.user.ids() {
            command.uid(uid).gid(gid);
        }
    }

    /// A command of the suite, with the words.
    pub fn command<W: AsRef<std::ffi::OsStr>>(&self, suite: &Suite, applet: &str, words: &[W]) -> Command {
        let mut command = suite.command(applet);
        command.args(words).current_dir(&self.dir);
        self.mark(&mut command);
        command
    }

    /// Runs an applet to its end.
    #[track_caller]
    pub fn run<W: AsRef<std::ffi::OsStr>>(&self, suite: &Suite, applet: &str, words: &[W]) -> Done {
        process::run(&mut self.command(suite, applet, words))
    }

    /// Starts an applet.
    #[track_caller]
    pub fn start<W: AsRef<std::ffi::OsStr>>(&self, suite: &Suite, applet: &str, words: &[W]) -> Running {
        Running::start(&mut self.command(suite, applet, words))
    }

    /// Every living process that carries the mark or has its working directory here.
    pub fn processes(&self) -> Vec<u32> {
        let me = std::process::id();
        let mut mark = MARK.as_bytes().to_vec();
        mark.push(b'=');
        mark.extend_from_slice(self.dir.as_os_str().as_bytes());
        let ours = |pid: u32| {
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&self.dir))
                || std::fs::read(format!("/proc/{pid}/environ"))
                    .is_ok_and(|env| env.split(|b| *b == 0).any(|line| line == mark))
        };
        process::all().into_iter().filter(|p| *p != me && process::alive(*p) && ours(*p)).collect()
    }

    /// Kills every process of this directory, one by one; those that would not go.
    pub fn sweep(&self) -> Vec<u32> {
        until(Duration::from_secs(5), || {
            let rest = self.processes();
            for pid in &rest {
                process::kill(*pid, Signal::KILL);
            }
            rest.is_empty()
        });
        self.processes()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.sweep();
        if std::env::var_os("SKEG_KEEP").is_some() && std::thread::panicking() {
            eprintln!("kept: {}", self.dir.display());
            return;
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
