// SPDX-License-Identifier: ISC
//! The directories that a service directory takes over as they are: `data`, `env`, `template`.

use crate::fault::What;
use crate::reader::Reader;
use crate::{Bytes, SourceFile};
use alloc::vec::Vec;
use db::FileKind;
use sys::fs::FileType;
use sys::{CBuf, Errno, OwnedFd};

/// How deep directories may lie in each other: a loop of mounts ends here.
const DEEPEST: usize = 32;

/// Where something went wrong: the path below the definition.
pub type Trouble = (Bytes, What);

/// Appends the directory `top` of the definition `dir` to `files`. A path that can't be read is added to `troubles`.
pub fn directory(
    reader: &mut Reader,
    dir: &OwnedFd,
    top: &str,
    files: &mut Vec<SourceFile>,
    troubles: &mut Vec<Trouble>,
) {
    let mut waiting = alloc::vec![top.as_bytes().to_vec()];
    while let Some(path) = waiting.pop() {
        if let Err(what) = one_directory(reader, dir, &path, files, troubles, &mut waiting) {
            troubles.push((path, what));
        }
    }
}

fn c_path(path: &[u8]) -> Result<CBuf<{ db::layout::MAX_PATH + 1 }>, What> {
    CBuf::from_pieces(&[path]).map_err(|_| What::LongPath)
}

fn one_directory(
    reader: &mut Reader,
    dir: &OwnedFd,
    path: &[u8],
    files: &mut Vec<SourceFile>,
    troubles: &mut Vec<Trouble>,
    waiting: &mut Vec<Bytes>,
) -> Result<(), What> {
    if path.iter().filter(|b| **b == b'/').count() >= DEEPEST {
        return Err(What::TooLarge);
    }
    let fd = sys::fs::open_dir(dir, &c_path(path)?).map_err(|e| match e {
        Errno::NOTDIR => What::NotDirectory,
        other => What::Read(other),
    })?;
    let stat = sys::fs::fstat(&fd).map_err(What::Read)?;
    let mode = (stat.st_mode as u32 & 0o7777) as u16;
    files.push(SourceFile { path: path.to_vec(), kind: FileKind::Directory, mode, bytes: Vec::new() });
    // Every name counts here, those with a dot too.
    let mut found = Vec::new();
    sys::fs::for_each_entry(&fd, |name, _, kind| {
        found.push((alloc::boxed::Box::<core::ffi::CStr>::from(name), kind));
        Ok::<_, Errno>(())
    })
    .map_err(What::Read)?;
    for (name, kind) in found {
        let mut below = path.to_vec();
        below.push(b'/');
        below.extend_from_slice(name.to_bytes());
        let outcome = entry(reader, &fd, &name, kind, &below);
        match outcome {
            Ok(Some(file)) => files.push(file),
            Ok(None) => waiting.push(below),
            Err(what) => troubles.push((below, what)),
        }
    }
    Ok(())
}

/// A file or link; none for a directory.
fn entry(
    reader: &mut Reader,
    dir: &OwnedFd,
    name: &core::ffi::CStr,
    mut kind: FileType,
    path: &[u8],
) -> Result<Option<SourceFile>, What> {
    if path.len() > db::layout::MAX_PATH {
        return Err(What::LongPath);
    }
    if kind == FileType::Unknown {
        let stat = sys::fs::lstat(dir, name).map_err(What::Read)?;
        kind = FileType::from_raw_mode(stat.st_mode as _);
    }
    let path = path.to_vec();
    match kind {
        FileType::Directory => Ok(None),
        FileType::RegularFile => {
            let (bytes, mode) = reader.file_and_mode(dir, name, true, true)?;
            Ok(Some(SourceFile { path, kind: FileKind::Regular, mode, bytes }))
        }
        FileType::Symlink => {
            let mut room = alloc::vec![0; 4096];
            let target = sys::fs::readlink(dir, name, &mut room).map_err(What::Read)?;
            Ok(Some(SourceFile { path, kind: FileKind::Link, mode: 0o777, bytes: target.to_vec() }))
        }
        _ => Err(What::Special),
    }
}
