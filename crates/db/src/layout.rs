// SPDX-License-Identifier: ISC
//! The records of the image, to the byte: `FORMAT.md` in code. All integers are little-endian.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first bytes: not text, and damaged by whatever converts line ends.
pub const MAGIC: [u8; 8] = *b"\x89skeg\r\n\x1a";
/// The version of this format.
pub const VERSION: u32 = 3;
/// How many sections there are: those of [`Section`](crate::Section), in that order.
pub const SECTIONS: usize = 6;
/// Bytes of a hash of a definition.
pub const SERVICE_HASH: usize = 16;

/// Offset of the magic in the header.
pub const AT_MAGIC: usize = 0;
/// Offset of the format version.
pub const AT_VERSION: usize = AT_MAGIC + 8;
/// Offset of the whole length in bytes.
pub const AT_LENGTH: usize = AT_VERSION + 4;
/// Offset of the number of services.
pub const AT_SERVICES: usize = AT_LENGTH + 4;
/// Offset of the number of longruns, which come first.
pub const AT_LONGRUNS: usize = AT_SERVICES + 4;
/// Offset of the number of bundles.
pub const AT_BUNDLES: usize = AT_LONGRUNS + 4;
/// Offset of the number of times that bundles were edited since the sources were compiled.
pub const AT_EDITS: usize = AT_BUNDLES + 4;
/// Offset of the identity.
pub const AT_HASH: usize = AT_EDITS + 4;
/// Offset of the section table.
pub const AT_SECTIONS: usize = AT_HASH + 32;
/// Offset of the header's own checksum.
pub const AT_CHECKSUM: usize = AT_SECTIONS + SECTIONS * size_of::<Place>();
/// Bytes of the header; the first section begins here.
pub const HEADER: usize = AT_CHECKSUM + 8;
/// Each section begins at a multiple of this; what lies between is zero.
pub const ALIGN: usize = 8;

/// Where a section lies and what its bytes add up to.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Default)]
#[repr(C)]
pub struct Place {
    /// From the start of the image, in bytes.
    pub offset: U32,
    /// In bytes.
    pub length: U32,
    /// Of its bytes.
    pub checksum: U64,
}

/// The header, at the start of the image.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Default)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`]
    pub magic: [u8; 8],
    /// [`VERSION`]
    pub version: U32,
    /// Of the whole image, in bytes.
    pub length: U32,
    /// How many services.
    pub services: U32,
    /// How many of them are longruns.
    pub longruns: U32,
    /// How many bundles.
    pub bundles: U32,
    /// How many times bundles were edited since the sources were compiled.
    pub edits: U32,
    /// The identity of the image.
    pub hash: [u8; 32],
    /// The section table.
    pub sections: [Place; SECTIONS],
    /// Of the bytes before this field.
    pub checksum: U64,
}

/// A service. Its edges lie one list after the other, in the order of the counts here.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Default)]
#[repr(C)]
pub struct ServiceRecord {
    /// Offset in names.
    pub name: U32,
    /// [`Flags`](crate::Flags)
    pub flags: U32,
    /// Milliseconds; 0 = none.
    pub timeout_up: U32,
    /// Milliseconds; 0 = none.
    pub timeout_down: U32,
    /// Number of its first file record.
    pub files: U32,
    /// Number of its first edge.
    pub edges: U32,
    /// Of its whole definition.
    pub hash: [u8; SERVICE_HASH],
    /// How many file records.
    pub n_files: U16,
    /// The service that reads its output; 0xffff = none.
    pub consumer: U16,
    /// How many services it needs.
    pub n_up: U16,
    /// How many need it.
    pub n_down: U16,
    /// How many it wants.
    pub n_wants: U16,
    /// After how many it comes, beyond those it needs or wants.
    pub n_after: U16,
    /// How many restart it with them.
    pub n_restart_with: U16,
    /// How many write to it.
    pub n_producers: U16,
    /// Bytes of its name.
    pub name_length: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// A checksum of this record, its name and its edges, for who reads no more than that.
    pub seal: U32,
}

impl ServiceRecord {
    /// The lengths of its lists, in the order in which they lie.
    pub fn counts(&self) -> &[U16] {
        let words: &[U16; SERVICE / 2] = zerocopy::transmute_ref!(self);
        words.get(AT_COUNTS..AT_COUNTS + LISTS).unwrap_or_default()
    }
}

/// A bundle.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Default)]
#[repr(C)]
pub struct BundleRecord {
    /// Offset in names.
    pub name: U32,
    /// Number of its first edge.
    pub contents: U32,
    /// How many edges.
    pub n_contents: U32,
    /// [`Flags`](crate::Flags)
    pub flags: U32,
    /// Bytes of its name.
    pub name_length: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// A file of a service directory, or a script of a oneshot.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Default)]
#[repr(C)]
pub struct FileRecord {
    /// Offset in names.
    pub path: U32,
    /// Offset in data.
    pub data: U32,
    /// Bytes there.
    pub length: U32,
    /// Permission bits.
    pub mode: U16,
    /// Bytes of the path.
    pub path_length: U16,
    /// 1 regular, 2 directory, 3 link, 4 script.
    pub kind: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// Longest path of a file in a service directory, in bytes.
pub const MAX_PATH: usize = 1023;
/// Bytes of a [`ServiceRecord`].
pub const SERVICE: usize = 64;
/// Bytes of a [`BundleRecord`].
pub const BUNDLE: usize = 20;
/// Bytes of a [`FileRecord`].
pub const FILE: usize = 20;
/// Bytes of an edge.
pub const EDGE: usize = 2;

/// How many lists of edges a service has.
pub const LISTS: usize = 6;
/// The first of their lengths, in halfwords from the start of a [`ServiceRecord`].
const AT_COUNTS: usize = core::mem::offset_of!(ServiceRecord, n_up) / 2;

/// Bytes of a [`ServiceRecord`] before its seal.
pub const SEALED: usize = core::mem::offset_of!(ServiceRecord, seal);

const _: () = {
    assert!(size_of::<Header>() == HEADER);
    assert!(size_of::<ServiceRecord>() == SERVICE);
    assert!(core::mem::offset_of!(ServiceRecord, name_length) == 2 * (AT_COUNTS + LISTS));
    assert!(size_of::<BundleRecord>() == BUNDLE);
    assert!(size_of::<FileRecord>() == FILE);
    assert!(core::mem::offset_of!(Header, hash) == AT_HASH);
    assert!(core::mem::offset_of!(Header, sections) == AT_SECTIONS);
    assert!(core::mem::offset_of!(Header, checksum) == AT_CHECKSUM);
};
