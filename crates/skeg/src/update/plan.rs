// SPDX-License-Identifier: ISC
//! `skeg plan` shows what an update would do and why; `skeg apply` does it, and exactly that.

use super::conversion;
use super::diff::{cant_look, disagreements};
use super::image::{ImageFile, absolute, output};
use super::rc_update::perform;
use super::reason;
use crate::applet::{Call, SYSTEM, USAGE};
use crate::compile::Place;
use crate::manager::{Opened, open};
use crate::words::{self, Text};
use alloc::vec::Vec;
use core::ffi::CStr;
use engine::Set;
use live::journal::{Journal, Set as Members, Side};
use live::tree::Status;
use live::{Access, Saved};
use run::oneshot::protocol::DEFAULT_SCRIPTS;
use run::update::Request;
use sys::fs::{self, OFlags};
use sys::mm::MappedFile;
use update::{Plan, smart};

/// Exit code of a plan that does not fit any more.
const MOVED: u8 = 7;

pub const PLAN_OPTIONS: &str = "1 l=livedir f=conversion-file o=output -j/json w#wait";
pub const APPLY_OPTIONS: &str = "1 l=livedir f=conversion-file -E/empty -j/json v#verbosity t#timeout w#wait";

fn members(set: &Set) -> Members {
    Members::from_bools((0..set.bound() as u16).map(|s| set.contains(s)))
}

pub fn plan(call: &Call) -> Result<u8, u8> {
    let what = call.operand(t!("which image or source tree?"))?;
    let opened = open(call, call.live(), Access::Read, call.patience())?;
    let file = ImageFile::open_or_compile(call, what)?;
    let plan = make(call, &opened, &file)?;
    if let Some(to) = call.value(b'o') {
        save(call, &opened, &plan, what, to)?;
    }
    let unfinished = Journal::present(opened.live.locked().sv());
    if unfinished {
        call.say(t!("an unfinished command comes first, and may change this plan: see 'skeg recover'"), b"");
    }
    let apart = apart(call, &opened);
    if call.has(b'j') {
        words::output(&reason::json(&plan, unfinished, &apart))
    } else {
        reason::print(&plan, &apart)
    }
    .map(|()| 0)
}

/// Services whose record disagrees with their supervisor, and how: a plan goes by the record.
fn apart(call: &Call, opened: &Opened) -> Vec<(&'static [u8], Text)> {
    let mut found = Vec::new();
    if let Some(errno) = disagreements(opened, &mut |name, how| found.push((name, how))) {
        cant_look(call, errno);
    }
    found
}

/// The plan for this image by the smart rules. Else the exit code, after a message.
pub fn make(call: &Call, opened: &Opened, file: &ImageFile) -> Result<Plan<'static>, u8> {
    let old = *opened.image.db();
    let rules = conversion::read(call, &old)?;
    let (up, owed) = (run::up_or_on_its_way(&opened.live), run::owed_set(&opened.live));
    smart(old, file.db, up, owed, &rules).map_err(|e| conversion::refuse(call, &rules, &old, e))
}

fn save(call: &Call, opened: &Opened, plan: &Plan<'_>, what: &CStr, to: &CStr) -> Result<(), u8> {
    let cant = |e| call.failed(t!("write the plan %"), to.to_bytes(), e);
    let saved = Saved {
        old: Side { generation: opened.live.generation().number(), hash: plan.old.hash() },
        old_up: members(&plan.old_up),
        owed: members(&plan.owed),
        supervised: supervised(call, opened)?,
        new: plan.new.hash(),
        path: absolute(what).map_err(cant)?.as_bytes().to_vec(),
        conversion: conversion::contents(call)?.to_vec(),
        stop: members(&plan.stop),
        start: members(&plan.start),
    };
    let bytes = saved.encode().ok_or_else(|| cant(sys::Errno::FBIG))?;
    let (place, there) = output(call, to)?;
    let place = Place::open(call, &place)?;
    let aside = place.beside();
    let is_there = |input: &&CStr| {
        let Ok(input) = fs::stat(sys::CWD, input) else { return false };
        let is_it = |stat: &fs::Stat| (stat.st_dev, stat.st_ino) == (input.st_dev, input.st_ino);
        [&there, &aside].into_iter().flatten().any(is_it)
    };
    if [Some(what), call.value(b'f')].iter().flatten().any(is_there) {
        return Err(call.fail(
            USAGE,
            t!("% is what the plan is made from, or the file beside it is: it can't be written there"),
            to.to_bytes(),
        ));
    }
    place.write(call, &bytes, true)
}

pub fn apply(call: &Call) -> Result<u8, u8> {
    let what = call.operand(t!("which plan, image or source tree?"))?;
    let deadline = call.deadline();
    let saved = saved_plan(call, what)?;
    if saved.is_some() && call.has(b'f') {
        let why = t!("a saved plan has its conversion rules; -f is for an image or source tree");
        return Err(call.misused(why, b""));
    }
    let opened = open(call, call.live(), Access::Change, call.patience())?;
    let (path, file, plan) = match saved {
        None => {
            let file = ImageFile::open_or_compile(call, what)?;
            file.must_define(call, what, opened.image.db())?;
            let plan = make(call, &opened, &file)?;
            (what, file, plan)
        }
        Some(saved) => fit(call, &opened, saved)?,
    };
    file.must_fit(call)?;
    // A tree is no place for an image: that of the one before stays noted, for `skeg sync`.
    let noted = if file.compiled { opened.live.generation().compiled().ok() } else { None };
    let compiled = noted.map_or_else(|| absolute(path), Ok);
    let compiled = compiled.map_err(|e| call.failed(t!("find the path of %"), path.to_bytes(), e))?;
    let request = Request {
        compiled: &compiled,
        source: file.source(),
        stop_essentials: true,
        deadline,
        scripts: DEFAULT_SCRIPTS,
    };
    if call.has(b'j') {
        words::output(&reason::json(&plan, false, &apart(call, &opened)))?;
    }
    Ok(perform(call, opened, &plan, &request))
}

/// The plan in this file, if it is one.
fn saved_plan(call: &Call, path: &CStr) -> Result<Option<Saved>, u8> {
    let cant = |e| call.failed(t!("read %"), path.to_bytes(), e);
    let file = fs::open(sys::CWD, path, OFlags::RDONLY | OFlags::NONBLOCK, 0).map_err(cant)?;
    let mut head = [0; 8];
    match fs::pread(&file, &mut head, 0) {
        Ok(8) if Saved::is_one(&head) => {}
        // A source tree, or an image, which is checked later.
        _ => return Ok(None),
    }
    let size = fs::fstat(&file).map_err(cant)?.st_size as usize;
    let mapped = MappedFile::new(&file, size).map_err(cant)?;
    Saved::decode(mapped.bytes())
        .map(Some)
        .ok_or_else(|| call.fail(4, t!("% is a damaged plan"), path.to_bytes()))
}

/// The longruns that their supervisors want up: a service that somebody has stopped past the record is another case than the one
/// that the plan was shown for.
fn supervised(call: &Call, opened: &Opened) -> Result<Members, u8> {
    let db = opened.image.db();
    let mut wanted = Set::new(db.len());
    for service in 0..db.longruns() as u16 {
        let name = reason::name(db, service);
        let cant = |e| call.failed(t!("read the status of service %"), name, e);
        match opened.live.service_dir(service).and_then(Status::read) {
            Ok(status) if status.wanted_up => _ = wanted.insert(service),
            Ok(_) | Err(sys::Errno::NOENT) => {}
            Err(e) => return Err(cant(e)),
        }
    }
    Ok(members(&wanted))
}

/// Makes a saved plan again, and sees that it is the same.
fn fit(call: &Call, opened: &Opened, saved: Saved) -> Result<(&'static CStr, ImageFile, Plan<'static>), u8> {
    let moved = |why| call.fail(MOVED, t!("%: the plan does not fit any more; make it again"), why);
    let old = *opened.image.db();
    let (up, owed) = (run::up_or_on_its_way(&opened.live), run::owed_set(&opened.live));
    if saved.old != (Side { generation: opened.live.generation().number(), hash: old.hash() }) {
        return Err(moved(t!("another image is in force than when the plan was made").bytes()));
    }
    if saved.old_up != members(&up) || saved.owed != members(&owed) {
        return Err(moved(t!("other services are up than when the plan was made").bytes()));
    }
    if saved.supervised != supervised(call, opened)? {
        return Err(moved(b"supervisors want other services up than when the plan was made"));
    }
    let mut path: Vec<u8> = saved.path;
    path.push(0);
    let path: &'static CStr = CStr::from_bytes_until_nul(path.leak()).map_err(|_| SYSTEM)?;
    let file = ImageFile::open_or_compile(call, path)?;
    if file.db.hash() != saved.new {
        return Err(moved(t!("the new image is another than when the plan was made").bytes()));
    }
    let rules = conversion::parse(call, conversion::PLANS, saved.conversion.leak(), &old)?;
    let plan =
        smart(old, file.db, up, owed, &rules).map_err(|e| conversion::refuse(call, &rules, &old, e))?;
    if members(&plan.stop) != saved.stop || members(&plan.start) != saved.start {
        return Err(moved(t!("this skeg would do something else").bytes()));
    }
    Ok((path, file, plan))
}
