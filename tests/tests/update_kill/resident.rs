// SPDX-License-Identifier: ISC
//! The processes that an update needs are killed during it: the supervisor, of which nobody may notice anything, and the oneshot
//! runner, whose scripts then fail.

use crate::stage::{Point, Stage};
use crate::world::World;
use harness::fault::{Fault, action, arm};
use harness::process::{LONG, run_for};
use harness::wait::PATIENCE;
use harness::{Suite, until};

/// How long an update has that nobody answers.
const TIME: &str = "1500";

impl Stage {
    fn guarded(&self, applet: &str, n: u32, fault: Fault) -> World<'_> {
        let name = self.name();
        let gate = self.scratch.at(format!("{name}.gate"));
        World::new(&self.scenario, &self.scratch, name, &Suite::skeg_fault(), |command| {
            command.env("SKEG_FAULT", format!("{applet}:{n}:{}", action(fault)));
            command.env("SKEG_FAULT_GATE", gate);
        })
    }

    /// The resident process of this name is killed at its nth call since the update began.
    pub fn resident_trial(&self, applet: &str, n: u32) -> Result<Point, String> {
        let mut world = self.guarded(applet, n, Fault::Kill);
        world.remember();
        let gate = self.scratch.at(format!("{}.gate", world.name()));
        std::fs::write(&gate, "").map_err(|e| e.to_string())?;
        let done = world.update(&Suite::skeg(), false);
        // What the update has set off may still be going on.
        let beyond = std::fs::remove_file(&gate).is_ok();
        if done.hung() || applet == "supervise" && done.code != 0 {
            return Err(format!("the update ended with {done:?}"));
        }
        let failed = done.code != 0;
        // A supervisor pauses before it starts the runner again, and what the update owes may need that.
        let mut recovered = self.recover(&world);
        if failed && recovered.is_err() {
            until(PATIENCE, || {
                recovered = self.recover(&world);
                recovered.is_ok()
            });
        }
        recovered?;
        let new = world.judge(!failed).map_err(|e| format!("{e}; exit {}: {}", done.code, done.err))?;
        if failed {
            // A supervisor pauses before it starts the runner again, and one that dies may take a connection still.
            let mut last = Ok(());
            let repaired = || {
                last = world.repair(new);
                last.is_ok()
            };
            if !until(PATIENCE, repaired) {
                last.map_err(|e| format!("{e}, after exit {}: {}", done.code, done.err))?;
            }
            self.recover(&world)?;
        } else if !new {
            return Err("a success and the old image".into());
        }
        self.again(&world, new)?;
        Ok(Point::of(beyond, new))
    }
    /// There is no room for anybody: for the scanner, the supervisor and the runner during the whole command, for that from its
    /// call n on. Then there is: a recovery ends well, with everything up that was up, and so does the update.
    pub fn full_for_all_trial(&self, n: u32) -> Result<Point, String> {
        let mut world = self.guarded("*", 1, Fault::Full);
        world.remember();
        let gate = self.scratch.at(format!("{}.gate", world.name()));
        std::fs::write(&gate, "").map_err(|e| e.to_string())?;
        let applet = self.scenario.applet;
        let words = [vec!["-t".into(), TIME.into()], world.update_words()].concat();
        let mut command = self.scratch.command(&Suite::skeg_fault(), applet, &words);
        arm(&mut command, applet, n, Fault::Full);
        let struck = run_for(&mut command, LONG);
        std::fs::remove_file(&gate).map_err(|e| e.to_string())?;
        if struck.hung() {
            return Err(format!("the update ended with {struck:?}"));
        }
        let said = format!("exit {}: {}", struck.code, struck.err);
        self.recover(&world).map_err(|e| format!("{e}, after {said}"))?;
        let new = world.judge(true).map_err(|e| format!("{e}, after {said}"))?;
        self.again(&world, new).map_err(|e| format!("{e}, after {said}"))?;
        Ok(Point::of(false, new))
    }
}
