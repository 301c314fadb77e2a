// SPDX-License-Identifier: ISC
//! Dry runs of `s6-rc`: the transitions in their order, printed and not done.

use super::{Call, Command, Opened, Options};
use crate::fault_words::put_quoted;
use crate::words;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use engine::{Change, Ended, Rules, Script, Set, Step, Towards, close};
use sys::time::{Millis, monotonic};

/// Prints what the command would do; each transition takes `throttle` milliseconds.
pub fn run(call: &Call, opened: &Opened, mut selected: Set, o: &Options, command: Command) -> Result<u8, u8> {
    let mut up = run::up_set(&opened.live);
    if command == Command::Reload {
        for service in selected.iter() {
            print(opened, service, b"reload", Script::Reload)?;
        }
        return Ok(0);
    }
    if !o.prune {
        return pretend(call, opened, selected, &mut up, o, o.towards);
    }
    close(&opened.image, &mut selected, o.towards);
    if o.towards == Towards::Up {
        selected.invert();
    }
    pretend(call, opened, selected.clone(), &mut up, o, Towards::Down)?;
    selected.invert();
    pretend(call, opened, selected, &mut up, o, Towards::Up)
}

fn pretend(
    call: &Call,
    opened: &Opened,
    selected: Set,
    up: &mut Set,
    o: &Options,
    towards: Towards,
) -> Result<u8, u8> {
    let rules = Rules { towards, stop_essentials: o.hide_essentials, scripts: usize::from(call.scripts()?) };
    let throttle = call.number(b'n', 0);
    let mut change = Change::new(&opened.image, up, selected, rules);
    // All take equally long, so they end in the order in which they begin.
    let mut running: VecDeque<(u64, u16)> = VecDeque::new();
    loop {
        while let Some(step) = change.next() {
            let (Step::Script(service) | Step::Longrun(service)) = step else { continue };
            let (word, script): (&[u8], _) = match towards {
                Towards::Up => (b"start", Script::Up),
                Towards::Down => (b"stop", Script::Down),
            };
            print(opened, service, word, script)?;
            running.push_back((monotonic().0 + u64::from(throttle), service));
        }
        let Some((at, service)) = running.pop_front() else { break };
        let left = at.saturating_sub(monotonic().0);
        if left != 0 {
            let _ = sys::event::poll(&mut [], Some(Millis(left)));
        }
        change.ended(service, Ended::Done);
    }
    *up = change.up();
    Ok(0)
}

/// One transition: what would be sent, or the command line that would be run.
fn print(opened: &Opened, service: u16, word: &[u8], script: Script) -> Result<(), u8> {
    let image = &opened.image;
    let mut line = Vec::new();
    for piece in [b"s6-rc-dryrun: ", word, b" ", image.name(service), b":"] {
        line.extend_from_slice(piece);
    }
    if image.is_oneshot(service) {
        for word in image.script(service, script).split(|b| *b == 0).filter(|w| !w.is_empty()) {
            line.push(b' ');
            put_quoted(&mut line, word);
        }
    } else {
        let command: &[u8] = match script {
            Script::Up if image.file(service, b"notification-fd").is_some() => b" s6-svc -uwU -- ",
            Script::Up => b" s6-svc -uwu -- ",
            Script::Down => b" s6-svc -dwD -- ",
            Script::Reload => b" s6-svc -h -- ",
        };
        line.extend_from_slice(command);
        line.extend_from_slice(image.name(service));
    }
    line.push(b'\n');
    words::output(&line)
}
