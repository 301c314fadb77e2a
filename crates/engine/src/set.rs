// SPDX-License-Identifier: ISC
//! Sets of services, one bit each. Used by the engine and its callers.

use alloc::vec;
use alloc::vec::Vec;

/// A set of service indices below a fixed bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    words: Vec<u32>,
    len: usize,
}

impl Set {
    /// None of `len` services.
    pub fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(32)], len }
    }

    /// How many services it may hold.
    pub const fn bound(&self) -> usize {
        self.len
    }

    /// Whether it holds this one.
    pub fn contains(&self, service: u16) -> bool {
        self.words.get(usize::from(service) / 32).is_some_and(|w| w >> (service % 32) & 1 != 0)
    }

    /// Puts it in; whether it was not there. One beyond the bound is not taken.
    pub fn insert(&mut self, service: u16) -> bool {
        if usize::from(service) >= self.len {
            return false;
        }
        let bit = 1 << (service % 32);
        let Some(word) = self.words.get_mut(usize::from(service) / 32) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes it out; whether it was there.
    pub fn remove(&mut self, service: u16) -> bool {
        let bit = 1 << (service % 32);
        let Some(word) = self.words.get_mut(usize::from(service) / 32) else { return false };
        let had = *word & bit != 0;
        *word &= !bit;
        had
    }

    /// Exactly those that were not in it.
    pub fn invert(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        if !self.len.is_multiple_of(32)
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << (self.len % 32)) - 1;
        }
    }

    /// Adds all of another set.
    pub fn add_all(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// How many it holds.
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// Those in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let mut words = self.words.iter();
        let (mut word, mut after) = (0, 0);
        core::iter::from_fn(move || {
            while word == 0 {
                word = *words.next()?;
                after += 32;
            }
            let bit = word.trailing_zeros();
            word &= word - 1;
            Some((after - 32 + bit) as u16)
        })
    }
}
