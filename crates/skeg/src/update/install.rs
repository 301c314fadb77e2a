// SPDX-License-Identifier: ISC
//! `skeg install`: an image becomes the one that the next boot takes, whatever happens to the power meanwhile.

use super::image::ImageFile;
use crate::applet::{Call, SYSTEM};
use crate::init::{TRIED, read_options};
use crate::signature::{self, Key};
use crate::words::Text;
use crate::{live_words, manager, words};
use ::init::cmdline;
use core::ffi::CStr;
use db::Db;
use live::{Fault, Image, LiveError, Op, Store, What};
use sys::Errno;
use sys::time::Millis;
use text::Digits;

pub const OPTIONS: &str = "1 d=data -t#trial<86400 -b/back -k/keep -y=key -u=bundle";

/// The image is not valid, or not signed.
const INVALID: u8 = 4;

/// One image, or one of the other ways.
fn understand(call: &Call) -> Result<(), u8> {
    if b"tbk".iter().filter(|letter| call.has(**letter)).count() > 1 {
        return Err(call.misused(t!("only one of --trial, --back and --keep"), b""));
    }
    match call.operands().next() {
        Some(word) if call.last(b"bk") != 0 => Err(call.surplus(word)),
        _ => Ok(()),
    }
}

pub fn main(call: &Call) -> Result<u8, u8> {
    understand(call)?;
    crate::applet::bear_size_limit();
    let dir = call.value(b'd').unwrap_or(c"/data");
    let limit = call.number(b't', 0);
    if call.has(b't') && limit == 0 {
        return Err(call.misused(t!("--trial needs a time: with % seconds no boot can come up"), b"0"));
    }
    let failed = |e: LiveError| match e.fault() {
        Fault::Sys(Op::Write, What::Store, Errno::OPNOTSUPP) => {
            let what = t!("% is on FAT, which has no links and no atomic rename: use another file system");
            call.fail(SYSTEM, what, dir.to_bytes())
        }
        Fault::TimedOut(_) => call.fail(
            SYSTEM,
            t!("another skeg install is still at work on %: try again when it has ended"),
            dir.to_bytes(),
        ),
        _ => live_words::complain(call, dir, e),
    };
    // The lock goes with the descriptor.
    let open = || {
        let store = Store::open(dir).map_err(failed)?;
        store.lock(Millis(u64::from(manager::PATIENCE))).map_err(failed).map(|()| store)
    };
    let path = call.value(b'y').unwrap_or(signature::KEY);
    // The root's key need not be there; one that was asked for must.
    let key = Key::read(path);
    let signed = |bytes: &[u8]| key.as_ref().map_or(!call.has(b'y'), |key| key.has_signed(bytes));
    let mut line = [0; cmdline::MAX];
    let bundle = call.value(b'u').map_or_else(|| read_options(&mut line).bundle, CStr::to_bytes);
    let has_bundle = |db: &Db<'_>| db.lookup(bundle).is_some();
    let boots = |bytes: &[u8]| Db::check(bytes).is_ok_and(|db| has_bundle(&db)) && signed(bytes);
    // What was current stays as previous whatever a boot brought up of it: the bundle may change with the new image.
    let whole = |bytes: &[u8]| Db::check(bytes).is_ok() && signed(bytes);
    let (back, keep) = (call.has(b'b'), call.has(b'k'));
    if back || keep {
        let store = open()?;
        let name = if back { c"previous" } else { c"current" };
        let wanted = store.link(name).map_err(failed)?;
        if wanted.is_some() && !store.is(name, &boots).map_err(failed)? {
            words::complain_text(
                call.name,
                t!(
                    "%/% is damaged, not signed, or without '%': no boot would take it, so nothing is changed"
                )
                .bytes(),
                &[dir.to_bytes(), name.to_bytes(), bundle],
            );
            return Err(INVALID);
        }
        if keep {
            return store.end_trial().map(|()| 0).map_err(failed);
        }
        let is_back = |current: Image| wanted.is_some_and(|wanted| wanted.as_c() == current.as_c());
        let again = store.link(c"current").map_err(failed)?.is_some_and(is_back);
        if !store.back(&boots).map_err(failed)? {
            return Err(call.fail(1, t!("there is no %/previous to go back to"), dir.to_bytes()));
        }
        if again {
            call.say(t!("%/current is what previous is already: nothing older is kept"), dir.to_bytes());
        }
        return Ok(0);
    }
    let file = call.operand(t!("which image?"))?;
    let image = ImageFile::open(call, file)?;
    if !signed(image.bytes()) {
        words::complain_all(call.name, "%: %%", &[file.to_bytes(), signature::MISSING, path.to_bytes()]);
        return Err(INVALID);
    }
    if !has_bundle(&image.db) {
        let what = t!("% has no bundle '%': no boot would take it (--bundle names what a boot brings up)");
        call.say_two(what, file.to_bytes(), bundle);
        return Err(INVALID);
    }
    let seconds = Digits::decimal(u64::from(limit));
    let mark = call.has(b't').then(|| seconds.as_bytes());
    let (store, mut buf) = (open()?, [0; 32]);
    let was = store.trial(&mut buf).map_err(failed)?;
    if !store.install(&image.db.hash(), image.bytes(), mark, &whole).map_err(failed)? {
        let what = again(&store, was, mark).map_err(failed)?;
        call.say_two(what, file.to_bytes(), seconds.as_bytes());
    }
    Ok(0)
}

/// What becomes of the trial of an image that is the current one already and is installed again, with this mark or none.
fn again(store: &Store, was: Option<&[u8]>, mark: Option<&[u8]>) -> Result<Text, LiveError> {
    Ok(match (was, mark) {
        (None, None) => t!("% is the current image already"),
        (None, Some(_)) => t!("% is the current image already, and counts: no trial begins"),
        (Some(_), None) => t!("% is the current image already: its trial is over, it counts"),
        // The boot that tries it would no longer know that it does.
        (Some(was), Some(_)) if was.ends_with(TRIED) => {
            t!("% is the current image already, and a boot has begun its trial: nothing is changed")
        }
        (Some(_), Some(mark)) => {
            store.mark(mark)?;
            t!("% is the current image already, on trial: the next boot has % seconds")
        }
    })
}
