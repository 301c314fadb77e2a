// SPDX-License-Identifier: ISC
//! Takes directory trees away, without recursion: one path that grows and shrinks.

use crate::error::{LiveError, Op, What};
use core::ffi::CStr;
use sys::{BorrowedFd, CBuf, Errno, fs};

/// Removes a file, link or whole directory tree below `dir`. Nothing there is no error.
///
/// Limit: paths inside of 4,095 bytes; what lies deeper makes it fail. Links are removed, never followed.
pub fn tree(dir: BorrowedFd<'_>, name: &CStr, what: What) -> Result<(), LiveError> {
    let failed = |errno| LiveError::sys(Op::Remove, what, errno);
    match fs::unlink(dir, name) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(failed(e)),
    }
    let mut path = CBuf::<4096>::from_pieces(&[name.to_bytes()]).map_err(|_| LiveError::too_long(what))?;
    let top = path.len();
    loop {
        // Everything but directories goes; the first directory that is not empty is gone into.
        let here = fs::open(dir, &path, fs::OFlags::RDONLY | fs::OFlags::DIRECTORY | fs::OFlags::NOFOLLOW, 0)
            .map_err(failed)?;
        let mut deeper = false;
        fs::for_each_entry(&here, |entry, _, kind| {
            if deeper {
                return Ok(());
            }
            let is_directory = kind == fs::FileType::Directory;
            match if is_directory { Err(Errno::ISDIR) } else { fs::unlink(&here, entry) } {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::ISDIR | Errno::PERM) => {}
                Err(e) => return Err(failed(e)),
            }
            match fs::rmdir(&here, entry) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    deeper = true;
                    path.push_all(&[b"/", entry.to_bytes()]).map_err(|_| LiveError::too_long(what))?;
                    Ok(())
                }
                Err(e) => Err(failed(e)),
            }
        })?;
        if deeper {
            continue;
        }
        match fs::rmdir(dir, &path) {
            Ok(()) | Err(Errno::NOENT) => {}
            // An entry was missed because the directory changed under the walk: walk it again.
            Err(Errno::NOTEMPTY) => continue,
            Err(e) => return Err(failed(e)),
        }
        if path.len() == top {
            return Ok(());
        }
        let parent = path.as_bytes().iter().rposition(|b| *b == b'/').unwrap_or(top);
        path.truncate(parent);
    }
}
