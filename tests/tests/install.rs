// SPDX-License-Identifier: ISC
//! `skeg install` on a partition that others change at the same time, or whose images are damaged.

use harness::{Done, Scratch, Suite, process};
use rustix::fs::FlockOperation;
use std::time::Duration;

const ALL: [&str; 3] = ["a", "b", "c"];

/// Three images, each with a script of so many bytes, and an empty partition.
fn prepare(bytes: usize) -> Scratch {
    let scratch = Scratch::new();
    for (image, seconds) in ALL.into_iter().zip(1..) {
        let rest = "# \n".repeat(bytes / 3);
        scratch.file(format!("{image}/x/type"), "longrun\n");
        scratch.file(format!("{image}/x/run"), format!("#!/bin/sh\nexec sleep {seconds}\n{rest}"));
        scratch.file(format!("{image}/default/type"), "bundle\n");
        scratch.file(format!("{image}/default/contents"), "x\n");
        let words = [format!("{image}.img"), image.to_owned()];
        scratch.run(&Suite::skeg(), "s6-rc-compile", &words).expect(0);
    }
    scratch.folder("data");
    scratch
}

fn install(scratch: &Scratch, words: &[&str]) -> Done {
    let words: Vec<&str> = ["-d", "data"].into_iter().chain(words.iter().copied()).collect();
    scratch.run(&Suite::skeg(), "install", &words)
}

/// Which image a link of the partition leads to.
fn image(scratch: &Scratch, link: &str) -> Option<&'static str> {
    let bytes = std::fs::read(scratch.at("data").join(link)).ok()?;
    ALL.into_iter().find(|i| std::fs::read(scratch.at(format!("{i}.img"))).ok().as_ref() == Some(&bytes))
}

/// `current`, `previous`, and how many images there are.
fn there(scratch: &Scratch) -> (Option<&'static str>, Option<&'static str>, usize) {
    let count = std::fs::read_dir(scratch.at("data/images")).expect("a directory").count();
    (image(scratch, "current"), image(scratch, "previous"), count)
}

/// Changes a byte of the image that a link leads to.
fn damage(scratch: &Scratch, link: &str) {
    let path = scratch.at("data").join(link);
    let mut bytes = std::fs::read(&path).expect("an image");
    bytes[200] ^= 0xff;
    std::fs::write(&path, bytes).expect("written");
}

#[test]
fn installs_at_once_come_one_after_the_other() {
    let scratch = prepare(2 << 20);
    for round in 0..10 {
        let started = ALL.map(|i| {
            scratch.start(&Suite::skeg(), "install", &["-d".into(), "data".into(), format!("{i}.img")])
        });
        for one in started {
            one.finish(Duration::from_secs(60)).expect(0);
        }
        let (current, previous, count) = there(&scratch);
        assert!(current.is_some() && previous.is_some() && current != previous, "round {round}");
        assert_eq!(count, 2, "round {round}");
    }
}

#[test]
fn an_install_waits_for_another_one_for_some_time() {
    let scratch = prepare(0);
    let held = std::fs::File::open(scratch.at("data")).expect("a directory");
    rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive).expect("a lock");
    let mut command = scratch.command(&Suite::skeg(), "install", &["-d", "data", "a.img"]);
    let done = process::run_for(&mut command, Duration::from_secs(120)).expect(111);
    assert!(done.err.contains("another skeg install is still at work on data"), "{}", done.err);
    assert!(done.took >= Duration::from_secs(30), "{:?}", done.took);
    assert_eq!(std::fs::read_dir(scratch.at("data")).expect("a directory").count(), 0, "nothing was written");
    let waiting = scratch.start(&Suite::skeg(), "install", &["-d", "data", "a.img"]);
    drop(held);
    waiting.finish(Duration::from_secs(60)).expect(0);
    assert_eq!(there(&scratch), (Some("a"), None, 1));
}

#[test]
fn a_damaged_image_never_becomes_previous() {
    for words in [&["--trial", "30", "c.img"][..], &["c.img"]] {
        let scratch = prepare(0);
        install(&scratch, &["a.img"]).expect(0);
        install(&scratch, &["b.img"]).expect(0);
        damage(&scratch, "current");
        install(&scratch, words).expect(0);
        assert_eq!(there(&scratch), (Some("c"), Some("a"), 2));
        assert_eq!(scratch.at("data/trial").exists(), words.len() > 1);
        install(&scratch, &["--back"]).expect(0);
        assert_eq!(image(&scratch, "current"), Some("a"));
    }
    // One that is gone altogether, and nothing before it.
    let scratch = prepare(0);
    install(&scratch, &["a.img"]).expect(0);
    std::fs::remove_file(scratch.at("data/current").canonicalize().expect("an image")).expect("removed");
    install(&scratch, &["b.img"]).expect(0);
    assert_eq!(there(&scratch), (Some("b"), None, 1));
}

#[test]
fn the_same_image_again_repairs_one_that_is_damaged() {
    let scratch = prepare(0);
    install(&scratch, &["a.img"]).expect(0);
    install(&scratch, &["b.img"]).expect(0);
    damage(&scratch, "current");
    let done = install(&scratch, &["b.img"]).expect(0);
    assert_eq!(done.err, "");
    assert_eq!(there(&scratch), (Some("b"), Some("a"), 2));
    let done = install(&scratch, &["b.img"]).expect(0);
    assert!(done.err.contains("is the current image already"), "{}", done.err);
}

#[test]
fn there_is_no_way_back_to_a_damaged_image() {
    let scratch = prepare(0);
    install(&scratch, &["a.img"]).expect(0);
    install(&scratch, &["--trial", "30", "b.img"]).expect(0);
    damage(&scratch, "previous");
    let done = install(&scratch, &["--back"]).expect(4);
    assert!(done.err.contains("data/previous is damaged"), "{}", done.err);
    assert_eq!(image(&scratch, "current"), Some("b"));
    assert!(scratch.at("data/trial").exists(), "the trial is still to come");
    std::fs::remove_file(scratch.at("data/previous").canonicalize().expect("an image")).expect("removed");
    install(&scratch, &["--back"]).expect(4);
    std::fs::remove_file(scratch.at("data/previous")).expect("removed");
    install(&scratch, &["--back"]).expect(1);
}

#[test]
fn a_trial_of_no_time_is_refused() {
    let scratch = prepare(0);
    let done = install(&scratch, &["--trial", "0", "a.img"]).expect(100);
    assert!(done.err.contains("--trial needs a time"), "{}", done.err);
    assert_eq!(std::fs::read_dir(scratch.at("data")).expect("a directory").count(), 0, "nothing was written");
    install(&scratch, &["--trial", "1", "a.img"]).expect(0);
}

#[test]
fn an_image_without_the_bundle_of_a_boot_is_refused() {
    let scratch = prepare(0);
    std::fs::remove_dir_all(scratch.at("c/default")).expect("removed");
    scratch.run(&Suite::skeg(), "s6-rc-compile", &["none.img", "c"]).expect(0);
    let done = install(&scratch, &["none.img"]).expect(4);
    assert!(done.err.contains("none.img has no bundle 'default': no boot would take it"), "{}", done.err);
    assert_eq!(std::fs::read_dir(scratch.at("data")).expect("a directory").count(), 0, "nothing was written");
    // A boot with another `skeg.bundle=` takes it; one with this does not. What was current stays as previous all the same.
    install(&scratch, &["--bundle", "x", "none.img"]).expect(0);
    install(&scratch, &["--keep"]).expect(4);
    install(&scratch, &["--bundle", "x", "--keep"]).expect(0);
    install(&scratch, &["a.img"]).expect(0);
    assert_eq!(there(&scratch), (Some("a"), None, 2));
    let link = |name| std::fs::read_link(scratch.at(format!("data/{name}"))).expect("a link");
    assert!(scratch.at("data").join(link("previous")).exists() && link("previous") != link("current"));
    install(&scratch, &["--back"]).expect(4);
    install(&scratch, &["--bundle", "x", "--back"]).expect(0);
}

#[test]
fn the_same_image_again_tells_what_becomes_of_its_trial() {
    let scratch = prepare(0);
    let mark = || std::fs::read_to_string(scratch.at("data/trial")).ok();
    let again = |words: &[&str], told: &str| {
        let done = install(&scratch, words).expect(0);
        assert_eq!(done.err, format!("install: b.img is the current image already{told}\n"));
        assert_eq!(there(&scratch), (Some("b"), Some("a"), 2));
    };
    install(&scratch, &["a.img"]).expect(0);
    install(&scratch, &["--trial", "5", "b.img"]).expect(0);
    again(&["--trial", "7", "b.img"], ", on trial: the next boot has 7 seconds");
    assert_eq!(mark().as_deref(), Some("7"));
    // As a boot notes it.
    scratch.file("data/trial", "7 tried");
    again(&["--trial", "9", "b.img"], ", and a boot has begun its trial: nothing is changed");
    assert_eq!(mark().as_deref(), Some("7 tried"));
    again(&["b.img"], ": its trial is over, it counts");
    assert_eq!(mark(), None);
    again(&["--trial", "9", "b.img"], ", and counts: no trial begins");
    again(&["b.img"], "");
    assert_eq!(mark(), None);
}

#[test]
fn going_back_twice_is_going_back_once() {
    let scratch = prepare(0);
    install(&scratch, &["a.img"]).expect(0);
    install(&scratch, &["b.img"]).expect(0);
    assert_eq!(install(&scratch, &["--back"]).expect(0).err, "");
    assert_eq!(there(&scratch), (Some("a"), Some("a"), 2));
    let done = install(&scratch, &["--back"]).expect(0);
    assert!(done.err.contains("data/current is what previous is already"), "{}", done.err);
    assert_eq!(there(&scratch), (Some("a"), Some("a"), 2));
    // What was gone back from can be installed again.
    install(&scratch, &["b.img"]).expect(0);
    assert_eq!(there(&scratch), (Some("b"), Some("a"), 2));
}

#[test]
fn a_damaged_image_is_not_kept() {
    let scratch = prepare(0);
    install(&scratch, &["a.img"]).expect(0);
    install(&scratch, &["--trial", "30", "b.img"]).expect(0);
    damage(&scratch, "current");
    let done = install(&scratch, &["--keep"]).expect(4);
    assert!(done.err.contains("data/current is damaged"), "{}", done.err);
    assert!(scratch.at("data/trial").exists());
    install(&scratch, &["--back"]).expect(0);
    assert_eq!(image(&scratch, "current"), Some("a"));
    install(&scratch, &["--keep"]).expect(0);
}

#[test]
fn a_trial_that_can_not_be_ended_on_a_read_only_disk_is_told_by_its_file() {
    let scratch = prepare(10);
    let mount = |words: &[&str]| {
        let mut command = std::process::Command::new("mount");
        command.args(words).arg(scratch.at("data")).status().is_ok_and(|status| status.success())
    };
    if !mount(&["-t", "tmpfs", "tmpfs"]) {
        return println!("left out: no mounts here");
    }
    install(&scratch, &["--trial", "60", "a.img"]).expect(0);
    assert!(mount(&["-o", "remount,ro"]));
    let refused = install(&scratch, &["--keep"]).expect(111);
    assert_eq!(refused.err, "install: can't remove data/trial: read-only file system\n");
    let unmounted = std::process::Command::new("umount").arg("-l").arg(scratch.at("data")).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
}
