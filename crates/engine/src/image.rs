// SPDX-License-Identifier: ISC
//! An image as the engine's graph. Used by every command that changes or lists services.

use crate::{Graph, Set, Towards};
use alloc::vec;
use alloc::vec::Vec;
use db::{Db, Direction, Flags, Script, ServiceId, Target};

/// An image with the reverse of its order-only edges, which the image itself lacks.
pub struct Image<'a> {
    db: Db<'a>,
    /// Where the services behind each one begin in `behind`; empty when the image has no such edge.
    starts: Vec<u32>,
    behind: Vec<u16>,
}

impl From<Towards> for Direction {
    fn from(towards: Towards) -> Self {
        match towards {
            Towards::Up => Self::Up,
            Towards::Down => Self::Down,
        }
    }
}

impl<'a> Image<'a> {
    /// The graph of this image. O(services + edges).
    pub fn new(db: Db<'a>) -> Self {
        let mut starts = vec![0u32; db.len() + 1];
        let mut total = 0usize;
        for service in db.services() {
            for other in softly_before(&db, service) {
                total += 1;
                if let Some(count) = starts.get_mut(other.index() + 1) {
                    *count += 1;
                }
            }
        }
        if total == 0 {
            return Self { db, starts: Vec::new(), behind: Vec::new() };
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut behind = vec![0u16; total];
        let mut next = starts.clone();
        for service in db.services() {
            for other in softly_before(&db, service) {
                let Some(at) = next.get_mut(other.index()) else { continue };
                if let Some(place) = behind.get_mut(*at as usize) {
                    *place = service.index() as u16;
                }
                *at += 1;
            }
        }
        Self { db, starts, behind }
    }

    /// The image.
    pub const fn db(&self) -> &Db<'a> {
        &self.db
    }

    fn id(&self, service: u16) -> Option<ServiceId> {
        self.db.service(usize::from(service))
    }

    /// A service's name; empty for an index beyond the image.
    pub fn name(&self, service: u16) -> &'a [u8] {
        self.id(service).map_or(b"", |id| self.db.name(id))
    }

    /// How long its transition may take, in milliseconds; 0 = as long as it likes.
    pub fn timeout(&self, service: u16, towards: Towards) -> u32 {
        self.id(service).map_or(0, |id| self.db.timeout(id, towards.into()))
    }

    /// A oneshot's command line, each word with its final zero; empty where nothing is to be run.
    pub fn script(&self, service: u16, script: Script) -> &'a [u8] {
        self.id(service).and_then(|id| self.db.script(id, script)).map_or(b"", |argv| argv.as_bytes())
    }

    /// A file of a longrun's definition: its bytes.
    pub fn file(&self, service: u16, path: &[u8]) -> Option<&'a [u8]> {
        self.id(service).and_then(|id| self.db.find_file(id, path)).map(|file| file.bytes)
    }

    /// Adds what a restart of the services of the set takes along: what needs them, and what names one of them in its
    /// `restart-with`.
    pub fn close_restart(&self, set: &mut Set) {
        let listed: Vec<ServiceId> =
            self.db.services().filter(|id| self.db.restart_with(*id).len() != 0).collect();
        // Each round but the last adds a service.
        for _ in 0..=self.db.len() {
            crate::close(self, set, Towards::Down);
            let mut grown = false;
            for id in &listed {
                let touched = self.db.restart_with(*id).any(|with| set.contains(with.index() as u16));
                grown |= touched && set.insert(id.index() as u16);
            }
            if !grown {
                return;
            }
        }
    }

    /// Whether its definition asks for what only our own supervisor can do.
    pub fn needs_our_supervisor(&self, service: u16) -> bool {
        self.id(service).is_some_and(|id| self.db.flags(id).has(Flags::BACKOFF))
    }

    /// Whether it is a oneshot.
    pub fn is_oneshot(&self, service: u16) -> bool {
        usize::from(service) >= self.db.longruns()
    }

    /// Whether the compiler added it.
    pub fn is_internal(&self, service: u16) -> bool {
        self.db.service(usize::from(service)).is_some_and(|id| self.db.flags(id).has(Flags::INTERNAL))
    }

    /// Adds what a name stands for to a set; false for an unknown name.
    pub fn select(&self, name: &[u8], set: &mut Set) -> bool {
        let Some(target) = self.db.lookup(name) else { return false };
        for id in self.db.atomics(target) {
            let left_out = matches!(target, Target::Bundle(_)) && self.db.flags(id).has(Flags::MANUAL);
            if !left_out {
                set.insert(id.index() as u16);
            }
        }
        true
    }

    /// As [`Self::select`], with the services that a start by the bundle leaves out: for stops and listings.
    pub fn select_all(&self, name: &[u8], set: &mut Set) -> bool {
        let Some(target) = self.db.lookup(name) else { return false };
        for id in self.db.atomics(target) {
            set.insert(id.index() as u16);
        }
        true
    }
}

/// What only comes before it in order: what it wants, and what it is to come after.
fn softly_before<'a>(db: &Db<'a>, service: ServiceId) -> impl Iterator<Item = ServiceId> + use<'a> {
    db.wants(service).chain(db.after(service))
}

impl Graph for Image<'_> {
    fn len(&self) -> usize {
        self.db.len()
    }

    fn longruns(&self) -> usize {
        self.db.longruns()
    }

    fn is_essential(&self, service: u16) -> bool {
        self.id(service).is_some_and(|id| self.db.flags(id).has(Flags::ESSENTIAL))
    }

    fn hard(&self, service: u16, towards: Towards, each: &mut dyn FnMut(u16)) {
        if let Some(id) = self.id(service) {
            self.db.dependencies(id, towards.into()).for_each(|other| each(other.index() as u16));
        }
    }

    fn soft(&self, service: u16, towards: Towards, each: &mut dyn FnMut(u16)) {
        if self.behind.is_empty() {
            return;
        }
        let Some(id) = self.id(service) else { return };
        if towards == Towards::Up {
            return softly_before(&self.db, id).for_each(|other| each(other.index() as u16));
        }
        let bound = |at: usize| self.starts.get(at).map_or(0, |start| *start as usize);
        let behind = self.behind.get(bound(id.index())..bound(id.index() + 1)).unwrap_or_default();
        behind.iter().for_each(|other| each(*other));
    }

    fn wants(&self, service: u16, each: &mut dyn FnMut(u16)) {
        if let Some(id) = self.id(service) {
            self.db.wants(id).for_each(|other| each(other.index() as u16));
        }
    }
}
