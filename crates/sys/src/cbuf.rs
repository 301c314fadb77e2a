// SPDX-License-Identifier: ISC
//! Path and name buffers of fixed capacity that always end with a zero byte. Used by everyone who names files.

#![allow(unsafe_code)]

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

/// Bytes of a [`Path`] with the final zero: a directory of a live directory (some 30 bytes) and the longest path that an image
/// may have in it (1,023) fit. The kernel takes 4,096; a buffer of a page costs each function that has one a probe of the
/// stack, and nobody's paths are so long.
pub const PATH_ROOM: usize = 1152;

/// A buffer for a whole path.
pub type Path = CBuf<PATH_ROOM>;

impl<const N: usize> CBuf<N> {
    /// The empty string.
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// The pieces, one after the other.
    #[inline(always)]
    pub fn from_pieces(pieces: &[&[u8]]) -> core::result::Result<Self, TooLong> {
        let mut buf = Self::new();
        buf.push_all(pieces)?;
        Ok(buf)
    }

    /// Appends these bytes; on an error nothing has changed.
    #[inline(always)]
    pub fn push(&mut self, piece: &[u8]) -> core::result::Result<&mut Self, TooLong> {
        self.push_all(&[piece])
    }

    /// Appends the pieces, one after the other; on an error nothing has changed.
    #[inline(always)]
    pub fn push_all(&mut self, pieces: &[&[u8]]) -> core::result::Result<&mut Self, TooLong> {
        self.len = append(&mut self.bytes, self.len, pieces).ok_or(TooLong)?;
        Ok(self)
    }

    /// Appends a decimal number.
    #[inline(always)]
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
    #[inline(always)]
    pub fn as_c(&self) -> &CStr {
        let whole = self.bytes.get(..=self.len).unwrap_or(&[0]);
        // SAFETY: by the invariant the last of these bytes is zero and no other is; one zero byte is the empty string.
        unsafe { CStr::from_bytes_with_nul_unchecked(whole) }
    }
}

/// Puts pieces behind the first `len` bytes of a buffer, and a zero byte behind them; the new length. None: they do not fit,
/// or hold a zero byte, and the string is as it was. One function for buffers of every size.
#[inline(never)]
fn append(bytes: &mut [u8], len: usize, pieces: &[&[u8]]) -> Option<usize> {
    let mut end = len;
    for piece in pieces {
        let after = end.checked_add(piece.len())?;
        // One byte more, since the zero must fit as well.
        let room = if after < bytes.len() && !piece.contains(&0) { bytes.get_mut(end..after) } else { None };
        let Some(room) = room else {
            *bytes.get_mut(len)? = 0;
            return None;
        };
        room.copy_from_slice(piece);
        end = after;
    }
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
            return append(bytes, len, &[digits.get(at..).unwrap_or_default()]);
        }
    }
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
        assert!(b.push_number(7).is_err());
        assert_eq!(b.as_c(), c"abc");
        assert!(CBuf::<4>::from_pieces(&[b"a\0"]).is_err());
        let mut b = CBuf::<6>::from_pieces(&[b"ab"]).unwrap();
        assert!(b.push_all(&[b"cd", b"e\0"]).is_err());
        assert_eq!((b.as_c(), b.len()), (c"ab", 2));
    }
}
