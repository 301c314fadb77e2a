// SPDX-License-Identifier: ISC
//! BLAKE2s without a key, 1 to 32 bytes of output. Source: RFC 7693.
//!
//! Chosen for identities: made for 32-bit machines, under a kilobyte of code, and a real cryptographic hash.

const IV: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The order of the message words, ten rounds of sixteen.
const SIGMA: [[u8; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// A hash under way.
pub struct Blake2s {
    state: [u32; 8],
    block: [u8; 64],
    filled: usize,
    counted: u64,
}

impl Blake2s {
    /// Starts a hash of `length` bytes (1 to 32).
    pub const fn new(length: u8) -> Self {
        let mut state = IV;
        state[0] ^= 0x0101_0000 ^ length as u32;
        Self { state, block: [0; 64], filled: 0, counted: 0 }
    }

    /// Takes these bytes in.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == self.block.len() {
                self.compress(false);
            }
            let room = self.block.get_mut(self.filled..).unwrap_or_default();
            let n = room.len().min(bytes.len());
            if let (Some(to), Some((from, rest))) = (room.get_mut(..n), bytes.split_at_checked(n)) {
                to.copy_from_slice(from);
                bytes = rest;
            }
            self.filled += n;
        }
    }

    /// Takes one byte in.
    pub fn push(&mut self, byte: u8) {
        if self.filled == self.block.len() {
            self.compress(false);
        }
        if let Some(slot) = self.block.get_mut(self.filled) {
            *slot = byte;
        }
        self.filled += 1;
    }

    /// Ends it; of the output the first `length` bytes count.
    pub fn finish(mut self) -> [u8; 32] {
        if let Some(rest) = self.block.get_mut(self.filled..) {
            rest.fill(0);
        }
        self.compress(true);
        zerocopy::transmute!(self.state.map(u32::to_le_bytes))
    }

    fn compress(&mut self, last: bool) {
        self.counted += self.filled as u64;
        self.filled = 0;
        let bytes: &[[u8; 4]; 16] = zerocopy::transmute_ref!(&self.block);
        let m = bytes.map(u32::from_le_bytes);
        let h = self.state;
        let mut v = [
            h[0],
            h[1],
            h[2],
            h[3],
            h[4],
            h[5],
            h[6],
            h[7],
            IV[0],
            IV[1],
            IV[2],
            IV[3],
            IV[4] ^ self.counted as u32,
            IV[5] ^ (self.counted >> 32) as u32,
            if last { !IV[6] } else { IV[6] },
            IV[7],
        ];
        for s in &SIGMA {
            let word = |i: usize| m[usize::from(s[i] & 15)];
            mix::<0, 4, 8, 12>(&mut v, word(0), word(1));
            mix::<1, 5, 9, 13>(&mut v, word(2), word(3));
            mix::<2, 6, 10, 14>(&mut v, word(4), word(5));
            mix::<3, 7, 11, 15>(&mut v, word(6), word(7));
            mix::<0, 5, 10, 15>(&mut v, word(8), word(9));
            mix::<1, 6, 11, 12>(&mut v, word(10), word(11));
            mix::<2, 7, 8, 13>(&mut v, word(12), word(13));
            mix::<3, 4, 9, 14>(&mut v, word(14), word(15));
        }
        for i in 0..8 {
            self.state[i] ^= v[i] ^ v[i + 8];
        }
    }
}

#[inline(always)]
const fn mix<const A: usize, const B: usize, const C: usize, const D: usize>(
    v: &mut [u32; 16],
    x: u32,
    y: u32,
) {
    v[A] = v[A].wrapping_add(v[B]).wrapping_add(x);
    v[D] = (v[D] ^ v[A]).rotate_right(16);
    v[C] = v[C].wrapping_add(v[D]);
    v[B] = (v[B] ^ v[C]).rotate_right(12);
    v[A] = v[A].wrapping_add(v[B]).wrapping_add(y);
    v[D] = (v[D] ^ v[A]).rotate_right(8);
    v[C] = v[C].wrapping_add(v[D]);
    v[B] = (v[B] ^ v[C]).rotate_right(7);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(length: u8, bytes: &[u8]) -> String {
        let mut hash = Blake2s::new(length);
        hash.update(bytes);
        hash.finish()[..usize::from(length)].iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn the_values_of_the_rfc_and_of_the_reference_vectors_come_out() {
        assert_eq!(hex(32, b"abc"), "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
        assert_eq!(hex(32, b""), "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
        assert_eq!(hex(16, b""), "64550d6ffe2c0a01a14aba1eade0200c");
    }

    #[test]
    fn pieces_hash_as_the_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut hash = Blake2s::new(32);
        for piece in bytes.chunks(37) {
            let (first, rest) = piece.split_first().unwrap();
            hash.push(*first);
            hash.update(rest);
        }
        let whole: String = hash.finish().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(whole, hex(32, &bytes));
    }
}
