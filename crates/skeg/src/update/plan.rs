// SPDX-License-Identifier: ISC
//! `skeg plan` shows what an update would do and why; `skeg apply` does it, and exactly that.

use super::conversion;
use super::image::{ImageFile, absolute};
use super::rc_update::perform;
use super::reason;
use super::recover::WAIT;
use crate::applet::{Call, SYSTEM};
use crate::manager::{LIVE, Opened, open};
use crate::words;
use alloc::vec::Vec;
use core::ffi::CStr;
use engine::Set;
use live::journal::{Set as Members, Side};
use live::{Access, Saved, Wait};
use run::oneshot::protocol::DEFAULT_SCRIPTS;
use run::update::Request;
use sys::fs::{self, OFlags};
use sys::mm::MappedFile;
use sys::time::{Millis, monotonic};
use text::args::Arg;
use update::{Plan, smart};

pub const PLAN_HELP: &str = "\
usage: skeg plan [-l LIVE] [-f FILE] [-o PLAN] [--json] NEW

Prints what 'skeg apply NEW' would stop, start and update in place, in order, each with its reason, and changes nothing.
NEW is an image or a source tree. A service restarts when what its process was started from changed, or when something
that it depends on restarts; a new dependency starts below it; other files wait for its next start.
  -l LIVE   the live directory (--livedir; default /run/s6-rc)
  -f FILE   conversion rules, a line each: OLD [-> NEW] [restart] (--conversion-file)
  -o PLAN   save the plan in this file, for 'skeg apply PLAN' (--output); NEW must be an image then
  -w MS     wait so long for another command that is at work on LIVE (--wait; default 30000)
  --json    one object

exit codes: 0, 3 unknown name in FILE, 4 invalid image, or FILE names a service that NEW lacks, 5 FILE has a rule for a bundle,
6 a service is there twice, 100 wrong usage, 111 system call failed or LIVE is in use
";

pub const APPLY_HELP: &str = "\
usage: skeg apply [-l LIVE] [-f FILE] [-v N] [-t MS] PLAN|NEW

Performs a plan that 'skeg plan -o PLAN' saved, exactly as it was shown, or the plan that it makes for NEW, an image or
source tree. A saved plan is refused when the live directory has moved since, or its image is another.
  -l LIVE   the live directory (--livedir; default /run/s6-rc)
  -f FILE   conversion rules for NEW, a line each: OLD [-> NEW] [restart] (--conversion-file)
  -v N      0 says nothing, 1 errors (default), 2 each transition, 3 more (--verbosity)
  -t MS     give up after this time (--timeout)
  -w MS     wait so long for another command that is at work on LIVE (--wait; default 30000)

exit codes: as 'skeg plan'; 1 a start failed, 2 timed out (NEW is in force after these), 7 the live directory has moved since
the plan was made, 9 a stop failed, 10 timed out before the switch (the old image is in force after these)
";

/// Exit code of a plan that does not fit any more.
const MOVED: u8 = 7;

struct Options {
    live: &'static CStr,
    rules: Option<&'static CStr>,
    output: Option<&'static CStr>,
    json: bool,
    verbosity: u32,
    timeout: u32,
    wait: u32,
    what: &'static CStr,
}

fn parse(call: &Call, applies: bool) -> Result<Options, u8> {
    let mut o = Options {
        live: LIVE,
        rules: None,
        output: None,
        json: false,
        verbosity: 1,
        timeout: 0,
        wait: WAIT,
        what: c"",
    };
    let mut args = call.args();
    while let Some(option) = args.option().map_err(|e| call.refuse(e))? {
        match option {
            Arg::Short(b'l') | Arg::Long(b"livedir") => o.live = args.value().map_err(|e| call.refuse(e))?,
            Arg::Short(b'f') | Arg::Long(b"conversion-file") => {
                o.rules = Some(args.value().map_err(|e| call.refuse(e))?);
            }
            Arg::Short(b'o') | Arg::Long(b"output") if !applies => {
                o.output = Some(args.value().map_err(|e| call.refuse(e))?);
            }
            Arg::Long(b"json") if !applies => o.json = true,
            Arg::Short(b'v') | Arg::Long(b"verbosity") if applies => {
                o.verbosity = call.number(&mut args, b"verbosity", u32::MAX)?;
            }
            Arg::Short(b't') | Arg::Long(b"timeout") if applies => {
                o.timeout = call.number(&mut args, b"timeout", u32::MAX)?;
            }
            Arg::Short(b'w') | Arg::Long(b"wait") => o.wait = call.number(&mut args, b"wait", u32::MAX)?,
            other => return Err(call.unknown(other)),
        }
    }
    let missing: &[u8] =
        if applies { b"which plan, image or source tree?" } else { b"which image or source tree?" };
    o.what = args.operand().ok_or_else(|| call.misused(&[missing]))?;
    Ok(o)
}

impl Options {
    fn open(&self, call: &Call, access: Access) -> Result<Opened, u8> {
        open(call.name, self.live, access, Wait::Until(Millis(monotonic().0 + u64::from(self.wait))))
    }
}

fn members(set: &Set) -> Members {
    Members::from_bools((0..set.bound() as u16).map(|s| set.contains(s)))
}

pub fn plan(call: &mut Call) -> u8 {
    show(call).unwrap_or_else(|code| code)
}

fn show(call: &Call) -> Result<u8, u8> {
    let o = parse(call, false)?;
    let opened = o.open(call, Access::Read)?;
    let file = ImageFile::open_or_compile(call, o.what)?;
    let rules_text = contents(call, o.rules)?;
    let plan = make(call, &opened, &file, o.rules)?;
    if let Some(output) = o.output {
        save(call, &opened, &plan, o.what, rules_text, output)?;
    }
    Ok(if o.json { words::print(&[&reason::json(&plan)]) } else { reason::print(&plan) })
}

fn make(call: &Call, opened: &Opened, file: &ImageFile, rules: Option<&CStr>) -> Result<Plan<'static>, u8> {
    let old = *opened.image.db();
    let rules = conversion::read(call, rules, &old)?;
    smart(old, file.db, run::up_set(&opened.live), &rules)
        .map_err(|e| conversion::say(e, &conversion::whole(call)))
}

fn contents(call: &Call, path: Option<&CStr>) -> Result<&'static [u8], u8> {
    let Some(path) = path else { return Ok(b"") };
    conversion::contents(path).map_err(|e| call.failed(&[b"read the conversion file ", path.to_bytes()], e))
}

fn save(
    call: &Call,
    opened: &Opened,
    plan: &Plan<'_>,
    what: &CStr,
    rules: &[u8],
    output: &CStr,
) -> Result<(), u8> {
    let cant = |e| call.failed(&[b"write the plan ", output.to_bytes()], e);
    let saved = Saved {
        old: Side { generation: opened.live.generation().number(), hash: plan.old.hash() },
        old_up: members(&plan.old_up),
        new: plan.new.hash(),
        path: absolute(what).map_err(cant)?.as_bytes().to_vec(),
        conversion: rules.to_vec(),
        stop: members(&plan.stop),
        start: members(&plan.start),
    };
    let bytes = saved.encode().ok_or_else(|| cant(sys::Errno::FBIG))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let file = fs::open(sys::CWD, output, flags, 0o644).map_err(cant)?;
    fs::write_all(&file, &bytes).map_err(cant)
}

pub fn apply(call: &mut Call) -> u8 {
    act(call).unwrap_or_else(|code| code)
}

fn act(call: &Call) -> Result<u8, u8> {
    let o = parse(call, true)?;
    let deadline = (o.timeout != 0).then(|| Millis(monotonic().0 + u64::from(o.timeout)));
    let saved = saved_plan(call, o.what)?;
    if saved.is_some() && o.rules.is_some() {
        return Err(
            call.misused(&[b"a saved plan has its conversion rules; -f is for an image or source tree"])
        );
    }
    let opened = o.open(call, Access::Change)?;
    let (path, file, plan) = match saved {
        None => {
            let file = ImageFile::open_or_compile(call, o.what)?;
            let plan = make(call, &opened, &file, o.rules)?;
            (o.what, file, plan)
        }
        Some(saved) => fit(call, &opened, saved)?,
    };
    file.must_fit(call)?;
    let compiled = absolute(path).map_err(|e| call.failed(&[b"find the path of ", path.to_bytes()], e))?;
    let request = Request {
        compiled: &compiled,
        source: file.source(),
        stop_essentials: true,
        deadline,
        scripts: DEFAULT_SCRIPTS,
    };
    Ok(perform(call, o.live, opened, &plan, &request, o.verbosity))
}

/// The plan in this file, if it is one.
fn saved_plan(call: &Call, path: &CStr) -> Result<Option<Saved>, u8> {
    let cant = |e| call.failed(&[b"read ", path.to_bytes()], e);
    let file = fs::open_read(sys::CWD, path).map_err(cant)?;
    let mut head = [0; 8];
    match fs::pread(&file, &mut head, 0) {
        Ok(8) if Saved::is_one(&head) => {}
        // A source tree, or an image, which is checked later.
        _ => return Ok(None),
    }
    let size = fs::fstat(&file).map_err(cant)?.st_size as usize;
    let mapped = MappedFile::new(&file, size).map_err(cant)?;
    Saved::decode(mapped.bytes()).map(Some).ok_or_else(|| {
        words::complain(call.name, &[path.to_bytes(), b" is a damaged plan"]);
        4
    })
}

/// Makes a saved plan again, and sees that it is the same.
fn fit(call: &Call, opened: &Opened, saved: Saved) -> Result<(&'static CStr, ImageFile, Plan<'static>), u8> {
    let moved = |why: &[u8]| {
        words::complain(call.name, &[why, b": the plan does not fit any more; make it again"]);
        MOVED
    };
    let old = *opened.image.db();
    let up = run::up_set(&opened.live);
    if saved.old != (Side { generation: opened.live.generation().number(), hash: old.hash() }) {
        return Err(moved(b"another image is in force than when the plan was made"));
    }
    if saved.old_up != members(&up) {
        return Err(moved(b"other services are up than when the plan was made"));
    }
    let mut path: Vec<u8> = saved.path;
    path.push(0);
    let path: &'static CStr = CStr::from_bytes_until_nul(path.leak()).map_err(|_| SYSTEM)?;
    let file = ImageFile::open_or_compile(call, path)?;
    if file.db.hash() != saved.new {
        return Err(moved(b"the new image is another than when the plan was made"));
    }
    let rules = conversion::parse(call, c"the plan's conversion rules", saved.conversion.leak(), &old)?;
    let plan = smart(old, file.db, up, &rules).map_err(|e| conversion::say(e, &conversion::whole(call)))?;
    if members(&plan.stop) != saved.stop || members(&plan.start) != saved.start {
        return Err(moved(b"this skeg would do something else"));
    }
    Ok((path, file, plan))
}
