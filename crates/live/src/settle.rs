// SPDX-License-Identifier: ISC
//! Making things as one generation says, whatever an unfinished command left: entries, directories, versions.
//!
//! Everything here can be done again: it looks at what is there and changes what differs.

use crate::directory::Locked;
use crate::error::{During, LiveError, Op, What};
use crate::generation::remove_others;
use crate::journal::{Journal, Update};
use crate::links;
use crate::names::{LINKS, Names};
use crate::place::{Name, Place};
use crate::remove;
use crate::scandir::ScanDir;
use crate::service_dir::{Id, ServiceDir};
use alloc::vec::Vec;
use db::{Db, Target};
use sys::fs;

/// Adds the scan directory entries of these longruns. The scanner is not told.
pub fn link_entries(scandir: &ScanDir, db: &Db<'_>, names: &Names, missing: &[u16]) -> Result<(), LiveError> {
    for index in missing {
        let at = usize::from(*index);
        if let (Some(service), Some(id)) = (db.service(at), names.id(at)) {
            scandir.add(db.name(service), id, *index)?;
        }
    }
    Ok(())
}

/// What the scan directory has otherwise than a generation wants it.
#[derive(Default)]
pub struct Differences {
    /// Longruns, in order, without an entry that leads to their directory.
    pub missing: Vec<u16>,
    /// Entries of ours whose names no longrun has.
    pub stale: Vec<Name>,
}

/// Looks at every entry once; changes nothing. Where those lead to that `stays` says were right before is not asked.
pub fn compare_entries(
    scandir: &ScanDir,
    db: &Db<'_>,
    names: &Names,
    stays: &dyn Fn(u16) -> bool,
) -> Result<Differences, LiveError> {
    let mut found = Differences::default();
    let mut right = alloc::vec![false; db.longruns()];
    scandir.for_each_link(&mut |entry| {
        let service = match scandir.service(entry).and_then(|name| db.lookup(name)) {
            Some(Target::Service(service)) => service.index(),
            _ => usize::MAX,
        };
        match (names.id(service), right.get_mut(service)) {
            (Some(_), Some(right)) if stays(service as u16) => *right = true,
            (Some(id), Some(right)) => *right = scandir.id_of(entry)? == Some(id),
            _ if scandir.id_of(entry)?.is_some() => {
                found.stale.push(Name::from_pieces(&[entry.to_bytes()]).unwrap_or_default());
            }
            _ => {}
        }
        Ok(())
    })?;
    found
        .missing
        .extend((0..).zip(&right).filter(|(_, right)| !**right).map(|(service, _): (u16, _)| service));
    Ok(found)
}

/// Takes away the service directories that are not named. Their scan directory entries must be gone and their supervisors, too.
fn sweep_directories(locked: &Locked, names: &Names) -> Result<(), LiveError> {
    let walk = fs::open_dir(locked.sv(), c".").during(Op::Open, What::Supervised)?;
    fs::for_each_entry(&walk, |name, _, _| match Id::parse(name.to_bytes()) {
        Some(id) if !names.has(id) => remove::tree(locked.sv(), name, What::ServiceDir),
        _ => Ok(()),
    })
}

/// Takes away one service directory that nothing names.
pub fn remove_directory(locked: &Locked, id: Id) -> Result<(), LiveError> {
    remove::tree(locked.sv(), &id.name(), What::ServiceDir)
}

/// Undoes an init that was cut short before `LIVE` existed: takes away all that it made, and the journal.
pub fn undo_init(locked: &Locked) -> Result<(), LiveError> {
    sweep_directories(locked, &Names::default())?;
    remove_others(locked.place(), None)?;
    remove::tree(locked.sv(), LINKS, What::Names)?;
    remove::tree(locked.sv(), c"journal.new", What::Journal)?;
    remove::tree(locked.sv(), c"history", What::History)?;
    Journal::remove(locked.sv())
}

/// Undoes the directories of an update that was cut short before its commit: the new generation, its new service directories,
/// and the versions that it wrote into those that exist. The journal stays: services may have to be brought back.
pub fn undo_update(locked: &Locked, old: &Names, update: &Update) -> Result<(), LiveError> {
    for id in old.all() {
        ServiceDir::open(locked.sv(), *id)?.drop_version(update.new.generation)?;
    }
    sweep_directories(locked, old)?;
    remove_others(locked.place(), Some(update.old.generation))?;
    remove::tree(locked.sv(), c"journal.new", What::Journal)
}

/// Takes the whole live directory away: `LIVE`, its generations, `LIVE:sv`. The scan directory's entries must be gone.
pub fn remove_all(locked: Locked) -> Result<(), LiveError> {
    let place: &Place = locked.place();
    links::remove(place.parent(), place.name(), What::Link)?;
    remove_others(place, None)?;
    remove::tree(place.parent(), &place.sv_name(), What::Supervised)
}
