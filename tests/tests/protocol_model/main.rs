// SPDX-License-Identifier: ISC
//! The update protocol of `crates/live/PROTOCOL.md` as a model, checked exhaustively for small trees.
//!
//! An update, a recovery or a change, and the update once more, each killed at any point, in any order, with services that
//! die, supervisors and scripts that take their time, a oneshot runner that dies, and a disk that is full. At the end
//! comes a recovery that is not killed. The properties are the promises of "What a kill may leave". That the model can tell a right protocol
//! from a wrong one is shown by swapping each two neighbouring steps.

mod command;
mod scenario;
mod world;

use command::{LAST, Worker};
use scenario::{BACK, Kind, MOST, Protocol, RESTART, SCENARIOS, Scenario, Step, UPDATE};
use stateright::{Checker, HasDiscoveries, Model, Property};
use world::{At, Event, Phase, World, members};

/// A protocol at work in a scenario.
#[derive(Clone)]
struct Run {
    scenario: &'static Scenario,
    protocol: Protocol,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// A command gets the lock.
    Lock(usize),
    /// A command does its next change.
    Go(usize),
    /// A command is killed.
    Kill(usize),
    /// The update finds the disk full.
    DiskFull(usize),
    /// Something that needs no command.
    Event(Event),
}

impl Model for Run {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.scenario.start()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let over = world.commands[..LAST].iter().all(|c| matches!(c, At::Ended | At::Dead));
        for (command, at) in world.commands.iter().enumerate() {
            match at {
                At::Waiting if !world.locked() && (command != LAST || over) => {
                    actions.push(Action::Lock(command))
                }
                At::Waiting | At::Ended | At::Dead => {}
                at => {
                    let (mut next, scenario, protocol) = (world.clone(), self.scenario, &self.protocol);
                    if (Worker { world: &mut next, scenario, protocol }).go(command) {
                        actions.push(Action::Go(command));
                    }
                    if command != LAST && world.kills > 0 {
                        actions.push(Action::Kill(command));
                    }
                    if matches!(at, At::Update(n) if self.protocol.update[usize::from(*n)] == Step::Build) {
                        actions.push(Action::DiskFull(command));
                    }
                }
            }
        }
        let mut events = Vec::new();
        world.events(&mut events);
        actions.extend(events.into_iter().map(Action::Event));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Lock(command) => next.commands[command] = At::Locked,
            Action::Go(command) => {
                Worker { world: &mut next, scenario: self.scenario, protocol: &self.protocol }.go(command);
            }
            Action::Kill(command) => {
                next.kills -= 1;
                next.commands[command] = At::Dead;
            }
            Action::DiskFull(command) => {
                next.disk_full = true;
                next.commands[command] = At::Back(0);
            }
            Action::Event(event) => next.happen(event, self.scenario),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("definitions and database are exactly the old or the new", exact),
            Property::always("no entry of the scan directory dangles", |_, w: &World| {
                w.directories.iter().all(|d| !d.entry || d.exists)
            }),
            Property::always(
                "no version goes while a process that was started from it lives",
                |_, w: &World| {
                    w.directories
                        .iter()
                        .all(|d| d.process == 0 || d.exists && d.versions & (1 << d.process) != 0)
                },
            ),
            Property::always("each state of a oneshot is true or marked", truthful),
            Property::always("nothing is left over when no command is unfinished", clean),
            Property::always("what was wanted up is up when no command is unfinished", wanted),
            Property::always("a full disk interrupts no service", |_, w: &World| {
                !(w.disk_full && w.interrupted)
            }),
            Property::always("the last recovery ends", |run: &Run, w: &World| {
                let mut actions = Vec::new();
                run.actions(w, &mut actions);
                !actions.is_empty() || w.commands[LAST] == At::Ended && w.journal.is_none()
            }),
        ]
    }
}

/// The generation in force is whole, and each of its directories has its definition.
fn exact(run: &Run, world: &World) -> bool {
    let named = run.scenario.kind(world.link, Kind::Longrun);
    world.generations[usize::from(world.link) - 1].is_some()
        && members(named).all(|s| {
            let d = world.directories[s];
            let has = |version: u8| d.versions & (1 << version) != 0;
            let whole = d.exists && has(d.current) && (d.next == 0 || has(d.next));
            let changed = run.scenario.services[s].changed;
            whole
                && match world.link {
                    1 => d.current == 1 && d.next == 0,
                    _ if !run.scenario.goes_on(s) => d.current == 2,
                    _ if changed && world.journal.is_none() => d.current == 2 || d.next == 2,
                    _ => changed || d.current == 1 && d.next == 0,
                }
        })
}

fn truthful(run: &Run, world: &World) -> bool {
    members(run.scenario.kind(world.link, Kind::Oneshot)).all(|s| {
        let (state, up) = (world.state(s), world.effect & (1 << s) != 0);
        match state.phase {
            _ if state.uncertain => true,
            Phase::Starting | Phase::Stopping => true,
            Phase::Up => up,
            Phase::Down => !up,
        }
    })
}

/// No command is at work, and none was cut short.
fn idle(world: &World) -> bool {
    world.journal.is_none() && !world.locked()
}

fn clean(run: &Run, world: &World) -> bool {
    let named = run.scenario.kind(world.link, Kind::Longrun);
    !idle(world)
        || !world.litter
            && world.generations[2 - usize::from(world.link)].is_none()
            && (0..MOST).all(|s| {
                let (d, is_named) = (world.directories[s], named & (1 << s) != 0);
                let versions = world.link == 2 || d.versions & !(1 << 1) == 0;
                d.exists == is_named && d.entry == is_named && versions
            })
}

fn wanted(run: &Run, world: &World) -> bool {
    !idle(world)
        || !world.quiet()
        || members(run.scenario.of(world.link) & !world.open)
            .all(|s| world.is_up(run.scenario, s) == (world.wanted & (1 << s) != 0))
}

/// Checks all that can happen; what was violated, and how many states there were.
fn check(
    scenario: &'static Scenario,
    protocol: &Protocol,
    when: HasDiscoveries,
) -> (Vec<&'static str>, usize) {
    let run = Run { scenario, protocol: protocol.clone() };
    let checker = run.checker().finish_when(when).threads(2).spawn_bfs().join();
    let found = checker.discoveries();
    if let Some((name, path)) = found.iter().next().filter(|_| std::env::var_os("SKEG_PATH").is_some()) {
        println!("{}: {name}: {:?}", scenario.name, path.clone().into_actions());
    }
    let mut violated: Vec<_> = found.keys().copied().collect();
    violated.sort_unstable();
    (violated, checker.unique_state_count())
}

#[test]
fn whatever_is_killed_the_promises_hold() {
    for scenario in SCENARIOS {
        let (violated, states) = check(scenario, &Protocol::right(), HasDiscoveries::All);
        println!("{}: {states} states", scenario.name);
        assert!(violated.is_empty(), "{}: {violated:?}", scenario.name);
        assert!(states > 1000, "{}: only {states} states", scenario.name);
    }
}

/// Whether some scenario shows that the protocol is wrong.
fn is_wrong(protocol: &Protocol) -> Option<String> {
    SCENARIOS.iter().find_map(|scenario| {
        let (violated, _) = check(scenario, protocol, HasDiscoveries::Any);
        (!violated.is_empty()).then(|| format!("{}: {violated:?}", scenario.name))
    })
}

#[test]
fn swapping_two_neighbouring_steps_of_an_update_is_noticed() {
    for at in 0..UPDATE.len() - 1 {
        let pair = (UPDATE[at], UPDATE[at + 1]);
        let wrong = is_wrong(&Protocol::swapped(at));
        println!("{pair:?}: {wrong:?}");
        assert!(wrong.is_some(), "{pair:?}");
    }
}

#[test]
fn swapping_two_neighbouring_steps_of_the_way_back_is_noticed() {
    for at in 0..BACK.len() - 1 {
        let wrong = is_wrong(&Protocol::swapped_back(at));
        println!("{:?}, {:?}: {wrong:?}", BACK[at], BACK[at + 1]);
        assert!(wrong.is_some(), "{:?}, {:?}", BACK[at], BACK[at + 1]);
    }
}

#[test]
fn swapping_two_neighbouring_steps_of_a_restart_is_noticed() {
    for at in 0..RESTART.len() - 1 {
        let wrong = is_wrong(&Protocol::swapped_restart(at));
        println!("{:?}, {:?}: {wrong:?}", RESTART[at], RESTART[at + 1]);
        assert!(wrong.is_some(), "{:?}, {:?}", RESTART[at], RESTART[at + 1]);
    }
}

#[test]
fn a_command_that_does_not_wait_for_scripts_of_the_dead_is_noticed() {
    let wrong = is_wrong(&Protocol { waits: false, ..Protocol::right() });
    println!("{wrong:?}");
    assert!(wrong.is_some());
}
