// SPDX-License-Identifier: ISC
//! Trials: one fault at one call, recovery, the judge; and the enumeration of all calls.

use crate::scenario::{Ends, Scenario};
use crate::world::World;
use harness::fault::{self, Fault};
use harness::process::{Done, LONG, run_for};
use harness::tree::listening;
use harness::{Scratch, Suite};
use std::os::unix::process::CommandExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Trees at a time: they mostly wait.
pub const WORKERS: usize = 8;

/// How a point went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Old,
    New,
    /// The command ended before it came to that call.
    Beyond,
}

impl Point {
    pub fn of(beyond: bool, new: bool) -> Self {
        match (beyond, new) {
            (true, _) => Self::Beyond,
            (_, true) => Self::New,
            (_, false) => Self::Old,
        }
    }
}

/// A scenario with its images, and the scanner that it runs under.
pub struct Stage {
    /// The protocol's step that is swapped with the next one; 0 = none.
    pub swap: u8,
    pub scenario: Scenario,
    pub scanner: Suite,
    pub scratch: Scratch,
    worlds: AtomicU32,
}

impl Stage {
    pub fn new(scenario: Scenario, scanner: Suite) -> Self {
        let scratch = Scratch::in_memory();
        scenario.compile(&scratch);
        Self { swap: 0, scenario, scanner, scratch, worlds: AtomicU32::new(0) }
    }

    pub fn name(&self) -> String {
        format!("w{}", self.worlds.fetch_add(1, Relaxed))
    }

    pub fn world(&self) -> World<'_> {
        World::new(&self.scenario, &self.scratch, self.name(), &self.scanner, |_| ())
    }

    /// How many calls an update makes that nothing disturbs.
    pub fn count(&self) -> u32 {
        let (world, applet) = (self.world(), self.scenario.applet);
        let mut command = self.scratch.command(&Suite::skeg_fault(), applet, &world.update_words());
        let (total, done) = fault::count(&self.scratch, &mut command, applet);
        let code = match self.scenario.ends {
            Ends::Well => 0,
            Ends::StartFails => 1,
            Ends::StopFails => 9,
        };
        done.expect(code);
        let new = self.scenario.ends != Ends::StopFails;
        assert_eq!(world.judge(new), Ok(new), "{}: an update that nothing disturbs", self.scenario.name);
        total
    }

    /// The update with a fault at call n.
    pub fn strike(&self, world: &World, n: u32, fault: Fault) -> Done {
        let applet = self.scenario.applet;
        let mut command = self.scratch.command(&Suite::skeg_fault(), applet, &world.update_words());
        fault::arm(&mut command, applet, n, fault);
        command.env("SKEG_FAULT_SWAP", self.swap.to_string()).process_group(0);
        run_for(&mut command, LONG)
    }

    /// A recovery, and how a scenario with a service that does not start may have it end.
    pub fn recover(&self, world: &World) -> Result<String, String> {
        let recovered = world.recover();
        let may_fail = self.scenario.ends == Ends::StartFails && recovered.code == 1;
        if recovered.code == 0 || may_fail {
            Ok(recovered.err)
        } else {
            Err(format!("recovery: {recovered:?}"))
        }
    }

    /// Some other command comes next, and recovers.
    fn next_command(&self, world: &World) -> Result<String, String> {
        let (before, after) = (&self.scenario.up_before, &self.scenario.up_after);
        // It asks for what is to be up on either side.
        let both = before.iter().find(|name| after.contains(name));
        let done = world.change("-u", &[both.map_or("s6rc-oneshot-runner", String::as_str)]);
        if done.code == 0 { Ok(done.err) } else { Err(format!("the next command: {done:?}")) }
    }

    /// The update again, which must lead to the new state.
    pub fn again(&self, world: &World, new: bool) -> Result<(), String> {
        if new && self.scenario.applet == "s6-rc-bundle" {
            // Another edit would make another image.
            return Ok(());
        }
        let again = world.update(&Suite::skeg(), new);
        let wanted = match self.scenario.ends {
            Ends::Well => 0,
            // What does not start is owed, and tried again.
            Ends::StartFails => 1,
            Ends::StopFails => 9,
        };
        if again.code != wanted {
            return Err(format!("the update again: {again:?}"));
        }
        if self.scenario.ends == Ends::StopFails {
            return world.judge(false).map(|_| ());
        }
        match world.judge(true) {
            Ok(true) => Ok(()),
            Ok(false) => Err("the update again did not lead to the new state".into()),
            Err(e) => Err(format!("after the update again: {e}")),
        }
    }

    /// One trial: the fault at call n, recovery, the judge, the update again, the judge.
    pub fn trial(&self, n: u32, fault: Fault) -> Result<Point, String> {
        let world = self.world();
        let struck = self.strike(&world, n, fault);
        let killed = struck.code == 137;
        let kills = matches!(fault, Fault::Kill | Fault::KillGroup);
        if struck.hung() || kills && !killed && self.scenario.ends == Ends::Well && struck.code != 0 {
            return Err(format!("the update ended with {struck:?}"));
        }
        // After a plain kill the next command is one that has other things to do; after the others it is `skeg recover`.
        let said = if fault == Fault::Kill { self.next_command(&world)? } else { self.recover(&world)? };
        if kills && !killed && self.scenario.ends == Ends::StopFails {
            return Ok(Point::Beyond);
        }
        // A command that ends with a failure is a finished command: it has said which services are not up. So is one that
        // was killed when nothing was left for it to do.
        let over = struck.err.contains("can't stop") && !said.contains("undone");
        let failed = over || !kills && (struck.code != 0 || struck.err.contains("'down' file"));
        let new =
            world.judge(!failed).map_err(|e| format!("{e}; exit {}: {}{said}", struck.code, struck.err))?;
        if fault == Fault::Errno(fault::ENOSPC) && was_building(&struck.err) {
            world.judge_uninterrupted().map_err(|e| format!("{e}; {}", struck.err))?;
        }
        if failed && self.scenario.ends == Ends::Well {
            world.repair(new)?;
            self.recover(&world)?;
        }
        self.again(&world, new)?;
        assert!(listening(&world.at("scan/.s6-svscan/control")));
        Ok(Point::of(kills && !killed, new))
    }

    /// Recovery is killed, too: the update at call `first`, the recovery at call `second`, then it is run again.
    pub fn double_trial(&self, first: u32, second: u32) -> Result<Point, String> {
        let world = self.world();
        self.strike(&world, first, Fault::Kill);
        let (suite, words) = (Suite::skeg_fault(), world.recover_words());
        let killed = fault::strike(&self.scratch, &suite, "recover", &words, second, Fault::Kill);
        if killed.code != 137 && killed.code != 0 {
            return Err(format!("the first recovery: {killed:?}"));
        }
        self.recover(&world)?;
        let new = world.judge(true)?;
        self.again(&world, new)?;
        Ok(Point::of(killed.code == 0, new))
    }

    /// A first init is killed at call n; the next one, or a recovery and then the next one, makes it good.
    pub fn init_trial(&self, n: u32, recovers: bool) -> Result<Point, String> {
        let world = World::empty(&self.scenario, &self.scratch, self.name(), &self.scanner, |_| ());
        let words = world.init_words();
        let struck = fault::strike(&self.scratch, &Suite::skeg_fault(), "s6-rc-init", &words, n, Fault::Kill);
        if struck.code != 137 && struck.code != 0 {
            return Err(format!("the init ended with {struck:?}"));
        }
        // Before there is anything there is nothing to recover.
        let recovered = if recovers { world.recover() } else { struck.clone() };
        let again = world.init(&Suite::skeg());
        if again.code != 0 {
            return Err(format!("the next init: {again:?}, after {recovered:?}"));
        }
        let new = world.judge(true)?;
        let up = world.change("-u", &["web", "base"]);
        if up.code != 0 {
            return Err(format!("a start after it: {up:?}"));
        }
        world.judge_truth()?;
        Ok(Point::of(struck.code == 0, new))
    }

    /// A change is killed at call n: its states are true, and the next one does what it should have done.
    pub fn change_trial(&self, n: u32, up: bool) -> Result<Point, String> {
        let (mut world, all) = (self.world(), ["web", "base"]);
        if !up {
            world.change("-u", &all).expect(0);
        }
        let way = if up { "-u" } else { "-da" };
        let words = if up { world.change_words("-u", &all) } else { world.change_words::<&str>("-da", &[]) };
        let struck = fault::strike(&self.scratch, &Suite::skeg_fault(), "s6-rc", &words, n, Fault::Kill);
        if struck.code != 137 && struck.code != 0 {
            return Err(format!("the change ended with {struck:?}"));
        }
        world.judge_truth()?;
        let again = if up { world.change("-u", &all) } else { world.change::<&str>(way, &[]) };
        if again.code != 0 {
            return Err(format!("the next change: {again:?}"));
        }
        self.recover(&world)?;
        world.wanted =
            Some(if up { ["web", "base", "net", "slow"].map(str::to_owned).into() } else { Vec::new() });
        let new = world.judge(true)?;
        Ok(Point::of(struck.code == 0, new))
    }

    /// The machine is shut down after a kill at call n: nobody finishes the update, and all that runs is found and stopped.
    pub fn shutdown_trial(&self, n: u32) -> Result<Point, String> {
        let world = self.world();
        let struck = self.strike(&world, n, Fault::Kill);
        // A byte that the dead has sent and nobody has read yet would start its service behind the stop's back.
        world.settle()?;
        let words = ["-l", &world.text("live"), "--shutdown", "-bDa", "change"];
        let stopped = self.scratch.run(&Suite::skeg(), "s6-rc", &words);
        if stopped.code != 0 {
            return Err(format!("the stop: {stopped:?}"));
        }
        world.judge_stopped().map_err(|e| format!("{e}, after {stopped:?}"))?;
        Ok(Point::of(struck.code == 0, false))
    }

    /// From call n on the command has no room on any file system; with `stays` the recovery that comes next neither. Then
    /// there is room again: a recovery ends well, with everything up that was up, and the update again leads to the new state.
    pub fn full_trial(&self, n: u32, stays: bool) -> Result<Point, String> {
        let world = self.world();
        let struck = self.strike(&world, n, Fault::Full);
        if struck.hung() {
            return Err(format!("the update ended with {struck:?}"));
        }
        let mut said = format!("exit {}: {}", struck.code, struck.err);
        if stays {
            let (suite, words) = (Suite::skeg_fault(), world.recover_words());
            let full = fault::strike(&self.scratch, &suite, "recover", &words, 1, Fault::Full);
            if full.hung() {
                return Err(format!("a recovery without room ended with {full:?}, after {said}"));
            }
            said += &format!("recovery, exit {}: {}", full.code, full.err);
        }
        self.recover(&world).map_err(|e| format!("{e}, after {said}"))?;
        let new = world.judge(true).map_err(|e| format!("{e}, after {said}"))?;
        self.again(&world, new).map_err(|e| format!("{e}, after {said}"))?;
        Ok(Point::of(false, new))
    }

    /// The same with a first init: it leaves no live directory, and the next one is made good.
    pub fn full_init_trial(&self, n: u32) -> Result<Point, String> {
        let world = World::empty(&self.scenario, &self.scratch, self.name(), &self.scanner, |_| ());
        let words = world.init_words();
        let struck = fault::strike(&self.scratch, &Suite::skeg_fault(), "s6-rc-init", &words, n, Fault::Full);
        if struck.code != 0 && (!struck.err.contains("no space left") || world.at("live").exists()) {
            return Err(format!("the init ended with {struck:?}"));
        }
        let again = world.init(&Suite::skeg());
        if again.code != 0 {
            return Err(format!("the next init: {again:?}, after {struck:?}"));
        }
        world.judge(true).map_err(|e| format!("{e}, after {struck:?}"))?;
        let up = world.change("-u", &["web", "base"]);
        if up.code != 0 {
            return Err(format!("a start after it: {up:?}"));
        }
        world.judge_truth()?;
        Ok(Point::of(struck.code == 0, false))
    }

    /// Every call of the update.
    pub fn enumerate(&self, fault: Fault) {
        let total = self.count();
        // A part of the calls, for whoever looks into one: SKEG_CALLS=100-120.
        let part = std::env::var("SKEG_CALLS").ok();
        let part = part
            .as_deref()
            .and_then(|p| p.split_once('-'))
            .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        // The number of calls varies a little with what has happened when the command looks.
        let (first, last) = part.unwrap_or((1, total + 20));
        let what = format!("{fault:?} at each of {total} calls");
        strike_all(self.scenario.name, &what, first, last, |n| self.trial(n, fault));
    }
}

/// Whether an update says that something of the next generation could not be written.
fn was_building(said: &str) -> bool {
    let what = ["a service directory in", "the generation of", ":sv/names", "/image", "a note in"];
    let writes = ["can't make ", "can't write "].iter().any(|verb| said.contains(verb));
    writes && said.contains("the old image stays in force") && what.iter().any(|what| said.contains(what))
}

/// What trials have shown.
pub struct Shown {
    pub old: usize,
    pub new: usize,
    pub faults: Vec<String>,
}

/// Tries each call from `first` to `last`, or until ten lie beyond the command's end; tells the counts.
pub fn strike_all(
    name: &str,
    what: &str,
    first: u32,
    last: u32,
    trial: impl Fn(u32) -> Result<Point, String> + Sync,
) -> usize {
    let Shown { old, new, faults } = try_all(name, what, first, last, usize::MAX, trial);
    assert!(faults.is_empty(), "{name}: {what}: {} wrong:\n{}", faults.len(), faults.join("\n"));
    old + new
}

/// The same, up to this many faults.
pub fn try_all(
    name: &str,
    what: &str,
    first: u32,
    last: u32,
    enough: usize,
    trial: impl Fn(u32) -> Result<Point, String> + Sync,
) -> Shown {
    let (next, old, new) = (AtomicU32::new(first), AtomicUsize::new(0), AtomicUsize::new(0));
    let beyond = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Relaxed);
                    if n > last || beyond.load(Relaxed) >= 10 || faults.lock().unwrap().len() >= enough {
                        return;
                    }
                    match trial(n) {
                        Ok(Point::Old) => _ = old.fetch_add(1, Relaxed),
                        Ok(Point::New) => _ = new.fetch_add(1, Relaxed),
                        Ok(Point::Beyond) => _ = beyond.fetch_add(1, Relaxed),
                        Err(e) => faults.lock().unwrap().push((n, e)),
                    }
                }
            });
        }
    });
    let mut faults = faults.into_inner().unwrap();
    faults.sort();
    let (old, new) = (old.into_inner(), new.into_inner());
    let took = began.elapsed().as_secs_f32();
    eprintln!("{name}: {what}: {old} old, {new} new, {} wrong, {took:.1} s", faults.len());
    let faults = faults.iter().map(|(n, e)| format!("call {n}: {e}")).collect();
    Shown { old, new, faults }
}
