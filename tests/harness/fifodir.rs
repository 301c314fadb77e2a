// SPDX-License-Identifier: ISC
//! A listener to a fifodir: what s6's ftrig clients do, written anew from the description of the protocol.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A FIFO in an event directory; its events come as bytes. Removed when it goes out of scope.
pub struct Listener {
    fd: OwnedFd,
    path: PathBuf,
    seen: Vec<u8>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Listener {
    /// Subscribes.
    #[track_caller]
    pub fn new(dir: &Path) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "ftrig1:@{:016x}{:08x}:{:06x}",
            (1u64 << 62) + 37 + now.as_secs(),
            now.subsec_nanos(),
            (u32::from(std::process::id() as u16) << 8 | n & 0xff) & 0xff_ffff
        );
        let (hidden, path) = (dir.join(format!(".{name}")), dir.join(&name));
        let fail = |e: &dyn std::fmt::Display| -> ! { panic!("{}: {e}", path.display()) };
        rustix::fs::mknodat(CWD, &hidden, FileType::Fifo, Mode::from_raw_mode(0o622), 0)
            .unwrap_or_else(|e| fail(&e));
        rustix::fs::chmod(&hidden, Mode::from_raw_mode(0o622)).unwrap_or_else(|e| fail(&e));
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&hidden, flags, Mode::empty()).unwrap_or_else(|e| fail(&e));
        std::fs::rename(&hidden, &path).unwrap_or_else(|e| fail(&e));
        Self { fd, path, seen: Vec::new() }
    }

    fn take(&mut self) {
        let mut buffer = [0u8; 4096];
        while let Ok(n) = rustix::io::read(&self.fd, &mut buffer) {
            if n == 0 {
                break;
            }
            self.seen.extend_from_slice(&buffer[..n]);
        }
    }

    /// All events so far, as text.
    pub fn events(&mut self) -> String {
        self.take();
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Waits until the events so far fulfil the condition; whether they came to.
    pub fn wait(&mut self, patience: Duration, mut condition: impl FnMut(&str) -> bool) -> bool {
        let end = Instant::now() + patience;
        loop {
            if condition(&self.events()) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let _ = poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&left));
        }
    }

    /// Waits until exactly these events have come, in this order; fails the test otherwise. A first `s` counts only
    /// where one is expected: s6-supervise says it a moment after the status that a test waits for.
    #[track_caller]
    pub fn must(&mut self, events: &str) {
        let started = events.starts_with('s');
        let counted = |seen: &str| match seen.strip_prefix('s') {
            Some(rest) if !started => rest.to_owned(),
            _ => seen.to_owned(),
        };
        let came = self.wait(crate::wait::PATIENCE, |seen| counted(seen).len() >= events.len());
        assert!(
            came && counted(&self.events()) == events,
            "events {:?} instead of {events:?}",
            self.events()
        );
    }

    /// Waits until the events hold this sequence somewhere; fails the test otherwise.
    #[track_caller]
    pub fn must_contain(&mut self, events: &str) {
        let came = self.wait(crate::wait::PATIENCE, |seen| seen.contains(events));
        assert!(came, "events {:?} without {events:?}", self.events());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
