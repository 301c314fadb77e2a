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

/// A point in time as the s6 tools write it: seconds since 1970 in TAI, offset by 2^62, then nanoseconds; big-endian,
/// so that labels compare as bytes. Source: the TAI64N label; TAI is UTC + 10 here, as where no leap seconds are set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tai64n(pub [u8; 12]);

/// What a TAI64 label of the second 1970-01-01 00:00:00 UTC holds.
const TAI64_EPOCH: u64 = (1 << 62) + 10;

impl Tai64n {
    /// This point of the wall clock.
    pub fn new(wall: Wall) -> Self {
        let mut bytes = [0; 12];
        let (seconds, nanos) = bytes.split_at_mut(8);
        seconds.copy_from_slice(&TAI64_EPOCH.wrapping_add_signed(wall.seconds).to_be_bytes());
        nanos.copy_from_slice(&wall.nanos.to_be_bytes());
        Self(bytes)
    }

    /// Now.
    pub fn now() -> Self {
        Self::new(wall())
    }

    /// As the wall clock tells it.
    pub fn wall(self) -> Wall {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.0;
        let seconds = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Wall { seconds: seconds.wrapping_sub(TAI64_EPOCH) as i64, nanos: u32::from_be_bytes([i, j, k, l]) }
    }

    /// The label as text: `@` and 24 hexadecimal digits.
    pub fn label(self) -> [u8; 25] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'@'; 25];
        for (pair, byte) in text[1..].chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_the_s6_tools_write() {
        let stamp = Tai64n::new(Wall { seconds: 0, nanos: 0x1234 });
        assert_eq!(&stamp.label(), b"@400000000000000a00001234");
        assert_eq!(stamp.wall(), Wall { seconds: 0, nanos: 0x1234 });
    }
}
