// SPDX-License-Identifier: ISC
//! The image format: encode, check once, read freely. The bytes are specified in `FORMAT.md` beside this crate.
//!
//! Pure: no system calls, no clock. An image is a slice of bytes, usually a mapping; nothing is ever parsed
//! into memory. [`Db::check`] looks at everything, [`Db::open`] at the checksums; after either of them each
//! accessor gives an answer without panic, loop or read outside of the slice, whatever the bytes are.
//! Read by every command; written by `compile` through [`encode`](encode()).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod blake2s;
mod check;
mod edit;
mod encode;
mod generated;
mod hash;
pub mod index;
pub mod layout;
mod read;
pub mod sort;
mod sum;

pub use check::{Problem, is_name};
pub use edit::with_bundles;
pub use encode::{EncodeError, NewBundle, NewFile, NewService, encode};
pub use generated::{GENERATED, RUN, SCRIPT};
pub use read::{Argv, Db, File, Ids};
pub use sum::{fnv, sum};

/// For tests and fuzzers: what gets wrong bytes past the checksums.
#[doc(hidden)]
pub mod testing {
    use crate::layout::{AT_CHECKSUM, Header};
    pub use crate::sum::sum;
    use zerocopy::FromBytes;

    /// Makes length and checksums of these bytes right, as far as they are an image at all.
    pub fn reseal(image: &mut [u8]) {
        let length = image.len() as u32;
        let Ok((header, _)) = Header::read_from_prefix(image) else { return };
        let sums = header.sections.map(|place| {
            let start = place.offset.get() as usize;
            let end = start.checked_add(place.length.get() as usize);
            crate::sum::sum(end.and_then(|end| image.get(start..end)).unwrap_or_default())
        });
        if let Ok((header, _)) = Header::mut_from_prefix(image) {
            header.magic = crate::layout::MAGIC;
            header.version.set(crate::layout::VERSION);
            header.length.set(length);
            for (place, sum) in header.sections.iter_mut().zip(sums) {
                place.checksum.set(sum);
            }
        }
        let sum = crate::sum::sum(image.get(..AT_CHECKSUM).unwrap_or_default());
        if let Ok((header, _)) = Header::mut_from_prefix(image) {
            header.checksum.set(sum);
        }
    }
}

/// Most services of one image: a service is a byte of `state`, a slot of the supervisor's table and a few
/// bits on a command's stack, and all of these are sized for it.
pub const MAX_SERVICES: usize = 8_192;

/// Most bundles of one image.
pub const MAX_BUNDLES: usize = 8_192;

/// Longest name of a service or bundle, in bytes: it must be a file name.
pub const MAX_NAME: usize = 255;

/// The number that stands for no service.
pub(crate) const NO_SERVICE: u16 = u16::MAX;

/// A service of one image: made by [`Db`] alone. Longruns come first, each kind in the order of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub(crate) u16);

impl ServiceId {
    /// Its place among all services: below [`Db::len`]. The index of its byte in `state`.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A bundle of one image: made by [`Db`] alone, in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId(pub(crate) u16);

impl BundleId {
    /// Its place among all bundles.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An atomic service.
    Service(ServiceId),
    /// A set of them.
    Bundle(BundleId),
}

/// Which way a service goes, or an edge is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Start; what a service needs.
    Up,
    /// Stop; what needs a service.
    Down,
}

/// What kind of atomic service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A supervised process.
    Longrun,
    /// A script to go up and one to go down.
    Oneshot,
}

/// Which script of a oneshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// `up`
    Up,
    /// `down`
    Down,
    /// `reload`
    Reload,
}

impl From<Direction> for Script {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Up => Self::Up,
            Direction::Down => Self::Down,
        }
    }
}

/// What a service's definition says with a bit. The two lowest are s6-rc's, with its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// `flag-essential`: a plain stop leaves it up.
    pub const ESSENTIAL: Self = Self(1);
    /// `flag-recommended`
    pub const RECOMMENDED: Self = Self(1 << 1);
    /// The bits that s6-rc knows, for `s6-rc-db flags`.
    pub const REFERENCE: Self = Self(3);
    /// `flag-manual`: a bundle never starts it, only its name or a dependent.
    pub const MANUAL: Self = Self(1 << 16);
    /// `reload-on-change`: an update puts the new definition in place at once and sends the reload signal.
    pub const RELOAD_ON_CHANGE: Self = Self(1 << 17);
    /// It has process settings: its `run` is generated and applies them.
    pub const SETTINGS: Self = Self(1 << 18);
    /// Made by the compiler: the oneshot runner, the pipe holder.
    pub const INTERNAL: Self = Self(1 << 19);
    /// It has a `cgroup`, which a stop empties.
    pub const CGROUP: Self = Self(1 << 20);
    /// It has a `restart-backoff`, which only our supervisor can apply.
    pub const BACKOFF: Self = Self(1 << 21);
    /// Every bit that has a meaning.
    pub const ALL: Self = Self(3 | 0b11_1111 << 16);

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a file record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file of the service directory, with its bytes.
    Regular,
    /// A directory below the service directory; no bytes.
    Directory,
    /// A symbolic link; the bytes are its target, without a final zero.
    Link,
    /// A script of a oneshot: words, each with a final zero.
    Script,
}

/// A section of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// One record a service.
    Services,
    /// One record a bundle.
    Bundles,
    /// Service numbers: dependencies, contents, producers.
    Edges,
    /// One record a file or script.
    Files,
    /// Names and paths, each with a final zero.
    Names,
    /// The bytes of files and scripts.
    Data,
}

/// Why these bytes are not an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// Shorter than its header, or than the header says; bytes wanted.
    Truncated(u32),
    /// It does not begin as an image does.
    Magic,
    /// An image, but of this format version, which is not [`layout::VERSION`].
    Version(u32),
    /// The header contradicts itself or its checksum.
    Header,
    /// A section lies outside of the image or is not a whole number of records.
    Place(Section),
    /// A section's bytes are not those that were written.
    Checksum(Section),
    /// A record breaks a rule: the section, the record's number, the rule.
    Record(Section, u32, Problem),
    /// The hash of the whole is not that of its parts.
    Identity,
}
