// SPDX-License-Identifier: ISC
//! Kernel modules from a list, in its order. Used by stage 1 and by the applet `load-modules`.
//!
//! One module a line: its path, then its parameters. `#` begins a comment. A module that is loaded already is no
//! fault. Compressed ones (`.xz`, `.zst`, `.gz`) are unpacked by the kernel.

use crate::{Fault, Step, name};
use core::ffi::CStr;
use sys::{CBuf, CWD, Errno};

/// Where the list lies by default.
pub const LIST: &CStr = c"/etc/skeg/modules";

/// Bytes of a list that are read: some two hundred modules.
const MAX_LIST: usize = 16 * 1024;

/// Loads the modules that `list` names; `fault` is told of each that can't be loaded. Whether all are there then.
pub fn load(list: &CStr, fault: fn(&Fault)) -> Result<bool, Fault> {
    let mut buf = [0; MAX_LIST];
    let read = sys::fs::open_read(CWD, list).and_then(|file| sys::fs::read_full(file, &mut buf));
    let len = read.map_err(|e| Fault::new(Step::Read, list.to_bytes(), e))?;
    let mut all = true;
    for line in buf.get(..len).unwrap_or_default().split(|b| *b == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match load_one(line) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => {
                fault(&Fault { step: Step::Module, what: name(line), errno });
                all = false;
            }
        }
    }
    Ok(all)
}

fn load_one(line: &[u8]) -> sys::Result<()> {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (path, parameters) = line.split_at_checked(end).ok_or(Errno::INVAL)?;
    let mut file = CBuf::<512>::new();
    file.push(path).map_err(|_| Errno::NAMETOOLONG)?;
    let mut words = CBuf::<512>::new();
    words.push(parameters.trim_ascii()).map_err(|_| Errno::TOOBIG)?;
    let file = sys::fs::open_read(CWD, &file)?;
    if path.ends_with(b".ko") {
        sys::process::load_module(file, &words)
    } else {
        sys::process::load_compressed_module(file, &words)
    }
}
