// SPDX-License-Identifier: ISC
//! Clocks, and the units in which time is told.

#![allow(unsafe_code)]

use crate::raw::{self, nr};
use rustix::time::ClockId;

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

#[cfg(target_pointer_width = "64")]
const CLOCK_GETTIME: u32 = nr::__NR_clock_gettime;
#[cfg(target_pointer_width = "32")]
const CLOCK_GETTIME: u32 = nr::__NR_clock_gettime64;

/// Seconds and nanoseconds of a clock that every kernel has. By the system call: the kernel's page of user code (vDSO)
/// would be quicker by some 100 ns a look, and finding the function in it takes two kilobytes of code.
fn clock(which: ClockId) -> [i64; 2] {
    let mut spec = [0i64; 2];
    let at = (&raw mut spec).expose_provenance();
    // SAFETY: the kernel writes one `__kernel_timespec`, two 64-bit numbers on every machine; it lives until the call returns.
    let _ = unsafe { raw::syscall6(CLOCK_GETTIME, which as usize, at, 0, 0, 0, 0) };
    // SAFETY: `spec` is ours and initialised; read as memory, since the kernel wrote it behind our back.
    unsafe { (&raw const spec).read_volatile() }
}

/// Nanoseconds of the monotonic clock, which does not run while the machine sleeps.
pub fn monotonic_nanos() -> u64 {
    let [seconds, nanos] = clock(ClockId::Monotonic);
    (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(nanos as u64)
}

/// Now, on the monotonic clock.
pub fn monotonic() -> Millis {
    Millis(monotonic_nanos() / 1_000_000)
}

/// Hundredths of a second since the machine was started, its sleep included, whatever happens to the wall clock: in these the kernel
/// tells when a process was started (`USER_HZ` is 100 on each CPU that we build for; proc(5), `starttime`).
pub fn boot_ticks() -> u64 {
    let [seconds, nanos] = clock(ClockId::Boottime);
    (seconds as u64).wrapping_mul(100).wrapping_add(nanos as u64 / 10_000_000)
}

/// Now, on the wall clock.
pub fn wall() -> Wall {
    let [seconds, nanos] = clock(ClockId::Realtime);
    Wall { seconds, nanos: nanos as u32 }
}

/// Sets the wall clock.
pub fn set_wall(to: Wall) -> crate::Result<()> {
    let spec = rustix::time::Timespec { tv_sec: to.seconds, tv_nsec: to.nanos as _ };
    call!(rustix::time::clock_settime(ClockId::Realtime, spec))
}

/// A point in time as the s6 tools write it: TAI seconds since 1970, offset by 2^62, then nanoseconds; big-endian, so
/// that labels compare as bytes. Source: the TAI64N label. As the s6 tools built in the ordinary way do (Debian's too),
/// UTC + 10 plus the leap seconds since 1972.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tai64n(pub [u8; 12]);

/// What a TAI64 label of the second 1970-01-01 00:00:00 UTC holds.
const TAI64_EPOCH: u64 = (1 << 62) + 10;

/// The first UTC second after each leap second, from 1972 until 2017 (the last one, and no further is announced).
const LEAPS: [u32; 27] = [
    78_796_800,
    94_694_400,
    126_230_400,
    157_766_400,
    189_302_400,
    220_924_800,
    252_460_800,
    283_996_800,
    315_532_800,
    362_793_600,
    394_329_600,
    425_865_600,
    489_024_000,
    567_993_600,
    631_152_000,
    662_688_000,
    709_948_800,
    741_484_800,
    773_020_800,
    820_454_400,
    867_715_200,
    915_148_800,
    1_136_073_600,
    1_230_768_000,
    1_341_100_800,
    1_435_708_800,
    1_483_228_800,
];

impl Tai64n {
    /// This point of the wall clock.
    pub fn new(wall: Wall) -> Self {
        let mut bytes = [0; 12];
        let (seconds, nanos) = bytes.split_at_mut(8);
        let leaps = LEAPS.iter().take_while(|at| i64::from(**at) <= wall.seconds).count() as i64;
        seconds.copy_from_slice(&TAI64_EPOCH.wrapping_add_signed(wall.seconds + leaps).to_be_bytes());
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
        let tai = seconds.wrapping_sub(TAI64_EPOCH) as i64;
        let leaps = (1i64..).zip(&LEAPS).take_while(|(n, at)| i64::from(**at) + n <= tai).count() as i64;
        Wall { seconds: tai - leaps, nanos: u32::from_be_bytes([i, j, k, l]) }
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
        for seconds in [78_796_799, 78_796_800, 1_483_228_799, 1_483_228_800, 1_795_180_468] {
            assert_eq!(Tai64n::new(Wall { seconds, nanos: 7 }).wall(), Wall { seconds, nanos: 7 });
        }
        let stamp = Tai64n::new(Wall { seconds: 1_795_180_468, nanos: 0x055e_3723 });
        assert_eq!(&stamp.label(), b"@400000006b0047d9055e3723");
    }
}
