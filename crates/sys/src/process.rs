// SPDX-License-Identifier: ISC
//! This process and its children: waiting, pidfds, limits, credentials, the end.
#![allow(unsafe_code)]

use crate::{AsFd, Errno, OwnedFd, Result, raw};
use core::ffi::CStr;
pub use rustix::process::{Pid, Resource, Rlimit};

/// Ends the process.
pub fn exit(code: u8) -> ! {
    #[cfg(feature = "fault")]
    crate::fault::report();
    loop {
        // SAFETY: the call does not return.
        let _ = unsafe { raw::syscall6(raw::nr::__NR_exit_group, usize::from(code), 0, 0, 0, 0, 0) };
    }
}

/// Ends the process by SIGABRT: for a panic, which must not look like a success.
pub fn abort() -> ! {
    let _ = crate::signal::set_disposition(crate::signal::number::ABRT, crate::signal::Disposition::Default);
    let _ = crate::signal::set_mask(crate::signal::Set(0));
    let _ = crate::signal::kill(pid() as i32, crate::signal::number::ABRT);
    exit(134)
}

/// This process's id.
pub fn pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get() as u32
}

/// The parent's id; 0 if it is in another namespace.
pub fn parent() -> u32 {
    rustix::process::getppid().map_or(0, |p| p.as_raw_nonzero().get() as u32)
}

/// The effective user and group.
pub fn ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// Its process id.
    pub pid: u32,
    /// Its end as wait(2) codes it: exit code shifted left by 8, or the signal's number (128 added for a core).
    pub status: u16,
}

/// Whom to wait for.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    /// Any child.
    Any,
    /// The child with this id.
    Pid(u32),
}

/// `siginfo_t` as waitid(2) fills it; 128 bytes.
#[repr(C)]
struct SigInfo {
    signal: i32,
    errno: i32,
    code: i32,
    #[cfg(target_pointer_width = "64")]
    pad: i32,
    pid: i32,
    uid: u32,
    status: i32,
    rest: [u32; 26],
}

/// `CLD_EXITED` of `si_code`: `si_status` is an exit code.
const EXITED: i32 = 1;
/// `CLD_DUMPED`: `si_status` is a signal, and a core was written.
const DUMPED: i32 = 3;

fn waitid(who: Who, options: u32) -> Result<Option<Death>> {
    let mut info = SigInfo {
        signal: 0,
        errno: 0,
        code: 0,
        #[cfg(target_pointer_width = "64")]
        pad: 0,
        pid: 0,
        uid: 0,
        status: 0,
        rest: [0; 26],
    };
    let (kind, id) = match who {
        Who::Any => (0, 0),        // P_ALL
        Who::Pid(pid) => (1, pid), // P_PID
    };
    let options = options | raw::nr::WEXITED;
    crate::fault::enter()?;
    let at = (&raw mut info).expose_provenance();
    // SAFETY: the kernel writes one `siginfo_t` there, which lives until the call returns.
    unsafe { raw::syscall6(raw::nr::__NR_waitid, kind, id as usize, at, options as usize, 0, 0) }?;
    // SAFETY: `info` is ours and initialised; read as memory, since the kernel wrote it behind our back.
    let info = unsafe { (&raw const info).read_volatile() };
    if info.pid == 0 {
        return Ok(None);
    }
    let status = match info.code {
        EXITED => (info.status as u16 & 0xff) << 8,
        DUMPED => info.status as u16 & 0x7f | 0x80,
        _ => info.status as u16 & 0x7f,
    };
    Ok(Some(Death { pid: info.pid as u32, status }))
}

/// A child that has died and is left as it is (`WNOWAIT`), so that its status can still be collected.
/// None at the moment = `None`; `ECHILD` when there is none at all. The same one comes again until it is reaped.
pub fn peek_death(who: Who) -> Result<Option<Death>> {
    waitid(who, raw::nr::WNOHANG | raw::nr::WNOWAIT)
}

/// Collects a child that has died; none at the moment = `None`.
pub fn reap(who: Who) -> Result<Option<Death>> {
    waitid(who, raw::nr::WNOHANG)
}

/// Waits until a child has died, and collects it.
pub fn wait(who: Who) -> Result<Option<Death>> {
    waitid(who, 0)
}

/// A descriptor that stands for this process and becomes readable when it has died.
pub fn pidfd_open(pid: u32) -> Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    call!(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())).map(OwnedFd::from)
}

/// Becomes the parent of orphans below it.
pub fn set_child_subreaper() -> Result<()> {
    call!(rustix::process::set_child_subreaper(Some(rustix::process::getpid())))
}

/// Gets this signal when the parent dies.
pub fn set_parent_death_signal(signal: u8) -> Result<()> {
    const PR_SET_PDEATHSIG: usize = 1;
    crate::fault::enter()?;
    // SAFETY: no memory is involved.
    unsafe { raw::syscall6(raw::nr::__NR_prctl, PR_SET_PDEATHSIG, usize::from(signal), 0, 0, 0, 0) }?;
    Ok(())
}

/// Sets the name that `ps` shows (15 bytes of it).
pub fn set_name(name: &CStr) -> Result<()> {
    call!(rustix::thread::set_name(name))
}

/// A new session without a controlling terminal.
pub fn setsid() -> Result<()> {
    call!(rustix::process::setsid()).map(|_| ())
}

/// Sets the bits that new files don't get; the old ones.
pub fn umask(mask: u32) -> u32 {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask)).as_raw_mode()
}

/// A resource limit, soft and hard; `None` = without limit.
pub fn limit(which: Resource) -> Rlimit {
    rustix::process::getrlimit(which)
}

/// Sets a resource limit.
pub fn set_limit(which: Resource, to: Rlimit) -> Result<()> {
    call!(rustix::process::setrlimit(which, to))
}

/// Bytes from the kernel's random generator.
pub fn random(buf: &mut [u8]) -> Result<usize> {
    call!(rustix::rand::getrandom(buf, rustix::rand::GetRandomFlags::NONBLOCK))
}

/// What becomes of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Starts again.
    Reboot,
    /// The power goes off.
    PowerOff,
    /// Stops, the power stays on.
    Halt,
    /// Ctrl-Alt-Del sends SIGINT to process 1 instead of restarting at once.
    AskOnCtrlAltDel,
}

/// Does this to the machine; returns only for `AskOnCtrlAltDel` and on an error.
pub fn reboot(what: Machine) -> Result<()> {
    use rustix::system::RebootCommand;
    call!(rustix::system::reboot(match what {
        Machine::Reboot => RebootCommand::Restart,
        Machine::PowerOff => RebootCommand::PowerOff,
        Machine::Halt => RebootCommand::Halt,
        Machine::AskOnCtrlAltDel => RebootCommand::CadOff,
    }))
}

/// Loads a kernel module from an open file.
#[doc(alias = "finit_module")]
pub fn load_module(file: impl AsFd, parameters: &CStr) -> Result<()> {
    call!(rustix::system::finit_module(file, parameters, 0))
}

/// Loads a compressed kernel module, which the kernel unpacks where it can (`CONFIG_MODULE_DECOMPRESS`).
pub fn load_compressed_module(file: impl AsFd, parameters: &CStr) -> Result<()> {
    /// `MODULE_INIT_COMPRESSED_FILE`, include/uapi/linux/module.h
    const COMPRESSED: i32 = 4;
    call!(rustix::system::finit_module(file, parameters, COMPRESSED))
}

/// Sets the host's name.
pub fn set_host_name(name: &[u8]) -> Result<()> {
    call!(rustix::system::sethostname(name))
}

/// The descriptor of this number that the process was started with, none if there was none; close-on-exec from now on.
///
/// To be called before anything is opened, and once for a number: later the number may belong to something else.
pub fn inherited(number: i32) -> Option<OwnedFd> {
    use crate::{BorrowedFd, FromRawFd};
    if number < 3 {
        return None;
    }
    // SAFETY: the number is only asked about, never closed.
    let asked = unsafe { BorrowedFd::borrow_raw(number) };
    crate::fs::set_cloexec(asked, true).ok()?;
    // SAFETY: it is open, and by the contract above nobody in this process owns it yet.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Every descriptor from this number on is closed by an exec: for a process that was started with some that it does not
/// want to hand on. Source: close_range(2).
pub fn set_cloexec_from(first: u32) -> Result<()> {
    const CLOEXEC: usize = 4; // CLOSE_RANGE_CLOEXEC, include/uapi/linux/close_range.h
    crate::fault::enter()?;
    // SAFETY: no memory is involved, and no descriptor is closed now.
    unsafe { raw::syscall6(raw::nr::__NR_close_range, first as usize, u32::MAX as usize, CLOEXEC, 0, 0, 0) }?;
    Ok(())
}
