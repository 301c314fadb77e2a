// SPDX-License-Identifier: ISC
//! What differs between two definitions.

use crate::Reason;
use crate::written::{self, Form, Written};
use db::{Db, Direction, FileKind, Flags, Ids, ServiceId};

/// Where two contents of a file first differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In no place: one of them is not there, or they differ in kind or mode.
    Nowhere,
    /// At this line, from 1.
    Line(u32),
    /// At this word, from 1: of a script the image has the words, and no longer the lines.
    Word(u32),
    /// In what it says, in a line of which the image no longer has the number: a setting.
    Value,
}

/// A difference between an old and a new definition of a service. Files have the paths that they have in the definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference<'a> {
    /// A file that both have: its path, where it differs, and what either has from there on.
    FileChanged(&'a [u8], At, [&'a [u8]; 2]),
    /// A file, or a name of a list, that only the new one has.
    Added(Field, &'a [u8]),
    /// One that only the old one has.
    Removed(Field, &'a [u8]),
    /// A timeout.
    Setting(Field),
    /// A oneshot is a longrun now, or the other way.
    Kind,
}

/// A part of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A file that is none of the others.
    File,
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
const FLAGS: [(Flags, &[u8]); 4] = [
    (Flags::ESSENTIAL, b"flag-essential"),
    (Flags::RECOMMENDED, b"flag-recommended"),
    (Flags::MANUAL, b"flag-manual"),
    (Flags::RELOAD_ON_CHANGE, b"reload-on-change"),
];

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
    files((old, old_id), (new, new_id), &mut |file, difference| {
        if file.order.2 {
            each(difference);
        }
    });
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
    let (mine, yours) = (own_flags(old, old_id), own_flags(new, new_id));
    flags(mine.0 & !new.flags(new_id).0, yours.0 & !old.flags(old_id).0, each);
}

/// Calls `each` with the files of the flags that went and came.
pub fn flags<'a>(went: u32, came: u32, each: &mut dyn FnMut(Difference<'a>)) {
    for (flag, file) in FLAGS {
        if (went | came) & flag.0 != 0 {
            let is_there = came & flag.0 != 0;
            each(if is_there {
                Difference::Added(Field::File, file)
            } else {
                Difference::Removed(Field::File, file)
            });
        }
    }
}

/// The flags of a service without those that a bundle gives it, which are told of the bundle.
#[inline(never)]
fn own_flags(db: &Db<'_>, id: ServiceId) -> Flags {
    let mut own = db.flags(id);
    for bundle in db.bundles().filter(|bundle| db.bundle_contents(*bundle).contains(id)) {
        own.0 &= !db.bundle_flags(bundle).0;
    }
    own
}

/// Merges the files of both, which are in the same order.
fn files<'a>(
    old: (&Db<'a>, ServiceId),
    new: (&Db<'a>, ServiceId),
    each: &mut dyn FnMut(&Written<'a>, Difference<'a>),
) {
    use core::cmp::Ordering::{Equal, Greater, Less};
    let (mut olds, mut news) = (written::of(old.0, old.1), written::of(new.0, new.1));
    let (mut o, mut n) = (olds.next(), news.next());
    loop {
        let order = o.order.cmp(&n.order);
        match order {
            Less => each(&o, Difference::Removed(Field::File, o.order.1)),
            Greater => each(&n, Difference::Added(Field::File, n.order.1)),
            Equal if n.order.0 == Form::End => return,
            Equal => change(&o, &n, each),
        }
        if order != Greater {
            o = olds.next();
        }
        if order != Less {
            n = news.next();
        }
    }
}

/// How a file differs, and from which piece on.
#[inline(never)]
fn change<'a>(old: &Written<'a>, new: &Written<'a>, each: &mut dyn FnMut(&Written<'a>, Difference<'a>)) {
    let (form, name, _) = new.order;
    let (mut at, mut start) = (At::Nowhere, 0);
    if old.bytes != new.bytes {
        let words = new.kind == FileKind::Script && form != Form::Setting;
        let end = if words { 0 } else { b'\n' };
        let mut number = 1;
        for (at, (old, new)) in (1..).zip(old.bytes.iter().zip(new.bytes)) {
            if old != new {
                break;
            }
            if *new == end {
                (number, start) = (number + 1, at);
            }
        }
        at = match form {
            Form::Setting => At::Value,
            _ if words => At::Word(number),
            _ => At::Line(number),
        };
    } else if old.kind == new.kind && old.mode == new.mode {
        return;
    }
    let rest = |bytes: &'a [u8]| bytes.get(start..).unwrap_or_default();
    each(new, Difference::FileChanged(name, at, [rest(old.bytes), rest(new.bytes)]));
}

/// Compares two lists of services by name.
fn lists<'a>(
    field: Field,
    old: (&Db<'a>, ServiceId),
    new: (&Db<'a>, ServiceId),
    list: &dyn Fn(&Db<'a>, ServiceId) -> Ids<'a>,
    each: &mut dyn FnMut(Difference<'a>),
) {
    let mut only = |one: (&Db<'a>, ServiceId), other: (&Db<'a>, ServiceId), added| {
        for service in list(one.0, one.1) {
            let name = one.0.name(service);
            // Who reads its output and what the compiler adds are needed without being said.
            let is_said = field != Field::Dependencies
                || !one.0.flags(service).has(Flags::INTERNAL) && one.0.consumer(one.1) != Some(service);
            if is_said && !list(other.0, other.1).any(|s| other.0.name(s) == name) {
                each(if added { Difference::Added(field, name) } else { Difference::Removed(field, name) });
            }
        }
    };
    only(old, new, false);
    only(new, old, true);
}

/// What of a definition is another than before: of what a process, or a oneshot that is up, was made from, or of all.
///
/// A process: what it was started from or with. A oneshot: its `up`. All else counts from the next use on: `finish`,
/// `data/`, `env/`, timeouts, `down`, dependencies.
pub(crate) fn changed<'a>(
    old: &Db<'a>,
    old_id: ServiceId,
    new: &Db<'a>,
    new_id: ServiceId,
    of_process: bool,
) -> Option<Reason<'a>> {
    if old.service_hash(old_id) == new.service_hash(new_id) {
        return None;
    }
    // A oneshot whose `up` has no word: nothing ran, and no setting was applied.
    let idle = new.find_file(new_id, b"up").is_some_and(|up| up.bytes.is_empty());
    let (mut reason, mut made) = (None, false);
    files((old, old_id), (new, new_id), &mut |file, difference| {
        let (form, path, is_written) = file.order;
        const FILES: [&[u8]; 5] = [b"run", b"notification-fd", b"lock-fd", b"flag-newpidns", b"up"];
        let counts = match form {
            Form::File => FILES.contains(&path),
            Form::Setting => !idle,
            Form::Command | Form::End => true,
        };
        if !counts && of_process {
            return;
        }
        let at = if let Difference::FileChanged(_, at, _) = difference { at } else { At::Nowhere };
        if !is_written {
            made = true;
        } else if reason.is_none() {
            reason = Some(Reason::File(path, at));
        }
    });
    // The compiler made something else of what was written: others write or read, or it has another name.
    let piped = old.in_pipeline(old_id) || new.in_pipeline(new_id);
    reason.or(made.then_some(if piped { Reason::Pipeline } else { Reason::Definition }))
}

/// Whether a running service has to be restarted to live by its new definition, and for which file or place.
pub fn needs_restart<'a>(
    old: &Db<'a>,
    old_id: ServiceId,
    new: &Db<'a>,
    new_id: ServiceId,
) -> Option<Reason<'a>> {
    if old.kind(old_id) != new.kind(new_id) {
        return Some(Reason::OtherKind);
    }
    // Everything hangs on the internal ones: they live on, and use what is new from their next start on.
    let internal = new.flags(new_id).has(Flags::INTERNAL) && old.flags(old_id).has(Flags::INTERNAL);
    if internal { None } else { changed(old, old_id, new, new_id, true) }
}
