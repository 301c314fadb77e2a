// SPDX-License-Identifier: ISC
//! The first generation: what init makes.

use crate::directory::Locked;
use crate::error::LiveError;
use crate::generation::{Builder, ImageSource, Notes};
use crate::journal::{Journal, Side};
use crate::names::{Names, settle_links};
use crate::service_dir::{self, Id, Umask};
use alloc::vec::Vec;
use db::Db;

/// Makes generation 1 with every service down, and puts it in force; which directories it names. `Exists` where `LIVE` is there already.
///
/// Writes the journal first and leaves it: the caller adds the scan directory's entries ([`link_entries`](crate::link_entries)),
/// waits for the supervisors and removes the journal. What an earlier init left must have been undone
/// ([`undo_init`](crate::undo_init)). On an error the caller undoes this one, too.
pub fn first(
    locked: &Locked,
    db: &Db<'_>,
    notes: &Notes<'_>,
    image: ImageSource<'_>,
) -> Result<Names, LiveError> {
    let side = Side { generation: 1, hash: db.hash() };
    Journal::Init(side).write(locked.sv())?;
    let _umask = Umask::none();
    let builder = Builder::begin(locked.place(), side.generation)?;
    let mut ids = Vec::with_capacity(db.longruns());
    for service in db.services().take(db.longruns()) {
        let id = Id { generation: side.generation, index: service.index() as u16 };
        service_dir::create(locked.sv(), id, db.files(service), notes.skeg.to_bytes())?;
        ids.push(id);
    }
    builder.notes(notes)?;
    builder.image(image)?;
    let _states = builder.states(side.hash, db.len(), &ids)?;
    let names = Names::new(ids);
    settle_links(locked, db, &names, &|_| true)?;
    builder.commit_first()?;
    Ok(names)
}
