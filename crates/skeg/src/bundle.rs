// SPDX-License-Identifier: ISC
//! `s6-rc-bundle`: bundles added to and taken from an image; `s6-rc-format-upgrade`: the same services in another image.
//!
//! The live image is never written in place: a new one is put in force as an update does it, in a generation of its
//! own, so a kill leaves the old bundles or the new. That is also why it works where the image lies on a read-only
//! file system: then the new one is kept in the live directory, until the next update.

use crate::applet::{Applet, Call, SYSTEM};
use crate::compile::Place;
use crate::db_query::{map, refuse_image};
use crate::manager::{LIVE, Opened, open};
use crate::{update, words};
use alloc::vec::Vec;
use core::ffi::CStr;
use db::{Db, Flags, NewBundle, Target};
use live::{Access, ImageSource, Wait};
use run::oneshot::protocol::DEFAULT_SCRIPTS;
use run::update::Request;
use sys::time::{Millis, monotonic};
use text::args::Arg;

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet {
        name: "s6-rc-bundle",
        about: "add bundles to an image, or take them away",
        help: HELP,
        main: bundle,
    },
    Applet {
        name: "s6-rc-format-upgrade",
        about: "put the same services in force from an image of another format version",
        help: UPGRADE_HELP,
        main: upgrade,
    },
];

const HELP: &str = "\
usage: s6-rc-bundle [-f] [-l LIVE] [-c IMAGE] [-b] COMMAND...

  -f, --force            an existing name may be added (it is replaced), an unknown one deleted
  -l, --livedir LIVE     edit the image in force in LIVE (default /run/s6-rc), until the next update
  -c, --compiled IMAGE   edit this file
  -b, --block            wait for another command that is at work on LIVE

commands:
  help                          this text
  add BUNDLE NAME...            a bundle of these services and bundles
  delete BUNDLE...
  multiple { BUNDLE... } [BUNDLE { NAME... }]...
                                deletions, then additions, in one step (blocks as execline makes them)

exit codes: 0; 1 the name exists already; 3 no such name; 4 the image is not valid; 5 the name of a service;
100 wrong usage; 111 a system call failed
";

const UPGRADE_HELP: &str = "\
usage: s6-rc-format-upgrade [-v VERBOSITY] [-t MS] [-l LIVE] [-b] IMAGE

Puts IMAGE in force in LIVE. It must have been compiled from the same source as the image in force: no service
is stopped or started.

  -v, --verbosity N    0: say nothing
  -t, --timeout MS     give up after this time
  -l, --livedir LIVE   the live directory (default /run/s6-rc)
  -b, --block          wait for another command that is at work on LIVE

exit codes: 0; 1 the services are not the same, or timed out; 4 an image is not valid; 100 wrong usage; 111 a system
call failed
";

/// The name exists already; the services differ.
const EXISTS: u8 = 1;
/// No such name.
const UNKNOWN: u8 = 3;
/// A name of the wrong type.
const WRONG_TYPE: u8 = 5;

struct Options {
    force: bool,
    live: &'static CStr,
    compiled: Option<&'static CStr>,
    wait: Wait,
    verbosity: u32,
    timeout: u32,
    rest: Vec<&'static CStr>,
}

/// The options of both applets; `upgrade` tells which.
fn parse(call: &Call, upgrade: bool) -> Result<Options, u8> {
    let mut args = call.args();
    let mut o = Options {
        force: false,
        live: LIVE,
        compiled: None,
        wait: Wait::No,
        verbosity: 1,
        timeout: 0,
        rest: Vec::new(),
    };
    while let Some(arg) = args.option().map_err(|e| call.refuse(e))? {
        match arg {
            Arg::Short(b'l') | Arg::Long(b"livedir") => o.live = args.value().map_err(|e| call.refuse(e))?,
            Arg::Short(b'b') | Arg::Long(b"block") => o.wait = Wait::Forever,
            Arg::Short(b'f') | Arg::Long(b"force") if !upgrade => o.force = true,
            Arg::Short(b'c') | Arg::Long(b"compiled") if !upgrade => {
                o.compiled = Some(args.value().map_err(|e| call.refuse(e))?);
            }
            Arg::Short(b'v') | Arg::Long(b"verbosity") if upgrade => {
                o.verbosity = call.number(&mut args, b"verbosity", u32::MAX)?;
            }
            Arg::Short(b't') | Arg::Long(b"timeout") if upgrade => {
                o.timeout = call.number(&mut args, b"timeout", u32::MAX)?;
            }
            other => return Err(call.unknown(other)),
        }
    }
    while let Some(word) = args.operand() {
        o.rest.push(word);
    }
    Ok(o)
}

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

fn edit(call: &Call, rest: &[&'static CStr]) -> Result<Edit, u8> {
    let mut words = rest.iter().map(|w| w.to_bytes());
    let mut edit = Edit::default();
    match words.next() {
        Some(b"add") => {
            let name = words.next().ok_or_else(|| call.misused(&[b"which bundle?"]))?;
            edit.add.push((name, words.collect()));
            if edit.add.iter().any(|a| a.1.is_empty()) {
                return Err(call.misused(&[b"what is to be in '", name, b"'?"]));
            }
        }
        Some(b"delete") => {
            edit.delete = words.collect();
            if edit.delete.is_empty() {
                return Err(call.misused(&[b"which bundles?"]));
            }
        }
        Some(b"multiple") => {
            let unterminated = || call.misused(&[b"a block is missing, or not terminated"]);
            edit.delete = block(&mut words).ok_or_else(unterminated)?;
            while let Some(name) = words.next() {
                edit.add.push((name, block(&mut words).ok_or_else(unterminated)?));
            }
        }
        Some(other) => return Err(call.misused(&[b"unknown command '", other, b"'"])),
        None => return Err(call.misused(&[b"which command?"])),
    }
    Ok(edit)
}

fn bundle(call: &mut Call) -> u8 {
    let done = parse(call, false).and_then(|o| {
        if o.rest.first() == Some(&c"help") {
            return Ok(call.print_help());
        }
        let edit = edit(call, &o.rest)?;
        match o.compiled {
            Some(path) => edit_file(call, &o, &edit, path),
            None => edit_live(call, &o, &edit),
        }
    });
    done.unwrap_or_else(|code| code)
}

fn edit_file(call: &Call, o: &Options, edit: &Edit, path: &'static CStr) -> Result<u8, u8> {
    let place = Place::open(call, path)?;
    let db = Db::check(map(call, path)?).map_err(|e| refuse_image(call, path, e))?;
    let image = edited(call, o, edit, &db)?;
    place.write(call, &image, true)?;
    Ok(0)
}

fn edit_live(call: &Call, o: &Options, edit: &Edit) -> Result<u8, u8> {
    let opened = open(call.name, o.live, Access::Change, o.wait)?;
    let old = *opened.image.db();
    let image = edited(call, o, edit, &old)?;
    let compiled = opened.live.generation().compiled();
    let compiled = compiled.map_err(|e| crate::live_words::complain(call.name, o.live.to_bytes(), e))?;
    put_in_force(call, o, opened, &image, ImageSource::Copy(&image), &compiled)
}

/// Puts an image with the same services in force.
fn put_in_force(
    call: &Call,
    o: &Options,
    opened: Opened,
    image: &[u8],
    source: ImageSource<'_>,
    compiled: &CStr,
) -> Result<u8, u8> {
    let new = Db::check_structure(image).map_err(|e| refuse_image(call, compiled, e))?;
    let old = *opened.image.db();
    let rules = ::update::Conversion::new(&old);
    let plan = ::update::reference(old, new, run::up_set(&opened.live), &rules);
    let Ok(plan) = plan else {
        words::complain(call.name, &[b"the services are not those of the image in force"]);
        return Err(EXISTS);
    };
    let deadline = (o.timeout != 0).then(|| Millis(monotonic().0 + u64::from(o.timeout)));
    let request = Request { compiled, source, stop_essentials: false, deadline, scripts: DEFAULT_SCRIPTS };
    Ok(update::perform(call, o.live, opened, &plan, &request, o.verbosity))
}

/// The image after an edit. Names in additions mean what they meant before.
fn edited(call: &Call, o: &Options, edit: &Edit, db: &Db<'_>) -> Result<Vec<u8>, u8> {
    for name in &edit.delete {
        may_change(call, db, name, false, o.force)?;
    }
    let mut added: Vec<(&[u8], Vec<u16>)> = Vec::new();
    for (name, contents) in &edit.add {
        may_change(call, db, name, true, o.force)?;
        let mut marks = alloc::vec![false; db.len()];
        for one in contents {
            let target = db.lookup(one).ok_or_else(|| {
                words::complain(call.name, &[b"no service or bundle is named '", one, b"'"]);
                UNKNOWN
            })?;
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
    db::with_bundles(db, &bundles).map_err(|_| {
        words::complain(call.name, &[b"the image can't hold so many bundles"]);
        SYSTEM
    })
}

/// Whether a name may be added or deleted.
fn may_change(call: &Call, db: &Db<'_>, name: &[u8], add: bool, force: bool) -> Result<(), u8> {
    let (pieces, code): (&[&[u8]], u8) = match db.lookup(name) {
        Some(Target::Service(_)) => (&[b"' is a service, not a bundle"], WRONG_TYPE),
        Some(Target::Bundle(_)) if add && !force => (&[b"' exists already (-f replaces it)"], EXISTS),
        Some(Target::Bundle(_)) => return Ok(()),
        None if add && !db::is_name(name) => return Err(call.misused(&[b"'", name, b"' can't be a name"])),
        None if add && (name.starts_with(b"s6rc-") || name.starts_with(b"s6-rc-")) => {
            return Err(call.misused(&[b"'", name, b"': such names are reserved"]));
        }
        None if add || force => return Ok(()),
        None => (&[b"': there is no such bundle"], UNKNOWN),
    };
    words::complain(call.name, &[b"'", name, pieces.first().copied().unwrap_or_default()]);
    Err(code)
}

fn upgrade(call: &mut Call) -> u8 {
    let done = parse(call, true).and_then(|o| {
        let path = *o.rest.first().ok_or_else(|| call.misused(&[b"which image?"]))?;
        if !path.to_bytes().starts_with(b"/") {
            return Err(call.misused(&[b"the image '", path.to_bytes(), b"' must be an absolute path"]));
        }
        let opened = open(call.name, o.live, Access::Change, o.wait)?;
        let file = update::ImageFile::open(call, path)?;
        same_services(call, opened.image.db(), &file.db)?;
        put_in_force(call, &o, opened, file.db.bytes(), file.source(), path)
    });
    done.unwrap_or_else(|code| code)
}

/// Refuses an image with other services.
fn same_services(call: &Call, old: &Db<'_>, new: &Db<'_>) -> Result<(), u8> {
    let differs = |name: &[u8]| {
        words::complain(
            call.name,
            &[b"'", name, b"' is not the same in both images: s6-rc-update is for that"],
        );
        EXISTS
    };
    for (a, b) in [(old, new), (new, old)] {
        for id in a.services() {
            let other = b.lookup(a.name(id));
            let same = matches!(other, Some(Target::Service(o)) if b.service_hash(o) == a.service_hash(id));
            if !same {
                return Err(differs(a.name(id)));
            }
        }
    }
    Ok(())
}
