// SPDX-License-Identifier: ISC
//! `s6-rc-bundle`: bundles added to and taken from an image; `s6-rc-format-upgrade`: the same services in another image.
//!
//! The live image is never written in place: a new one is put in force as an update does it, in a generation of its
//! own, so a kill leaves the old bundles or the new. That is also why it works where the image lies on a read-only
//! file system: then the new one is kept in the live directory, until the next update.

use crate::applet::{Applet, Call, SYSTEM};
use crate::compile::Place;
use crate::db_query::{map, refuse_image};
use crate::manager::{Opened, open};
use crate::update;
use crate::words;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;
use db::{Db, Flags, NewBundle, Target};
use live::{Access, ImageSource};
use run::oneshot::protocol::DEFAULT_SCRIPTS;
use run::update::Request;

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet { name: "s6-rc-bundle", options: Some("l=livedir b/block f/force c=compiled"), main: bundle },
    Applet {
        name: "s6-rc-format-upgrade",
        options: Some("l=livedir b/block v#verbosity t#timeout"),
        main: upgrade,
    },
];

/// The name exists already; the services differ.
const EXISTS: u8 = 1;
/// No such name.
/// A name of the wrong type.
const WRONG_TYPE: u8 = 5;

/// What is to be done.
#[derive(Default)]
struct Edit {
    delete: Vec<&'static [u8]>,
    add: Vec<(&'static [u8], Vec<&'static [u8]>)>,
}

/// A block: words that begin with a blank, up to an empty one.
fn block(words: &mut impl Iterator<Item = &'static [u8]>) -> Option<Vec<&'static [u8]>> {
    let mut found = Vec::new();
    loop {
        match words.next()?.split_first() {
            None => return Some(found),
            Some((b' ', rest)) => found.push(rest),
            Some(_) => return None,
        }
    }
}

fn edit(call: &Call) -> Result<Edit, u8> {
    let mut words = call.words.map(CStr::to_bytes);
    let mut edit = Edit::default();
    match words.next() {
        Some(b"add") => {
            let name = words.next().ok_or_else(|| call.misused(t!("which bundle?"), b""))?;
            edit.add.push((name, words.collect()));
            if edit.add.iter().any(|a| a.1.is_empty()) {
                return Err(call.misused(t!("what is to be in '%'?"), name));
            }
        }
        Some(b"delete") => {
            edit.delete = words.collect();
            if edit.delete.is_empty() {
                return Err(call.misused(t!("which bundles?"), b""));
            }
        }
        Some(b"multiple") => {
            let unterminated = || call.misused(t!("a block is missing, or not terminated"), b"");
            edit.delete = block(&mut words).ok_or_else(unterminated)?;
            while let Some(name) = words.next() {
                edit.add.push((name, block(&mut words).ok_or_else(unterminated)?));
            }
        }
        Some(other) => return Err(call.misused(t!("unknown command '%'"), other)),
        None => return Err(call.misused(t!("which command?"), b"")),
    }
    Ok(edit)
}

fn bundle(call: &Call) -> Result<u8, u8> {
    if { call.words }.next() == Some(c"help") {
        return call.help();
    }
    crate::compile::must_exist(call)?;
    let edit = edit(call)?;
    match call.value(b'c') {
        Some(path) => edit_file(call, &edit, path),
        None => edit_live(call, &edit),
    }
}

fn edit_file(call: &Call, edit: &Edit, path: &'static CStr) -> Result<u8, u8> {
    let (file, _) = update::output(call, path)?;
    let place = Place::open(call, &file)?;
    let db = Db::check(map(call, path)?).map_err(|e| refuse_image(call, path, e))?;
    let image = edited(call, edit, &db)?;
    place.write(call, &image, true)?;
    Ok(0)
}

fn edit_live(call: &Call, edit: &Edit) -> Result<u8, u8> {
    let opened = open(call, call.live(), Access::Change, call.block())?;
    let old = *opened.image.db();
    let image: &'static [u8] = edited(call, edit, &old)?.leak();
    let compiled = opened.live.generation().compiled();
    let compiled = compiled.map_err(|e| crate::live_words::complain(call, call.live(), e))?;
    let code = put_in_force(call, opened, image, ImageSource::Copy(image), &compiled)?;
    if code == 0 {
        call.say(t!("done in % alone: the next update or boot drops it"), call.live().to_bytes());
    }
    Ok(code)
}

/// Puts an image with the same services in force.
fn put_in_force(
    call: &Call,
    opened: Box<Opened>,
    image: &'static [u8],
    source: ImageSource<'_>,
    compiled: &CStr,
) -> Result<u8, u8> {
    let new = Db::check_structure(image).map_err(|e| refuse_image(call, compiled, e))?;
    let old = *opened.image.db();
    let rules = ::update::Conversion::new(&old);
    let plan = ::update::reference(old, new, run::up_set(&opened.live), engine::Set::new(old.len()), &rules);
    let Ok(plan) = plan else {
        return Err(call.fail(EXISTS, t!("the services are not those of the image in force"), b""));
    };
    let deadline = call.deadline();
    let request = Request { compiled, source, stop_essentials: false, deadline, scripts: DEFAULT_SCRIPTS };
    Ok(update::perform(call, opened, &plan, &request))
}

/// The image after an edit. Names in additions mean what they meant before.
fn edited(call: &Call, edit: &Edit, db: &Db<'_>) -> Result<Vec<u8>, u8> {
    let force = call.has(b'f');
    for name in &edit.delete {
        may_change(call, db, name, false, force)?;
    }
    let mut added: Vec<(&[u8], Vec<u16>)> = Vec::new();
    for (name, contents) in &edit.add {
        may_change(call, db, name, true, force)?;
        let mut marks = alloc::vec![false; db.len()];
        for one in contents {
            let target = db.lookup(one).ok_or_else(|| words::unknown(call, db, one))?;
            for id in db.atomics(target) {
                if let Some(mark) = marks.get_mut(id.index()) {
                    *mark = true;
                }
            }
        }
        let ids = marks.iter().enumerate().filter(|(_, m)| **m).map(|(n, _)| n as u16);
        added.push((name, ids.collect()));
    }
    let gone = |name: &[u8]| edit.delete.contains(&name) || added.iter().any(|a| a.0 == name);
    let kept = db.bundles().filter(|id| !gone(db.bundle_name(*id)));
    let kept = kept.map(|id| {
        let contents = db.bundle_contents(id).map(|s| s.index() as u16).collect();
        (db.bundle_name(id), db.bundle_flags(id), contents)
    });
    let mut all: Vec<(&[u8], Flags, Vec<u16>)> = kept.collect();
    all.extend(added.iter().map(|(name, contents)| (*name, Flags(0), contents.clone())));
    db::sort::sort(&mut all, |a, b| a.0 < b.0);
    // Of two additions of one name the last counts.
    let mut bundles: Vec<NewBundle<'_>> = Vec::with_capacity(all.len());
    for (name, flags, contents) in &all {
        if bundles.last().is_some_and(|b| b.name == *name) {
            bundles.pop();
        }
        bundles.push(NewBundle { name, flags: *flags, contents });
    }
    db::with_bundles(db, &bundles)
        .map_err(|_| call.fail(SYSTEM, t!("the image can't hold so many bundles"), b""))
}

/// Whether a name may be added or deleted.
fn may_change(call: &Call, db: &Db<'_>, name: &[u8], add: bool, force: bool) -> Result<(), u8> {
    let (code, what) = match db.lookup(name) {
        Some(Target::Service(_)) => (WRONG_TYPE, t!("'%' is a service, not a bundle")),
        Some(Target::Bundle(_)) if add && !force => (EXISTS, t!("'%' exists already (-f replaces it)")),
        Some(Target::Bundle(_)) => return Ok(()),
        None if add && !db::is_name(name) => return Err(call.misused(t!("'%' can't be a name"), name)),
        None if add && (name.starts_with(b"s6rc-") || name.starts_with(b"s6-rc-")) => {
            return Err(call.misused(t!("'%': such names are reserved"), name));
        }
        None if add || force => return Ok(()),
        None => (words::UNKNOWN, t!("'%': there is no such bundle")),
    };
    Err(call.fail(code, what, name))
}

fn upgrade(call: &Call) -> Result<u8, u8> {
    let path = call.operand(t!("which image?"))?;
    if !path.to_bytes().starts_with(b"/") {
        return Err(call.misused(t!("the image '%' must be an absolute path"), path.to_bytes()));
    }
    let opened = open(call, call.live(), Access::Change, call.block())?;
    let file = update::ImageFile::open(call, path)?;
    same_services(call, opened.image.db(), &file.db)?;
    put_in_force(call, opened, file.db.bytes(), file.source(), path)
}

/// Refuses an image with other services.
fn same_services(call: &Call, old: &Db<'_>, new: &Db<'_>) -> Result<(), u8> {
    let what = t!("'%' is not the same in both images: s6-rc-update is for that");
    for (a, b) in [(old, new), (new, old)] {
        for id in a.services() {
            let other = b.lookup(a.name(id));
            let same = matches!(other, Some(Target::Service(o)) if b.service_hash(o) == a.service_hash(id));
            if !same {
                return Err(call.fail(EXISTS, what, a.name(id)));
            }
        }
    }
    Ok(())
}
