// SPDX-License-Identifier: ISC
//! What is wrong with images, in words; and what came from outside, as a terminal bears it.

use crate::words::Text;
use alloc::vec::Vec;
use db::{Corrupt, Problem, Section};

/// Appends what came from outside: what would disturb a terminal becomes `\xHH`.
pub fn put_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        if byte < 0x20 || byte == 0x7f {
            out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            out.push(byte);
        }
    }
}

/// Why an image is refused, in words, appended to a line.
pub fn put_corrupt(line: &mut text::Line, error: Corrupt) {
    match error {
        Corrupt::Truncated(n) => {
            line.put(b"it is cut short (at least ").num(u64::from(n)).put(b" bytes are missing or more)")
        }
        Corrupt::Magic => line.put(b"it is not a compiled database of skeg"),
        Corrupt::Version(v) => line
            .put(b"it has format version ")
            .num(u64::from(v))
            .put(b", and this skeg knows version 2: compile it again"),
        Corrupt::Header => line.put(b"its header is damaged"),
        Corrupt::Place(section) => line.put(b"its ").put(of(section)).put(b" lie outside of it"),
        Corrupt::Checksum(section) => line.put(b"its ").put(of(section)).put(b" are damaged"),
        Corrupt::Record(section, number, problem) => line
            .put(b"among its ")
            .put(of(section))
            .put(b" number ")
            .num(u64::from(number))
            .put(b" is invalid: ")
            .put(problem_words(problem).bytes()),
        Corrupt::Identity => line.put(b"its identity is not that of its contents"),
    };
}

const fn of(section: Section) -> &'static [u8] {
    match section {
        Section::Services => b"services",
        Section::Bundles => b"bundles",
        Section::Edges => b"dependencies",
        Section::Files => b"files",
        Section::Names => b"names",
        Section::Data => b"contents",
    }
}

const fn problem_words(problem: Problem) -> Text {
    match problem {
        Problem::Name => t!("its name can't be one"),
        Problem::Order => t!("it is out of order, or its name comes twice"),
        Problem::Flags => t!("unknown flags"),
        Problem::Reserved => t!("something where nothing may be"),
        Problem::Range => t!("it points to a place that is not its own"),
        Problem::Number => t!("it names a service that there is not"),
        Problem::Ascending => t!("a list is out of order"),
        Problem::Mirror => t!("direct and reverse dependencies, or producers and consumers, do not agree"),
        Problem::Cycle => t!("it needs itself"),
        Problem::Path => t!("a path that leads nowhere"),
        Problem::Kind => t!("a file that can't be there"),
        Problem::Run => t!("a longrun without run"),
        Problem::Hash => t!("its hash is not that of its definition"),
    }
}
