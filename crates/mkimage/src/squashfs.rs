// SPDX-License-Identifier: ISC
//! The read-only root: squashfs 4.0 with gzip, which every kernel that has squashfs can read.

use crate::tree::{Node, Tree};
use backhand::compression::Compressor;
use backhand::{FilesystemCompressor, FilesystemWriter, NodeHeader};
use std::io::Cursor;
use std::path::Path;

/// Writes the tree as a squashfs file.
pub fn write(tree: &Tree, out: &Path) -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", out.display());
    let mut fs = FilesystemWriter::default();
    fs.set_time(0);
    fs.set_only_root_id();
    fs.set_root_mode(0o755);
    fs.set_compressor(FilesystemCompressor::new(Compressor::Gzip, None).map_err(|e| failed(&e))?);
    for (path, node) in tree.entries() {
        let header = |mode: u32| NodeHeader::new(mode as u16, 0, 0, 0);
        match node {
            Node::Dir(mode) => fs.push_dir(path, header(*mode)),
            Node::File(mode, bytes) => fs.push_file(Cursor::new(bytes.as_slice()), path, header(*mode)),
            Node::Link(target) => fs.push_symlink(target, path, header(0o777)),
            Node::Device(mode, false, major, minor) => {
                fs.push_char_device(number(*major, *minor), path, header(*mode))
            }
            Node::Device(mode, true, major, minor) => {
                fs.push_block_device(number(*major, *minor), path, header(*mode))
            }
        }
        .map_err(|e| format!("/{path}: {e}"))?;
    }
    let mut file = std::fs::File::create(out).map_err(|e| failed(&e))?;
    fs.write(&mut file).map_err(|e| failed(&e))?;
    Ok(())
}

/// A device number as squashfs stores it: the kernel's `new_encode_dev`.
const fn number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}
