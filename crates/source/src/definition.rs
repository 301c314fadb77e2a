// SPDX-License-Identifier: ISC
//! One definition directory into a [`Definition`].

use crate::fault::{Fault, What};
use crate::known::{ALL, Known, Present};
use crate::reader::{Reader, entries};
use crate::{Bytes, Definition, List, Model, Name, SourceFile, Type, copy, execline, settings};
use alloc::vec::Vec;
use core::ffi::CStr;
use db::{FileKind, Flags};
use sys::fs::FileType;
use sys::{CBuf, Errno, OwnedFd};

/// Reads every definition of one source directory.
pub fn read_source(model: &mut Model, reader: &mut Reader, path: &CStr, index: usize) {
    let mut faults =
        Faults { list: &mut model.faults, source: path.to_bytes(), service: Vec::new(), broken: false };
    let found = sys::fs::open_dir(sys::CWD, path).and_then(|dir| Ok((entries(&dir)?, dir)));
    let (names, dir) = match found {
        Ok(found) => found,
        Err(e) => return faults.grave("", What::Read(e), b""),
    };
    let before = model.definitions.len();
    // Some more for those that are made of these: in one piece, they are large.
    model.definitions.reserve(names.len() + 8);
    for (name, kind) in names {
        let Ok(name) = CStr::from_bytes_with_nul(&name) else { continue };
        let bytes = name.to_bytes();
        faults.service = bytes.to_vec();
        if bytes.contains(&b'\n') {
            faults.grave("", What::Newline, bytes);
            continue;
        }
        if is_reserved(bytes) {
            faults.grave("", What::Reserved, bytes);
            continue;
        }
        if bytes.len() > NAME_MAX {
            faults.grave("", What::LongName, bytes);
            continue;
        }
        match is_directory(&dir, name, kind) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(e) => {
                faults.grave("", What::Read(e), b"");
                continue;
            }
        }
        match sys::fs::open_dir(&dir, name) {
            Ok(fd) => {
                let mut one = One {
                    dir: fd,
                    reader: &mut *reader,
                    faults: &mut faults,
                    present: Present::default(),
                    command: Bytes::new(),
                };
                model.definitions.push(one.read(bytes, index));
            }
            Err(e) => faults.grave("", What::Read(e), b""),
        }
    }
    faults.service.clear();
    if model.definitions.len() == before && !faults.broken {
        faults.warn("", What::EmptySource, b"");
    }
}

/// Whether an entry is a link to nothing.
fn leads_nowhere(dir: &OwnedFd, name: &CStr, kind: FileType) -> bool {
    !matches!(kind, FileType::Directory | FileType::RegularFile)
        && matches!(sys::fs::stat(dir, name), Err(Errno::NOENT))
}

fn is_directory(dir: &OwnedFd, name: &CStr, kind: FileType) -> Result<bool, Errno> {
    Ok(match kind {
        FileType::Directory => true,
        FileType::Symlink | FileType::Unknown => {
            let stat = sys::fs::stat(dir, name)?;
            FileType::from_raw_mode(stat.st_mode as _) == FileType::Directory
        }
        _ => false,
    })
}

/// The longest name of a service, in bytes: what a scanner takes as an entry of its scan directory, so that it can tell
/// a logger as `NAME/log`. Init would wait for ever for a longer one.
pub const NAME_MAX: usize = 250;

/// Whether a name is the compiler's own.
pub fn is_reserved(name: &[u8]) -> bool {
    matches!(name, [b's', b'6', b'r', b'c', b'-', ..] | [b's', b'6', b'-', b'r', b'c', b'-', ..])
}

/// Where faults go, and what they are about.
pub struct Faults<'a> {
    list: &'a mut Vec<Fault>,
    source: &'a [u8],
    service: Bytes,
    /// Whether something grave was added.
    pub broken: bool,
}

impl Faults<'_> {
    /// Adds a fault.
    pub fn add(&mut self, grave: bool, file: &[u8], line: u32, what: What, text: &[u8], near: &[u8]) {
        self.broken |= grave;
        self.list.push(Fault {
            grave,
            source: self.source.to_vec(),
            service: self.service.clone(),
            file: file.to_vec(),
            line,
            what,
            text: text.to_vec(),
            near: near.to_vec(),
        });
    }

    /// Something for which the tree is refused.
    pub fn grave(&mut self, file: &str, what: What, text: &[u8]) {
        self.add(true, file.as_bytes(), 0, what, text, b"");
    }

    /// Something to be said.
    pub fn warn(&mut self, file: &str, what: What, text: &[u8]) {
        self.add(false, file.as_bytes(), 0, what, text, b"");
    }
}

/// A definition while it is read.
pub struct One<'a, 'f> {
    dir: OwnedFd,
    reader: &'a mut Reader,
    /// Where its faults go.
    pub faults: &'a mut Faults<'f>,
    pub present: Present,
    /// The words of `command`, each with a zero after it.
    pub command: Bytes,
}

impl One<'_, '_> {
    /// A broken one as well: so that nobody else is blamed for naming it.
    fn read(&mut self, name: &[u8], source: usize) -> Definition {
        self.faults.broken = false;
        let strangers = match self.look() {
            Ok(strangers) => strangers,
            Err(e) => {
                self.faults.grave("", What::Read(e), b"");
                let mut d = Definition::new(name.to_vec(), source, Type::Oneshot);
                d.broken = true;
                return d;
            }
        };
        let said = self.kind();
        let kind = said.unwrap_or_else(|| self.likely());
        let mut d = Definition::new(name.to_vec(), source, kind);
        if said.is_some() {
            self.strangers(&strangers, kind);
        }
        self.common(&mut d);
        match kind {
            Type::Bundle => {
                d.contents = self.list_or_directory(Known::ContentsD, Known::Contents);
                if d.contents.file.is_empty() {
                    self.faults.grave("contents.d", What::Missing, b"");
                }
            }
            Type::Oneshot => self.oneshot(&mut d),
            Type::Longrun => self.longrun(&mut d),
        }
        d.broken = self.faults.broken;
        d
    }

    /// What is there; the names that nobody knows.
    fn look(&mut self) -> Result<Vec<Bytes>, Errno> {
        let mut strangers = Vec::new();
        let (present, dir) = (&mut self.present, &self.dir);
        sys::fs::for_each_entry(dir, |name, _, kind| {
            match Known::find(name.to_bytes()) {
                Some(known) if known.may_lead_nowhere() && leads_nowhere(dir, name, kind) => {}
                Some(known) => present.note(known, kind),
                None => strangers.push(name.to_bytes().to_vec()),
            }
            Ok::<_, Errno>(())
        })?;
        db::sort::sort(&mut strangers, |a, b| a < b);
        Ok(strangers)
    }

    /// Warns of a stranger whose name is near to a known one, and of known files that mean nothing here.
    fn strangers(&mut self, names: &[Bytes], kind: Type) {
        for name in names {
            let known = ALL.iter().filter(|k| k.types().has(kind)).map(|k| k.name().as_bytes());
            // One change in a short name makes another word: it takes a long one to be a slip.
            let near = text::near::nearest(name, known.filter(|k| k.len() > 4 && !self.is_present(k)));
            if let Some(near) = near.filter(|_| name.len() > 3 && !name.starts_with(b".")) {
                self.faults.add(false, name, 0, What::UnknownFile, name, near);
            }
        }
        for known in self.present.beyond(kind) {
            if known.is_ours() {
                // To leave it out would run something with more rights than it should have, or not at all.
                self.faults.grave(known.name(), What::NotForIt, kind.word());
            } else {
                self.faults.warn(known.name(), What::Misplaced, kind.word());
            }
        }
    }

    fn is_present(&self, name: &[u8]) -> bool {
        Known::find(name).is_some_and(|k| self.present.has(k))
    }

    /// A known file's bytes, if it is there; what can't be read is a fault and gives none.
    pub fn bytes(&mut self, known: Known) -> Option<Bytes> {
        if !self.present.has(known) {
            return None;
        }
        let name = CBuf::<32>::from_pieces(&[known.name().as_bytes()]).ok()?;
        match self.reader.file(&self.dir, &name, self.present.surely_regular(known)) {
            Ok(bytes) => Some(bytes),
            Err(what) => {
                self.faults.grave(known.name(), what, b"");
                None
            }
        }
    }

    fn kind(&mut self) -> Option<Type> {
        if !self.present.has(Known::Type) {
            self.faults.grave("type", What::NoType, b"");
            return None;
        }
        let bytes = self.bytes(Known::Type)?;
        // As the reference reads it: eight bytes and no more, of which the last may be the newline.
        let start = bytes.get(..bytes.len().min(8)).unwrap_or_default();
        match start.strip_suffix(b"\n").unwrap_or(start) {
            b"oneshot" => Some(Type::Oneshot),
            b"longrun" => Some(Type::Longrun),
            b"bundle" => Some(Type::Bundle),
            word => {
                if word.contains(&b'\r') {
                    self.faults.add(true, b"type", 1, What::Crlf, b"", b"");
                } else {
                    let words = [&b"oneshot"[..], b"longrun", b"bundle"];
                    let near = text::near::nearest(word.trim_ascii(), words.into_iter()).unwrap_or_default();
                    self.faults.add(true, b"type", 1, What::BadType, word, near);
                }
                None
            }
        }
    }

    /// What a definition that does not say it would be, by what it holds: so that its other faults are told, too.
    fn likely(&self) -> Type {
        let any = |files: &[Known]| files.iter().any(|file| self.present.has(*file));
        if any(&[Known::Run, Known::Command, Known::Finish]) {
            Type::Longrun
        } else if any(&[Known::ContentsD, Known::Contents]) {
            Type::Bundle
        } else {
            Type::Oneshot
        }
    }

    fn common(&mut self, d: &mut Definition) {
        for (known, flag) in [
            (Known::FlagEssential, Flags::ESSENTIAL),
            (Known::FlagRecommended, Flags::RECOMMENDED),
            (Known::FlagManual, Flags::MANUAL),
            (Known::ReloadOnChange, Flags::RELOAD_ON_CHANGE),
        ] {
            if self.present.has(known) && known.types().has(d.kind) {
                d.flags = d.flags.with(flag);
            }
        }
        if d.kind == Type::Bundle {
            return;
        }
        // Most have one or two.
        d.files = Vec::with_capacity(2);
        d.dependencies = self.list_or_directory(Known::DependenciesD, Known::Dependencies);
        d.wants = self.name_directory(Known::WantsD).unwrap_or_default();
        d.after = self.name_directory(Known::AfterD).unwrap_or_default();
        d.before = self.name_directory(Known::BeforeD).unwrap_or_default();
        d.restart_with = self.name_list(Known::RestartWith).unwrap_or_default();
        d.timeout_up = self.timeout(Known::TimeoutUp);
        d.timeout_down = self.timeout(Known::TimeoutDown);
    }

    fn list_or_directory(&mut self, directory: Known, file: Known) -> List {
        if self.present.has(directory) {
            if self.present.has(file) {
                self.faults.warn(file.name(), What::Shadowed, directory.name().as_bytes());
            }
            self.name_directory(directory).unwrap_or_default()
        } else {
            self.name_list(file).unwrap_or_default()
        }
    }

    /// The names of the files in a directory.
    fn name_directory(&mut self, known: Known) -> Option<List> {
        if !self.present.has(known) {
            return None;
        }
        let name = CBuf::<32>::from_pieces(&[known.name().as_bytes()]).ok()?;
        let found = sys::fs::open_dir(&self.dir, &name).and_then(|dir| entries(&dir));
        let count = found.as_ref().map_or(0, Vec::len);
        let mut list = List { file: known.name(), names: Vec::with_capacity(count) };
        match found {
            Ok(found) => {
                for (mut name, _) in found {
                    name.pop();
                    self.reference(&mut list, name, 0);
                }
            }
            Err(Errno::NOTDIR) => self.faults.grave(known.name(), What::NotDirectory, b""),
            Err(e) => self.faults.grave(known.name(), What::Read(e), b""),
        }
        Some(list)
    }

    /// The names in a file, one a line. White space before a name does not count, after it it does.
    fn name_list(&mut self, known: Known) -> Option<List> {
        let bytes = self.bytes(known)?;
        let mut list = List { file: known.name(), names: Vec::new() };
        for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let start = line.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(line.len());
            let name = line.get(start..).unwrap_or_default();
            if !name.is_empty() && name.first() != Some(&b'#') {
                self.reference(&mut list, name.to_vec(), number as u32 + 1);
            }
        }
        Some(list)
    }

    fn reference(&mut self, list: &mut List, name: Bytes, line: u32) {
        let file = list.file.as_bytes();
        if is_reserved(&name) {
            self.faults.add(true, file, line, What::Reserved, &name, b"");
        } else if name.ends_with(b"\r") {
            self.faults.add(true, file, line, What::Crlf, b"", b"");
        } else if name.len() > db::MAX_NAME || name.iter().any(|b| matches!(b, 0 | b'/')) {
            self.faults.add(true, file, line, What::BadName, &name, b"");
        } else if line != 0 && list.names.iter().any(|n| n.name == name) {
            // A directory has no name twice.
            self.faults.add(false, file, line, What::Twice, &name, b"");
        } else {
            list.names.push(Name { name, line });
        }
    }

    fn timeout(&mut self, known: Known) -> u32 {
        let Some(bytes) = self.bytes(known) else { return 0 };
        let end = bytes.iter().rposition(|b| *b != b'\n').map_or(0, |at| at + 1);
        self.number(known, bytes.get(..end).unwrap_or_default()).unwrap_or(0)
    }

    /// Decimal digits, at most 4294967295.
    fn number(&mut self, known: Known, digits: &[u8]) -> Option<u32> {
        let value = text::parse_u64(digits).ok().and_then(|n| u32::try_from(n).ok());
        if value.is_none() {
            let crlf = digits.ends_with(b"\r");
            let what = if crlf { What::Crlf } else { What::BadNumber };
            let shown = if crlf { b"" } else { digits };
            self.faults.add(true, known.name().as_bytes(), 1, what, shown, b"");
        }
        value
    }

    fn oneshot(&mut self, d: &mut Definition) {
        for known in [Known::Down, Known::Reload, Known::Up] {
            let Some(bytes) = self.bytes(known) else {
                if known == Known::Up && !self.faults.broken {
                    self.faults.grave("up", What::Missing, b"");
                }
                continue;
            };
            if bytes.starts_with(b"#!") {
                self.faults.add(false, known.name().as_bytes(), 1, What::Shebang, b"", b"");
            }
            if let Some(words) = self.words(known, &bytes) {
                let path = known.name().as_bytes().to_vec();
                d.files.push(SourceFile { path, kind: FileKind::Script, mode: 0, bytes: words });
            }
        }
        settings::read(self, d);
    }

    /// A command line's words.
    fn words(&mut self, known: Known, bytes: &[u8]) -> Option<Bytes> {
        match execline::words(bytes) {
            Ok(words) => Some(words),
            Err((what, line)) => {
                self.faults.add(true, known.name().as_bytes(), line, What::Lex(what), b"", b"");
                None
            }
        }
    }

    fn longrun(&mut self, d: &mut Definition) {
        d.producer_for = self.one_name(Known::ProducerFor);
        d.consumer_for = self.name_list(Known::ConsumerFor).unwrap_or_default();
        let ends = d.producer_for.file.is_empty() && !d.consumer_for.names.is_empty();
        if ends {
            d.pipeline_name = self.one_name(Known::PipelineName);
        } else if self.present.has(Known::PipelineName) {
            self.faults.warn("pipeline-name", What::PipelineName, b"");
        }
        self.run(d);
        if let Some(bytes) = self.bytes(Known::Finish) {
            self.script(Known::Finish, &bytes);
            d.files.push(file("finish", 0o755, bytes));
        }
        self.numbers(d);
        for known in [Known::DownSignal, Known::ReloadSignal] {
            if let Some(bytes) = self.bytes(known) {
                self.signal(known, &bytes);
                d.files.push(file(known.name(), 0o644, bytes));
            }
        }
        for known in [Known::FlagTimeoutKillpg, Known::FlagNewpidns] {
            if self.present.has(known) {
                d.files.push(file(known.name(), 0o644, Vec::new()));
            }
        }
        self.directories(d);
        settings::read(self, d);
        crate::sort_files(&mut d.files);
    }

    fn one_name(&mut self, known: Known) -> List {
        let Some(list) = self.name_list(known) else { return List::default() };
        if list.names.len() != 1 && !self.faults.broken {
            self.faults.grave(known.name(), What::OneName, b"");
        }
        list
    }

    fn run(&mut self, d: &mut Definition) {
        match (self.present.has(Known::Run), self.present.has(Known::Command)) {
            (true, true) => self.faults.grave("command", What::RunAndCommand, b""),
            (false, false) => self.faults.grave("run", What::Missing, b""),
            (true, false) => {
                let Some(bytes) = self.bytes(Known::Run) else {
                    if !self.faults.broken {
                        self.faults.grave("run", What::Missing, b"");
                    }
                    return;
                };
                self.script(Known::Run, &bytes);
                d.files.push(file("run", 0o755, bytes));
            }
            (false, true) => {
                let Some(bytes) = self.bytes(Known::Command) else { return };
                let Some(words) = self.words(Known::Command, &bytes) else { return };
                if words.is_empty() {
                    return self.faults.grave("command", What::EmptyCommand, b"");
                }
                self.command = words;
            }
        }
    }

    /// Warns where a script can't be run by the kernel.
    fn script(&mut self, known: Known, bytes: &[u8]) {
        let name = known.name().as_bytes();
        let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        if line.starts_with(b"#!") {
            if line.ends_with(b"\r") {
                self.faults.add(false, name, 1, What::ShebangCrlf, line.get(2..).unwrap_or_default(), b"");
            }
        } else if !bytes.starts_with(b"\x7fELF") {
            self.faults.add(false, name, 1, What::NoShebang, b"", b"");
        }
    }

    /// The small files that hold a number: each is written anew.
    fn numbers(&mut self, d: &mut Definition) {
        let mut notification = None;
        for known in [
            Known::NotificationFd,
            Known::LockFd,
            Known::TimeoutKill,
            Known::TimeoutFinish,
            Known::MaxDeathTally,
        ] {
            let Some(bytes) = self.bytes(known) else { continue };
            let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
            let Some(n) = self.number(known, first) else { continue };
            match known {
                Known::NotificationFd | Known::LockFd if n < 3 => {
                    self.faults.warn(known.name(), What::LowFd, first);
                }
                Known::NotificationFd => notification = Some(n),
                Known::LockFd if notification == Some(n) => {
                    self.faults.grave("lock-fd", What::SameFd, first);
                }
                _ => {}
            }
            let mut line = text::Digits::decimal(u64::from(n)).as_bytes().to_vec();
            line.push(b'\n');
            d.files.push(file(known.name(), 0o644, line));
        }
    }

    fn signal(&mut self, known: Known, bytes: &[u8]) {
        let word = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        if word.ends_with(b"\r") {
            return self.faults.add(false, known.name().as_bytes(), 1, What::Crlf, b"", b"");
        }
        let word = word.trim_ascii();
        let name = word.strip_prefix(b"SIG").unwrap_or(word);
        let names = || sys::signal::names().chain([&b"POLL"[..]]);
        let upper = name.to_ascii_uppercase();
        let is_number = text::parse_u64(name).is_ok_and(|n| (1..=64).contains(&n));
        if !is_number && !names().any(|n| n == upper) {
            let near = text::near::nearest(&upper, names()).unwrap_or_default();
            self.faults.add(false, known.name().as_bytes(), 1, What::Signal, word, near);
        }
    }

    fn directories(&mut self, d: &mut Definition) {
        for known in [Known::Data, Known::Env, Known::Template] {
            if !self.present.has(known) {
                continue;
            }
            let mut troubles = Vec::new();
            copy::directory(self.reader, &self.dir, known.name(), &mut d.files, &mut troubles);
            for (path, what) in troubles {
                self.faults.add(true, &path, 0, what, b"", b"");
            }
            if known == Known::Template {
                for name in ["instance", "instances"] {
                    let path = name.as_bytes().to_vec();
                    d.files.push(SourceFile {
                        path,
                        kind: FileKind::Directory,
                        mode: 0o755,
                        bytes: Vec::new(),
                    });
                }
            }
        }
    }
}

/// A regular file of a service directory.
pub fn file(path: &str, mode: u16, bytes: Bytes) -> SourceFile {
    SourceFile { path: path.as_bytes().to_vec(), kind: FileKind::Regular, mode, bytes }
}
