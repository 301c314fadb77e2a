// SPDX-License-Identifier: ISC
//! The status file and the death tally of a service directory, read by code of the tests' own.

use std::path::Path;

/// A moment: seconds of TAI since 1970 in TAI64 (with its offset of 2^62), and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// TAI64 seconds.
    pub seconds: u64,
    /// Nanoseconds.
    pub nanoseconds: u32,
}

impl Stamp {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let seconds = u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
        let nanoseconds = u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
        Some(Self { seconds, nanoseconds })
    }

    /// Seconds of Unix time, for moments since 2017: TAI is 37 seconds ahead, as s6 counts.
    pub fn unix(&self) -> f64 {
        (self.seconds as i64 - (1 << 62) - 37) as f64 + f64::from(self.nanoseconds) / 1e9
    }

    /// How long ago, in seconds.
    pub fn age(&self) -> f64 {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
        now.as_secs_f64() - self.unix()
    }
}

/// `supervise/status`, 35 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The last change.
    pub stamp: Stamp,
    /// When it became ready.
    pub ready_stamp: Stamp,
    /// The process: `run`, or `finish` while `finishing`; 0 if there is none.
    pub pid: u32,
    /// How the last process ended, as wait(2) codes it.
    pub wait_status: u16,
    /// It was stopped with SIGSTOP through the supervisor.
    pub paused: bool,
    /// The process is `finish`.
    pub finishing: bool,
    /// It is wanted up.
    pub want_up: bool,
    /// It is ready: up and ready, or down and ready to start.
    pub ready: bool,
}

impl Status {
    /// Reads the status of a service directory.
    pub fn read(dir: &Path) -> Option<Self> {
        Self::parse(&std::fs::read(dir.join("supervise/status")).ok()?)
    }

    /// Reads the bytes of a status file.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != 35 {
            return None;
        }
        let flags = bytes[34];
        if flags & 0xf0 != 0 {
            return None;
        }
        Some(Self {
            stamp: Stamp::parse(&bytes[..12])?,
            ready_stamp: Stamp::parse(&bytes[12..24])?,
            pid: u32::try_from(u64::from_be_bytes(bytes[24..32].try_into().ok()?)).ok()?,
            wait_status: u16::from_be_bytes(bytes[32..34].try_into().ok()?),
            paused: flags & 1 != 0,
            finishing: flags & 2 != 0,
            want_up: flags & 4 != 0,
            ready: flags & 8 != 0,
        })
    }

    /// `run` is running.
    pub fn up(&self) -> bool {
        self.pid != 0 && !self.finishing
    }

    /// Nothing is running, and it could start.
    pub fn down(&self) -> bool {
        self.pid == 0
    }
}

/// One record of `supervise/death_tally`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// When.
    pub stamp: Stamp,
    /// The exit code; 128 + signal if it was killed.
    pub code: u8,
    /// The signal; 0 if it exited.
    pub signal: u8,
}

/// The death tally of a service directory, oldest first.
#[track_caller]
pub fn deaths(dir: &Path) -> Vec<Death> {
    let bytes = std::fs::read(dir.join("supervise/death_tally")).unwrap_or_default();
    assert_eq!(bytes.len() % 14, 0, "the tally of {} has {} bytes", dir.display(), bytes.len());
    let record = |r: &[u8]| Some(Death { stamp: Stamp::parse(r)?, code: r[12], signal: r[13] });
    bytes.chunks(14).filter_map(record).collect()
}
