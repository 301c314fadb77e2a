// SPDX-License-Identifier: ISC
//! What the small files of a service directory do, loggers, the catch-all logger, and versions that wait for the next start.

use harness::tree::Service;
use harness::wait::must;
use harness::{Scanner, Scratch, Suite, process};
use rustix::process::Signal;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::symlink;

fn service(scratch: &Scratch, name: &str, run: &str, files: &[(&str, &str)]) -> Service {
    scratch.file(format!("scan/{name}/run"), format!("#!/bin/sh\n{run}\n"));
    for (file, content) in files {
        scratch.file(format!("scan/{name}/{file}"), content);
    }
    Service::at(scratch.at(format!("scan/{name}")))
}

fn number(scratch: &Scratch, path: &str) -> u32 {
    let mut found = 0;
    must("a number in a file", || {
        found = scratch.read(path).trim().parse().unwrap_or(0);
        found != 0
    });
    found
}

#[test]
fn timeout_kill_and_its_group_flag() {
    let scratch = Scratch::new();
    let run = "trap '' TERM\nsleep 1000 & echo $! > child\necho >&3\nwait\nwhile :; do sleep 0.05; done";
    let notify = ("notification-fd", "3\n");
    let files = [("timeout-kill", "200\n"), ("flag-timeout-killpg", ""), notify];
    let grouped = service(&scratch, "grouped", run, &files);
    let alone = service(&scratch, "alone", run, &[("timeout-kill", "200\n"), notify]);
    let _scanner = Scanner::start(&scratch, &Suite::skeg());
    for service in [&grouped, &alone] {
        service.must("ready", |s| s.up() && s.ready);
        service.control(b"d");
        service.must("killed", |s| s.down() && s.wait_status == 9);
    }
    let [with, without] = ["grouped", "alone"].map(|name| number(&scratch, &format!("scan/{name}/child")));
    must("the group to be killed", || !process::alive(with));
    assert!(process::alive(without), "without the flag the process alone is killed");
    process::kill(without, Signal::KILL);
}

#[test]
fn a_finish_that_takes_too_long_is_killed() {
    let scratch = Scratch::new();
    let files = [("finish", "#!/bin/sh\nexec sleep 1000\n"), ("timeout-finish", "200\n")];
    let slow = service(&scratch, "slow", "exec sleep 1000", &files);
    let _scanner = Scanner::start(&scratch, &Suite::skeg());
    slow.must("up", |s| s.up());
    slow.control(b"d");
    slow.must("finishing", |s| s.finishing && !s.ready);
    let status = slow.must("down", |s| s.down() && s.ready);
    assert_eq!(status.wait_status, 15, "the end of run is what counts");
}

#[test]
fn the_signals_of_down_signal_and_reload_signal() {
    let scratch = Scratch::new();
    let run = "trap 'exit 4' USR1\ntrap 'echo >> got' WINCH\necho >&3\nwhile :; do sleep 0.02; done";
    let files = [("notification-fd", "3\n"), ("down-signal", "USR1\n"), ("reload-signal", "SIGWINCH\n")];
    let picky = service(&scratch, "picky", run, &files);
    let _scanner = Scanner::start(&scratch, &Suite::skeg());
    picky.must("ready", |s| s.up() && s.ready);
    picky.control(b"l");
    must("the reload signal", || scratch.at("scan/picky/got").exists());
    picky.control(b"d");
    picky.must("down by its own signal", |s| s.down() && s.wait_status == 4 << 8);
}

#[test]
fn a_service_holds_its_lock_itself_and_a_second_holder_waits() {
    let scratch = Scratch::new();
    let locked = service(&scratch, "locked", "exec sleep 1000", &[("lock-fd", "7\n"), ("down", "")]);
    let _scanner = Scanner::start(&scratch, &Suite::skeg());
    locked.must("there", |s| s.down());
    let file = scratch.file("scan/locked/supervise/service-lock", "");
    let file = std::fs::File::options().write(true).open(file).expect("the lock");
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("the lock");
    locked.control(b"u");
    let log = || scratch.read("scan.log");
    must("a word about it", || log().contains("locked: another process holds the service's lock"));
    assert!(locked.status().is_some_and(|s| s.down()));
    drop(file);
    let pid = locked.must("up", |s| s.up()).pid;
    must("its descriptor", || std::fs::read_link(format!("/proc/{pid}/fd/7")).is_ok());
    let locks = std::fs::read_to_string("/proc/locks").expect("/proc/locks");
    let holds = |line: &&str| line.contains("POSIX") && line.split_whitespace().any(|w| w == pid.to_string());
    assert!(locks.lines().any(|l| holds(&l)), "{pid} holds no lock:\n{locks}");
}

#[test]
fn a_new_process_namespace() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new();
    let files = [("flag-newpidns", ""), ("timeout-kill", "100\n")];
    service(&scratch, "first", "echo $$ > pid\nexec sleep 1000", &files);
    let _scanner = Scanner::start(&scratch, &Suite::skeg());
    assert_eq!(number(&scratch, "scan/first/pid"), 1);
}

#[test]
fn a_version_that_waits_takes_over_at_the_next_start_and_the_old_finish_runs() {
    let scratch = Scratch::new();
    for version in ["1", "2"] {
        let file = |name: &str| format!("scan/v/v{version}/{name}");
        scratch.file(file("run"), format!("#!/bin/sh\necho run {version} >> log\nexec sleep 1000\n"));
        scratch.file(file("finish"), format!("#!/bin/sh\necho finish {version} >> log\n"));
    }
    let dir = scratch.at("scan/v");
    for (link, target) in [("current", "v1"), ("run", "current/run"), ("finish", "current/finish")] {
        symlink(target, dir.join(link)).expect("a link");
    }
    let v = Service::at(&dir);
    let _scanner = Scanner::start(&scratch, &Suite::skeg());
    v.must("up", |s| s.up());
    must("version 1", || scratch.read("scan/v/log") == "run 1\n");
    symlink("v2", dir.join("next")).expect("a link");
    v.control(b"r");
    must("version 2", || scratch.read("scan/v/log") == "run 1\nfinish 1\nrun 2\n");
    assert_eq!(std::fs::read_link(dir.join("current")).expect("a link").to_str(), Some("v2"));
    assert!(!dir.join("next").is_symlink());
}

/// Its run writes when it was started, in ms, and ends; the supervisor is killed after each start but the first.
/// What the owner of a service directory puts in the place of a supervisor's files must not make it wait: it has all the others.
#[test]
fn a_fifo_in_the_place_of_a_file_holds_nobody_up() {
    let scratch = Scratch::new();
    let names = ["status.new", "status", "death_tally", "death_tally.new", "lock"];
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = |path: std::path::PathBuf| {
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
    };
    for name in names {
        let dir = scratch.folder(format!("scan/{name}/supervise"));
        fifo(dir.join(name));
        // A tally is written anew when it is full.
        service(&scratch, name, "exit 1", &[("max-death-tally", "1\n")]);
    }
    for name in
        ["notification-fd", "timeout-kill", "timeout-finish", "max-death-tally", "down-signal", "down"]
    {
        let dir = scratch.folder(format!("scan/{name}"));
        fifo(dir.join(name));
        service(&scratch, name, "exec sleep 1000", &[]);
    }
    let fine = service(&scratch, "fine", "exec sleep 1000", &[]);
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    let pid = fine.must("up", |s| s.up()).pid;
    must("two deaths of the one with a FIFO for its new tally", || {
        std::fs::metadata(scratch.at("scan/death_tally.new/supervise/death_tally"))
            .is_ok_and(|m| m.len() >= 14)
    });
    for name in names.iter().chain(&["notification-fd", "timeout-kill", "down-signal"]) {
        scratch.run(&Suite::skeg(), "s6-svc", &["-d".to_owned(), scratch.text(&format!("scan/{name}"))]);
    }
    process::kill(pid, Signal::KILL);
    fine.must("up again", |s| s.up() && s.pid != pid);
    must("it has heeded all", || scanner.is_idle());
}

#[test]
fn a_crash_loop_slows_down_and_the_supervisors_death_does_not_speed_it_up() {
    let scratch = Scratch::new();
    let files = [("restart-backoff", "1100 2600\n")];
    let loops = service(&scratch, "loops", "date +%s%3N >> starts\nexit 1", &files);
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    let starts =
        || -> Vec<u64> { scratch.read("scan/loops/starts").lines().filter_map(|l| l.parse().ok()).collect() };
    for count in 1..=4 {
        must("the next start", || starts().len() >= count);
        if count > 1 {
            loops.must("down again", |s| s.down());
            let supervisor = scanner.must_supervisor();
            process::kill(supervisor, Signal::KILL);
            must("another supervisor", || scanner.supervisor().is_some_and(|pid| pid != supervisor));
        }
    }
    let pauses: Vec<u64> = starts().windows(2).map(|pair| pair[1] - pair[0]).collect();
    // The wall clock may be set while this runs; by little.
    for (pause, least) in pauses.iter().zip([1_050, 2_150, 2_550]) {
        assert!(*pause >= least, "{pauses:?}");
    }
    loops.control(b"u");
    must("a start at once", || starts().len() == 5);
}

#[test]
fn a_logger_gets_every_line_and_ends_after_its_producer() {
    let scratch = Scratch::new();
    let producer =
        service(&scratch, "p", "i=0\nwhile :; do i=$((i+1)); echo line $i; sleep 0.005; done", &[]);
    service(&scratch, "p/log", "exec cat >> ../lines", &[]);
    let mut scanner = Scanner::start(&scratch, &Suite::skeg());
    producer.must("up", |s| s.up());
    must("some lines", || scratch.read("scan/p/lines").lines().count() > 20);
    let logger = scanner.service("p/log").must("up", |s| s.up()).pid;
    process::kill(logger, Signal::KILL);
    scanner.service("p/log").must("up again", |s| s.up() && s.pid != logger);
    let before = scratch.read("scan/p/lines").lines().count();
    must("more lines", || scratch.read("scan/p/lines").lines().count() > before + 20);
    assert!(scanner.stop(Signal::TERM));
    let lines = scratch.read("scan/p/lines");
    // The logger that was killed may have held one read in its memory; nothing else is missing.
    let numbers: Vec<usize> = lines.lines().filter_map(|l| l.strip_prefix("line ")?.parse().ok()).collect();
    let gaps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(gaps <= 1, "{gaps} gaps: {numbers:?}");
    assert!(lines.ends_with('\n'));
}

#[test]
fn what_the_scanner_says_goes_to_the_catch_all_logger_whose_own_words_go_to_the_console() {
    let scratch = Scratch::new();
    service(&scratch, "s6-svscan-log", "echo console >&2\nexec cat > caught < fifo", &[]);
    service(&scratch, "loud", "echo complaint >&2\nexec sleep 1000", &[]);
    let fifo = scratch.at("scan/s6-svscan-log/fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
    let writer = std::fs::File::options().read(true).write(true).open(&fifo).expect("the FIFO");
    let console = std::fs::File::create(scratch.at("console")).expect("the console");
    rustix::io::fcntl_setfd(console.as_fd(), rustix::io::FdFlags::empty()).expect("kept over an exec");
    let number = console.as_raw_fd().to_string();
    let mut scanner = Scanner::start_with(&scratch, &Suite::skeg(), "scan", &["-X", &number], |command| {
        let output = |file: &std::fs::File| file.try_clone().expect("a descriptor");
        command.stdout(output(&writer)).stderr(output(&writer));
    });
    drop(writer);
    let caught = || scratch.read("scan/s6-svscan-log/caught");
    must("the service's complaint", || caught().contains("complaint"));
    must("the logger's own", || scratch.read("console").contains("console"));
    assert!(scanner.stop(Signal::TERM), "the logger ends when nobody can write to it any more");
}

#[test]
fn nothing_is_left_of_services_that_have_come_and_gone() {
    let scratch = Scratch::new();
    service(&scratch, "stays", "exec sleep 1000", &[]);
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    scanner.service("stays").must("up", |s| s.up());
    let held = |pid: u32| std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let supervisor = scanner.must_supervisor();
    let before = (held(scanner.pid()), held(supervisor));
    let names: Vec<String> = (0..10).map(|i| format!("passes{i}")).collect();
    for name in &names {
        service(&scratch, name, "exec sleep 1000", &[]);
        service(&scratch, &format!("{name}/log"), "exec cat > /dev/null", &[]);
    }
    let control = |letters: &str| {
        scratch.run(&Suite::skeg(), "s6-svscanctl", &[letters.to_owned(), scratch.text("scan")]).expect(0);
    };
    control("-a");
    for name in &names {
        scanner.service(name).must("up", |s| s.up());
        scanner.service(&format!("{name}/log")).must("up", |s| s.up());
        std::fs::rename(scratch.at(format!("scan/{name}")), scratch.at(format!("scan/.{name}"))).expect("mv");
    }
    control("-an");
    let gone = |name: &String| {
        let dir = scratch.at(format!("scan/.{name}"));
        !Service::at(&dir).supervised() && !Service::at(dir.join("log")).supervised()
    };
    must("all gone", || names.iter().all(gone));
    must("their descriptors closed", || (held(scanner.pid()), held(supervisor)) == before);
}
