// SPDX-License-Identifier: ISC
//! What an unfinished command intended, so that the next one can finish it. Written aside and renamed; absent when idle.
//!
//! The file is a postcard message behind a magic that names the layout's version. `PROTOCOL.md` says what
//! each kind means and how it is mended.

use crate::error::{During, LiveError, Op, What};
use crate::links;
use alloc::{vec, vec::Vec};
use serde::{Deserialize, Serialize};
use sys::{BorrowedFd, Errno, fs};

/// What the file begins with; the last byte is the layout's version.
const MAGIC: [u8; 8] = *b"skegjr\0\x01";
/// A journal is never larger: two images of 8,192 services.
const MOST: usize = 128 * 1024;
/// Bytes of a message beside its lists: kinds, numbers, hashes, lengths of lists.
const REST: usize = 128;

/// A set of services of one image: one bit each, in the image's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set(pub Vec<u8>);

impl Set {
    /// The services at which the iterator says true.
    pub fn from_bools(members: impl Iterator<Item = bool>) -> Self {
        let mut bytes = Vec::new();
        for (index, member) in members.enumerate() {
            if index % 8 == 0 {
                bytes.push(0);
            }
            if let Some(last) = bytes.last_mut().filter(|_| member) {
                *last |= 1 << (index % 8);
            }
        }
        Self(bytes)
    }

    /// Whether the service with this index is in it.
    pub fn has(&self, index: usize) -> bool {
        self.0.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }
}

/// A generation and its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The generation's number.
    pub generation: u32,
    /// The image's hash.
    #[serde(with = "hash")]
    pub hash: [u8; 32],
}

/// The 32 bytes of a hash in a message, as serde would write them, but in a loop: its own code for arrays has each element
/// by itself.
pub(crate) mod hash {
    use serde::de::{Error, SeqAccess, Visitor};
    use serde::ser::SerializeTuple;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        let mut tuple = to.serialize_tuple(32)?;
        for byte in hash {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<[u8; 32], D::Error> {
        struct Bytes;
        impl<'d> Visitor<'d> for Bytes {
            type Value = [u8; 32];
            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("a hash")
            }
            fn visit_seq<A: SeqAccess<'d>>(self, mut seq: A) -> Result<[u8; 32], A::Error> {
                let mut hash = [0; 32];
                for byte in &mut hash {
                    *byte = seq.next_element()?.ok_or_else(|| A::Error::custom(""))?;
                }
                Ok(hash)
            }
        }
        from.deserialize_tuple(32, Bytes)
    }
}

/// An update that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Where it started from.
    pub old: Side,
    /// Where it leads. Which of the two is in force tells the link `LIVE`: that is the commit.
    pub new: Side,
    /// Services of the old image that were up when it began: they are brought back when it is undone.
    pub old_up: Set,
    /// Services of the new image that shall be up when it is done.
    pub new_up: Set,
    /// For each service of the new image the old service that it goes on from, or 65535.
    pub from: Vec<u16>,
}

/// A change of states that shall be finished even when its command died, for instance a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The generation it concerns.
    pub side: Side,
    /// What shall be up in the end.
    pub up: Set,
}

/// What an unfinished command intended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Journal {
    /// The first generation is being made. Before `LIVE` exists it is taken away again, then it is completed.
    Init(Side),
    /// An update.
    Update(Update),
    /// A change.
    Change(Change),
}

impl Journal {
    /// Reads the journal of this `LIVE:sv` directory; none when idle.
    pub fn read(sv: BorrowedFd<'_>) -> Result<Option<Self>, LiveError> {
        let file = match fs::open_read(sv, c"journal") {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(LiveError::sys(Op::Open, What::Journal, e)),
        };
        let size = fs::fstat(&file).during(Op::Read, What::Journal)?.st_size as usize;
        let mut bytes = vec![0; size.min(MOST)];
        let have = fs::read_full(&file, &mut bytes).during(Op::Read, What::Journal)?;
        let message = bytes.get(..have).and_then(|b| b.strip_prefix(&MAGIC)).ok_or(LiveError::BAD_JOURNAL)?;
        postcard::from_bytes(message).map(Some).map_err(|_| LiveError::BAD_JOURNAL)
    }

    /// Whether there is one: one system call, for commands that only look.
    pub fn present(sv: BorrowedFd<'_>) -> bool {
        fs::access(sv, c"journal", 0).is_ok()
    }

    /// Bytes that its message takes at most: an index takes up to three.
    fn room(&self) -> usize {
        REST + match self {
            Self::Init(_) => 0,
            Self::Update(update) => update.old_up.0.len() + update.new_up.0.len() + 3 * update.from.len(),
            Self::Change(change) => change.up.0.len(),
        }
    }

    /// Writes it: aside, then renamed. From here on the next command finishes what this one leaves.
    pub fn write(&self, sv: BorrowedFd<'_>) -> Result<(), LiveError> {
        let mut bytes = MAGIC.to_vec();
        let room = bytes.len() + self.room();
        bytes.resize(room, 0);
        let body = bytes.get_mut(MAGIC.len()..).unwrap_or_default();
        let used = postcard::to_slice(self, body).map_err(|_| LiveError::BAD_JOURNAL)?.len();
        bytes.truncate(MAGIC.len() + used);
        let flags = fs::OFlags::WRONLY | fs::OFlags::CREATE | fs::OFlags::TRUNC | fs::OFlags::NONBLOCK;
        let file = fs::open(sv, c"journal.new", flags, 0o644).during(Op::Create, What::Journal)?;
        fs::write_all(&file, &bytes).during(Op::Write, What::Journal)?;
        fs::rename(sv, c"journal.new", sv, c"journal").during(Op::Rename, What::Journal)
    }

    /// Removes one that was being written when its command died.
    pub fn remove_new(sv: BorrowedFd<'_>) -> Result<(), LiveError> {
        links::remove(sv, c"journal.new", What::Journal)
    }

    /// Removes it: the command is over. None there is no error.
    pub fn remove(sv: BorrowedFd<'_>) -> Result<(), LiveError> {
        links::remove(sv, c"journal", What::Journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_keeps_its_members() {
        let set = Set::from_bools((0..20).map(|i| i % 3 == 0));
        for i in 0..20 {
            assert_eq!(set.has(i), i % 3 == 0);
        }
        assert!(!set.has(1000));
    }
}
