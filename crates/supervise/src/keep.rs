// SPDX-License-Identifier: ISC
//! Messages between supervisor and scanner: descriptors to keep, descriptors to forget, and a poke.
//!
//! A descriptor is sent before it is used. It lies in the socket until the scanner takes it, so that it outlives
//! its sender from the moment of the send. Limits: a message is [`SIZE`] bytes and at most [`KINDS`] descriptors.

use sys::mm::FdTable;
use sys::net::Fds;
use sys::{AsFd, BorrowedFd, Errno, Result};

/// Bytes of a message.
pub const SIZE: usize = 4;
/// Descriptors of one service.
pub const KINDS: usize = 5;

/// The service's directory.
pub const DIR: u8 = 0;
/// Both ends of `supervise/control`.
pub const CONTROL: u8 = 1;
/// `supervise/lock`.
pub const LOCK: u8 = 2;
/// The reading end of the readiness pipe.
pub const NOTIFY: u8 = 3;
/// This service's end of the pipe between it and its logger, or between it and its producer.
pub const PIPE: u8 = 4;

/// Where a descriptor of a service is in the table of descriptors.
pub fn place(index: u16, kind: u8) -> usize {
    usize::from(index) * KINDS + usize::from(kind)
}

const KEEP: u8 = b'k';
const FORGET: u8 = b'f';

/// Hands descriptors to the scanner: those of `kind` and the kinds that follow it.
pub fn send(socket: BorrowedFd<'_>, index: u16, kind: u8, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let [low, high] = index.to_le_bytes();
    sys::net::send(socket, &[KEEP, kind, low, high], fds).map(|_| ())
}

/// Lets the scanner close a descriptor.
pub fn forget(socket: BorrowedFd<'_>, index: u16, kind: u8) -> Result<()> {
    let [low, high] = index.to_le_bytes();
    sys::net::send(socket, &[FORGET, kind, low, high], &[]).map(|_| ())
}

/// Takes all messages that lie in the socket (non-blocking); false: the other end is closed.
pub fn receive(socket: impl AsFd, fds: &mut FdTable) -> Result<bool> {
    loop {
        let mut message = [0; SIZE];
        let mut came = Fds::new();
        match sys::net::receive(socket.as_fd(), &mut message, &mut came) {
            Ok(SIZE) => {}
            Ok(0) => return Ok(false),
            Ok(_) => continue,
            Err(Errno::AGAIN) => return Ok(true),
            // A reset is told once, when the other end died with pokes unread; what it had sent is still to be had.
            Err(Errno::INTR | Errno::CONNRESET) => continue,
            // What comes through a socket of our own can fail for want of descriptors only; the message is lost then.
            Err(e) => return Err(e),
        }
        let [what, kind, low, high] = message;
        let index = u16::from_le_bytes([low, high]);
        if what == FORGET && kind < KINDS as u8 {
            drop(fds.take(place(index, kind)));
        }
        for (kind, fd) in (kind..KINDS as u8).zip(came) {
            let _ = fds.put(place(index, kind), fd);
        }
    }
}
