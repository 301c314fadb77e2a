// SPDX-License-Identifier: ISC
//! Local sockets, and descriptors passed through them.

use crate::word::{Count, NewFd};
use crate::{AsFd, BorrowedFd, Errno, OwnedFd, Result};
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::io::{IoSlice, IoSliceMut};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags};
pub use rustix::net::{SocketType, UCred};

/// Descriptors that one message carries at the most.
pub const MAX_FDS: usize = 8;

/// Two connected local sockets, close-on-exec.
pub fn socketpair(kind: SocketType) -> Result<(OwnedFd, OwnedFd)> {
    let (one, other) = call!(net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None))?;
    Ok((one.into(), other.into()))
}

/// A local socket that listens at this path (at most 107 bytes).
pub fn listen(path: &CStr, kind: SocketType, backlog: i32) -> Result<OwnedFd> {
    let socket = call!(net::socket_with(
        AddressFamily::UNIX,
        kind,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None
    ))?;
    call!(net::bind(&socket, &SocketAddrUnix::new(path)?))?;
    call!(net::listen(&socket, backlog))?;
    Ok(socket.into())
}

/// Connects to a local socket at this path (at most 107 bytes).
pub fn connect(path: &CStr, kind: SocketType) -> Result<OwnedFd> {
    let socket = call!(net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None))?;
    call!(net::connect(&socket, &SocketAddrUnix::new(path)?))?;
    Ok(socket.into())
}

/// Takes one connection; close-on-exec and non-blocking.
#[inline(always)]
pub fn accept(listener: impl AsFd) -> Result<OwnedFd> {
    #[inline(never)]
    fn call(listener: BorrowedFd<'_>) -> NewFd {
        word!(net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK))
    }
    call(listener.as_fd()).get()
}

/// Who is at the other end.
#[inline(always)]
pub fn peer(socket: impl AsFd) -> Result<UCred> {
    #[inline(never)]
    fn call(socket: BorrowedFd<'_>) -> Result<UCred> {
        call!(net::sockopt::socket_peercred(socket))
    }
    call(socket.as_fd())
}

/// Sends bytes and at most [`MAX_FDS`] descriptors; how many bytes. Never raises SIGPIPE.
#[inline(always)]
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    #[inline(never)]
    fn call(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = net::SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(net::SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::TOOMANYREFS).into();
        }
        word!(net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL))
    }
    call(socket.as_fd(), bytes, fds).get()
}

/// Descriptors that came with a message.
pub type Fds = heapless::Vec<OwnedFd, MAX_FDS>;

/// Receives bytes and descriptors (close-on-exec) that came with them, appended to `fds`; 0 bytes = closed.
/// Descriptors beyond the capacity are closed.
#[inline(always)]
pub fn receive(socket: impl AsFd, buf: &mut [u8], fds: &mut Fds) -> Result<usize> {
    #[inline(never)]
    fn call(socket: BorrowedFd<'_>, buf: &mut [u8], fds: &mut Fds) -> Count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = net::RecvAncillaryBuffer::new(&mut space);
        let mut buf = [IoSliceMut::new(buf)];
        let got = crate::fault::enter()
            .and_then(|()| net::recvmsg(socket, &mut buf, &mut control, RecvFlags::CMSG_CLOEXEC));
        for message in control.drain() {
            if let net::RecvAncillaryMessage::ScmRights(rights) = message {
                for fd in rights {
                    let _ = fds.push(fd.into());
                }
            }
        }
        got.map(|got| got.bytes).into()
    }
    call(socket.as_fd(), buf, fds).get()
}
