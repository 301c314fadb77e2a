// SPDX-License-Identifier: ISC
//! Process settings and `restart-backoff`: the files of `PROCESS.md` into a generated `run`, or before a oneshot's commands.
//!
//! A longrun's own script becomes `run.user`; the generated one carries the settings, which `s6rc-run` applies before
//! it executes that script, or the `command`. So no setting depends on whose supervisor runs it. A oneshot's command
//! lines get `s6rc-script` and the settings in front.

use crate::definition::{One, file};
use crate::fault::What;
use crate::known::Known;
use crate::process::{Fault, Setting, Settings};
use crate::{Definition, Type};
use alloc::vec::Vec;
use db::Flags;

/// In the order of their names, in which whoever compares two images expects them.
const FILES: [(Known, Setting); 9] = [
    (Known::Capabilities, Setting::Capabilities),
    (Known::Cgroup, Setting::Cgroup),
    (Known::Groups, Setting::Groups),
    (Known::Nice, Setting::Nice),
    (Known::NoNewPrivs, Setting::NoNewPrivs),
    (Known::OomScore, Setting::OomScore),
    (Known::Rlimits, Setting::Rlimits),
    (Known::Umask, Setting::Umask),
    (Known::User, Setting::User),
];

/// Reads the settings; with any, `run` becomes `run.user` and a generated `run` takes its place.
pub fn read(one: &mut One<'_, '_>, d: &mut Definition) {
    if d.kind == Type::Longrun {
        backoff(one, d);
    }
    let read = |(known, setting): &(Known, Setting)| {
        let means = one.present.has(*known) && known.types().has(d.kind);
        if means { Some((*setting, one.bytes(*known)?)) } else { None }
    };
    let contents: Vec<_> = FILES.iter().filter_map(read).collect();
    let command = core::mem::take(&mut one.command);
    if contents.is_empty() && command.is_empty() {
        return;
    }
    let name = d.name.clone();
    let mut settings = Settings::new();
    let mut report = |fault: Fault<'_>| {
        let (file, what) = (fault.setting.name().as_bytes(), What::Setting(fault.wrong));
        one.faults.add(true, file, fault.line, what, fault.text, b"");
    };
    for (setting, bytes) in &contents {
        settings.add_file(*setting, bytes, &mut report);
    }
    settings.name_cgroup(&name, &mut report);
    if !command.is_empty() {
        let words = command.strip_suffix(b"\0").unwrap_or(&command);
        settings.set_command(words.split(|b| *b == 0).collect());
    }
    if settings.is_empty() {
        return;
    }
    d.flags = d.flags.with(Flags::SETTINGS);
    if d.kind == Type::Oneshot {
        // One without a word is a success, whoever runs it.
        for script in d.files.iter_mut().filter(|file| !file.bytes.is_empty()) {
            script.bytes = settings.script(&script.bytes);
        }
        return;
    }
    wrap(d, b"run", settings.run());
    if let Some(cgroup) = &settings.cgroup {
        d.cgroup.clone_from(&cgroup.path);
    }
    if let Some(finish) = settings.finish() {
        d.flags = d.flags.with(Flags::CGROUP);
        wrap(d, b"finish", finish);
    }
}

/// Puts a generated script in the place of the definition's own, which gets `.user` after its name.
fn wrap(d: &mut Definition, name: &[u8], generated: Vec<u8>) {
    if let Some(own) = d.files.iter_mut().find(|f| f.path == name) {
        own.path.extend_from_slice(b".user");
    }
    let mut script = file("", 0o755, generated);
    script.path = name.to_vec();
    d.files.push(script);
}

/// `FIRST MOST`, in milliseconds: the pause after the first death, and the longest that it grows to.
fn backoff(one: &mut One<'_, '_>, d: &mut Definition) {
    let Some(bytes) = one.bytes(Known::RestartBackoff) else { return };
    if bytes.contains(&b'\r') {
        return one.faults.add(true, b"restart-backoff", 1, What::Crlf, b"", b"");
    }
    let mut words = bytes.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
    let number = |w: Option<&[u8]>| text::parse_u64(w?).ok().and_then(|n| u32::try_from(n).ok());
    match (number(words.next()), number(words.next()), words.next()) {
        (Some(first), Some(most), None) if first > 0 && first <= most => {
            let mut line = text::Digits::decimal(u64::from(first)).as_bytes().to_vec();
            line.push(b' ');
            line.extend_from_slice(text::Digits::decimal(u64::from(most)).as_bytes());
            line.push(b'\n');
            d.files.push(file("restart-backoff", 0o644, line));
            d.flags = d.flags.with(Flags::BACKOFF);
        }
        _ => one.faults.add(true, b"restart-backoff", 1, What::Backoff, bytes.trim_ascii(), b""),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn settings_are_written_in_the_order_of_their_names() {
        assert!(super::FILES.is_sorted_by_key(|(known, _)| known.name()));
        assert!(super::FILES.iter().map(|(_, setting)| *setting).eq(crate::process::Setting::ALL));
    }
}
