// SPDX-License-Identifier: ISC
//! The files of one service directory: made when supervision begins, written as things happen, read when needed.
//!
//! Everything is relative to the directory's descriptor. Readers: s6's own tools; see PROTOCOLS for who expects what.

use crate::What;
use crate::machine::Settings;
use core::ffi::CStr;
use sys::fs::{self, Lock, OFlags};
use sys::time::Tai64n;
use sys::{BorrowedFd, CBuf, Errno, OwnedFd, Result};

/// What went wrong, and why.
pub type Fault = (What, Errno);

/// What the supervisor holds of a service while it supervises it.
pub struct Opened {
    /// Both ends of the FIFO.
    pub control: OwnedFd,
    /// The locked file.
    pub lock: OwnedFd,
    /// The event directory was there before. Listeners that are gone are taken away when the first event is told.
    pub had_listeners: bool,
}

/// Makes `event`, `supervise`, its lock and its FIFO where they are missing, and takes the lock. Permissions are
/// as they have to be, whatever the umask. A fault of `AlreadySupervised` is that of another supervisor.
/// `narrow`: the umask is ([`is_narrow`]).
pub fn open(dir: BorrowedFd<'_>, narrow: bool) -> core::result::Result<Opened, Fault> {
    if !narrow {
        return open_all(dir);
    }
    let old = sys::process::umask(0);
    let opened = open_all(dir);
    sys::process::umask(old);
    opened
}

/// Whether this process's umask keeps anything out of the modes that supervision needs: 0700, 0600 and 0644.
pub fn is_narrow() -> bool {
    let umask = sys::process::umask(0);
    sys::process::umask(umask);
    umask & 0o744 != 0
}

fn open_all(dir: BorrowedFd<'_>) -> core::result::Result<Opened, Fault> {
    let is_new = sys::fifodir::make(dir, c"event").map_err(|e| (What::MakeEvent, e))?;
    make_supervise(dir).map_err(|e| (What::MakeSupervise, e))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK;
    let lock = fs::open(dir, c"supervise/lock", flags, 0o644).map_err(|e| (What::Lock, e))?;
    match fs::ofd_lock(&lock, Lock::Exclusive) {
        Ok(()) => {}
        Err(e @ (Errno::AGAIN | Errno::ACCESS)) => return Err((What::AlreadySupervised, e)),
        Err(e) => return Err((What::Lock, e)),
    }
    let control = open_fifo(dir, c"supervise/control").map_err(|e| (What::MakeControl, e))?;
    // One page takes 4096 commands; the kernel's own table of a pipe is made for sixteen.
    let _ = fs::set_pipe_size(&control, 4096);
    Ok(Opened { control, lock, had_listeners: !is_new })
}

fn make_supervise(dir: BorrowedFd<'_>) -> Result<()> {
    match fs::mkdir(dir, c"supervise", 0o700) {
        Err(Errno::EXIST) => {}
        other => return other,
    }
    match fs::stat(dir, c"supervise") {
        Err(Errno::NOENT) => {}
        other => return other.map(|_| ()),
    }
    // A link to a place that is not there yet.
    let mut buf = [0; 1024];
    let mut target = CBuf::<1025>::new();
    target.push(fs::readlink(dir, c"supervise", &mut buf)?).map_err(|_| Errno::NAMETOOLONG)?;
    fs::mkdir(dir, &target, 0o700)
}

/// Both ends of this FIFO, which is made where it is missing; non-blocking.
pub fn open_fifo(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let is_new = match fs::mkfifo(dir, name, 0o600) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(e) => return Err(e),
    };
    let fifo = fs::open(dir, name, OFlags::RDWR | OFlags::NONBLOCK, 0)?;
    if is_new || fs::FileType::from_raw_mode(fs::fstat(&fifo)?.st_mode) == fs::FileType::Fifo {
        Ok(fifo)
    } else {
        Err(Errno::EXIST)
    }
}

const TALLY: &CStr = c"supervise/death_tally";
const TALLY_NEW: &CStr = c"supervise/death_tally.new";
/// Bytes of a record of the tally.
const TALLY_RECORD: u64 = 14;
/// Records of the tally, by default and at most; the file `max-death-tally` says otherwise.
const TALLY_DEFAULT: u32 = 100;
const TALLY_MOST: u32 = 4096;

/// The tally begins anew with the supervision.
pub fn truncate_tally(dir: BorrowedFd<'_>) -> Result<()> {
    match fs::mknod(dir, TALLY, fs::FileType::RegularFile, 0o666, 0) {
        Err(Errno::EXIST) => {}
        other => return other,
    }
    fs::open(dir, TALLY, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK, 0o666)
        .map(|_| ())
}

/// Replaces the status file.
pub fn write_status(dir: BorrowedFd<'_>, bytes: &[u8]) -> Result<()> {
    // Non-blocking, here as everywhere: a FIFO that somebody put there must not hold up all services.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    let aside = || {
        let file = fs::open(dir, c"supervise/status.new", flags | OFlags::CREATE | OFlags::TRUNC, 0o666)?;
        fs::write_all(&file, bytes)?;
        drop(file);
        fs::rename(dir, c"supervise/status.new", dir, c"supervise/status")
    };
    match aside() {
        Err(Errno::NOSPC | Errno::DQUOT) => {
            // There is no room for another file, but for these bytes where the old ones are: a status that lies would have commands wait
            // for what has long happened. They are as many; only who reads in the very moment of that copy could see a part of each.
            let _ = fs::unlink(dir, c"supervise/status.new");
            let file = fs::open(dir, c"supervise/status", flags, 0)?;
            fs::pwrite(&file, bytes, 0).map(|_| ())
        }
        other => other,
    }
}

/// Adds a death to the tally, once: a record with this stamp at its end is the one that a killed supervisor wrote.
pub fn add_death(dir: BorrowedFd<'_>, stamp: Tai64n, wait: u16, most: u32) -> Result<()> {
    let most = u64::from(most.min(TALLY_MOST));
    if most == 0 {
        return Ok(());
    }
    let signal = (wait & 0x7f) as u8;
    let mut record = [0; TALLY_RECORD as usize];
    record[..12].copy_from_slice(&stamp.0);
    record[12] = if signal == 0 { (wait >> 8) as u8 } else { 128 + signal };
    record[13] = signal;
    let file =
        fs::open(dir, TALLY, OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK, 0o666)?;
    let size = fs::fstat(&file)?.st_size as u64;
    let mut last = [0; TALLY_RECORD as usize];
    if !size.is_multiple_of(TALLY_RECORD) {
        fs::ftruncate(&file, 0)?;
    } else if size > 0 {
        fs::pread(&file, &mut last, size - TALLY_RECORD)?;
        if last == record {
            return Ok(());
        }
        if size / TALLY_RECORD >= most {
            return shift_tally(dir, &file, size - (most - 1) * TALLY_RECORD, &record);
        }
    }
    fs::write_all(&file, &record)
}

/// A full tally loses its oldest records: written aside and renamed.
fn shift_tally(dir: BorrowedFd<'_>, old: &OwnedFd, mut from: u64, record: &[u8]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK;
    let new = fs::open(dir, TALLY_NEW, flags, 0o666)?;
    let mut buf = [0; TALLY_RECORD as usize * 32];
    loop {
        let n = fs::pread(old, &mut buf, from)?;
        if n == 0 {
            break;
        }
        fs::write_all(&new, buf.get(..n).unwrap_or_default())?;
        from += n as u64;
    }
    fs::write_all(&new, record)?;
    drop(new);
    fs::rename(dir, TALLY_NEW, dir, TALLY)
}

/// Makes `down`.
pub fn add_down(dir: BorrowedFd<'_>) -> Result<()> {
    fs::open(dir, c"down", OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK, 0o666)
        .map(|_| ())
}

/// Removes `down`.
pub fn remove_down(dir: BorrowedFd<'_>) -> Result<()> {
    match fs::unlink(dir, c"down") {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Whether this file is there.
pub fn has(dir: BorrowedFd<'_>, name: &CStr) -> bool {
    fs::access(dir, name, 0).is_ok()
}

/// The first line of a small file, in `buf`; none if there is no such file, or it can't be read.
fn first_line<'b>(dir: BorrowedFd<'_>, name: &CStr, buf: &'b mut [u8]) -> Option<&'b [u8]> {
    let file = fs::open(dir, name, OFlags::RDONLY | OFlags::NONBLOCK, 0).ok()?;
    let n = fs::read_full(&file, buf).ok()?;
    buf.get(..n)?.split(|b| *b == b'\n').next()
}

/// The small files, for whoever needs one.
pub struct Small<'a> {
    /// The service's directory.
    pub dir: BorrowedFd<'a>,
    /// Told of a file that has no meaning.
    pub complain: &'a dyn Fn(What),
}

impl Small<'_> {
    /// A number in a file.
    pub fn number(&self, name: &CStr, known_as: &'static str) -> Option<u32> {
        let mut buf = [0; 24];
        let text = first_line(self.dir, name, &mut buf)?;
        let number = text::parse_u64(text.trim_ascii()).ok().and_then(|n| u32::try_from(n).ok());
        if number.is_none() {
            (self.complain)(What::InvalidFile(known_as));
        }
        number
    }

    /// A signal in a file.
    pub fn signal(&self, name: &CStr, known_as: &'static str, default: u8) -> u8 {
        let mut buf = [0; 24];
        let Some(text) = first_line(self.dir, name, &mut buf) else { return default };
        sys::signal::from_text(text.trim_ascii()).unwrap_or_else(|| {
            (self.complain)(What::InvalidFile(known_as));
            default
        })
    }

    /// Records that the tally may have.
    pub fn tally(&self) -> u32 {
        self.number(c"max-death-tally", "max-death-tally").unwrap_or(TALLY_DEFAULT)
    }
}

impl Settings for Small<'_> {
    fn timeout_kill(&self) -> u32 {
        self.number(c"timeout-kill", "timeout-kill").unwrap_or(0)
    }

    fn timeout_finish(&self) -> u32 {
        /// What `finish` may take where nothing is said, in ms; as in s6.
        const DEFAULT: u32 = 5_000;
        self.number(c"timeout-finish", "timeout-finish").unwrap_or(DEFAULT)
    }

    fn backoff(&self) -> (u32, u32) {
        let mut buf = [0; 24];
        let Some(text) = first_line(self.dir, c"restart-backoff", &mut buf) else { return (0, 0) };
        let mut words = text.trim_ascii().splitn(2, |b| *b == b' ');
        let mut number = || text::parse_u64(words.next()?).ok().and_then(|n| u32::try_from(n).ok());
        match (number(), number()) {
            (Some(first), Some(most)) if first <= most => (first, most),
            _ => {
                (self.complain)(What::InvalidFile("restart-backoff"));
                (0, 0)
            }
        }
    }
}
