// SPDX-License-Identifier: ISC
//! The scan directory's entries that belong to a live directory: `PREFIX+NAME -> LIVE:sv/ID`, and the scanner behind it.
//!
//! An entry goes before what it names goes, a new name comes before an old one goes; a dangling entry would stop the
//! scan of Debian's `s6-svscan`.

use crate::error::{During, LiveError, Op, What};
use crate::links;
use crate::place::Name;
use crate::service_dir::{Id, Supervisor};
use alloc::boxed::Box;
use core::ffi::CStr;
use sys::{BorrowedFd, Errno, OwnedFd, PATH_ROOM, PathBuffer, fs};

/// A scan directory, seen from one live directory.
pub struct ScanDir {
    dir: OwnedFd,
    prefix: Box<CStr>,
    /// The absolute path of `LIVE:sv/`: what our entries begin with.
    target: Box<CStr>,
}

impl ScanDir {
    /// Opens it. `target` is [`Place::absolute_sv`](crate::Place::absolute_sv).
    pub fn open(path: &CStr, prefix: &[u8], target: &CStr) -> Result<Self, LiveError> {
        let dir = fs::open_dir(sys::CWD, path).during(Op::Open, What::ScanDir)?;
        let prefix = Name::from_pieces(&[prefix]).during(Op::Open, What::ScanEntry)?;
        Ok(Self { dir, prefix: Box::from(&*prefix), target: Box::from(target) })
    }

    /// The directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        use sys::AsFd;
        self.dir.as_fd()
    }

    /// Whose supervisors it has: our scanner's lock is one of an open file description, for which the kernel names no
    /// process; the lock of s6's scanner is one of a process. Source: fcntl(2), `l_pid` of `F_GETLK`.
    pub fn supervisor(&self) -> Supervisor {
        let holder = fs::open_read(&self.dir, c".s6-svscan/lock").and_then(fs::lock_holder);
        if holder == Ok(Some(-1)) { Supervisor::Ours } else { Supervisor::Foreign }
    }

    /// The entry's name for a service.
    pub fn entry(&self, service: &[u8]) -> Result<Name, LiveError> {
        Name::from_pieces(&[self.prefix.to_bytes(), service]).during(Op::Create, What::ScanEntry)
    }

    /// The service that an entry of this name stands for.
    pub fn service<'e>(&self, entry: &'e CStr) -> Option<&'e [u8]> {
        entry.to_bytes().strip_prefix(self.prefix.to_bytes())
    }

    /// Which of our directories an entry names; none if it is not one of ours.
    pub(crate) fn id_of(&self, entry: &CStr) -> Result<Option<Id>, LiveError> {
        let mut buf = [0; PATH_ROOM];
        match fs::readlink(&self.dir, entry, &mut buf) {
            Ok(target) => Ok(target.strip_prefix(self.target.to_bytes()).and_then(Id::parse)),
            Err(Errno::NOENT | Errno::INVAL | Errno::NAMETOOLONG) => Ok(None),
            Err(e) => Err(LiveError::sys(Op::Read, What::ScanEntry, e)),
        }
    }

    /// Adds a service's entry, or moves it to another directory of ours.
    /// An entry of that name that is not ours is left alone: `Taken`, with this index of the service.
    pub fn add(&self, service: &[u8], id: Id, index: u16) -> Result<(), LiveError> {
        let entry = self.entry(service)?;
        let target = PathBuffer::from_pieces(&[self.target.to_bytes(), id.name().as_bytes()])
            .during(Op::Create, What::ScanEntry)?;
        match fs::symlink(&target, &self.dir, &entry) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(LiveError::sys(Op::Create, What::ScanEntry, e)),
        }
        match self.id_of(&entry)? {
            Some(there) if there == id => Ok(()),
            Some(_) => self.replace(&entry, &target),
            None => Err(LiveError::taken(index)),
        }
    }

    /// Puts another link in an entry's place. The name for the moment begins with a dot, so scanners skip it.
    fn replace(&self, entry: &CStr, target: &CStr) -> Result<(), LiveError> {
        links::replace(self.dir(), target, entry, c".skeg-new", What::ScanEntry)
    }

    /// Removes an entry by its full name. None there is no error.
    pub fn remove(&self, entry: &CStr) -> Result<(), LiveError> {
        links::remove(self.dir(), entry, What::ScanEntry)
    }

    /// Gives each of our entries: its full name and the directory that it names.
    pub fn for_each(
        &self,
        mut each: impl FnMut(&CStr, Id) -> Result<(), LiveError>,
    ) -> Result<(), LiveError> {
        self.for_each_link(&mut |entry| self.id_of(entry)?.map_or(Ok(()), |id| each(entry, id)))
    }

    /// Gives the full name of each symbolic link, whoever made it.
    pub(crate) fn for_each_link(
        &self,
        each: &mut dyn FnMut(&CStr) -> Result<(), LiveError>,
    ) -> Result<(), LiveError> {
        // A descriptor of its own: the walk must begin at the first entry whoever walked before.
        let walk = fs::open_dir(&self.dir, c".").during(Op::Open, What::ScanDir)?;
        fs::for_each_entry(&walk, |entry, _, kind| {
            if matches!(kind, fs::FileType::Symlink | fs::FileType::Unknown) { each(entry) } else { Ok(()) }
        })
    }

    /// Sends command bytes to the scanner: `a` to look for new entries, `n` to let go of those gone.
    /// `ENXIO` when no scanner runs.
    pub fn notify(&self, commands: &[u8]) -> Result<(), LiveError> {
        let flags = fs::OFlags::WRONLY | fs::OFlags::NONBLOCK;
        let fifo = fs::open(&self.dir, c".s6-svscan/control", flags, 0).during(Op::Open, What::Scanner)?;
        fs::write_all(&fifo, commands).during(Op::Write, What::Scanner)
    }
}
