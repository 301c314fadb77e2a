// SPDX-License-Identifier: ISC
//! `s6-rc-update`: another image, with the options, rules and exit codes of s6-rc's own program.

use super::conversion;
use super::image::ImageFile;
use crate::applet::{Call, SYSTEM, USAGE};
use crate::manager::{Opened, Reporter, ended, open, session_error, tell_unfinished, unable_to, warn_of};
use crate::words;
use alloc::boxed::Box;
use core::ffi::CStr;
use engine::Image;
use live::{Access, History};
use run::oneshot::protocol::DEFAULT_SCRIPTS;
use run::update::{Listeners, Request, UpdateError, Updated, update};
use run::{Note, Trouble};
use sys::fs;
use sys::time::monotonic;
use text::Line;
use update::{Plan, view};

pub const OPTIONS: &str = "l=livedir f=conversion-file n/dry-run b/block E/no-force-essentials e/force-essentials \
    v#verbosity t#timeout";

pub fn main(call: &Call) -> Result<u8, u8> {
    let (live, path) = (call.live(), call.operand(t!("which image?"))?);
    for (path, what) in [
        (live, t!("the live directory '%' must be an absolute path")),
        (path, t!("the image '%' must be an absolute path")),
    ] {
        if !path.to_bytes().starts_with(b"/") {
            return Err(call.misused(what, path.to_bytes()));
        }
    }
    let deadline = call.deadline();
    let dry = call.has(b'n');
    let opened = open(call, live, if dry { Access::Read } else { Access::Change }, call.block())?;
    let file = ImageFile::open(call, path)?;
    file.must_fit(call)?;
    let old = *opened.image.db();
    let rules = conversion::read(call, &old)?;
    let plan = update::reference(
        old,
        file.db,
        run::up_or_on_its_way(&opened.live),
        run::owed_set(&opened.live),
        &rules,
    )
    .map_err(|e| conversion::refuse(call, &rules, &old, e))?;
    if dry {
        tell_unfinished(call, &opened.live, true);
        return print_dry(&plan);
    }
    if deadline.is_some_and(|d| d <= monotonic()) {
        return Err(call.fail(10, t!("timed out before anything was changed"), b""));
    }
    let request = Request {
        compiled: path,
        source: file.source(),
        stop_essentials: call.last(b"eE") == b'e',
        deadline,
        scripts: DEFAULT_SCRIPTS,
    };
    Ok(perform(call, opened, &plan, &request))
}

/// Prints what would be stopped and started, in order, as `s6-rc-dryrun` does.
fn print_dry(plan: &Plan<'_>) -> Result<u8, u8> {
    let mut printed = Ok(());
    view(plan, &mut |start, service| {
        let (db, word) = if start { (&plan.new, "start %") } else { (&plan.old, "stop %") };
        let Some(id) = db.service(usize::from(service)) else { return };
        let mut line = Line::new();
        line.put(b"s6-rc-dryrun: ").put_filled(word, &[db.name(id)]);
        words::add_output(&mut printed, line.end());
    });
    printed.map(|()| 0)
}

/// Performs a plan on the live directory of `-l` and says how it went; the exit code.
#[inline(never)]
pub fn perform(call: &Call, mut opened: Box<Opened>, plan: &Plan<'static>, request: &Request<'_>) -> u8 {
    let Opened { live, image: old } = &mut *opened;
    let new = Image::new(plan.new);
    let mut warn = |lacking: (u16, &CStr)| warn_of(call, &new, lacking);
    let unable = run::init::has_wishes(&new)
        .then(|| live.scandir().map(|scandir| run::init::check_wishes(&new, &scandir, &mut warn)));
    if let Some(Ok(Err(service))) = unable {
        return unable_to(call, new.name(service));
    }
    let sv = fs::dup(live.locked().sv(), 3);
    let verbosity = call.number(b'v', 1);
    if plan.old.edits() > 0 && plan.new.edits() == 0 && verbosity > 0 {
        call.say(t!("the bundles that s6-rc-bundle has edited are those of the new image again"), b"");
    }
    let reporter = |image| {
        let history = sv.as_ref().ok().and_then(|sv| History::open(sys::AsFd::as_fd(sv)).ok());
        Reporter::new(call.name, image, verbosity, history)
    };
    let (mut stops, mut starts) = (None, None);
    let mut tell_old = |note: Note| stops.get_or_insert_with(|| reporter(old)).take(note);
    let mut tell_new = |note: Note| starts.get_or_insert_with(|| reporter(&new)).take(note);
    let mut listeners = Listeners { old: &mut tell_old, new: &mut tell_new };
    match update(live, old, &new, plan, request, &mut listeners) {
        Ok(Updated::Switched(outcome)) => ended(call, outcome),
        Ok(Updated::NotSwitched(outcome)) => {
            call.say(t!("not all services could be stopped: the old image stays in force"), b"");
            match ended(call, outcome) {
                0 => 0,
                code => code + 8,
            }
        }
        Err(error) => say(call, call.live(), error),
    }
}

fn say(call: &Call, live: &CStr, error: UpdateError) -> u8 {
    let error = match error {
        UpdateError::Before(error) => {
            let code = session_error(call, live, error);
            return call.fail(code, t!("the old image stays in force"), b"");
        }
        UpdateError::After(error) => error,
    };
    let code = match error.trouble() {
        Trouble::Live(_) | Trouble::Prepare(_) | Trouble::Wait(_) => session_error(call, live, error),
        Trouble::NoScanner => {
            call.fail(USAGE, t!("no s6-svscan runs on the scan directory of %"), live.to_bytes())
        }
        Trouble::TimedOut(_) => {
            session_error(call, live, error);
            2
        }
        _ => call.fail(SYSTEM, t!("the scan directory of % can't be brought up to date"), live.to_bytes()),
    };
    call.fail(code, t!("the new image is in force, but not complete: 'skeg recover' goes on"), b"")
}
