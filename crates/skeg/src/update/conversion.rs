// SPDX-License-Identifier: ISC
//! The conversion file: lines of words in execline's syntax, into rules; and what is wrong with them, in words.

use crate::applet::{Call, USAGE};
use crate::words;
use alloc::vec::Vec;
use core::ffi::CStr;
use db::Db;
use sys::fs;
use sys::mm::MappedFile;
use text::Digits;
use update::{Conversion, RuleError};

/// Reads a conversion file; none says nothing. Else the exit code, after a message.
pub fn read(call: &Call, path: Option<&CStr>, old: &Db<'_>) -> Result<Conversion<'static>, u8> {
    let Some(path) = path else { return Ok(Conversion::new(old)) };
    let cant = |e| call.failed(&[b"read the conversion file ", path.to_bytes()], e);
    parse(call, path, contents(path).map_err(cant)?, old)
}

/// Understands a conversion file's bytes. Else the exit code, after a message that names `path` and the line.
pub fn parse(call: &Call, path: &CStr, bytes: &[u8], old: &Db<'_>) -> Result<Conversion<'static>, u8> {
    let mut rules = Conversion::new(old);
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let number = Digits::decimal(number as u64 + 1);
        let at = |pieces: &[&[u8]]| {
            let mut all: Vec<&[u8]> = Vec::from([path.to_bytes(), b":", number.as_bytes(), b": "]);
            all.extend_from_slice(pieces);
            words::complain(call.name, &all);
        };
        let words = source::execline::words(line).map_err(|_| {
            at(&[b"quotes or braces that do not match"]);
            USAGE
        })?;
        // The rules keep the words as long as the process lives: there are few.
        let words: &'static [u8] = words.leak();
        let result =
            rules.line(old, words.split(|b| *b == 0).take(words.iter().filter(|b| **b == 0).count()));
        result.map_err(|e| say(e, &at))?;
    }
    Ok(rules)
}

/// A file's bytes, mapped as long as the process lives.
pub fn contents(path: &CStr) -> sys::Result<&'static [u8]> {
    let file = fs::open_read(sys::CWD, path)?;
    let size = fs::fstat(&file)?.st_size as usize;
    if size == 0 {
        return Ok(b"");
    }
    Ok(MappedFile::new(&file, size)?.leak())
}

/// Says why rules can't be followed, through `at`; the exit code of the reference.
pub fn say(error: RuleError<'_>, at: &dyn Fn(&[&[u8]])) -> u8 {
    match error {
        RuleError::Unknown(name) => {
            at(&[b"the live image has no service '", name, b"'"]);
            3
        }
        RuleError::NotAtomic(name) => {
            at(&[b"'", name, b"' is a bundle; a rule is for one service"]);
            5
        }
        RuleError::Twice(name) => {
            at(&[b"service '", name, b"' has a rule already"]);
            6
        }
        RuleError::Keyword(word) => {
            at(&[b"'", word, b"' can't stand there: a rule is OLD [-> NEW] [restart]"]);
            USAGE
        }
        RuleError::NoSuchTarget(old, new) => {
            at(&[b"'", old, b"' can't become '", new, b"', which the new image does not have"]);
            4
        }
        RuleError::TargetTwice(new, old) => {
            at(&[b"more than one service becomes '", new, b"', '", old, b"' among them"]);
            6
        }
    }
}

/// A message that is no line's.
pub fn whole<'a>(call: &'a Call) -> impl Fn(&[&[u8]]) + 'a {
    |pieces| words::complain(call.name, pieces)
}
