// SPDX-License-Identifier: ISC
//! A stop where the live directory's file system is full, of names, of bytes, or of both: everything comes down, each after
//! what needs it.

use harness::fault::{Fault, strike};
use harness::mount::{Mount, fill, fill_inodes};
use harness::process::{LONG, kill, run_for};
use harness::wait::must;
use harness::{Done, Scanner, Scratch, Suite};
use rustix::process::Signal;
use std::time::Duration;

/// `disk`, a oneshot, and three longruns that need it, each the one before; what ends says so in `log`, after a while.
fn define(scratch: &Scratch) {
    let log = scratch.text("log");
    let says = |name: &str| format!("echo {name} >> {log}");
    scratch.file("src/disk/type", "oneshot\n");
    scratch.file("src/disk/up", "/bin/true\n");
    scratch.file("src/disk/down", format!("/bin/sh -c \"{}\"\n", says("disk")));
    for (name, needs) in [("a", "disk"), ("b", "a"), ("c", "b")] {
        scratch.file(format!("src/{name}/type"), "longrun\n");
        let run = format!(
            "#!/bin/sh\ntrap 'sleep 0.1; {}; exit' TERM\necho >&3\nwhile :; do sleep 0.02; done\n",
            says(name)
        );
        scratch.file(format!("src/{name}/run"), run);
        scratch.file(format!("src/{name}/notification-fd"), "3\n");
        scratch.file(format!("src/{name}/finish"), format!("#!/bin/sh\nsleep 0.1\n{}\n", says("finish")));
        scratch.file(format!("src/{name}/dependencies.d/{needs}"), "");
    }
    scratch.run(&Suite::skeg(), "s6-rc-compile", &["image", "src"]).expect(0);
}

/// What the file system has no more room for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Full {
    Names,
    Bytes,
    Both,
}

/// All up, on a file system that has been filled since.
struct Case {
    // In the order in which they go.
    scanner: Scanner,
    mount: Mount,
    scratch: Scratch,
}

impl Case {
    fn new(tree: &Suite) -> Option<Self> {
        let scratch = Scratch::new();
        define(&scratch);
        let mount = Mount::new(&scratch, 4096)?;
        let scanner = Scanner::start_with(&scratch, tree, "small/scan", &[], |_| ());
        let case = Self { scanner, mount, scratch };
        let scan = case.scanner.dir.display().to_string();
        case.run("s6-rc-init", &["-c", &case.scratch.text("image"), &scan]).expect(0);
        case.run("s6-rc", &["start", "c"]).expect(0);
        Some(case)
    }

    fn fill(&self, full: Full) {
        if full != Full::Names {
            fill(&self.mount.0);
        }
        if full != Full::Bytes {
            fill_inodes(&self.mount.0);
        }
    }

    fn run(&self, applet: &str, words: &[&str]) -> Done {
        let live = self.scratch.text("small/live");
        let words = [&["-l", &live], words].concat();
        run_for(&mut self.scratch.command(&Suite::skeg(), applet, &words), Duration::from_secs(20))
    }

    fn up(&self) -> Vec<String> {
        self.run("s6-rc", &["-e", "-a", "list"]).expect(0).lines()
    }
}

const IN_ORDER: &str = "c\nfinish\nb\nfinish\na\nfinish\ndisk\n";

#[test]
fn services_stop_in_order_on_a_file_system_that_has_no_room() {
    for full in [Full::Bytes, Full::Names, Full::Both] {
        for words in [&["-d", "change", "disk"][..], &["stop", "disk"], &["-D", "-a", "change"]] {
            let Some(case) = Case::new(&Suite::skeg()) else { return println!("left out: no mounts here") };
            case.fill(full);
            let done = case.run("s6-rc", words);
            assert_eq!(done.code, 0, "{full:?}, {words:?}: {done:?}");
            assert_eq!(case.scratch.read("log"), IN_ORDER, "{full:?}, {words:?}: {}", done.err);
            assert_eq!(case.up(), [""; 0]);
            let left = case.scanner.service("a").status().expect("a status");
            assert!(left.down() && !left.want_up);
        }
    }
}

/// A stop that is killed, at one call after the other, leaves what the next one, without room either, needs for the rest.
#[test]
fn a_stop_without_room_that_was_killed_is_finished_in_order_by_the_next() {
    // Not a divisor of the calls of a round of looking.
    const STRIDE: usize = 7;
    let Some(case) = Case::new(&Suite::skeg()) else { return println!("left out: no mounts here") };
    let words = ["-l", &case.scratch.text("small/live"), "-d", "change", "disk"].map(str::to_owned);
    for n in (1..).step_by(STRIDE) {
        let _ = std::fs::remove_file(case.scratch.at("log"));
        let fillers = fill_inodes(&case.mount.0);
        let killed = strike(&case.scratch, &Suite::skeg_fault(), "s6-rc", &words, n as u32, Fault::Kill);
        let done = case.run("s6-rc", &["-d", "change", "disk"]);
        assert_eq!(done.code, 0, "killed at {n}: {done:?}");
        assert_eq!(case.scratch.read("log"), IN_ORDER, "killed at {n}: {}", done.err);
        assert_eq!(case.up(), [""; 0], "killed at {n}");
        fillers.iter().for_each(|file| std::fs::remove_file(file).expect("room"));
        if killed.code == 0 {
            assert!(n > 100, "killed never");
            return;
        }
        case.run("s6-rc", &["start", "c"]).expect(0);
    }
}

/// Time that is over, and a supervisor that leaves, end the looking.
#[test]
fn a_stop_without_room_does_not_wait_for_ever() {
    let Some(mut case) = Case::new(&Suite::skeg()) else { return println!("left out: no mounts here") };
    case.fill(Full::Names);
    let pid = case.scanner.service("c").status().expect("a status").pid;
    kill(pid, Signal::STOP);
    // What the supervisor sends to continue it comes first.
    let supervisor = case.scanner.must_supervisor();
    kill(supervisor, Signal::STOP);
    let done = case.run("s6-rc", &["-t", "300", "-d", "change", "disk"]).expect(2);
    assert!(done.err.contains("timed out") && case.scratch.read("log").is_empty(), "{done:?}");
    let live = case.scratch.text("small/live");
    let stop = case.scratch.start(&Suite::skeg(), "s6-rc", &["-l", &live, "-d", "change", "disk"]);
    must("its command is there", || case.scanner.service("c").unread() == Some(2));
    kill(case.scanner.pid(), Signal::KILL);
    kill(supervisor, Signal::KILL);
    case.scanner.ended();
    let done = stop.finish(LONG).expect(1);
    assert!(done.err.contains("its supervisor went away"), "{done:?}");
}

/// A stop that something comes after finds out before it has begun, and so does one under supervisors that don't tell.
#[test]
fn what_could_not_be_told_or_started_again_is_not_stopped_without_room() {
    let trees = [
        Some((Suite::skeg(), ["-p", "change", "disk"])),
        Suite::debian().map(|s6| (s6, ["-d", "change", "disk"])),
    ];
    for (tree, words) in trees.into_iter().flatten() {
        let Some(case) = Case::new(&tree) else { return println!("left out: no mounts here") };
        case.fill(Full::Names);
        let done = case.run("s6-rc", &words).expect(1);
        assert!(done.err.contains("can't stop service c") && done.err.contains("no space left"), "{done:?}");
        assert_eq!(case.scratch.read("log"), "");
    }
}
