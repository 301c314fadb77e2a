// SPDX-License-Identifier: ISC
//! The supervision tree: a scanner fit to be process 1, and one supervisor for all services.
//!
//! [`scanner::run`] is the scanner: it forks the supervisor ([`supervisor`]), keeps it alive, and keeps what must outlive it:
//! descriptors and the [`table`]. What happens to a service is decided in [`machine`], purely; STATE.md explains it.
//! Nothing here allocates or panics; troubles are told through a [`Say`], since the words are the binary's.
#![cfg_attr(not(test), no_std)]
// Not `forbid`: `sys::shared_struct!` expands to an `unsafe impl` that it has checked itself; nothing else is unsafe.
#![deny(unsafe_code)]

pub mod again;
mod files;
mod keep;
pub mod machine;
mod scan;
pub mod scanner;
mod spawn;
pub mod supervisor;
pub mod table;
mod whole;

use sys::Errno;

/// Something that a resident process has to say.
#[derive(Clone, Copy)]
pub struct Note<'a> {
    /// What it is about.
    pub what: What,
    /// The service or file concerned; may be empty.
    pub name: &'a [u8],
    /// The kernel's reason, if it was the kernel.
    pub errno: Option<Errno>,
}

/// How notes reach the world: the binary's words on standard error.
pub type Say = fn(&Note<'_>);

/// What a [`Note`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The supervisor died by this wait status and is started again.
    SupervisorDied(u16),
    /// The supervisor can't be started; it is tried again in a second.
    ForkSupervisor,
    /// A program of `.s6-svscan` can't be started.
    SignalProgram,
    /// The scanner can't become the program that is in its place now; it goes on as it is.
    Again,
    /// The program that is in the scanner's place now can't take this table over; the scanner goes on as it is.
    AgainRefused,
    /// An unknown command byte came.
    UnknownCommand(u8),
    /// A descriptor could not be handed to the scanner: a service would not survive the supervisor's death whole.
    Keep,
    /// The scan directory can't be read; tried again in 5 s.
    ReadScanDirectory,
    /// An entry can't be looked at.
    Stat,
    /// A name is too long: at most 250 bytes.
    NameTooLong,
    /// There are more services than the table has room for.
    TooManyServices,
    /// A service directory can't be opened; tried again in a second.
    OpenService,
    /// `event` can't be made.
    MakeEvent,
    /// `supervise` can't be made.
    MakeSupervise,
    /// `supervise/lock` can't be locked.
    Lock,
    /// Another supervisor runs on it; tried again in a second.
    AlreadySupervised,
    /// `supervise/control` can't be made or opened.
    MakeControl,
    /// The pipe to a logger can't be made.
    LogPipe,
    /// The status file can't be written.
    WriteStatus,
    /// The death tally can't be written.
    WriteTally,
    /// Listeners can't be told.
    Notify,
    /// `down` can't be made or removed.
    DownFile,
    /// A small file has no meaning; it is ignored.
    InvalidFile(&'static str),
    /// `run` can't be started; tried again in 10 s.
    SpawnRun,
    /// `finish` can't be started.
    SpawnFinish,
    /// The service's lock is held by another process; tried again in a second.
    ServiceLocked,
    /// `next` can't become `current`.
    SwitchVersion,
    /// `finish` has run for longer than it may, and is killed.
    FinishTimeout,
    /// The supervisor can't wait for this service's descriptors.
    Watch,
}
