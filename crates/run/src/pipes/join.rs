// SPDX-License-Identifier: ISC
//! A member of a pipeline gets its ends: standard input, standard output, or both. Used by `s6rc-pipe-run`.

use super::{FIFO, HELD, HOLDER, LAST, SOCKET};
use crate::oneshot::client::connect_in;
use core::ffi::CStr;
use sys::event::{PollFd, PollFlags, poll};
use sys::fs::{self, FileType, OFlags};
use sys::net::{self, Fds, SocketType};
use sys::time::Millis;
use sys::{AsFd, BorrowedFd, CWD, Errno, OwnedFd, PATH_ROOM, Path};

/// How long a member waits for the holder's answer. It starts without it then: as long as a member lives, its pipe does.
const ANSWER: Millis = Millis(5_000);

/// Why a member can't have its pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// The working directory is not a service directory of a live directory.
    Place(Errno),
    /// Making or opening the FIFO.
    Fifo(Errno),
    /// Putting it in the place of a standard stream.
    Stream(Errno),
}

/// Connects this process: `reads` its standard input to its own FIFO, `writes` its standard output to that of this
/// service. Gives both back to exec: nothing else is left open.
pub fn join(reads: bool, writes: Option<&[u8]>) -> Result<(), JoinError> {
    let here = Here::find()?;
    if reads {
        let pipe = Pipe::open(CWD, FIFO, &here)?;
        let end = pipe.end(CWD, FIFO, OFlags::RDONLY)?;
        sys::stdio::replace(0, end).map_err(JoinError::Stream)?;
    }
    if let Some(consumer) = writes {
        let path = here.fifo_of(consumer)?;
        let pipe = Pipe::open(CWD, &path, &here)?;
        let end = pipe.end(CWD, &path, OFlags::WRONLY)?;
        sys::stdio::replace(1, end).map_err(JoinError::Stream)?;
    }
    Ok(())
}

/// Where the member is: the path of its live directory, with a slash at the end.
struct Here {
    live: Path,
}

impl Here {
    /// From the working directory, which is `LIVE:sv/ID`.
    fn find() -> Result<Self, JoinError> {
        let mut buf = [0; PATH_ROOM];
        let here = fs::getcwd(&mut buf).map_err(JoinError::Place)?.to_bytes();
        let slash = here.iter().rposition(|b| *b == b'/').unwrap_or(0);
        let sv = here.get(..slash).unwrap_or_default();
        let live = sv.strip_suffix(b":sv").ok_or(JoinError::Place(Errno::NOTDIR))?;
        let live = Path::from_pieces(&[live, b"/"]).map_err(|_| JoinError::Place(Errno::NAMETOOLONG))?;
        Ok(Self { live })
    }

    fn directory_of(&self, service: &[u8]) -> Result<Path, JoinError> {
        Path::from_pieces(&[self.live.as_bytes(), b"servicedirs/", service])
            .map_err(|_| JoinError::Place(Errno::NAMETOOLONG))
    }

    /// The FIFO of a consumer, relative to the working directory: `../ID/stdin`. It is noted as [`LAST`]: an update
    /// may have renamed the consumer, and this member, not yet restarted, still knows it by its old name.
    fn fifo_of(&self, consumer: &[u8]) -> Result<Path, JoinError> {
        let mut buf = [0; PATH_ROOM];
        let name = self.directory_of(consumer)?;
        match fs::readlink(CWD, &name, &mut buf) {
            Ok(target) => {
                let id = target.rsplit(|b| *b == b'/').next().unwrap_or_default();
                let path = Path::from_pieces(&[b"../", id, b"/", FIFO.to_bytes()])
                    .map_err(|_| JoinError::Place(Errno::NAMETOOLONG))?;
                note_last(&path);
                Ok(path)
            }
            Err(Errno::NOENT) => fs::link_target(CWD, LAST).map_err(JoinError::Fifo),
            Err(e) => Err(JoinError::Fifo(e)),
        }
    }
}

fn note_last(path: &CStr) {
    let mut buf = [0; 512];
    if fs::readlink(CWD, LAST, &mut buf).is_ok_and(|there| there == path.to_bytes()) {
        return;
    }
    let aside = c"stdout.new";
    let _ = fs::unlink(CWD, aside);
    if fs::symlink(path, CWD, aside).is_ok() {
        let _ = fs::rename(CWD, aside, CWD, LAST);
    }
}

/// Both ends of a pipe, open until its member has its own end and the holder has it, too.
struct Pipe(OwnedFd);

impl Pipe {
    fn open(base: BorrowedFd<'_>, path: &CStr, here: &Here) -> Result<Self, JoinError> {
        match fs::mkfifo(base, path, 0o600) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(JoinError::Fifo(e)),
        }
        let both = fs::open(base, path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW, 0)
            .map_err(JoinError::Fifo)?;
        let kind = fs::fstat(&both).map_err(JoinError::Fifo)?.st_mode;
        if FileType::from_raw_mode(kind) != FileType::Fifo {
            return Err(JoinError::Fifo(Errno::INVAL));
        }
        // Without the holder the member still works: the holder finds the pipe by its path when it comes back.
        let _ = hand_over(here, &both, base, path);
        Ok(Self(both))
    }

    /// One end. It does not block, since both ends are open.
    fn end(&self, base: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd, JoinError> {
        let _ = &self.0;
        fs::open(base, path, flags | OFlags::NOFOLLOW, 0).map_err(JoinError::Fifo)
    }
}

/// Gives the holder a pipe and waits until it has it.
fn hand_over(here: &Here, pipe: &OwnedFd, base: BorrowedFd<'_>, path: &CStr) -> sys::Result<()> {
    let holder = here.directory_of(HOLDER).map_err(|_| Errno::NAMETOOLONG)?;
    let socket = connect_in(CWD, &holder, SOCKET, SocketType::SEQPACKET)?;
    let owner = net::peer(&socket)?.uid.as_raw();
    if owner != sys::process::ids().0 {
        // The holder is another user's process, and must be able to open the FIFO again by its path.
        fs::chown(base, path, Some(owner), None)?;
    }
    net::send(&socket, HELD, &[pipe.as_fd()])?;
    let mut fds = [PollFd::new(&socket, PollFlags::IN)];
    if poll(&mut fds, Some(ANSWER))? == 0 {
        return Err(Errno::TIMEDOUT);
    }
    let mut answer = [0; 4];
    net::receive(&socket, &mut answer, &mut Fds::new()).map(|_| ())
}
