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
    bench.trials(&mut random)?;
    bench.kills(kills, &mut random)
}

/// What is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An install.
    Install,
    /// An install on trial.
    OnTrial,
    /// A boot that tries an image, until its `default` has begun to start.
    Try,
    /// The boot after one that did not come up, until it is up.
    Back,
}

/// What is recorded, and which `fsync` it leaves out.
struct Scenario {
    kind: Kind,
    without: u32,
    /// Whether ext4 itself needs that `fsync`: of the others the model in `tests/install_power.rs` shows the use.
    needed: bool,
}

/// `fsync`s of an install, and of one on trial: image, its directory, (mark,) what is aside, `previous`, `current`.
const SYNCS: [u32; 2] = [5, 6];

fn scenarios(all: bool) -> Vec<Scenario> {
    let mut list = Vec::new();
    for (kind, syncs) in [Kind::Install, Kind::OnTrial].into_iter().zip(SYNCS) {
        list.push(Scenario { kind, without: 0, needed: false });
        for without in 1..=syncs {
            // ext4 keeps names in order, in its journal; bytes, and the last name, are what it must be told to keep.
            let needed = without == 1 || without == syncs || (kind == Kind::OnTrial && without == 3);
            if needed || all {
                list.push(Scenario { kind, without, needed });
            }
        }
    }
    list
}

impl Scenario {
    fn name(&self) -> String {
        let what = match self.kind {
            Kind::Install => "install",
            Kind::OnTrial => "install on trial",
            Kind::Try => "the boot that tries it",
            Kind::Back => "the boot that goes back",
        };
        match self.without {
            0 => what.to_owned(),
            n => format!("{what} without fsync {n}"),
        }
    }

    fn command(&self) -> String {
        let trial = if self.kind == Kind::OnTrial { "--trial 600 " } else { "" };
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
    fn image(&self, label: &str, way: Way) -> Outcome<Vec<u8>> {
        let file = qemu::define(&self.folder, label, way)?;
        std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))
    }

    /// A data partition with three images in it, none of them installed. `way`: that of the third.
    fn partition(&self, name: &str, way: Way) -> Outcome<PathBuf> {
        let (one, two) = (self.image("one", Way::Good)?, self.image("two", Way::Good)?);
        let three = self.image("three", way)?;
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
        let data = self.partition("power.data", Way::Good)?;
        let base = read(&data)?;
        let (names, recorded, entries) = self.record(&data, scenarios(all))?;
        let cuts = self.look(&base, &recorded, &entries, &names, all, random)?;
        println!("installs: {cuts} power cuts looked at ({:.0} s)", start.elapsed().as_secs_f32());
        Ok(())
    }

    /// The boot that tries an image which hangs, and the one after it.
    fn trials(&self, random: &mut Random) -> Outcome {
        let start = Instant::now();
        let data = self.partition("trials.data", Way::Hangs)?;
        let mut guest =
            boot_test::small(self.arch, &self.images, &self.run(Drive::writable(data.clone()), ""))?;
        let names = install_all(&mut guest, "--trial 600 ")?;
        guest.type_line("poweroff")?;
        guest.wait_end(LIMIT, |_| ())?;
        let mut cuts = 0;
        for (kind, end) in [(Kind::Try, "image three is starting"), (Kind::Back, UP)] {
            let base = read(&data)?;
            let (log, drive) = self.logged(&data)?;
            let mut guest = self.boot(&self.run(drive, ""))?;
            guest.wait_for(end, BOOT_LIMIT, |_| ())?;
            let entries = log::read(&log)?;
            guest.cut();
            let scenario = Scenario { kind, without: 0, needed: false };
            let recorded = [Recorded { scenario, from: 0, to: entries.len() }];
            cuts += self.look(&base, &recorded, &entries, &names, true, random)?;
        }
        println!("trials: {cuts} power cuts looked at ({:.0} s)", start.elapsed().as_secs_f32());
        Ok(())
    }

    /// A drive whose writes are recorded, and the record.
    fn logged(&self, data: &Path) -> Outcome<(PathBuf, Drive)> {
        let log = self.folder.join("power.log");
        std::fs::write(&log, b"").map_err(|e| format!("{}: {e}", log.display()))?;
        Ok((log.clone(), Drive { log: Some(log), ..Drive::writable(data.to_path_buf()) }))
    }

    /// Makes all power cuts of what was recorded, looks at each, boots some; how many there were.
    fn look(
        &self,
        base: &[u8],
        recorded: &[Recorded],
        entries: &[Entry],
        names: &[String; 3],
        all: bool,
        random: &mut Random,
    ) -> Outcome<usize> {
        let states = states::of(entries, recorded, all, random);
        let file = self.folder.join("power.states");
        states::write(&file, base, entries, &states)?;
        let judged = self.check(&file, base.len(), &states, names)?;
        verdict(recorded, &judged)?;
        self.boot_some(&file, base.len(), recorded, &judged)?;
        let _ = std::fs::remove_file(&file);
        Ok(states.len())
    }

    /// One guest makes all of them: the names of the images, which entries belong to which, all entries.
    fn record(
        &self,
        data: &Path,
        scenarios: Vec<Scenario>,
    ) -> Outcome<([String; 3], Vec<Recorded>, Vec<Entry>)> {
        let (log, drive) = self.logged(data)?;
        let mut guest = boot_test::small(self.arch, &self.images, &self.run(drive, ""))?;
        let names = install_all(&mut guest, "")?;
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

    /// Some states of the whole installs, as the data partition of a machine.
    fn boot_some(&self, file: &Path, size: usize, recorded: &[Recorded], judged: &[Judged]) -> Outcome {
        let boots = |one: &Recorded| {
            matches!(one.scenario.kind, Kind::Install | Kind::OnTrial) && one.scenario.without == 0
        };
        for (number, _) in recorded.iter().enumerate().filter(|(_, one)| boots(one)) {
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
        let data = self.partition("kills.data", Way::Good)?;
        let run = || self.run(Drive::writable(data.clone()), "skeg.hook=/data/churn");
        let boot = Instant::now();
        let mut guest = self.boot(&run())?;
        guest.wait_for(UP, BOOT_LIMIT, |_| ())?;
        let quick = boot.elapsed();
        guest.cut();
        let mut up = 0;
        for number in 1..=kills {
            // Half of the moments before it is up, half while it installs.
            let end =
                Instant::now() + Duration::from_millis(random.next() % (2 * quick.as_millis() as u64).max(1));
            let mut guest = self.boot(&run())?;
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

/// What is whole must be faultless, an install without a needed `fsync` must not be.
fn verdict(recorded: &[Recorded], judged: &[Judged]) -> Outcome {
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
    if wrong == 0 { Ok(()) } else { Err(format!("{wrong} of these are not as they should be")) }
}

/// The bytes of a file.
fn read(file: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))
}

/// Installs the three images, the last one with these words; what a link to each says.
fn install_all(guest: &mut Guest, last: &str) -> Outcome<[String; 3]> {
    let mut names = [const { String::new() }; 3];
    for ((name, label), words) in names.iter_mut().zip(["one", "two", "three"]).zip(["", "", last]) {
        guest.must(&format!("skeg install {words}/data/{label}.image"), LIMIT)?;
        let said = guest.must("readlink /data/current", LIMIT)?;
        let found = said.iter().find(|line| line.starts_with("images/") && line.ends_with(".img"));
        name.clone_from(found.ok_or_else(|| guest.complaint("no link"))?);
    }
    Ok(names)
}
