// SPDX-License-Identifier: ISC
//! `s6-svstat`: every field in every state.

use crate::stage::{NOTIFY, READY, Row, SLEEP, Since::*, Stage};

pub const ROWS: &[Row] = &[
    Row { name: "stat-never-started", since: New, files: &[SLEEP], act: never_started },
    Row { name: "stat-up", since: Always, files: &[SLEEP], act: up },
    Row { name: "stat-ready", since: Always, files: &[READY, NOTIFY, ("+up", "")], act: ready },
    Row { name: "stat-paused", since: Always, files: &[SLEEP], act: paused },
    Row { name: "stat-exit", since: Always, files: &[("run", "#!/bin/sh\nexit 42\n")], act: exited },
    Row { name: "stat-signal", since: Always, files: &[("run", "#!/bin/sh\nkill -USR1 $$\n")], act: exited },
    Row { name: "stat-core", since: Always, files: &[("run", "#!/bin/sh\nkill -ABRT $$\n")], act: exited },
    Row {
        name: "stat-want-up",
        since: Always,
        files: &[("run", "#!/bin/sh\nexit 1\n"), ("+up", "")],
        act: wanted_up,
    },
    Row {
        name: "stat-finishing",
        since: Always,
        files: &[
            ("run", "#!/bin/sh\nexit 3\n"),
            ("finish", "#!/bin/sh\nexec sleep 1000\n"),
            ("timeout-finish", "0\n"),
        ],
        act: finishing,
    },
    Row { name: "stat-pgid", since: New, files: &[SLEEP], act: pgid },
];

const FIELDS: [&str; 11] = [
    "up",
    "wantedup",
    "normallyup",
    "ready",
    "paused",
    "pid",
    "exitcode",
    "signal",
    "signum",
    "up,pid,ready",
    "ready,up,up",
];
const TIMES: [&str; 2] = ["updownsince", "readysince"];
const AGES: [&str; 2] = ["updownfor", "readyfor"];

fn every_field(s: &Stage) {
    s.noted("s6-svok", "");
    s.noted("s6-svstat", "");
    s.noted("s6-svstat", "-n");
    for field in FIELDS {
        s.noted("s6-svstat", &format!("-o {field}"));
    }
    for letter in ["-u", "-w", "-N", "-r", "-p", "-e", "-s", "-ue", "-wNr -o pid"] {
        s.noted("s6-svstat", letter);
    }
    for field in TIMES {
        let out = s.tool("s6-svstat", &format!("-o {field}")).expect(0).out;
        let status = s.service.status().expect("a status");
        let stamp = if field == "updownsince" { status.stamp } else { status.ready_stamp };
        assert_eq!(out, format!("@{:016x}{:08x}\n", stamp.seconds, stamp.nanoseconds), "{field}");
    }
    for field in AGES.into_iter().chain(["-t"]) {
        let option = if field == "-t" { field.to_owned() } else { format!("-o {field}") };
        let out = s.tool("s6-svstat", &option).expect(0).out;
        let seconds: i64 = out.trim().parse().unwrap_or_else(|_| panic!("{field}: {out:?}"));
        assert!((0..100).contains(&seconds), "{field}: {out:?}");
    }
    s.note_status();
}

fn never_started(s: &Stage) {
    every_field(s);
}

fn up(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    every_field(s);
    s.svc("-O");
    s.service.must("wanted down", |x| !x.want_up);
    every_field(s);
    s.svc("-d");
}

fn ready(s: &Stage) {
    s.service.must("ready by itself", |x| x.up() && x.ready);
    every_field(s);
    s.svc("-d");
}

fn paused(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-p");
    s.service.must("paused", |x| x.paused);
    every_field(s);
    s.svc("-d");
}

fn exited(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-o");
    events.must("udD");
    every_field(s);
}

fn wanted_up(s: &Stage) {
    // Down between two starts: looked at when a death has just come.
    let mut events = s.service.listen();
    events.must_contain("D");
    s.service.must("down and wanted up", |x| x.down() && x.want_up);
    let status = s.service.status().expect("a status");
    if status.down() {
        s.note_status();
    }
    s.svc("-d");
    s.service.must("not wanted up", |x| x.down() && !x.want_up);
    s.note_status();
    every_field(s);
}

fn finishing(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-o");
    events.must("ud");
    every_field(s);
    let finish = s.service.must("finishing", |x| x.finishing).pid;
    harness::process::kill(finish, rustix::process::Signal::KILL);
    events.must("udD");
    every_field(s);
}

fn pgid(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.noted("s6-svstat", "-o pgid");
    s.noted("s6-svstat", "-g");
    let pid = s.service.must("up", |x| x.up()).pid;
    let line = s.tool("s6-svstat", "").expect(0).out;
    assert!(line.starts_with(&format!("up (pid {pid} pgid {pid}) ")), "{line}");
    s.svc("-d");
}
