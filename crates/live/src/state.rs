// SPDX-License-Identifier: ISC
//! The state file of a generation: which image it belongs to, then one byte a service, written in place; what is owed; and which
//! service directory each longrun has.
//!
//! Layout, little-endian: magic (8 bytes), number of services (u32), generation (u32), SHA-256 or other 32-byte hash of the
//! image, number of longruns (u32), FNV-1a of their directories' names as they stand below (u32), 8 zero bytes; then one byte for
//! each service in the image's order. The oneshot runner writes `starting` or `stopping` before it forks and the result after it, so
//! a byte is true or says that it may not be. Behind them one bit for each service, the first in the lowest: an update or a restart wanted it up, and ended without. The
//! room is there from the beginning, so that a full file system can't take the intent away. Last, eight bytes for each longrun, which
//! an image has first: the two numbers of its directory's name (u32 each). They never change.

use crate::error::{During, LiveError, Op, What};
use crate::service_dir::Id;
use alloc::{vec, vec::Vec};
use sys::{AsFd, BorrowedFd, OwnedFd, fs};

/// What the file begins with; the last byte is the layout's version.
pub const MAGIC: [u8; 8] = *b"skegst\0\x03";
/// Bytes before the first service's byte.
pub const HEADER: usize = 64;
/// Where the number of services stands.
const COUNT_AT: usize = 8;
/// Where the generation's number stands.
const GENERATION_AT: usize = 12;
/// Where the image's hash stands.
const HASH_AT: usize = 16;
/// Where the number of longruns stands.
const LONGRUNS_AT: usize = 48;
/// Where the checksum of the directories' names stands.
const CHECK_AT: usize = 52;
/// Bytes of one directory's name.
const ID: usize = 8;

/// Where a service is, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is down.
    Down,
    /// It is up.
    Up,
    /// Its `up` is running; found without a command, it was cut short: counts as down.
    Starting,
    /// Its `down` is running; found without a command, it was cut short: counts as up.
    Stopping,
}

/// A service's byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it is.
    pub phase: Phase,
    /// Whether that is only known from a transition that was cut short.
    pub uncertain: bool,
}

impl State {
    /// Known to be down.
    pub const DOWN: Self = Self { phase: Phase::Down, uncertain: false };
    /// Known to be up.
    pub const UP: Self = Self { phase: Phase::Up, uncertain: false };
    /// On its way up.
    pub const STARTING: Self = Self { phase: Phase::Starting, uncertain: false };
    /// On its way down.
    pub const STOPPING: Self = Self { phase: Phase::Stopping, uncertain: false };

    /// From the byte in the file. Bits that mean nothing are left out.
    pub const fn from_byte(byte: u8) -> Self {
        let phase = match byte & 3 {
            0 => Phase::Down,
            1 => Phase::Up,
            2 => Phase::Starting,
            _ => Phase::Stopping,
        };
        Self { phase, uncertain: byte & 0x80 != 0 }
    }

    /// The byte in the file.
    pub const fn byte(self) -> u8 {
        let phase = match self.phase {
            Phase::Down => 0,
            Phase::Up => 1,
            Phase::Starting => 2,
            Phase::Stopping => 3,
        };
        if self.uncertain { phase | 0x80 } else { phase }
    }

    /// Whether it counts as up.
    pub const fn is_up(self) -> bool {
        matches!(self.phase, Phase::Up | Phase::Stopping)
    }

    /// What it counts as once nobody is at work on it: a transition that was cut short has not happened, and
    /// that is uncertain.
    pub const fn settled(self) -> Self {
        match self.phase {
            Phase::Down | Phase::Up => self,
            Phase::Starting => Self { phase: Phase::Down, uncertain: true },
            Phase::Stopping => Self { phase: Phase::Up, uncertain: true },
        }
    }
}

/// What identifies a generation's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many services the image has.
    pub count: u32,
    /// The generation.
    pub generation: u32,
    /// The image's hash.
    pub hash: [u8; 32],
    /// How many of them are longruns.
    pub longruns: u32,
}

impl Header {
    fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, COUNT_AT, &self.count.to_le_bytes());
        put(&mut bytes, GENERATION_AT, &self.generation.to_le_bytes());
        put(&mut bytes, HASH_AT, &self.hash);
        put(&mut bytes, LONGRUNS_AT, &self.longruns.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| word(bytes, at);
        if bytes.get(..COUNT_AT)? != MAGIC {
            return None;
        }
        let hash = bytes.get(HASH_AT..HASH_AT + 32)?.try_into().ok()?;
        let (count, longruns) = (word(COUNT_AT)?, word(LONGRUNS_AT)?);
        Some(Self { count, generation: word(GENERATION_AT)?, hash, longruns })
    }

    /// Where the longruns' directories stand: behind the states and what is owed.
    const fn ids_at(&self) -> usize {
        HEADER.saturating_add(self.count as usize).saturating_add((self.count as usize).div_ceil(8))
    }

    /// How large the file is; none where no image has so many services.
    fn size(&self) -> Option<usize> {
        let fits = self.longruns <= self.count && self.count <= MOST_SERVICES;
        fits.then(|| self.ids_at() + ID * self.longruns as usize)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn put(to: &mut [u8], at: usize, what: &[u8]) {
    if let Some(room) = to.get_mut(at..at + what.len()) {
        room.copy_from_slice(what);
    }
}

/// An image has at most so many.
const MOST_SERVICES: u32 = 8192;
/// What a file has at most.
const MOST: usize = HEADER + MOST_SERVICES as usize * (1 + ID) + MOST_SERVICES as usize / 8;

/// The state file, read into memory; changes go to both.
pub struct States {
    file: OwnedFd,
    header: Header,
    bytes: Vec<u8>,
}

impl States {
    /// Reads the file `state` of this generation. `writable`: changes will be made.
    pub fn open(generation: BorrowedFd<'_>, writable: bool) -> Result<Self, LiveError> {
        let flags = if writable { fs::OFlags::RDWR } else { fs::OFlags::RDONLY };
        let file =
            fs::open(generation, c"state", flags | fs::OFlags::NONBLOCK, 0).during(Op::Open, What::State)?;
        let length = fs::fstat(&file).during(Op::Read, What::State)?.st_size as usize;
        if length > MOST {
            return Err(LiveError::BAD_STATE);
        }
        let mut bytes = vec![0; length];
        let have = fs::read_full(&file, &mut bytes).during(Op::Read, What::State)?;
        let header = Header::parse(&bytes).ok_or(LiveError::BAD_STATE)?;
        if have != length || header.size() != Some(have) {
            return Err(LiveError::BAD_STATE);
        }
        let states = Self { file, header, bytes };
        // Two that have become one, or one that is not there: what is not named would be removed.
        let is_whole = word(&states.bytes, CHECK_AT) == Some(states.check());
        if is_whole && (0..header.longruns as usize).all(|index| states.id(index).is_some()) {
            Ok(states)
        } else {
            Err(LiveError::BAD_STATE)
        }
    }

    /// The checksum of the directories' names.
    fn check(&self) -> u32 {
        db::fnv(self.bytes.get(self.header.ids_at()..).unwrap_or_default())
    }

    /// Writes a new state file into a generation under construction, every service down, and keeps it open.
    pub fn create(generation: BorrowedFd<'_>, header: Header, ids: &[Id]) -> Result<Self, LiveError> {
        let size = header.size().ok_or(LiveError::BAD_STATE)?;
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&header.bytes());
        bytes.resize(header.ids_at(), State::DOWN.byte());
        for id in ids {
            bytes.extend_from_slice(&id.generation.to_le_bytes());
            bytes.extend_from_slice(&u32::from(id.index).to_le_bytes());
        }
        let flags = fs::OFlags::RDWR | fs::OFlags::CREATE | fs::OFlags::TRUNC;
        let file = fs::open(generation, c"state", flags, 0o644).during(Op::Create, What::State)?;
        let mut states = Self { file, header, bytes };
        let check = states.check();
        put(&mut states.bytes, CHECK_AT, &check.to_le_bytes());
        fs::write_all(&states.file, &states.bytes).during(Op::Write, What::State)?;
        Ok(states)
    }

    /// What the file says of the image.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// How many services it has.
    pub const fn len(&self) -> usize {
        self.header.count as usize
    }

    /// How many of them are longruns: the first ones.
    pub const fn longruns(&self) -> usize {
        self.header.longruns as usize
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.header.count == 0
    }

    /// The directory of the longrun with this index.
    pub fn id(&self, index: usize) -> Option<Id> {
        if index >= self.header.longruns as usize {
            return None;
        }
        let at = self.header.ids_at() + ID * index;
        let generation = word(&self.bytes, at).filter(|it| (1..=self.header.generation).contains(it))?;
        let index = u16::try_from(word(&self.bytes, at + 4)?).ok()?;
        Some(Id { generation, index })
    }

    /// The state of the service with this index, as last read; down where there is none.
    pub fn get(&self, index: usize) -> State {
        State::from_byte(self.bytes.get(HEADER + index).copied().unwrap_or(0))
    }

    /// All states in the image's order.
    pub fn iter(&self) -> impl Iterator<Item = State> + '_ {
        self.bytes.iter().skip(HEADER).take(self.len()).map(|b| State::from_byte(*b))
    }

    /// Whether an update or a restart wanted this service up and ended without it. Nothing is owed that is up.
    pub fn is_owed(&self, index: usize) -> bool {
        let byte = self.bytes.get(HEADER + self.len() + index / 8);
        byte.is_some_and(|byte| byte >> (index % 8) & 1 == 1)
            && index < self.len()
            && !self.get(index).is_up()
    }

    /// Takes note that a service is owed, or is no longer; [`Self::write_owed`] writes it. Whether that is news.
    pub fn owe(&mut self, index: usize, owed: bool) -> bool {
        let at = HEADER + self.len() + index / 8;
        let Some(byte) = self.bytes.get_mut(at).filter(|_| index < self.header.count as usize) else {
            return false;
        };
        let before = *byte;
        *byte = before & !(1 << (index % 8)) | u8::from(owed) << (index % 8);
        *byte != before
    }

    /// Writes one service's state, in the file and here.
    pub fn set(&mut self, index: usize, state: State) -> Result<(), LiveError> {
        write(self.file.as_fd(), index, state)?;
        self.note(index, state);
        Ok(())
    }

    /// Takes note of a state that somebody else (the oneshot runner) has written to the file.
    pub fn note(&mut self, index: usize, state: State) {
        if let Some(byte) = self.bytes.get_mut(HEADER + index) {
            *byte = state.byte();
        }
    }

    /// Writes many states at once: what `note` and `owe` have changed since, or a whole new picture. One call.
    pub fn write_back(&self) -> Result<(), LiveError> {
        let bytes = self.bytes.get(HEADER..self.header.ids_at()).unwrap_or_default();
        fs::pwrite(&self.file, bytes, HEADER as u64).during(Op::Write, What::State).map(|_| ())
    }

    /// Writes what is owed, and no state: a script may still run, and its runner record how it ended.
    pub fn write_owed(&self) -> Result<(), LiveError> {
        let at = HEADER + self.len();
        let bytes = self.bytes.get(at..self.header.ids_at()).unwrap_or_default();
        fs::pwrite(&self.file, bytes, at as u64).during(Op::Write, What::State).map(|_| ())
    }

    /// Reads the file again.
    pub fn reread(&mut self) -> Result<(), LiveError> {
        let room = self.bytes.get_mut(HEADER..self.header.ids_at()).unwrap_or_default();
        fs::pread(&self.file, room, HEADER as u64).during(Op::Read, What::State).map(|_| ())
    }
}

impl AsFd for States {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Writes one service's state through the state file's descriptor: what the oneshot runner does. Never allocates.
pub fn write(file: BorrowedFd<'_>, index: usize, state: State) -> Result<(), LiveError> {
    fs::pwrite(file, &[state.byte()], (HEADER + index) as u64).during(Op::Write, What::State).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_reads_and_cut_short_counts_as_not_done() {
        for state in [State::DOWN, State::UP, State::STARTING, State::STOPPING] {
            assert_eq!(State::from_byte(state.byte()), state);
        }
        assert!(!State::STARTING.settled().is_up());
        assert!(State::STOPPING.settled().is_up());
        assert!(State::STOPPING.settled().uncertain);
        assert_eq!(State::UP.settled(), State::UP);
    }

    #[test]
    fn what_is_owed_is_known_by_its_bit_while_it_is_down() {
        let (test, live) = crate::test_dir("owed");
        let parent = live.to_bytes().strip_suffix(b"live").unwrap();
        let dir = fs::open_dir(sys::CWD, &sys::Path::from_pieces(&[parent]).unwrap()).unwrap();
        let header = Header { count: 11, generation: 3, hash: [0; 32], longruns: 2 };
        let ids = [Id { generation: 3, index: 0 }, Id { generation: 1, index: 700 }];
        States::create(dir.as_fd(), header, &ids).unwrap();
        let mut states = States::open(dir.as_fd(), true).unwrap();
        assert!(
            states.owe(0, true) && states.owe(10, true) && !states.owe(10, true) && !states.owe(11, true)
        );
        states.write_back().unwrap();
        let mut states = States::open(dir.as_fd(), true).unwrap();
        let owed = |states: &States| (0..20).filter(|i| states.is_owed(*i)).collect::<Vec<_>>();
        assert_eq!(owed(&states), [0, 10]);
        assert_eq!([0, 1, 2].map(|i| states.id(i)), [Some(ids[0]), Some(ids[1]), None]);
        states.set(0, State::UP).unwrap();
        assert_eq!((owed(&states), states.iter().count()), (vec![10], 11));
        assert!(states.owe(10, false));
        assert_eq!(owed(&states), []);
        crate::remove_test_dir(&test);
    }

    #[test]
    fn a_file_that_names_impossible_directories_is_refused() {
        let (test, live) = crate::test_dir("names");
        let parent = live.to_bytes().strip_suffix(b"live").unwrap();
        let dir = fs::open_dir(sys::CWD, &sys::Path::from_pieces(&[parent]).unwrap()).unwrap();
        let header = Header { count: 2, generation: 3, hash: [0; 32], longruns: 1 };
        for (generation, right) in [(1, true), (3, true), (0, false), (4, false)] {
            States::create(dir.as_fd(), header, &[Id { generation, index: 0 }]).unwrap();
            assert_eq!(States::open(dir.as_fd(), false).is_ok(), right, "{generation}");
        }
        let most = Header { longruns: 3, ..header };
        assert!(States::create(dir.as_fd(), most, &[]).is_err(), "more longruns than services");
        crate::remove_test_dir(&test);
    }

    #[test]
    fn a_header_reads_back() {
        let header = Header { count: 3, generation: 9, hash: [7; 32], longruns: 2 };
        assert_eq!(Header::parse(&header.bytes()), Some(header));
        assert_eq!(Header::parse(b"something else"), None);
    }
}
