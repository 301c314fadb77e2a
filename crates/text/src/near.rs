// SPDX-License-Identifier: ISC
//! The nearest of some names, for "did you mean". Used where definitions and arguments are read.

/// Longest word that is compared, in bytes; longer ones are near to nothing.
const LONGEST: usize = 63;

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour to get from one to the
/// other; none if more than `most`.
pub fn distance(a: &[u8], b: &[u8], most: usize) -> Option<usize> {
    if a.len() > LONGEST || b.len() > LONGEST || a.len().abs_diff(b.len()) > most {
        return None;
    }
    // Row i holds the distances of a's first i letters to each start of b.
    let (mut before, mut last, mut row) = ([0u8; LONGEST + 1], [0u8; LONGEST + 1], [0u8; LONGEST + 1]);
    for (n, slot) in last.iter_mut().enumerate() {
        *slot = n as u8;
    }
    for (i, x) in a.iter().enumerate() {
        row[0] = i as u8 + 1;
        for (j, y) in b.iter().enumerate().take(LONGEST) {
            let mut least = (last[j] + u8::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                least = least.min(before[j - 1] + 1);
            }
            row[j + 1] = least;
        }
        before = last;
        last = row;
    }
    let found = last.get(b.len()).map_or(usize::MAX, |n| usize::from(*n));
    (found <= most).then_some(found)
}

/// The name that is nearest to `word`, if one is near: one change for each three letters, three at most. Of equally
/// near ones the first.
pub fn nearest<'a>(word: &[u8], names: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let mut most = word.len().div_ceil(3).min(3);
    let mut found = None;
    for name in names {
        if let Some(n) = distance(word, name, most)
            && n > 0
        {
            found = Some(name);
            if n == 1 {
                break;
            }
            most = n - 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_and_neighbours_swapped() {
        assert_eq!(distance(b"netwrok", b"network", 3), Some(1));
        assert_eq!(distance(b"kitten", b"sitting", 3), Some(3));
        assert_eq!(distance(b"abc", b"xyz", 2), None);
        assert_eq!(distance(&[b'a'; 300], &[b'a'; 300], 2), None);
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = [&b"network"[..], b"netmask", b"syslog"];
        assert_eq!(nearest(b"netwrok", names.into_iter()), Some(&b"network"[..]));
        assert_eq!(nearest(b"printer", names.into_iter()), None);
        assert_eq!(nearest(b"a", [&b"b"[..]].into_iter()), Some(&b"b"[..]));
    }
}
