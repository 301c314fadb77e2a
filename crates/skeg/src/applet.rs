// SPDX-License-Identifier: ISC
//! The applet table: names, one-line descriptions, help texts, and how one is chosen.

use crate::words;
use core::ffi::CStr;
use sys::start::Strings;
use text::args::{Arg, ArgError};

/// A program of the multicall binary.
pub struct Applet {
    /// Its name, as `argv[0]` or as the first word after `skeg`.
    pub name: &'static str,
    /// One line: what it does.
    pub about: &'static str,
    /// What `--help` prints: usage, options, exit codes.
    pub help: &'static str,
    /// Runs it; the exit code.
    pub main: fn(&mut Call) -> u8,
}

/// How an applet was called.
pub struct Call {
    /// The applet's name: the start of each message.
    pub name: &'static [u8],
    /// The words after the name.
    pub words: Strings,
    /// The applet's own help.
    pub help: &'static str,
}

impl Call {
    /// A parser for the words.
    pub fn args(&self) -> text::args::Args<Strings> {
        text::args::Args::new(self.words)
    }

    /// Says what is wrong with the arguments, and where to read more; the exit code of a wrong usage.
    pub fn misused(&self, pieces: &[&[u8]]) -> u8 {
        let mut all: heapless::Vec<&[u8], 12> = heapless::Vec::new();
        let _ = all.extend_from_slice(pieces.get(..11).unwrap_or(pieces));
        let _ = all.push(b" (--help shows the usage)");
        words::complain(self.name, &all);
        USAGE
    }

    /// Refuses an option that this applet does not have.
    pub fn unknown(&self, arg: Arg) -> u8 {
        match arg {
            Arg::Short(letter) => self.misused(&[b"unknown option -", &[letter]]),
            Arg::Long(name) => self.misused(&[b"unknown option --", name]),
        }
    }

    /// Refuses arguments that the parser can't understand.
    pub fn refuse(&self, error: ArgError) -> u8 {
        match error {
            ArgError::MissingValue(Arg::Short(letter)) => {
                self.misused(&[b"option -", &[letter], b" needs a value"])
            }
            ArgError::MissingValue(Arg::Long(name)) => self.misused(&[b"option --", name, b" needs a value"]),
            ArgError::UnexpectedValue(name) => self.misused(&[b"option --", name, b" takes no value"]),
        }
    }

    /// The value of the option that came last, as a number; else the exit code, after a message.
    pub fn number<I: Iterator<Item = &'static CStr>>(
        &self,
        args: &mut text::args::Args<I>,
        what: &[u8],
        most: u32,
    ) -> Result<u32, u8> {
        let value = args.value().map_err(|e| self.refuse(e))?.to_bytes();
        match text::parse_u64(value) {
            Ok(n) if n <= u64::from(most) => Ok(n as u32),
            Ok(_) | Err(text::NumberError::TooLarge) => {
                let most = text::Digits::decimal(u64::from(most));
                Err(self.misused(&[
                    b"the ",
                    what,
                    b" '",
                    value,
                    b"' is too large: at most ",
                    most.as_bytes(),
                ]))
            }
            Err(_) => Err(self.misused(&[b"the ", what, b" '", value, b"' is not a number"])),
        }
    }

    /// Says what failed and why; the exit code of a failed system call.
    pub fn failed(&self, what: &[&[u8]], errno: sys::Errno) -> u8 {
        let mut all: heapless::Vec<&[u8], 12> = heapless::Vec::new();
        let _ = all.push(b"can't ");
        let _ = all.extend_from_slice(what.get(..9).unwrap_or(what));
        let _ = all.extend_from_slice(&[b": ", words::errno(errno)]);
        words::complain(self.name, &all);
        SYSTEM
    }

    /// Prints the help on standard output.
    pub fn print_help(&self) -> u8 {
        words::print(&[self.help.as_bytes()])
    }
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
        list(areas);
        return USAGE;
    };
    match find(areas, word.to_bytes()) {
        Some(applet) => start(applet, arguments),
        None if matches!(word.to_bytes(), b"--help" | b"-h" | b"help") => {
            list(areas);
            0
        }
        None => {
            words::complain(
                b"skeg",
                &[b"no applet named '", word.to_bytes(), b"': 'skeg --help' lists them"],
            );
            USAGE
        }
    }
}

fn find(areas: &'static [&'static [Applet]], name: &[u8]) -> Option<&'static Applet> {
    areas.iter().flat_map(|area| area.iter()).find(|a| a.name.as_bytes() == name)
}

fn start(applet: &'static Applet, words: Strings) -> u8 {
    sys::fault::arm(applet.name.as_bytes());
    let mut call = Call { name: applet.name.as_bytes(), words, help: applet.help };
    if call.words.next().is_some_and(|w| w.to_bytes() == b"--help") {
        return call.print_help();
    }
    call.words = words;
    (applet.main)(&mut call)
}

fn base_name(path: &'static CStr) -> &'static [u8] {
    path.to_bytes().rsplit(|b| *b == b'/').next().unwrap_or_default()
}

fn list(areas: &[&[Applet]]) {
    let mut line = text::Line::<256>::new();
    words::print(&[b"usage: skeg APPLET [ARGUMENT...], or a link to skeg named as the applet\n\n"]);
    for applet in areas.iter().flat_map(|area| area.iter()) {
        line.clear();
        line.put(b"  ").put(applet.name.as_bytes());
        for _ in applet.name.len()..20 {
            line.put(b" ");
        }
        words::print(&[line.put(b" ").put(applet.about.as_bytes()).end()]);
    }
}
