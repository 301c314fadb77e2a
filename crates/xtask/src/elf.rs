// SPDX-License-Identifier: ISC
//! Reads just enough of an ELF file to size a program by crate, and to strip it. Used by dist and sizes.
//!
//! Little-endian files of both word sizes. Our own programs only, but nothing here trusts an offset.

use crate::command::Outcome;
use std::collections::BTreeMap;

/// An ELF file in memory.
pub struct Elf<'a> {
    bytes: &'a [u8],
    wide: bool,
}

/// A section header's facts.
struct Section {
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
}

/// What a symbol is and how much of the file it takes.
pub struct Symbol {
    /// The linker's name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Whether it is in memory only (`.bss`).
    pub zero: bool,
}

const SYMTAB: u32 = 2;
const NOBITS: u32 = 8;
const ALLOC: u64 = 2;

impl<'a> Elf<'a> {
    /// A little-endian ELF file, else none.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let wide = match bytes.get(..6)? {
            [0x7f, b'E', b'L', b'F', 1, 1] => false,
            [0x7f, b'E', b'L', b'F', 2, 1] => true,
            _ => return None,
        };
        Some(Self { bytes, wide })
    }

    fn number(&self, at: usize, len: usize) -> Option<u64> {
        let field = self.bytes.get(at..at.checked_add(len)?)?;
        Some(field.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// A field at one of two offsets, of one of two lengths, for 32 and 64 bits.
    fn field(&self, base: usize, narrow: (usize, usize), wide: (usize, usize)) -> Option<u64> {
        let (at, len) = if self.wide { wide } else { narrow };
        self.number(base.checked_add(at)?, len)
    }

    fn section(&self, index: u64) -> Option<Section> {
        let table = self.field(0, (32, 4), (40, 8))?;
        let count = self.field(0, (48, 2), (60, 2))?;
        let entry = self.field(0, (46, 2), (58, 2))?;
        if index >= count {
            return None;
        }
        let at = usize::try_from(table + index * entry).ok()?;
        Some(Section {
            kind: self.number(at + 4, 4)? as u32,
            flags: self.field(at, (8, 4), (8, 8))?,
            offset: self.field(at, (16, 4), (24, 8))?,
            size: self.field(at, (20, 4), (32, 8))?,
            link: self.field(at, (24, 4), (40, 4))? as u32,
        })
    }

    fn sections(&self) -> impl Iterator<Item = Section> + '_ {
        (0..).map_while(|index| self.section(index))
    }

    /// Functions and objects of the symbol table; none where it was stripped. Two names of one place count once.
    pub fn symbols(&self) -> Vec<Symbol> {
        let Some(table) = self.sections().find(|section| section.kind == SYMTAB) else { return Vec::new() };
        let Some(strings) = self.section(u64::from(table.link)) else { return Vec::new() };
        let entry = if self.wide { 24 } else { 16 };
        let mut places = BTreeMap::new();
        for index in 0..table.size / entry {
            let at = usize::try_from(table.offset + index * entry).unwrap_or(usize::MAX);
            if let Some((value, symbol)) = self.symbol(at, &strings)
                && symbol.size > 0
            {
                places.entry(value).or_insert(symbol);
            }
        }
        places.into_values().collect()
    }

    fn symbol(&self, at: usize, strings: &Section) -> Option<(u64, Symbol)> {
        let name = self.number(at, 4)?;
        let value = self.field(at, (4, 4), (8, 8))?;
        let size = self.field(at, (8, 4), (16, 8))?;
        let kind = self.field(at, (12, 1), (4, 1))? & 15;
        let section = self.field(at, (14, 2), (6, 2))?;
        // 1 = object, 2 = function.
        if kind != 1 && kind != 2 {
            return None;
        }
        let zero = self.section(section)?.kind == NOBITS;
        let start = usize::try_from(strings.offset + name).ok()?;
        let name = self.bytes.get(start..)?.split(|b| *b == 0).next()?;
        Some((value, Symbol { name: String::from_utf8_lossy(name).into_owned(), size, zero }))
    }

    /// Bytes of the sections that are loaded from the file, and of those that are only memory.
    pub fn loaded(&self) -> (u64, u64) {
        let (mut file, mut zero) = (0, 0);
        for section in self.sections().filter(|section| section.flags & ALLOC != 0) {
            if section.kind == NOBITS { zero += section.size } else { file += section.size }
        }
        (file, zero)
    }

    /// The program without what the kernel does not read: symbols, comments and the section table itself.
    pub fn stripped(&self) -> Outcome<Vec<u8>> {
        let end = self.end_of_segments().ok_or("a program header lies outside of the file")?;
        let mut bytes = self.bytes.get(..end).ok_or("a segment lies outside of the file")?.to_vec();
        // e_shoff, then e_shentsize, e_shnum and e_shstrndx.
        let (offset, counts) = if self.wide { (40..48, 58..64) } else { (32..36, 46..52) };
        for range in [offset, counts] {
            bytes.get_mut(range).ok_or("no ELF header")?.fill(0);
        }
        Ok(bytes)
    }

    fn end_of_segments(&self) -> Option<usize> {
        let table = self.field(0, (28, 4), (32, 8))?;
        let entry = self.field(0, (42, 2), (54, 2))?;
        let count = self.field(0, (44, 2), (56, 2))?;
        let mut end = table + entry * count;
        for index in 0..count {
            let at = usize::try_from(table + index * entry).ok()?;
            let offset = self.field(at, (4, 4), (8, 8))?;
            let size = self.field(at, (16, 4), (32, 8))?;
            end = end.max(offset.checked_add(size)?);
        }
        usize::try_from(end).ok()
    }
}

/// The crate that a symbol was written in, as far as its name tells.
pub fn crate_of(symbol: &str) -> &str {
    let path = match (symbol.strip_prefix("_R"), symbol.strip_prefix("_ZN")) {
        (Some(rest), _) => crate_root(rest),
        (_, Some(rest)) => first_word(rest),
        _ => None,
    };
    path.unwrap_or("(start-up code and memory functions)")
}

/// The name after the first crate root of a v0 path: `C`, perhaps `s…_`, then a length and the name.
fn crate_root(path: &str) -> Option<&str> {
    let mut rest = path;
    loop {
        let tag = rest.chars().next()?;
        rest = rest.get(1..)?;
        match tag {
            // A nested path has a namespace letter before its inner path.
            'N' => rest = rest.get(1..)?,
            // An impl has a disambiguator, and then the path that it stands in.
            'M' | 'X' => rest = without_disambiguator(rest),
            'I' | 'Y' => {}
            'C' => {
                let (len, name) = counted(without_disambiguator(rest))?;
                return name.strip_prefix('_').unwrap_or(name).get(..len);
            }
            // A type instead of a path (`<&T as Trait>::f`): the first crate that it names.
            _ => {
                let next = rest.find('C')?;
                rest = rest.get(next..)?;
            }
        }
    }
}

fn without_disambiguator(path: &str) -> &str {
    path.strip_prefix('s').and_then(|rest| rest.split_once('_')).map_or(path, |(_, rest)| rest)
}

/// `3foo…`: the 3, and what follows it.
fn counted(text: &str) -> Option<(usize, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    Some((text.get(..digits)?.parse().ok()?, text.get(digits..)?))
}

/// The crate of an old-style name: the first word, or what stands after `<`.
fn first_word(path: &str) -> Option<&str> {
    let (len, rest) = counted(path)?;
    let word = rest.get(..len)?;
    let word = word.strip_prefix("_$LT$").unwrap_or(word);
    word.split(['.', '$']).find(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_of_a_symbol_is_where_it_was_written() {
        assert_eq!(crate_of("_RNvCs1234_2db5check"), "db");
        assert_eq!(crate_of("_RNvNtCskJ_4core3fmt5write"), "core");
        assert_eq!(crate_of("_RNvMs_NtCs12_7compile5imageNtB2_1A3run"), "compile");
        assert_eq!(crate_of("_ZN4core3fmt5write17h0123456789abcdefE"), "core");
        assert_eq!(crate_of("_ZN27_$LT$alloc..string..String$GT$3fmt17hE"), "alloc");
        assert_eq!(crate_of("memcpy"), "(start-up code and memory functions)");
    }

    #[test]
    fn stripping_ends_the_file_with_its_last_segment() {
        // A 64-bit header of 64 bytes, one program header of 56 that covers 124 bytes, then what goes.
        let mut file = vec![0u8; 200];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        file[32] = 64;
        file[40] = 150;
        file[54] = 56;
        file[56] = 1;
        file[64 + 32] = 124;
        let stripped = Elf::new(&file).unwrap().stripped().unwrap();
        assert_eq!(stripped.len(), 124);
        assert_eq!(stripped[40], 0);
    }
}
