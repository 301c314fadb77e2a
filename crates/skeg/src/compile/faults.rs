// SPDX-License-Identifier: ISC
//! What is wrong with definitions, in words: where, what, and what to do about it.

use crate::fault_words::put_quoted;
use crate::words::Text;
use alloc::vec::Vec;
use source::process::Wrong;
use source::{Fault, Lex, What};

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
    let template = what(fault);
    let argument = match fault.what {
        What::Read(errno) => crate::words::errno(errno),
        _ => &fault.text,
    };
    put_filled(out, template, argument);
    if let What::Setting(wrong) = fault.what {
        put_filled(out, setting(wrong), b"");
    }
    if !fault.near.is_empty() {
        put_filled(out, t!(" (did you mean '%'?)"), &fault.near);
    }
    out.push(b'\n');
}

/// Appends a text with each `%` of it replaced by the argument, quoted.
fn put_filled(out: &mut Vec<u8>, template: Text, argument: &[u8]) {
    for &byte in template.bytes() {
        if byte == b'%' {
            put_quoted(out, argument);
        } else {
            out.push(byte);
        }
    }
}

/// What is wrong, with the places of the fault's text.
fn what(fault: &Fault) -> Text {
    match fault.what {
        What::Read(_) => t!("can't be read: %"),
        What::NotFile => t!("is not a regular file"),
        What::NotDirectory => t!("is not a directory"),
        What::TooLarge => t!("is too large, or lies too deep, for an image (16 MiB a file, 32 directories)"),
        What::Special => t!("is neither a file nor a directory nor a link: it can't be part of an image"),
        What::LongPath => t!("the path is too long for an image (1023 bytes)"),
        What::EmptySource => t!("holds no definition"),
        What::NoType => t!("there is none: it must say oneshot, longrun or bundle"),
        What::BadType => t!("'%' is no type: oneshot, longrun or bundle"),
        What::LongName => t!("the name is too long: a scan directory takes 250 bytes"),
        What::Reserved => t!("'%': names that begin with s6rc- or s6-rc- are reserved"),
        What::Newline => t!("a name can't contain a newline"),
        What::BadName => t!("'%' can't be the name of a service"),
        What::Crlf => {
            t!("the lines end in CRLF (carriage return and newline): make them end in a newline alone")
        }
        What::BadNumber => t!("'%' is not a number from 0 to 4294967295"),
        What::Missing => t!("there is none, and it is needed"),
        What::OneName => t!("there must be exactly one name in it"),
        What::Twice => t!("'%' is listed more than once"),
        What::SameFd => t!("descriptor % is that of notification-fd already"),
        What::LowFd => t!("descriptor % is one of the standard streams"),
        What::Signal => t!("nobody knows the signal '%': the usual one will be sent"),
        What::Lex(lex) => lexer(lex),
        What::Shebang => {
            t!(
                "begins with #!, but is not run as a script: it is one command line, for example the path of a script"
            )
        }
        What::NoShebang => t!("begins neither with #! nor as a program: the kernel will not run it"),
        What::ShebangCrlf => {
            t!("the first line ends in CRLF: the kernel would look for an interpreter of that name")
        }
        What::RunAndCommand => t!("there is a 'run' as well: only one of the two can be"),
        What::EmptyCommand => t!("there is no command in it"),
        What::Misplaced => t!("is ignored: it means nothing to a %"),
        What::NotForIt => t!("it means nothing to a %: remove it"),
        What::UnknownFile => t!("is ignored: no such file is known"),
        What::Shadowed => t!("is ignored, since there is a %"),
        What::PipelineName => t!("is ignored: it counts only where a pipeline ends"),
        What::Setting(_) if fault.text.is_empty() => t!(""),
        What::Setting(_) => t!("'%': "),
        What::Backoff => {
            t!("must be two numbers of milliseconds: the first pause, from 1, and the longest, not below it")
        }
        What::SameCgroup => t!("%/cgroup is the same group or one above: a stop of one would kill the other"),
        What::Duplicate => t!("it is defined in % too"),
        What::Undefined if fault.line == 0 => t!("no such service"),
        What::Undefined => t!("'%': no such service"),
        What::NotLongrun => t!("'%' is no longrun: only longruns make pipelines"),
        What::NotMutual => t!("'%' does not say so too: producer-for and consumer-for must agree"),
        What::Cycle => t!("it needs itself: %"),
        What::BundleCycle => t!("it contains itself: %"),
        What::NotDependency => t!("'%' is no dependency: it can't restart this"),
        What::LeftOut if fault.text.is_empty() => t!("is left out, with the faults above"),
        What::LeftOut => t!("is left out: it can't do without '%'"),
        What::TooManyServices => t!("too many services: an image holds 8192"),
        What::TooManyBundles => t!("too many bundles: an image holds 8192"),
        What::ImageTooLarge => t!("too large for an image (4 GiB in all, 65535 files a service)"),
    }
}

const fn lexer(lex: Lex) -> Text {
    match lex {
        Lex::Quote => t!("a quotation mark is never closed"),
        Lex::Open => t!("a { is never closed (a word that is only a brace needs quotes)"),
        Lex::Close => t!("a } closes nothing (a word that is only a brace needs quotes)"),
        Lex::Escape => t!("a backslash with nothing behind it, or \\0 without its digits (\\0NNN, \\0xHH)"),
        Lex::Number => t!("a number after a backslash must be from 1 to 255"),
    }
}

const fn setting(wrong: Wrong) -> Text {
    match wrong {
        Wrong::Crlf => t!("the line ends in CRLF: make it end in a newline alone"),
        Wrong::ControlByte => t!("a control character: remove it"),
        Wrong::Missing => t!("the file says nothing: give it a value, or remove it"),
        Wrong::SecondValue => t!("there is a value already, and only one can be"),
        Wrong::TooManyWords => t!("too many words"),
        Wrong::TooManyLines => t!("more than 256 lines"),
        Wrong::NotANumber => t!("not a whole number"),
        Wrong::Range(-20, _) => t!("must be from -20 to 19"),
        Wrong::Range(..) => t!("must be from -1000 to 1000"),
        Wrong::NotAnUmask => t!("not an octal number up to 777"),
        Wrong::NotAName => t!("neither a name nor a number below 4294967295"),
        Wrong::NoSuchLimit => t!("no limit of that name (prlimit(1) has them)"),
        Wrong::LimitWithoutValue => t!("a limit needs a value"),
        Wrong::NotALimit => t!("neither a number nor 'unlimited' nor '-'"),
        Wrong::SoftAboveHard => t!("the soft limit is above the hard one"),
        Wrong::Twice => t!("it comes twice"),
        Wrong::NoSuchCapability => t!("no capability of that name (capabilities(7) has them)"),
        Wrong::NotACgroup => t!("not a plain path below the top of the hierarchy"),
        Wrong::NotACgroupFile => {
            t!("not a file of a cgroup that a definition may write (memory.max, cpu.weight and the like)")
        }
        Wrong::CgroupFileWithoutValue => t!("a file of a cgroup needs a value"),
        Wrong::NotEmpty => t!("this file must be empty"),
    }
}
