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
}

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
