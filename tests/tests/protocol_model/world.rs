// SPDX-License-Identifier: ISC
//! What is there: the link, generations, journal, service directories, scan directory, supervisors, scripts; and what
//! the supervisors, the services and the oneshot runner do by themselves.

use crate::scenario::{Kind, MOST, Scenario, Second, Set};

/// The phase in a state byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Down,
    Up,
    Starting,
    Stopping,
}

/// A state byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub phase: Phase,
    pub uncertain: bool,
}

impl State {
    pub const DOWN: Self = Self::sure(Phase::Down);

    pub const fn sure(phase: Phase) -> Self {
        Self { phase, uncertain: false }
    }

    /// As it counts when no script runs.
    pub const fn is_up(self) -> bool {
        matches!(self.phase, Phase::Up | Phase::Stopping)
    }
}

/// The directory of a longrun and its process. Versions are generations: 1, 2; 0 = none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Directory {
    pub exists: bool,
    pub current: u8,
    pub next: u8,
    /// Bit n: version n is there.
    pub versions: u8,
    /// The scan directory has an entry.
    pub entry: bool,
    pub supervised: bool,
    pub wanted_up: bool,
    /// The version that the process was started from; 0 = no process.
    pub process: u8,
    /// The process died by itself, and the supervisor has not started it again or has done so on its own.
    pub died: bool,
}

/// Scripts of a oneshot that run: the generation whose state file they record in; 0 = none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scripts {
    pub up: u8,
    pub down: u8,
}

/// What a journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Journal {
    /// Whether it is that of an update; else that of a change, and both sets are the same.
    pub update: bool,
    pub old_up: Set,
    pub new_up: Set,
}

/// What a command is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// It has not got the lock.
    Waiting,
    /// It holds the lock and has done nothing.
    Locked,
    /// A step of the update, by its place in the protocol.
    Update(u8),
    /// A step of the way back.
    Back(u8),
    /// The states of the new generation are made true, before a recovery goes forward.
    Settle,
    /// A step of the way forward.
    Forward(u8),
    /// Services go up or down, as was asked for.
    Change,
    /// A step of a restart.
    Restart(u8),
    /// The states are made true, before a recovery finishes a restart.
    Mend,
    /// It has ended by itself.
    Ended,
    /// It was killed.
    Dead,
}

/// The plan of an update, in its command's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Plan {
    pub old_up: Set,
    pub stop: Set,
    pub new_up: Set,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The generation in force.
    pub link: u8,
    /// The states of the generations that are there.
    pub generations: [Option<[State; MOST]>; 2],
    pub journal: Option<Journal>,
    pub directories: [Directory; MOST],
    pub scripts: [Scripts; MOST],
    /// Oneshots whose `up` has taken effect.
    pub effect: Set,
    /// The update, the second command, the update again, and the recovery that comes last and is not killed.
    pub commands: [At; 4],
    pub plan: Plan,
    pub kills: u8,
    pub deaths: u8,
    pub runner_deaths: u8,
    /// For the judge: what shall be up, and of which it can't be said.
    pub wanted: Set,
    pub open: Set,
    /// For the judge: the update has interrupted a service; it found the disk full.
    pub interrupted: bool,
    pub disk_full: bool,
    /// For the judge: a version was left behind.
    pub litter: bool,
}

/// The members of a set.
pub fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..MOST).filter(move |s| set & (1 << s) != 0)
}

impl Scenario {
    /// The services of a generation.
    pub fn of(&self, generation: u8) -> Set {
        let there = |s: &usize| self.needs(generation, *s).is_some();
        (0..self.services.len()).filter(there).fold(0, |set, s| set | 1 << s)
    }

    /// What a service needs, if it is there.
    pub fn needs(&self, generation: u8, service: usize) -> Option<Set> {
        let service = self.services[service];
        if generation == 1 { service.old } else { service.new }
    }

    /// The longruns, or the oneshots, of a generation.
    pub fn kind(&self, generation: u8, kind: Kind) -> Set {
        members(self.of(generation)).filter(|s| self.services[*s].kind == kind).fold(0, |set, s| set | 1 << s)
    }

    /// Whether the service is in both images.
    pub fn goes_on(&self, service: usize) -> bool {
        self.services[service].old.is_some() && self.services[service].new.is_some()
    }

    /// The set with what it needs (up), or with what needs it.
    pub fn closure(&self, generation: u8, mut set: Set, up: bool) -> Set {
        set &= self.of(generation);
        for _ in 0..MOST {
            for s in members(self.of(generation)) {
                let needs = self.needs(generation, s).unwrap_or(0);
                if up && set & (1 << s) != 0 {
                    set |= needs;
                } else if !up && needs & set != 0 {
                    set |= 1 << s;
                }
            }
        }
        set
    }

    /// What the second command changes in this generation, and whether it goes up.
    pub fn asked(&self, generation: u8) -> (Set, bool) {
        match self.second {
            Second::Recover => (0, true),
            Second::Down(s) | Second::Restart(s) => (self.closure(generation, 1 << s, false), false),
            Second::Up(s) => (self.closure(generation, 1 << s, true), true),
        }
    }

    /// Before anything happens.
    pub fn start(&self) -> World {
        let mut states = [State::DOWN; MOST];
        let mut directories = [Directory::default(); MOST];
        for s in members(self.of(1)) {
            let up = self.up & (1 << s) != 0;
            if up {
                states[s] = State::sure(Phase::Up);
            }
            if self.services[s].kind == Kind::Longrun {
                directories[s] = Directory {
                    exists: true,
                    current: 1,
                    versions: 1 << 1,
                    entry: true,
                    supervised: true,
                    wanted_up: up,
                    process: u8::from(up),
                    ..Directory::default()
                };
            }
        }
        World {
            link: 1,
            generations: [Some(states), None],
            journal: None,
            directories,
            scripts: [Scripts::default(); MOST],
            effect: self.up & self.kind(1, Kind::Oneshot),
            commands: [At::Waiting; 4],
            plan: Plan::default(),
            kills: self.kills,
            deaths: self.deaths,
            runner_deaths: self.deaths,
            wanted: self.up,
            open: 0,
            interrupted: false,
            disk_full: false,
            litter: false,
        }
    }
}

impl World {
    /// The state bytes of a generation.
    pub fn states(&mut self, generation: u8) -> Option<&mut [State; MOST]> {
        self.generations[usize::from(generation) - 1].as_mut()
    }

    /// A service's state byte in the generation in force.
    pub fn state(&self, service: usize) -> State {
        self.generations[usize::from(self.link) - 1].map_or(State::DOWN, |states| states[service])
    }

    /// Notes a service's state in a generation, if that is still there.
    pub fn note(&mut self, generation: u8, service: usize, state: State) {
        if let Some(states) = self.states(generation) {
            states[service] = state;
        }
    }

    /// Whether a service counts as up: a longrun's supervisor knows, a oneshot's byte says.
    pub fn is_up(&self, scenario: &Scenario, service: usize) -> bool {
        match scenario.services[service].kind {
            Kind::Longrun => self.directories[service].wanted_up,
            Kind::Oneshot => self.state(service).is_up(),
        }
    }

    /// What counts as up in the generation in force.
    pub fn up(&self, scenario: &Scenario) -> Set {
        members(scenario.of(self.link)).filter(|s| self.is_up(scenario, *s)).fold(0, |set, s| set | 1 << s)
    }

    /// Whether no script runs.
    pub fn quiet(&self) -> bool {
        self.scripts.iter().all(|s| *s == Scripts::default())
    }

    /// Whether a command holds the lock.
    pub fn locked(&self) -> bool {
        self.commands.iter().any(|c| !matches!(c, At::Waiting | At::Ended | At::Dead))
    }
}

/// What happens without a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The scanner has seen an entry and has its directory supervised.
    Supervise(usize),
    /// The supervisor of a directory without an entry leaves.
    Leave(usize),
    /// The supervisor starts the process.
    Spawn(usize),
    /// A process that was told to has ended.
    Exit(usize),
    /// A process dies by itself.
    Die(usize),
    /// A script ends: `up`, or `down`.
    Script(usize, bool),
    /// The oneshot runner dies, with its scripts, whose effect has or has not taken place.
    RunnerDies(bool),
}

impl World {
    /// What may happen now.
    pub fn events(&self, events: &mut Vec<Event>) {
        for (s, d) in self.directories.iter().enumerate() {
            if d.entry && d.exists && !d.supervised {
                events.push(Event::Supervise(s));
            }
            if d.supervised && !d.entry && !d.wanted_up && d.process == 0 {
                events.push(Event::Leave(s));
            }
            if d.supervised && d.wanted_up && d.process == 0 {
                events.push(Event::Spawn(s));
            }
            if d.process != 0 && !d.wanted_up {
                events.push(Event::Exit(s));
            }
            if d.process != 0 && d.wanted_up && self.deaths > 0 {
                events.push(Event::Die(s));
            }
        }
        for (s, scripts) in self.scripts.iter().enumerate() {
            if scripts.up != 0 {
                events.push(Event::Script(s, true));
            }
            if scripts.down != 0 {
                events.push(Event::Script(s, false));
            }
        }
        // A command that lives would end with a failure: that is another protocol.
        if self.runner_deaths > 0 && !self.quiet() && !self.locked() {
            events.push(Event::RunnerDies(false));
            events.push(Event::RunnerDies(true));
        }
    }

    /// Makes it happen.
    pub fn happen(&mut self, event: Event, scenario: &Scenario) {
        match event {
            Event::Supervise(s) => self.directories[s].supervised = true,
            Event::Leave(s) => self.directories[s].supervised = false,
            Event::Exit(s) => self.directories[s].process = 0,
            Event::Die(s) => {
                self.deaths -= 1;
                self.directories[s].process = 0;
                self.directories[s].died = true;
            }
            Event::Spawn(s) => {
                let d = &mut self.directories[s];
                if d.next != 0 && !scenario.foreign {
                    d.current = core::mem::take(&mut d.next);
                }
                d.process = d.current;
            }
            Event::Script(s, up) => self.end_script(s, up, true),
            Event::RunnerDies(effect) => {
                self.runner_deaths -= 1;
                for s in 0..MOST {
                    let scripts = core::mem::take(&mut self.scripts[s]);
                    if scripts != Scripts::default() && effect {
                        self.set_effect(s, scripts.up != 0);
                    }
                }
            }
        }
    }

    fn set_effect(&mut self, service: usize, up: bool) {
        if up {
            self.effect |= 1 << service;
        } else {
            self.effect &= !(1 << service);
        }
    }

    fn end_script(&mut self, service: usize, up: bool, good: bool) {
        let scripts = &mut self.scripts[service];
        let generation = core::mem::take(if up { &mut scripts.up } else { &mut scripts.down });
        if good {
            self.set_effect(service, up);
            self.note(generation, service, State::sure(if up { Phase::Up } else { Phase::Down }));
        }
    }
}
