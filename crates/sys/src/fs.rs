// SPDX-License-Identifier: ISC
//! Files, directories, links, locks. Used by everyone; each function is one system call unless it says more.
//!
//! What takes a descriptor takes it as the caller has it, and hands it on, borrowed, to an inner function that is there
//! once: a system call in line at each of its places would be a tenth of the program.
#![allow(unsafe_code)]

use crate::time::Wall;
use crate::word::{Count, Done, NewFd};
use crate::{AsFd, BorrowedFd, Errno, OwnedFd, PATH_ROOM, Path, Result, raw};
use core::ffi::CStr;
use core::mem::MaybeUninit;
pub use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, StatFs};
pub use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

/// `openat` with `O_CLOEXEC` always added. `mode` is used when `O_CREAT` is in the flags.
#[doc(alias = "openat")]
#[inline(always)]
pub fn open(dir: impl AsFd, path: &CStr, flags: OFlags, mode: u32) -> Result<OwnedFd> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: u32) -> NewFd {
        let room = || {
            if flags.contains(OFlags::CREATE) { crate::fault::room_for_name(dir, path) } else { Ok(()) }
        };
        word!(rustix::fs::openat(dir, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode)), room())
    }
    call(dir.as_fd(), path, flags, mode).get()
}

/// A directory, to read it or to resolve paths below it.
#[inline(always)]
pub fn open_dir(dir: impl AsFd, path: &CStr) -> Result<OwnedFd> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr) -> NewFd {
        open(dir, path, OFlags::RDONLY | OFlags::DIRECTORY, 0).into()
    }
    call(dir.as_fd(), path).get()
}

/// A file for reading. Where it turns out to be a FIFO nobody waits for a writer.
#[inline(always)]
pub fn open_read(dir: impl AsFd, path: &CStr) -> Result<OwnedFd> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr) -> NewFd {
        open(dir, path, OFlags::RDONLY | OFlags::NONBLOCK, 0).into()
    }
    call(dir.as_fd(), path).get()
}

/// Reads at most `buf.len()` bytes; 0 = end of file.
#[inline(always)]
pub fn read(fd: impl AsFd, buf: &mut [u8]) -> Result<usize> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Count {
        word!(rustix::io::read(fd, buf))
    }
    call(fd.as_fd(), buf).get()
}

/// Reads at a position, in bytes from the start.
#[inline(always)]
pub fn pread(fd: impl AsFd, buf: &mut [u8], at: u64) -> Result<usize> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, buf: &mut [u8], at: u64) -> Count {
        word!(rustix::io::pread(fd, buf, at))
    }
    call(fd.as_fd(), buf, at).get()
}

/// Reads until the buffer is full or the file ends; how many bytes. Several calls.
#[inline(always)]
pub fn read_full(fd: impl AsFd, buf: &mut [u8]) -> Result<usize> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Count {
        let mut have = 0;
        while let Some(room) = buf.get_mut(have..).filter(|r| !r.is_empty()) {
            match read(fd, room) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e).into(),
            }
        }
        Ok(have).into()
    }
    call(fd.as_fd(), buf).get()
}

/// Writes at most `buf.len()` bytes.
#[inline(always)]
pub fn write(fd: impl AsFd, buf: &[u8]) -> Result<usize> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, buf: &[u8]) -> Count {
        word!(rustix::io::write(fd, buf), crate::fault::room_for_bytes(fd, buf.len(), None))
    }
    call(fd.as_fd(), buf).get()
}

/// Writes at a position, in bytes from the start.
#[inline(always)]
pub fn pwrite(fd: impl AsFd, buf: &[u8], at: u64) -> Result<usize> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, buf: &[u8], at: u64) -> Count {
        word!(rustix::io::pwrite(fd, buf, at), crate::fault::room_for_bytes(fd, buf.len(), Some(at)))
    }
    call(fd.as_fd(), buf, at).get()
}

/// Writes all of it. Several calls where the kernel takes less at once.
#[inline(always)]
pub fn write_all(fd: impl AsFd, buf: &[u8]) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, mut buf: &[u8]) -> Done {
        while !buf.is_empty() {
            match write(fd, buf) {
                Ok(0) => return Err(Errno::IO).into(),
                Ok(n) => buf = buf.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e).into(),
            }
        }
        Ok(()).into()
    }
    call(fd.as_fd(), buf).get()
}

/// Makes a directory. The mode goes through the umask.
#[doc(alias = "mkdirat")]
#[inline(always)]
pub fn mkdir(dir: impl AsFd, path: &CStr, mode: u32) -> Result<()> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> Done {
        word!(
            rustix::fs::mkdirat(dir, path, Mode::from_raw_mode(mode)),
            crate::fault::room_for_name(dir, path)
        )
    }
    call(dir.as_fd(), path, mode).get()
}

/// Makes a FIFO. The mode goes through the umask.
#[doc(alias = "mkfifoat")]
#[inline(always)]
pub fn mkfifo(dir: impl AsFd, path: &CStr, mode: u32) -> Result<()> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> Done {
        word!(
            rustix::fs::mknodat(dir, path, FileType::Fifo, Mode::from_raw_mode(mode), 0),
            crate::fault::room_for_name(dir, path)
        )
    }
    call(dir.as_fd(), path, mode).get()
}

/// Makes a device node.
#[doc(alias = "mknodat")]
#[inline(always)]
pub fn mknod(dir: impl AsFd, path: &CStr, kind: FileType, mode: u32, device: u64) -> Result<()> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr, kind: FileType, mode: u32, device: u64) -> Done {
        word!(
            rustix::fs::mknodat(dir, path, kind, Mode::from_raw_mode(mode), device),
            crate::fault::room_for_name(dir, path)
        )
    }
    call(dir.as_fd(), path, kind, mode, device).get()
}

/// Removes a file, link or FIFO.
#[doc(alias = "unlinkat")]
#[inline(always)]
pub fn unlink(dir: impl AsFd, path: &CStr) -> Result<()> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr) -> Done {
        word!(rustix::fs::unlinkat(dir, path, AtFlags::empty()))
    }
    call(dir.as_fd(), path).get()
}

/// Removes an empty directory.
#[inline(always)]
pub fn rmdir(dir: impl AsFd, path: &CStr) -> Result<()> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr) -> Done {
        word!(rustix::fs::unlinkat(dir, path, AtFlags::REMOVEDIR))
    }
    call(dir.as_fd(), path).get()
}

/// Renames, replacing what is there.
#[doc(alias = "renameat")]
#[inline(always)]
pub fn rename(from_dir: impl AsFd, from: &CStr, to_dir: impl AsFd, to: &CStr) -> Result<()> {
    #[inline(never)]
    fn call(from_dir: BorrowedFd<'_>, from: &CStr, to_dir: BorrowedFd<'_>, to: &CStr) -> Done {
        word!(rustix::fs::renameat(from_dir, from, to_dir, to))
    }
    call(from_dir.as_fd(), from, to_dir.as_fd(), to).get()
}

/// Renames with flags: `NOREPLACE` or `EXCHANGE`. Not every file system can; then `EINVAL`.
#[doc(alias = "renameat2")]
#[inline(always)]
pub fn rename_with(
    from_dir: impl AsFd,
    from: &CStr,
    to_dir: impl AsFd,
    to: &CStr,
    flags: RenameFlags,
) -> Result<()> {
    #[inline(never)]
    fn call(
        from_dir: BorrowedFd<'_>,
        from: &CStr,
        to_dir: BorrowedFd<'_>,
        to: &CStr,
        flags: RenameFlags,
    ) -> Done {
        word!(rustix::fs::renameat_with(from_dir, from, to_dir, to, flags))
    }
    call(from_dir.as_fd(), from, to_dir.as_fd(), to, flags).get()
}

/// Makes a symbolic link at `path` that points to `target`.
#[doc(alias = "symlinkat")]
#[inline(always)]
pub fn symlink(target: &CStr, dir: impl AsFd, path: &CStr) -> Result<()> {
    #[inline(never)]
    fn call(target: &CStr, dir: BorrowedFd<'_>, path: &CStr) -> Done {
        word!(rustix::fs::symlinkat(target, dir, path), crate::fault::room_for_name(dir, path))
    }
    call(target, dir.as_fd(), path).get()
}

/// Makes a hard link.
#[doc(alias = "linkat")]
#[inline(always)]
pub fn link(from_dir: impl AsFd, from: &CStr, to_dir: impl AsFd, to: &CStr) -> Result<()> {
    #[inline(never)]
    fn call(from_dir: BorrowedFd<'_>, from: &CStr, to_dir: BorrowedFd<'_>, to: &CStr) -> Done {
        word!(
            rustix::fs::linkat(from_dir, from, to_dir, to, AtFlags::empty()),
            crate::fault::room_for_name(to_dir, to)
        )
    }
    call(from_dir.as_fd(), from, to_dir.as_fd(), to).get()
}

/// What a symbolic link points to, in `buf`; `ENAMETOOLONG` if it may have been cut.
#[doc(alias = "readlinkat")]
#[inline(always)]
pub fn readlink<'b>(dir: impl AsFd, path: &CStr, buf: &'b mut [u8]) -> Result<&'b [u8]> {
    #[inline(never)]
    fn call<'b>(dir: BorrowedFd<'_>, path: &CStr, buf: &'b mut [u8]) -> Result<&'b [u8]> {
        let room = buf.len();
        let n = call!(rustix::fs::readlinkat_raw(dir, path, &mut *buf))?;
        if n == room { Err(Errno::NAMETOOLONG) } else { Ok(buf.get(..n).unwrap_or_default()) }
    }
    call(dir.as_fd(), path, buf)
}

/// What a symbolic link points to, as a path; `ENAMETOOLONG` if it is too long for one.
#[inline(always)]
pub fn link_target(dir: impl AsFd, path: &CStr) -> Result<Path> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr) -> Result<Path> {
        let mut buf = [0; PATH_ROOM];
        Path::from_pieces(&[readlink(dir, path, &mut buf)?]).map_err(|_| Errno::NAMETOOLONG)
    }
    call(dir.as_fd(), path)
}

/// What this path is; a final link is followed.
#[doc(alias = "fstatat")]
#[inline(always)]
pub fn stat(dir: impl AsFd, path: &CStr) -> Result<Stat> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr) -> Result<Stat> {
        call!(rustix::fs::statat(dir, path, AtFlags::empty()))
    }
    call(dir.as_fd(), path)
}

/// What this path is; a final link is not followed.
#[inline(always)]
pub fn lstat(dir: impl AsFd, path: &CStr) -> Result<Stat> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr) -> Result<Stat> {
        call!(rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW))
    }
    call(dir.as_fd(), path)
}

/// Stamps this path as changed at that moment; a final link is not followed. What the kernel stamps by itself lags behind the
/// clock by up to a tick (10 ms at most).
#[doc(alias = "utimensat")]
#[inline(always)]
pub fn set_modified(dir: impl AsFd, path: &CStr, at: Wall) -> Result<()> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr, at: Wall) -> Done {
        let modified = rustix::fs::Timespec { tv_sec: at.seconds, tv_nsec: at.nanos as _ };
        let accessed = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT as _ };
        let times = rustix::fs::Timestamps { last_access: accessed, last_modification: modified };
        word!(rustix::fs::utimensat(dir, path, &times, AtFlags::SYMLINK_NOFOLLOW))
    }
    call(dir.as_fd(), path, at).get()
}

/// What this descriptor is.
#[inline(always)]
pub fn fstat(fd: impl AsFd) -> Result<Stat> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>) -> Result<Stat> {
        call!(rustix::fs::fstat(fd))
    }
    call(fd.as_fd())
}

/// The file system that holds this descriptor.
#[inline(always)]
pub fn fstatfs(fd: impl AsFd) -> Result<StatFs> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>) -> Result<StatFs> {
        call!(rustix::fs::fstatfs(fd))
    }
    call(fd.as_fd())
}

/// Whether the file system of this descriptor is mounted read-only. Source: `ST_RDONLY` of statfs(2).
pub fn is_read_only(fd: impl AsFd) -> Result<bool> {
    /// `ST_RDONLY` in `f_flags`.
    const READ_ONLY: i64 = 1;
    Ok(fstatfs(fd)?.f_flags as i64 & READ_ONLY != 0)
}

/// Sets the permission bits of a descriptor.
#[inline(always)]
pub fn fchmod(fd: impl AsFd, mode: u32) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, mode: u32) -> Done {
        word!(rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)))
    }
    call(fd.as_fd(), mode).get()
}

/// Sets the permission bits of a path; a final link is followed.
#[doc(alias = "fchmodat")]
#[inline(always)]
pub fn chmod(dir: impl AsFd, path: &CStr, mode: u32) -> Result<()> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> Done {
        word!(rustix::fs::chmodat(dir, path, Mode::from_raw_mode(mode), AtFlags::empty()))
    }
    call(dir.as_fd(), path, mode).get()
}

/// Sets owner and group of a path.
#[doc(alias = "fchownat")]
#[inline(always)]
pub fn chown(dir: impl AsFd, path: &CStr, user: Option<u32>, group: Option<u32>) -> Result<()> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr, user: Option<u32>, group: Option<u32>) -> Done {
        let user = user.map(rustix::fs::Uid::from_raw);
        let group = group.map(rustix::fs::Gid::from_raw);
        word!(rustix::fs::chownat(dir, path, user, group, AtFlags::empty()))
    }
    call(dir.as_fd(), path, user, group).get()
}

/// Cuts or extends to this many bytes.
#[inline(always)]
pub fn ftruncate(fd: impl AsFd, bytes: u64) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, bytes: u64) -> Done {
        word!(rustix::fs::ftruncate(fd, bytes))
    }
    call(fd.as_fd(), bytes).get()
}

/// Waits until a file, or a directory's entries, are on the disk.
#[inline(always)]
pub fn fsync(fd: impl AsFd) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>) -> Done {
        if crate::fault::skips_sync() {
            return Ok(()).into();
        }
        word!(rustix::fs::fsync(fd))
    }
    call(fd.as_fd()).get()
}

/// Waits until a whole file system is on the disk.
#[inline(always)]
pub fn syncfs(fd: impl AsFd) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>) -> Done {
        word!(rustix::fs::syncfs(fd))
    }
    call(fd.as_fd()).get()
}

/// Writes all file systems back.
pub fn sync() {
    rustix::fs::sync();
}

/// Whether this process may do that to this path: `R_OK` 4, `W_OK` 2, `X_OK` 1, `F_OK` 0.
#[doc(alias = "faccessat")]
#[inline(always)]
pub fn access(dir: impl AsFd, path: &CStr, mode: u32) -> Result<()> {
    #[inline(never)]
    fn call(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> Done {
        word!(rustix::fs::accessat(
            dir,
            path,
            rustix::fs::Access::from_bits_retain(mode as _),
            AtFlags::empty()
        ))
    }
    call(dir.as_fd(), path, mode).get()
}

/// Copies in the kernel from one file's position to another's; how many bytes; 0 = end.
#[inline(always)]
pub fn sendfile(to: impl AsFd, from: impl AsFd, bytes: usize) -> Result<usize> {
    #[inline(never)]
    fn call(to: BorrowedFd<'_>, from: BorrowedFd<'_>, bytes: usize) -> Count {
        word!(rustix::fs::sendfile(to, from, None, bytes))
    }
    call(to.as_fd(), from.as_fd(), bytes).get()
}

/// The pipe's reading and writing end, both close-on-exec and with these further flags.
pub fn pipe(flags: rustix::pipe::PipeFlags) -> Result<(OwnedFd, OwnedFd)> {
    let (reading, writing) = call!(rustix::pipe::pipe_with(flags | rustix::pipe::PipeFlags::CLOEXEC))?;
    Ok((reading.into(), writing.into()))
}

pub use rustix::pipe::PipeFlags;

/// The first 64 bytes of a pipe into another one as well; how many. `EAGAIN` where there is none, or no room.
pub fn tee(from: impl AsFd, to: impl AsFd) -> Result<usize> {
    call!(rustix::pipe::tee(from, to, 64, rustix::pipe::SpliceFlags::NONBLOCK))
}

/// How many bytes a pipe can hold at least; a page is the least.
#[doc(alias = "F_SETPIPE_SZ")]
pub fn set_pipe_size(pipe: impl AsFd, bytes: usize) -> Result<()> {
    call!(rustix::pipe::fcntl_setpipe_size(pipe, bytes)).map(|_| ())
}

/// A second descriptor for the same open file, close-on-exec, with the lowest free number from `at_least` on.
#[doc(alias = "F_DUPFD_CLOEXEC")]
#[inline(always)]
pub fn dup(fd: impl AsFd, at_least: i32) -> Result<OwnedFd> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, at_least: i32) -> NewFd {
        word!(rustix::io::fcntl_dupfd_cloexec(fd, at_least))
    }
    call(fd.as_fd(), at_least).get()
}

/// Takes over a descriptor that this process was started with, as the user names it by its number; close-on-exec from
/// now on. `EBADF` if there is none, or if it is a standard stream. To be called before the process has opened anything.
pub fn take_inherited(number: u32) -> Result<OwnedFd> {
    use crate::FromRawFd;
    let number = i32::try_from(number).ok().filter(|n| *n > 2).ok_or(Errno::BADF)?;
    // SAFETY: the number is only used for this call, which closes nothing.
    set_cloexec(unsafe { BorrowedFd::borrow_raw(number) }, true)?;
    // SAFETY: it is open, by the call above, and came from outside, so that nothing in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Whether the descriptor is closed by an exec.
#[inline(always)]
pub fn set_cloexec(fd: impl AsFd, on: bool) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, on: bool) -> Done {
        use rustix::io::FdFlags;
        word!(rustix::io::fcntl_setfd(fd, if on { FdFlags::CLOEXEC } else { FdFlags::empty() }))
    }
    call(fd.as_fd(), on).get()
}

/// Whether reads and writes return at once with `EAGAIN`.
#[inline(always)]
pub fn set_nonblocking(fd: impl AsFd, on: bool) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, on: bool) -> Done {
        let set = |flags| {
            let wanted = if on { flags | OFlags::NONBLOCK } else { flags - OFlags::NONBLOCK };
            if wanted == flags { Ok(()) } else { call!(rustix::fs::fcntl_setfl(fd, wanted)) }
        };
        crate::fault::enter().and_then(|()| rustix::fs::fcntl_getfl(fd)).and_then(set).into()
    }
    call(fd.as_fd(), on).get()
}

/// Which lock: on the whole file, advisory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// `F_RDLCK`
    Shared,
    /// `F_WRLCK`
    Exclusive,
    /// `F_UNLCK`
    None,
}

/// `struct flock` with 64-bit offsets, as the kernel takes it (`fcntl64` on 32-bit machines).
#[repr(C)]
#[derive(Default)]
struct Flock {
    kind: i16,
    whence: i16,
    start: i64,
    len: i64,
    pid: i32,
}

#[cfg(target_pointer_width = "64")]
const FCNTL: u32 = raw::nr::__NR_fcntl;
#[cfg(target_pointer_width = "32")]
const FCNTL: u32 = raw::nr::__NR_fcntl64;
#[cfg(target_pointer_width = "64")]
const GETLK: u32 = raw::nr::F_GETLK;
#[cfg(target_pointer_width = "32")]
const GETLK: u32 = 12; // F_GETLK64, include/uapi/asm-generic/fcntl.h

fn lock_call(fd: BorrowedFd<'_>, command: u32, kind: i16, pid: i32) -> Result<Flock> {
    use crate::AsRawFd;
    let mut lock = Flock { kind, pid, ..Flock::default() };
    crate::fault::enter()?;
    // SAFETY: the kernel reads and writes one `struct flock` there, which lives until the call returns.
    unsafe {
        raw::syscall6(FCNTL, fd.as_raw_fd() as usize, command as usize, (&raw mut lock).addr(), 0, 0, 0)
    }?;
    Ok(lock)
}

impl Lock {
    const fn kind(self) -> i16 {
        (match self {
            Self::Shared => raw::nr::F_RDLCK,
            Self::Exclusive => raw::nr::F_WRLCK,
            Self::None => raw::nr::F_UNLCK,
        }) as i16
    }
}

/// An open-file-description lock on the whole file: it goes with the last descriptor of this open file, not
/// with the process. `EAGAIN` when someone holds it. Source: fcntl(2), `F_OFD_SETLK`.
#[inline(always)]
pub fn ofd_lock(fd: impl AsFd, lock: Lock) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, lock: Lock) -> Done {
        lock_call(fd, raw::nr::F_OFD_SETLK, lock.kind(), 0).map(|_| ()).into()
    }
    call(fd.as_fd(), lock).get()
}

/// As [`ofd_lock`], but waits for it (`EINTR` when a signal comes).
#[inline(always)]
pub fn ofd_lock_wait(fd: impl AsFd, lock: Lock) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>, lock: Lock) -> Done {
        lock_call(fd, raw::nr::F_OFD_SETLKW, lock.kind(), 0).map(|_| ()).into()
    }
    call(fd.as_fd(), lock).get()
}

/// An exclusive `flock` lock, at once or not at all: also on a directory that is open for reading. It goes with the last
/// descriptor of this open file. `EAGAIN` when someone holds it.
#[inline(always)]
pub fn flock(fd: impl AsFd) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>) -> Done {
        word!(rustix::fs::flock(fd, rustix::fs::FlockOperation::NonBlockingLockExclusive))
    }
    call(fd.as_fd()).get()
}

/// A POSIX write lock on the file behind this number: it belongs to the calling process. For a child before its exec.
pub(crate) fn posix_lock(number: i32) -> Result<()> {
    #[cfg(target_pointer_width = "64")]
    const SETLK: u32 = raw::nr::F_SETLK;
    #[cfg(target_pointer_width = "32")]
    const SETLK: u32 = 13; // F_SETLK64, include/uapi/asm-generic/fcntl.h
    // SAFETY: the number is only used for this one call, which closes nothing.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    lock_call(fd, SETLK, Lock::Exclusive.kind(), 0).map(|_| ())
}

/// Who would refuse a POSIX write lock on this file: none, or a process (−1 for an open-file-description lock).
#[doc(alias = "F_GETLK")]
#[inline(always)]
pub fn lock_holder(fd: impl AsFd) -> Result<Option<i32>> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>) -> Result<Option<i32>> {
        let lock = lock_call(fd, GETLK, Lock::Exclusive.kind(), 0)?;
        Ok(if lock.kind == Lock::None.kind() { None } else { Some(lock.pid) })
    }
    call(fd.as_fd())
}

/// Walks a directory, `.` and `..` left out. Stops at the first error, or when `each` says so.
///
/// `each` gets the entry's name, its inode, and its type where the file system tells (else `Unknown`).
#[doc(alias = "getdents64")]
#[inline(always)]
pub fn for_each_entry<E: From<Errno>>(
    dir: impl AsFd,
    mut each: impl FnMut(&CStr, u64, FileType) -> core::result::Result<(), E>,
) -> core::result::Result<(), E> {
    let mut failed = None;
    walk(dir.as_fd(), &mut |name, inode, kind| {
        failed = each(name, inode, kind).err();
        failed.is_none()
    })?;
    failed.map_or(Ok(()), Err)
}

/// As long as `each` says so: there once, not once for each caller.
#[inline(never)]
fn walk(dir: BorrowedFd<'_>, each: &mut dyn FnMut(&CStr, u64, FileType) -> bool) -> Result<()> {
    let mut buf = [MaybeUninit::<u8>::uninit(); 4096];
    let mut entries = rustix::fs::RawDir::new(dir, &mut buf);
    loop {
        crate::fault::enter()?;
        let Some(entry) = entries.next() else { return Ok(()) };
        let entry = entry?;
        let name = entry.file_name();
        let is_self = matches!(name.to_bytes(), [b'.'] | [b'.', b'.']);
        if !is_self && !each(name, entry.ino(), entry.file_type()) {
            return Ok(());
        }
    }
}

/// Goes back to the first entry, before a directory is walked again through the same descriptor.
#[doc(alias = "lseek")]
#[inline(always)]
pub fn rewind(fd: impl AsFd) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>) -> Done {
        word!(rustix::fs::seek(fd, rustix::fs::SeekFrom::Start(0)).map(|_| ()))
    }
    call(fd.as_fd()).get()
}

/// Changes the working directory.
pub fn chdir(path: &CStr) -> Result<()> {
    call!(rustix::process::chdir(path))
}

/// Changes the working directory to this one.
#[inline(always)]
pub fn fchdir(fd: impl AsFd) -> Result<()> {
    #[inline(never)]
    fn call(fd: BorrowedFd<'_>) -> Done {
        word!(rustix::process::fchdir(fd))
    }
    call(fd.as_fd()).get()
}

/// Changes the root directory.
pub fn chroot(path: &CStr) -> Result<()> {
    call!(rustix::process::chroot(path))
}

/// The working directory's absolute path, in `buf`.
pub fn getcwd(buf: &mut [u8]) -> Result<&CStr> {
    crate::fault::enter()?;
    // SAFETY: the kernel writes at most `buf.len()` bytes there.
    let n = unsafe { raw::syscall6(raw::nr::__NR_getcwd, buf.as_mut_ptr().addr(), buf.len(), 0, 0, 0, 0) }?;
    CStr::from_bytes_with_nul(buf.get(..n).unwrap_or_default()).map_err(|_| Errno::NAMETOOLONG)
}

/// Mounts a file system.
pub fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: MountFlags, data: &CStr) -> Result<()> {
    call!(rustix::mount::mount(source, target, kind, flags, data))
}

/// Moves a mount to another place.
pub fn mount_move(from: &CStr, to: &CStr) -> Result<()> {
    call!(rustix::mount::mount_move(from, to))
}

/// Changes the flags of a mount.
pub fn remount(target: &CStr, flags: MountFlags, data: &CStr) -> Result<()> {
    call!(rustix::mount::mount_remount(target, flags, data))
}

/// Takes a mount away.
pub fn unmount(target: &CStr, flags: UnmountFlags) -> Result<()> {
    call!(rustix::mount::unmount(target, flags))
}
