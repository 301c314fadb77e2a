// SPDX-License-Identifier: ISC
//! Signatures of images: who may say what a device runs.
//!
//! The root holds a key: 32 bytes, an ed25519 public key (RFC 8032). With it, an image that does not come from the root itself must
//! have a signature behind its last byte: 64 bytes, of all the bytes before them. Used by `skeg install` and by the boot. A binary
//! that was built without the feature `signatures` accepts no image where there is a key: it can't tell.

use core::ffi::CStr;
use sys::{CWD, Errno};

/// Where the root's key lies.
pub const KEY: &CStr = c"/etc/skeg/key";

/// What an image lacks.
pub const MISSING: &[u8] = if cfg!(feature = "signatures") {
    b"it is not signed by the key "
} else {
    b"this skeg was built without signatures, and there is the key "
};

/// A public key.
pub struct Key([u8; 32]);

impl Key {
    /// The key in this file; none where there is no file. One that can't be read, or is no key, fits no signature.
    pub fn read(path: &CStr) -> Option<Self> {
        let mut key = [0; 32];
        match sys::fs::open_read(CWD, path).and_then(|file| sys::fs::read_full(file, &mut key)) {
            Err(Errno::NOENT) => None,
            Ok(32) => Some(Self(key)),
            // All zeros is a point of small order, which no signature is accepted for.
            _ => Some(Self([0; 32])),
        }
    }

    /// Whether the image that these bytes begin with is signed by it. The image has been checked.
    #[cfg(feature = "signatures")]
    pub fn has_signed(&self, bytes: &[u8]) -> bool {
        use ed25519_compact::{PublicKey, Signature};
        // The length that the header says: FORMAT.md.
        let len = bytes.get(12..16).and_then(|len| len.try_into().ok()).map_or(0, u32::from_le_bytes);
        let Some((image, signature)) = bytes.split_at_checked(len as usize) else { return false };
        let key = PublicKey::from_slice(&self.0);
        let signature = Signature::from_slice(signature);
        matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(image, &signature).is_ok())
    }

    /// It can't tell.
    #[cfg(not(feature = "signatures"))]
    pub fn has_signed(&self, _: &[u8]) -> bool {
        let _ = self.0;
        false
    }
}
