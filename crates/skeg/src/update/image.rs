// SPDX-License-Identifier: ISC
//! Opens an image file for an update: its bytes, and what of it a generation keeps.

use crate::applet::Call;
use crate::manager::corrupt;
use core::ffi::CStr;
use db::Db;
use live::ImageSource;
use sys::mm::MappedFile;
use sys::{AsRawFd, CBuf, OwnedFd, Path, fs};

/// An image file, mapped and checked.
pub struct ImageFile {
    /// The image.
    pub db: Db<'static>,
    /// Its bytes.
    bytes: &'static [u8],
    /// Its absolute path, where it lies on a read-only file system.
    stays: Option<Path>,
}

impl ImageFile {
    /// Maps and checks; else the exit code, after a message.
    pub fn open(call: &Call, path: &CStr) -> Result<Self, u8> {
        let cant = |what: &[u8], errno| call.failed(&[what, path.to_bytes()], errno);
        let file = fs::open_read(sys::CWD, path).map_err(|e| cant(b"open the image ", e))?;
        let size = fs::fstat(&file).map_err(|e| cant(b"look at the image ", e))?.st_size as usize;
        let bytes = MappedFile::new(&file, size).map_err(|e| cant(b"map the image ", e))?.leak();
        let db = Db::check(bytes).map_err(|e| corrupt(call.name, &[path.to_bytes()], e))?;
        let stays = if fs::is_read_only(&file).unwrap_or(false) { real_path(&file) } else { None };
        Ok(Self { db, bytes, stays })
    }

    /// What a generation takes of it: a link where it can't change, else its bytes.
    pub fn source(&self) -> ImageSource<'_> {
        match &self.stays {
            Some(path) => ImageSource::Link(path),
            None => ImageSource::Copy(self.bytes),
        }
    }
}

/// An open file's path without symbolic links, from /proc.
fn real_path(file: &OwnedFd) -> Option<Path> {
    let mut link = CBuf::<40>::new();
    link.push(b"/proc/self/fd/").ok()?.push_number(file.as_raw_fd() as u64).ok()?;
    let mut buf = [0; 4096];
    Path::from_pieces(&[fs::readlink(sys::CWD, &link, &mut buf).ok()?]).ok()
}
