// SPDX-License-Identifier: ISC
//! The one lock of a live directory: who may look, who may change, and who is in the way.
//!
//! `LIVE:sv/lock` carries an open-file-description lock, so that it goes with the command whatever its end. The kernel
//! does not tell who holds such a lock; therefore a command that changes things writes its process id into the file.

use crate::error::{During, LiveError, Op, What};
use crate::place::decimal;
use sys::time::{Millis, monotonic};
use sys::{AsFd, BorrowedFd, CBuf, Errno, OwnedFd, event, fs};

/// How long to wait for a lock in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: as the s6 names do.
    No,
    /// Until this point of the monotonic clock: the skeg verbs.
    Until(Millis),
    /// For ever: `-b`.
    Forever,
}

/// What the command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read without a lock: what is read may be changing.
    Look,
    /// Read, while nobody changes anything.
    Read,
    /// Change things, alone.
    Change,
}

/// The lock, held until this is dropped.
pub struct Lock {
    file: OwnedFd,
}

/// While waiting, the lock is also tried this often: a holder that was killed between our try and our watch would
/// otherwise be missed.
const RETRY: Millis = Millis(200);

impl Lock {
    /// Takes the lock of this `LIVE:sv` directory. Makes the file where it is missing and `access` is `Change`.
    pub fn take(sv: BorrowedFd<'_>, access: Access, wait: Wait) -> Result<Self, LiveError> {
        let (flags, kind) = match access {
            Access::Change => (fs::OFlags::RDWR | fs::OFlags::CREATE, fs::Lock::Exclusive),
            Access::Look | Access::Read => (fs::OFlags::RDONLY, fs::Lock::Shared),
        };
        let file = fs::open(sv, c"lock", flags, 0o644).during(Op::Open, What::Lock)?;
        let lock = Self { file };
        match fs::ofd_lock(&lock.file, kind) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => lock.wait(sv, kind, wait)?,
            Err(e) => return Err(LiveError::sys(Op::Lock, What::Lock, e)),
        }
        if access == Access::Change {
            lock.sign()?;
        }
        Ok(lock)
    }

    /// Writes who holds it.
    fn sign(&self) -> Result<(), LiveError> {
        let mut text = CBuf::<16>::new();
        let _ = text.push_number(u64::from(sys::process::pid()));
        let _ = text.push(b"\n"); // what is left of a longer number stands behind it
        fs::pwrite(&self.file, text.as_bytes(), 0).during(Op::Write, What::Lock).map(|_| ())
    }

    /// The process that wrote its id last, if it is still there.
    fn holder(&self) -> Option<u32> {
        let mut buf = [0; 16];
        let have = fs::pread(&self.file, &mut buf, 0).ok()?;
        let pid = decimal(buf.get(..have)?.split(|b| *b == b'\n').next()?)?;
        let mut path = CBuf::<32>::new();
        path.push(b"/proc/").ok()?.push_number(u64::from(pid)).ok()?;
        fs::access(sys::CWD, &path, 0).ok().map(|()| pid)
    }

    fn wait(&self, sv: BorrowedFd<'_>, kind: fs::Lock, wait: Wait) -> Result<(), LiveError> {
        let deadline = match wait {
            Wait::No => return Err(LiveError::busy(self.holder())),
            Wait::Until(deadline) => deadline,
            Wait::Forever => {
                return match fs::ofd_lock_wait(&self.file, kind) {
                    Ok(()) => Ok(()),
                    Err(e) => Err(LiveError::sys(Op::Lock, What::Lock, e)),
                };
            }
        };
        // The holder's last descriptor of the file is closed: the kernel says so, and the lock is free.
        let watch = event::inotify().ok().filter(|watch| watch_lock(watch.as_fd(), sv));
        loop {
            match fs::ofd_lock(&self.file, kind) {
                Ok(()) => return Ok(()),
                Err(Errno::AGAIN | Errno::ACCESS) => {}
                Err(e) => return Err(LiveError::sys(Op::Lock, What::Lock, e)),
            }
            let now = monotonic();
            if now >= deadline {
                return Err(LiveError::timed_out(self.holder()));
            }
            let pause = Millis(RETRY.0.min(deadline.0 - now.0));
            match &watch {
                Some(watch) => {
                    let _ = event::poll(&mut [event::PollFd::new(watch, event::PollFlags::IN)], Some(pause));
                    let mut events = [0; 1024];
                    let _ = fs::read(watch, &mut events);
                }
                None => {
                    let _ = event::poll(&mut [], Some(pause));
                }
            }
        }
    }
}

/// Watches the lock file of this directory for being closed, through /proc.
fn watch_lock(watch: BorrowedFd<'_>, sv: BorrowedFd<'_>) -> bool {
    use sys::AsRawFd;
    let mut path = CBuf::<48>::new();
    let _ = path.push(b"/proc/self/fd/").and_then(|p| p.push_number(sv.as_raw_fd() as u64));
    let _ = path.push(b"/lock");
    event::inotify_watch(watch, &path, event::WatchFlags::CLOSE).is_ok()
}

/// The command line of a process, its words separated by spaces; how many bytes of `buf` hold it.
pub fn command_line(pid: u32, buf: &mut [u8]) -> usize {
    let mut path = CBuf::<40>::new();
    let _ = path.push(b"/proc/").and_then(|p| p.push_number(u64::from(pid)));
    let _ = path.push(b"/cmdline");
    let Ok(file) = fs::open_read(sys::CWD, &path) else { return 0 };
    let mut have = fs::read_full(&file, buf).unwrap_or(0);
    while have > 0 && buf.get(have - 1) == Some(&0) {
        have -= 1;
    }
    buf.iter_mut().take(have).filter(|b| **b == 0).for_each(|b| *b = b' ');
    have
}
