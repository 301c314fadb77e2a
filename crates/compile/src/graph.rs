// SPDX-License-Identifier: ISC
//! Who needs, wants and follows whom: names resolved, bundles taken apart.

use crate::names::Names;
use crate::pipeline::Partners;
use crate::{HOLDER, RUNNER, cycle};
use alloc::vec::Vec;
use source::{Definition, List, Type, What};

/// For each definition a list of others.
#[derive(Default)]
pub struct Lists {
    /// Where each definition's list ends in `items`.
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// The list of a definition.
    pub fn get(&self, number: u32) -> &[u32] {
        let number = number as usize;
        let start = number.checked_sub(1).and_then(|n| self.ends.get(n)).copied().unwrap_or(0);
        let end = self.ends.get(number).copied().unwrap_or(0);
        self.items.get(start as usize..end as usize).unwrap_or_default()
    }

    fn close(&mut self) {
        self.ends.push(self.items.len() as u32);
    }
}

/// What each bundle holds in the end: for other definitions nothing.
pub fn flatten(names: &mut Names) -> Vec<Vec<u32>> {
    let count = names.definitions.len();
    let mut direct: Vec<Vec<u32>> = alloc::vec![Vec::new(); count];
    let bundles: Vec<u32> =
        names.in_order().iter().copied().filter(|n| names.kind(*n) == Type::Bundle).collect();
    for number in &bundles {
        let list = names.take(*number, |d| &mut d.contents);
        let found: Vec<u32> =
            list.names.iter().filter_map(|name| names.resolve(*number, list.file, name)).collect();
        if let Some(slot) = direct.get_mut(*number as usize) {
            *slot = found;
        }
    }
    let next = |n: u32| direct.get(n as usize).map(Vec::as_slice).unwrap_or_default();
    let (finished, cycles) = cycle::walk(&bundles, count, &|n, at| next(n).get(at).copied());
    for path in cycles {
        cycle::report(names, &path, What::BundleCycle);
    }
    // Those that others hold finish first.
    let mut flat: Vec<Vec<u32>> = alloc::vec![Vec::new(); count];
    let mut stamps = alloc::vec![u32::MAX; count];
    for bundle in finished.into_iter().filter(|n| names.kind(*n) == Type::Bundle) {
        let mut all = Vec::new();
        for member in next(bundle) {
            let inner: &[u32] = match names.kind(*member) {
                Type::Bundle => flat.get(*member as usize).map(Vec::as_slice).unwrap_or_default(),
                Type::Longrun | Type::Oneshot => core::slice::from_ref(member),
            };
            for one in inner {
                if let Some(stamp) = stamps.get_mut(*one as usize)
                    && *stamp != bundle
                {
                    *stamp = bundle;
                    all.push(*one);
                }
            }
        }
        if let Some(slot) = flat.get_mut(bundle as usize) {
            *slot = all;
        }
    }
    flat
}

/// The edges between atomic services.
pub struct Graph {
    /// What each needs.
    pub needs: Lists,
    /// What each wants, beyond what it needs.
    pub wants: Lists,
    /// What each comes after, beyond both.
    pub after: Lists,
    /// What restarts each.
    pub restart_with: Lists,
    /// Bundles that a service needs and that are broken themselves: it, and one of them.
    broken_bundles: Vec<(u32, u32)>,
}

struct Resolver<'a> {
    names: &'a mut Names,
    flat: &'a [Vec<u32>],
    /// Which list a service was last put in: no list holds one twice.
    stamps: Vec<u32>,
    stamp: u32,
    bundles: Vec<(u32, u32)>,
}

impl Resolver<'_> {
    fn begin(&mut self) {
        self.stamp += 1;
    }

    fn push(&mut self, lists: &mut Lists, number: u32) {
        if let Some(stamp) = self.stamps.get_mut(number as usize)
            && *stamp != self.stamp
        {
            *stamp = self.stamp;
            lists.items.push(number);
        }
    }

    /// Appends whom a list means, bundles taken apart.
    fn add(&mut self, lists: &mut Lists, number: u32, list: &List) {
        for name in &list.names {
            let Some(found) = self.names.resolve(number, list.file, name) else { continue };
            if self.names.kind(found) == Type::Bundle {
                self.bundles.push((number, found));
                for one in self.flat.get(found as usize).map(Vec::as_slice).unwrap_or_default() {
                    self.push(lists, *one);
                }
            } else {
                self.push(lists, found);
            }
        }
    }
}

impl Graph {
    /// Resolves the lists of every atomic service.
    pub fn new(names: &mut Names, flat: &[Vec<u32>], partners: &Partners) -> Self {
        let count = names.definitions.len();
        let (runner, holder) = (names.find(RUNNER), names.find(HOLDER));
        let mut r = Resolver { names, flat, stamps: alloc::vec![0; count], stamp: 0, bundles: Vec::new() };
        let mut graph = Self {
            needs: Lists::default(),
            wants: Lists::default(),
            after: Lists::default(),
            restart_with: Lists::default(),
            broken_bundles: Vec::new(),
        };
        for number in 0..count as u32 {
            r.begin();
            let kind = r.names.kind(number);
            let list = r.names.take(number, |d| &mut d.dependencies);
            r.add(&mut graph.needs, number, &list);
            if kind == Type::Oneshot
                && let Some(runner) = runner
            {
                r.push(&mut graph.needs, runner);
            }
            if partners.any(number) {
                for other in holder.into_iter().chain(partners.consumer(number)) {
                    r.push(&mut graph.needs, other);
                }
            }
            graph.needs.close();
            let needed = core::mem::take(&mut r.bundles);
            graph.broken_bundles.extend(needed);
            // In the same stamp: what it needs it does not also want.
            let list = r.names.take(number, |d| &mut d.wants);
            r.add(&mut graph.wants, number, &list);
            graph.wants.close();
            r.begin();
            let list = r.names.take(number, |d| &mut d.restart_with);
            r.add(&mut graph.restart_with, number, &list);
            graph.restart_with.close();
            r.bundles.clear();
        }
        graph.order(&mut r, count);
        graph.restarts(names);
        graph
    }

    /// `after.d`, and `before.d` turned round.
    fn order(&mut self, r: &mut Resolver<'_>, count: usize) {
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        type Pick = fn(&mut Definition) -> &mut List;
        let after: Pick = |d| &mut d.after;
        let before: Pick = |d| &mut d.before;
        for number in 0..count as u32 {
            for (pick, forward) in [(after, true), (before, false)] {
                let list = r.names.take(number, pick);
                if list.names.is_empty() {
                    continue;
                }
                let mut found = Lists::default();
                r.begin();
                r.add(&mut found, number, &list);
                let pair = |other: &u32| if forward { (number, *other) } else { (*other, number) };
                pairs.extend(found.items.iter().map(pair));
            }
        }
        db::sort::sort(&mut pairs, |a, b| a < b);
        pairs.dedup();
        let mut pairs = pairs.into_iter().peekable();
        for number in 0..count as u32 {
            while let Some((_, other)) = pairs.next_if(|(from, _)| *from == number) {
                if !self.needs.get(number).contains(&other) && !self.wants.get(number).contains(&other) {
                    self.after.items.push(other);
                }
            }
            self.after.close();
        }
    }

    /// Only a dependency can restart a service.
    fn restarts(&mut self, names: &mut Names) {
        for number in 0..names.definitions.len() as u32 {
            for other in self.restart_with.get(number) {
                if !self.needs.get(number).contains(other) && !self.wants.get(number).contains(other) {
                    let name = names.name(*other).to_vec();
                    names.fault(true, number, "restart-with", 0, What::NotDependency, &name, b"");
                }
            }
        }
    }

    /// The nth of those that a service waits for when it starts.
    pub fn waits_for(&self, number: u32, mut at: usize) -> Option<u32> {
        for lists in [&self.needs, &self.wants, &self.after] {
            let list = lists.get(number);
            if let Some(found) = list.get(at) {
                return Some(*found);
            }
            at -= list.len();
        }
        None
    }
}

/// With `--keep-going`: what is broken is left out, and what needs it as well. Each says so; no fault is grave any more.
pub fn leave_out(names: &mut Names, graph: &Graph) {
    for number in 0..names.definitions.len() as u32 {
        if names.is_broken(number) {
            names.fault(false, number, "", 0, What::LeftOut, b"", b"");
        }
    }
    loop {
        let mut changed = false;
        for number in 0..names.definitions.len() as u32 {
            if names.is_broken(number) {
                continue;
            }
            let needs = graph.needs.get(number).iter().copied();
            let bundles = graph.broken_bundles.iter().filter(|(who, _)| *who == number).map(|(_, b)| *b);
            if let Some(reason) = needs.chain(bundles).find(|n| names.is_broken(*n)) {
                let reason = names.name(reason).to_vec();
                names.fault(false, number, "", 0, What::LeftOut, &reason, b"");
                names.break_it(number);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    for fault in &mut names.faults {
        fault.grave = false;
    }
}
