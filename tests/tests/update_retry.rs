// SPDX-License-Identifier: ISC
//! An update, an apply or a restart that fails or runs out of time: what it wanted up and is not is said by name, is known
//! afterwards, and comes up with the next one, or is said again. (A kill at each call of it, and then the retry:
//! `update_kill`.)

use harness::fault::{self, Fault};
use harness::process::kill;
use harness::status::Status;
use harness::tree::Scanner;
use harness::wait::must;
use harness::{Done, Scratch, Suite};
use rustix::process::Signal;

/// Two images. `net` is a oneshot whose `up` and `down` fail while `flags/up` or `flags/down` has the text `fail`, and hang
/// while it has `hang`; `web` needs it, `other` needs nothing.
struct World {
    scratch: Scratch,
    _scanner: Scanner,
}

impl World {
    fn new() -> Self {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        for (tree, text) in [("a", "1"), ("b", "2")] {
            for (name, needs) in [("web", "net"), ("other", ""), ("log", "web")] {
                scratch.file(format!("{tree}/{name}/type"), "longrun\n");
                scratch.file(format!("{tree}/{name}/run"), "#!/bin/sh\nexec sleep 1000\n");
                if !needs.is_empty() {
                    scratch.file(format!("{tree}/{name}/dependencies.d/{needs}"), "");
                }
            }
            scratch.file(format!("{tree}/net/type"), "oneshot\n");
            for which in ["up", "down"] {
                let script = format!(
                    "/bin/sh -c \": {text}; read -r x <../../flags/{which}; case $x in fail) exit 1;; hang) exec sleep 1000;; esac\"\n"
                );
                scratch.file(format!("{tree}/net/{which}"), script);
            }
            scratch.run(&skeg, "s6-rc-compile", &[&format!("{tree}.img"), tree]).expect(0);
        }
        scratch.file("conversion", "net restart\n");
        scratch.file("flags/up", "ok\n");
        scratch.file("flags/down", "ok\n");
        let scanner = Scanner::start(&scratch, &skeg);
        let world = Self { scratch, _scanner: scanner };
        world.run("s6-rc-init", &["-c", &world.text("a.img"), &world.text("scan")]).expect(0);
        world.run("s6-rc", &["-u", "change", "log", "other"]).expect(0);
        world
    }

    fn text(&self, name: &str) -> String {
        self.scratch.text(name)
    }

    fn run(&self, applet: &str, words: &[&str]) -> Done {
        self.scratch.run(&Suite::skeg(), applet, &[&["-l", &self.text("live")], words].concat())
    }

    /// What `net` does from now on, up or down.
    fn behave(&self, which: &str, how: &str) {
        self.scratch.file(format!("flags/{which}"), format!("{how}\n"));
    }

    /// The update by the reference's rules, with a restart of `net`.
    fn update(&self, options: &[&str]) -> Done {
        let (rules, image) = (self.text("conversion"), self.text("b.img"));
        self.run("s6-rc-update", &[options, &["-f", &rules, &image]].concat())
    }

    /// The same update again, without the rules, which are for the old image.
    fn again(&self, options: &[&str]) -> Done {
        self.run("s6-rc-update", &[options, &[&self.text("b.img")]].concat())
    }

    fn up(&self) -> Vec<String> {
        let listed = self.run("s6-rc", &["-a", "list"]).expect(0).lines();
        listed.into_iter().filter(|name| !name.starts_with("s6rc-")).collect()
    }

    fn is_new(&self) -> bool {
        std::fs::read(self.scratch.at("live/image")).ok() == std::fs::read(self.scratch.at("b.img")).ok()
    }

    /// Fails the test unless all is up, and its processes run.
    #[track_caller]
    fn must_be_complete(&self) {
        assert_eq!(self.up(), ["log", "net", "other", "web"]);
        for name in ["log", "web", "other"] {
            must("a process", || Status::read(&self.scratch.at("scan").join(name)).is_some_and(|s| s.up()));
        }
    }
}

/// What is said of services that stay down, sorted.
fn down(done: &Done) -> Vec<&str> {
    let lines = done.err.lines().filter(|line| line.contains(" was to be up and is not"));
    let names = lines.map(|line| line.split_once("service ").unwrap().1.split(' ').next().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

const HINT: &str =
    "'skeg recover' or the next update starts what was to be up; 's6-rc -d change NAME' gives it up\n";

#[test]
fn a_stop_that_hangs_leaves_names_and_the_update_again_brings_all_back() {
    let world = World::new();
    world.behave("down", "hang");
    // Whether `net` is among them hangs on when the end of its script is recorded, which its runner has just killed.
    let others =
        |done: &Done| down(done).into_iter().filter(|name| *name != "net").collect::<Vec<_>>().join(" ");
    let done = world.update(&["-t", "2000"]).expect(10);
    assert_eq!(others(&done), "log web", "{}", done.err);
    assert!(done.err.contains("('skeg why web')\n"), "{}", done.err);
    let why = "service log was to be up and is not: it needs web, which is not up ('skeg why log')\n";
    assert!(done.err.contains(why), "{}", done.err);
    assert!(done.err.contains(HINT), "{}", done.err);
    assert!(!world.is_new());
    // The same again: it has nothing more to stop but `net`, and still says who is down.
    assert_eq!(others(&world.update(&["-t", "2000"]).expect(10)), "log web");
    world.behave("down", "ok");
    assert_eq!(down(&world.update(&[]).expect(0)), [] as [&str; 0]);
    assert!(world.is_new());
    world.must_be_complete();
}

#[test]
fn a_stop_that_fails_leaves_what_recover_starts() {
    let world = World::new();
    world.behave("down", "fail");
    assert_eq!(down(&world.update(&[]).expect(9)), ["log", "web"]);
    assert_eq!(world.up(), ["net", "other"]);
    let why = world.run("why", &["web"]).expect(0).out;
    assert!(why.contains("it is owed: ") && why.contains("'s6-rc -d change web' gives it up"), "{why}");
    let status = world.run("status", &["web"]).expect(1).out;
    assert!(status.contains("down, owed"), "{status}");
    let said = world.run("recover", &[]).expect(0).err;
    assert!(said.contains("what a command that failed had left down was started"), "{said}");
    world.must_be_complete();
    assert_eq!(world.run("recover", &[]).expect(0).err, "");
}

#[test]
fn a_start_that_fails_or_hangs_is_tried_again_by_each_update_until_it_succeeds() {
    let world = World::new();
    world.behave("up", "hang");
    let done = world.update(&["-t", "2000"]).expect(2);
    assert_eq!(down(&done), ["log", "net", "web"], "{}", done.err);
    assert!(done.err.contains("web was to be up and is not: it needs net, which is not up"), "{}", done.err);
    assert!(world.is_new());
    assert_eq!(down(&world.again(&["-t", "2000"]).expect(2)), ["log", "net", "web"]);
    world.behave("up", "fail");
    let done = world.again(&[]).expect(1);
    assert_eq!(down(&done), ["log", "net", "web"]);
    assert!(done.err.contains("can't start service net"), "{}", done.err);
    let done = world.run("recover", &[]).expect(1);
    assert_eq!(down(&done), ["log", "net", "web"]);
    assert!(done.err.contains(HINT), "{}", done.err);
    world.behave("up", "ok");
    world.again(&[]).expect(0);
    world.must_be_complete();
}

#[test]
fn a_plan_shows_what_is_owed_and_apply_starts_it() {
    let world = World::new();
    world.behave("up", "fail");
    assert_eq!(down(&world.run("apply", &[&world.text("b.img")]).expect(1)), ["log", "net", "web"]);
    let plan = world.run("plan", &[&world.text("b.img")]).expect(0).out;
    let why = "it was to be up, but a command that failed left it down";
    let wanted = ["net", "web", "log"].map(|name| format!("start    {name}: {why}\n"));
    assert_eq!(plan, wanted.concat());
    world.run("plan", &["-o", &world.text("saved"), &world.text("b.img")]).expect(0);
    world.behave("up", "ok");
    world.run("apply", &[&world.text("saved")]).expect(0);
    world.must_be_complete();
    world.run("apply", &[&world.text("saved")]).expect(7);
}

#[test]
fn what_is_stopped_by_name_or_pruned_is_owed_no_more() {
    let stops: [&[&str]; 3] = [&["-d", "change", "web"], &["stop", "web"], &["-pu", "change", "other"]];
    for words in stops {
        let world = World::new();
        world.behave("down", "fail");
        world.update(&[]).expect(9);
        // The prune stops `net`, too.
        world.behave("down", "ok");
        world.run("s6-rc", words).expect(0);
        let done = world.again(&[]).expect(0);
        assert_eq!((down(&done), world.is_new()), (vec![], true));
        let up: &[&str] = if words.contains(&"-pu") { &["other"] } else { &["net", "other"] };
        assert_eq!(world.up(), up, "{words:?}");
        assert_eq!(world.run("recover", &[]).expect(0).err, "");
    }
}

#[test]
fn a_start_by_hand_settles_it_and_one_that_fails_does_not() {
    let world = World::new();
    world.behave("up", "fail");
    world.update(&[]).expect(1);
    world.run("s6-rc", &["-u", "change", "web"]).expect(1);
    assert_eq!(down(&world.run("recover", &[]).expect(1)), ["log", "net", "web"]);
    world.behave("up", "ok");
    world.run("s6-rc", &["-u", "change", "web"]).expect(0);
    assert_eq!(world.up(), ["net", "other", "web"]);
    world.run("s6-rc", &["-d", "change", "log"]).expect(0);
    assert_eq!(world.run("recover", &[]).expect(0).err, "");
    assert_eq!(world.up(), ["net", "other", "web"]);
}

#[test]
fn a_longrun_that_is_not_ready_in_time_comes_up_later() {
    let world = World::new();
    let ready = "#!/bin/sh\nread -r x <../../flags/ready\n[ $x = no ] || echo >&3\nexec sleep 1000\n";
    world.scratch.file("b/other/run", ready);
    world.scratch.file("b/other/notification-fd", "3\n");
    world.scratch.file("flags/ready", "no\n");
    world.scratch.run(&Suite::skeg(), "s6-rc-compile", &["b2.img", "b"]).expect(0);
    std::fs::rename(world.scratch.at("b2.img"), world.scratch.at("b.img")).unwrap();
    let done = world.run("apply", &["-t", "2000", &world.text("b.img")]).expect(2);
    assert_eq!(down(&done), ["other"], "{}", done.err);
    let done = world.run("apply", &["-t", "2000", &world.text("b.img")]).expect(2);
    assert_eq!(down(&done), ["other"], "{}", done.err);
    world.behave("ready", "yes");
    // It has a process that will never say so: only a new one does.
    world.run("s6-rc", &["-d", "change", "other"]).expect(0);
    world.run("s6-rc", &["-u", "change", "other"]).expect(0);
    world.run("apply", &[&world.text("b.img")]).expect(0);
    world.must_be_complete();
}

#[test]
fn a_restart_that_runs_out_of_time_is_gone_on_with() {
    let world = World::new();
    world.behave("up", "hang");
    let done = world.run("restart", &["-t", "2000", "net"]).expect(2);
    assert_eq!(down(&done), ["log", "net", "web"], "{}", done.err);
    world.behave("up", "fail");
    assert_eq!(down(&world.run("restart", &["net"]).expect(1)), ["log", "net", "web"]);
    world.behave("up", "ok");
    world.run("restart", &["net"]).expect(0);
    world.must_be_complete();
}

#[test]
fn an_edit_of_bundles_starts_nothing_and_forgets_nothing() {
    let world = World::new();
    world.behave("up", "fail");
    world.update(&[]).expect(1);
    world.behave("up", "ok");
    world.run("s6-rc-bundle", &["add", "mine", "other"]).expect(0);
    assert_eq!(world.up(), ["other"]);
    world.run("recover", &[]).expect(0);
    world.must_be_complete();
}

#[test]
fn a_renamed_service_is_owed_under_its_new_name_and_one_that_has_gone_is_not() {
    let world = World::new();
    world.behave("down", "fail");
    world.update(&[]).expect(9);
    for (from, to) in [("log", "logger"), ("web", "site")] {
        std::fs::rename(world.scratch.at(format!("b/{from}")), world.scratch.at(format!("b/{to}"))).unwrap();
    }
    std::fs::remove_file(world.scratch.at("b/logger/dependencies.d/web")).unwrap();
    world.scratch.run(&Suite::skeg(), "s6-rc-compile", &["c.img", "b"]).expect(0);
    let rules = world.scratch.file("rules", "log -> logger\n").display().to_string();
    world.run("s6-rc-update", &["-f", &rules, &world.text("c.img")]).expect(0);
    assert_eq!(world.up(), ["logger", "net", "other"]);
}

/// A stop that is given up before the process has ended, by the service's own time or by a signal to the command: its supervisor
/// wants it down, whatever was recorded before.
#[test]
fn a_stop_that_is_given_up_leaves_what_recover_starts() {
    for limit in ["200\n", "0\n"] {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        for tree in ["a", "b"] {
            let run = format!(
                "#!/bin/sh\n# {tree}\ntrap 'while [ ! -e ../../end ]; do sleep 0.1; done; exit 0' TERM\n: >ready\nwhile :; do sleep 0.1; done\n"
            );
            scratch.file(format!("{tree}/slow/type"), "longrun\n");
            scratch.file(format!("{tree}/slow/run"), run);
            scratch.file(format!("{tree}/slow/timeout-down"), limit);
            scratch.run(&skeg, "s6-rc-compile", &[&format!("{tree}.img"), tree]).expect(0);
        }
        let (scanner, live) = (Scanner::start(&scratch, &skeg), scratch.text("live"));
        let run = |applet: &str, words: &[&str]| {
            scratch.run(&skeg, applet, &[&["-l", live.as_str()], words].concat())
        };
        run("s6-rc-init", &["-c", &scratch.text("a.img"), &scratch.text("scan")]).expect(0);
        run("s6-rc", &["-u", "change", "slow"]).expect(0);
        let slow = scanner.service("slow");
        must("its trap", || scratch.at("scan/slow/ready").exists());
        let apply = scratch.start(&skeg, "apply", &["-l", &live, &scratch.text("b.img")]);
        let told = slow.must("told to stop", |s| !s.want_up);
        if limit == "0\n" {
            apply.signal(rustix::process::Signal::INT);
        }
        let done = apply.finish(std::time::Duration::from_secs(30)).expect(9);
        assert_eq!(down(&done), ["slow"], "{}", done.err);
        scratch.file("end", "");
        slow.must("ended", |s| s.pid == 0);
        run("recover", &[]).expect(0);
        let back = slow.must("back", |s| s.up() && s.want_up);
        assert_ne!(back.pid, told.pid);
    }
}

/// Trees `a`, `b` and `c` with one longrun that ignores SIGTERM, tells its tree into `log`, and in `b` never says that it is ready.
fn stubborn(scratch: &Scratch) -> Scanner {
    let skeg = Suite::skeg();
    for tree in ["a", "b", "c"] {
        let ready = if tree == "b" { "" } else { "echo >&3\n" };
        scratch.file(format!("{tree}/base/type"), "longrun\n");
        scratch.file(format!("{tree}/base/notification-fd"), "3\n");
        let run = format!("#!/bin/sh\ntrap '' TERM\necho {tree} >>../../log\n{ready}exec sleep 1000\n");
        scratch.file(format!("{tree}/base/run"), run);
        scratch.run(&skeg, "s6-rc-compile", &[&format!("{tree}.img"), tree]).expect(0);
    }
    let (scanner, live) = (Scanner::start(scratch, &skeg), scratch.text("live"));
    let words = ["-l", &live, "-c", &scratch.text("a.img"), &scratch.text("scan")];
    scratch.run(&skeg, "s6-rc-init", &words).expect(0);
    scratch.run(&skeg, "s6-rc", &["-l", &live, "-u", "change", "base"]).expect(0);
    scanner
}

/// Its old process must not pass for the new definition's: the update again still has to end it.
#[test]
fn what_did_not_stop_in_time_is_stopped_by_the_update_again() {
    let (scratch, skeg) = (Scratch::new(), Suite::skeg());
    let scanner = stubborn(&scratch);
    let (base, live, image) = (scanner.service("base"), scratch.text("live"), scratch.text("c.img"));
    let old = base.status().expect("a status").pid;
    for _ in 0..2 {
        let done = scratch.run(&skeg, "apply", &["-l", &live, "-t", "300", &image]).expect(10);
        assert_eq!(down(&done), ["base"], "{}", done.err);
        let status = scratch.run(&skeg, "status", &["-l", &live, "base"]).expect(1).out;
        assert!(status.contains("stopping"), "{status}");
    }
    let plan = scratch.run(&skeg, "plan", &["-l", &live, &image]).expect(0).out;
    assert!(plan.contains("restart  base: its run file changed"), "{plan}");
    let again = scratch.start(&skeg, "apply", &["-l", &live, &image]);
    base.must("told to stop", |s| !s.want_up && s.pid == old);
    harness::process::kill(old, rustix::process::Signal::KILL);
    again.finish(harness::process::LONG).expect(0);
    assert_eq!(scratch.read("log"), "a\nc\n");
    base.must("the new one", |s| s.up() && s.pid != old);
}

/// An update to definitions that hang is mended by one to better ones, without a stop by hand.
#[test]
fn what_did_not_get_ready_in_time_is_restarted_by_an_update_that_changes_it() {
    let (scratch, skeg) = (Scratch::new(), Suite::skeg());
    let scanner = stubborn(&scratch);
    let (base, live) = (scanner.service("base"), scratch.text("live"));
    let apply = |image: &str| {
        let apply = scratch.start(&skeg, "apply", &["-l", &live, "-t", "2000", &scratch.text(image)]);
        let told = base.must("told to stop", |s| !s.want_up);
        harness::process::kill(told.pid, rustix::process::Signal::KILL);
        apply.finish(harness::process::LONG)
    };
    assert_eq!(down(&apply("b.img").expect(2)), ["base"]);
    apply("c.img").expect(0);
    assert_eq!(scratch.read("log"), "a\nb\nc\n");
    base.must("ready", |s| s.up() && s.ready);
}

/// A signal means the whole command, also while it finishes what another one left: it must not go on with its own work.
#[test]
fn a_signal_during_a_recovery_ends_the_command_that_it_came_before() {
    let world = World::new();
    world.scratch.file("b/other/run", "#!/bin/sh\n: >../../begun\nexec sleep 1000\n");
    world.scratch.file("b/other/notification-fd", "3\n");
    let (live, source) = (world.text("live"), world.text("b"));
    let apply = || world.scratch.start(&Suite::skeg(), "apply", &["-l", &live, &source]);
    let first = apply();
    must("it waits for what never gets ready", || world.scratch.at("begun").exists());
    first.signal(rustix::process::Signal::KILL);
    first.finish(harness::process::LONG);
    let second = apply();
    let blocked = || harness::process::status_field(second.pid(), "SigBlk");
    must("it reads its signals", || blocked().is_some_and(|set| !set.trim_matches('0').is_empty()));
    second.signal(rustix::process::Signal::INT);
    let done = second.finish(harness::process::LONG).expect(1);
    assert_eq!(done.err.matches("SIGINT").count(), 1, "{}", done.err);
    // With those that had not been started again when it came.
    assert!(down(&done).contains(&"other"), "{}", done.err);
    assert!(!world.scratch.at("live:sv/journal").exists());
}

/// What another command left is finished within the time of the one that finds it.
#[test]
fn the_time_of_a_command_holds_for_what_it_finishes_first() {
    let world = World::new();
    world.behave("down", "hang");
    let (live, image, rules) = (world.text("live"), world.text("b.img"), world.text("conversion"));
    let words = ["-l", &live, "-f", &rules, &image];
    let update = world.scratch.start(&Suite::skeg(), "s6-rc-update", &words);
    must("its script hangs", || world.run("status", &["net"]).out.contains(" stopping"));
    update.signal(rustix::process::Signal::KILL);
    update.finish(std::time::Duration::from_secs(30)).expect(137);
    for applet in ["recover", "s6-rc-update"] {
        let words = ["-t", "300", &image];
        let done = world.run(applet, &words[..if applet == "recover" { 2 } else { 3 }]).expect(111);
        assert!(
            done.err.contains("timed out: a script of a command that was killed still runs"),
            "{}",
            done.err
        );
    }
}

/// A service that has gone, is down by the record, runs all the same, and does not end.
#[test]
fn a_process_that_keeps_its_supervisor_from_leaving_can_be_found() {
    let (scratch, skeg) = (Scratch::new(), Suite::skeg());
    for name in ["web", "gone"] {
        scratch.file(format!("a/{name}/type"), "longrun\n");
        scratch.file(format!("a/{name}/run"), "#!/bin/sh\ntrap '' TERM\n: >ready\nexec sleep 1000\n");
    }
    scratch.run(&skeg, "s6-rc-compile", &["a.img", "a"]).expect(0);
    std::fs::remove_dir_all(scratch.at("a/gone")).unwrap();
    let (scanner, live) = (Scanner::start(&scratch, &skeg), scratch.text("live"));
    let run =
        |applet: &str, words: &[&str]| scratch.run(&skeg, applet, &[&["-l", live.as_str()], words].concat());
    run("s6-rc-init", &["-c", &scratch.text("a.img"), &scratch.text("scan")]).expect(0);
    let gone = scanner.service("gone");
    gone.control(b"u");
    must("its trap", || scratch.at("scan/gone/ready").exists());
    let pid = gone.must("up", |s| s.pid != 0).pid;
    let hint = format!("s6-svstat on each of {live}:sv/* shows a process that does not end");
    for (applet, words, code) in [("apply", vec!["-t", "300", "a"], 2), ("recover", vec!["-t", "300"], 111)] {
        let done = run(applet, &words).expect(code);
        assert!(done.err.contains(&hint), "{applet}: {}", done.err);
    }
    harness::process::kill(pid, rustix::process::Signal::KILL);
    run("recover", &[]).expect(0);
    assert!(!scratch.at("scan/gone").exists());
}

/// An update that was killed when it had stopped something is undone, which takes no longer than the recovery has.
#[test]
fn the_time_of_a_recovery_holds_for_what_comes_back() {
    let world = World::new();
    let (live, image, rules) = (world.text("live"), world.text("b.img"), world.text("conversion"));
    let words = ["-l", &live, "-f", &rules, &image].map(str::to_owned);
    let is_cut = || {
        world.scratch.at("live:sv/journal").exists()
            && !world.is_new()
            && world.run("status", &["net"]).out.contains(" down")
    };
    for n in 1.. {
        let (fault, kill) = (Suite::skeg_fault(), harness::fault::Fault::Kill);
        let done = harness::fault::strike(&world.scratch, &fault, "s6-rc-update", &words, n, kill);
        assert_eq!(done.code, 137, "{done:?}");
        if is_cut() {
            break;
        }
        world.run("recover", &[]).expect(0);
    }
    world.behave("up", "hang");
    let done = world.run("recover", &["-t", "500"]).expect(1);
    assert_eq!(down(&done), ["log", "net", "web"], "{}", done.err);
    world.behave("up", "ok");
    world.run("recover", &[]).expect(0);
    world.must_be_complete();
}

#[test]
fn a_recovery_says_first_whose_work_it_finishes_then_what_fails_then_how_it_ended() {
    let world = World::new();
    let words = ["-l", &world.text("live"), "-f", &world.text("conversion"), &world.text("b.img")];
    let words = words.map(str::to_owned);
    // Killed when it has stopped what depends on `net`, and that.
    for n in 1.. {
        fault::strike(&world.scratch, &Suite::skeg_fault(), "s6-rc-update", &words, n, Fault::Kill);
        assert!(!world.is_new(), "the update came past its stops");
        if world.scratch.at("live:sv/journal").exists() && !world.up().contains(&"net".to_owned()) {
            break;
        }
        world.run("recover", &[]).expect(0);
    }
    world.behave("up", "fail");
    let live = world.text("live");
    let said = |done: Done| -> Vec<String> {
        let all = done.err.replace(&live, "LIVE");
        all.lines().filter(|line| !line.contains(" was to be up and is not")).map(str::to_owned).collect()
    };
    let lines = said(world.run("recover", &[]).expect(1));
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_eq!(lines[0], "recover: LIVE: finishing what an earlier command has left");
    assert!(lines[1].starts_with("recover: can't start service net (after "), "{lines:?}");
    assert_eq!(lines[2], "recover: LIVE: an update that was cut short has been undone");
    assert_eq!(lines[3], "recover: warning: not all services that were up came back");
    assert!(lines[4].starts_with("recover: 'skeg recover' or the next update starts"), "{lines:?}");
    world.behave("up", "ok");
    let last = "recover: LIVE: what a command that failed had left down was started";
    assert_eq!(said(world.run("recover", &[]).expect(0)), [last]);
    world.must_be_complete();
}

/// The update, with this at its nth call.
fn struck(world: &World, options: &[&str], n: u32, fault: Fault) -> Done {
    let words = [options, &["-f", "conversion", "b.img"]].concat();
    let words = words.iter().map(|word| match *word {
        "conversion" | "b.img" => world.text(word),
        other => other.to_owned(),
    });
    let all: Vec<_> = ["-l".to_owned(), world.text("live")].into_iter().chain(words).collect();
    fault::strike(&world.scratch, &Suite::skeg_fault(), "s6-rc-update", &all, n, fault)
}

/// Which call of the update puts the new image in force: a kill right before it leaves the old one.
fn call_of_the_commit() -> u32 {
    let (mut old, mut new) = (1u32, 512);
    while new - old > 1 {
        let (world, n) = (World::new(), old.midpoint(new));
        struck(&world, &[], n, Fault::Kill);
        *if world.is_new() { &mut new } else { &mut old } = n;
    }
    old
}

#[test]
fn what_an_update_that_could_not_be_switched_to_brings_back_has_the_time_of_the_command() {
    let commit = call_of_the_commit();
    // A call more or less may have been made before it: then it is one of its neighbours.
    let failed = [commit, commit - 1, commit + 1].into_iter().find_map(|n| {
        let world = World::new();
        world.behave("up", "hang");
        let done = struck(&world, &["-t", "1500"], n, Fault::Errno(fault::EIO));
        (!world.is_new() && !down(&done).is_empty()).then_some((world, done))
    });
    let (world, done) = failed.expect("the switch failed");
    assert!(!done.hung() && done.took < std::time::Duration::from_secs(20), "{done:?}");
    assert_eq!(down(&done), ["log", "net", "web"], "{}", done.err);
    assert_eq!(done.code, 111, "{}", done.err);
    world.behave("up", "ok");
    world.run("recover", &[]).expect(0);
    world.must_be_complete();
}

/// A process goes on while its definition gets another file: that one waits for the next start, and with it what is waited for.
#[test]
fn a_process_that_can_not_say_that_it_is_ready_is_not_waited_for_because_its_next_definition_can() {
    for tree in [Some(Suite::skeg()), Suite::debian()].into_iter().flatten() {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        for image in ["silent", "tells", "more"] {
            for name in ["a", "b"] {
                scratch.file(format!("{image}/{name}/type"), "longrun\n");
                let seconds = if name == "b" { image.len() * 1000 } else { 1000 };
                scratch.file(format!("{image}/{name}/run"), format!("#!/bin/sh\nexec sleep {seconds}\n"));
            }
            if image != "silent" {
                scratch.file(format!("{image}/a/notification-fd"), "3\n");
            }
            scratch.run(&skeg, "s6-rc-compile", &[&format!("{image}.img"), image]).expect(0);
        }
        let scanner = Scanner::start(&scratch, &tree);
        let live = scratch.text("live");
        let run =
            |applet: &str, words: &[&str]| scratch.run(&skeg, applet, &[&["-l", &live], words].concat());
        run("s6-rc-init", &["-c", &scratch.text("silent.img"), &scratch.text("scan")]).expect(0);
        run("s6-rc", &["-u", "change", "a", "b"]).expect(0);
        let pid = || scanner.service("a").status().map(|s| s.pid);
        let before = pid();
        run("s6-rc-update", &[&scratch.text("tells.img")]).expect(0);
        assert_eq!(pid(), before);
        let words = ["-l".to_owned(), live.clone(), scratch.text("more.img")];
        for n in 1.. {
            fault::strike(&scratch, &Suite::skeg_fault(), "apply", &words, n, Fault::Kill);
            if scratch.at("live:sv/journal").exists() {
                break;
            }
        }
        let done = run("recover", &["-t", "20000"]).expect(0);
        assert_eq!(pid(), before, "{}", done.err);
        assert_eq!(run("s6-rc", &["-a", "list"]).expect(0).lines(), ["a", "b"]);
    }
}

/// It is not up, so no plan has it; but it has a process, which needs what the plan stops.
#[test]
fn what_did_not_stop_in_time_ends_before_an_update_stops_what_it_needs() {
    let (scratch, skeg) = (Scratch::new(), Suite::skeg());
    for (image, seconds) in [("a", 1000), ("b", 1001)] {
        let longrun = |name: &str, run: &str| {
            scratch.file(format!("{image}/{name}/type"), "longrun\n");
            scratch.file(format!("{image}/{name}/notification-fd"), "3\n");
            scratch.file(
                format!("{image}/{name}/run"),
                format!("#!/bin/sh\n{run}\necho >&3\nexec sleep {seconds}\n"),
            );
        };
        longrun("net", "");
        longrun("db", "trap '' TERM");
        scratch.file(format!("{image}/db/dependencies.d/net"), "");
        scratch.run(&skeg, "s6-rc-compile", &[&format!("{image}.img"), image]).expect(0);
    }
    let scanner = Scanner::start(&scratch, &skeg);
    let (live, new) = (scratch.text("live"), scratch.text("b.img"));
    let run = |applet: &str, words: &[&str]| scratch.run(&skeg, applet, &[&["-l", &live], words].concat());
    run("s6-rc-init", &["-c", &scratch.text("a.img"), &scratch.text("scan")]).expect(0);
    run("s6-rc", &["-u", "change", "db"]).expect(0);
    let pid = |name| scanner.service(name).status().expect("a status").pid;
    let before = pid("net");
    run("s6-rc", &["-t", "200", "-d", "change", "db"]).expect(2);
    for update in ["apply", "s6-rc-update"] {
        // By the rules of the reference only a conversion file restarts it.
        scratch.file("conv", "net restart\n");
        let conversion = scratch.text("conv");
        let words = ["-t", "300", "-f", &conversion, &new];
        let done = run(update, &words).expect(10);
        assert!(done.err.contains("db"), "{}", done.err);
        assert_eq!(pid("net"), before);
    }
    kill(pid("db"), Signal::KILL);
    scanner.service("db").must("down", |s| s.pid == 0);
    run("apply", &[&new]).expect(0);
    assert_ne!(pid("net"), before);
    assert_eq!(run("s6-rc", &["-a", "list"]).expect(0).lines(), ["net"]);
}
