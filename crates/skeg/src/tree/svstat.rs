// SPDX-License-Identifier: ISC
//! `s6-svstat`: what a supervisor says of its service.

use crate::applet::Call;
use crate::words;
use live::tree::Status;
use sys::time::{Wall, wall};
use sys::{CWD, Errno};
use text::Line;
use text::args::Arg;

pub const HELP: &str = "\
usage: s6-svstat [-uwNrpgest | -o FIELD,...] [-n] SERVICEDIR

Without a field, prints a line for people (-n: signals as numbers). Fields, printed with a space between:
  -u up  -w wantedup  -N normallyup  -r ready  -p pid  -g pgid  -e exitcode  -s signal  -t updownfor
  and paused signum updownsince readysince readyfor

exit codes: 0 printed, 1 not supervised, 100 wrong usage, 111 system call failed
";

#[derive(Clone, Copy)]
enum Field {
    Up,
    WantedUp,
    NormallyUp,
    Ready,
    Paused,
    Pid,
    ExitCode,
    Signal,
    SignalNumber,
    Since,
    ReadySince,
    For,
    ReadyFor,
}

const FIELDS: &[(&[u8], Field)] = &[
    (b"up", Field::Up),
    (b"wantedup", Field::WantedUp),
    (b"normallyup", Field::NormallyUp),
    (b"ready", Field::Ready),
    (b"paused", Field::Paused),
    (b"pid", Field::Pid),
    (b"pgid", Field::Pid),
    (b"exitcode", Field::ExitCode),
    (b"signal", Field::Signal),
    (b"signum", Field::SignalNumber),
    (b"updownsince", Field::Since),
    (b"readysince", Field::ReadySince),
    (b"updownfor", Field::For),
    (b"readyfor", Field::ReadyFor),
];

const LETTERS: &[(u8, Field)] = &[
    (b'u', Field::Up),
    (b'w', Field::WantedUp),
    (b'N', Field::NormallyUp),
    (b'r', Field::Ready),
    (b'p', Field::Pid),
    (b'g', Field::Pid),
    (b'e', Field::ExitCode),
    (b's', Field::Signal),
    (b't', Field::For),
];

type Fields = heapless::Vec<Field, 16>;

struct View {
    status: Status,
    normally_up: bool,
    now: Wall,
}

pub fn main(call: &mut Call) -> u8 {
    let mut args = call.args();
    let (mut fields, mut numeric) = (Fields::new(), false);
    loop {
        let added = match args.option() {
            Ok(None) => break,
            Err(e) => return call.refuse(e),
            Ok(Some(Arg::Short(b'n'))) => {
                numeric = true;
                Ok(())
            }
            Ok(Some(Arg::Short(b'o'))) => match args.value() {
                Ok(list) => add_named(call, &mut fields, list.to_bytes()),
                Err(e) => return call.refuse(e),
            },
            Ok(Some(Arg::Short(letter))) if LETTERS.iter().any(|(l, _)| *l == letter) => {
                LETTERS.iter().filter(|(l, _)| *l == letter).try_for_each(|(_, f)| add(call, &mut fields, *f))
            }
            Ok(Some(other)) => return call.unknown(other),
        };
        if let Err(code) = added {
            return code;
        }
    }
    let Some(dir) = args.operand() else { return call.misused(&[b"which service directory?"]) };
    match look(call, dir) {
        Ok(view) => print(&view, &fields, numeric),
        Err(code) => code,
    }
}

fn add(call: &Call, fields: &mut Fields, field: Field) -> Result<(), u8> {
    fields.push(field).map_err(|_| call.misused(&[b"too many fields: at most 16"]))
}

fn add_named(call: &Call, fields: &mut Fields, list: &[u8]) -> Result<(), u8> {
    for name in list.split(|b| *b == b',').filter(|name| !name.is_empty()) {
        match FIELDS.iter().find(|(n, _)| *n == name) {
            Some((_, field)) => add(call, fields, *field)?,
            None => return Err(call.misused(&[b"there is no field '", name, b"'"])),
        }
    }
    Ok(())
}

fn look(call: &Call, path: &'static core::ffi::CStr) -> Result<View, u8> {
    let not_supervised = || {
        words::complain(
            call.name,
            &[b"can't read the status of ", path.to_bytes(), b": no supervisor runs on it"],
        );
        1
    };
    let dir = match sys::fs::open_dir(CWD, path) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Err(not_supervised()),
        Err(e) => return Err(call.failed(&[b"open ", path.to_bytes()], e)),
    };
    match live::tree::is_supervised(&dir) {
        Ok(true) => {}
        Ok(false) => return Err(not_supervised()),
        Err(e) => return Err(call.failed(&[b"check ", path.to_bytes()], e)),
    }
    let status =
        Status::read(&dir).map_err(|e| call.failed(&[b"read the status of ", path.to_bytes()], e))?;
    let normally_up = match sys::fs::access(&dir, c"down", 0) {
        Ok(()) => false,
        Err(Errno::NOENT) => true,
        Err(e) => return Err(call.failed(&[b"look for ", path.to_bytes(), b"/down"], e)),
    };
    Ok(View { status, normally_up, now: wall() })
}

fn print(view: &View, fields: &Fields, numeric: bool) -> u8 {
    let mut line = Line::<512>::new();
    if fields.is_empty() {
        for_people(view, numeric, &mut line);
    }
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            line.put(b" ");
        }
        put_field(view, *field, &mut line);
    }
    words::print(&[line.end()])
}

/// Whole seconds from a stamp until now; 0 for one in the future.
fn seconds(view: &View, stamp: sys::time::Tai64n) -> u64 {
    let then = stamp.wall();
    let borrow = i64::from(view.now.nanos < then.nanos);
    u64::try_from(view.now.seconds.saturating_sub(then.seconds).saturating_sub(borrow)).unwrap_or(0)
}

fn put_field(view: &View, field: Field, line: &mut Line<512>) {
    let status = &view.status;
    let ended = !status.is_up() && !status.is_untouched();
    let truth = |yes: bool| -> &'static [u8] { if yes { b"true" } else { b"false" } };
    let number_or_none = |n: Option<u8>| n.filter(|_| ended).map_or(-1, i64::from);
    match field {
        Field::Up => line.put(truth(status.is_up())),
        Field::WantedUp => line.put(truth(status.wanted_up)),
        Field::NormallyUp => line.put(truth(view.normally_up)),
        Field::Ready => line.put(truth(status.pid != 0 && status.ready)),
        Field::Paused => line.put(truth(status.pid != 0 && status.paused)),
        Field::Pid => line.signed(if status.is_up() { i64::from(status.pid) } else { -1 }),
        Field::ExitCode => line.signed(number_or_none(status.exit_code())),
        Field::SignalNumber => line.signed(number_or_none(status.signal())),
        Field::Signal => match status.signal().filter(|_| ended) {
            Some(signal) => line.put(b"SIG").put(sys::signal::name(signal)),
            None => line.put(b"NA"),
        },
        Field::Since => line.put(&status.stamp.label()),
        Field::ReadySince => line.put(&status.ready_stamp.label()),
        Field::For => line.num(seconds(view, status.stamp)),
        Field::ReadyFor => line.num(seconds(view, status.ready_stamp)),
    };
}

fn for_people(view: &View, numeric: bool, line: &mut Line<512>) {
    let status = &view.status;
    let (up, untouched) = (status.is_up(), status.is_untouched());
    if up {
        let pid = u64::from(status.pid);
        line.put(b"up (pid ").num(pid).put(b" pgid ").num(pid);
    } else if untouched {
        line.put(b"down (not started yet");
    } else if let Some(signal) = status.signal() {
        line.put(b"down (signal ");
        if numeric {
            line.num(u64::from(signal));
        } else {
            line.put(b"SIG").put(sys::signal::name(signal));
        }
    } else {
        line.put(b"down (exitcode ").num(status.exit_code().map_or(0, u64::from));
    }
    line.put(b") ");
    if !untouched {
        line.num(seconds(view, status.stamp)).put(b" seconds");
    }
    let remarks: [(bool, &[u8]); 5] = [
        (up && !view.normally_up, b", normally down"),
        (!up && view.normally_up, b", normally up"),
        (up && status.paused, b", paused"),
        (!up && status.wanted_up, b", want up"),
        (up && !status.wanted_up, b", want down"),
    ];
    for (_, words) in remarks.iter().filter(|(applies, _)| *applies) {
        line.put(words);
    }
    if status.ready && !untouched {
        line.put(b", ready ").num(seconds(view, status.ready_stamp)).put(b" seconds");
    }
}
