// SPDX-License-Identifier: ISC
//! Every architecture's binary compiles the same source trees, in user-mode emulation: the images must be the same bytes.
//!
//! The trees are the recorded ones of `tests/data/db_cases.jsonl` and the router of `qemu/router`.

use crate::arch::{self, Arch};
use crate::command::{Outcome, capture, dist, root};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A source tree: the folders that are given to the compiler, in order.
struct Tree {
    name: String,
    sources: Vec<PathBuf>,
}

/// A device binary: its architecture, and where it lies.
pub struct Program {
    arch: &'static Arch,
    file: PathBuf,
}

impl Program {
    /// The one in `target/dist`.
    pub fn of(arch: &'static Arch) -> Self {
        Self { arch, file: dist().join(arch.name).join("skeg") }
    }

    /// This one.
    pub fn at(arch: &'static Arch, file: PathBuf) -> Self {
        Self { arch, file }
    }
}

/// Compiles each tree with each binary: all must make what the first one makes.
pub fn identical(programs: &[Program]) -> Outcome {
    let scratch = tempfile::tempdir().map_err(|e| format!("a directory for images: {e}"))?;
    let trees = trees(scratch.path())?;
    if trees.is_empty() {
        return Err("no source tree to compile".into());
    }
    let mut expected: Vec<Option<Vec<u8>>> = Vec::new();
    for program in programs {
        let arch = program.arch;
        for (at, tree) in trees.iter().enumerate() {
            let image = compile(program, tree, &scratch.path().join("out"))?;
            match expected.get(at) {
                None => expected.push(image),
                Some(first) if *first == image => {}
                Some(_) => return Err(format!("{}: {} compiles to another image", arch.name, tree.name)),
            }
        }
        let made = expected.iter().flatten().count();
        println!(
            "{}: {} trees: {made} images, the same bytes; {} refused",
            arch.name,
            trees.len(),
            trees.len() - made
        );
    }
    Ok(())
}

/// The image, or none where the tree was refused.
fn compile(Program { arch, file }: &Program, tree: &Tree, out: &Path) -> Outcome<Option<Vec<u8>>> {
    let mut command = if arch::host() == Some(arch) {
        Command::new(file)
    } else {
        let mut command = Command::new(arch.emulator);
        command.arg(file);
        command
    };
    let result = capture(command.arg("s6-rc-compile").arg(out).args(&tree.sources))?;
    if !result.status.success() {
        return match result.status.code() {
            Some(code) if code != 101 && !out.exists() => Ok(None),
            _ => Err(format!("{}: {}: {}", arch.name, tree.name, result.status)),
        };
    }
    let bytes = std::fs::read(out).map_err(|e| format!("{}: {}: {e}", arch.name, tree.name))?;
    std::fs::remove_file(out).map_err(|e| format!("{}: {e}", out.display()))?;
    Ok(Some(bytes))
}

fn trees(scratch: &Path) -> Outcome<Vec<Tree>> {
    let mut trees = Vec::new();
    let router = root().join("qemu/router/source");
    if router.is_dir() {
        trees.push(Tree { name: "qemu/router".into(), sources: vec![router] });
    }
    let file = root().join("tests/data/db_cases.jsonl");
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    for (number, line) in text.lines().enumerate() {
        let case: Value = serde_json::from_str(line).map_err(|e| format!("{}: {e}", file.display()))?;
        let folder = scratch.join(number.to_string());
        for (source, files) in case["sources"].as_object().into_iter().flatten() {
            write(&folder.join(source), files).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let words = case["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let sources = words.map(|word| folder.join(word)).collect();
        trees.push(Tree { name: case["name"].as_str().unwrap_or("a case").to_owned(), sources });
    }
    Ok(trees)
}

/// Files of a recorded tree: `f` is what is in one, `m` its mode; `d` marks a directory.
fn write(folder: &Path, files: &Value) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (path, entry) in files.as_object().into_iter().flatten() {
        let path = folder.join(path);
        if entry.get("d").is_some() {
            std::fs::create_dir_all(path)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, entry["f"].as_str().unwrap_or_default())?;
        let mode = entry["m"].as_u64().and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
