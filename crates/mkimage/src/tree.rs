// SPDX-License-Identifier: ISC
//! The tree of an image in memory: sorted paths, so that directories come before what is in them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

/// What lies at a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory with these permission bits.
    Dir(u32),
    /// A file: bits and bytes.
    File(u32, Vec<u8>),
    /// A symbolic link to this.
    Link(String),
    /// A device: bits, whether it is a block device, major, minor.
    Device(u32, bool, u32, u32),
}

/// All entries below the root, by path without a leading slash.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, Node>);

impl Tree {
    /// Puts an entry, and the directories above it where they are missing.
    pub fn put(&mut self, path: &str, node: Node) -> Result<(), String> {
        let path = normal(path)?;
        for (at, _) in path.match_indices('/') {
            let above = self.0.entry(path[..at].to_owned()).or_insert(Node::Dir(0o755));
            if !matches!(above, Node::Dir(_)) {
                return Err(format!("/{path}: /{} is no directory", &path[..at]));
            }
        }
        self.0.insert(path, node);
        Ok(())
    }

    /// Puts a file of the host.
    pub fn put_file(&mut self, path: &str, source: &Path, mode: u32) -> Result<(), String> {
        let bytes = std::fs::read(source).map_err(|e| format!("{}: {e}", source.display()))?;
        self.put(path, Node::File(mode, bytes))
    }

    /// Puts everything below a directory of the host.
    pub fn overlay(&mut self, top: &Path) -> Result<(), String> {
        let mut left = vec![top.to_path_buf()];
        while let Some(dir) = left.pop() {
            let failed = |e: std::io::Error| format!("{}: {e}", dir.display());
            for entry in std::fs::read_dir(&dir).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let failed = |e: std::io::Error| format!("{}: {e}", path.display());
                let name = path.strip_prefix(top).map_err(|e| e.to_string())?;
                let name =
                    name.to_str().ok_or_else(|| format!("{}: a name that is not UTF-8", path.display()))?;
                let meta = path.symlink_metadata().map_err(failed)?;
                let mode = meta.permissions().mode() & 0o7777;
                if meta.is_dir() {
                    self.put(name, Node::Dir(mode))?;
                    left.push(path);
                } else if meta.is_symlink() {
                    let target = std::fs::read_link(&path).map_err(failed)?;
                    self.put(name, Node::Link(target.to_string_lossy().into_owned()))?;
                } else if meta.is_file() {
                    self.put_file(name, &path, mode)?;
                } else {
                    return Err(format!("{}: neither file, directory nor link", path.display()));
                }
            }
        }
        Ok(())
    }

    /// The entries; a directory comes before what is in it.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(path, node)| (path.as_str(), node))
    }
}

/// A path without leading slash and dots.
fn normal(path: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => parts.push(name.to_str().ok_or("a name that is not UTF-8")?),
            _ => return Err(format!("{path}: '..' can't be in an image's path")),
        }
    }
    if parts.is_empty() { Err(format!("'{path}': no path")) } else { Ok(parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_and_come_first() {
        let mut tree = Tree::default();
        tree.put("/etc/skeg/modules", Node::File(0o644, vec![])).unwrap();
        tree.put("etc", Node::Dir(0o700)).unwrap();
        let names: Vec<_> = tree.entries().map(|(path, _)| path).collect();
        assert_eq!(names, ["etc", "etc/skeg", "etc/skeg/modules"]);
    }

    #[test]
    fn nothing_lies_below_a_file_or_outside() {
        let mut tree = Tree::default();
        tree.put("a", Node::File(0o644, vec![])).unwrap();
        assert!(tree.put("a/b", Node::Dir(0o755)).is_err());
        assert!(tree.put("../b", Node::Dir(0o755)).is_err());
    }
}
