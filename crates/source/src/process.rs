// SPDX-License-Identifier: ISC
//! The process settings of a service: `user`, `groups`, `cgroup` and the others of `PROCESS.md`.
//!
//! Each is a small file in the definition directory. [`Settings::add_file`] takes a file's bytes and reports each fault
//! with its line; [`Settings::run`] makes the generated `run` of the service directory, which carries the settings,
//! and [`Settings::decode`] reads it back where the service starts. Both go through the same parser line by line, so
//! what was accepted when the image was made means the same on the device, and a line that is not understood is
//! never skipped. Pure: no system call. Read by the compiler and by `s6rc-run`.

pub mod host;
mod names;
#[cfg(test)]
mod tests;

pub use names::{capability_name, limit_name};

use alloc::vec::Vec;
use db::{RUN, SCRIPT};
use sys::process::Resource;

/// The first line of a generated `finish`.
const FINISH: &[u8] = b"#!@SKEG@ s6rc-finish\n";
/// The second line of a generated script; another one is refused.
const HEADER: &[u8] = b"skeg settings 1";
/// Where a cgroup lies whose definition gives no path: below this, by the service's name.
const CGROUPS: &[u8] = b"skeg/";
/// What comes before the words of the command, at the end of a generated `run`.
const COMMAND: &[u8] = b"command";
/// Lines of one file, at the most.
pub const MAX_LINES: u32 = 256;

/// A setting; its file has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Whom the service runs as.
    User,
    /// Its supplementary groups.
    Groups,
    /// The control group that holds its processes, and what is written there.
    Cgroup,
    /// Resource limits.
    Rlimits,
    /// How soon the kernel kills it when memory is short.
    OomScore,
    /// Its share of the processor.
    Nice,
    /// The permission bits that its new files don't get.
    Umask,
    /// Whether an exec can never give it more rights.
    NoNewPrivs,
    /// The capabilities that it has, and no others.
    Capabilities,
}

impl Setting {
    /// Every one, in the order in which they are written: that of their names.
    pub const ALL: [Self; 9] = [
        Self::Capabilities,
        Self::Cgroup,
        Self::Groups,
        Self::Nice,
        Self::NoNewPrivs,
        Self::OomScore,
        Self::Rlimits,
        Self::Umask,
        Self::User,
    ];

    /// The name of its file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Groups => "groups",
            Self::Cgroup => "cgroup",
            Self::Rlimits => "rlimits",
            Self::OomScore => "oom-score",
            Self::Nice => "nice",
            Self::Umask => "umask",
            Self::NoNewPrivs => "no-new-privs",
            Self::Capabilities => "capabilities",
        }
    }

    /// The setting whose file has this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name().as_bytes() == name)
    }

    /// Whether the file must say something: the others mean something when empty.
    const fn needs_a_line(self) -> bool {
        !matches!(self, Self::Groups | Self::Cgroup | Self::NoNewPrivs | Self::Capabilities)
    }
}

/// Why a line of a setting is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It ends with CR LF.
    Crlf,
    /// It holds a zero byte or another control character.
    ControlByte,
    /// The file says nothing, but must.
    Missing,
    /// One value was given already.
    SecondValue,
    /// More words than the setting takes.
    TooManyWords,
    /// The file has more than [`MAX_LINES`] lines.
    TooManyLines,
    /// No decimal number.
    NotANumber,
    /// A number outside of these bounds.
    Range(i32, i32),
    /// No octal number up to 777.
    NotAnUmask,
    /// No name or number of a user or group.
    NotAName,
    /// No resource limit has this name.
    NoSuchLimit,
    /// A limit needs a soft value.
    LimitWithoutValue,
    /// A limit is neither a number, `unlimited` nor `-`.
    NotALimit,
    /// The soft limit is above the hard one.
    SoftAboveHard,
    /// This limit, capability or value of a cgroup comes twice.
    Twice,
    /// No capability has this name.
    NoSuchCapability,
    /// A cgroup's path is not a plain relative path.
    NotACgroup,
    /// This file of a cgroup is not for a definition to write.
    NotACgroupFile,
    /// A file of a cgroup needs a value.
    CgroupFileWithoutValue,
    /// The file must be empty.
    NotEmpty,
}

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    /// The file.
    pub setting: Setting,
    /// The line, from 1; 0 = the file as a whole.
    pub line: u32,
    /// The part of the line that is refused.
    pub text: &'a [u8],
    /// Why.
    pub wrong: Wrong,
}

/// Whom a service runs as: names as they were written, or numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User<'a> {
    /// The user.
    pub user: &'a [u8],
    /// The group; none = the user's own, from /etc/passwd.
    pub group: Option<&'a [u8]>,
}

/// Where a limit is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It stays as it is.
    Keep,
    /// There is none.
    Unlimited,
    /// In the kernel's unit for this limit: bytes, seconds, microseconds or a count.
    At(u64),
}

/// A resource limit.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Which.
    pub resource: Resource,
    /// The limit that is in force.
    pub soft: Bound,
    /// How far the process may raise it.
    pub hard: Bound,
}

/// A control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup<'a> {
    /// Relative to the root of the cgroup2 hierarchy.
    pub path: Vec<u8>,
    /// Files and what is written into them, in order.
    pub files: Vec<(&'a [u8], &'a [u8])>,
}

/// Every setting of a service.
#[derive(Clone, Debug, Default)]
pub struct Settings<'a> {
    /// See [`Setting::User`].
    pub user: Option<User<'a>>,
    /// See [`Setting::Groups`]; none = those that /etc/group gives the user, if there is a `user`.
    pub groups: Option<Vec<&'a [u8]>>,
    /// See [`Setting::Cgroup`].
    pub cgroup: Option<Cgroup<'a>>,
    /// See [`Setting::Rlimits`].
    pub limits: Vec<Limit>,
    /// See [`Setting::OomScore`], -1000 to 1000.
    pub oom_score: Option<i32>,
    /// See [`Setting::Nice`], -20 to 19.
    pub nice: Option<i32>,
    /// See [`Setting::Umask`], up to 0o777.
    pub umask: Option<u32>,
    /// See [`Setting::NoNewPrivs`].
    pub no_new_privs: bool,
    /// See [`Setting::Capabilities`]: bit n is capability n.
    pub capabilities: Option<u64>,
    /// The program and its arguments that stand in for the `run` file.
    pub command: Option<Vec<&'a [u8]>>,
    /// The lines as they came, for [`Settings::run`].
    lines: Vec<(Setting, &'a [u8])>,
}

impl<'a> Settings<'a> {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the service's `run` can be used as it is.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.command.is_none()
    }

    /// Takes the content of a setting's file; every fault goes to `report`.
    pub fn add_file(&mut self, setting: Setting, content: &'a [u8], report: &mut dyn FnMut(Fault<'a>)) {
        if !setting.needs_a_line() {
            self.present(setting);
        }
        let mut said = false;
        for (line, text) in (1..).zip(content.split(|b| *b == b'\n')) {
            if line > MAX_LINES {
                report(Fault { setting, line, text: b"", wrong: Wrong::TooManyLines });
                break;
            }
            let (text, crlf) = match text.strip_suffix(b"\r") {
                Some(text) => (text.trim_ascii(), true),
                None => (text.trim_ascii(), false),
            };
            if crlf {
                // Once for a file is enough.
                report(Fault { setting, line, text, wrong: Wrong::Crlf });
                said = true;
                break;
            }
            if text.is_empty() || text.starts_with(b"#") {
                continue;
            }
            said = true;
            if let Err((text, wrong)) = self.add_line(setting, text) {
                report(Fault { setting, line, text, wrong });
            }
        }
        if !said && setting.needs_a_line() {
            report(Fault { setting, line: 0, text: b"", wrong: Wrong::Missing });
        }
    }

    /// Gives a cgroup without a path the one that the service's name gives it. Call it when all files have been added.
    pub fn name_cgroup(&mut self, name: &'a [u8], report: &mut dyn FnMut(Fault<'a>)) {
        let Some(cgroup) = self.cgroup.as_mut().filter(|c| c.path.is_empty()) else { return };
        cgroup.path.extend_from_slice(CGROUPS);
        cgroup.path.extend_from_slice(name);
        if !is_cgroup(&cgroup.path) {
            report(Fault { setting: Setting::Cgroup, line: 0, text: name, wrong: Wrong::NotACgroup });
        }
    }

    /// Sets the command that stands in for `run`: the words of an execline line, at least one.
    pub fn set_command(&mut self, words: Vec<&'a [u8]>) {
        self.command = Some(words);
    }

    /// The setting's file is there, whatever it says.
    fn present(&mut self, setting: Setting) {
        self.lines.push((setting, b""));
        match setting {
            Setting::Groups => self.groups.get_or_insert_default().clear(),
            Setting::Capabilities => self.capabilities = Some(0),
            Setting::NoNewPrivs => self.no_new_privs = true,
            Setting::Cgroup => {
                self.cgroup.get_or_insert_with(|| Cgroup { path: Vec::new(), files: Vec::new() });
            }
            _ => {}
        }
    }

    /// Takes one line, without blanks around it.
    fn add_line(&mut self, setting: Setting, line: &'a [u8]) -> Result<(), (&'a [u8], Wrong)> {
        if line.iter().any(|b| *b < b' ' && *b != b'\t' || *b == 0x7f) {
            return Err((line, Wrong::ControlByte));
        }
        self.lines.push((setting, line));
        match setting {
            Setting::User => once(&mut self.user, line, parse_user),
            Setting::OomScore => once(&mut self.oom_score, line, |t| parse_range(t, -1000, 1000)),
            Setting::Nice => once(&mut self.nice, line, |t| parse_range(t, -20, 19)),
            Setting::Umask => once(&mut self.umask, line, parse_umask),
            Setting::NoNewPrivs => Err((line, Wrong::NotEmpty)),
            Setting::Groups => words(line).try_for_each(|name| {
                self.groups.get_or_insert_default().push(parse_name(name)?);
                Ok(())
            }),
            Setting::Capabilities => words(line).try_for_each(|name| {
                let bit = 1 << names::capability(name).ok_or((name, Wrong::NoSuchCapability))?;
                let set = self.capabilities.get_or_insert_default();
                if *set & bit != 0 {
                    return Err((name, Wrong::Twice));
                }
                *set |= bit;
                Ok(())
            }),
            Setting::Rlimits => {
                let limit = parse_limit(line)?;
                if self.limits.iter().any(|l| l.resource as u32 == limit.resource as u32) {
                    return Err((line, Wrong::Twice));
                }
                self.limits.push(limit);
                Ok(())
            }
            Setting::Cgroup => self.add_cgroup_line(line),
        }
    }

    /// `path PATH`, or a file with its value.
    fn add_cgroup_line(&mut self, line: &'a [u8]) -> Result<(), (&'a [u8], Wrong)> {
        let cgroup = self.cgroup.get_or_insert_with(|| Cgroup { path: Vec::new(), files: Vec::new() });
        let (file, value) = split_word(line);
        if file == b"path" {
            // It is written from `path`, given or not.
            self.lines.pop();
            if !cgroup.path.is_empty() {
                return Err((line, Wrong::SecondValue));
            }
            cgroup.path.extend_from_slice(value);
            return if is_cgroup(value) { Ok(()) } else { Err((value, Wrong::NotACgroup)) };
        }
        let ours =
            [&b"cgroup.procs"[..], b"cgroup.threads", b"cgroup.kill", b"cgroup.type", b"cgroup.freeze"];
        let plain = file.contains(&b'.') && !file.contains(&b'/') && !file.starts_with(b".");
        if !plain || ours.contains(&file) || file == b"cgroup.subtree_control" {
            return Err((file, Wrong::NotACgroupFile));
        }
        if value.is_empty() {
            return Err((file, Wrong::CgroupFileWithoutValue));
        }
        // `io.max` and the like take one line for each device.
        if cgroup.files.contains(&(file, value)) {
            return Err((line, Wrong::Twice));
        }
        cgroup.files.push((file, value));
        Ok(())
    }

    /// The bytes of the generated `run`. Call it only when there was no fault.
    pub fn run(&self) -> Vec<u8> {
        let mut bytes = [RUN, HEADER, b"\n"].concat();
        for (setting, line) in &self.lines {
            // All that a file says stays together: this line says that there is a cgroup.
            if *setting == Setting::Cgroup && line.is_empty() {
                self.push_path(&mut bytes);
            } else {
                push_line(&mut bytes, *setting, &[line]);
            }
        }
        if let Some(command) = &self.command {
            bytes.extend_from_slice(COMMAND);
            bytes.push(b'\n');
            for word in command {
                bytes.extend_from_slice(word);
                bytes.push(0);
            }
        }
        bytes
    }

    /// A oneshot's command line with the settings in front: words with a zero byte after each.
    pub fn script(&self, words: &[u8]) -> Vec<u8> {
        // The line that would be the script's first stays as an empty one, for `decode`.
        let settings = self.run();
        [SCRIPT, settings.get(RUN.len() - 1..).unwrap_or_default(), b"\0", words].concat()
    }

    /// The bytes of the generated `finish`; none where the service needs none.
    pub fn finish(&self) -> Option<Vec<u8>> {
        self.cgroup.as_ref()?;
        let mut bytes = [FINISH, HEADER, b"\n"].concat();
        self.push_path(&mut bytes);
        Some(bytes)
    }

    /// The cgroup's path.
    fn push_path(&self, bytes: &mut Vec<u8>) {
        if let Some(cgroup) = &self.cgroup {
            push_line(bytes, Setting::Cgroup, &[b"path ", &cgroup.path]);
        }
    }

    /// Reads the bytes of a generated script; the line that is not understood, if any.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, &'a [u8]> {
        let mut settings = Self::new();
        let (_, rest) = split_line(bytes);
        let (header, mut rest) = split_line(rest);
        if header != HEADER {
            return Err(header);
        }
        while !rest.is_empty() {
            let (line, after) = split_line(rest);
            rest = after;
            if line == COMMAND {
                let words = rest.strip_suffix(b"\0").ok_or(line)?;
                settings.command = Some(words.split(|b| *b == 0).collect());
                break;
            }
            let (name, value) = split_word(line);
            let setting = Setting::from_name(name).ok_or(line)?;
            if value.is_empty() && !setting.needs_a_line() {
                settings.present(setting);
            } else {
                settings.add_line(setting, value).map_err(|_| line)?;
            }
        }
        match &settings.cgroup {
            Some(cgroup) if cgroup.path.is_empty() => Err(b"cgroup"),
            _ => Ok(settings),
        }
    }
}

/// Sets what may be set once.
fn once<'a, T>(
    place: &mut Option<T>,
    text: &'a [u8],
    parse: impl FnOnce(&'a [u8]) -> Result<T, Wrong>,
) -> Result<(), (&'a [u8], Wrong)> {
    if place.is_some() {
        return Err((text, Wrong::SecondValue));
    }
    *place = Some(parse(text).map_err(|wrong| (text, wrong))?);
    Ok(())
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The first word and what follows it.
fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).unwrap_or_default();
    (word, rest.trim_ascii())
}

/// `NAME PIECES`, or the name alone.
fn push_line(bytes: &mut Vec<u8>, setting: Setting, pieces: &[&[u8]]) {
    bytes.extend_from_slice(setting.name().as_bytes());
    if pieces.iter().any(|piece| !piece.is_empty()) {
        bytes.push(b' ');
    }
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    bytes.push(b'\n');
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default())
}

/// A name of /etc/passwd or /etc/group, or a number.
fn parse_name(name: &[u8]) -> Result<&[u8], (&[u8], Wrong)> {
    let good = match text::parse_u64(name) {
        // The kernel means "leave as it is" by the highest one.
        Ok(id) => id < u64::from(u32::MAX),
        Err(text::NumberError::TooLarge) => false,
        Err(_) => {
            !name.is_empty()
                && !name.starts_with(b"-")
                && name.iter().all(|b| b.is_ascii_graphic() && !b":,/".contains(b))
        }
    };
    if good { Ok(name) } else { Err((name, Wrong::NotAName)) }
}

fn parse_user(text: &[u8]) -> Result<User<'_>, Wrong> {
    if text.iter().any(u8::is_ascii_whitespace) {
        return Err(Wrong::TooManyWords);
    }
    let mut parts = text.splitn(2, |b| *b == b':');
    let user = parse_name(parts.next().unwrap_or_default()).map_err(|(_, wrong)| wrong)?;
    let group = parts.next().map(parse_name).transpose().map_err(|(_, wrong)| wrong)?;
    Ok(User { user, group })
}

fn parse_range(text: &[u8], least: i32, most: i32) -> Result<i32, Wrong> {
    match text::parse_i64(text) {
        Ok(n) => match i32::try_from(n) {
            Ok(n) if (least..=most).contains(&n) => Ok(n),
            _ => Err(Wrong::Range(least, most)),
        },
        Err(text::NumberError::TooLarge) => Err(Wrong::Range(least, most)),
        Err(_) => Err(Wrong::NotANumber),
    }
}

fn parse_umask(text: &[u8]) -> Result<u32, Wrong> {
    match text::parse_octal(text) {
        Ok(n) if n <= 0o777 => Ok(n as u32),
        _ => Err(Wrong::NotAnUmask),
    }
}

fn parse_bound(text: &[u8]) -> Result<Bound, (&[u8], Wrong)> {
    match text {
        b"-" => Ok(Bound::Keep),
        b"unlimited" => Ok(Bound::Unlimited),
        _ => match text::parse_u64(text) {
            // The kernel's own word for "unlimited".
            Ok(u64::MAX) => Ok(Bound::Unlimited),
            Ok(n) => Ok(Bound::At(n)),
            Err(_) => Err((text, Wrong::NotALimit)),
        },
    }
}

fn parse_limit(line: &[u8]) -> Result<Limit, (&[u8], Wrong)> {
    let mut parts = words(line);
    let name = parts.next().unwrap_or_default();
    let resource = names::limit(name).ok_or((name, Wrong::NoSuchLimit))?;
    let soft = parse_bound(parts.next().ok_or((name, Wrong::LimitWithoutValue))?)?;
    let hard = parts.next().map_or(Ok(soft), parse_bound)?;
    if let Some(more) = parts.next() {
        return Err((more, Wrong::TooManyWords));
    }
    let above = match (soft, hard) {
        (Bound::At(soft), Bound::At(hard)) => soft > hard,
        (Bound::Unlimited, Bound::At(_)) => true,
        _ => false,
    };
    if above { Err((line, Wrong::SoftAboveHard)) } else { Ok(Limit { resource, soft, hard }) }
}

/// Whether this is a plain relative path, as it stands in a line. A name of the kernel's own files can't be in it:
/// `cgroup.` begins most of them.
fn is_cgroup(path: &[u8]) -> bool {
    let good = |part: &[u8]| {
        !part.is_empty()
            && part != b"."
            && part != b".."
            && part.len() <= 255
            && !part.starts_with(b"cgroup.")
    };
    path.len() <= 1024
        && path.trim_ascii().len() == path.len()
        && !path.iter().any(|b| *b < b' ' || *b == 0x7f)
        && path.split(|b| *b == b'/').all(good)
}
