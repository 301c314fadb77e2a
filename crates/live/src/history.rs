// SPDX-License-Identifier: ISC
//! A ring of the last transitions: when, what, how long, how it ended. For `skeg status` and `why`.
//!
//! `LIVE:sv/history`: records of 64 bytes; the one with the highest sequence number is the newest. A record that a
//! kill cut short has a wrong check byte and is left out.

use crate::error::{During, LiveError, Op, What};
use sys::{BorrowedFd, OwnedFd, fs};

/// Bytes of a record.
pub const RECORD: usize = 64;
/// Records of the ring: 64 KiB of memory at most, several boots of a router.
pub const RING: u32 = 1024;
/// Bytes of a service's name that are kept.
pub const NAME: usize = 38;

/// How a transition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As intended.
    Done,
    /// A script failed, or a longrun failed permanently: its exit code.
    Failed(u8),
    /// A signal killed its script.
    Killed(u8),
    /// Its script can't be started: the kernel's error.
    NotStarted(u8),
    /// It took too long.
    TimedOut,
    /// The command was interrupted.
    Cut,
}

/// One transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it ended: seconds since 1970.
    pub seconds: u64,
    /// How long it took, in milliseconds.
    pub took: u32,
    /// Whether the service was brought up.
    pub up: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The service; a long name is cut to [`NAME`] bytes.
    pub name: &'a [u8],
}

impl<'a> Record<'a> {
    fn bytes(&self, sequence: u32) -> [u8; RECORD] {
        let (outcome, code) = match self.outcome {
            Outcome::Done => (0, 0),
            Outcome::Failed(code) => (1, code),
            Outcome::TimedOut => (2, 0),
            Outcome::Cut => (3, 0),
            Outcome::Killed(signal) => (4, signal),
            Outcome::NotStarted(errno) => (5, errno),
        };
        let name = self.name.get(..self.name.len().min(NAME)).unwrap_or_default();
        let mut bytes = [0; RECORD];
        let head = [&sequence.to_le_bytes()[..], &self.seconds.to_le_bytes(), &self.took.to_le_bytes()];
        let tail = [&[u8::from(self.up), outcome, code, name.len() as u8][..], name];
        let pieces = head.iter().chain(&tail).flat_map(|piece| piece.iter());
        bytes.iter_mut().zip(pieces).for_each(|(to, from)| *to = *from);
        bytes[RECORD - 1] = check(&bytes);
        bytes
    }

    fn parse(bytes: &'a [u8; RECORD]) -> Option<(u32, Self)> {
        if bytes[RECORD - 1] != check(bytes) {
            return None;
        }
        let sequence = u32::from_le_bytes(bytes.get(0..4)?.try_into().ok()?);
        let seconds = u64::from_le_bytes(bytes.get(4..12)?.try_into().ok()?);
        let took = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
        let outcome = match bytes[17] {
            0 => Outcome::Done,
            1 => Outcome::Failed(bytes[18]),
            2 => Outcome::TimedOut,
            4 => Outcome::Killed(bytes[18]),
            5 => Outcome::NotStarted(bytes[18]),
            _ => Outcome::Cut,
        };
        let name = bytes.get(20..20 + usize::from(bytes[19]).min(NAME))?;
        (sequence != 0).then_some((sequence, Self { seconds, took, up: bytes[16] == 1, outcome, name }))
    }
}

fn check(bytes: &[u8; RECORD]) -> u8 {
    bytes.iter().take(RECORD - 1).fold(0x5a, |sum: u8, b| sum.rotate_left(1) ^ b)
}

/// The ring, open.
pub struct History {
    file: OwnedFd,
    /// The sequence number of the newest record; 0 when there is none.
    newest: u32,
}

impl History {
    /// Opens the ring to append to it, and finds its newest record.
    pub fn open(sv: BorrowedFd<'_>) -> Result<Self, LiveError> {
        let flags = fs::OFlags::RDWR | fs::OFlags::CREATE | fs::OFlags::NONBLOCK;
        let file = fs::open(sv, c"history", flags, 0o644).during(Op::Open, What::History)?;
        let newest = newest(&file)?;
        Ok(Self { file, newest })
    }

    /// Appends a record.
    pub fn append(&mut self, record: &Record<'_>) -> Result<(), LiveError> {
        let sequence = self.newest.wrapping_add(1).max(1);
        let at = u64::from(sequence % RING) * RECORD as u64;
        fs::pwrite(&self.file, &record.bytes(sequence), at).during(Op::Write, What::History)?;
        self.newest = sequence;
        Ok(())
    }
}

/// The sequence number of the newest record. Until the ring is full that is the file's last one; then in place n stands what the
/// first one has and n more, until the newest.
///
/// A record that a kill cut short ends the search early: then the next one is written over it, or before it.
fn newest(file: &OwnedFd) -> Result<u32, LiveError> {
    let at = |place: u32| {
        let mut bytes = [0; RECORD];
        fs::pread(file, &mut bytes, u64::from(place) * RECORD as u64)
            .during(Op::Read, What::History)
            .map(|_| Record::parse(&bytes).map_or(0, |(sequence, _)| sequence))
    };
    let places = (fs::fstat(file).during(Op::Read, What::History)?.st_size as usize / RECORD) as u32;
    let last = places.saturating_sub(1);
    if places < RING && at(last)? == last {
        return Ok(last);
    }
    let first = at(0)?;
    let (mut low, mut high) = (0, RING);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if at(middle)? == first.wrapping_add(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(first.wrapping_add(low))
}

/// Gives every record of this `LIVE:sv` directory with its sequence number, in no order. No ring, no record.
pub fn read(sv: BorrowedFd<'_>, each: &mut dyn FnMut(u32, &Record<'_>)) -> Result<(), LiveError> {
    match fs::open_read(sv, c"history") {
        Ok(file) => walk(&file, each),
        Err(sys::Errno::NOENT) => Ok(()),
        Err(e) => Err(LiveError::sys(Op::Open, What::History, e)),
    }
}

#[inline(never)]
fn walk(file: &OwnedFd, each: &mut dyn FnMut(u32, &Record<'_>)) -> Result<(), LiveError> {
    let mut buf = [0; RECORD * 64];
    let mut at = 0u64;
    while at < u64::from(RING) * RECORD as u64 {
        let have = fs::pread(file, &mut buf, at).during(Op::Read, What::History)?;
        for record in buf.get(..have).unwrap_or_default().as_chunks::<RECORD>().0 {
            if let Some((sequence, record)) = Record::parse(record) {
                each(sequence, &record);
            }
        }
        if have < buf.len() {
            break;
        }
        at += have as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_torn_one_does_not() {
        let record = Record {
            seconds: 1_700_000_000,
            took: 12,
            up: true,
            outcome: Outcome::Failed(3),
            name: b"httpd",
        };
        let ends =
            [Outcome::Done, Outcome::TimedOut, Outcome::Cut, Outcome::Killed(9), Outcome::NotStarted(2)];
        for outcome in ends {
            let record = Record { outcome, ..record };
            assert_eq!(Record::parse(&record.bytes(1)), Some((1, record)));
        }
        let mut bytes = record.bytes(77);
        assert_eq!(Record::parse(&bytes), Some((77, record)));
        bytes[9] ^= 4;
        assert_eq!(Record::parse(&bytes), None);
        assert_eq!(Record::parse(&[0; RECORD]), None);
    }
}
