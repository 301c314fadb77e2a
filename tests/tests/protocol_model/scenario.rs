// SPDX-License-Identifier: ISC
//! What is modelled: a few services in an old and a new image, two commands, and which mistakes the protocol makes.

/// Services at the most.
pub const MOST: usize = 4;

/// A set of services, one bit each.
pub type Set = u8;

/// What kind of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A supervised process.
    Longrun,
    /// A pair of scripts.
    Oneshot,
}

/// A service: in the old image, the new one, or both, where it is the same service and goes on.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub kind: Kind,
    /// What it needs in the old image, if it is there.
    pub old: Option<Set>,
    /// What it needs in the new image.
    pub new: Option<Set>,
    /// Whether its files differ.
    pub changed: bool,
    /// Whether the update's plan restarts it where it is up.
    pub restarts: bool,
}

/// What the second command wants.
#[derive(Clone, Copy, Debug)]
pub enum Second {
    /// `skeg recover`
    Recover,
    /// `s6-rc -d change SERVICE`
    Down(usize),
    /// `s6-rc -u change SERVICE`
    Up(usize),
    /// `skeg restart SERVICE`
    Restart(usize),
}

/// Steps of an update, as `crates/live/PROTOCOL.md` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// U1: the journal is written.
    Journal,
    /// U2: the next generation is built.
    Build,
    /// U3: what must stop is stopped.
    Stop,
    /// U4: the states of the next generation are written.
    States,
    /// U5: the link is switched.
    Switch,
    /// U6: the old generation is removed, new definitions become the next ones, entries of the scan directory are those of the
    /// new generation.
    Place,
    /// U7: directories without a name are let go, what shall be up is started.
    Replace,
    /// U8: versions that nobody uses are removed.
    Tidy,
    /// U9: the journal is removed.
    Done,
}

/// The steps in their order.
pub const UPDATE: [Step; 9] = [
    Step::Journal,
    Step::Build,
    Step::Stop,
    Step::States,
    Step::Switch,
    Step::Place,
    Step::Replace,
    Step::Tidy,
    Step::Done,
];

/// Steps of a recovery that leads back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Back {
    /// What the update built is removed, and the states are made true.
    Undo,
    /// What was up is brought up.
    BringUp,
    /// The journal is removed.
    Done,
}

/// The steps in their order.
pub const BACK: [Back; 3] = [Back::Undo, Back::BringUp, Back::Done];

/// Steps of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restart {
    /// The journal is written: what shall be up in the end.
    Journal,
    /// The service and what needs it are stopped.
    Stop,
    /// What was up is started.
    Start,
    /// The journal is removed.
    Done,
}

/// The steps in their order. A recovery begins at the third.
pub const RESTART: [Restart; 4] = [Restart::Journal, Restart::Stop, Restart::Start, Restart::Done];

/// A protocol: the real one, or one with a mistake.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub update: Vec<Step>,
    pub back: Vec<Back>,
    pub restart: Vec<Restart>,
    /// Whether a command waits until the scripts of a command that died are over, before it looks at the states.
    pub waits: bool,
}

impl Protocol {
    /// As it is written down.
    pub fn right() -> Self {
        Self { update: UPDATE.to_vec(), back: BACK.to_vec(), restart: RESTART.to_vec(), waits: true }
    }

    /// With this step of the update and the next one swapped.
    pub fn swapped(at: usize) -> Self {
        let mut protocol = Self::right();
        protocol.update.swap(at, at + 1);
        protocol
    }

    /// With this step of the way back and the next one swapped.
    pub fn swapped_back(at: usize) -> Self {
        let mut protocol = Self::right();
        protocol.back.swap(at, at + 1);
        protocol
    }

    /// With this step of a restart and the next one swapped.
    pub fn swapped_restart(at: usize) -> Self {
        let mut protocol = Self::right();
        protocol.restart.swap(at, at + 1);
        protocol
    }

    /// The steps after the commit, in the order of this protocol.
    pub fn forward(&self) -> Vec<Step> {
        let after = |step: &&Step| {
            !matches!(step, Step::Journal | Step::Build | Step::Stop | Step::States | Step::Switch)
        };
        self.update.iter().filter(after).copied().collect()
    }
}

/// What is checked in one run.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub services: &'static [Service],
    /// What is up at first.
    pub up: Set,
    pub second: Second,
    /// Whether the supervisors are someone else's: then a command moves `current` at once.
    pub foreign: bool,
    /// Commands that may be killed.
    pub kills: u8,
    /// Services that may die, and once the oneshot runner.
    pub deaths: u8,
}

const fn longrun(old: Option<Set>, new: Option<Set>) -> Service {
    Service { kind: Kind::Longrun, old, new, changed: false, restarts: false }
}

const fn oneshot(old: Option<Set>, new: Option<Set>) -> Service {
    Service { kind: Kind::Oneshot, old, new, changed: false, restarts: false }
}

impl Service {
    const fn changed(self) -> Self {
        Self { changed: true, ..self }
    }

    const fn restarts(self) -> Self {
        Self { restarts: true, ..self }
    }
}

/// A run file changes, and waits for the next start; a oneshot beside it stays up.
const IN_PLACE: &[Service] = &[longrun(Some(0), Some(0)).changed(), oneshot(Some(0), Some(0))];
/// A oneshot and the longrun that needs it are restarted.
const AGAIN: &[Service] =
    &[oneshot(Some(0), Some(0)).restarts(), longrun(Some(0b01), Some(0b01)).changed().restarts()];
/// One service goes, another comes and is needed by a third.
const MOVES: &[Service] =
    &[longrun(Some(0), None).restarts(), longrun(None, Some(0)), oneshot(Some(0), Some(0b010)).restarts()];
/// A longrun goes, a oneshot goes, and one that needed both stays, with another definition.
const LEAVES: &[Service] = &[
    longrun(Some(0), None).restarts(),
    oneshot(Some(0), None).restarts(),
    longrun(Some(0b011), Some(0)).changed().restarts(),
];

const fn scenario(name: &'static str, services: &'static [Service], up: Set, second: Second) -> Scenario {
    Scenario { name, services, up, second, foreign: false, kills: 3, deaths: 1 }
}

/// Every run.
pub const SCENARIOS: &[Scenario] = &[
    scenario("in place, recover", IN_PLACE, 0b11, Second::Recover),
    scenario("in place, a stop", IN_PLACE, 0b11, Second::Down(0)),
    scenario("in place, a start", IN_PLACE, 0b10, Second::Up(0)),
    scenario("in place, a restart", IN_PLACE, 0b11, Second::Restart(0)),
    Scenario { foreign: true, ..scenario("in place, foreign", IN_PLACE, 0b11, Second::Recover) },
    scenario("again, recover", AGAIN, 0b11, Second::Recover),
    scenario("again, a stop", AGAIN, 0b11, Second::Down(0)),
    scenario("again, a start", AGAIN, 0b00, Second::Up(1)),
    scenario("again, a restart", AGAIN, 0b11, Second::Restart(0)),
    Scenario { foreign: true, ..scenario("again, foreign", AGAIN, 0b11, Second::Recover) },
    scenario("moves, recover", MOVES, 0b101, Second::Recover),
    scenario("moves, a stop", MOVES, 0b101, Second::Down(2)),
    scenario("leaves, recover", LEAVES, 0b111, Second::Recover),
];
