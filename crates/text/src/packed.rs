// SPDX-License-Identifier: ISC
//! Texts packed when the program is built, to a third of their bytes: unpacked when one of them is asked for.
//!
//! The packed bytes are a row of bits, the highest of each byte first. A 0 and seven bits are a character. A 1 is a
//! repetition: how far back it begins, then how long it is. Both are at least 1 and two, and come as numbers in Elias's gamma code
//! (as many zeros as the number has bits behind its highest one, then the number): the distance less one is cut
//! into its low [`NEAR`] bits, which follow as they are, and the rest, in gamma code with one added; the length less one
//! is in gamma code. Used by the binary, and by its build script, which packs.

/// Low bits of a distance.
pub const NEAR: u32 = 9;

/// Bits that are still to be read; zeros without end after the last.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn number(&mut self, bits: u32) -> usize {
        let mut n = 0;
        for _ in 0..bits {
            let byte = self.bytes.get(self.at / 8).copied().unwrap_or(0);
            n = n << 1 | usize::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        n
    }

    fn gamma(&mut self) -> usize {
        let mut zeros = 0;
        while zeros < 24 && self.number(1) == 0 {
            zeros += 1;
        }
        1 << zeros | self.number(zeros)
    }
}

/// Fills `out` with the first bytes of what was packed.
pub fn unpack(packed: &[u8], out: &mut [u8]) {
    let (mut bits, mut end) = (Bits { bytes: packed, at: 0 }, 0);
    while end < out.len() {
        let (mut from, mut length) = (end, 1);
        let character = if bits.number(1) == 0 {
            Some(bits.number(7) as u8)
        } else {
            let far = bits.gamma() - 1;
            from = end.saturating_sub(((far << NEAR) | bits.number(NEAR)) + 1);
            length = bits.gamma() + 1;
            None
        };
        while length > 0 && end < out.len() {
            out[end] = character.unwrap_or(out[from]);
            (from, end, length) = (from + 1, end + 1, length - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_and_repetitions() {
        // a, b, then six characters from two back: 0 1100001, 0 1100010, 1 1 000000001 00101
        let packed = [0b0110_0001, 0b0110_0010, 0b1100_0000, 0b0010_0101];
        let mut out = [0; 8];
        unpack(&packed, &mut out);
        assert_eq!(&out, b"abababab");
    }

    #[test]
    fn whatever_the_bytes_are_it_ends() {
        let mut out = [0; 100];
        for seed in 0..=255u8 {
            let bytes: Vec<u8> = (0..64).map(|n| seed.wrapping_mul(n).wrapping_add(seed ^ n)).collect();
            unpack(&bytes, &mut out);
        }
        unpack(b"", &mut out);
    }
}
