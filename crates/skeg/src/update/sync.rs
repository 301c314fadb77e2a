// SPDX-License-Identifier: ISC
//! `skeg sync`: source directories, whose files a package manager changes one by one, into the image that the next boot takes
//! and into the live state, once the batch is over.
//!
//! Nothing new in here: the compiler, the place of an image, the smart plan and the update protocol, in this order. The
//! image is written before the update, so that a kill between the two leaves what the next sync goes on from.

use super::image::{ImageFile, absolute, follow, output};
use super::look::Look;
use super::plan::make;
use super::rc_update::perform;
use super::stores::{Note, must_name_stores};
use crate::applet::Call;
use crate::compile::{Place, must_exist};
use crate::manager::{COMPILED, open};
use alloc::vec::Vec;
use core::ffi::CStr;
use db::Db;
use live::journal::Journal;
use live::{Access, Live, LiveError, Wait};
use run::oneshot::protocol::DEFAULT_SCRIPTS;
use run::update::Request;
use sys::fs;
use sys::mm::MappedFile;
use sys::{CWD, Errno, Path};

pub const OPTIONS: &str =
    "+ -i/if-changed -E=empty l=livedir o=output h=fdholder-user v#verbosity t#timeout w#wait";

pub fn main(call: &Call) -> Result<u8, u8> {
    must_exist(call)?;
    let deadline = call.deadline();
    call.operand(t!("which source directories?"))?;
    let stores: Vec<&'static CStr> = call.operands().collect();
    must_name_stores(call, &stores)?;
    let mut look = Look::new();
    // One that can't be looked at is the compiler's to complain about.
    let all = stores.iter().all(|store| look.store(store).is_ok());
    look.bytes(call.value(b'h').unwrap_or_default().to_bytes());
    let newest = look.newest;
    let seen = all.then(|| look.finish());
    if call.has(b'i') && seen.is_some_and(|seen| is_done(call, &seen)) {
        return Ok(0);
    }
    newest.rest();
    // Held while the stores are read: of two syncs the one that reads later also writes later.
    let opened = match fs::lstat(CWD, call.live()) {
        Err(Errno::NOENT) => {
            if let Some(live) = call.value(b'l') {
                call.say(t!("no live directory at %: only the image is written"), live.to_bytes());
            }
            None
        }
        _ => Some(open(call, call.live(), Access::Change, call.patience())?),
    };
    let path = target(call, opened.as_ref().map(|opened| &opened.live))
        .map_err(|e| call.failed(t!("find the path of the image"), b"", e))?;
    let (place, _) = output(call, &path)?;
    let file = ImageFile::compile(call, &stores, call.number(b'v', 1))?;
    let lies = map(&place);
    let before = lies.as_ref().and_then(|lies| Db::check(lies.bytes()).ok());
    let note = Note::read(&place, before.as_ref().map(Db::hash))
        .map_err(|e| call.failed(t!("write %.sync"), place.as_bytes(), e))?;
    note.must_keep(call, &file, &[opened.as_ref().map(|opened| *opened.image.db()), before])?;
    let plan = match &opened {
        None => None,
        Some(opened) => {
            file.must_fit(call)?;
            Some(make(call, opened, &file)?)
        }
    };
    // What lies there already is not written again, since it may lie in flash.
    if lies.is_none_or(|lies| lies.bytes() != file.bytes()) {
        note.prepare(&file);
        Place::open(call, &place)?.write(call, file.bytes(), true)?;
    }
    let (mut code, mut live) = (0, [0; 32]);
    if let (Some(opened), Some(plan)) = (opened, plan) {
        let request = Request {
            compiled: &path,
            source: file.source(),
            stop_essentials: true,
            deadline,
            scripts: DEFAULT_SCRIPTS,
        };
        live = file.db.hash();
        code = perform(call, opened, &plan, &request);
    }
    let stamp = seen.filter(|_| code == 0).and_then(|seen| stamp(&place, &seen, &live));
    note.write(stamp.unwrap_or_default(), &file);
    Ok(code)
}

/// The bytes of the file at a path, if there is one.
fn map(path: &CStr) -> Option<MappedFile> {
    let file = fs::open_read(CWD, path).ok()?;
    MappedFile::new(&file, fs::fstat(&file).ok()?.st_size as usize).ok()
}

/// Where the image goes.
fn target(call: &Call, live: Option<&Live>) -> sys::Result<Path> {
    match (call.value(b'o'), live) {
        (None, Some(live)) => live.generation().compiled().map_err(|_| Errno::NOENT),
        (path, _) => absolute(path.unwrap_or(COMPILED)),
    }
}

/// Whether a sync has been completed, and all is still as it left it.
fn is_done(call: &Call, seen: &[u8; 8]) -> bool {
    let live = match Live::open(call.live(), Access::Look, Wait::No) {
        Ok(live) => Some(live),
        Err(LiveError::ABSENT) => None,
        Err(_) => return false,
    };
    // What was killed in the middle is to be finished, what was left down to be started.
    if live
        .as_ref()
        .is_some_and(|live| Journal::present(live.locked().sv()) || !run::owed_set(live).is_empty())
    {
        return false;
    }
    let hash = live.as_ref().map_or([0; 32], |live| live.states().header().hash);
    let Ok(path) = target(call, live.as_ref()) else { return false };
    let Ok((place, _)) = follow(&path) else { return false };
    stamp(&place, seen, &hash).is_some_and(|stamp| Note::read(&place, None).is_ok_and(|note| note.is(stamp)))
}

/// What stands for a completed sync.
fn stamp(image: &CStr, seen: &[u8; 8], live: &[u8; 32]) -> Option<[u8; 8]> {
    let mut look = Look::new();
    look.bytes(seen);
    look.bytes(live);
    look.stat(&fs::lstat(CWD, image).ok()?);
    // Another compiler may make another image.
    if let Ok(skeg) = fs::stat(CWD, c"/proc/self/exe") {
        look.stat(&skeg);
    }
    Some(look.finish())
}
