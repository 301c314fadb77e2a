// SPDX-License-Identifier: ISC
//! `skeg restart`: restarts services with what depends on them.

use super::open::{Opened, open};
use super::report::{Reporter, session_error};
use super::status::select;
use crate::applet::Call;
use crate::words;
use alloc::vec::Vec;
use core::ffi::CStr;
use engine::Towards;
use live::{Access, History, Wait};
use run::oneshot::protocol::{DEFAULT_SCRIPTS, MAX_SCRIPTS};
use run::{Note, Session, Terms};
use sys::time::{Millis, monotonic};
use text::args::Arg;

pub const HELP: &str = "\
usage: skeg restart [-l LIVE] [-v N] [-t MS] [-w MS] [--max-scripts N] NAME...

Stops the services NAME (services or bundles) with what depends on them or has them in restart-with, essential ones
too, then brings everything back up that was up. Services that are down stay down.
  -l LIVE  the live directory (--livedir; default /run/s6-rc)
  -v N     0 says nothing, 1 errors, 2 each transition (default), 3 more (--verbosity)
  -t MS    give up after this time (--timeout)
  -w MS    wait so long for another command that is at work on LIVE (--wait; default 30000)
  --max-scripts N  scripts of oneshots that run at once, 1 to 256 (default 32)

exit codes: 0, 1 a transition failed, 2 timed out, 3 unknown name, 4 invalid image or state, 100 wrong usage,
111 system call failed or LIVE is in use
";

struct Options {
    live: &'static CStr,
    verbosity: u32,
    timeout: u32,
    wait: u32,
    scripts: u16,
    names: Vec<&'static [u8]>,
}

fn parse(call: &Call) -> Result<Options, u8> {
    let mut o = Options {
        live: super::LIVE,
        verbosity: 2,
        timeout: 0,
        wait: super::PATIENCE,
        scripts: DEFAULT_SCRIPTS,
        names: Vec::new(),
    };
    let mut args = call.args();
    while let Some(option) = args.option().map_err(|e| call.refuse(e))? {
        match option {
            Arg::Short(b'l') | Arg::Long(b"livedir") => o.live = args.value().map_err(|e| call.refuse(e))?,
            Arg::Short(b'v') | Arg::Long(b"verbosity") => {
                o.verbosity = call.number(&mut args, b"verbosity", u32::MAX)?;
            }
            Arg::Short(b't') | Arg::Long(b"timeout") => {
                o.timeout = call.number(&mut args, b"timeout", u32::MAX)?;
            }
            Arg::Short(b'w') | Arg::Long(b"wait") => {
                o.wait = call.number(&mut args, b"time to wait", u32::MAX)?;
            }
            Arg::Long(b"max-scripts") => {
                let most = call.number(&mut args, b"number of scripts", MAX_SCRIPTS as u32)?;
                o.scripts = (most as u16).max(1);
            }
            other => return Err(call.unknown(other)),
        }
    }
    while let Some(name) = args.operand() {
        o.names.push(name.to_bytes());
    }
    if o.names.is_empty() {
        return Err(call.misused(&[b"which services?"]));
    }
    Ok(o)
}

pub fn main(call: &mut Call) -> u8 {
    parse(call).and_then(|o| restart(call, &o)).unwrap_or_else(|code| code)
}

fn restart(call: &Call, o: &Options) -> Result<u8, u8> {
    let wait = Wait::Until(Millis(monotonic().0 + u64::from(o.wait)));
    let opened = open(call.name, o.live, Access::Change, wait)?;
    let selected = select(call, &opened, &o.names)?;
    let Opened { mut live, image } = opened;
    let history = History::open(live.locked().sv()).ok();
    let mut reporter = Reporter::new(call.name, &image, o.verbosity, history);
    let mut note = |n: Note| reporter.take(n);
    let deadline = (o.timeout != 0).then(|| Millis(monotonic().0 + u64::from(o.timeout)));
    let terms = Terms { deadline, scripts: o.scripts, ..Terms::new(Towards::Up) };
    let failed = |e| session_error(call.name, o.live.to_bytes(), e);
    let mut session = Session::new(&image, &mut live, &mut note).map_err(failed)?;
    let outcome = run::restart::restart(&mut session, &image, selected, terms).map_err(failed)?;
    if outcome.timed_out {
        words::complain(call.name, &[b"timed out"]);
        return Ok(2);
    }
    Ok(u8::from(!outcome.is_good()))
}
