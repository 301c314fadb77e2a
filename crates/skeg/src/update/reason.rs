// SPDX-License-Identifier: ISC
//! A plan in words and in JSON: each step with its reason.

use crate::manager::Json;
use crate::words::{self, Text};
use alloc::vec::Vec;
use db::Db;
use text::Line;
use update::{At, Plan, Reason, view};

/// A service's name by its index.
pub fn name<'a>(db: &Db<'a>, service: u16) -> &'a [u8] {
    db.service(usize::from(service)).map_or(b"", |id| db.name(id))
}

type Words = Line;

/// What of a service's definition changed.
fn change(line: &mut Words, path: &[u8], at: At) {
    line.put(path).put(if path == b"run" { b" file changed".as_slice() } else { b" changed" });
    if let Some((unit, number)) = place(at) {
        line.put(b", ").put(unit).put(b" ").num(u64::from(number));
    }
}

/// A place in a file, in words.
pub fn place(at: At) -> Option<(&'static [u8], u32)> {
    match at {
        At::Nowhere | At::Value => None,
        At::Line(number) => Some((b"line", number)),
        At::Word(number) => Some((b"word", number)),
    }
}

/// Appends a reason: "it needs `lan`, whose run file changed, line 3".
fn put(line: &mut Words, plan: &Plan<'_>, reason: Reason<'_>) {
    let none: &[u8] = b"";
    let (text, of) = match reason {
        Reason::None => (t!("of the plan"), none),
        Reason::Gone => (t!("the new image does not have it"), none),
        Reason::OtherKind => (t!("it becomes a service of another kind"), none),
        Reason::BecameBundle => (t!("its name is that of a bundle now"), none),
        Reason::Asked => (t!("the conversion file asks for it"), none),
        Reason::File(path, at) => {
            line.put(b"its ");
            return change(line, path, at);
        }
        Reason::Definition => (t!("its definition changed"), none),
        Reason::Pipeline => (t!("its place in a pipeline changed"), none),
        Reason::NeedsOld(other) => {
            line.put(t!("it depends on ").bytes()).put_quoted(name(&plan.old, other));
            return because_of(line, plan, other);
        }
        Reason::NeedsNew(other) => (t!("it depends on %, which was not up"), name(&plan.new, other)),
        Reason::RestartWith(other) => (t!("it restarts with %, which starts"), name(&plan.new, other)),
        Reason::Restart => (t!("it was up before"), none),
        Reason::Owed => (t!("it was to be up, but a command that failed left it down"), none),
        Reason::NeededBy(other) if plan.kept.contains(other) => {
            (t!("%, which is up, depends on it now"), name(&plan.new, other))
        }
        Reason::NeededBy(other) => (t!("%, which starts, depends on it"), name(&plan.new, other)),
    };
    line.put_template(text.bytes(), &[of]);
}

/// Why what a service depends on stops.
fn because_of(line: &mut Words, plan: &Plan<'_>, other: u16) {
    match plan.why_stop.get(usize::from(other)).copied().unwrap_or_default() {
        Reason::File(path, at) => {
            line.put(b", whose ");
            change(line, path, at);
        }
        Reason::Gone => {
            line.put(b", which has gone");
        }
        _ => {
            let back = comes_back(plan, other).is_some();
            line.put(if back { b", which restarts".as_slice() } else { b", which stops" });
        }
    }
}

/// Whether an old service that stops comes back, and under which name.
fn comes_back<'a>(plan: &Plan<'a>, old: u16) -> Option<&'a [u8]> {
    plan.mapping.targets(old).iter().find(|new| plan.start.contains(**new)).map(|new| name(&plan.new, *new))
}

/// Prints where the record and supervisors disagree, then a plan, a line a step, in the order in which the steps are taken.
pub fn print(plan: &Plan<'_>, apart: &[(&[u8], Text)]) -> Result<(), u8> {
    for (name, how) in apart {
        let mut line = Words::new();
        line.put(b"!").put_quoted(name).put(b": ").put(how.bytes());
        words::output(line.end())?;
    }
    let (mut printed, mut any) = (Ok(()), false);
    let mut say = |line: &mut Words| {
        any = true;
        words::add_output(&mut printed, line.end());
    };
    view(plan, &mut |start, service| {
        let mut line = Words::new();
        if start {
            line.put(b"start    ").put_quoted(name(&plan.new, service)).put(b": ");
            put(&mut line, plan, plan.why.get(usize::from(service)).copied().unwrap_or_default());
        } else {
            line.put(if comes_back(plan, service).is_some() {
                b"restart  ".as_slice()
            } else {
                b"stop     "
            });
            line.put_quoted(name(&plan.old, service)).put(b": ");
            put(&mut line, plan, plan.why_stop.get(usize::from(service)).copied().unwrap_or_default());
        }
        say(&mut line);
    });
    for service in plan.in_place.iter().filter(|s| plan.kept.contains(*s)) {
        let mut line = Words::new();
        line.put(b"in place ").put_quoted(name(&plan.new, service)).put(b": ");
        let why = plan.why.get(usize::from(service)).copied().unwrap_or_default();
        put(&mut line, plan, why);
        line.put(if plan.reload.contains(service) {
            b"; at once, with a reload".as_slice()
        } else if matches!(why, Reason::File(path, _) if path.starts_with(b"template/")) {
            b"; for new instances"
        } else {
            b"; from its next start on"
        });
        say(&mut line);
    }
    renames(plan, |old, new| {
        let mut line = Words::new();
        say(line.put(b"rename   ").put_quoted(old).put(b" -> ").put_quoted(new));
    });
    if any { printed } else { words::output(b"nothing stops, nothing starts\n") }
}

/// Calls `each` with the names of services that go on under another name.
fn renames<'a>(plan: &Plan<'a>, mut each: impl FnMut(&'a [u8], &'a [u8])) {
    for new in 0..plan.new.len() as u16 {
        let Some(old) = plan.mapping.same(new) else { continue };
        let (from, to) = (name(&plan.old, old), name(&plan.new, new));
        if from != to {
            each(from, to);
        }
    }
}

/// A plan as one JSON object.
pub fn json(plan: &Plan<'_>, unfinished: bool, apart: &[(&[u8], Text)]) -> Vec<u8> {
    let mut json = Json::new();
    json.open(b'{').key(b"unfinished").boolean(unfinished).key(b"disagreements").open(b'[');
    for (name, how) in apart {
        json.open(b'{').key(b"service").string(name).key(b"what").string(how.bytes()).close(b'}');
    }
    json.close(b']').key(b"steps").open(b'[');
    view(plan, &mut |start, service| {
        let (db, why) = if start { (&plan.new, &plan.why) } else { (&plan.old, &plan.why_stop) };
        let action: &[u8] = match (start, comes_back(plan, service)) {
            (true, _) => b"start",
            (false, Some(_)) => b"restart",
            (false, None) => b"stop",
        };
        one(&mut json, plan, action, name(db, service), why.get(usize::from(service)).copied());
    });
    for service in plan.in_place.iter().filter(|s| plan.kept.contains(*s)) {
        let action: &[u8] = if plan.reload.contains(service) { b"reload" } else { b"in-place" };
        one(&mut json, plan, action, name(&plan.new, service), plan.why.get(usize::from(service)).copied());
    }
    json.close(b']').key(b"renames").open(b'[');
    renames(plan, |old, new| {
        json.open(b'{').key(b"from").string(old).key(b"to").string(new).close(b'}');
    });
    json.close(b']').close(b'}');
    json.finish()
}

fn one(json: &mut Json, plan: &Plan<'_>, action: &[u8], name: &[u8], reason: Option<Reason<'_>>) {
    let mut line = Words::new();
    put(&mut line, plan, reason.unwrap_or_default());
    json.open(b'{').key(b"action").string(action).key(b"service").string(name);
    json.key(b"reason").string(line.as_bytes());
    if let Some(Reason::File(path, at)) = reason {
        json.key(b"file").string(path);
        if let Some((unit, number)) = place(at) {
            json.key(unit).number(u64::from(number));
        }
    }
    json.close(b'}');
}
