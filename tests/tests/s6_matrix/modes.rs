// SPDX-License-Identifier: ISC
//! `s6-svwait` and `s6-svc -w`: every mode in every state, and across changes.

use crate::stage::{NOTIFY, READY, Row, SLEEP, Since::*, Stage};
use harness::process::{LONG, Running};
use harness::wait::must;

const NEVER_READY: (&str, &str) = ("run", "#!/bin/sh\nexec sleep 1000 3>&-\n");
/// Finishes when told so.
const SLOW_FINISH: (&str, &str) = ("finish", "#!/bin/sh\nexec sleep 1000\n");
const FOREVER: (&str, &str) = ("timeout-finish", "0\n");

pub const ROWS: &[Row] = &[
    Row { name: "wait-never-started", since: Always, files: &[SLEEP], act: never_started },
    Row { name: "wait-up", since: Always, files: &[SLEEP], act: up },
    Row { name: "wait-ready", since: Always, files: &[READY, NOTIFY], act: ready },
    Row { name: "wait-not-ready", since: Always, files: &[NEVER_READY, NOTIFY], act: up },
    Row { name: "wait-finishing", since: Always, files: &[SLEEP, SLOW_FINISH, FOREVER], act: finishing },
    Row { name: "wait-down", since: Always, files: &[SLEEP], act: down },
    Row { name: "wait-change-u", since: Always, files: &[READY, NOTIFY], act: change_up },
    Row {
        name: "wait-change-d",
        since: Always,
        files: &[READY, NOTIFY, ("finish", "#!/bin/sh\nexit 0\n")],
        act: change_down,
    },
    Row { name: "wait-change-r", since: Always, files: &[READY, NOTIFY], act: change_restart },
    Row { name: "wait-and-or", since: Always, files: &[SLEEP, ("b/run", SLEEP.1)], act: and_or },
    Row {
        name: "wait-failure",
        since: Always,
        files: &[("run", "#!/bin/sh\nexit 1\n"), ("finish", "#!/bin/sh\nexit 125\n")],
        act: failure,
    },
    Row { name: "wait-leaves", since: Always, files: &[SLEEP], act: leaves },
    Row { name: "svc-w", since: Always, files: &[READY, NOTIFY], act: svc_waits },
    Row {
        name: "svc-w-slow",
        since: Always,
        files: &[("run", "#!/bin/sh\nsleep 0.2\necho >&3\nexec sleep 1000\n"), NOTIFY],
        act: svc_waits,
    },
    Row { name: "svc-w-none", since: Always, files: &[SLEEP], act: svc_waits_without_notification },
    Row { name: "svc-w-never", since: Always, files: &[NEVER_READY, NOTIFY], act: svc_waits_in_vain },
];

/// Every mode, with a timeout that only what holds already does not reach.
fn every_mode(s: &Stage) {
    for mode in ["", "-u", "-U", "-d", "-D", "-r", "-R"] {
        let done = s.noted("s6-svwait", &format!("{mode} -t 150"));
        assert!(done.code == 0 || done.code == 99, "svwait {mode}: {} {}", done.code, done.err);
    }
}

fn never_started(s: &Stage) {
    every_mode(s);
}

fn up(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    every_mode(s);
    s.svc("-d");
}

fn ready(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    every_mode(s);
    s.svc("-d");
}

fn finishing(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-d");
    events.must("ud");
    s.service.must("finishing", |x| x.finishing);
    s.note_status();
    every_mode(s);
    let finish = s.service.status().expect("a status").pid;
    harness::process::kill(finish, rustix::process::Signal::KILL);
    events.must("udD");
    s.note_status();
}

fn down(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-d");
    events.must("udD");
    every_mode(s);
}

/// Starts a waiter, and returns once it listens to every one of these services.
fn waiter(s: &Stage, words: &str, both: bool) -> Running {
    let count = |dir: &std::path::Path| {
        let entries = std::fs::read_dir(dir.join("event")).into_iter().flatten().flatten();
        entries.filter(|e| e.file_name().to_string_lossy().starts_with("ftrig1:")).count()
    };
    let (a, b) = (s.service.dir.clone(), s.other().dir);
    let before = (count(&a), count(&b));
    let running = s.start("s6-svwait", words);
    must("the waiter listens", || count(&a) > before.0 && (!both || count(&b) > before.1));
    running
}

#[track_caller]
fn ends(s: &Stage, what: &str, running: Running, code: i32) {
    let done = running.finish(LONG);
    s.note(format!("{what}: {}", done.code));
    assert_eq!(done.code, code, "{what}: {}", done.err);
}

fn change_up(s: &Stage) {
    let (u, ready) = (waiter(s, "-u", false), waiter(s, "-U", false));
    s.svc("-u");
    ends(s, "-u", u, 0);
    ends(s, "-U", ready, 0);
    s.service.must("ready", |x| x.ready && x.up());
    s.svc("-d");
}

fn change_down(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    let (d, down) = (waiter(s, "-d", false), waiter(s, "-D", false));
    s.svc("-d");
    ends(s, "-d", d, 0);
    ends(s, "-D", down, 0);
    s.service.must("down", |x| x.down());
}

fn change_restart(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    let (r, ready) = (waiter(s, "-r", false), waiter(s, "-R", false));
    let pid = s.service.must("ready", |x| x.ready).pid;
    s.svc("-t");
    ends(s, "-r", r, 0);
    ends(s, "-R", ready, 0);
    s.service.must("up again", |x| x.up() && x.pid != pid);
    s.svc("-d");
}

fn and_or(s: &Stage) {
    let (mut a, mut b) = (s.service.listen(), s.other().listen());
    let (and, or) = (waiter(s, "-a -u A B", true), waiter(s, "-o -u A B", true));
    s.svc("-u A");
    a.must("u");
    ends(s, "-o with one up", or, 0);
    s.noted("s6-svwait", "-a -u -t 150 A B");
    s.noted("s6-svwait", "-o -u -t 150 A B");
    s.noted("s6-svwait", "-o -d -t 150 A B");
    s.svc("-u B");
    b.must("u");
    ends(s, "-a with both up", and, 0);
    s.svc("-d A");
    s.svc("-d B");
    b.must("udD");
}

fn failure(s: &Stage) {
    let wait = waiter(s, "-U -t 5000", false);
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("udOD");
    let done = wait.finish(LONG);
    s.note(format!("-U of one that fails for good: {}", done.code));
    assert!(!done.hung() && done.code != 0);
    s.noted("s6-svwait", "-D -t 5000");
    s.note_status();
    s.service.must("down for good", |x| x.down() && !x.want_up);
}

fn leaves(s: &Stage) {
    let wait = waiter(s, "-u -t 5000", false);
    s.svc("-x");
    let done = wait.finish(LONG);
    s.note(format!("-u of one whose supervisor leaves: {}", done.code));
    assert!(!done.hung() && done.code != 0);
}

fn svc_waits(s: &Stage) {
    s.svc("-wU -u");
    s.service.must("ready", |x| x.up() && x.ready);
    s.svc("-wu -u");
    s.svc("-wd -d");
    s.svc("-wD -T 5000 -d");
    s.service.must("down", |x| x.down());
    s.svc("-wu -T 5000 -u");
    restarts(s, "-wR -T 3000 -t");
    s.service.must("ready again", |x| x.up() && x.ready);
    restarts(s, "-wr -T 3000 -t");
    s.service.must("up again", |x| x.up());
    s.svc("-wD -d");
    s.svc("-wD");
}

fn svc_waits_without_notification(s: &Stage) {
    s.svc("-wU -u");
    s.service.must("up", |x| x.up());
    restarts(s, "-wR -T 3000 -t");
    s.svc("-wD -d");
}

/// A restart that is waited for. Debian's waiter may read the whole of `dDuU` while it waits for the `d` alone, and then
/// waits in vain: there a timeout is let pass.
#[track_caller]
fn restarts(s: &Stage, options: &str) {
    let done = s.tool("s6-svc", options);
    assert!(
        done.code == 0 || done.code == 99 && !s.tools.is_skeg(),
        "s6-svc {options}: {} {}",
        done.code,
        done.err
    );
}

fn svc_waits_in_vain(s: &Stage) {
    let done = s.noted("s6-svc", "-wU -T 300 -u");
    assert_eq!(done.code, 99);
    s.service.must("up all the same", |x| x.up() && !x.ready);
    s.noted("s6-svc", "-wU -T 300");
    s.svc("-wD -d");
    let done = s.noted("s6-svc", "-wu -T 300");
    assert_eq!(done.code, 99);
}
