// SPDX-License-Identifier: ISC
//! Opens a new image for an update or a comparison: an image file, or a source tree that is compiled in memory.

use crate::applet::{Call, SYSTEM};
use crate::live_words::INVALID;
use crate::manager::corrupt;
use core::ffi::CStr;
use db::Db;
use live::ImageSource;
use sys::mm::MappedFile;
use sys::{AsRawFd, CBuf, OwnedFd, Path, fs};

/// A new image, checked.
pub struct ImageFile {
    /// The image.
    pub db: Db<'static>,
    /// Its bytes.
    bytes: &'static [u8],
    /// Its absolute path, where it lies on a read-only file system.
    stays: Option<Path>,
}

/// `S_IFMT` and `S_IFDIR` of `st_mode`.
const KIND: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;

impl ImageFile {
    /// Maps and checks an image file; else the exit code, after a message.
    #[inline(never)]
    pub fn open(call: &Call, path: &CStr) -> Result<Self, u8> {
        let shown = path.to_bytes();
        let file = fs::open_read(sys::CWD, path).map_err(|e| call.failed("open the image %", shown, e))?;
        let size = fs::fstat(&file).map_err(|e| call.failed("look at the image %", shown, e))?.st_size;
        let mapped = MappedFile::new(&file, size as usize);
        let bytes = mapped.map_err(|e| call.failed("map the image %", shown, e))?.leak();
        let stays = if fs::is_read_only(&file).unwrap_or(false) { open_path(&file).ok() } else { None };
        Self::check(call, path, bytes, stays)
    }

    /// The same, but a directory is a source tree.
    #[inline(never)]
    pub fn open_or_compile(call: &Call, path: &'static CStr) -> Result<Self, u8> {
        let stat = fs::stat(sys::CWD, path).map_err(|e| call.failed("look at %", path.to_bytes(), e))?;
        if stat.st_mode & KIND != DIRECTORY {
            return Self::open(call, path);
        }
        Self::compile(call, &[path], 0)
    }

    /// Compiles source trees in memory, and says what is wrong with them; else the exit code.
    #[inline(never)]
    pub fn compile(call: &Call, stores: &[&'static CStr], verbosity: u32) -> Result<Self, u8> {
        let image = crate::compile::compile(call, stores, false, verbosity, INVALID)?;
        Self::check(call, stores.first().copied().unwrap_or_default(), image.leak(), None)
    }

    fn check(call: &Call, path: &CStr, bytes: &'static [u8], stays: Option<Path>) -> Result<Self, u8> {
        let db = Db::check(bytes).map_err(|e| corrupt(call, "invalid image %: ", path, e))?;
        Ok(Self { db, bytes, stays })
    }

    /// Refuses an image with process settings that can't be applied here; the exit code, after messages.
    pub fn must_fit(&self, call: &Call) -> Result<(), u8> {
        if crate::settings::can_apply(call.name, self.db) { Ok(()) } else { Err(SYSTEM) }
    }

    /// What a generation takes of it: a link where it can't change, else its bytes.
    pub fn source(&self) -> ImageSource<'_> {
        match &self.stays {
            Some(path) => ImageSource::Link(path),
            None => ImageSource::Copy(self.bytes),
        }
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &'static [u8] {
        self.bytes
    }
}

/// An open file's path without symbolic links, from /proc.
fn open_path(file: &OwnedFd) -> sys::Result<Path> {
    let mut link = CBuf::<40>::new();
    let _ = link.push(b"/proc/self/fd/").and_then(|l| l.push_number(file.as_raw_fd() as u64));
    link_target(&link)
}

/// A file's path without symbolic links.
pub fn real_path(path: &CStr) -> sys::Result<Path> {
    open_path(&fs::open_read(sys::CWD, path)?)
}

/// Where a link leads.
pub fn link_target(link: &CStr) -> sys::Result<Path> {
    fs::link_target(sys::CWD, link)
}

/// A path made absolute with the working directory's.
pub fn absolute(path: &CStr) -> sys::Result<Path> {
    let long = |_| sys::Errno::NAMETOOLONG;
    if path.to_bytes().starts_with(b"/") {
        return Path::from_pieces(&[path.to_bytes()]).map_err(long);
    }
    let mut buf = [0; sys::PATH_ROOM];
    let here = fs::getcwd(&mut buf)?;
    Path::from_pieces(&[here.to_bytes(), b"/", path.to_bytes()]).map_err(long)
}
