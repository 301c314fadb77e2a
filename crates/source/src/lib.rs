// SPDX-License-Identifier: ISC
//! Definition directories into a model. Every fault is noted, with its file and line, and reading goes on.
//!
//! `FORMAT.md` beside this crate describes the definitions: those of s6-rc 0.7 and what skeg adds to them.
//! Names are not resolved here: `compile` does that, with the whole model before it.
//! Read by `s6-rc-compile`, `mkimage` and whatever compiles.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod copy;
mod definition;
pub mod execline;
mod fault;
mod known;
pub mod process;
mod reader;
mod settings;

use alloc::vec::Vec;
pub use fault::{Fault, Lex, What};
pub use text::near::nearest;

/// Bytes that came from a file or a file's name.
pub type Bytes = Vec<u8>;

/// Everything that some source directories define.
#[derive(Default)]
pub struct Model {
    /// The directories as they were named, in the order in which they were read.
    pub sources: Vec<Bytes>,
    /// Services and bundles, directory by directory, in the order of their names.
    pub definitions: Vec<Definition>,
    /// What is wrong, in the order in which it was found.
    pub faults: Vec<Fault>,
}

/// What a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A supervised process.
    Longrun,
    /// Scripts.
    Oneshot,
    /// A set of services.
    Bundle,
}

impl Type {
    /// The word in the file `type`.
    pub const fn word(self) -> &'static [u8] {
        match self {
            Self::Longrun => b"longrun",
            Self::Oneshot => b"oneshot",
            Self::Bundle => b"bundle",
        }
    }
}

/// A name in a list, and where it stands.
#[derive(Clone, Debug)]
pub struct Name {
    /// The name.
    pub name: Bytes,
    /// Its line in the file; 0 for the name of a file in a `.d` directory.
    pub line: u32,
}

/// A list of names, from a directory or a file.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The file or directory that it was read from; empty if there is none.
    pub file: &'static str,
    /// The names, each once.
    pub names: Vec<Name>,
}

/// A service or bundle, as its directory defines it.
pub struct Definition {
    /// Its name: that of its directory.
    pub name: Bytes,
    /// Which of [`Model::sources`].
    pub source: usize,
    /// What it is, or, where it does not say so and is broken for that, what it seems to be.
    pub kind: Type,
    /// Its own flags.
    pub flags: db::Flags,
    /// Milliseconds; 0 = none.
    pub timeout_up: u32,
    /// Milliseconds; 0 = none.
    pub timeout_down: u32,
    /// What it needs.
    pub dependencies: List,
    /// What it wants.
    pub wants: List,
    /// What it comes after.
    pub after: List,
    /// What it comes before.
    pub before: List,
    /// What restarts it.
    pub restart_with: List,
    /// What a bundle holds.
    pub contents: List,
    /// The service that reads its output: one name, or none.
    pub producer_for: List,
    /// The services whose output it reads.
    pub consumer_for: List,
    /// The bundle to make of the pipeline that ends here: one name, or none.
    pub pipeline_name: List,
    /// The path of its cgroup; empty if it has none.
    pub cgroup: Bytes,
    /// A longrun's service directory, or a oneshot's scripts, in the order of their paths.
    pub files: Vec<SourceFile>,
    /// Whether something grave is wrong with it.
    pub broken: bool,
}

impl Definition {
    /// An empty definition.
    pub fn new(name: Bytes, source: usize, kind: Type) -> Self {
        Self {
            name,
            source,
            kind,
            flags: db::Flags(0),
            timeout_up: 0,
            timeout_down: 0,
            dependencies: List::default(),
            wants: List::default(),
            after: List::default(),
            before: List::default(),
            restart_with: List::default(),
            contents: List::default(),
            producer_for: List::default(),
            consumer_for: List::default(),
            pipeline_name: List::default(),
            cgroup: Vec::new(),
            files: Vec::new(),
            broken: false,
        }
    }
}

/// A file of a service directory, or a script.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Relative to the service directory.
    pub path: Bytes,
    /// What it is.
    pub kind: db::FileKind,
    /// Permission bits.
    pub mode: u16,
    /// Contents, target, or words with a zero after each.
    pub bytes: Bytes,
}

/// Puts files in the order that an image has them in.
pub fn sort_files(files: &mut [SourceFile]) {
    db::sort::sort(files, |a, b| a.path < b.path);
}

/// Reads source directories, one after the other.
pub fn read(sources: &[&core::ffi::CStr]) -> Model {
    let mut model = Model::default();
    let mut reader = reader::Reader::new();
    for path in sources {
        let index = model.sources.len();
        model.sources.push(path.to_bytes().to_vec());
        definition::read_source(&mut model, &mut reader, path, index);
    }
    model
}
