// SPDX-License-Identifier: ISC
//! What a command lacks: room for its output, memory, descriptors. It says so in words that are true.

use harness::process::run_for;
use harness::{Done, Scanner, Scratch, Suite};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A live tree with a longrun `a` that is up and a oneshot `b`, and an image `other` without `a`.
fn tree() -> (Scratch, Scanner) {
    let scratch = Scratch::new();
    scratch.file("src/a/type", "longrun\n");
    scratch.file("src/a/run", "#!/bin/sh\nexec sleep 1000\n");
    scratch.file("src/b/type", "oneshot\n");
    scratch.file("src/b/up", "true\n");
    let skeg = Suite::skeg();
    scratch.run(&skeg, "s6-rc-compile", &[scratch.text("db"), scratch.text("src")]).expect(0);
    std::fs::remove_dir_all(scratch.at("src/a")).expect("removed");
    scratch.run(&skeg, "s6-rc-compile", &[scratch.text("other"), scratch.text("src")]).expect(0);
    let scanner = Scanner::start(&scratch, &skeg);
    let words = ["-c", &scratch.text("db"), "-l", &scratch.text("live"), &scratch.text("scan")];
    scratch.run(&skeg, "s6-rc-init", &words).expect(0);
    scratch.run(&skeg, "s6-rc", &["-l", &scratch.text("live"), "-u", "change", "a"]).expect(0);
    (scratch, scanner)
}

/// Runs an applet below this line of the shell.
fn below(scratch: &Scratch, line: &str, words: &[&str]) -> Done {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{line}; exec \"$@\""), "sh"]).arg(Suite::skeg().binary()).args(words);
    scratch.mark(&mut command);
    run_for(&mut command, Duration::from_secs(20))
}

#[test]
fn output_that_can_not_be_written_is_told_once() {
    let (scratch, _scanner) = tree();
    let (live, other) = (scratch.text("live"), scratch.text("other"));
    let mut wrong = Vec::new();
    for words in [
        &["status", "-l", &live][..],
        &["status", "-l", &live, "--json"],
        &["why", "-l", &live, "a"],
        &["why", "-l", &live, "--json", "a"],
        &["diff", "-l", &live, &other],
        &["diff", "-l", &live, "--json", &other],
        &["plan", "-l", &live, &other],
        &["plan", "-l", &live, "--json", &other],
        &["apply", "-l", &live, "--json", &other],
        &["s6-rc", "-l", &live, "-a", "list"],
        &["s6-rc", "-l", &live, "listall", "a"],
        &["s6-rc", "-l", &live, "-n", "0", "stop", "a"],
        &["s6-rc-db", "-l", &live, "list", "all"],
        &["s6-rc-update", "-l", &live, "-n", &other],
        &["s6-rc-dryrun", "-t", "1", "x"],
        &["s6-svstat", &scratch.text("scan/a")],
        &["status", "--help"],
        &["--help"],
    ] {
        let name = if words == ["--help"] { "skeg" } else { words[0] };
        let done = below(&scratch, "exec >/dev/full", words);
        if (done.code, &done.err)
            != (111, &format!("{name}: can't write to standard output: no space left on device\n"))
        {
            wrong.push(format!("{words:?}: {} {:?}", done.code, done.err));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_reader_that_has_gone_is_no_reason_for_a_message() {
    let (scratch, _scanner) = tree();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' PIPE; exec \"$@\"", "sh"]).arg(Suite::skeg().binary());
    command.args(["status", "-l", &scratch.text("live")]).stdout(Stdio::from(writer)).stderr(Stdio::piped());
    scratch.mark(&mut command);
    let done = command.spawn().and_then(std::process::Child::wait_with_output).expect("a command");
    assert_eq!((done.status.code(), done.stderr), (Some(111), Vec::new()));
}

#[test]
fn without_memory_a_command_says_that() {
    let scratch = Scratch::new();
    for i in 0..200 {
        scratch.file(format!("src/s{i}/type"), "oneshot\n");
        scratch.file(format!("src/s{i}/up"), format!("true {}\n", "x".repeat(4000)));
    }
    let mut refused = 0;
    for kib in [1000, 1300, 1600, 2000, 2600, 3300, 4000] {
        let words = ["s6-rc-compile", "--replace", &scratch.text("db"), &scratch.text("src")];
        let done = below(&scratch, &format!("ulimit -v {kib}"), &words);
        if done.code != 0 {
            assert_eq!(done.code, 111, "{kib} KiB: {}", done.err);
            assert!(done.err.contains("out of memory"), "{kib} KiB: {}", done.err);
            refused += 1;
        }
    }
    assert!(refused > 2, "{refused}");
}

#[test]
fn without_descriptors_a_status_says_why_it_can_not_tell() {
    let (scratch, _scanner) = tree();
    let (live, db, live_only) = (scratch.text("live"), scratch.text("db"), ["-l"]);
    let mut wrong = Vec::new();
    for limit in 4..16 {
        for words in [&["status"][..], &["why", "a"], &["diff", &db]] {
            let words = [&words[..1], &live_only, &[&live], &words[1..]].concat();
            let done = below(&scratch, &format!("ulimit -n {limit}"), &words);
            let blames = done.err.ends_with(": too many open files in this process\n");
            let knows = if words[0] == "diff" { done.out.is_empty() } else { done.out.contains(" process ") };
            let true_words = match words[0] {
                _ if blames => done.code == 111,
                "status" => {
                    done.err.is_empty() && done.out.contains("  up") && !done.out.contains("supervise")
                }
                "why" => knows || done.out.contains("can't be asked: too many open files in this process"),
                _ => done.err.is_empty() && knows && done.code == 0,
            };
            if !true_words || done.out.contains("only root") || done.out.contains("nobody") {
                wrong.push(format!("{limit}, {words:?}: {done:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
