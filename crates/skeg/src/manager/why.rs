// SPDX-License-Identifier: ISC
//! `skeg why`: why a service is up, down, or not what it should be, and which other service is the cause.

use super::facts::{Facts, Found, Past};
use super::json::Json;
use super::open::{Opened, open, tell_unfinished};
use super::status::{span, state};
use crate::applet::Call;
use crate::words;
use alloc::vec::Vec;
use engine::{Graph, Set, Towards};
use live::{Access, Outcome, Phase, Wait};
use sys::Errno;
use text::Line;

pub const OPTIONS: &str = "1 l=livedir -j/json";

pub fn main(call: &Call) -> Result<u8, u8> {
    let name = call.operand(t!("which service?"))?.to_bytes();
    let opened = open(call, call.live(), Access::Look, Wait::No)?;
    tell_unfinished(call, &opened.live, false);
    let id = match opened.image.db().lookup(name) {
        Some(db::Target::Service(id)) => id,
        Some(db::Target::Bundle(_)) => {
            return Err(call.fail(3, t!("'%' is a bundle: 'skeg status %' lists it"), name));
        }
        None => return Err(words::unknown(call, opened.image.db(), name)),
    };
    let service = id.index() as u16;
    let facts = Facts::read(call, &opened);
    let causes = causes(&opened, &facts, service);
    let dependents = dependents(&opened, service);
    let text = if call.has(b'j') {
        json(&opened, &facts, service, &causes, &dependents)
    } else {
        prose(&opened, &facts, service, &causes, &dependents)
    };
    words::output(&text)?;
    Ok(0)
}

/// The services below it that are down although all that they need is up: where a start would begin, or has failed.
fn causes(opened: &Opened, facts: &Facts<'_>, service: u16) -> Vec<u16> {
    let image = &opened.image;
    let mut seen = Set::new(image.db().len());
    let (mut work, mut causes) = (Vec::from([service]), Vec::new());
    seen.insert(service);
    while let Some(at) = work.pop() {
        if facts.of(at).state.is_up() {
            continue;
        }
        let mut blocked = false;
        image.hard(at, Towards::Up, &mut |below| {
            if !opened.live.states().get(usize::from(below)).is_up() {
                blocked = true;
                if seen.insert(below) {
                    work.push(below);
                }
            }
        });
        if !blocked && at != service {
            causes.push(at);
        }
    }
    db::sort::sort(&mut causes, |a, b| a < b);
    causes
}

/// The services that are up and depend on it.
fn dependents(opened: &Opened, service: u16) -> Vec<u16> {
    let mut found = Vec::new();
    opened.image.hard(service, Towards::Down, &mut |above| {
        if opened.live.states().get(usize::from(above)).is_up() {
            found.push(above);
        }
    });
    found
}

fn prose(opened: &Opened, facts: &Facts<'_>, service: u16, causes: &[u16], dependents: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    let found = facts.of(service);
    describe(&mut out, facts, &found, b"");
    if found.is_given_up() {
        let mut line = Line::new();
        line.put_template(t!("  'skeg restart %' starts it").bytes(), &[found.name]);
        out.extend_from_slice(line.end());
    }
    for cause in causes {
        describe(&mut out, facts, &facts.of(*cause), b"needs ");
    }
    if !dependents.is_empty() {
        out.extend_from_slice(b"needed by");
        for other in dependents {
            out.push(b' ');
            out.extend_from_slice(opened.image.name(*other));
        }
        out.push(b'\n');
    }
    out
}

/// Some lines on one service.
fn describe(out: &mut Vec<u8>, facts: &Facts<'_>, found: &Found<'_>, before: &[u8]) {
    let mut line = Line::new();
    line.put(before).put_quoted(found.name).put(b": ").put(state(found));
    if found.state.uncertain {
        line.put(t!(", but uncertain: its last transition was cut short").bytes());
    }
    match found.status {
        Some(status) if status.is_up() => {
            line.put(b", process ").num(u64::from(status.pid)).put(b" since ");
            span(&mut line, found.since);
            if found.can_say {
                line.put(if status.ready { b", ready" } else { b", not ready" });
            }
        }
        Some(status) if status.finishing => {
            line.put(t!(", its finish script runs, process ").bytes()).num(u64::from(status.pid));
        }
        Some(status) if status.wanted_up => {
            line.put(t!(", its supervisor starts it again and again").bytes());
        }
        Some(_) if found.is_given_up() => {
            line.put(t!(", but it has ended and is not started again").bytes());
        }
        None if !found.oneshot => match found.hidden {
            Some(Errno::ACCESS | Errno::PERM) => {
                line.put(t!(" by the record: only root and the user of its supervisor can ask that").bytes());
            }
            Some(e) => {
                line.put(t!(" by the record: its supervisor can't be asked: ").bytes()).put(words::errno(e));
            }
            None => {
                line.put(t!(", nobody supervises it").bytes());
            }
        },
        _ => {}
    }
    out.extend_from_slice(line.end());
    line.clear();
    if found.owed {
        let text = t!(
            "  it is owed: a command that failed wanted it up; 'skeg recover' starts it, 's6-rc -d change %' gives it up"
        );
        line.put_template(text.bytes(), &[found.name]);
        out.extend_from_slice(line.end());
        line.clear();
    }
    if let Some(status) = found.status.filter(|_| found.has_ended) {
        line.put(t!("  its process ended last ").bytes());
        match (status.signal(), status.exit_code()) {
            (Some(signal), _) => line.put(b"by SIG").put(sys::signal::name(signal)),
            (None, code) => line.put(t!("with exit code ").bytes()).num(u64::from(code.unwrap_or(0))),
        };
        out.extend_from_slice(line.end());
        line.clear();
    }
    if let Some(program) = facts.missing_interpreter(found) {
        line.put(t!("  its run can't be started: ").bytes());
        match program {
            Some(program) => line.put(t!("there is no program ").bytes()).put_quoted(&program),
            None => line.put(t!("it begins neither with #! nor as a program").bytes()),
        };
        out.extend_from_slice(line.end());
        line.clear();
    }
    if let Some(past) = found.last {
        transition(&mut line, facts, found, past);
        out.extend_from_slice(line.end());
    } else if found.state.phase == Phase::Down && facts.remembers {
        out.extend_from_slice(t!("  nobody has tried to start it\n").bytes());
    }
}

fn transition(line: &mut Line, facts: &Facts<'_>, found: &Found<'_>, past: Past) {
    line.put(b"  its last ").put(if past.up { b"start" } else { b"stop" }).put(b", ");
    span(line, facts.now.saturating_sub(past.when));
    line.put(b" ago, ");
    match past.outcome {
        Outcome::Done => line.put(t!("succeeded after ").bytes()),
        Outcome::NotStarted(errno) => {
            let errno = words::errno(Errno::from_raw_os_error(i32::from(errno)));
            let text = t!("failed: its script can't be started: %: %; after ");
            line.put_template(text.bytes(), &[facts.program(found.index, past.up), errno])
        }
        Outcome::Killed(signal) => {
            let text = t!("failed: its script was killed by SIG% after ");
            line.put_template(text.bytes(), &[sys::signal::name(signal)])
        }
        Outcome::Failed(125) if !found.oneshot => {
            line.put(t!("failed: its finish exited 125, for good; after ").bytes())
        }
        Outcome::Failed(code) => {
            line.put(t!("failed with exit code ").bytes()).num(u64::from(code)).put(b" after ")
        }
        Outcome::TimedOut => line.put(t!("timed out after ").bytes()),
        Outcome::Cut => line.put(t!("was interrupted after ").bytes()),
    };
    line.seconds(u64::from(past.took));
}

fn json(opened: &Opened, facts: &Facts<'_>, service: u16, causes: &[u16], dependents: &[u16]) -> Vec<u8> {
    let mut json = Json::new();
    json.open(b'{');
    one(&mut json, &facts.of(service));
    json.key(b"causes").open(b'[');
    for cause in causes {
        json.open(b'{');
        one(&mut json, &facts.of(*cause));
        json.close(b'}');
    }
    json.close(b']').key(b"needed_by").open(b'[');
    for other in dependents {
        json.string(opened.image.name(*other));
    }
    json.close(b']').close(b'}');
    json.finish()
}

fn one(json: &mut Json, found: &Found<'_>) {
    json.key(b"name").string(found.name);
    json.key(b"state").string(state(found));
    json.key(b"uncertain").boolean(found.state.uncertain);
    json.key(b"owed").boolean(found.owed);
    if let Some(status) = found.status {
        json.key(b"running").boolean(status.is_up());
        json.key(b"ready").boolean(status.is_up() && status.ready);
        json.key(b"wanted").boolean(status.wanted_up);
        json.key(b"last_exit").number(u64::from(status.exit_code().unwrap_or(0)));
        json.key(b"last_signal").number(u64::from(status.signal().unwrap_or(0)));
    }
    if let Some(past) = found.last {
        json.key(b"last").open(b'{');
        json.key(b"what").string(if past.up { b"start" } else { b"stop" });
        json.key(b"when").number(past.when).key(b"took_ms").number(u64::from(past.took));
        let (outcome, code): (&[u8], u8) = match past.outcome {
            Outcome::Done => (b"done", 0),
            Outcome::Failed(code) => (b"failed", code),
            Outcome::Killed(signal) => (b"failed", 128u8.wrapping_add(signal)),
            Outcome::NotStarted(_) => (b"failed", 127),
            Outcome::TimedOut => (b"timed out", 0),
            Outcome::Cut => (b"interrupted", 0),
        };
        json.key(b"outcome").string(outcome).key(b"code").number(u64::from(code));
        json.close(b'}');
    }
}
