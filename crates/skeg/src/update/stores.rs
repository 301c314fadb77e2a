// SPDX-License-Identifier: ISC
//! What `skeg sync` notes beside its image, and the rule that follows from it for stores that hold nothing.
//!
//! `IMAGE.sync` begins with 8 bytes that stand for a sync that was completed (zeros where it was not), then has the identities of
//! two images, and the absolute path of each store that held no definition when either of them was made, a zero after each. It
//! is believed while IMAGE is one of the two: another tool may have written another one. A store that holds nothing and is not
//! noted as such had something, or nobody knows: more often than not it is not mounted. A note that is lost or cut short
//! says less, so at worst a question is asked that need not have been.

use super::image::{ImageFile, absolute, defines};
use crate::applet::Call;
use crate::live_words::INVALID;
use alloc::vec::Vec;
use core::ffi::CStr;
use db::{Db, Flags};
use sys::fs::{self, OFlags};
use sys::{CWD, Errno, Path};
use text::Line;

/// Bytes of a note at most: more than the paths on any command line that makes sense.
const MOST: usize = 64 << 10;
/// Where the identities of the images stand, and where the paths begin.
const IMAGES_AT: usize = 8;
const PATHS_AT: usize = IMAGES_AT + 2 * size_of::<Identity>();

type Identity = [u8; 32];

/// The note beside an image.
pub struct Note {
    path: Path,
    bytes: Vec<u8>,
    /// Which image lies there now.
    image: Option<Identity>,
}

impl Note {
    /// What the one beside this image says; nothing where there is none.
    pub fn read(place: &CStr, image: Option<Identity>) -> sys::Result<Self> {
        let path = Path::from_pieces(&[place.to_bytes(), b".sync"]).map_err(|_| Errno::NAMETOOLONG)?;
        let read = || {
            let file = fs::open(CWD, &path, OFlags::RDONLY | OFlags::NONBLOCK, 0)?;
            let mut bytes = alloc::vec![0; MOST.min(fs::fstat(&file)?.st_size as usize)];
            let n = fs::read_full(file, &mut bytes)?;
            bytes.truncate(n);
            Ok::<_, Errno>(bytes)
        };
        let bytes = read().unwrap_or_default();
        Ok(Self { path, bytes, image })
    }

    /// Whether it stands for this completed sync.
    pub fn is(&self, stamp: [u8; 8]) -> bool {
        self.bytes.starts_with(&stamp)
    }

    fn was_empty(&self, store: &[u8]) -> bool {
        let Some((images, paths)) = self.bytes.split_at_checked(PATHS_AT) else { return false };
        let (images, _) = images.get(IMAGES_AT..).unwrap_or_default().as_chunks();
        let is_its = self.image.is_some_and(|image| images.contains(&image));
        let mut paths = paths.split_inclusive(|b| *b == 0);
        is_its && path(store).is_some_and(|store| paths.any(|path| path == store.to_bytes_with_nul()))
    }

    /// Before the image is written: what is true of the one that lies there and of this one. So a kill behind it leaves known what was.
    pub fn prepare(&self, file: &ImageFile) {
        let new = file.db.hash();
        let both = file.empty.iter().filter(|store| self.was_empty(store));
        self.put(&[0; 8], &[self.image.unwrap_or(new), new], both);
    }

    /// At the end: a completed sync with this stamp, or none, and which stores are empty.
    pub fn write(&self, stamp: [u8; 8], file: &ImageFile) {
        self.put(&stamp, &[file.db.hash(); 2], file.empty.iter());
    }

    /// Where that fails the next sync does, or asks, more than it had to.
    fn put<'a>(&self, stamp: &[u8; 8], images: &[Identity; 2], empty: impl Iterator<Item = &'a Vec<u8>>) {
        let mut bytes = stamp.to_vec();
        bytes.extend_from_slice(images.as_flattened());
        for store in empty.filter_map(|store| path(store)) {
            bytes.extend_from_slice(store.to_bytes_with_nul());
        }
        if bytes != self.bytes {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK;
            let _ = fs::open(CWD, &self.path, flags, 0o644).and_then(|file| fs::write_all(file, &bytes));
        }
    }

    /// Refuses an image without what the old ones have, while a store of it is empty that is not known to have been empty before.
    /// `--empty STORE` says that this is meant. The exit code, after messages.
    pub fn must_keep(&self, call: &Call, file: &ImageFile, old: &[Option<Db<'_>>; 2]) -> Result<(), u8> {
        let is_known = |store: &[u8]| is_meant(call, store) || (defines(&file.db) && self.was_empty(store));
        let mut unknown = file.empty.iter().filter(|store| !is_known(store)).peekable();
        if unknown.peek().is_none() {
            return Ok(());
        }
        let lost = lost(old, &file.db);
        if lost.as_bytes().is_empty() {
            return Ok(());
        }
        for store in unknown {
            let what = t!(
                "% holds no definition: is it mounted? Nothing is changed (--empty % says that this is meant)"
            );
            call.say(what, store);
        }
        Err(call.fail(INVALID, t!("these would stop and be gone:%"), lost.as_bytes()))
    }
}

/// The path that stands in a note.
fn path(store: &[u8]) -> Option<Path> {
    absolute(&Path::from_pieces(&[store]).ok()?).ok()
}

/// Whether `--empty` names this store.
fn is_meant(call: &Call, store: &[u8]) -> bool {
    first_empty(call, |named| is_same(named, store)).is_some()
}

/// Refuses an `--empty` that names no store of the command line: it was meant for one. The exit code, after a message.
pub fn must_name_stores(call: &Call, stores: &[&CStr]) -> Result<(), u8> {
    let is_strange = |named: &[u8]| !stores.iter().any(|store| is_same(named, store.to_bytes()));
    match first_empty(call, is_strange) {
        Some(named) => {
            Err(call.misused(t!("--empty %: not one of the source directories that follow"), named))
        }
        None => Ok(()),
    }
}

/// The first directory of an `--empty` of which this holds.
fn first_empty(call: &Call, holds: impl Fn(&[u8]) -> bool) -> Option<&'static [u8]> {
    let mut options = call.options();
    while let Ok(Some(letter)) = options.option() {
        let named = options.value.to_bytes();
        if letter == b'E' && holds(named) {
            return Some(named);
        }
    }
    None
}

/// Whether two paths are spelled alike but for slashes at the end.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let bare = |path: &[u8]| path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    a.get(..bare(a)) == b.get(..bare(b))
}

/// The services and bundles of old images that a new one lacks, a blank before each.
fn lost(old: &[Option<Db<'_>>], new: &Db<'_>) -> Line {
    let mut lost = Line::new();
    for (n, db) in old.iter().flatten().enumerate() {
        let services = db.services().filter(|id| !db.flags(*id).has(Flags::INTERNAL)).map(|id| db.name(id));
        for name in services.chain(db.bundles().map(|id| db.bundle_name(id))) {
            let is_known = |other: &Db<'_>| other.lookup(name).is_some();
            if !is_known(new) && !old.iter().flatten().take(n).any(is_known) {
                lost.put(b" ").put_quoted(name);
            }
        }
    }
    lost
}
