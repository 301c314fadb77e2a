// SPDX-License-Identifier: ISC
//! What can be wrong with a definition. Small enums: the words are in the binary.

use crate::Bytes;
use sys::Errno;

/// Something wrong, and where.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Whether the tree is refused for it; else it is a warning.
    pub grave: bool,
    /// The source directory, as it was named.
    pub source: Bytes,
    /// The definition; empty where the fault is that of the source directory.
    pub service: Bytes,
    /// The file in it; empty for the definition as a whole.
    pub file: Bytes,
    /// The line in the file; 0 where there is none.
    pub line: u32,
    /// What is wrong.
    pub what: What,
    /// The text it is about: a name, a value, a path of names.
    pub text: Bytes,
    /// A name that is near to it; empty if none is.
    pub near: Bytes,
}

/// What is wrong with a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lex {
    /// A `"` that nothing closes.
    Quote,
    /// A `{` that nothing closes.
    Open,
    /// A `}` that closes nothing.
    Close,
    /// A backslash at the end, or one that begins no known number.
    Escape,
    /// A number that is no byte, or zero.
    Number,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A file or directory can't be read.
    Read(Errno),
    /// Neither a regular file nor what a link to one is.
    NotFile,
    /// Not a directory.
    NotDirectory,
    /// A file larger than the limit of 16 MiB, or a tree deeper than 32 directories.
    TooLarge,
    /// A file that is neither regular, nor a directory, nor a link.
    Special,
    /// The path of a file is too long for an image.
    LongPath,
    /// The source directory holds no definition.
    EmptySource,
    /// No file `type`.
    NoType,
    /// `type` says something else than oneshot, longrun or bundle.
    BadType,
    /// A name that begins with `s6rc-` or `s6-rc-`.
    Reserved,
    /// A name of more bytes than a scan directory takes.
    LongName,
    /// A name that holds a newline.
    Newline,
    /// No name at all: a slash, a zero byte, too long.
    BadName,
    /// Lines that end with a carriage return and a newline.
    Crlf,
    /// Not a number of the wanted kind.
    BadNumber,
    /// A mandatory file is missing: it is the fault's `file`.
    Missing,
    /// There must be exactly one name in it.
    OneName,
    /// A name comes twice.
    Twice,
    /// `notification-fd` and `lock-fd` have the same value.
    SameFd,
    /// A descriptor below 3.
    LowFd,
    /// A signal that nobody knows.
    Signal,
    /// A command line that can't be taken apart.
    Lex(Lex),
    /// `up` begins with `#!`, which says nothing here.
    Shebang,
    /// `run` begins neither with `#!` nor as a program.
    NoShebang,
    /// `run` names an interpreter that ends with a carriage return.
    ShebangCrlf,
    /// Both `command` and `run`.
    RunAndCommand,
    /// A command line without a word.
    EmptyCommand,
    /// A file that a definition of this type does not have: it is ignored; `text` is the type.
    Misplaced,
    /// A file of ours that a definition of this type can't have; `text` is the type.
    NotForIt,
    /// A file that nobody knows, and that is near to a known one.
    UnknownFile,
    /// A flat list beside its `.d` directory: the directory counts.
    Shadowed,
    /// `pipeline-name` where no pipeline ends.
    PipelineName,
    /// A process setting is refused.
    Setting(crate::process::Wrong),
    /// `restart-backoff` is not two numbers of milliseconds, the first from 1 to the second.
    Backoff,
    /// The definition `text` has the same cgroup.
    SameCgroup,
    /// Another source directory (`text`) defines it too.
    Duplicate,
    /// No such service.
    Undefined,
    /// It must be a longrun, and is not.
    NotLongrun,
    /// `text` does not declare it back as its consumer or producer.
    NotMutual,
    /// It needs itself; `text` is the path.
    Cycle,
    /// It contains itself; `text` is the path.
    BundleCycle,
    /// `restart-with` names something that is no dependency.
    NotDependency,
    /// Left out, because of `text`, or for its own faults.
    LeftOut,
    /// More services than an image holds.
    TooManyServices,
    /// More bundles than an image holds.
    TooManyBundles,
    /// The image would be too large.
    ImageTooLarge,
}
