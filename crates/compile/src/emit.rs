// SPDX-License-Identifier: ISC
//! The image: numbers for the services, the files that the compiler generates, the flags that bundles hand down.
//!
//! A generated `run` begins with `#!@SKEG@ APPLET`. The live directory replaces the token with the path of the binary
//! on that machine, so that the image is the same everywhere. The lines after the first are for the applet:
//! `s6rc-pipe-run` reads `read NAME` (standard input is the pipe of the service NAME, which is itself) and
//! `write NAME` (standard output is the pipe of NAME), and then executes its own path with `.user` after it.

use crate::graph::Graph;
use crate::names::Names;
use crate::pipeline::Partners;
use alloc::vec::Vec;
use db::{EncodeError, FileKind, Flags, Kind, NewBundle, NewFile, NewService};
use source::{Bytes, Definition, SourceFile, Type, What};

const PIPE_RUN: &[u8] = b"#!@SKEG@ s6rc-pipe-run\n";

fn file(path: &[u8], mode: u16, bytes: Bytes) -> SourceFile {
    SourceFile { path: path.to_vec(), kind: FileKind::Regular, mode, bytes }
}

fn internal(name: &[u8], source: usize, files: Vec<SourceFile>) -> Definition {
    let mut d = Definition::new(name.to_vec(), source, Type::Longrun);
    d.flags = Flags::ESSENTIAL.with(Flags::INTERNAL);
    d.files = files;
    d.files.push(file(b"notification-fd", 0o644, b"3\n".to_vec()));
    source::sort_files(&mut d.files);
    d
}

/// The oneshot runner.
pub fn runner(name: &[u8], source: usize) -> Definition {
    internal(name, source, alloc::vec![file(b"run", 0o755, b"#!@SKEG@ s6rc-oneshot-runner\n".to_vec())])
}

/// The pipe holder, as another user if there is one.
pub fn holder(name: &[u8], source: usize, user: Option<&[u8]>) -> Definition {
    let run = b"#!@SKEG@ s6rc-fdholder\n".to_vec();
    let Some(user) = user else { return internal(name, source, alloc::vec![file(b"run", 0o755, run)]) };
    let mut settings = source::process::Settings::new();
    // A user that is no name stays out of the way of the compiler: the applet refuses it before it comes here.
    settings.add_file(source::process::Setting::User, user, &mut |_| {});
    let files = [file(b"run", 0o755, settings.run()), file(b"run.user", 0o755, run)];
    internal(name, source, files.to_vec())
}

/// Wraps `run` and `finish` of a service in a pipeline.
fn pipe(names: &Names, number: u32, partners: &Partners) -> Vec<SourceFile> {
    let mut body = PIPE_RUN.to_vec();
    let mut line = |word: &[u8], name: &[u8]| {
        body.extend_from_slice(word);
        body.extend_from_slice(name);
        body.push(b'\n');
    };
    if partners.reads(number) {
        line(b"read ", names.name(number));
    }
    if let Some(consumer) = partners.consumer(number) {
        line(b"write ", names.name(consumer));
    }
    let mut files = Vec::new();
    for f in names.get(number).map(|d| d.files.as_slice()).unwrap_or_default() {
        let mut copy = f.clone();
        if matches!(f.path.as_slice(), b"run" | b"run.user" | b"finish" | b"finish.user") {
            copy.path.extend_from_slice(b".user");
            if matches!(f.path.as_slice(), b"run" | b"finish") {
                files.push(file(&f.path, 0o755, body.clone()));
            }
        }
        files.push(copy);
    }
    source::sort_files(&mut files);
    files
}

/// Each service's number in the image, by the number of its definition.
struct Numbers {
    ids: Vec<u16>,
    /// Definitions in the order of the image.
    order: Vec<u32>,
}

impl Numbers {
    fn new(names: &Names) -> Self {
        let alive = |kind: Type| {
            let fits = move |n: &&u32| names.kind(**n) == kind && !names.is_broken(**n);
            names.in_order().iter().filter(fits).copied()
        };
        let order: Vec<u32> = alive(Type::Longrun).chain(alive(Type::Oneshot)).collect();
        let mut ids = alloc::vec![u16::MAX; names.definitions.len()];
        for (id, number) in order.iter().enumerate() {
            if let Some(slot) = ids.get_mut(*number as usize) {
                *slot = id as u16;
            }
        }
        Self { ids, order }
    }

    fn of(&self, number: u32) -> Option<u16> {
        self.ids.get(number as usize).copied().filter(|id| *id != u16::MAX)
    }

    /// The numbers of those that are in the image, ascending, appended to `all`; where they lie there.
    fn list(&self, all: &mut Vec<u16>, numbers: &[u32]) -> (usize, usize) {
        let start = all.len();
        if numbers.is_empty() {
            return (start, start);
        }
        all.extend(numbers.iter().filter_map(|n| self.of(*n)));
        if let Some(new) = all.get_mut(start..) {
            db::sort::sort(new, |a, b| a < b);
        }
        (start, all.len())
    }
}

/// Writes the image; none if it can't be, with a fault that says why.
pub fn image(names: &mut Names, graph: &Graph, bundles: &[Vec<u32>], partners: &Partners) -> Option<Vec<u8>> {
    let numbers = Numbers::new(names);
    for number in &numbers.order {
        if partners.any(*number) {
            let files = pipe(names, *number, partners);
            if let Some(d) = names.definitions.get_mut(*number as usize) {
                d.files = files;
            }
        }
    }
    hand_down(names, bundles);
    let result = encode(names, &numbers, graph, bundles, partners);
    result.map_err(|e| refuse(names, &numbers, e)).ok()
}

/// A bundle's flags are those of all that it holds, too.
fn hand_down(names: &mut Names, bundles: &[Vec<u32>]) {
    for (bundle, contents) in bundles.iter().enumerate() {
        let flags = names.get(bundle as u32).map_or(Flags(0), |d| d.flags);
        if flags == Flags(0) || names.is_broken(bundle as u32) {
            continue;
        }
        for one in contents {
            if let Some(d) = names.definitions.get_mut(*one as usize) {
                d.flags = d.flags.with(flags);
            }
        }
    }
}

fn encode(
    names: &Names,
    numbers: &Numbers,
    graph: &Graph,
    bundles: &[Vec<u32>],
    partners: &Partners,
) -> Result<Vec<u8>, EncodeError> {
    let mut edges = Vec::new();
    let count = numbers.order.iter().filter_map(|n| names.get(*n)).map(|d| d.files.len()).sum();
    let mut files: Vec<NewFile<'_>> = Vec::with_capacity(count);
    let mut places = Vec::with_capacity(numbers.order.len());
    for number in &numbers.order {
        let lists = [&graph.needs, &graph.wants, &graph.after, &graph.restart_with];
        let lists = lists.map(|l| numbers.list(&mut edges, l.get(*number)));
        let start = files.len();
        let own = names.get(*number).map(|d| d.files.as_slice()).unwrap_or_default();
        files.extend(own.iter().map(|f| NewFile {
            path: &f.path,
            kind: f.kind,
            mode: f.mode,
            bytes: &f.bytes,
        }));
        places.push((lists, start..files.len()));
    }
    let part = |(start, end): (usize, usize)| edges.get(start..end).unwrap_or_default();
    let mut services: Vec<NewService<'_>> = Vec::with_capacity(numbers.order.len());
    for (number, ([needs, wants, after, restart], own)) in numbers.order.iter().zip(&places) {
        let Some(d) = names.get(*number) else { continue };
        services.push(NewService {
            name: &d.name,
            kind: if d.kind == Type::Longrun { Kind::Longrun } else { Kind::Oneshot },
            flags: d.flags,
            timeout_up: d.timeout_up,
            timeout_down: d.timeout_down,
            dependencies: part(*needs),
            wants: part(*wants),
            after: part(*after),
            restart_with: part(*restart),
            consumer: partners.consumer(*number).and_then(|c| numbers.of(c)),
            files: files.get(own.clone()).unwrap_or_default(),
        });
    }
    let mut members = Vec::new();
    let mut sets = Vec::new();
    for number in names.in_order() {
        if names.kind(*number) == Type::Bundle && !names.is_broken(*number) {
            let contents = bundles.get(*number as usize).map(Vec::as_slice).unwrap_or_default();
            sets.push((*number, numbers.list(&mut members, contents)));
        }
    }
    let bundles: Vec<NewBundle<'_>> = sets
        .iter()
        .filter_map(|(number, (start, end))| {
            let d = names.get(*number)?;
            let contents = members.get(*start..*end).unwrap_or_default();
            Some(NewBundle { name: &d.name, flags: d.flags, contents })
        })
        .collect();
    db::encode(&services, &bundles)
}

fn refuse(names: &mut Names, numbers: &Numbers, error: EncodeError) {
    let (number, what) = match error {
        EncodeError::TooManyServices => (u32::MAX, What::TooManyServices),
        EncodeError::TooManyBundles => (u32::MAX, What::TooManyBundles),
        EncodeError::TooLarge | EncodeError::Bundle(_) => (u32::MAX, What::ImageTooLarge),
        EncodeError::Service(id) => {
            (numbers.order.get(usize::from(id)).copied().unwrap_or(u32::MAX), What::ImageTooLarge)
        }
    };
    names.fault(true, number, "", 0, what, b"", b"");
}
