// SPDX-License-Identifier: ISC
//! Which directory each longrun has, and `LIVE:sv/names`, where people and the tools of s6 find it by the service's name.
//!
//! The former stands in the state file of a generation, and counts. The links of the latter follow it, and of ours only a member of a
//! pipeline looks there, for its consumer: they outlive generations, so that an update touches those alone that change.

use crate::directory::Locked;
use crate::error::{During, LiveError, Op, What};
use crate::links;
use crate::remove;
use crate::service_dir::{Id, Umask};
use crate::state::States;
use alloc::vec::Vec;
use core::ffi::CStr;
use db::{Db, Target};
use sys::fs::{self, OFlags};
use sys::{AsFd, CBuf, Errno, OwnedFd};

/// The service directories that a generation names: for each longrun of its image, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    ids: Vec<Id>,
    sorted: Vec<Id>,
}

impl Names {
    /// Of these, in the order of the image's longruns.
    pub fn new(ids: Vec<Id>) -> Self {
        let mut sorted = ids.clone();
        db::sort::sort(&mut sorted, |a, b| a < b);
        Self { ids, sorted }
    }

    /// What the state file of a generation names.
    pub fn of(states: &States) -> Self {
        Self::new((0..states.longruns()).filter_map(|index| states.id(index)).collect())
    }

    /// The directory of the longrun with this index.
    pub fn id(&self, index: usize) -> Option<Id> {
        self.ids.get(index).copied()
    }

    /// Whether one of them has this directory.
    pub fn has(&self, id: Id) -> bool {
        self.sorted.binary_search(&id).is_ok()
    }

    /// All of them, in the image's order.
    pub fn all(&self) -> &[Id] {
        &self.ids
    }
}

/// The directory of links, in `LIVE:sv`.
pub(crate) const LINKS: &CStr = c"names";
/// What leads to it from a generation: where s6-rc has the directories themselves.
pub(crate) const SERVICEDIRS: &CStr = c"servicedirs";
/// Where a link is made that takes another's place. No service has such a name.
const ASIDE: &CStr = c".new";

/// Makes the links those of a generation: takes away the names that its image does not have, which makes room, then adds those
/// that `is_new` says may be missing or lead elsewhere; all of them where there was no directory.
///
/// Whatever else somebody has put there goes, and a link in the directory's place, too: it is not followed.
pub fn settle_links(
    locked: &Locked,
    db: &Db<'_>,
    names: &Names,
    is_new: &dyn Fn(u16) -> bool,
) -> Result<(), LiveError> {
    let _umask = Umask::none();
    let open = || fs::open(locked.sv(), LINKS, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, 0);
    let (links, is_there) = match open() {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
            links::remove(locked.sv(), LINKS, What::Names)?;
            fs::mkdir(locked.sv(), LINKS, 0o755).during(Op::Create, What::Names)?;
            (open(), false)
        }
        links => (links, true),
    };
    let links = links.during(Op::Open, What::Names)?;
    fs::for_each_entry(&links, |name, _, _| match db.lookup(name.to_bytes()) {
        Some(Target::Service(service)) if service.index() < db.longruns() => Ok(()),
        _ => remove::tree(links.as_fd(), name, What::Names),
    })?;
    for (index, id) in (0..).zip(names.all()).filter(|(index, _)| !is_there || is_new(*index)) {
        if let Some(service) = db.service(usize::from(index)) {
            add(&links, db.name_c(service), *id)?;
        }
    }
    Ok(())
}

/// Has a link lead to this directory.
fn add(links: &OwnedFd, service: &CStr, id: Id) -> Result<(), LiveError> {
    let target = CBuf::<32>::from_pieces(&[b"../", id.name().as_bytes()]).unwrap_or_default();
    match fs::symlink(&target, links, service) {
        Err(Errno::EXIST) => {}
        made => return made.during(Op::Create, What::Names),
    }
    let mut there = [0; 32];
    match fs::readlink(links, service, &mut there) {
        Ok(there) if there == target.as_bytes() => return Ok(()),
        Err(Errno::INVAL) => remove::tree(links.as_fd(), service, What::Names)?,
        _ => {}
    }
    links::replace(links.as_fd(), &target, service, ASIDE, What::Names)
}
