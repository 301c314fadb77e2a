// SPDX-License-Identifier: ISC
//! Pipelines: who reads whose output, whether both say so, and the bundles made of them.

use crate::names::Names;
use alloc::vec::Vec;
use source::{Definition, List, Name, Type, What};

/// For each definition the service that reads its output.
pub struct Partners {
    /// By number; `u32::MAX` = none.
    consumers: Vec<u32>,
    /// By number: whether it reads from somebody.
    reads: Vec<bool>,
}

impl Partners {
    /// The service that reads its output.
    pub fn consumer(&self, number: u32) -> Option<u32> {
        self.consumers.get(number as usize).copied().filter(|c| *c != u32::MAX)
    }

    /// Whether it reads the output of others.
    pub fn reads(&self, number: u32) -> bool {
        self.reads.get(number as usize).copied().unwrap_or_default()
    }

    /// Whether it is part of a pipeline.
    pub fn any(&self, number: u32) -> bool {
        self.reads(number) || self.consumer(number).is_some()
    }
}

/// Makes a bundle of each pipeline that has a name.
pub fn bundles(names: &mut Names) {
    let named: Vec<u32> = names
        .in_order()
        .iter()
        .copied()
        .filter(|n| names.get(*n).is_some_and(|d| !d.pipeline_name.names.is_empty()))
        .collect();
    for number in &named {
        let list = names.take(*number, |d| &mut d.pipeline_name);
        let Some(name) = list.names.first() else { continue };
        let source = names.get(*number).map_or(0, |d| d.source);
        let mut bundle = Definition::new(name.name.clone(), source, Type::Bundle);
        bundle.contents = members(names, *number);
        names.definitions.push(bundle);
    }
    if !named.is_empty() {
        names.sort();
    }
}

/// A last consumer and all who write to it, through any number of others.
fn members(names: &Names, end: u32) -> List {
    let mut found = alloc::vec![end];
    let mut next = 0;
    while let Some(number) = found.get(next).copied() {
        next += 1;
        let producers = names.get(number).map(|d| d.consumer_for.names.as_slice()).unwrap_or_default();
        for producer in producers.iter().filter_map(|p| names.find(&p.name)) {
            if !found.contains(&producer) && names.kind(producer) == Type::Longrun {
                found.push(producer);
            }
        }
    }
    let name = |n: &u32| Name { name: names.name(*n).to_vec(), line: 0 };
    List { file: "pipeline-name", names: found.iter().map(name).collect() }
}

/// Pairs producers and consumers; what only one side declares is a fault.
pub fn partners(names: &mut Names) -> Partners {
    let count = names.definitions.len();
    let mut partners = Partners { consumers: alloc::vec![u32::MAX; count], reads: alloc::vec![false; count] };
    let members: Vec<u32> = names
        .in_order()
        .iter()
        .copied()
        .filter(|n| {
            let has = |d: &Definition| !d.producer_for.names.is_empty() || !d.consumer_for.names.is_empty();
            names.get(*n).is_some_and(has)
        })
        .collect();
    for number in &members {
        let list = names.get(*number).map(|d| d.producer_for.clone()).unwrap_or_default();
        let Some(name) = list.names.first() else { continue };
        if let Some(consumer) = partner(names, *number, list.file, name, |d| &d.consumer_for)
            && let Some(slot) = partners.consumers.get_mut(*number as usize)
        {
            *slot = consumer;
        }
    }
    for number in &members {
        let list = names.get(*number).map(|d| d.consumer_for.clone()).unwrap_or_default();
        for name in &list.names {
            partner(names, *number, list.file, name, |d| &d.producer_for);
        }
        if let Some(reads) = partners.reads.get_mut(*number as usize) {
            *reads = !list.names.is_empty();
        }
    }
    partners
}

/// The longrun that a name means, if it declares this one back.
fn partner(
    names: &mut Names,
    number: u32,
    file: &'static str,
    name: &Name,
    back: impl Fn(&Definition) -> &List,
) -> Option<u32> {
    let other = names.resolve(number, file, name)?;
    if names.kind(other) != Type::Longrun {
        if names.is_broken(other) {
            // Perhaps it does not say what it is, which has been told.
            return Some(other);
        }
        names.fault_at(number, file, name, What::NotLongrun);
        return None;
    }
    let me = names.name(number);
    let mutual = names.get(other).is_some_and(|d| back(d).names.iter().any(|n| n.name == me));
    if !mutual {
        names.fault_at(number, file, name, What::NotMutual);
        return None;
    }
    Some(other)
}
