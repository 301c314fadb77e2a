// SPDX-License-Identifier: ISC
//! A C string on the heap, of just its bytes: a path, an argument. Used by applets for a few of them each: a resident process,
//! which never allocates, and what needs one for each service take a [`CBuf`](crate::CBuf).
//!
//! A buffer with room for the longest path is copied whole with whatever holds it, and a frame with two of them is beyond the
//! reach of a processor's short addresses.

use crate::cbuf::{PATH_ROOM, TooLong};
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

/// A C string of fewer than [`PATH_ROOM`] bytes.
#[derive(Clone, Default)]
pub struct CBox(Box<CStr>);

/// A path as applets have it.
pub type Path = CBox;

impl CBox {
    /// The pieces, one after the other.
    #[inline(never)]
    pub fn from_pieces(pieces: &[&[u8]]) -> Result<Self, TooLong> {
        let len = pieces.iter().fold(0, |len: usize, piece| len.saturating_add(piece.len()));
        if len >= PATH_ROOM {
            return Err(TooLong);
        }
        let mut bytes = Vec::with_capacity(len + 1);
        for piece in pieces {
            bytes.extend_from_slice(piece);
        }
        bytes.push(0);
        CString::from_vec_with_nul(bytes).map(|string| Self(string.into_boxed_c_str())).map_err(|_| TooLong)
    }

    /// The bytes without the final zero.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.to_bytes()
    }

    /// As a C string.
    pub fn as_c(&self) -> &CStr {
        &self.0
    }

    /// As a C string that nobody copies again.
    pub fn into_boxed(self) -> Box<CStr> {
        self.0
    }
}

impl core::ops::Deref for CBox {
    type Target = CStr;
    fn deref(&self) -> &CStr {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_into_a_c_string() {
        let string = CBox::from_pieces(&[b"ab", b"/", b"cd"]).unwrap();
        assert_eq!((string.as_c(), string.as_bytes()), (c"ab/cd", &b"ab/cd"[..]));
        assert_eq!(CBox::from_pieces(&[]).unwrap().as_c(), c"");
        assert_eq!(CBox::default().as_c(), c"");
    }

    #[test]
    fn what_is_no_c_string_is_refused() {
        assert!(CBox::from_pieces(&[&[b'a'; PATH_ROOM - 1]]).is_ok());
        assert!(CBox::from_pieces(&[&[b'a'; PATH_ROOM - 1], b"b"]).is_err());
        assert!(CBox::from_pieces(&[b"a\0b"]).is_err());
        assert!(CBox::from_pieces(&[b"a\0"]).is_err());
        assert_eq!(size_of::<Result<CBox, TooLong>>(), 2 * size_of::<usize>());
    }
}
