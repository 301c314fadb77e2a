// SPDX-License-Identifier: ISC
//! `s6-svstat`: what a supervisor says of its service.

use crate::applet::Call;
use crate::words;
use live::tree::Status;
use sys::time::{Wall, wall};
use sys::{CWD, Errno};
use text::Line;

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

/// The fields with a letter.
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

pub const OPTIONS: &str = "u/ w/ N/ r/ p/ g/ e/ s/ t/ n/ o=";

type Fields = heapless::Vec<Field, 16>;

struct View {
    status: Status,
    normally_up: bool,
    now: Wall,
}

pub fn main(call: &Call) -> Result<u8, u8> {
    let (mut fields, mut options) = (Fields::new(), call.options());
    while let Ok(Some(letter)) = options.option() {
        if letter == b'o' {
            add_named(call, &mut fields, options.value.to_bytes())?;
        } else if let Some((_, field)) = LETTERS.iter().find(|(l, _)| *l == letter) {
            add(call, &mut fields, *field)?;
        }
    }
    let view = look(call, call.operand(t!("which service directory?"))?)?;
    print(&view, &fields, call.has(b'n'))
}

fn add(call: &Call, fields: &mut Fields, field: Field) -> Result<(), u8> {
    fields.push(field).map_err(|_| call.misused(t!("too many fields: at most 16"), b""))
}

fn add_named(call: &Call, fields: &mut Fields, list: &[u8]) -> Result<(), u8> {
    for name in list.split(|b| *b == b',').filter(|name| !name.is_empty()) {
        match FIELDS.iter().find(|(n, _)| *n == name) {
            Some((_, field)) => add(call, fields, *field)?,
            None => return Err(call.misused(t!("there is no field '%'"), name)),
        }
    }
    Ok(())
}

fn look(call: &Call, path: &'static core::ffi::CStr) -> Result<View, u8> {
    let shown = path.to_bytes();
    let supervised = match sys::fs::open_dir(CWD, path) {
        Ok(dir) => live::tree::is_supervised(&dir).map(|yes| yes.then_some(dir)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => return Err(call.failed(t!("open %"), shown, e)),
    };
    let supervised = supervised.map_err(|e| call.failed(t!("check %"), shown, e))?;
    let Some(dir) = supervised else {
        return Err(call.fail(1, t!("can't read the status of %: no supervisor runs on it"), shown));
    };
    let status = Status::read(&dir).map_err(|e| call.failed(t!("read the status of %"), shown, e))?;
    let normally_up = match sys::fs::access(&dir, c"down", 0) {
        Ok(()) => false,
        Err(Errno::NOENT) => true,
        Err(e) => return Err(call.failed(t!("look for %/down"), shown, e)),
    };
    Ok(View { status, normally_up, now: wall() })
}

fn print(view: &View, fields: &Fields, numeric: bool) -> Result<u8, u8> {
    let mut line = Line::new();
    if fields.is_empty() {
        for_people(view, numeric, &mut line);
    }
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            line.put(b" ");
        }
        put_field(view, *field, &mut line);
    }
    words::output(line.end()).map(|()| 0)
}

/// Whole seconds from a stamp until now; 0 for one in the future.
fn seconds(view: &View, stamp: sys::time::Tai64n) -> u64 {
    let then = stamp.wall();
    let borrow = i64::from(view.now.nanos < then.nanos);
    u64::try_from(view.now.seconds.saturating_sub(then.seconds).saturating_sub(borrow)).unwrap_or(0)
}

fn put_field(view: &View, field: Field, line: &mut Line) {
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

fn for_people(view: &View, numeric: bool, line: &mut Line) {
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
