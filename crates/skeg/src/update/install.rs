// SPDX-License-Identifier: ISC
//! `skeg install`: an image becomes the one that the next boot takes, whatever happens to the power meanwhile.

use super::image::ImageFile;
use crate::applet::{Call, SYSTEM};
use crate::live_words;
use crate::words;
use live::{LiveError, Op, Store, What};
use sys::Errno;
use text::Digits;
use text::args::Arg;

pub const HELP: &str = "\
usage: skeg install [-d DIR] [--trial SECONDS] IMAGE
       skeg install [-d DIR] --back | --keep

Checks IMAGE, writes it to DIR/images, and makes it DIR/current, which the next boot takes; what was DIR/current becomes
DIR/previous, which a boot takes when current is broken. A power cut at any moment leaves the old or the new one, whole.
  -d DIR           where the data partition is mounted (--data; default /data)
  --trial SECONDS  the image counts only once a boot has brought its 'default' up within this time; else the boot after
                   that takes DIR/previous again
  --back           make DIR/previous the current one again
  --keep           a trial is over: the current image counts

exit codes: 0 (also when IMAGE is the current one already), 1 there is no DIR/previous, 4 invalid image, 100 wrong usage,
111 system call failed
";

pub fn main(call: &mut Call) -> u8 {
    run(call).unwrap_or_else(|code| code)
}

fn run(call: &Call) -> Result<u8, u8> {
    let (mut dir, mut trial, mut back, mut keep) = (c"/data", None, false, false);
    let mut args = call.args();
    while let Some(option) = args.option().map_err(|e| call.refuse(e))? {
        match option {
            Arg::Short(b'd') | Arg::Long(b"data") => dir = args.value().map_err(|e| call.refuse(e))?,
            Arg::Long(b"trial") => trial = Some(call.number(&mut args, b"time of a trial", 86_400)?),
            Arg::Long(b"back") => back = true,
            Arg::Long(b"keep") => keep = true,
            other => return Err(call.unknown(other)),
        }
    }
    let failed = |e| match e {
        LiveError::Sys(Op::Write, What::Store, Errno::OPNOTSUPP) => {
            let pieces: [&[u8]; 2] = [
                dir.to_bytes(),
                b" is on FAT, which has no links and no atomic rename: use another file system",
            ];
            words::complain(call.name, &pieces);
            SYSTEM
        }
        e => live_words::complain(call.name, dir.to_bytes(), e),
    };
    if back || keep {
        let store = Store::open(dir).map_err(failed)?;
        if keep {
            return store.end_trial().map(|()| 0).map_err(failed);
        }
        if store.back().map_err(failed)? {
            return Ok(0);
        }
        words::complain(call.name, &[b"there is no ", dir.to_bytes(), b"/previous to go back to"]);
        return Ok(1);
    }
    let path = args.operand().ok_or_else(|| call.misused(&[b"which image?"]))?;
    let image = ImageFile::open(call, path)?;
    let store = Store::open(dir).map_err(failed)?;
    let seconds = trial.map(|seconds| Digits::decimal(u64::from(seconds)));
    let mark = seconds.as_ref().map(Digits::as_bytes);
    if !store.install(&image.db.hash(), image.bytes(), mark).map_err(failed)? {
        words::complain(call.name, &[path.to_bytes(), b" is the current image already"]);
    }
    Ok(0)
}
