// SPDX-License-Identifier: ISC
//! A message under construction: pieces of bytes in a buffer of one size, cut with "…" when it is full.

use crate::number::Digits;

/// What a line that does not fit ends with.
const CUT: &[u8] = "…\n".as_bytes();

/// Bytes of a message at most.
const ROOM: usize = 2048;

/// A message.
pub struct Line {
    bytes: heapless::Vec<u8, ROOM>,
    cut: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// An empty message.
    pub const fn new() -> Self {
        Self { bytes: heapless::Vec::new(), cut: false }
    }

    /// Appends bytes as they are.
    pub fn put(&mut self, piece: &[u8]) -> &mut Self {
        let room = (ROOM - CUT.len()).saturating_sub(self.bytes.len());
        if self.cut || piece.len() > room {
            let _ = self.bytes.extend_from_slice(if self.cut {
                b""
            } else {
                piece.get(..room).unwrap_or_default()
            });
            self.cut = true;
        } else {
            let _ = self.bytes.extend_from_slice(piece);
        }
        self
    }

    /// Appends bytes that came from outside: what would disturb a terminal becomes `\xHH`.
    pub fn put_quoted(&mut self, piece: &[u8]) -> &mut Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for &byte in piece {
            if byte < 0x20 || byte == 0x7f {
                let hex = [b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                self.put(&hex);
            } else {
                self.put(&[byte]);
            }
        }
        self
    }

    /// Appends a text with each `%` of it replaced by the next argument (once there is no next one, by the last),
    /// quoted as [`Self::put_quoted`] does.
    pub fn put_filled(&mut self, template: &str, arguments: &[&[u8]]) -> &mut Self {
        self.put_template(template.as_bytes(), arguments)
    }

    /// The same with a text that is bytes.
    pub fn put_template(&mut self, template: &[u8], arguments: &[&[u8]]) -> &mut Self {
        let (mut arguments, mut argument) = (arguments.iter(), &[][..]);
        for &byte in template {
            if byte == b'%' {
                argument = arguments.next().copied().unwrap_or(argument);
                self.put_quoted(argument);
            } else {
                self.put(&[byte]);
            }
        }
        self
    }

    /// Appends a decimal number.
    pub fn num(&mut self, n: u64) -> &mut Self {
        self.put(Digits::decimal(n).as_bytes())
    }

    /// Appends a decimal number with its sign.
    pub fn signed(&mut self, n: i64) -> &mut Self {
        if n < 0 {
            self.put(b"-");
        }
        self.num(n.unsigned_abs())
    }

    /// Appends bytes as lower-case hexadecimal.
    pub fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for byte in bytes {
            self.put(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        self
    }

    /// Appends a number of milliseconds as seconds: `12.034 s`.
    pub fn seconds(&mut self, millis: u64) -> &mut Self {
        self.num(millis / 1000).put(b".");
        let rest = millis % 1000;
        let digits = [b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8];
        self.put(&digits).put(b" s")
    }

    /// Starts again.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.cut = false;
    }

    /// Ends the line and gives its bytes; a line that was cut says so.
    pub fn end(&mut self) -> &[u8] {
        let _ =
            if self.cut { self.bytes.extend_from_slice(CUT) } else { self.bytes.extend_from_slice(b"\n") };
        &self.bytes
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_numbers_join() {
        let mut line = Line::new();
        line.put(b"pid ").num(42).put(b", ").signed(-7).put(b", ").seconds(12_034).put(b" ").hex(&[0xab, 1]);
        assert_eq!(line.end(), b"pid 42, -7, 12.034 s ab01\n");
    }

    #[test]
    fn arguments_fill_the_places_of_a_template() {
        let mut line = Line::new();
        line.put_filled("% is no %", &[b"a\n%", b"name"]);
        assert_eq!(line.as_bytes(), b"a\\x0a% is no name");
        line.clear();
        assert_eq!(line.put_filled("%.", &[]).as_bytes(), b".");
        line.clear();
        assert_eq!(line.put_filled("%, %:%", &[b"a", b"b"]).as_bytes(), b"a, b:b");
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let mut line = Line::new();
        line.put(&[b'0'; ROOM - 10]).put(b"123456789").put(b"x");
        assert!(line.end().ends_with("0123456…\n".as_bytes()));
        assert_eq!(line.as_bytes().len(), ROOM);
    }

    #[test]
    fn control_bytes_cannot_reach_a_terminal() {
        assert_eq!(Line::new().put_quoted(b"a\x1b[2J\n").as_bytes(), b"a\\x1b[2J\\x0a");
    }
}
