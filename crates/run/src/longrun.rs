// SPDX-License-Identifier: ISC
//! One longrun on its way: its listener, what has been heard, what is waited for. Used by the session.
//!
//! The order matters: first the listener, then one look at the status, then the command; so nothing is missed, and a service
//! that is already there is seen at once.

use crate::note::Why;
use engine::Towards;
use live::tree::{self, Sent, Status};
use sys::fifodir::Listener;
use sys::time::Millis;
use sys::{AsFd, BorrowedFd, Errno, OwnedFd};

/// What is known of it after the last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    up: bool,
    ready: bool,
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

/// A longrun under way.
pub(crate) struct Watch {
    listener: Listener,
    goal: Goal,
    seen: Seen,
    /// Since when, in nanoseconds of the monotonic clock.
    pub(crate) began: u64,
    /// When it has failed.
    pub(crate) deadline: Option<Millis>,
}

impl Watch {
    /// Listens, looks, sends the command.
    pub(crate) fn begin(
        service: &OwnedFd,
        towards: Towards,
        notifies: bool,
        deadline: Option<Millis>,
    ) -> Result<Self, Why> {
        let began = sys::time::monotonic_nanos();
        let absent = |e| if e == Errno::NOENT { Why::NotSupervised } else { Why::Control(e) };
        let listener = Listener::subscribe(service, c"event").map_err(absent)?;
        let status = Status::read(service).map_err(absent)?;
        let seen = Seen { up: status.is_up(), ready: status.ready };
        let (goal, command) = match (towards, notifies) {
            (Towards::Up, true) => (Goal::Ready, b"u"),
            (Towards::Up, false) => (Goal::Up, b"u"),
            (Towards::Down, _) => (Goal::Down, b"d"),
        };
        send(service, command)?;
        Ok(Self { listener, goal, seen, began, deadline })
    }

    /// Reads the events that have come.
    pub(crate) fn progress(&mut self) -> Progress {
        if self.goal.reached(self.seen) {
            return Progress::Reached;
        }
        let mut events = [0; 64];
        loop {
            let got = match self.listener.read(&mut events) {
                Ok(0) => return Progress::Waiting,
                Ok(got) => got,
                Err(e) => return Progress::Failed(Why::Control(e)),
            };
            for event in events.get(..got).unwrap_or_default() {
                match step(self.goal, &mut self.seen, *event) {
                    Progress::Waiting => {}
                    over => return over,
                }
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Writes command bytes to the supervisor of the service in this directory.
pub(crate) fn send(service: &OwnedFd, commands: &[u8]) -> Result<(), Why> {
    match tree::control(service, tree::SUPERVISE, commands) {
        Ok(Sent::Yes) => Ok(()),
        Ok(Sent::NobodyListens) => Err(Why::NotSupervised),
        Ok(Sent::Broken(e)) | Err(e) => Err(Why::Control(e)),
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
