// SPDX-License-Identifier: ISC
//! How the program speaks: messages on standard error, output on standard output, the kernel's errors in words.

use crate::applet::Call;
use sys::Errno;
use text::Line;

/// Writes one line: the program's name, then the text with each `%` replaced by the next argument.
pub fn complain_all(name: &[u8], template: &str, arguments: &[&[u8]]) {
    complain_text(name, template.as_bytes(), arguments);
}

/// The same with a text that is bytes.
#[inline(never)]
pub fn complain_text(name: &[u8], template: &[u8], arguments: &[&[u8]]) {
    let mut line = Line::new();
    line.put(name).put(b": ").put_template(template, arguments);
    let _ = sys::fs::write_all(sys::stderr(), line.end());
}

/// The same with one argument, or none in the text.
#[inline(never)]
pub fn complain(name: &[u8], template: &str, argument: &[u8]) {
    complain_all(name, template, &[argument]);
}

/// Says which system call failed: `can't `, the text, and why.
pub fn failed(name: &[u8], template: &str, argument: &[u8], errno: Errno) {
    failed_text(name, template.as_bytes(), argument, errno);
}

/// The same with a text that is bytes.
#[inline(never)]
pub fn failed_text(name: &[u8], template: &[u8], argument: &[u8], errno: Errno) {
    let mut line = Line::new();
    line.put(name).put(b": can't ").put_template(template, &[argument]).put(b": ").put(self::errno(errno));
    let _ = sys::fs::write_all(sys::stderr(), line.end());
}

/// The exit code of a name that nobody has.
pub const UNKNOWN: u8 = 3;

/// Says that nobody has this name, and which one was perhaps meant; gives the exit code.
#[inline(never)]
pub fn unknown(call: &Call, db: &db::Db<'_>, name: &[u8]) -> u8 {
    let services = db.services().map(|id| db.name(id));
    let all = services.chain(db.bundles().map(|id| db.bundle_name(id)));
    match text::near::nearest(name, all) {
        None => call.say(t!("no service or bundle is named '%'"), name),
        Some(near) => call.say_two(t!("no service or bundle is named '%' (did you mean '%'?)"), name, near),
    }
    UNKNOWN
}

/// The applet that runs.
pub static NAME: sys::Once = sys::Once::new();

/// Its name, for what is said where its call is not at hand.
#[inline(never)]
pub fn name() -> &'static [u8] {
    NAME.get(|| b"skeg")
}

/// Writes to standard output; else the exit code, after a message. One who has gone away has read enough: no message then.
#[inline(never)]
pub fn output(bytes: &[u8]) -> Result<(), u8> {
    sys::fs::write_all(sys::stdout(), bytes).map_err(|errno| {
        if errno != Errno::PIPE {
            failed(name(), "write to standard output", b"", errno);
        }
        crate::applet::SYSTEM
    })
}

/// The same for one of many writes: after one that failed there is no other.
#[inline(never)]
pub fn add_output(written: &mut Result<(), u8>, bytes: &[u8]) {
    if written.is_ok() {
        *written = output(bytes);
    }
}

pub use text::list::place;

include!(concat!(env!("OUT_DIR"), "/length.rs"));
/// The messages in `t!(…)`, then the help texts, each after its name, packed by the build script.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/texts.bin"));

/// All of it, unpacked when it is first asked for; empty where there is no memory.
#[inline(never)]
fn unpacked() -> &'static [u8] {
    static ONCE: sys::Once = sys::Once::new();
    ONCE.get(|| {
        let mut texts = alloc::vec::Vec::new();
        if texts.try_reserve_exact(LENGTH).is_ok() {
            texts.resize(LENGTH, 0);
            text::packed::unpack(PACKED, &mut texts);
        }
        texts.leak()
    })
}

/// A message of the packed text: where it begins. Made by `t!(…)` alone. It is for processes that may allocate.
#[derive(Clone, Copy)]
pub struct Text(pub u16);

impl Text {
    /// Its bytes.
    #[inline(never)]
    pub fn bytes(self) -> &'static [u8] {
        let from = unpacked().get(usize::from(self.0)..).unwrap_or(b"out of memory: %");
        from.split(|b| *b == 0).next().unwrap_or_default()
    }
}

/// Prints the help text of this name: usage, options, exit codes.
pub fn help(name: &[u8]) -> Result<u8, u8> {
    let mut parts = unpacked().get(MESSAGES..).unwrap_or_default().split(|b| *b == 0);
    while let (Some(of), Some(help)) = (parts.next(), parts.next()) {
        if of == name {
            output(help)?;
        }
    }
    Ok(0)
}

/// The kernel's error in words.
pub fn errno(errno: Errno) -> &'static [u8] {
    match errno {
        Errno::PERM => b"operation not permitted",
        Errno::NOENT => b"no such file or directory",
        Errno::SRCH => b"no such process",
        Errno::IO => b"input/output error",
        Errno::NXIO => b"nobody is listening there",
        Errno::TOOBIG => b"argument list too long",
        Errno::NOEXEC => b"not a program (exec format error)",
        Errno::BADF => b"bad file descriptor",
        Errno::AGAIN => b"resource temporarily unavailable",
        Errno::NOMEM => b"out of memory",
        Errno::ACCESS => b"permission denied",
        Errno::BUSY => b"device or resource busy",
        Errno::EXIST => b"it exists already",
        Errno::XDEV => b"on another file system",
        Errno::NODEV => b"no such device",
        Errno::NOTDIR => b"not a directory",
        Errno::ISDIR => b"is a directory",
        Errno::INVAL => b"invalid argument",
        Errno::NFILE => b"too many open files in the system",
        Errno::MFILE => b"too many open files in this process",
        Errno::TXTBSY => b"text file busy",
        Errno::FBIG => b"file too large",
        Errno::NOSPC => b"no space left on device",
        Errno::ROFS => b"read-only file system",
        Errno::PIPE => b"broken pipe",
        Errno::NAMETOOLONG => b"file name too long",
        Errno::NOTEMPTY => b"directory not empty",
        Errno::LOOP => b"too many levels of symbolic links",
        Errno::CONNREFUSED => b"connection refused",
        Errno::CONNRESET => b"connection reset",
        Errno::TIMEDOUT => b"timed out",
        Errno::OPNOTSUPP => b"operation not supported",
        Errno::DQUOT => b"disk quota exceeded",
        _ => b"error of the kernel",
    }
}
