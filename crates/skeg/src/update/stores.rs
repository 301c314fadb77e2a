// SPDX-License-Identifier: ISC
//! What `skeg sync` notes beside its image, and the rule that follows from it for stores that hold nothing.
//!
//! `IMAGE.sync` begins with 8 bytes that stand for a sync that was completed (zeros where it was not), then has the absolute path of
//! each store that held no definition when IMAGE was made, a zero after each. A store that holds nothing and is not noted
//! as such had something, or nobody knows: more often than not it is not mounted. A note that is lost or cut short
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

/// The note beside an image.
pub struct Note {
    path: Path,
    bytes: Vec<u8>,
}

impl Note {
    /// What the one beside this image says; nothing where there is none.
    pub fn read(image: &Path) -> sys::Result<Self> {
        let path = Path::from_pieces(&[image.as_bytes(), b".sync"]).map_err(|_| Errno::NAMETOOLONG)?;
        let read = || {
            let file = fs::open(CWD, &path, OFlags::RDONLY | OFlags::NONBLOCK, 0)?;
            let mut bytes = alloc::vec![0; MOST.min(fs::fstat(&file)?.st_size as usize)];
            let n = fs::read_full(file, &mut bytes)?;
            bytes.truncate(n);
            Ok::<_, Errno>(bytes)
        };
        let bytes = read().unwrap_or_default();
        Ok(Self { path, bytes })
    }

    /// Whether it stands for this completed sync.
    pub fn is(&self, stamp: [u8; 8]) -> bool {
        self.bytes.starts_with(&stamp)
    }

    fn was_empty(&self, store: &[u8]) -> bool {
        let paths = self.bytes.get(8..).unwrap_or_default().split_inclusive(|b| *b == 0);
        path(store).is_some_and(|store| paths.into_iter().any(|path| path == store.to_bytes_with_nul()))
    }

    /// Before anything is changed: the note goes if it says of a store that has definitions now that it had none. Else the exit
    /// code, after a message. What it says besides is written again by [`Self::write`]; a kill before that loses it.
    pub fn take_back(&self, call: &Call, stores: &[&CStr], file: &ImageFile) -> Result<(), u8> {
        let is_wrong = |store: &&CStr| {
            self.was_empty(store.to_bytes()) && !file.empty.iter().any(|one| one == store.to_bytes())
        };
        match stores.iter().any(is_wrong).then(|| fs::unlink(CWD, &self.path)) {
            Some(Err(e)) => Err(call.failed(t!("remove %"), self.path.as_bytes(), e)),
            _ => Ok(()),
        }
    }

    /// Writes it: a completed sync with this stamp, or none, and which stores are empty. Where that fails the next sync does, or
    /// asks, more than it had to.
    pub fn write(&self, stamp: [u8; 8], file: &ImageFile) {
        let mut bytes = stamp.to_vec();
        for store in file.empty.iter().filter_map(|store| path(store)) {
            bytes.extend_from_slice(store.to_bytes_with_nul());
        }
        if bytes != self.bytes {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
            let _ = fs::open(CWD, &self.path, flags, 0o644).and_then(|file| fs::write_all(file, &bytes));
        }
    }

    /// Refuses an image without what the old ones have, while a store of it is empty that is not known to have been empty before.
    /// `--empty STORE` says that this is meant. The exit code, after messages.
    pub fn must_keep<'a>(
        &self,
        call: &Call,
        file: &ImageFile,
        old: impl FnOnce() -> [Option<Db<'a>>; 2],
    ) -> Result<(), u8> {
        let is_known = |store: &[u8]| is_meant(call, store) || (defines(&file.db) && self.was_empty(store));
        let mut unknown = file.empty.iter().filter(|store| !is_known(store)).peekable();
        if unknown.peek().is_none() {
            return Ok(());
        }
        let lost = lost(&old(), &file.db);
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
    let bare = |path: &[u8]| path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    let mut options = call.options();
    while let Ok(Some(letter)) = options.option() {
        let named = options.value.to_bytes();
        if letter == b'E' && named.get(..bare(named)) == store.get(..bare(store)) {
            return true;
        }
    }
    false
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
