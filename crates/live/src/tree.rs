// SPDX-License-Identifier: ISC
//! Talking to a supervision tree from outside, ours or one of s6: status, commands, whether somebody is there.
//!
//! Everything is relative to the descriptor of a service directory. Events come through [`sys::fifodir::Listener`].

use core::ffi::CStr;
use sys::fs::{self, OFlags};
use sys::time::Tai64n;
use sys::{AsFd, CBuf, Errno, Result};

/// What a supervisor says of its service in `supervise/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Since when it is up or down.
    pub stamp: Tai64n,
    /// Since when it is ready (up), or ready to be started (down).
    pub ready_stamp: Tai64n,
    /// The process id of `run`, of `finish` while that runs, 0 when there is none.
    pub pid: u32,
    /// How `run` ended last, as wait(2) codes it.
    pub wait: u16,
    /// It was sent SIGSTOP; together with pid 0: it has not been started yet.
    pub paused: bool,
    /// `pid` is that of `finish`.
    pub finishing: bool,
    /// The supervisor starts it when it is down.
    pub wanted_up: bool,
    /// It is ready, or ready to be started.
    pub ready: bool,
}

impl Status {
    /// Bytes of the file.
    pub const SIZE: usize = 35;

    /// The file's bytes in words.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        let part = |at: usize| {
            let mut stamp = [0; 12];
            stamp.copy_from_slice(bytes.get(at..at + 12).unwrap_or(&[0; 12]));
            Tai64n(stamp)
        };
        let flags = bytes[34];
        Self {
            stamp: part(0),
            ready_stamp: part(12),
            pid: u32::from_be_bytes([bytes[28], bytes[29], bytes[30], bytes[31]]),
            wait: u16::from_be_bytes([bytes[32], bytes[33]]),
            paused: flags & 1 != 0,
            finishing: flags & 2 != 0,
            wanted_up: flags & 4 != 0,
            ready: flags & 8 != 0,
        }
    }

    /// Whether it was told to stop and has not ended.
    pub const fn is_leaving(&self) -> bool {
        !self.wanted_up && self.pid != 0
    }

    /// Reads the status of the service in this directory. `EPIPE`: the file is too short.
    pub fn read(service: impl AsFd) -> Result<Self> {
        let file = fs::open_read(service, c"supervise/status")?;
        let mut bytes = [0; Self::SIZE];
        if fs::read_full(&file, &mut bytes)? < Self::SIZE {
            return Err(Errno::PIPE);
        }
        Ok(Self::decode(&bytes))
    }

    /// Whether `run` is running.
    pub const fn is_up(&self) -> bool {
        self.pid != 0 && !self.finishing
    }

    /// Whether its supervisor has not started it yet.
    pub const fn is_untouched(&self) -> bool {
        self.pid == 0 && !self.finishing && self.paused
    }

    /// The signal that ended `run`, if one did.
    pub const fn signal(&self) -> Option<u8> {
        let signal = (self.wait & 0x7f) as u8;
        if signal == 0 { None } else { Some(signal) }
    }

    /// The code that `run` exited with, if it exited.
    pub const fn exit_code(&self) -> Option<u8> {
        if self.wait & 0x7f == 0 { Some((self.wait >> 8) as u8) } else { None }
    }
}

/// Whether a supervisor holds the lock of the service in this directory.
pub fn is_supervised(service: impl AsFd) -> Result<bool> {
    is_held(service, c"supervise/lock")
}

/// Whether a scanner runs on this scan directory.
pub fn is_scanned(scandir: impl AsFd) -> Result<bool> {
    is_held(scandir, c".s6-svscan/lock")
}

/// Whether somebody holds this lock file.
pub fn is_held(base: impl AsFd, lock: &CStr) -> Result<bool> {
    match fs::open_read(base, lock) {
        Ok(file) => Ok(fs::lock_holder(&file)?.is_some()),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// What can be asked of a process: words of `/proc/PID/stat`, counted from the name in parentheses, in which anything may
/// stand. Source: proc(5).
#[derive(Clone, Copy, Debug)]
pub enum About {
    /// The process that it is a child of.
    Parent = 2,
    /// The leader of its session.
    Session = 4,
    /// When it was started, in [`boot_ticks`](sys::time::boot_ticks).
    Start = 20,
}

/// What the kernel says about a process; none where that can't be seen.
pub fn process(pid: u32, about: About) -> Option<u64> {
    let mut path = CBuf::<40>::new();
    let _ = path.push(b"/proc/").and_then(|p| p.push_number(u64::from(pid)));
    let _ = path.push(b"/stat");
    let mut stat = [0; 512];
    let have = fs::read_full(fs::open_read(sys::CWD, &path).ok()?, &mut stat).ok()?;
    let stat = stat.get(..have)?;
    let name_end = stat.iter().rposition(|b| *b == b')')?;
    let digits = stat.get(name_end..)?.split(|b| *b == b' ').nth(about as usize)?;
    digits.iter().try_fold(0u64, |n, digit| {
        digit.is_ascii_digit().then(|| n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
    })
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is in the FIFO.
    Yes,
    /// Nobody reads the FIFO, or there is none.
    NobodyListens,
    /// What should be a FIFO or a directory is something else.
    Broken(Errno),
}

/// The directory of a service's supervisor.
pub const SUPERVISE: &CStr = c"supervise";
/// The deaths of a service, 16 bytes each.
pub const DEATH_TALLY: &[u8] = b"supervise/death_tally";
/// The directory of a scanner.
pub const SVSCAN: &CStr = c".s6-svscan";

/// Writes command bytes into `control` in the directory `sub` of a service or scan directory. With no bytes it only
/// asks whether somebody listens.
pub fn control(base: impl AsFd, sub: &CStr, bytes: &[u8]) -> Result<Sent> {
    let dir = match fs::open_dir(base, sub) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(Sent::NobodyListens),
        Err(e @ Errno::NOTDIR) => return Ok(Sent::Broken(e)),
        Err(e) => return Err(e),
    };
    let fifo = match fs::open(&dir, c"control", OFlags::WRONLY | OFlags::NONBLOCK, 0) {
        Ok(fifo) => fifo,
        Err(Errno::NXIO) => return Ok(Sent::NobodyListens),
        Err(e @ (Errno::NOENT | Errno::ISDIR)) => return Ok(Sent::Broken(e)),
        Err(e) => return Err(e),
    };
    fs::set_nonblocking(&fifo, false)?;
    match fs::write_all(&fifo, bytes) {
        Ok(()) => Ok(Sent::Yes),
        Err(Errno::PIPE) => Ok(Sent::NobodyListens),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_as_the_supervisor_of_s6_writes_it() {
        let mut bytes = [0u8; Status::SIZE];
        bytes[..8].copy_from_slice(&((1u64 << 62) + 10 + 1_000).to_be_bytes());
        bytes[24..32].copy_from_slice(&77u64.to_be_bytes());
        bytes[32..34].copy_from_slice(&15u16.to_be_bytes());
        bytes[34] = 0b1110;
        let status = Status::decode(&bytes);
        assert_eq!((status.stamp.wall().seconds, status.pid, status.signal()), (1_000, 77, Some(15)));
        assert!(status.finishing && status.wanted_up && status.ready && !status.paused && !status.is_up());
        assert_eq!(status.exit_code(), None);
    }
}
