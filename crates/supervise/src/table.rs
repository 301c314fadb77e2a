// SPDX-License-Identifier: ISC
//! The table: the whole state of each service, in memory that outlives the supervisor.
//!
//! It lies in a memory file that the scanner holds. Whoever writes is said at each field. What the supervisor decides is one
//! [`Core`], of which a slot holds two copies and the number of the valid one: a commit writes the other copy and
//! flips the number, so that a kill at any moment leaves the state before or after, and nothing between. What is read from
//! outside (control bytes, readiness) goes straight into the slot by the kernel; a new process's id gets there in
//! the fork; a death is recorded there before the process is reaped. Limits: [`MAX_SERVICES`] slots.

use crate::machine::{Core, WORDS};
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU16, AtomicU32, Ordering::SeqCst};
use sys::mm::SharedMemory;
use sys::{OwnedFd, Result};

/// Services (loggers included) that a scanner can be told to have room for.
pub const MAX_SERVICES: u16 = 8192;
/// Bytes of a service's name: 250 of an entry of the scan directory, `/log`.
pub const NAME_MAX: usize = 255;
/// Control bytes that are taken from the FIFO at once.
pub const CONTROL_BYTES: usize = 16;
/// Readiness bytes that are taken from the pipe at once.
pub const NOTIFY_BYTES: usize = 32;
/// Layout of the table: changes with each change of the structures below.
pub const VERSION: u32 = 1;
/// No slot: what a peer is when there is none.
pub const NONE: u16 = u16::MAX;

/// Set in a recorded death, so that exit code 0 is seen too.
const RECORDED: u32 = 1 << 16;

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing.
    Free,
    /// Its files are being made; nothing has been started.
    Setup,
    /// A supervised service.
    Live,
    /// Its supervision has ended though its entry is still there; it begins again when the deadline has come.
    Resting,
}

sys::shared_struct! {
    /// What concerns the whole tree.
    pub struct Header {
        /// [`VERSION`].
        pub version: AtomicU32,
        /// How often each [`Wish`] was asked for; the scanner writes.
        pub asked: [AtomicU32; 3],
        /// Up to which one of `asked` each was fulfilled; the supervisor writes.
        pub done: [AtomicU32; 3],
        /// How everything is to end: see [`Ending`]; the scanner writes.
        pub ending: AtomicU32,
        /// Every service has ended and the supervisor has left; the supervisor writes.
        pub finished: AtomicU32,
        /// Number of the last complete scan; the supervisor writes.
        pub scan: AtomicU32,
        /// Number of the last scan that was begun; the supervisor writes.
        pub attempt: AtomicU32,
        /// Slots that have been used so far: those from here on are untouched; the supervisor writes.
        pub used: AtomicU32,
    }
}

sys::shared_struct! {
    /// One service.
    pub struct Slot {
        /// A [`Phase`].
        pub phase: AtomicU8,
        /// Which of the two cores is valid.
        pub which: AtomicU8,
        /// Bytes of the name.
        pub name_len: AtomicU8,
        /// What it is to its peer: 0 nothing, 1 it feeds it, 2 it is fed (a logger).
        pub role: AtomicU8,
        /// The slot at the other end of the pipe, or [`NONE`].
        pub peer: AtomicU16,
        /// Keeps what follows aligned.
        pub pad: AtomicU16,
        /// The scan that saw its entry last.
        pub seen: AtomicU32,
        /// The device of its directory.
        pub device: AtomicU32,
        /// The upper half of its inode; the lower half is in the table's own column.
        pub inode_high: AtomicU32,
        /// The process that has died, and how: wait status with bit 16 set. Written by the parent before it reaps.
        pub dead_pid: AtomicI32,
        /// See `dead_pid`.
        pub dead: AtomicU32,
        /// Control bytes that were read and not acted upon yet.
        pub control: [AtomicU8; 16],
        /// Readiness bytes that were read and not acted upon yet.
        pub notify: [AtomicU8; 32],
        /// The state, twice.
        pub cores: [[AtomicU32; 16]; 2],
        /// Its name: the argument of `run`.
        pub name: [AtomicU8; 256],
    }
}

const _: () = assert!(WORDS == 16 && NAME_MAX < 256 && CONTROL_BYTES == 16 && NOTIFY_BYTES == 32);

/// What the scanner may ask of the supervisor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Scan the directory.
    Scan,
    /// Stop the services that the last scan did not see; their loggers end by themselves.
    Nuke,
    /// The same, and stop the loggers.
    NukeAll,
}

/// How the tree ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It does not.
    No,
    /// Services are stopped; loggers go on until nobody feeds them.
    Term,
    /// All are stopped.
    Quit,
}

impl Header {
    /// Asks; the scanner.
    pub fn ask(&self, wish: Wish) {
        let counter = &self.asked[wish as usize];
        counter.store(counter.load(SeqCst).wrapping_add(1), SeqCst);
    }

    /// Whether this was asked for and not done; then the number for [`Self::mark_done`].
    pub fn is_asked(&self, wish: Wish) -> Option<u32> {
        let asked = self.asked[wish as usize].load(SeqCst);
        (asked != self.done[wish as usize].load(SeqCst)).then_some(asked)
    }

    /// Done, up to this number.
    pub fn mark_done(&self, wish: Wish, number: u32) {
        self.done[wish as usize].store(number, SeqCst);
    }

    /// How the tree is to end.
    pub fn ending(&self) -> Ending {
        match self.ending.load(SeqCst) {
            0 => Ending::No,
            1 => Ending::Term,
            _ => Ending::Quit,
        }
    }
}

impl Slot {
    /// What it is used for.
    pub fn phase(&self) -> Phase {
        match self.phase.load(SeqCst) {
            0 => Phase::Free,
            1 => Phase::Setup,
            2 => Phase::Live,
            _ => Phase::Resting,
        }
    }

    /// Changes what it is used for.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, SeqCst);
    }

    /// The state as it was committed last.
    pub fn core(&self) -> Core {
        let words = &self.cores[usize::from(self.which.load(SeqCst) & 1)];
        let mut plain = [0; WORDS];
        for (to, from) in plain.iter_mut().zip(words) {
            *to = from.load(SeqCst);
        }
        Core::unpack(&plain)
    }

    /// Makes this the state, all at once.
    pub fn commit(&self, core: &Core) {
        let other = (self.which.load(SeqCst) & 1) ^ 1;
        for (to, from) in self.cores[usize::from(other)].iter().zip(core.pack()) {
            to.store(from, SeqCst);
        }
        self.which.store(other, SeqCst);
    }

    /// Records how this process ended, for the supervisor; the parent, before it reaps it.
    pub fn record_death(&self, pid: u32, status: u16) {
        self.dead.store(0, SeqCst);
        self.dead_pid.store(pid as i32, SeqCst);
        self.dead.store(RECORDED | u32::from(status), SeqCst);
    }

    /// How this process ended, if that was recorded.
    pub fn death(&self, pid: u32) -> Option<u16> {
        let dead = self.dead.load(SeqCst);
        (dead & RECORDED != 0 && self.dead_pid.load(SeqCst) == pid as i32).then_some(dead as u16)
    }

    /// The name's bytes, in this buffer.
    pub fn name<'b>(&self, buf: &'b mut [u8; 256]) -> &'b [u8] {
        let len = usize::from(self.name_len.load(SeqCst));
        for (to, from) in buf.iter_mut().zip(&self.name).take(len) {
            *to = from.load(SeqCst);
        }
        buf.get(..len).unwrap_or_default()
    }

    /// Whether this is its name.
    pub fn is_named(&self, name: &[u8]) -> bool {
        usize::from(self.name_len.load(SeqCst)) == name.len()
            && self.name.iter().zip(name).all(|(a, b)| a.load(SeqCst) == *b)
    }

    /// Gives it this name, of at most [`NAME_MAX`] bytes.
    pub fn set_name(&self, name: &[u8]) {
        let name = name.get(..NAME_MAX).unwrap_or(name);
        for (to, from) in self.name.iter().zip(name) {
            to.store(*from, SeqCst);
        }
        self.name_len.store(name.len() as u8, SeqCst);
    }

    /// Whether it is the logger of another service.
    pub fn is_logger(&self) -> bool {
        self.role.load(SeqCst) == ROLE_LOGGER
    }
}

/// `role` of a service that has a logger.
pub const ROLE_PRODUCER: u8 = 1;
/// `role` of a logger.
pub const ROLE_LOGGER: u8 = 2;

/// The table, as a process has it mapped.
pub struct Table {
    memory: SharedMemory,
    capacity: u16,
}

/// Where the columns begin: the header has a cache line for itself.
const PIDS: usize = 64;
const _: () = assert!(size_of::<Header>() <= PIDS);

impl Table {
    /// A new table with room for this many services; with the memory file that it lies in.
    pub fn create(capacity: u16) -> Result<(Self, OwnedFd)> {
        let slots = Self::slots_at(capacity);
        let bytes = slots + usize::from(capacity) * size_of::<Slot>();
        let file = sys::mm::memory_file(c"skeg-table", bytes)?;
        let table = Self { memory: SharedMemory::map(&file, bytes)?, capacity };
        table.header()?.version.store(VERSION, SeqCst);
        Ok((table, file))
    }

    /// The table in a memory file that another program of this layout has made.
    pub fn open(file: &OwnedFd, capacity: u16) -> Result<Self> {
        let bytes = Self::slots_at(capacity) + usize::from(capacity) * size_of::<Slot>();
        if sys::fs::fstat(file)?.st_size as u64 != bytes as u64 {
            return Err(sys::Errno::INVAL);
        }
        Ok(Self { memory: SharedMemory::map(file, bytes)?, capacity })
    }

    /// After the two columns of 4 bytes a service.
    fn slots_at(capacity: u16) -> usize {
        (PIDS + usize::from(capacity) * 8).next_multiple_of(64)
    }

    /// How many services fit.
    pub const fn capacity(&self) -> u16 {
        self.capacity
    }

    /// What concerns the whole tree.
    pub fn header(&self) -> Result<&'static Header> {
        self.memory.at(0, 0).ok_or(sys::Errno::FAULT)
    }

    /// This slot.
    pub fn slot(&self, index: u16) -> Option<&'static Slot> {
        if index >= self.capacity {
            return None;
        }
        self.memory.at(Self::slots_at(self.capacity), usize::from(index))
    }

    /// Where the kernel stores the id of a slot's process in the fork.
    pub fn pid(&self, index: u16) -> Option<&'static AtomicI32> {
        if index >= self.capacity { None } else { self.memory.at(PIDS, usize::from(index)) }
    }

    /// The lower half of the inode of a slot's directory.
    pub fn inode_low(&self, index: u16) -> Option<&'static AtomicU32> {
        if index >= self.capacity {
            return None;
        }
        self.memory.at(PIDS + usize::from(self.capacity) * 4, usize::from(index))
    }

    /// The slots that have been used so far.
    #[inline(never)]
    pub fn indices(&self) -> core::ops::Range<u16> {
        0..self.header().map_or(0, |h| h.used.load(SeqCst).min(u32::from(self.capacity)) as u16)
    }

    /// The slot whose process has this id.
    pub fn find_pid(&self, pid: u32) -> Option<u16> {
        self.indices().find(|i| self.pid(*i).is_some_and(|p| p.load(SeqCst) == pid as i32))
    }

    /// The slot of the directory with this device and inode.
    pub fn find_directory(&self, device: u64, inode: u64) -> Option<u16> {
        self.indices().find(|i| {
            self.inode_low(*i).is_some_and(|low| low.load(SeqCst) == inode as u32)
                && self.slot(*i).is_some_and(|slot| {
                    slot.phase() != Phase::Free
                        && slot.device.load(SeqCst) == fold(device)
                        && slot.inode_high.load(SeqCst) == (inode >> 32) as u32
                })
        })
    }

    /// A slot that is free, cleared and given this identity. None: the table is full.
    pub fn allocate(&self, device: u64, inode: u64, name: &[u8]) -> Option<u16> {
        let header = self.header().ok()?;
        let free = self.indices().find(|i| self.slot(*i).is_some_and(|s| s.phase() == Phase::Free));
        let index = free.unwrap_or(self.indices().end);
        let (slot, pid) = (self.slot(index)?, self.pid(index)?);
        pid.store(0, SeqCst);
        slot.dead.store(0, SeqCst);
        slot.role.store(0, SeqCst);
        slot.peer.store(NONE, SeqCst);
        slot.seen.store(0, SeqCst);
        slot.device.store(fold(device), SeqCst);
        slot.inode_high.store((inode >> 32) as u32, SeqCst);
        self.inode_low(index)?.store(inode as u32, SeqCst);
        slot.control.iter().chain(&slot.notify).for_each(|byte| byte.store(0, SeqCst));
        slot.set_name(name);
        slot.set_phase(Phase::Setup);
        header.used.store(u32::from(self.indices().end.max(index + 1)), SeqCst);
        Some(index)
    }
}

/// A device number in 32 bits: the kernel's own has no more.
const fn fold(device: u64) -> u32 {
    (device ^ (device >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A supervisor takes over what another one has left, whatever is in it.
    #[test]
    fn a_damaged_table_is_read_without_harm() {
        let (table, file) = Table::create(5).unwrap();
        let room = sys::fs::fstat(&file).unwrap().st_size as usize;
        for name in ["a", "log", "web"] {
            table.allocate(7, 1 << 40, name.as_bytes()).unwrap();
        }
        let mut random = 0x2545_f491_4f6c_dd1du64;
        for round in 0..3_000 {
            let bytes: Vec<u8> = (0..room)
                .map(|_| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    if round % 2 == 0 && random & 3 != 0 { 0xff } else { (random >> 20) as u8 }
                })
                .collect();
            assert_eq!(sys::fs::pwrite(&file, &bytes, 0), Ok(room));
            let table = Table::open(&file, 5).unwrap();
            assert!(table.indices().len() <= 5);
            let _ = (table.find_pid(1), table.find_directory(7, 1 << 40), table.header().unwrap().ending());
            for index in table.indices().chain([5, u16::MAX]) {
                let Some(slot) = table.slot(index) else { continue };
                assert!(slot.name(&mut [0; 256]).len() <= 256);
                let _ = (slot.phase(), slot.core(), slot.death(1), slot.is_logger(), slot.is_named(b"a"));
                slot.commit(&slot.core());
                slot.record_death(1, 2);
                slot.set_name(&[b'x'; 255]);
            }
            let _ = table.allocate(7, 9, b"new");
        }
        assert!(Table::open(&file, 6).is_err(), "one of another size");
    }
}
