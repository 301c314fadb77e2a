// SPDX-License-Identifier: ISC
//! A plan that was saved to be performed later: what it was made from, and what it does. Used by `skeg plan` and `apply`.
//!
//! The rules that make a plan always give the same one from the same images, states and conversion file; the file holds
//! these, by hash where they are large, and the services that stop and start, so that nothing else can come of it.

use crate::journal::{Set, Side};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What the file begins with; the last byte is the layout's version.
const MAGIC: [u8; 8] = *b"skegpl\0\x02";
/// A plan is never larger: two images of 8,192 services, and a conversion file.
const MOST: usize = 1024 * 1024;

/// A plan in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The generation and image in force when it was made.
    pub old: Side,
    /// What was up then.
    pub old_up: Set,
    /// What was down and owed then.
    pub owed: Set,
    /// The longruns that their supervisors wanted up then.
    pub supervised: Set,
    /// The hash of the new image.
    #[serde(with = "crate::journal::hash")]
    pub new: [u8; 32],
    /// Where the new image is: an absolute path.
    pub path: Vec<u8>,
    /// The conversion file's bytes.
    pub conversion: Vec<u8>,
    /// What stops, of the old image.
    pub stop: Set,
    /// What starts, of the new image.
    pub start: Set,
}

impl Saved {
    /// The file's bytes; none where it would be too large.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        bytes.resize(MAGIC.len() + MOST, 0);
        let used = postcard::to_slice(self, bytes.get_mut(MAGIC.len()..)?).ok()?.len();
        bytes.truncate(MAGIC.len() + used);
        Some(bytes)
    }

    /// A plan from a file's bytes; none where they are no plan.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (plan, rest) = postcard::take_from_bytes(bytes.strip_prefix(&MAGIC)?).ok()?;
        if rest.is_empty() { Some(plan) } else { None }
    }

    /// Whether a file that begins so is a plan.
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back() {
        let saved = Saved {
            old: Side { generation: 3, hash: [1; 32] },
            old_up: Set(vec![3]),
            owed: Set(vec![4]),
            supervised: Set(vec![3]),
            new: [2; 32],
            path: b"/new.img".to_vec(),
            conversion: b"a -> b\n".to_vec(),
            stop: Set(vec![1]),
            start: Set(vec![]),
        };
        let bytes = saved.encode().unwrap();
        assert!(Saved::is_one(&bytes));
        assert_eq!(Saved::decode(&bytes), Some(saved));
        assert_eq!(Saved::decode(&bytes[..bytes.len() - 3]), None);
        assert_eq!(Saved::decode(&[&bytes[..], &bytes].concat()), None);
        assert_eq!(Saved::decode(b"skegpl"), None);
    }
}
