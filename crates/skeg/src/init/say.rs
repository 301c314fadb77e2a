// SPDX-License-Identifier: ISC
//! What the boot says on the console.

use crate::words;
use ::init::{Fault, Step};

/// One line that begins with `skeg: `.
#[inline(never)]
pub fn say(template: &str, argument: &[u8]) {
    words::complain(b"skeg", template, argument);
}

/// One line about a system call that failed.
#[inline(never)]
pub fn failed(template: &str, argument: &[u8], errno: sys::Errno) {
    words::failed(b"skeg", template, argument, errno);
}

/// A step that failed, and what to do where that is known.
pub fn fault(fault: &Fault) {
    let what: &[u8] = match fault.step {
        Step::Read => b"can't read ",
        Step::Module => b"can't load the module ",
        Step::Wait if fault.errno == sys::Errno::INVAL => b"no device: ",
        Step::Wait => b"waited in vain for ",
        Step::Mount => b"can't mount ",
        Step::Move => b"can't move into the new root: ",
        Step::Switch => b"can't change the root to ",
        Step::Make => b"can't make ",
        Step::Unmount => b"can't unmount ",
    };
    let hint: &[u8] = match (fault.step, fault.errno) {
        (Step::Module, sys::Errno::NOEXEC) => b" (made for another kernel?)",
        (Step::Mount, sys::Errno::NODEV) => b" (is the file system's module in /etc/skeg/modules?)",
        (Step::Mount, sys::Errno::INVAL) => b" (is it a file system of that type?)",
        (Step::Wait, sys::Errno::INVAL) => {
            b" (only paths are understood, /dev/...: no UUID=, LABEL=, PARTUUID=)"
        }
        (Step::Wait, _) => b" (is root= right, and is its driver in /etc/skeg/modules?)",
        (Step::Move | Step::Mount, sys::Errno::NOENT) => b" (does the root have that directory?)",
        _ => b"",
    };
    words::complain_all(b"skeg", "%%: %%", &[what, fault.what.as_bytes(), words::errno(fault.errno), hint]);
}
