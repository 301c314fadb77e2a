// SPDX-License-Identifier: ISC
//! The control group of a service: made, set up and joined at its start; emptied at its end, and before a new start.

use super::{Service, read_file};
use alloc::vec::Vec;
use source::process::{Cgroup, host};
use sys::event::{PollFd, PollFlags, poll};
use sys::time::{Millis, monotonic};
use sys::{CBuf, CWD, Errno, OwnedFd, fs};

/// How long killed processes may take to go: below the 5 s that a supervisor gives a finish by default.
const PATIENCE: Millis = Millis(4_000);

const SETTING: &str = "cgroup";

/// The root of the hierarchy.
fn root(service: Service<'_>) -> Result<OwnedFd, u8> {
    let table = read_file(c"/proc/self/mountinfo")
        .map_err(|e| service.failed(SETTING, "/proc/self/mountinfo", b"", e))?;
    let point = host::cgroup_mount(&table)
        .ok_or_else(|| service.refuse(SETTING, "no cgroup2 file system is mounted", b""))?;
    sys::Path::from_pieces(&[&point])
        .map_err(|_| Errno::NAMETOOLONG)
        .and_then(|path| fs::open_dir(CWD, &path))
        .map_err(|e| service.failed(SETTING, "%", &point, e))
}

/// Refuses files of a controller that the hierarchy has not. Where none is mounted yet, a service may bring it.
pub fn can_have(service: Service<'_>, wanted: &Cgroup<'_>) -> Result<(), u8> {
    let table = read_file(c"/proc/self/mountinfo").unwrap_or_default();
    if host::cgroup_mount(&table).is_none() {
        return Ok(());
    }
    let there = root(service).and_then(|root| {
        read(&root, c"cgroup.controllers").map_err(|e| service.failed(SETTING, "cgroup.controllers", b"", e))
    })?;
    for (file, _) in &wanted.files {
        let controller = controller(file);
        let mut all = there.split(u8::is_ascii_whitespace).chain([&b"cgroup"[..]]);
        if !all.any(|word| word == controller) {
            return Err(service.refuse(SETTING, "there is no controller % for cgroup2 here", controller));
        }
    }
    Ok(())
}

/// The controller that a file belongs to: what stands before its first dot.
fn controller(file: &[u8]) -> &[u8] {
    file.split(|b| *b == b'.').next().unwrap_or_default()
}

fn name(part: &[u8]) -> CBuf<256> {
    CBuf::from_pieces(&[part]).unwrap_or_default()
}

/// Makes the group with its parents, empties it of what an earlier run left, sets its files, and moves this process in.
pub fn join(service: Service<'_>, wanted: &Cgroup<'_>) -> Result<(), u8> {
    let mut group = root(service)?;
    for part in wanted.path.split(|b| *b == b'/') {
        for (file, _) in &wanted.files {
            let controller = controller(file);
            enable(&group, controller)
                .map_err(|e| service.failed(SETTING, "enable the controller %", controller, e))?;
        }
        group = enter(&group, part).map_err(|e| service.failed(SETTING, "make %", &wanted.path, e))?;
    }
    if fs::access(&group, c"cgroup.kill", 0).is_err() {
        return Err(service.refuse(SETTING, "this kernel can't empty a cgroup (it needs Linux 5.14)", b""));
    }
    empty(&group).map_err(|e| service.failed(SETTING, "empty before the start: %", &wanted.path, e))?;
    for (file, value) in &wanted.files {
        write(&group, file, value).map_err(|e| service.failed(SETTING, "write to %", file, e))?;
    }
    write(&group, b"cgroup.procs", b"0").map_err(|e| service.failed(SETTING, "join %", &wanted.path, e))
}

/// Kills what is left in the group, waits until it is empty, and takes it away.
pub fn leave(service: Service<'_>, wanted: &Cgroup<'_>) -> Result<(), u8> {
    let mut parent = root(service)?;
    let mut parts = wanted.path.split(|b| *b == b'/').peekable();
    while let Some(part) = parts.next() {
        let name = name(part);
        let group = match fs::open_dir(&parent, &name) {
            // It was never made.
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(|e| service.failed(SETTING, "%", &wanted.path, e))?,
        };
        if parts.peek().is_none() {
            empty(&group).map_err(|e| service.failed(SETTING, "empty %", &wanted.path, e))?;
            // It may hold groups that the service made; the next start uses it again then.
            let _ = fs::rmdir(&parent, &name);
            return Ok(());
        }
        parent = group;
    }
    Ok(())
}

/// Opens a group below this one, made if missing.
fn enter(above: &OwnedFd, part: &[u8]) -> sys::Result<OwnedFd> {
    let name = name(part);
    match fs::mkdir(above, &name, 0o755) {
        Ok(()) | Err(Errno::EXIST) => fs::open_dir(above, &name),
        Err(e) => Err(e),
    }
}

/// Lets the groups below have this controller's files. `cgroup.` files are always there.
fn enable(above: &OwnedFd, controller: &[u8]) -> sys::Result<()> {
    if controller == b"cgroup" {
        return Ok(());
    }
    let on = read(above, c"cgroup.subtree_control")?;
    if on.split(u8::is_ascii_whitespace).any(|word| word == controller) {
        return Ok(());
    }
    let mut line = Vec::from(b"+");
    line.extend_from_slice(controller);
    write(above, b"cgroup.subtree_control", &line)
}

fn read(group: &OwnedFd, file: &core::ffi::CStr) -> sys::Result<heapless::Vec<u8, 512>> {
    let file = fs::open_read(group, file)?;
    let mut bytes = [0; 512];
    let n = fs::read_full(&file, &mut bytes)?;
    Ok(heapless::Vec::from_slice(bytes.get(..n).unwrap_or_default()).unwrap_or_default())
}

/// One write, as the kernel wants a value.
fn write(group: &OwnedFd, file: &[u8], value: &[u8]) -> sys::Result<()> {
    let file = fs::open(group, &name(file), fs::OFlags::WRONLY, 0)?;
    fs::write_all(&file, value)
}

/// Kills every process of the group and of those below, and waits until they are gone.
fn empty(group: &OwnedFd) -> sys::Result<()> {
    let events = fs::open_read(group, c"cgroup.events")?;
    let deadline = monotonic().0 + PATIENCE.0;
    let mut killed = false;
    loop {
        let mut bytes = [0; 256];
        let n = fs::pread(&events, &mut bytes, 0)?;
        let lines = bytes.get(..n).unwrap_or_default();
        if !lines.split(|b| *b == b'\n').any(|line| line == b"populated 1") {
            return Ok(());
        }
        if !killed {
            write(group, b"cgroup.kill", b"1")?;
            killed = true;
        }
        let left = deadline.saturating_sub(monotonic().0);
        if left == 0 {
            return Err(Errno::TIMEDOUT);
        }
        match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(Millis(left))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}
