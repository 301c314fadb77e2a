// SPDX-License-Identifier: ISC
//! Where a live directory is: the directory that holds it, and the names beside each other there.

use crate::error::{During, LiveError, Op, What};
use alloc::boxed::Box;
use core::ffi::CStr;
use sys::{AsFd, BorrowedFd, CBuf, Errno, OwnedFd, PATH_ROOM, Path, fs};

/// A file name with its final zero.
pub type Name = CBuf<256>;

/// The live directory's surroundings: `LIVE`, `LIVE:sv` and `LIVE:N` are entries of one directory.
///
/// Limits: the last part of `LIVE` has at most 240 bytes, the whole path at most 1,000.
pub struct Place {
    parent: OwnedFd,
    // Boxed: whoever has a place is moved, and with all of a buffer's room in it that is a large copy.
    name: Box<CStr>,
    path: Box<CStr>,
}

/// Bytes that are kept free behind `LIVE` in a path, for `:sv/ID/NAME`.
const TAIL: usize = 96;

impl Place {
    /// The place of this live directory. The directory that holds it must exist, `LIVE` need not.
    pub fn new(live: &CStr) -> Result<Self, LiveError> {
        let mut bytes = live.to_bytes();
        while let Some(shorter) = bytes.strip_suffix(b"/") {
            bytes = shorter;
        }
        let cut = bytes.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
        let (dir, name) = bytes.split_at_checked(cut).unwrap_or_default();
        if name.is_empty() || name == b"." || name == b".." {
            return Err(LiveError::NOT_LIVE);
        }
        if bytes.len() + TAIL > PATH_ROOM {
            return Err(LiveError::too_long(What::Link));
        }
        let name = CBuf::<244>::from_pieces(&[name]).during(Op::Open, What::Link)?;
        let dir =
            Path::from_pieces(&[if dir.is_empty() { b"." } else { dir }]).during(Op::Open, What::Parent)?;
        let parent = fs::open(sys::CWD, &dir, fs::OFlags::PATH | fs::OFlags::DIRECTORY, 0)
            .during(Op::Open, What::Parent)?;
        let path = Path::from_pieces(&[bytes]).during(Op::Open, What::Link)?;
        Ok(Self { parent, name: Box::from(&*name), path: path.into_boxed() })
    }

    /// The directory that holds `LIVE` and its siblings.
    pub fn parent(&self) -> BorrowedFd<'_> {
        self.parent.as_fd()
    }

    /// The last part of `LIVE`.
    pub fn name(&self) -> &CStr {
        &self.name
    }

    /// `LIVE` as it was given, without slashes at its end.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// The name of the directory of supervised service directories.
    pub fn sv_name(&self) -> Name {
        self.sibling(b":sv")
    }

    /// The name of this generation.
    pub fn generation_name(&self, number: u32) -> Name {
        let mut name = self.sibling(b":");
        let _ = name.push_number(u64::from(number));
        name
    }

    /// A name beside `LIVE`. It fits: the name has at most 243 bytes, a suffix at most 11.
    fn sibling(&self, suffix: &[u8]) -> Name {
        Name::from_pieces(&[self.name.to_bytes(), suffix]).unwrap_or_default()
    }

    /// Which generation a link's target names.
    pub(crate) fn generation_of(&self, target: &[u8]) -> Option<u32> {
        let digits = target.strip_prefix(self.name.to_bytes())?.strip_prefix(b":")?;
        decimal(digits)
    }

    /// The generation that `LIVE` points to. `Absent` where nothing is.
    pub fn current(&self) -> Result<u32, LiveError> {
        let mut buf = [0; 256];
        match fs::readlink(&self.parent, &self.name, &mut buf) {
            Ok(target) => self.generation_of(target).ok_or(LiveError::NOT_LIVE),
            Err(Errno::NOENT) => Err(LiveError::ABSENT),
            Err(Errno::INVAL) => Err(LiveError::NOT_LIVE),
            Err(e) => Err(LiveError::sys(Op::Read, What::Link, e)),
        }
    }

    /// The absolute path of `LIVE:sv/` without symbolic links, which scan directory entries begin with.
    ///
    /// Asked from /proc; where it is not mounted, through the working directory, which this leaves as it was.
    pub fn absolute_sv(&self) -> Result<Path, LiveError> {
        use sys::AsRawFd;
        let mut link = CBuf::<40>::new();
        let _ = link.push(b"/proc/self/fd/").and_then(|l| l.push_number(self.parent.as_raw_fd() as u64));
        let parent = match fs::link_target(sys::CWD, &link) {
            Ok(path) => path,
            Err(_) => self.parent_by_getcwd()?,
        };
        let slash: &[u8] = if parent.as_bytes() == b"/" { b"" } else { b"/" };
        let path = Path::from_pieces(&[parent.as_bytes(), slash, self.name.to_bytes(), b":sv/"])
            .during(Op::Read, What::Parent)?;
        if path.count_bytes() + TAIL > PATH_ROOM {
            return Err(LiveError::too_long(What::Link));
        }
        Ok(path)
    }

    fn parent_by_getcwd(&self) -> Result<Path, LiveError> {
        let here = fs::open(sys::CWD, c".", fs::OFlags::PATH | fs::OFlags::DIRECTORY, 0)
            .during(Op::Open, What::Parent)?;
        fs::fchdir(&self.parent).during(Op::Open, What::Parent)?;
        let mut buf = [0; PATH_ROOM];
        let path = fs::getcwd(&mut buf).map(|p| Path::from_pieces(&[p.to_bytes()]));
        fs::fchdir(&here).during(Op::Open, What::Parent)?;
        path.during(Op::Read, What::Parent)?.during(Op::Read, What::Parent)
    }
}

/// A decimal number without sign or leading zeros that fits 32 bits.
pub(crate) fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 10 || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    digits.iter().try_fold(0u32, |n, d| {
        let digit = d.checked_sub(b'0').filter(|d| *d < 10)?;
        n.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_beside_each_other() {
        let place = Place::new(c"/tmp/live-x//").unwrap();
        assert_eq!(place.path(), c"/tmp/live-x");
        assert_eq!(place.sv_name().as_c(), c"live-x:sv");
        assert_eq!(place.generation_name(7).as_c(), c"live-x:7");
        assert_eq!(place.generation_of(b"live-x:7"), Some(7));
        assert_eq!(place.generation_of(b"live-x:07"), None);
        assert_eq!(place.generation_of(b"live-y:7"), None);
        assert_eq!(place.absolute_sv().unwrap().as_c(), c"/tmp/live-x:sv/");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert!(Place::new(c"/").is_err());
        assert!(Place::new(c"/tmp/..").is_err());
        assert!(Place::new(c"").is_err());
    }
}
