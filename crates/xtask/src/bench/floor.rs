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

/// Makes what a live directory of so many longruns consists of.
pub fn live(world: &World, longruns: usize) -> Outcome<Duration> {
    let folder = tempfile::Builder::new()
        .prefix("floor-")
        .tempdir_in(world.scratch.path())
        .map_err(|e| format!("floor: {e}"))?;
    let names: Vec<String> = (0..longruns).map(super::shape::service).collect();
    let run = super::suite::waits();
    let start = Instant::now();
    let made = (|| {
        let top = directory(CWD, folder.path())?;
        for name in ["scan", "sv", "servicedirs"] {
            mkdirat(&top, name, Mode::from_raw_mode(0o755))?;
        }
        for name in &names {
            service_directory(&top, name, &run)?;
        }
        Ok(())
    })();
    made.map_err(|e: rustix::io::Errno| format!("floor: {e}"))?;
    Ok(start.elapsed())
}

/// A versioned service directory, what its supervisor keeps in it, and the links to it.
fn service_directory(top: &OwnedFd, name: &str, run: &[u8]) -> Result {
    let mode = Mode::from_raw_mode(0o755);
    let path = format!("sv/{name}");
    mkdirat(top, &path, mode)?;
    let service = directory(top, &path)?;
    mkdirat(&service, "v1", mode)?;
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = openat(&service, "v1/run", create, mode)?;
    rustix::io::write(&file, run)?;
    drop(file);
    symlinkat("v1", &service, "current")?;
    symlinkat("current/run", &service, "run")?;
    mkdirat(&service, "event", mode)?;
    mkdirat(&service, "supervise", mode)?;
    drop(openat(&service, "supervise/lock", create, mode)?);
    mknodat(&service, "supervise/control", FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    drop(openat(&service, "supervise/control", OFlags::RDWR | OFlags::NONBLOCK, Mode::empty())?);
    let status = openat(&service, "supervise/status.new", create, mode)?;
    rustix::io::write(&status, &[0; 35])?;
    renameat(&service, "supervise/status.new", &service, "supervise/status")?;
    symlinkat(format!("../sv/{name}"), top, format!("servicedirs/{name}"))?;
    symlinkat(format!("../sv/{name}"), top, format!("scan/{name}"))?;
    // The scanner's look at the new entry: device and inode are a service's identity.
    rustix::fs::statat(top, format!("scan/{name}"), AtFlags::empty()).map(|_| ())
}
