// SPDX-License-Identifier: ISC
//! The argument pull-parser: an applet asks for one argument after the other, and for the value where one belongs.
//!
//! Short options may be joined (`-av`), a value may follow at once or as the next word (`-t500`, `-t 500`), long ones
//! take `--name=value` or `--name value`, `--` ends the options. As the s6 tools do, options end at the
//! first word that is none.

use core::ffi::CStr;

/// One argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// `-x`
    Short(u8),
    /// `--name`, without the dashes and without its `=value`
    Long(&'static [u8]),
}

/// Why the arguments can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgError {
    /// An option that needs a value is the last word.
    MissingValue(Arg),
    /// A long option that takes no value was given one.
    UnexpectedValue(&'static [u8]),
}

/// The arguments that are still to be read.
pub struct Args<I> {
    words: I,
    /// The rest of a cluster of short options, with the zero byte that ends the word.
    cluster: &'static [u8],
    /// The value behind a long option's `=`.
    attached: Option<&'static CStr>,
    last: Option<Arg>,
    /// The first word that is no option, when it was met.
    operand: Option<&'static CStr>,
    over: bool,
}

impl<I: Iterator<Item = &'static CStr>> Args<I> {
    /// The words after the program's name.
    pub fn new(words: I) -> Self {
        Self { words, cluster: b"", attached: None, last: None, operand: None, over: false }
    }

    /// The next option; none once the first operand or `--` has come.
    pub fn option(&mut self) -> Result<Option<Arg>, ArgError> {
        if self.attached.take().is_some()
            && let Some(Arg::Long(name)) = self.last
        {
            return Err(ArgError::UnexpectedValue(name));
        }
        if let Some((first, rest)) = self.cluster.split_first().filter(|(first, _)| **first != 0) {
            self.cluster = rest;
            return Ok(self.found(Arg::Short(*first)));
        }
        if self.over {
            return Ok(None);
        }
        let Some(word) = self.words.next() else {
            self.over = true;
            return Ok(None);
        };
        let bytes = word.to_bytes();
        if bytes == b"--" {
            self.over = true;
            return Ok(None);
        }
        if let Some(long) = bytes.strip_prefix(b"--") {
            let name = long.split(|b| *b == b'=').next().unwrap_or_default();
            self.attached = word
                .to_bytes_with_nul()
                .get(2 + name.len() + 1..)
                .and_then(|value| CStr::from_bytes_with_nul(value).ok());
            return Ok(self.found(Arg::Long(name)));
        }
        match bytes.split_first() {
            Some((b'-', rest)) if !rest.is_empty() => {
                self.cluster = word.to_bytes_with_nul().get(2..).unwrap_or_default();
                Ok(rest.first().and_then(|first| self.found(Arg::Short(*first))))
            }
            _ => {
                self.operand = Some(word);
                self.over = true;
                Ok(None)
            }
        }
    }

    fn found(&mut self, arg: Arg) -> Option<Arg> {
        self.last = Some(arg);
        Some(arg)
    }

    /// The value of the option that came last.
    pub fn value(&mut self) -> Result<&'static CStr, ArgError> {
        if let Some(value) = self.attached.take() {
            return Ok(value);
        }
        if self.cluster.len() > 1 {
            let rest = core::mem::take(&mut self.cluster);
            return CStr::from_bytes_with_nul(rest).map_err(|_| self.missing());
        }
        self.words.next().ok_or(self.missing())
    }

    fn missing(&self) -> ArgError {
        ArgError::MissingValue(self.last.unwrap_or(Arg::Short(b'?')))
    }

    /// The next word that is no option. Call it when [`Self::option`] has given none.
    pub fn operand(&mut self) -> Option<&'static CStr> {
        self.operand.take().or_else(|| self.words.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &'static [&'static CStr]) -> Args<impl Iterator<Item = &'static CStr>> {
        Args::new(words.iter().copied())
    }

    #[test]
    fn clusters_values_and_operands() {
        let mut a = args(&[c"-av", c"-t500", c"-l", c"live", c"--", c"-x"]);
        assert_eq!(a.option(), Ok(Some(Arg::Short(b'a'))));
        assert_eq!(a.option(), Ok(Some(Arg::Short(b'v'))));
        assert_eq!(a.option(), Ok(Some(Arg::Short(b't'))));
        assert_eq!(a.value(), Ok(c"500"));
        assert_eq!(a.option(), Ok(Some(Arg::Short(b'l'))));
        assert_eq!(a.value(), Ok(c"live"));
        assert_eq!(a.option(), Ok(None));
        assert_eq!(a.operand(), Some(c"-x"));
        assert_eq!(a.operand(), None);
    }

    #[test]
    fn long_options_take_their_value_either_way() {
        let mut a = args(&[c"--live=x", c"--timeout", c"5", c"--help", c"start", c"-n"]);
        assert_eq!(a.option(), Ok(Some(Arg::Long(b"live"))));
        assert_eq!(a.value(), Ok(c"x"));
        assert_eq!(a.option(), Ok(Some(Arg::Long(b"timeout"))));
        assert_eq!(a.value(), Ok(c"5"));
        assert_eq!(a.option(), Ok(Some(Arg::Long(b"help"))));
        assert_eq!(a.option(), Ok(None));
        assert_eq!(a.operand(), Some(c"start"));
        assert_eq!(a.operand(), Some(c"-n"), "options end at the first operand");
    }

    #[test]
    fn a_value_that_is_missing_or_not_wanted_is_an_error() {
        let mut a = args(&[c"-t"]);
        assert_eq!(a.option(), Ok(Some(Arg::Short(b't'))));
        assert_eq!(a.value(), Err(ArgError::MissingValue(Arg::Short(b't'))));
        let mut a = args(&[c"--help=yes"]);
        assert_eq!(a.option(), Ok(Some(Arg::Long(b"help"))));
        assert_eq!(a.option(), Err(ArgError::UnexpectedValue(b"help")));
    }
}
