// SPDX-License-Identifier: ISC
//! A restart that is killed while a service is on its way down: whoever finishes it returns when the service is back, and not
//! while the old process is still about to end.

use harness::process::{alive, kill};
use harness::tree::{Scanner, Service};
use harness::wait::{must, until};
use harness::{Scratch, Suite};
use rustix::process::Signal;
use std::time::Duration;

struct World {
    scratch: Scratch,
    scanner: Scanner,
}

impl World {
    /// One service, which takes its time to end, and which says that it is ready.
    fn new() -> Self {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        let run = "#!/bin/sh\ntrap 'kill $!; sleep 0.5; exit 0' TERM\nsleep 1000 &\necho >&3\nwait\n";
        scratch.file("source/web/type", "longrun\n");
        scratch.file("source/web/run", run);
        scratch.file("source/web/notification-fd", "3\n");
        scratch.run(&skeg, "s6-rc-compile", &["db", "source"]).expect(0);
        let scanner = Scanner::start(&scratch, &skeg);
        let world = Self { scratch, scanner };
        let (db, scan) = (world.scratch.text("db"), world.scratch.text("scan"));
        world.run("s6-rc-init", &["-c", &db, &scan]);
        world.run("s6-rc", &["-u", "change", "web"]);
        world
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let live = self.scratch.text("live");
        ["-l", &live].iter().chain(words).map(|w| (*w).to_owned()).collect()
    }

    fn run(&self, applet: &str, words: &[&str]) {
        self.scratch.run(&Suite::skeg(), applet, &self.words(words)).expect(0);
    }

    fn service(&self) -> Service {
        self.scanner.service("web")
    }

    /// Kills a restart once this holds.
    fn cut_short(&self, what: &str, condition: impl Fn(&Service) -> bool) {
        let restart = self.scratch.start(&Suite::skeg(), "restart", &self.words(&["web"]));
        let service = self.service();
        must(what, || condition(&service));
        restart.signal(Signal::KILL);
        restart.finish(Duration::from_secs(30));
        assert!(self.scratch.at("live:sv/journal").exists());
    }

    /// Fails the test unless the service has another process now, and is ready.
    #[track_caller]
    fn must_be_back(&self, old: u32) {
        let now = self.service().status().expect("a status");
        assert!(
            now.up() && now.want_up && now.ready && now.pid != old && alive(now.pid),
            "{now:?}, was {old}"
        );
    }
}

/// Who finishes the restart.
const NEXT: [(&str, &[&str]); 2] = [("recover", &[]), ("s6-rc", &["-u", "change", "web"])];

#[test]
fn a_process_that_takes_its_time_to_end_is_waited_for() {
    for (applet, words) in NEXT {
        let world = World::new();
        let old = world.service().status().expect("a status").pid;
        world.cut_short("it is told to stop", |service| service.status().is_some_and(|s| !s.want_up));
        world.run(applet, words);
        world.must_be_back(old);
    }
}

#[test]
fn a_supervisor_that_has_not_read_the_command_yet_is_waited_for() {
    for (applet, words) in NEXT {
        let world = World::new();
        let old = world.service().status().expect("a status").pid;
        let supervisor = world.scanner.must_supervisor();
        kill(supervisor, Signal::STOP);
        world.cut_short("the command is in the FIFO", |service| !service.has_read_all());
        let mut next = world.scratch.start(&Suite::skeg(), applet, &world.words(words));
        let is_early = until(Duration::from_secs(1), || !next.alive());
        kill(supervisor, Signal::CONT);
        let done = next.finish(Duration::from_secs(60)).expect(0);
        assert!(!is_early, "it did not wait: {done:?}");
        world.must_be_back(old);
    }
}
