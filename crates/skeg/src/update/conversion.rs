// SPDX-License-Identifier: ISC
//! The conversion file: lines of words in execline's syntax, into rules; and what is wrong with them, in words.

use super::image::{kind, open_regular};
use crate::applet::{Call, USAGE};
use core::ffi::CStr;
use db::Db;
use sys::fs;
use sys::mm::MappedFile;
use text::Line;
use update::{Conversion, RuleError};

/// What the rules in a saved plan are called.
pub const PLANS: &[u8] = b"the plan's conversion rules";

/// Reads a conversion file, `-f`; none says nothing. Else the exit code, after a message.
pub fn read(call: &Call, old: &Db<'_>) -> Result<Conversion<'static>, u8> {
    match call.value(b'f') {
        None => Ok(Conversion::new(old)),
        Some(path) => parse(call, path.to_bytes(), contents(call)?, old),
    }
}

/// Says why rules don't fit these images; the exit code of the reference.
pub fn refuse(call: &Call, rules: &Conversion<'_>, old: &Db<'_>, error: RuleError<'_>) -> u8 {
    let line = match error {
        RuleError::NoSuchTarget(service, _) | RuleError::Internal(service, _) => rules.line_of(old, service),
        // One of them may have no rule: it keeps its name. Of two rules the later one is one too many.
        RuleError::TargetTwice(_, one, other) => rules.line_of(old, one).max(rules.line_of(old, other)),
        _ => 0,
    };
    let mut place = Line::new();
    if line != 0 {
        let path = call.value(b'f').map_or(PLANS, CStr::to_bytes);
        place.put(path).put(b":").num(u64::from(line)).put(b": ");
    }
    say(call, place.as_bytes(), error)
}

/// Understands a conversion file's bytes. Else the exit code, after a message that names `path` and the line.
pub fn parse(call: &Call, path: &[u8], bytes: &[u8], old: &Db<'_>) -> Result<Conversion<'static>, u8> {
    let mut rules = Conversion::new(old);
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let mut place = Line::new();
        place.put(path).put(b":").num(number as u64 + 1).put(b": ");
        let words = source::execline::words(line)
            .map_err(|_| call.fail(USAGE, t!("%quotes or braces that do not match"), place.as_bytes()))?;
        // The rules keep the words as long as the process lives: there are few.
        let words: &'static [u8] = words.leak();
        let result =
            rules.line(old, words.split(|b| *b == 0).take(words.iter().filter(|b| **b == 0).count()));
        result.map_err(|e| say(call, place.as_bytes(), e))?;
    }
    Ok(rules)
}

/// The bytes of the file of `-f`, mapped as long as the process lives; nothing where there is none.
#[inline(never)]
pub fn contents(call: &Call) -> Result<&'static [u8], u8> {
    let Some(path) = call.value(b'f') else { return Ok(b"") };
    const DOING: crate::words::Text = t!("read the conversion file %");
    // The null device is a customary way to say that there are no rules.
    if fs::stat(sys::CWD, path).is_ok_and(|stat| kind(&stat) == fs::FileType::CharacterDevice) {
        return Ok(b"");
    }
    match open_regular(call, DOING, path)? {
        (_, 0) => Ok(b""),
        (file, size) => MappedFile::new(&file, size)
            .map(MappedFile::leak)
            .map_err(|e| call.failed(DOING, path.to_bytes(), e)),
    }
}

/// Says why rules can't be followed, and where that stands; the exit code of the reference.
#[inline(never)]
fn say(call: &Call, place: &[u8], error: RuleError<'_>) -> u8 {
    let (code, what, names): (_, _, [&[u8]; 3]) = match error {
        RuleError::Unknown(name) => (3, t!("%the live image has no service '%'"), [name, b"", b""]),
        RuleError::NotAtomic(name) => {
            (5, t!("%'%' is a bundle; a rule is for one service"), [name, b"", b""])
        }
        RuleError::Twice(name) => (6, t!("%service '%' has a rule already"), [name, b"", b""]),
        RuleError::Keyword(word) => {
            (USAGE, t!("%'%' can't stand there: a rule is OLD [-> NEW] [restart]"), [word, b"", b""])
        }
        RuleError::NoSuchTarget(old, new) => {
            (4, t!("%'%' can't become '%', which the new image does not have"), [old, new, b""])
        }
        RuleError::TargetTwice(new, one, other) => {
            (6, t!("%'%' and '%' can't both become '%': give one of them another name"), [one, other, new])
        }
        RuleError::Internal(old, new) => (
            6,
            t!("%'%' can't become '%': the services that skeg itself adds keep their names"),
            [old, new, b""],
        ),
    };
    let [one, two, three] = names;
    crate::words::complain_text(call.name, what.bytes(), &[place, one, two, three]);
    code
}
