// SPDX-License-Identifier: ISC
//! A live directory as a command has it: its lock, its generation in force, states and image.

use crate::error::{During, LiveError, Op, What};
use crate::generation::Generation;
use crate::journal::Journal;
use crate::lock::{Access, Lock, Wait};
use crate::place::Place;
use crate::scandir::ScanDir;
use crate::service_dir::Umask;
use crate::state::States;
use core::ffi::CStr;
use sys::{AsFd, BorrowedFd, CBuf, Errno, OwnedFd, fs};

/// The place, its `LIVE:sv` directory and the lock: what a command holds before it asks which generation is in force.
pub struct Locked {
    place: Place,
    sv: OwnedFd,
    lock: Option<Lock>,
}

impl Locked {
    /// Opens `LIVE:sv` and takes the lock. `Absent` where there is no such directory.
    ///
    /// For `Look` and `Read` by a user who may not open the lock file, nothing is locked.
    pub fn open(live: &CStr, access: Access, wait: Wait) -> Result<Self, LiveError> {
        let place = Place::new(live)?;
        let sv = match fs::open_dir(place.parent(), &place.sv_name()) {
            Ok(sv) => sv,
            Err(Errno::NOENT) => return Err(LiveError::ABSENT),
            Err(e) => return Err(LiveError::sys(Op::Open, What::Supervised, e)),
        };
        let lock = match access {
            Access::Look => None,
            Access::Read | Access::Change => match Lock::take(sv.as_fd(), access, wait) {
                Err(e)
                    if access == Access::Read
                        && matches!(e.errno_of(What::Lock), Some(Errno::ACCESS | Errno::NOENT)) =>
                {
                    None
                }
                other => Some(other?),
            },
        };
        Ok(Self { place, sv, lock })
    }

    /// As [`Self::open`] for a change, but makes `LIVE:sv` where it is missing: for init.
    pub fn make(live: &CStr, wait: Wait) -> Result<Self, LiveError> {
        let place = Place::new(live)?;
        let _umask = Umask::none();
        match fs::mkdir(place.parent(), &place.sv_name(), 0o755) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(LiveError::sys(Op::Create, What::Supervised, e)),
        }
        let sv = fs::open_dir(place.parent(), &place.sv_name()).during(Op::Open, What::Supervised)?;
        let lock = Some(Lock::take(sv.as_fd(), Access::Change, wait)?);
        Ok(Self { place, sv, lock })
    }

    /// Where it is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The directory `LIVE:sv`.
    pub fn sv(&self) -> BorrowedFd<'_> {
        self.sv.as_fd()
    }

    /// Whether the lock is held.
    pub const fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// What an unfinished command left.
    pub fn journal(&self) -> Result<Option<Journal>, LiveError> {
        Journal::read(self.sv())
    }

    /// Opens the generation in force. `Absent` before init.
    pub fn live(self) -> Result<Live, LiveError> {
        let (generation, states, image) = self.in_force()?;
        Ok(Live { locked: self, generation, states, image })
    }

    /// The generation in force. Without the lock an update may take it away after the link has been read: then there is a newer one.
    fn in_force(&self) -> Result<(Generation, States, &'static [u8]), LiveError> {
        let mut number = self.place.current()?;
        loop {
            let found = self.generation(number);
            if found.is_ok() {
                return found;
            }
            match self.place.current()? {
                same if same == number => return found,
                newer => number = newer,
            }
        }
    }

    fn generation(&self, number: u32) -> Result<(Generation, States, &'static [u8]), LiveError> {
        let writable = self.lock.is_some();
        let generation = Generation::open(&self.place, number)?;
        let states = match generation.states(writable) {
            Err(e) if writable && matches!(e.errno_of(What::State), Some(Errno::ACCESS | Errno::ROFS)) => {
                generation.states(false)?
            }
            other => other?,
        };
        let image = generation.image()?;
        Ok((generation, states, image))
    }
}

/// A live directory, open.
pub struct Live {
    locked: Locked,
    generation: Generation,
    states: States,
    image: &'static [u8],
}

impl Live {
    /// Opens a live directory: `LIVE:sv` first, then the lock, then the link is read.
    ///
    /// An unfinished command's journal is not looked at: whoever changes things asks for it first
    /// ([`Locked::journal`]) and finishes it.
    pub fn open(live: &CStr, access: Access, wait: Wait) -> Result<Self, LiveError> {
        Locked::open(live, access, wait)?.live()
    }

    /// The image's bytes. They are checked, as is the hash, by [`Self::belongs`].
    pub const fn image(&self) -> &'static [u8] {
        self.image
    }

    /// Whether the state file belongs to the image with this hash.
    pub fn belongs(&self, hash: &[u8; 32]) -> Result<(), LiveError> {
        if self.states.header().hash == *hash { Ok(()) } else { Err(LiveError::OTHER_IMAGE) }
    }

    /// The states.
    pub const fn states(&self) -> &States {
        &self.states
    }

    /// The states, to be changed.
    pub const fn states_mut(&mut self) -> &mut States {
        &mut self.states
    }

    /// The generation in force.
    pub const fn generation(&self) -> &Generation {
        &self.generation
    }

    /// The path, below `LIVE:sv`, of what is called `tail` in the directory of the service with this index: of the directory itself where
    /// that is empty. `NOENT` for a oneshot.
    pub fn service_path(&self, index: u16, tail: &[u8]) -> sys::Result<CBuf<64>> {
        let id = self.states.id(usize::from(index)).ok_or(Errno::NOENT)?;
        CBuf::from_pieces(&[id.name().as_bytes(), b"/", tail]).map_err(|_| Errno::NAMETOOLONG)
    }

    /// The directory of the service with this index: for looking at what is in it.
    pub fn service_dir(&self, index: u16) -> sys::Result<OwnedFd> {
        let path = self.service_path(index, b"")?;
        fs::open(self.locked.sv(), &path, fs::OFlags::PATH | fs::OFlags::DIRECTORY, 0)
    }

    /// The place and the lock.
    pub const fn locked(&self) -> &Locked {
        &self.locked
    }

    /// Goes on with this generation.
    pub fn enter(&mut self, number: u32) -> Result<(), LiveError> {
        (self.generation, self.states, self.image) = self.locked.generation(number)?;
        Ok(())
    }

    /// Looks again: at the states of the generation in force, which may be another than before.
    pub fn again(&mut self) -> Result<(), LiveError> {
        let number = self.locked.place.current()?;
        if number == self.generation.number() {
            return self.states.reread();
        }
        (self.generation, self.states, self.image) = self.locked.in_force()?;
        Ok(())
    }

    /// Goes on with a generation that has just been made, of this image. The one before.
    pub fn enter_new(&mut self, generation: Generation, states: States, image: &'static [u8]) -> Generation {
        self.image = image;
        self.states = states;
        core::mem::replace(&mut self.generation, generation)
    }

    /// The scan directory, to add and remove entries.
    pub fn scandir(&self) -> Result<ScanDir, LiveError> {
        let prefix = self.generation.prefix()?;
        ScanDir::open(&self.generation.scandir()?, prefix.as_bytes(), &self.locked.place.absolute_sv()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::{Builder, ImageSource, Notes};
    use crate::service_dir::{self, Id, ServiceDir, Umask};
    use crate::state::State;
    use crate::{remove_test_dir, test_dir};
    use db::{File, FileKind};

    fn files(run: &'static [u8]) -> [File<'static>; 4] {
        let file = |path, mode, bytes| File { path, mode, kind: FileKind::Regular, bytes };
        [
            file(c"run", 0o755, run),
            file(c"notification-fd", 0o644, b"3\n"),
            File { path: c"data", mode: 0o755, kind: FileKind::Directory, bytes: b"" },
            file(c"data/x", 0o600, b""),
        ]
    }

    fn build(live: &CStr) -> Locked {
        let locked = Locked::make(live, Wait::No).unwrap();
        let _umask = Umask::none();
        let builder = Builder::begin(locked.place(), 1).unwrap();
        let id = Id { generation: 1, index: 0 };
        service_dir::create(locked.sv(), id, files(b"#!@SKEG@ x\nrest").into_iter(), b"/bin/skeg").unwrap();
        let notes = Notes { compiled: c"/img", scandir: c"/tmp", prefix: b"p-", skeg: c"/bin/skeg" };
        builder.notes(&notes).unwrap();
        builder.image(ImageSource::Copy(b"image")).unwrap();
        builder.states([9; 32], 2, &[id]).unwrap().set(0, State::UP).unwrap();
        builder.commit_first().unwrap();
        assert_eq!(builder.commit_first(), Err(LiveError::EXISTS));
        locked
    }

    #[test]
    fn who_only_looks_finds_a_generation_while_updates_take_the_old_ones_away() {
        let (dir, live) = test_dir("looks");
        let locked = build(&live);
        let notes = Notes { compiled: c"/img", scandir: c"/tmp", prefix: b"p-", skeg: c"/bin/skeg" };
        let id = Id { generation: 1, index: 0 };
        std::thread::scope(|scope| {
            let updates = scope.spawn(|| {
                let _umask = Umask::none();
                for number in 2..100 {
                    let builder = Builder::begin(locked.place(), number).unwrap();
                    builder.notes(&notes).unwrap();
                    builder.image(ImageSource::Copy(b"image")).unwrap();
                    builder.states([9; 32], 2, &[id]).unwrap();
                    builder.finish().unwrap();
                    crate::switch_link(locked.place()).unwrap();
                    Generation::open(locked.place(), number - 1).unwrap().remove(locked.place()).unwrap();
                }
            });
            let mut last = 1;
            while !updates.is_finished() {
                let seen = Live::open(&live, Access::Look, Wait::No).map(|it| it.generation().number());
                assert!(seen.is_ok_and(|number| number >= last), "{seen:?} after {last}");
                last = seen.unwrap_or_default();
            }
        });
        remove_test_dir(&dir);
    }

    #[test]
    fn what_init_makes_can_be_opened_read_and_updated() {
        let (dir, live) = test_dir("directory");
        let mut it = build(&live).live().unwrap();
        assert_eq!(it.image(), b"image");
        it.belongs(&[9; 32]).unwrap();
        assert!(it.states().get(0).is_up() && !it.states().get(1).is_up());
        it.states_mut().set(1, State::STARTING).unwrap();
        let mut again = it.generation().states(false).unwrap();
        assert_eq!(again.get(1), State::STARTING);
        it.states_mut().set(1, State::UP).unwrap();
        again.reread().unwrap();
        assert_eq!(again.get(1), State::UP);
        assert_eq!(it.generation().prefix().unwrap().as_c(), c"p-");
        assert_eq!([0, 1].map(|index| it.states().id(index)), [Some(Id { generation: 1, index: 0 }), None]);
        let sv = format!("{}:sv", live.to_str().unwrap());
        assert_eq!(std::fs::read(format!("{sv}/1.0/run")).unwrap(), b"#!/bin/skeg x\nrest");
        assert_eq!(std::fs::read(format!("{sv}/1.0/data/x")).unwrap(), b"");
        remove_test_dir(&dir);
    }

    #[test]
    fn a_version_is_used_at_the_next_start_or_at_once_and_tidied_then() {
        let (dir, live) = test_dir("version");
        let locked = build(&live);
        let id = Id { generation: 1, index: 0 };
        let finish = File { path: c"finish", mode: 0o755, kind: FileKind::Regular, bytes: b"f" };
        let new = [files(b"new")[0], finish];
        service_dir::add_version(locked.sv(), id, 2, new.into_iter(), b"").unwrap();
        service_dir::add_version(locked.sv(), id, 2, new.into_iter(), b"").unwrap();
        let service = ServiceDir::open(locked.sv(), id).unwrap();
        service.switch(2, new.into_iter(), false).unwrap();
        assert_eq!((service.current(), service.next()), (Ok(Some(1)), Ok(Some(2))));
        service.tidy(None).unwrap();
        let sv = format!("{}:sv/1.0", live.to_str().unwrap());
        assert_eq!(std::fs::read(format!("{sv}/run")).unwrap(), b"#!/bin/skeg x\nrest");
        assert!(std::fs::read(format!("{sv}/finish")).is_err());
        // A start came between the look at `current` and the new `next`.
        std::os::unix::fs::symlink("v1", format!("{sv}/next.new")).unwrap();
        std::fs::rename(format!("{sv}/next.new"), format!("{sv}/next")).unwrap();
        service.tidy(None).unwrap();
        assert_eq!((service.current(), service.next()), (Ok(Some(1)), Ok(None)));
        service_dir::add_version(locked.sv(), id, 2, new.into_iter(), b"").unwrap();
        service.switch(2, new.into_iter(), true).unwrap();
        service.tidy(None).unwrap();
        assert_eq!(std::fs::read(format!("{sv}/run")).unwrap(), b"new");
        assert_eq!(std::fs::read(format!("{sv}/finish")).unwrap(), b"f");
        let mut names: Vec<_> =
            std::fs::read_dir(&sv).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["current", "down", "event", "finish", "run", "v2"]);
        remove_test_dir(&dir);
    }

    #[test]
    fn a_definition_that_moves_at_once_is_younger_than_every_process_that_is_there() {
        let (dir, live) = test_dir("moved");
        let locked = build(&live);
        let id = Id { generation: 1, index: 0 };
        let service = ServiceDir::open(locked.sv(), id).unwrap();
        assert_eq!(service.moved_at_once(id), Ok(None), "the first one");
        let mut status = [0; crate::tree::Status::SIZE];
        status[31] = 1;
        std::fs::create_dir(format!("{}/live:sv/1.0/supervise", dir.display())).unwrap();
        std::fs::write(format!("{}/live:sv/1.0/supervise/status", dir.display()), status).unwrap();
        for version in 2..50 {
            service_dir::add_version(locked.sv(), id, version, files(b"new").into_iter(), b"").unwrap();
            let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            service.switch(version, files(b"new").into_iter(), true).unwrap();
            let moved = service.moved_at_once(id).unwrap().expect("a time");
            let started = crate::tree::process(child.id(), crate::tree::About::Start).expect("a time");
            let now = sys::time::boot_ticks();
            assert!(started < moved && moved <= now + 1, "{started}, {moved}, {now}");
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(crate::tree::process(u32::MAX, crate::tree::About::Start).is_none());
        // A command that was killed between move and note; then what waits for a start, and comes by it.
        let current = format!("{}/live:sv/1.0/current", dir.display());
        let late = std::time::UNIX_EPOCH + std::time::Duration::from_secs(i32::MAX as u64);
        set_link_time(&current, late);
        assert!(service.moved_at_once(id).unwrap().unwrap() > sys::time::boot_ticks() + 1_000_000);
        service.stamp_move(49).unwrap();
        assert!(service.moved_at_once(id).unwrap().unwrap() <= sys::time::boot_ticks() + 1);
        // One that is down.
        std::fs::remove_file(format!("{}/live:sv/1.0/supervise/status", dir.display())).unwrap();
        set_link_time(&current, late);
        service.stamp_move(49).unwrap();
        assert_eq!(service.moved_at_once(id), Ok(None));
        service_dir::add_version(locked.sv(), id, 50, files(b"new").into_iter(), b"").unwrap();
        service.switch(50, files(b"new").into_iter(), false).unwrap();
        std::fs::rename(format!("{}/live:sv/1.0/next", dir.display()), &current).unwrap();
        assert_eq!(service.moved_at_once(id), Ok(None));
        remove_test_dir(&dir);
    }

    #[test]
    fn versions_between_go_while_a_process_lives_on() {
        let (dir, live) = test_dir("between");
        let locked = build(&live);
        let id = Id { generation: 1, index: 0 };
        let service = ServiceDir::open(locked.sv(), id).unwrap();
        let folder = format!("{}/live:sv/1.0", dir.display());
        std::fs::create_dir(format!("{folder}/supervise")).unwrap();
        let mut status = [0; crate::tree::Status::SIZE];
        status[31] = 1;
        std::fs::write(format!("{folder}/supervise/status"), status).unwrap();
        let versions = || -> Vec<u32> {
            let names =
                std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let mut all: Vec<u32> = names.filter_map(|name| name.strip_prefix('v')?.parse().ok()).collect();
            all.sort_unstable();
            all
        };
        let mut version = 1;
        let mut add = |at_once| {
            version += 1;
            service_dir::add_version(locked.sv(), id, version, files(b"new").into_iter(), b"").unwrap();
            service.switch(version, files(b"new").into_iter(), at_once).unwrap();
        };
        let start = || {
            // Long enough that nothing that was moved before may have been moved after it.
            let before = sys::time::boot_ticks();
            while sys::time::boot_ticks() < before + 2 {
                std::thread::yield_now();
            }
            let child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            let started = crate::tree::process(child.id(), crate::tree::About::Start).expect("a time");
            (child, started)
        };
        let (mut first, since) = start();
        for _ in 0..5 {
            add(true);
            service.tidy(Some(since)).unwrap();
        }
        // That of the process, the one that it may have come to while that was moved, and the one in use.
        assert_eq!(versions(), [1, 2, 6]);
        let (mut second, since) = start();
        for _ in 0..3 {
            add(true);
            service.tidy(Some(since)).unwrap();
        }
        assert_eq!(versions(), [6, 7, 9]);
        // One that waits for a start, and comes by it.
        add(false);
        std::fs::rename(format!("{folder}/next"), format!("{folder}/current")).unwrap();
        let (mut third, since) = start();
        service.tidy(None).unwrap();
        assert_eq!(versions(), [10]);
        for _ in 0..3 {
            add(true);
            service.tidy(Some(since)).unwrap();
        }
        assert_eq!(versions(), [10, 11, 13]);
        for child in [&mut first, &mut second, &mut third] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        remove_test_dir(&dir);
    }

    fn set_link_time(link: &str, at: std::time::SystemTime) {
        let seconds = at.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let path = std::ffi::CString::new(link).unwrap();
        let at = sys::time::Wall { seconds: seconds as i64, nanos: 0 };
        sys::fs::set_modified(sys::CWD, &path, at).unwrap();
    }

    #[test]
    fn a_lock_in_use_says_who_holds_it() {
        let (dir, live) = test_dir("lock");
        let held = build(&live);
        let error = Live::open(&live, Access::Change, Wait::No).err();
        assert_eq!(error, Some(LiveError::busy(Some(std::process::id()))));
        let soon = sys::time::Millis(sys::time::monotonic().0 + 20);
        let error = Live::open(&live, Access::Read, Wait::Until(soon)).err();
        assert_eq!(error, Some(LiveError::timed_out(Some(std::process::id()))));
        drop(held);
        Live::open(&live, Access::Change, Wait::No).unwrap();
        remove_test_dir(&dir);
    }

    #[test]
    fn a_journal_reads_back_and_goes() {
        use crate::journal::{Change, Journal, Set, Side};
        let (dir, live) = test_dir("journal");
        let locked = build(&live);
        assert_eq!(locked.journal(), Ok(None));
        let side = Side { generation: 1, hash: [3; 32] };
        let journal = Journal::Change(Change { side, up: Set::from_bools([true, false].into_iter()) });
        journal.write(locked.sv()).unwrap();
        assert!(Journal::present(locked.sv()));
        assert_eq!(locked.journal(), Ok(Some(journal)));
        Journal::remove(locked.sv()).unwrap();
        assert_eq!(locked.journal(), Ok(None));
        std::fs::write(format!("{}:sv/journal", live.to_str().unwrap()), b"skegjr\0\x02").unwrap();
        assert_eq!(locked.journal(), Err(LiveError::BAD_JOURNAL));
        remove_test_dir(&dir);
    }

    #[test]
    fn the_ring_of_transitions_turns() {
        use crate::history::{History, Outcome, RING, Record, read};
        let (dir, live) = test_dir("history");
        let locked = build(&live);
        let record = Record { seconds: 1, took: 2, up: true, outcome: Outcome::Done, name: b"x" };
        let path = format!("{}:sv/history", live.to_str().unwrap());
        for written in 0..RING + 6 {
            History::open(locked.sv()).unwrap().append(&record).unwrap();
            if written == 7 {
                // A kill in the middle of the next one.
                let file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
                std::io::Write::write_all(&mut &file, &[1; 30]).unwrap();
            }
        }
        let (mut least, mut most, mut count) = (u32::MAX, 0, 0);
        read(locked.sv(), &mut |sequence, found| {
            (least, most, count) = (least.min(sequence), most.max(sequence), count + 1);
            assert_eq!(*found, record);
        })
        .unwrap();
        assert_eq!((least, most, count), (7, RING + 6, RING));
        remove_test_dir(&dir);
    }
}
