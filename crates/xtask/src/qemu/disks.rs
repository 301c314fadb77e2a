// SPDX-License-Identifier: ISC
//! Data partitions for guests: ext4 and f2fs with files in them, and an empty FAT.

use crate::command::{self, Outcome, find_program, output};
use std::path::Path;
use std::process::Command;

/// Megabytes of a data partition: the smallest that holds ext4's journal and some images.
const MEGABYTES: u64 = 6;

/// Megabytes of a partition with f2fs: about the smallest that its tools can put files into.
const F2FS_MEGABYTES: u64 = 64;

/// A directory with these files.
fn folder(files: &[(&str, &[u8])]) -> Outcome<tempfile::TempDir> {
    let content = tempfile::tempdir().map_err(|e| format!("a directory for the files: {e}"))?;
    for (name, bytes) in files {
        let file = content.path().join(name);
        command::replace_file(&file, bytes, bytes.starts_with(b"#!"))?;
    }
    Ok(content)
}

/// Writes an f2fs file system that holds these files. No root's rights are needed.
pub fn f2fs(out: &Path, files: &[(&str, &[u8])]) -> Outcome {
    let find = |name| find_program(name).ok_or_else(|| format!("{name} is not there (package f2fs-tools)"));
    let (mkfs, sload) = (find("mkfs.f2fs")?, find("sload.f2fs")?);
    let content = folder(files)?;
    empty(out, F2FS_MEGABYTES)?;
    output(Command::new(mkfs).args(["-q", "-f"]).arg(out))?;
    output(Command::new(sload).arg("-f").arg(content.path()).arg(out)).map(|_| ())
}

/// Writes an ext4 file system that holds these files. No root's rights are needed.
pub fn ext4(out: &Path, files: &[(&str, &[u8])]) -> Outcome {
    let mkfs = find_program("mkfs.ext4").ok_or("mkfs.ext4 is not there (package e2fsprogs)")?;
    let content = folder(files)?;
    empty(out, MEGABYTES)?;
    // The inode tables are written now: the guest's kernel would do it in the background, into the record of its writes.
    output(
        Command::new(mkfs)
            .args([
                "-q",
                "-F",
                "-b",
                "1024",
                "-J",
                "size=1",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
            ])
            .arg("-d")
            .arg(content.path())
            .arg(out),
    )
    .map(|_| ())
}

/// A file of zeros.
fn empty(out: &Path, megabytes: u64) -> Outcome {
    let failed = |e: std::io::Error| format!("{}: {e}", out.display());
    let file = std::fs::File::create(out).map_err(failed)?;
    file.set_len(megabytes << 20).map_err(failed)
}

/// Writes an empty FAT16 file system. (Microsoft's "FAT: General Overview of On-Disk Format", version 1.03.)
pub fn fat(out: &Path) -> Outcome {
    use std::os::unix::fs::FileExt;
    const SECTOR: u16 = 512;
    const RESERVED: u16 = 1;
    // 2 bytes a cluster of one sector: 12,000 clusters and some.
    const FAT_SECTORS: u16 = 48;
    let mut boot = vec![0xeb, 0x3c, 0x90];
    boot.extend_from_slice(b"MSDOS5.0");
    boot.extend_from_slice(&SECTOR.to_le_bytes());
    boot.push(1); // sectors a cluster
    boot.extend_from_slice(&RESERVED.to_le_bytes());
    boot.push(2); // copies of the table
    boot.extend_from_slice(&512u16.to_le_bytes()); // entries of the root directory
    boot.extend_from_slice(&((MEGABYTES << 20) as u32 / u32::from(SECTOR)).to_le_bytes()[..2]);
    boot.push(0xf8); // a fixed disk
    boot.extend_from_slice(&FAT_SECTORS.to_le_bytes());
    boot.resize(38, 0);
    boot.push(0x29);
    boot.extend_from_slice(b"\x01\x02\x03\x04NO NAME    FAT16   ");
    boot.resize(510, 0);
    boot.extend_from_slice(&[0x55, 0xaa]);
    empty(out, MEGABYTES)?;
    let failed = |e: std::io::Error| format!("{}: {e}", out.display());
    let file = std::fs::File::options().write(true).open(out).map_err(failed)?;
    file.write_all_at(&boot, 0).map_err(failed)?;
    for copy in 0..2 {
        let at = u64::from(RESERVED + copy * FAT_SECTORS) * u64::from(SECTOR);
        file.write_all_at(&[0xf8, 0xff, 0xff, 0xff], at).map_err(failed)?;
    }
    Ok(())
}
