// SPDX-License-Identifier: ISC
//! Path and name buffers of fixed capacity that always end with a zero byte. Used by everyone who names files.

use core::ffi::CStr;

/// The bytes do not fit, or hold a zero byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// A C string of at most `N - 1` bytes, built in place.
#[derive(Clone)]
pub struct CBuf<const N: usize> {
    /// Invariant: `bytes[len] == 0`, and no zero byte comes before it.
    bytes: [u8; N],
    len: usize,
}

/// A buffer for a whole path: `PATH_MAX` bytes with the final zero.
pub type Path = CBuf<4096>;

impl<const N: usize> CBuf<N> {
    /// The empty string.
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// The pieces, one after the other.
    pub fn from_pieces(pieces: &[&[u8]]) -> core::result::Result<Self, TooLong> {
        let mut buf = Self::new();
        buf.len = join(&mut buf.bytes, pieces).ok_or(TooLong)?;
        Ok(buf)
    }

    /// Appends these bytes; on an error nothing has changed.
    pub fn push(&mut self, piece: &[u8]) -> core::result::Result<&mut Self, TooLong> {
        self.len = append(&mut self.bytes, self.len, piece).ok_or(TooLong)?;
        Ok(self)
    }

    /// Appends a decimal number.
    pub fn push_number(&mut self, n: u64) -> core::result::Result<&mut Self, TooLong> {
        self.len = append_number(&mut self.bytes, self.len, n).ok_or(TooLong)?;
        Ok(self)
    }

    /// Cuts back to the first `len` bytes (a length that [`Self::len`] gave earlier).
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            self.bytes[len] = 0;
        }
    }

    /// Length in bytes, without the final zero.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes without the final zero.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// As a C string.
    pub fn as_c(&self) -> &CStr {
        up_to(&self.bytes, self.len)
    }
}

// What follows is there once, not once for each size.

/// Appends to the first `len` bytes; how many they are then, or none where they do not fit and nothing has changed.
#[inline(never)]
fn append(bytes: &mut [u8], len: usize, piece: &[u8]) -> Option<usize> {
    let end = len.checked_add(piece.len()).filter(|end| *end < bytes.len() && !piece.contains(&0))?;
    bytes.get_mut(len..end)?.copy_from_slice(piece);
    *bytes.get_mut(end)? = 0;
    Some(end)
}

#[inline(never)]
fn append_number(bytes: &mut [u8], len: usize, mut n: u64) -> Option<usize> {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return append(bytes, len, digits.get(at..)?);
        }
    }
}

#[inline(never)]
fn join(bytes: &mut [u8], pieces: &[&[u8]]) -> Option<usize> {
    pieces.iter().try_fold(0, |len, piece| append(bytes, len, piece))
}

/// The first `len` bytes and the zero behind them.
#[inline(never)]
fn up_to(bytes: &[u8], len: usize) -> &CStr {
    bytes.get(..=len).and_then(|b| CStr::from_bytes_with_nul(b).ok()).unwrap_or(c"")
}

impl<const N: usize> Default for CBuf<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> core::ops::Deref for CBuf<N> {
    type Target = CStr;
    fn deref(&self) -> &CStr {
        self.as_c()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_and_stay_terminated() {
        let mut b = CBuf::<8>::from_pieces(&[b"ab", b"/", b"cd"]).unwrap();
        assert_eq!(b.as_c(), c"ab/cd");
        b.truncate(2);
        assert_eq!(b.as_c(), c"ab");
        b.push_number(10_204).unwrap();
        assert_eq!(b.as_c(), c"ab10204");
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut b = CBuf::<4>::from_pieces(&[b"abc"]).unwrap();
        assert!(b.push(b"d").is_err());
        assert_eq!(b.as_c(), c"abc");
        assert!(CBuf::<4>::from_pieces(&[b"a\0"]).is_err());
    }
}
