// SPDX-License-Identifier: ISC
//! The command-line lexer: the words of `up`, `down`, `reload` and `command`.
//!
//! White space separates words; it is every control byte and the blank. `#` at the start of a word begins a
//! comment. `"…"` quotes, with `\a \b \t \n \v \f \r`, `\NNN` (decimal), `\0NNN` (octal), `\0xHH`; a backslash before a
//! newline joins lines. `{` and `}` as words are a block, whose words get one more leading blank each,
//! and which ends with an empty word of its depth. A zero byte ends the file. Source: the execlineb manual.

use crate::fault::Lex;
use alloc::vec::Vec;

/// What was read of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Between words.
    Gap,
    Comment,
    /// In a word, outside of quotes.
    Word,
    Quoted,
}

struct Lexer<'a> {
    input: &'a [u8],
    at: usize,
    line: u32,
    out: Vec<u8>,
    /// Where the current word begins in `out`, its leading blanks included.
    word: usize,
    depth: usize,
    /// Whether the current word is, so far, one bare brace.
    brace: u8,
}

/// Takes a command line apart: its words, each with a zero after it; or what is wrong, and in which line.
pub fn words(input: &[u8]) -> Result<Vec<u8>, (Lex, u32)> {
    let end = input.iter().position(|b| *b == 0).unwrap_or(input.len());
    let mut lexer = Lexer {
        input: input.get(..end).unwrap_or_default(),
        at: 0,
        line: 1,
        out: Vec::with_capacity(end + 2),
        word: 0,
        depth: 0,
        brace: 0,
    };
    if let Err(what) = lexer.run() {
        // A newline that ended the word is already counted.
        let ended = lexer.at.checked_sub(1).and_then(|at| lexer.input.get(at)) == Some(&b'\n');
        return Err((what, lexer.line - u32::from(ended)));
    }
    Ok(lexer.out)
}

const fn is_gap(byte: u8) -> bool {
    byte <= b' '
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.input.get(self.at)?;
        self.at += 1;
        self.line += u32::from(byte == b'\n');
        Some(byte)
    }

    fn begin(&mut self) {
        self.word = self.out.len();
        for _ in 0..self.depth {
            self.out.push(b' ');
        }
    }

    /// Ends a word: a bare brace opens or closes a block.
    fn end(&mut self) -> Result<(), Lex> {
        match core::mem::take(&mut self.brace) {
            b'{' => {
                self.out.truncate(self.word);
                self.depth += 1;
                return Ok(());
            }
            b'}' => {
                self.depth = self.depth.checked_sub(1).ok_or(Lex::Close)?;
                self.out.truncate(self.word + self.depth);
            }
            _ => {}
        }
        self.out.push(0);
        Ok(())
    }

    fn run(&mut self) -> Result<(), Lex> {
        let mut at = At::Gap;
        while let Some(byte) = self.next() {
            at = match (at, byte) {
                (At::Comment, b'\n') | (At::Gap, 0..=b' ') => At::Gap,
                (At::Comment, _) | (At::Gap, b'#') => At::Comment,
                (At::Gap, b'\\') => match self.next() {
                    // Joins lines; at the end of the file it is nothing.
                    None | Some(b'\n') => At::Gap,
                    Some(byte) => {
                        self.begin();
                        self.out.push(byte);
                        At::Word
                    }
                },
                (At::Gap, b'"') => {
                    self.begin();
                    At::Quoted
                }
                (At::Gap, _) => {
                    self.begin();
                    self.out.push(byte);
                    self.brace = if matches!(byte, b'{' | b'}') { byte } else { 0 };
                    At::Word
                }
                (At::Word, _) if is_gap(byte) => {
                    self.end()?;
                    At::Gap
                }
                (At::Word, _) => self.in_word(byte)?,
                (At::Quoted, b'"') => At::Word,
                (At::Quoted, b'\\') => self.escape()?,
                (At::Quoted, _) => {
                    self.out.push(byte);
                    At::Quoted
                }
            };
        }
        match at {
            At::Quoted => Err(Lex::Quote),
            At::Word if self.brace == b'{' => Err(Lex::Open),
            At::Word => self.end(),
            At::Gap | At::Comment => Ok(()),
        }?;
        if self.depth == 0 { Ok(()) } else { Err(Lex::Open) }
    }

    fn in_word(&mut self, byte: u8) -> Result<At, Lex> {
        self.brace = 0;
        match byte {
            b'"' => return Ok(At::Quoted),
            b'\\' => {
                let byte = self.next().ok_or(Lex::Escape)?;
                self.out.push(byte);
            }
            _ => {
                self.out.push(byte);
                // All that has no meaning, at once.
                let rest = self.input.get(self.at..).unwrap_or_default();
                let means = |b: &u8| is_gap(*b) || matches!(b, b'"' | b'\\');
                let plain = rest.iter().position(means).unwrap_or(rest.len());
                self.out.extend_from_slice(rest.get(..plain).unwrap_or_default());
                self.at += plain;
            }
        }
        Ok(At::Word)
    }

    /// A backslash inside quotes was read.
    fn escape(&mut self) -> Result<At, Lex> {
        let byte = self.next().ok_or(Lex::Quote)?;
        let plain = match byte {
            b'\n' => return Ok(At::Quoted),
            b'a' => 7,
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'v' => 11,
            b'f' => 12,
            b'r' => 13,
            b'0' => self.zero()?,
            b'1'..=b'9' => {
                self.at -= 1;
                self.number(10, 3)?
            }
            other => other,
        };
        self.out.push(plain);
        Ok(At::Quoted)
    }

    /// `\0` was read: octal, or hexadecimal after an `x`.
    fn zero(&mut self) -> Result<u8, Lex> {
        match self.input.get(self.at) {
            Some(b'x') => {
                self.at += 1;
                self.number(16, 2)
            }
            Some(b'0'..=b'7') => self.number(8, 3),
            _ => Err(Lex::Escape),
        }
    }

    /// One to `most` digits.
    fn number(&mut self, base: u32, most: usize) -> Result<u8, Lex> {
        let (mut n, mut digits) = (0u32, 0);
        while digits < most {
            let Some(digit) = self.input.get(self.at).and_then(|b| char::from(*b).to_digit(base)) else {
                break;
            };
            n = n * base + digit;
            self.at += 1;
            digits += 1;
        }
        match (digits, u8::try_from(n)) {
            (0, _) => Err(Lex::Escape),
            (_, Ok(0) | Err(_)) => Err(Lex::Number),
            (_, Ok(n)) => Ok(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(input: &str) -> Vec<String> {
        let words = words(input.as_bytes()).unwrap();
        let text = String::from_utf8(words).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    fn fails(input: &str) -> (Lex, u32) {
        words(input.as_bytes()).unwrap_err()
    }

    #[test]
    fn words_comments_and_quotes() {
        assert_eq!(split("echo a  b # no\n#x\nc#d"), ["echo", "a", "b", "c#d"]);
        assert_eq!(split(r#"echo "a b" c"d"e """#), ["echo", "a b", "cde", ""]);
        assert_eq!(split("a \\\n b\\ c \\#d"), ["a", "b c", "#d"]);
        assert_eq!(split("\"a\\\nb\""), ["ab"]);
        assert_eq!(split(""), [""; 0]);
    }

    #[test]
    fn escapes_give_bytes() {
        assert_eq!(split(r#""tab\tnl\nend\0x41\65\0101\q""#), ["tab\tnl\nendAAAq"]);
    }

    #[test]
    fn blocks_indent_their_words() {
        assert_eq!(split("if { a b } c"), ["if", " a", " b", "", "c"]);
        assert_eq!(split("if { x { y } z }"), ["if", " x", "  y", " ", " z", ""]);
        assert_eq!(split("a {b c} \"{\" \\}"), ["a", "{b", "c}", "{", "}"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert_eq!(fails("a\n\"b"), (Lex::Quote, 2));
        assert_eq!(fails("if { a"), (Lex::Open, 1));
        assert_eq!(fails("if { a }\n} b"), (Lex::Close, 2));
        assert_eq!(fails("a\\"), (Lex::Escape, 1));
        assert_eq!(fails(r#""\0q""#), (Lex::Escape, 1));
        assert_eq!(fails(r#""\256""#), (Lex::Number, 1));
    }
}
