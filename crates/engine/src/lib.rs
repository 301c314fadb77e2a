// SPDX-License-Identifier: ISC
//! Chooses the next transitions. Pure: no system calls, no clock. Used by run, update and the tests.
//!
//! A [`Change`] brings a selection of services up or down: it gives [`Step`]s that can be taken now, and is told how
//! each one ended. Queues stand where recursion over a user's graph would be; the whole of a change costs
//! O(services + dependencies). Services are known by their index in the image (longruns first).
//!
//! Two kinds of edges: a *hard* one (a dependency: nothing starts before it, and nothing starts if it fails), and a
//! *soft* one (only an order, between two services that both change: released by a failure, too).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod change;
mod image;
mod set;

pub use change::{Change, Ended, Rules, Step};
pub use db::{Corrupt, Db, Flags, Script, Target};
pub use image::Image;
pub use set::Set;

/// Which way a service goes, and which way a graph is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// Up, or: what a service needs.
    Up,
    /// Down, or: what needs a service.
    Down,
}

impl Towards {
    /// The other one.
    pub const fn reversed(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// The services and their edges, as the engine sees them.
pub trait Graph {
    /// How many services there are; their indices are below it. At most 65,535.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them, from index 0 on, are longruns; the rest are oneshots.
    fn longruns(&self) -> usize;

    /// Whether an ordinary stop leaves it up.
    fn is_essential(&self, service: u16) -> bool;

    /// Calls `each` with what must have come before it: `Up` what it depends on, `Down` what depends on it.
    fn hard(&self, service: u16, towards: Towards, each: &mut dyn FnMut(u16));

    /// The same for the edges that are order only (each `Up` edge has its `Down` counterpart).
    fn soft(&self, _service: u16, _towards: Towards, _each: &mut dyn FnMut(u16)) {}

    /// Calls `each` with the services that a start of this one pulls in without depending on them.
    fn wants(&self, _service: u16, _each: &mut dyn FnMut(u16)) {}
}

/// Adds what the services of the set need to come up (`Up`, with what they want), or what needs them (`Down`).
pub fn close(graph: &dyn Graph, set: &mut Set, towards: Towards) {
    let mut work: alloc::vec::Vec<u16> = set.iter().collect();
    while let Some(service) = work.pop() {
        let mut add = |other: u16| {
            if set.insert(other) {
                work.push(other);
            }
        };
        graph.hard(service, towards, &mut add);
        if towards == Towards::Up {
            graph.wants(service, &mut add);
        }
    }
}

#[cfg(test)]
mod tests;
