// SPDX-License-Identifier: ISC
//! Memory as the kernel counts it: a memory control group (processes, kernel, files in memory), and `smaps_rollup`.

use crate::command::Outcome;
use std::path::{Path, PathBuf};

/// A memory control group of our own, of either version.
pub struct Group {
    folder: PathBuf,
    second: bool,
}

impl Group {
    /// A new, empty one; needs root and a memory controller.
    pub fn new() -> Outcome<Self> {
        let top = Path::new("/sys/fs/cgroup");
        let second = top.join("cgroup.controllers").exists();
        let parent = if second { top.to_path_buf() } else { top.join("memory") };
        let folder = parent.join(format!("skeg-bench-{}", std::process::id()));
        let _ = std::fs::remove_dir(&folder);
        std::fs::create_dir(&folder).map_err(|e| format!("a memory group (needs root): {e}"))?;
        let group = Self { folder, second };
        group.used()?;
        Ok(group)
    }

    /// The file that takes members.
    pub fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// KiB in use once what has just ended is really gone: the kernel gives its memory back a little later.
    pub fn settled(&self) -> Outcome<f64> {
        std::thread::sleep(std::time::Duration::from_millis(500));
        self.used()
    }

    /// KiB in use now.
    pub fn used(&self) -> Outcome<f64> {
        self.read(if self.second { "memory.current" } else { "memory.usage_in_bytes" })
    }

    /// The most KiB that were in use since [`Self::reset`].
    pub fn peak(&self) -> Outcome<f64> {
        self.read(if self.second { "memory.peak" } else { "memory.max_usage_in_bytes" })
    }

    /// Starts a new peak, where the kernel can (version 1; version 2 since 6.12).
    pub fn reset(&self) {
        let file = if self.second { "memory.peak" } else { "memory.max_usage_in_bytes" };
        let _ = std::fs::write(self.folder.join(file), "0");
    }

    fn read(&self, file: &str) -> Outcome<f64> {
        let path = self.folder.join(file);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let bytes: f64 = text.trim().parse().map_err(|_| format!("{}: not a number", path.display()))?;
        Ok(bytes / 1024.0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Busy until the last member has been reaped by its parent; then it can go.
        for _ in 0..1000 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

/// KiB of `Anonymous` of these processes together.
pub fn anonymous(pids: &[u32]) -> Outcome<f64> {
    let mut sum = 0.0;
    for pid in pids {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        let number = line.and_then(|line| line.split_whitespace().next()).and_then(|n| n.parse::<f64>().ok());
        sum += number.ok_or_else(|| format!("{path}: has no Anonymous"))?;
    }
    Ok(sum)
}
