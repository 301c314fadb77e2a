// SPDX-License-Identifier: ISC
//! A small file system of a test's own, and the ways to use it up.

use crate::scratch::Scratch;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs at `small` in the scratch directory; it goes away with this.
pub struct Mount(pub PathBuf);

impl Mount {
    /// One of this many KiB and 400 inodes; none where that is not allowed.
    pub fn new(scratch: &Scratch, kib: u32) -> Option<Self> {
        let at = scratch.folder("small");
        let size = format!("size={kib}k,nr_inodes=400");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).status();
        mounted.is_ok_and(|s| s.success()).then_some(Self(at))
    }

    /// Nothing can be written any more.
    #[track_caller]
    pub fn make_read_only(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).status();
        assert!(done.is_ok_and(|s| s.success()), "remount");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes until nothing more goes in; the file's removal makes room again.
#[track_caller]
pub fn fill(at: &Path) -> PathBuf {
    let filler = at.join("filler");
    let mut file = std::fs::File::create(&filler).expect("the filler");
    for block in [4096, 1] {
        while file.write_all(&vec![0; block]).is_ok() {}
    }
    filler
}

/// Makes files until there is no inode left; their removal makes room again.
pub fn fill_inodes(at: &Path) -> Vec<PathBuf> {
    let files = (0..).map(|n| at.join(format!("filler{n}")));
    files.take_while(|path| std::fs::File::create(path).is_ok()).collect()
}
