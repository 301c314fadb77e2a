// SPDX-License-Identifier: ISC
//! The supervisor is killed right before each of its system calls in turn, while services start, become ready, log, die,
//! and get commands. Each must start as often as it should, each end be seen once, no logged line be lost.
//!
//! A call of a service's process before its exec counts with its supervisor's (they share their memory then); where that
//! process was struck, the service has died by SIGKILL, and only what became of the tree is judged.
//! `SKEG_POINTS=N` takes every Nth point only.

use harness::fault::{Fault, arm};
use harness::status::deaths;
use harness::{Scanner, Scratch, Suite, until};
use rustix::process::Signal;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What may take as long as it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Trees at a time: they mostly wait.
const WORKERS: usize = 6;

fn lay_out(scratch: &Scratch) {
    let service = |name: &str, run: &str| {
        scratch.file(format!("scan/{name}/run"), format!("#!/bin/sh\n{run}"));
    };
    service("ready", "echo start >> seen\nsleep 0.05\necho >&3\nexec sleep 1000\n");
    scratch.file("scan/ready/notification-fd", "3\n");
    service("once", "echo start >> seen\nexit 3\n");
    scratch.file("scan/once/finish", "#!/bin/sh\necho finish $1 $2 >> seen\n");
    scratch.file("scan/once/down", "");
    service("talks", "echo start >> seen\nfor i in 1 2 3 4 5; do echo line $i; done\nexec sleep 1000\n");
    service("talks/log", "exec cat >> ../lines\n");
    service("obeys", "echo start >> seen\nexec sleep 1000\n");
}

/// A run with one fault, and what was wrong with it.
struct Trial {
    scratch: Scratch,
    suite: Suite,
    faults: Vec<String>,
}

impl Trial {
    fn new() -> Self {
        let trial = Self { scratch: Scratch::new(), suite: Suite::skeg_fault(), faults: Vec::new() };
        lay_out(&trial.scratch);
        trial
    }

    fn need(&mut self, what: &str, condition: impl FnMut() -> bool) {
        if !until(PATIENCE, condition) {
            self.faults.push(format!("not in time: {what}"));
        }
    }

    fn check(&mut self, ok: bool, what: String) {
        if !ok {
            self.faults.push(what);
        }
    }

    /// What a process was started for is written a moment after its status says that it runs.
    fn need_lines(&mut self, file: &str, count: usize) {
        let path = self.scratch.at(format!("scan/{file}"));
        let enough = || std::fs::read_to_string(&path).is_ok_and(|text| text.lines().count() >= count);
        self.need(&format!("{count} lines in {file}"), enough);
    }

    fn log(&self, name: &str) -> String {
        self.scratch.read(format!("scan/{name}/seen")).replace('\n', " ")
    }

    fn command(&mut self, option: &str, service: &str) {
        let dir = self.scratch.at(format!("scan/{service}")).display().to_string();
        let code = self.scratch.run(&self.suite, "s6-svc", &[option, &dir]).code;
        self.check(code == 0, format!("s6-svc {option} {service}: {code}"));
    }

    /// The life of the tree; whether a supervisor was killed in it.
    fn run(&mut self, prepare: impl FnOnce(&mut Command)) -> bool {
        let mut scanner = Scanner::start_with(&self.scratch, &self.suite, "scan", &[], prepare);
        let [ready, once, talks, obeys] = ["ready", "once", "talks", "obeys"].map(|n| scanner.service(n));
        let logger = scanner.service("talks/log");
        let all = [&ready, &once, &talks, &obeys, &logger];
        self.need("all supervised", || all.iter().all(|s| s.supervised() && s.status().is_some()));
        self.need("readiness", || ready.status().is_some_and(|s| s.up() && s.ready));
        self.command("-o", "once");
        self.need("obeys is up", || obeys.status().is_some_and(|s| s.up()));
        let first = obeys.status().map_or(0, |s| s.pid);
        // A shell that is killed before it has written would not be seen.
        self.need_lines("obeys/seen", 1);
        self.command("-d", "obeys");
        self.need("obeys is down", || obeys.status().is_some_and(|s| s.down() && s.ready));
        self.command("-u", "obeys");
        self.need("obeys is up again", || obeys.status().is_some_and(|s| s.up() && s.pid != first));
        self.need("once has ended", || {
            once.status().is_some_and(|s| s.down() && s.ready && s.wait_status != 0)
        });
        self.need_lines("talks/lines", 5);
        self.need("talks has a status", || talks.status().is_some());
        self.need_lines("obeys/seen", 2);
        // A process that was struck in its supervisor's place is started again, but `once` is not.
        let struck = self.scratch.read("scan.log").contains("the supervisor has died");
        if struck {
            self.judge();
        }
        let ended = scanner.stop(Signal::TERM);
        self.check(ended, "the tree did not end".to_owned());
        struck
    }

    /// Everything happened as often as it should.
    fn judge(&mut self) {
        for (name, wanted) in [
            ("ready", "start "),
            ("once", "start finish 3 0 "),
            ("talks", "start "),
            ("obeys", "start start "),
        ] {
            until(PATIENCE, || self.log(name) == wanted);
            let log = self.log(name);
            self.check(log == wanted, format!("{name}: '{log}' instead of '{wanted}'"));
        }
        let lines = self.scratch.read("scan/talks/lines");
        self.check(lines == "line 1\nline 2\nline 3\nline 4\nline 5\n", format!("logged: {lines}"));
        for (name, wanted) in [("ready", 0), ("once", 1), ("talks", 0), ("obeys", 1)] {
            let tally = deaths(&self.scratch.at(format!("scan/{name}"))).len();
            self.check(tally == wanted, format!("{name}: {tally} deaths in the tally instead of {wanted}"));
        }
    }
}

/// How many calls the supervisor makes in a run without a fault.
fn count() -> u32 {
    let mut trial = Trial::new();
    let out = trial.scratch.at("count");
    trial.run(|command| {
        command.env("SKEG_FAULT", "supervise:0:count").env("SKEG_FAULT_OUT", &out);
    });
    assert_eq!(trial.faults, Vec::<String>::new());
    let text = std::fs::read_to_string(&out).expect("the supervisor's count");
    text.lines().last().and_then(|n| n.trim().parse().ok()).expect("a number")
}

#[test]
fn a_kill_before_any_call_of_the_supervisor_changes_nothing() {
    let total = count();
    let step = std::env::var("SKEG_POINTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1).max(1);
    let (next, kills) = (AtomicU32::new(1), AtomicU32::new(0));
    let work = || {
        let mut faults = Vec::new();
        loop {
            let n = next.fetch_add(step, Ordering::Relaxed);
            if n > total {
                return faults;
            }
            let mut trial = Trial::new();
            if trial.run(|command| arm(command, "supervise", n, Fault::Kill)) {
                kills.fetch_add(1, Ordering::Relaxed);
            }
            faults.extend(trial.faults.drain(..).map(|fault| format!("call {n}: {fault}")));
        }
    };
    let faults: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    println!("{total} calls, {} supervisors killed", kills.load(Ordering::Relaxed));
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(kills.load(Ordering::Relaxed) > total / step / 2, "hardly any supervisor was killed");
}
