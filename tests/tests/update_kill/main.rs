// SPDX-License-Identifier: ISC
//! Every process of an update is killed right before its n-th system call, for every n; then comes recovery; then a judge that
//! knows nothing of skeg's own code. Every pair of kills, too, of four small updates. `cargo xtask kill-all` tells the counts.

mod pairs;
mod resident;
mod scenario;
mod stage;
mod swapped;
mod timed_out;
mod world;

use harness::Suite;
use harness::fault::{self, Fault};
use stage::{Point, Stage, strike_all};

/// A test for each scenario.
macro_rules! kills {
    ($($name:ident: $scenario:ident,)*) => {$(
        #[test]
        fn $name() {
            if stringify!($scenario) != "several" && is_repeated() {
                return;
            }
            Stage::new(scenario::$scenario(), Suite::skeg()).enumerate(Fault::Kill);
        }
    )*};
}

kills! {
    a_kill_at_any_call_with_a_changed_script: script_changed,
    a_kill_at_any_call_with_a_script_for_the_next_start: script_changed_in_place,
    a_kill_at_any_call_with_instances_changed: instances_changed,
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
    a_kill_at_any_call_of_a_restart: restarted,
}

/// Whether this run repeats one that another user has made: then what takes longest is left out.
fn is_repeated() -> bool {
    let repeated = std::env::var_os("SKEG_AGAIN").is_some();
    if repeated {
        println!("left out: it has been through under another user");
    }
    repeated
}

/// The second round: the command is killed with all its children, and the next one is `skeg recover`.
#[test]
fn a_kill_of_the_whole_group_at_any_call() {
    if is_repeated() {
        return;
    }
    for scenario in scenario::all() {
        Stage::new(scenario, Suite::skeg()).enumerate(Fault::KillGroup);
    }
}

/// The live image is a link into a read-only file system until it is edited.
#[test]
fn a_kill_at_any_call_of_an_edit_of_an_image_on_a_read_only_file_system() {
    if !rustix::process::geteuid().is_root() {
        return println!("left out: only root can mount");
    }
    let mut stage = Stage::new(scenario::bundle_edited(), Suite::skeg());
    stage.scenario.images = "ro/";
    let ro = stage.scratch.folder("ro");
    let mount = |words: &[&str]| {
        let done = std::process::Command::new("mount").args(words).arg(&ro).status();
        assert!(done.is_ok_and(|status| status.success()), "mount {words:?}");
    };
    mount(&["-t", "tmpfs", "none"]);
    let enumerated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        std::fs::copy(stage.scratch.at("a.img"), ro.join("a.img")).expect("a copy");
        mount(&["-o", "remount,ro"]);
        stage.enumerate(Fault::Kill);
    }));
    let _ = std::process::Command::new("umount").arg("-l").arg(&ro).status();
    enumerated.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// A file is edited, too: it is the old one or the new one, and the next edit leaves nothing beside it.
#[test]
fn a_kill_at_any_call_of_an_edit_of_a_file() {
    let stage = Stage::new(scenario::bundle_edited(), Suite::skeg());
    let image = |name: &str| std::fs::read(stage.scratch.at(name)).expect("an image");
    let (old, new) = (image("a.img"), image("b.img"));
    strike_all(stage.scenario.name, "a file", 1, 2_000, |n| {
        let dir = stage.scratch.folder(format!("edit{n}"));
        std::fs::write(dir.join("image"), &old).map_err(|e| e.to_string())?;
        let path = dir.join("image").display().to_string();
        let words: Vec<String> = ["-c", &path]
            .into_iter()
            .chain(stage.scenario.words.iter().copied())
            .map(str::to_owned)
            .collect();
        let edit = || std::fs::read(dir.join("image")).map_err(|e| e.to_string());
        let done =
            fault::strike(&stage.scratch, &Suite::skeg_fault(), "s6-rc-bundle", &words, n, Fault::Kill);
        let found = edit()?;
        if found != old && found != new {
            return Err("the image is neither the old nor the new one".into());
        }
        let again = stage.scratch.run(&Suite::skeg(), "s6-rc-bundle", &words);
        let names = world::names(&dir);
        if again.code != 0 || names.len() != 1 {
            return Err(format!("the next edit: {again:?}; there is {names:?}"));
        }
        Ok(Point::of(done.code == 0, found == new))
    });
}

#[test]
fn a_full_file_system_at_any_call_leaves_the_old_or_the_new() {
    let stage = Stage::new(scenario::script_changed(), Suite::skeg());
    for errno in [fault::ENOSPC, fault::EIO, fault::ENOMEM, fault::EMFILE] {
        stage.enumerate(Fault::Errno(errno));
    }
}

#[test]
fn a_kill_at_any_call_on_debians_tree() {
    for scenario in [scenario::script_changed(), scenario::several()] {
        if let Some(debian) = Suite::debian() {
            Stage::new(scenario, debian).enumerate(Fault::Kill);
        }
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

/// No room from any call on, for one command or for the recovery behind it, too; then there is room again.
#[test]
fn a_file_system_that_is_full_from_any_call_on_and_then_has_room_again() {
    if is_repeated() {
        return;
    }
    let scenarios = [
        scenario::script_changed(),
        scenario::several(),
        scenario::between(),
        scenario::pipeline_changed(),
        scenario::smart(),
        scenario::restarted(),
        scenario::bundle_edited(),
    ];
    for scenario in scenarios {
        let stage = Stage::new(scenario, Suite::skeg());
        let total = stage.count();
        for stays in [false, true] {
            let what = if stays { "full, also for a recovery" } else { "full" };
            strike_all(stage.scenario.name, what, 1, total, |n| stage.full_trial(n, stays));
        }
    }
}

/// The processes that stay have no room either.
#[test]
fn a_file_system_that_is_full_for_the_whole_tree_and_then_has_room_again() {
    if is_repeated() {
        return;
    }
    for scenario in [scenario::script_changed(), scenario::between(), scenario::service_removed()] {
        let stage = Stage::new(scenario, Suite::skeg_fault());
        let total = stage.count();
        // They have room or not; what differs with the call is how far the command comes.
        let trial = |n: u32| if n % 7 == 1 { stage.full_for_all_trial(n) } else { Ok(Point::Old) };
        strike_all(stage.scenario.name, "full for all", 1, total, trial);
    }
}

#[test]
fn an_init_on_a_file_system_that_is_full_from_any_call_on_is_undone() {
    let stage = Stage::new(scenario::to_be_changed(), Suite::skeg());
    strike_all(stage.scenario.name, "an init, full", 1, 2_000, |n| stage.full_init_trial(n));
}

#[test]
fn every_pair_of_kills_of_an_update_and_its_recovery() {
    if is_repeated() {
        return;
    }
    for scenario in scenario::small() {
        Stage::new(scenario, Suite::skeg()).pairs();
    }
}

/// A shutdown finishes nothing (`skeg::init::stop`).
#[test]
fn a_shutdown_after_a_kill_at_any_call_stops_all_that_runs() {
    if is_repeated() {
        return;
    }
    for scenario in [
        scenario::several(),
        scenario::between(),
        scenario::service_renamed(),
        scenario::pipeline_changed(),
        scenario::restarted(),
    ] {
        let stage = Stage::new(scenario, Suite::skeg());
        strike_all(stage.scenario.name, "then a shutdown", 1, stage.count() + 20, |n| {
            stage.shutdown_trial(n)
        });
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
