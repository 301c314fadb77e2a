// SPDX-License-Identifier: ISC
//! Installed images on a data partition: `current`, `previous`, and what a power cut leaves of an install.
//!
//! `DIR/images/HASH.img` is never changed in place. Each step is on the disk before the next one begins, so whatever
//! moment the power goes, `current` is a link to a whole image: the old or the new one. The steps are in `PROTOCOL.md`.

use crate::error::{During, LiveError, Op, What};
use crate::links;
use core::ffi::CStr;
use sys::mm::MappedFile;
use sys::time::{Millis, monotonic};
use sys::{AsFd, CBuf, Errno, OwnedFd, event, fs};

/// The directory of a data partition.
pub struct Store {
    dir: OwnedFd,
}

/// A link's target, `images/HASH.img`.
pub type Image = CBuf<64>;

/// Whether a boot would take an image of these bytes.
pub type Judge<'a> = &'a dyn Fn(&[u8]) -> bool;

/// While waiting, the lock is tried this often: nothing tells when it becomes free.
const RETRY: Millis = Millis(50);

/// Statfs' `f_type` of FAT (`MSDOS_SUPER_MAGIC`, include/uapi/linux/magic.h): it has no links, and its renames are
/// not atomic.
const FAT: i64 = 0x4d44;

/// The first 16 hexadecimal digits of a hash, as `images/HASH.img`.
fn image_name(hash: &[u8; 32]) -> Image {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut name = Image::from_pieces(&[b"images/"]).unwrap_or_default();
    for byte in hash.iter().take(8) {
        let _ = name.push(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    let _ = name.push(b".img");
    name
}

impl Store {
    /// Opens the directory. `OPNOTSUPP` on FAT.
    pub fn open(path: &CStr) -> Result<Self, LiveError> {
        let dir = fs::open_dir(sys::CWD, path).during(Op::Open, What::Store)?;
        if fs::fstatfs(&dir).during(Op::Read, What::Store)?.f_type as i64 == FAT {
            return Err(LiveError::sys(Op::Write, What::Store, Errno::OPNOTSUPP));
        }
        Ok(Self { dir })
    }

    /// Keeps others that change the directory out until this is dropped, or waits so long for one that does: `TimedOut`.
    /// The lock is on the directory itself, so that nothing of it is ever on the disk.
    pub fn lock(&self, patience: Millis) -> Result<(), LiveError> {
        let began = monotonic();
        loop {
            match fs::flock(&self.dir) {
                Ok(()) => return Ok(()),
                Err(Errno::AGAIN) if monotonic().0 - began.0 < patience.0 => {
                    let _ = event::poll(&mut [], Some(RETRY));
                }
                Err(Errno::AGAIN) => return Err(LiveError::timed_out(None)),
                Err(e) => return Err(LiveError::sys(Op::Lock, What::Store, e)),
            }
        }
    }

    /// What the judge says of the bytes of a file or a link to one. One that leads nowhere, or that the disk can't read, is
    /// no good; any other failure says nothing about the image.
    pub fn is(&self, name: &CStr, judge: Judge<'_>) -> Result<bool, LiveError> {
        let mapped = fs::open_read(&self.dir, name)
            .and_then(|file| MappedFile::new(&file, fs::fstat(&file)?.st_size as usize));
        match mapped {
            Ok(mapped) => Ok(judge(mapped.bytes())),
            Err(Errno::NOENT | Errno::IO | Errno::UCLEAN) => Ok(false),
            Err(e) => Err(LiveError::sys(Op::Read, What::Store, e)),
        }
    }

    /// `images/`, made where it is missing.
    fn images(&self) -> Result<OwnedFd, LiveError> {
        match fs::mkdir(&self.dir, c"images", 0o755) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(LiveError::sys(Op::Create, What::Store, e)),
        }
        fs::open_dir(&self.dir, c"images").during(Op::Open, What::Store)
    }

    /// Waits until the names in the directory are on the disk.
    fn sync(&self) -> Result<(), LiveError> {
        fs::fsync(&self.dir).during(Op::Write, What::Store)
    }

    /// What a link of the directory names; none where there is no such link (an image that somebody put there by hand is none).
    pub fn link(&self, name: &CStr) -> Result<Option<Image>, LiveError> {
        let mut buf = [0; 64];
        match fs::readlink(&self.dir, name, &mut buf) {
            Ok(target) => Image::from_pieces(&[target]).during(Op::Read, What::Store).map(Some),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(e) => Err(LiveError::sys(Op::Read, What::Store, e)),
        }
    }

    /// Installs a checked image: it becomes `current`, and what was `current` becomes `previous`; but an image that is still on
    /// trial, or that no boot would take, does not: `previous` stays one that is known to come up. Whether anything changed.
    ///
    /// `trial`: the mark of a trial is on the disk before `current` is switched.
    pub fn install(
        &self,
        hash: &[u8; 32],
        bytes: &[u8],
        trial: Option<&[u8]>,
        boots: Judge<'_>,
    ) -> Result<bool, LiveError> {
        let done = self.install_steps(hash, bytes, trial, boots);
        if done.is_err() {
            self.clear();
        }
        done
    }

    /// What an install that failed has made aside: on a full file system it would keep the room.
    fn clear(&self) {
        for name in [c"images/.new", c".trial.new", c".previous.new", c".current.new"] {
            let _ = fs::unlink(&self.dir, name);
        }
        let _ = self.images().map(|images| self.sweep(&images));
    }

    fn install_steps(
        &self,
        hash: &[u8; 32],
        bytes: &[u8],
        trial: Option<&[u8]>,
        boots: Judge<'_>,
    ) -> Result<bool, LiveError> {
        let name = image_name(hash);
        let old = self.link(c"current")?;
        let same = old.as_ref().is_some_and(|old| old.as_c() == name.as_c());
        // The same image is worth writing where it is damaged, or with another signature behind it.
        if same && self.is(&name, &|have| have == bytes)? {
            // Perhaps by an install that was killed right behind the switch.
            self.sync()?;
            if trial.is_none() {
                self.end_trial()?;
            }
            return Ok(false);
        }
        let on_trial = self.trial(&mut [0])?.is_some();
        let mut proven = old.filter(|_| !same && !on_trial);
        if let Some(old) = &proven
            && !self.is(old, boots)?
        {
            proven = None;
        }
        let images = self.images()?;
        self.write_image(&images, &name, bytes)?;
        if let Some(mark) = trial {
            self.write(&self.dir, c".trial.new", mark)?;
        }
        if let Some(old) = &proven {
            self.aside(old, c".previous.new")?;
        }
        self.aside(&name, c".current.new")?;
        // What the names will name is on the disk before they do: not every file system orders the two.
        if proven.is_some() || trial.is_none() {
            self.sync()?;
        }
        if proven.is_some() {
            self.rename(c".previous.new", c"previous")?;
        }
        if trial.is_some() {
            self.rename(c".trial.new", c"trial")?;
        }
        if proven.is_some() || trial.is_some() {
            self.sync()?;
        }
        self.rename(c".current.new", c"current")?;
        self.sync()?;
        if trial.is_none() {
            self.end_trial()?;
        }
        self.sweep(&images)?;
        Ok(true)
    }

    /// Goes back: `current` is what `previous` is. Whether there is one that a boot would take; else nothing is changed.
    pub fn back(&self, boots: Judge<'_>) -> Result<bool, LiveError> {
        let Some(previous) = self.link(c"previous")? else { return Ok(false) };
        if !self.is(&previous, boots)? {
            return Ok(false);
        }
        self.aside(&previous, c".current.new")?;
        self.sync()?;
        self.rename(c".current.new", c"current")?;
        self.sync()?;
        self.end_trial()?;
        Ok(true)
    }

    /// There is no installed image any more: the root's own counts.
    pub fn forget(&self) -> Result<(), LiveError> {
        self.remove(c"current", What::Store)?;
        self.end_trial()
    }

    fn write_image(&self, images: &OwnedFd, name: &Image, bytes: &[u8]) -> Result<(), LiveError> {
        self.write(images, c".new", bytes)?;
        fs::rename(images, c".new", &self.dir, name).during(Op::Rename, What::Store)?;
        fs::fsync(images).during(Op::Write, What::Store)
    }

    /// Writes a file whose bytes are on the disk when this returns; its name may not be.
    fn write(&self, dir: &OwnedFd, name: &CStr, bytes: &[u8]) -> Result<(), LiveError> {
        let flags = fs::OFlags::WRONLY | fs::OFlags::CREATE | fs::OFlags::TRUNC;
        let file = fs::open(dir, name, flags, 0o644).during(Op::Create, What::Store)?;
        fs::write_all(&file, bytes).during(Op::Write, What::Store)?;
        fs::fsync(&file).during(Op::Write, What::Store)
    }

    /// Makes a link to this image, under a name that means nothing to a boot.
    fn aside(&self, to: &Image, name: &CStr) -> Result<(), LiveError> {
        links::make(self.dir.as_fd(), to, name, What::Store)
    }

    fn rename(&self, from: &CStr, to: &CStr) -> Result<(), LiveError> {
        fs::rename(&self.dir, from, &self.dir, to).during(Op::Rename, What::Store)
    }

    /// Writes the mark of a trial: how long it has, whether a boot has tried it. It is on the disk when this returns.
    pub fn mark(&self, mark: &[u8]) -> Result<(), LiveError> {
        self.write(&self.dir, c".trial.new", mark)?;
        self.rename(c".trial.new", c"trial")?;
        self.sync()
    }

    /// The mark of a trial, in `buf`.
    pub fn trial<'b>(&self, buf: &'b mut [u8]) -> Result<Option<&'b [u8]>, LiveError> {
        match fs::open_read(&self.dir, c"trial") {
            Ok(file) => {
                let have = fs::read_full(&file, buf).during(Op::Read, What::Store)?;
                Ok(buf.get(..have))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(LiveError::sys(Op::Open, What::Store, e)),
        }
    }

    /// The image counts: no trial is under way any more.
    pub fn end_trial(&self) -> Result<(), LiveError> {
        self.remove(c"trial", What::Trial)
    }

    fn remove(&self, name: &CStr, what: What) -> Result<(), LiveError> {
        match fs::unlink(&self.dir, name) {
            Ok(()) => self.sync(),
            Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(LiveError::sys(Op::Remove, what, e)),
        }
    }

    /// Removes images that neither link names. What a power cut left of it is removed by the next one.
    fn sweep(&self, images: &OwnedFd) -> Result<(), LiveError> {
        let (current, previous) = (self.link(c"current")?, self.link(c"previous")?);
        let named = |name: &CStr| {
            let is = |link: &Option<Image>| {
                link.as_ref().is_some_and(|l| l.as_bytes().strip_prefix(b"images/") == Some(name.to_bytes()))
            };
            is(&current) || is(&previous)
        };
        let walk = fs::open_dir(images, c".").during(Op::Open, What::Store)?;
        fs::for_each_entry(&walk, |name, _, _| {
            if named(name) || !(name.to_bytes().ends_with(b".img") || name == c".new") {
                return Ok(());
            }
            fs::unlink(images, name).during(Op::Remove, What::Store)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installs_keep_the_last_two() {
        let (dir, _) = crate::test_dir("store");
        let path = std::ffi::CString::new(dir.clone().into_os_string().into_encoded_bytes()).unwrap();
        let store = Store::open(&path).unwrap();
        for n in 1..=3u8 {
            assert_eq!(store.install(&[n; 32], &[n], None, &|_| true), Ok(true));
            assert_eq!(store.install(&[n; 32], &[n], None, &|_| true), Ok(false));
            assert_eq!(std::fs::read(dir.join("current")).unwrap(), [n]);
        }
        assert_eq!(std::fs::read(dir.join("previous")).unwrap(), [2]);
        assert_eq!(std::fs::read_dir(dir.join("images")).unwrap().count(), 2);
        assert_eq!(store.install(&[3; 32], &[3, 99], None, &|_| true), Ok(true), "it is signed now");
        assert_eq!(std::fs::read(dir.join("current")).unwrap(), [3, 99]);
        assert_eq!(std::fs::read(dir.join("previous")).unwrap(), [2]);
        assert_eq!(store.install(&[4; 32], &[4], Some(b"mark"), &|_| true), Ok(true));
        assert_eq!(store.trial(&mut [0; 16]), Ok(Some(&b"mark"[..])));
        assert_eq!(store.install(&[5; 32], &[5], Some(b"again"), &|_| true), Ok(true));
        assert_eq!(
            std::fs::read(dir.join("previous")).unwrap(),
            [3, 99],
            "what is on trial is nothing to go back to"
        );
        assert_eq!(store.back(&|bytes| bytes != [3, 99]), Ok(false), "it is no good");
        assert_eq!(store.trial(&mut [0; 16]), Ok(Some(&b"again"[..])));
        assert_eq!(store.back(&|_| true), Ok(true));
        assert_eq!(std::fs::read(dir.join("current")).unwrap(), [3, 99]);
        assert_eq!(store.trial(&mut [0; 16]), Ok(None));
        assert_eq!(store.install(&[6; 32], &[6], None, &|bytes| bytes != [3, 99]), Ok(true));
        assert_eq!(std::fs::read(dir.join("previous")).unwrap(), [3, 99], "it was `previous` before");
        assert_eq!(store.install(&[7; 32], &[7], None, &|bytes| bytes != [6]), Ok(true));
        assert_eq!(std::fs::read(dir.join("previous")).unwrap(), [3, 99], "6 is no good");
        std::fs::write(dir.join(store.link(c"current").unwrap().unwrap().to_str().unwrap()), [8]).unwrap();
        assert_eq!(store.install(&[7; 32], &[7], None, &|_| true), Ok(true), "it was damaged");
        assert_eq!(std::fs::read(dir.join("current")).unwrap(), [7]);
        let other = Store::open(&path).unwrap();
        assert_eq!(store.lock(Millis(0)), Ok(()));
        assert_eq!(other.lock(Millis(1)), Err(LiveError::timed_out(None)));
        drop(store);
        assert_eq!(other.lock(Millis(0)), Ok(()));
        let store = other;
        let previous = dir.join("previous");
        std::fs::remove_file(&previous).unwrap();
        std::fs::create_dir(&previous).unwrap();
        assert!(store.install(&[9; 32], &[9], Some(b"mark"), &|_| true).is_err(), "no link takes its place");
        let aside = |dir: &std::path::Path| {
            std::fs::read_dir(dir)
                .unwrap()
                .flatten()
                .any(|e| e.path().extension() == Some("new".as_ref()) || e.file_name() == ".new")
        };
        assert!(!aside(&dir) && !aside(&dir.join("images")), "nothing is left beside");
        std::fs::remove_dir(&previous).unwrap();
        assert_eq!(store.forget(), Ok(()));
        assert!(matches!(store.link(c"current"), Ok(None)));
        crate::remove_test_dir(&dir);
    }
}
