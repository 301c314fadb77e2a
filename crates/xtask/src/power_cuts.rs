// SPDX-License-Identifier: ISC
//! `cargo xtask power-cuts`: what an install leaves on a real file system when the power goes, at any moment.
//!
//! A guest installs images, goes back, tries one, on ext4 (`noauto_da_alloc`, which takes away what ext4 does for programs
//! without `fsync`), or on f2fs, while QEMU records each write and flush of the partition. Of that record every power cut is made
//! ([`log`]), a second guest mounts each partition that is left, as a boot does, and checks the images; some are booted. In
//! a second part ([`kills`]) QEMU is killed while a machine boots and installs, again and again.

mod kills;
mod log;
mod scenario;
mod states;

use crate::arch::{self, Arch};
use crate::boot_test;
use crate::command::{Outcome, target};
use crate::demo::{BOOT_LIMIT, LIMIT, UP};
use crate::dist::Variant;
use crate::qemu::{self, Drive, Guest, Images, Root, Run, Way};
use log::{Entry, Random};
use scenario::{Kind, Scenario, scenarios};
use states::{Judged, State};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const HELP: &str = "\
cargo xtask power-cuts [--all] [--f2fs] [--kills N] [--only-kills] [--seed N] [--built]
Records the block writes of `skeg install`, `--back`, `--keep` and of the boots of a trial in a guest and looks at what each
power cut leaves: the old or the new image, whole, and the new one once the command has ended; without an `fsync` it must find
what that is for. Then kills QEMU at random moments of boots and installs.

  --all      every subset of unflushed writes where an `fsync` is left out, and of the commands leave out those, too, that ext4
             does not need (default: those that it needs, prefixes only)
  --f2fs     the records on f2fs and nothing else, on armv7: the kernel for x86_64 has no f2fs
  --kills N  boots that are cut (default 20)
  --only-kills  no records
  --seed N   for the same moments as another run
  --built    take target/dist/ARCH/skeg and skeg-fault as they are
";

/// Writes a file system with these files in it.
type Make = fn(&Path, &[(&str, &[u8])]) -> Outcome;

/// A file system.
struct System {
    name: &'static str,
    /// Options of its mount.
    options: &'static str,
    make: Make,
    /// Bytes that it writes whole or not at all.
    unit: usize,
    /// The machine whose kernel has it.
    arch: &'static str,
}

static EXT4: System = System {
    name: "ext4",
    // The journal is written when it is told to be, not after some seconds: a slow guest leaves the same.
    options: "noauto_da_alloc,commit=600",
    make: qemu::ext4,
    unit: 1024,
    arch: "x86_64",
};

static F2FS: System =
    System { name: "f2fs", options: "fsync_mode=posix", make: qemu::f2fs, unit: 4096, arch: "armv7" };

/// What a link to each image says, and the image's label.
type Names = Vec<(String, &'static str)>;

/// How many partitions of each whole scenario really boot.
const BOOTS: usize = 2;

/// `cargo xtask power-cuts`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let (mut all, mut kills, mut seed, mut built) = (false, 20, None, false);
    let (mut system, mut only_kills) = (&EXT4, false);
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
            Long("f2fs") => system = &F2FS,
            Long("only-kills") => only_kills = true,
            Long("kills") => kills = number(&mut args)?,
            Long("seed") => seed = Some(number(&mut args)?),
            Long("built") => built = true,
            other => return Err(format!("power-cuts: {} (see --help)", other.unexpected())),
        }
    }
    let arch = arch::named(system.arch)?.first().ok_or("no such architecture")?;
    if !built {
        crate::dist::build(arch, Variant::DEVICE, None)?;
        crate::dist::build(arch, Variant::FAULT, None)?;
    }
    let seed = seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_nanos() as u64)
    });
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let folder = target().join("qemu/power-cuts");
    let images = qemu::build_root_in(&folder, arch, Root::Small)?;
    let bench = Bench { arch, system, images, folder };
    if only_kills {
        return bench.kills(kills, &mut random);
    }
    let (names, on_trial) = bench.commands(all, &mut random)?;
    bench.boots(names, on_trial, all, &mut random)?;
    if system.name == EXT4.name { bench.kills(kills, &mut random) } else { Ok(()) }
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
    system: &'static System,
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
        let files: [(&str, &[u8]); 3] = [("one.image", &one), ("two.image", &two), ("three.image", &three)];
        (self.system.make)(&data, &files)?;
        Ok(data)
    }

    fn run(&self, drive: Drive, append: &str) -> Run {
        Run {
            append: format!("skeg.data=/dev/vdb,{},{} {append}", self.system.name, self.system.options),
            drives: vec![drive],
            ..Run::default()
        }
    }

    fn boot(&self, how: &Run) -> Outcome<Guest> {
        qemu::start(self.arch, &self.images, how)
    }

    /// All commands, recorded, cut, checked, some booted. What the links say; and a partition with an image on trial.
    fn commands(&self, all: bool, random: &mut Random) -> Outcome<(Names, Vec<u8>)> {
        let start = Instant::now();
        let data = self.partition("power.data", Way::Good)?;
        let base = read(&data)?;
        let kinds = [Kind::Install, Kind::OnTrial, Kind::Return, Kind::Keep];
        let (names, recorded, entries) =
            self.record(&data, scenarios(&kinds, self.system.name == EXT4.name, all))?;
        let on_trial = read(&data)?;
        let cuts = self.look(&base, &recorded, &entries, &names, all, random)?;
        println!(
            "{}, commands: {cuts} power cuts looked at ({:.0} s)",
            self.system.name,
            start.elapsed().as_secs_f32()
        );
        Ok((names, on_trial))
    }

    /// The boot that tries an image which hangs, and the one after it; and the boot that ends a good trial.
    fn boots(&self, mut names: Names, on_trial: Vec<u8>, all: bool, random: &mut Random) -> Outcome {
        let start = Instant::now();
        let data = self.partition("trials.data", Way::Hangs)?;
        let mut guest =
            boot_test::small(self.arch, &self.images, &self.run(Drive::writable(data.clone()), ""))?;
        names.extend(install_all(&mut guest, "--trial 600 ")?);
        guest.type_line("poweroff")?;
        guest.wait_end(LIMIT, |_| ())?;
        let ext4 = self.system.name == EXT4.name;
        let (mut base, mut tried) = (read(&data)?, Vec::new());
        let (mut recorded, mut entries) = (Vec::new(), Vec::new());
        for (kind, end) in [
            (Kind::Try, "image three is starting"),
            (Kind::Back, UP),
            (Kind::Pass, "the installed image has passed its trial"),
        ] {
            match kind {
                Kind::Back => base = std::mem::take(&mut tried),
                Kind::Pass => base.clone_from(&on_trial),
                _ => {}
            }
            for scenario in scenarios(&[kind], ext4, false) {
                entries.extend(log::whole(&base));
                let from = entries.len();
                let append = scenario.append();
                entries.extend(self.record_boot(&data, &base, &append, end)?);
                if kind == Kind::Try && scenario.without == 0 {
                    tried = read(&data)?;
                }
                recorded.push(Recorded { scenario, from, to: entries.len() });
            }
        }
        let cuts = self.look(&base, &recorded, &entries, &names, all, random)?;
        println!(
            "{}, boots: {cuts} power cuts looked at ({:.0} s)",
            self.system.name,
            start.elapsed().as_secs_f32()
        );
        Ok(())
    }

    /// A boot from this partition until it says this: what it wrote.
    fn record_boot(&self, data: &Path, base: &[u8], append: &str, end: &str) -> Outcome<Vec<Entry>> {
        std::fs::write(data, base).map_err(|e| format!("{}: {e}", data.display()))?;
        let (log, drive) = self.logged(data)?;
        let mut guest = self.boot(&self.run(drive, append))?;
        guest.wait_for(end, BOOT_LIMIT, |_| ())?;
        let entries = log::read(&log)?;
        guest.cut();
        Ok(entries)
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
        names: &Names,
        all: bool,
        random: &mut Random,
    ) -> Outcome<usize> {
        let states = states::of(entries, recorded, all, random);
        let file = self.folder.join("power.states");
        states::write(&file, base, entries, &states, self.system.unit)?;
        let judged = self.check(&file, base.len(), &states, names)?;
        verdict(recorded, &judged)?;
        self.boot_some(&file, base.len(), recorded, &judged)?;
        let _ = std::fs::remove_file(&file);
        Ok(states.len())
    }

    /// One guest makes all of them: the names of the images, which entries belong to which, all entries. It leaves a partition with
    /// an image on trial.
    fn record(&self, data: &Path, scenarios: Vec<Scenario>) -> Outcome<(Names, Vec<Recorded>, Vec<Entry>)> {
        let (log, drive) = self.logged(data)?;
        let mut guest = boot_test::small(self.arch, &self.images, &self.run(drive, ""))?;
        let names = install_all(&mut guest, "")?;
        let mut recorded = Vec::new();
        for scenario in scenarios {
            prepare(&mut guest, scenario.kind.begins_on_trial())?;
            let from = log::read(&log)?.len();
            guest.must(&scenario.command(), LIMIT)?;
            let to = log::read(&log)?.len();
            recorded.push(Recorded { scenario, from, to });
        }
        prepare(&mut guest, true)?;
        let entries = log::read(&log)?;
        guest.type_line("poweroff")?;
        guest.wait_end(LIMIT, |_| ())?;
        let _ = std::fs::remove_file(&log);
        Ok((names, recorded, entries))
    }

    /// A guest mounts each state and says what it finds.
    fn check(&self, file: &Path, size: usize, states: &[State], names: &Names) -> Outcome<Vec<Judged>> {
        let how = Run { drives: vec![Drive::writable(file.to_path_buf())], ..Run::default() };
        let mut guest = boot_test::small(self.arch, &self.images, &how)?;
        let limit = Duration::from_secs(60 + 2 * states.len() as u64);
        let System { name, options, .. } = self.system;
        let command = format!("check-states /dev/vdb {size} {} {name} {options}", states.len());
        let lines = guest.must(&command, limit)?;
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
}

/// What is whole must be faultless, an install without a needed `fsync` must not be.
fn verdict(recorded: &[Recorded], judged: &[Judged]) -> Outcome {
    let mut wrong = 0;
    for (number, one) in recorded.iter().enumerate() {
        let of: Vec<_> = judged.iter().filter(|judged| judged.recorded == number).collect();
        let faults: Vec<_> = of.iter().filter_map(|judged| judged.fault.as_ref()).collect();
        let show = |label| of.iter().filter(|judged| judged.label == Some(label)).count();
        let (old, new) = (show("two"), show("three"));
        let first = faults.first().map_or("", |fault| fault.as_str());
        println!(
            "{}: {} cuts, {old} show image two, {new} image three, {} at fault {first}",
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
fn install_all(guest: &mut Guest, last: &str) -> Outcome<Names> {
    let mut names = Names::new();
    for (label, words) in ["one", "two", "three"].into_iter().zip(["", "", last]) {
        guest.must(&format!("skeg install {words}/data/{label}.image"), LIMIT)?;
        let said = guest.must("readlink /data/current", LIMIT)?;
        let found = said.iter().find(|line| line.starts_with("images/") && line.ends_with(".img"));
        names.push((found.ok_or_else(|| guest.complaint("no link"))?.clone(), label));
    }
    Ok(names)
}

/// Image two is current, one is previous; or three is on trial, two previous.
fn prepare(guest: &mut Guest, on_trial: bool) -> Outcome {
    guest.must("cd /data && rm -rf current previous trial images && skeg install one.image", LIMIT)?;
    let trial = if on_trial { "&& skeg install --trial 600 three.image " } else { "" };
    guest.must(&format!("skeg install two.image {trial}&& cd / && sync"), LIMIT).map(|_| ())
}
