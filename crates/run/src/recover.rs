// SPDX-License-Identifier: ISC
//! Finishes what a command left that did not live to finish it. Used by `skeg recover`, and by every command that takes
//! the lock for a change, before anything else.
//!
//! Before an update's commit it leads back, after it forward. What was wanted up is brought up; a oneshot whose script
//! was cut short is run again. The states of longruns are asked from their supervisors.

use crate::forward::{Forward, Way, tidy};
use crate::init;
use crate::longrun::{can_say, forget_listeners};
use crate::note::{Note, Outcome, RunError};
use crate::oneshot::client::{quiet_scripts, settle_scripts};
use crate::oneshot::protocol::DEFAULT_SCRIPTS;
use crate::owed::{owe, owed_set};
use crate::session::{Session, Terms};
use crate::update::from_journal;
use engine::{Db, Image, Set, Towards};
use live::journal::{self, Change, Journal, Update};
use live::{Live, LiveError, Locked, Names, Op, Phase, ServiceDir, State, What, tree};
use sys::time::Millis;
use sys::{Errno, fs};
use update::Restricted;

/// What there was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing: no command was cut short.
    Nothing,
    /// An init was undone: there is no live directory.
    InitUndone,
    /// An init was completed.
    InitDone,
    /// An update was undone; how bringing services back went.
    UpdateUndone(Outcome),
    /// An update was completed; how the starts went.
    UpdateDone(Outcome),
    /// A change was completed.
    ChangeDone(Outcome),
    /// No command was cut short, but one had ended without what it wanted up: how starting that went.
    OwedStarted(Outcome),
}

/// Whom to tell: called with the image whose services the notes are about.
pub type Listener<'a> = &'a mut dyn FnMut(&Image<'_>, Note);

/// Finishes what the journal of this locked live directory says. The lock goes with it.
pub fn recover(locked: Locked, deadline: Option<Millis>, tell: Listener<'_>) -> Result<Recovered, RunError> {
    init::forget_ear(locked.sv());
    match locked.journal()? {
        None => {
            // A journal that was never put in force intended nothing.
            Journal::remove_new(locked.sv())?;
            start_owed(locked, deadline, tell)
        }
        Some(Journal::Init(_)) => finish_init(locked, deadline, tell),
        Some(Journal::Update(update)) => finish_update(locked, &update, deadline, tell),
        Some(Journal::Change(change)) => finish_change(locked, &change, deadline, tell),
    }
}

/// Removes versions that no start will use, since a start that failed may have left one, and listeners of commands that
/// were killed; starts what an update or a restart has left down.
fn start_owed(locked: Locked, deadline: Option<Millis>, tell: Listener<'_>) -> Result<Recovered, RunError> {
    let mut live = match locked.live() {
        Err(LiveError::ABSENT) => return Ok(Recovered::Nothing),
        other => other?,
    };
    let image = image_of(&live)?;
    let names = Names::of(live.states());
    let links = live::settle_links(live.locked(), image.db(), &names, &|_| true);
    for id in names.all() {
        forget_listeners(ServiceDir::open(live.locked().sv(), *id)?.dir());
    }
    ask_longruns(&mut live, &image, true)?;
    let owed = owed_set(&live);
    let mut recovered = Recovered::Nothing;
    if !owed.is_empty() {
        settle_scripts(&mut live, deadline)?;
        let outcome = start(&mut live, &image, &owed, deadline, &mut |note| tell(&image, note))?;
        recovered = Recovered::OwedStarted(outcome);
    }
    let forward = Forward { image: &image, plan: None, deadline: None, scripts: DEFAULT_SCRIPTS };
    tidy(&live, &forward, &names)?;
    links?;
    Ok(recovered)
}

fn finish_init(locked: Locked, deadline: Option<Millis>, tell: Listener<'_>) -> Result<Recovered, RunError> {
    match locked.place().current() {
        Err(LiveError::ABSENT) => {
            live::undo_init(&locked)?;
            Ok(Recovered::InitUndone)
        }
        Err(e) => Err(e.into()),
        Ok(_) => {
            let live = locked.live()?;
            let image = image_of(&live)?;
            let scandir = live.scandir()?;
            let mut note = |note| tell(&image, note);
            init::resume(&image, live.locked(), live.states(), &scandir, deadline, &mut note)?;
            Ok(Recovered::InitDone)
        }
    }
}

/// The image of the generation in force.
fn image_of(live: &Live) -> Result<Image<'static>, LiveError> {
    let db = Db::check(live.image()).map_err(|_| LiveError::BAD_IMAGE)?;
    live.belongs(&db.hash())?;
    Ok(Image::new(db))
}

fn finish_update(
    locked: Locked,
    update: &Update,
    deadline: Option<Millis>,
    tell: Listener<'_>,
) -> Result<Recovered, RunError> {
    let number = locked.place().current()?;
    let mut live = locked.live()?;
    let image = image_of(&live)?;
    let mut note = |note| tell(&image, note);
    if number == update.old.generation {
        let names = Names::of(live.states());
        live::undo_update(live.locked(), &names, update)?;
        let links = live::settle_links(live.locked(), image.db(), &names, &|_| true);
        settle(&mut live, &image, &update.old_up, deadline, &mut note)?;
        let wanted = from_journal(&update.old_up, image.db().len());
        let outcome = start(&mut live, &image, &wanted, deadline, &mut note)?;
        // What has come back may have been started from a definition that waited for that.
        tidy(&live, &Forward { image: &image, plan: None, deadline, scripts: DEFAULT_SCRIPTS }, &names)?;
        links?;
        Journal::remove(live.locked().sv())?;
        return Ok(Recovered::UpdateUndone(outcome));
    }
    if number != update.new.generation {
        return Err(RunError::ELSEWHERE);
    }
    settle(&mut live, &image, &update.new_up, deadline, &mut note)?;
    let forward = Forward { image: &image, plan: None, deadline, scripts: DEFAULT_SCRIPTS };
    let outcome = Way::new(&forward, update).go(&mut live, &mut note)?;
    Ok(Recovered::UpdateDone(outcome))
}

fn finish_change(
    locked: Locked,
    change: &Change,
    deadline: Option<Millis>,
    tell: Listener<'_>,
) -> Result<Recovered, RunError> {
    let mut live = locked.live()?;
    let image = image_of(&live)?;
    if live.generation().number() != change.side.generation {
        return Err(RunError::ELSEWHERE);
    }
    let wanted = from_journal(&change.up, image.db().len());
    let mut note = |note| tell(&image, note);
    let links = live::settle_links(live.locked(), image.db(), &Names::of(live.states()), &|_| true);
    settle(&mut live, &image, &change.up, deadline, &mut note)?;
    let outcome = start(&mut live, &image, &wanted, deadline, &mut note)?;
    links?;
    Journal::remove(live.locked().sv())?;
    Ok(Recovered::ChangeDone(outcome))
}

/// Starts what is wanted up, and records what does not come.
pub(crate) fn start(
    live: &mut Live,
    image: &Image<'_>,
    wanted: &Set,
    deadline: Option<Millis>,
    note: &mut dyn FnMut(Note),
) -> Result<Outcome, RunError> {
    let terms = Terms { deadline, ..Terms::new(Towards::Up) };
    let mut outcome = Session::new(&mut None, image, live, note)?.change(wanted.clone(), terms)?;
    owe(live, image, wanted, &mut outcome, note)?;
    Ok(outcome)
}

/// Makes the states true again: longruns are asked, oneshots that were cut short are marked, and count as down
/// where they are wanted up, so that their `up` is run again.
pub(crate) fn settle(
    live: &mut Live,
    image: &Image<'_>,
    wanted: &journal::Set,
    deadline: Option<Millis>,
    note: &mut dyn FnMut(Note),
) -> Result<(), RunError> {
    quiet_scripts(live, deadline)?;
    let names = Names::of(live.states());
    let mut bounced = Set::new(image.db().len());
    for service in 0..image.db().len() {
        let state = live.states().get(service);
        let settled = match names.id(service) {
            Some(id) => {
                let directory = ServiceDir::open(live.locked().sv(), id)?;
                forget_listeners(directory.dir());
                let is_there = tree::Status::read(directory.dir()).is_ok();
                if state.phase == Phase::Stopping && is_there && wanted.has(service) {
                    bounced.insert(service as u16);
                    state
                } else {
                    longrun_state(&directory, wanted.has(service))?
                }
            }
            None => oneshot_state(state, wanted.has(service)),
        };
        live.states_mut().note(service, settled);
    }
    live.states().write_back()?;
    if bounced.is_empty() { Ok(()) } else { end_stops(live, image, &bounced, deadline, note) }
}

/// Longruns that a command was stopping, and that are to be up: whether their supervisor has heeded that yet, or their process
/// is about to end, nobody can say. So the stop comes to its end first, and what is started then is another process.
fn end_stops(
    live: &mut Live,
    image: &Image<'_>,
    bounced: &Set,
    deadline: Option<Millis>,
    note: &mut dyn FnMut(Note),
) -> Result<(), RunError> {
    let terms = Terms { stop_essentials: true, deadline, ..Terms::new(Towards::Down) };
    let graph = Restricted { graph: image, only: bounced };
    Session::new(&mut None, image, live, note)?.change_in(&graph, bounced.clone(), terms)?.hand_on();
    for service in bounced.iter() {
        // One that would not stop is told to go up all the same.
        live.states_mut().set(usize::from(service), State::DOWN)?;
    }
    Ok(())
}

/// Longruns that a command left on their way, because it was killed or its time was over: their supervisors know.
/// With `write` the state file is told; a oneshot's state is its runner's business.
pub fn ask_longruns(live: &mut Live, image: &Image<'_>, write: bool) -> Result<(), LiveError> {
    let longruns = image.db().longruns();
    let on_its_way = |state: State| matches!(state.phase, Phase::Starting | Phase::Stopping);
    if !live.states().iter().take(longruns).any(on_its_way) {
        return Ok(());
    }
    for service in 0..longruns {
        let state = live.states().get(service);
        let Some(id) = live.states().id(service).filter(|_| on_its_way(state)) else { continue };
        let directory = ServiceDir::open(live.locked().sv(), id)?;
        let status = tree::Status::read(directory.dir());
        let up = status.is_ok_and(|status| is_up(&status, state));
        let is_coming = up && !state.is_up() && status.is_ok_and(|status| !status.ready);
        if is_coming && can_say(&directory, id) {
            // It has a process and is not ready: nothing that needs it may start, and it is still on its way.
            continue;
        }
        // One that was told to go down and has not ended counts as down for a start, and for a stop as what is on its way
        // up does: what it needs goes on until it has ended.
        let is_leaving = status.is_ok_and(|status| status.is_leaving());
        let settled = match (up, is_leaving) {
            (true, _) => State::UP,
            (_, true) => State::STARTING,
            _ => State::DOWN,
        };
        if !write {
            live.states_mut().note(service, settled);
            continue;
        }
        forget_listeners(directory.dir());
        match down_file(&directory, !up) {
            // Without an inode for it what is on its way must go down all the same.
            Err(e) if matches!(e.errno_of(What::ServiceDir), Some(Errno::NOSPC | Errno::DQUOT)) => {}
            made => made?,
        }
        live.states_mut().set(service, settled)?;
    }
    Ok(())
}

/// Whether a longrun counts as up, by what its supervisor says and what was recorded.
const fn is_up(status: &tree::Status, recorded: State) -> bool {
    status.wanted_up && (recorded.is_up() || status.pid != 0)
}

/// What the supervisor of a longrun says; its `down` file is made to agree.
///
/// One that is wanted up counts as down, so that it is told to go up: a command that was to stop it may still be on its
/// way to the supervisor, and this one comes after it. Until then that is uncertain, should the recovery not come so far.
fn longrun_state(directory: &ServiceDir, wanted: bool) -> Result<State, LiveError> {
    // Not supervised yet: it is new, and down.
    let Ok(status) = tree::Status::read(directory.dir()) else { return Ok(State::DOWN) };
    down_file(directory, !status.wanted_up)?;
    Ok(match (status.wanted_up, wanted) {
        (false, _) => State::DOWN,
        (true, false) => State::UP,
        (true, true) => State { phase: Phase::Down, uncertain: true },
    })
}

/// Makes the `down` file of a longrun, or takes it away.
fn down_file(directory: &ServiceDir, down: bool) -> Result<(), LiveError> {
    let made = if down {
        fs::mknod(directory.dir(), c"down", fs::FileType::RegularFile, 0o644, 0)
    } else {
        fs::unlink(directory.dir(), c"down")
    };
    match made {
        Ok(()) | Err(Errno::NOENT | Errno::EXIST) => Ok(()),
        Err(e) => Err(LiveError::sys(Op::Write, What::ServiceDir, e)),
    }
}

const fn oneshot_state(recorded: State, wanted: bool) -> State {
    let settled = recorded.settled();
    if settled.uncertain && wanted { State { phase: Phase::Down, uncertain: true } } else { settled }
}
