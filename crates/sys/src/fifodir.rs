// SPDX-License-Identifier: ISC
//! Event directories: one writer tells any number of listeners, by a FIFO for each, and never waits for one.
//!
//! The convention is that of s6 (its page on fifodirs): listeners make FIFOs with names of 39 bytes that begin with
//! `ftrig1:@`; the writer opens each one, writes all its bytes at once, and takes away those that nobody reads.
//! Used by the supervisor (it notifies) and by whoever waits for a service (it subscribes).

use crate::fs::{self, OFlags};
use crate::time::Tai64n;
use crate::{AsFd, BorrowedFd, CBuf, Errno, OwnedFd, Result};
use core::ffi::CStr;

/// How each listener's name begins.
const PREFIX: &[u8] = b"ftrig1:@";
/// Bytes of a listener's name: `ftrig1:`, a TAI64N label, `:` and six random characters.
const NAME_LENGTH: usize = 39;

fn is_listener(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.len() == NAME_LENGTH && name.starts_with(PREFIX)
}

/// Makes an event directory that the effective group may listen in (03730); whether it is new. One that exists is left
/// as it is; a symbolic link to something missing has its target made.
pub fn make(dir: impl AsFd, path: &CStr) -> Result<bool> {
    let dir = dir.as_fd();
    // Looked for first: `s6-rc-init` has made it.
    match fs::stat(dir, path) {
        Err(Errno::NOENT) => {}
        Ok(_) => return Ok(false),
        Err(e) => return Err(e),
    }
    match fs::mkdir(dir, path, 0o700) {
        Err(Errno::EXIST) => return make_target(dir, path),
        other => other?,
    }
    own(dir, path)?;
    Ok(true)
}

fn make_target(dir: BorrowedFd<'_>, path: &CStr) -> Result<bool> {
    let mut buf = [0; 1024];
    let mut target = CBuf::<1025>::new();
    target.push(fs::readlink(dir, path, &mut buf)?).map_err(|_| Errno::NAMETOOLONG)?;
    fs::mkdir(dir, &target, 0o700)?;
    own(dir, &target)?;
    Ok(true)
}

fn own(dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    fs::chown(dir, path, None, Some(crate::process::ids().1))?;
    fs::chmod(dir, path, 0o3730)
}

/// Writes these bytes to each listener of an event directory; those that are gone are taken away. A listener that has
/// no room misses them, as the convention says.
pub fn notify(dir: impl AsFd, path: &CStr, bytes: &[u8]) -> Result<()> {
    let events = fs::open_dir(dir, path)?;
    fs::for_each_entry(&events, |name, _, _| -> Result<()> {
        if !is_listener(name) {
            return Ok(());
        }
        let fifo = fs::open(&events, name, OFlags::WRONLY | OFlags::NONBLOCK, 0);
        let told = fifo.and_then(|fifo| fs::write(fifo, bytes).map(|_| ()));
        if matches!(told, Err(Errno::NXIO | Errno::PIPE)) {
            let _ = fs::unlink(&events, name);
        }
        Ok(())
    })
}

/// A subscription to an event directory. Dropping it ends it.
pub struct Listener {
    dir: OwnedFd,
    name: CBuf<48>,
    fifo: OwnedFd,
}

impl Listener {
    /// Listens from now on. Subscribe first and read the status then, or an event between the two is lost.
    pub fn subscribe(dir: impl AsFd, path: &CStr) -> Result<Self> {
        const TRIES: usize = 8;
        let dir = fs::open_dir(dir, path)?;
        for _ in 0..TRIES {
            let hidden = random_name()?;
            match fs::mkfifo(&dir, &hidden, 0o622) {
                Err(Errno::EXIST) => continue,
                other => other?,
            }
            let made = Self::finish(&dir, &hidden);
            if made.is_err() {
                let _ = fs::unlink(&dir, &hidden);
            }
            let (name, fifo) = made?;
            return Ok(Self { dir, name, fifo });
        }
        Err(Errno::EXIST)
    }

    fn finish(dir: &OwnedFd, hidden: &CBuf<48>) -> Result<(CBuf<48>, OwnedFd)> {
        // Again, since the umask has taken bits away.
        fs::chmod(dir, hidden, 0o622)?;
        let fifo = fs::open(dir, hidden, OFlags::RDWR | OFlags::NONBLOCK, 0)?;
        let name = CBuf::from_pieces(&[hidden.as_bytes().get(1..).unwrap_or_default()])
            .map_err(|_| Errno::NAMETOOLONG)?;
        fs::rename(dir, hidden, dir, &name)?;
        Ok((name, fifo))
    }

    /// The events that have come; 0 when there are none at the moment. One byte an event.
    pub fn read(&self, buf: &mut [u8]) -> Result<usize> {
        match fs::read(&self.fifo, buf) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            other => other,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::unlink(&self.dir, &self.name);
    }
}

/// A listener's name, with a dot before it.
fn random_name() -> Result<CBuf<48>> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = [0u8; 6];
    if crate::process::random(&mut random).is_err() {
        // Early in a boot: the clock and the process id make it unlikely enough, and a clash is tried again.
        let seed = crate::time::monotonic_nanos() ^ u64::from(crate::process::pid()) << 20;
        random.copy_from_slice(seed.to_le_bytes().get(..6).unwrap_or_default());
    }
    let letters = random.map(|byte| LETTERS[usize::from(byte & 63)]);
    CBuf::from_pieces(&[b".ftrig1:", &Tai64n::now().label(), b":", &letters]).map_err(|_| Errno::NAMETOOLONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listener_gets_all_the_bytes_and_one_that_is_gone_is_taken_away() {
        let base = CBuf::<128>::from_pieces(&[b"/tmp/skeg-fifodir-", &Tai64n::now().label()]).unwrap();
        assert_eq!(make(crate::CWD, &base), Ok(true));
        assert_eq!(make(crate::CWD, &base), Ok(false));
        let a = Listener::subscribe(crate::CWD, &base).unwrap();
        let b = Listener::subscribe(crate::CWD, &base).unwrap();
        notify(crate::CWD, &base, b"dD").unwrap();
        let mut buf = [0; 8];
        assert_eq!((a.read(&mut buf), &buf[..2]), (Ok(2), b"dD".as_slice()));
        assert_eq!((b.read(&mut buf), &buf[..2]), (Ok(2), b"dD".as_slice()));
        assert_eq!(a.read(&mut buf), Ok(0));
        let gone = CBuf::<256>::from_pieces(&[base.as_bytes(), b"/ftrig1:@400000000000000000000000:aaaaaa"])
            .unwrap();
        fs::mkfifo(crate::CWD, &gone, 0o622).unwrap();
        notify(crate::CWD, &base, b"d").unwrap();
        assert_eq!(fs::lstat(crate::CWD, &gone).map(|_| ()), Err(Errno::NOENT));
        drop((a, b));
        fs::unlink(crate::CWD, &base).unwrap_err();
        std::fs::remove_dir(base.to_str().unwrap()).unwrap();
    }
}
