// SPDX-License-Identifier: ISC
//! The argument parser: a table of options, and a pull loop that understands the words by it.
//!
//! A table is one text, an option a word: `"l=livedir v#verbosity b/block -j/json -m#max-scripts<256"`. An option begins with
//! its letter, by which the program knows it; a dash before the letter says that it has no short form. `/` follows
//! where it takes no value, `=` where it takes one, `#` where that is a number (`<N` at the end: at most N); then the
//! long name, if it has one.
//!
//! Short options may be joined (`-av`), a value may follow at once or as the next word (`-t500`, `-t 500`), long ones
//! take `--name=value` or `--name value`, `--` ends the options. As the s6 tools do, options end at the
//! first word that is none.
//!
//! A table that begins with a digit and a space, `"1 l=livedir"`, is that of a program with at most so many operands, one
//! that begins with `+` of one with any number. There options are understood behind operands, too, and an operand
//! comes as an option with the letter 0.

use crate::parse_u64;
use core::ffi::CStr;

/// Why an option can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The table does not have it.
    Unknown,
    /// It needs a value, and is the last word.
    MissingValue,
    /// It takes no value, and was given one.
    UnexpectedValue,
    /// Its value is no number.
    NotANumber,
    /// Its value is above [`Args::most`].
    TooLarge,
}

/// The words that are still to be read, and the option that came last.
pub struct Args<I> {
    table: &'static str,
    /// What is left; once [`Self::option`] has given none, the operands.
    pub words: I,
    /// Whether `--` has ended the options of a table with operands.
    ended: bool,
    /// The rest of a cluster of short options.
    cluster: &'static CStr,
    /// The name of the option that came last: a letter, or a long name.
    pub name: &'static [u8],
    /// Whether it was a long one.
    pub is_long: bool,
    /// Its value, where it takes one.
    pub value: &'static CStr,
    /// Its value as a number, where it is one.
    pub number: u32,
    /// What that number may be at most.
    pub most: u32,
}

/// A C string without its first bytes.
fn tail(string: &'static CStr, from: usize) -> &'static CStr {
    let bytes = string.to_bytes_with_nul().get(from..).unwrap_or_default();
    CStr::from_bytes_with_nul(bytes).unwrap_or_default()
}

impl<I: Iterator<Item = &'static CStr> + Clone> Args<I> {
    /// The words after the program's name, to be understood by this table.
    pub const fn new(table: &'static str, words: I) -> Self {
        Self {
            table,
            words,
            ended: false,
            cluster: c"",
            name: b"",
            is_long: false,
            value: c"",
            number: 0,
            most: u32::MAX,
        }
    }

    /// How many operands the table allows; none where options end at the first of them.
    pub fn operands(&self) -> Option<usize> {
        match self.table.as_bytes() {
            [b'+', b' ', ..] => Some(usize::MAX),
            [n @ b'0'..=b'9', b' ', ..] => Some(usize::from(n - b'0')),
            _ => None,
        }
    }

    /// The letter of the next option; none where the operands begin, and then it must not be asked again.
    pub fn option(&mut self) -> Result<Option<u8>, Wrong> {
        let attached = if self.cluster.is_empty() {
            let mut rest = self.words.clone();
            let Some(word) = rest.next() else { return Ok(None) };
            let name = match word.to_bytes() {
                [b'-', b'-', name @ ..] if !self.ended => name,
                [b'-', _, ..] if !self.ended => b"-",
                _ if self.operands().is_none() => return Ok(None),
                _ => {
                    (self.words, self.value) = (rest, word);
                    return Ok(Some(0));
                }
            };
            self.words = rest;
            self.is_long = name != b"-";
            if name.is_empty() {
                if self.operands().is_none() {
                    return Ok(None);
                }
                self.ended = true;
                return self.option();
            }
            if self.is_long {
                self.name = name.split(|b| *b == b'=').next().unwrap_or_default();
                (self.name.len() < name.len()).then(|| tail(word, 2 + self.name.len() + 1))
            } else {
                self.letter(tail(word, 1))
            }
        } else {
            self.letter(self.cluster)
        };
        let (letter, kind) = self.find().ok_or(Wrong::Unknown)?;
        if kind == b'/' {
            return if self.is_long && attached.is_some() {
                Err(Wrong::UnexpectedValue)
            } else {
                Ok(Some(letter))
            };
        }
        self.cluster = c"";
        self.value = attached.or_else(|| self.words.next()).ok_or(Wrong::MissingValue)?;
        if kind == b'#' {
            match parse_u64(self.value.to_bytes()) {
                Ok(n) if n <= u64::from(self.most) => self.number = n as u32,
                Ok(_) | Err(crate::NumberError::TooLarge) => return Err(Wrong::TooLarge),
                Err(_) => return Err(Wrong::NotANumber),
            }
        }
        Ok(Some(letter))
    }

    /// Takes the first letter of a cluster; the rest, where there is one, may be its value.
    fn letter(&mut self, cluster: &'static CStr) -> Option<&'static CStr> {
        self.name = cluster.to_bytes().get(..1).unwrap_or_default();
        self.cluster = tail(cluster, 1);
        Some(self.cluster).filter(|rest| !rest.is_empty())
    }

    /// The letter and the kind of the option that has come, from the table.
    fn find(&mut self) -> Option<(u8, u8)> {
        for entry in self.table.as_bytes().split(|b| *b == b' ') {
            let short = entry.strip_prefix(b"-");
            let [letter, kind, long @ ..] = short.unwrap_or(entry) else { continue };
            let mut parts = long.split(|b| *b == b'<');
            let long = parts.next().unwrap_or_default();
            if self.name == if self.is_long { long } else { core::slice::from_ref(letter) }
                && (self.is_long || short.is_none())
                && !self.name.is_empty()
            {
                let most = parts.next().and_then(|most| parse_u64(most).ok());
                self.most = most.map_or(u32::MAX, |most| most as u32);
                return Some((*letter, *kind));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "l=livedir t#timeout v/verbose a/ -h/help -m#most<256";

    fn args(words: &'static [&'static CStr]) -> Args<impl Iterator<Item = &'static CStr> + Clone> {
        Args::new(TABLE, words.iter().copied())
    }

    #[test]
    fn clusters_values_and_operands() {
        let mut a = args(&[c"-av", c"-t500", c"-l", c"live", c"--", c"-x"]);
        assert_eq!(a.option(), Ok(Some(b'a')));
        assert_eq!(a.option(), Ok(Some(b'v')));
        assert_eq!(a.option(), Ok(Some(b't')));
        assert_eq!((a.value, a.number), (c"500", 500));
        assert_eq!(a.option(), Ok(Some(b'l')));
        assert_eq!(a.value, c"live");
        assert_eq!(a.option(), Ok(None));
        assert_eq!(a.words.collect::<Vec<_>>(), [c"-x"]);
    }

    #[test]
    fn long_options_take_their_value_either_way() {
        let mut a = args(&[c"--livedir=x", c"--timeout", c"5", c"--help", c"-", c"-n"]);
        assert_eq!(a.option(), Ok(Some(b'l')));
        assert_eq!(a.value, c"x");
        assert_eq!(a.option(), Ok(Some(b't')));
        assert_eq!(a.number, 5);
        assert_eq!(a.option(), Ok(Some(b'h')));
        assert_eq!(a.option(), Ok(None));
        assert_eq!(a.words.collect::<Vec<_>>(), [c"-", c"-n"], "options end at the first operand");
    }

    #[test]
    fn options_stand_behind_operands_where_the_table_allows_it() {
        for (table, most) in [("1 l=livedir a/", 1), ("+ l=livedir a/", usize::MAX)] {
            let words: &'static [&'static CStr] = &[c"x", c"-al", c"live", c"-", c"--", c"-a", c"--"];
            let mut a = Args::new(table, words.iter().copied());
            assert_eq!(a.operands(), Some(most));
            assert_eq!((a.option(), a.value), (Ok(Some(0)), c"x"));
            assert_eq!(a.option(), Ok(Some(b'a')));
            assert_eq!((a.option(), a.value), (Ok(Some(b'l')), c"live"));
            for operand in [c"-", c"-a", c"--"] {
                assert_eq!((a.option(), a.value), (Ok(Some(0)), operand));
            }
            assert_eq!(a.option(), Ok(None));
        }
        let words: &'static [&'static CStr] = &[c"x", c"-1"];
        let mut a = Args::new("1 l=livedir", words.iter().copied());
        assert_eq!((a.option(), a.option()), (Ok(Some(0)), Err(Wrong::Unknown)), "the digit is no option");
        assert_eq!(args(&[]).operands(), None);
    }

    #[test]
    fn what_is_wrong_with_an_option_is_told() {
        let wrong = |words| {
            let mut a = args(words);
            (a.option().unwrap_err(), a.name, a.is_long)
        };
        assert_eq!(wrong(&[c"-t"]), (Wrong::MissingValue, &b"t"[..], false));
        assert_eq!(wrong(&[c"--livedir"]), (Wrong::MissingValue, &b"livedir"[..], true));
        assert_eq!(wrong(&[c"--help=yes"]), (Wrong::UnexpectedValue, &b"help"[..], true));
        assert_eq!(wrong(&[c"--help="]), (Wrong::UnexpectedValue, &b"help"[..], true));
        assert_eq!(wrong(&[c"--hel"]), (Wrong::Unknown, &b"hel"[..], true));
        assert_eq!(wrong(&[c"--="]), (Wrong::Unknown, &b""[..], true));
        assert_eq!(wrong(&[c"-h"]), (Wrong::Unknown, &b"h"[..], false));
        assert_eq!(wrong(&[c"-t", c""]), (Wrong::NotANumber, &b"t"[..], false));
        assert_eq!(wrong(&[c"-t-1"]), (Wrong::NotANumber, &b"t"[..], false));
        assert_eq!(wrong(&[c"-t4294967296"]), (Wrong::TooLarge, &b"t"[..], false));
        assert_eq!(wrong(&[c"--most=257"]), (Wrong::TooLarge, &b"most"[..], true));
    }

    #[test]
    fn a_long_name_is_needed_for_a_long_option() {
        let mut a = args(&[c"--", c"-t"]);
        assert_eq!(a.option(), Ok(None));
        let mut a = args(&[c"--a"]);
        assert_eq!(a.option(), Err(Wrong::Unknown));
        let mut a = args(&[c"-a-"]);
        assert_eq!(a.option(), Ok(Some(b'a')));
        assert_eq!(a.option(), Err(Wrong::Unknown));
    }
}
