// SPDX-License-Identifier: ISC
//! The scanner becomes the program file that has taken its own's place, under services that notice nothing.

use harness::wait::must;
use harness::{Scanner, Scratch, Suite, process};
use rustix::process::Signal;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Puts a file in a program's place, as an upgrade does: written aside, renamed.
fn replace(program: &Path, by: &Path) -> u64 {
    let aside = program.with_extension("new");
    std::fs::copy(by, &aside).expect("a copy");
    std::fs::rename(&aside, program).expect("a rename");
    std::fs::metadata(program).expect("the program").ino()
}

fn runs(pid: u32) -> u64 {
    std::fs::metadata(format!("/proc/{pid}/exe")).map_or(0, |m| m.ino())
}

#[test]
fn services_notice_nothing_when_the_scanner_becomes_a_new_program() {
    let scratch = Scratch::new();
    let original = Suite::skeg();
    let program = scratch.at("skeg");
    let first = replace(&program, original.binary());
    let own = Suite::Multicall(program.clone());
    scratch.file("scan/steady/run", "#!/bin/sh\necho start >> seen\nexec sleep 1000\n");
    // Ready when it is told so, to be told while there is another scanner.
    scratch
        .file("scan/late/run", "#!/bin/sh\necho start >> seen\nread word < go\necho >&3\nexec sleep 1000\n");
    scratch.file("scan/late/notification-fd", "3\n");
    let go = scratch.at("scan/late/go");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &go, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
    scratch.file("scan/talks/run", "#!/bin/sh\ni=0\nwhile :; do i=$((i+1)); echo $i; sleep 0.01; done\n");
    scratch.file("scan/talks/log/run", "#!/bin/sh\nexec cat >> ../lines\n");
    let mut scanner = Scanner::start(&scratch, &own);
    assert_eq!(runs(scanner.pid()), first);
    let names = ["steady", "late", "talks", "talks/log"];
    let pids = |scanner: &Scanner| names.map(|name| scanner.service(name).must("up", |s| s.up()).pid);
    let before = pids(&scanner);
    let again = || {
        scratch.run(&original, "s6-svscanctl", &["-R".to_owned(), scratch.text("scan")]).expect(0);
    };

    let held = |pid: u32| std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let mut descriptors = Vec::new();
    for _ in 0..5 {
        let next = replace(&program, original.binary());
        again();
        must("the new program", || runs(scanner.pid()) == next);
        must("its supervisor", || scanner.supervisor().is_some_and(|pid| runs(pid) == next));
        assert!(names.iter().all(|name| scanner.service(name).supervised()));
        must("nothing piles up", || {
            // One more for a moment, while it takes over: as few as there ever were.
            descriptors.push(held(scanner.pid()));
            descriptors.last() == descriptors.iter().min()
        });
    }
    assert_eq!(pids(&scanner), before, "no service was restarted");

    std::fs::write(&go, "go\n").expect("the word");
    scanner.service("late").must("ready", |s| s.ready && s.up());
    process::kill(before[0], Signal::KILL);
    let steady = scanner.service("steady").must("up again", |s| s.up() && s.pid != before[0]);
    assert_eq!(steady.wait_status, 9, "the death was seen");
    must("the second start", || scratch.read("scan/steady/seen") == "start\nstart\n");
    assert_eq!(scratch.read("scan/late/seen"), "start\n");

    let stranger = replace(&program, Path::new("/bin/false"));
    again();
    must("a word about it", || scratch.read("scan.log").contains("can't take over"));
    assert_ne!(runs(scanner.pid()), stranger, "a program that can't take over is not executed");
    scanner.service("steady").control(b"d");
    scanner.service("steady").must("down", |s| s.down() && s.ready);

    assert!(scanner.stop(Signal::TERM));
    let lines: Vec<usize> = scratch.read("scan/talks/lines").lines().filter_map(|l| l.parse().ok()).collect();
    assert!(lines.iter().copied().eq(1..=lines.len()), "the logger missed a line: {lines:?}");
}
