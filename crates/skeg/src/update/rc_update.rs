// SPDX-License-Identifier: ISC
//! `s6-rc-update`: another image, with the options, rules and exit codes of s6-rc's own program.

use super::conversion;
use super::image::ImageFile;
use crate::applet::{Call, SYSTEM, USAGE};
use crate::live_words;
use crate::manager::{LIVE, Opened, Reporter, open, session_error};
use crate::words;
use core::ffi::CStr;
use engine::Image;
use live::{Access, History, Wait};
use run::init::InitError;
use run::oneshot::protocol::DEFAULT_SCRIPTS;
use run::update::{Listeners, Request, UpdateError, Updated, update};
use run::{Note, Outcome};
use sys::fs;
use sys::time::{Millis, monotonic};
use text::Line;
use text::args::Arg;
use update::{Plan, view};

pub const HELP: &str = "\
usage: s6-rc-update [-l LIVE] [-f FILE] [-n] [-b] [-E|-e] [-v N] [-t MS] IMAGE

Puts IMAGE in force for the live directory: stops what has gone or has to restart, switches, starts what was up.
A command that is killed leaves nothing half-done: the next one finishes it, or 'skeg recover'.
  -l LIVE  the live directory (--livedir; default /run/s6-rc)
  -f FILE  conversion rules, a line each: OLD [-> NEW] [restart] (--conversion-file)
  -n       only print what would be done (--dry-run)
  -b       wait for another command that is at work on LIVE (--block)
  -e, -E   stop essential services, too; leave them up (--force-essentials, --no-force-essentials)
  -v N     0 says nothing, 1 errors (default), 2 each transition, 3 more (--verbosity)
  -t MS    give up after this time (--timeout)

exit codes: 0, 1 a start failed, 2 timed out (IMAGE is in force after these); 3 unknown name in FILE, 4 invalid image, or FILE
names a service that IMAGE lacks, 5 FILE has a rule for a bundle, 6 a service is there twice, 9 a stop failed, 10 timed out
before the switch (the old image is in force after these); 100 wrong usage, 111 system call failed or LIVE is in use
";

struct Options {
    live: &'static CStr,
    rules: Option<&'static CStr>,
    dry: bool,
    wait: Wait,
    stop_essentials: bool,
    verbosity: u32,
    timeout: u32,
    image: &'static CStr,
}

pub fn main(call: &mut Call) -> u8 {
    parse(call).and_then(|options| run(call, &options)).unwrap_or_else(|code| code)
}

fn parse(call: &Call) -> Result<Options, u8> {
    let mut o = Options {
        live: LIVE,
        rules: None,
        dry: false,
        wait: Wait::No,
        stop_essentials: false,
        verbosity: 1,
        timeout: 0,
        image: c"",
    };
    let mut args = call.args();
    while let Some(option) = args.option().map_err(|e| call.refuse(e))? {
        match option {
            Arg::Short(b'l') | Arg::Long(b"livedir") => o.live = args.value().map_err(|e| call.refuse(e))?,
            Arg::Short(b'f') | Arg::Long(b"conversion-file") => {
                o.rules = Some(args.value().map_err(|e| call.refuse(e))?);
            }
            Arg::Short(b'n') | Arg::Long(b"dry-run") => o.dry = true,
            Arg::Short(b'b') | Arg::Long(b"block") => o.wait = Wait::Forever,
            Arg::Short(b'E') | Arg::Long(b"no-force-essentials") => o.stop_essentials = false,
            Arg::Short(b'e') | Arg::Long(b"force-essentials") => o.stop_essentials = true,
            Arg::Short(b'v') | Arg::Long(b"verbosity") => {
                o.verbosity = call.number(&mut args, b"verbosity", u32::MAX)?;
            }
            Arg::Short(b't') | Arg::Long(b"timeout") => {
                o.timeout = call.number(&mut args, b"timeout", u32::MAX)?
            }
            other => return Err(call.unknown(other)),
        }
    }
    o.image = args.operand().ok_or_else(|| call.misused(&[b"which image?"]))?;
    for (what, path) in [(&b"live directory '"[..], o.live), (b"image '", o.image)] {
        if !path.to_bytes().starts_with(b"/") {
            return Err(call.misused(&[b"the ", what, path.to_bytes(), b"' must be an absolute path"]));
        }
    }
    Ok(o)
}

fn run(call: &Call, o: &Options) -> Result<u8, u8> {
    let deadline = (o.timeout != 0).then(|| Millis(monotonic().0 + u64::from(o.timeout)));
    let opened = open(call.name, o.live, Access::Change, o.wait)?;
    let file = ImageFile::open(call, o.image)?;
    file.must_fit(call)?;
    let old = *opened.image.db();
    let rules = conversion::read(call, o.rules, &old)?;
    let plan = update::reference(old, file.db, run::up_set(&opened.live), &rules)
        .map_err(|e| conversion::say(e, &conversion::whole(call)))?;
    if o.dry {
        return Ok(print_dry(&plan));
    }
    if old.edits() > 0 && file.db.edits() == 0 && o.verbosity > 0 {
        words::complain(
            call.name,
            &[b"the bundles that s6-rc-bundle has edited are those of the new image again"],
        );
    }
    if deadline.is_some_and(|d| d <= monotonic()) {
        words::complain(call.name, &[b"timed out before anything was changed"]);
        return Ok(10);
    }
    let request = Request {
        compiled: o.image,
        source: file.source(),
        stop_essentials: o.stop_essentials,
        deadline,
        scripts: DEFAULT_SCRIPTS,
    };
    Ok(perform(call, o.live, opened, &plan, &request, o.verbosity))
}

/// Prints what would be stopped and started, in order, as `s6-rc-dryrun` does.
fn print_dry(plan: &Plan<'_>) -> u8 {
    let mut failed = 0;
    view(plan, |start, service| {
        let (db, word): (_, &[u8]) = if start { (&plan.new, b"start ") } else { (&plan.old, b"stop ") };
        let Some(id) = db.service(usize::from(service)) else { return };
        let mut line = Line::<512>::new();
        line.put(b"s6-rc-dryrun: ").put(word).put_quoted(db.name(id));
        failed |= words::print(&[line.end()]);
    });
    failed
}

/// Performs a plan and says how it went; the exit code.
pub fn perform(
    call: &Call,
    live_path: &CStr,
    opened: Opened,
    plan: &Plan<'_>,
    request: &Request<'_>,
    verbosity: u32,
) -> u8 {
    let Opened { live, image: old } = opened;
    let new = Image::new(plan.new);
    let sv = fs::dup(live.locked().sv(), 3);
    let history = || sv.as_ref().ok().and_then(|sv| History::open(sys::AsFd::as_fd(sv)).ok());
    let (mut stops, mut starts) = (None, None);
    let mut tell_old = |note: Note| {
        stops.get_or_insert_with(|| Reporter::new(call.name, &old, verbosity, history())).take(note);
    };
    let mut tell_new = |note: Note| {
        starts.get_or_insert_with(|| Reporter::new(call.name, &new, verbosity, history())).take(note);
    };
    let mut listeners = Listeners { old: &mut tell_old, new: &mut tell_new };
    match update(live, &old, &new, plan, request, &mut listeners) {
        Ok(Updated::Switched(outcome)) => code(call, outcome, 0),
        Ok(Updated::NotSwitched(outcome)) => {
            words::complain(call.name, &[b"not all services could be stopped: the old image stays in force"]);
            code(call, outcome, 8)
        }
        Err(error) => say(call, live_path, error),
    }
}

/// The exit code of transitions: 1 failed, 2 timed out, and `offset`.
fn code(call: &Call, outcome: Outcome, offset: u8) -> u8 {
    if outcome.timed_out {
        words::complain(call.name, &[b"timed out"]);
        return 2 + offset;
    }
    if outcome.is_good() { 0 } else { 1 + offset }
}

fn say(call: &Call, live: &CStr, error: UpdateError) -> u8 {
    let live = live.to_bytes();
    let error = match error {
        UpdateError::Before(error) => {
            let code = session_error(call.name, live, error);
            words::complain(call.name, &[b"the old image stays in force"]);
            return code;
        }
        UpdateError::After(error) => error,
    };
    let code = match error {
        InitError::Run(run::RunError::Live(error)) => live_words::complain(call.name, live, error),
        InitError::Run(error) => session_error(call.name, live, error),
        InitError::NoScanner => {
            words::complain(call.name, &[b"no s6-svscan runs on the scan directory of ", live]);
            USAGE
        }
        InitError::TimedOut(_) => {
            words::complain(call.name, &[b"timed out waiting for supervisors"]);
            2
        }
        _ => {
            words::complain(call.name, &[b"the scan directory of ", live, b" can't be brought up to date"]);
            SYSTEM
        }
    };
    words::complain(call.name, &[b"the new image is in force, but not complete: 'skeg recover' goes on"]);
    code
}
