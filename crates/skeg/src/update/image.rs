// SPDX-License-Identifier: ISC
//! Opens a new image for an update or a comparison: an image file, or a source tree that is compiled in memory.

use crate::applet::{Call, SYSTEM};
use crate::live_words::INVALID;
use crate::manager::corrupt;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;
use db::Db;
use live::ImageSource;
use source::What;
use sys::fs::{FileType, OFlags, Stat};
use sys::mm::MappedFile;
use sys::{AsRawFd, CBuf, Errno, OwnedFd, Path, fs};

/// A new image, checked.
pub struct ImageFile {
    /// The image.
    pub db: Db<'static>,
    /// Its bytes.
    bytes: &'static [u8],
    /// Its absolute path, where it lies on a read-only file system.
    stays: Option<Box<CStr>>,
    /// Whether it was compiled just now, and so lies nowhere.
    pub compiled: bool,
    /// The stores that hold no definition, of those that it was compiled from.
    pub empty: Vec<Vec<u8>>,
}

impl ImageFile {
    /// Maps and checks an image file; else the exit code, after a message.
    #[inline(never)]
    pub fn open(call: &Call, path: &CStr) -> Result<Self, u8> {
        let (file, bytes) = map_image(call, path)?;
        let stays = if fs::is_read_only(&file).unwrap_or(false) {
            open_path(&file).ok().map(|path| Box::from(&*path))
        } else {
            None
        };
        Self::check(call, path, bytes, stays)
    }

    /// The same, but a directory is a source tree.
    #[inline(never)]
    pub fn open_or_compile(call: &Call, path: &'static CStr) -> Result<Self, u8> {
        let stat = fs::stat(sys::CWD, path).map_err(|e| call.failed(t!("look at %"), path.to_bytes(), e))?;
        if kind(&stat) != FileType::Directory {
            return Self::open(call, path);
        }
        Self::compile(call, &[path], 0)
    }

    /// Compiles source trees in memory, and says what is wrong with them; else the exit code.
    #[inline(never)]
    pub fn compile(call: &Call, stores: &[&'static CStr], verbosity: u32) -> Result<Self, u8> {
        let (image, faults) = crate::compile::compile(call, stores, false, verbosity, INVALID)?;
        let file = Self::check(call, stores.first().copied().unwrap_or_default(), image.leak(), None)?;
        let empty = faults.into_iter().filter(|fault| fault.what == What::EmptySource);
        Ok(Self { compiled: true, empty: empty.map(|fault| fault.source).collect(), ..file })
    }

    fn check(call: &Call, path: &CStr, bytes: &'static [u8], stays: Option<Box<CStr>>) -> Result<Self, u8> {
        let db = Db::check(bytes).map_err(|e| {
            let code = corrupt(call, "invalid image %: ", path, e);
            if e == db::Corrupt::Magic { no_image(call) } else { code }
        })?;
        Ok(Self { db, bytes, stays, compiled: false, empty: Vec::new() })
    }

    /// Refuses an image with process settings that can't be applied here; the exit code, after messages.
    pub fn must_fit(&self, call: &Call) -> Result<(), u8> {
        if crate::settings::can_apply(call.name, self.db) { Ok(()) } else { Err(SYSTEM) }
    }

    /// Refuses an image that defines nothing in the place of one that does, unless `--empty` says that this is meant: more often it
    /// is a tree that is not mounted, or half installed. The exit code, after a message.
    pub fn must_define(&self, call: &Call, path: &CStr, old: &Db<'_>) -> Result<(), u8> {
        if call.has(b'E') || defines(&self.db) || !defines(old) {
            return Ok(());
        }
        let what = t!(
            "% defines no service, so all would stop: nothing is changed (--empty says that this is meant)"
        );
        Err(call.fail(INVALID, what, path.to_bytes()))
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

/// Whether an image has a service that is not one of the compiler's own.
pub fn defines(db: &Db<'_>) -> bool {
    db.services().any(|id| !db.flags(id).has(db::Flags::INTERNAL))
}

/// The exit code where something is no image at all: the reference can't lock it for an update; its init finds an invalid
/// database.
fn no_image(call: &Call) -> u8 {
    if matches!(call.name, b"s6-rc-update" | b"s6-rc-format-upgrade") { SYSTEM } else { INVALID }
}

/// Maps the image file at a path, for as long as the process lives; an empty one is an image that is cut short.
#[inline(never)]
pub fn map_image(call: &Call, path: &CStr) -> Result<(OwnedFd, &'static [u8]), u8> {
    const DOING: crate::words::Text = t!("open the image %");
    let (file, stat) = open_any(call, DOING, path)?;
    if kind(&stat) == FileType::Directory {
        let what =
            t!("% is a directory: a database that s6-rc compiled? skeg compiles the source into one file");
        return Err(call.fail(no_image(call), what, path.to_bytes()));
    }
    must_be_regular(call, DOING, path, &stat)?;
    let size = stat.st_size as usize;
    if size == 0 {
        return Ok((file, b""));
    }
    let mapped = MappedFile::new(&file, size);
    let bytes = mapped.map_err(|e| call.failed(t!("map the image %"), path.to_bytes(), e))?.leak();
    Ok((file, bytes))
}

/// What kind of file this is.
pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode as _)
}

/// Opens a file to read it, without waiting, and with its size; else the exit code, after a message that says what `doing` was
/// about. Only a regular one: a FIFO would have a reader wait for ever, and a device has no size.
#[inline(never)]
pub fn open_regular(call: &Call, doing: crate::words::Text, path: &CStr) -> Result<(OwnedFd, usize), u8> {
    let (file, stat) = open_any(call, doing, path)?;
    must_be_regular(call, doing, path, &stat)?;
    Ok((file, stat.st_size as usize))
}

fn open_any(call: &Call, doing: crate::words::Text, path: &CStr) -> Result<(OwnedFd, Stat), u8> {
    let failed = |e| call.failed(doing, path.to_bytes(), e);
    let file = fs::open(sys::CWD, path, OFlags::RDONLY | OFlags::NONBLOCK, 0).map_err(failed)?;
    let stat = fs::fstat(&file).map_err(failed)?;
    Ok((file, stat))
}

fn must_be_regular(call: &Call, doing: crate::words::Text, path: &CStr, stat: &Stat) -> Result<(), u8> {
    match kind(stat) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(call.failed(doing, path.to_bytes(), Errno::ISDIR)),
        _ => Err(call.fail(SYSTEM, t!("% is no regular file"), path.to_bytes())),
    }
}

/// Where a file goes that is written to this path: to the end of its symbolic links. What is there, if anything.
pub fn follow(path: &CStr) -> sys::Result<(Path, Option<Stat>)> {
    let mut place = absolute(path)?;
    // As many as the kernel follows.
    for _ in 0..40 {
        let stat = match fs::lstat(sys::CWD, &place) {
            Err(Errno::NOENT) => return Ok((place, None)),
            other => other?,
        };
        if kind(&stat) != FileType::Symlink {
            return Ok((place, Some(stat)));
        }
        let target = link_target(&place)?;
        let cut = match target.as_bytes() {
            [b'/', ..] => 0,
            _ => place.as_bytes().iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1),
        };
        let parent = place.as_bytes().get(..cut).unwrap_or_default();
        place = Path::from_pieces(&[parent, target.as_bytes()]).map_err(|_| Errno::NAMETOOLONG)?;
    }
    Err(Errno::LOOP)
}

/// The same for a file that is about to be replaced: refused, after a message, where something else than a regular file is.
#[inline(never)]
pub fn output(call: &Call, path: &CStr) -> Result<(Path, Option<Stat>), u8> {
    const DOING: crate::words::Text = t!("write %");
    let (place, stat) = follow(path).map_err(|e| call.failed(DOING, path.to_bytes(), e))?;
    if let Some(stat) = &stat {
        must_be_regular(call, DOING, path, stat)?;
    }
    Ok((place, stat))
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
