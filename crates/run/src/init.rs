// SPDX-License-Identifier: ISC
//! Init: makes the live directory of an image, puts its services under a scanner, waits for their supervisors.
//!
//! Used by `s6-rc-init` and by the boot. It can be called again at any time: a live directory of the same image that is
//! supervised is left as it is, an init that was cut short is finished or undone first.

use crate::longrun::forget_listeners;
use crate::note::{Note, RunError};
use alloc::vec::Vec;
use core::ffi::CStr;
use engine::Image;
use live::journal::Journal;
use live::tree::{self, Sent};
use live::{
    Generation, Id, ImageSource, LiveError, Locked, Names, Notes, Op, ScanDir, ServiceDir, States,
    Supervisor, Wait, What,
};
use sys::event::{PollFd, PollFlags, poll};
use sys::fs::{self, OFlags};
use sys::time::{Millis, Tai64n, monotonic};
use sys::{BorrowedFd, CBuf, Errno, OwnedFd};

/// What an init needs to know.
pub struct Plan<'a> {
    /// The live directory to be.
    pub live: &'a CStr,
    /// Paths and prefix, as the generation keeps them.
    pub notes: Notes<'a>,
    /// The image's bytes or path.
    pub source: ImageSource<'a>,
    /// How long to wait for the lock.
    pub wait: Wait,
    /// When all supervisors must be there.
    pub deadline: Option<Millis>,
}

/// What an init did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// A new live directory.
    New,
    /// The same, in the place of one that nobody supervised any more, whose bundles had been edited: the edits are gone.
    NewBundles,
    /// It was there, with this image, and supervised.
    Already,
}

/// A definition's wish that a foreign supervisor may not fulfil.
pub type Lacking = (u16, &'static CStr);

/// Files of a definition that the supervisors of older s6 releases do not know (the last one needs the signals to
/// a process group, which came with the letters `P`, `C` and `K`: s6 2.13).
const NEWER: [&CStr; 3] = [c"flag-newpidns", c"reload-signal", c"flag-timeout-killpg"];

/// Makes the live directory, or finds that it is there. `warn` is told what the supervisors may lack.
pub fn init(
    image: &Image<'_>,
    plan: &Plan<'_>,
    warn: &mut dyn FnMut(Lacking),
    note: &mut dyn FnMut(Note),
) -> Result<Made, RunError> {
    let scan = fs::open_dir(sys::CWD, plan.notes.scandir).map_err(RunError::scandir)?;
    match tree::control(&scan, tree::SVSCAN, b"") {
        Ok(Sent::Yes) => {}
        Ok(_) => return Err(RunError::NO_SCANNER),
        Err(e) => return Err(RunError::scandir(e)),
    }
    let locked = Locked::make(plan.live, plan.wait)?;
    let scandir = ScanDir::open(plan.notes.scandir, plan.notes.prefix, &locked.place().absolute_sv()?)?;
    let present = match locked.place().current() {
        Ok(number) => Some(number),
        Err(LiveError::ABSENT) => None,
        Err(e) => return Err(e.into()),
    };
    let mut made = Made::New;
    match (locked.journal()?, present) {
        // What one left that was killed while it took a dead live directory away, after the link.
        (None, None) if !is_anyone_there(locked.sv()) => live::undo_init(&locked)?,
        (None, None) => return Err(RunError::OTHER_IMAGE),
        (Some(Journal::Init(_)), None) => live::undo_init(&locked)?,
        (Some(Journal::Init(_)), Some(number)) => {
            let states = Generation::open(locked.place(), number)?.states(false)?;
            if states.header().hash == image.db().hash() {
                return resume(image, &locked, &states, &scandir, plan.deadline, note).map(|()| Made::New);
            }
            clear(&locked, &scandir)?;
        }
        (Some(_), _) => return Err(RunError::UNFINISHED),
        (None, Some(number)) => {
            if compare(image, &locked, number, plan)? {
                return Ok(Made::Already);
            }
            let old = Generation::open(locked.place(), number)?.image().ok();
            let edits = old.and_then(|bytes| engine::Db::open(bytes).ok()).map_or(0, |db| db.edits());
            if edits > image.db().edits() {
                made = Made::NewBundles;
            }
            clear(&locked, &scandir)?;
        }
    }
    check_wishes(image, &scandir, warn).map_err(RunError::unable)?;
    make(image, plan, &locked, &scandir, note).map(|()| made)
}

fn make(
    image: &Image<'_>,
    plan: &Plan<'_>,
    locked: &Locked,
    scandir: &ScanDir,
    note: &mut dyn FnMut(Note),
) -> Result<(), RunError> {
    let names = match live::first(locked, image.db(), &plan.notes, plan.source) {
        Ok(names) => names,
        Err(e) => {
            let _ = live::undo_init(locked);
            return Err(e.into());
        }
    };
    let made = names.id(0).map(|id| id.generation);
    raise(image, locked, &names, scandir, made, plan.deadline, note).inspect_err(|_| {
        let _ = clear(locked, scandir);
    })
}

/// Whether a definition needs more than other supervisors may know.
pub fn has_wishes(image: &Image<'_>) -> bool {
    let newer = |service| NEWER.iter().any(|file| image.file(service, file.to_bytes()).is_some());
    (0..image.db().longruns() as u16).any(|service| image.needs_our_supervisor(service) || newer(service))
}

/// Refuses (which service) or warns where the supervisors are not ours and a definition needs more than they may know.
pub fn check_wishes(image: &Image<'_>, scandir: &ScanDir, warn: &mut dyn FnMut(Lacking)) -> Result<(), u16> {
    if scandir.supervisor() == Supervisor::Ours {
        return Ok(());
    }
    for service in 0..image.db().longruns() as u16 {
        if image.needs_our_supervisor(service) {
            return Err(service);
        }
        for file in NEWER {
            if image.file(service, file.to_bytes()).is_some() {
                warn((service, file));
            }
        }
    }
    Ok(())
}

/// Whether a live directory that is there is this image's, and supervised. One that nobody supervises does not count.
fn compare(image: &Image<'_>, locked: &Locked, number: u32, plan: &Plan<'_>) -> Result<bool, RunError> {
    let generation = Generation::open(locked.place(), number)?;
    let states = match generation.states(false) {
        // Damaged, or another version's: nobody can go on with it.
        Err(LiveError::BAD_STATE) if !is_anyone_there(locked.sv()) => return Ok(false),
        states => states?,
    };
    let same = states.header().hash == image.db().hash();
    let supervised = if same && states.longruns() > 0 {
        Names::of(&states).all().iter().any(|id| is_listening(locked.sv(), *id))
    } else {
        is_anyone_there(locked.sv())
    };
    if !supervised {
        return Ok(false);
    }
    if !same {
        return Err(RunError::OTHER_IMAGE);
    }
    if generation.scandir()?.as_c() != plan.notes.scandir {
        return Err(RunError::OTHER_SCANDIR);
    }
    if generation.prefix()?.as_bytes() != plan.notes.prefix {
        return Err(RunError::OTHER_PREFIX);
    }
    Ok(true)
}

/// Whether any directory of `LIVE:sv` has a supervisor.
fn is_anyone_there(sv: BorrowedFd<'_>) -> bool {
    let Ok(walk) = fs::open_dir(sv, c".") else { return false };
    let mut found = false;
    let _ = fs::for_each_entry(&walk, |name, _, _| -> sys::Result<()> {
        found = found || Id::parse(name.to_bytes()).is_some_and(|id| is_listening(sv, id));
        Ok(())
    });
    found
}

/// Takes a live directory away: its entries first, then the link, then what they name. Without the link the next init does the rest.
fn clear(locked: &Locked, scandir: &ScanDir) -> Result<(), LiveError> {
    let mut ours = Vec::new();
    scandir.for_each(|entry, _| {
        ours.push(CBuf::<256>::from_pieces(&[entry.to_bytes()]).unwrap_or_default());
        Ok(())
    })?;
    for entry in &ours {
        scandir.remove(entry)?;
    }
    if !ours.is_empty() {
        let _ = scandir.notify(b"an");
    }
    match fs::unlink(locked.place().parent(), locked.place().name()) {
        Ok(()) | Err(Errno::NOENT) => live::undo_init(locked),
        Err(e) => Err(LiveError::sys(Op::Remove, What::Link, e)),
    }
}

pub(crate) fn is_listening(sv: BorrowedFd<'_>, id: Id) -> bool {
    let Ok(path) = id.path(&[b"supervise/control"]) else { return false };
    fs::open(sv, &path, OFlags::WRONLY | OFlags::NONBLOCK, 0).is_ok()
}

/// Goes on with an init that was cut short after its commit: what that one listened with goes first.
pub(crate) fn resume(
    image: &Image<'_>,
    locked: &Locked,
    states: &States,
    scandir: &ScanDir,
    deadline: Option<Millis>,
    note: &mut dyn FnMut(Note),
) -> Result<(), RunError> {
    forget_ear(locked.sv());
    let names = Names::of(states);
    for id in names.all() {
        forget_listeners(ServiceDir::open(locked.sv(), *id)?.dir());
    }
    raise(image, locked, &names, scandir, None, deadline, note)
}

/// Adds the scan directory's entries, has them scanned, waits for the supervisors, and ends the journal.
fn raise(
    image: &Image<'_>,
    locked: &Locked,
    names: &Names,
    scandir: &ScanDir,
    made: Option<u32>,
    deadline: Option<Millis>,
    note: &mut dyn FnMut(Note),
) -> Result<(), RunError> {
    let mut pending = names.all().to_vec();
    let missing: Vec<u16> = (0..image.db().longruns() as u16).collect();
    let link = || live::link_entries(scandir, image.db(), names, &missing);
    supervise(locked.sv(), scandir, (&mut pending, made), deadline, note, link)?;
    Journal::remove(locked.sv()).map_err(RunError::from)
}

/// Directories that wait for their supervisors, and the generation whose directories this very command has made.
type Pending<'a> = (&'a mut Vec<Id>, Option<u32>);

/// Forgets those that can be commanded: a supervisor listens before it writes its first status, which a change reads. Only a
/// directory that another command has made may have the status of one that is gone.
fn drop_ready(sv: BorrowedFd<'_>, (pending, made): &mut Pending<'_>) {
    let has_status =
        |id: &Id| id.path(&[b"supervise/status"]).is_ok_and(|path| fs::access(sv, &path, 0).is_ok());
    pending.retain(|id| !(has_status(id) && (*made == Some(id.generation) || is_listening(sv, *id))));
}

/// Has new service directories supervised: `link` adds their entries; returns when each one's supervisor listens.
/// Used by init and by updates.
pub(crate) fn supervise(
    sv: BorrowedFd<'_>,
    scandir: &ScanDir,
    mut pending: Pending<'_>,
    deadline: Option<Millis>,
    note: &mut dyn FnMut(Note),
    link: impl FnOnce() -> Result<(), LiveError>,
) -> Result<(), RunError> {
    let mut ear = Ear::new(sv, pending.0).map_err(RunError::prepare)?;
    link()?;
    if !pending.0.is_empty() {
        match scandir.notify(b"a") {
            Ok(()) => {}
            Err(e) if matches!(e.errno_of(What::Scanner), Some(Errno::NXIO | Errno::NOENT)) => {
                return Err(RunError::NO_SCANNER);
            }
            Err(e) => return Err(e.into()),
        }
    }
    let result = ear.wait(&mut pending, deadline, note);
    ear.close();
    result
}

/// One FIFO that listens in event directories: each supervisor writes `s` into it when it is there. It is a hard link in
/// each, so that it costs one descriptor.
///
/// At first it is in two, that of the entry that was made first and that of the last one: a scanner that goes by age comes to
/// one of them in the end, and then all are there. If not, it listens to each of the others.
struct Ear<'a> {
    sv: BorrowedFd<'a>,
    fifo: OwnedFd,
    name: CBuf<64>,
    ids: Vec<Id>,
}

/// Its name in `LIVE:sv` until it has those below `event/`.
const EAR: &CStr = c".ear";

/// Takes away the one of a command that was killed.
pub(crate) fn forget_ear(sv: BorrowedFd<'_>) {
    let _ = fs::unlink(sv, EAR);
}

/// How often the supervisors are asked directly while nothing is heard: an event may be lost when one dies.
const ASK: Millis = Millis(500);

/// Who waits for so long is told what for: all supervisors of a thousand services are there in a tenth of it.
const TELL: Millis = Millis(5_000);

impl<'a> Ear<'a> {
    fn new(sv: BorrowedFd<'a>, ids: &[Id]) -> sys::Result<Self> {
        const LETTERS: &[u8; 16] = b"abcdefghijklmnop";
        let mut random = [0u8; 6];
        let _ = sys::process::random(&mut random);
        let letters = random.map(|byte| LETTERS[usize::from(byte & 15)]);
        let name = CBuf::from_pieces(&[b"event/ftrig1:", &Tai64n::now().label(), b":", &letters])
            .map_err(|_| Errno::NAMETOOLONG)?;
        let aside = EAR;
        match fs::mkfifo(sv, aside, 0o622) {
            Err(Errno::EXIST) => fs::unlink(sv, aside).and_then(|()| fs::mkfifo(sv, aside, 0o622))?,
            other => other?,
        }
        fs::chmod(sv, aside, 0o622)?;
        let fifo = fs::open(sv, aside, OFlags::RDWR | OFlags::NONBLOCK, 0)?;
        let mut ear = Self { sv, fifo, name, ids: Vec::new() };
        let ends = if ids.len() > 1 { [ids.first(), ids.last()] } else { [ids.first(), None] };
        let linked = ends.into_iter().flatten().try_for_each(|id| ear.link(aside, *id));
        let _ = fs::unlink(sv, aside);
        if linked.is_err() {
            ear.remove();
        }
        linked.map(|()| ear)
    }

    fn link(&mut self, from: &CStr, id: Id) -> sys::Result<()> {
        let path = id.path(&[self.name.as_bytes()]).map_err(|_| Errno::NAMETOOLONG)?;
        fs::link(self.sv, from, self.sv, &path)?;
        self.ids.push(id);
        Ok(())
    }

    /// Listens to these, too. One that can't be listened to is asked from time to time.
    fn widen(&mut self, ids: &[Id]) {
        let from = self.ids.first().and_then(|id| id.path(&[self.name.as_bytes()]).ok());
        for id in ids {
            let _ = from.as_ref().map(|from| self.link(from, *id));
        }
    }

    fn wait(
        &mut self,
        pending: &mut Pending<'_>,
        deadline: Option<Millis>,
        note: &mut dyn FnMut(Note),
    ) -> Result<(), RunError> {
        let mut buf = [0; 256];
        let mut silent = Some(monotonic().0 + TELL.0);
        let (mut heard, mut wanted) = (0, self.ids.len());
        while !pending.0.is_empty() {
            let now = monotonic();
            let left = deadline.map_or(ASK.0, |d| d.0.saturating_sub(now.0).min(ASK.0));
            let mut fds = [PollFd::new(&self.fifo, PollFlags::IN)];
            match poll(&mut fds, Some(Millis(left))) {
                Ok(0) => drop_ready(self.sv, pending),
                Ok(_) => heard += fs::read(&self.fifo, &mut buf).unwrap_or(0),
                Err(Errno::INTR) => {}
                Err(e) => return Err(RunError::wait(e)),
            }
            if heard >= wanted {
                drop_ready(self.sv, pending);
                if self.ids.len() <= 2 && !pending.0.is_empty() {
                    self.widen(pending.0);
                    drop_ready(self.sv, pending);
                }
                (heard, wanted) = (0, pending.0.len());
            }
            if pending.0.is_empty() {
                break;
            }
            let now = monotonic();
            if deadline.is_some_and(|d| d <= now) {
                return Err(RunError::timed_out(pending.0.len()));
            }
            if silent.is_some_and(|until| until <= now.0) {
                silent = None;
                note(Note::Unsupervised(pending.0.len() as u16));
            }
        }
        Ok(())
    }

    fn remove(&mut self) {
        for id in &self.ids {
            if let Ok(path) = id.path(&[self.name.as_bytes()]) {
                let _ = fs::unlink(self.sv, &path);
            }
        }
        self.ids.clear();
    }

    fn close(mut self) {
        self.remove();
    }
}
