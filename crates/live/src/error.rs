// SPDX-License-Identifier: ISC
//! What can go wrong with a live directory: what was done, to what, and why. The words are in the binary.

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
    /// `LIVE:N/servicedirs`
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
}

/// Why an operation on a live directory failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveError {
    /// A system call: what, on what, and the kernel's answer.
    Sys(Op, What, Errno),
    /// Nothing is at `LIVE`: there was no init, or it was cut short.
    Absent,
    /// Something is at `LIVE`, but no link to a generation of it.
    NotLive,
    /// `LIVE` exists already.
    Exists,
    /// Another process holds the lock: its id, where it is known.
    Busy(Option<u32>),
    /// The lock did not become free in time; who holds it.
    TimedOut(Option<u32>),
    /// The state file is not one, or is cut short.
    BadState,
    /// The image is corrupt.
    BadImage(db::Corrupt),
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

impl From<Errno> for LiveError {
    /// What walking a directory fails with.
    fn from(errno: Errno) -> Self {
        Self::Sys(Op::Read, What::Listing, errno)
    }
}

/// Adds what was attempted to the kernel's answer.
pub(crate) trait During<T> {
    fn during(self, op: Op, what: What) -> Result<T, LiveError>;
}

impl<T> During<T> for sys::Result<T> {
    fn during(self, op: Op, what: What) -> Result<T, LiveError> {
        self.map_err(|errno| LiveError::Sys(op, what, errno))
    }
}

impl<T> During<T> for Result<T, sys::TooLong> {
    fn during(self, _: Op, what: What) -> Result<T, LiveError> {
        self.map_err(|_| LiveError::TooLong(what))
    }
}
