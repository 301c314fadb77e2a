// SPDX-License-Identifier: ISC
//! Opens a live directory and its image for an applet, and says what is wrong if it can't.

use crate::applet::{Call, SYSTEM};
use crate::live_words::{self, INVALID};
use core::ffi::CStr;
use db::{Corrupt, Db};
use engine::{Image, Towards};
use live::{Access, Live, Locked, Phase, Wait};
use run::oneshot::client::{is_unsettled, settle_scripts};
use run::oneshot::protocol::DEFAULT_SCRIPTS;
use sys::time::{Millis, monotonic};

/// A live directory with its image.
pub struct Opened {
    /// The directory, locked as asked.
    pub live: Live,
    /// Its image as a graph.
    pub image: Image<'static>,
}

/// What options mean that many applets have.
impl Call {
    /// `-l`: the live directory.
    pub fn live(&self) -> &'static CStr {
        self.value(b'l').unwrap_or(super::LIVE)
    }

    /// `-t`: when the time is over.
    pub fn deadline(&self) -> Option<Millis> {
        let timeout = self.number(b't', 0);
        (timeout != 0).then(|| Millis(monotonic().0 + u64::from(timeout)))
    }

    /// `-b`, `--no-block`: whether to wait for another command that is at work.
    pub fn block(&self) -> Wait {
        if self.last(b"bn") == b'b' { Wait::Forever } else { Wait::No }
    }

    /// `--max-scripts`: how many scripts of oneshots may run at once.
    pub fn scripts(&self) -> u16 {
        (self.number(b'm', u32::from(DEFAULT_SCRIPTS)) as u16).max(1)
    }

    /// `-w`: how long a skeg verb waits for another command.
    pub fn patience(&self) -> Wait {
        Wait::Until(Millis(monotonic().0 + u64::from(self.number(b'w', super::PATIENCE))))
    }
}

/// Opens; else the exit code, after a message.
#[inline(never)]
pub fn open(call: &Call, path: &CStr, access: Access, wait: Wait) -> Result<Opened, u8> {
    if access == Access::Change && wait != Wait::No {
        refuse_nested(call, path)?;
    }
    let complain = |e| live_words::complain(call, path, e);
    let mut locked = Locked::open(path, access, wait).map_err(complain)?;
    if access == Access::Change {
        locked = crate::update::finish(call, path, locked, wait)?;
    }
    let mut live = locked.live().map_err(complain)?;
    let bytes = live.image();
    let checked = if access == Access::Change { Db::check(bytes) } else { Db::open(bytes) };
    let db = checked.map_err(|e| corrupt(call, "invalid image %/image: ", path, e))?;
    live.belongs(&db.hash()).map_err(complain)?;
    let image = Image::new(db);
    if access != Access::Look {
        run::recover::ask_longruns(&mut live, &image, access == Access::Change).map_err(complain)?;
    }
    if access == Access::Change && is_unsettled(&live) {
        refuse_nested(call, path)?;
        // Said because it may take as long as a script does.
        call.say("a script of a command that was killed may still run: waiting for its end", b"");
        if let Err(run::RunError::Live(e)) = settle_scripts(&mut live, None) {
            return Err(complain(e));
        }
    }
    Ok(Opened { live, image })
}

/// A script of a transition that waits for the lock would wait for its own command for ever.
fn refuse_nested(call: &Call, path: &CStr) -> Result<(), u8> {
    let Some(service) = sys::start::env(b"RC_NAME") else { return Ok(()) };
    let Ok(live) = Live::open(path, Access::Look, Wait::No) else { return Ok(()) };
    let Ok(db) = Db::open(live.image()) else { return Ok(()) };
    let Some(db::Target::Service(id)) = db.lookup(service.to_bytes()) else { return Ok(()) };
    if !matches!(live.states().get(id.index()).phase, Phase::Starting | Phase::Stopping) {
        return Ok(());
    }
    let why = "called from inside the transition of service %, whose command holds the lock of %: it would wait for itself";
    call.say_two(why, service.to_bytes(), path.to_bytes());
    Err(SYSTEM)
}

/// Says that an image is not valid; the exit code.
#[inline(never)]
pub fn corrupt(call: &Call, template: &str, path: &CStr, error: Corrupt) -> u8 {
    let why: &[u8] = match error {
        Corrupt::Truncated(_) => b"it is cut short",
        Corrupt::Magic => b"it is no image of s6-rc-compile",
        Corrupt::Version(_) => b"it has another format version",
        Corrupt::Header => b"its header contradicts itself",
        Corrupt::Place(_) | Corrupt::Record(..) => b"its content contradicts itself",
        Corrupt::Checksum(_) | Corrupt::Identity => b"its checksum is wrong",
    };
    let mut line = text::Line::<1024>::new();
    line.put_filled(template, &[path.to_bytes()]).put(why);
    call.say("%", line.as_bytes());
    INVALID
}

/// The word for a direction.
pub const fn direction(towards: Towards) -> &'static [u8] {
    match towards {
        Towards::Up => b"up",
        Towards::Down => b"down",
    }
}
