// SPDX-License-Identifier: ISC
//! A row's service, the tools that act on it, and what was noted.

use harness::process::{Done, Running, command_line, run};
use harness::tree::Service;
use harness::wait::must;
use harness::{Scanner, Scratch, Suite};
use std::cell::RefCell;
use std::path::PathBuf;

/// Which s6 knows what the row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Debian's 2.11 does.
    Always,
    /// 2.15 does, 2.11 does not.
    New,
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Row {
    /// What it shows; the name of its service.
    pub name: &'static str,
    /// Who knows it.
    pub since: Since,
    /// The files of its service; `down` is added unless `+up` is among them. `b/…` is a second service's.
    pub files: &'static [(&'static str, &'static str)],
    /// What is done.
    pub act: fn(&Stage),
}

impl Row {
    /// Writes its service directories.
    pub fn lay_out(&self, scratch: &Scratch) {
        let up = self.files.iter().any(|(path, _)| *path == "+up");
        for (path, content) in self.files.iter().filter(|(path, _)| *path != "+up") {
            let (name, file) = match path.strip_prefix("b/") {
                Some(file) => (format!("{}-b", self.name), file),
                None => (self.name.to_owned(), *path),
            };
            scratch.file(format!("scan/{name}/{file}"), content);
            if !up && file == "run" {
                scratch.file(format!("scan/{name}/down"), "");
            }
        }
    }
}

/// Sleeps.
pub const SLEEP: (&str, &str) = ("run", "#!/bin/sh\nexec sleep 1000\n");
/// Says that it is ready, then sleeps; with [`NOTIFY`].
pub const READY: (&str, &str) = ("run", "#!/bin/sh\necho >&3\nexec 3>&-\nexec sleep 1000\n");
/// The descriptor of readiness.
pub const NOTIFY: (&str, &str) = ("notification-fd", "3\n");
/// Writes each signal that it gets into `heard`; says that it is ready once it listens.
pub const HEARS: (&str, &str) = (
    "run",
    "#!/bin/sh\nfor s in ALRM ABRT QUIT HUP TERM INT USR1 USR2 CONT WINCH; do trap \"echo $s >> heard\" $s; done\n\
     sleep 1000 3>&- &\necho >&3\nexec 3>&-\nwhile :; do wait $!; done\n",
);

/// Where a row plays.
pub struct Stage<'a> {
    pub scratch: &'a Scratch,
    pub tools: &'a Suite,
    pub tree: &'a Suite,
    /// The row's service.
    pub service: Service,
    notes: RefCell<Vec<String>>,
}

impl<'a> Stage<'a> {
    pub fn new(
        scratch: &'a Scratch,
        tools: &'a Suite,
        tree: &'a Suite,
        scanner: &Scanner,
        row: &str,
    ) -> Self {
        let stage = Self { scratch, tools, tree, service: scanner.service(row), notes: RefCell::default() };
        stage.rests(&stage.service);
        if stage.other().dir.exists() {
            stage.rests(&stage.other());
        }
        stage
    }

    /// The supervisor has it and has written its first status.
    fn rests(&self, service: &Service) {
        harness::wait::must("the service is supervised", || {
            service.supervised() && service.status().is_some()
        });
    }

    /// The row's second service.
    pub fn other(&self) -> Service {
        let mut name = self.service.dir.clone().into_os_string();
        name.push("-b");
        Service::at(PathBuf::from(name))
    }

    pub fn notes(self) -> Vec<String> {
        self.notes.into_inner()
    }

    pub fn note(&self, what: impl Into<String>) {
        self.notes.borrow_mut().push(what.into());
    }

    /// What a file of the service holds.
    pub fn read(&self, name: &str) -> String {
        self.scratch.read(self.service.dir.join(name))
    }

    fn words(&self, applet: &str, words: &str) -> Vec<String> {
        let dir = self.service.dir.display().to_string();
        let mut all: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let other = self.other().dir.display().to_string();
        all.iter_mut().filter(|w| *w == "A").for_each(|w| w.clone_from(&dir));
        all.iter_mut().filter(|w| *w == "B").for_each(|w| w.clone_from(&other));
        let named = all.iter().any(|w| w.starts_with('/'));
        if !named && !applet.is_empty() {
            all.push(dir);
        }
        all
    }

    /// Runs a tool on the service (or on `A` and `B`, where the words name them).
    pub fn tool(&self, applet: &str, words: &str) -> Done {
        let done = run(&mut self.scratch.command(self.tools, applet, &self.words(applet, words)));
        if applet == "s6-svc" && words.starts_with("-w") && !self.tools.is_skeg() {
            self.must_have_sent();
        }
        done
    }

    /// Debian's `s6-svc -w` has another process send the command, and does not wait for that where the service is already as asked:
    /// its byte may come after that of the next command.
    fn must_have_sent(&self) {
        let dir = self.service.dir.display().to_string();
        let sends = |pid: u32| {
            let line = command_line(pid);
            line.contains("s6-svc ") && line.contains(&dir)
        };
        must("all commands are sent", || !self.scratch.processes().into_iter().any(sends));
    }

    /// Starts a tool.
    pub fn start(&self, applet: &str, words: &str) -> Running {
        Running::start(&mut self.scratch.command(self.tools, applet, &self.words(applet, words)))
    }

    /// Runs a tool and notes its exit code and output.
    pub fn noted(&self, applet: &str, words: &str) -> Done {
        let done = self.tool(applet, words);
        self.note(format!("{applet} {words}: {} {:?}", done.code, self.plain(&done.out)));
        done
    }

    /// `s6-svc` with these options; it must succeed.
    #[track_caller]
    pub fn svc(&self, options: &str) {
        let done = self.noted("s6-svc", options);
        assert_eq!(done.code, 0, "s6-svc {options}: {}", done.err);
    }

    /// The text without what differs from run to run: pids, seconds, the directory; and without the pgid of 2.15.
    pub fn plain(&self, text: &str) -> String {
        let mut out = text.replace(&self.service.dir.display().to_string(), "DIR");
        if let Some(status) = self.service.status().filter(|s| s.pid != 0) {
            out = out.replace(&format!(" pgid {}", status.pid), "");
            out = out.replace(&status.pid.to_string(), "PID");
        }
        let words: Vec<&str> = out.split(' ').collect();
        let mut plain = Vec::new();
        for (i, word) in words.iter().enumerate() {
            let seconds = words.get(i + 1).is_some_and(|next| next.starts_with("seconds"));
            plain.push(if seconds { "N" } else { word });
        }
        plain.join(" ")
    }

    /// Notes the status without what differs from run to run, and holds it against what a status must fulfil.
    #[track_caller]
    pub fn note_status(&self) {
        let s = self.service.status().expect("a status");
        let process = if s.pid == 0 { "none" } else { "some" };
        // A status of a running service keeps the wait status of the last death in s6; it means nothing there.
        // And 2.11 does not mark one that never started as paused.
        let wait = if s.up() { 0 } else { s.wait_status };
        self.note(format!(
            "status: process {process}, wait {wait:#x}, paused {}, finishing {}, want_up {}, ready {}",
            s.paused && s.pid != 0,
            s.finishing,
            s.want_up,
            s.ready
        ));
        assert!(
            s.stamp.age() > -1.0 && s.stamp.age() < 100.0,
            "stamp {:?} is {} seconds old",
            s.stamp,
            s.stamp.age()
        );
        if s.ready {
            assert!(s.ready_stamp >= s.stamp, "ready before it changed: {s:?}");
        }
    }
}
