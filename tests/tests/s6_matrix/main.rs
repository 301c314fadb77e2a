// SPDX-License-Identifier: ISC
//! Every letter of `s6-svc`, mode of `s6-svwait` and field of `s6-svstat`, by Debian's tools and by ours, on Debian's
//! tree and on ours: four combinations, one table.
//!
//! A row has its own service. It states what must happen, and what it notes (exit codes, output, status) must be the
//! same in every combination. What Debian's 2.11 lacks is played only without it, and says so: `Since::New`.
//! `SKEG_ROW` plays only the rows whose name contains it; `SKEG_PAIR` only the
//! combinations whose name does.

mod letters;
mod life;
mod modes;
mod scanner;
mod stage;
mod state;

use harness::cases::in_parallel;
use harness::{Scanner, Scratch, Suite, User};
use stage::{Row, Since, Stage};
use std::collections::BTreeMap;

/// What each row noted.
type Notes = BTreeMap<&'static str, Vec<String>>;

fn rows() -> Vec<Row> {
    let wanted = std::env::var("SKEG_ROW").unwrap_or_default();
    let all = [letters::ROWS, modes::ROWS, state::ROWS, life::ROWS].concat();
    all.into_iter().filter(|row| row.name.contains(&wanted)).collect()
}

/// One combination of tools and tree.
struct Pair {
    tools: Suite,
    tree: Suite,
    user: User,
}

impl Pair {
    fn name(&self) -> String {
        let of = |suite: &Suite| {
            suite.binary().file_name().map_or("?".into(), |n| n.to_string_lossy().into_owned())
        };
        let user = if self.user == User::Ordinary { " by an ordinary user" } else { "" };
        format!("tools of {}, tree of {}{user}", of(&self.tools), of(&self.tree))
    }

    fn old(&self) -> bool {
        let debian = |suite: &Suite| suite.binary() == "/usr/bin";
        debian(&self.tools) || debian(&self.tree)
    }
}

/// Plays all rows with one combination: what they noted, and what was wrong.
fn play(pair: &Pair) -> (Notes, Vec<String>) {
    let rows: Vec<Row> = rows().into_iter().filter(|r| r.since == Since::Always || !pair.old()).collect();
    let scratch = Scratch::of(pair.user);
    rows.iter().for_each(|row| row.lay_out(&scratch));
    let mut scanner = Scanner::start(&scratch, &pair.tree);
    let notes = std::sync::Mutex::new(Notes::new());
    let found = in_parallel(4, &rows, |row| {
        let stage = Stage::new(&scratch, &pair.tools, &pair.tree, &scanner, row.name);
        (row.act)(&stage);
        notes.lock().expect("no poison").insert(row.name, stage.notes());
        Vec::new()
    });
    let name = pair.name();
    let mut faults: Vec<String> = rows
        .iter()
        .zip(found)
        .flat_map(|(row, faults)| {
            faults.into_iter().map(|f| format!("{name}: {}: {f}", row.name)).collect::<Vec<_>>()
        })
        .collect();
    if !scanner.stop(rustix::process::Signal::TERM) {
        faults.push(format!("{name}: the scanner does not end on SIGTERM"));
    }
    (notes.into_inner().expect("no poison"), faults)
}

fn differences(one: &str, a: &Notes, other: &str, b: &Notes) -> Vec<String> {
    let mut faults = Vec::new();
    for (row, left) in a {
        let Some(right) = b.get(row) else { continue };
        if left.len() != right.len() {
            faults.push(format!("{row}: {} notes against {}", left.len(), right.len()));
        }
        for (x, y) in left.iter().zip(right).filter(|(x, y)| x != y) {
            faults.push(format!("{row}: {one}: {x}\n    {other}: {y}"));
        }
    }
    faults
}

#[test]
fn four_combinations_of_tools_and_trees_agree() {
    let skeg = Suite::skeg();
    let Some(debian) = Suite::debian() else { return println!("left out: no s6 here") };
    let suites = [debian, skeg.clone()];
    let mut pairs = Vec::new();
    for tree in &suites {
        for tools in &suites {
            pairs.push(Pair { tools: tools.clone(), tree: tree.clone(), user: User::Same });
        }
    }
    pairs.push(Pair { tools: skeg.clone(), tree: skeg, user: User::Ordinary });
    let only = std::env::var("SKEG_PAIR").unwrap_or_default();
    let mut faults = Vec::new();
    let mut played: Vec<(String, Notes)> = Vec::new();
    for pair in pairs.iter().filter(|p| p.name().contains(&only)) {
        let (notes, wrong) = play(pair);
        faults.extend(wrong);
        if let Some((name, earlier)) = played.first() {
            let new: Vec<_> = differences(name, earlier, &pair.name(), &notes)
                .into_iter()
                .filter(|f| !faults.contains(f))
                .collect();
            faults.extend(new);
        }
        played.push((pair.name(), notes));
    }
    faults.iter().for_each(|f| println!("{f}"));
    assert!(faults.is_empty(), "{} differences", faults.len());
}
