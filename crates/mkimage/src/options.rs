// SPDX-License-Identifier: ISC
//! The command line, and the tree that it describes.

use crate::definitions;
use crate::tree::{Node, Tree};
use lexopt::prelude::*;
use std::path::{Path, PathBuf};

/// Where a boot looks for the root's own image.
const COMPILED: &str = "etc/s6-rc/compiled";

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An initramfs.
    Cpio,
    /// A read-only root.
    Squashfs,
}

/// What was asked for.
pub struct Options {
    /// The file to write.
    pub out: PathBuf,
    /// In which format.
    pub format: Format,
    /// What goes in, in the order given.
    entries: Vec<Entry>,
}

/// One thing that goes in.
enum Entry {
    Skeg(PathBuf),
    Busybox(PathBuf),
    Applets(String),
    Module(PathBuf),
    Image(PathBuf),
    Definitions(PathBuf),
    Overlay(PathBuf),
    File(String),
    Dir(String),
    Link(String),
    Device(String),
}

/// Reads the command line; none when only help was asked for.
pub fn parse(mut args: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let (mut out, mut format, mut entries) = (None, None, Vec::new());
    while let Some(arg) = args.next()? {
        let entry = match arg {
            Short('h') | Long("help") => return Ok(None),
            Short('o') | Long("output") => {
                out = Some(PathBuf::from(args.value()?));
                continue;
            }
            Long("format") => {
                format = Some(match args.value()?.string()?.as_str() {
                    "cpio" => Format::Cpio,
                    "squashfs" => Format::Squashfs,
                    other => return Err(format!("{other}: no such format (cpio or squashfs)").into()),
                });
                continue;
            }
            Long("skeg") => Entry::Skeg(args.value()?.into()),
            Long("busybox") => Entry::Busybox(args.value()?.into()),
            Long("applets") => Entry::Applets(args.value()?.string()?),
            Long("module") => Entry::Module(args.value()?.into()),
            Long("definitions") => Entry::Definitions(args.value()?.into()),
            Long("image") => Entry::Image(args.value()?.into()),
            Long("overlay") => Entry::Overlay(args.value()?.into()),
            Long("file") => Entry::File(args.value()?.string()?),
            Long("dir") => Entry::Dir(args.value()?.string()?),
            Long("link") => Entry::Link(args.value()?.string()?),
            Long("device") => Entry::Device(args.value()?.string()?),
            other => return Err(other.unexpected()),
        };
        entries.push(entry);
    }
    let out = out.ok_or("-o OUT is missing")?;
    let format = format.ok_or("--format is missing")?;
    Ok(Some(Options { out, format, entries }))
}

impl Options {
    /// The tree that the options describe.
    pub fn tree(&self) -> Result<Tree, String> {
        let mut tree = Tree::default();
        self.base(&mut tree)?;
        let mut modules = String::new();
        let definitions: Vec<_> = self
            .entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Definitions(dir) => Some(dir),
                _ => None,
            })
            .collect();
        if !definitions.is_empty() {
            tree.put(COMPILED, Node::File(0o644, definitions::compile(&definitions)?))?;
        }
        for entry in &self.entries {
            self.add(&mut tree, &mut modules, entry)?;
        }
        if !modules.is_empty() {
            tree.put("etc/skeg/modules", Node::File(0o644, modules.into_bytes()))?;
        }
        Ok(tree)
    }

    /// What every image of the format has.
    fn base(&self, tree: &mut Tree) -> Result<(), String> {
        let dirs: &[&str] = match self.format {
            Format::Cpio => &["dev", "proc", "sys"],
            Format::Squashfs => &["dev", "proc", "sys", "run", "data", "var"],
        };
        for dir in dirs {
            tree.put(dir, Node::Dir(0o755))?;
        }
        tree.put("tmp", Node::Dir(0o1777))?;
        if self.format == Format::Cpio {
            tree.put("dev/console", Node::Device(0o600, false, 5, 1))?;
            tree.put("dev/null", Node::Device(0o666, false, 1, 3))?;
        }
        Ok(())
    }

    fn add(&self, tree: &mut Tree, modules: &mut String, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Skeg(file) => {
                tree.put_file("sbin/skeg", file, 0o755)?;
                let init = if self.format == Format::Cpio { "init" } else { "sbin/init" };
                for link in [init, "sbin/poweroff", "sbin/reboot", "sbin/halt"] {
                    tree.put(link, Node::Link("/sbin/skeg".into()))?;
                }
                Ok(())
            }
            Entry::Busybox(file) => {
                tree.put_file("bin/busybox", file, 0o755)?;
                tree.put("bin/sh", Node::Link("busybox".into()))
            }
            Entry::Applets(names) => names
                .split(',')
                .filter(|name| !name.is_empty())
                .try_for_each(|name| tree.put(&format!("bin/{name}"), Node::Link("busybox".into()))),
            Entry::Module(file) => {
                let name = file_name(file)?;
                modules.push_str(&format!("/lib/modules/{name}\n"));
                tree.put_file(&format!("lib/modules/{name}"), file, 0o644)
            }
            Entry::Image(file) => tree.put_file(COMPILED, file, 0o644),
            // All together, before the rest.
            Entry::Definitions(_) => Ok(()),
            Entry::Overlay(dir) => tree.overlay(dir),
            Entry::File(spec) => {
                let (source, rest) = split(spec, '=')?;
                let (path, mode) = with_mode(rest, 0o644)?;
                tree.put_file(path, Path::new(source), mode)
            }
            Entry::Dir(spec) => {
                let (path, mode) = with_mode(spec, 0o755)?;
                tree.put(path, Node::Dir(mode))
            }
            Entry::Link(spec) => {
                let (target, path) = split(spec, '=')?;
                tree.put(path, Node::Link(target.to_owned()))
            }
            Entry::Device(spec) => device(tree, spec),
        }
    }
}

fn file_name(file: &Path) -> Result<&str, String> {
    file.file_name().and_then(|n| n.to_str()).ok_or_else(|| format!("{}: no file name", file.display()))
}

fn split(spec: &str, at: char) -> Result<(&str, &str), String> {
    spec.split_once(at).ok_or_else(|| format!("{spec}: there is no '{at}' in it"))
}

fn with_mode(spec: &str, default: u32) -> Result<(&str, u32), String> {
    match spec.split_once(',') {
        None => Ok((spec, default)),
        Some((path, mode)) => octal(mode).map(|mode| (path, mode)),
    }
}

fn octal(digits: &str) -> Result<u32, String> {
    u32::from_str_radix(digits, 8).map_err(|_| format!("{digits}: no octal mode"))
}

fn device(tree: &mut Tree, spec: &str) -> Result<(), String> {
    let parts: Vec<_> = spec.split(',').collect();
    let (path, kind, major, minor, mode) = match parts[..] {
        [path, kind, major, minor] => (path, kind, major, minor, 0o600),
        [path, kind, major, minor, mode] => (path, kind, major, minor, octal(mode)?),
        _ => return Err(format!("{spec}: not PATH,c|b,MAJOR,MINOR[,MODE]")),
    };
    let number = |digits: &str| digits.parse().map_err(|_| format!("{spec}: '{digits}' is not a number"));
    let block = match kind {
        "b" => true,
        "c" => false,
        other => return Err(format!("{spec}: '{other}' is neither c nor b")),
    };
    tree.put(path, Node::Device(mode, block, number(major)?, number(minor)?))
}
