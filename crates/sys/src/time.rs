// SPDX-License-Identifier: ISC
//! Clocks, and the units in which time is told.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds: a length of time, or a point on the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

/// Seconds and nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds, below a billion.
    pub nanos: u32,
}

/// Nanoseconds of the monotonic clock, which does not run while the machine sleeps.
pub fn monotonic_nanos() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    (t.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec as u64)
}

/// Now, on the monotonic clock.
pub fn monotonic() -> Millis {
    Millis(monotonic_nanos() / 1_000_000)
}

/// Now, on the wall clock.
pub fn wall() -> Wall {
    let t = clock_gettime(ClockId::Realtime);
    Wall { seconds: t.tv_sec, nanos: t.tv_nsec as u32 }
}

/// Sets the wall clock.
pub fn set_wall(to: Wall) -> crate::Result<()> {
    let spec = rustix::time::Timespec { tv_sec: to.seconds, tv_nsec: to.nanos as _ };
    call!(rustix::time::clock_settime(ClockId::Realtime, spec))
}
