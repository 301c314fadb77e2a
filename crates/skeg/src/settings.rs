// SPDX-License-Identifier: ISC
//! `s6rc-run`, `s6rc-finish`, `s6rc-script`: the generated `run` and `finish` of a longrun with process settings, and
//! what comes before the command lines of such a oneshot.
//!
//! The script itself says what to apply (see `crates/source/PROCESS.md`); then the user's own script beside it, or
//! the command, takes this process over. Whatever can't be applied ends in exit code 111: a service
//! never runs with one of its settings dropped. All names are looked up and all memory is taken before the
//! first setting is applied, since a limit may forbid either.

mod cgroup;
mod check;
mod identity;
mod program;

use crate::applet::{Applet, Call, SYSTEM};
use crate::words;
use alloc::vec::Vec;
pub use check::all as can_apply;
use core::ffi::CStr;
use source::process::{Bound, Limit, Settings, limit_name};
use sys::process::Rlimit;
use sys::{CWD, Errno, fs};

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet { name: "s6rc-run", options: None, main: run },
    Applet { name: "s6rc-finish", options: None, main: finish },
    Applet { name: "s6rc-script", options: None, main: oneshot },
];

/// What is being started, for messages.
#[derive(Clone, Copy)]
struct Service<'a> {
    applet: &'a [u8],
    name: &'a [u8],
}

impl Service<'_> {
    /// Says which setting can't be applied and why; the exit code.
    #[inline(never)]
    fn refuse(self, setting: &str, why: &str, argument: &[u8]) -> u8 {
        self.say("can't apply ", setting, why, argument, b"")
    }

    /// As [`Self::refuse`], for an error of the kernel.
    #[inline(never)]
    fn failed(self, setting: &str, what: &str, argument: &[u8], errno: Errno) -> u8 {
        self.say("can't apply ", setting, what, argument, words::errno(errno))
    }

    /// `service 'NAME': WHAT OBJECT: WHY: HOW`, as far as they are there.
    #[inline(never)]
    fn say(self, what: &str, object: &str, why: &str, argument: &[u8], how: &[u8]) -> u8 {
        let mut line = text::Line::new();
        line.put_filled("service '%': ", &[self.name]).put(what.as_bytes()).put(object.as_bytes());
        line.put(if object.is_empty() { b"" } else { b": " }).put_filled(why, &[argument]);
        if !how.is_empty() {
            line.put(b": ").put(how);
        }
        words::complain(self.applet, "%", line.as_bytes());
        SYSTEM
    }
}

/// The script that the kernel was asked to run, and the arguments that it was given.
fn script(call: &Call) -> Result<(&'static CStr, sys::start::Strings), u8> {
    let mut rest = call.words;
    match rest.next() {
        Some(script) if script.to_bytes() == b"--" => rest.next().map(|script| (script, rest)),
        Some(script) => Some((script, rest)),
        None => None,
    }
    .ok_or_else(|| call.misused(t!("which script?"), b""))
}

/// The bytes of the script.
fn read_settings(service: Service<'_>, script: &CStr) -> Result<Vec<u8>, u8> {
    read_file(script).map_err(|e| service.failed("its settings", "%", script.to_bytes(), e))
}

/// Bytes of a file that is read as a whole: far above any passwd file of a device.
const MOST: usize = 4 << 20;

/// A whole file.
#[inline(never)]
fn read_file(path: &CStr) -> sys::Result<Vec<u8>> {
    let file = fs::open_read(CWD, path)?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        let n = fs::read_full(&file, &mut chunk)?;
        bytes.extend_from_slice(chunk.get(..n).unwrap_or_default());
        if n < chunk.len() {
            return Ok(bytes);
        }
        if bytes.len() > MOST {
            return Err(Errno::FBIG);
        }
    }
}

fn decode<'a>(service: Service<'_>, bytes: &'a [u8]) -> Result<Settings<'a>, u8> {
    Settings::decode(bytes).map_err(|line| {
        let line = line.get(..200).unwrap_or(line);
        service.refuse("its settings", "this skeg does not understand the line '%'", line)
    })
}

fn run(call: &Call) -> Result<u8, u8> {
    let (script, arguments) = script(call)?;
    let mut rest = arguments;
    let name = rest.next().unwrap_or(script).to_bytes();
    let service = Service { applet: call.name, name };
    let bytes = read_settings(service, script)?;
    let settings = decode(service, &bytes)?;
    let program = match &settings.command {
        Some(command) => program::Program::command(command),
        None => program::Program::script(script, c"run", arguments),
    };
    start(service, &settings, &program)
}

/// A command line of a oneshot: the settings, then its words.
fn oneshot(call: &Call) -> Result<u8, u8> {
    let (settings, words) = script(call)?;
    let name = sys::start::env(b"RC_NAME").unwrap_or_default().to_bytes();
    let service = Service { applet: call.name, name };
    let settings = decode(service, settings.to_bytes())?;
    let words: Vec<&[u8]> = words.map(CStr::to_bytes).collect();
    start(service, &settings, &program::Program::command(&words))
}

/// Applies everything and execs; comes back only with an exit code.
fn start(service: Service<'_>, settings: &Settings<'_>, program: &program::Program) -> Result<u8, u8> {
    let identity = identity::Identity::resolve(service, settings)?;
    if let Some(wanted) = &settings.cgroup {
        cgroup::join(service, wanted)?;
    }
    if let Some(score) = settings.oom_score {
        set_oom_score(score).map_err(|e| service.failed("oom-score", "/proc/self/oom_score_adj", b"", e))?;
    }
    for limit in &settings.limits {
        set_limit(limit).map_err(|e| service.failed("rlimits", "%", limit_name(limit.resource), e))?;
    }
    if let Some(nice) = settings.nice {
        sys::credentials::set_nice(nice).map_err(|e| service.failed("nice", "setpriority", b"", e))?;
    }
    if let Some(mask) = settings.umask {
        sys::process::umask(mask);
    }
    identity.take(service)?;
    if settings.no_new_privs {
        sys::credentials::set_no_new_privileges()
            .map_err(|e| service.failed("no-new-privs", "prctl", b"", e))?;
    }
    Err(program.become_it(service))
}

fn set_oom_score(score: i32) -> sys::Result<()> {
    let mut line = text::Line::new();
    let file = fs::open(CWD, c"/proc/self/oom_score_adj", fs::OFlags::WRONLY, 0)?;
    fs::write_all(&file, line.signed(i64::from(score)).end())
}

fn set_limit(limit: &Limit) -> sys::Result<()> {
    let now = sys::process::limit(limit.resource);
    let value = |bound, now| match bound {
        Bound::Keep => now,
        Bound::Unlimited => None,
        Bound::At(n) => Some(n),
    };
    let (current, maximum) = (value(limit.soft, now.current), value(limit.hard, now.maximum));
    sys::process::set_limit(limit.resource, Rlimit { current, maximum })
}

fn finish(call: &Call) -> Result<u8, u8> {
    let (script, arguments) = script(call)?;
    // The third argument of a finish is the service's name.
    let mut rest = arguments;
    let service = Service { applet: call.name, name: rest.nth(2).unwrap_or(script).to_bytes() };
    let cleaned = clean_up(service, script);
    // A script of the user's own goes on even when something could not be killed: it may know what to do.
    if program::Program::has_script(script) {
        return Err(program::Program::script(script, c"finish", arguments).become_it(service));
    }
    cleaned.map(|()| 0)
}

fn clean_up(service: Service<'_>, script: &CStr) -> Result<(), u8> {
    let bytes = read_settings(service, script)?;
    match &decode(service, &bytes)?.cgroup {
        Some(wanted) => cgroup::leave(service, wanted),
        None => Ok(()),
    }
}
