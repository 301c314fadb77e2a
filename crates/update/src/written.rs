// SPDX-License-Identifier: ISC
//! What somebody wrote, out of what an image has of a service: its files under their names in the definition, then its
//! settings, each as the file that it came from. What the compiler made of them is left out. Read by `compare`.

use db::{Db, FileKind, Flags, GENERATED, RUN, SCRIPT, ServiceId};

/// What it is, in the order in which it comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// A file that the image has.
    File,
    /// A setting: lines that count, each with the setting's name in front.
    Setting,
    /// `command`: words, each with a zero byte after it.
    Command,
    /// Nothing more.
    End,
}

/// A file as it stands in a definition.
pub struct Written<'a> {
    /// What comes before another: forms, of one form the names, of one name what the compiler made.
    pub order: (Form, &'a [u8], bool),
    pub kind: FileKind,
    pub mode: u32,
    pub bytes: &'a [u8],
}

/// Gives one after the other.
pub struct All<'d, 'a> {
    db: &'d Db<'a>,
    id: ServiceId,
    /// How many files were given.
    given: usize,
    settings: &'a [u8],
}

/// What comes before the first of these bytes, and what comes after it.
#[inline(never)]
fn cut(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| *b == at).unwrap_or(bytes.len());
    let (before, after) = bytes.split_at_checked(end).unwrap_or_default();
    (before, after.get(1..).unwrap_or_default())
}

/// All that was written of a service, and its files that were not.
pub fn of<'d, 'a>(db: &'d Db<'a>, id: ServiceId) -> All<'d, 'a> {
    All { db, id, given: 0, settings: b"" }
}

impl<'a> All<'_, 'a> {
    /// The next one; of the form `End` for ever when there is none.
    #[inline(never)]
    pub fn next(&mut self) -> Written<'a> {
        let Some(file) = self.db.file_at(self.id, self.given) else { return self.setting() };
        self.given += 1;
        let path = file.path.to_bytes();
        let (mut name, mut made, mut bytes) = (path, false, file.bytes);
        if cut(path, b'/').1.is_empty() {
            name = cut(path, b'.').0;
            // An instanced service has two directories more.
            made = bytes.starts_with(GENERATED) || path.starts_with(b"instance");
            let mut settings: &[u8] = b"";
            if bytes.starts_with(RUN) {
                settings = bytes;
            } else if let Some(words) = bytes.strip_prefix(SCRIPT) {
                (settings, bytes) = cut(words, 0);
            }
            // What the compiler adds has none that somebody wrote.
            if !settings.is_empty() && !self.db.flags(self.id).has(Flags::INTERNAL) {
                // Two lines are none of them.
                self.settings = cut(cut(settings, b'\n').1, b'\n').1;
            }
        }
        Written { order: (Form::File, name, !made), kind: file.kind, mode: file.mode, bytes }
    }

    fn setting(&mut self) -> Written<'a> {
        let all = core::mem::take(&mut self.settings);
        let (form, name, bytes) = if let Some(words) = all.strip_prefix(b"command\n") {
            (Form::Command, &b"command"[..], words)
        } else if all.is_empty() {
            (Form::End, all, all)
        } else {
            // No setting's name begins with another one's.
            let name = cut(cut(all, b'\n').0, b' ').0;
            let mut rest = all;
            while rest.starts_with(name) && !rest.is_empty() {
                rest = cut(rest, b'\n').1;
            }
            self.settings = rest;
            (Form::Setting, name, all.get(..all.len() - rest.len()).unwrap_or_default())
        };
        Written { order: (form, name, true), kind: FileKind::Script, mode: 0, bytes }
    }
}
