// SPDX-License-Identifier: ISC
//! The 119 recorded runs on a live tree, on our scanner and on Debian's, by root and by an ordinary user.
//!
//! `SKEG_CASE` plays only the cases whose name contains it; `SKEG_SUITE` names a folder with another suite's
//! programs to play them with; `SKEG_THREADS` says how many are played at once (3).

use harness::cases::{Cast, in_parallel, name, play, read};
use harness::{Suite, User};

/// Cases that are races of the reference, with the reason. They are left out.
const RACES: &[(&str, &str)] = &[];
/// Whether the case has a service that must be ready within less than a second: a machine that does other things, too, may
/// not keep that, so one of these that differs is played once more, alone.
fn is_tight(case: &serde_json::Value) -> bool {
    let files = ["a", "b"].into_iter().filter_map(|db| case["dbs"][db].as_object()).flatten();
    files.filter(|(path, _)| path.ends_with("/timeout-up")).any(|(_, file)| {
        file["f"].as_str().and_then(|ms| ms.trim().parse().ok()).is_some_and(|ms: u32| ms < 1_000)
    })
}

fn play_all(cast: &Cast) {
    let wanted = std::env::var("SKEG_CASE").unwrap_or_default();
    let threads = std::env::var("SKEG_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let all = read(include_str!("../data/live_cases.jsonl"));
    assert_eq!(all.len(), 119);
    let kept = |case: &&serde_json::Value| {
        name(case).contains(&wanted) && RACES.iter().all(|(race, _)| *race != name(case))
    };
    let cases: Vec<_> = all.iter().filter(kept).collect();
    let found = in_parallel(threads, &cases, |case| play(cast, case));
    let mut failed = 0;
    for (case, faults) in cases.iter().zip(found).filter(|(_, faults)| !faults.is_empty()) {
        let mut faults = faults;
        if is_tight(case) {
            println!("{}, together with others: {}", name(case), faults.join("; "));
            faults = play(cast, case);
        }
        if faults.is_empty() {
            continue;
        }
        failed += 1;
        println!("{}", name(case));
        faults.iter().take(6).for_each(|fault| println!("    {fault}"));
    }
    println!("{} passed, {failed} failed", cases.len() - failed);
    assert_eq!(failed, 0, "cases that differ from the record");
}

#[test]
fn recorded_runs_on_our_tree() {
    play_all(&Cast { manager: Suite::tested(), tree: Suite::skeg(), user: User::Same });
}

#[test]
fn recorded_runs_on_the_tree_of_debian() {
    let Some(debian) = Suite::debian() else { return println!("left out: no s6 here") };
    play_all(&Cast { manager: Suite::tested(), tree: debian, user: User::Same });
}

#[test]
fn recorded_runs_of_an_ordinary_user() {
    if User::Ordinary.ids().is_none() {
        return println!("left out: run by root it changes the user; without root the others show it");
    }
    play_all(&Cast { manager: Suite::tested(), tree: Suite::skeg(), user: User::Ordinary });
}
