// SPDX-License-Identifier: ISC
//! Finds a program as execvp(3) does. Used by the oneshot runner and the programs that exec into a script.

use core::ffi::CStr;
use sys::{Errno, PathBuffer, Result, fs};

/// Where to look when the environment has no PATH.
const DEFAULT_PATH: &CStr = c"/usr/bin:/bin";
/// `X_OK` of access(2).
const EXECUTE: u32 = 1;

/// The path of this program: itself if it has a slash, else the first in PATH that may be executed.
pub fn find_program<'a>(name: &'a CStr, room: &'a mut PathBuffer) -> Result<&'a CStr> {
    if name.is_empty() {
        return Err(Errno::NOENT);
    }
    if name.to_bytes().contains(&b'/') {
        return Ok(name);
    }
    let path = sys::start::env(b"PATH").unwrap_or(DEFAULT_PATH);
    let mut error = Errno::NOENT;
    let mut found = false;
    for directory in path.to_bytes().split(|b| *b == b':') {
        room.truncate(0);
        let directory = if directory.is_empty() { b"." } else { directory };
        if room.push_all(&[directory, b"/", name.to_bytes()]).is_err() {
            continue;
        }
        match fs::access(sys::CWD, room, EXECUTE) {
            Ok(()) => {
                found = true;
                break;
            }
            Err(Errno::ACCESS) => error = Errno::ACCESS,
            Err(_) => {}
        }
    }
    if found { Ok(room) } else { Err(error) }
}
