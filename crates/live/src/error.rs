// SPDX-License-Identifier: ISC
//! What can go wrong with a live directory: what was done, to what, and why. The words are in the binary.

use core::num::NonZeroU32;
use sys::Errno;

/// What was attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Opening a file or directory.
    Open,
    /// Reading it.
    Read,
    /// Writing it.
    Write,
    /// Making it.
    Create,
    /// Removing it.
    Remove,
    /// Renaming, or replacing by a rename.
    Rename,
    /// Mapping it into memory.
    Map,
    /// Locking it.
    Lock,
}

/// On what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The directory that holds the live directory.
    Parent,
    /// The link `LIVE`.
    Link,
    /// The directory `LIVE:sv`.
    Supervised,
    /// `LIVE:sv/lock`
    Lock,
    /// `LIVE:sv/journal`
    Journal,
    /// `LIVE:sv/history`
    History,
    /// A generation, `LIVE:N`.
    Generation,
    /// `LIVE:N/state`
    State,
    /// `LIVE:N/image`
    Image,
    /// `LIVE:N/compiled`, `scandir`, `prefix`, `skeg`: the generation's notes.
    Note,
    /// `LIVE:sv/names`
    Names,
    /// A service directory, `LIVE:sv/ID`.
    ServiceDir,
    /// The scan directory.
    ScanDir,
    /// An entry of the scan directory.
    ScanEntry,
    /// The scanner's control FIFO.
    Scanner,
    /// A directory whose entries are being listed.
    Listing,
    /// The directory of installed images.
    Store,
    /// The mark of a trial in it.
    Trial,
}

/// Every [`What`], at the place of its number.
const ALL_WHAT: [What; 18] = {
    use What::*;
    [
        Parent, Link, Supervised, Lock, Journal, History, Generation, State, Image, Note, Names, ServiceDir,
        ScanDir, ScanEntry, Scanner, Listing, Store, Trial,
    ]
};

/// Every [`Op`], at the place of its number.
const ALL_OP: [Op; 8] =
    [Op::Open, Op::Read, Op::Write, Op::Create, Op::Remove, Op::Rename, Op::Map, Op::Lock];

/// What a [`LiveError`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A system call: what, on what, and the kernel's answer.
    Sys(Op, What, Errno),
    /// Nothing is at `LIVE`: there was no init, or it was cut short.
    Absent,
    /// Something is at `LIVE`, but no link to a generation of it.
    NotLive,
    /// `LIVE` exists already.
    Exists,
    /// Another process holds the lock: its id, where it is known.
    Busy(Option<NonZeroU32>),
    /// The lock did not become free in time; who holds it.
    TimedOut(Option<NonZeroU32>),
    /// The state file is not one, or is cut short.
    BadState,
    /// The image is corrupt.
    BadImage,
    /// The image is not the one that the state file belongs to.
    OtherImage,
    /// The journal can't be understood: another version of skeg wrote it.
    BadJournal,
    /// A path or name would be too long: the limits are in the crate's documentation.
    TooLong(What),
    /// The scan directory has an entry of this service's name that is not ours: the service's index.
    Taken(u16),
    /// A service directory's generated script would name a program whose path is too long for a `#!` line.
    LongShebang,
}

/// Why an operation on a live directory failed: a [`Fault`] in one word, so that a result fits a register.
///
/// The uppermost eight bits are the kind, from 1 on; below it a number of 24 bits, for a system call what it was (bits
/// 20 to 23), on what (12 to 19) and the kernel's error number (0 to 11). Kinds from 128 on are those of the crate `run`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LiveError(NonZeroU32);

impl LiveError {
    /// [`Fault::Absent`]
    pub const ABSENT: Self = Self::new(2, 0);
    /// [`Fault::NotLive`]
    pub const NOT_LIVE: Self = Self::new(3, 0);
    /// [`Fault::Exists`]
    pub const EXISTS: Self = Self::new(4, 0);
    /// [`Fault::BadState`]
    pub const BAD_STATE: Self = Self::new(7, 0);
    /// [`Fault::BadImage`]
    pub const BAD_IMAGE: Self = Self::new(8, 0);
    /// [`Fault::OtherImage`]
    pub const OTHER_IMAGE: Self = Self::new(9, 0);
    /// [`Fault::BadJournal`]
    pub const BAD_JOURNAL: Self = Self::new(10, 0);
    /// [`Fault::LongShebang`]
    pub const LONG_SHEBANG: Self = Self::new(13, 0);

    /// A word of this kind (not 0) with a number below 2^24.
    pub const fn new(kind: u8, number: u32) -> Self {
        match NonZeroU32::new((kind as u32) << 24 | number & 0xff_ffff) {
            Some(word) => Self(word),
            None => Self(NonZeroU32::MIN),
        }
    }

    /// [`Fault::Sys`]
    pub const fn sys(op: Op, what: What, errno: Errno) -> Self {
        Self::new(1, (op as u32) << 20 | (what as u32) << 12 | errno.raw_os_error() as u32 & 0xfff)
    }

    /// [`Fault::Busy`]; process ids have at most 22 bits. Source: proc(5), `pid_max`.
    pub(crate) fn busy(holder: Option<u32>) -> Self {
        Self::new(5, holder.unwrap_or(0))
    }

    /// [`Fault::TimedOut`]
    pub(crate) fn timed_out(holder: Option<u32>) -> Self {
        Self::new(6, holder.unwrap_or(0))
    }

    /// [`Fault::TooLong`]
    pub const fn too_long(what: What) -> Self {
        Self::new(11, what as u32)
    }

    /// [`Fault::Taken`]
    pub const fn taken(service: u16) -> Self {
        Self::new(12, service as u32)
    }

    /// The word: its kind and its number.
    pub const fn parts(self) -> (u8, u32) {
        ((self.0.get() >> 24) as u8, self.0.get() & 0xff_ffff)
    }

    /// What the kernel answered, where it was a system call on this.
    pub fn errno_of(self, what: What) -> Option<Errno> {
        match self.fault() {
            Fault::Sys(_, on, errno) if on == what => Some(errno),
            _ => None,
        }
    }

    /// What it says.
    pub fn fault(self) -> Fault {
        let (kind, number) = self.parts();
        let what = |at: u32| ALL_WHAT.get(at as usize).copied().unwrap_or(What::Listing);
        match kind {
            2 => Fault::Absent,
            3 => Fault::NotLive,
            4 => Fault::Exists,
            5 => Fault::Busy(NonZeroU32::new(number)),
            6 => Fault::TimedOut(NonZeroU32::new(number)),
            7 => Fault::BadState,
            8 => Fault::BadImage,
            9 => Fault::OtherImage,
            10 => Fault::BadJournal,
            11 => Fault::TooLong(what(number)),
            12 => Fault::Taken(number as u16),
            13 => Fault::LongShebang,
            _ => {
                let op = ALL_OP.get((number >> 20) as usize).copied().unwrap_or(Op::Read);
                Fault::Sys(op, what(number >> 12 & 0xff), errno(number))
            }
        }
    }
}

impl core::fmt::Debug for LiveError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.fault().fmt(f)
    }
}

/// The error number in the lowest twelve bits; a word that was made by hand without one says `EPERM`.
pub const fn errno(number: u32) -> Errno {
    let raw = number & 0xfff;
    Errno::from_raw_os_error(if raw == 0 { 1 } else { raw as i32 })
}

impl From<Errno> for LiveError {
    /// What walking a directory fails with.
    fn from(errno: Errno) -> Self {
        Self::sys(Op::Read, What::Listing, errno)
    }
}

/// Adds what was attempted to the kernel's answer.
pub(crate) trait During<T> {
    fn during(self, op: Op, what: What) -> Result<T, LiveError>;
}

impl<T> During<T> for sys::Result<T> {
    #[inline(always)]
    fn during(self, op: Op, what: What) -> Result<T, LiveError> {
        match self {
            Ok(value) => Ok(value),
            Err(errno) => Err(LiveError::sys(op, what, errno)),
        }
    }
}

impl<T> During<T> for Result<T, sys::TooLong> {
    #[inline(always)]
    fn during(self, _: Op, what: What) -> Result<T, LiveError> {
        match self {
            Ok(value) => Ok(value),
            Err(sys::TooLong) => Err(LiveError::too_long(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_was_put_into_it() {
        for op in ALL_OP {
            for what in ALL_WHAT {
                for errno in [Errno::PERM, Errno::NOSPC, Errno::from_raw_os_error(4095)] {
                    assert_eq!(LiveError::sys(op, what, errno).fault(), Fault::Sys(op, what, errno));
                }
                assert_eq!(LiveError::too_long(what).fault(), Fault::TooLong(what));
            }
        }
        for (at, what) in ALL_WHAT.into_iter().enumerate() {
            assert_eq!(what as usize, at);
        }
        assert_eq!(LiveError::busy(None).fault(), Fault::Busy(None));
        assert_eq!(LiveError::busy(Some(1 << 22)).fault(), Fault::Busy(NonZeroU32::new(1 << 22)));
        assert_eq!(LiveError::taken(u16::MAX).fault(), Fault::Taken(u16::MAX));
        assert_eq!(LiveError::ABSENT.fault(), Fault::Absent);
        assert_eq!(size_of::<Result<(), LiveError>>(), 4);
    }
}
