// SPDX-License-Identifier: ISC
//! Starting programs: exec, and a fork that never copies the parent's memory.
//!
//! [`spawn`] is clone(2) with `CLONE_VM | CLONE_VFORK`: the child borrows the parent's memory until its exec,
//! while the parent waits. It borrows the table of descriptors, too (`CLONE_FILES`), and takes of it only the
//! lowest ones, up to the last that is inherited: a copy of thousands, which each new process would carry along for as long as it lives,
//! is never made. With [`Spawn::record_pid`] the kernel itself stores the child's id (which may lie in shared
//! memory) before the child runs: whoever kills the parent at any moment still finds it there.
#![allow(unsafe_code)]

use crate::signal::Set;
use crate::{AsRawFd, BorrowedFd, Errno, OwnedFd, Result, raw};
use core::ffi::{CStr, c_void};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::Relaxed;
use rustix::process::{Resource, Rlimit};

/// An argument or a variable, as execve takes it: a C string or the null at the end.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Word<'a>(*const u8, PhantomData<&'a CStr>);

impl<'a> Word<'a> {
    /// The end of the array.
    pub const END: Self = Self(ptr::null(), PhantomData);

    /// This string.
    pub const fn new(string: &'a CStr) -> Self {
        Self(string.as_ptr().cast(), PhantomData)
    }

    /// The string, none at the end.
    pub const fn get(self) -> Option<&'a CStr> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: not null, so it came from a `&'a CStr`.
        Some(unsafe { CStr::from_ptr(self.0.cast()) })
    }
}

/// A null-terminated array of strings: arguments or environment.
#[derive(Clone, Copy)]
pub struct Words<'a>(*const *const u8, PhantomData<&'a CStr>);

impl<'a> Words<'a> {
    /// These words; the last one must be [`Word::END`], else `EINVAL`.
    pub fn new(words: &'a [Word<'a>]) -> Result<Self> {
        match words.last() {
            Some(last) if last.0.is_null() => Ok(Self(words.as_ptr().cast(), PhantomData)),
            _ => Err(Errno::INVAL),
        }
    }

    /// This process's own environment.
    pub fn environment() -> Words<'static> {
        static EMPTY: [usize; 1] = [0];
        let strings = crate::start::environment().as_ptr();
        let start = if strings.is_null() { EMPTY.as_ptr().cast() } else { strings.cast() };
        Words(start, PhantomData)
    }
}

/// Replaces this process's program. Returns only on an error.
pub fn exec(path: &CStr, arguments: Words<'_>, environment: Words<'_>) -> Errno {
    if let Err(e) = crate::fault::enter() {
        return e;
    }
    // SAFETY: a C string and two null-terminated arrays of C strings, all alive during the call.
    let result = unsafe {
        raw::syscall6(
            raw::nr::__NR_execve,
            path.as_ptr().expose_provenance(),
            arguments.0.expose_provenance(),
            environment.0.expose_provenance(),
            0,
            0,
            0,
        )
    };
    result.err().unwrap_or(Errno::NOEXEC)
}

/// What a new process is to be.
pub struct Spawn<'a> {
    /// The program: absolute, or relative to `directory`. No search in PATH.
    pub path: &'a CStr,
    /// Its arguments, the name first.
    pub arguments: Words<'a>,
    /// Its environment.
    pub environment: Words<'a>,
    /// Where it starts; `None` = here.
    pub directory: Option<BorrowedFd<'a>>,
    /// What its descriptor of this number shall be, in order. At most [`MAX_FDS`]. All others are
    /// close-on-exec by the habit of this crate.
    pub fds: &'a [(BorrowedFd<'a>, i32)],
    /// Whether it starts in a new session.
    pub session: bool,
    /// Its signal mask. Ignored signals are set back to their default where this process changed them: SIGPIPE.
    pub mask: Set,
    /// Its limit of open descriptors, where this process has raised its own.
    pub open_files: Option<Rlimit>,
    /// Whether it is process 1 of a new process id namespace (`CLONE_NEWPID`).
    pub new_pids: bool,
    /// Where the kernel stores its id before it runs (`CLONE_PARENT_SETTID`).
    pub record_pid: Option<&'a AtomicI32>,
}

/// Descriptors that a spawn sets, at the most.
pub const MAX_FDS: usize = 8;

/// The kernel keeps a table of so many descriptors in place, and allocates one for more: where this process was started
/// with none above, what a new process is given stands below.
const LOW: i32 = 64;

/// What [`inherited_end`] has found; 0 = it has not looked yet.
static INHERITED_END: AtomicI32 = AtomicI32::new(0);

/// One more than the highest descriptor that goes on to new processes, as this process was started with it and it is not
/// close-on-exec; at least 64. Descriptors that a process keeps for long should have this number or a higher one, so that a new
/// process's table stays small. Looked for once, in /proc; where that is not mounted it is the highest number that there is.
pub fn inherited_end() -> i32 {
    match INHERITED_END.load(Relaxed) {
        0 => {
            let Ok(end) = look_for_inherited() else { return i32::MAX };
            INHERITED_END.store(end, Relaxed);
            end
        }
        end => end,
    }
}

fn look_for_inherited() -> Result<i32> {
    let dir = crate::fs::open_dir(crate::CWD, c"/proc/self/fd")?;
    let mut end = LOW;
    crate::fs::for_each_entry(&dir, |name, _, _| -> Result<()> {
        let digits = name.to_bytes().iter();
        let number = digits.fold(0i32, |n, digit| n.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')));
        if number >= end && is_inherited(number) {
            end = number + 1;
        }
        Ok(())
    })?;
    Ok(end)
}

/// Whether an exec keeps this descriptor.
fn is_inherited(number: i32) -> bool {
    // SAFETY: only asked for its flags; where it is not open the kernel says so.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_getfd(fd).is_ok_and(|flags| !flags.contains(rustix::io::FdFlags::CLOEXEC))
}

/// Bytes of the child's stack until its exec: its frames are shallow; a debug build needs about 4 KiB.
const STACK: usize = 16 * 1024;

#[repr(C, align(16))]
struct Stack([MaybeUninit<u8>; STACK]);

struct Child<'a> {
    what: &'a Spawn<'a>,
    /// The descriptors of `what`, by their numbers or those of copies that stand low.
    from: [i32; MAX_FDS],
    /// Where those end that it has of this process.
    end: i32,
    lock: Option<i32>,
    failed: Errno,
    has_failed: bool,
}

/// Starts a program; its process id. An error of the child before its exec (the program is not there, …) comes back
/// as this function's error; then no process is left, and a `record_pid` is 0 again.
pub fn spawn(what: &Spawn<'_>) -> Result<u32> {
    start(what, None)
}

/// As [`spawn`]; and the new process holds a POSIX write lock on the file that is its descriptor `lock`, one of those
/// that it is given. `EBUSY` when another process holds it.
pub fn spawn_locked(what: &Spawn<'_>, lock: i32) -> Result<u32> {
    start(what, Some(lock))
}

/// This process once more, with a copy of its memory and all its descriptors. `None` in the child, the child's id in
/// the parent. For the scanner, which has one thread and no state that a copy could spoil.
pub fn fork() -> Result<Option<u32>> {
    crate::fault::enter()?;
    // SAFETY: no shared memory, no new stack: the child goes on from here with its own copy of everything.
    let pid = unsafe { raw::syscall6(raw::nr::__NR_clone, raw::nr::SIGCHLD as usize, 0, 0, 0, 0, 0) }?;
    Ok((pid != 0).then_some(pid as u32))
}

fn start(what: &Spawn<'_>, lock: Option<i32>) -> Result<u32> {
    use raw::nr::{CLONE_FILES, CLONE_NEWPID, CLONE_PARENT_SETTID, CLONE_VFORK, CLONE_VM, SIGCHLD};
    if what.fds.len() > MAX_FDS {
        return Err(Errno::TOOBIG);
    }
    let mut stack = MaybeUninit::<Stack>::uninit();
    let end = inherited_end();
    let mut child = Child { what, from: [-1; MAX_FDS], end, lock, failed: Errno::INVAL, has_failed: false };
    let mut copies = heapless::Vec::<OwnedFd, MAX_FDS>::new();
    for ((fd, _), place) in what.fds.iter().zip(&mut child.from) {
        *place = fd.as_raw_fd();
        if *place >= child.end
            && let Ok(copy) = crate::fs::dup(fd, 3)
        {
            *place = copy.as_raw_fd();
            let _ = copies.push(copy);
        }
    }
    let mut flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD;
    let mut record = ptr::null_mut();
    if let Some(place) = what.record_pid {
        flags |= CLONE_PARENT_SETTID;
        record = place.as_ptr();
    }
    if what.new_pids {
        flags |= CLONE_NEWPID;
    }
    // Signals stay blocked until the child is on its own: a terminal's SIGINT must not hit it half-way.
    let old = crate::signal::set_mask(Set::ALL)?;
    crate::fault::enter().inspect_err(|_| {
        let _ = crate::signal::set_mask(old);
    })?;
    // SAFETY: one past the end of `stack`.
    let top: *mut c_void = unsafe { stack.as_mut_ptr().add(1) }.cast();
    // SAFETY: the child runs on a stack of its own, which lives in this frame, and this frame lives until the kernel
    // resumes the parent, after the child's exec or exit (CLONE_VFORK). `in_child` never returns.
    let result = unsafe { skeg_clone(flags as usize, top, record, in_child, (&raw mut child).cast()) };
    let _ = crate::signal::set_mask(old);
    if result < 0 {
        return Err(Errno::from_raw_os_error(-(result as i32)));
    }
    // SAFETY: the child is gone from this memory; read it as memory, since it was written behind the compiler's back.
    let child = unsafe { (&raw const child).read_volatile() };
    if child.has_failed {
        // Before it is reaped: a number that stands there is that of a process.
        if let Some(place) = what.record_pid {
            place.store(0, core::sync::atomic::Ordering::SeqCst);
        }
        let _ = crate::process::wait(crate::process::Who::Pid(result as u32));
        return Err(child.failed);
    }
    Ok(result as u32)
}

/// Runs in the child, in the parent's memory.
unsafe extern "C" fn in_child(argument: *mut c_void) -> ! {
    let child: *mut Child<'_> = argument.cast();
    // SAFETY: `spawn` passed its own `Child`, which lives while the parent waits; nobody else touches it now.
    let child = unsafe { &mut *child };
    child.failed = match prepare(child) {
        Ok(()) => exec(child.what.path, child.what.arguments, child.what.environment),
        Err(errno) => errno,
    };
    child.has_failed = true;
    loop {
        // SAFETY: ends this process only; it does not return.
        let _ = unsafe { raw::syscall6(raw::nr::__NR_exit, 127, 0, 0, 0, 0, 0) };
    }
}

/// Session, directory, descriptors, limits, signals of the child.
fn prepare(child: &Child<'_>) -> Result<()> {
    let Child { what, from, end, lock, .. } = child;
    if what.session {
        crate::process::setsid()?;
    }
    if let Some(directory) = what.directory {
        crate::fs::fchdir(directory)?;
    }
    own_table(from.iter().fold(*end, |end, number| end.max(*number + 1)))?;
    // First all out of the way, above each target (most are), then each to its place: no order of targets can hurt.
    let above = what.fds.iter().map(|(_, to)| to + 1).max().unwrap_or(0).max(3);
    let mut moved = [-1i32; MAX_FDS];
    for ((_, number), place) in what.fds.iter().zip(from).zip(&mut moved) {
        *place = if *number >= above { *number } else { duplicate(*number, above)? };
    }
    for ((_, to), from) in what.fds.iter().zip(moved) {
        place_at(from, *to)?;
    }
    if let Some(lock) = lock {
        take_lock(what, *lock, from, &moved)?;
    }
    if let Some(limit) = what.open_files {
        crate::process::set_limit(Resource::Nofile, limit)?;
    }
    crate::signal::set_disposition(crate::signal::number::PIPE, crate::signal::Disposition::Default)?;
    crate::signal::set_mask(what.mask).map(|_| ())
}

/// From here on the child has a table of its own, which holds what stood below `end` in the parent's.
fn own_table(end: i32) -> Result<()> {
    use raw::nr::{__NR_close_range, __NR_unshare, CLONE_FILES};
    /// Source: linux/close_range.h.
    const CLOSE_RANGE_UNSHARE: usize = 1 << 1;
    crate::fault::enter()?;
    // SAFETY: closes descriptors in the child's new table only; the child uses none of those that it does not keep.
    let done = unsafe {
        raw::syscall6(__NR_close_range, end as usize, u32::MAX as usize, CLOSE_RANGE_UNSHARE, 0, 0, 0)
    };
    if done.is_err() {
        // Linux before 5.9: all are copied, and close-on-exec ends them.
        // SAFETY: only takes a copy of the table.
        unsafe { raw::syscall6(__NR_unshare, CLONE_FILES as usize, 0, 0, 0, 0, 0) }?;
    }
    Ok(())
}

/// A POSIX lock is lost when its process closes any descriptor of the file, and exec closes the ones that led here: they
/// are closed before.
fn take_lock(what: &Spawn<'_>, lock: i32, from: &[i32], moved: &[i32]) -> Result<()> {
    for (((_, to), from), copy) in what.fds.iter().zip(from).zip(moved) {
        let is_target = |number| what.fds.iter().any(|(_, to)| *to == number);
        for number in [*copy, *from] {
            if *to == lock && !is_target(number) {
                // SAFETY: the child's descriptor table is its own (`own_table`), and after this it only execs.
                let _ = unsafe { raw::syscall6(raw::nr::__NR_close, number as usize, 0, 0, 0, 0, 0) };
            }
        }
    }
    // A fork that finds no room says EAGAIN, and a program that may not be executed EACCES, as a lock does.
    crate::fs::posix_lock(lock).map_err(|e| match e {
        Errno::AGAIN | Errno::ACCESS => Errno::BUSY,
        e => e,
    })
}

fn duplicate(number: i32, at_least: i32) -> Result<i32> {
    use crate::IntoRawFd;
    // SAFETY: open in the child's own table, and nothing in it is closed before this returns.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    crate::fs::dup(fd, at_least).map(IntoRawFd::into_raw_fd)
}

/// dup3(2) without close-on-exec.
fn place_at(from: i32, to: i32) -> Result<()> {
    crate::fault::enter()?;
    // SAFETY: the child's descriptor table is its own (`own_table`), and after this it only execs.
    unsafe { raw::syscall6(raw::nr::__NR_dup3, from as usize, to as usize, 0, 0, 0, 0) }?;
    Ok(())
}

unsafe extern "C" {
    /// clone(2): the child calls `run(argument)` on the new stack; the parent gets its id or a negative errno.
    fn skeg_clone(
        flags: usize,
        stack_top: *mut c_void,
        record: *mut i32,
        run: unsafe extern "C" fn(*mut c_void) -> !,
        argument: *mut c_void,
    ) -> isize;
}

// Each one: function and argument go onto the new stack, the parent returns, the child pops them and calls.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl skeg_clone",
    ".hidden skeg_clone",
    ".type skeg_clone,@function",
    "skeg_clone:",
    "sub rsi, 16",
    "mov [rsi], r8",
    "mov [rsi + 8], rcx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "mov eax, 56",
    "syscall",
    "test rax, rax",
    "jz 2f",
    "ret",
    "2:",
    "xor ebp, ebp",
    "pop rdi",
    "pop rax",
    "call rax",
    "ud2"
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl skeg_clone",
    ".hidden skeg_clone",
    ".type skeg_clone,@function",
    "skeg_clone:",
    "stp x3, x4, [x1, #-16]!",
    "mov x3, #0",
    "mov x4, #0",
    "mov x8, #220",
    "svc 0",
    "cbz x0, 2f",
    "ret",
    "2:",
    "mov x29, #0",
    "mov x30, #0",
    "ldp x1, x0, [sp], #16",
    "blr x1",
    "brk #1"
);
#[cfg(target_arch = "arm")]
core::arch::global_asm!(
    ".arm",
    ".globl skeg_clone",
    ".hidden skeg_clone",
    ".type skeg_clone,%function",
    "skeg_clone:",
    "push {{r4, r5, r7, lr}}",
    "ldr r4, [sp, #16]",
    "sub r1, r1, #8",
    "str r3, [r1]",
    "str r4, [r1, #4]",
    "mov r3, #0",
    "mov r4, #0",
    "mov r7, #120",
    "svc 0",
    "cmp r0, #0",
    "beq 2f",
    "pop {{r4, r5, r7, pc}}",
    "2:",
    "mov fp, #0",
    "mov lr, #0",
    "ldr r1, [sp]",
    "ldr r0, [sp, #4]",
    "add sp, sp, #8",
    "blx r1",
    "udf #1"
);
#[cfg(target_arch = "riscv64")]
core::arch::global_asm!(
    ".globl skeg_clone",
    ".hidden skeg_clone",
    ".type skeg_clone,@function",
    "skeg_clone:",
    "addi a1, a1, -16",
    "sd a3, 0(a1)",
    "sd a4, 8(a1)",
    "li a3, 0",
    "li a4, 0",
    "li a7, 220",
    "ecall",
    "beqz a0, 2f",
    "ret",
    "2:",
    "li s0, 0",
    "ld a1, 0(sp)",
    "ld a0, 8(sp)",
    "addi sp, sp, 16",
    "jalr a1",
    "unimp"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Death, Who, wait};

    fn start(words: &[Word<'_>], record: Option<&AtomicI32>) -> Result<u32> {
        spawn(&Spawn {
            path: words[0].get().unwrap(),
            arguments: Words::new(words)?,
            environment: Words::environment(),
            directory: None,
            fds: &[],
            session: true,
            mask: Set(0),
            open_files: None,
            new_pids: false,
            record_pid: record,
        })
    }

    #[test]
    fn a_child_runs_and_its_id_is_recorded_by_the_kernel() {
        let id = AtomicI32::new(0);
        let pid =
            start(&[Word::new(c"/bin/sh"), Word::new(c"-c"), Word::new(c"exit 7"), Word::END], Some(&id))
                .unwrap();
        assert_eq!(id.load(core::sync::atomic::Ordering::Relaxed) as u32, pid);
        assert_eq!(wait(Who::Pid(pid)).unwrap(), Some(Death { pid, status: 7 << 8 }));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_of_spawn() {
        assert_eq!(start(&[Word::new(c"/no/such/program"), Word::END], None), Err(Errno::NOENT));
    }

    #[test]
    fn an_array_without_its_end_is_refused() {
        assert!(Words::new(&[Word::new(c"a")]).is_err());
    }
}
