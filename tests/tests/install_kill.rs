// SPDX-License-Identifier: ISC
//! An install that is killed, or meets a full disk, right before its n-th system call, for every n: the old image or the
//! new one is current, whole.

use harness::fault::{self, Fault};
use harness::{Scratch, Suite};

fn prepare(scratch: &Scratch) {
    for (image, run) in [("a", "exec sleep 1"), ("b", "exec sleep 2"), ("c", "exec sleep 3")] {
        scratch.file(format!("{image}/x/type"), "longrun\n");
        scratch.file(format!("{image}/x/run"), format!("#!/bin/sh\n{run}\n"));
        let words = [format!("{image}.img"), image.to_owned()];
        scratch.run(&Suite::skeg(), "s6-rc-compile", &words).expect(0);
    }
}

/// Which image a link of the partition leads to.
fn image(scratch: &Scratch, link: &str) -> Option<&'static str> {
    let bytes = std::fs::read(scratch.at("data").join(link)).ok()?;
    ["a", "b", "c"]
        .into_iter()
        .find(|i| std::fs::read(scratch.at(format!("{i}.img"))).ok().as_ref() == Some(&bytes))
}

/// A partition with `a` as previous and `b` as current.
fn partition(scratch: &Scratch) {
    let _ = std::fs::remove_dir_all(scratch.at("data"));
    scratch.folder("data");
    for image in ["a.img", "b.img"] {
        scratch.run(&Suite::skeg(), "install", &["-d", "data", image]).expect(0);
    }
}

fn enumerate(fault: Fault) {
    let scratch = Scratch::new();
    prepare(&scratch);
    let words: Vec<String> = ["-d", "data", "--trial", "30", "c.img"].map(str::to_owned).into();
    partition(&scratch);
    let mut command = scratch.command(&Suite::skeg_fault(), "install", &words);
    let (total, done) = fault::count(&scratch, &mut command, "install");
    done.expect(0);
    let (mut old, mut new) = (0, 0);
    for n in 1..=total {
        partition(&scratch);
        let done = fault::strike(&scratch, &Suite::skeg_fault(), "install", &words, n, fault);
        match image(&scratch, "current") {
            Some("b") => {
                old += 1;
                assert_ne!(done.code, 0, "call {n}: it said that all went well");
            }
            Some("c") => {
                new += 1;
                assert_eq!(image(&scratch, "previous"), Some("b"), "call {n}");
                assert!(scratch.at("data/trial").exists(), "call {n}: the trial begins before the switch");
            }
            other => panic!("call {n}: current is {other:?}, after {done:?}"),
        }
        assert!(image(&scratch, "previous").is_some(), "call {n}");
        // The same install again, and another: nothing is in the way, nothing is left over.
        scratch.run(&Suite::skeg(), "install", &words).expect(0);
        assert_eq!(image(&scratch, "current"), Some("c"), "call {n}");
        scratch.run(&Suite::skeg(), "install", &["-d", "data", "a.img"]).expect(0);
        assert_eq!(
            (image(&scratch, "current"), image(&scratch, "previous")),
            (Some("a"), Some("b")),
            "call {n}: what was on trial is nothing to go back to"
        );
        assert_eq!(std::fs::read_dir(scratch.at("data/images")).unwrap().count(), 2, "call {n}");
        assert!(!scratch.at("data/trial").exists(), "call {n}: an install without a trial ends one");
    }
    eprintln!("install, {fault:?} at each of {total} calls: {old} old, {new} new, 0 wrong,");
}

#[test]
fn a_kill_at_any_call_leaves_the_old_or_the_new_image() {
    enumerate(Fault::Kill);
}

#[test]
fn a_full_disk_at_any_call_leaves_the_old_or_the_new_image() {
    enumerate(Fault::Errno(fault::ENOSPC));
}
