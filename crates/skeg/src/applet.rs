// SPDX-License-Identifier: ISC
//! The applet table: names, one-line descriptions, help texts, and how one is chosen.

use crate::words;
use core::ffi::CStr;
use sys::start::Strings;

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
    #[cfg(feature = "fault")]
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
