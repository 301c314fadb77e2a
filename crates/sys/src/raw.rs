// SPDX-License-Identifier: ISC
//! One system call stub per CPU, for the few calls that rustix lacks. Numbers come from linux-raw-sys.
#![allow(unsafe_code)]

use crate::{Errno, Result};
pub use linux_raw_sys::general as nr;

/// A system call with six arguments; what it returns is the kernel's value or its error number.
///
/// # Safety
/// The arguments must be right for the call: pointers valid for what the kernel reads and writes there, and
/// nothing that Rust relies on (memory, descriptors that someone owns) taken away.
pub unsafe fn syscall6(
    number: u32,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> Result<usize> {
    let value: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the x86-64 convention of the kernel: rcx and r11 are clobbered; the rest is the caller's duty.
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") number as usize as isize => value, in("rdi") a, in("rsi") b,
            in("rdx") c, in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the AArch64 convention of the kernel; the rest is the caller's duty.
    unsafe {
        core::arch::asm!("svc 0", in("x8") number as usize, inlateout("x0") a as isize => value, in("x1") b, in("x2") c,
            in("x3") d, in("x4") e, in("x5") f, options(nostack));
    }
    #[cfg(target_arch = "arm")]
    // SAFETY: the ARM EABI convention of the kernel: number in r7, which Thumb code uses as its frame pointer, so that it is
    // put aside meanwhile; the rest is the caller's duty.
    unsafe {
        core::arch::asm!(
            "mov {aside}, r7",
            "mov r7, {number}",
            "svc 0",
            "mov r7, {aside}",
            aside = out(reg) _,
            number = in(reg) number,
            inlateout("r0") a as isize => value,
            in("r1") b,
            in("r2") c,
            in("r3") d,
            in("r4") e,
            in("r5") f,
            options(nostack)
        );
    }
    #[cfg(target_arch = "riscv64")]
    // SAFETY: the RISC-V convention of the kernel; the rest is the caller's duty.
    unsafe {
        core::arch::asm!("ecall", in("a7") number as usize, inlateout("a0") a as isize => value, in("a1") b, in("a2") c,
            in("a3") d, in("a4") e, in("a5") f, options(nostack));
    }
    // The kernel returns -4095..=-1 for an error and anything else for a value.
    if (-4095..0).contains(&value) {
        Err(Errno::from_raw_os_error(-(value as i32)))
    } else {
        Ok(value as usize)
    }
}
