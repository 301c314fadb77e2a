// SPDX-License-Identifier: ISC
//! Every process of an update is killed right before its n-th system call, for every n; then comes recovery; then a judge that
//! knows nothing of skeg's own code. Every pair of kills, too, of three small updates. `cargo xtask kill-all` tells the counts.

mod pairs;
mod resident;
mod scenario;
mod stage;
mod world;

use harness::Suite;
use harness::fault::{self, Fault};
use stage::{Stage, strike_all};

/// A test for each scenario.
macro_rules! kills {
    ($($name:ident: $scenario:ident,)*) => {$(
        #[test]
        fn $name() {
            Stage::new(scenario::$scenario(), Suite::skeg()).enumerate(Fault::Kill);
        }
    )*};
}

kills! {
    a_kill_at_any_call_with_a_changed_script: script_changed,
    a_kill_at_any_call_with_a_script_for_the_next_start: script_changed_in_place,
    a_kill_at_any_call_with_a_dependency_added: dependency_added,
    a_kill_at_any_call_with_a_dependency_removed: dependency_removed,
    a_kill_at_any_call_with_a_service_added: service_added,
    a_kill_at_any_call_with_a_service_removed: service_removed,
    a_kill_at_any_call_with_a_service_renamed: service_renamed,
    a_kill_at_any_call_with_services_of_another_type: other_type,
    a_kill_at_any_call_with_a_pipeline_changed: pipeline_changed,
    a_kill_at_any_call_with_a_bundle_changed: bundle_changed,
    a_kill_at_any_call_with_several_changes: several,
    a_kill_at_any_call_with_oneshots_in_between: between,
    a_kill_at_any_call_with_oneshots_that_are_slow_and_fail: slow_and_failing,
    a_kill_at_any_call_with_a_stop_that_fails: stop_fails,
    a_kill_at_any_call_of_an_apply: smart,
    a_kill_at_any_call_of_a_sync: synced,
    a_kill_at_any_call_with_fifty_services: fifty,
    a_kill_at_any_call_of_a_bundle_edit: bundle_edited,
}

#[test]
fn a_full_file_system_at_any_call_leaves_the_old_or_the_new() {
    Stage::new(scenario::script_changed(), Suite::skeg()).enumerate(Fault::Errno(fault::ENOSPC));
}

#[test]
fn a_kill_at_any_call_on_debians_tree() {
    if let Some(debian) = Suite::debian() {
        Stage::new(scenario::script_changed(), debian).enumerate(Fault::Kill);
    }
}

#[test]
fn a_kill_at_any_call_of_the_recovery_is_recovered_from() {
    let stage = Stage::new(scenario::between(), Suite::skeg());
    let calls = stage.count();
    for first in [calls * 2 / 5, calls * 3 / 5] {
        let what = format!("recovery after a kill at call {first}");
        strike_all(stage.scenario.name, &what, 1, 400, |n| stage.double_trial(first, n));
    }
}

/// Every call of a first init, of a start and of a stop.
#[test]
fn a_kill_at_any_call_of_an_init_is_made_good_by_the_next_one() {
    let stage = Stage::new(scenario::to_be_changed(), Suite::skeg());
    for recovers in [false, true] {
        let what = if recovers { "init, then recover, then init" } else { "init, then init" };
        strike_all(stage.scenario.name, what, 1, 2_000, |n| stage.init_trial(n, recovers));
    }
}

#[test]
fn a_kill_at_any_call_of_a_change_leaves_true_states_and_the_next_one_goes_on() {
    for up in [true, false] {
        let stage = Stage::new(scenario::to_be_changed(), Suite::skeg());
        let what = if up { "a start" } else { "a stop" };
        strike_all(stage.scenario.name, what, 1, 2_000, |n| stage.change_trial(n, up));
    }
}

#[test]
fn every_pair_of_kills_of_an_update_and_its_recovery() {
    if std::env::var_os("SKEG_AGAIN").is_some() {
        return println!("left out: it has been through under another user");
    }
    for scenario in scenario::small() {
        Stage::new(scenario, Suite::skeg()).pairs();
    }
}

#[test]
fn nobody_notices_that_the_supervisor_is_killed_at_any_call_during_an_update() {
    for scenario in [scenario::several(), scenario::script_changed()] {
        let stage = Stage::new(scenario, Suite::skeg_fault());
        strike_all(stage.scenario.name, "the supervisor", 1, 3_000, |n| stage.resident_trial("supervise", n));
    }
}

#[test]
fn the_oneshot_runner_is_killed_at_any_call_during_an_update() {
    for scenario in [scenario::between(), scenario::other_type()] {
        let stage = Stage::new(scenario, Suite::skeg_fault());
        let runner = "s6rc-oneshot-runner";
        strike_all(stage.scenario.name, "the runner", 1, 3_000, |n| stage.resident_trial(runner, n));
    }
}
