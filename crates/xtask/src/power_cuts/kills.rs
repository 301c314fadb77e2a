// SPDX-License-Identifier: ISC
//! QEMU is killed at random moments of boots and installs; each boot must come up with exactly the old or the new image.

use super::Bench;
use super::log::Random;
use crate::boot_test;
use crate::command::Outcome;
use crate::demo::{BOOT_LIMIT, LIMIT, UP};
use crate::qemu::{Drive, Guest, Way};
use std::time::{Duration, Instant};

/// The time in which a moment lies at which installs are cut.
const INSTALLS: Duration = Duration::from_millis(1_500);

const LABELS: [&str; 3] = ["one", "two", "three"];

/// What the next boot may find: the image whose install has ended, and the one whose install was cut.
struct Known {
    old: &'static str,
    new: Option<&'static str>,
}

/// How often which came up.
#[derive(Default)]
struct Counts {
    /// Boots that were cut after they were up.
    up: u32,
    /// Installs that ended.
    installed: u32,
    /// Boots after an install that was cut: with the image before it, and with its own.
    old: u32,
    new: u32,
    /// Boots where there was one image only that it could be.
    only: u32,
}

impl Known {
    /// A boot has come up: which image it must be, and which one it is.
    fn judge(&mut self, guest: &Guest, counts: &mut Counts) -> Outcome {
        let label = LABELS.into_iter().find(|label| guest.has_said(&format!("image {label} is starting")));
        let by_current = guest.has_said("(image /data/current)") && !guest.has_said("passing over");
        let label = label.filter(|label| by_current && (*label == self.old || Some(*label) == self.new));
        let Some(label) = label else {
            return Err(guest.complaint(&format!("not image {}, nor {:?}", self.old, self.new)));
        };
        *match self.new {
            None => &mut counts.only,
            Some(new) if new == label => &mut counts.new,
            Some(_) => &mut counts.old,
        } += 1;
        *self = Self { old: label, new: None };
        Ok(())
    }

    /// Installs one image after the other until the moment has come.
    fn install(&mut self, guest: &mut Guest, moment: Duration, counts: &mut Counts) -> Outcome {
        if !boot_test::greets(guest, LIMIT) {
            return Err(guest.complaint("no shell came"));
        }
        let end = Instant::now() + moment;
        let left = || end.saturating_duration_since(Instant::now());
        loop {
            let next = LABELS.iter().cycle().skip_while(|l| **l != self.old).nth(1).copied();
            self.new = next;
            match guest.command(&format!("skeg install /data/{}.image", next.unwrap_or_default()), left()) {
                Err(_) => return Ok(()),
                Ok((0, _)) => *self = Self { old: next.unwrap_or_default(), new: None },
                Ok((code, _)) => return Err(guest.complaint(&format!("an install ended with {code}"))),
            }
            counts.installed += 1;
        }
    }
}

impl Bench {
    /// `kills` boots are cut; one more comes up.
    pub fn kills(&self, kills: u64, random: &mut Random) -> Outcome {
        if kills == 0 {
            return Ok(());
        }
        let start = Instant::now();
        let data = self.partition("kills.data", Way::Good)?;
        let run = || self.run(Drive::writable(data.clone()), "");
        let boot = Instant::now();
        let mut guest = boot_test::small(self.arch, &self.images, &run())?;
        let quick = boot.elapsed();
        guest.must("skeg install /data/one.image", LIMIT)?;
        guest.cut();
        let (mut known, mut counts) = (Known { old: "one", new: None }, Counts::default());
        for number in 1..=kills {
            let mut guest = self.boot(&run())?;
            // Half of the moments while it boots, half while it installs.
            let boots = number % 2 == 1;
            let range = if boots { quick } else { INSTALLS }.as_millis() as u64;
            let moment = Duration::from_millis(random.next() % range.max(1));
            if guest.wait_for(UP, if boots { moment } else { BOOT_LIMIT }, |_| ()).is_ok() {
                counts.up += 1;
                known.judge(&guest, &mut counts)?;
                known.install(&mut guest, moment, &mut counts)?;
            } else if !boots {
                return Err(guest.complaint(&format!("boot {number}, after a cut at a random moment")));
            }
            if guest.has_said("passing over") || guest.has_said("Kernel panic") {
                return Err(guest.complaint(&format!("boot {number}, after a cut at a random moment")));
            }
            guest.cut();
        }
        let mut guest = self.boot(&run())?;
        guest.wait_for(UP, BOOT_LIMIT, |_| ())?;
        known.judge(&guest, &mut counts)?;
        guest.cut();
        let Counts { up, installed, old, new, only } = counts;
        println!(
            "{kills} boots were cut at random moments, {up} of them after they were up; {installed} installs ended. After an install \
             that was cut {old} boots took the old image, {new} the new one; {only} the only one that it could be; 0 another ({:.0} s)",
            start.elapsed().as_secs_f32()
        );
        Ok(())
    }
}
