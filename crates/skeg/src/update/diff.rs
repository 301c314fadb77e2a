// SPDX-License-Identifier: ISC
//! `skeg diff`: what differs between any two of a source tree, an image and the live state.

use super::image::ImageFile;
use super::reason::{name, place};
use crate::applet::Call;
use crate::manager::{Json, Opened, open, tell_unfinished};
use crate::words::{self, Text};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;
use db::{BundleId, Db, Direction, Flags, Kind, ServiceId, Target};
use live::{Access, tree};
use sys::{CBuf, Errno, Path, fs};
use text::{Digits, Line};
use update::{At, Difference, Field, differences, flags};

/// One of the two.
enum Side {
    Image(ImageFile),
    Live(Box<Opened>),
}

impl Side {
    /// A directory with a `state` file is a live one.
    fn open(call: &Call, path: &'static CStr) -> Result<Self, u8> {
        let state = Path::from_pieces(&[path.to_bytes(), b"/state"])
            .map_err(|_| call.failed(t!("open %"), path.to_bytes(), Errno::NAMETOOLONG))?;
        if fs::access(sys::CWD, &state, 0).is_ok() {
            return open(call, path, Access::Read, call.patience()).map(Self::Live);
        }
        ImageFile::open_or_compile(call, path).map(Self::Image)
    }

    fn db(&self) -> Db<'static> {
        match self {
            Self::Image(file) => file.db,
            Self::Live(opened) => *opened.image.db(),
        }
    }
}

pub const OPTIONS: &str = "2 l=livedir w#wait -j/json";

pub fn main(call: &Call) -> Result<u8, u8> {
    let first = call.operand(t!("compare with what?"))?;
    let (a, b) = call.operands().nth(1).map_or((call.live(), first), |second| (first, second));
    let (a, b) = (Side::open(call, a)?, Side::open(call, b)?);
    let mut out = Out { json: call.has(b'j').then(Json::new), found: 0, between: None, written: Ok(()) };
    if let Some(json) = &mut out.json {
        json.open(b'[');
    }
    services(&mut out, &a.db(), &b.db());
    bundles(&mut out, &a.db(), &b.db());
    let mut hidden = None;
    for side in [&a, &b] {
        if let Side::Live(opened) = side {
            tell_unfinished(call, &opened.live, true);
            let found = disagreements(opened, &mut |name, what| {
                out.tell(b'!', b"service", name, what.bytes(), b"", At::Nowhere);
            });
            hidden = hidden.or(found);
        }
    }
    let found = out.found;
    if let Some(mut json) = out.json {
        json.close(b']');
        out.written = words::output(&json.finish());
    }
    out.written?;
    if let Some(errno) = hidden {
        let code = cant_look(call, errno);
        return Ok(if found == 0 { code } else { 1 });
    }
    Ok(u8::from(found != 0))
}

/// Where differences go.
struct Out {
    json: Option<Json>,
    found: usize,
    /// Of what is told next: from what to what it changed.
    between: Option<[Vec<u8>; 2]>,
    /// How it went so far.
    written: Result<(), u8>,
}

impl Out {
    /// A difference: its sign, whose it is, what it is about in two words, and which.
    fn tell(&mut self, sign: u8, kind: &[u8], name: &[u8], what: &[u8], which: &[u8], at: At) {
        self.found += 1;
        let between = self.between.take();
        if let Some(json) = &mut self.json {
            let change: &[u8] = match sign {
                b'+' => b"added",
                b'-' => b"removed",
                b'!' => b"disagrees",
                _ => b"changed",
            };
            json.open(b'{').key(b"change").string(change).key(kind).string(name);
            if !what.is_empty() {
                json.key(b"what").string(what);
            }
            if !which.is_empty() {
                json.key(b"which").string(which);
            }
            if let Some([from, to]) = between {
                json.key(b"from").string(&from).key(b"to").string(&to);
            }
            if let Some((unit, number)) = place(at) {
                json.key(unit).number(u64::from(number));
            }
            json.close(b'}');
            return;
        }
        let mut text = Line::new();
        text.put(&[sign]).put_quoted(name);
        if kind != b"service" {
            text.put(b" (").put(kind).put(b")");
        }
        if !what.is_empty() {
            text.put(b": ").put(what);
        }
        if !which.is_empty() {
            text.put(b" ").put_quoted(which);
        }
        if let Some([from, to]) = between {
            text.put(b" from ").put_quoted(&from).put(b" to ").put_quoted(&to);
        }
        if let Some((unit, number)) = place(at) {
            text.put(b", ").put(unit).put(b" ").num(u64::from(number));
        }
        words::add_output(&mut self.written, text.end());
    }
}

fn service_of(db: &Db<'_>, name: &[u8]) -> Option<ServiceId> {
    match db.lookup(name) {
        Some(Target::Service(id)) => Some(id),
        _ => None,
    }
}

fn services(out: &mut Out, a: &Db<'_>, b: &Db<'_>) {
    for id in a.services().filter(|id| service_of(b, a.name(*id)).is_none()) {
        out.tell(b'-', b"service", a.name(id), b"", b"", At::Nowhere);
    }
    for new in b.services() {
        let name = b.name(new);
        let Some(old) = service_of(a, name) else {
            out.tell(b'+', b"service", name, kind(b, new), b"", At::Nowhere);
            continue;
        };
        if a.service_hash(old) == b.service_hash(new) {
            continue;
        }
        let before = out.found;
        differences(a, old, b, new, &mut |difference| {
            out.between = between((a, old), (b, new), difference);
            one(out, b"service", name, difference);
        });
        // A flag that a bundle gives is told of the bundle.
        let given = |db: &Db<'_>, id| db.flags(id).0 & Flags::REFERENCE.0;
        if out.found == before && given(a, old) == given(b, new) {
            out.tell(b'~', b"service", name, b"definition", b"", At::Nowhere);
        }
    }
}

fn kind(db: &Db<'_>, id: ServiceId) -> &'static [u8] {
    if db.kind(id) == Kind::Longrun { b"longrun" } else { b"oneshot" }
}

/// From what to what a kind, a timeout, a setting or a word of a script changed.
fn between(
    old: (&Db<'_>, ServiceId),
    new: (&Db<'_>, ServiceId),
    difference: Difference<'_>,
) -> Option<[Vec<u8>; 2]> {
    let timeout =
        |db: &Db<'_>, id, towards| Digits::decimal(u64::from(db.timeout(id, towards))).as_bytes().to_vec();
    if let Difference::FileChanged(name, at, rest) = difference {
        let (end, after) = match at {
            At::Word(_) => (0, 0),
            At::Value => (b'\n', name.len()),
            At::Nowhere | At::Line(_) => return None,
        };
        return Some(rest.map(|rest| piece(rest, end, after)));
    }
    Some([old, new].map(|(db, id)| match difference {
        Difference::Kind => Some(kind(db, id).to_vec()),
        Difference::Setting(Field::TimeoutUp) => Some(timeout(db, id, Direction::Up)),
        Difference::Setting(Field::TimeoutDown) => Some(timeout(db, id, Direction::Down)),
        _ => None,
    }))
    .and_then(|[from, to]| Some([from?, to?]))
}

/// A word of a script or a line of a setting as it was written, but for its quotes.
fn piece(rest: &[u8], end: u8, after: usize) -> Vec<u8> {
    let end = rest.iter().position(|byte| *byte == end);
    let piece: &[u8] = match end.and_then(|end| rest.get(after..end)) {
        None => b"(end)",
        // Words of a block have a space before them; an empty one ends it.
        Some(b"") => b"}",
        Some(piece) => piece.trim_ascii_start(),
    };
    piece.to_vec()
}

const fn field(field: Field) -> &'static [u8] {
    match field {
        Field::File => b"file",
        Field::Dependencies => b"dependency",
        Field::Wants => b"wants",
        Field::After => b"after",
        Field::RestartWith => b"restart-with",
        Field::Consumer => b"producer-for",
        Field::Producers => b"consumer-for",
        Field::TimeoutUp => b"timeout-up",
        Field::TimeoutDown => b"timeout-down",
    }
}

fn one(out: &mut Out, kind: &[u8], name: &[u8], difference: Difference<'_>) {
    let nowhere = At::Nowhere;
    let (verb, object, which, at): (&[u8], &[u8], &[u8], At) = match difference {
        Difference::FileChanged(path, at, _) => (b"changed ", b"file", path, at),
        Difference::Added(list, other) => (b"added ", field(list), other, nowhere),
        Difference::Removed(list, other) => (b"removed ", field(list), other, nowhere),
        Difference::Setting(setting) => (b"changed ", field(setting), b"", nowhere),
        Difference::Kind => (b"changed ", b"kind", b"", nowhere),
    };
    let what = CBuf::<64>::from_pieces(&[verb, object]).unwrap_or_default();
    out.tell(b'~', kind, name, what.as_bytes(), which, at);
}

fn bundles(out: &mut Out, a: &Db<'_>, b: &Db<'_>) {
    let find = |db: &Db<'_>, name: &[u8]| match db.lookup(name) {
        Some(Target::Bundle(id)) => Some(id),
        _ => None,
    };
    for id in a.bundles().filter(|id| find(b, a.bundle_name(*id)).is_none()) {
        out.tell(b'-', b"bundle", a.bundle_name(id), b"", b"", At::Nowhere);
    }
    for new in b.bundles() {
        let name = b.bundle_name(new);
        let Some(old) = find(a, name) else {
            out.tell(b'+', b"bundle", name, b"", b"", At::Nowhere);
            continue;
        };
        contents(out, name, (a, old), (b, new), b"removed");
        contents(out, name, (b, new), (a, old), b"added");
        let (had, has) = (a.bundle_flags(old).0, b.bundle_flags(new).0);
        flags(had & !has, has & !had, &mut |difference| one(out, b"bundle", name, difference));
    }
}

/// What one bundle holds and the other does not.
fn contents(out: &mut Out, bundle: &[u8], one: (&Db<'_>, BundleId), other: (&Db<'_>, BundleId), what: &[u8]) {
    for id in one.0.bundle_contents(one.1) {
        let member = one.0.name(id);
        if !other.0.bundle_contents(other.1).any(|o| other.0.name(o) == member) {
            out.tell(b'~', b"bundle", bundle, what, member, At::Nowhere);
        }
    }
}

/// Says why supervisors were not looked at.
pub fn cant_look(call: &Call, errno: Errno) -> u8 {
    call.failed(t!("look at supervisors, to see whether they agree with the record"), b"", errno)
}

/// Calls `each` with the names of services whose record disagrees with their supervisor, and how; says what was in the way where
/// one can't be looked at.
pub fn disagreements(opened: &Opened, each: &mut dyn FnMut(&'static [u8], Text)) -> Option<Errno> {
    let db = opened.image.db();
    let mut hidden = None;
    let scanned = opened.live.scandir().is_ok_and(|scandir| tree::is_scanned(scandir.dir()) != Ok(false));
    for service in 0..db.longruns() as u16 {
        let recorded = opened.live.states().get(usize::from(service)).is_up();
        let status = opened
            .live
            .service_dir(service)
            .and_then(|dir| Ok(tree::is_supervised(&dir)?.then_some(tree::Status::read(&dir)?)));
        let status = match status {
            Err(Errno::NOENT) => None,
            Err(e) => {
                hidden = Some(e);
                continue;
            }
            Ok(status) => status,
        };
        let what = match (recorded, status.map(|s| s.wanted_up)) {
            (true, Some(true)) | (false, Some(false)) | (false, None) => continue,
            (true, Some(false)) => t!("recorded up, but its supervisor wants it down"),
            (false, Some(true)) => t!("recorded down, but its supervisor wants it up"),
            (true, None) if !scanned => t!("recorded up, but no s6-svscan runs on its scan directory"),
            (true, None) => t!("recorded up, but not supervised"),
        };
        each(name(db, service), what);
    }
    for service in db.longruns()..db.len() {
        if opened.live.states().get(service).settled().uncertain {
            each(name(db, service as u16), t!("uncertain: its script was cut short"));
        }
    }
    hidden
}
