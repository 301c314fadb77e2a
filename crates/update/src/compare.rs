// SPDX-License-Identifier: ISC
//! What differs between two definitions.

use core::ffi::CStr;
use db::{Db, Direction, File, FileKind, Flags, Ids, ServiceId};

/// Where two contents of a file first differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In no place: one of them is not there, or they differ in kind or mode.
    Nowhere,
    /// At this line, from 1.
    Line(u32),
    /// At this word, from 1: of a script the image has the words, and no longer the lines.
    Word(u32),
}

/// A difference between an old and a new definition of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference<'a> {
    /// A file that both have: its path, and where it differs.
    FileChanged(&'a CStr, At),
    /// A file that only the new one has.
    FileAdded(&'a CStr),
    /// A file that only the old one has.
    FileRemoved(&'a CStr),
    /// A name of a list that only the new one has.
    Added(Field, &'a [u8]),
    /// A name of a list that only the old one has.
    Removed(Field, &'a [u8]),
    /// A timeout.
    Setting(Field),
    /// A oneshot is a longrun now, or the other way.
    Kind,
}

/// A part of a definition that is not a file of the service directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `dependencies.d`
    Dependencies,
    /// `wants.d`
    Wants,
    /// `after.d`, and `before.d` of others.
    After,
    /// `restart-with`
    RestartWith,
    /// Who reads its output: `producer-for`.
    Consumer,
    /// Who writes its input: `consumer-for`.
    Producers,
    /// `timeout-up`
    TimeoutUp,
    /// `timeout-down`
    TimeoutDown,
}

/// The flags that are files of a definition. The others come with a file that differs, too.
const FLAGS: [(Flags, &CStr); 4] = [
    (Flags::ESSENTIAL, c"flag-essential"),
    (Flags::RECOMMENDED, c"flag-recommended"),
    (Flags::MANUAL, c"flag-manual"),
    (Flags::RELOAD_ON_CHANGE, c"reload-on-change"),
];

/// The piece, from 1, at which two contents first differ; each piece but the last ends with `end`.
pub fn first_piece(old: &[u8], new: &[u8], end: u8) -> u32 {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let pieces = new.iter().take(same).filter(|b| **b == end).count();
    pieces as u32 + 1
}

/// Calls `each` with every difference between two definitions, files first.
pub fn differences<'a>(
    old: &Db<'a>,
    old_id: ServiceId,
    new: &Db<'a>,
    new_id: ServiceId,
    each: &mut dyn FnMut(Difference<'a>),
) {
    if old.kind(old_id) != new.kind(new_id) {
        each(Difference::Kind);
        return;
    }
    files(old, old_id, new, new_id, each);
    let (o, n) = ((old, old_id), (new, new_id));
    lists(Field::Dependencies, o, n, &|db, id| db.dependencies(id, Direction::Up), each);
    lists(Field::Wants, o, n, &|db, id| db.wants(id), each);
    lists(Field::After, o, n, &|db, id| db.after(id), each);
    lists(Field::RestartWith, o, n, &|db, id| db.restart_with(id), each);
    let consumer = |(db, id): (&Db<'a>, ServiceId)| db.consumer(id).map(|id| db.name(id));
    if consumer(o) != consumer(n) {
        consumer(o).into_iter().for_each(|name| each(Difference::Removed(Field::Consumer, name)));
        consumer(n).into_iter().for_each(|name| each(Difference::Added(Field::Consumer, name)));
    }
    lists(Field::Producers, o, n, &|db, id| db.producers(id), each);
    for (field, towards) in [(Field::TimeoutUp, Direction::Up), (Field::TimeoutDown, Direction::Down)] {
        if old.timeout(old_id, towards) != new.timeout(new_id, towards) {
            each(Difference::Setting(field));
        }
    }
    for (flag, file) in FLAGS {
        match (old.flags(old_id).has(flag), new.flags(new_id).has(flag)) {
            (true, false) => each(Difference::FileRemoved(file)),
            (false, true) => each(Difference::FileAdded(file)),
            _ => {}
        }
    }
}

/// Merges two file lists, which are in the order of their paths.
fn files<'a>(
    old: &Db<'a>,
    old_id: ServiceId,
    new: &Db<'a>,
    new_id: ServiceId,
    each: &mut dyn FnMut(Difference<'a>),
) {
    use core::cmp::Ordering::{Equal, Greater, Less};
    let (mut olds, mut news) = (old.files(old_id).peekable(), new.files(new_id).peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return,
            (Some(_), None) => Less,
            (None, Some(_)) => Greater,
            (Some(o), Some(n)) => o.path.cmp(n.path),
        };
        match order {
            Less => olds.next().into_iter().for_each(|o| each(Difference::FileRemoved(o.path))),
            Greater => news.next().into_iter().for_each(|n| each(Difference::FileAdded(n.path))),
            Equal => {
                let (Some(o), Some(n)) = (olds.next(), news.next()) else { return };
                if let Some(at) = file_change(&o, &n) {
                    each(Difference::FileChanged(n.path, at));
                }
            }
        }
    }
}

fn file_change(old: &File<'_>, new: &File<'_>) -> Option<At> {
    if old.bytes != new.bytes {
        let piece = |end| first_piece(old.bytes, new.bytes, end);
        return Some(if new.kind == FileKind::Script { At::Word(piece(0)) } else { At::Line(piece(b'\n')) });
    }
    if old.kind != new.kind || old.mode != new.mode { Some(At::Nowhere) } else { None }
}

/// Compares two lists of services by name.
fn lists<'a>(
    field: Field,
    old: (&Db<'a>, ServiceId),
    new: (&Db<'a>, ServiceId),
    list: &dyn Fn(&Db<'a>, ServiceId) -> Ids<'a>,
    each: &mut dyn FnMut(Difference<'a>),
) {
    let has = |(db, id): (&Db<'a>, ServiceId), name: &[u8]| list(db, id).any(|s| db.name(s) == name);
    for service in list(old.0, old.1).filter(|s| !has(new, old.0.name(*s))) {
        each(Difference::Removed(field, old.0.name(service)));
    }
    for service in list(new.0, new.1).filter(|s| !has(old, new.0.name(*s))) {
        each(Difference::Added(field, new.0.name(service)));
    }
}

/// The file that a difference is about, and where in it.
fn file_of<'a>(difference: Difference<'a>) -> Option<(&'a CStr, At)> {
    match difference {
        // What a member of a pipeline has as `run` in its definition.
        Difference::FileChanged(path, at) => Some((if path == c"run.user" { c"run" } else { path }, at)),
        Difference::FileAdded(path) | Difference::FileRemoved(path) => Some((path, At::Nowhere)),
        _ => None,
    }
}

/// The first file that differs, and where.
pub(crate) fn first_file<'a>(
    old: &Db<'a>,
    old_id: ServiceId,
    new: &Db<'a>,
    new_id: ServiceId,
) -> Option<(&'a CStr, At)> {
    let mut first = None;
    files(old, old_id, new, new_id, &mut |difference| first = first.or(file_of(difference)));
    first
}

/// Whether a running service has to be restarted to live by its new definition, and for which file or place.
///
/// A longrun: for what its process was started from or with. A oneshot: for another `up`. All else counts from the next
/// use on: `finish`, `data/`, `env/`, timeouts, `down`, dependencies.
pub fn needs_restart<'a>(
    old: &Db<'a>,
    old_id: ServiceId,
    new: &Db<'a>,
    new_id: ServiceId,
) -> Option<crate::Reason<'a>> {
    use crate::Reason;
    // Everything hangs on the internal ones: they live on, and use what is new from their next start on.
    let internal = new.flags(new_id).has(Flags::INTERNAL) && old.flags(old_id).has(Flags::INTERNAL);
    if internal || old.service_hash(old_id) == new.service_hash(new_id) {
        return None;
    }
    if old.kind(old_id) != new.kind(new_id) {
        return Some(Reason::OtherKind);
    }
    let mut reason = None;
    files(old, old_id, new, new_id, &mut |difference| {
        let file = file_of(difference).filter(|(path, _)| is_of_the_process(path));
        reason = reason.or(file.map(|(path, at)| Reason::File(path, at)));
    });
    let name = |db: &Db<'a>, id: Option<ServiceId>| id.map(|id| db.name(id));
    let piped = name(old, old.consumer(old_id)) != name(new, new.consumer(new_id))
        || (old.producers(old_id).len() == 0) != (new.producers(new_id).len() == 0);
    // The generated `run` of a member names its consumer: that is no change of a file that somebody wrote.
    piped.then_some(Reason::Pipeline).or(reason)
}

/// Whether a running process, or a oneshot that is up, was made from this file.
fn is_of_the_process(path: &CStr) -> bool {
    const FILES: [&[u8]; 7] =
        [b"run", b"run.user", b"settings", b"notification-fd", b"lock-fd", b"flag-newpidns", b"up"];
    FILES.contains(&path.to_bytes())
}
