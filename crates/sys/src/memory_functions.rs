// SPDX-License-Identifier: ISC
//! `memcpy` and its kin, which a prebuilt `core` expects from a C library.
//!
//! Written with loops that the compiler can't turn into calls of themselves: each byte access is volatile
//! or in assembly. On a `core` built with `compiler-builtins-mem` these take the place of its weak ones.
#![allow(unsafe_code)]

use core::ffi::c_int;

const WORD: usize = size_of::<usize>();

/// Copies forward: by words where both ends are aligned alike, else by bytes.
unsafe fn copy_forward(to: *mut u8, from: *const u8, n: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller vouches for both ranges; the direction flag is clear by the ABI.
    unsafe {
        core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let mut i = 0;
        if (to.addr() ^ from.addr()).is_multiple_of(WORD) {
            while i < n && !(to.addr() + i).is_multiple_of(WORD) {
                // SAFETY: i < n, and the caller vouches for n bytes at both ends.
                unsafe { copy_byte(to, from, i) };
                i += 1;
            }
            while i + WORD <= n {
                // SAFETY: i + WORD <= n and both are aligned.
                let word = unsafe { from.wrapping_add(i).cast::<usize>().read_volatile() };
                // SAFETY: as above.
                unsafe { to.wrapping_add(i).cast::<usize>().write_volatile(word) };
                i += WORD;
            }
        }
        while i < n {
            // SAFETY: i < n, and the caller vouches for n bytes at both ends.
            unsafe { copy_byte(to, from, i) };
            i += 1;
        }
    }
}

/// Copies byte `i`.
unsafe fn copy_byte(to: *mut u8, from: *const u8, i: usize) {
    // SAFETY: the caller vouches that byte `i` can be read.
    let byte = unsafe { from.wrapping_add(i).read_volatile() };
    // SAFETY: the caller vouches that byte `i` can be written.
    unsafe { to.wrapping_add(i).write_volatile(byte) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller of memcpy vouches for both ranges.
    unsafe { copy_forward(to, from, n) };
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= n {
        // SAFETY: going forward never overwrites what is still to be read: `to` is not inside `from..from + n`.
        unsafe { copy_forward(to, from, n) };
    } else {
        let mut i = n;
        while i > 0 {
            i -= 1;
            // SAFETY: i < n; going backward reads each byte before it is overwritten.
            unsafe { copy_byte(to, from, i) };
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, n: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller vouches for the range; the direction flag is clear by the ABI.
    unsafe {
        core::arch::asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let word = usize::from_ne_bytes([byte as u8; WORD]);
        let mut i = 0;
        while i < n {
            if i + WORD <= n && (to.addr() + i).is_multiple_of(WORD) {
                // SAFETY: i + WORD <= n, and it is aligned.
                unsafe { to.wrapping_add(i).cast::<usize>().write_volatile(word) };
                i += WORD;
            } else {
                // SAFETY: i < n, and the caller vouches for n bytes.
                unsafe { to.wrapping_add(i).write_volatile(byte as u8) };
                i += 1;
            }
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
    let mut i = 0;
    while i + WORD <= n {
        // SAFETY: i + WORD <= n, and the caller vouches for n bytes.
        let x = unsafe { a.add(i) };
        // SAFETY: as above.
        let y = unsafe { b.add(i) };
        // SAFETY: WORD bytes can be read from there; a word need not be aligned for this read.
        let x = unsafe { x.cast::<usize>().read_unaligned() };
        // SAFETY: as above.
        let y = unsafe { y.cast::<usize>().read_unaligned() };
        if x != y {
            break;
        }
        i += WORD;
    }
    while i < n {
        // SAFETY: i < n, and the caller vouches for n bytes of both.
        let x = unsafe { a.wrapping_add(i).read_volatile() };
        // SAFETY: as above.
        let y = unsafe { b.wrapping_add(i).read_volatile() };
        if x != y {
            return c_int::from(x) - c_int::from(y);
        }
        i += 1;
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
    // SAFETY: the same contract.
    unsafe { memcmp(a, b, n) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(s: *const u8) -> usize {
    let mut n = 0;
    // SAFETY: the caller vouches for a string that ends with a zero byte, which stops the loop.
    while unsafe { s.wrapping_add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}

/// Asked by the prebuilt library whether the processor has certain atomic instructions: the answer "nothing known" makes
/// it take those that every ARMv8 has.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
extern "C" fn getauxval(_kind: usize) -> usize {
    0
}
