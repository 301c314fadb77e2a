// SPDX-License-Identifier: ISC
//! Work on both cores: most of what is run here waits, for a deadline, a guest or one thread of the linker.

use crate::command::Outcome;
use std::sync::Mutex;

/// Jobs that run at a time. Source: the cores of a CI machine; more would hold up the tests that measure time.
const AT_ONCE: usize = 2;

/// Runs all of these, begun in their order, whatever fails; the sentences of those that did.
pub fn side_by_side<J: Send>(
    jobs: impl IntoIterator<Item = J>,
    run: impl Fn(J) -> Outcome + Sync,
) -> Outcome {
    let jobs: Vec<J> = jobs.into_iter().collect();
    let (queue, failed) = (Mutex::new(jobs.into_iter()), Mutex::new(Vec::new()));
    // Each lock is held for one call that does not panic.
    let next = || queue.lock().unwrap_or_else(|e| e.into_inner()).next();
    let work = || {
        while let Some(job) = next() {
            if let Err(e) = run(job) {
                failed.lock().unwrap_or_else(|e| e.into_inner()).push(e);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap_or_else(|e| e.into_inner());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}
