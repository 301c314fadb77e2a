// SPDX-License-Identifier: ISC
//! What source directories look like from outside: a sum of the names, inodes, sizes and times of change of all that a
//! compiler would read in them. Used by `skeg sync --if-changed`, which reads no file.

use alloc::vec::Vec;
use core::ffi::CStr;
use sys::fs::{self, FileType, Stat};
use sys::time::{Millis, wall};
use sys::{CWD, Errno, Path};

/// How deep directories may lie in each other: as deep as the compiler goes.
const DEEPEST: u32 = 32;

/// A look under way.
pub struct Look {
    seen: Vec<u8>,
    /// When something changed last.
    pub newest: Newest,
}

/// Seconds and nanoseconds of the latest change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Newest(u64, u64);

impl Look {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { seen: Vec::new(), newest: Newest(0, 0) }
    }

    /// Adds these bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.seen.extend_from_slice(bytes);
    }

    /// Adds a file by its inode, size and time of change, which moves with everything that can be done to it.
    pub fn stat(&mut self, stat: &Stat) {
        let changed = Newest(stat.st_ctime as _, stat.st_ctime_nsec as _);
        self.newest = self.newest.max(changed);
        let numbers: [u64; 4] = [stat.st_ino as _, stat.st_size as _, changed.0, changed.1];
        for n in numbers {
            self.bytes(&n.to_le_bytes());
        }
    }

    /// Adds everything in a source directory.
    pub fn store(&mut self, path: &CStr) -> sys::Result<()> {
        self.bytes(path.to_bytes_with_nul());
        let mut waiting = alloc::vec![(path.to_bytes().to_vec(), 0)];
        while let Some((path, depth)) = waiting.pop() {
            self.directory(&path, depth, &mut waiting)?;
        }
        Ok(())
    }

    fn directory(&mut self, path: &[u8], depth: u32, waiting: &mut Vec<(Vec<u8>, u32)>) -> sys::Result<()> {
        let dir = fs::open_dir(CWD, &Path::from_pieces(&[path]).map_err(|_| Errno::NAMETOOLONG)?)?;
        fs::for_each_entry(&dir, |name, _, kind| {
            let mut stat = fs::lstat(&dir, name)?;
            self.bytes(name.to_bytes_with_nul());
            self.stat(&stat);
            // The compiler follows the links to a definition and to what is in one, and copies those further below.
            if kind == FileType::Symlink && depth < 2 {
                match fs::stat(&dir, name) {
                    Ok(target) => stat = target,
                    Err(_) => return Ok(()),
                }
                self.stat(&stat);
            }
            let is_directory = FileType::from_raw_mode(stat.st_mode as _) == FileType::Directory;
            // Of a list only the names count, and the directory's own time of change moves with these.
            let is_list = depth == 1 && name.to_bytes().ends_with(b".d");
            if is_directory && !is_list && depth < DEEPEST {
                waiting.push(([path, b"/", name.to_bytes()].concat(), depth + 1));
            }
            Ok(())
        })
    }

    /// The sum of all that was added: against accidents.
    pub fn finish(self) -> [u8; 8] {
        db::sum(&self.seen).to_le_bytes()
    }
}

impl Newest {
    /// Waits until a change would get another time than the latest one has: what is read after this is at least as new as what
    /// was looked at, and what comes after that reading is noticed by the next look.
    pub fn rest(self) {
        /// The coarsest clock of a kernel that stamps files, and that of file systems that keep whole seconds.
        const GRAINS: [u64; 2] = [10, 1_000];
        let grain = GRAINS[usize::from(self.1 == 0)];
        let now = wall();
        let age = (now.seconds as u64)
            .saturating_sub(self.0)
            .saturating_mul(1_000)
            .saturating_add(u64::from(now.nanos / 1_000_000))
            .saturating_sub(self.1 / 1_000_000);
        if age <= grain {
            let _ = sys::event::poll(&mut [], Some(Millis(grain - age + 1)));
        }
    }
}
