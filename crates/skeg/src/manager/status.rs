// SPDX-License-Identifier: ISC
//! `skeg status`: every service with its state, its process, and since when.

use super::facts::{Facts, Found};
use super::json::Json;
use super::open::{Opened, open, tell_unfinished};
use crate::applet::Call;
use crate::words;
use alloc::vec::Vec;
use engine::Set;
use live::{Access, Phase, Wait};
use sys::Errno;
use text::Digits;

pub const OPTIONS: &str = "+ l=livedir -j/json";

/// The services that the words stand for.
#[inline(never)]
pub fn select(call: &Call, opened: &Opened) -> Result<Set, u8> {
    let mut selected = Set::new(opened.image.db().len());
    for name in call.operands() {
        if !opened.image.select_all(name.to_bytes(), &mut selected) {
            return Err(words::unknown(call, opened.image.db(), name.to_bytes()));
        }
    }
    Ok(selected)
}

pub fn main(call: &Call) -> Result<u8, u8> {
    let opened = open(call, call.live(), Access::Look, Wait::No)?;
    tell_unfinished(call, &opened.live, false);
    let mut selected = select(call, &opened)?;
    let is_named = call.operands().next().is_some();
    if !is_named {
        selected.invert();
    }
    let facts = Facts::read(call, &opened);
    let found: Vec<Found<'_>> = selected.iter().map(|service| facts.of(service)).collect();
    let told = match found.iter().find_map(|f| f.hidden) {
        None => Ok(()),
        Some(Errno::ACCESS | Errno::PERM) => {
            call.say(t!("only root and the user of the supervisors can ask them: this is the record"), b"");
            Ok(())
        }
        Some(e) => Err(call.failed(t!("ask all supervisors: this is the record"), b"", e)),
    };
    words::output(&if call.has(b'j') { json(&found) } else { table(&found) })?;
    told?;
    // What the compiler adds is up where something needs it.
    let counts = |f: &&Found<'_>| is_named || !opened.image.is_internal(f.index);
    Ok(u8::from(!found.iter().filter(counts).all(Found::is_up)))
}

/// A service's state in one word. What a stop gave up on is on its way, and its supervisor knows how far.
pub fn state(found: &Found<'_>) -> &'static [u8] {
    let told_to_go = found.status.filter(|status| !status.wanted_up);
    match found.state.phase {
        Phase::Starting | Phase::Stopping if told_to_go.is_some_and(|status| status.pid == 0) => b"down",
        Phase::Starting if told_to_go.is_some() => b"stopping",
        Phase::Up => b"up",
        Phase::Down => b"down",
        Phase::Starting => b"starting",
        Phase::Stopping => b"stopping",
    }
}

fn json(found: &[Found<'_>]) -> Vec<u8> {
    let mut json = Json::new();
    json.open(b'[');
    for f in found {
        json.open(b'{');
        json.key(b"name").string(f.name);
        json.key(b"kind").string(if f.oneshot { b"oneshot" } else { b"longrun" });
        json.key(b"state").string(state(f));
        json.key(b"uncertain").boolean(f.state.uncertain);
        json.key(b"owed").boolean(f.owed);
        if !f.oneshot && f.hidden.is_none() {
            json.key(b"supervised").boolean(f.status.is_some());
        }
        if let Some(status) = f.status {
            json.key(b"running").boolean(status.is_up());
            json.key(b"ready").boolean(status.is_up() && status.ready);
            json.key(b"wanted").boolean(status.wanted_up);
            json.key(b"pid").number(u64::from(status.pid));
            json.key(b"since").number(f.since);
        }
        if let Some(start) = f.started {
            json.key(b"start_ms").number(u64::from(start.took));
        }
        json.close(b'}');
    }
    json.close(b']');
    json.finish()
}

fn table(found: &[Found<'_>]) -> Vec<u8> {
    let width = found.iter().map(|f| f.name.len()).max().unwrap_or(0).clamp(7, 40);
    let mut out = Vec::new();
    row(&mut out, width, [b"SERVICE", b"KIND", b"STATE", b"PID", b"SINCE", b"START"]);
    for f in found {
        let pid = f.status.map_or(0, |s| s.pid);
        let pid = Digits::decimal(u64::from(pid));
        let (mut name, mut since) = (text::Line::new(), text::Line::new());
        name.put_quoted(f.name);
        let mut took = text::Line::new();
        if let Some(status) = f.status.filter(|s| s.pid != 0 || !s.paused) {
            let _ = status;
            span(&mut since, f.since);
        }
        if let Some(start) = f.started.filter(|_| f.state.is_up()) {
            took.seconds(u64::from(start.took));
        }
        let pid: &[u8] = if f.status.is_some_and(|s| s.pid != 0) { pid.as_bytes() } else { b"-" };
        let kind: &[u8] = if f.oneshot { b"oneshot" } else { b"longrun" };
        row(&mut out, width, [name.as_bytes(), kind, detail(f), pid, since.as_bytes(), took.as_bytes()]);
    }
    out
}

/// The state with what the supervisor says of it.
fn detail(f: &Found<'_>) -> &'static [u8] {
    match f.status {
        _ if f.state.uncertain => b"uncertain",
        _ if f.owed && f.state.phase == Phase::Down => b"down, owed",
        None if !f.oneshot && f.hidden.is_none() => b"unsupervised",
        Some(s) if s.finishing => b"finishing",
        _ if f.is_given_up() => b"failed",
        Some(s) if s.wanted_up && f.state.is_up() && !s.is_up() => b"restarting",
        Some(s) if f.state.phase == Phase::Up && s.is_up() && s.ready => b"up, ready",
        Some(s) if f.state.phase == Phase::Down && s.is_up() => b"down, but runs",
        _ => state(f),
    }
}

fn row(out: &mut Vec<u8>, width: usize, cells: [&[u8]; 6]) {
    let widths = [width, 7, 14, 7, 12, 0];
    for (cell, width) in cells.into_iter().zip(widths) {
        out.extend_from_slice(cell);
        if width != 0 {
            out.resize(out.len() + 2 + width.saturating_sub(cell.len()), b' ');
        }
    }
    while out.last() == Some(&b' ') {
        out.pop();
    }
    out.push(b'\n');
}

/// Seconds as `3d 04:05:06`.
pub fn span(line: &mut text::Line, seconds: u64) {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    if days != 0 {
        line.num(days).put(b"d ");
    }
    for (index, part) in [rest / 3_600, rest / 60 % 60, rest % 60].into_iter().enumerate() {
        if index != 0 {
            line.put(b":");
        }
        line.put(&[b'0' + (part / 10) as u8, b'0' + (part % 10) as u8]);
    }
}
