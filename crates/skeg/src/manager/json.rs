// SPDX-License-Identifier: ISC
//! JSON, written piece by piece. Used by the verbs that print facts.

use alloc::vec::Vec;
use text::Digits;

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

    /// A string. Bytes that are no UTF-8 become U+FFFD, so that the document is one.
    pub fn string(&mut self, text: &[u8]) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        for chunk in text.utf8_chunks() {
            chunk.valid().bytes().for_each(|byte| self.byte(byte));
            if !chunk.invalid().is_empty() {
                self.out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        self.out.push(b'"');
        self
    }

    fn byte(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let hex = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                self.out.extend_from_slice(b"\\u00");
                self.out.extend_from_slice(&hex);
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
