// SPDX-License-Identifier: ISC
//! Definitions of a few services that say which image they are from: for tests that boot often.

use crate::command::{self, Outcome, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the bundle `default` of a small image does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It comes up.
    Good,
    /// One of its services fails.
    Fails,
    /// One of its services never comes up.
    Hangs,
    /// One of its services runs `/data/hold`.
    Holds,
    /// It comes up; beside it are `limited`, a service with a cgroup, and `endless`, a script that does not end, for whoever starts
    /// them.
    Limits,
}

/// What a service with a cgroup says of itself, in `/run/limited`, before it is ready: its group and the files of that; how
/// far it comes beyond its limits; and a process that leaves its session and heeds no polite signal.
const LIMITED: &str = r#"#!/bin/sh
mkdir -p /run/limited
cd /run/limited
echo start >> starts
cat /proc/self/cgroup > group
group=/sys/fs/cgroup$(grep ^0:: group | cut -d: -f3)
grep . $group/pids.max $group/memory.max $group/memory.high $group/cpu.weight $group/cpu.max $group/cgroup.max.depth > files
(for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100000 & echo $!; done) > forks 2> refused
while read pid; do kill $pid; done < forks
until read n < $group/pids.current && test $n = 1; do sleep 0.1; done
(text=0123456789abcdef; while :; do text=$text$text; done) 2> /dev/null
echo $? > killed
cat $group/memory.events $group/pids.events > events
busybox setsid sh -c 'trap "" TERM HUP INT; echo $$ > stray.new; mv stray.new stray; while :; do sleep 100000; done' &
until test -e stray; do sleep 0.1; done
echo >&3
exec sleep 100000
"#;

/// Its limits.
const LIMITS: &str =
    "pids.max 12\nmemory.max 24M\nmemory.high max\ncpu.weight 50\ncpu.max 90000 100000\ncgroup.max.depth 2\n";

/// Compiles a small image; its path. `label` is what its services say.
pub fn define(folder: &Path, label: &str, way: Way) -> Outcome<PathBuf> {
    let top = folder.join(format!("small-{label}"));
    let _ = std::fs::remove_dir_all(&top);
    let put = |name: &str, text: &str| {
        command::replace_file(&top.join(name), text.as_bytes(), text.starts_with("#!"))
    };
    let oneshot = |name: &str, up: &str, needs: &[&str]| {
        put(&format!("{name}/type"), "oneshot\n")?;
        put(&format!("{name}/up"), &format!("{up}\n"))?;
        put(&format!("default/contents.d/{name}"), "")?;
        needs.iter().try_for_each(|other| put(&format!("{name}/dependencies.d/{other}"), ""))
    };
    put("default/type", "bundle\n")?;
    oneshot("say", &format!("/bin/echo image {label} is starting"), &[])?;
    put("say/down", &format!("/bin/echo image {label} is undone\n"))?;
    put("shell/type", "longrun\n")?;
    put("shell/run", "#!/bin/sh\nexec getty -n -l /lib/router/console-shell 0 console vt100\n")?;
    put("shell/down-signal", "SIGHUP\n")?;
    put("shell/timeout-kill", "3000\n")?;
    put("default/contents.d/shell", "")?;
    match way {
        Way::Good => {}
        Way::Limits => {
            put("cgroups/type", "oneshot\n")?;
            put("cgroups/up", "/bin/mount -t cgroup2 cgroup2 /sys/fs/cgroup\n")?;
            put("cgroups/down", "/bin/umount -l /sys/fs/cgroup\n")?;
            put("limited/type", "longrun\n")?;
            put("limited/dependencies.d/cgroups", "")?;
            put("limited/run", LIMITED)?;
            put("limited/notification-fd", "3\n")?;
            put("limited/cgroup", LIMITS)?;
            put("endless/type", "oneshot\n")?;
            put("endless/up", "/bin/sleep 100000\n")?;
        }
        Way::Holds => oneshot("hold", "/bin/sh /data/hold", &["say"])?,
        Way::Fails => oneshot("broken", "/bin/false", &["say"])?,
        Way::Hangs => {
            oneshot("stuck", "/bin/sleep 100000", &["say"])?;
            oneshot("late", "/bin/echo what comes later has begun", &["stuck"])?;
        }
    }
    let out = folder.join(format!("small-{label}.image"));
    let _ = std::fs::remove_file(&out);
    run(Command::new(super::images::host_skeg()?).arg("s6-rc-compile").arg(&out).arg(&top))?;
    Ok(out)
}
