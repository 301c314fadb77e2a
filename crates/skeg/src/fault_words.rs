// SPDX-License-Identifier: ISC
//! What is wrong with definitions and with images, in words: where, what, and what to do about it.

use alloc::vec::Vec;
use db::{Corrupt, Problem, Section};
use source::process::Wrong;
use source::{Fault, Lex, What};

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

/// Appends one line for a fault: `NAME: error: source/httpd/run:3: ...`.
pub fn put_fault(out: &mut Vec<u8>, name: &[u8], fault: &Fault) {
    out.extend_from_slice(name);
    out.extend_from_slice(if fault.grave { b": error: " } else { b": warning: " });
    let mut place = false;
    for part in [&fault.source, &fault.service, &fault.file] {
        if part.is_empty() {
            continue;
        }
        if place {
            out.push(b'/');
        }
        put_quoted(out, part);
        place = true;
    }
    if fault.line != 0 {
        out.push(b':');
        out.extend_from_slice(text::Digits::decimal(u64::from(fault.line)).as_bytes());
    }
    if place {
        out.extend_from_slice(b": ");
    }
    let mut pieces = heapless::Vec::<&[u8], 8>::new();
    what(fault, &mut pieces);
    for piece in pieces {
        put_quoted(out, piece);
    }
    if !fault.near.is_empty() {
        out.extend_from_slice(b" (did you mean '");
        put_quoted(out, &fault.near);
        out.extend_from_slice(b"'?)");
    }
    out.push(b'\n');
}

type Pieces<'a> = heapless::Vec<&'a [u8], 8>;

fn say<'a>(to: &mut Pieces<'a>, pieces: &[&'a [u8]]) {
    let _ = to.extend_from_slice(pieces);
}

fn what<'a>(fault: &'a Fault, to: &mut Pieces<'a>) {
    let text = fault.text.as_slice();
    let plain: &[u8] = match fault.what {
        What::Read(errno) => return say(to, &[b"can't be read: ", crate::words::errno(errno)]),
        What::NotFile => b"is not a regular file",
        What::NotDirectory => b"is not a directory",
        What::TooLarge => b"is too large, or lies too deep, for an image (16 MiB a file, 32 directories)",
        What::Special => b"is neither a file nor a directory nor a link: it can't be part of an image",
        What::LongPath => b"the path is too long for an image (1023 bytes)",
        What::EmptySource => b"holds no definition",
        What::NoType => b"there is none: it must say oneshot, longrun or bundle",
        What::BadType => return say(to, &[b"'", text, b"' is no type: oneshot, longrun or bundle"]),
        What::LongName => b"the name is too long: a scan directory takes 250 bytes",
        What::Reserved => {
            return say(to, &[b"'", text, b"': names that begin with s6rc- or s6-rc- are reserved"]);
        }
        What::Newline => b"a name can't contain a newline",
        What::BadName => return say(to, &[b"'", text, b"' can't be the name of a service"]),
        What::Crlf => b"the lines end in CRLF (carriage return and newline): make them end in a newline alone",
        What::BadNumber => return say(to, &[b"'", text, b"' is not a number from 0 to 4294967295"]),
        What::Missing => b"there is none, and it is needed",
        What::OneName => b"there must be exactly one name in it",
        What::Twice => return say(to, &[b"'", text, b"' is listed more than once"]),
        What::SameFd => return say(to, &[b"descriptor ", text, b" is that of notification-fd already"]),
        What::LowFd => return say(to, &[b"descriptor ", text, b" is one of the standard streams"]),
        What::Signal => return say(to, &[b"nobody knows the signal '", text, b"'"]),
        What::Lex(lex) => lexer(lex),
        What::Shebang => {
            b"begins with #!, but is not run as a script: it is one command line, for example the path of a script"
        }
        What::NoShebang => b"begins neither with #! nor as a program: the kernel will not run it",
        What::ShebangCrlf => b"the first line ends in CRLF: the kernel would look for an interpreter of that name",
        What::RunAndCommand => b"there is a 'run' as well: only one of the two can be",
        What::EmptyCommand => b"there is no command in it",
        What::Misplaced => return say(to, &[b"is ignored: it means nothing to a ", text]),
        What::NotForIt => return say(to, &[b"it means nothing to a ", text, b": remove it"]),
        What::UnknownFile => b"is ignored: no such file is known",
        What::Shadowed => return say(to, &[b"is ignored, since there is a ", text]),
        What::PipelineName => b"is ignored: it counts only where a pipeline ends",
        What::Setting(wrong) => return setting(wrong, text, to),
        What::Backoff => {
            b"must be two numbers of milliseconds: the first pause, from 1, and the longest"
        }
        What::SameCgroup => {
            return say(to, &[text, b"/cgroup is the same group or one above: a stop of one would kill the other"]);
        }
        What::Duplicate => return say(to, &[b"it is defined in ", text, b" too"]),
        What::Undefined if fault.line == 0 => b"no such service",
        What::Undefined => return say(to, &[b"'", text, b"': no such service"]),
        What::NotLongrun => return say(to, &[b"'", text, b"' is no longrun: only longruns make pipelines"]),
        What::IsBundle => return say(to, &[b"'", text, b"' is a bundle"]),
        What::NotMutual => {
            return say(to, &[b"'", text, b"' does not say so too: producer-for and consumer-for must agree"]);
        }
        What::Cycle => return say(to, &[b"it needs itself: ", text]),
        What::BundleCycle => return say(to, &[b"it contains itself: ", text]),
        What::NotDependency => return say(to, &[b"'", text, b"' is no dependency: it can't restart this"]),
        What::LeftOut => return say(to, &[b"is left out: it can't do without '", text, b"'"]),
        What::TooManyServices => b"too many services: an image holds 8192",
        What::TooManyBundles => b"too many bundles: an image holds 8192",
        What::ImageTooLarge => b"too large for an image (4 GiB in all, 65535 files a service)",
    };
    say(to, &[plain]);
}

const fn lexer(lex: Lex) -> &'static [u8] {
    match lex {
        Lex::Quote => b"a quotation mark is never closed",
        Lex::Open => b"a { is never closed (a word that is only a brace needs quotes)",
        Lex::Close => b"a } closes nothing (a word that is only a brace needs quotes)",
        Lex::Escape => b"a backslash without anything to quote",
        Lex::Number => b"a number after a backslash must be from 1 to 255",
    }
}

fn setting<'a>(wrong: Wrong, text: &'a [u8], to: &mut Pieces<'a>) {
    let why: &[u8] = match wrong {
        Wrong::Crlf => b"the line ends in CRLF: make it end in a newline alone",
        Wrong::ControlByte => b"a control character",
        Wrong::Missing => b"the file says nothing",
        Wrong::SecondValue => b"there is a value already",
        Wrong::TooManyWords => b"too many words",
        Wrong::TooManyLines => b"more than 256 lines",
        Wrong::NotANumber => b"not a number",
        Wrong::Range(-20, _) => b"must be from -20 to 19",
        Wrong::Range(..) => b"must be from -1000 to 1000",
        Wrong::NotAnUmask => b"not an octal number up to 777",
        Wrong::NotAName => b"neither a name nor a number",
        Wrong::NoSuchLimit => b"no limit of that name (prlimit(1) has them)",
        Wrong::LimitWithoutValue => b"a limit needs a value",
        Wrong::NotALimit => b"neither a number nor 'unlimited' nor '-'",
        Wrong::SoftAboveHard => b"the soft limit is above the hard one",
        Wrong::Twice => b"it comes twice",
        Wrong::NoSuchCapability => b"no capability of that name (capabilities(7) has them)",
        Wrong::NotACgroup => b"not a plain relative path",
        Wrong::NotACgroupFile => b"not a file of a cgroup that a definition may write",
        Wrong::CgroupFileWithoutValue => b"a file of a cgroup needs a value",
        Wrong::NotEmpty => b"this file must be empty",
    };
    if text.is_empty() { say(to, &[why]) } else { say(to, &[b"'", text, b"': ", why]) }
}

/// Why an image is refused, in words, appended to a line.
pub fn put_corrupt<const N: usize>(line: &mut text::Line<N>, error: Corrupt) {
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
            .put(problem_words(problem)),
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

const fn problem_words(problem: Problem) -> &'static [u8] {
    match problem {
        Problem::Name => b"its name can't be one",
        Problem::Order => b"it is out of order, or its name comes twice",
        Problem::Flags => b"unknown flags",
        Problem::Reserved => b"something where nothing may be",
        Problem::Range => b"it points to a place that is not its own",
        Problem::Number => b"it names a service that there is not",
        Problem::Ascending => b"a list is out of order",
        Problem::Mirror => b"direct and reverse dependencies, or producers and consumers, do not agree",
        Problem::Cycle => b"it needs itself",
        Problem::Path => b"a path that leads nowhere",
        Problem::Kind => b"a file that can't be there",
        Problem::Run => b"a longrun without run",
        Problem::Hash => b"its hash is not that of its definition",
    }
}
