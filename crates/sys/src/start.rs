// SPDX-License-Identifier: ISC
//! The start of a process: `_start` per CPU, the argument vector, the environment.
//!
//! `_start` hands the initial stack to `begin`, which remembers where arguments and environment lie (they
//! live as long as the process), and calls the `skeg_main` that `sys::entry!` defines. The auxiliary vector is not
//! looked at: nothing here needs it.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// The null-terminated environment array that the kernel made, once `begin` has run.
static ENVIRONMENT: AtomicPtr<*const c_char> = AtomicPtr::new(core::ptr::null_mut());

/// The strings of an argument vector or an environment, in order.
#[derive(Clone, Copy)]
pub struct Strings {
    /// Invariant: points into a null-terminated array of C strings that live as long as the process, or is null.
    next: *const *const c_char,
}

impl Strings {
    /// The array itself, to be handed on to an exec.
    pub const fn as_ptr(self) -> *const *const c_char {
        self.next
    }

    /// Whether there is none.
    pub fn is_empty(mut self) -> bool {
        self.next().is_none()
    }
}

impl Iterator for Strings {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: by the invariant this is an element of the array or its final null.
        let string = unsafe { *self.next };
        if string.is_null() {
            return None;
        }
        // SAFETY: the element was not the final null, so the next one is still in the array.
        self.next = unsafe { self.next.add(1) };
        // SAFETY: by the invariant the element is a C string that lives as long as the process.
        Some(unsafe { CStr::from_ptr(string) })
    }
}

/// The environment that this process was started with.
pub fn environment() -> Strings {
    Strings { next: ENVIRONMENT.load(Relaxed) }
}

/// The value of this variable in the environment.
pub fn env(name: &[u8]) -> Option<&'static CStr> {
    environment().find_map(|entry| {
        let rest = entry.to_bytes_with_nul().strip_prefix(name)?.strip_prefix(b"=")?;
        CStr::from_bytes_with_nul(rest).ok()
    })
}

/// Takes over from `_start` with the initial stack pointer.
///
/// # Safety
/// `stack` must be the stack pointer at the process's entry, as the kernel's ELF loader lays it out:
/// the argument count, the arguments, a null, the environment, a null, the auxiliary vector.
#[cfg(feature = "start")]
pub unsafe fn begin(stack: *const usize, main: fn(Strings) -> u8) -> ! {
    // SAFETY: the argument count stands at the stack pointer.
    let count = unsafe { *stack };
    // SAFETY: the arguments follow it.
    let arguments: *const *const c_char = unsafe { stack.add(1) }.cast();
    // SAFETY: the environment follows the arguments and their final null.
    let environment = unsafe { arguments.add(count + 1) };
    ENVIRONMENT.store(environment.cast_mut(), Relaxed);
    open_standard_streams();
    crate::process::exit(main(Strings { next: arguments }))
}

/// A process that was started with 0, 1 or 2 closed gets /dev/null there, so that no file of ours takes that number.
#[cfg(feature = "start")]
fn open_standard_streams() {
    use rustix::fs::{Mode, OFlags, open};
    for number in 0..3 {
        // SAFETY: the number is only asked about, never closed.
        let fd = unsafe { crate::BorrowedFd::borrow_raw(number) };
        if rustix::io::fcntl_getfd(fd).is_err() {
            // The lowest free number is this one, since those below are open.
            if let Ok(null) = open(c"/dev/null", OFlags::RDWR, Mode::empty()) {
                core::mem::forget(null);
            }
        }
    }
}

/// Makes this file (a terminal) standard input, output and error: for process 1, once /dev is there.
#[doc(alias = "dup3")]
pub fn take_console(path: &CStr) -> crate::Result<()> {
    use crate::AsRawFd;
    let flags = crate::fs::OFlags::RDWR | crate::fs::OFlags::NOCTTY;
    // Above the three, so that none of the copies below closes it.
    let console = crate::fs::dup(crate::fs::open(crate::CWD, path, flags, 0)?, 3)?;
    for number in 0..3usize {
        crate::fault::enter()?;
        let from = console.as_raw_fd() as usize;
        // SAFETY: nobody owns the numbers 0, 1 and 2: they are only ever borrowed (see `stdio`).
        unsafe { crate::raw::syscall6(crate::raw::nr::__NR_dup3, from, number, 0, 0, 0, 0) }?;
    }
    Ok(())
}

/// Defines the program's entry: `sys::entry!(main)` where `main: fn(Strings) -> u8` gives the exit code.
#[cfg(feature = "start")]
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// Called by `_start` with the initial stack pointer.
        ///
        /// # Safety
        /// Only `_start` may call it.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn skeg_start(stack: *const usize) -> ! {
            // SAFETY: `_start` passes the stack pointer that the kernel gave.
            unsafe { $crate::start::begin(stack, $main) }
        }
    };
}

#[cfg(feature = "start")]
mod start_code {
    // Each one: no frame above us, the initial stack pointer as the argument, the stack aligned to 16 bytes.
    #[cfg(target_arch = "x86_64")]
    core::arch::global_asm!(
        ".globl _start",
        ".type _start,@function",
        "_start:",
        "xor ebp, ebp",
        "mov rdi, rsp",
        "and rsp, -16",
        "call skeg_start",
        "ud2"
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::global_asm!(
        ".globl _start",
        ".type _start,@function",
        "_start:",
        "mov x29, #0",
        "mov x30, #0",
        "mov x0, sp",
        "and sp, x0, #-16",
        "bl skeg_start",
        "brk #1"
    );
    #[cfg(target_arch = "arm")]
    core::arch::global_asm!(
        ".globl _start",
        ".type _start,%function",
        ".arm",
        "_start:",
        "mov fp, #0",
        "mov lr, #0",
        "mov r0, sp",
        "bic r1, r0, #15",
        "mov sp, r1",
        "bl skeg_start",
        "udf #1"
    );
    // The linker may have made addresses relative to `gp`, which nothing else ever writes; this one of course not.
    #[cfg(target_arch = "riscv64")]
    core::arch::global_asm!(
        ".globl _start",
        ".type _start,@function",
        "_start:",
        ".option push",
        ".option norelax",
        "lla gp, __global_pointer$",
        ".option pop",
        "li s0, 0",
        "li ra, 0",
        "mv a0, sp",
        "andi sp, sp, -16",
        "call skeg_start",
        "unimp"
    );
}
