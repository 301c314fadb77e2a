// SPDX-License-Identifier: ISC
//! JSON, written piece by piece. Used by the verbs that print facts.

use alloc::vec::Vec;
use text::Digits;

/// Two hexadecimal digits.
fn hex(byte: u8) -> [u8; 2] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

/// A document under construction.
pub struct Json {
    out: Vec<u8>,
}

impl Json {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { out: Vec::new() }
    }

    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'[' | b'{' | b':')) {
            self.out.push(b',');
        }
    }

    /// Begins an object (`{`) or an array (`[`).
    pub fn open(&mut self, bracket: u8) -> &mut Self {
        self.separate();
        self.out.push(bracket);
        self
    }

    /// Ends it (`}` or `]`).
    pub fn close(&mut self, bracket: u8) -> &mut Self {
        self.out.push(bracket);
        self
    }

    /// A member's name; its value comes next.
    pub fn key(&mut self, name: &[u8]) -> &mut Self {
        self.string(name);
        self.out.push(b':');
        self
    }

    /// A string. A byte that is not of UTF-8 is written as the text `\xHH`, so that the document is valid and two names stay two.
    pub fn string(&mut self, text: &[u8]) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        for chunk in text.utf8_chunks() {
            chunk.valid().bytes().for_each(|byte| self.byte(byte));
            for byte in chunk.invalid() {
                self.out.extend_from_slice(b"\\\\x");
                self.out.extend_from_slice(&hex(*byte));
            }
        }
        self.out.push(b'"');
        self
    }

    fn byte(&mut self, byte: u8) {
        match byte {
            b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                self.out.extend_from_slice(b"\\u00");
                self.out.extend_from_slice(&hex(byte));
            }
            _ => self.out.push(byte),
        }
    }

    /// A number.
    pub fn number(&mut self, n: u64) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(Digits::decimal(n).as_bytes());
        self
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// The document, with a newline.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.push(b'\n');
        self.out
    }
}
