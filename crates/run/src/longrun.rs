// SPDX-License-Identifier: ISC
//! One longrun on its way: its listener, what has been heard, what is waited for. Used by the session.
//!
//! The order matters: first the listener, then one look at the status, then the command; so nothing is missed, and a service
//! that is already there is seen at once.

use crate::forward::{LivesBy, lives_by};
use crate::note::Why;
use core::ffi::CStr;
use engine::Towards;
use live::tree::{Status, is_supervised};
use live::{Id, Live, ServiceDir, Supervisor};
use sys::fs::{self, OFlags};
use sys::time::{Millis, Tai64n};
use sys::{AsFd, BorrowedFd, CBuf, Errno, OwnedFd};

/// What is known of it after the last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    up: bool,
    ready: bool,
}

impl Seen {
    const fn of(status: &Status) -> Self {
        Self { up: status.is_up(), ready: status.ready }
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// `run` has been spawned: the service can't say that it is ready.
    Up,
    /// The service has said that it is ready.
    Ready,
    /// It is down, and its finish script is over.
    Down,
}

impl Goal {
    const fn reached(self, seen: Seen) -> bool {
        match self {
            Self::Up => seen.up,
            Self::Ready => seen.up && seen.ready,
            Self::Down => !seen.up && seen.ready,
        }
    }
}

/// What events mean for a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not yet.
    Waiting,
    /// It is there.
    Reached,
    /// It never will be.
    Failed(Why),
}

/// Takes one event byte into account.
fn step(goal: Goal, seen: &mut Seen, event: u8) -> Progress {
    match event {
        b'u' => *seen = Seen { up: true, ready: false },
        b'U' => *seen = Seen { up: true, ready: true },
        b'd' => *seen = Seen { up: false, ready: false },
        b'D' => *seen = Seen { up: false, ready: true },
        b'O' if goal != Goal::Down => return Progress::Failed(Why::Permanent),
        b'x' => return Progress::Failed(Why::SupervisorGone),
        _ => return Progress::Waiting,
    }
    if goal.reached(*seen) { Progress::Reached } else { Progress::Waiting }
}

/// Names for the listeners of one session: no two are the same, and no other process has them.
///
/// It does by hand what `sys::fifodir` does, with one random number for all names and without opening `event/`: a third
/// of the calls that a longrun costs the session.
pub(crate) struct Names {
    label: [u8; 25],
    random: u32,
}

impl Names {
    /// With a new random part.
    pub(crate) fn new() -> Self {
        let mut random = [0; 4];
        if sys::process::random(&mut random).is_err() {
            // Early in a boot: a clash is seen when the FIFO is made.
            let seed = sys::time::monotonic_nanos() ^ u64::from(sys::process::pid()) << 16;
            random = (seed as u32).to_le_bytes();
        }
        Self { label: Tai64n::now().label(), random: u32::from_le_bytes(random) }
    }

    /// The name for a service: 39 bytes below `event/`, as the convention of event directories has it.
    fn of(&self, service: u16) -> Result<CBuf<64>, Errno> {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bits = u64::from(self.random) << 16 | u64::from(service);
        let mut letters = [0; 6];
        for letter in &mut letters {
            *letter = LETTERS[(bits & 63) as usize];
            bits >>= 6;
        }
        CBuf::from_pieces(&[b"event/ftrig1:", &self.label, b":", &letters]).map_err(|_| Errno::NAMETOOLONG)
    }
}

/// What a listener is called before somebody reads it: one name will do, since one command at a time changes things, and
/// what one that was killed has left is known by it.
const UNREAD: &CStr = c"event/.unread";

/// Takes away the listeners of commands that were killed.
pub(crate) fn forget_listeners(service: BorrowedFd<'_>) {
    let _ = fs::unlink(service, UNREAD);
    let _ = sys::fifodir::notify(service, c"event", b"");
}

/// Whether the supervisors' status files are true even where no inode is left: s6's write another file or none.
fn tells(live: &Live) -> bool {
    live.scandir().is_ok_and(|scandir| scandir.supervisor() == Supervisor::Ours)
}

/// A FIFO in the service's event directory. Dropping it takes it away.
struct Ear {
    service: OwnedFd,
    name: CBuf<64>,
    /// None where no inode is left for one: then the status is looked at, again and again.
    fifo: Option<OwnedFd>,
}

impl Ear {
    /// The umask must be 0. `deaf`: as for a watch.
    fn new(service: OwnedFd, name: CBuf<64>, deaf: Option<&Live>) -> sys::Result<Self> {
        match fs::mkfifo(&service, UNREAD, 0o622) {
            Err(Errno::EXIST) => {
                fs::unlink(&service, UNREAD).and_then(|()| fs::mkfifo(&service, UNREAD, 0o622))?;
            }
            Err(Errno::NOSPC | Errno::DQUOT) if deaf.is_some_and(tells) => {
                return Ok(Self { service, name, fifo: None });
            }
            other => other?,
        }
        let made = fs::open(&service, UNREAD, OFlags::RDWR | OFlags::NONBLOCK, 0)
            .and_then(|fifo| fs::rename(&service, UNREAD, &service, &name).map(|()| fifo));
        match made {
            Ok(fifo) => Ok(Self { service, name, fifo: Some(fifo) }),
            Err(e) => {
                let _ = fs::unlink(&service, UNREAD);
                Err(e)
            }
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = fs::unlink(&self.service, &self.name);
    }
}

/// A longrun under way.
pub(crate) struct Watch {
    ear: Ear,
    goal: Goal,
    seen: Seen,
    /// Whether the supervisor has been heard since the command was sent: what was never answered may be unread.
    heard: bool,
    /// Since when, in nanoseconds of the monotonic clock.
    pub(crate) began: u64,
    /// When it has failed.
    pub(crate) deadline: Option<Millis>,
}

impl Watch {
    /// Listens and looks; [`Self::tell`] sends the command. `directory` is the service's. With `deaf` it
    /// may do without a listener where no inode is left for one.
    pub(crate) fn begin(
        directory: OwnedFd,
        (service, names): (u16, &Names),
        towards: Towards,
        notifies: bool,
        deadline: Option<Millis>,
        deaf: Option<&Live>,
    ) -> Result<Self, Why> {
        let began = sys::time::monotonic_nanos();
        let absent = |e| if e == Errno::NOENT { Why::NotSupervised } else { Why::Control(e) };
        let name = names.of(service).map_err(Why::Control)?;
        let ear = Ear::new(directory, name, deaf).map_err(absent)?;
        let status = Status::read(&ear.service).map_err(absent)?;
        let seen = Seen::of(&status);
        let goal = match (towards, notifies) {
            (Towards::Up, true) => Goal::Ready,
            (Towards::Up, false) => Goal::Up,
            (Towards::Down, _) => Goal::Down,
        };
        Ok(Self { ear, goal, seen, heard: false, began, deadline })
    }

    /// Sends the command. It comes last: nothing that can fail may come between it and the waiting, else it could be heeded
    /// after its service has been given up.
    pub(crate) fn tell(&self) -> Result<(), Why> {
        send(&self.ear.service, if self.goal == Goal::Down { b"d" } else { b"u" })
    }

    /// Whether it waits for the word of a process that was there from the beginning.
    pub(crate) fn waits_for_word(&self) -> bool {
        self.goal == Goal::Ready && self.seen.up && !self.seen.ready
    }

    /// Does not wait for that.
    pub(crate) const fn take_as_it_is(&mut self) {
        self.goal = Goal::Up;
    }

    /// Whether it was there from the beginning.
    pub(crate) const fn is_there(&self) -> bool {
        self.goal.reached(self.seen)
    }

    /// Whether the command may be unread still, though the service looks as before.
    pub(crate) const fn is_unheard(&self) -> bool {
        !self.heard
    }

    /// It may be about to come up: only an event can tell that it is down.
    pub(crate) const fn expect_up(&mut self) {
        self.seen.up = true;
    }

    /// Whether nothing will be heard: it has to be asked for its progress.
    pub(crate) const fn is_deaf(&self) -> bool {
        self.ear.fifo.is_none()
    }

    /// What the status says.
    fn look(&self) -> Progress {
        match Status::read(&self.ear.service) {
            Ok(status) if self.goal.reached(Seen::of(&status)) => Progress::Reached,
            Err(e) => Progress::Failed(Why::Control(e)),
            Ok(_) if is_supervised(&self.ear.service) == Ok(false) => Progress::Failed(Why::SupervisorGone),
            Ok(_) => Progress::Waiting,
        }
    }

    /// Reads the events that have come.
    pub(crate) fn progress(&mut self) -> Progress {
        let Some(fifo) = &self.ear.fifo else { return self.look() };
        let mut events = [0; 64];
        loop {
            let got = match fs::read(fifo, &mut events) {
                Ok(0) | Err(Errno::AGAIN | Errno::INTR) => return Progress::Waiting,
                Ok(got) => got,
                Err(e) => return Progress::Failed(Why::Control(e)),
            };
            self.heard = true;
            for event in events.get(..got).unwrap_or_default() {
                match step(self.goal, &mut self.seen, *event) {
                    Progress::Waiting => {}
                    over => return over,
                }
            }
            if got < events.len() {
                return Progress::Waiting;
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ear.fifo.as_ref().unwrap_or(&self.ear.service).as_fd()
    }
}

/// Whether the process of a service can say that it is ready: its definition may be another one than that of the image, and
/// wait for the next start. Of a process that is older than the definition in use nobody knows it: it is taken as it is.
pub(crate) fn can_say(directory: &ServiceDir, id: Id) -> bool {
    lives_by(directory, id) == Ok(LivesBy::Current)
        && fs::access(directory.dir(), c"notification-fd", 0).is_ok()
}

/// Writes command bytes to the supervisor of the service in this directory.
pub(crate) fn send(service: &OwnedFd, commands: &[u8]) -> Result<(), Why> {
    match fs::open(service, c"supervise/control", OFlags::WRONLY | OFlags::NONBLOCK, 0) {
        // A FIFO takes a few bytes as a whole or not at all.
        Ok(fifo) => fs::write(&fifo, commands).map(|_| ()).map_err(Why::Control),
        Err(Errno::NXIO | Errno::NOENT) => Err(Why::NotSupervised),
        Err(e) => Err(Why::Control(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(goal: Goal, events: &[u8]) -> Progress {
        let mut seen = Seen { up: false, ready: true };
        for event in events {
            match step(goal, &mut seen, *event) {
                Progress::Waiting => {}
                over => return over,
            }
        }
        Progress::Waiting
    }

    #[test]
    fn names_are_those_of_the_convention_and_differ() {
        let names = Names::new();
        let (one, two) = (names.of(1).unwrap(), names.of(2).unwrap());
        assert_eq!(one.len(), b"event/".len() + 39);
        assert!(one.as_bytes().starts_with(b"event/ftrig1:@") && one.as_bytes() != two.as_bytes());
    }

    #[test]
    fn each_goal_is_reached_by_its_event() {
        assert_eq!(hear(Goal::Up, b"u"), Progress::Reached);
        assert_eq!(hear(Goal::Ready, b"u"), Progress::Waiting);
        assert_eq!(hear(Goal::Ready, b"udDuU"), Progress::Reached);
        assert_eq!(hear(Goal::Down, b"d"), Progress::Waiting);
        assert_eq!(hear(Goal::Down, b"dD"), Progress::Reached);
    }

    #[test]
    fn a_permanent_failure_ends_a_start_and_not_a_stop() {
        assert_eq!(hear(Goal::Ready, b"udOD"), Progress::Failed(Why::Permanent));
        assert_eq!(hear(Goal::Down, b"dOD"), Progress::Reached);
        assert_eq!(hear(Goal::Up, b"x"), Progress::Failed(Why::SupervisorGone));
    }
}
