// SPDX-License-Identifier: ISC
//! What a command and the oneshot runner say to each other. Read by both; postcard, one message a packet.
//!
//! A local socket of packets (SOCK_SEQPACKET) named `s` in the runner's service directory. The command's first message is
//! [`Request::Hello`], with four descriptors: standard input, output and error of the scripts, and the state file.
//! The command may send any number of [`Request::Run`]; the runner reads the next one when it has room for it, so that
//! the socket's own buffer is the queue. Reports come in the order of the ends, several in a packet.
//! When the command goes away, scripts that run go on and their result is recorded; those not yet read never start. So
//! a command that finds a state in transition sends [`Request::Quiet`] first: the answer, a packet without a report, comes when
//! no script of another connection runs.

use serde::{Deserialize, Serialize};

/// The socket's name in the service directory.
pub const SOCKET: &core::ffi::CStr = c"s";

/// Largest packet: what Linux lets a local socket send at once by default (212,992) fits.
pub const MAX_PACKET: usize = 256 * 1024;

/// Reports of one packet, at the most.
pub const MAX_REPORTS: usize = 64;

/// Scripts that the runner has running at once, whoever asked for them: the size of its table.
pub const MAX_SCRIPTS: usize = 256;

/// Scripts that run at once unless the command says otherwise: at some 150 KiB for a small shell's script these
/// need 5 MiB, which a machine with 32 MiB has left.
pub const DEFAULT_SCRIPTS: u16 = 32;

/// The version of these messages.
pub const VERSION: u8 = 1;

/// Which script, and so what its end means for the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// `up`: 0 is up, any other end leaves the service down.
    Up,
    /// `down`: 0 is down, any other end leaves it up.
    Down,
    /// `reload`: no state changes.
    Reload,
}

/// From the command to the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// The first message of a connection.
    Hello {
        /// [`VERSION`]
        version: u8,
        /// How many scripts of this connection may run at once.
        scripts: u16,
    },
    /// Run a script.
    Run {
        /// The service's index in the image, and in the state file.
        service: u16,
        /// Which script.
        what: What,
        /// Milliseconds after which it gets SIGTERM and has failed; 0 = never.
        timeout: u32,
        /// The service's name.
        #[serde(borrow)]
        name: &'a [u8],
        /// The argument vector: each word with a final zero.
        #[serde(borrow)]
        words: &'a [u8],
    },
    /// Say when no script of another connection runs.
    Quiet,
}

/// How a script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It exited with this code.
    Exited(u8),
    /// This signal killed it.
    Killed(u8),
    /// It ran longer than allowed, and was sent SIGTERM.
    TimedOut,
    /// It could not be started, for this errno.
    NotStarted(u16),
}

/// From the runner to the command: one script is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The service's index.
    pub service: u16,
    /// Which script.
    pub what: What,
    /// How it ended.
    pub end: End,
}

/// Reports of one packet.
pub type Reports = heapless::Vec<Report, MAX_REPORTS>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back() {
        let mut room = [0; 256];
        let run =
            Request::Run { service: 7, what: What::Up, timeout: 500, name: b"lan", words: b"/bin/true\0" };
        let bytes = postcard::to_slice(&run, &mut room).unwrap();
        assert_eq!(postcard::from_bytes::<Request<'_>>(bytes), Ok(run));
        let mut reports = Reports::new();
        reports.push(Report { service: 7, what: What::Up, end: End::Exited(0) }).unwrap();
        let bytes = postcard::to_slice(&reports, &mut room).unwrap();
        assert_eq!(postcard::from_bytes::<Reports>(bytes), Ok(reports));
    }
}
