// SPDX-License-Identifier: ISC
//! A fork that fails (EAGAIN), made to happen by the limit of processes of an ordinary user: the scanner, the supervisor
//! and the oneshot runner each say so, nothing that runs is touched, what is recorded stays true, and once there is room
//! again what was wanted comes up.

use harness::process::{LONG, alive, kill, run};
use harness::wait::must;
use harness::{Scanner, Scratch, Suite, User};
use rustix::process::Signal;
use std::process::Command;

/// Lets this process make no other one, or as many as it might before. Its own user does that: it needs no privilege.
fn may_fork(pid: u32, may: bool) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let line = limits.lines().find(|line| line.starts_with("Max processes")).expect("a limit of processes");
    let hard = line.split_whitespace().nth(3).expect("a hard limit");
    let most = format!("--nproc={}:", if may { hard } else { "1" });
    let mut command = match User::Ordinary.ids() {
        Some((uid, gid)) => {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={uid}"), format!("--regid={gid}")]).arg("--clear-groups");
            command.arg("prlimit");
            command
        }
        None => Command::new("prlimit"),
    };
    run(command.args(["--pid", &pid.to_string(), &most])).expect(0);
}

/// What a message says of EAGAIN.
const WHY: &str = "resource temporarily unavailable";

#[test]
fn a_supervisor_that_cannot_fork_says_so_and_tries_again() {
    let scratch = Scratch::of(User::Ordinary);
    for name in ["steady", "late"] {
        scratch.file(format!("scan/{name}/run"), "#!/bin/sh\nexec sleep 1000\n");
    }
    scratch.file("scan/late/down", "");
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    let steady = scanner.service("steady").must("up", |s| s.up()).pid;
    let late = scanner.service("late");
    late.must("down", |s| s.down());
    let supervisor = scanner.must_supervisor();
    may_fork(supervisor, false);
    scratch.run(&Suite::skeg(), "s6-svc", &["-u", &late.dir.display().to_string()]).expect(0);
    must("the log tells why it does not start", || scratch.read("scan.log").contains(WHY));
    late.must("down, and wanted up", |s| s.down() && s.want_up);
    assert!(late.supervised());
    may_fork(supervisor, true);
    late.must("up, without another command", |s| s.up());
    assert_eq!(scanner.service("steady").status().map(|s| s.pid), Some(steady));
}

#[test]
fn a_scanner_that_cannot_fork_gets_its_supervisor_back_later() {
    let scratch = Scratch::of(User::Ordinary);
    scratch.file("scan/steady/run", "#!/bin/sh\nexec sleep 1000\n");
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    let service = scanner.service("steady");
    let steady = service.must("up", |s| s.up()).pid;
    let first = scanner.must_supervisor();
    may_fork(scanner.pid(), false);
    kill(first, Signal::KILL);
    must("the log tells why there is no supervisor", || scratch.read("scan.log").contains(WHY));
    assert!(alive(steady) && service.supervised() && scanner.supervisor().is_none());
    may_fork(scanner.pid(), true);
    must("another supervisor", || scanner.supervisor().is_some_and(|pid| pid != first));
    scratch.run(&Suite::skeg(), "s6-svc", &["-r", &service.dir.display().to_string()]).expect(0);
    service.must("up again by the new one", |s| s.up() && s.pid != steady);
}

#[test]
fn a_oneshot_runner_that_cannot_fork_fails_its_scripts_with_the_reason() {
    let (scratch, skeg) = (Scratch::of(User::Ordinary), Suite::skeg());
    for (name, script) in [("first", "true"), ("second", "true")] {
        scratch.file(format!("src/{name}/type"), "oneshot\n");
        scratch.file(format!("src/{name}/up"), format!("{script}\n"));
    }
    let (image, live) = (scratch.text("image"), scratch.text("live"));
    scratch.run(&skeg, "s6-rc-compile", &[&image, &scratch.text("src")]).expect(0);
    let scanner = Scanner::start(&scratch, &skeg);
    scratch.run(&skeg, "s6-rc-init", &["-c", &image, "-l", &live, &scratch.text("scan")]).expect(0);
    scratch.run(&skeg, "s6-rc", &["-l", &live, "start", "first"]).expect(0);
    let runner = scanner.service("s6rc-oneshot-runner").must("up", |s| s.up()).pid;
    may_fork(runner, false);
    let up = || scratch.run(&skeg, "s6-rc", &["-l", &live, "-a", "list"]).expect(0).lines();
    let refused = scratch.start(&skeg, "s6-rc", &["-l", &live, "start", "second"]).finish(LONG).expect(1);
    assert!(refused.err.contains("second") && refused.err.contains(WHY), "{}", refused.err);
    assert_eq!(up(), ["first", "s6rc-oneshot-runner"]);
    may_fork(runner, true);
    scratch.run(&skeg, "s6-rc", &["-l", &live, "start", "second"]).expect(0);
    assert_eq!(up(), ["first", "s6rc-oneshot-runner", "second"]);
}
