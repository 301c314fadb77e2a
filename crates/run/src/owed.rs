// SPDX-License-Identifier: ISC
//! What an update or a restart wanted up and ended without: the record of it, which outlives the command, so that the next
//! update, apply, sync, restart or recovery starts it or names it. Used wherever a journal is about to be removed.

use crate::longrun::can_say;
use crate::note::{Note, Outcome};
use crate::session::up_set;
use engine::{Graph, Image, Set, Towards};
use live::{Live, LiveError, Phase, ServiceDir, State, tree};

/// Which services are owed.
pub fn owed_set(live: &Live) -> Set {
    let states = live.states();
    let mut owed = Set::new(states.len());
    for index in (0..states.len()).filter(|index| states.is_owed(*index)) {
        owed.insert(index as u16);
    }
    owed
}

/// What counts as up for the plan of an update: also a longrun that is owed and has a process all the same, on its way up or
/// down. As one that is down it would be started only, and the process of the old definition pass for that of the new one.
pub fn up_or_on_its_way(live: &Live) -> Set {
    let mut up = up_set(live);
    for service in owed_set(live).iter() {
        if live.states().get(usize::from(service)).phase == Phase::Starting {
            up.insert(service);
        }
    }
    up
}

/// Records what of this is not up now, and tells it. To be called while the journal is still there.
pub(crate) fn owe(
    live: &mut Live,
    image: &Image<'_>,
    wanted: &Set,
    outcome: &mut Outcome,
    note: &mut dyn FnMut(Note),
) -> Result<(), LiveError> {
    if !outcome.is_good() {
        // A script whose time was over has been recorded by its runner.
        live.states_mut().reread()?;
        count_up(live, wanted)?;
    }
    let mut news = false;
    for service in wanted.iter() {
        // One that is on its way down counts as up until it is there.
        let is_down = |live: &Live, service: u16| live.states().get(usize::from(service)).phase != Phase::Up;
        let owed = is_down(live, service);
        news |= live.states_mut().owe(usize::from(service), owed);
        if owed {
            let mut needs = None;
            image.hard(service, Towards::Up, &mut |below| {
                if is_down(live, below) {
                    needs = Some(below);
                }
            });
            outcome.owed += 1;
            note(Note::StaysDown(service, needs));
        }
    }
    if news { live.states().write_owed() } else { Ok(()) }
}

/// Where a supervisor could not be talked to (a full file system has no room for a listener), its service may be up all the same: then
/// it counts as up. One that it has been told to take down, or has not heard is ready, does not.
fn count_up(live: &mut Live, wanted: &Set) -> Result<(), LiveError> {
    for service in wanted.iter() {
        let Some(id) = live.states().id(usize::from(service)) else { continue };
        if !matches!(live.states().get(usize::from(service)).phase, Phase::Down | Phase::Starting) {
            continue;
        }
        let directory = ServiceDir::open(live.locked().sv(), id)?;
        let is_up = |status: tree::Status| {
            status.wanted_up && status.is_up() && (status.ready || !can_say(&directory, id))
        };
        if tree::Status::read(directory.dir()).is_ok_and(is_up) {
            live.states_mut().set(usize::from(service), State::UP)?;
        }
    }
    Ok(())
}

/// Forgets that these, and what needs them, are owed: somebody wants them down.
pub(crate) fn forgive(live: &mut Live, image: &Image<'_>, selected: &Set) -> Result<(), LiveError> {
    let mut down = selected.clone();
    engine::close(image, &mut down, Towards::Down);
    let mut news = false;
    for service in down.iter() {
        news |= live.states_mut().owe(usize::from(service), false);
    }
    if news { live.states().write_owed() } else { Ok(()) }
}
