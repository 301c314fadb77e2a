// SPDX-License-Identifier: ISC
//! The pipe holder: has every pipe open, so that bytes in it outlive each member; and the keeper, its shadow.
//!
//! The holder may be killed, too, and its supervisor waits up to a second before it starts it again. For that time there is
//! the keeper: a child of the holder that has the same pipes open and does nothing. When its holder has died it waits until
//! another holder says, by a mark of its own, that it has opened every pipe again by its path, and then it ends. The mark
//! is a new file renamed over the old one: a lock would not do, since a dying holder's socket can close before its lock
//! goes, and the keeper would take that for another holder's.
//! It ends, too, when the supervisor does not want the holder up any more, and at most [`GRACE`] after its holder's death.

use super::{FIFO, HELD, MAX_PIPES, SOCKET};
use heapless::Vec;
use sys::event::{PollFd, PollFlags, poll};
use sys::fs::{self, FileType, OFlags};
use sys::net::{self, Fds, SocketType};
use sys::process::{self, Resource};
use sys::signal::{self, Set, number};
use sys::time::{Millis, monotonic};
use sys::{AsFd, CBuf, CWD, Errno, OwnedFd, Result, spawn};

/// How long a keeper waits for another holder: a supervisor starts it again after a second, a slow machine later.
const GRACE: Millis = Millis(60_000);
/// How often an orphaned keeper looks whether there is another holder.
const LOOK: Millis = Millis(100);
/// What the holder tells the keeper with a descriptor: keep it.
const KEEP: &[u8] = b"k";
/// What it tells it at its own orderly end.
const END: &[u8] = b"e";
/// The mark of the holder that has every pipe open.
const MARK: &core::ffi::CStr = c"held";
/// The mark of one that has not yet.
const NEW_MARK: &core::ffi::CStr = c"held.new";
/// Requests that wait to be taken.
const BACKLOG: i32 = 64;

/// What the holder could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldError {
    /// Preparing: signals, limits, the lock file.
    Prepare(Errno),
    /// Making the socket in the working directory.
    Listen(Errno),
    /// Making the keeper.
    Fork(Errno),
    /// Waiting.
    Wait(Errno),
    /// More pipes than [`MAX_PIPES`].
    TooMany,
}

/// A pipe that is held, known by its device and inode.
struct Held {
    fd: OwnedFd,
    device: u64,
    inode: u64,
}

struct Pipes(Vec<Held, MAX_PIPES>);

impl Pipes {
    /// Takes a pipe; whether it is new. What is no FIFO is not taken.
    fn take(&mut self, fd: OwnedFd) -> Result<bool> {
        let stat = fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
            return Err(Errno::INVAL);
        }
        let (device, inode) = (stat.st_dev as u64, stat.st_ino as u64);
        if self.0.iter().any(|held| held.device == device && held.inode == inode) {
            return Ok(false);
        }
        self.0.push(Held { fd, device, inode }).map_err(|_| Errno::MFILE).map(|()| true)
    }

    /// Lets go of those whose service directory has been taken away.
    fn tidy(&mut self) {
        self.0.retain(|held| fs::fstat(&held.fd).is_ok_and(|stat| stat.st_nlink != 0));
    }

    /// Opens the pipes of every service directory beside this one.
    fn find(&mut self) -> Result<()> {
        let sv = fs::open_dir(CWD, c"..")?;
        fs::for_each_entry(&sv, |name, _, _| {
            let Ok(path) = CBuf::<272>::from_pieces(&[name.to_bytes(), b"/", FIFO.to_bytes()]) else {
                return Ok(());
            };
            let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW;
            match fs::open(&sv, &path, flags, 0) {
                Ok(fd) => match self.take(fd) {
                    Ok(_) | Err(Errno::INVAL) => Ok(()),
                    Err(e) => Err(e),
                },
                Err(e @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(e),
                Err(_) => Ok(()),
            }
        })
    }
}

/// What a holder has beside its pipes; the keeper must have none of it.
struct Holder {
    listener: OwnedFd,
    signals: OwnedFd,
    /// The file that is this holder's mark; open, so that no other file gets its inode.
    mark: OwnedFd,
    /// The socket to the keeper; none before it is there.
    keeper: Option<OwnedFd>,
}

/// Holds pipes until SIGTERM. `ready` is told when every pipe that was there is open.
pub fn hold(ready: Option<OwnedFd>) -> core::result::Result<(), HoldError> {
    raise_limit();
    let set = Set::of(&[number::TERM, number::INT, number::HUP, number::CHLD]);
    signal::set_mask(set).map_err(HoldError::Prepare)?;
    let signals = signal::signalfd(set).map_err(HoldError::Prepare)?;
    let mut pipes = Pipes(Vec::new());
    pipes.find().map_err(|e| if e == Errno::MFILE { HoldError::TooMany } else { HoldError::Prepare(e) })?;
    let mark = make_mark().map_err(HoldError::Prepare)?;
    let listener = listen().map_err(HoldError::Listen)?;
    let mut holder = start_keeper(Holder { listener, signals, mark, keeper: None }, &mut pipes)?;
    // From here on the keeper of an earlier holder may go.
    fs::rename(CWD, NEW_MARK, CWD, MARK).map_err(HoldError::Prepare)?;
    if let Some(ready) = ready {
        let _ = fs::write(&ready, b"\n");
    }
    loop {
        match holder.serve(&mut pipes)? {
            Next::End => return Ok(()),
            Next::NewKeeper => holder = start_keeper(holder, &mut pipes)?,
        }
    }
}

fn make_mark() -> Result<OwnedFd> {
    match fs::unlink(CWD, NEW_MARK) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(e) => return Err(e),
    }
    fs::open(CWD, NEW_MARK, OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL, 0o600)
}

fn listen() -> Result<OwnedFd> {
    match fs::unlink(CWD, SOCKET) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(e) => return Err(e),
    }
    let mask = process::umask(0o077);
    let listener = net::listen(SOCKET, SocketType::SEQPACKET, BACKLOG);
    process::umask(mask);
    listener
}

fn raise_limit() {
    let mut limit = process::limit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = process::set_limit(Resource::Nofile, limit);
}

/// Forks the keeper: it has all pipes by the fork, and those that come later through the socket.
fn start_keeper(mut holder: Holder, pipes: &mut Pipes) -> core::result::Result<Holder, HoldError> {
    holder.keeper = None;
    let (mine, its) = net::socketpair(SocketType::SEQPACKET).map_err(HoldError::Fork)?;
    if spawn::fork().map_err(HoldError::Fork)?.is_none() {
        let Holder { listener, signals, mark, keeper } = holder;
        drop((listener, signals, keeper, mine));
        keep(pipes, &its, &mark);
    }
    fs::set_nonblocking(&mine, true).map_err(HoldError::Fork)?;
    holder.keeper = Some(mine);
    Ok(holder)
}

/// What comes after a while of serving.
enum Next {
    /// SIGTERM has come.
    End,
    /// The keeper has died.
    NewKeeper,
}

impl Holder {
    fn serve(&self, pipes: &mut Pipes) -> core::result::Result<Next, HoldError> {
        let Some(keeper) = &self.keeper else { return Ok(Next::NewKeeper) };
        loop {
            let mut fds = [
                PollFd::new(&self.listener, PollFlags::IN),
                PollFd::new(&self.signals, PollFlags::IN),
                PollFd::new(keeper, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(HoldError::Wait(e)),
            }
            let [asked, signalled, lost] = fds.map(|fd| !fd.revents().is_empty());
            if signalled && self.is_over() {
                let _ = net::send(keeper, END, &[]);
                return Ok(Next::End);
            }
            if asked {
                self.answer(keeper, pipes);
            }
            if lost {
                return Ok(Next::NewKeeper);
            }
        }
    }

    fn is_over(&self) -> bool {
        let mut over = false;
        while let Ok(Some(info)) = signal::next_signal(self.signals.as_fd()) {
            over |= matches!(info.signal, number::TERM | number::INT);
        }
        while let Ok(Some(_)) = process::reap(process::Who::Any) {}
        over
    }

    /// Takes the pipe of one member.
    fn answer(&self, keeper: &OwnedFd, pipes: &mut Pipes) {
        let Ok(member) = net::accept(&self.listener) else { return };
        let me = process::ids().0;
        if !net::peer(&member).is_ok_and(|peer| peer.uid.as_raw() == 0 || peer.uid.as_raw() == me) {
            return;
        }
        // A member sends at once; one that does not is not waited for.
        let mut fds = [PollFd::new(&member, PollFlags::IN)];
        if !poll(&mut fds, Some(PATIENCE)).is_ok_and(|n| n == 1) {
            return;
        }
        let (mut word, mut given) = ([0; 4], Fds::new());
        if !net::receive(&member, &mut word, &mut given).is_ok_and(|n| n == HELD.len()) {
            return;
        }
        pipes.tidy();
        for fd in given {
            let copy = fs::dup(&fd, 3);
            match (pipes.take(fd), copy) {
                (Ok(true), Ok(copy)) => {
                    let _ = net::send(keeper, KEEP, &[copy.as_fd()]);
                }
                (Ok(_), _) => {}
                (Err(_), _) => return,
            }
        }
        let _ = net::send(&member, HELD, &[]);
    }
}

/// How long a member may take between its connection and its message.
const PATIENCE: Millis = Millis(1_000);

/// The keeper's whole life.
fn keep(pipes: &mut Pipes, holder: &OwnedFd, mark: &OwnedFd) -> ! {
    // Out of reach of signals to the holder's group.
    let _ = process::setsid();
    let _ = process::set_name(c"pipe-keeper");
    loop {
        let (mut word, mut given) = ([0; 4], Fds::new());
        match net::receive(holder, &mut word, &mut given) {
            Ok(1) if word.first() == END.first() => process::exit(0),
            Ok(n) if n > 0 => {
                pipes.tidy();
                for fd in given {
                    let _ = pipes.take(fd);
                }
            }
            Err(Errno::INTR) => {}
            // The holder has died.
            _ => break,
        }
    }
    let end = monotonic().0.saturating_add(GRACE.0);
    while monotonic().0 < end && !is_held_again(mark) && is_wanted() {
        let _ = poll(&mut [], Some(LOOK));
    }
    process::exit(0)
}

/// Whether the holder's supervisor wants it up: one that is stopped while it is being started again can't say goodbye.
fn is_wanted() -> bool {
    match live::tree::Status::read(CWD) {
        Ok(status) => status.wanted_up,
        Err(e) => e != Errno::NOENT,
    }
}

/// Whether another holder than the one with this mark has every pipe open, or had: then it has a keeper, too.
fn is_held_again(mark: &OwnedFd) -> bool {
    match (fs::fstat(mark), fs::stat(CWD, MARK)) {
        (Ok(mine), Ok(there)) => (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino),
        _ => false,
    }
}
