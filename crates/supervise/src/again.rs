// SPDX-License-Identifier: ISC
//! The scanner becomes the program that is in its own place now, and goes on: the way to renew process 1 while it runs.
//!
//! On the control byte `R` it asks the new program whether it knows the table's layout (a child that says so by its exit code), kills
//! the supervisor (which may die at any time), and executes the new program with all that it keeps: the table, and
//! each descriptor, by its number, in a memory file. The services notice nothing. If anything fails, the scanner goes on as it is.
//! Limits: the answer must come within two seconds; meanwhile the scanner does nothing else.

use crate::keep::KINDS;
use crate::scanner::{Inherited, SIGNALS, Scanner};
use crate::table::{Slot, Table, VERSION};
use crate::{Say, What};
use core::ffi::CStr;
use sys::event::{PollFd, PollFlags, poll};
use sys::fs;
use sys::mm::FdTable;
use sys::process::{Rlimit, Who};
use sys::signal::{Set, number};
use sys::spawn::{Spawn, Word, Words};
use sys::time::Millis;
use sys::{AsFd, AsRawFd, BorrowedFd, CBuf, CWD, Errno, OwnedFd, PathBuffer, Result};

/// What must be the same in a program that takes over: the table's version and the size of a slot.
pub const LAYOUT: u32 = VERSION << 16 | size_of::<Slot>() as u32;
/// How long the new program may take to say that it knows the layout.
const PATIENCE: Millis = Millis(2_000);
/// Words of 4 bytes before the kept descriptors' numbers.
const HEAD: usize = 16;
/// The first word.
const MAGIC: u32 = u32::from_le_bytes(*b"skeg");

/// A number of a descriptor, plus 1; 0 for none.
fn number_of(fd: Option<BorrowedFd<'_>>) -> u32 {
    fd.map_or(0, |fd| fd.as_raw_fd() as u32 + 1)
}

fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

fn whole(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

impl Scanner {
    /// Becomes the new program; returns only if that can't be.
    pub(crate) fn again(&mut self) {
        let mut buf = [0; sys::PATH_ROOM];
        let program = fs::readlink(CWD, c"/proc/self/exe", &mut buf).and_then(|path| {
            // What the kernel adds when another file has taken the program's place.
            let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
            PathBuffer::from_pieces(&[path]).map_err(|_| Errno::NAMETOOLONG)
        });
        let program = match program {
            Ok(program) => program,
            Err(e) => return self.note(What::Again, b"", Some(e)),
        };
        match knows_layout(&program, self.mask) {
            Ok(true) => {}
            Ok(false) => return self.note(What::AgainRefused, program.as_bytes(), None),
            Err(e) => return self.note(What::Again, program.as_bytes(), Some(e)),
        }
        self.drop_supervisor();
        if let Err(e) = self.become_program(&program) {
            self.note(What::Again, program.as_bytes(), Some(e));
        }
    }

    fn become_program(&self, program: &CStr) -> Result<()> {
        let handover = self.hand_over()?;
        let mut fd = CBuf::<12>::new();
        fd.push_number(handover.as_raw_fd() as u64).map_err(|_| Errno::INVAL)?;
        let words =
            [Word::new(program), Word::new(c"s6-svscan"), Word::new(c"--resume"), Word::new(&fd), Word::END];
        let arguments = Words::new(&words)?;
        let error = match self.survive_exec(&handover, true) {
            Ok(()) => sys::spawn::exec(program, arguments, Words::environment()),
            Err(e) => e,
        };
        self.survive_exec(&handover, false)?;
        Err(error)
    }

    /// Lets all that is kept survive an exec, or not.
    fn survive_exec(&self, handover: &OwnedFd, on: bool) -> Result<()> {
        let (Some(own), Some(kept), Some(table)) = (&self.own, &self.kept, &self.table) else {
            return Err(Errno::BADF);
        };
        for fd in [handover, &own.control, &own.lock, &own.file].into_iter().chain(&self.console) {
            fs::set_cloexec(fd, !on)?;
        }
        for fd in (0..usize::from(table.capacity()) * KINDS).filter_map(|place| kept.get(place)) {
            fs::set_cloexec(fd, !on)?;
        }
        Ok(())
    }

    /// Everything that the successor must know, in a memory file.
    fn hand_over(&self) -> Result<OwnedFd> {
        let (Some(own), Some(kept), Some(table)) = (&self.own, &self.kept, &self.table) else {
            return Err(Errno::BADF);
        };
        let limit = |value: Option<u64>| halves(value.unwrap_or(u64::MAX));
        let [mask_low, mask_high] = halves(self.mask.0);
        let [soft_low, soft_high] = limit(self.open_files.and_then(|l| l.current));
        let [hard_low, hard_high] = limit(self.open_files.and_then(|l| l.maximum));
        let head: [u32; HEAD] = [
            MAGIC,
            LAYOUT,
            u32::from(table.capacity()),
            self.rescan,
            number_of(Some(own.control.as_fd())),
            number_of(Some(own.lock.as_fd())),
            number_of(Some(own.file.as_fd())),
            number_of(self.console.as_ref().map(AsFd::as_fd)),
            mask_low,
            mask_high,
            u32::from(self.open_files.is_some()),
            soft_low,
            soft_high,
            hard_low,
            hard_high,
            0,
        ];
        let places = usize::from(table.capacity()) * KINDS;
        let file = sys::mm::memory_file(c"skeg-handover", (HEAD + places) * 4)?;
        let mut block = heapless::Vec::<u8, 1024>::new();
        for word in head.into_iter().chain((0..places).map(|place| number_of(kept.get(place)))) {
            let _ = block.extend_from_slice(&word.to_le_bytes());
            if block.is_full() {
                fs::write_all(&file, &block)?;
                block.clear();
            }
        }
        fs::write_all(&file, &block)?;
        fs::rewind(&file)?;
        Ok(file)
    }
}

/// Whether the program says that it can take a table of this layout over.
fn knows_layout(program: &CStr, mask: Set) -> Result<bool> {
    let mut layout = CBuf::<12>::new();
    layout.push_number(u64::from(LAYOUT)).map_err(|_| Errno::INVAL)?;
    let words = [
        Word::new(program),
        Word::new(c"s6-svscan"),
        Word::new(c"--can-resume"),
        Word::new(&layout),
        Word::END,
    ];
    let pid = sys::spawn::spawn(&Spawn {
        path: program,
        arguments: Words::new(&words)?,
        environment: Words::environment(),
        directory: None,
        fds: &[],
        session: false,
        mask,
        open_files: None,
        new_pids: false,
        record_pid: None,
    })?;
    let process = sys::process::pidfd_open(pid)?;
    if poll(&mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)], Some(PATIENCE)) != Ok(1) {
        let _ = sys::signal::kill_pidfd(process.as_fd(), number::KILL);
    }
    Ok(sys::process::wait(Who::Pid(pid))?.is_some_and(|death| death.status == 0))
}

/// The next word of the handover.
fn word(file: &OwnedFd) -> Result<u32> {
    let mut bytes = [0; 4];
    if fs::read_full(file, &mut bytes)? < bytes.len() {
        return Err(Errno::INVAL);
    }
    Ok(u32::from_le_bytes(bytes))
}

fn descriptor(number: u32) -> Result<OwnedFd> {
    fs::take_inherited(number.checked_sub(1).ok_or(Errno::INVAL)?)
}

/// The scanner that the predecessor in this process was.
pub(crate) fn take_over(handover: &OwnedFd, say: Say) -> Result<Scanner> {
    let mut head = [0; HEAD];
    for place in &mut head {
        *place = word(handover)?;
    }
    let [magic, layout, capacity, rescan, control, lock, file, console, ..] = head;
    let capacity = u16::try_from(capacity).map_err(|_| Errno::INVAL)?;
    if magic != MAGIC || layout != LAYOUT {
        return Err(Errno::INVAL);
    }
    let (control, lock, file) = (descriptor(control)?, descriptor(lock)?, descriptor(file)?);
    let console = if console == 0 { None } else { Some(descriptor(console)?) };
    let table = Table::open(&file, capacity)?;
    let places = usize::from(capacity) * KINDS;
    let mut kept = FdTable::new(places)?;
    for place in 0..places {
        match word(handover)? {
            0 => {}
            number => kept.put(place, descriptor(number)?)?,
        }
    }
    let limit = |low: u32, high: u32| Some(whole(low, high)).filter(|value| *value != u64::MAX);
    let open_files = (head[10] != 0)
        .then(|| Rlimit { current: limit(head[11], head[12]), maximum: limit(head[13], head[14]) });
    // The predecessor has blocked them; they were not lost on the way.
    sys::signal::set_mask(SIGNALS)?;
    let parts = Inherited { control, lock, file, table, kept, console };
    Scanner::with(parts, say, rescan, Set(whole(head[8], head[9])), open_files)
}
