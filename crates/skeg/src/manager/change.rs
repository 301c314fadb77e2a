// SPDX-License-Identifier: ISC
//! `s6-rc`: lists services, brings them up or down, reloads them.

mod dry;
mod list;

use super::open::{Opened, open};
use super::report::{Reporter, ended, session_error};
use crate::applet::Call;
use crate::words;
use core::ffi::CStr;
use engine::{Set, Towards};
use live::tree::Status;
use live::{Access, History, Phase};
use run::{Note, Outcome, Session, Terms};
use sys::start::Strings;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    List,
    ListAll,
    Diff,
    Change,
    Reload,
}

pub const OPTIONS: &str = "l=livedir u/up d/down D/all-down p/prune a/add b/block E/with-essentials e/without-essentials \
    -L/no-lock -F/shutdown -T/times v#verbosity n#dry-run t#timeout -m#max-scripts<256";

/// What the options say of the way.
struct Options {
    towards: Towards,
    /// Essential services are stopped, or not listed.
    hide_essentials: bool,
    prune: bool,
}

impl Options {
    fn new(call: &Call) -> Self {
        Self {
            towards: if matches!(call.last(b"udD"), b'd' | b'D') { Towards::Down } else { Towards::Up },
            hide_essentials: matches!(call.last(b"DEe"), b'D' | b'e'),
            prune: call.has(b'p'),
        }
    }
}

pub fn main(call: &Call) -> Result<u8, u8> {
    let mut o = Options::new(call);
    let mut words = call.words;
    let Some(word) = words.next().map(CStr::to_bytes) else {
        return Err(call.misused(t!("which command?"), b""));
    };
    let command = match words::place(word, "list listall diff change reload start stop help") {
        Some(0) => Command::List,
        Some(1) => Command::ListAll,
        Some(2) => Command::Diff,
        Some(3) => Command::Change,
        Some(4) => Command::Reload,
        Some(start_or_stop @ (5 | 6)) => {
            o.towards = if start_or_stop == 5 { Towards::Up } else { Towards::Down };
            o.prune = false;
            Command::Change
        }
        Some(_) => return words::help(b"s6-rc.short"),
        None => return Err(call.misused(t!("unknown command '%'"), word)),
    };
    if call.has(b'F') && o.towards == Towards::Up {
        return Err(call.misused(t!("--shutdown goes with -d or -D"), b""));
    }
    call.scripts()?;
    let access = match command {
        Command::Change | Command::Reload if !call.has(b'n') => Access::Change,
        _ if call.has(b'L') => Access::Look,
        _ => Access::Read,
    };
    let mut opened = open(call, call.live(), access, call.block())?;
    if command == Command::Diff {
        return list::diff(call, &opened);
    }
    let selected = select(call, &o, command, &opened, words)?;
    match command {
        Command::List | Command::ListAll => list::print(&opened, selected, &o, command == Command::ListAll),
        _ if call.has(b'n') => {
            super::tell_unfinished(call, &opened.live, true);
            dry::run(call, &opened, selected, &o, command)
        }
        _ => act(call, &o, command, &mut opened, selected),
    }
}

/// The services that the names stand for; with `-a` those that are up, too.
fn select(call: &Call, o: &Options, command: Command, opened: &Opened, names: Strings) -> Result<Set, u8> {
    let image = &opened.image;
    let mut selected = Set::new(image.db().len());
    let starts = command == Command::Change && o.towards == Towards::Up;
    for name in names {
        let name = name.to_bytes();
        let known =
            if starts { image.select(name, &mut selected) } else { image.select_all(name, &mut selected) };
        if !known {
            return Err(words::unknown(call, image.db(), name));
        }
    }
    if call.has(b'a') {
        selected.add_all(&run::up_set(&opened.live));
        // What has a process still, though it did not get ready or did not end in time, is to be stopped. The latter is listed,
        // too: as with s6-rc its stop has not happened.
        let lists = matches!(command, Command::List | Command::ListAll);
        if lists || command == Command::Change && o.towards == Towards::Down {
            let states = opened.live.states().iter().zip(0..);
            states
                .filter(|(state, at)| state.phase == Phase::Starting && (!lists || is_leaving(opened, *at)))
                .for_each(|(_, at)| _ = selected.insert(at));
        }
    }
    Ok(selected)
}

/// Whether a longrun was told to stop and has not ended.
fn is_leaving(opened: &Opened, service: u16) -> bool {
    opened.live.service_dir(service).and_then(Status::read).is_ok_and(|status| status.is_leaving())
}

fn act(call: &Call, o: &Options, command: Command, opened: &mut Opened, selected: Set) -> Result<u8, u8> {
    let Opened { live, image } = opened;
    let history = History::open(live.locked().sv()).ok();
    let mut reporter =
        Reporter::new(call.name, image, call.number(b'v', 1), history).with_times(call.has(b'T'));
    let mut note = |n: Note| reporter.take(n);
    let terms = Terms {
        towards: o.towards,
        stop_essentials: o.hide_essentials,
        deadline: call.deadline(),
        scripts: call.scripts()?,
        for_good: o.towards == Towards::Down && !o.prune,
    };
    let failed = |e| session_error(call, call.live(), e);
    let mut desk = None;
    let mut session = Session::new(&mut desk, image, live, &mut note).map_err(failed)?;
    let outcome = match command {
        Command::Reload => session.reload(&selected, terms),
        _ if o.prune => prune(&mut session, selected, terms),
        _ if o.towards == Towards::Down => stop(&mut session, selected, terms),
        _ => session.change(selected, terms),
    };
    Ok(ended(call, outcome.map_err(failed)?))
}

/// Stops, and no update owes these any more.
fn stop(session: &mut Session<'_>, selected: Set, terms: Terms) -> Result<Outcome, run::RunError> {
    session.forgive(&selected)?;
    session.change(selected, Terms { towards: Towards::Down, ..terms })
}

/// First down what is not wanted, then up what is.
fn prune(session: &mut Session<'_>, mut selected: Set, terms: Terms) -> Result<Outcome, run::RunError> {
    session.close(&mut selected, terms.towards);
    if terms.towards == Towards::Up {
        selected.invert();
    }
    let outcome = stop(session, selected.clone(), terms)?;
    if !outcome.is_good() {
        return Ok(outcome);
    }
    selected.invert();
    session.change(selected, Terms { towards: Towards::Up, ..terms })
}
