// SPDX-License-Identifier: ISC
//! An update that runs out of time, killed at each of its calls or not at all: the same update again, or a recovery before it,
//! ends with everything up that was up, though the one before had stopped it.

use crate::scenario::{Ends, Scenario};
use crate::stage::{Point, Stage, strike_all};
use harness::Suite;
use harness::fault::{Fault, arm};
use harness::process::{LONG, run_for};
use std::os::unix::process::CommandExt;

/// How long the update has: what it does until its script hangs takes a twentieth of that.
const TIME: &str = "400";
/// How long where that was over before anything hung: the machine is busy.
const PLENTY: &str = "8000";

impl Stage {
    fn timed_out_trial(&self, n: u32, recovers: bool) -> Result<Point, String> {
        for time in [TIME, PLENTY] {
            if let Some(point) = self.within(time, n, recovers)? {
                return Ok(point);
            }
        }
        Err("with plenty of time the stops did not end".into())
    }

    /// None: the time was over before that which hangs had begun.
    fn within(&self, time: &str, n: u32, recovers: bool) -> Result<Option<Point>, String> {
        let world = self.world();
        let flag = world.at("flags/hang");
        std::fs::write(&flag, "").map_err(|e| e.to_string())?;
        let words = [vec!["-t".into(), time.into()], world.update_words()].concat();
        let mut command = self.scratch.command(&Suite::skeg_fault(), self.scenario.applet, &words);
        arm(&mut command, self.scenario.applet, n, Fault::Kill);
        let struck = run_for(command.process_group(0), LONG);
        std::fs::remove_file(&flag).map_err(|e| e.to_string())?;
        let expected = if self.scenario.ends == Ends::StopFails { 10 } else { 2 };
        if struck.code == 10 && expected == 2 {
            return Ok(None);
        }
        if struck.code != 137 && struck.code != expected {
            return Err(format!("the update ended with {struck:?}"));
        }
        let before = format!("exit {}: {}", struck.code, struck.err);
        if recovers {
            let said = self.recover(&world)?;
            world.judge(true).map_err(|e| format!("after the recovery: {e}; {before}{said}"))?;
        }
        let new = std::fs::read(world.at("live/image")).ok() == std::fs::read(self.scratch.at("b.img")).ok();
        let again = world.update(&Suite::skeg(), new);
        if again.code != 0 {
            return Err(format!("the update again: {again:?}; {before}"));
        }
        match world.judge(true) {
            Ok(true) => Ok(Some(Point::of(struck.code != 137, new))),
            Ok(false) => Err(format!("the update again did not lead to the new state; {before}")),
            Err(e) => Err(format!("after the update again: {e}; {before}{}", again.err)),
        }
    }
}

fn enumerate(scenario: Scenario) {
    let stage = Stage::new(scenario, Suite::skeg());
    for recovers in [false, true] {
        let what = if recovers { "kill, recover, update again" } else { "kill, update again" };
        strike_all(stage.scenario.name, what, 1, 700, |n| stage.timed_out_trial(n, recovers));
    }
}

#[test]
fn a_kill_at_any_call_of_an_update_whose_stop_runs_out_of_time() {
    enumerate(crate::scenario::stop_hangs());
}

#[test]
fn a_kill_at_any_call_of_an_update_whose_start_runs_out_of_time() {
    enumerate(crate::scenario::start_hangs());
}
