// SPDX-License-Identifier: ISC
//! Every pair of kills: the update at call i, the recovery that follows at call j, for all i and j; then a recovery that lives.
//!
//! Kills of the update that leave the same picture on disk (the names, links, states and journal, byte for byte, once all
//! is at rest) are one class: what comes after can't tell them apart. So all j are tried for one i of each class.

use crate::stage::{Point, Stage, WORKERS, strike_all};
use harness::fault::Fault;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

impl Stage {
    /// The classes of the update's calls: of each its first call.
    fn classes(&self) -> Vec<u32> {
        let found = Mutex::new(BTreeMap::<String, u32>::new());
        let calls = strike_all(self.scenario.name, "classes", 1, 2_000, |n| {
            let world = self.world();
            let struck = self.strike(&world, n, Fault::Kill);
            let picture = world.settle()?;
            let new = std::fs::read_link(world.at("live")).is_ok_and(|l| l.ends_with("live:2"));
            if struck.code == 137 {
                let mut found = found.lock().unwrap();
                let first = found.entry(picture).or_insert(n);
                *first = n.min(*first);
            }
            Ok(Point::of(struck.code != 137, new))
        });
        let mut classes: Vec<u32> = found.into_inner().unwrap().into_values().collect();
        classes.sort_unstable();
        eprintln!("{}: {calls} calls, {} classes", self.scenario.name, classes.len());
        classes
    }

    /// All pairs.
    pub fn pairs(&self) {
        let classes = self.classes();
        let (next, trials) = (AtomicUsize::new(0), AtomicU32::new(0));
        let faults = Mutex::new(Vec::new());
        let began = std::time::Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some(first) = classes.get(next.fetch_add(1, Relaxed)) {
                        // A recovery that was not killed has come to its end before call j; once is not always.
                        let (mut second, mut beyond) = (1, 0);
                        while beyond < 2 {
                            match self.double_trial(*first, second) {
                                Ok(Point::Beyond) => beyond += 1,
                                Ok(_) => _ = trials.fetch_add(1, Relaxed),
                                Err(e) => faults.lock().unwrap().push(format!("{first}, {second}: {e}")),
                            }
                            second += 1;
                        }
                    }
                });
            }
        });
        let (faults, trials) = (faults.into_inner().unwrap(), trials.into_inner());
        let (name, took) = (self.scenario.name, began.elapsed().as_secs_f32());
        eprintln!("{name}: {} classes, {trials} pairs, {} wrong, {took:.1} s", classes.len(), faults.len());
        assert!(faults.is_empty(), "{name}: {} wrong:\n{}", faults.len(), faults.join("\n"));
        assert!(trials > 1_000, "{name}: only {trials} pairs");
    }
}
