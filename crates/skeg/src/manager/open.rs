// SPDX-License-Identifier: ISC
//! Opens a live directory and its image for an applet, and says what is wrong if it can't.

use crate::applet::{Call, SYSTEM};
use crate::live_words::{self, INVALID};
use alloc::boxed::Box;
use core::ffi::CStr;
use db::{Corrupt, Db};
use engine::{Image, Towards};
use live::journal::Journal;
use live::tree::{About, Status, process};
use live::{Access, Fault, Live, Locked, Phase, Wait};
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

    /// `--max-scripts`: how many scripts of oneshots may run at once; else the exit code.
    pub fn scripts(&self) -> Result<u16, u8> {
        match self.number(b'm', u32::from(DEFAULT_SCRIPTS)) {
            0 => Err(self.misused(t!("option --max-scripts: '0' is too small: at least 1"), b"")),
            scripts => Ok(scripts as u16),
        }
    }

    /// `-w`: how long a skeg verb waits for another command.
    pub fn patience(&self) -> Wait {
        Wait::Until(Millis(monotonic().0 + u64::from(self.number(b'w', super::PATIENCE))))
    }
}

/// Opens; else the exit code, after a message. Boxed: it goes from hand to hand, and is large.
#[inline(never)]
pub fn open(call: &Call, path: &CStr, access: Access, wait: Wait) -> Result<Box<Opened>, u8> {
    let complain = |e| live_words::complain(call, path, e);
    let mut locked = lock(call, path, access, wait)?;
    if access == Access::Change && call.has(b'F') {
        // To finish an update would start services, for as long as they like, and may fail. What is up the states say without it.
        Journal::remove(locked.sv()).map_err(complain)?;
    } else if access == Access::Change {
        locked = crate::update::finish(call, path, locked, wait)?;
    }
    let mut live = locked.live().map_err(complain)?;
    let bytes = live.image();
    // The hashes were looked at before it came here: what has changed since, the checksums tell.
    let checked = Db::open(bytes)
        .and_then(|db| if access == Access::Change { Db::check_structure(bytes) } else { Ok(db) });
    let db = checked
        .map_err(|e| corrupt(call, "invalid image %/image (the next boot makes another): ", path, e))?;
    live.belongs(&db.hash()).map_err(complain)?;
    let image = Image::new(db);
    if access != Access::Look {
        run::recover::ask_longruns(&mut live, &image, access == Access::Change).map_err(complain)?;
    }
    if access == Access::Change && is_unsettled(&live) {
        refuse_nested(call, path, &mut None)?;
        // Said because it may take as long as a script does.
        call.say(t!("a script of a command that was killed may still run: waiting for its end"), b"");
        settle_scripts(&mut live, call.deadline())
            .map_err(|e| super::report::session_error(call, path, e))?;
    }
    Ok(Box::new(Opened { live, image }))
}

/// For a command that only looks: says so where a command was cut short. One that is at work has the lock.
pub fn tell_unfinished(call: &Call, live: &Live, is_locked: bool) {
    let sv = live.locked().sv();
    if Journal::present(sv) && (is_locked || live::tree::is_held(sv, c"lock") == Ok(false)) {
        let what = t!(
            "an update or a change was cut short: 'skeg recover', or any command that changes something, finishes it"
        );
        call.say(what, b"");
    }
}

/// Takes the lock; asks now and then whether its holder waits for this very process. Else the exit code, after a message.
pub fn lock(call: &Call, path: &CStr, access: Access, wait: Wait) -> Result<Locked, u8> {
    /// Between two questions: a supervisor says who its child is only after the child has begun.
    const ASK: Millis = Millis(300);
    crate::applet::bear_size_limit();
    let (mut step, mut looked) = (Wait::No, None);
    loop {
        let refused = match Locked::open(path, access, step) {
            Err(e) if step == Wait::No && matches!(e.fault(), Fault::Busy(_)) => e,
            Err(e) if wait != step && matches!(e.fault(), Fault::Busy(_) | Fault::TimedOut(_)) => e,
            other => return other.map_err(|e| live_words::complain(call, path, e)),
        };
        refuse_nested(call, path, &mut looked)?;
        let next = Millis(monotonic().0 + ASK.0);
        step = match wait {
            Wait::No => return Err(live_words::complain(call, path, refused)),
            Wait::Until(deadline) if deadline <= next => wait,
            _ => Wait::Until(next),
        };
    }
}

/// A script or service of a transition that waits for the lock would wait for its own command for ever. What was looked
/// at is kept for the next question: memory is not given back, and there may be thousands.
fn refuse_nested(call: &Call, path: &CStr, looked: &mut Option<Live>) -> Result<(), u8> {
    if looked.as_mut().is_none_or(|live| live.again().is_err()) {
        *looked = Live::open(path, Access::Look, Wait::No).ok();
    }
    let Some(live) = looked else { return Ok(()) };
    let Ok(db) = Db::open(live.image()) else { return Ok(()) };
    let script = sys::start::env(b"RC_NAME").map(CStr::to_bytes);
    let above = Ancestors::of_this();
    for id in db.services() {
        if !matches!(live.states().get(id.index()).phase, Phase::Starting | Phase::Stopping) {
            continue;
        }
        let service = db.name(id);
        if script == Some(service) || is_inside(live, id.index() as u16, &above) {
            let what = t!(
                "called from inside the transition of service %, whose command holds the lock of %: it would wait for itself"
            );
            call.say_two(what, service, path.to_bytes());
            return Err(SYSTEM);
        }
    }
    Ok(())
}

/// Whether this longrun's process is above this one.
fn is_inside(live: &Live, service: u16, above: &Ancestors) -> bool {
    let status = live.service_dir(service).and_then(Status::read);
    status.is_ok_and(|status| status.pid != 0 && above.0.contains(&status.pid))
}

/// The processes above this one, and the leader of its session.
struct Ancestors(heapless::Vec<u32, 64>);

impl Ancestors {
    fn of_this() -> Self {
        let mut all = heapless::Vec::new();
        let mut pid = sys::process::pid();
        while pid > 1 && all.push(pid).is_ok() {
            let about = |what| process(pid, what).unwrap_or(0) as u32;
            let session = if all.len() == 1 { about(About::Session) } else { 0 };
            if session > 1 {
                let _ = all.push(session);
            }
            pid = about(About::Parent);
        }
        Self(all)
    }
}

/// Says that an image is not valid; the exit code.
#[inline(never)]
pub fn corrupt(call: &Call, template: &str, path: &CStr, error: Corrupt) -> u8 {
    let why = match error {
        Corrupt::Truncated(_) => t!("it is cut short"),
        Corrupt::Magic => t!("it is no image of s6-rc-compile"),
        Corrupt::Version(_) => t!("it has another format version"),
        Corrupt::Header => t!("its header contradicts itself"),
        Corrupt::Place(_) | Corrupt::Record(..) => t!("its content contradicts itself"),
        Corrupt::Checksum(_) | Corrupt::Identity => t!("its checksum is wrong"),
    };
    let mut line = text::Line::new();
    line.put_filled(template, &[path.to_bytes()]).put(why.bytes());
    call.say(t!("%"), line.as_bytes());
    INVALID
}

/// The word for a direction.
pub const fn direction(towards: Towards) -> &'static [u8] {
    match towards {
        Towards::Up => b"up",
        Towards::Down => b"down",
    }
}
