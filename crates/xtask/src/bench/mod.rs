// SPDX-License-Identifier: ISC
//! `cargo xtask bench`: the figures that the project promises, each beside its floor, and beside another suite's.
//!
//! A floor is the time of a loop in this program that makes only the system calls nobody can do without: opening the
//! same files, starting the same programs. All columns of a figure are measured in turn in the same run, and
//! what is printed is the median, so that a busy machine disturbs each alike.

mod boot;
mod figures;
mod floor;
mod memory;
mod shape;
mod suite;
mod tree;
mod updates;

use crate::command::{Outcome, dist};
use figures::{FIGURES, Figure, Unit};
use std::path::PathBuf;
use suite::Suite;

const HELP: &str = "\
cargo xtask bench [--against DIR] [--runs N] [FIGURE...]
Measures skeg, the floor of each figure, and the s6-rc-* and s6-* programs found in DIR, in the same run.

  --against DIR   another suite's programs
  --runs N        measure each so often and print the median   (default: 5; the long figures once)
  FIGURE          only figures whose name begins so

cargo xtask bench --boot [--runs N] [ARCH...]
Boots target/dist/ARCH/skeg in QEMU and measures the time from the kernel's hand-over until `default` is up.

The binary is target/dist/ARCH/skeg, or what the variable SKEG names. On a machine that has other work,
`chrt -r 10 cargo xtask bench …` measures ahead of it. Memory needs root and a memory control group.
";

/// What is measured where.
pub struct World {
    /// A directory in memory, where programs may run.
    scratch: tempfile::TempDir,
    ours: Suite,
    against: Option<Suite>,
    runs: usize,
}

/// `cargo xtask bench`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let (mut against, mut runs, mut names, mut boots) = (None, 5, Vec::new(), false);
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("against") => against = Some(PathBuf::from(args.value().map_err(|e| e.to_string())?)),
            Long("runs") => {
                let value = args.value().map_err(|e| e.to_string())?;
                runs = value.parse().map_err(|e: lexopt::Error| e.to_string())?;
            }
            Long("boot") => boots = true,
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Value(name) => names.push(name.to_string_lossy().into_owned()),
            other => return Err(format!("bench: {}", other.unexpected())),
        }
    }
    if boots {
        return boot::main(&names, runs.max(1));
    }
    let world = World::new(against, runs.max(1))?;
    let wanted =
        |figure: &&Figure| names.is_empty() || names.iter().any(|n| figure.name.starts_with(n.as_str()));
    world.head();
    let mut failures = Vec::new();
    for figure in FIGURES.iter().filter(wanted) {
        if let Err(e) = world.row(figure) {
            println!("{:34} failed: {e}", figure.name);
            failures.push(figure.name);
        }
    }
    if let Err(e) =
        updates::rows(&world, |name| names.is_empty() || names.iter().any(|n| name.starts_with(n.as_str())))
    {
        println!("{:34} failed: {e}", "update");
        failures.push("update");
    }
    if failures.is_empty() { Ok(()) } else { Err(format!("bench: no figure for {}", failures.join(", "))) }
}

impl World {
    fn new(against: Option<PathBuf>, runs: usize) -> Outcome<Self> {
        let arch = crate::arch::host().ok_or("no device binary for this machine exists")?;
        let built = dist().join(arch.name).join("skeg");
        let binary = std::env::var_os("SKEG").map_or(built, PathBuf::from);
        if !binary.exists() {
            return Err(format!("{}: build it first (cargo xtask dist {})", binary.display(), arch.name));
        }
        let scratch = scratch()?;
        suite::write_programs(scratch.path())?;
        let ours = Suite::multicall(&binary);
        let against = against.map(|folder| Suite::folder(&folder)).transpose()?;
        Ok(Self { scratch, ours, against, runs })
    }

    fn head(&self) {
        println!("runs: {} (medians); scratch: {}", self.runs, self.scratch.path().display());
        print!("{:34}{:>12}{:>12}{:>9}", "figure", "skeg", "floor", "x floor");
        if let Some(against) = &self.against {
            print!("{:>12}{:>9}", against.name, "x skeg");
        }
        println!();
    }

    /// Measures each column in turn, as often as asked, and prints the medians.
    fn row(&self, figure: &Figure) -> Outcome {
        let (mut ours, mut floors, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        let runs = if figure.long { self.runs.min(2) } else { self.runs };
        for _ in 0..runs {
            ours.push((figure.measure)(self, &self.ours)?);
            if let Some(floor) = figure.floor {
                floors.push(floor(self)?);
            }
            if let Some(against) = &self.against {
                theirs.push((figure.measure)(self, against)?);
            }
        }
        let (ours, floor, theirs) = (median(ours), median(floors), median(theirs));
        print!("{:34}{:>12}", figure.name, show(ours, figure.unit));
        print!("{:>12}{:>9}", show(floor, figure.unit), ratio(ours, floor));
        if self.against.is_some() {
            print!("{:>12}{:>9}", show(theirs, figure.unit), ratio(theirs, ours));
        }
        println!("   {}", figure.about);
        Ok(())
    }
}

/// A directory in memory where programs may be run: what /run is on a device.
fn scratch() -> Outcome<tempfile::TempDir> {
    let memory = std::path::Path::new("/dev/shm");
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let usable = mounts.lines().any(|line| {
        let words: Vec<_> = line.split(' ').collect();
        matches!(words[..], [_, "/dev/shm", "tmpfs", options, ..] if !options.split(',').any(|o| o == "noexec"))
    });
    let mut builder = tempfile::Builder::new();
    builder.prefix("skeg-bench-");
    let made = if usable { builder.tempdir_in(memory) } else { builder.tempdir() };
    made.map_err(|e| format!("a directory for the measurements: {e}"))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn show(value: Option<f64>, unit: Unit) -> String {
    match (value, unit) {
        (None, _) => "-".into(),
        (Some(value), Unit::Millis) => format!("{value:.2} ms"),
        (Some(value), Unit::KiB) if value >= 10_000.0 => format!("{:.1} MiB", value / 1024.0),
        (Some(value), Unit::KiB) => format!("{value:.1} KiB"),
    }
}

fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => format!("{:.2}", a / b),
        _ => "-".into(),
    }
}
