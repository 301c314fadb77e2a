// SPDX-License-Identifier: ISC
//! Waiting: epoll, poll, eventfd, inotify.

use crate::time::Millis;
use crate::{AsFd, Errno, OwnedFd, Result};
use core::mem::MaybeUninit;
pub use rustix::event::epoll::EventFlags;
use rustix::event::epoll::{Event, EventData};
pub use rustix::event::{PollFd, PollFlags};
use rustix::event::{Timespec, epoll};
pub use rustix::fs::inotify::{CreateFlags as InotifyFlags, WatchFlags};

fn timespec(timeout: Option<Millis>) -> Option<Timespec> {
    timeout.map(|t| Timespec { tv_sec: (t.0 / 1000) as i64, tv_nsec: ((t.0 % 1000) * 1_000_000) as _ })
}

/// Events of one wait.
const BATCH: usize = 32;
/// The keys of what has come.
pub type Keys = heapless::Vec<u64, BATCH>;

/// A set of descriptors to wait for.
pub struct Epoll(OwnedFd);

impl Epoll {
    /// An empty set.
    pub fn new() -> Result<Self> {
        call!(epoll::create(epoll::CreateFlags::CLOEXEC)).map(|fd| Self(fd.into()))
    }

    /// Waits for these events of a descriptor, too; they will carry `key`.
    pub fn add(&self, fd: impl AsFd, key: u64, flags: EventFlags) -> Result<()> {
        call!(epoll::add(&self.0, fd, EventData::new_u64(key), flags))
    }

    /// Waits for other events of a descriptor from now on.
    pub fn modify(&self, fd: impl AsFd, key: u64, flags: EventFlags) -> Result<()> {
        call!(epoll::modify(&self.0, fd, EventData::new_u64(key), flags))
    }

    /// Waits for this descriptor no longer.
    pub fn delete(&self, fd: impl AsFd) -> Result<()> {
        call!(epoll::delete(&self.0, fd))
    }

    /// Waits until something has come, the time is over (`None`: never) or a signal interrupts: the keys of what has come.
    #[inline(never)]
    pub fn wait(&self, timeout: Option<Millis>) -> Result<Keys> {
        let timeout = timespec(timeout);
        let mut room = [const { MaybeUninit::<Event>::uninit() }; BATCH];
        let mut keys = Keys::new();
        match call!(epoll::wait(&self.0, &mut room[..], timeout.as_ref())) {
            Ok((events, _)) => keys.extend(events.iter().map(|event| event.data.u64())),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
        Ok(keys)
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> crate::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of these is ready or the time is over; how many are.
pub fn poll(fds: &mut [PollFd<'_>], timeout: Option<Millis>) -> Result<usize> {
    let timeout = timespec(timeout);
    call!(rustix::event::poll(fds, timeout.as_ref()))
}

/// A counter that wakes a poll; non-blocking, close-on-exec.
pub fn eventfd() -> Result<OwnedFd> {
    use rustix::event::EventfdFlags;
    call!(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)).map(OwnedFd::from)
}

/// An inotify instance; non-blocking, close-on-exec.
pub fn inotify() -> Result<OwnedFd> {
    call!(rustix::fs::inotify::init(InotifyFlags::CLOEXEC | InotifyFlags::NONBLOCK)).map(OwnedFd::from)
}

/// Watches a path; the watch's number.
pub fn inotify_watch(inotify: impl AsFd, path: &core::ffi::CStr, events: WatchFlags) -> Result<i32> {
    call!(rustix::fs::inotify::add_watch(inotify, path, events))
}
