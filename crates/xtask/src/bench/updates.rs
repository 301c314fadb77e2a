// SPDX-License-Identifier: ISC
//! Updates of a tree whose services are all up: to an image with nothing changed, one script changed, ten services added. How
//! long each takes, and how many services it gives another process.

use super::shape::{Shape, service};
use super::suite::{self, Suite, bare, must};
use super::tree::Tree;
use super::{World, median, ratio, show};
use crate::bench::figures::Unit;
use crate::command::Outcome;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// How many services the trees have.
const SIZES: [usize; 3] = [50, 100, 1000];

/// What the other image has otherwise.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    Script,
    TenAdded,
}

const CHANGES: [(Change, &str); 3] =
    [(Change::Nothing, "nothing"), (Change::Script, "one script"), (Change::TenAdded, "ten added")];

/// The times of a change in milliseconds, and the most services that it restarted.
#[derive(Default)]
struct Measured {
    times: Vec<f64>,
    restarted: usize,
}

/// Prints the rows whose name is wanted.
pub fn rows(world: &World, wanted: impl Fn(&str) -> bool) -> Outcome {
    for size in SIZES {
        if !wanted(&format!("update {size}")) && !wanted("update") {
            continue;
        }
        let ours = measure(world, &world.ours, "apply", size)?;
        let theirs = match &world.against {
            Some(suite) => Some(measure(world, suite, "s6-rc-update", size)?),
            None => None,
        };
        for (at, (_, what)) in CHANGES.iter().enumerate() {
            let time = median(ours[at].times.clone());
            print!(
                "{:34}{:>12}{:>12}{:>9}",
                format!("update {size}, {what}"),
                show(time, Unit::Millis),
                "-",
                "-"
            );
            if let Some(theirs) = &theirs {
                let other = median(theirs[at].times.clone());
                print!("{:>12}{:>9}", show(other, Unit::Millis), ratio(other, time));
            }
            print!("   restarted: {}", ours[at].restarted);
            if let Some(theirs) = &theirs {
                print!(" (other: {})", theirs[at].restarted);
            }
            println!();
        }
    }
    Ok(())
}

/// Every change in turn on one tree, as often as asked; after each the way back, which is not measured.
fn measure(world: &World, suite: &Suite, program: &str, size: usize) -> Outcome<[Measured; 3]> {
    let shape = Shape::Mixed(size);
    let tree = Tree::start(world, suite, None)?;
    tree.init(world, shape)?;
    tree.up()?;
    let first = shape.database(world, suite)?;
    let mut measured = [Measured::default(), Measured::default(), Measured::default()];
    for _ in 0..world.runs {
        for (at, (change, tag)) in CHANGES.iter().enumerate() {
            let image = changed(world, suite, size, *change, tag)?;
            let before = processes(&tree.live())?;
            let mut command = tree.command(program);
            command.arg(&image);
            let start = Instant::now();
            bare(&mut command)?;
            measured[at].times.push(start.elapsed().as_secs_f64() * 1000.0);
            let after = processes(&tree.live())?;
            let restarted = before.iter().filter(|(name, pid)| after.get(*name) != Some(pid)).count();
            measured[at].restarted = measured[at].restarted.max(restarted);
            bare(tree.command(program).arg(&first))?;
        }
    }
    tree.stop()?;
    Ok(measured)
}

/// The process of each longrun, from the status files.
fn processes(live: &Path) -> Outcome<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    let names = std::fs::read_dir(live.join("servicedirs")).map_err(|e| e.to_string())?;
    for name in names.flatten() {
        let status = std::fs::read(name.path().join("supervise/status")).unwrap_or_default();
        let pid = status.get(24..32).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes);
        found.insert(name.file_name().to_string_lossy().into_owned(), pid);
    }
    Ok(found)
}

/// The image with this change, made where it is not there yet.
fn changed(world: &World, suite: &Suite, size: usize, change: Change, tag: &str) -> Outcome<PathBuf> {
    let scratch = world.scratch.path();
    let tag = format!("update-{size}-{}", tag.replace(' ', "-"));
    let (source, image) = (scratch.join(&tag), scratch.join(format!("{tag}-{}", suite.tag)));
    if !source.exists() {
        must(Command::new("cp").arg("-a").arg(Shape::Mixed(size).source(world)?).arg(&source))?;
        make(&source, size, change).map_err(|e| format!("{}: {e}", source.display()))?;
    }
    if !image.exists() {
        must(suite.command("s6-rc-compile").arg(&image).arg(&source))?;
    }
    Ok(image)
}

fn make(source: &Path, size: usize, change: Change) -> std::io::Result<()> {
    match change {
        Change::Nothing => Ok(()),
        Change::Script => {
            // The last one is a longrun, and nothing depends on it. What follows the program's end is not run.
            let path = source.join(service(size - 1)).join("run");
            let mut run = std::fs::read(&path)?;
            run.push(b'\n');
            std::fs::write(path, run)
        }
        Change::TenAdded => (0..10).try_for_each(|n| {
            let path = source.join(format!("added{n}"));
            std::fs::create_dir(&path)?;
            std::fs::write(path.join("type"), "longrun\n")?;
            std::fs::write(path.join("run"), suite::waits())
        }),
    }
}
