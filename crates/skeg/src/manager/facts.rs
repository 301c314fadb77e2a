// SPDX-License-Identifier: ISC
//! What is known of each service: its state, what its supervisor says, its last transitions. Used by `status` and `why`.

use super::open::Opened;
use crate::applet::Call;
use crate::live_words;
use alloc::vec;
use alloc::vec::Vec;
use engine::Script;
use live::tree::Status;
use live::{Outcome, Phase, State};
use sys::{Errno, Result, fs};

/// A transition that is over.
#[derive(Clone, Copy)]
pub struct Past {
    sequence: u32,
    /// When it ended: seconds since 1970.
    pub when: u64,
    /// How long it took, in milliseconds.
    pub took: u32,
    /// Whether it was a start.
    pub up: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// What is known of one service.
pub struct Found<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its index in the image.
    pub index: u16,
    /// Whether it is a oneshot.
    pub oneshot: bool,
    /// Whether it has a way to say that it is ready.
    pub can_say: bool,
    /// Its recorded state.
    pub state: State,
    /// Whether an update or a restart wanted it up and ended without.
    pub owed: bool,
    /// What its supervisor says; none for a oneshot, where nobody supervises it, and where that is `hidden`.
    pub status: Option<Status>,
    /// Why its supervisor can't be asked.
    pub hidden: Option<Errno>,
    /// Whether its process has ended once since it is supervised.
    pub has_ended: bool,
    /// For how many seconds it has been as its supervisor says.
    pub since: u64,
    /// Its last start, if that succeeded.
    pub started: Option<Past>,
    /// Its last transition.
    pub last: Option<Past>,
}

impl Found<'_> {
    /// Whether it was brought up, has ended, and is not to be started again.
    pub fn is_given_up(&self) -> bool {
        self.state.phase == Phase::Up && self.status.is_some_and(|s| s.pid == 0 && !s.wanted_up)
    }

    /// Whether it was brought up, and its supervisor agrees.
    pub fn is_up(&self) -> bool {
        self.state.phase == Phase::Up
            && (self.oneshot
                || self.hidden.is_some()
                || self.status.is_some_and(|s| s.pid != 0 || s.wanted_up))
    }
}

/// What is known of all services.
pub struct Facts<'a> {
    opened: &'a Opened,
    starts: Vec<Option<Past>>,
    last: Vec<Option<Past>>,
    /// Now, in seconds since 1970.
    pub now: u64,
    /// Whether the history could be read.
    pub remembers: bool,
}

impl<'a> Facts<'a> {
    /// Reads the history; one that can't be read is one without records, after a message.
    pub fn read(call: &Call, opened: &'a Opened) -> Self {
        let db = opened.image.db();
        let (mut starts, mut last) = (vec![None; db.len()], vec![None; db.len()]);
        let note = |list: &mut Vec<Option<Past>>, index: usize, past: Past| {
            if let Some(place) = list.get_mut(index)
                && place.is_none_or(|there: Past| there.sequence < past.sequence)
            {
                *place = Some(past);
            }
        };
        let read = live::history::read(opened.live.locked().sv(), &mut |sequence, record| {
            let Some(db::Target::Service(id)) = db.lookup(record.name) else { return };
            let past = Past {
                sequence,
                when: record.seconds,
                took: record.took,
                up: record.up,
                outcome: record.outcome,
            };
            note(&mut last, id.index(), past);
            if record.up && record.outcome == Outcome::Done {
                note(&mut starts, id.index(), past);
            }
        });
        let remembers = read.map_err(|e| live_words::complain(call, call.live(), e)).is_ok();
        Self { opened, starts, last, now: u64::try_from(sys::time::wall().seconds).unwrap_or(0), remembers }
    }

    /// What is known of this service.
    pub fn of(&self, service: u16) -> Found<'a> {
        let (image, index) = (&self.opened.image, usize::from(service));
        let oneshot = image.is_oneshot(service);
        let asked = if oneshot { Ok(None) } else { self.status(service) };
        let (status, hidden) = (asked.unwrap_or(None), asked.err());
        let has_ended =
            status.is_some_and(|s| s.wait != 0 || !s.is_up() && !s.paused && self.has_died(service));
        let since = status.map_or(0, |s| {
            let stamp = u64::try_from(s.stamp.wall().seconds).unwrap_or(0);
            self.now.saturating_sub(stamp)
        });
        Found {
            name: image.name(service),
            index: service,
            oneshot,
            can_say: image.file(service, b"notification-fd").is_some(),
            state: self.opened.live.states().get(index),
            owed: self.opened.live.states().is_owed(index),
            status,
            hidden,
            has_ended,
            since,
            started: self.starts.get(index).copied().flatten(),
            last: self.last.get(index).copied().flatten(),
        }
    }

    fn status(&self, service: u16) -> Result<Option<Status>> {
        let directory = match self.opened.live.service_dir(service) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        if live::tree::is_supervised(&directory)? { Status::read(&directory).map(Some) } else { Ok(None) }
    }

    /// Whether its supervisor has a death on record. A status alone does not tell an exit with 0 from a process that never was.
    fn has_died(&self, service: u16) -> bool {
        let live = &self.opened.live;
        let Ok(path) = live.service_path(service, live::tree::DEATH_TALLY) else { return false };
        fs::stat(live.locked().sv(), &path).is_ok_and(|stat| stat.st_size != 0)
    }

    /// The program that a oneshot's script begins with.
    pub fn program(&self, service: u16, up: bool) -> &'a [u8] {
        let script = if up { Script::Up } else { Script::Down };
        self.opened.image.script(service, script).split(|b| *b == 0).next().unwrap_or_default()
    }

    /// Where a longrun's `run` can't be started, and that is why it is not up: its interpreter, which nobody finds, or none where the
    /// file names none and is no program.
    pub fn missing_interpreter(&self, found: &Found<'_>) -> Option<Option<Vec<u8>>> {
        let status = found.status.filter(|s| s.wanted_up && !s.is_up())?;
        let live = &self.opened.live;
        let path = live.service_path(found.index, b"run").ok().filter(|_| status.pid == 0)?;
        let mut head = [0; 256];
        let length = fs::read_full(&fs::open_read(live.locked().sv(), &path).ok()?, &mut head).ok()?;
        let head = head.get(..length)?;
        if head.starts_with(b"\x7fELF") {
            return None;
        }
        let Some(line) = head.strip_prefix(b"#!") else { return Some(None) };
        let line = line.split(|b| *b == b'\n').next()?;
        let program = line.trim_ascii_start().split(u8::is_ascii_whitespace).next()?;
        let path = sys::CBuf::<256>::from_pieces(&[program]).ok()?;
        fs::stat(sys::CWD, &path).is_err().then(|| Some(program.to_vec()))
    }
}
