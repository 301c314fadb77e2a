// SPDX-License-Identifier: ISC
//! The part of an update after its commit: the world is made as the new generation says. Every step can be done again.
//!
//! Used by `update` right after the switch and by `recover` when a command was killed there.

use crate::init::{is_listening, supervise};
use crate::note::{Note, Outcome, RunError};
use crate::owed::owe;
use crate::session::{Desk, Session, Terms};
use crate::update::from_journal;
use alloc::vec::Vec;
use engine::{Db, Flags, Image, Set, Towards};
use live::journal::{Journal, Update};
use live::tree;
use live::{Generation, Id, Live, LiveError, Names, ScanDir, ServiceDir, States, Supervisor, What};
use sys::event::{PollFd, PollFlags, WatchFlags, inotify, inotify_watch, poll};
use sys::fault::step_at;
use sys::time::{Millis, monotonic};
use sys::{CBuf, Errno, OwnedFd, fs};
use update::Plan;

/// What going forward needs to know.
pub struct Forward<'a> {
    /// The new image.
    pub image: &'a Image<'a>,
    /// The plan, where the same command made it: it tells what need not be looked at.
    pub plan: Option<&'a Plan<'a>>,
    /// When it must be over.
    pub deadline: Option<Millis>,
    /// Scripts that run at once.
    pub scripts: u16,
}

/// The commit and the steps after it, as `PROTOCOL.md` numbers them (U5 …).
pub(crate) const SWITCH: u8 = 5;
const PLACE: u8 = 6;
const REPLACE: u8 = 7;
const TIDY: u8 = 8;
const DONE: u8 = 9;

/// A generation that this command has just built.
pub(crate) struct Built {
    pub(crate) names: Names,
    /// Directories that it does not name, of those that the one before did.
    pub(crate) leaving: Vec<Id>,
    pub(crate) scandir: ScanDir,
    pub(crate) generation: Generation,
    pub(crate) states: States,
    pub(crate) image: &'static [u8],
}

/// An update on its way forward.
pub(crate) struct Way<'a> {
    forward: &'a Forward<'a>,
    journal: &'a Update,
    /// What has been built, until it is gone on with: then it need not be read again.
    pub(crate) built: Option<Built>,
    names: Names,
    /// The generation before, until it is taken away, and the directories that go with it: where this command knows them.
    old: Option<Generation>,
    leaving: Option<Vec<Id>>,
    /// Entries were taken away: the scanner does not know yet.
    is_stale: bool,
    scandir: Option<ScanDir>,
    /// How making the links of names went: no service waits for that, the end does.
    links: Result<(), LiveError>,
    reload: Set,
    /// What sessions need of the kernel.
    pub(crate) desk: Option<Desk>,
    outcome: Outcome,
}

impl<'a> Way<'a> {
    pub(crate) fn new(forward: &'a Forward<'a>, journal: &'a Update) -> Self {
        let reload = Set::new(forward.image.db().len());
        Self {
            forward,
            journal,
            built: None,
            names: Names::default(),
            old: None,
            leaving: None,
            is_stale: forward.plan.is_none(),
            scandir: None,
            links: Ok(()),
            reload,
            desk: None,
            outcome: Outcome::default(),
        }
    }

    /// Completes an update whose new generation is in force, starts what shall be up, and removes the journal.
    pub(crate) fn go(mut self, live: &mut Live, note: &mut dyn FnMut(Note)) -> Result<Outcome, RunError> {
        for place in PLACE..=DONE {
            self.step(step_at(place), live, note)?;
        }
        Ok(self.outcome)
    }

    /// One step; every one can be done again.
    pub(crate) fn step(
        &mut self,
        step: u8,
        live: &mut Live,
        note: &mut dyn FnMut(Note),
    ) -> Result<(), RunError> {
        match step {
            SWITCH => live::switch_link(live.locked().place())?,
            PLACE => {
                crate::session::ignore_broken_pipes();
                let scandir = self.enter(live)?;
                let at_once = scandir.supervisor() == Supervisor::Foreign;
                self.remove_old(live)?;
                self.reload = versions(live, self.forward, &self.names, at_once)?;
                self.links = links(live, self.forward, &self.names);
                self.is_stale |= entries(live, self.forward, &self.names, &scandir, note)?;
                self.scandir = Some(scandir);
            }
            REPLACE => self.replace(live, note)?,
            TIDY => tidy(live, self.forward, &self.names)?,
            _ => {
                self.links?;
                Journal::remove(live.locked().sv())?;
            }
        }
        Ok(())
    }

    /// Goes on with the new generation, once.
    fn enter(&mut self, live: &mut Live) -> Result<ScanDir, LiveError> {
        if let Some(scandir) = self.scandir.take() {
            return Ok(scandir);
        }
        if let Some(built) = self.built.take() {
            self.old = Some(live.enter_new(built.generation, built.states, built.image));
            self.leaving = Some(built.leaving);
            self.names = built.names;
            return Ok(built.scandir);
        }
        live.enter(self.journal.new.generation)?;
        self.names = Names::of(live.states());
        live.scandir()
    }

    /// Takes the old generation away, whose room the next links may need: a file system may be full by now.
    fn remove_old(&mut self, live: &Live) -> Result<(), LiveError> {
        let place = live.locked().place();
        match self.old.take() {
            Some(old) => old.remove(place),
            None => live::generation::remove_others(place, Some(self.journal.new.generation)),
        }
    }

    /// What has gone makes room, what shall be up starts. Neither looks at what the other changes.
    fn replace(&mut self, live: &mut Live, note: &mut dyn FnMut(Note)) -> Result<(), RunError> {
        let scandir = self.enter(live)?;
        let forward = self.forward;
        let db = forward.image.db();
        if forward.plan.is_none_or(moves_entries) {
            let leaving = match self.leaving.take() {
                Some(leaving) => leaving,
                None => unnamed(live, &self.names)?,
            };
            if self.is_stale || !leaving.is_empty() {
                dismiss(live.locked().sv(), &scandir, &leaving, forward.deadline)?;
            }
            for id in leaving {
                live::remove_directory(live.locked(), id)?;
            }
        }
        if !self.reload.is_empty() {
            let mut session = Session::new(&mut self.desk, forward.image, live, note)?;
            session.reload(&self.reload, Terms::new(Towards::Up))?.hand_on();
        }
        let wanted = from_journal(&self.journal.new_up, db.len());
        let terms = Terms { deadline: forward.deadline, scripts: forward.scripts, ..Terms::new(Towards::Up) };
        let wanted_now = forward.plan.map_or(&wanted, |plan| &plan.start);
        if forward.plan.is_none() || !wanted_now.is_empty() {
            let mut session = Session::new(&mut self.desk, forward.image, live, note)?;
            self.outcome = session.change(wanted_now.clone(), terms)?;
        }
        owe(live, forward.image, &wanted, &mut self.outcome, note)?;
        Ok(())
    }
}

/// Whether the definition of a longrun may have come with this update.
fn may_differ(forward: &Forward<'_>, service: usize) -> bool {
    forward.plan.is_none_or(|plan| plan.in_place.contains(service as u16))
}

/// Puts new definitions in the place of old ones: for the next start, or at once. Which services ask to be reloaded.
fn versions(live: &Live, forward: &Forward<'_>, names: &Names, at_once: bool) -> Result<Set, LiveError> {
    let db = forward.image.db();
    let number = live.generation().number();
    let mut reload = Set::new(db.len());
    for (service, id) in db.services().zip(names.all()) {
        if id.generation == number || !may_differ(forward, service.index()) {
            continue;
        }
        let directory = ServiceDir::open(live.locked().sv(), *id)?;
        if forward.plan.is_none() && !directory.has_version(number)? {
            continue;
        }
        if directory.current()? == Some(number) {
            // Moved by a command that was killed right behind it, perhaps.
            directory.stamp_move(number)?;
            continue;
        }
        let up = live.states().get(service.index()).is_up();
        let asks = up && db.flags(service).has(Flags::RELOAD_ON_CHANGE);
        directory.switch(number, db.files(service), at_once || asks)?;
        if asks {
            reload.insert(service.index() as u16);
        }
    }
    Ok(reload)
}

/// Removes what neither the definition in use nor the next one needs.
pub(crate) fn tidy(live: &Live, forward: &Forward<'_>, names: &Names) -> Result<(), LiveError> {
    for (service, id) in names.all().iter().enumerate() {
        // What is owed may have a definition that has waited since for this start.
        let is_owed =
            forward.plan.is_some_and(|plan| !plan.owed.is_empty() && plan.start.contains(service as u16));
        if !is_owed && !may_differ(forward, service) {
            continue;
        }
        let directory = ServiceDir::open(live.locked().sv(), *id)?;
        match lives_by(&directory, *id)? {
            LivesBy::Current => directory.tidy(None)?,
            LivesBy::OneOf(since) => directory.tidy(Some(since))?,
            LivesBy::Any => {}
        }
    }
    Ok(())
}

/// By which version of its definition a service's process lives. Nothing of it hangs on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LivesBy {
    /// By the one in use, or there is no process.
    Current,
    /// It was started then, before the one in use was put in place: by another one, which has to stay.
    OneOf(u64),
    /// When it was started can't be told.
    Any,
}

pub(crate) fn lives_by(directory: &ServiceDir, id: Id) -> Result<LivesBy, LiveError> {
    let Some(moved) = directory.moved_at_once(id)? else { return Ok(LivesBy::Current) };
    let Ok(status) = tree::Status::read(directory.dir()) else { return Ok(LivesBy::Current) };
    if status.pid == 0 {
        return Ok(LivesBy::Current);
    }
    Ok(match tree::process(status.pid, tree::About::Start) {
        None => LivesBy::Any,
        Some(started) if started < moved => LivesBy::OneOf(started),
        Some(_) => LivesBy::Current,
    })
}

/// Makes the scan directory's entries those of the new generation: what is new is supervised. Whether any were taken away.
fn entries(
    live: &Live,
    forward: &Forward<'_>,
    names: &Names,
    scandir: &ScanDir,
    note: &mut dyn FnMut(Note),
) -> Result<bool, RunError> {
    if forward.plan.is_some_and(|plan| !moves_entries(plan)) {
        return Ok(false);
    }
    let (sv, number) = (live.locked().sv(), live.generation().number());
    let stays = |service| forward.plan.is_some_and(|plan| stays(plan, service));
    let differs = live::compare_entries(scandir, forward.image.db(), names, &stays)?;
    // Where this command has made the directories, it knows which ones can have no supervisor yet.
    let is_fresh = |service: u16, id: Id| match forward.plan {
        Some(_) if id.generation == number => true,
        Some(_) if differs.missing.binary_search(&service).is_err() => false,
        _ => !is_listening(sv, id),
    };
    let mut fresh: Vec<Id> =
        (0..).zip(names.all()).filter(|(s, id)| is_fresh(*s, **id)).map(|(_, id)| *id).collect();
    let link = || live::link_entries(scandir, forward.image.db(), names, &differs.missing);
    if fresh.is_empty() {
        link()?;
    } else {
        let made = forward.plan.map(|_| number);
        supervise(sv, scandir, (&mut fresh, made), forward.deadline, note, link)?;
    }
    for entry in &differs.stale {
        scandir.remove(entry)?;
    }
    Ok(!differs.stale.is_empty())
}

/// Whether a plan adds, removes or renames a longrun.
pub(crate) fn moves_entries(plan: &Plan<'_>) -> bool {
    let mut longruns = 0..plan.new.longruns() as u16;
    plan.old.longruns() != plan.new.longruns() || !longruns.all(|new| stays(plan, new))
}

/// Whether a longrun goes on in its directory, under its name.
fn stays(plan: &Plan<'_>, new: u16) -> bool {
    fn name<'a>(db: &Db<'a>, at: u16) -> Option<&'a [u8]> {
        db.service(usize::from(at)).map(|id| db.name(id))
    }
    plan.continues(new).is_some_and(|old| name(&plan.old, old) == name(&plan.new, new))
}

/// Makes the links from names to directories those of the new generation.
fn links(live: &Live, forward: &Forward<'_>, names: &Names) -> Result<(), LiveError> {
    if forward.plan.is_some_and(|plan| !moves_entries(plan)) {
        return Ok(());
    }
    let is_new = |service| forward.plan.is_none_or(|plan| !stays(plan, service));
    live::settle_links(live.locked(), forward.image.db(), names, &is_new)
}

/// Directories that the generation does not name.
fn unnamed(live: &Live, names: &Names) -> Result<Vec<Id>, LiveError> {
    let walk = fs::open_dir(live.locked().sv(), c".")?;
    let mut found = Vec::new();
    fs::for_each_entry(&walk, |name, _, _| {
        found.extend(Id::parse(name.to_bytes()).filter(|id| !names.has(*id)));
        Ok::<_, LiveError>(())
    })?;
    Ok(found)
}

fn open_id(sv: sys::BorrowedFd<'_>, id: Id) -> sys::Result<OwnedFd> {
    fs::open_dir(sv, &id.name())
}

/// The kernel tells that a lock's file is closed a moment before it is: then it is looked again after this.
const LOOK: Millis = Millis(10);
/// Without news it is looked again after this, in case that it could not be watched.
const SILENCE: Millis = Millis(250);
/// How long a supervisor may take to leave when the command has no deadline: it stops its service first.
const LEAVE: Millis = Millis(30_000);

/// Has the supervisors of these directories leave, and waits for it.
fn dismiss(
    sv: sys::BorrowedFd<'_>,
    scandir: &ScanDir,
    ids: &[Id],
    deadline: Option<Millis>,
) -> Result<(), RunError> {
    // The scanner first: it would start a supervisor again whose entry it believes to be there.
    match scandir.notify(b"an") {
        Ok(()) => {}
        Err(e) if matches!(e.errno_of(What::Scanner), Some(Errno::NXIO | Errno::NOENT)) => {}
        Err(e) => return Err(e.into()),
    }
    let watch = inotify().map_err(RunError::wait)?;
    for id in ids {
        if let Ok(dir) = open_id(sv, *id) {
            watch_lock(&watch, &dir);
            let _ = tree::control(&dir, tree::SUPERVISE, b"xd");
        }
    }
    let until = deadline.unwrap_or(Millis(monotonic().0 + LEAVE.0));
    let mut there: Vec<Id> = ids.to_vec();
    let mut pause = SILENCE;
    loop {
        there.retain(|id| is_listening(sv, *id));
        if there.is_empty() {
            return Ok(());
        }
        if monotonic() >= until {
            return Err(RunError::timed_out(there.len()));
        }
        let news = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(pause)).map_err(RunError::wait)?;
        pause = if news > 0 { LOOK } else { SILENCE };
        let _ = fs::read(&watch, &mut [0; 1024]);
    }
}

/// Watches the lock of a service's supervisor for its end, through /proc.
fn watch_lock(watch: &OwnedFd, service: &OwnedFd) {
    use sys::AsRawFd;
    let mut path = CBuf::<64>::new();
    let _ = path.push(b"/proc/self/fd/").and_then(|p| p.push_number(service.as_raw_fd() as u64));
    let _ = path.push(b"/supervise/lock");
    let _ = inotify_watch(watch, &path, WatchFlags::CLOSE_WRITE);
}
