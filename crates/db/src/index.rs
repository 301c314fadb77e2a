// SPDX-License-Identifier: ISC
//! Finds numbers by names: an open table of the numbers alone, the names lie with whoever asks.
//!
//! Read by the encoder for paths and by `compile` for names. Not for names from an adversary: many with the same hash are
//! found as slowly as in a list.

use alloc::vec::Vec;

/// Which number belongs to which name.
pub struct Index {
    /// A number and one, 0 = free. A power of two of them, at least half of them free.
    slots: Vec<u32>,
}

impl Index {
    /// An empty one, for at most so many names.
    pub fn new(most: usize) -> Self {
        Self { slots: alloc::vec![0; (2 * most + 1).next_power_of_two()] }
    }

    /// The slot of a name: the one whose number `is` it, else the one where it belongs.
    #[inline(never)]
    fn slot(&self, name: &[u8], is: &dyn Fn(u32) -> bool) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = crate::fnv(name) as usize & mask;
        // Ends at a free slot at the latest: there is one.
        while let Some(number) = self.slots.get(at).and_then(|slot| slot.checked_sub(1)) {
            if is(number) {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    /// The number of a name: `is` tells whether a number is that of this name.
    pub fn find(&self, name: &[u8], is: &dyn Fn(u32) -> bool) -> Option<u32> {
        self.slots.get(self.slot(name, is))?.checked_sub(1)
    }

    /// Puts a name that is not there, with a number below 2³² - 1.
    pub fn put(&mut self, name: &[u8], number: u32) {
        let at = self.slot(name, &|_| false);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = number.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_number_and_others_have_none() {
        let names: Vec<String> = (0..500).map(|n| format!("service-{}", n * n)).collect();
        let mut index = Index::new(names.len());
        let is = |name: &str| {
            let name = name.to_owned();
            let names = &names;
            move |number: u32| names[number as usize] == name
        };
        for (number, name) in names.iter().enumerate() {
            assert_eq!(index.find(name.as_bytes(), &is(name)), None);
            index.put(name.as_bytes(), number as u32);
            assert_eq!(index.find(name.as_bytes(), &is(name)), Some(number as u32));
        }
        assert_eq!(index.find(b"service-2", &is("service-2")), None);
        assert_eq!(Index::new(0).find(b"", &|_| true), None);
    }
}
