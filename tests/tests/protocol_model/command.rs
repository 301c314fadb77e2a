// SPDX-License-Identifier: ISC
//! What a command does next. Each call is one change of the world, so that a kill can come between any two of them.

use crate::scenario::{Back, Kind, Protocol, RESTART, Restart, Scenario, Second, Set, Step};
use crate::world::{At, Journal, Phase, Plan, Scripts, State, World, members};

/// How a step goes on.
enum Did {
    /// Something was done; there may be more.
    Something,
    /// It waits for a supervisor or a script.
    Waits,
    /// Nothing is left to do.
    Nothing,
}

/// A command at work.
pub struct Worker<'a> {
    pub world: &'a mut World,
    pub scenario: &'a Scenario,
    pub protocol: &'a Protocol,
}

/// The second command is the scenario's; the last one recovers, and those before it update.
const SECOND: usize = 1;
/// The recovery that comes when all others are over, and is not killed.
pub const LAST: usize = 3;

const fn updates(command: usize) -> bool {
    command != SECOND && command != LAST
}

impl Worker<'_> {
    /// Takes the command one change further; whether it could go on.
    pub fn go(&mut self, command: usize) -> bool {
        // A step with nothing left to do is no change: it goes straight to the next one.
        loop {
            let at = self.world.commands[command];
            let (did, then) = match at {
                At::Waiting | At::Ended | At::Dead => return false,
                At::Locked => {
                    if self.protocol.waits && !self.world.quiet() {
                        return false;
                    }
                    self.world.commands[command] = self.begin(command);
                    return true;
                }
                At::Update(n) => (self.update(usize::from(n)), self.next(command, at)),
                At::Forward(n) => {
                    (self.step(self.protocol.forward()[usize::from(n)]), self.next(command, at))
                }
                At::Back(n) => (self.back(self.protocol.back[usize::from(n)]), self.next(command, at)),
                At::Settle => {
                    let wanted = self.world.journal.map_or(0, |j| j.new_up);
                    self.settle(wanted);
                    self.world.commands[command] = At::Forward(0);
                    return true;
                }
                At::Mend => {
                    let wanted = self.world.journal.map_or(0, |j| j.new_up);
                    self.settle(wanted);
                    let start = self.protocol.restart.iter().position(|s| *s == Restart::Start).unwrap_or(0);
                    self.world.commands[command] = At::Restart(start as u8);
                    return true;
                }
                At::Restart(n) => {
                    (self.restart(self.protocol.restart[usize::from(n)]), self.next(command, at))
                }
                At::Change => (self.change(), At::Ended),
            };
            match did {
                Did::Something => return true,
                Did::Waits => return false,
                Did::Nothing => self.world.commands[command] = then,
            }
            if then == At::Ended {
                self.end(command);
                return true;
            }
        }
    }

    /// The step that follows; after a recovery the command's own work.
    fn next(&self, command: usize, at: At) -> At {
        let more = |n: u8, steps: usize| usize::from(n) + 1 < steps;
        match at {
            At::Update(n) if more(n, self.protocol.update.len()) => At::Update(n + 1),
            At::Forward(n) if more(n, self.protocol.forward().len()) => At::Forward(n + 1),
            At::Back(n) if more(n, self.protocol.back.len()) => At::Back(n + 1),
            At::Restart(n) if more(n, RESTART.len()) => At::Restart(n + 1),
            // An update that went back by itself is over; one that mended another's begins.
            At::Back(_) if updates(command) && self.world.disk_full => At::Ended,
            At::Restart(_) if command == SECOND => At::Ended,
            At::Forward(_) | At::Back(_) | At::Restart(_) if command != LAST => At::Locked,
            _ => At::Ended,
        }
    }

    /// The command holds the lock: first what another left, then its own work.
    fn begin(&mut self, command: usize) -> At {
        match self.world.journal {
            Some(journal) if !journal.update => return At::Mend,
            Some(_) if self.world.link == 1 => return At::Back(0),
            Some(_) => return At::Settle,
            None => {}
        }
        match (command, self.scenario.second) {
            // There is nothing to update any more.
            _ if updates(command) && self.world.link == 2 => At::Ended,
            _ if updates(command) => {
                self.plan();
                At::Update(0)
            }
            (SECOND, Second::Down(_) | Second::Up(_)) => {
                let (set, up) = self.scenario.asked(self.world.link);
                self.world.open |= set;
                if up {
                    self.world.wanted |= set
                } else {
                    self.world.wanted &= !set
                }
                At::Change
            }
            (SECOND, Second::Restart(_)) => {
                // Nothing else shall be different in the end.
                self.world.plan.old_up = self.world.up(self.scenario);
                (self.world.wanted, self.world.open) = (self.world.plan.old_up, 0);
                At::Restart(0)
            }
            _ => At::Ended,
        }
    }

    /// One change of a step of a restart.
    fn restart(&mut self, step: Restart) -> Did {
        let (link, plan) = (self.world.link, self.world.plan.old_up);
        let up = self.world.journal.map_or(plan, |j| j.new_up);
        match step {
            Restart::Journal => {
                let journal = Some(Journal { update: false, old_up: plan, new_up: plan });
                self.once(|w| core::mem::replace(&mut w.journal, journal) != journal)
            }
            Restart::Stop => self.take_down(link, self.scenario.asked(link).0 & plan),
            Restart::Start => self.bring_up(link, up),
            Restart::Done => self.finish_journal(link),
        }
    }

    /// A command has ended: what it was asked for must be so.
    fn end(&mut self, command: usize) {
        if command == SECOND {
            self.world.open &= !self.scenario.asked(self.world.link).0;
        }
    }

    fn plan(&mut self) {
        let restarts = |s: &usize| self.scenario.services[*s].restarts;
        let old_up = self.world.up(self.scenario);
        let stop = members(old_up).filter(restarts).fold(0, |set, s| set | 1 << s);
        let new_up = self.scenario.closure(2, old_up & self.scenario.of(2), true);
        self.world.plan = Plan { old_up, stop, new_up };
        (self.world.interrupted, self.world.disk_full) = (false, false);
        // From here on it is the update's business.
        (self.world.wanted, self.world.open) = (old_up, 0);
    }

    fn update(&mut self, at: usize) -> Did {
        self.step(self.protocol.update[at])
    }

    /// One change of a step of an update.
    fn step(&mut self, step: Step) -> Did {
        let plan = self.world.plan;
        match step {
            Step::Journal => {
                let journal = Some(Journal { update: true, old_up: plan.old_up, new_up: plan.new_up });
                self.once(|w| core::mem::replace(&mut w.journal, journal) != journal)
            }
            Step::Build => self.build(),
            Step::Stop => {
                let did = self.take_down(1, plan.stop);
                self.world.interrupted |= matches!(did, Did::Something);
                did
            }
            Step::States => self.write_states(),
            Step::Switch => {
                if self.world.link == 1 {
                    self.world.link = 2;
                    self.world.wanted = plan.new_up;
                    return Did::Something;
                }
                Did::Nothing
            }
            Step::Place => match self.remove_old() {
                Did::Nothing => self.place(),
                did => did,
            },
            Step::Replace => self.replace(),
            Step::Tidy => self.tidy(),
            Step::Done => self.finish_journal(2),
        }
    }

    fn remove_old(&mut self) -> Did {
        self.once(|w| w.generations[0].take().is_some())
    }

    fn place(&mut self) -> Did {
        match self.versions() {
            Did::Nothing => self.entries(),
            did => did,
        }
    }

    fn replace(&mut self) -> Did {
        match self.dismiss() {
            Did::Nothing => {}
            did => return did,
        }
        let up = self.world.journal.map_or(self.world.plan.new_up, |j| j.new_up);
        self.bring_up(2, up)
    }

    fn once(&mut self, act: impl FnOnce(&mut World) -> bool) -> Did {
        if act(self.world) { Did::Something } else { Did::Nothing }
    }

    /// New directories, new versions, then the generation that names them.
    fn build(&mut self) -> Did {
        for s in members(self.scenario.kind(2, Kind::Longrun)) {
            let (goes_on, changed) = (self.scenario.goes_on(s), self.scenario.services[s].changed);
            let d = &mut self.world.directories[s];
            if !goes_on && !d.exists {
                (d.exists, d.current, d.versions) = (true, 2, 1 << 2);
                return Did::Something;
            }
            if goes_on && changed && d.versions & (1 << 2) == 0 {
                d.versions |= 1 << 2;
                return Did::Something;
            }
        }
        self.once(|w| w.generations[1].replace([State::DOWN; crate::scenario::MOST]).is_none())
    }

    /// What goes on has the state that it has in the old generation.
    fn write_states(&mut self) -> Did {
        let Some(old) = self.world.generations[0] else { return Did::Nothing };
        let scenario = self.scenario;
        let Some(states) = self.world.states(2) else { return Did::Nothing };
        let before = *states;
        for s in members(scenario.of(2)).filter(|s| scenario.goes_on(*s)) {
            states[s] = old[s];
        }
        if before == *states { Did::Nothing } else { Did::Something }
    }

    fn versions(&mut self) -> Did {
        let foreign = self.scenario.foreign;
        for s in members(self.scenario.kind(2, Kind::Longrun)) {
            let d = &mut self.world.directories[s];
            if d.versions & (1 << 2) == 0 || d.current == 2 || d.next == 2 {
                continue;
            }
            if foreign {
                d.current = 2;
            } else {
                d.next = 2;
            }
            return Did::Something;
        }
        Did::Nothing
    }

    /// Adds entries, waits for the supervisors, then removes what the new generation does not have.
    fn entries(&mut self) -> Did {
        let new = self.scenario.kind(2, Kind::Longrun);
        if let Some(s) = members(new).find(|s| !self.world.directories[*s].entry) {
            self.world.directories[s].entry = true;
            return Did::Something;
        }
        if members(new).any(|s| !self.world.directories[s].supervised) {
            return Did::Waits;
        }
        self.once(|w| {
            let stale = (0..crate::scenario::MOST).find(|s| w.directories[*s].entry && new & (1 << s) == 0);
            stale.inspect(|s| w.directories[*s].entry = false).is_some()
        })
    }

    /// Sends away the supervisors of directories without a name, then removes the directories.
    fn dismiss(&mut self) -> Did {
        let named = self.scenario.kind(2, Kind::Longrun);
        for s in (0..crate::scenario::MOST).filter(|s| named & (1 << s) == 0) {
            let d = &mut self.world.directories[s];
            if !d.exists {
                continue;
            }
            if d.wanted_up {
                d.wanted_up = false;
                return Did::Something;
            }
            // An entry holds its supervisor: who removes the directory all the same does not wait for it.
            if d.supervised && !d.entry {
                return Did::Waits;
            }
            (d.exists, d.versions) = (false, 0);
            return Did::Something;
        }
        Did::Nothing
    }

    fn tidy(&mut self) -> Did {
        for s in members(self.scenario.kind(2, Kind::Longrun)) {
            let d = &mut self.world.directories[s];
            let used = (1 << d.current | 1 << d.next | 1 << d.process) & !1;
            if d.versions & !used != 0 {
                d.versions &= used;
                return Did::Something;
            }
        }
        Did::Nothing
    }

    /// The journal goes; after an update the judge looks whether a version was left that nobody uses and nobody has left since.
    fn finish_journal(&mut self, generation: u8) -> Did {
        let Some(journal) = self.world.journal else { return Did::Nothing };
        for s in members(self.scenario.kind(generation, Kind::Longrun)) {
            let d = self.world.directories[s];
            let used = (1 << d.current | 1 << d.next | 1 << d.process) & !1;
            self.world.litter |= journal.update && d.versions & !used != 0 && !d.died;
        }
        self.world.journal = None;
        Did::Something
    }

    /// One change of a step back.
    fn back(&mut self, step: Back) -> Did {
        let up = self.world.journal.map_or(self.world.plan.old_up, |j| j.old_up);
        match step {
            Back::Undo => match self.undo() {
                Did::Nothing => {
                    self.settle(up);
                    Did::Nothing
                }
                did => did,
            },
            Back::BringUp => self.bring_up(1, up),
            Back::Done => self.finish_journal(1),
        }
    }

    fn undo(&mut self) -> Did {
        let named = self.scenario.kind(1, Kind::Longrun);
        for s in 0..self.scenario.services.len() {
            let d = &mut self.world.directories[s];
            if named & (1 << s) == 0 && d.exists {
                (d.exists, d.versions) = (false, 0);
                return Did::Something;
            }
            if named & (1 << s) != 0 && d.versions & (1 << 2) != 0 {
                d.versions &= !(1 << 2);
                if d.next == 2 {
                    d.next = 0;
                }
                return Did::Something;
            }
        }
        self.once(|w| w.generations[1].take().is_some())
    }

    /// Makes the states true: what was cut short is marked, and counts as down where it is wanted up.
    fn settle(&mut self, wanted: Set) {
        let (link, oneshots) = (self.world.link, self.scenario.kind(self.world.link, Kind::Oneshot));
        for s in members(oneshots) {
            let state = self.world.state(s);
            let cut = state.uncertain || matches!(state.phase, Phase::Starting | Phase::Stopping);
            if cut {
                let up = state.is_up() && wanted & (1 << s) == 0;
                let phase = if up { Phase::Up } else { Phase::Down };
                self.world.note(link, s, State { phase, uncertain: true });
            }
        }
    }

    fn change(&mut self) -> Did {
        let (set, up) = self.scenario.asked(self.world.link);
        let link = self.world.link;
        if up { self.bring_up(link, set) } else { self.take_down(link, set) }
    }

    /// Starts a service of the set whose needs are met; waits for those under way.
    fn bring_up(&mut self, generation: u8, set: Set) -> Did {
        let mut waits = false;
        for s in members(self.scenario.closure(generation, set, true)) {
            if self.is_ready(s) {
                continue;
            }
            waits = true;
            let needs = self.scenario.needs(generation, s).unwrap_or(0);
            if self.is_begun(s, true) || members(needs).any(|n| !self.is_ready(n)) {
                continue;
            }
            match self.scenario.services[s].kind {
                Kind::Longrun => {
                    let d = &mut self.world.directories[s];
                    (d.wanted_up, d.died) = (true, false);
                }
                Kind::Oneshot => {
                    self.world.note(generation, s, State::sure(Phase::Starting));
                    self.world.scripts[s].up = generation;
                }
            }
            return Did::Something;
        }
        if waits { Did::Waits } else { Did::Nothing }
    }

    /// Stops a service of the set that nothing of the set needs any more; waits for those under way.
    fn take_down(&mut self, generation: u8, set: Set) -> Did {
        let mut waits = false;
        for s in members(set) {
            if self.is_down(s) {
                continue;
            }
            waits = true;
            let needed = |n: usize| self.scenario.needs(generation, n).unwrap_or(0) & (1 << s) != 0;
            if self.is_begun(s, false) || members(set).any(|n| needed(n) && !self.is_down(n)) {
                continue;
            }
            match self.scenario.services[s].kind {
                Kind::Longrun => {
                    let d = &mut self.world.directories[s];
                    (d.wanted_up, d.died) = (false, false);
                }
                Kind::Oneshot => {
                    self.world.note(generation, s, State::sure(Phase::Stopping));
                    self.world.scripts[s].down = generation;
                }
            }
            return Did::Something;
        }
        if waits { Did::Waits } else { Did::Nothing }
    }

    /// Whether its start or stop is under way. Scripts of a command that died are not this one's.
    fn is_begun(&self, service: usize, up: bool) -> bool {
        let Scripts { up: starting, down: stopping } = self.world.scripts[service];
        match self.scenario.services[service].kind {
            Kind::Longrun => self.world.directories[service].wanted_up == up,
            Kind::Oneshot => {
                if up {
                    starting != 0
                } else {
                    stopping != 0
                }
            }
        }
    }

    fn is_ready(&self, service: usize) -> bool {
        match self.scenario.services[service].kind {
            // One that was told to stop may still have its process.
            Kind::Longrun => {
                let d = self.world.directories[service];
                d.wanted_up && d.process != 0
            }
            Kind::Oneshot => self.world.state(service).is_up(),
        }
    }

    fn is_down(&self, service: usize) -> bool {
        match self.scenario.services[service].kind {
            Kind::Longrun => {
                !self.world.directories[service].wanted_up && self.world.directories[service].process == 0
            }
            Kind::Oneshot => self.world.state(service).phase == Phase::Down,
        }
    }
}
