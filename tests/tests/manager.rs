// SPDX-License-Identifier: ISC
//! The manager beyond the recorded cases: no fork, locks that explain, what a death in the middle leaves, timeouts, signals.

use harness::process::{LONG, kill, run};
use harness::wait::{PATIENCE, must};
use harness::{Done, Scanner, Scratch, Suite, User};
use rustix::process::Signal;

/// A live tree: a scratch directory with definitions in `src`, an image, a scanner and a live directory.
struct Tree {
    scratch: Scratch,
    scanner: Scanner,
    skeg: Suite,
    live: String,
}

impl Tree {
    fn new(tree: &Suite, define: impl FnOnce(&Scratch)) -> Self {
        Self::of(tree, Suite::skeg(), define)
    }

    /// One whose manager is that of this suite.
    fn of(tree: &Suite, skeg: Suite, define: impl FnOnce(&Scratch)) -> Self {
        let scratch = Scratch::new();
        define(&scratch);
        let (image, source, live) = (scratch.text("image"), scratch.text("src"), scratch.text("live"));
        scratch.run(&skeg, "s6-rc-compile", &[&image, &source]).expect(0);
        let scanner = Scanner::start(&scratch, tree);
        let scan = scanner.dir.display().to_string();
        scratch.run(&skeg, "s6-rc-init", &["-c", &image, "-l", &live, &scan]).expect(0);
        Self { scratch, scanner, skeg, live }
    }

    fn run(&self, applet: &str, words: &[&str]) -> Done {
        let mut all = vec!["-l", &self.live];
        all.extend(words);
        self.scratch.run(&self.skeg, applet, &all)
    }

    fn up(&self) -> Vec<String> {
        self.run("s6-rc", &["-a", "list"]).expect(0).lines()
    }

    /// The objects of `skeg status --json`, by name.
    fn state(&self, name: &str) -> serde_json::Value {
        let done = self.run("status", &["--json", name]);
        let all: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
        all[0].clone()
    }
}

fn oneshot(scratch: &Scratch, name: &str, up: &str, needs: &[&str]) {
    scratch.file(format!("src/{name}/type"), "oneshot\n");
    scratch.file(format!("src/{name}/up"), format!("{up}\n"));
    for other in needs {
        scratch.file(format!("src/{name}/dependencies.d/{other}"), "");
    }
}

fn longrun(scratch: &Scratch, name: &str, run: &str, needs: &[&str]) {
    scratch.file(format!("src/{name}/type"), "longrun\n");
    scratch.file(format!("src/{name}/run"), format!("#!/bin/sh\n{run}\n"));
    for other in needs {
        scratch.file(format!("src/{name}/dependencies.d/{other}"), "");
    }
}

/// A script that says where it is and waits for a file.
fn waits(scratch: &Scratch) -> String {
    let (here, go) = (scratch.text("here"), scratch.text("go"));
    format!("/bin/sh -c \"echo > {here} ; while ! test -e {go} ; do sleep 0.01 ; done\"")
}

#[test]
fn a_change_forks_and_executes_nothing() {
    if !std::path::Path::new("/usr/bin/strace").exists() {
        return println!("left out: no strace here");
    }
    let tree = Tree::new(&Suite::skeg(), |s| {
        longrun(s, "web", "exec sleep 1000", &[]);
        oneshot(s, "mount", "/bin/true", &[]);
        oneshot(s, "lan", "/bin/true", &["mount", "web"]);
    });
    let trace = tree.scratch.text("trace");
    let program = tree.skeg.binary().display().to_string();
    let calls = "trace=clone,clone3,fork,vfork,execve,execveat";
    for command in ["start", "stop"] {
        let words = [
            "-f", "-e", calls, "-o", &trace, "--", &program, "s6-rc", "-l", &tree.live, command, "lan", "web",
        ];
        let strace = Suite::Folder("/usr/bin".into());
        tree.scratch.run(&strace, "strace", &words).expect(0);
        let calls = tree.scratch.read("trace");
        assert_eq!(calls.lines().filter(|l| l.contains("clone") || l.contains("fork")).count(), 0, "{calls}");
        assert_eq!(calls.lines().filter(|l| l.contains("exec")).count(), 1, "its own: {calls}");
    }
}

#[test]
fn a_lock_in_use_says_who_holds_it_and_a_nested_wait_is_refused() {
    let tree = Tree::new(&Suite::skeg(), |s| {
        let (skeg, live) = (Suite::skeg().binary().display().to_string(), s.text("live"));
        oneshot(s, "slow", &waits(s), &[]);
        oneshot(s, "nested", &format!("{skeg} s6-rc -b -l {live} start slow"), &[]);
    });
    let change = tree.scratch.start(&tree.skeg, "s6-rc", &["-l", &tree.live, "start", "slow"]);
    must("the script runs", || tree.scratch.at("here").exists());
    let refused = tree.run("s6-rc", &["start", "slow"]).expect(111);
    assert!(refused.err.contains(&format!("process {} holds it", change.pid())), "{}", refused.err);
    assert!(refused.err.contains("start slow"), "its command line: {}", refused.err);
    tree.scratch.file("go", "");
    change.finish(LONG).expect(0);
    let nested = tree.run("s6-rc", &["-t", "20000", "start", "nested"]).expect(1);
    assert!(nested.err.contains("wait for itself"), "{}", nested.err);
}

/// A longrun whose `run` and `finish` wait for the lock of the command that waits for them; and one in the background.
#[test]
fn a_longrun_that_waits_for_the_command_that_waits_for_it_is_refused() {
    let both = |tree: &Suite| {
        let tree = Tree::new(tree, |s| {
            let (skeg, live) = (Suite::skeg().binary().display().to_string(), s.text("live"));
            let ask = |to: &str| {
                format!(
                    "{skeg} s6-rc -b -l {live} start other 2> {0}.new\necho $? >> {0}.new\nmv {0}.new {0}",
                    s.text(to)
                )
            };
            longrun(s, "other", "exec sleep 1000", &[]);
            let run = format!("({}) &\nwait\necho >&3\nexec sleep 1000", ask("run"));
            longrun(s, "nested", &run, &[]);
            s.file("src/nested/notification-fd", "3\n");
            s.file("src/nested/timeout-finish", "0\n");
            s.file("src/nested/finish", format!("#!/bin/sh\n{}\n", ask("finish")));
        });
        for (verb, file) in [("start", "run"), ("stop", "finish")] {
            tree.run("s6-rc", &["-t", "50000", verb, "nested"]).expect(0);
            let said = tree.scratch.read(file);
            assert!(said.contains("service nested") && said.contains("wait for itself"), "{said}");
            assert_eq!(said.lines().last(), Some("111"), "{said}");
        }
        assert_eq!(tree.up(), [""; 0]);
    };
    both(&Suite::skeg());
    if let Some(debian) = Suite::debian() {
        both(&debian);
    }
}

#[test]
fn a_killed_command_leaves_its_script_running_and_the_result_is_recorded() {
    let tree = Tree::new(&Suite::skeg(), |s| oneshot(s, "slow", &waits(s), &[]));
    let change = tree.scratch.start(&tree.skeg, "s6-rc", &["-l", &tree.live, "start", "slow"]);
    must("the script runs", || tree.scratch.at("here").exists());
    change.signal(Signal::KILL);
    change.finish(LONG).expect(137);
    assert_eq!(tree.state("slow")["state"], "starting");
    tree.scratch.file("go", "");
    must("the result is recorded", || tree.state("slow")["state"] == "up");
}

#[test]
fn a_killed_runner_leaves_its_oneshot_down_and_uncertain() {
    let tree = Tree::new(&Suite::skeg(), |s| oneshot(s, "slow", &waits(s), &[]));
    let change = tree.scratch.start(&tree.skeg, "s6-rc", &["-l", &tree.live, "start", "slow"]);
    must("the script runs", || tree.scratch.at("here").exists());
    let runner = tree.scanner.service("s6rc-oneshot-runner").must("up", |s| s.pid != 0).pid;
    kill(runner, Signal::KILL);
    let done = change.finish(LONG).expect(1);
    assert!(done.err.contains("s6rc-oneshot-runner went away"), "{}", done.err);
    let state = tree.state("slow");
    assert_eq!((&state["state"], &state["uncertain"]), (&"down".into(), &true.into()));
    tree.scratch.file("go", "");
    tree.scanner.service("s6rc-oneshot-runner").must("dead", |s| s.pid != runner);
    tree.run("s6-rc", &["start", "slow"]).expect(0);
    assert_eq!(tree.state("slow")["uncertain"], false);
}

/// A supervisor lets a second pass between two starts: a command that needs the runner then has not failed yet.
#[test]
fn a_runner_that_is_about_to_come_back_is_waited_for() {
    for suite in [Some(Suite::skeg()), Suite::debian()].into_iter().flatten() {
        let tree = Tree::new(&suite, |s| oneshot(s, "net", "/bin/true", &[]));
        let runner = tree.scanner.service("s6rc-oneshot-runner");
        tree.run("s6-rc", &["start", "net"]).expect(0);
        // The second death comes before the process has lived a second: then there is a pause.
        for command in ["stop", "start"] {
            let pid = runner.must("up", |s| s.pid != 0 && s.ready).pid;
            kill(pid, Signal::KILL);
            runner.must("dead", |s| s.pid != pid);
            tree.run("s6-rc", &[command, "net"]).expect(0);
        }
        // One that shall be down is not waited for.
        runner.control(b"d");
        runner.must("down", |s| s.pid == 0 && !s.want_up);
        let refused = tree.run("s6-rc", &["stop", "net"]).expect(1);
        assert!(refused.took < std::time::Duration::from_secs(5), "{refused:?}");
    }
}

#[test]
fn a_signal_gives_longruns_up_and_waits_for_scripts() {
    let tree = Tree::new(&Suite::skeg(), |s| {
        oneshot(s, "slow", &waits(s), &[]);
        longrun(s, "never", "exec sleep 1000", &[]);
        s.file("src/never/notification-fd", "3\n");
    });
    let change = tree.scratch.start(&tree.skeg, "s6-rc", &["-l", &tree.live, "start", "slow", "never"]);
    must("the script runs", || tree.scratch.at("here").exists());
    tree.scanner.service("never").must("started", |s| s.pid != 0);
    change.signal(Signal::TERM);
    tree.scanner.service("never").must("sent down", |s| s.pid == 0);
    tree.scratch.file("go", "");
    change.finish(LONG).expect(1);
    assert_eq!(tree.up(), ["s6rc-oneshot-runner", "slow"]);
}

#[test]
fn a_oneshot_that_takes_too_long_has_failed_and_is_ended() {
    let tree = Tree::new(&Suite::skeg(), |s| {
        oneshot(s, "long", "/bin/sleep 1000", &[]);
        s.file("src/long/timeout-up", "100\n");
        oneshot(s, "after", "/bin/true", &["long"]);
    });
    let done = tree.run("s6-rc", &["start", "after"]).expect(1);
    assert!(done.err.contains("long") && done.err.contains("timed out"), "{}", done.err);
    let running = || {
        tree.scratch.processes().into_iter().any(|p| harness::process::command_line(p).contains("sleep 1000"))
    };
    must("the script has been ended", || !running());
    assert_eq!(tree.state("long")["state"], "down");
}

/// The supervisor is stopped, so it reads neither the `u` nor, after the timeout, the `d`: a next command would take the event of
/// that `u` for the answer to its own.
#[test]
fn a_start_given_up_before_its_supervisor_read_it_is_waited_for() {
    let tree = Tree::new(&Suite::skeg(), |s| {
        longrun(s, "never", "exec sleep 1000", &[]);
        s.file("src/never/notification-fd", "3\n");
        s.file("src/never/timeout-up", "100\n");
    });
    let (never, supervisor) = (tree.scanner.service("never"), tree.scanner.must_supervisor());
    // The timeout, and the second that such a service is given.
    let whole = std::time::Duration::from_millis(1_100);
    let mut events = never.listen();
    kill(supervisor, Signal::STOP);
    let done = tree.run("s6-rc", &["start", "never"]).expect(1);
    kill(supervisor, Signal::CONT);
    assert!(done.took >= whole, "it left after {:?}, with its commands unread", done.took);
    assert!(events.wait(PATIENCE, |seen| seen.contains("ud") && seen.contains('D')), "{}", events.events());
    kill(supervisor, Signal::STOP);
    let change = tree.scratch.start(&tree.skeg, "s6-rc", &["-l", &tree.live, "start", "never"]);
    must("both commands are there", || never.unread() == Some(2));
    kill(supervisor, Signal::CONT);
    let done = change.finish(LONG).expect(1);
    // On a machine so slow that the second was over first there is nothing to see.
    if done.took < whole {
        let status = never.status().expect("a status");
        assert!(never.has_read_all() && status.pid == 0 && !status.want_up, "{status:?}");
    }
}

/// As with s6-rc: it counts as up until it has ended, so nothing that it needs goes before it.
#[test]
fn what_did_not_stop_in_time_is_waited_for_by_the_next_stop() {
    for timeout in ["", "200\n"] {
        let tree = Tree::new(&Suite::skeg(), |s| {
            oneshot(s, "disk", "/bin/true", &[]);
            longrun(s, "base", "trap '' TERM\necho >&3\nexec sleep 1000", &["disk"]);
            s.file("src/base/notification-fd", "3\n");
            if !timeout.is_empty() {
                s.file("src/base/timeout-down", timeout);
            }
        });
        tree.run("s6-rc", &["start", "base"]).expect(0);
        let failed = if timeout.is_empty() { 2 } else { 1 };
        tree.run("s6-rc", &["-t", if timeout.is_empty() { "200" } else { "0" }, "stop", "base"])
            .expect(failed);
        assert_eq!(tree.state("base")["state"], "stopping");
        let done = tree.run("s6-rc", &["-t", "200", "stop", "disk"]);
        assert!(done.code != 0 && done.err.contains("base"), "{done:?}");
        assert!(!done.err.contains("script"), "{}", done.err);
        assert_eq!(tree.state("disk")["state"], "up");
        assert_eq!(tree.state("base")["state"], "stopping");
        let done = tree.run("s6-rc", &["-t", "200", "-D", "-a", "change"]);
        assert!(done.code != 0 && done.err.contains("base"), "{done:?}");
        assert_eq!(tree.state("disk")["state"], "up");
        // A start takes it back.
        tree.run("s6-rc", &["start", "base"]).expect(0);
        assert_eq!(tree.state("base")["state"], "up");
        tree.run("s6-rc", &["-t", "200", "stop", "base"]);
        kill(tree.scanner.service("base").status().expect("a status").pid, Signal::KILL);
        tree.scanner.service("base").must("down", |s| s.pid == 0);
        assert_eq!(tree.state("base")["state"], "down");
        let table = tree.run("status", &["base"]).out;
        assert!(table.contains(" down "), "{table}");
        tree.run("s6-rc", &["-t", "5000", "stop", "disk"]).expect(0);
        assert_eq!(tree.state("disk")["state"], "down");
    }
}

/// The programs of s6-rc 0.7 (`SKEG_SUITE`) pass it: what was told to stop and has not ended is up still, what was told to start and has
/// not come is not. Theirs goes on saying so when it has ended.
#[test]
fn what_did_not_stop_in_time_is_listed_as_up_until_it_has() {
    let suite = Suite::tested();
    let tree = Tree::of(&suite, suite.clone(), |s| {
        longrun(s, "stays", "trap '' TERM\necho >&3\nexec sleep 1000", &[]);
        s.file("src/stays/notification-fd", "3\n");
        s.file("src/stays/timeout-down", "200\n");
        longrun(s, "never", "trap '' TERM\nexec sleep 1000", &[]);
        s.file("src/never/notification-fd", "3\n");
        s.file("src/never/timeout-up", "200\n");
    });
    let listed = |words: &[&str]| tree.run("s6-rc", &[&["-a", "-e"], words].concat()).expect(0).lines();
    tree.run("s6-rc", &["-u", "change", "stays"]).expect(0);
    tree.run("s6-rc", &["-u", "change", "never"]).expect(1);
    // The second time its state is another one.
    for _ in 0..2 {
        tree.run("s6-rc", &["-d", "change", "stays"]).expect(1);
        assert_eq!(listed(&["list"]), ["stays"]);
        assert_eq!(listed(&["listall"]), ["stays"]);
        assert_eq!(listed(&["-d", "list"]), ["never"]);
    }
    if suite.is_skeg() {
        assert_eq!(listed(&["--no-lock", "list"]), ["stays"]);
        kill(tree.scanner.service("stays").status().expect("a status").pid, Signal::KILL);
        tree.scanner.service("stays").must("down", |s| s.pid == 0);
        assert_eq!(listed(&["list"]), [""; 0]);
    }
}

#[test]
fn a_restart_brings_back_all_that_was_up_and_nothing_else() {
    let tree = Tree::new(&Suite::skeg(), |s| {
        longrun(s, "lan", "exec sleep 1000", &[]);
        longrun(s, "web", "exec sleep 1000", &["lan"]);
        longrun(s, "dns", "exec sleep 1000", &["lan"]);
        longrun(s, "other", "exec sleep 1000", &[]);
    });
    tree.run("s6-rc", &["start", "web", "other"]).expect(0);
    let pid = |name: &str| tree.scanner.service(name).status().map_or(0, |s| s.pid);
    let before = (pid("lan"), pid("web"), pid("other"));
    tree.run("restart", &["lan"]).expect(0);
    assert_eq!(tree.up(), ["lan", "other", "web"]);
    assert!(pid("lan") != before.0 && pid("web") != before.1 && pid("other") == before.2);
    assert_eq!(pid("dns"), 0);
    assert!(!tree.scratch.at("live:sv/journal").exists());
}

/// Our scanner's tree and Debian's.
fn both_trees() -> Vec<Suite> {
    [Some(Suite::skeg()), Suite::debian()].into_iter().flatten().collect()
}

/// A wish alone does not make it restart; `restart-with` does, for what it wants as for what it needs.
#[test]
fn a_restart_takes_along_what_asks_for_it() {
    for suite in both_trees() {
        let tree = Tree::new(&suite, |s| {
            longrun(s, "lan", "exec sleep 1000", &[]);
            for (name, restarts) in [("follows", true), ("stays", false)] {
                longrun(s, name, "exec sleep 1000", &[]);
                s.file(format!("src/{name}/wants.d/lan"), "");
                if restarts {
                    s.file(format!("src/{name}/restart-with"), "lan\n");
                }
            }
            longrun(s, "needs", "exec sleep 1000", &["follows"]);
        });
        tree.run("s6-rc", &["start", "needs", "stays"]).expect(0);
        let names = ["lan", "follows", "stays", "needs"];
        let pids = || names.map(|name| tree.scanner.service(name).must("up", |s| s.up()).pid);
        let before = pids();
        tree.run("restart", &["lan"]).expect(0);
        let after = pids();
        let same = [false, false, true, false];
        assert!((0..4).all(|i| (before[i] == after[i]) == same[i]), "{names:?}: {before:?} {after:?}");
    }
}

#[test]
fn why_names_the_cause() {
    let tree = Tree::new(&Suite::skeg(), |s| {
        oneshot(s, "disk", "/bin/sh -c \"exit 3\"", &[]);
        oneshot(s, "mount", "/bin/true", &["disk"]);
        longrun(s, "web", "exec sleep 1000", &["mount"]);
        longrun(s, "plain", "exec sleep 1000", &[]);
    });
    tree.run("s6-rc", &["start", "web"]).expect(1);
    let text = tree.run("why", &["web"]).expect(0).out;
    assert!(text.contains("needs disk: down") && text.contains("failed with exit code 3"), "{text}");
    let answer = tree.run("why", &["--json", "web"]).expect(0).out;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["causes"][0]["name"], "disk");
    assert_eq!(answer["causes"][0]["last"]["code"], 3);
    // A service that has no way to say that it is ready is not blamed for not saying it.
    tree.run("s6-rc", &["start", "plain"]).expect(0);
    let text = tree.run("why", &["plain"]).expect(0).out;
    assert!(text.starts_with("plain: up") && !text.contains("ready"), "{text}");
}

#[test]
fn a_wish_is_started_but_never_needed_and_what_is_manual_is_started_by_name() {
    both_trees().iter().for_each(wishes_and_what_is_manual);
}

fn wishes_and_what_is_manual(suite: &Suite) {
    let tree = Tree::new(suite, |s| {
        let order = s.text("order");
        let log = |name: &str| format!("/bin/sh -c \"echo {name} >> {order}\"");
        oneshot(s, "broken", "/bin/false", &[]);
        longrun(s, "web", "exec sleep 1000", &[]);
        s.file("src/web/wants.d/broken", "");
        oneshot(s, "first", &log("first"), &[]);
        oneshot(s, "last", &log("last"), &[]);
        oneshot(s, "middle", &log("middle"), &[]);
        s.file("src/last/after.d/middle", "");
        s.file("src/first/before.d/middle", "");
        longrun(s, "shell", "exec sleep 1000", &[]);
        s.file("src/shell/flag-manual", "");
        longrun(s, "login", "exec sleep 1000", &["shell"]);
        s.file("src/all/type", "bundle\n");
        for name in ["web", "first", "middle", "last", "shell"] {
            s.file(format!("src/all/contents.d/{name}"), "");
        }
    });
    let up = || tree.up().into_iter().filter(|name| !name.starts_with("s6rc-")).collect::<Vec<_>>();
    // Order alone pulls nothing in.
    tree.run("s6-rc", &["start", "last"]).expect(0);
    assert_eq!(up(), ["last"]);
    tree.run("s6-rc", &["stop", "last"]).expect(0);
    std::fs::remove_file(tree.scratch.at("order")).unwrap();
    // What is wanted was tried, and failed; what is manual was left alone.
    let said = tree.run("s6-rc", &["start", "all"]).expect(1).err;
    assert!(said.contains("can't start service broken"), "{said}");
    assert_eq!(up(), ["first", "last", "middle", "web"]);
    assert_eq!(std::fs::read_to_string(tree.scratch.at("order")).unwrap(), "first\nmiddle\nlast\n");
    tree.run("s6-rc", &["start", "shell"]).expect(0);
    assert_eq!(up(), ["first", "last", "middle", "shell", "web"]);
    tree.run("s6-rc", &["stop", "shell"]).expect(0);
    tree.run("s6-rc", &["start", "login"]).expect(0);
    assert_eq!(up(), ["first", "last", "login", "middle", "shell", "web"]);
}

/// Another user than the tree's can read the record, but ask no supervisor: nothing is said that is not known.
#[test]
fn who_may_not_ask_a_supervisor_is_told_so() {
    use std::os::unix::process::CommandExt;
    let Some((uid, gid)) = User::Ordinary.ids() else { return println!("left out: only root has two users") };
    for suite in both_trees() {
        let tree = Tree::new(&suite, |s| longrun(s, "web", "exec sleep 1000", &[]));
        tree.run("s6-rc", &["start", "web"]).expect(0);
        let other = |applet: &str, words: &[&str]| {
            let words = [&["-l", &tree.live], words].concat();
            run(tree.scratch.command(&tree.skeg, applet, &words).uid(uid).gid(gid)).expect(0)
        };
        let table = other("status", &["web"]);
        assert!(table.out.contains(" up ") && !table.out.contains("unsupervised"), "{}", table.out);
        assert!(
            table.err.contains("only root and the user of the supervisors can ask them"),
            "{}",
            table.err
        );
        let json = other("status", &["--json", "web"]).out;
        assert!(json.contains("\"state\":\"up\"") && !json.contains("supervised"), "{json}");
        let why = other("why", &["web"]).out;
        assert!(why.starts_with("web: up by the record: only root and the user of its supervisor"), "{why}");
        let refused = [&["-l", &tree.live][..], &["stop", "web"]].concat();
        let refused = run(tree.scratch.command(&tree.skeg, "s6-rc", &refused).uid(uid).gid(gid)).expect(111);
        assert!(refused.err.contains("permission denied"), "{}", refused.err);
    }
}

#[test]
fn why_tells_what_hinders_a_longrun() {
    let tree = Tree::new(&Suite::skeg(), |s| {
        s.file("src/lost/type", "longrun\n");
        s.file("src/lost/run", "#! /bin/nothing -e\nexec sleep 1000\n");
        longrun(s, "once", "exit 0", &[]);
        s.file("src/once/finish", "#!/bin/sh\nexit 125\n");
        s.file("src/empty/type", "longrun\n");
        s.file("src/empty/run", "");
        oneshot(s, "absent", "/bin/nothing", &[]);
        oneshot(s, "killed", "/bin/sh -c \"kill -9 $$\"", &[]);
        oneshot(s, "exits", "/bin/sh -c \"exit 137\"", &[]);
        longrun(s, "late", "exec sleep 1000", &[]);
        s.file("src/late/finish", "#!/bin/sh\nexec sleep 1000\n");
        s.file("src/late/timeout-finish", "0\n");
    });
    // It has no way to come up; what is told of it is true at any time.
    let said = tree.run("s6-rc", &["-t", "200", "start", "lost"]).expect(2).err;
    assert!(said.contains("can't start service lost (after ") && said.contains("): timed out\n"), "{said}");
    let text = tree.run("why", &["lost"]).expect(0).out;
    assert!(text.contains("its run can't be started: there is no program /bin/nothing"), "{text}");
    assert!(!text.contains("exit code") && text.contains("ago, timed out after "), "{text}");
    tree.run("s6-rc", &["-t", "200", "start", "empty"]).expect(2);
    let text = tree.run("why", &["empty"]).expect(0).out;
    assert!(
        text.contains("its run can't be started: it begins neither with #! nor as a program\n"),
        "{text}"
    );
    tree.run("s6-rc", &["start", "once"]);
    tree.scanner.service("once").must("over", |s| s.pid == 0 && !s.want_up);
    let text = tree.run("why", &["once"]).expect(0).out;
    assert!(text.contains("has ended and is not started again\n"), "{text}");
    assert!(
        text.contains("with exit code 0\n") && text.contains("'skeg restart once' starts it\n"),
        "{text}"
    );
    assert!(tree.run("status", &["once"]).expect(1).out.contains(" failed "));
    tree.run("s6-rc", &["start", "late"]).expect(0);
    tree.run("s6-rc", &["-t", "200", "stop", "late"]).expect(2);
    let pid = tree.scanner.service("late").must("its finish runs", |s| s.finishing && s.pid != 0).pid;
    let text = tree.run("why", &["late"]).expect(0).out;
    assert!(text.starts_with(&format!("late: stopping, its finish script runs, process {pid}\n")), "{text}");
    assert!(tree.run("status", &["late"]).expect(1).out.contains(" finishing "));
    kill(pid, Signal::KILL);
    tree.run("s6-rc", &["start", "absent"]).expect(1);
    let text = tree.run("why", &["absent"]).expect(0).out;
    let told = "failed: its script can't be started: /bin/nothing: no such file or directory; after ";
    assert!(text.contains(told), "{text}");
    let killed = ("killed", "ago, failed: its script was killed by SIGKILL after ");
    for (name, told) in [killed, ("exits", "ago, failed with exit code 137 after ")] {
        tree.run("s6-rc", &["start", name]).expect(1);
        let text = tree.run("why", &[name]).expect(0).out;
        assert!(text.contains(told), "{text}");
        let answer = tree.run("why", &["--json", name]).expect(0).out;
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!((&answer["last"]["outcome"], &answer["last"]["code"]), (&"failed".into(), &137.into()));
    }
    // A name that nobody has, in every command that takes one.
    for (applet, words) in [("why", &["onec"][..]), ("status", &["onec"]), ("s6-rc", &["start", "onec"])] {
        let said = tree.run(applet, words).expect(3).err;
        assert!(said.contains("no service or bundle is named 'onec' (did you mean 'once'?)"), "{said}");
    }
}

#[test]
fn init_again_changes_nothing_and_another_image_is_refused() {
    let tree = Tree::new(&Suite::skeg(), |s| longrun(s, "web", "exec sleep 1000", &[]));
    tree.run("s6-rc", &["start", "web"]).expect(0);
    let pid = tree.scanner.service("web").must("up", |s| s.pid != 0).pid;
    let (image, scan) = (tree.scratch.text("image"), tree.scanner.dir.display().to_string());
    tree.run("s6-rc-init", &["-c", &image, &scan]).expect(0);
    assert_eq!(tree.scanner.service("web").status().map(|s| s.pid), Some(pid));
    tree.scratch.file("other/dns/type", "longrun\n");
    tree.scratch.file("other/dns/run", "#!/bin/sh\nexec sleep 1000\n");
    let (other, source) = (tree.scratch.text("image2"), tree.scratch.text("other"));
    tree.scratch.run(&tree.skeg, "s6-rc-compile", &[&other, &source]).expect(0);
    tree.run("s6-rc-init", &["-c", &other, &scan]).expect(102);
    // Beside it, with a prefix, it may live.
    let second = tree.scratch.text("second");
    tree.scratch.run(&tree.skeg, "s6-rc-init", &["-c", &other, "-l", &second, "-p", "x-", &scan]).expect(0);
    tree.scratch.run(&tree.skeg, "s6-rc", &["-l", &second, "start", "dns"]).expect(0);
    tree.scanner.service("x-dns").must("up", |s| s.pid != 0);
    // A third one with the same names: the entry is named as it is there.
    let third = tree.scratch.text("third");
    for (prefix, entry) in [("x-", "x-dns"), ("", "s6rc-fdholder")] {
        let image = if prefix.is_empty() { &image } else { &other };
        let words = ["-c", image, "-l", &third, "-p", prefix, &scan];
        let refused = tree.scratch.run(&tree.skeg, "s6-rc-init", &words).expect(111).err;
        assert!(refused.contains(&format!("has an entry '{entry}' that is not ours")), "{refused}");
        assert!(!tree.scratch.at("third").exists() && !tree.scratch.at("third:1").exists());
    }
}

#[test]
fn no_more_scripts_run_at_once_than_allowed() {
    let tree = Tree::new(&Suite::skeg(), |s| {
        let (count, most) = (s.text("running"), s.text("most"));
        s.folder("running");
        s.file("src/all/type", "bundle\n");
        for n in 0..12 {
            let script = format!(
                "/bin/sh -c \"mkdir {count}/{n} ; ls {count} | wc -l >> {most} ; sleep 0.02 ; rmdir {count}/{n}\""
            );
            oneshot(s, &format!("one{n}"), &script, &[]);
            s.file(format!("src/all/contents.d/one{n}"), "");
        }
    });
    tree.run("s6-rc", &["--max-scripts", "3", "start", "all"]).expect(0);
    let most = tree.scratch.read("most").lines().filter_map(|l| l.trim().parse::<u32>().ok()).max();
    assert!(most.is_some_and(|most| (1..=3).contains(&most)), "{most:?}");
}

/// Without a pipeline its pipe holder stays down, which nobody has asked for.
#[test]
fn status_is_good_when_all_that_somebody_wrote_is_up() {
    let tree = Tree::new(&Suite::skeg(), |s| longrun(s, "base", "exec sleep 1000", &[]));
    tree.run("status", &[]).expect(1);
    tree.run("s6-rc", &["start", "base"]).expect(0);
    tree.run("status", &[]).expect(0);
    tree.run("status", &["s6rc-fdholder"]).expect(1);
}
