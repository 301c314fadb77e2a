// SPDX-License-Identifier: ISC
//! Every system call of a command, one after the other, is the moment when it is killed, or when the call fails.
//!
//! Compile, init and change (an update has a test of its own); by the binary with the test layer. After a kill the next command must go on as if
//! nothing had happened; after an error there must be a message, and what is left must be true. All calls, not a sample.

use harness::cases::in_parallel;
use harness::fault::{EIO, EMFILE, ENOMEM, ENOSPC, Fault, arm, count};
use harness::process::{Done, LONG, alive, run_for};
use harness::tree::Service;
use harness::wait::PATIENCE;
use harness::{Scanner, Scratch, Suite, until};
use std::collections::BTreeSet;
use std::path::Path;

/// Three oneshots, one after the other two; two longruns, one of which says when it is ready; a bundle of all.
fn source(scratch: &Scratch, name: &str) {
    let log = scratch.text("log");
    for (service, needs) in [("a", &[][..]), ("b", &["a"]), ("c", &["b", "slow"])] {
        scratch.file(format!("{name}/{service}/type"), "oneshot\n");
        for way in ["up", "down"] {
            let line = format!("/bin/sh -c \"echo {way} {service} >> {log}\"\n");
            scratch.file(format!("{name}/{service}/{way}"), line);
        }
        for need in needs {
            scratch.file(format!("{name}/{service}/dependencies.d/{need}"), "");
        }
    }
    for (service, ready) in [("fast", false), ("slow", true)] {
        scratch.file(format!("{name}/{service}/type"), "longrun\n");
        let says = if ready { "echo >&3\nexec 3>&-\n" } else { "" };
        scratch.file(format!("{name}/{service}/run"), format!("#!/bin/sh\n{says}exec sleep 1000\n"));
        if ready {
            scratch.file(format!("{name}/{service}/notification-fd"), "3\n");
        }
    }
    scratch.file(format!("{name}/all/type"), "bundle\n");
    for service in ["a", "b", "c", "fast", "slow"] {
        scratch.file(format!("{name}/all/contents.d/{service}"), "");
    }
}

fn entries(dir: &Path) -> BTreeSet<String> {
    let list = std::fs::read_dir(dir).into_iter().flatten().flatten();
    list.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// Runs a command with call `n` at fault.
fn strike(scratch: &Scratch, applet: &str, words: &[String], n: u32, fault: Fault) -> Done {
    let mut command = scratch.command(&Suite::skeg_fault(), applet, words);
    arm(&mut command, applet, n, fault);
    run_for(&mut command, LONG)
}

/// How many calls the command makes.
fn calls(scratch: &Scratch, applet: &str, words: &[String]) -> u32 {
    let mut command = scratch.command(&Suite::skeg_fault(), applet, words);
    let (n, done) = count(scratch, &mut command, applet);
    assert_eq!(done.code, 0, "{applet}: {}", done.err);
    assert!(n > 10, "{applet} makes {n} calls: is the test layer in this binary?");
    n
}

fn words<const N: usize>(list: [&str; N]) -> Vec<String> {
    list.map(str::to_owned).to_vec()
}

/// Every call with every fault, two or three at a time; what was wrong.
fn each(n: u32, faults: &[Fault], trial: impl Fn(u32, Fault) -> Result<(), String> + Sync) {
    let moments: Vec<(u32, Fault)> = faults.iter().flat_map(|f| (1..=n).map(|i| (i, *f))).collect();
    let found = in_parallel(3, &moments, |(i, fault)| {
        trial(*i, *fault)
            .err()
            .map(|what| format!("call {i} of {n}, {fault:?}: {what}"))
            .into_iter()
            .collect()
    });
    let wrong: Vec<_> = moments
        .iter()
        .zip(found)
        .flat_map(|((i, fault), list)| {
            list.into_iter()
                .map(move |w| if w.starts_with("call") { w } else { format!("call {i}, {fault:?}: {w}") })
        })
        .collect();
    println!("{} moments, {} wrong", moments.len(), wrong.len());
    assert!(wrong.is_empty(), "{} of {} moments:\n{}", wrong.len(), moments.len(), wrong.join("\n"));
}

/// Says why, if the condition does not hold.
fn ensure(condition: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why()) }
}

/// A program that fails must say why; one that a signal ended says nothing.
fn clear_error(done: &Done, fault: Fault) -> Result<(), String> {
    ensure(!done.hung(), || "hung".into())?;
    match fault {
        Fault::Errno(_) => {
            ensure(done.code < 128, || format!("died by a signal ({}): {}", done.code, done.err))?;
            ensure(done.code == 0 || !done.err.trim().is_empty(), || {
                format!("exit {} without a word", done.code)
            })
        }
        _ => Ok(()),
    }
}

const ERRORS: [Fault; 4] =
    [Fault::Errno(EIO), Fault::Errno(ENOSPC), Fault::Errno(ENOMEM), Fault::Errno(EMFILE)];

#[test]
fn compile_leaves_all_or_nothing() {
    let scratch = Scratch::new();
    source(&scratch, "src");
    let n = calls(&scratch, "s6-rc-compile", &words([&scratch.text("whole"), &scratch.text("src")]));
    let whole = std::fs::read(scratch.at("whole")).expect("the image");
    let faults = [&[Fault::Kill][..], &ERRORS].concat();
    each(n, &faults, |i, fault| {
        let dir = scratch.folder(format!("out-{i}-{fault:?}"));
        let out = dir.join("image");
        let line = words([&out.display().to_string(), &scratch.text("src")]);
        let done = strike(&scratch, "s6-rc-compile", &line, i, fault);
        clear_error(&done, fault)?;
        let made = std::fs::read(&out).ok();
        ensure(made.as_ref().is_none_or(|bytes| *bytes == whole), || "half an image under its name".into())?;
        ensure(done.code != 0 || made.is_some(), || "a success without an image".into())?;
        let fixed = |name: &String| name == "image";
        // Whose temporary file it is can't be told when the lock on it fails; the next one takes it over.
        let unlocked = done.err.contains("another") || done.err.contains("lock ");
        if fault != Fault::Kill && !unlocked {
            ensure(entries(&dir).iter().all(fixed), || {
                format!("exit {} {}, left: {:?}", done.code, done.err, entries(&dir))
            })?;
            // The last call syncs the directory: the image is there by then.
            ensure(done.code == 0 || made.is_none() || i == n, || "an error and an image".into())?;
        }
        if made.is_none() {
            let again = scratch.run(&Suite::skeg(), "s6-rc-compile", &line);
            ensure(again.code == 0, || format!("the next one: {} {}", again.code, again.err))?;
        }
        ensure(entries(&dir).iter().all(fixed), || format!("at the end there is {:?}", entries(&dir)))
    });
}

/// A tree with a compiled image, and the words that initialise a live directory on it.
struct Stage {
    scanner: Scanner,
    scratch: Scratch,
}

impl Stage {
    fn new() -> Self {
        let scratch = Scratch::new();
        source(&scratch, "src");
        scratch.file("log", "");
        let line = [scratch.text("db"), scratch.text("src")];
        scratch.run(&Suite::skeg(), "s6-rc-compile", &line).expect(0);
        let scanner = Scanner::start(&scratch, &Suite::skeg());
        Self { scanner, scratch }
    }

    fn init_words(&self) -> Vec<String> {
        let at = |name| self.scratch.text(name);
        words(["-c", &at("db"), "-l", &at("live"), &at("scan")])
    }

    fn rc_words<const N: usize>(&self, list: [&str; N]) -> Vec<String> {
        [words(["-l", &self.scratch.text("live")]), words(list)].concat()
    }

    fn rc<const N: usize>(&self, list: [&str; N]) -> Done {
        self.scratch.run(&Suite::skeg(), "s6-rc", &self.rc_words(list))
    }

    fn up(&self) -> Vec<String> {
        let listed = self.rc(["-a", "list"]).expect(0);
        listed.lines().into_iter().filter(|name| !name.starts_with("s6rc-")).collect()
    }

    fn longrun(&self, name: &str) -> Service {
        self.scanner.service(name)
    }

    /// What is listed as up is up: its `up` came last, its process lives.
    fn truth(&self) -> Result<(), String> {
        let up = self.up();
        let log = self.scratch.read("log");
        for service in ["a", "b", "c"] {
            let last = log.lines().rfind(|line| line.ends_with(&format!(" {service}")));
            let was_up = last.is_some_and(|line| line.starts_with("up"));
            let listed = up.iter().any(|name| name == service);
            ensure(!listed || was_up, || {
                format!("{service} is listed as up; log: {}", log.replace('\n', "|"))
            })?;
        }
        for service in ["fast", "slow"] {
            let status = self.longrun(service).status();
            let runs = status.is_some_and(|s| s.up() && s.want_up && alive(s.pid));
            let listed = up.iter().any(|name| name == service);
            ensure(listed == runs, || {
                format!("{service} is listed as up: {listed}; its status is {status:?}")
            })?;
        }
        Ok(())
    }

    /// Waits until nothing is on its way: no command is unread, each longrun is as it is wanted; and the truth is told.
    /// A start that failed was followed by a `d`: that service goes down.
    fn comes_to_rest(&self, done: &Done) -> Result<(), String> {
        let mut wrong = Ok(());
        until(PATIENCE, || {
            let rests = |name: &&str| {
                let service = self.longrun(name);
                let failed = done.err.contains(&format!("can't start service {name} "));
                let settled = |s: harness::status::Status| s.want_up == s.up() && !(failed && s.up());
                service.status().is_some_and(settled)
            };
            // What has been read may not have been heeded yet, as long as the supervisor is busy.
            let unread = ["fast", "slow"].map(|name| self.longrun(name).unread());
            let idle = self.scanner.is_idle();
            if unread == [Some(0); 2] && idle && ["fast", "slow"].iter().all(rests) {
                wrong = self.truth();
                return wrong.is_ok();
            }
            let are = ["fast", "slow"].map(|name| self.longrun(name).status());
            wrong = Err(format!(
                "a longrun does not come to rest: exit {} {}; unread {unread:?}, idle {idle}, {are:?}",
                done.code, done.err
            ));
            false
        });
        wrong
    }

    fn all_up(&self) -> Result<(), String> {
        let up = self.up();
        ensure(up == ["a", "b", "c", "fast", "slow"], || format!("up is only {up:?}"))?;
        self.truth()
    }

    /// Nothing but what belongs there: no journal, no half-made file, no lost generation.
    fn tidy(&self) -> Result<(), String> {
        let shared = entries(&self.scratch.at("live:sv"));
        ensure(!shared.contains("journal"), || format!("a journal is left: {shared:?}"))?;
        let beside: Vec<_> =
            entries(self.scratch.path()).into_iter().filter(|n| n.starts_with("live")).collect();
        ensure(beside.len() == 3, || format!("left beside the live directory: {beside:?}"))?;
        let dots: Vec<_> = entries(&self.scanner.dir)
            .into_iter()
            .filter(|n| n.starts_with('.') && n != ".s6-svscan")
            .collect();
        ensure(dots.is_empty(), || format!("left in the scan directory: {dots:?}"))
    }

    fn scanned(&self) -> BTreeSet<String> {
        entries(&self.scanner.dir).into_iter().filter(|name| !name.starts_with('.')).collect()
    }
}

#[test]
fn init_is_done_by_the_next_one() {
    let stage = Stage::new();
    let n = calls(&stage.scratch, "s6-rc-init", &stage.init_words());
    let want = stage.scanned();
    assert!(
        want.contains("fast") && want.contains("slow") && want.contains("s6rc-oneshot-runner"),
        "{want:?}"
    );
    drop(stage);
    each(n, &[Fault::Kill, Fault::Errno(EIO)], |i, fault| {
        let stage = Stage::new();
        let done = strike(&stage.scratch, "s6-rc-init", &stage.init_words(), i, fault);
        clear_error(&done, fault)?;
        if done.code != 0 {
            let again = stage.scratch.run(&Suite::skeg(), "s6-rc-init", &stage.init_words());
            ensure(again.code == 0, || {
                format!(
                    "the first said {} {}, the next {} {}",
                    done.code,
                    done.err.trim(),
                    again.code,
                    again.err
                )
            })?;
        }
        ensure(stage.scanned() == want, || format!("the scan directory has {:?}", stage.scanned()))?;
        let changed = stage.rc(["-u", "change", "all"]);
        ensure(changed.code == 0, || format!("change after it: {} {}", changed.code, changed.err))?;
        stage.all_up()?;
        stage.tidy()
    });
}

/// The same where an earlier tree has left its live directory, and nobody supervises that any more.
#[test]
fn init_in_the_place_of_a_dead_tree_is_done_by_the_next_one() {
    let dead = || {
        let mut stage = Stage::new();
        stage.scratch.run(&Suite::skeg(), "s6-rc-init", &stage.init_words()).expect(0);
        stage
            .scratch
            .run(&Suite::skeg(), "s6-rc-bundle", &["-l", &stage.scratch.text("live"), "add", "x", "fast"])
            .expect(0);
        assert!(stage.scanner.stop(rustix::process::Signal::TERM));
        std::fs::remove_dir_all(&stage.scanner.dir).expect("the scan directory");
        stage.scanner = Scanner::start(&stage.scratch, &Suite::skeg());
        stage
    };
    let stage = dead();
    let n = calls(&stage.scratch, "s6-rc-init", &stage.init_words());
    let want = stage.scanned();
    drop(stage);
    each(n, &[Fault::Kill], |i, fault| {
        let stage = dead();
        strike(&stage.scratch, "s6-rc-init", &stage.init_words(), i, fault);
        let again = stage.scratch.run(&Suite::skeg(), "s6-rc-init", &stage.init_words());
        ensure(again.code == 0, || format!("the next one says {} {}", again.code, again.err))?;
        ensure(stage.scanned() == want, || format!("the scan directory has {:?}", stage.scanned()))?;
        ensure(entries(&stage.scratch.at("live:sv/names")) == want, || "it has other names".into())?;
        stage.tidy()
    });
}

/// One tree for many trials: each thread has its own, since a trial ends where the next one begins.
fn with_tree(n: u32, faults: &[Fault], trial: impl Fn(&Stage, u32, Fault) -> Result<(), String> + Sync) {
    let spare = std::sync::Mutex::new(Vec::<Stage>::new());
    each(n, faults, |i, fault| {
        let kept = spare.lock().map_err(|_| "poisoned".to_owned())?.pop();
        let stage = match kept {
            Some(stage) => stage,
            None => {
                let stage = Stage::new();
                stage.scratch.run(&Suite::skeg_fault(), "s6-rc-init", &stage.init_words()).expect(0);
                stage
            }
        };
        trial(&stage, i, fault)?;
        // A tree that a trial has spoilt is not used again.
        spare.lock().map_err(|_| "poisoned".to_owned())?.push(stage);
        Ok(())
    });
}

#[test]
fn a_start_is_done_by_the_next_one() {
    let stage = Stage::new();
    stage.scratch.run(&Suite::skeg_fault(), "s6-rc-init", &stage.init_words()).expect(0);
    let n = calls(&stage.scratch, "s6-rc", &stage.rc_words(["-u", "change", "all"]));
    drop(stage);
    with_tree(n + 10, &[Fault::Kill, Fault::Errno(EIO), Fault::Errno(ENOMEM)], |stage, i, fault| {
        let done = strike(&stage.scratch, "s6-rc", &stage.rc_words(["-u", "change", "all"]), i, fault);
        clear_error(&done, fault)?;
        // A start that fails tells its service to stop, and does not wait for it.
        stage.comes_to_rest(&done)?;
        let again = stage.rc(["-u", "change", "all"]);
        ensure(again.code == 0, || {
            format!("the first said {} {}, the next {} {}", done.code, done.err.trim(), again.code, again.err)
        })?;
        stage.all_up()?;
        stage.tidy()?;
        let down = stage.rc(["-ad", "change"]);
        ensure(down.code == 0 && stage.up().is_empty(), || {
            format!("down: {} {}, up {:?}", down.code, down.err, stage.up())
        })
    });
}

#[test]
fn a_stop_is_done_by_the_next_one() {
    let stage = Stage::new();
    stage.scratch.run(&Suite::skeg_fault(), "s6-rc-init", &stage.init_words()).expect(0);
    stage.rc(["-u", "change", "all"]).expect(0);
    let n = calls(&stage.scratch, "s6-rc", &stage.rc_words(["-ad", "change"]));
    drop(stage);
    with_tree(n + 10, &[Fault::Kill, Fault::Errno(EIO)], |stage, i, fault| {
        stage.rc(["-u", "change", "all"]).expect(0);
        stage.all_up()?;
        let done = strike(&stage.scratch, "s6-rc", &stage.rc_words(["-ad", "change"]), i, fault);
        clear_error(&done, fault)?;
        stage.comes_to_rest(&done)?;
        let again = stage.rc(["-ad", "change"]);
        ensure(again.code == 0, || {
            format!("the first said {} {}, the next {} {}", done.code, done.err.trim(), again.code, again.err)
        })?;
        ensure(stage.up().is_empty(), || format!("still up: {:?}", stage.up()))?;
        for service in ["fast", "slow"] {
            let status = stage.longrun(service).status();
            ensure(status.is_some_and(|s| s.pid == 0 && !s.want_up), || format!("{service}: {status:?}"))?;
        }
        let log = stage.scratch.read("log");
        for service in ["a", "b", "c"] {
            let last = log.lines().rfind(|line| line.ends_with(&format!(" {service}")));
            ensure(last == Some(&format!("down {service}")), || format!("{service}: {last:?} came last"))?;
        }
        stage.tidy()
    });
}
