// SPDX-License-Identifier: ISC
//! Boot tests: the ways to stop a machine, and processes that are killed on it.

use super::{LIMIT, Router, at_shell, ends_well, has_said, scratch, small};
use crate::arch::Arch;
use crate::command::Outcome;
use crate::qemu::{self, Drive, Guest, Images, Page, Run, Way};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

/// The three keys, pressed on the keyboard of the emulated pc.
pub fn ctrl_alt_del(arch: &Arch, images: &Images) -> Outcome<String> {
    let folder = tempfile::tempdir().map_err(|e| format!("a directory for a socket: {e}"))?;
    let socket = folder.path().join("monitor");
    let mut guest = small(arch, images, &Run { monitor: Some(socket.clone()), ..Run::default() })?;
    press(&socket, "ctrl-alt-delete")?;
    ends_well(&mut guest, &["stopping all services (reboot)", "image own is undone", "skeg: restart"])
}

/// Presses keys by QEMU's monitor.
fn press(socket: &Path, keys: &str) -> Outcome {
    let failed = |e: std::io::Error| format!("QEMU's monitor: {e}");
    let mut monitor = UnixStream::connect(socket).map_err(failed)?;
    monitor.set_read_timeout(Some(LIMIT)).map_err(failed)?;
    monitor.write_all(format!("sendkey {keys}\n").as_bytes()).map_err(failed)?;
    // Its echo and a new prompt: it has read the command.
    let (mut said, mut buf) = (Vec::new(), [0; 256]);
    while said.windows(6).filter(|w| w == b"(qemu)").count() < 2 {
        match monitor.read(&mut buf).map_err(failed)? {
            0 => return Err("QEMU's monitor ended".into()),
            n => said.extend_from_slice(buf.get(..n).unwrap_or_default()),
        }
    }
    Ok(())
}

/// What a UPS daemon sends.
pub fn power_signal(arch: &Arch, images: &Images) -> Outcome<String> {
    let mut guest = small(arch, images, &Run::default())?;
    guest.type_line("kill -PWR 1")?;
    ends_well(&mut guest, &["stopping all services (poweroff)", "image own is undone", "skeg: power off"])
}

/// A machine that was halted stays, until QEMU is killed.
pub fn halt(arch: &Arch, images: &Images) -> Outcome<String> {
    let mut guest = small(arch, images, &Run::default())?;
    guest.type_line("skeg halt")?;
    guest.wait_for("System halted", LIMIT, |_| ())?;
    has_said(&guest, &["stopping all services (halt)", "image own is undone", "skeg: halted"])?;
    guest.cut();
    Ok(String::new())
}

/// No inode is left in /run for listeners and notes, nor can the journal that lies there be finished; and there are two requests,
/// of which the second is none.
pub fn full(arch: &Arch, images: &Images) -> Outcome<String> {
    let mut guest = small(arch, images, &Run::default())?;
    guest.type_line("echo no journal > /run/s6-rc:sv/journal")?;
    guest.type_line("(n=0; while : > /run/f$n; do n=$((n+1)); done); poweroff; poweroff")?;
    let done = ends_well(
        &mut guest,
        &["No space left", "stopping all services (poweroff)", "image own is undone", "skeg: power off"],
    )?;
    match ["can't stop", "not every service"].into_iter().find(|text| guest.has_said(text)) {
        Some(text) => Err(guest.complaint(&format!("'{text}' was said"))),
        None => Ok(done),
    }
}

/// `default` hangs; the machine can be stopped nevertheless, and what would come later does not begin.
pub fn interrupted(arch: &Arch, images: &Images) -> Outcome<String> {
    let image = qemu::define(&scratch(arch)?, "slow", Way::Hangs)?;
    let mut guest = hanging(arch, images, &image)?;
    guest.type_line("poweroff")?;
    let done = ends_well(
        &mut guest,
        &["stopping all services (poweroff)", "image slow is undone", "skeg: power off"],
    )?;
    if guest.has_said("what comes later has begun") {
        return Err(guest.complaint("the start went on"));
    }
    Ok(done)
}

/// A command holds the lock and waits for ever; the machine can be stopped nevertheless, in order.
pub fn held(arch: &Arch, images: &Images) -> Outcome<String> {
    let mut guest = small(arch, images, &Run::default())?;
    guest.type_line("skeg s6-rc -u change endless &")?;
    guest.must("until pidof sleep; do :; done", LIMIT)?;
    guest.type_line("poweroff")?;
    let done = ends_well(
        &mut guest,
        &["stopping all services (poweroff)", "image own is undone", "skeg: power off"],
    )?;
    match ["not every service", "too long"].into_iter().find(|text| guest.has_said(text)) {
        Some(text) => Err(guest.complaint(&format!("'{text}' was said"))),
        None => Ok(done),
    }
}

/// A machine whose `default` hangs, at its shell.
fn hanging(arch: &Arch, images: &Images, image: &Path) -> Outcome<Guest> {
    let data = scratch(arch)?.join("hanging.data");
    let bytes = std::fs::read(image).map_err(|e| format!("{}: {e}", image.display()))?;
    qemu::ext4(&data, &[("current", &bytes)])?;
    let how = Run {
        append: "skeg.data=/dev/vdb,ext4".into(),
        drives: vec![Drive::writable(data)],
        ..Run::default()
    };
    let mut guest = qemu::start(arch, images, &how)?;
    guest.wait_for("image slow is starting", LIMIT, |_| ())?;
    at_shell(&mut guest)?;
    Ok(guest)
}

/// The supervisor, the oneshot runner, every daemon: each comes back, and nothing else changes.
pub fn killed(arch: &Arch, images: &Images) -> Outcome<String> {
    let router = Router::boot(arch, images, "", |_| ())?;
    let before = router.page()?;
    let old = supervisor(&router)?;
    router.command(&format!("kill -KILL {old}"))?;
    let end = Instant::now() + LIMIT;
    while !supervisor(&router).is_ok_and(|new| new != old) {
        if Instant::now() > end {
            return Err(router.guest.complaint("the supervisor did not come back"));
        }
    }
    same(&before, &router.page()?, "the supervisor")?;
    // The runner: a oneshot goes down and up again with the next one.
    router.command("kill -KILL $(skeg s6-svstat -o pid /run/service/s6rc-oneshot-runner)")?;
    let said = router.command("s6-rc -v0 -d change resolv && s6-rc -v0 -u change resolv && echo it-ran")?;
    if !said.contains("it-ran") {
        return Err(router.guest.complaint(&format!("no oneshot ran after the runner was killed: {said}")));
    }
    let after = router.page()?;
    same(&before, &after, "s6rc-oneshot-runner")?;
    let before = after;
    // All daemons at once; last the one that carries this command, with which its shell goes.
    let mut daemons: Vec<_> = before.services.iter().filter(|s| s.pid != "-").collect();
    daemons.sort_by_key(|s| s.name == "telnetd");
    let pids: Vec<_> = daemons.iter().map(|s| s.pid.as_str()).collect();
    let _ = router.command(&format!("kill -KILL {}", pids.join(" ")));
    let end = Instant::now() + LIMIT;
    loop {
        let after = router.page()?;
        let back = daemons.iter().all(|old| {
            after.services.iter().any(|new| new.name == old.name && new.pid != "-" && new.pid != old.pid)
        });
        if back {
            break;
        }
        if Instant::now() > end {
            return Err(router.guest.complaint(&format!("not every daemon came back: {:?}", after.services)));
        }
    }
    router.power_off(|_| ())?;
    Ok(format!("({} daemons)", daemons.len()))
}

/// The supervisor's process id: it is a fork of process 1 with a name of its own.
fn supervisor(router: &Router) -> Outcome<String> {
    let said = router.command("echo pid-$(grep -lx supervise /proc/[0-9]*/comm | cut -d/ -f3)-is")?;
    said.split("pid-")
        .filter_map(|rest| rest.split_once("-is"))
        .map(|(pid, _)| pid.to_owned())
        .find(|pid| pid.parse::<u32>().is_ok())
        .ok_or_else(|| router.guest.complaint(&format!("no supervisor is to be seen: {said}")))
}

/// Every process but the victim is what it was.
fn same(before: &Page, after: &Page, victim: &str) -> Outcome {
    for old in before.services.iter().filter(|old| old.name != victim) {
        let new = after.services.iter().find(|new| new.name == old.name);
        if new.is_none_or(|new| new.pid != old.pid || new.state != old.state) {
            return Err(format!("when {victim} was killed, {old:?} became {new:?}"));
        }
    }
    Ok(())
}
