// SPDX-License-Identifier: ISC
//! Opens a live directory and its image for an applet, and says what is wrong if it can't.

use crate::live_words::{self, INVALID};
use crate::words;
use core::ffi::CStr;
use db::{Corrupt, Db};
use engine::{Image, Towards};
use live::{Access, Live, Locked, Phase, Wait};
use run::oneshot::client::{is_unsettled, settle_scripts};

/// A live directory with its image.
pub struct Opened {
    /// The directory, locked as asked.
    pub live: Live,
    /// Its image as a graph.
    pub image: Image<'static>,
}

/// Opens; else the exit code, after a message.
pub fn open(name: &'static [u8], path: &CStr, access: Access, wait: Wait) -> Result<Opened, u8> {
    if access == Access::Change && wait != Wait::No {
        refuse_nested(name, path)?;
    }
    let complain = |e| live_words::complain(name, path.to_bytes(), e);
    let mut locked = Locked::open(path, access, wait).map_err(complain)?;
    if access == Access::Change {
        locked = crate::update::finish(name, path, locked, wait)?;
    }
    let mut live = locked.live().map_err(complain)?;
    let bytes = live.image();
    let checked = if access == Access::Change { Db::check(bytes) } else { Db::open(bytes) };
    let db = checked.map_err(|e| corrupt(name, &[path.to_bytes(), b"/image"], e))?;
    live.belongs(&db.hash()).map_err(complain)?;
    let image = Image::new(db);
    if access != Access::Look {
        run::recover::ask_longruns(&mut live, &image, access == Access::Change).map_err(complain)?;
    }
    if access == Access::Change && is_unsettled(&live) {
        refuse_nested(name, path)?;
        // Said because it may take as long as a script does.
        words::complain(name, &[b"a script of a command that was killed may still run: waiting for its end"]);
        if let Err(run::RunError::Live(e)) = settle_scripts(&mut live, None) {
            return Err(complain(e));
        }
    }
    Ok(Opened { live, image })
}

/// A script of a transition that waits for the lock would wait for its own command for ever.
fn refuse_nested(name: &[u8], path: &CStr) -> Result<(), u8> {
    let Some(service) = sys::start::env(b"RC_NAME") else { return Ok(()) };
    let Ok(live) = Live::open(path, Access::Look, Wait::No) else { return Ok(()) };
    let Ok(db) = Db::open(live.image()) else { return Ok(()) };
    let Some(db::Target::Service(id)) = db.lookup(service.to_bytes()) else { return Ok(()) };
    if !matches!(live.states().get(id.index()).phase, Phase::Starting | Phase::Stopping) {
        return Ok(());
    }
    let pieces: [&[u8]; 5] = [
        b"called from inside the transition of service ",
        service.to_bytes(),
        b", whose command holds the lock of ",
        path.to_bytes(),
        b": it would wait for itself",
    ];
    words::complain(name, &pieces);
    Err(crate::applet::SYSTEM)
}

/// Says that an image is not valid; the exit code.
pub fn corrupt(name: &[u8], image: &[&[u8]], error: Corrupt) -> u8 {
    let why: &[u8] = match error {
        Corrupt::Truncated(_) => b"it is cut short",
        Corrupt::Magic => b"it is no image of s6-rc-compile",
        Corrupt::Version(_) => b"it has another format version",
        Corrupt::Header => b"its header contradicts itself",
        Corrupt::Place(_) | Corrupt::Record(..) => b"its content contradicts itself",
        Corrupt::Checksum(_) | Corrupt::Identity => b"its checksum is wrong",
    };
    let mut line = text::Line::<1024>::new();
    line.put(b"invalid image ");
    image.iter().for_each(|piece| {
        line.put_quoted(piece);
    });
    words::complain(name, &[line.as_bytes(), b": ", why]);
    INVALID
}

/// The word for a direction.
pub const fn direction(towards: Towards) -> &'static [u8] {
    match towards {
        Towards::Up => b"up",
        Towards::Down => b"down",
    }
}
