// SPDX-License-Identifier: ISC
//! Integers to and from text.

/// A number's digits.
pub struct Digits {
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    /// In base 10.
    pub const fn decimal(n: u64) -> Self {
        Self::in_base(n, 10)
    }

    /// In base 8.
    pub const fn octal(n: u32) -> Self {
        Self::in_base(n as u64, 8)
    }

    const fn in_base(mut n: u64, base: u64) -> Self {
        let mut bytes = [b'0'; 20];
        let mut start = bytes.len();
        loop {
            start -= 1;
            bytes[start] = b'0' + (n % base) as u8;
            n /= base;
            if n == 0 {
                return Self { bytes, start };
            }
        }
    }

    /// The digits, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// Why a text is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// Nothing there.
    Empty,
    /// A byte that is no digit.
    NotANumber,
    /// It does not fit.
    TooLarge,
}

fn parse(text: &[u8], base: u64) -> Result<u64, NumberError> {
    if text.is_empty() {
        return Err(NumberError::Empty);
    }
    text.iter().try_fold(0u64, |n, byte| {
        let digit = char::from(*byte).to_digit(base as u32).ok_or(NumberError::NotANumber)?;
        n.checked_mul(base).and_then(|n| n.checked_add(u64::from(digit))).ok_or(NumberError::TooLarge)
    })
}

/// Decimal digits and nothing else.
pub fn parse_u64(text: &[u8]) -> Result<u64, NumberError> {
    parse(text, 10)
}

/// Octal digits and nothing else.
pub fn parse_octal(text: &[u8]) -> Result<u64, NumberError> {
    parse(text, 8)
}

/// Hexadecimal digits of either case and nothing else.
pub fn parse_hex(text: &[u8]) -> Result<u64, NumberError> {
    parse(text, 16)
}

/// Decimal digits after an optional sign.
pub fn parse_i64(text: &[u8]) -> Result<i64, NumberError> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let n = i64::try_from(parse(digits, 10)?).map_err(|_| NumberError::TooLarge)?;
    Ok(if negative { -n } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_back() {
        for n in [0, 1, 9, 10, 12_345, u64::MAX] {
            assert_eq!(parse_u64(Digits::decimal(n).as_bytes()), Ok(n));
        }
        assert_eq!(Digits::octal(0o1755).as_bytes(), b"1755");
    }

    #[test]
    fn what_is_no_number_says_why() {
        assert_eq!(parse_u64(b""), Err(NumberError::Empty));
        assert_eq!(parse_u64(b"-1"), Err(NumberError::NotANumber));
        assert_eq!(parse_u64(b"18446744073709551616"), Err(NumberError::TooLarge));
        assert_eq!(parse_i64(b"-12"), Ok(-12));
        assert_eq!(parse_i64(b"-"), Err(NumberError::Empty));
    }
}
