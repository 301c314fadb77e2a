// SPDX-License-Identifier: ISC
//! The applet table: names, one-line descriptions, help texts, and how one is chosen.

use crate::words::{self, Text};
use core::ffi::CStr;
use sys::start::Strings;
use text::args::{Args, Wrong};

/// A program of the multicall binary.
pub struct Applet {
    /// Its name, as `argv[0]` or as the first word after `skeg`.
    pub name: &'static str,
    /// Its options, as [`text::args`] takes them; none where its words are not to be looked at.
    pub options: Option<&'static str>,
    /// Runs it; the exit code either way.
    pub main: fn(&Call) -> Result<u8, u8>,
}

/// How an applet was called. Its options are understood before it runs; what they say is read from the words each time
/// that it is asked for, so that nothing of it is kept.
pub struct Call {
    /// The applet's name: the start of each message.
    pub name: &'static [u8],
    /// The words after the options; of an applet that understands options behind operands, see [`Self::operands`].
    pub words: Strings,
    /// The words from the first option on.
    all: Strings,
    applet: &'static Applet,
}

impl Call {
    /// The options in their order, for an applet to which that matters.
    pub fn options(&self) -> Args<Strings> {
        Args::new(self.applet.options.unwrap_or_default(), self.all)
    }

    /// The last of these options that was given.
    fn given(&self, letters: &[u8]) -> Option<(u8, &'static CStr, u32)> {
        let (mut args, mut found) = (self.options(), None);
        while let Ok(Some(letter)) = args.option() {
            if letters.contains(&letter) {
                found = Some((letter, args.value, args.number));
            }
        }
        found
    }

    /// Which of these options came last; 0 for none of them.
    #[inline(never)]
    pub fn last(&self, letters: &[u8]) -> u8 {
        self.given(letters).map_or(0, |(letter, ..)| letter)
    }

    /// Whether this option was given.
    #[inline(never)]
    pub fn has(&self, letter: u8) -> bool {
        self.last(&[letter]) != 0
    }

    /// The value of this option.
    #[inline(never)]
    pub fn value(&self, letter: u8) -> Option<&'static CStr> {
        self.given(&[letter]).map(|(_, value, _)| value)
    }

    /// The number that this option was given, or this one.
    #[inline(never)]
    pub fn number(&self, letter: u8, otherwise: u32) -> u32 {
        self.given(&[letter]).map_or(otherwise, |(.., number)| number)
    }

    /// The words that are no options.
    #[inline(never)]
    pub fn operands(&self) -> Operands {
        let args = self.options();
        if args.operands().is_some() { Operands(args) } else { Operands(Args::new("", self.words)) }
    }

    /// The first of the operands, which there must be; else the exit code, after this question.
    #[inline(never)]
    pub fn operand(&self, question: Text) -> Result<&'static CStr, u8> {
        self.operands().next().ok_or_else(|| self.misused(question, b""))
    }

    /// Says that there is an operand more than this applet takes; the exit code.
    pub fn surplus(&self, word: &CStr) -> u8 {
        self.misused(t!("surplus word: %"), word.to_bytes())
    }

    /// Reads all options once; else the exit code, after a message.
    fn understand(&mut self) -> Result<(), u8> {
        let mut args = self.options();
        let mut room = args.operands().unwrap_or(0);
        loop {
            match args.option() {
                Ok(Some(0)) if room == 0 => return Err(self.surplus(args.value)),
                Ok(Some(0)) => room -= 1,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(wrong) => return Err(self.refuse(&args, wrong)),
            }
        }
        self.words = args.words;
        Ok(())
    }

    /// Says what is wrong with an option; the exit code. By itself, since a message takes half a page of the stack.
    #[inline(never)]
    fn refuse(&self, args: &Args<Strings>, wrong: Wrong) -> u8 {
        let mut line = text::Line::new();
        line.put(if wrong == Wrong::Unknown { b"unknown option -" } else { b"option -" });
        line.put(if args.is_long { b"-" } else { b"" }).put(args.name);
        let value = args.value.to_bytes();
        match wrong {
            Wrong::Unknown => &mut line,
            Wrong::MissingValue => line.put(b" needs a value"),
            Wrong::UnexpectedValue => line.put(b" takes no value"),
            Wrong::NotANumber => line.put_filled(": '%' is not a number", &[value]),
            Wrong::TooLarge => {
                line.put_filled(": '%' is too large: at most ", &[value]).num(u64::from(args.most))
            }
        };
        self.misused(t!("%"), line.as_bytes())
    }

    /// Says something: the text with `%` replaced by the argument.
    #[inline(never)]
    pub fn say(&self, template: Text, argument: &[u8]) {
        words::complain_text(self.name, template.bytes(), &[argument]);
    }

    /// The same with two arguments.
    #[inline(never)]
    pub fn say_two(&self, template: Text, first: &[u8], second: &[u8]) {
        words::complain_text(self.name, template.bytes(), &[first, second]);
    }

    /// Says something; gives this exit code.
    #[inline(never)]
    pub fn fail(&self, code: u8, template: Text, argument: &[u8]) -> u8 {
        self.say(template, argument);
        code
    }

    /// Says what is wrong with the arguments, and where to read more; the exit code of a wrong usage.
    #[inline(never)]
    pub fn misused(&self, template: Text, argument: &[u8]) -> u8 {
        let mut line = text::Line::new();
        self.say(
            t!("% (--help shows the usage)"),
            line.put_template(template.bytes(), &[argument]).as_bytes(),
        );
        USAGE
    }

    /// Says what failed and why; the exit code of a failed system call.
    #[inline(never)]
    pub fn failed(&self, template: Text, argument: &[u8], errno: sys::Errno) -> u8 {
        words::failed_text(self.name, template.bytes(), argument, errno);
        SYSTEM
    }

    /// Prints the help on standard output.
    pub fn help(&self) -> Result<u8, u8> {
        words::help(self.name)
    }
}

/// The operands of a call, in their order.
pub struct Operands(Args<Strings>);

impl Iterator for Operands {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        if self.0.operands().is_none() {
            return self.0.words.next();
        }
        loop {
            match self.0.option() {
                Ok(Some(0)) => return Some(self.0.value),
                Ok(Some(_)) => {}
                _ => return None,
            }
        }
    }
}

/// A file that would grow beyond the limit of its size (`ulimit -f`) is an error with words, not the end by a signal. For commands
/// that start no other program, which would inherit it.
#[inline(never)]
pub fn bear_size_limit() {
    let _ = sys::signal::set_disposition(sys::signal::number::XFSZ, sys::signal::Disposition::Ignore);
}

/// Exit code of a wrong usage, as in the s6 tools.
pub const USAGE: u8 = 100;
/// Exit code of a failed system call, as in the s6 tools.
pub const SYSTEM: u8 = 111;

/// Chooses the applet and runs it.
pub fn run(areas: &'static [&'static [Applet]], mut arguments: Strings) -> u8 {
    let called = base_name(arguments.next().unwrap_or(c"skeg"));
    if let Some(applet) = find(areas, called) {
        return start(applet, arguments);
    }
    let Some(word) = arguments.next() else {
        let _ = words::help(b"skeg");
        return USAGE;
    };
    match find(areas, word.to_bytes()) {
        Some(applet) => start(applet, arguments),
        None if matches!(word.to_bytes(), b"--help" | b"-h" | b"help") => {
            words::help(b"skeg").unwrap_or_else(|code| code)
        }
        None if word == c"--version" => {
            let version = concat!("skeg ", env!("CARGO_PKG_VERSION"), "\n");
            words::output(version.as_bytes()).map_or_else(|code| code, |()| 0)
        }
        None => {
            words::complain(b"skeg", "no applet named '%': 'skeg --help' lists them", word.to_bytes());
            USAGE
        }
    }
}

/// The applet of this name.
#[inline(never)]
pub fn find(areas: &'static [&'static [Applet]], name: &[u8]) -> Option<&'static Applet> {
    areas.iter().find_map(|area| area.iter().find(|a| a.name.as_bytes() == name))
}

fn start(applet: &'static Applet, words: Strings) -> u8 {
    let name = words::NAME.get(|| applet.name.as_bytes());
    sys::fault::arm(name);
    let mut call = Call { name, words, all: words, applet };
    if { words }.next().is_some_and(|w| w.to_bytes() == b"--help") {
        return words::help(call.name).unwrap_or_else(|code| code);
    }
    if applet.options.is_some()
        && let Err(code) = call.understand()
    {
        return code;
    }
    (applet.main)(&call).unwrap_or_else(|code| code)
}

fn base_name(path: &'static CStr) -> &'static [u8] {
    path.to_bytes().rsplit(|b| *b == b'/').next().unwrap_or_default()
}
