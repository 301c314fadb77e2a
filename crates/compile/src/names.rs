// SPDX-License-Identifier: ISC
//! The definitions and their names: who is called what, and whom a list means.

use crate::{HOLDER, Options, RUNNER};
use alloc::vec::Vec;
use db::index::Index;
use source::{Bytes, Definition, Fault, List, Model, Name, Type, What};

/// For how many unknown names a near one is looked for: a tree with more has another problem.
const SUGGESTIONS: u32 = 100;

/// All definitions, the compiler's own among them. A number stands for a place in `definitions`.
pub struct Names {
    /// Services and bundles.
    pub definitions: Vec<Definition>,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
    sources: Vec<Bytes>,
    /// Numbers in the order of their names.
    order: Vec<u32>,
    /// The same numbers by their names.
    index: Index,
    suggestions: u32,
}

impl Names {
    /// Takes a model over, adds the two services of our own and reports names that come twice.
    pub fn new(model: Model, options: &Options<'_>) -> Self {
        let mut names = Self {
            definitions: model.definitions,
            faults: model.faults,
            sources: model.sources,
            order: Vec::new(),
            index: Index::new(0),
            suggestions: SUGGESTIONS,
        };
        let internal = names.sources.len();
        names.definitions.push(crate::emit::runner(RUNNER, internal));
        names.definitions.push(crate::emit::holder(HOLDER, internal, options.holder_user));
        names.sort();
        names
    }

    /// Sorts the names; a name that comes twice is a fault of the later definition, which is then forgotten.
    pub fn sort(&mut self) {
        let definitions = &self.definitions;
        let key = |n: usize| definitions.get(n).map(|d| (d.name.as_slice(), d.source));
        // Stable: of equal names and sources the earlier comes first.
        let order = db::sort::order(definitions.len(), &mut |a, b| key(a) < key(b));
        let mut kept: Vec<u32> = Vec::with_capacity(order.len());
        for number in order {
            match kept.last() {
                Some(last) if self.name(*last) == self.name(number) => {
                    let first = *last;
                    if !self
                        .get(number)
                        .is_some_and(|d| d.broken && d.files.is_empty() && d.source == usize::MAX)
                    {
                        let other = self.get(first).map_or(0, |d| d.source);
                        let source = self.sources.get(other).cloned().unwrap_or_default();
                        self.fault(true, number, "", 0, What::Duplicate, &source, b"");
                        self.break_it(first);
                    }
                    if let Some(d) = self.definitions.get_mut(number as usize) {
                        d.source = usize::MAX;
                        d.files.clear();
                    }
                }
                _ => kept.push(number),
            }
        }
        self.index = Index::new(kept.len());
        for number in &kept {
            if let Some(d) = self.definitions.get(*number as usize) {
                self.index.put(&d.name, *number);
            }
        }
        self.order = kept;
    }

    /// A cgroup belongs to one service: another one's can't be the same or lie below it.
    pub fn same_cgroups(&mut self) {
        let has = |n: &u32| self.get(*n).is_some_and(|d| !d.cgroup.is_empty() && !d.broken);
        let mut having: Vec<u32> = self.order.iter().copied().filter(has).collect();
        let path = |n: u32| self.get(n).map_or(&b""[..], |d| &d.cgroup);
        // What lies below a group comes right behind it.
        let key = |n: u32| path(n).iter().map(|b| if *b == b'/' { 0 } else { *b });
        db::sort::sort(&mut having, |a, b| key(*a).lt(key(*b)));
        let mut above: Option<u32> = None;
        let mut found = Vec::new();
        for number in having {
            match above {
                Some(other)
                    if path(number)
                        .strip_prefix(path(other))
                        .is_some_and(|rest| matches!(rest.first(), None | Some(b'/'))) =>
                {
                    found.push((number, other));
                }
                _ => above = Some(number),
            }
        }
        for (number, other) in found {
            let other = self.name(other).to_vec();
            self.fault(true, number, "cgroup", 0, What::SameCgroup, &other, b"");
        }
    }

    /// A definition.
    pub fn get(&self, number: u32) -> Option<&Definition> {
        self.definitions.get(number as usize)
    }

    /// Its name.
    pub fn name(&self, number: u32) -> &[u8] {
        self.get(number).map_or(b"", |d| &d.name)
    }

    /// What it is.
    pub fn kind(&self, number: u32) -> Type {
        self.get(number).map_or(Type::Bundle, |d| d.kind)
    }

    /// Numbers in the order of their names, each name once.
    pub fn in_order(&self) -> &[u32] {
        &self.order
    }

    /// Marks a definition as broken.
    pub fn break_it(&mut self, number: u32) {
        if let Some(d) = self.definitions.get_mut(number as usize) {
            d.broken = true;
        }
    }

    /// Whether a definition is broken.
    pub fn is_broken(&self, number: u32) -> bool {
        self.get(number).is_none_or(|d| d.broken)
    }

    /// Who is called that.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.index.find(name, &|number| self.name(number) == name)
    }

    /// Notes a fault of a definition.
    #[allow(clippy::too_many_arguments)]
    pub fn fault(
        &mut self,
        grave: bool,
        number: u32,
        file: &str,
        line: u32,
        what: What,
        text: &[u8],
        near: &[u8],
    ) {
        let (source, service) = match self.get(number) {
            Some(d) => (self.sources.get(d.source).cloned(), d.name.clone()),
            None => (None, Bytes::new()),
        };
        self.faults.push(Fault {
            grave,
            source: source.unwrap_or_default(),
            service,
            file: file.as_bytes().to_vec(),
            line,
            what,
            text: text.to_vec(),
            near: near.to_vec(),
        });
        if grave {
            self.break_it(number);
        }
    }

    /// Notes a fault of one name in a list: file and line are those of the name.
    pub fn fault_at(&mut self, number: u32, file: &'static str, name: &Name, what: What) {
        // In a directory the name is itself a file.
        let mut path = file.as_bytes().to_vec();
        if name.line == 0 {
            path.push(b'/');
            path.extend_from_slice(&name.name);
        }
        let near = if what == What::Undefined && self.suggestions > 0 {
            self.suggestions -= 1;
            let known = self.order.iter().map(|n| self.name(*n)).filter(|n| !n.starts_with(b"s6rc-"));
            text_near(&name.name, known)
        } else {
            Bytes::new()
        };
        let broken = self.is_broken(number);
        self.fault(true, number, "", name.line, what, &name.name, &near);
        if what == What::Undefined && self.kind(number) == Type::Bundle && !broken {
            // A bundle can do without one of its services, if the compiler is to go on.
            if let Some(d) = self.definitions.get_mut(number as usize) {
                d.broken = false;
            }
        }
        if let Some(fault) = self.faults.last_mut() {
            fault.file = path;
        }
    }

    /// Whom a name in a list means; if nobody, that is a fault.
    pub fn resolve(&mut self, number: u32, file: &'static str, name: &Name) -> Option<u32> {
        let found = self.find(&name.name);
        if found.is_none() {
            self.fault_at(number, file, name, What::Undefined);
        }
        found
    }

    /// A list of a definition, taken out of it.
    pub fn take(&mut self, number: u32, list: impl Fn(&mut Definition) -> &mut List) -> List {
        self.definitions.get_mut(number as usize).map(|d| core::mem::take(list(d))).unwrap_or_default()
    }
}

fn text_near<'a>(name: &[u8], known: impl Iterator<Item = &'a [u8]>) -> Bytes {
    source::nearest(name, known).unwrap_or_default().to_vec()
}
