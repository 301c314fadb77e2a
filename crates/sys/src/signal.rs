// SPDX-License-Identifier: ISC
//! Signals: blocked and read from a descriptor, never handled. There is no signal handler in this program.
#![allow(unsafe_code)]

use crate::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, Result, raw};

/// Signal numbers, the same on each CPU that we build for.
pub mod number {
    #![allow(missing_docs)]
    pub const HUP: u8 = 1;
    pub const INT: u8 = 2;
    pub const QUIT: u8 = 3;
    pub const ABRT: u8 = 6;
    pub const KILL: u8 = 9;
    pub const USR1: u8 = 10;
    pub const USR2: u8 = 12;
    pub const PIPE: u8 = 13;
    pub const ALRM: u8 = 14;
    pub const TERM: u8 = 15;
    pub const CHLD: u8 = 17;
    pub const CONT: u8 = 18;
    pub const STOP: u8 = 19;
    pub const TSTP: u8 = 20;
    pub const XFSZ: u8 = 25;
    pub const WINCH: u8 = 28;
    pub const PWR: u8 = 30;
}

/// A set of signals: bit n - 1 stands for signal n, as in the kernel's `sigset_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(pub u64);

impl Set {
    /// These signals.
    pub const fn of(signals: &[u8]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < signals.len() {
            bits |= 1 << (signals[i] - 1);
            i += 1;
        }
        Self(bits)
    }

    /// All that can be blocked.
    pub const ALL: Self = Self(!0);
}

/// Bytes of the kernel's `sigset_t`.
const SET_SIZE: usize = 8;

/// Blocks exactly these signals; what was blocked before.
#[doc(alias = "sigprocmask")]
pub fn set_mask(set: Set) -> Result<Set> {
    let mut old = 0u64;
    crate::fault::enter()?;
    // SAFETY: the kernel reads 8 bytes of the new set and writes 8 of the old one.
    unsafe {
        raw::syscall6(
            raw::nr::__NR_rt_sigprocmask,
            raw::nr::SIG_SETMASK as usize,
            (&raw const set.0).addr(),
            (&raw mut old).expose_provenance(),
            SET_SIZE,
            0,
            0,
        )
    }?;
    // SAFETY: the kernel has written the old set there; read it as memory, since it was written behind our back.
    Ok(Set(unsafe { (&raw const old).read_volatile() }))
}

/// What a signal does when it is not blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// `SIG_DFL`
    Default,
    /// `SIG_IGN`
    Ignore,
}

/// The kernel's `struct sigaction`.
#[repr(C)]
struct Action {
    handler: usize,
    flags: usize,
    #[cfg(not(target_arch = "riscv64"))]
    restorer: usize,
    /// As words: the kernel aligns it like them.
    mask: [usize; SET_SIZE / size_of::<usize>()],
}

/// Sets what this signal does.
#[doc(alias = "sigaction")]
pub fn set_disposition(signal: u8, to: Disposition) -> Result<()> {
    let action = Action {
        handler: usize::from(to == Disposition::Ignore),
        flags: 0,
        #[cfg(not(target_arch = "riscv64"))]
        restorer: 0,
        mask: [0; SET_SIZE / size_of::<usize>()],
    };
    crate::fault::enter()?;
    // SAFETY: the kernel reads one `struct sigaction`; it names no handler, so no code of ours will run.
    unsafe {
        raw::syscall6(
            raw::nr::__NR_rt_sigaction,
            usize::from(signal),
            (&raw const action).addr(),
            0,
            SET_SIZE,
            0,
            0,
        )
    }?;
    Ok(())
}

/// A descriptor from which these (blocked) signals are read; non-blocking, close-on-exec.
pub fn signalfd(set: Set) -> Result<OwnedFd> {
    let flags = raw::nr::O_CLOEXEC | raw::nr::O_NONBLOCK;
    crate::fault::enter()?;
    // SAFETY: the kernel reads 8 bytes of the set and makes a new descriptor.
    let fd = unsafe {
        raw::syscall6(
            raw::nr::__NR_signalfd4,
            usize::MAX,
            (&raw const set.0).addr(),
            SET_SIZE,
            flags as usize,
            0,
            0,
        )
    }?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// A signal that was read: its number, and who sent it.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// The signal's number.
    pub signal: u8,
    /// The sender's process id; 0 from the kernel.
    pub sender: u32,
}

/// The next signal of a signalfd; none at the moment = `None`.
pub fn next_signal(signalfd: BorrowedFd<'_>) -> Result<Option<Info>> {
    /// `struct signalfd_siginfo`: 128 bytes, the signal's number first, the sender at 12.
    const SIZE: usize = 128;
    let mut info = [0u8; SIZE];
    match crate::fs::read(signalfd, &mut info) {
        Ok(SIZE) => {
            let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
            Ok(Some(Info { signal: word(0) as u8, sender: word(12) }))
        }
        Ok(_) | Err(crate::Errno::AGAIN | crate::Errno::INTR) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Sends a signal to a process (pid > 0), a process group (−pgid), or all (−1); signal 0 only asks.
pub fn kill(pid: i32, signal: u8) -> Result<()> {
    crate::fault::enter()?;
    // SAFETY: no memory is involved.
    unsafe { raw::syscall6(raw::nr::__NR_kill, pid as usize, usize::from(signal), 0, 0, 0, 0) }?;
    Ok(())
}

/// Sends a signal to the process behind a pidfd, which can't be another one that got its number.
#[doc(alias = "pidfd_send_signal")]
pub fn kill_pidfd(pidfd: BorrowedFd<'_>, signal: u8) -> Result<()> {
    crate::fault::enter()?;
    // SAFETY: no memory is involved (the siginfo pointer is null).
    unsafe {
        raw::syscall6(
            raw::nr::__NR_pidfd_send_signal,
            pidfd.as_raw_fd() as usize,
            usize::from(signal),
            0,
            0,
            0,
            0,
        )
    }?;
    Ok(())
}

/// Signals by number: the names that Linux gives them on each CPU that we build for.
const NAMES: &[u8] = b"\
    HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP \
    TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";

/// The names of the signals from 1 on, without the `SIG`.
pub fn names() -> impl Iterator<Item = &'static [u8]> {
    NAMES.split(|b| *b == b' ')
}

/// A signal's name, without the `SIG`; `???` for one that has none.
pub fn name(signal: u8) -> &'static [u8] {
    usize::from(signal).checked_sub(1).and_then(|at| names().nth(at)).unwrap_or(b"???")
}

/// The signal that a text names: a number from 1 to 64, or a name in any case, with or without `SIG`.
pub fn from_text(text: &[u8]) -> Option<u8> {
    if text.first().is_some_and(u8::is_ascii_digit) {
        let number = text.iter().try_fold(0u8, |n, byte| {
            let digit = char::from(*byte).to_digit(10)?;
            n.checked_mul(10)?.checked_add(digit as u8)
        })?;
        return (1..=64).contains(&number).then_some(number);
    }
    let bare = match text.split_at_checked(3) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(b"SIG") => rest,
        _ => text,
    };
    let bare: &[u8] = match bare {
        b"POLL" => b"IO",
        b"CLD" => b"CHLD",
        b"IOT" => b"ABRT",
        other => other,
    };
    names().position(|n| n.eq_ignore_ascii_case(bare)).map(|at| at as u8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(from_text(b"15"), Some(15));
        assert_eq!(from_text(b"sigterm"), Some(15));
        assert_eq!(from_text(b"WINCH"), Some(28));
        assert_eq!(from_text(b"0"), None);
        assert_eq!(from_text(b"999"), None);
        assert_eq!(from_text(b"nope"), None);
        assert_eq!(name(9), b"KILL");
        assert_eq!(name(0), b"???");
    }
}
