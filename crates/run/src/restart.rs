// SPDX-License-Identifier: ISC
//! A restart: some services and what hangs on them go down, then all that was up comes up again.
//!
//! The journal says from the first stop on what shall be up in the end, so a restart that was killed is finished by the
//! next command.

use crate::note::{Outcome, RunError};
use crate::owed::owed_set;
use crate::session::{Session, Terms};
use engine::{Image, Set, Towards};
use live::journal::{Change, Journal, Set as Members, Side};

/// Restarts the services of the set that are up, and those that must go with them. Named services are stopped even
/// when they are essential. Services that were down stay down, unless a restart or an update owes them.
pub fn restart(
    session: &mut Session<'_>,
    image: &Image<'_>,
    mut selected: Set,
    terms: Terms,
) -> Result<Outcome, RunError> {
    let mut up = session.up();
    let owed = owed_set(session.live());
    image.close_restart(&mut selected);
    let mut back = Set::new(up.bound());
    for service in selected.iter().filter(|service| up.contains(*service) || owed.contains(*service)) {
        back.insert(service);
    }
    up.add_all(&back);
    if back.is_empty() {
        return Ok(Outcome::default());
    }
    let live = session.live();
    let generation = live.generation().number();
    let side = Side { generation, hash: live.states().header().hash };
    let members = Members::from_bools((0..up.bound() as u16).map(|service| up.contains(service)));
    Journal::Change(Change { side, up: members }).write(live.locked().sv())?;
    let stop = Terms { towards: Towards::Down, stop_essentials: true, ..terms };
    let stopped = session.change(selected, stop)?;
    let mut outcome = if stopped.signal.is_some() || stopped.timed_out {
        stopped
    } else {
        let started = session.change(back.clone(), Terms { towards: Towards::Up, ..terms })?;
        Outcome { failures: stopped.failures + started.failures, ..started }
    };
    // Whatever came of it: a command that ends with a failure is over, and what it wanted up is owed.
    session.owe(&back, &mut outcome)?;
    Journal::remove(session.live().locked().sv())?;
    Ok(outcome)
}
