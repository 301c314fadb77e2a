// SPDX-License-Identifier: ISC
//! A power cut at any moment of an install, on a file system that promises no more than POSIX does.
//!
//! `strace` records what the command asks of the file system. A model that keeps only what it was told to keep says what may
//! be left: after each call, every subset of the changes that no `fsync` has confirmed. Bytes are kept by an `fsync` of their file; a
//! name by one of its directory; where a link leads by one of the directory that it was made in. Each state must show the old or
//! the new image, whole. Without any one `fsync` of the command some state must not: so each is needed, and the model bites.
//!
//! `cargo xtask power-cuts` does the same to the block writes of a real file system.

use harness::{Scratch, Suite};
use std::collections::{BTreeMap, BTreeSet};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    /// A file and how many bytes it has.
    File(usize),
    /// Where a link leads.
    Link(String),
}

/// A node as the program sees it, and as the disk has it.
#[derive(Clone)]
struct Inode {
    now: Node,
    disk: Option<Node>,
}

/// Names with their directory, `current` or `images/x.img`, and the inode of each.
type Names = BTreeMap<String, usize>;

/// The file system.
#[derive(Clone)]
struct Model {
    inodes: Vec<Inode>,
    now: Names,
    disk: Names,
    /// Changes of names that are not confirmed, in order: to which inode, or removed.
    pending: Vec<(String, Option<usize>)>,
}

/// What a power cut leaves: names, and what the disk has for each.
type Left = BTreeMap<String, Option<Node>>;

fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Model {
    /// What lies in the directory now is on the disk.
    fn of(scratch: &Scratch) -> Self {
        let mut model =
            Self { inodes: Vec::new(), now: Names::new(), disk: Names::new(), pending: Vec::new() };
        for folder in ["", "images/"] {
            let Ok(all) = std::fs::read_dir(scratch.at("data").join(folder)) else { continue };
            for entry in all.map(|e| e.expect("an entry")) {
                let kind = entry.file_type().expect("a type");
                let node = if kind.is_symlink() {
                    Node::Link(std::fs::read_link(entry.path()).expect("a link").display().to_string())
                } else if kind.is_file() {
                    Node::File(entry.metadata().expect("metadata").len() as usize)
                } else {
                    continue;
                };
                let name = format!("{folder}{}", entry.file_name().display());
                model.now.insert(name, model.inodes.len());
                model.inodes.push(Inode { disk: Some(node.clone()), now: node });
            }
        }
        model.disk = model.now.clone();
        model
    }

    fn name(&mut self, name: &str, to: Option<usize>) {
        match to {
            Some(inode) => self.now.insert(name.to_owned(), inode),
            None => self.now.remove(name),
        };
        self.pending.push((name.to_owned(), to));
    }

    fn make(&mut self, name: &str, node: Node) {
        self.inodes.push(Inode { now: node, disk: None });
        self.name(name, Some(self.inodes.len() - 1));
    }

    fn step(&mut self, call: &Call) {
        match call {
            Call::Create(name) => match self.now.get(name) {
                Some(&inode) => self.inodes[inode].now = Node::File(0),
                None => self.make(name, Node::File(0)),
            },
            Call::Write(name, more) => {
                let inode = self.now[name];
                let Node::File(len) = &mut self.inodes[inode].now else { panic!("{name} is no file") };
                *len += more;
            }
            Call::Link(to, name) => self.make(name, Node::Link(to.clone())),
            Call::Rename(from, to) => {
                let inode = self.now[from];
                self.name(to, Some(inode));
                self.name(from, None);
            }
            Call::Remove(name) => self.name(name, None),
            Call::SyncFile(name) => {
                let inode = self.now[name];
                self.inodes[inode].disk = Some(self.inodes[inode].now.clone());
            }
            Call::SyncFolder(of) => {
                for (name, to) in std::mem::take(&mut self.pending) {
                    if folder(&name) != of {
                        self.pending.push((name, to));
                        continue;
                    }
                    if let Some(inode) = to
                        && matches!(self.inodes[inode].now, Node::Link(_))
                    {
                        self.inodes[inode].disk = Some(self.inodes[inode].now.clone());
                    }
                    apply(&mut self.disk, name, to);
                }
            }
        }
    }

    /// Every state that a power cut may leave now.
    fn left(&self) -> BTreeSet<Left> {
        assert!(self.pending.len() < 12, "too many changes without an fsync: {:?}", self.pending);
        (0..1u32 << self.pending.len())
            .map(|subset| {
                let mut names = self.disk.clone();
                for (number, (name, to)) in self.pending.iter().enumerate() {
                    if subset & (1 << number) != 0 {
                        apply(&mut names, name.clone(), *to);
                    }
                }
                names.into_iter().map(|(name, inode)| (name, self.inodes[inode].disk.clone())).collect()
            })
            .collect()
    }
}

fn apply(names: &mut Names, name: String, to: Option<usize>) {
    match to {
        Some(inode) => names.insert(name, inode),
        None => names.remove(&name),
    };
}

/// What the command did to the partition.
#[derive(Debug)]
enum Call {
    Create(String),
    Write(String, usize),
    Link(String, String),
    Rename(String, String),
    Remove(String),
    SyncFile(String),
    SyncFolder(String),
}

/// Runs the command under strace; without its `fsync` number `without`.
fn record(scratch: &Scratch, words: &[&str], without: usize) -> Vec<Call> {
    let trace = scratch.text("trace");
    let calls = "trace=openat,write,sendfile,symlinkat,rename,renameat,renameat2,unlinkat,fsync,fdatasync";
    let binary = Suite::skeg_fault().binary().display().to_string();
    let mut all = vec!["-y", "-e", calls, "-o", &trace, "--", &binary, "install", "-d", "data"];
    all.extend(words);
    let strace = Suite::Folder("/usr/bin".into());
    let mut command = scratch.command(&strace, "strace", &all);
    command.env("SKEG_FAULT", format!("install:{without}:nosync"));
    harness::process::run(&mut command).expect(0);
    let text = scratch.read("trace");
    let data = format!("{}/", scratch.at("data").canonicalize().expect("a directory").display());
    text.lines().filter_map(|line| parse(line, &data)).collect()
}

/// One line of the trace, where it concerns the partition and went well.
fn parse(line: &str, data: &str) -> Option<Call> {
    let (call, rest) = line.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    // The path of the nth descriptor, below the partition; `<` and `>` are around each.
    let path = |n: usize| -> Option<String> {
        let path = format!("{}/", arguments.split('<').nth(n + 1)?.split('>').next()?);
        path.strip_prefix(data).map(|p| p.trim_end_matches('/').to_owned())
    };
    let string = |n: usize| arguments.split('"').nth(2 * n + 1).unwrap_or_default().to_owned();
    let below =
        |folder: String, name: String| if folder.is_empty() { name } else { format!("{folder}/{name}") };
    Some(match call {
        "openat" if arguments.contains("O_CREAT") => Call::Create(below(path(0)?, string(0))),
        "write" => Call::Write(path(0)?, result.split(' ').next()?.parse().ok()?),
        "symlinkat" => Call::Link(string(0), below(path(0)?, string(1))),
        "renameat" | "renameat2" => Call::Rename(below(path(0)?, string(0)), below(path(1)?, string(1))),
        "unlinkat" => Call::Remove(below(path(0)?, string(0))),
        "fsync" => match path(0)? {
            folder if folder.is_empty() || folder == "images" => Call::SyncFolder(folder),
            file => Call::SyncFile(file),
        },
        "openat" => return None,
        other => panic!("what does {other} do to the disk? {line}"),
    })
}

/// An install, and what is on the partition before it.
struct Scenario {
    name: &'static str,
    before: &'static [&'static [&'static str]],
    words: &'static [&'static str],
    /// `current` and `previous` afterwards, and the trial.
    after: (&'static str, Option<&'static str>, bool),
}

const SCENARIOS: [Scenario; 7] = [
    Scenario { name: "the first", before: &[], words: &["a.img"], after: ("a", None, false) },
    Scenario { name: "the second", before: &[&["a.img"]], words: &["b.img"], after: ("b", Some("a"), false) },
    Scenario {
        name: "the third, on trial",
        before: &[&["a.img"], &["b.img"]],
        words: &["--trial", "30", "c.img"],
        after: ("c", Some("b"), true),
    },
    Scenario {
        name: "after one on trial, on trial",
        before: &[&["a.img"], &["--trial", "30", "b.img"]],
        words: &["--trial", "45", "c.img"],
        after: ("c", Some("a"), true),
    },
    Scenario {
        name: "after one on trial",
        before: &[&["a.img"], &["--trial", "30", "b.img"]],
        words: &["c.img"],
        after: ("c", Some("a"), false),
    },
    Scenario {
        name: "back",
        before: &[&["a.img"], &["--trial", "30", "b.img"]],
        words: &["--back"],
        after: ("a", Some("a"), false),
    },
    // The boot that ends a good trial does the same.
    Scenario {
        name: "keep",
        before: &[&["a.img"], &["--trial", "30", "b.img"]],
        words: &["--keep"],
        after: ("b", Some("a"), false),
    },
];

/// A scratch directory with three images and the partition of the scenario.
fn partition(scenario: &Scenario) -> Scratch {
    let scratch = Scratch::new();
    for (image, seconds) in [("a", "1"), ("b", "22"), ("c", "333")] {
        scratch.file(format!("{image}/x/type"), "longrun\n");
        scratch.file(format!("{image}/x/run"), format!("#!/bin/sh\nexec sleep {seconds}\n"));
        scratch.file(format!("{image}/default/type"), "bundle\n");
        scratch.file(format!("{image}/default/contents"), "x\n");
        let words = [format!("{image}.img"), image.to_owned()];
        scratch.run(&Suite::skeg(), "s6-rc-compile", &words).expect(0);
    }
    scratch.folder("data");
    for words in scenario.before {
        let all: Vec<&str> = ["-d", "data"].into_iter().chain(words.iter().copied()).collect();
        scratch.run(&Suite::skeg(), "install", &all).expect(0);
    }
    scratch
}

/// The images by what their links lead to, and their length.
fn images(scratch: &Scratch) -> BTreeMap<String, (&'static str, usize)> {
    scratch.folder("names");
    ["a", "b", "c"]
        .into_iter()
        .map(|image| {
            let file = format!("{image}.img");
            scratch.run(&Suite::skeg(), "install", &["-d", "names", &file]).expect(0);
            let link = std::fs::read_link(scratch.at("names/current")).expect("a link");
            let len = std::fs::metadata(scratch.at(&file)).expect("an image").len() as usize;
            (link.display().to_string(), (image, len))
        })
        .collect()
}

/// The image that a link leads to; an error where it is not whole.
fn image(
    left: &Left,
    images: &BTreeMap<String, (&'static str, usize)>,
    link: &str,
) -> Result<Option<&'static str>, String> {
    let Some(node) = left.get(link) else { return Ok(None) };
    let Some(Node::Link(to)) = node else { return Err(format!("{link} leads nowhere")) };
    match (images.get(to), left.get(to)) {
        (Some((name, len)), Some(Some(Node::File(have)))) if have == len => Ok(Some(name)),
        (_, have) => Err(format!("{link} leads to {to}, which is {have:?}")),
    }
}

/// What is wrong with a state, if anything. `done`: the command has said that all went well.
fn judge(
    left: &Left,
    images: &BTreeMap<String, (&'static str, usize)>,
    before: &Left,
    scenario: &Scenario,
    done: bool,
) -> Result<(), String> {
    let (current, previous) = (image(left, images, "current")?, image(left, images, "previous")?);
    let (old, old_previous) = (image(before, images, "current")?, image(before, images, "previous")?);
    let trial = match left.get("trial") {
        None => false,
        Some(Some(Node::File(2))) => true,
        Some(other) => return Err(format!("the mark of the trial is {other:?}")),
    };
    let (new, new_previous, new_trial) = scenario.after;
    let is_new = current == Some(new);
    if !is_new && (done || current != old) {
        return Err(format!("current is {current:?}"));
    }
    if previous != new_previous && (is_new || previous != old_previous) {
        return Err(format!("current is {current:?}, previous {previous:?}"));
    }
    // On the way a trial may be one too many, but never one too few.
    let on_trial = if is_new { new_trial } else { before.contains_key("trial") };
    if on_trial && !trial || done && trial != new_trial {
        return Err(format!("current is {current:?}; a trial: {trial}"));
    }
    Ok(())
}

/// Every state of every power cut during the install; how many there were, or the first that is wrong.
fn all_cuts(scenario: &Scenario, without: usize) -> (usize, Result<usize, String>) {
    let scratch = partition(scenario);
    let images = images(&scratch);
    let mut model = Model::of(&scratch);
    let before = model.left().pop_first().expect("one state");
    let calls = record(&scratch, scenario.words, without);
    let syncs = calls.iter().filter(|c| matches!(c, Call::SyncFile(_) | Call::SyncFolder(_))).count();
    let mut states = 0;
    for (number, call) in calls.iter().enumerate() {
        model.step(call);
        // Behind the last `fsync` and what follows it the command ends.
        let done = number + 1 == calls.len();
        for left in model.left() {
            states += 1;
            if let Err(why) = judge(&left, &images, &before, scenario, done) {
                return (syncs, Err(format!("after call {}, {call:?}: {why}", number + 1)));
            }
        }
    }
    (syncs, Ok(states))
}

fn has_strace() -> bool {
    let there = std::path::Path::new("/usr/bin/strace").exists();
    if !there {
        println!("left out: no strace here");
    }
    there
}

#[test]
fn a_power_cut_at_any_moment_leaves_the_old_or_the_new_image() {
    for scenario in SCENARIOS.iter().filter(|_| has_strace()) {
        let (syncs, states) = all_cuts(scenario, 0);
        let states = states.unwrap_or_else(|why| panic!("{}: {why}", scenario.name));
        eprintln!("{}: {syncs} fsyncs, {states} states", scenario.name);
    }
}

#[test]
fn no_fsync_of_an_install_can_be_left_out() {
    for scenario in SCENARIOS.iter().filter(|_| has_strace()) {
        let syncs = all_cuts(scenario, 0).0;
        for without in 1..=syncs {
            let (left, states) = all_cuts(scenario, without);
            assert_eq!(left, syncs - 1, "{}: fsync {without} is the one that is not made", scenario.name);
            let why = states.expect_err(&format!("{}: fsync {without} is not needed", scenario.name));
            eprintln!("{} without fsync {without}: {why}", scenario.name);
        }
    }
}
