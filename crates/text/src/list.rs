// SPDX-License-Identifier: ISC
//! Lists of words with a blank between: a table would carry an address and a length for each. Used where a word is looked up.

/// The words of a list.
pub fn words(list: &str) -> impl Iterator<Item = &[u8]> {
    list.as_bytes().split(|b| *b == b' ')
}

/// The place of a word in a list, from 0.
#[inline(never)]
pub fn place(word: &[u8], list: &str) -> Option<usize> {
    words(list).position(|one| one == word)
}

/// As [`place`], in either case.
#[inline(never)]
pub fn place_in_any_case(word: &[u8], list: &str) -> Option<usize> {
    words(list).position(|one| one.eq_ignore_ascii_case(word))
}

/// The word at this place; `?` beyond the end.
#[inline(never)]
pub fn at(list: &str, place: usize) -> &[u8] {
    words(list).nth(place).unwrap_or(b"?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_a_place_and_a_place_a_word() {
        assert_eq!(place(b"b", "a b c"), Some(1));
        assert_eq!(place(b"B", "a b c"), None);
        assert_eq!(place_in_any_case(b"C", "a b c"), Some(2));
        assert_eq!((at("a b c", 2), at("a b c", 3)), (&b"c"[..], &b"?"[..]));
    }
}
