// SPDX-License-Identifier: ISC
//! What an update does: which services stop, start, change in place, and why.

use crate::compare::{At, changed};
use crate::mapping::Mapping;
use alloc::vec::Vec;
use db::{Db, Kind};
use engine::{Graph, Set, Towards};

/// Why a service is stopped, restarted, started or changed in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason<'a> {
    /// It is not.
    #[default]
    None,
    /// The new image does not have it.
    Gone,
    /// It was a oneshot and becomes a longrun, or the other way.
    OtherKind,
    /// A bundle has its name now.
    BecameBundle,
    /// The conversion file asks for it.
    Asked,
    /// This file of its definition changed, here.
    File(&'a [u8], At),
    /// Its files changed, and none that somebody wrote.
    Definition,
    /// Its place in a pipeline changed.
    Pipeline,
    /// It needs this old service, which stops.
    NeedsOld(u16),
    /// It needs this new service, which was not up.
    NeedsNew(u16),
    /// Its `restart-with` names this new service, which starts.
    RestartWith(u16),
    /// It was up before, and comes back.
    Restart,
    /// It was to be up before: an update or a restart that failed left it down.
    Owed,
    /// This new service, which stays up, needs it.
    NeededBy(u16),
}

/// An update, decided. `stop` and `old_up` hold old indices, everything else new ones.
#[derive(Clone)]
pub struct Plan<'a> {
    /// The image in force.
    pub old: Db<'a>,
    /// The image that is to be.
    pub new: Db<'a>,
    /// Which old service each new one goes on from.
    pub mapping: Mapping,
    /// What is up before.
    pub old_up: Set,
    /// What is down and owed before: an update or a restart wanted it up, and ended without.
    pub owed: Set,
    /// What stops: exactly these, each after those of them that need it.
    pub stop: Set,
    /// What is up all the time.
    pub kept: Set,
    /// What starts, with what that needs.
    pub start: Set,
    /// What goes on in its directory, with a definition of other files: at once, or at its next start.
    pub in_place: Set,
    /// Of these, what asks to be reloaded at once.
    pub reload: Set,
    /// Why each old service stops.
    pub why_stop: Vec<Reason<'a>>,
    /// Why each new service starts or changes in place.
    pub why: Vec<Reason<'a>>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(old: Db<'a>, new: Db<'a>, mapping: Mapping, old_up: Set, owed: Set) -> Self {
        let none = || Set::new(new.len());
        Self {
            mapping,
            old_up,
            owed,
            stop: Set::new(old.len()),
            kept: none(),
            start: none(),
            in_place: none(),
            reload: none(),
            why_stop: alloc::vec![Reason::None; old.len()],
            why: alloc::vec![Reason::None; new.len()],
            old,
            new,
        }
    }

    /// Whether nothing is stopped, started or changed: only the image is another, if that.
    pub fn is_quiet(&self) -> bool {
        self.stop.is_empty() && self.start.is_empty() && self.in_place.is_empty()
    }

    /// What shall be up in the end.
    pub fn up_after(&self) -> Set {
        let mut up = self.kept.clone();
        up.add_all(&self.start);
        up
    }

    /// The old longrun whose service directory this new longrun takes over.
    pub fn continues(&self, new: u16) -> Option<u16> {
        let old = self.mapping.same(new)?;
        (is_longrun(&self.old, old) && is_longrun(&self.new, new)).then_some(old)
    }

    /// Works out what is kept and what comes back, from what stops.
    pub(crate) fn divide(&mut self) {
        self.kept = Set::new(self.new.len());
        self.start = Set::new(self.new.len());
        for (before, was_up) in [(&self.old_up, true), (&self.owed, false)] {
            for service in before.iter() {
                let kept = was_up && !self.stop.contains(service);
                for target in self.mapping.targets(service) {
                    if kept { &mut self.kept } else { &mut self.start }.insert(*target);
                }
            }
        }
    }

    /// Says of what comes back that it was up before, or was to be.
    pub(crate) fn say_why_back(&mut self) {
        for service in self.start.clone().iter() {
            let owed = self.mapping.from(service).is_some_and(|old| self.owed.contains(old));
            self.because(service, if owed { Reason::Owed } else { Reason::Restart });
        }
    }

    /// Sets why an old service stops, once.
    pub(crate) fn stop_because(&mut self, old: u16, reason: Reason<'a>) {
        self.stop.insert(old);
        if let Some(why) = self.why_stop.get_mut(usize::from(old)).filter(|why| **why == Reason::None) {
            *why = reason;
        }
    }

    /// Sets why something happens to a new service, once.
    pub(crate) fn because(&mut self, new: u16, reason: Reason<'a>) {
        if let Some(why) = self.why.get_mut(usize::from(new)).filter(|why| **why == Reason::None) {
            *why = reason;
        }
    }

    /// Fills `in_place` and `reload`: services that go on with a definition whose files differ.
    pub(crate) fn find_in_place(&mut self) {
        for new in self.new.services() {
            let index = new.index() as u16;
            let Some(old) = self.continues(index).and_then(|old| self.old.service(usize::from(old))) else {
                continue;
            };
            let Some(reason) = changed(&self.old, old, &self.new, new, false) else { continue };
            self.in_place.insert(index);
            self.because(index, reason);
            if self.kept.contains(index) && self.new.flags(new).has(db::Flags::RELOAD_ON_CHANGE) {
                self.reload.insert(index);
            }
        }
    }
}

/// Whether the service with this index is a longrun.
pub(crate) fn is_longrun(db: &Db<'_>, index: u16) -> bool {
    db.service(usize::from(index)).is_some_and(|id| db.kind(id) == Kind::Longrun)
}

/// Calls `each` with what a service needs (`Up`), or what needs it (`Down`).
pub(crate) fn neighbours(db: &Db<'_>, service: u16, direction: db::Direction, each: &mut dyn FnMut(u16)) {
    if let Some(id) = db.service(usize::from(service)) {
        db.dependencies(id, direction).for_each(|other| each(other.index() as u16));
    }
}

/// A graph in which only the services of a set exist: for a change of exactly those.
pub struct Restricted<'a> {
    /// The whole graph.
    pub graph: &'a dyn Graph,
    /// Those that may change.
    pub only: &'a Set,
}

impl Graph for Restricted<'_> {
    fn len(&self) -> usize {
        self.graph.len()
    }
    fn longruns(&self) -> usize {
        self.graph.longruns()
    }
    fn is_essential(&self, service: u16) -> bool {
        self.graph.is_essential(service)
    }
    fn hard(&self, service: u16, towards: Towards, each: &mut dyn FnMut(u16)) {
        self.graph.hard(service, towards, &mut |other| {
            if self.only.contains(other) {
                each(other);
            }
        });
    }
    fn soft(&self, service: u16, towards: Towards, each: &mut dyn FnMut(u16)) {
        self.graph.soft(service, towards, &mut |other| {
            if self.only.contains(other) {
                each(other);
            }
        });
    }
}

/// Calls `each` with the plan's steps in an order in which they may be taken: stops first, dependents before what they
/// need; then starts, dependencies first. `true` = a start.
#[inline(never)]
pub fn view(plan: &Plan<'_>, each: &mut dyn FnMut(bool, u16)) {
    for service in order(&plan.old, &plan.stop, db::Direction::Down) {
        each(false, service);
    }
    for service in order(&plan.new, &plan.start, db::Direction::Up) {
        each(true, service);
    }
}

/// The services of a set, each after those of them that must come before it. Deterministic.
fn order(db: &Db<'_>, set: &Set, direction: db::Direction) -> Vec<u16> {
    let behind = match direction {
        db::Direction::Up => db::Direction::Down,
        db::Direction::Down => db::Direction::Up,
    };
    let mut pending = alloc::vec![0u16; db.len()];
    let mut ready = Vec::new();
    for service in set.iter() {
        let mut count = 0;
        neighbours(db, service, direction, &mut |other| count += u16::from(set.contains(other)));
        if let Some(place) = pending.get_mut(usize::from(service)) {
            *place = count;
        }
        if count == 0 {
            ready.push(service);
        }
    }
    let mut at = 0;
    while let Some(service) = ready.get(at).copied() {
        at += 1;
        neighbours(db, service, behind, &mut |other| {
            if let Some(count) = pending.get_mut(usize::from(other)).filter(|_| set.contains(other)) {
                *count -= 1;
                if *count == 0 {
                    ready.push(other);
                }
            }
        });
    }
    ready
}
