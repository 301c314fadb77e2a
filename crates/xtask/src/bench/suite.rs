// SPDX-License-Identifier: ISC
//! The programs under measurement, and the two smallest programs that services can be: one ends, one waits.

use crate::command::{Outcome, capture, last_words};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs come from.
pub struct Suite {
    /// What the table calls it.
    pub name: String,
    /// Distinguishes its files in the scratch directory.
    pub tag: &'static str,
    place: Place,
}

enum Place {
    /// One binary, whose first word is the program.
    Multicall(PathBuf),
    /// A folder of programs.
    Folder(PathBuf),
}

impl Suite {
    /// skeg.
    pub fn multicall(binary: &Path) -> Self {
        Self { name: "skeg".into(), tag: "ours", place: Place::Multicall(binary.to_path_buf()) }
    }

    /// Another suite, one program a file.
    pub fn folder(folder: &Path) -> Outcome<Self> {
        let folder = folder.canonicalize().map_err(|e| format!("{}: {e}", folder.display()))?;
        if !folder.join("s6-rc-compile").exists() {
            return Err(format!("{}: there is no s6-rc-compile in it", folder.display()));
        }
        Ok(Self { name: "other".into(), tag: "theirs", place: Place::Folder(folder) })
    }

    /// A command that runs this program; it and its children find the rest of the suite in PATH.
    pub fn command(&self, program: &str) -> Command {
        match &self.place {
            Place::Multicall(binary) => {
                let mut command = Command::new(binary);
                command.arg(program);
                command
            }
            Place::Folder(folder) => {
                let mut command = Command::new(folder.join(program));
                let path = std::env::var_os("PATH").unwrap_or_default();
                let mut all = vec![folder.clone()];
                all.extend(std::env::split_paths(&path));
                if let Ok(joined) = std::env::join_paths(all) {
                    command.env("PATH", joined);
                }
                command
            }
        }
    }

    /// Bytes of its programs.
    pub fn bytes(&self) -> Outcome<u64> {
        let failed = |e: std::io::Error| e.to_string();
        match &self.place {
            Place::Multicall(binary) => Ok(std::fs::metadata(binary).map_err(failed)?.len()),
            Place::Folder(folder) => {
                let mut sum = 0;
                for entry in std::fs::read_dir(folder).map_err(failed)? {
                    let entry = entry.map_err(failed)?;
                    let name = entry.file_name();
                    if entry.file_type().is_ok_and(|kind| kind.is_file())
                        && name.to_string_lossy().starts_with("s6")
                    {
                        sum += entry.metadata().map_err(failed)?.len();
                    }
                }
                Ok(sum)
            }
        }
    }
}

/// Runs a command that must succeed, without its output.
pub fn must(command: &mut Command) -> Outcome {
    let out = capture(command)?;
    if out.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}: {}", crate::command::shown(command), out.status, last_words(&out.stderr)))
}

/// Runs a command that must succeed with its output thrown away, and nothing else: for measurements.
pub fn bare(command: &mut Command) -> Outcome {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status.map_err(|e| format!("{}: {e}", crate::command::shown(command)))? {
        status if status.success() => Ok(()),
        status => Err(format!("{}: {status}", crate::command::shown(command))),
    }
}

/// Puts `ends` and `waits` into the folder.
pub fn write_programs(folder: &Path) -> Outcome {
    for (name, bytes) in [("ends", ends()), ("waits", waits())] {
        let path = folder.join(name);
        let done = std::fs::write(&path, bytes)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)));
        done.map_err(|e| format!("{}: {e}", path.display()))?;
    }
    bare(&mut Command::new(folder.join("ends")))
}

/// A program that does nothing: `exit(0)`.
pub fn ends() -> Vec<u8> {
    match std::env::consts::ARCH {
        // mov eax, 60; xor edi, edi; syscall
        "x86_64" => elf(62, &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]),
        // mov x8, #93; mov x0, #0; svc 0
        "aarch64" => elf(183, &[0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 1, 0, 0, 0xd4]),
        _ => b"#!/bin/sh\n".to_vec(),
    }
}

/// A program that waits for a signal that kills it: `pause()` for ever.
pub fn waits() -> Vec<u8> {
    match std::env::consts::ARCH {
        // mov eax, 34; syscall; jmp back
        "x86_64" => elf(62, &[0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]),
        _ => b"#!/bin/sh\nexec sleep 2147483647\n".to_vec(),
    }
}

/// The smallest ELF file around this code: one segment, headers included.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let length = HEADERS + code.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend(2u16.to_le_bytes());
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // One loaded segment: readable and executable.
    file.extend(1u32.to_le_bytes());
    file.extend(5u32.to_le_bytes());
    for word in [0, BASE, BASE, length, length, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}
