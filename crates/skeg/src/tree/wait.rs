// SPDX-License-Identifier: ISC
//! Waiting until services are up or down, by their events. Used by s6-svwait and by `s6-svc -w`.

use crate::applet::{Call, SYSTEM};
use alloc::vec::Vec;
use core::ffi::CStr;
use live::tree::Status;
use sys::event::{PollFd, PollFlags, poll};
use sys::fifodir::Listener;
use sys::start::Strings;
use sys::time::{Millis, monotonic};
use sys::{AsFd, Errno, OwnedFd};

/// Exit code when the time is over.
const TIMED_OUT: u8 = 99;

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// `run` is running; with the flag: and has said that it is ready.
    Up(bool),
    /// `run` has ended; with the flag: `finish` too.
    Down(bool),
    /// Down and then up; with the flag: and ready.
    Restart(bool),
}

impl Goal {
    /// The goal of this option letter.
    pub const fn of(letter: u8) -> Option<Self> {
        Some(match letter {
            b'u' => Self::Up(false),
            b'U' => Self::Up(true),
            b'd' => Self::Down(false),
            b'D' => Self::Down(true),
            b'r' => Self::Restart(false),
            b'R' => Self::Restart(true),
            _ => return None,
        })
    }
}

struct Service {
    path: &'static CStr,
    listener: Listener,
    up: bool,
    ready: bool,
    /// It will never get there: its supervisor has gone, or it failed for good.
    lost: bool,
}

/// Services that are being listened to.
pub struct Waiter {
    services: Vec<Service>,
    deadline: Option<Millis>,
}

impl Waiter {
    /// Subscribes to all of them and reads their states; the exit code, after a message, if that fails.
    /// A `timeout` of 0 ms means none.
    pub fn new(call: &Call, dirs: Strings, timeout: u32) -> Result<Self, u8> {
        let deadline = (timeout != 0).then(|| Millis(monotonic().0 + u64::from(timeout)));
        let mut services = Vec::new();
        for path in dirs {
            let service =
                Service::new(path).map_err(|e| call.failed(t!("listen to %"), path.to_bytes(), e))?;
            services.push(service);
        }
        Ok(Self { services, deadline })
    }

    /// Waits until all of them, or `any`, are there; the exit code. `after_down` is what "down" means to a restart.
    pub fn wait(&mut self, call: &Call, goal: Goal, any: bool, after_down: bool) -> Result<u8, u8> {
        let (up, ready) = match goal {
            Goal::Up(ready) => (true, ready),
            Goal::Down(ready) => (false, ready),
            Goal::Restart(ready) => match self.until(call, false, after_down, any)? {
                0 => (true, ready),
                lost => return Ok(lost),
            },
        };
        self.until(call, up, ready, any)
    }

    fn until(&mut self, call: &Call, up: bool, ready: bool, any: bool) -> Result<u8, u8> {
        while !self.is_reached(up, ready, any) {
            let left = match self.deadline {
                None => None,
                Some(at) => match at.0.saturating_sub(monotonic().0) {
                    0 => return Err(call.fail(TIMED_OUT, t!("timed out"), b"")),
                    ms => Some(Millis(ms)),
                },
            };
            self.turn(left, up).map_err(|e| call.failed(t!("wait for events"), b"", e))?;
        }
        let mut lost = 0usize;
        for service in self.services.iter().filter(|s| s.lost) {
            let path = service.path.to_bytes();
            call.say(t!("%: it failed for good, or its supervisor has gone"), path);
            lost += 1;
        }
        Ok(u8::try_from(lost).unwrap_or(SYSTEM))
    }

    fn is_reached(&self, up: bool, ready: bool, any: bool) -> bool {
        let mut reached = self.services.iter().map(|s| s.lost || (s.up == up && (s.ready || !ready)));
        if any { reached.any(|r| r) } else { reached.all(|r| r) }
    }

    fn turn(&mut self, left: Option<Millis>, up: bool) -> Result<(), Errno> {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(self.services.len());
        fds.extend(self.services.iter().map(|s| PollFd::from_borrowed_fd(s.listener.as_fd(), PollFlags::IN)));
        match poll(&mut fds, left) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
        drop(fds);
        for service in &mut self.services {
            service.take_events(up)?;
        }
        Ok(())
    }
}

impl Service {
    fn new(path: &'static CStr) -> Result<Self, Errno> {
        let dir: OwnedFd = sys::fs::open_dir(sys::CWD, path)?;
        sys::fifodir::make(&dir, c"event")?;
        let listener = Listener::subscribe(&dir, c"event")?;
        let status = Status::read(&dir)?;
        Ok(Self { path, listener, up: status.is_up(), ready: status.ready, lost: false })
    }

    fn take_events(&mut self, wanted_up: bool) -> Result<(), Errno> {
        let mut events = [0; 64];
        let n = self.listener.read(&mut events)?;
        for event in events.get(..n).unwrap_or_default() {
            match event {
                b'd' => (self.up, self.ready) = (false, false),
                b'D' => (self.up, self.ready) = (false, true),
                b'u' => (self.up, self.ready) = (true, false),
                b'U' => (self.up, self.ready) = (true, true),
                b'O' => self.lost |= wanted_up,
                b'x' => self.lost = true,
                _ => {}
            }
        }
        Ok(())
    }
}
