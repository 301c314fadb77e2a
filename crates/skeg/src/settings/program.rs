// SPDX-License-Identifier: ISC
//! What this process becomes: the user's own script beside the generated one, or the service's command.

use super::Service;
use crate::words;
use alloc::vec::Vec;
use core::ffi::CStr;
use sys::spawn::{Word, Words, exec};
use sys::start::Strings;
use sys::{CWD, Errno, Path};

/// Where a name is looked for when there is no PATH in the environment.
const DEFAULT_PATH: &[u8] = b"/usr/bin:/bin:/usr/sbin:/sbin";

/// A program and its arguments, ready to exec.
pub struct Program {
    /// A name without a slash is looked for in PATH.
    name: &'static CStr,
    words: Vec<Word<'static>>,
}

/// The user's script beside a generated one: `run.user` for `run`.
fn own_script(script: &CStr) -> Option<Path> {
    Path::from_pieces(&[script.to_bytes(), b".user"]).ok()
}

/// A copy that lives until the exec, which comes next.
fn keep(string: &[u8]) -> &'static CStr {
    let mut bytes = Vec::with_capacity(string.len() + 1);
    bytes.extend_from_slice(string);
    bytes.push(0);
    CStr::from_bytes_until_nul(bytes.leak()).unwrap_or_default()
}

impl Program {
    /// Whether the user has a script of his own.
    pub fn has_script(script: &CStr) -> bool {
        own_script(script).is_some_and(|path| sys::fs::access(CWD, &path, 0).is_ok())
    }

    /// The user's script, called `name`, with the arguments that the generated one was given.
    pub fn script(script: &CStr, name: &'static CStr, arguments: Strings) -> Self {
        let path = own_script(script).unwrap_or_default();
        let mut words = Vec::from([Word::new(name)]);
        for word in arguments {
            words.push(Word::new(word));
        }
        words.push(Word::END);
        Self { name: keep(path.as_bytes()), words }
    }

    /// The service's command.
    pub fn command(command: &[&[u8]]) -> Self {
        let name = keep(command.first().copied().unwrap_or_default());
        let mut words = Vec::new();
        for word in command {
            words.push(Word::new(keep(word)));
        }
        words.push(Word::END);
        Self { name, words }
    }

    /// Execs it; the exit code when that fails.
    pub fn become_it(&self, service: Service<'_>) -> u8 {
        let errno = self.exec();
        service.say("can't run ", "", "%", self.name.to_bytes(), words::errno(errno))
    }

    fn exec(&self) -> Errno {
        let words = match Words::new(&self.words) {
            Ok(words) => words,
            Err(errno) => return errno,
        };
        let name = self.name.to_bytes();
        if name.contains(&b'/') || name.is_empty() {
            return exec(self.name, words, Words::environment());
        }
        let path = sys::start::env(b"PATH").map_or(DEFAULT_PATH, CStr::to_bytes);
        let mut found = Errno::NOENT;
        for dir in path.split(|b| *b == b':') {
            let dir = if dir.is_empty() { b"." } else { dir };
            let Ok(path) = Path::from_pieces(&[dir, b"/", name]) else { continue };
            match exec(&path, words, Words::environment()) {
                Errno::NOENT | Errno::NOTDIR => {}
                // One further on may be allowed, as in execvp(3).
                Errno::ACCESS => found = Errno::ACCESS,
                errno => return errno,
            }
        }
        found
    }
}
