// SPDX-License-Identifier: ISC
//! Path and name buffers of fixed capacity that always end with a zero byte. Used by everyone who names files.

#![allow(unsafe_code)]

use core::ffi::CStr;

/// The bytes do not fit, or hold a zero byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// A C string of at most `N - 1` bytes, built in place.
#[derive(Clone)]
pub struct CBuf<const N: usize>(Content<[u8; N]>);

/// What a buffer holds: `T` is an array, and a slice in the functions that are there once for buffers of every size.
#[derive(Clone)]
struct Content<T: ?Sized> {
    /// Invariant: below the number of `bytes`; `bytes[len] == 0`, and no zero byte comes before it.
    len: usize,
    bytes: T,
}

/// Bytes of a path with the final zero: a directory of a live directory (some 30 bytes) and the longest path that an image
/// may have in it (1,023) fit. The kernel takes 4,096; a buffer of a page costs each function that has one a probe of the
/// stack, and nobody's paths are so long.
pub const PATH_ROOM: usize = 1152;

/// A buffer for a whole path: for resident processes, and where there is a path for each service, since what
/// [`Path`](crate::Path) takes is never given back.
pub type PathBuffer = CBuf<PATH_ROOM>;

impl<const N: usize> CBuf<N> {
    /// The empty string.
    pub const fn new() -> Self {
        const { assert!(N > 0, "no room for the final zero") };
        Self(Content { len: 0, bytes: [0; N] })
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
        if self.content().append(pieces) { Ok(self) } else { Err(TooLong) }
    }

    /// Appends a decimal number.
    #[inline(always)]
    pub fn push_number(&mut self, n: u64) -> core::result::Result<&mut Self, TooLong> {
        if self.content().append_number(n) { Ok(self) } else { Err(TooLong) }
    }

    /// Cuts back to the first `len` bytes (a length that [`Self::len`] gave earlier).
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.content().end_at(len);
        }
    }

    const fn content(&mut self) -> &mut Content<[u8]> {
        &mut self.0
    }

    /// Length in bytes, without the final zero.
    pub const fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes without the final zero.
    pub fn as_bytes(&self) -> &[u8] {
        self.as_c().to_bytes()
    }

    /// As a C string.
    #[inline(always)]
    pub fn as_c(&self) -> &CStr {
        // SAFETY: by the invariant the length is below that of the array.
        let whole = unsafe { self.0.bytes.get_unchecked(..=self.0.len) };
        // SAFETY: by the invariant the last of these bytes is zero and no other is.
        unsafe { CStr::from_bytes_with_nul_unchecked(whole) }
    }
}

impl Content<[u8]> {
    /// Puts the final zero at `len`, below which there is none; false, and nothing has changed, where there is no room for it.
    fn end_at(&mut self, len: usize) -> bool {
        let Some(end) = self.bytes.get_mut(len) else { return false };
        *end = 0;
        self.len = len;
        true
    }

    /// Appends pieces, with a zero byte behind them. False: they do not fit, or hold a zero byte, and the string is as it was.
    #[inline(never)]
    fn append(&mut self, pieces: &[&[u8]]) -> bool {
        let mut end = self.len;
        for piece in pieces {
            let after = end.saturating_add(piece.len());
            // One byte more, since the zero must fit as well.
            let fits = after < self.bytes.len() && !piece.contains(&0);
            let Some(room) = self.bytes.get_mut(end..after).filter(|_| fits) else {
                self.end_at(self.len);
                return false;
            };
            room.copy_from_slice(piece);
            end = after;
        }
        self.end_at(end)
    }

    #[inline(never)]
    fn append_number(&mut self, mut n: u64) -> bool {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                return self.append(&[digits.get(at..).unwrap_or_default()]);
            }
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
