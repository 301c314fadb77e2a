// SPDX-License-Identifier: ISC
//! Waiting for a condition, up to a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for what must come; long, since a loaded machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the condition holds; whether it came to hold before the deadline.
pub fn until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Waits until the condition holds, and fails the test when it does not.
#[track_caller]
pub fn must(what: &str, condition: impl FnMut() -> bool) {
    assert!(until(PATIENCE, condition), "did not happen within {PATIENCE:?}: {what}");
}
