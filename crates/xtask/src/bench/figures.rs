// SPDX-License-Identifier: ISC
//! The figures: what is measured, in which unit, and what its floor is.

use super::World;
use super::floor::{self, Services};
use super::memory::{Group, anonymous};
use super::shape::{Shape, service};
use super::suite::{Suite, bare};
use super::tree::Tree;
use crate::command::Outcome;
use std::time::{Duration, Instant};

/// What a number means.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// 1024 bytes.
    KiB,
}

/// A row of the table.
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// What its floor is.
    pub about: &'static str,
    /// The unit of all its numbers.
    pub unit: Unit,
    /// Whether one measurement takes seconds.
    pub long: bool,
    /// One measurement.
    pub measure: fn(&World, &Suite) -> Outcome<f64>,
    /// One measurement of the floor, where there is one.
    pub floor: Option<fn(&World) -> Outcome<f64>>,
}

const fn time(
    name: &'static str,
    about: &'static str,
    measure: fn(&World, &Suite) -> Outcome<f64>,
    floor: fn(&World) -> Outcome<f64>,
) -> Figure {
    Figure { name, about, unit: Unit::Millis, long: false, measure, floor: Some(floor) }
}

const fn size(
    name: &'static str,
    about: &'static str,
    measure: fn(&World, &Suite) -> Outcome<f64>,
    floor: Option<fn(&World) -> Outcome<f64>>,
) -> Figure {
    Figure { name, about, unit: Unit::KiB, long: false, measure, floor }
}

/// Scripts that the floor runs at once.
const AT_ONCE: usize = 16;

/// All of them.
pub static FIGURES: &[Figure] = &[
    time(
        "compile 1000",
        "floor: open, read, close each file; write and sync",
        |w, s| compile(w, s, 1000),
        |w| floor::compile(w, Shape::Mixed(1000)).map(millis),
    ),
    time(
        "compile 5000",
        "the same",
        |w, s| compile(w, s, 5000),
        |w| floor::compile(w, Shape::Mixed(5000)).map(millis),
    ),
    time("query at 5000", "floor: a process that does nothing", query, |w| {
        floor::process(w, 100).map(millis)
    }),
    time(
        "oneshots 1000",
        "floor: spawn and wait, 16 at once",
        |w, s| up(w, s, Shape::Independent(1000)),
        |w| floor::starts(w, Shape::Independent(1000), AT_ONCE).map(millis),
    ),
    time(
        "chain 1000",
        "floor: spawn and wait, one by one",
        |w, s| up(w, s, Shape::Chain(1000)),
        |w| floor::starts(w, Shape::Chain(1000), 1).map(millis),
    ),
    Figure {
        name: "mix 5000",
        about: "floor: spawn all, wait for the scripts",
        unit: Unit::Millis,
        long: true,
        measure: |w, s| up(w, s, Shape::Mixed(5000)),
        floor: Some(|w| floor::starts(w, Shape::Mixed(5000), AT_ONCE).map(millis)),
    },
    time(
        "longruns 500",
        "floor: spawn them unsupervised",
        |w, s| up(w, s, Shape::Longruns(500)),
        |w| floor::starts(w, Shape::Longruns(500), 1).map(millis),
    ),
    time(
        "init 500",
        "floor: make the directories, files and links, lock and open what a supervisor holds",
        init,
        |w| floor::live(w, 500).map(millis),
    ),
    size("peak of oneshots 1000", "memory group, above what the tree used before", peak, None),
    size(
        "memory a service",
        "memory group, 500 against 100 services; their processes excluded",
        a_service,
        None,
    ),
    size(
        "anonymous a service",
        "scanner and supervisors, 500 against 100 services",
        anonymous_a_service,
        None,
    ),
    size("anonymous at 100", "scanner and supervisors together", anonymous_at_100, None),
    size("programs", "bytes of the stripped s6* programs", |_, s| s.bytes().map(|n| n as f64 / 1024.0), None),
];

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn compile(world: &World, suite: &Suite, services: usize) -> Outcome<f64> {
    let source = Shape::Mixed(services).source(world)?;
    let out = world.scratch.path().join("compiled");
    let mut command = suite.command("s6-rc-compile");
    command.arg(&out).arg(source);
    let start = Instant::now();
    bare(&mut command)?;
    let took = start.elapsed();
    let gone = if out.is_dir() { std::fs::remove_dir_all(&out) } else { std::fs::remove_file(&out) };
    gone.map_err(|e| format!("{}: {e}", out.display()))?;
    Ok(millis(took))
}

fn query(world: &World, suite: &Suite) -> Outcome<f64> {
    const TIMES: u32 = 50;
    let database = Shape::Mixed(5000).database(world, suite)?;
    let start = Instant::now();
    for _ in 0..TIMES {
        let mut command = suite.command("s6-rc-db");
        bare(command.arg("-c").arg(&database).args(["dependencies", &service(4999)]))?;
    }
    Ok(millis(start.elapsed() / TIMES))
}

fn up(world: &World, suite: &Suite, shape: Shape) -> Outcome<f64> {
    let tree = Tree::start(world, suite, None)?;
    tree.init(world, shape)?;
    let took = tree.up()?;
    tree.stop()?;
    Ok(millis(took))
}

fn init(world: &World, suite: &Suite) -> Outcome<f64> {
    // Compiling is not part of it.
    Shape::Longruns(500).database(world, suite)?;
    let tree = Tree::start(world, suite, None)?;
    let took = tree.init(world, Shape::Longruns(500))?;
    tree.stop()?;
    Ok(millis(took))
}

fn peak(world: &World, suite: &Suite) -> Outcome<f64> {
    let group = Group::new()?;
    let tree = Tree::start(world, suite, Some(&group))?;
    tree.init(world, Shape::Independent(1000))?;
    let before = group.settled()?;
    group.reset();
    tree.up()?;
    let peak = group.peak()?;
    tree.stop()?;
    Ok((peak - before).max(0.0))
}

/// KiB in use with so many services up, and `Anonymous` of those who oversee them.
fn with_services(world: &World, suite: &Suite, services: usize) -> Outcome<(f64, f64)> {
    let group = Group::new()?;
    let tree = Tree::start(world, suite, Some(&group))?;
    tree.init(world, Shape::Longruns(services))?;
    tree.up()?;
    let used = group.settled()?;
    let anonymous = anonymous(&tree.overseers())?;
    tree.stop()?;
    Ok((used, anonymous))
}

fn unsupervised(world: &World, services: usize) -> Outcome<f64> {
    let group = Group::new()?;
    let _services = Services::start(world, &group, services)?;
    group.settled()
}

fn a_service(world: &World, suite: &Suite) -> Outcome<f64> {
    let (few, many) = (with_services(world, suite, 100)?.0, with_services(world, suite, 500)?.0);
    let own = (unsupervised(world, 500)? - unsupervised(world, 100)?) / 400.0;
    Ok((many - few) / 400.0 - own)
}

fn anonymous_a_service(world: &World, suite: &Suite) -> Outcome<f64> {
    let (few, many) = (with_services(world, suite, 100)?.1, with_services(world, suite, 500)?.1);
    Ok((many - few) / 400.0)
}

fn anonymous_at_100(world: &World, suite: &Suite) -> Outcome<f64> {
    with_services(world, suite, 100).map(|(_, anonymous)| anonymous)
}
