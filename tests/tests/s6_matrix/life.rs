// SPDX-License-Identifier: ISC
//! A service's life: files that are read at each use, timeouts, the death tally, pauses between starts, loggers, modes.

use crate::stage::{NOTIFY, READY, Row, SLEEP, Since::*, Stage};
use harness::process::alive;
use harness::status::deaths;
use harness::wait::must;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

const STUBBORN: (&str, &str) = ("run", "#!/bin/sh\ntrap '' TERM\necho >&3\nexec sleep 1000 3>&-\n");
/// Exits with the code that `code` holds.
const CODE: (&str, &str) = ("run", "#!/bin/sh\nread c < code\nexit $c\n");
/// Says when it starts, then dies.
const CRASH: (&str, &str) = ("run", "#!/bin/sh\ndate +%s.%N >> starts\nexit 1\n");
const SAYS: (&str, &str) = ("finish", "#!/bin/sh\necho \"$1 $2\" >> finished\n");

pub const ROWS: &[Row] = &[
    Row {
        name: "starts-by-itself",
        since: Always,
        files: &[READY, NOTIFY, ("+up", "")],
        act: starts_by_itself,
    },
    Row {
        name: "exit-125",
        since: Always,
        files: &[
            ("run", "#!/bin/sh\nexit 7\n"),
            ("finish", "#!/bin/sh\necho \"$1 $2\" >> finished\nexit 125\n"),
        ],
        act: permanent_failure,
    },
    Row {
        name: "timeout-kill",
        since: Always,
        files: &[STUBBORN, NOTIFY, ("timeout-kill", "200\n"), SAYS],
        act: timeout_kill,
    },
    Row {
        name: "timeout-finish",
        since: Always,
        files: &[
            SLEEP,
            ("finish", "#!/bin/sh\ntrap '' TERM\nexec sleep 1000\n"),
            ("timeout-finish", "200\n"),
        ],
        act: timeout_finish,
    },
    Row {
        name: "tally",
        since: Always,
        files: &[CODE, ("code", "0\n"), ("max-death-tally", "3\n")],
        act: death_tally,
    },
    Row { name: "one-second", since: Always, files: &[CRASH], act: one_second },
    Row {
        name: "not-ready-twice",
        since: Always,
        files: &[
            ("run", "#!/bin/sh\nprintf x >&3\necho >&3\nsleep 0.05\necho >&3\nexec sleep 1000 3>&-\n"),
            NOTIFY,
        ],
        act: ready_once,
    },
    Row {
        name: "never-ready",
        since: Always,
        files: &[("run", "#!/bin/sh\nexec 3>&-\n: > closed\nexec sleep 1000\n"), NOTIFY],
        act: closed_without_a_line,
    },
    Row {
        name: "ready-then-dead",
        since: Always,
        files: &[("run", "#!/bin/sh\necho >&3\nexit 0\n"), NOTIFY],
        act: ready_then_dead,
    },
    Row {
        name: "bad-files",
        since: Always,
        files: &[
            SLEEP,
            SAYS,
            ("timeout-kill", "soon\n"),
            ("timeout-finish", "-1\n"),
            ("down-signal", "NONSENSE\n"),
            ("max-death-tally", "x\n"),
        ],
        act: bad_files,
    },
    Row { name: "no-run", since: Always, files: &[("run", "not executable\n")], act: no_run },
    Row { name: "modes", since: Always, files: &[SLEEP], act: modes },
    Row { name: "logger", since: Always, files: &[TALKS, LOGS, ("log/notification-fd", "3\n")], act: logger },
    Row {
        name: "lived-a-second",
        since: New,
        files: &[("run", "#!/bin/sh\ndate +%s.%N >> starts\nexec sleep 1.2\n")],
        act: lived_a_second,
    },
];

fn starts_by_itself(s: &Stage) {
    s.service.must("ready", |x| x.up() && x.ready && x.want_up);
    s.note_status();
    let mut events = s.service.listen();
    s.svc("-D");
    events.must("dD");
    s.note_status();
    assert!(s.service.dir.join("down").exists());
}

fn permanent_failure(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("udOD");
    let status = s.service.must("down for good", |x| x.down() && !x.want_up);
    assert_eq!(status.wait_status, 7 << 8);
    assert_eq!(s.read("finished"), "7 0\n");
    s.note_status();
    s.noted("s6-svstat", "");
    s.svc("-u");
    events.must("udODudOD");
}

fn timeout_kill(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    let pid = s.service.must("ready", |x| x.ready).pid;
    s.svc("-d");
    events.must("uUdD");
    assert!(!alive(pid));
    let status = s.service.must("killed", |x| x.down());
    assert_eq!(status.wait_status, 9);
    assert_eq!(s.read("finished"), "256 9\n");
    s.note_status();
}

fn timeout_finish(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-d");
    events.must("udD");
    let status = s.service.must("down", |x| x.down());
    assert_eq!(status.wait_status, 15, "what finish died of is not the service's status");
    s.note_status();
}

fn death_tally(s: &Stage) {
    let mut events = s.service.listen();
    assert_eq!(deaths(&s.service.dir), []);
    let mut want = String::new();
    for code in [1, 0, 111, 5] {
        s.scratch.file(s.service.dir.join("code"), format!("{code}\n"));
        s.svc("-o");
        want += "udD";
        events.must(&want);
    }
    let tally = deaths(&s.service.dir);
    let codes: Vec<_> = tally.iter().map(|d| (d.code, d.signal)).collect();
    s.note(format!("{codes:?}"));
    assert_eq!(codes, [(0, 0), (111, 0), (5, 0)]);
    assert!(tally.windows(2).all(|w| w[0].stamp <= w[1].stamp));
    assert!(tally.iter().all(|d| d.stamp.age() < 60.0));
}

fn starts(s: &Stage) -> Vec<f64> {
    s.read("starts").lines().filter_map(|l| l.parse().ok()).collect()
}

fn one_second(s: &Stage) {
    s.svc("-u");
    must("three starts", || starts(s).len() >= 3);
    s.svc("-d");
    let times = starts(s);
    let gaps: Vec<_> = times.windows(2).map(|w| w[1] - w[0]).collect();
    // `date` itself takes its time; half of it is far from both none and two.
    assert!(gaps.iter().all(|g| *g > 0.8 && *g < 3.0), "pauses between starts: {gaps:?}");
    s.service.must("down", |x| x.down() && !x.want_up);
}

/// s6 counts only a readiness of a second; ours a life of a second.
fn lived_a_second(s: &Stage) {
    if !s.tree.is_skeg() {
        return;
    }
    s.svc("-u");
    must("three starts", || starts(s).len() >= 3);
    s.svc("-d");
    let gaps: Vec<_> = starts(s).windows(2).map(|w| w[1] - w[0]).collect();
    assert!(gaps.iter().all(|g| *g > 1.1 && *g < 1.9), "restarted at once after 1.2 s of life: {gaps:?}");
}

fn ready_once(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    s.service.must("ready", |x| x.ready);
    s.note_status();
    s.svc("-d");
    events.must("uUdD");
}

fn closed_without_a_line(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    must("it has closed its descriptor", || s.service.dir.join("closed").exists());
    s.noted("s6-svwait", "-U -t 150");
    s.note_status();
    s.svc("-d");
    events.must("udD");
}

fn ready_then_dead(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-o");
    events.must_contain("D");
    // Whether the readiness or the death is read first is a race in s6; ours never loses the readiness.
    let seen = events.events();
    assert!(seen == "uUdD" || seen == "udD" && !s.tree.is_skeg(), "events {seen:?}");
    s.note_status();
}

fn bad_files(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-d");
    events.must("udD");
    assert_eq!(s.read("finished"), "256 15\n");
    assert_eq!(deaths(&s.service.dir).len(), 1);
    s.note_status();
}

fn no_run(s: &Stage) {
    std::fs::set_permissions(s.service.dir.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .expect("chmod");
    s.svc("-u");
    s.service.must("wanted up and down", |x| x.want_up && x.down());
    s.note_status();
    s.noted("s6-svok", "");
    s.svc("-d");
    s.service.must("not wanted up", |x| !x.want_up && x.down());
    s.note_status();
}

fn modes(s: &Stage) {
    for name in [
        "supervise",
        "supervise/control",
        "supervise/lock",
        "supervise/status",
        "supervise/death_tally",
        "event",
    ] {
        let m = std::fs::symlink_metadata(s.service.dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let kind = if m.is_dir() {
            "directory"
        } else if m.file_type().is_fifo() {
            "fifo"
        } else {
            "file"
        };
        s.note(format!("{name}: {kind} {:o} {}", m.mode() & 0o7777, if m.is_file() { m.len() } else { 0 }));
    }
}

const TALKS: (&str, &str) = (
    "run",
    "#!/bin/sh\nn=0\nwhile read x < more && test $n -lt $x; do n=$((n+1)); echo line $n; done\nexec sleep 1000\n",
);
const LOGS: (&str, &str) = ("log/run", "#!/bin/sh\necho >&3\nexec 3>&-\nexec cat >> ../lines\n");

fn logger(s: &Stage) {
    let log = harness::tree::Service::at(s.service.dir.join("log"));
    must("the logger is supervised", || log.supervised());
    log.must("up", |x| x.up() && x.ready);
    s.scratch.file(s.service.dir.join("more"), "5\n");
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    must("five lines", || s.read("lines").lines().count() == 5);
    // The logger dies: the producer does not notice, and no line is lost.
    let mut logged = log.listen();
    harness::process::kill(log.must("up", |x| x.up()).pid, rustix::process::Signal::KILL);
    logged.must("dDuU");
    s.svc("-d");
    events.must("udD");
    s.svc("-u");
    events.must("udDu");
    must("five more", || s.read("lines").lines().count() == 10);
    assert!(log.status().is_some_and(|x| x.up()), "the logger did not see an end of file");
    s.note_status();
    s.svc("-d");
    events.must("udDudD");
}
