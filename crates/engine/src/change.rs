// SPDX-License-Identifier: ISC
//! One change: a selection goes up, or goes down, each service as soon as all that must come before it is done.

use crate::{Graph, Set, Towards, close};
use alloc::vec;
use alloc::vec::Vec;

/// What the caller shall do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run the script of this oneshot; tell [`Change::ended`] how it went.
    Script(u16),
    /// Send this longrun up or down and wait for it; tell [`Change::ended`] how it went.
    Longrun(u16),
    /// For the user only: it is already where it shall go.
    Already(u16),
    /// For the user only: it is essential, so this stop leaves it up, and what it needs.
    Essential(u16),
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The service is where it was to go.
    Done,
    /// It is not; what hangs on it is left as it is.
    Failed,
}

/// What holds for a whole change.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Which way.
    pub towards: Towards,
    /// Whether a stop also stops essential services.
    pub stop_essentials: bool,
    /// Scripts that may run at once; at least 1.
    pub scripts: usize,
}

/// A change under way.
pub struct Change<'g> {
    graph: &'g dyn Graph,
    rules: Rules,
    /// What shall be there in the end.
    selected: Set,
    /// What is already as wanted.
    done: Set,
    /// Selected ones that have been handed out, or that never will be.
    settled: Set,
    /// For each service: how many of those before it are not over yet.
    pending: Vec<u16>,
    scripts: Queue,
    longruns: Queue,
    notes: Vec<Step>,
    running_scripts: usize,
    running_longruns: usize,
    stopping: bool,
    failures: usize,
}

/// First in, first out; each service goes in at most once.
struct Queue {
    items: Vec<u16>,
    head: usize,
}

impl Queue {
    fn pop(&mut self) -> Option<u16> {
        let item = self.items.get(self.head).copied()?;
        self.head += 1;
        Some(item)
    }
}

impl<'g> Change<'g> {
    /// A change of these services and of all that must change with them, given which are up now.
    pub fn new(graph: &'g dyn Graph, up: &Set, mut selected: Set, rules: Rules) -> Self {
        close(graph, &mut selected, rules.towards);
        let mut done = up.clone();
        if rules.towards == Towards::Down {
            done.invert();
        }
        let n = graph.len();
        let mut change = Self {
            graph,
            rules,
            selected,
            done,
            settled: Set::new(n),
            pending: vec![0; n],
            scripts: Queue { items: Vec::new(), head: 0 },
            longruns: Queue { items: Vec::new(), head: 0 },
            notes: Vec::new(),
            running_scripts: 0,
            running_longruns: 0,
            stopping: false,
            failures: 0,
        };
        change.begin();
        change
    }

    fn begin(&mut self) {
        let (graph, towards) = (self.graph, self.rules.towards);
        for service in 0..self.pending.len() as u16 {
            if !self.selected.contains(service) {
                continue;
            }
            let mut count = 0u16;
            graph.hard(service, towards, &mut |_| count = count.saturating_add(1));
            graph.soft(service, towards, &mut |other| {
                count = count.saturating_add(u16::from(self.selected.contains(other)));
            });
            if let Some(place) = self.pending.get_mut(usize::from(service)) {
                *place = count;
            }
        }
        let mut over = Vec::new();
        for service in 0..self.pending.len() as u16 {
            if self.pending.get(usize::from(service)) == Some(&0) {
                self.examine(service, &mut over);
            }
        }
        self.release(over);
    }

    /// All before it is over: it can be handed out, or it is over itself.
    fn examine(&mut self, service: u16, over: &mut Vec<(u16, Ended)>) {
        if !self.selected.contains(service) || !self.settled.insert(service) {
            return;
        }
        if self.done.contains(service) {
            self.notes.push(Step::Already(service));
            over.push((service, Ended::Done));
        } else if self.rules.towards == Towards::Down
            && !self.rules.stop_essentials
            && self.graph.is_essential(service)
        {
            self.notes.push(Step::Essential(service));
            over.push((service, Ended::Failed));
        } else if usize::from(service) < self.graph.longruns() {
            self.longruns.items.push(service);
        } else {
            self.scripts.items.push(service);
        }
    }

    /// Tells those behind each service that it is over: after a failure those that need it will never be tried.
    fn release(&mut self, mut over: Vec<(u16, Ended)>) {
        let (graph, behind) = (self.graph, self.rules.towards.reversed());
        while let Some((service, ended)) = over.pop() {
            let mut ready = Vec::new();
            let mut count_down = |other: u16, pending: &mut Vec<u16>| {
                if let Some(count) = pending.get_mut(usize::from(other)) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        ready.push(other);
                    }
                }
            };
            let (pending, selected, settled) = (&mut self.pending, &self.selected, &mut self.settled);
            match ended {
                Ended::Done => graph.hard(service, behind, &mut |other| count_down(other, pending)),
                Ended::Failed => graph.hard(service, behind, &mut |other| {
                    if selected.contains(other) && settled.insert(other) {
                        over.push((other, Ended::Failed));
                    }
                }),
            }
            graph.soft(service, behind, &mut |other| {
                if selected.contains(other) {
                    count_down(other, pending);
                }
            });
            for other in ready {
                self.examine(other, &mut over);
            }
        }
    }

    /// The next thing to do; none at the moment. Ask again after each [`Self::ended`].
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Step> {
        if let Some(note) = self.notes.pop() {
            return Some(note);
        }
        if self.stopping {
            return None;
        }
        if let Some(service) = self.longruns.pop() {
            self.running_longruns += 1;
            return Some(Step::Longrun(service));
        }
        if self.running_scripts >= self.rules.scripts.max(1) {
            return None;
        }
        let service = self.scripts.pop()?;
        self.running_scripts += 1;
        Some(Step::Script(service))
    }

    /// A step that was handed out is over.
    pub fn ended(&mut self, service: u16, how: Ended) {
        let running = if usize::from(service) < self.graph.longruns() {
            &mut self.running_longruns
        } else {
            &mut self.running_scripts
        };
        *running = running.saturating_sub(1);
        match how {
            Ended::Done => {
                self.done.insert(service);
            }
            Ended::Failed => self.failures += 1,
        }
        if !self.stopping {
            self.release(vec![(service, how)]);
        }
    }

    /// Puts back a service that was handed out: there was no room for it. It is handed out again, behind the others.
    pub fn put_back(&mut self, service: u16) {
        if usize::from(service) < self.graph.longruns() {
            self.running_longruns = self.running_longruns.saturating_sub(1);
            self.longruns.items.push(service);
        } else {
            self.running_scripts = self.running_scripts.saturating_sub(1);
            self.scripts.items.push(service);
        }
    }

    /// Hands out nothing more; what runs is still waited for.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// How many steps are handed out and not over.
    pub const fn running(&self) -> usize {
        self.running_scripts + self.running_longruns
    }

    /// How many steps failed.
    pub const fn failures(&self) -> usize {
        self.failures
    }

    /// The services that are to change or to stay, closed under what they need.
    pub const fn selected(&self) -> &Set {
        &self.selected
    }

    /// Which services are up now, as far as this change knows.
    pub fn up(&self) -> Set {
        let mut up = self.done.clone();
        if self.rules.towards == Towards::Down {
            up.invert();
        }
        up
    }

    /// Selected services that did not get where they were to go. Meaningful once nothing runs.
    pub fn missed(&self) -> impl Iterator<Item = u16> + '_ {
        self.selected.iter().filter(|s| !self.done.contains(*s))
    }
}
