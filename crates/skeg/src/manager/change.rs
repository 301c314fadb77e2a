// SPDX-License-Identifier: ISC
//! `s6-rc`: lists services, brings them up or down, reloads them.

mod dry;
mod list;

use super::open::{Opened, open};
use super::report::{Reporter, session_error};
use crate::applet::{Call, SYSTEM};
use crate::words;
use core::ffi::CStr;
use engine::{Set, Towards};
use live::{Access, History, Wait};
use run::oneshot::protocol::{DEFAULT_SCRIPTS, MAX_SCRIPTS};
use run::{Note, Outcome, Session, Terms};
use sys::time::{Millis, monotonic};
use text::args::{Arg, Args};

pub const HELP: &str = "\
usage: s6-rc help
       s6-rc [-l LIVE] [-b] [-a] [-u|-d] [-E|-e] list [NAME...]
       s6-rc [-l LIVE] [-b] [-a] [-u|-d] [-E|-e] listall [NAME...]
       s6-rc [-l LIVE] [-b] diff
       s6-rc [-l LIVE] [-b] [-a] [-u|-d|-D] [-p] [-v N] [-n MS] [-t MS] change [NAME...]
       s6-rc [-l LIVE] [-b] [-a] [-v N] [-n MS] [-t MS] start|stop [NAME...]
       s6-rc [-l LIVE] [-b] [-v N] [-t MS] reload [NAME...]

NAMEs are services or bundles. 'list' prints them, 'listall' also what they need (-d: what needs them); 'diff' prints
the longruns whose supervisor says otherwise than LIVE (+NAME wanted up, -NAME not); 'change' brings them up (-d: down)
with what they need (what needs them), as much at once as the order allows; 'start' is -u change, 'stop' is -d change.
  -l LIVE  the live directory (--livedir; default /run/s6-rc)
  -b       wait for another command that is at work on LIVE (--block)
  -a       add the services that are up to NAMEs (--add)
  -u, -d   up, down (--up, --down); -D: down, essential services too (--all-down)
  -p       and everything else the other way (--prune)
  -e, -E   without, with essential services in lists (--without-essentials, --with-essentials)
  -v N     0 says nothing, 1 errors (default), 2 each transition, 3 more (--verbosity)
  -n MS    a dry run: print what would be done, each transition taking MS (--dry-run)
  -t MS    give up after this time (--timeout)
  --max-scripts N  scripts of oneshots that run at once, 1 to 256 (default 32: small shells' scripts fit in a machine
           with 32 MB)
  --times    one line for each transition that is over, with its time
  --no-lock  look without taking the lock

exit codes: 0, 1 a transition failed (diff: there is a difference), 2 timed out, 3 unknown name, 4 invalid image or state,
100 wrong usage, 111 system call failed or LIVE is in use
";

const SHORT_HELP: &[u8] = b"\
s6-rc help
s6-rc [ -l live ] [ -a ] list [ servicenames... ]
s6-rc [ -l live ] [ -a ] [ -u | -d ] listall [ servicenames... ]
s6-rc [ -l live ] diff
s6-rc [ -l live ] [ -a ] [ -u | -d | -D ] [ -p ] [ -v verbosity ] [ -t timeout ] [ -n dryrunthrottle ] change [ servicenames... ]
s6-rc [ -l live ] [ -v verbosity ] [ -t timeout ] start|stop|reload [ servicenames... ]
";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    List,
    ListAll,
    Diff,
    Change,
    Reload,
}

struct Options {
    live: &'static CStr,
    towards: Towards,
    hide_essentials: bool,
    prune: bool,
    add_live: bool,
    block: bool,
    no_lock: bool,
    times: bool,
    verbosity: u32,
    dry: Option<u32>,
    timeout: u32,
    scripts: u16,
}

impl Options {
    /// What one option says. Whether it is one of ours.
    fn take<I: Iterator<Item = &'static CStr>>(
        &mut self,
        call: &Call,
        option: Arg,
        args: &mut Args<I>,
    ) -> Result<bool, u8> {
        match option {
            Arg::Short(b'u') | Arg::Long(b"up") => self.towards = Towards::Up,
            Arg::Short(b'd') | Arg::Long(b"down") => self.towards = Towards::Down,
            Arg::Short(b'D') | Arg::Long(b"all-down") => {
                self.towards = Towards::Down;
                self.hide_essentials = true;
            }
            Arg::Short(b'p') | Arg::Long(b"prune") => self.prune = true,
            Arg::Short(b'a') | Arg::Long(b"add") => self.add_live = true,
            Arg::Short(b'b') | Arg::Long(b"block") => self.block = true,
            Arg::Short(b'E') | Arg::Long(b"with-essentials") => self.hide_essentials = false,
            Arg::Short(b'e') | Arg::Long(b"without-essentials") => self.hide_essentials = true,
            Arg::Long(b"no-lock") => self.no_lock = true,
            Arg::Long(b"times") => self.times = true,
            Arg::Short(b'v') | Arg::Long(b"verbosity") => {
                self.verbosity = call.number(args, b"verbosity", u32::MAX)?;
            }
            Arg::Short(b'n') | Arg::Long(b"dry-run") => {
                self.dry = Some(call.number(args, b"time of a dry run", u32::MAX)?);
            }
            Arg::Short(b't') | Arg::Long(b"timeout") => {
                self.timeout = call.number(args, b"timeout", u32::MAX)?;
            }
            Arg::Long(b"max-scripts") => {
                let most = call.number(args, b"number of scripts", MAX_SCRIPTS as u32)?;
                self.scripts = (most as u16).max(1);
            }
            Arg::Short(b'l') | Arg::Long(b"livedir") => {
                self.live = args.value().map_err(|e| call.refuse(e))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The terms of a change that way.
    fn terms(&self, towards: Towards) -> Terms {
        let deadline = (self.timeout != 0).then(|| Millis(monotonic().0 + u64::from(self.timeout)));
        Terms { towards, stop_essentials: self.hide_essentials, deadline, scripts: self.scripts }
    }
}

pub fn main(call: &mut Call) -> u8 {
    run(call).unwrap_or_else(|code| code)
}

fn run(call: &Call) -> Result<u8, u8> {
    let mut o = Options {
        live: super::LIVE,
        towards: Towards::Up,
        hide_essentials: false,
        prune: false,
        add_live: false,
        block: false,
        no_lock: false,
        times: false,
        verbosity: 1,
        dry: None,
        timeout: 0,
        scripts: DEFAULT_SCRIPTS,
    };
    let mut args = call.args();
    while let Some(option) = args.option().map_err(|e| call.refuse(e))? {
        if !o.take(call, option, &mut args)? {
            return Err(call.unknown(option));
        }
    }
    let command = match args.operand().map(CStr::to_bytes) {
        Some(b"help") => return Ok(words::print(&[SHORT_HELP])),
        Some(b"list") => Command::List,
        Some(b"listall") => Command::ListAll,
        Some(b"diff") => Command::Diff,
        Some(b"change") => Command::Change,
        Some(b"reload") => Command::Reload,
        Some(b"start") => {
            (o.towards, o.prune) = (Towards::Up, false);
            Command::Change
        }
        Some(b"stop") => {
            (o.towards, o.prune) = (Towards::Down, false);
            Command::Change
        }
        Some(other) => return Err(call.misused(&[b"unknown command '", other, b"'"])),
        None => return Err(call.misused(&[b"which command?"])),
    };
    let changes = matches!(command, Command::Change | Command::Reload);
    let access = match (changes, o.no_lock) {
        (true, _) => Access::Change,
        (false, false) => Access::Read,
        (false, true) => Access::Look,
    };
    let wait = if o.block { Wait::Forever } else { Wait::No };
    let opened = open(call.name, o.live, access, wait)?;
    if command == Command::Diff {
        return list::diff(call, &opened);
    }
    let selected = select(call, &o, command, &opened, &mut args)?;
    match command {
        Command::List | Command::ListAll => list::print(&opened, selected, &o, command == Command::ListAll),
        _ if let Some(throttle) = o.dry => dry::run(call, &opened, selected, &o, command, throttle),
        _ => act(call, &o, command, opened, selected),
    }
}

/// The services that the names stand for; with `-a` those that are up, too.
fn select<I: Iterator<Item = &'static CStr>>(
    call: &Call,
    o: &Options,
    command: Command,
    opened: &Opened,
    args: &mut Args<I>,
) -> Result<Set, u8> {
    let image = &opened.image;
    let mut selected = Set::new(image.db().len());
    let starts = command == Command::Change && o.towards == Towards::Up;
    while let Some(name) = args.operand() {
        let name = name.to_bytes();
        let known =
            if starts { image.select(name, &mut selected) } else { image.select_all(name, &mut selected) };
        if !known {
            words::complain(call.name, &[b"no service or bundle has the name '", name, b"'"]);
            return Err(3);
        }
    }
    if o.add_live {
        selected.add_all(&run::up_set(&opened.live));
    }
    Ok(selected)
}

/// The exit code of a change or reload.
const fn code(outcome: Outcome) -> u8 {
    if outcome.timed_out {
        2
    } else if outcome.is_good() {
        0
    } else {
        1
    }
}

fn act(call: &Call, o: &Options, command: Command, opened: Opened, selected: Set) -> Result<u8, u8> {
    let Opened { mut live, image } = opened;
    let history = History::open(live.locked().sv()).ok();
    let mut reporter = Reporter::new(call.name, &image, o.verbosity, history).with_times(o.times);
    let mut note = |n: Note| reporter.take(n);
    let terms = o.terms(o.towards);
    let mut session = Session::new(&image, &mut live, &mut note)
        .map_err(|e| session_error(call.name, o.live.to_bytes(), e))?;
    let outcome = match command {
        Command::Reload => session.reload(&selected, terms),
        _ if o.prune => prune(&mut session, selected, terms),
        _ => session.change(selected, terms),
    }
    .map_err(|e| session_error(call.name, o.live.to_bytes(), e))?;
    if outcome.timed_out {
        words::complain(call.name, &[b"timed out"]);
    }
    Ok(code(outcome))
}

/// First down what is not wanted, then up what is.
fn prune(session: &mut Session<'_>, mut selected: Set, terms: Terms) -> Result<Outcome, run::RunError> {
    session.close(&mut selected, terms.towards);
    if terms.towards == Towards::Up {
        selected.invert();
    }
    let outcome = session.change(selected.clone(), Terms { towards: Towards::Down, ..terms })?;
    if !outcome.is_good() {
        return Ok(outcome);
    }
    selected.invert();
    session.change(selected, Terms { towards: Towards::Up, ..terms })
}

/// Says that standard output can't be written; the exit code.
fn no_output(call: &Call) -> u8 {
    words::complain(call.name, &[b"can't write to standard output"]);
    SYSTEM
}
