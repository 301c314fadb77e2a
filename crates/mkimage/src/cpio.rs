// SPDX-License-Identifier: ISC
//! The initramfs format: cpio, "newc". Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
//!
//! Written here because it is a header of 13 hexadecimal numbers: a package would be longer than this file.

use crate::tree::{Node, Tree};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const BLOCK: u32 = 0o060_000;
const CHARACTER: u32 = 0o020_000;

/// The whole archive.
pub fn archive(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, (path, node)) in (1..).zip(tree.entries()) {
        match node {
            Node::Dir(mode) => entry(&mut out, number, path, DIRECTORY | mode, (0, 0), &[]),
            Node::File(mode, bytes) => entry(&mut out, number, path, FILE | mode, (0, 0), bytes),
            Node::Link(target) => entry(&mut out, number, path, LINK | 0o777, (0, 0), target.as_bytes()),
            Node::Device(mode, block, major, minor) => {
                let kind = if *block { BLOCK } else { CHARACTER };
                entry(&mut out, number, path, kind | mode, (*major, *minor), &[]);
            }
        }
    }
    entry(&mut out, 0, "TRAILER!!!", 0, (0, 0), &[]);
    out
}

/// One entry: magic, 13 numbers of eight digits, the name with a zero byte, the bytes; name and bytes end on four.
fn entry(out: &mut Vec<u8>, inode: u32, path: &str, mode: u32, device: (u32, u32), bytes: &[u8]) {
    let numbers = [
        inode,
        mode,
        0, // owner
        0, // group
        1, // links
        0, // time
        bytes.len() as u32,
        0, // device that holds it: major
        0, // and minor
        device.0,
        device.1,
        path.len() as u32 + 1,
        0, // check sum: not in this variant
    ];
    out.extend_from_slice(b"070701");
    for number in numbers {
        out.extend_from_slice(format!("{number:08x}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(bytes);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_headers_of_110_bytes_and_a_trailer() {
        let mut tree = Tree::default();
        tree.put("init", Node::File(0o755, b"#!x".to_vec())).unwrap();
        let bytes = archive(&tree);
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[14..22], b"000081ed");
        assert_eq!(&bytes[110..115], b"init\0");
        assert_eq!(&bytes[116..119], b"#!x");
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.windows(11).any(|w| w == b"TRAILER!!!\0"));
    }
}
