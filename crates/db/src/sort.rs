// SPDX-License-Identifier: ISC
//! Sorting in few bytes of code: the standard library's sorts cost 3 KiB for each type that is sorted.
//!
//! Lists here are short or are sorted once: a merge sort over numbers does the work for every type.

use alloc::vec::Vec;

/// Up to how many elements are sorted where they lie.
const FEW: usize = 16;

/// The numbers below `count` in the order that `less` gives them. Equal ones keep their order.
pub fn order(count: usize, less: &mut dyn FnMut(usize, usize) -> bool) -> Vec<u32> {
    let mut from: Vec<u32> = (0..count as u32).collect();
    let mut to = from.clone();
    let mut width = 1;
    while width < count {
        for (from, to) in from.chunks(2 * width).zip(to.chunks_mut(2 * width)) {
            merge(from.split_at_checked(width).unwrap_or((from, &[])), to, less);
        }
        core::mem::swap(&mut from, &mut to);
        width *= 2;
    }
    from
}

/// Two halves that are in order into one.
fn merge(
    (mut left, mut right): (&[u32], &[u32]),
    to: &mut [u32],
    less: &mut dyn FnMut(usize, usize) -> bool,
) {
    let mut less = |a: Option<&u32>, b: Option<&u32>| matches!((a, b), (Some(a), Some(b)) if less(*a as usize, *b as usize));
    // Halves that follow each other, whichever comes first, are only copied: a list that is sorted, or sorted the other way
    // round, takes two looks at each element.
    let reversed = less(right.last(), left.first());
    if reversed {
        (left, right) = (right, left);
    }
    let mixed = !reversed && less(right.first(), left.last());
    for slot in to {
        let second = left.is_empty() || mixed && less(right.first(), left.first());
        let side = if second { &mut right } else { &mut left };
        if let Some((first, rest)) = side.split_first() {
            (*slot, *side) = (*first, rest);
        }
    }
}

/// A list as the algorithm sees it: nothing of what its elements are.
trait List {
    fn less(&mut self, a: usize, b: usize) -> bool;
    fn swap(&mut self, a: usize, b: usize);
}

struct Of<'a, T, F>(&'a mut [T], F);

impl<T, F: FnMut(&T, &T) -> bool> List for Of<'_, T, F> {
    fn less(&mut self, a: usize, b: usize) -> bool {
        matches!((self.0.get(a), self.0.get(b)), (Some(a), Some(b)) if (self.1)(a, b))
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.0.swap(a, b);
    }
}

/// Sorts a list. Equal elements keep their order.
pub fn sort<T>(list: &mut [T], less: impl FnMut(&T, &T) -> bool) {
    let len = list.len();
    sort_list(&mut Of(list, less), len);
}

#[inline(never)]
fn sort_list(list: &mut dyn List, len: usize) {
    if len <= FEW {
        for end in 1..len {
            let mut at = end;
            while at > 0 && list.less(at, at - 1) {
                list.swap(at - 1, at);
                at -= 1;
            }
        }
        return;
    }
    let order = order(len, &mut |a, b| list.less(a, b));
    // Where each element must go, then swaps until each is there: every swap brings one home.
    let mut goes = alloc::vec![0u32; order.len()];
    for (to, from) in order.iter().enumerate() {
        if let Some(slot) = goes.get_mut(*from as usize) {
            *slot = to as u32;
        }
    }
    for at in 0..goes.len() {
        while let Some(to) = goes.get(at).map(|to| *to as usize).filter(|to| *to != at) {
            list.swap(at, to);
            goes.swap(at, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sorted_takes_few_looks_either_way() {
        for turned in [false, true] {
            let mut looks = 0;
            let place = |n: usize| if turned { 1000 - n } else { n };
            let order = order(1000, &mut |a, b| {
                looks += 1;
                place(a) < place(b)
            });
            assert!(order.iter().enumerate().all(|(n, o)| *o as usize == if turned { 999 - n } else { n }));
            assert!(looks <= 2000, "{looks}");
        }
    }

    #[test]
    fn every_length_is_sorted_and_equal_elements_keep_their_order() {
        let mut x = 1u32;
        for length in 0..200 {
            let mut list: Vec<(u32, usize)> = (0..length)
                .map(|n| {
                    x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (x >> 27, n)
                })
                .collect();
            let mut expected = list.clone();
            expected.sort();
            sort(&mut list, |a, b| a.0 < b.0);
            assert_eq!(list, expected);
        }
    }
}
