// SPDX-License-Identifier: ISC
//! Everything that can be wrong with an image, looked at once. No recursion, bounded loops, about 48 KiB of stack.

use crate::layout::{ALIGN, FileRecord, HEADER, MAX_PATH, ServiceRecord};
use crate::read::{Db, kind_of, total};
use crate::{
    BundleId, Corrupt, Direction, FileKind, Flags, MAX_NAME, MAX_SERVICES, NO_SERVICE, Section, ServiceId,
};

/// A rule that a record breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The name is empty, too long, or no file name.
    Name,
    /// The names are not in order, or one comes twice.
    Order,
    /// A bit that has no meaning.
    Flags,
    /// A byte that must be zero.
    Reserved,
    /// It points beyond a section.
    Range,
    /// A service number that there is not.
    Number,
    /// The numbers of a list do not ascend.
    Ascending,
    /// Forward and reverse edges, or producers and consumer, do not agree.
    Mirror,
    /// It needs itself, through others or at once.
    Cycle,
    /// A path leads out of the directory, or is not one.
    Path,
    /// A file of no known kind, or of a kind that this service can't have.
    Kind,
    /// A longrun without `run`.
    Run,
    /// The hash is not that of the definition, or the seal not that of the record.
    Hash,
}

type Outcome = Result<(), Corrupt>;

/// Checks everything beyond checksums and hashes.
pub fn structure(db: &Db<'_>) -> Outcome {
    let mut next = Next::default();
    for id in db.services() {
        let record = db.services.get(id.index()).ok_or(Corrupt::Header)?;
        service(db, id, record, &mut next)
            .map_err(|p| Corrupt::Record(Section::Services, u32::from(id.0), p))?;
    }
    for id in db.bundles() {
        bundle(db, id, &mut next).map_err(|p| Corrupt::Record(Section::Bundles, u32::from(id.0), p))?;
    }
    for (number, record) in db.files.iter().enumerate() {
        file(db, record, &mut next).map_err(|p| Corrupt::Record(Section::Files, number as u32, p))?;
    }
    if next.edge as usize != db.edges.len() || next.file as usize != db.files.len() {
        return Err(Corrupt::Header);
    }
    if next.data as usize != db.data.len() {
        return Err(Corrupt::Place(Section::Data));
    }
    sections_in_order(db)?;
    names_apart(db)?;
    mirror(db)?;
    if let Some(id) = cycle(db) {
        return Err(Corrupt::Record(Section::Services, u32::from(id.0), Problem::Cycle));
    }
    Ok(())
}

/// Checks that each hash is that of its definition, and the identity that of the image.
pub fn hashes(db: &Db<'_>) -> Outcome {
    for id in db.services() {
        if !db.is_sound(id) || !db.is_whole(id) {
            return Err(Corrupt::Record(Section::Services, u32::from(id.0), Problem::Hash));
        }
    }
    if crate::hash::identity(db) == db.hash() { Ok(()) } else { Err(Corrupt::Identity) }
}

/// Where the next record's edges, files and data must begin: each follows the one before, so that nothing is shared
/// or left over, and a check takes time in proportion to the image.
#[derive(Default)]
struct Next {
    edge: u32,
    file: u32,
    data: u32,
}

/// Takes `count` from `next` if it stands at `start`.
fn take(next: &mut u32, start: u32, count: usize) -> Result<(), Problem> {
    let end = u32::try_from(count).ok().and_then(|n| start.checked_add(n)).ok_or(Problem::Range)?;
    if *next != start {
        return Err(Problem::Range);
    }
    *next = end;
    Ok(())
}

/// Sections follow each other with nothing but alignment between, and end with the image.
fn sections_in_order(db: &Db<'_>) -> Outcome {
    let mut at = HEADER;
    for place in &db.header.sections {
        let start = at.next_multiple_of(ALIGN);
        let padding = db.bytes.get(at..start).ok_or(Corrupt::Header)?;
        if place.offset.get() as usize != start || padding.iter().any(|b| *b != 0) {
            return Err(Corrupt::Header);
        }
        at = start.saturating_add(place.length.get() as usize);
    }
    if at == db.bytes.len() { Ok(()) } else { Err(Corrupt::Header) }
}

/// Whether these bytes can name a service or bundle.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.first() != Some(&b'.')
        && !name.iter().any(|b| matches!(b, 0 | b'/' | b'\n'))
}

fn named(db: &Db<'_>, offset: u32, length: u8, name: &[u8]) -> Result<(), Problem> {
    let end = offset as usize + usize::from(length);
    if name.len() != usize::from(length) || db.names.get(end) != Some(&0) {
        return Err(Problem::Range);
    }
    if is_name(name) { Ok(()) } else { Err(Problem::Name) }
}

fn service(db: &Db<'_>, id: ServiceId, r: &ServiceRecord, next: &mut Next) -> Result<(), Problem> {
    named(db, r.name.get(), r.name_length, db.name(id))?;
    // Longruns and oneshots are each in order; the first oneshot has no one before it.
    let before =
        id.index().checked_sub(1).filter(|_| id.index() != db.longruns()).and_then(|i| db.service(i));
    if before.is_some_and(|b| db.name(b) >= db.name(id)) {
        return Err(Problem::Order);
    }
    if db.flags(id).0 & !Flags::ALL.0 != 0 {
        return Err(Problem::Flags);
    }
    if r.reserved != [0; 3] {
        return Err(Problem::Reserved);
    }
    let counts = r.counts();
    take(&mut next.edge, r.edges.get(), total(counts))?;
    take(&mut next.file, r.files.get(), usize::from(r.n_files.get()))?;
    if next.file as usize > db.files.len() {
        return Err(Problem::Range);
    }
    let mut at = r.edges.get() as usize;
    for n in counts {
        let end = at + usize::from(n.get());
        numbers(db, at, end)?;
        at = end;
    }
    let longrun = id.index() < db.longruns();
    if r.consumer.get() != NO_SERVICE && (!longrun || usize::from(r.consumer.get()) >= db.longruns()) {
        return Err(Problem::Number);
    }
    if !longrun && r.n_producers.get() != 0 {
        return Err(Problem::Number);
    }
    files_of(db, id, longrun)
}

/// A list of service numbers: each exists, and they ascend.
fn numbers(db: &Db<'_>, start: usize, end: usize) -> Result<(), Problem> {
    let mut least = 0;
    for edge in db.edges.get(start..end).ok_or(Problem::Range)? {
        if usize::from(edge.get()) >= db.len() {
            return Err(Problem::Number);
        }
        if edge.get() < least {
            return Err(Problem::Ascending);
        }
        least = edge.get() + 1;
    }
    Ok(())
}

fn files_of(db: &Db<'_>, id: ServiceId, longrun: bool) -> Result<(), Problem> {
    let mut last: &[u8] = b"";
    let mut run = false;
    for file in db.files(id) {
        let path = file.path.to_bytes();
        if path <= last {
            return Err(Problem::Order);
        }
        if longrun != (file.kind != FileKind::Script) {
            return Err(Problem::Kind);
        }
        if let Some(parent) = path.iter().rposition(|b| *b == b'/').and_then(|at| path.get(..at))
            && db.find_file(id, parent).is_none_or(|f| f.kind != FileKind::Directory)
        {
            return Err(Problem::Path);
        }
        run |= path == b"run" && file.kind == FileKind::Regular;
        last = path;
    }
    if longrun && !run { Err(Problem::Run) } else { Ok(()) }
}

fn bundle(db: &Db<'_>, id: BundleId, next: &mut Next) -> Result<(), Problem> {
    let r = db.bundles.get(id.index()).ok_or(Problem::Range)?;
    named(db, r.name.get(), r.name_length, db.bundle_name(id))?;
    let before = id.index().checked_sub(1).map(|i| BundleId(i as u16));
    if before.is_some_and(|b| db.bundle_name(b) >= db.bundle_name(id)) {
        return Err(Problem::Order);
    }
    if r.flags.get() & !Flags::ALL.0 != 0 {
        return Err(Problem::Flags);
    }
    if r.reserved != [0; 3] {
        return Err(Problem::Reserved);
    }
    take(&mut next.edge, r.contents.get(), r.n_contents.get() as usize)?;
    numbers(db, r.contents.get() as usize, next.edge as usize)
}

fn file(db: &Db<'_>, r: &FileRecord, next: &mut Next) -> Result<(), Problem> {
    let start = r.path.get() as usize;
    let end = start + usize::from(r.path_length.get());
    let path = db.names.get(start..end).ok_or(Problem::Range)?;
    if db.names.get(end) != Some(&0) {
        return Err(Problem::Range);
    }
    let bad = |part: &[u8]| part.is_empty() || part == b"." || part == b"..";
    if path.len() > MAX_PATH || path.contains(&0) || path.split(|b| *b == b'/').any(bad) {
        return Err(Problem::Path);
    }
    take(&mut next.data, r.data.get(), r.length.get() as usize)?;
    let bytes = db.data.get(r.data.get() as usize..next.data as usize).ok_or(Problem::Range)?;
    if r.mode.get() > 0o7777 || r.reserved != [0; 3] {
        return Err(Problem::Reserved);
    }
    match kind_of(r.kind).ok_or(Problem::Kind)? {
        FileKind::Regular => Ok(()),
        FileKind::Directory if bytes.is_empty() => Ok(()),
        FileKind::Link if !bytes.is_empty() && !bytes.contains(&0) => Ok(()),
        FileKind::Script if bytes.last().is_none_or(|b| *b == 0) => Ok(()),
        FileKind::Directory | FileKind::Link | FileKind::Script => Err(Problem::Kind),
    }
}

/// No name stands for two things: a merge of the three sorted lists.
fn names_apart(db: &Db<'_>) -> Outcome {
    let wrong = |id: ServiceId| Corrupt::Record(Section::Services, u32::from(id.0), Problem::Order);
    let mut bundles = db.bundles().map(|b| db.bundle_name(b)).peekable();
    let mut oneshots = db.services().skip(db.longruns()).peekable();
    for id in db.services().take(db.longruns()) {
        while oneshots.next_if(|o| db.name(*o) < db.name(id)).is_some() {}
        if oneshots.peek().is_some_and(|o| db.name(*o) == db.name(id)) {
            return Err(wrong(id));
        }
        while bundles.next_if(|b| *b < db.name(id)).is_some() {}
        if bundles.peek() == Some(&db.name(id)) {
            return Err(wrong(id));
        }
    }
    let mut bundles = db.bundles().map(|b| db.bundle_name(b)).peekable();
    for id in db.services().skip(db.longruns()) {
        while bundles.next_if(|b| *b < db.name(id)).is_some() {}
        if bundles.peek() == Some(&db.name(id)) {
            return Err(wrong(id));
        }
    }
    Ok(())
}

/// Each edge has its mirror image, and there are as many of the one as of the other.
fn mirror(db: &Db<'_>) -> Outcome {
    let wrong = |id: ServiceId| Corrupt::Record(Section::Services, u32::from(id.0), Problem::Mirror);
    let (mut up, mut down, mut producers, mut consumers) = (0usize, 0usize, 0usize, 0usize);
    // How much of each down-list has been met: since all lists ascend, a service is the next of it or not in it.
    let mut met = [0u16; MAX_SERVICES];
    for id in db.services() {
        let (needs, writers) = (db.dependencies(id, Direction::Up), db.producers(id));
        up += needs.len();
        down += db.dependencies(id, Direction::Down).len();
        producers += writers.len();
        consumers += usize::from(db.consumer(id).is_some());
        for other in needs {
            let Some(met) = met.get_mut(other.index()) else { return Err(wrong(id)) };
            if db.dependencies(other, Direction::Down).at(*met) != Some(id) {
                return Err(wrong(id));
            }
            *met += 1;
        }
        for producer in writers {
            if db.consumer(producer) != Some(id) {
                return Err(wrong(id));
            }
        }
        if let Some(consumer) = db.consumer(id)
            && !needs.contains(consumer)
        {
            return Err(wrong(id));
        }
        for other in db.restart_with(id) {
            if !needs.contains(other) && !db.wants(id).contains(other) {
                return Err(wrong(id));
            }
        }
    }
    if up == down && producers == consumers { Ok(()) } else { Err(wrong(ServiceId(0))) }
}

/// What a service waits for when it starts: what it needs, wants, and comes after.
fn waits_for<'a>(db: &Db<'a>, id: ServiceId) -> impl Iterator<Item = ServiceId> + use<'a> {
    db.dependencies(id, Direction::Up).chain(db.wants(id)).chain(db.after(id))
}

/// A service that waits for itself, if there is one: services that nobody waits for are taken away until none is
/// left, or only cycles and what they wait for.
fn cycle(db: &Db<'_>) -> Option<ServiceId> {
    let mut waiting = [0u16; MAX_SERVICES];
    let mut ready = [0u16; MAX_SERVICES];
    for id in db.services() {
        for other in waits_for(db, id) {
            if let Some(n) = waiting.get_mut(other.index()) {
                // Three lists of at most MAX_SERVICES numbers each: no overflow.
                *n = n.saturating_add(1);
            }
        }
    }
    let mut filled = 0;
    let mut push = |ready: &mut [u16; MAX_SERVICES], id: ServiceId| {
        if let Some(slot) = ready.get_mut(filled) {
            *slot = id.0;
            filled += 1;
        }
        filled
    };
    let mut known = 0;
    for id in db.services() {
        if waiting.get(id.index()) == Some(&0) {
            known = push(&mut ready, id);
        }
    }
    let mut taken = 0;
    while taken < known {
        let id = ServiceId(ready.get(taken).copied().unwrap_or_default());
        taken += 1;
        for other in waits_for(db, id) {
            if let Some(n) = waiting.get_mut(other.index()) {
                *n = n.saturating_sub(1);
                if *n == 0 {
                    known = push(&mut ready, other);
                }
            }
        }
    }
    db.services().find(|id| waiting.get(id.index()).is_some_and(|n| *n != 0))
}
