// SPDX-License-Identifier: ISC
//! `s6-svscan` and `s6-svscanctl`: what comes and goes, loggers, the end of the tree.

use crate::stage::{READY, SLEEP};
use harness::process::{alive, children};
use harness::tree::{Service, listening};
use harness::wait::must;
use harness::{Scanner, Scratch, Suite};
use rustix::process::Signal;

/// Each combination of tools and trees.
fn pairs() -> Vec<(Suite, Suite)> {
    let mut suites = vec![Suite::skeg()];
    suites.extend(Suite::debian());
    suites.iter().flat_map(|tools| suites.iter().map(|tree| (tools.clone(), tree.clone()))).collect()
}

fn each(work: impl Fn(&Scratch, &Suite, &Suite)) {
    let wanted = std::env::var("SKEG_PAIR").unwrap_or_default();
    for (tools, tree) in pairs() {
        let name = format!("tools of {}, tree of {}", tools.binary().display(), tree.binary().display());
        if !name.contains(&wanted) {
            continue;
        }
        println!("{name}");
        let scratch = Scratch::new();
        work(&scratch, &tools, &tree);
    }
}

fn sleeper(scratch: &Scratch, name: &str) -> Service {
    scratch.file(format!("scan/{name}/run"), SLEEP.1);
    Service::at(scratch.at(format!("scan/{name}")))
}

fn control(scratch: &Scratch, tools: &Suite, options: &str) {
    scratch.run(tools, "s6-svscanctl", &[options, &scratch.text("scan")]).expect(0);
}

#[test]
fn the_scanner_writes_s_when_it_takes_a_service_and_starts_it() {
    each(|scratch, _, tree| {
        let service = sleeper(scratch, "a");
        scratch.folder("scan/a/event");
        std::fs::set_permissions(
            scratch.at("scan/a/event"),
            std::os::unix::fs::PermissionsExt::from_mode(0o1733),
        )
        .expect("chmod");
        let mut events = service.listen();
        let mut scanner = Scanner::start(scratch, tree);
        events.must("su");
        assert!(scanner.stop(Signal::TERM));
        events.must_contain("dDx");
    });
}

#[test]
fn a_scan_finds_what_is_new_and_what_has_gone() {
    each(|scratch, tools, tree| {
        let kept = sleeper(scratch, "kept");
        let gone = sleeper(scratch, "gone");
        let _scanner = Scanner::start(scratch, tree);
        let kept_pid = kept.must("up", |x| x.up()).pid;
        gone.must("up", |x| x.up());
        let new = sleeper(scratch, "new");
        sleeper(scratch, ".hidden");
        scratch.file("scan/plain-file", "not a service\n");
        control(scratch, tools, "-a");
        new.must("up", |x| x.up());
        // What has gone from the scan directory lives on until it is reaped away.
        std::fs::rename(&gone.dir, scratch.at("gone")).expect("rename");
        let moved = Service::at(scratch.at("gone"));
        control(scratch, tools, "-a");
        let pid = moved.must("still up", |x| x.up()).pid;
        control(scratch, tools, "-an");
        must("it is gone", || !alive(pid) && !moved.supervised());
        assert_eq!(kept.status().map(|x| x.pid), Some(kept_pid));
        assert!(!scratch.at("scan/.hidden/supervise").exists(), "names with a dot are skipped");
    });
}

#[test]
fn a_rename_keeps_the_service_as_it_is() {
    each(|scratch, tools, tree| {
        let service = sleeper(scratch, "old");
        let _scanner = Scanner::start(scratch, tree);
        let pid = service.must("up", |x| x.up()).pid;
        std::fs::rename(&service.dir, scratch.at("scan/new")).expect("rename");
        control(scratch, tools, "-an");
        let other = sleeper(scratch, "other");
        control(scratch, tools, "-an");
        other.must("up: the scans are over", |x| x.up());
        let renamed = Service::at(scratch.at("scan/new"));
        assert_eq!(renamed.status().map(|x| x.pid), Some(pid));
        assert!(alive(pid) && renamed.supervised());
    });
}

#[test]
fn the_end_of_the_tree_by_letter_and_by_signal() {
    let ways: [(&str, Option<&str>, Option<Signal>); 6] = [
        ("-t", Some("-t"), None),
        ("-q", Some("-q"), None),
        ("-i", Some("-i"), None),
        ("SIGTERM", None, Some(Signal::TERM)),
        ("SIGQUIT", None, Some(Signal::QUIT)),
        ("SIGINT", None, Some(Signal::INT)),
    ];
    each(|_, tools, tree| {
        for (name, letter, signal) in ways {
            let scratch = Scratch::new();
            let service = sleeper(&scratch, "a");
            scratch.file("scan/a/finish", "#!/bin/sh\n: > finished\n");
            scratch.file("scan/.s6-svscan/finish", format!("#!/bin/sh\n: > {}\n", scratch.text("over")));
            let mut scanner = Scanner::start(&scratch, tree);
            let pid = service.must("up", |x| x.up()).pid;
            if let Some(letter) = letter {
                control(&scratch, tools, letter);
            }
            match signal {
                Some(signal) => assert!(scanner.stop(signal), "{name}: it does not end"),
                None => assert!(scanner.ended().is_some(), "{name}: it does not end"),
            }
            assert!(scratch.at("over").exists(), "{name}: .s6-svscan/finish has run");
            if name != "-i" && name != "SIGINT" || tree.is_skeg() {
                must(&format!("{name}: the service is down"), || !alive(pid));
                must(&format!("{name}: its finish has run"), || scratch.at("scan/a/finished").exists());
            }
        }
    });
}

#[test]
fn a_second_scanner_is_refused() {
    each(|scratch, _, tree| {
        let service = sleeper(scratch, "a");
        let scanner = Scanner::start(scratch, tree);
        service.must("up", |x| x.up());
        let done = scratch.run(tree, "s6-svscan", &[&scratch.text("scan")]);
        assert_eq!(done.code, 100, "{}", done.err);
        assert!(!done.err.is_empty());
        assert!(listening(&scanner.dir.join(".s6-svscan/control")));
        assert!(service.supervised());
    });
}

#[test]
fn a_second_supervisor_is_refused() {
    each(|scratch, _, tree| {
        let service = sleeper(scratch, "a");
        let _scanner = Scanner::start(scratch, tree);
        service.must("up", |x| x.up());
        for suite in [Some(Suite::skeg()), Suite::debian()].into_iter().flatten() {
            let done = scratch.run(&suite, "s6-supervise", &[&scratch.text("scan/a")]);
            assert_eq!(done.code, 100, "{}", done.err);
        }
        assert!(service.supervised());
    });
}

#[test]
fn a_signal_program_replaces_what_the_signal_does() {
    each(|scratch, _, tree| {
        scratch.file("scan/.s6-svscan/SIGUSR1", format!("#!/bin/sh\n: > {}\n", scratch.text("usr1")));
        scratch.file("scan/.s6-svscan/SIGTERM", format!("#!/bin/sh\n: > {}\n", scratch.text("term")));
        let mut scanner = Scanner::start(scratch, tree);
        harness::process::kill(scanner.pid(), Signal::USR1);
        must("SIGUSR1's program has run", || scratch.at("usr1").exists());
        harness::process::kill(scanner.pid(), Signal::TERM);
        must("SIGTERM's program has run", || scratch.at("term").exists());
        assert!(listening(&scanner.dir.join(".s6-svscan/control")), "the program replaces the end");
        assert!(scanner.stop(Signal::QUIT));
    });
}

#[test]
fn our_tree_has_one_supervisor_for_all_services() {
    let scratch = Scratch::new();
    for i in 0..20 {
        sleeper(&scratch, &format!("s{i}"));
    }
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    for i in 0..20 {
        scanner.service(&format!("s{i}")).must("up", |x| x.up());
    }
    assert_eq!(children(scanner.pid()).len(), 1, "the scanner has one child");
    let supervisor = scanner.must_supervisor();
    assert_eq!(children(supervisor).len(), 20, "and that one has the services");
}

#[test]
fn supervise_alone_is_the_same_with_one_directory() {
    for suite in [Some(Suite::skeg()), Suite::debian()].into_iter().flatten() {
        let scratch = Scratch::new();
        scratch.file("a/run", READY.1);
        scratch.file("a/notification-fd", "3\n");
        let service = Service::at(scratch.at("a"));
        let running = scratch.start(&suite, "s6-supervise", &[&scratch.text("a")]);
        must("it is supervised", || service.supervised());
        let pid = service.must("ready", |x| x.up() && x.ready).pid;
        for tools in [Some(Suite::skeg()), Suite::debian()].into_iter().flatten() {
            scratch.run(&tools, "s6-svok", &[&scratch.text("a")]).expect(0);
        }
        let mut events = service.listen();
        running.signal(Signal::TERM);
        let done = running.finish(harness::wait::PATIENCE);
        assert_eq!(done.code, 0, "{}", done.err);
        events.must("dDx");
        assert!(!alive(pid) && !service.supervised());
    }
}
