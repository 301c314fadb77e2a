// SPDX-License-Identifier: ISC
//! The scanner: process 1, or the root of a tree of an ordinary process.
//!
//! It reaps, keeps one supervisor alive, keeps the descriptors and the table that must outlive it, and ends the tree.
//! What it must never do: allocate, panic, block on anything but its poll, look into a service directory, decide anything
//! about a service. Limits: those of the table.

use crate::files;
use crate::keep::{self, KINDS};
use crate::supervisor::{CATCH_ALL, Parts, Supervisor, let_go_of_output};
use crate::table::{Ending, Header, Phase, Table, Wish};
use crate::{Note, Say, What};
use core::ffi::CStr;
use core::sync::atomic::Ordering::SeqCst;
use sys::event::{PollFd, PollFlags, poll};
use sys::fs::{self, Lock, OFlags};
use sys::mm::FdTable;
use sys::net::SocketType;
use sys::process::{Resource, Rlimit, Who};
use sys::signal::{Disposition, Set, number};
use sys::spawn::{Spawn, Word, Words};
use sys::time::{Millis, monotonic};
use sys::{AsFd, CBuf, CWD, Errno, OwnedFd};

/// Where the scanner's own files are in a scan directory.
const CONTROL_DIR: &CStr = c".s6-svscan";
/// Starts of the supervisor that may follow each other at once; then one a second.
const QUICK_STARTS: u32 = 20;
/// A supervisor that lived as long was no part of a crash loop; and the pause in one.
const PAUSE: Millis = Millis(1_000);
/// Descriptors of the scanner besides those it keeps.
const OWN_FDS: u64 = 64;

/// Signals that are read, never handled.
pub(crate) const SIGNALS: Set = Set::of(&[
    number::CHLD,
    number::ALRM,
    number::ABRT,
    number::HUP,
    number::INT,
    number::TERM,
    number::QUIT,
    number::USR1,
    number::USR2,
    number::PWR,
    number::WINCH,
]);

/// What a scanner is told.
pub struct Config<'a> {
    /// The scan directory.
    pub directory: &'a CStr,
    /// Services there may be.
    pub capacity: u16,
    /// Scan by itself every so many ms; 0 = never.
    pub rescan: u32,
    /// Where to write a newline when commands are accepted.
    pub ready: Option<OwnedFd>,
    /// What the catch-all logger gets as its standard error.
    pub console: Option<OwnedFd>,
    /// Where notes go.
    pub say: Say,
}

/// Why a scanner could not begin, or had to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScannerError {
    /// The scan directory can't be entered.
    Directory(Errno),
    /// `.s6-svscan` can't be made, or something in it.
    ControlDirectory(Errno),
    /// Another scanner runs on this directory.
    AlreadyRunning,
    /// The kernel refuses what a scanner can't do without.
    Kernel(Errno),
}

/// Scans a directory, and supervises what is there until the tree is told to end: then it returns, with the working
/// directory still there, signals unblocked and the supervisor gone (unless it was told to abort).
///
/// In a process that this function forks it does not return at all.
pub fn run(config: Config<'_>) -> Result<(), ScannerError> {
    fs::chdir(config.directory).map_err(ScannerError::Directory)?;
    let (control, lock) = open_control()?;
    let mask = sys::signal::set_mask(SIGNALS).map_err(ScannerError::Kernel)?;
    let scanner = Scanner::new(config, control, lock, mask).map_err(ScannerError::Kernel)?;
    scanner.live()
}

/// Goes on where a scanner has become this program: see [`crate::again`].
pub fn resume(handover: OwnedFd, say: Say) -> Result<(), ScannerError> {
    crate::again::take_over(&handover, say).map_err(ScannerError::Kernel)?.live()
}

/// The control FIFO and the lock, both made where they are missing.
fn open_control() -> Result<(OwnedFd, OwnedFd), ScannerError> {
    let old = sys::process::umask(0);
    let opened = try_open_control();
    sys::process::umask(old);
    opened
}

fn try_open_control() -> Result<(OwnedFd, OwnedFd), ScannerError> {
    let fault = ScannerError::ControlDirectory;
    match fs::mkdir(CWD, CONTROL_DIR, 0o700) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(fault(e)),
    }
    let dir = fs::open_dir(CWD, CONTROL_DIR).map_err(fault)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK;
    let lock = fs::open(&dir, c"lock", flags, 0o600).map_err(fault)?;
    match fs::ofd_lock(&lock, Lock::Exclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN | Errno::ACCESS) => return Err(ScannerError::AlreadyRunning),
        Err(e) => return Err(fault(e)),
    }
    Ok((files::open_fifo(sys::AsFd::as_fd(&dir), c"control").map_err(fault)?, lock))
}

/// What belongs to the scanner alone, and is closed in the process that it forks.
pub(crate) struct Own {
    pub(crate) control: OwnedFd,
    pub(crate) lock: OwnedFd,
    /// The memory file of the table.
    pub(crate) file: OwnedFd,
    signals: OwnedFd,
}

/// A scanner at work.
pub(crate) struct Scanner {
    pub(crate) own: Option<Own>,
    pub(crate) table: Option<Table>,
    header: &'static Header,
    pub(crate) kept: Option<FdTable>,
    socket: Option<OwnedFd>,
    supervisor: Option<u32>,
    pub(crate) console: Option<OwnedFd>,
    say: Say,
    pub(crate) rescan: u32,
    pub(crate) mask: Set,
    pub(crate) open_files: Option<Rlimit>,
    born: Millis,
    quick_starts: u32,
    incarnation: u32,
    /// Ends at once, whatever still runs.
    abort: bool,
}

/// What one scanner has from another, or has made.
pub(crate) struct Inherited {
    pub(crate) control: OwnedFd,
    pub(crate) lock: OwnedFd,
    pub(crate) file: OwnedFd,
    pub(crate) table: Table,
    pub(crate) kept: FdTable,
    pub(crate) console: Option<OwnedFd>,
}

impl Scanner {
    fn new(config: Config<'_>, control: OwnedFd, lock: OwnedFd, mask: Set) -> Result<Self, Errno> {
        let (table, file) = Table::create(config.capacity)?;
        let kept = FdTable::new(usize::from(config.capacity) * KINDS)?;
        clean_up();
        if let Some(ready) = config.ready {
            let _ = fs::write_all(&ready, b"\n");
        }
        table.header()?.ask(Wish::Scan);
        let open_files = raise_limit(config.capacity);
        let own = Inherited { control, lock, file, table, kept, console: config.console };
        Self::with(own, config.say, config.rescan, mask, open_files)
    }

    /// A scanner of these parts, without a supervisor yet. Its signals must be blocked already.
    pub(crate) fn with(
        parts: Inherited,
        say: Say,
        rescan: u32,
        mask: Set,
        open_files: Option<Rlimit>,
    ) -> Result<Self, Errno> {
        // Looked for here, and not by each supervisor anew.
        sys::spawn::inherited_end();
        let signals = sys::signal::signalfd(SIGNALS)?;
        sys::signal::set_disposition(number::PIPE, Disposition::Ignore)?;
        if sys::process::pid() != 1 {
            sys::process::set_child_subreaper()?;
        }
        Ok(Self {
            own: Some(Own { control: parts.control, lock: parts.lock, file: parts.file, signals }),
            header: parts.table.header()?,
            open_files,
            table: Some(parts.table),
            kept: Some(parts.kept),
            socket: None,
            supervisor: None,
            console: parts.console,
            say,
            rescan,
            mask,
            born: Millis(0),
            quick_starts: 0,
            incarnation: 0,
            abort: false,
        })
    }

    /// From the first supervisor to the end of the tree.
    fn live(mut self) -> Result<(), ScannerError> {
        let ended = self.run();
        self.let_go();
        let _ = sys::signal::set_disposition(number::PIPE, Disposition::Default);
        let _ = sys::signal::set_mask(self.mask);
        ended.map_err(ScannerError::Kernel)
    }

    /// Kills the supervisor, which another one will follow, and takes all that it has sent.
    pub(crate) fn drop_supervisor(&mut self) {
        let Some(pid) = self.supervisor.take() else { return };
        let _ = sys::signal::kill(pid as i32, number::KILL);
        let _ = sys::process::wait(Who::Pid(pid));
        self.take_messages();
        self.socket = None;
    }

    pub(crate) fn note(&self, what: What, name: &[u8], errno: Option<Errno>) {
        (self.say)(&Note { what, name, errno });
    }

    fn run(&mut self) -> Result<(), Errno> {
        loop {
            let pause = self.keep_supervisor_alive();
            self.wait(pause)?;
            self.take_commands()?;
            self.take_signals()?;
            self.take_messages();
            self.reap();
            if self.abort || (self.supervisor.is_none() && self.header.finished.load(SeqCst) != 0) {
                return Ok(());
            }
        }
    }

    /// Waits for something to do.
    fn wait(&self, pause: Option<Millis>) -> Result<(), Errno> {
        let Some(own) = &self.own else { return Ok(()) };
        let mut fds = heapless::Vec::<PollFd<'_>, 3>::new();
        for fd in [Some(&own.control), Some(&own.signals), self.socket.as_ref()].into_iter().flatten() {
            let _ = fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, pause) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Starts the supervisor if there is none; how long to wait if it can't be started now.
    fn keep_supervisor_alive(&mut self) -> Option<Millis> {
        if self.supervisor.is_some() {
            return None;
        }
        let age = Millis(monotonic().0.saturating_sub(self.born.0));
        if self.quick_starts >= QUICK_STARTS && age < PAUSE {
            return Some(Millis(PAUSE.0 - age.0 + 1));
        }
        self.quick_starts = if age < PAUSE { self.quick_starts + 1 } else { 0 };
        self.born = monotonic();
        match self.fork() {
            Ok(pid) => {
                self.supervisor = Some(pid);
                None
            }
            Err(e) => {
                self.note(What::ForkSupervisor, b"", Some(e));
                self.quick_starts = QUICK_STARTS;
                Some(PAUSE)
            }
        }
    }

    fn fork(&mut self) -> Result<u32, Errno> {
        let (mine, its) = sys::net::socketpair(SocketType::SEQPACKET)?;
        fs::set_nonblocking(&mine, true)?;
        match sys::spawn::fork()? {
            Some(pid) => {
                self.socket = Some(mine);
                self.incarnation = self.incarnation.saturating_add(1);
                Ok(pid)
            }
            None => {
                drop(mine);
                self.be_supervisor(its)
            }
        }
    }

    /// In the forked process: never returns.
    fn be_supervisor(&mut self, keeper: OwnedFd) -> ! {
        sys::fault::arm(if self.incarnation == 0 { b"supervise" } else { b"supervise-again" });
        self.socket = None;
        self.own = None;
        let _ = sys::process::set_name(c"supervise");
        let (Some(table), Some(fds)) = (self.table.take(), self.kept.take()) else { sys::process::exit(111) };
        let parts = Parts {
            table,
            fds,
            keeper: Some(keeper),
            say: self.say,
            open_files: self.open_files,
            mask: self.mask,
            rescan: self.rescan,
            console: self.console.take(),
        };
        let ended = Supervisor::new(parts, Set::of(&[number::CHLD])).and_then(Supervisor::run_tree);
        sys::process::exit(if ended.is_ok() { 0 } else { 111 })
    }

    /// Takes what the supervisor hands over.
    fn take_messages(&mut self) {
        if let (Some(socket), Some(kept)) = (&self.socket, &mut self.kept) {
            match keep::receive(socket, kept) {
                Ok(true) => {}
                // The supervisor is gone, and there is nothing left in the socket.
                Ok(false) => self.socket = None,
                Err(e) => self.note(What::Keep, b"", Some(e)),
            }
        }
    }

    /// Wakes the supervisor; if the socket is full it is awake.
    fn poke(&self) {
        if let Some(socket) = &self.socket {
            let _ = sys::net::send(socket, b"p", &[]);
        }
    }

    /// Takes the children that have died. One that the table knows has its death recorded there first.
    fn reap(&mut self) {
        let mut recorded = false;
        while let Ok(Some(death)) = sys::process::peek_death(Who::Any) {
            if Some(death.pid) == self.supervisor {
                self.supervisor = None;
                let _ = sys::process::reap(Who::Pid(death.pid));
                // All that it has sent is in the socket now.
                self.take_messages();
                self.socket = None;
                if self.header.finished.load(SeqCst) == 0 {
                    self.note(What::SupervisorDied(death.status), b"", None);
                }
                continue;
            }
            if let Some(table) = &self.table
                && let Some(slot) = table.find_pid(death.pid).and_then(|index| table.slot(index))
            {
                slot.record_death(death.pid, death.status);
                recorded = true;
            }
            let _ = sys::process::reap(Who::Pid(death.pid));
        }
        if recorded {
            self.poke();
        }
    }

    fn take_commands(&mut self) -> Result<(), Errno> {
        loop {
            let Some(own) = &self.own else { return Ok(()) };
            let mut bytes = [0; 64];
            let n = match fs::read(&own.control, &mut bytes) {
                Ok(0) | Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Ok(n) => n,
                Err(e) => return Err(e),
            };
            for byte in bytes.get(..n).unwrap_or_default() {
                self.obey(*byte);
            }
        }
    }

    fn obey(&mut self, byte: u8) {
        match byte {
            b'z' => {}
            b'a' => self.header.ask(Wish::Scan),
            // In this order: a supervisor that looks between the two must not nuke by an old scan.
            b'h' => {
                self.header.ask(Wish::Scan);
                self.header.ask(Wish::Nuke);
            }
            b'n' => self.header.ask(Wish::Nuke),
            b'N' => self.header.ask(Wish::NukeAll),
            b't' | b'i' => self.end(Ending::Term),
            b'q' => self.end(Ending::Quit),
            b'b' => self.abort = true,
            b'R' => self.again(),
            other => self.note(What::UnknownCommand(other), b"", None),
        }
        self.poke();
    }

    fn end(&mut self, how: Ending) {
        let header = self.header;
        if header.ending.load(SeqCst) < how as u32 {
            header.ending.store(how as u32, SeqCst);
        }
        let is_catch_all = |table: &Table, i| {
            table.slot(i).is_some_and(|s| s.phase() != Phase::Free && s.is_named(CATCH_ALL))
        };
        if let Some(table) = &self.table
            && table.indices().any(|i| is_catch_all(table, i))
        {
            let_go_of_output(self.console.as_ref());
        }
    }

    fn take_signals(&mut self) -> Result<(), Errno> {
        loop {
            let Some(own) = &self.own else { return Ok(()) };
            let Some(info) = sys::signal::next_signal(own.signals.as_fd())? else { return Ok(()) };
            match info.signal {
                number::CHLD => {}
                number::ALRM => self.obey(b'a'),
                number::ABRT => self.obey(b'b'),
                signal if self.run_program(signal) => {}
                number::HUP => self.obey(b'h'),
                number::INT | number::TERM => self.obey(b't'),
                number::QUIT => self.obey(b'q'),
                _ => {}
            }
        }
    }

    /// Starts the program of `.s6-svscan` that is named for this signal; whether there is one.
    fn run_program(&self, signal: u8) -> bool {
        let name = sys::signal::name(signal);
        let Ok(path) = CBuf::<32>::from_pieces(&[CONTROL_DIR.to_bytes(), b"/SIG", name]) else {
            return false;
        };
        if fs::access(CWD, &path, 1).is_err() {
            return false;
        }
        let words = [Word::new(&path), Word::END];
        let Ok(arguments) = Words::new(&words) else { return false };
        let started = sys::spawn::spawn(&Spawn {
            path: &path,
            arguments,
            environment: Words::environment(),
            directory: None,
            fds: &[],
            session: false,
            mask: self.mask,
            open_files: self.open_files,
            new_pids: false,
            record_pid: None,
        });
        if let Err(e) = started {
            self.note(What::SignalProgram, path.as_bytes(), Some(e));
        }
        started.is_ok()
    }

    /// Gives up all that is kept, and the limits that were raised.
    fn let_go(&mut self) {
        self.own = None;
        self.socket = None;
        if let Some(limit) = self.open_files {
            let _ = sys::process::set_limit(Resource::Nofile, limit);
        }
    }
}

/// Raises the limit of open descriptors to what a full table needs, as far as it goes; the old one.
fn raise_limit(capacity: u16) -> Option<Rlimit> {
    let old = sys::process::limit(Resource::Nofile);
    // What the supervisor keeps stands above all that was inherited.
    let below = match sys::spawn::inherited_end() {
        i32::MAX => OWN_FDS,
        end => OWN_FDS.max(end as u64),
    };
    let wanted = u64::from(capacity) * (KINDS as u64 + 1) + below;
    let soft = old.current.unwrap_or(u64::MAX);
    let hard = old.maximum.unwrap_or(u64::MAX);
    if hard < wanted {
        // Only a privileged process can.
        let _ = sys::process::set_limit(
            Resource::Nofile,
            Rlimit { current: Some(wanted), maximum: Some(wanted) },
        );
    }
    if soft < hard.min(wanted) {
        let _ = sys::process::set_limit(Resource::Nofile, Rlimit { current: Some(hard.min(wanted)), ..old });
    }
    Some(old)
}

/// Removes links that lead nowhere, as s6-svscan does when it starts.
fn clean_up() {
    let Ok(dir) = fs::open_dir(CWD, c".") else { return };
    let _ = fs::for_each_entry(&dir, |name, _, _| -> Result<(), Errno> {
        if name.to_bytes().first() != Some(&b'.') && fs::stat(CWD, name).err() == Some(Errno::NOENT) {
            let _ = fs::unlink(CWD, name);
        }
        Ok(())
    });
}
