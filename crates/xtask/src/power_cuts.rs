// SPDX-License-Identifier: ISC
//! `cargo xtask power-cuts`: what an install leaves on a real file system when the power goes, at any moment.
//!
//! A guest installs images on ext4 (`noauto_da_alloc`, which takes away what ext4 does for programs without `fsync`) while QEMU
//! records each write and flush of the partition. Of that record every power cut is made ([`log`]), a second guest mounts each
//! partition that is left, as a boot does, and checks the images; some are booted. In a second part QEMU is killed while
//! a machine boots and installs, again and again.

mod log;
mod states;

use crate::arch::{self, Arch};
use crate::boot_test;
use crate::command::{Outcome, target};
use crate::demo::{BOOT_LIMIT, LIMIT, UP};
use crate::qemu::{self, Drive, Guest, Images, Root, Run, Way};
use log::{Entry, Random};
use states::{Judged, State};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const HELP: &str = "\
cargo xtask power-cuts [--all] [--kills N] [--seed N] [--built]
Records the block writes of `skeg install` in a guest (x86_64) and looks at what each power cut leaves: the old or the new
image, whole, and the new one once the command has ended; without an `fsync` it must find what that is for. Then kills QEMU at
random moments of boots and installs.

  --all      leave out each fsync in turn, with every subset of unflushed writes (default: those that ext4 needs, prefixes only)
  --kills N  boots that are cut (default 20)
  --seed N   for the same moments as another run
  --built    take target/dist/x86_64/skeg and skeg-fault as they are
";

/// How many partitions of each whole scenario really boot.
const BOOTS: usize = 2;

/// `cargo xtask power-cuts`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let (mut all, mut kills, mut seed, mut built) = (false, 20, None, false);
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        let number = |args: &mut lexopt::Parser| -> Outcome<u64> {
            args.value().and_then(|v| v.parse()).map_err(|e| format!("power-cuts: {e}"))
        };
        match arg {
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Long("all") => all = true,
            Long("kills") => kills = number(&mut args)?,
            Long("seed") => seed = Some(number(&mut args)?),
            Long("built") => built = true,
            other => return Err(format!("power-cuts: {} (see --help)", other.unexpected())),
        }
    }
    let arch = arch::named("x86_64")?.first().ok_or("no x86_64")?;
    if !built {
        crate::dist::build(arch, false, None)?;
        crate::dist::build(arch, true, None)?;
    }
    let seed = seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_nanos() as u64)
    });
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let images = qemu::build_root(arch, Root::Small)?;
    let bench = Bench { arch, images, folder: target().join("qemu").join(arch.name) };
    bench.installs(all, &mut random)?;
    bench.kills(kills, &mut random)
}

/// An install that is recorded: on trial or not, and which `fsync` it leaves out.
struct Scenario {
    trial: bool,
    without: u32,
    /// Whether ext4 itself needs that `fsync`: of the others the model in `tests/install_power.rs` shows the use.
    needed: bool,
}

/// `fsync`s of an install, and of one on trial: image, its directory, (mark,) what is aside, `previous`, `current`.
const SYNCS: [u32; 2] = [5, 6];

fn scenarios(all: bool) -> Vec<Scenario> {
    let mut list = Vec::new();
    for (trial, syncs) in [false, true].into_iter().zip(SYNCS) {
        list.push(Scenario { trial, without: 0, needed: false });
        for without in 1..=syncs {
            // ext4 keeps names in order, in its journal; bytes, and the last name, are what it must be told to keep.
            let needed = without == 1 || without == syncs || (trial && without == 3);
            if needed || all {
                list.push(Scenario { trial, without, needed });
            }
        }
    }
    list
}

impl Scenario {
    fn name(&self) -> String {
        let trial = if self.trial { "install on trial" } else { "install" };
        match self.without {
            0 => trial.to_owned(),
            n => format!("{trial} without fsync {n}"),
        }
    }

    fn command(&self) -> String {
        let trial = if self.trial { "--trial 600 " } else { "" };
        format!("SKEG_FAULT=install:{}:nosync skeg-fault install {trial}/data/three.image", self.without)
    }
}

pub use states::SCRIPT;

/// A record: which entries belong to the command.
struct Recorded {
    scenario: Scenario,
    from: usize,
    to: usize,
}

/// What everything here needs.
struct Bench {
    arch: &'static Arch,
    images: Images,
    folder: PathBuf,
}

impl Bench {
    fn image(&self, label: &str) -> Outcome<Vec<u8>> {
        let file = qemu::define(&self.folder, label, Way::Good)?;
        std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))
    }

    /// A data partition with three images in it, none of them installed.
    fn partition(&self, name: &str) -> Outcome<PathBuf> {
        let (one, two, three) = (self.image("one")?, self.image("two")?, self.image("three")?);
        let data = self.folder.join(name);
        let churn =
            b"#!/bin/sh\nwhile :; do for i in one two three; do skeg install /data/$i.image; done; done\n";
        let files: [(&str, &[u8]); 4] =
            [("one.image", &one), ("two.image", &two), ("three.image", &three), ("churn", churn)];
        qemu::ext4(&data, &files)?;
        Ok(data)
    }

    fn run(&self, drive: Drive, append: &str) -> Run {
        Run {
            // The journal is written when it is told to be, not after some seconds: a slow guest leaves the same.
            append: format!("skeg.data=/dev/vdb,ext4,noauto_da_alloc,commit=600 {append}"),
            drives: vec![drive],
            ..Run::default()
        }
    }

    fn boot(&self, how: &Run) -> Outcome<Guest> {
        qemu::start(self.arch, &self.images, how)
    }

    /// All installs, recorded, cut, checked, some booted.
    fn installs(&self, all: bool, random: &mut Random) -> Outcome {
        let start = Instant::now();
        let data = self.partition("power.data")?;
        let base = std::fs::read(&data).map_err(|e| format!("{}: {e}", data.display()))?;
        let (names, recorded, entries) = self.record(&data, scenarios(all))?;
        println!(
            "recorded {} installs, {} writes and flushes ({:.0} s)",
            recorded.len(),
            entries.len(),
            start.elapsed().as_secs_f32()
        );
        let states = states::of(&entries, &recorded, all, random);
        let file = self.folder.join("power.states");
        states::write(&file, &base, &entries, &states)?;
        let judged = self.check(&file, base.len(), &states, &names)?;
        self.verdict(&recorded, &judged)?;
        self.boot_some(&file, base.len(), &recorded, &judged)?;
        let _ = std::fs::remove_file(&file);
        println!("installs: {} power cuts looked at ({:.0} s)", states.len(), start.elapsed().as_secs_f32());
        Ok(())
    }

    /// One guest makes all of them: the names of the images, which entries belong to which, all entries.
    fn record(
        &self,
        data: &Path,
        scenarios: Vec<Scenario>,
    ) -> Outcome<([String; 3], Vec<Recorded>, Vec<Entry>)> {
        let log = self.folder.join("power.log");
        std::fs::write(&log, b"").map_err(|e| format!("{}: {e}", log.display()))?;
        let drive = Drive { log: Some(log.clone()), ..Drive::writable(data.to_path_buf()) };
        let mut guest = boot_test::small(self.arch, &self.images, &self.run(drive, ""))?;
        let mut names = [const { String::new() }; 3];
        for (name, label) in names.iter_mut().zip(["one", "two", "three"]) {
            guest.must(&format!("skeg install /data/{label}.image"), LIMIT)?;
            let said = guest.must("readlink /data/current", LIMIT)?;
            let found = said.iter().find(|line| line.starts_with("images/") && line.ends_with(".img"));
            name.clone_from(found.ok_or_else(|| guest.complaint("no link"))?);
        }
        let mut recorded = Vec::new();
        for scenario in scenarios {
            guest
                .must("cd /data && rm -rf current previous trial images && skeg install one.image", LIMIT)?;
            guest.must("skeg install two.image && cd / && sync", LIMIT)?;
            let from = log::read(&log)?.len();
            guest.must(&scenario.command(), LIMIT)?;
            let to = log::read(&log)?.len();
            recorded.push(Recorded { scenario, from, to });
        }
        let entries = log::read(&log)?;
        guest.cut();
        let _ = std::fs::remove_file(&log);
        Ok((names, recorded, entries))
    }

    /// A guest mounts each state and says what it finds.
    fn check(&self, file: &Path, size: usize, states: &[State], names: &[String; 3]) -> Outcome<Vec<Judged>> {
        let how = Run { drives: vec![Drive::writable(file.to_path_buf())], ..Run::default() };
        let mut guest = boot_test::small(self.arch, &self.images, &how)?;
        let limit = Duration::from_secs(60 + 2 * states.len() as u64);
        let lines = guest.must(&format!("check-states /dev/vdb {size} {}", states.len()), limit)?;
        guest.cut();
        let judged: Vec<_> =
            states.iter().enumerate().map(|(n, state)| states::judge(n, state, &lines, names)).collect();
        Ok(judged)
    }

    /// Whole installs must be faultless, those without a needed `fsync` must not.
    fn verdict(&self, recorded: &[Recorded], judged: &[Judged]) -> Outcome {
        let mut wrong = 0;
        for (number, one) in recorded.iter().enumerate() {
            let of: Vec<_> = judged.iter().filter(|judged| judged.recorded == number).collect();
            let faults: Vec<_> = of.iter().filter_map(|judged| judged.fault.as_ref()).collect();
            let new = of.iter().filter(|judged| judged.label == Some("three")).count();
            let first = faults.first().map_or("", |fault| fault.as_str());
            println!(
                "{}: {} cuts, {new} show the new image, {} at fault {first}",
                one.scenario.name(),
                of.len(),
                faults.len()
            );
            let (whole, needed) = (one.scenario.without == 0, one.scenario.needed);
            if whole && !faults.is_empty() || needed && faults.is_empty() || new == 0 && whole {
                wrong += 1;
            }
        }
        if wrong == 0 { Ok(()) } else { Err(format!("{wrong} installs are not as they should be")) }
    }

    /// Some states of the whole installs, as the data partition of a machine.
    fn boot_some(&self, file: &Path, size: usize, recorded: &[Recorded], judged: &[Judged]) -> Outcome {
        for (number, _) in recorded.iter().enumerate().filter(|(_, one)| one.scenario.without == 0) {
            let of: Vec<_> =
                judged.iter().enumerate().filter(|(_, judged)| judged.recorded == number).collect();
            for part in 0..BOOTS {
                let Some((slot, judged)) = of.get((of.len() - 1) * (part + 1) / BOOTS) else { continue };
                let data = self.folder.join("power.boot");
                states::extract(file, *slot, size, &data)?;
                let mut guest =
                    boot_test::small(self.arch, &self.images, &self.run(Drive::writable(data), ""))?;
                let label = judged.label.unwrap_or_default();
                boot_test::has_said(
                    &guest,
                    &["(image /data/current)", &format!("image {label} is starting")],
                )?;
                if guest.has_said("passing over") {
                    return Err(guest.complaint("an image was passed over"));
                }
                guest.must("test -e /data/current", LIMIT)?;
                println!("cut {slot} boots: image {label}");
                guest.cut();
            }
        }
        Ok(())
    }

    /// QEMU is killed while a machine boots, or installs one image after the other; at last it must come up.
    fn kills(&self, kills: u64, random: &mut Random) -> Outcome {
        if kills == 0 {
            return Ok(());
        }
        let start = Instant::now();
        let data = self.partition("kills.data")?;
        let run = || self.run(Drive::writable(data.clone()), "skeg.hook=/data/churn");
        let boot = Instant::now();
        let mut guest = self.boot(&run())?;
        guest.wait_for(UP, BOOT_LIMIT, |_| ())?;
        let quick = boot.elapsed();
        let mut up = 0;
        for number in 1..=kills {
            // Half of the moments before it is up, half while it installs.
            let end =
                Instant::now() + Duration::from_millis(random.next() % (2 * quick.as_millis() as u64).max(1));
            guest = self.boot(&run())?;
            let left = || end.saturating_duration_since(Instant::now());
            if guest.wait_for(UP, left(), |_| ()).is_ok() {
                up += 1;
                // Nobody says this: the moment comes.
                let _ = guest.wait_for("passing over", left(), |_| ());
            }
            if guest.has_said("passing over") || guest.has_said("Kernel panic") {
                return Err(guest.complaint(&format!("boot {number}, after a cut at a random moment")));
            }
            guest.cut();
        }
        let guest = boot_test::small(self.arch, &self.images, &self.run(Drive::writable(data.clone()), ""))?;
        if guest.has_said("passing over") {
            return Err(guest.complaint("the boot after all cuts"));
        }
        println!(
            "{kills} boots were cut at random moments, {up} of them after they were up; then one came up ({:.0} s)",
            start.elapsed().as_secs_f32()
        );
        Ok(())
    }
}
