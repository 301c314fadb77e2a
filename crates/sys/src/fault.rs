// SPDX-License-Identifier: ISC
//! The test layer: call *n* of a process fails with a given errno, or kills the process right before it.
//!
//! Outside of the feature `fault`, which no device's binary has, [`enter`] and [`arm`] are empty inline functions. With
//! it, the environment variable `SKEG_FAULT` arms a process when its applet is known:
//!
//! `SKEG_FAULT=APPLET:N:ACTION`, where APPLET is the applet's name (or `*` for any), N counts its system calls from 1,
//! and ACTION is one of
//! - `kill`: SIGKILL to the process, right before call N, which is then never made;
//! - `killgroup`: the same to its whole process group;
//! - `nosync`: N counts the calls of `fsync` alone, and number N does nothing and says that it went well: what a power cut
//!   may then leave is what that `fsync` is for;
//! - a decimal number: call N is not made and fails with this errno;
//! - `full`: from call N on each call that could need room on a file system fails with `ENOSPC`: whatever makes a name that is not
//!   there, and a write behind the end of a regular file;
//! - `count` (with N = 0): nothing fails, and the number of calls is appended as a line to the file that
//!   `SKEG_FAULT_OUT` names when the process exits.
//!
//! Where `SKEG_FAULT_GATE` names a file, calls are counted only while that is there, and a kill takes it away: so one call of a
//! resident process can be chosen among those of a moment, and the process that takes its place is spared.
//!
//! What a test enumerates: one run with `count`, then one for each N in `1..=count`. Anything else in the variable arms
//! nothing. The variable stays in the environment, so a child that is skeg too is armed for its own applet's name.
//!
//! A call is a wrapper of this crate, once each time it asks the kernel. Three things are not as they seem:
//! - the calls of a [`spawn`](crate::spawn)ed child before its exec count with its parent's, whose memory it shares;
//!   `kill` there kills the child only;
//! - a forked child that runs on in the same program counts on from its parent's number, until it calls [`arm`]
//!   with a name of its own, which counts from 1;
//! - calls that can't fail (`getpid`, `umask` …) and the first ones of the start-up code are not counted.

use crate::Result;

/// Called by every wrapper before its system call. An error is what the call shall fail with.
#[cfg(not(feature = "fault"))]
#[inline(always)]
pub const fn enter() -> Result<()> {
    Ok(())
}

/// Names this process for the test layer, and counts from 1 again.
#[cfg(not(feature = "fault"))]
#[inline(always)]
pub const fn arm(_name: &[u8]) {}

/// Called, behind [`enter`], by what makes this name: whether there is room.
#[cfg(not(feature = "fault"))]
#[inline(always)]
pub const fn room_for_name(_dir: crate::BorrowedFd<'_>, _path: &core::ffi::CStr) -> Result<()> {
    Ok(())
}

/// The same for what writes so many bytes, at this place or where the descriptor stands.
#[cfg(not(feature = "fault"))]
#[inline(always)]
pub const fn room_for_bytes(_fd: crate::BorrowedFd<'_>, _bytes: usize, _at: Option<u64>) -> Result<()> {
    Ok(())
}

/// Called before each `fsync`: whether this one shall do nothing.
#[cfg(not(feature = "fault"))]
#[inline(always)]
pub const fn skips_sync() -> bool {
    false
}

/// Which step of a protocol stands at this place. A test of the tests may swap one with the next: `SKEG_FAULT_SWAP=N`.
#[cfg(not(feature = "fault"))]
#[inline(always)]
#[must_use]
pub const fn step_at(place: u8) -> u8 {
    place
}

#[cfg(feature = "fault")]
pub use armed::{arm, enter, report, room_for_bytes, room_for_name, skips_sync, step_at};

/// `call!(expression)`: counts one system call, then evaluates the expression, whose value is the result.
macro_rules! call {
    ($call:expr) => {{
        $crate::fault::enter()?;
        $call
    }};
}

/// `word!(expression)`: as `call!`, where the value is a word of [`crate::word`]; the second one asks whether there is room.
macro_rules! word {
    ($call:expr) => {
        $crate::fault::enter().and_then(|()| $call).into()
    };
    ($call:expr, $room:expr) => {
        $crate::fault::enter().and_then(|()| $room).and_then(|()| $call).into()
    };
}

/// What `SKEG_FAULT` says, read without any system call.
#[cfg(any(test, feature = "fault"))]
mod plan {
    /// What happens at the chosen call.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Action {
        /// The process is killed.
        Kill,
        /// Its process group is.
        KillGroup,
        /// Nothing; the calls are only counted.
        Count,
        /// An `fsync` does nothing.
        NoSync,
        /// From there on there is no room on any file system.
        Full,
        /// The call fails with this errno.
        Fail(u16),
    }

    /// The largest errno of the kernel's interface.
    const MAX_ERRNO: u32 = 4095;

    impl Action {
        /// As one number, for a static variable; 0 is none.
        pub const fn code(self) -> u32 {
            match self {
                Self::Kill => 1 << 16,
                Self::KillGroup => 2 << 16,
                Self::Count => 3 << 16,
                Self::NoSync => 4 << 16,
                Self::Full => 5 << 16,
                Self::Fail(errno) => errno as u32,
            }
        }

        /// The other way.
        pub const fn from_code(code: u32) -> Option<Self> {
            match code {
                0 => None,
                0x1_0000 => Some(Self::Kill),
                0x2_0000 => Some(Self::KillGroup),
                0x3_0000 => Some(Self::Count),
                0x4_0000 => Some(Self::NoSync),
                0x5_0000 => Some(Self::Full),
                errno => Some(Self::Fail(errno as u16)),
            }
        }
    }

    /// The call and what happens there, where the text is about this applet and makes sense.
    pub fn parse(text: &[u8], applet: &[u8]) -> Option<(u32, Action)> {
        let mut parts = text.split(|b| *b == b':');
        let (name, n, action) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || (name != b"*" && name != applet) {
            return None;
        }
        let action = match action {
            b"kill" => Action::Kill,
            b"killgroup" => Action::KillGroup,
            b"count" => Action::Count,
            b"nosync" => Action::NoSync,
            b"full" => Action::Full,
            number => match decimal(number)? {
                errno @ 1..=MAX_ERRNO => Action::Fail(errno as u16),
                _ => return None,
            },
        };
        Some((decimal(n)?, action))
    }

    pub fn decimal(digits: &[u8]) -> Option<u32> {
        if digits.is_empty() {
            return None;
        }
        digits.iter().try_fold(0u32, |n, d| {
            let digit = d.is_ascii_digit().then(|| u32::from(d - b'0'))?;
            n.checked_mul(10)?.checked_add(digit)
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_plan_is_for_one_applet_or_for_any() {
            assert_eq!(parse(b"s6-rc:7:kill", b"s6-rc"), Some((7, Action::Kill)));
            assert_eq!(parse(b"*:7:killgroup", b"s6-rc"), Some((7, Action::KillGroup)));
            assert_eq!(parse(b"s6-rc:7:kill", b"s6-rc-init"), None);
            assert_eq!(parse(b"s6-rc:3:28", b"s6-rc"), Some((3, Action::Fail(28))));
            assert_eq!(parse(b"s6-rc:0:count", b"s6-rc"), Some((0, Action::Count)));
        }

        #[test]
        fn what_makes_no_sense_arms_nothing() {
            for text in [
                "",
                "a",
                "a:1",
                "a:1:",
                "a::kill",
                "a:x:kill",
                "a:1:0",
                "a:1:4096",
                "a:1:kill:",
                "a:5000000000:kill",
            ] {
                assert_eq!(parse(text.as_bytes(), b"a"), None, "{text}");
            }
        }

        #[test]
        fn each_action_has_a_code_of_its_own() {
            for action in [
                Action::Kill,
                Action::KillGroup,
                Action::Count,
                Action::NoSync,
                Action::Full,
                Action::Fail(1),
                Action::Fail(4095),
            ] {
                assert_eq!(Action::from_code(action.code()), Some(action));
            }
            assert_eq!(Action::from_code(0), None);
        }
    }
}

#[cfg(feature = "fault")]
mod armed {
    use super::Result;
    use super::plan::{Action, parse};
    use crate::{AsRawFd, BorrowedFd, Errno};
    use core::ffi::CStr;
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use rustix::process::{Pid, Signal};

    /// Calls so far.
    static CALLS: AtomicU32 = AtomicU32::new(0);
    /// Calls of `fsync` so far.
    static SYNCS: AtomicU32 = AtomicU32::new(0);
    /// The call to act on; 0 = none.
    static AT: AtomicU32 = AtomicU32::new(0);
    /// An [`Action`]'s code.
    static ACTION: AtomicU32 = AtomicU32::new(0);

    /// Reads `SKEG_FAULT` for this name, and counts from 1 again.
    pub fn arm(name: &[u8]) {
        CALLS.store(0, Relaxed);
        SYNCS.store(0, Relaxed);
        let plan = crate::start::env(b"SKEG_FAULT").and_then(|text| parse(text.to_bytes(), name));
        AT.store(plan.map_or(0, |(at, _)| at), Relaxed);
        ACTION.store(plan.map_or(0, |(_, action)| action.code()), Relaxed);
    }

    /// The step at this place, where `SKEG_FAULT_SWAP=N` swaps step N with the next.
    #[must_use]
    pub fn step_at(place: u8) -> u8 {
        let text = crate::start::env(b"SKEG_FAULT_SWAP").map_or(b"".as_slice(), CStr::to_bytes);
        match super::plan::decimal(text).and_then(|n| u8::try_from(n).ok()) {
            None | Some(0) => place,
            Some(n) if n == place => place.saturating_add(1),
            Some(n) if n.saturating_add(1) == place => n,
            _ => place,
        }
    }

    /// The gate, if there is one.
    fn gate() -> Option<&'static CStr> {
        crate::start::env(b"SKEG_FAULT_GATE")
    }

    /// Whether calls count at present.
    fn is_open() -> bool {
        gate().is_none_or(|gate| rustix::fs::access(gate, rustix::fs::Access::EXISTS).is_ok())
    }

    /// Counts one call and does what was armed for it.
    pub fn enter() -> Result<()> {
        if ACTION.load(Relaxed) == 0 || !is_open() {
            return Ok(());
        }
        let n = CALLS.fetch_add(1, Relaxed).wrapping_add(1);
        if n != AT.load(Relaxed) {
            return Ok(());
        }
        match Action::from_code(ACTION.load(Relaxed)) {
            None | Some(Action::Count | Action::NoSync | Action::Full) => Ok(()),
            Some(Action::Fail(errno)) => Err(Errno::from_raw_os_error(i32::from(errno))),
            Some(Action::Kill) => {
                let _ = gate().map(rustix::fs::unlink);
                let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
                Ok(())
            }
            Some(Action::KillGroup) => {
                if let Some(group) = Pid::from_raw(rustix::process::getpgrp().as_raw_nonzero().get()) {
                    let _ = rustix::process::kill_process_group(group, Signal::KILL);
                }
                Ok(())
            }
        }
    }

    fn is_full() -> bool {
        let is_chosen = Action::from_code(ACTION.load(Relaxed)) == Some(Action::Full);
        is_chosen && CALLS.load(Relaxed) >= AT.load(Relaxed) && is_open()
    }

    /// Fails where the file system is full and this name is not there.
    pub fn room_for_name(dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
        let is_new = || rustix::fs::statat(dir, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_err();
        if is_full() && is_new() { Err(Errno::NOSPC) } else { Ok(()) }
    }

    /// Fails where the file system is full and this goes beyond the end of a regular file.
    pub fn room_for_bytes(fd: BorrowedFd<'_>, bytes: usize, at: Option<u64>) -> Result<()> {
        use rustix::fs::{FileType, SeekFrom, fstat, seek};
        // What it says goes elsewhere.
        if !is_full() || fd.as_raw_fd() <= 2 {
            return Ok(());
        }
        let stat = fstat(fd)?;
        if FileType::from_raw_mode(stat.st_mode as _) != FileType::RegularFile {
            return Ok(());
        }
        let at = at.map_or_else(|| seek(fd, SeekFrom::Current(0)), Ok)?;
        if at + bytes as u64 > stat.st_size as u64 { Err(Errno::NOSPC) } else { Ok(()) }
    }

    /// Counts one `fsync`; whether it shall do nothing.
    pub fn skips_sync() -> bool {
        let n = SYNCS.fetch_add(1, Relaxed).wrapping_add(1);
        n == AT.load(Relaxed) && Action::from_code(ACTION.load(Relaxed)) == Some(Action::NoSync)
    }

    /// Writes the count where `count` was asked for; called by [`crate::process::exit`].
    pub fn report() {
        if Action::from_code(ACTION.load(Relaxed)) != Some(Action::Count) {
            return;
        }
        let Some(path) = crate::start::env(b"SKEG_FAULT_OUT") else { return };
        let _ = append(path, CALLS.load(Relaxed));
    }

    fn append(path: &CStr, n: u32) -> Result<()> {
        use rustix::fs::{Mode, OFlags};
        let file = rustix::fs::open(
            path,
            OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o644),
        )?;
        let mut line = crate::CBuf::<16>::new();
        let _ = line.push_number(u64::from(n));
        let _ = line.push(b"\n");
        rustix::io::write(&file, line.as_bytes()).map(|_| ())
    }
}
