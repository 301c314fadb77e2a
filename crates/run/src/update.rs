// SPDX-License-Identifier: ISC
//! Carries an update out: `PROTOCOL.md` of the crate `live` in code. Used by `s6-rc-update` and `skeg apply`.
//!
//! The next generation is built before anything stops, so that a full file system is found out while nothing has
//! happened yet. The link is the commit point: before it every failure leads back, after it everything leads forward.

use crate::forward::{Built, Forward, SWITCH, Way, moves_entries};
use crate::note::{Note, Outcome, RunError};
use crate::owed::owe;
use crate::recover::{settle, start};
use crate::session::{Desk, Session, Terms};
use alloc::vec::Vec;
use core::ffi::CStr;
use engine::{Image, Set, Towards};
use live::journal::{self, Journal, Side, Update};
use live::service_dir::{self, add_version};
use live::tree::Status;
use live::{Builder, Id, ImageSource, Live, LiveError, Names, Notes, Phase, ScanDir, State, Umask};
use sys::Path;
use sys::fault::step_at;
use sys::time::Millis;
use update::{Plan, Restricted};

/// The steps before the commit, as `PROTOCOL.md` numbers them (U1 …).
const JOURNAL: u8 = 1;
const BUILD: u8 = 2;
const STOP: u8 = 3;
const STATES: u8 = 4;

/// What an update needs to know beside its plan.
pub struct Request<'a> {
    /// The new image's path as the user gave it.
    pub compiled: &'a CStr,
    /// Its bytes or path.
    pub source: ImageSource<'a>,
    /// Whether essential services stop, too.
    pub stop_essentials: bool,
    /// When it must be over.
    pub deadline: Option<Millis>,
    /// Scripts that run at once.
    pub scripts: u16,
}

/// How an update ended.
pub enum Updated {
    /// The new image is in force: how the starts went.
    Switched(Outcome),
    /// Something did not stop: the old image is in force, services are as the stops left them.
    NotSwitched(Outcome),
}

/// Why an update broke off. Before the switch, all was brought back as far as that could be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateError {
    /// Before the switch: the old image is in force.
    Before(RunError),
    /// After the switch: the new image is in force, `skeg recover` or the next command finishes it.
    After(RunError),
}

impl From<LiveError> for UpdateError {
    fn from(error: LiveError) -> Self {
        Self::Before(error.into())
    }
}

/// Whom to tell: a transition of a service of the old image, or of the new one.
pub struct Listeners<'a> {
    /// Stops; indices of the old image.
    pub old: &'a mut dyn FnMut(Note),
    /// Starts; indices of the new image.
    pub new: &'a mut dyn FnMut(Note),
}

/// The journal of a plan.
fn journal_of(plan: &Plan<'_>, old: u32, new: u32) -> Update {
    let mut wanted = plan.up_after();
    engine::close(&Image::new(plan.new), &mut wanted, Towards::Up);
    let members = |set: &Set, len: usize| journal::Set::from_bools((0..len as u16).map(|s| set.contains(s)));
    Update {
        old: Side { generation: old, hash: plan.old.hash() },
        new: Side { generation: new, hash: plan.new.hash() },
        old_up: members(&plan.old_up, plan.old.len()),
        new_up: members(&wanted, plan.new.len()),
        from: (0..plan.new.len() as u16).map(|s| plan.mapping.same(s).unwrap_or(u16::MAX)).collect(),
    }
}

/// Performs a plan. The live directory is locked, no journal is there, and the plan was made from its states.
pub fn update(
    live: &mut Live,
    old: &Image<'_>,
    new: &Image<'_>,
    plan: &Plan<'static>,
    request: &Request<'_>,
    tell: &mut Listeners<'_>,
) -> Result<Updated, UpdateError> {
    if plan.old.hash() == plan.new.hash() && plan.stop.is_empty() && plan.start.is_empty() {
        // The same image: only where it came from may be another.
        live.generation().set_compiled(request.compiled)?;
        return Ok(Updated::Switched(Outcome::default()));
    }
    let number = live.generation().number();
    let next = number.checked_add(1).ok_or(LiveError::BAD_STATE)?;
    let names = Names::of(live.states());
    let journal = journal_of(plan, number, next);
    let forward =
        Forward { image: new, plan: Some(plan), deadline: request.deadline, scripts: request.scripts };
    let mut way = Way::new(&forward, &journal);
    let mut stopped = false;
    for place in JOURNAL..=SWITCH {
        let step = step_at(place);
        stopped |= step == STOP && !plan.stop.is_empty();
        let done = match step {
            JOURNAL => Journal::Update(journal.clone()).write(live.locked().sv()).map_err(RunError::from),
            BUILD => build(live, &names, plan, request, next).map(|built| way.built = Some(built)),
            STOP => match stop(live, old, plan, request, &mut way.desk, tell.old) {
                Ok(mut outcome) if !outcome.is_good() => {
                    // The command is over: what it stopped stays stopped, as the reference leaves it, and is owed.
                    live::undo_update(live.locked(), &names, &journal)?;
                    let mut wanted = plan.old_up.clone();
                    wanted.add_all(&plan.owed);
                    owe(live, old, &wanted, &mut outcome, tell.old)?;
                    Journal::remove(live.locked().sv())?;
                    return Ok(Updated::NotSwitched(outcome));
                }
                other => other.map(|_| ()),
            },
            STATES => write_states(live, plan, &mut way).map_err(RunError::from),
            SWITCH => live::switch_link(live.locked().place()).map_err(RunError::from),
            later => {
                way.step(later, live, tell.new).map_err(UpdateError::After)?;
                Ok(())
            }
        };
        if let Err(error) = done {
            let stopped = stopped.then_some(request.deadline);
            return Err(back(live, old, &names, &journal, stopped, tell.old, error));
        }
    }
    way.go(live, tell.new).map(Updated::Switched).map_err(UpdateError::After)
}

/// Something could not be written: what was built goes, what was stopped comes back. Where nothing was stopped no service is
/// looked at: on a full file system that fails, too. `stopped`: something was, and when the command must be over.
fn back(
    live: &mut Live,
    old: &Image<'_>,
    names: &Names,
    journal: &Update,
    stopped: Option<Option<Millis>>,
    note: &mut dyn FnMut(Note),
    error: RunError,
) -> UpdateError {
    // The journal stays where this fails, and the next command tries again.
    let _ = live::undo_update(live.locked(), names, journal)
        .map_err(RunError::from)
        .and_then(|()| {
            let Some(deadline) = stopped else { return Ok(()) };
            settle(live, old, &journal.old_up, deadline, note).map_err(|_| error)?;
            start(live, old, &from_journal(&journal.old_up, old.db().len()), deadline, note).map(|_| ())
        })
        .and_then(|()| Journal::remove(live.locked().sv()).map_err(RunError::from));
    UpdateError::Before(error)
}

/// A journal's set as the engine has it.
pub(crate) fn from_journal(set: &journal::Set, len: usize) -> Set {
    let mut found = Set::new(len);
    for service in (0..len).filter(|s| set.has(*s)) {
        found.insert(service as u16);
    }
    found
}

/// Writes the next generation beside the one in force, with every state down.
fn build(
    live: &Live,
    names: &Names,
    plan: &Plan<'static>,
    request: &Request<'_>,
    next: u32,
) -> Result<Built, RunError> {
    let (locked, generation) = (live.locked(), live.generation());
    let (path, prefix, skeg) = (generation.scandir()?, generation.prefix()?, generation.skeg()?);
    // Where no entry moves, none is looked at.
    let sv = if moves_entries(plan) { locked.place().absolute_sv()? } else { Path::default() };
    let scandir = ScanDir::open(&path, prefix.as_bytes(), &sv)?;
    let _umask = Umask::none();
    let builder = Builder::begin(locked.place(), next)?;
    let mut ids = Vec::with_capacity(plan.new.longruns());
    for service in plan.new.services().take(plan.new.longruns()) {
        let index = service.index() as u16;
        let id = match plan.continues(index).and_then(|old| names.id(usize::from(old))) {
            Some(id) => {
                if plan.in_place.contains(index) {
                    add_version(locked.sv(), id, next, plan.new.files(service), skeg.to_bytes())?;
                }
                id
            }
            None => {
                let id = Id { generation: next, index };
                service_dir::create(locked.sv(), id, plan.new.files(service), skeg.to_bytes())?;
                id
            }
        };
        ids.push(id);
    }
    let notes = Notes { compiled: request.compiled, scandir: &path, prefix: prefix.as_bytes(), skeg: &skeg };
    builder.notes(&notes)?;
    builder.image(request.source)?;
    let states = builder.states(plan.new.hash(), plan.new.len(), &ids)?;
    let new = Names::new(ids);
    let mut leaving = Vec::new();
    names.all().iter().filter(|id| !new.has(**id)).for_each(|id| leaving.push(*id));
    let (generation, image) = (builder.finish()?, plan.new.bytes());
    Ok(Built { names: new, leaving, scandir, generation, states, image })
}

/// Stops what the plan says, and what is on its way down above that.
fn stop(
    live: &mut Live,
    old: &Image<'_>,
    plan: &Plan<'_>,
    request: &Request<'_>,
    desk: &mut Option<Desk>,
    note: &mut dyn FnMut(Note),
) -> Result<Outcome, RunError> {
    if plan.stop.is_empty() {
        return Ok(Outcome::default());
    }
    let terms = Terms {
        stop_essentials: request.stop_essentials,
        deadline: request.deadline,
        scripts: request.scripts,
        ..Terms::new(Towards::Down)
    };
    let mut stop = plan.stop.clone();
    let mut above = stop.clone();
    engine::close(old, &mut above, Towards::Down);
    // What was told to stop and has not ended is not up, nor wanted back, and goes before what it needs all the same.
    let is_leaving = |service| {
        live.states().get(usize::from(service)).phase == Phase::Starting
            && live.service_dir(service).and_then(Status::read).is_ok_and(|status| !status.wanted_up)
    };
    above.iter().filter(|service| is_leaving(*service)).for_each(|service| _ = stop.insert(service));
    let graph = Restricted { graph: old, only: &stop };
    Session::new(desk, old, live, note)?.change_in(&graph, stop.clone(), terms)
}

/// Writes the true states of the next generation.
fn write_states(live: &Live, plan: &Plan<'_>, way: &mut Way<'_>) -> Result<(), LiveError> {
    let Some(Built { states, .. }) = &mut way.built else { return Err(LiveError::BAD_STATE) };
    for new in 0..plan.new.len() as u16 {
        if plan.mapping.from(new).is_some_and(|old| live.states().is_owed(usize::from(old))) {
            states.owe(usize::from(new), true);
        }
        let old = plan.mapping.same(new).filter(|old| same_kind(plan, *old, new));
        let Some(old) = old else { continue };
        let mut state = live.states().get(usize::from(old));
        if state.is_up() && plan.stop.contains(old) && usize::from(new) >= plan.new.longruns() {
            // An essential oneshot that was not stopped: its `up` is run again, as the reference does.
            state = State { phase: Phase::Down, uncertain: true };
        }
        states.note(usize::from(new), state);
    }
    states.write_back()
}

fn same_kind(plan: &Plan<'_>, old: u16, new: u16) -> bool {
    (usize::from(old) < plan.old.longruns()) == (usize::from(new) < plan.new.longruns())
}
