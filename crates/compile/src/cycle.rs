// SPDX-License-Identifier: ISC
//! Cycles, with their whole path. A walk in depth with its own stack: no recursion over anybody's graph.

use crate::graph::Graph;
use crate::names::Names;
use alloc::vec::Vec;
use source::{Type, What};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    No,
    /// On the path that is being walked.
    Open,
    Done,
}

/// Walks from each of `starts`: the order in which definitions were finished (what they point at first), and the
/// cycles that were met, each as the definitions on it. `next` gives the nth of those that a definition points at.
pub fn walk(
    starts: &[u32],
    count: usize,
    next: &dyn Fn(u32, usize) -> Option<u32>,
) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut seen = alloc::vec![Seen::No; count];
    let mut told = alloc::vec![false; count];
    let (mut finished, mut cycles) = (Vec::with_capacity(starts.len()), Vec::new());
    // Each with how many of those that it points at have been looked at.
    let mut path: Vec<(u32, usize)> = Vec::new();
    for start in starts {
        if seen.get(*start as usize) != Some(&Seen::No) {
            continue;
        }
        mark(&mut seen, *start, Seen::Open);
        path.push((*start, 0));
        while let Some((number, looked_at)) = path.last_mut() {
            let Some(other) = next(*number, *looked_at) else {
                mark(&mut seen, *number, Seen::Done);
                finished.push(*number);
                path.pop();
                continue;
            };
            *looked_at += 1;
            match seen.get(other as usize) {
                Some(Seen::No) => {
                    mark(&mut seen, other, Seen::Open);
                    path.push((other, 0));
                }
                Some(Seen::Open) => {
                    let from = path.iter().position(|(n, _)| *n == other).unwrap_or(0);
                    let members: Vec<u32> =
                        path.get(from..).unwrap_or_default().iter().map(|(n, _)| *n).collect();
                    // A cycle all of whose members were told already says nothing new.
                    if members.iter().any(|n| told.get(*n as usize) == Some(&false)) {
                        for n in &members {
                            if let Some(told) = told.get_mut(*n as usize) {
                                *told = true;
                            }
                        }
                        cycles.push(members);
                    }
                }
                Some(Seen::Done) | None => {}
            }
        }
    }
    (finished, cycles)
}

fn mark(seen: &mut [Seen], number: u32, as_what: Seen) {
    if let Some(slot) = seen.get_mut(number as usize) {
        *slot = as_what;
    }
}

/// A fault for a cycle: the path, from its first member in the order of names back to it. All on it are broken.
pub fn report(names: &mut Names, path: &[u32], what: What) {
    let first = (0..path.len()).min_by_key(|at| path.get(*at).map(|n| names.name(*n))).unwrap_or(0);
    let around = path.iter().cycle().skip(first).take(path.len() + 1);
    let mut text = Vec::new();
    for (place, number) in around.enumerate() {
        if place > 0 {
            text.extend_from_slice(b" -> ");
        }
        text.extend_from_slice(names.name(*number));
    }
    for number in path {
        names.break_it(*number);
    }
    if let Some(number) = path.get(first) {
        names.fault(true, *number, "", 0, what, &text, b"");
    }
}

/// Finds the cycles among atomic services.
pub fn find(names: &mut Names, graph: &Graph) {
    let atomic: Vec<u32> =
        names.in_order().iter().copied().filter(|n| names.kind(*n) != Type::Bundle).collect();
    let (_, cycles) = walk(&atomic, names.definitions.len(), &|n, at| graph.waits_for(n, at));
    for path in cycles {
        report(names, &path, What::Cycle);
    }
}
