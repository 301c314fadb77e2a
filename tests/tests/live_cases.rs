// SPDX-License-Identifier: ISC
//! The 119 recorded runs on a live tree, on our scanner and on Debian's, by root and by an ordinary user.
//!
//! `SKEG_CASE` plays only the cases whose name contains it; `SKEG_SUITE` names a folder with another suite's
//! programs to play them with; `SKEG_THREADS` says how many are played at once (3).

use harness::cases::{Cast, in_parallel, is_given_time, name, play, read};
use harness::{Suite, User};

/// Cases that are races of the reference, with the reason. They are left out.
const RACES: &[(&str, &str)] = &[];
fn play_all(cast: &Cast) {
    let wanted = std::env::var("SKEG_CASE").unwrap_or_default();
    let threads = std::env::var("SKEG_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let all = read(include_str!("../data/live_cases.jsonl"));
    assert_eq!(all.len(), 119);
    let kept = |case: &&serde_json::Value| {
        name(case).contains(&wanted) && RACES.iter().all(|(race, _)| *race != name(case))
    };
    // Those that take longest go first.
    let (slow, fast): (Vec<_>, Vec<_>) = all.iter().filter(kept).partition(|case| is_given_time(case));
    let cases = [slow, fast].concat();
    let found = in_parallel(threads, &cases, |case| play(cast, case));
    let mut failed = 0;
    for (case, faults) in cases.iter().zip(found).filter(|(_, faults)| !faults.is_empty()) {
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
