// SPDX-License-Identifier: ISC
//! Files into memory with as few system calls as there can be: open, read, close; a look at the type only where
//! the directory did not tell it.

use crate::Bytes;
use crate::fault::What;
use alloc::vec::Vec;
use core::ffi::CStr;
use sys::fs::{FileType, OFlags};
use sys::{AsFd, Errno, OwnedFd};

/// Largest file that is taken, in bytes: definitions are small, and an image is kept in memory while it is made.
pub const MAX_FILE: usize = 16 << 20;

/// Bytes of one read: larger than nearly every file of a definition, so that one call is enough.
const ROOM: usize = 32 << 10;

/// The buffer that every file passes through.
pub struct Reader {
    room: Vec<u8>,
}

impl Reader {
    /// With its buffer.
    pub fn new() -> Self {
        Self { room: alloc::vec![0; ROOM] }
    }

    /// The bytes of a regular file. `sure`: the directory says that it is one.
    pub fn file(&mut self, dir: impl AsFd, name: &CStr, sure: bool) -> Result<Bytes, What> {
        self.file_and_mode(dir, name, sure, false).map(|(bytes, _)| bytes)
    }

    /// The same, and the permission bits if `mode` asks for them (else 0).
    pub fn file_and_mode(
        &mut self,
        dir: impl AsFd,
        name: &CStr,
        sure: bool,
        mode: bool,
    ) -> Result<(Bytes, u16), What> {
        // Without waiting: a FIFO in the place of a file must not stop the compiler.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fd = sys::fs::open(dir, name, flags, 0).map_err(What::Read)?;
        let mut bits = 0;
        if !sure || mode {
            let stat = sys::fs::fstat(&fd).map_err(What::Read)?;
            if FileType::from_raw_mode(stat.st_mode as _) != FileType::RegularFile {
                return Err(What::NotFile);
            }
            bits = (stat.st_mode as u32 & 0o7777) as u16;
        }
        Ok((self.all(&fd)?, bits))
    }

    fn all(&mut self, fd: &OwnedFd) -> Result<Bytes, What> {
        let mut bytes = Vec::new();
        loop {
            let n = match sys::fs::read(fd, &mut self.room) {
                Ok(n) => n,
                Err(Errno::INTR) => continue,
                Err(Errno::ISDIR) => return Err(What::NotFile),
                Err(e) => return Err(What::Read(e)),
            };
            bytes.extend_from_slice(self.room.get(..n).unwrap_or_default());
            // A regular file gives less than was asked for only at its end.
            if n < ROOM {
                return Ok(bytes);
            }
            if bytes.len() > MAX_FILE {
                return Err(What::TooLarge);
            }
        }
    }
}

/// The names in a directory, each with a zero after it, and their types; those that begin with a dot left out; sorted.
pub fn entries(dir: impl AsFd) -> Result<Vec<(Bytes, FileType)>, Errno> {
    let mut found: Vec<(Bytes, FileType)> = Vec::new();
    sys::fs::for_each_entry(dir, |name, _, kind| {
        if name.to_bytes().first() != Some(&b'.') {
            found.push((name.to_bytes_with_nul().to_vec(), kind));
        }
        Ok::<_, Errno>(())
    })?;
    db::sort::sort(&mut found, |a, b| a.0 < b.0);
    Ok(found)
}
