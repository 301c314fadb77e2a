// SPDX-License-Identifier: ISC
//! The harness proves itself: any two neighbouring steps of the protocol, swapped in the variant for tests, make it fail.

use crate::scenario::{self, Scenario};
use crate::stage::{Stage, try_all};
use harness::Suite;
use harness::fault::{self, Fault};

/// The last step of an update in `crates/live/PROTOCOL.md`.
const LAST: u8 = 9;

/// What is tried for each swap, the likeliest first: a scenario, and the fault at each call.
fn tries(swap: u8) -> Vec<(Scenario, Fault)> {
    let kills = [
        scenario::script_changed(),
        scenario::service_added(),
        scenario::script_changed_in_place(),
        scenario::service_removed(),
        scenario::several(),
    ];
    let kills = kills.into_iter().map(|s| (s, Fault::Kill));
    let full = (scenario::script_changed(), Fault::Errno(fault::ENOSPC));
    if swap == 2 { std::iter::once(full).chain(kills).collect() } else { kills.chain([full]).collect() }
}

/// The first fault that the enumeration finds with this step and the next one swapped.
fn found(swap: u8) -> Option<String> {
    tries(swap).into_iter().find_map(|(scenario, fault)| {
        let mut stage = Stage::new(scenario, Suite::skeg());
        stage.swap = swap;
        let what = format!("U{swap} after U{}", swap + 1);
        let shown = try_all(stage.scenario.name, &what, 1, 600, 1, |n| stage.trial(n, fault));
        shown.faults.into_iter().next().map(|f| format!("{}: {f}", stage.scenario.name))
    })
}

#[test]
fn any_two_neighbouring_steps_that_are_swapped_are_noticed() {
    if crate::is_repeated() {
        return;
    }
    let mut unseen = Vec::new();
    for swap in 1..LAST {
        match found(swap) {
            Some(fault) => println!("U{swap} and U{}: {fault}", swap + 1),
            None => unseen.push(swap),
        }
    }
    assert!(unseen.is_empty(), "not noticed: U{unseen:?} after the next one");
}
