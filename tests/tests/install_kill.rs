// SPDX-License-Identifier: ISC
//! An install, a way back, a trial that is kept: killed, or with a full disk, right before its n-th system call, for every n. The
//! old image or the new one is current, whole; what can be gone back to is; a trial is never lost; and it can be done again.

use harness::fault::{self, Fault};
use harness::{Scratch, Suite};

/// `current`, `previous`, and whether there is a trial.
type There = (&'static str, &'static str, bool);

/// What is killed, and what there is before and after it.
struct Scenario {
    name: &'static str,
    before: &'static [&'static [&'static str]],
    words: &'static [&'static str],
    old: There,
    new: There,
}

const PLAIN: &[&[&str]] = &[&["a.img"], &["b.img"]];
const TRIED: &[&[&str]] = &[&["a.img"], &["--trial", "30", "b.img"]];

const SCENARIOS: [Scenario; 6] = [
    Scenario {
        name: "install",
        before: PLAIN,
        words: &["c.img"],
        old: ("b", "a", false),
        new: ("c", "b", false),
    },
    Scenario {
        name: "install --trial",
        before: PLAIN,
        words: &["--trial", "30", "c.img"],
        old: ("b", "a", false),
        new: ("c", "b", true),
    },
    Scenario {
        name: "install, while another one is on trial",
        before: TRIED,
        words: &["c.img"],
        old: ("b", "a", true),
        new: ("c", "a", false),
    },
    Scenario {
        name: "install --key",
        before: &[&["--key", "key", "a.signed"], &["--key", "key", "b.signed"]],
        words: &["--key", "key", "c.signed"],
        old: ("b", "a", false),
        new: ("c", "b", false),
    },
    Scenario {
        name: "install --back",
        before: TRIED,
        words: &["--back"],
        old: ("b", "a", true),
        new: ("a", "a", false),
    },
    Scenario {
        name: "install --keep",
        before: TRIED,
        words: &["--keep"],
        old: ("b", "a", true),
        new: ("b", "a", false),
    },
];

fn prepare(scratch: &Scratch) {
    for (image, run) in [("a", "exec sleep 1"), ("b", "exec sleep 2"), ("c", "exec sleep 3")] {
        scratch.file(format!("{image}/x/type"), "longrun\n");
        scratch.file(format!("{image}/x/run"), format!("#!/bin/sh\n{run}\n"));
        scratch.file(format!("{image}/default/type"), "bundle\n");
        scratch.file(format!("{image}/default/contents"), "x\n");
        let words = [format!("{image}.img"), image.to_owned()];
        scratch.run(&Suite::skeg(), "s6-rc-compile", &words).expect(0);
        let keys = ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([1; 32]));
        let bytes = std::fs::read(scratch.at(format!("{image}.img"))).expect("an image");
        scratch.file("key", keys.pk.as_ref());
        scratch.file(format!("{image}.signed"), [&bytes[..], keys.sk.sign(&bytes, None).as_ref()].concat());
    }
}

/// Which image a link of the partition leads to: nothing else than the whole of one, with or without its signature.
fn image(scratch: &Scratch, link: &str) -> Option<&'static str> {
    let bytes = std::fs::read(scratch.at("data").join(link)).ok()?;
    let is = |file: String| std::fs::read(scratch.at(file)).ok().as_ref() == Some(&bytes);
    ["a", "b", "c"].into_iter().find(|i| is(format!("{i}.img")) || is(format!("{i}.signed")))
}

fn there(scratch: &Scratch) -> There {
    let image = |link| image(scratch, link).unwrap_or("nothing whole");
    (image("current"), image("previous"), scratch.at("data/trial").exists())
}

fn words(words: &[&str]) -> Vec<String> {
    ["-d", "data"].iter().chain(words).map(|word| (*word).to_owned()).collect()
}

fn partition(scratch: &Scratch, scenario: &Scenario) {
    let _ = std::fs::remove_dir_all(scratch.at("data"));
    scratch.folder("data");
    for before in scenario.before {
        // Whatever the device's binary was built with: this one knows signatures.
        scratch.run(&Suite::skeg_fault(), "install", &words(before)).expect(0);
    }
    assert_eq!(there(scratch), scenario.old);
}

/// Whether the command has done what it is for; or what is wrong.
fn judge(now: There, scenario: &Scenario) -> Result<bool, String> {
    let Scenario { old, new, .. } = scenario;
    let (current, previous, trial) = now;
    // With the old image the mark of the new one's trial may be there already, and `previous` may be what is current; with the
    // new one a mark that nobody asked for may be left.
    let is_old = current == old.0 && (previous == old.1 || previous == new.1) && (trial || !old.2);
    let is_new = current == new.0 && previous == new.1 && (trial || !new.2);
    match (is_old, is_new) {
        _ if now == *new => Ok(true),
        (false, false) => Err(format!("{now:?}")),
        (_, is_new) => Ok(is_new && old.0 != new.0),
    }
}

fn enumerate(fault: Fault) {
    let scratch = Scratch::new();
    prepare(&scratch);
    for scenario in &SCENARIOS {
        let all = words(scenario.words);
        partition(&scratch, scenario);
        let mut command = scratch.command(&Suite::skeg_fault(), "install", &all);
        let (total, done) = fault::count(&scratch, &mut command, "install");
        done.expect(0);
        assert_eq!(there(&scratch), scenario.new, "{}", scenario.name);
        let (mut old, mut new) = (0, 0);
        for n in 1..=total {
            partition(&scratch, scenario);
            let at = format!("{}, call {n}", scenario.name);
            let done = fault::strike(&scratch, &Suite::skeg_fault(), "install", &all, n, fault);
            let is_new = judge(there(&scratch), scenario)
                .unwrap_or_else(|found| panic!("{at}: {found} is there, after {done:?}"));
            *if is_new { &mut new } else { &mut old } += 1;
            if done.code == 0 {
                assert_eq!(there(&scratch), scenario.new, "{at}: it said that all went well");
            }
            // The same again, and another: nothing is in the way, nothing is left over.
            scratch.run(&Suite::skeg_fault(), "install", &all).expect(0);
            assert_eq!(there(&scratch), scenario.new, "{at}");
            let (next, previous) = match scenario.new {
                // What was on trial is nothing to go back to.
                ("c", previous, true) => ("a", previous),
                ("c", ..) => ("a", "c"),
                (current, ..) => ("c", current),
            };
            scratch.run(&Suite::skeg(), "install", &words(&[&format!("{next}.img")])).expect(0);
            assert_eq!(there(&scratch), (next, previous, false), "{at}");
            assert_eq!(std::fs::read_dir(scratch.at("data/images")).unwrap().count(), 2, "{at}");
        }
        eprintln!("{}: {fault:?} at each of {total} calls: {old} old, {new} new, 0 wrong,", scenario.name);
    }
}

#[test]
fn a_kill_at_any_call_leaves_the_old_or_the_new_image() {
    enumerate(Fault::Kill);
}

#[test]
fn a_full_disk_at_any_call_leaves_the_old_or_the_new_image() {
    enumerate(Fault::Errno(fault::ENOSPC));
}

#[test]
fn a_disk_that_is_full_from_any_call_on_leaves_the_old_or_the_new_image() {
    enumerate(Fault::Full);
}
