// SPDX-License-Identifier: ISC
//! The fast checksum of a section: 64 bits, against accidents only. Multiply and fold, eight words a step.

/// Odd constants with about half of their bits set: digits of π.
const K: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// The product's high half and low half, together.
#[cfg(not(target_pointer_width = "32"))]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The same, from products that a 32-bit machine has.
#[cfg(target_pointer_width = "32")]
const fn fold(a: u64, b: u64) -> u64 {
    fold_by_halves(a, b)
}

/// [`fold`] from four products of 32 bits.
#[cfg(any(target_pointer_width = "32", test))]
const fn fold_by_halves(a: u64, b: u64) -> u64 {
    const LOW: u64 = 0xffff_ffff;
    let (a1, a0, b1, b0) = (a >> 32, a & LOW, b >> 32, b & LOW);
    let (low, middle1, middle2, high) = (a0 * b0, a1 * b0, a0 * b1, a1 * b1);
    let carry = (low >> 32) + (middle1 & LOW) + (middle2 & LOW);
    let top = high + (middle1 >> 32) + (middle2 >> 32) + (carry >> 32);
    top ^ (carry << 32 | low & LOW)
}

const fn word(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

/// One lane's step: two words of a block.
#[inline(always)]
const fn lane(lane: u64, w: &[[u8; 8]; 8], n: usize) -> u64 {
    fold(word(w[2 * n]) ^ K[n], word(w[2 * n + 1]) ^ lane)
}

/// FNV-1a, 32 bits: for what is short.
#[inline]
pub fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The checksum of these bytes.
pub fn sum(bytes: &[u8]) -> u64 {
    let (blocks, tail) = bytes.as_chunks::<64>();
    let mut last = [0; 64];
    if let Some(start) = last.get_mut(..tail.len()) {
        start.copy_from_slice(tail);
    }
    // Four variables, not an array: they stay in registers, which is twice as fast.
    let [mut a, mut b, mut c, mut d] = K;
    for block in blocks.iter().chain((!tail.is_empty()).then_some(&last)) {
        let w: &[[u8; 8]; 8] = zerocopy::transmute_ref!(block);
        (a, b, c, d) = (lane(a, w, 0), lane(b, w, 1), lane(c, w, 2), lane(d, w, 3));
    }
    let pair = fold(a ^ K[1], b ^ K[2]) ^ fold(c ^ K[3], d ^ K[0]);
    fold(pair ^ K[0], bytes.len() as u64 ^ K[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_fold_agree() {
        let mut x = 1u64;
        for _ in 0..1000 {
            x = x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            assert_eq!(fold(x, !x.rotate_left(17)), fold_by_halves(x, !x.rotate_left(17)));
        }
        assert_eq!(fold(u64::MAX, u64::MAX), fold_by_halves(u64::MAX, u64::MAX));
    }

    #[test]
    fn each_bit_and_each_length_matters() {
        let mut bytes = vec![0u8; 300];
        let zero = sum(&bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum(&bytes), zero, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let mut seen = std::collections::HashSet::new();
        assert!((0..300).all(|n| seen.insert(sum(&bytes[..n]))));
    }
}
