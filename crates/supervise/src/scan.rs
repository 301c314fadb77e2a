// SPDX-License-Identifier: ISC
//! Scanning the directory: each entry that is a directory is a service, its `log` another one that it feeds.
//!
//! The working directory is the scan directory. A service is known by device and inode, so that an entry may be renamed.
//! A scan costs one stat for an entry and one for its `log`; a new service some twenty calls.

use crate::files;
use crate::keep::{CONTROL, DIR, PIPE};
use crate::machine::{Core, Now, after};
use crate::supervisor::{SuperviseError, Supervisor, tick};
use crate::table::{NAME_MAX, NONE, Phase, ROLE_LOGGER, ROLE_PRODUCER, Slot};
use crate::{Note, What};
use core::ffi::CStr;
use core::sync::atomic::Ordering::SeqCst;
use sys::fs::{self, FileType};
use sys::time::Tai64n;
use sys::{CBuf, CWD, Errno};

/// A service's path in the scan directory.
type Name = CBuf<{ NAME_MAX + 1 }>;
/// After a service could not be begun, in ms.
const RETRY: u32 = 1_000;
/// Bytes of an entry's name: with `/log` it must still fit.
const ENTRY_MAX: usize = NAME_MAX - 4;

impl Supervisor {
    /// Looks at every entry; whether it could. Services whose entries are gone stay until they are nuked.
    pub(crate) fn scan(&mut self) -> bool {
        let number = self.header.attempt.load(SeqCst).wrapping_add(1).max(1);
        self.header.attempt.store(number, SeqCst);
        let mut is_whole = true;
        let walked = fs::open_dir(CWD, c".").and_then(|dir| {
            fs::for_each_entry(&dir, |name, _, kind| -> Result<(), Errno> {
                let is_candidate =
                    matches!(kind, FileType::Directory | FileType::Symlink | FileType::Unknown);
                if is_candidate && name.to_bytes().first() != Some(&b'.') {
                    is_whole &= self.entry(name, number);
                }
                Ok(())
            })
        });
        if let Err(e) = walked {
            (self.say)(&Note { what: What::ReadScanDirectory, name: b"", errno: Some(e) });
            return false;
        }
        if !is_whole {
            return false;
        }
        self.header.scan.store(number, SeqCst);
        for index in self.table.indices() {
            if let Some(slot) = self.table.slot(index)
                && slot.phase() == Phase::Resting
                && !self.is_active(slot)
            {
                self.release(index, slot);
            }
        }
        true
    }

    /// One entry; false: it must be looked at again, since the kernel was short of something.
    fn entry(&mut self, name: &CStr, number: u32) -> bool {
        let say = self.say;
        let trouble = |what, path: &CStr, errno| {
            say(&Note { what, name: path.to_bytes(), errno });
            errno != Some(Errno::NOMEM)
        };
        if name.to_bytes().len() > ENTRY_MAX {
            return trouble(What::NameTooLong, name, None);
        }
        let index = match self.find(name, number) {
            Ok(Some(index)) => index,
            Ok(None) => return true,
            Err(Errno::NOSPC) => return trouble(What::TooManyServices, name, None),
            Err(e) => return trouble(What::Stat, name, Some(e)),
        };
        let Ok(log) = Name::from_pieces(&[name.to_bytes(), b"/log"]) else { return true };
        let (logger, is_known) = match self.find(&log, number) {
            Ok(logger) => (logger, true),
            Err(Errno::NOSPC) => (None, trouble(What::TooManyServices, &log, None)),
            Err(e) => (None, trouble(What::Stat, &log, Some(e))),
        };
        let is_joined = logger.is_none_or(|logger| self.join(index, logger));
        for new in [logger, Some(index)].into_iter().flatten() {
            let Some(slot) = self.table.slot(new).filter(|slot| slot.phase() == Phase::Setup) else {
                continue;
            };
            if is_known && is_joined {
                self.begin(new, slot);
            } else {
                // Not without its logger: what it says would be lost.
                self.release(new, slot);
            }
        }
        is_known && is_joined
    }

    /// The slot of the service at this path, new or old; none if there is no directory. `ENOSPC`: the table is full.
    fn find(&mut self, path: &CStr, number: u32) -> Result<Option<u16>, Errno> {
        let stat = match fs::stat(CWD, path) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(e) => return Err(e),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(None);
        }
        let (device, inode) = (stat.st_dev as u64, stat.st_ino as u64);
        let index = match self.table.find_directory(device, inode) {
            Some(index) => index,
            None => self.table.allocate(device, inode, path.to_bytes()).ok_or(Errno::NOSPC)?,
        };
        if let Some(slot) = self.table.slot(index) {
            if !slot.is_named(path.to_bytes()) {
                slot.set_name(path.to_bytes());
            }
            slot.seen.store(number, SeqCst);
        }
        Ok(Some(index))
    }

    /// Lays the pipe between a service and its logger, once; false: it can't be had now. Both ends are kept as long as one
    /// of the two is supervised.
    fn join(&mut self, producer: u16, logger: u16) -> bool {
        let (Some(from), Some(to)) = (self.table.slot(producer), self.table.slot(logger)) else {
            return true;
        };
        if from.peer.load(SeqCst) != NONE || to.peer.load(SeqCst) != NONE || producer == logger {
            return true;
        }
        match fs::pipe(fs::PipeFlags::empty()) {
            Ok((reader, writer)) => {
                self.hold(logger, PIPE, [reader]);
                self.hold(producer, PIPE, [writer]);
                from.role.store(ROLE_PRODUCER, SeqCst);
                to.role.store(ROLE_LOGGER, SeqCst);
                to.peer.store(producer, SeqCst);
                from.peer.store(logger, SeqCst);
                true
            }
            Err(e) => {
                self.note(producer, What::LogPipe, Some(e));
                false
            }
        }
    }

    /// Begins again with a service whose supervision had ended.
    pub(crate) fn wake(&mut self, index: u16) {
        if let Some(slot) = self.table.slot(index) {
            self.begin(index, slot);
        }
    }

    /// Begins the supervision of a service: its files, its descriptors, its state. It is started when the scan is over.
    fn begin(&mut self, index: u16, slot: &'static Slot) {
        let now = Now { tick: tick(), stamp: Tai64n::now() };
        match self.try_begin(index, slot, now) {
            Ok(()) => {
                slot.set_phase(Phase::Live);
                self.settle(index, slot);
                self.due(slot.core().deadline);
            }
            Err((what, errno)) => {
                self.note(index, what, Some(errno).filter(|_| what != What::AlreadySupervised));
                let mut core = Core::new(now, false);
                core.deadline = after(now.tick, RETRY);
                slot.commit(&core);
                slot.set_phase(Phase::Resting);
                self.drop_supervision(index);
                self.due(core.deadline);
            }
        }
    }

    fn try_begin(&mut self, index: u16, slot: &'static Slot, now: Now) -> Result<(), files::Fault> {
        let (mut path, mut buf) = (Name::new(), [0; 256]);
        let _ = path.push(slot.name(&mut buf));
        self.open_service(index, slot, now, &path)
    }

    fn open_service(
        &mut self,
        index: u16,
        slot: &'static Slot,
        now: Now,
        path: &CStr,
    ) -> Result<(), files::Fault> {
        let dir = fs::open_dir(CWD, path).map_err(|e| (What::OpenService, e))?;
        let opened = files::open(sys::AsFd::as_fd(&dir), self.narrow)?;
        let fd = sys::AsFd::as_fd(&dir);
        files::truncate_tally(fd).map_err(|e| (What::WriteTally, e))?;
        let mut core = Core::new(now, !files::has(fd, c"down"));
        if !opened.had_listeners {
            // Nobody can be listening in a directory that has just been made.
            core.events = [0; 4];
        }
        self.hold(index, DIR, [dir, opened.control, opened.lock]);
        slot.commit(&core);
        self.watch(index, CONTROL).map_err(|e| (What::Watch, e))
    }

    /// A service whose descriptors did not reach the scanner (it was short of them): they are made once more, by its name.
    pub(crate) fn open_again(&mut self, index: u16, slot: &'static Slot) {
        self.drop_supervision(index);
        let (mut path, mut buf) = (Name::new(), [0; 256]);
        let _ = path.push(slot.name(&mut buf));
        let opened = fs::open_dir(CWD, &path).map_err(|e| (What::OpenService, e)).and_then(|dir| {
            let opened = files::open(sys::AsFd::as_fd(&dir), self.narrow)?;
            Ok((dir, opened))
        });
        match opened {
            Ok((dir, opened)) => self.hold(index, DIR, [dir, opened.control, opened.lock]),
            Err((what, errno)) => self.note(index, what, Some(errno)),
        }
    }

    /// Begins the supervision of the working directory, as the only service, under this name.
    pub(crate) fn begin_here(&mut self, name: &[u8]) -> Result<(), SuperviseError> {
        let index = self.table.allocate(0, 0, name).ok_or(SuperviseError::Begin)?;
        let slot = self.table.slot(index).ok_or(SuperviseError::Begin)?;
        let now = Now { tick: tick(), stamp: Tai64n::now() };
        match self.open_service(index, slot, now, c".") {
            Ok(()) => {}
            Err((What::AlreadySupervised, _)) => return Err(SuperviseError::AlreadySupervised),
            Err((what, errno)) => {
                self.note(index, what, Some(errno));
                return Err(SuperviseError::Begin);
            }
        }
        slot.set_phase(Phase::Live);
        self.settle(index, slot);
        self.due(slot.core().deadline);
        Ok(())
    }
}
