// SPDX-License-Identifier: ISC
//! Loops that make only the system calls nobody can do without.

use super::World;
use super::shape::Shape;
use crate::command::Outcome;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, fsync, mkdirat, mknodat, openat, renameat, symlinkat,
};
use std::io::BufRead;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Result<T = ()> = rustix::io::Result<T>;

fn directory(at: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Reads a source tree and writes a file as large as the image: what any compiler has to do.
pub fn compile(world: &World, shape: Shape) -> Outcome<Duration> {
    let source = shape.source(world)?;
    let image = shape.database(world, &world.ours)?;
    let size = std::fs::metadata(image).map_err(|e| e.to_string())?.len();
    let bytes = vec![0u8; usize::try_from(size).unwrap_or(0)];
    let start = Instant::now();
    let done = directory(CWD, &source)
        .and_then(|top| each_entry(top.as_fd(), &mut |name, _| read_service(top.as_fd(), name)));
    done.and_then(|()| write_aside(world.scratch.path(), &bytes)).map_err(|e| format!("floor: {e}"))?;
    Ok(start.elapsed())
}

fn each_entry(folder: BorrowedFd<'_>, with: &mut dyn FnMut(&std::ffi::CStr, FileType) -> Result) -> Result {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 8192];
    let mut entries = RawDir::new(folder, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !entry.file_name().to_bytes().starts_with(b".") {
            with(entry.file_name(), entry.file_type())?;
        }
    }
    Ok(())
}

/// One service: its directory, each file, each directory in it.
fn read_service(top: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result {
    let service = directory(top, name)?;
    each_entry(service.as_fd(), &mut |name, kind| {
        if kind == FileType::Directory {
            let inner = directory(&service, name)?;
            return each_entry(inner.as_fd(), &mut |_, _| Ok(()));
        }
        let file = openat(&service, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut buffer = [0u8; 4096];
        rustix::io::read(&file, &mut buffer).map(|_| ())
    })
}

fn write_aside(folder: &Path, bytes: &[u8]) -> Result {
    let folder = directory(CWD, folder)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = openat(&folder, "floor.new", flags, Mode::from_raw_mode(0o644))?;
    rustix::io::write(&file, bytes)?;
    fsync(&file)?;
    renameat(&folder, "floor.new", &folder, "floor")?;
    fsync(&folder)
}

/// Starts a program that does nothing and waits for its end, this often; the time of one.
pub fn process(world: &World, times: u32) -> Outcome<Duration> {
    let path = world.scratch.path().join("ends");
    let start = Instant::now();
    for _ in 0..times {
        super::suite::bare(&mut Command::new(&path))?;
    }
    Ok(start.elapsed() / times)
}

/// Starts the scripts of the oneshots, so many at once, and the longruns, and waits for the scripts.
pub fn starts(world: &World, shape: Shape, at_once: usize) -> Outcome<Duration> {
    let (ends, waits) = (world.scratch.path().join("ends"), world.scratch.path().join("waits"));
    let mut services = Started(Vec::new());
    let mut running: std::collections::VecDeque<Child> = std::collections::VecDeque::new();
    let start = Instant::now();
    for _ in 0..shape.longruns() {
        services.0.push(spawn(&waits)?);
    }
    for _ in 0..shape.oneshots() {
        if running.len() >= at_once
            && let Some(mut first) = running.pop_front()
        {
            first.wait().map_err(|e| e.to_string())?;
        }
        running.push_back(spawn(&ends)?);
    }
    for mut child in running {
        child.wait().map_err(|e| e.to_string())?;
    }
    Ok(start.elapsed())
}

/// Children that are killed when the measurement is over.
struct Started(Vec<Child>);

impl Drop for Started {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

fn spawn(path: &Path) -> Outcome<Child> {
    let mut command = Command::new(path);
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit());
    command.spawn().map_err(|e| format!("{}: {e}", path.display()))
}

/// Services without a supervisor; they end with this value.
pub struct Services {
    shell: Child,
    pids: Vec<u32>,
}

/// A member of the group starts them, so that the kernel counts all of what they take to the group.
const START_ALL: &str =
    "echo $$ > \"$0\"; n=0; while [ $n -lt $2 ]; do \"$1\" & echo $!; n=$((n + 1)); done; echo all; wait";

impl Services {
    /// Starts so many as members of a group.
    pub fn start(world: &World, group: &super::memory::Group, count: usize) -> Outcome<Self> {
        let waits = world.scratch.path().join("waits");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", START_ALL]).arg(group.members()).arg(&waits).arg(count.to_string());
        let mut shell = command.stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        let lines = shell.stdout.take().map(|out| std::io::BufReader::new(out).lines());
        let pids = lines.into_iter().flatten().map_while(|line| line.ok()?.parse().ok()).collect();
        let services = Self { shell, pids };
        // The last one is what it shall be when its program has changed.
        for pid in &services.pids {
            let exe = format!("/proc/{pid}/exe");
            while std::fs::read_link(&exe).is_ok_and(|path| path != waits) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        Ok(services)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.pids.iter().for_each(|pid| super::tree::kill(*pid));
        let _ = self.shell.wait();
    }
}

/// Makes what a live directory of so many longruns consists of, and puts them under supervision.
pub fn live(world: &World, longruns: usize) -> Outcome<Duration> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let folder = tempfile::Builder::new()
        .prefix("floor-")
        .tempdir_in(world.scratch.path())
        .map_err(|e| format!("floor: {e}"))?;
    let names: Vec<String> = (0..longruns).map(super::shape::service).collect();
    let run = super::suite::waits();
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|e| format!("floor: {e}"))?;
    let mut held = Vec::with_capacity(2 * longruns);
    let start = Instant::now();
    let made = (|| {
        let top = directory(CWD, folder.path())?;
        let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC)?;
        for name in ["scan", "sv", "servicedirs"] {
            mkdirat(&top, name, Mode::from_raw_mode(0o755))?;
        }
        for name in &names {
            service_directory(&top, name, &run)?;
        }
        for name in &names {
            held.push(supervision(&top, &epoll, name)?);
        }
        for name in &names {
            // Init is over when every supervisor listens.
            let control = format!("sv/{name}/supervise/control");
            drop(openat(&top, control, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
        }
        Ok(())
    })();
    made.map_err(|e: rustix::io::Errno| format!("floor: {e}"))?;
    Ok(start.elapsed())
}

/// What the command makes: a service directory with a version of the definition, and the links to it.
fn service_directory(top: &OwnedFd, name: &str, run: &[u8]) -> Result {
    let mode = Mode::from_raw_mode(0o755);
    let path = format!("sv/{name}");
    mkdirat(top, &path, mode)?;
    let service = directory(top, &path)?;
    // The definition, below a link that an update can move, and the name by which a supervisor looks for it.
    mkdirat(&service, "v1", mode)?;
    let file = openat(&service, "v1/run", OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC, mode)?;
    rustix::io::write(&file, run)?;
    drop(file);
    symlinkat("v1", &service, "current")?;
    symlinkat("current/run", &service, "run")?;
    // Without this a supervisor starts the service at once.
    mknodat(&service, "down", FileType::RegularFile, Mode::from_raw_mode(0o644), 0)?;
    // Listeners of the group: 03730, of which mkdir leaves the set-group bit out.
    mkdirat(&service, "event", Mode::from_raw_mode(0o733))?;
    rustix::fs::chmodat(&service, "event", Mode::from_raw_mode(0o3730), AtFlags::empty())?;
    symlinkat(format!("../sv/{name}"), top, format!("servicedirs/{name}"))?;
    symlinkat(format!("../sv/{name}"), top, format!("scan/{name}"))
}

/// What its supervisor makes, asks and holds: the FIFO and the lock.
fn supervision(top: &OwnedFd, epoll: &OwnedFd, name: &str) -> Result<(OwnedFd, OwnedFd)> {
    use rustix::event::epoll::{EventData, EventFlags, add};
    // Device and inode are a service's identity; `log` would be its logger.
    let entry = format!("scan/{name}");
    rustix::fs::statat(top, &entry, AtFlags::empty())?;
    let _ = rustix::fs::statat(top, format!("{entry}/log"), AtFlags::empty());
    let service = directory(top, &entry)?;
    mkdirat(&service, "supervise", Mode::from_raw_mode(0o700))?;
    // Others ask by this lock whether the service is supervised; it lasts as long as the file is open.
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let lock = openat(&service, "supervise/lock", create, Mode::from_raw_mode(0o644))?;
    rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    mknodat(&service, "supervise/control", FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let control = openat(&service, "supervise/control", flags, Mode::empty())?;
    // One process hears all of them.
    add(epoll, &control, EventData::new_u64(0), EventFlags::IN)?;
    mknodat(&service, "supervise/death_tally", FileType::RegularFile, Mode::from_raw_mode(0o644), 0)?;
    rustix::fs::accessat(&service, "down", rustix::fs::Access::EXISTS, AtFlags::empty())?;
    // Readers of the status never see half of it.
    let status = openat(&service, "supervise/status.new", create, Mode::from_raw_mode(0o644))?;
    rustix::io::write(&status, &[0; 35])?;
    drop(status);
    renameat(&service, "supervise/status.new", &service, "supervise/status")?;
    // Whoever listens is told that the supervisor has come.
    each_entry(directory(&service, "event")?.as_fd(), &mut |_, _| Ok(()))?;
    Ok((control, lock))
}
