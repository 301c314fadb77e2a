// SPDX-License-Identifier: ISC
//! The partitions that power cuts leave, and what must be on each of them.

use super::log::{self, Entry, Random, apply, cuts, half, writes};
use super::scenario::Kind;
use super::{Names, Recorded};
use crate::command::Outcome;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A partition as a power cut left it.
pub struct State {
    /// Which install it is from.
    recorded: usize,
    /// All entries before this one are on it.
    from: usize,
    /// And these.
    some: Vec<usize>,
    /// And the first half of this one.
    torn: Option<usize>,
    /// The command had ended.
    done: bool,
    /// Of what.
    kind: Kind,
}

/// All states of all installs. Of one that leaves an `fsync` out, prefixes do, where not `all` is asked for.
pub fn of(entries: &[Entry], recorded: &[Recorded], all: bool, random: &mut Random) -> Vec<State> {
    let mut states = Vec::new();
    for (number, one) in recorded.iter().enumerate() {
        let stretch = entries.get(one.from..one.to).unwrap_or_default();
        let prefixes = one.scenario.without != 0 && !all;
        states.extend(cuts(stretch, prefixes, random).into_iter().map(|cut| State {
            recorded: number,
            from: one.from + cut.from,
            some: cut.some.into_iter().map(|n| one.from + n).collect(),
            torn: cut.torn.map(|n| one.from + n),
            done: cut.done,
            kind: one.scenario.kind,
        }));
    }
    states
}

/// Writes all states into a file, one behind the other. `unit`: bytes that the file system writes whole.
pub fn write(out: &Path, base: &[u8], entries: &[Entry], states: &[State], unit: usize) -> Outcome {
    const BLOCK: usize = 4096;
    let failed = |e: std::io::Error| format!("{}: {e}", out.display());
    let file = File::create(out).map_err(failed)?;
    file.set_len((states.len() * base.len()) as u64).map_err(failed)?;
    let (mut disk, mut applied) = (vec![0; base.len()], 0);
    // Blocks that may hold something: what is not written into the file is zero, and takes no place.
    let mut used = BTreeSet::new();
    let all = log::whole(base);
    for write in writes(&all) {
        used.extend(write.blocks(BLOCK));
        apply(&mut disk, [write])?;
    }
    for (slot, state) in states.iter().enumerate() {
        // In the order of the record, so that each entry is applied once.
        for write in writes(entries.get(applied..state.from).unwrap_or_default()) {
            used.extend(write.blocks(BLOCK));
            apply(&mut disk, [write])?;
        }
        applied = state.from;
        let get = |n: &usize| entries.get(*n..*n + 1).unwrap_or_default();
        let torn: Vec<_> =
            state.torn.iter().flat_map(|n| writes(get(n))).map(|write| half(write, unit)).collect();
        let mut undo = Vec::new();
        for write in state.some.iter().flat_map(|n| writes(get(n))).chain(&torn) {
            used.extend(write.blocks(BLOCK));
            undo.push(write.undo(&disk));
            apply(&mut disk, [write])?;
        }
        for number in &used {
            let block = disk.get(number * BLOCK..(number + 1) * BLOCK).unwrap_or_default();
            file.write_all_at(block, (slot * base.len() + number * BLOCK) as u64).map_err(failed)?;
        }
        apply(&mut disk, undo.iter().rev())?;
    }
    Ok(())
}

/// One state as a file of its own.
pub fn extract(file: &Path, slot: usize, size: usize, out: &Path) -> Outcome {
    let mut bytes = vec![0; size];
    File::open(file)
        .and_then(|file| file.read_exact_at(&mut bytes, (slot * size) as u64))
        .and_then(|()| std::fs::write(out, &bytes))
        .map_err(|e| format!("{}: {e}", out.display()))
}

/// The script of the guest that looks at states: for each a line with `current`, whether it is whole, the same of `previous`,
/// and the mark of a trial.
pub const SCRIPT: &[u8] = br#"#!/bin/sh
# check-states DEVICE BYTES COUNT TYPE OPTIONS
mkdir -p /tmp/m
look() {
    link=$(readlink /tmp/m/$1) || { echo "- 0"; return; }
    skeg s6-rc-db -c /tmp/m/$1 check > /dev/null 2>&1
    echo "$link $?"
}
i=0
while [ $i -lt $3 ]; do
    if losetup -o $((i * $2)) /dev/loop0 $1 && mount -t $4 -o $5 /dev/loop0 /tmp/m; then
        mark=none
        [ -e /tmp/m/trial ] && mark="is '$(cat /tmp/m/trial)'"
        echo "state $i $(look current) $(look previous) $mark"
        umount /tmp/m
    else
        echo "state $i can't be mounted"
    fi
    losetup -d /dev/loop0
    i=$((i + 1))
done
! dmesg | grep "EXT4-fs error"
"#;

/// What was found on a state.
pub struct Judged {
    /// Which install it is from.
    pub recorded: usize,
    /// The image that a boot takes.
    pub label: Option<&'static str>,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// Judges a state by what the guest said of it. `names`: what a link to each image says.
pub fn judge(number: usize, state: &State, lines: &[String], names: &Names) -> Judged {
    let begin = format!("state {number} ");
    let line = lines.iter().find_map(|line| line.strip_prefix(&begin)).unwrap_or("was not looked at");
    let words: Vec<&str> = line.split(' ').collect();
    let label = |link: &str| names.iter().find(|(name, _)| name == link).map(|(_, label)| *label);
    let mut judged = Judged { recorded: state.recorded, label: None, fault: None };
    if let [current, "0", previous, "0", trial @ ..] = words.as_slice() {
        judged.label = label(current);
        let (is, was) = (judged.label, label(previous));
        if is_good(state, is, was, trial) {
            return judged;
        }
    }
    let when = if state.done { "after the end" } else { "on the way" };
    judged.fault = Some(format!("({when}: {line})"));
    judged
}

/// Whether an image, the one before it, and the mark of a trial may be left.
fn is_good(state: &State, current: Option<&str>, previous: Option<&str>, mark: &[&str]) -> bool {
    let new = matches!((current, previous), (Some("three"), Some("two")));
    // An older previous until the moment that current changes.
    let old = matches!((current, previous), (Some("two"), Some("one" | "two")));
    let (none, fresh, tried) = (mark == ["none"], mark == ["is", "'600'"], mark == ["is", "'600", "tried'"]);
    match state.kind {
        Kind::Install => none && (new || old && !state.done),
        Kind::OnTrial => new && fresh || old && !state.done && (none || fresh),
        // Going back keeps what it went back to as `previous`, too.
        Kind::Return => {
            (current, previous) == (Some("two"), Some("two")) && (none || fresh && !state.done)
                || new && fresh && !state.done
        }
        Kind::Keep => new && (none || fresh && !state.done),
        Kind::Pass => new && (none || !state.done && (fresh || tried)),
        // Whatever hangs from now on: the next boot knows.
        Kind::Try => new && (tried || fresh && !state.done),
        Kind::Back => old && none || !state.done && tried && (new || old),
    }
}
