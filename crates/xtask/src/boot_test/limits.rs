// SPDX-License-Identifier: ISC
//! Boot tests: what a service is limited to, as it sees it itself, where the kernel has the controllers.

use super::{LIMIT, ends_well, small};
use crate::arch::Arch;
use crate::command::Outcome;
use crate::qemu::{Guest, Images, Run};

/// The group has the settings of its definition; they act; and what has left the session of its service goes with a
/// death of the service, and with its stop.
pub fn cgroup(arch: &Arch, images: &Images) -> Outcome<String> {
    let mut guest = small(arch, images, &Run::default())?;
    guest.must("skeg s6-rc -u -t 60000 change limited", LIMIT)?;
    must_hold(&mut guest, "group", &["0::/skeg/limited"])?;
    let files = [
        "pids.max:12",
        "memory.max:25165824",
        "memory.high:max",
        "cpu.weight:50",
        "cpu.max:90000 100000",
        "cgroup.max.depth:2",
    ];
    must_hold(&mut guest, "files", &files)?;
    // Of the twelve processes two are shells.
    must_hold(&mut guest, "refused", &["can't fork: Resource temporarily unavailable"])?;
    guest.must("test $(wc -l < /run/limited/forks) -ge 2 -a $(wc -l < /run/limited/forks) -le 10", LIMIT)?;
    must_hold(&mut guest, "killed", &["137"])?;
    guest.must("test $(grep '^oom_kill ' /run/limited/events | cut -d' ' -f2) -ge 1", LIMIT)?;

    // A process that has a session of its own, and is still in the group.
    stray(&mut guest)?;
    guest.must("skeg s6-svc -k /run/service/limited", LIMIT)?;
    guest.must("until test $(wc -l < /run/limited/starts) = 2; do sleep 0.1; done", LIMIT)?;
    guest.must("test ! -e /proc/$old", LIMIT)?;
    guest.must("skeg s6-svwait -U -t 60000 /run/service/limited", LIMIT)?;
    stray(&mut guest)?;
    guest.must("skeg s6-rc -d -t 60000 change limited", LIMIT)?;
    guest.must("test ! -e /proc/$old -a ! -e /sys/fs/cgroup/skeg/limited", LIMIT)?;
    guest.type_line("poweroff")?;
    ends_well(&mut guest, &["skeg: power off"])
}

/// What the service has written into this file has each of these in a line.
fn must_hold(guest: &mut Guest, file: &str, texts: &[&str]) -> Outcome {
    let lines = guest.must(&format!("cat /run/limited/{file}"), LIMIT)?;
    for text in texts {
        if !lines.iter().any(|line| line.ends_with(text)) {
            return Err(guest.complaint(&format!("{file}: no '{text}'")));
        }
    }
    Ok(())
}

/// Notes the stray process in the shell's variable `old`, when it is what it should be, and forgets its file.
fn stray(guest: &mut Guest) -> Outcome {
    guest.must("old=$(cat /run/limited/stray) && rm /run/limited/stray", LIMIT)?;
    guest.must("grep -x 0::/skeg/limited /proc/$old/cgroup", LIMIT)?;
    guest.must("test \"$(cut -d' ' -f6 /proc/$old/stat)\" = $old", LIMIT).map(|_| ())
}
