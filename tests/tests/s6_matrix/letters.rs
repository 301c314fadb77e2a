// SPDX-License-Identifier: ISC
//! `s6-svc`: every letter.

use crate::stage::{HEARS, NOTIFY, READY, Row, SLEEP, Since::*, Stage};
use harness::process::{alive, state};
use harness::wait::must;

pub const ROWS: &[Row] = &[
    Row { name: "u-d", since: Always, files: &[SLEEP], act: up_and_down },
    Row { name: "u-d-finish", since: Always, files: &[SLEEP, FINISH], act: up_and_down_with_finish },
    Row { name: "signals", since: Always, files: &[HEARS, NOTIFY], act: every_signal_is_heard },
    Row { name: "r", since: Always, files: &[HEARS, NOTIFY, ("down-signal", "SIGUSR1\n")], act: down_signal },
    Row {
        name: "r-number",
        since: Always,
        files: &[HEARS, NOTIFY, ("down-signal", "10\n")],
        act: down_signal,
    },
    Row { name: "k", since: Always, files: &[READY, NOTIFY], act: kill_restarts },
    Row { name: "p-c", since: Always, files: &[SLEEP], act: pause_and_go_on },
    Row { name: "o", since: Always, files: &[SLEEP], act: once },
    Row { name: "o-up", since: Always, files: &[SLEEP], act: once_while_up },
    Row { name: "O", since: Always, files: &[SLEEP], act: no_restart },
    Row { name: "O-down", since: Always, files: &[SLEEP], act: no_start },
    Row { name: "D-U", since: Always, files: &[SLEEP], act: down_file },
    Row { name: "d-paused", since: Always, files: &[SLEEP], act: a_paused_one_goes_down },
    Row { name: "x", since: Always, files: &[SLEEP], act: leave },
    Row { name: "x-down", since: Always, files: &[SLEEP], act: leave_at_once },
    Row {
        name: "x-finish",
        since: Always,
        files: &[SLEEP, ("finish", "#!/bin/sh\nexit 0\n")],
        act: leave_after_finish,
    },
    Row { name: "several", since: Always, files: &[HEARS, NOTIFY], act: several_letters },
    Row { name: "errors", since: Always, files: &[SLEEP], act: errors },
    Row { name: "garbage", since: Always, files: &[SLEEP], act: other_bytes_are_ignored },
    Row { name: "l", since: New, files: &[HEARS, NOTIFY], act: reload_signal },
    Row {
        name: "l-file",
        since: New,
        files: &[HEARS, NOTIFY, ("reload-signal", "USR2\n")],
        act: reload_signal_file,
    },
    Row { name: "P-C-K", since: New, files: &[GROUP, NOTIFY], act: process_group },
    Row { name: "s", since: New, files: &[HEARS, NOTIFY], act: signal_by_name },
    Row { name: "Q", since: New, files: &[SLEEP], act: no_restart_and_down_file },
    Row { name: "two-dirs", since: New, files: &[SLEEP, ("b/run", SLEEP.1)], act: two_directories },
];

const FINISH: (&str, &str) = ("finish", "#!/bin/sh\necho \"$@\" >> finished\n");
/// Starts a child of its own.
const GROUP: (&str, &str) =
    ("run", "#!/bin/sh\nsleep 1000 3>&- &\necho $! > child\necho >&3\nexec 3>&-\nwait\n");

fn up_and_down(s: &Stage) {
    let mut events = s.service.listen();
    s.note_status();
    s.svc("-u");
    events.must("u");
    s.note_status();
    let up = s.service.must("up", |x| x.up() && x.want_up);
    assert!(alive(up.pid));
    s.svc("-u"); // nothing new
    s.svc("-d");
    events.must("udD");
    let down = s.service.must("down", |x| x.down() && !x.want_up && x.ready);
    assert_eq!(down.wait_status, 15);
    assert!(down.stamp > up.stamp);
    assert!(!alive(up.pid));
    s.note_status();
}

fn up_and_down_with_finish(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    let pid = s.service.must("up", |x| x.up()).pid;
    s.svc("-d");
    events.must("udD");
    let name = s.service.dir.file_name().expect("a name").to_string_lossy().into_owned();
    // Debian's 2.11 does not yet pass the process group.
    let group = if s.tree.binary() == "/usr/bin" { String::new() } else { format!(" {pid}") };
    assert_eq!(s.read("finished"), format!("256 15 {name}{group}\n"));
    s.note_status();
}

fn every_signal_is_heard(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    let pid = s.service.must("ready", |x| x.ready).pid;
    let letters = [
        ("a", "ALRM"),
        ("b", "ABRT"),
        ("q", "QUIT"),
        ("h", "HUP"),
        ("t", "TERM"),
        ("i", "INT"),
        ("1", "USR1"),
        ("2", "USR2"),
        ("y", "WINCH"),
        ("r", "TERM"),
        ("c", "CONT"),
    ];
    let mut want = String::new();
    for (letter, signal) in letters {
        s.svc(&format!("-{letter}"));
        want += &format!("{signal}\n");
        must(&format!("-{letter} is heard as {signal}"), || s.read("heard") == want);
    }
    assert_eq!(s.service.status().map(|x| x.pid), Some(pid), "no signal restarted it");
    s.note_status();
    s.svc("-O");
    s.svc("-k");
    events.must("uUdD");
    s.note_status();
}

fn down_signal(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    s.svc("-r");
    must("the down signal is heard", || s.read("heard") == "USR1\n");
    s.svc("-d");
    must("the down signal is heard again, and CONT", || {
        s.read("heard") == "USR1\nUSR1\nCONT\n" || s.read("heard") == "USR1\nCONT\nUSR1\n"
    });
    s.service.must("up, not wanted up", |x| x.up() && !x.want_up);
    s.note_status();
    s.svc("-k");
    events.must("uUdD");
}

fn kill_restarts(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    let first = s.service.must("ready", |x| x.ready && x.up());
    s.svc("-k");
    events.must("uUdDuU");
    let second = s.service.must("ready again", |x| x.ready && x.up());
    assert_ne!(first.pid, second.pid);
    s.note_status();
    s.svc("-d");
    events.must("uUdDuUdD");
}

fn pause_and_go_on(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-p");
    let pid = s.service.must("paused", |x| x.paused && x.up()).pid;
    must("the process is stopped", || state(pid) == Some('T'));
    s.note_status();
    s.svc("-c");
    s.service.must("not paused", |x| !x.paused);
    must("the process goes on", || state(pid) != Some('T'));
    s.note_status();
    assert_eq!(events.events(), "u");
    s.svc("-d");
    events.must("udD");
}

fn a_paused_one_goes_down(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-p");
    s.service.must("paused", |x| x.paused);
    s.svc("-d");
    events.must("udD");
    s.note_status();
}

fn once(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-o");
    events.must("u");
    s.service.must("up once", |x| x.up() && !x.want_up);
    s.note_status();
    s.svc("-k");
    events.must("udD");
    s.service.must("down", |x| x.down() && x.wait_status == 9);
    s.note_status();
    s.svc("-o");
    events.must("udDu");
    s.svc("-d");
    events.must("udDudD");
}

fn once_while_up(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-o");
    s.service.must("not wanted up", |x| x.up() && !x.want_up);
    s.note_status();
    s.svc("-k");
    events.must("udD");
    s.note_status();
}

fn no_restart(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-O");
    s.service.must("not wanted up", |x| x.up() && !x.want_up);
    s.note_status();
    s.svc("-t");
    events.must("udD");
    s.service.must("down", |x| x.down() && x.wait_status == 15);
    assert!(s.service.dir.join("down").exists());
}

fn no_start(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-O");
    s.svc("-u");
    events.must("u");
    s.svc("-d");
    events.must("udD");
}

fn down_file(s: &Stage) {
    let mut events = s.service.listen();
    let file = s.service.dir.join("down");
    s.svc("-U");
    events.must("u");
    must("`down` is removed", || !file.exists());
    s.note_status();
    s.svc("-D");
    events.must("udD");
    must("`down` is made", || file.exists());
    s.note_status();
    s.svc("-D");
    s.svc("-U");
    events.must("udDu");
    s.svc("-d");
    events.must("udDudD");
    assert!(!file.exists());
}

fn leave(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-x");
    s.svc("-d");
    // Its scanner brings a supervisor back; `down` keeps the service down.
    events.must_contain("udDx");
    events.must("udDxs");
    s.service.must("supervised again", |x| x.down() && !x.want_up);
    assert!(s.service.supervised());
}

fn leave_at_once(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-x");
    events.must("xs");
    s.service.must("supervised again", |x| x.down() && !x.want_up);
    s.note_status();
}

fn leave_after_finish(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("u");
    s.svc("-xd");
    events.must("udDxs");
    must("supervised again", || s.service.supervised());
}

fn several_letters(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    s.svc("-h12");
    must("three signals in their order", || {
        let mut heard: Vec<_> = s.read("heard").lines().map(str::to_owned).collect();
        heard.sort();
        heard == ["HUP", "USR1", "USR2"]
    });
    s.svc("-dk");
    events.must("uUdD");
    s.note_status();
}

fn errors(s: &Stage) {
    let missing = s.scratch.text("nowhere");
    let plain = s.scratch.folder("unsupervised").display().to_string();
    for applet in ["s6-svc -u", "s6-svok", "s6-svstat", "s6-svwait -t 200 -u"] {
        let (applet, options) = applet.split_once(' ').unwrap_or((applet, ""));
        for (what, dir) in [("missing", &missing), ("unsupervised", &plain)] {
            let done = s.tool(applet, &format!("{options} {dir}"));
            // 2.11 says 100 where 2.15 says 102: nobody listens.
            let code = if done.code == 102 { 100 } else { done.code };
            s.note(format!("{applet} of a {what} one: {code}"));
            assert!(!done.hung());
        }
        if applet != "s6-svok" {
            let bad = s.tool(applet, "-Z");
            s.note(format!("{applet} -Z: {}", bad.code));
        }
    }
    s.noted("s6-svc", "-w z");
    s.noted("s6-svc", "-T many -u");
    s.noted("s6-svwait", "-t many -u");
    s.noted("s6-svstat", "-o nonsense");
    s.noted("s6-svstat", "-o");
    s.noted("s6-svok", "");
}

fn other_bytes_are_ignored(s: &Stage) {
    let mut events = s.service.listen();
    s.service.control(b"zZ\0\xff \n9u");
    events.must("u");
    s.note_status();
    s.svc("-d");
    events.must("udD");
}

fn reload_signal(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    s.svc("-l");
    must("HUP is heard", || s.read("heard") == "HUP\n");
    s.svc("-dk");
}

fn reload_signal_file(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    s.svc("-l");
    must("USR2 is heard", || s.read("heard") == "USR2\n");
    s.svc("-dk");
}

fn process_group(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    let pid = s.service.must("ready", |x| x.ready).pid;
    let child: u32 = s.read("child").trim().parse().expect("a pid");
    s.svc("-P");
    must("both stop", || state(pid) == Some('T') && state(child) == Some('T'));
    s.service.must("paused", |x| x.paused);
    s.svc("-C");
    must("both go on", || state(pid) != Some('T') && state(child) != Some('T'));
    s.service.must("not paused", |x| !x.paused);
    s.svc("-O");
    s.svc("-K");
    events.must("uUdD");
    must("both are dead", || !alive(pid) && !alive(child));
}

fn signal_by_name(s: &Stage) {
    let mut events = s.service.listen();
    s.svc("-u");
    events.must("uU");
    s.svc("-s USR1");
    must("a name", || s.read("heard") == "USR1\n");
    s.svc("-s SIGUSR2");
    must("a long name", || s.read("heard") == "USR1\nUSR2\n");
    s.svc("-s 1");
    must("a number", || s.read("heard") == "USR1\nUSR2\nHUP\n");
    for bad in ["NONSENSE", "0", "-1", "99999999999", "SEGV", "64"] {
        s.noted("s6-svc", &format!("-s {bad}"));
    }
    s.svc("-dk");
}

fn no_restart_and_down_file(s: &Stage) {
    if !s.tree.is_skeg() {
        return; // 2.15.1 lists the letter and ignores it
    }
    let mut events = s.service.listen();
    let file = s.service.dir.join("down");
    s.svc("-U");
    events.must("u");
    must("no `down`", || !file.exists());
    s.svc("-Q");
    must("`down` is made", || file.exists());
    s.service.must("up, not wanted up", |x| x.up() && !x.want_up);
    s.svc("-t");
    events.must("udD");
}

fn two_directories(s: &Stage) {
    let (mut a, mut b) = (s.service.listen(), s.other().listen());
    s.svc("-u A B");
    a.must("u");
    b.must("u");
    s.svc("-wD -d A B");
    a.must("udD");
    b.must("udD");
}
