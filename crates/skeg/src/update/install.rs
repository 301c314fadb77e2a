// SPDX-License-Identifier: ISC
//! `skeg install`: an image becomes the one that the next boot takes, whatever happens to the power meanwhile.

use super::image::ImageFile;
use crate::applet::{Call, SYSTEM};
use crate::signature::{self, Key};
use crate::{live_words, words};
use live::{Fault, LiveError, Op, Store, What};
use sys::Errno;
use text::Digits;

pub const OPTIONS: &str = "d=data -t#trial<86400 -b/back -k/keep -y=key";

/// The image is not valid, or not signed.
const INVALID: u8 = 4;

pub fn main(call: &Call) -> Result<u8, u8> {
    let dir = call.value(b'd').unwrap_or(c"/data");
    let failed = |e: LiveError| match e.fault() {
        Fault::Sys(Op::Write, What::Store, Errno::OPNOTSUPP) => {
            let what = "% is on FAT, which has no links and no atomic rename: use another file system";
            call.fail(SYSTEM, what, dir.to_bytes())
        }
        _ => live_words::complain(call, dir, e),
    };
    let open = || Store::open(dir).map_err(failed);
    if call.has(b'k') {
        return open()?.end_trial().map(|()| 0).map_err(failed);
    }
    if call.has(b'b') {
        if !open()?.back().map_err(failed)? {
            return Err(call.fail(1, "there is no %/previous to go back to", dir.to_bytes()));
        }
        return Ok(0);
    }
    let path = call.operand("which image?")?;
    let image = ImageFile::open(call, path)?;
    let key = call.value(b'y').unwrap_or(signature::KEY);
    // The root's key need not be there; one that was asked for must.
    if Key::read(key).map_or(call.has(b'y'), |key| !key.has_signed(image.bytes())) {
        words::complain_all(call.name, "%: %%", &[path.to_bytes(), signature::MISSING, key.to_bytes()]);
        return Err(INVALID);
    }
    let seconds = Digits::decimal(u64::from(call.number(b't', 0)));
    let mark = call.has(b't').then(|| seconds.as_bytes());
    if !open()?.install(&image.db.hash(), image.bytes(), mark).map_err(failed)? {
        call.say("% is the current image already", path.to_bytes());
    }
    Ok(0)
}
