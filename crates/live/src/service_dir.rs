// SPDX-License-Identifier: ISC
//! The supervised service directories `LIVE:sv/ID`: versions of the definition below links that move.
//!
//! A new directory is written with as few calls as the kernel allows: it can't be seen before the generation
//! that names it is in force, so nothing in it needs to be written aside and renamed.

use crate::error::{During, LiveError, Op, What};
use crate::links;
use crate::place::decimal;
use crate::remove;
use crate::tree::Status;
use core::ffi::CStr;
use db::{File, FileKind};
use sys::time::{Wall, boot_ticks};
use sys::{BorrowedFd, CBuf, Errno, OwnedFd, PathBuffer, fs};

/// What a generated file begins with; the token stands for the path of the skeg binary.
pub const SHEBANG_TOKEN: &[u8] = b"#!@SKEG@";
/// The longest path of the binary: the kernel reads 255 bytes of a `#!` line, and the applet's name follows.
pub const SHEBANG_MOST: usize = 200;

/// The time of a `current` that has been moved at once, until it is known when that was over: in 2038, in the ticks that
/// [`ServiceDir::moved_at_once`] gives. The stamps of these links are no wall clock's, since that may be set back.
const UNKNOWN: u64 = i32::MAX as u64 * 100;

/// Nanoseconds beyond whole ticks: by these it is told that the time of a version's directory is when it was moved at once.
const MOVED: u32 = 7_654_321;
const TICK: u32 = 10_000_000;

/// The name of a service directory: the generation that made it and the service's index there. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// The generation that made the directory.
    pub generation: u32,
    /// The service's index in that generation's image.
    pub index: u16,
}

impl Id {
    /// The directory's name, `GENERATION.INDEX`.
    pub fn name(self) -> CBuf<24> {
        let mut name = CBuf::new();
        let _ = name.push_number(u64::from(self.generation));
        let _ = name.push(b".");
        let _ = name.push_number(u64::from(self.index));
        name
    }

    /// The id that a directory's name stands for.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let dot = name.iter().position(|b| *b == b'.')?;
        let (generation, index) = name.split_at_checked(dot)?;
        let index = u16::try_from(decimal(index.get(1..)?)?).ok()?;
        Some(Self { generation: decimal(generation)?, index })
    }

    /// A path below `LIVE:sv`: `ID/` and these pieces.
    pub fn path(self, pieces: &[&[u8]]) -> Result<PathBuffer, LiveError> {
        let mut path = PathBuffer::new();
        path.push_all(&[self.name().as_bytes(), b"/"])
            .and_then(|path| path.push_all(pieces))
            .during(Op::Open, What::ServiceDir)?;
        Ok(path)
    }
}

/// Whether a file lies directly in the service directory.
fn is_top(file: &File<'_>) -> bool {
    !file.path.to_bytes().contains(&b'/')
}

/// Where the instances of an instanced service are: live state, which lies beside the versions, since the programs that
/// make instances go to `instance` and look around from there. A version has an empty `instance` as a sign.
const INSTANCES: [&CStr; 2] = [c"instance", c"instances"];
/// What instances are copied from: a directory beside those, for the same reason. It is the version's until it is put in force.
const TEMPLATE: &CStr = c"template";
/// The one before, for a moment.
const OLD_TEMPLATE: &CStr = c"template.old";

/// Whether it is one of those.
fn is_live(file: &File<'_>) -> bool {
    INSTANCES.contains(&file.path)
}

/// Names a version of a definition: the number of the generation that brought it.
pub fn version_name(generation: u32) -> CBuf<16> {
    let mut name = CBuf::new();
    let _ = name.push(b"v").and_then(|n| n.push_number(u64::from(generation)));
    name
}

/// The umask set to nothing while this lives: definitions come with their own modes.
pub struct Umask(u32);

impl Umask {
    /// Sets it.
    pub fn none() -> Self {
        Self(sys::process::umask(0))
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        sys::process::umask(self.0);
    }
}

/// Writes a whole new service directory, with a `down` file and an `event/` that listeners can be put into
/// before the supervisor comes. The umask must be 0 ([`Umask`]). A half-made one of the same name must be away.
pub fn create<'a>(
    sv: BorrowedFd<'_>,
    id: Id,
    files: impl Iterator<Item = File<'a>> + Clone,
    skeg: &[u8],
) -> Result<(), LiveError> {
    let made = |result: sys::Result<()>| result.during(Op::Create, What::ServiceDir);
    let version = version_name(id.generation);
    made(fs::mkdir(sv, &id.name(), 0o755))?;
    write_version(sv, id, id.generation, files.clone(), skeg)?;
    let mut path = id.path(&[b"current"])?;
    made(fs::symlink(&version, sv, &path))?;
    let base = id.name().len() + 1;
    for file in files {
        if !is_top(&file) {
            continue;
        }
        path.truncate(base);
        path.push(file.path.to_bytes()).during(Op::Create, What::ServiceDir)?;
        if is_live(&file) {
            write_file(sv, &path, &file, skeg)?;
        } else if file.path == TEMPLATE {
            let from = id.path(&[version.as_bytes(), b"/", TEMPLATE.to_bytes()])?;
            made(fs::rename(sv, &from, sv, &path))?;
        } else {
            made(fs::symlink(&target_of(file.path)?, sv, &path))?;
        }
    }
    path = id.path(&[b"down"])?;
    made(fs::mknod(sv, &path, fs::FileType::RegularFile, 0o644, 0))?;
    path = id.path(&[b"event"])?;
    made(fs::mkdir(sv, &path, 0o733))?;
    // The kernel keeps the sticky and set-group bits out of mkdir.
    made(fs::chmod(sv, &path, 0o3730)).or_else(|_| made(fs::chmod(sv, &path, 0o1733)))
}

/// Where the link of this name points to: into the definition in use.
fn target_of(name: &CStr) -> Result<PathBuffer, LiveError> {
    PathBuffer::from_pieces(&[b"current/", name.to_bytes()]).during(Op::Create, What::ServiceDir)
}

/// Writes the definition of this generation into an existing service directory, as `vN`. Nothing uses it yet.
/// A half-made one is taken away first.
pub fn add_version<'a>(
    sv: BorrowedFd<'_>,
    id: Id,
    generation: u32,
    files: impl Iterator<Item = File<'a>>,
    skeg: &[u8],
) -> Result<(), LiveError> {
    remove::tree(sv, &id.path(&[version_name(generation).as_bytes()])?, What::ServiceDir)?;
    write_version(sv, id, generation, files, skeg)
}

fn write_version<'a>(
    sv: BorrowedFd<'_>,
    id: Id,
    generation: u32,
    files: impl Iterator<Item = File<'a>>,
    skeg: &[u8],
) -> Result<(), LiveError> {
    let mut path = id.path(&[version_name(generation).as_bytes()])?;
    fs::mkdir(sv, &path, 0o755).during(Op::Create, What::ServiceDir)?;
    path.push(b"/").during(Op::Create, What::ServiceDir)?;
    let base = path.len();
    for file in files {
        if file.path == INSTANCES[1] {
            continue;
        }
        path.truncate(base);
        path.push(file.path.to_bytes()).during(Op::Create, What::ServiceDir)?;
        write_file(sv, &path, &file, skeg)?;
    }
    Ok(())
}

fn write_file(sv: BorrowedFd<'_>, path: &CStr, file: &File<'_>, skeg: &[u8]) -> Result<(), LiveError> {
    let during = |result: sys::Result<()>| result.during(Op::Write, What::ServiceDir);
    match file.kind {
        FileKind::Regular => {}
        FileKind::Directory => {
            during(fs::mkdir(sv, path, file.mode & 0o777))?;
            return if file.mode & 0o7000 == 0 { Ok(()) } else { during(fs::chmod(sv, path, file.mode)) };
        }
        FileKind::Link => {
            let target = CBuf::<4096>::from_pieces(&[file.bytes]).during(Op::Create, What::ServiceDir)?;
            return during(fs::symlink(&target, sv, path));
        }
        FileKind::Script => return Ok(()),
    }
    if file.bytes.is_empty() {
        return during(fs::mknod(sv, path, fs::FileType::RegularFile, file.mode, 0));
    }
    let flags = fs::OFlags::WRONLY | fs::OFlags::CREATE | fs::OFlags::EXCL;
    let to = fs::open(sv, path, flags, file.mode).during(Op::Create, What::ServiceDir)?;
    match file.bytes.strip_prefix(SHEBANG_TOKEN) {
        None => during(fs::write_all(&to, file.bytes)),
        Some(rest) => {
            if skeg.len() > SHEBANG_MOST {
                return Err(LiveError::LONG_SHEBANG);
            }
            let mut head = CBuf::<{ SHEBANG_MOST + 8 }>::new();
            let _ = head.push(b"#!").and_then(|h| h.push(skeg));
            during(fs::write_all(&to, head.as_bytes()))?;
            during(fs::write_all(&to, rest))
        }
    }
}

/// Whether something is there: only `ENOENT` says that it is not.
fn is_there(looked: sys::Result<()>) -> Result<bool, LiveError> {
    match looked {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(LiveError::sys(Op::Read, What::ServiceDir, e)),
    }
}

/// Who moves `current`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// Ours: it moves `current` to `next` just before it spawns `run`.
    Ours,
    /// Another: the command moves `current` at once.
    Foreign,
}

/// A service directory that is open.
pub struct ServiceDir {
    dir: OwnedFd,
}

impl ServiceDir {
    /// Opens `LIVE:sv/ID`.
    pub fn open(sv: BorrowedFd<'_>, id: Id) -> Result<Self, LiveError> {
        fs::open_dir(sv, &id.name()).during(Op::Open, What::ServiceDir).map(|dir| Self { dir })
    }

    fn link(&self, name: &CStr) -> Result<Option<u32>, LiveError> {
        let mut buf = [0; 32];
        match fs::readlink(&self.dir, name, &mut buf) {
            Ok(target) => Ok(target.strip_prefix(b"v").and_then(decimal)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(LiveError::sys(Op::Read, What::ServiceDir, e)),
        }
    }

    /// The version in use.
    pub fn current(&self) -> Result<Option<u32>, LiveError> {
        self.link(c"current")
    }

    /// The version for the next start, if it is another.
    pub fn next(&self) -> Result<Option<u32>, LiveError> {
        self.link(c"next")
    }

    /// Whether this version's directory is there.
    pub fn has_version(&self, generation: u32) -> Result<bool, LiveError> {
        is_there(fs::access(&self.dir, &version_name(generation), 0))
    }

    /// Makes this version, of these files, the one in use: at the next start, or `at_once`. It must not be in use yet.
    pub fn switch<'a>(
        &self,
        generation: u32,
        files: impl Iterator<Item = File<'a>>,
        at_once: bool,
    ) -> Result<(), LiveError> {
        let version = version_name(generation);
        for file in files {
            if file.path == TEMPLATE {
                self.take_template(&version)?;
            } else if is_top(&file) && !is_live(&file) {
                self.link_name(file.path)?;
            }
        }
        if at_once {
            let (dir, aside) = (self.dir(), c"current.new");
            links::make(dir, &version, aside, What::ServiceDir)?;
            self.stamp(aside, UNKNOWN)?;
            fs::rename(dir, aside, dir, c"current").during(Op::Rename, What::ServiceDir)?;
            self.stamp_move(generation)?;
            // What waited for the next start is overtaken.
            return links::remove(self.dir(), c"next", What::ServiceDir);
        }
        links::make(self.dir(), &version, c"next.new", What::ServiceDir)?;
        self.stamp(c"next.new", 0)?;
        fs::rename(&self.dir, c"next.new", &self.dir, c"next").during(Op::Rename, What::ServiceDir)
    }

    fn stamp(&self, name: &CStr, ticks: u64) -> Result<(), LiveError> {
        let at = Wall { seconds: (ticks / 100) as i64, nanos: (ticks % 100) as u32 * TICK + MOVED };
        fs::set_modified(&self.dir, name, at).during(Op::Write, What::ServiceDir)
    }

    /// The time of a link or directory in ticks, and whether it is one that [`Self::stamp`] has given it.
    fn stamp_of(&self, name: &CStr) -> Result<(u64, bool), LiveError> {
        let stat = fs::lstat(&self.dir, name).during(Op::Read, What::ServiceDir)?;
        let (seconds, nanos) = (stat.st_mtime as u64, stat.st_mtime_nsec as u32);
        Ok((seconds.wrapping_mul(100).wrapping_add(u64::from(nanos / TICK)), nanos % TICK == MOVED))
    }

    /// Notes that `current` has been moved to this version at once, unless that is noted already: only now it is certain that a
    /// process which is started later is one of this version. Of a service that is down, and to be, no process can be older.
    pub fn stamp_move(&self, generation: u32) -> Result<(), LiveError> {
        if self.stamp_of(c"current")?.0 != UNKNOWN {
            return Ok(());
        }
        let may_live = Status::read(&self.dir).is_ok_and(|status| status.pid != 0 || status.wanted_up);
        let ticks = if may_live { boot_ticks() + 1 } else { 0 };
        self.stamp(&version_name(generation), ticks)?;
        self.stamp(c"current", ticks)
    }

    /// Puts a version's template in force, and makes what else instances need. Instances that are there stay as they are.
    fn take_template(&self, version: &CStr) -> Result<(), LiveError> {
        let during = |result: sys::Result<()>| result.during(Op::Rename, What::ServiceDir);
        let from = PathBuffer::from_pieces(&[version.to_bytes(), b"/", TEMPLATE.to_bytes()])
            .during(Op::Rename, What::ServiceDir)?;
        if !is_there(fs::access(&self.dir, &from, 0))? {
            return Ok(());
        }
        for name in INSTANCES {
            match fs::mkdir(&self.dir, name, 0o755) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(LiveError::sys(Op::Create, What::ServiceDir, e)),
            }
        }
        // No directory can take the place of one with files in it.
        remove::tree(self.dir(), OLD_TEMPLATE, What::ServiceDir)?;
        match fs::rename(&self.dir, TEMPLATE, &self.dir, OLD_TEMPLATE) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return during(Err(e)),
        }
        during(fs::rename(&self.dir, &from, &self.dir, TEMPLATE))?;
        remove::tree(self.dir(), OLD_TEMPLATE, What::ServiceDir)
    }

    /// Makes the link `NAME -> current/NAME`.
    fn link_name(&self, name: &CStr) -> Result<(), LiveError> {
        match fs::symlink(&target_of(name)?, &self.dir, name) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(LiveError::sys(Op::Create, What::ServiceDir, e)),
        }
    }

    /// When `current` was moved at once, in ticks since the machine was started: a process that is older may live by another version.
    /// None where no process can: this is the directory's first version, or the move came right before a start.
    pub fn moved_at_once(&self, id: Id) -> Result<Option<u64>, LiveError> {
        let (ticks, _) = self.stamp_of(c"current")?;
        Ok(if ticks == 0 || self.current()? == Some(id.generation) { None } else { Some(ticks) })
    }

    /// The directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        use sys::AsFd;
        self.dir.as_fd()
    }

    /// Removes one version, and `next` if it names it: an update is undone.
    pub fn drop_version(&self, generation: u32) -> Result<(), LiveError> {
        use sys::AsFd;
        if self.next()? == Some(generation) {
            fs::unlink(&self.dir, c"next").during(Op::Remove, What::ServiceDir)?;
        }
        remove::tree(self.dir.as_fd(), &version_name(generation), What::ServiceDir)
    }

    /// Removes what no start will use any more, and nobody lives by: versions that are neither `current` nor `next`, and names
    /// that neither has. `since`: when the service's process was started, where that was before `current` was moved.
    pub fn tidy(&self, since: Option<u64>) -> Result<(), LiveError> {
        use sys::AsFd;
        let lived_by = since.map(|since| self.lived_by(since)).transpose()?;
        let keep = |name: &CStr, version: u32| -> Result<bool, LiveError> {
            let (Some(since), Some((oldest, next))) = (since, lived_by) else { return Ok(false) };
            let (moved, is_known) = self.stamp_of(name)?;
            Ok(version >= oldest && (!is_known || moved <= since || version == next))
        };
        let (current, next) = (self.current()?, self.next()?);
        if current.is_none() {
            return Ok(());
        }
        // It was made once more while a start moved it.
        if next == current {
            match fs::unlink(&self.dir, c"next") {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => return Err(LiveError::sys(Op::Remove, What::ServiceDir, e)),
            }
        }
        // A start may move `next` meanwhile: the version that was `next` becomes `current`, and both are kept.
        let walk = fs::open_dir(&self.dir, c".").during(Op::Open, What::ServiceDir)?;
        let (mut instances, mut wanted) = (false, false);
        fs::for_each_entry(&walk, |name, _, kind| {
            let bytes = name.to_bytes();
            if let Some(version) = bytes.strip_prefix(b"v").and_then(decimal) {
                let used = current == Some(version) || next == Some(version) || keep(name, version)?;
                wanted |= used && self.has_instances(name)?;
                return if used { Ok(()) } else { remove::tree(self.dir.as_fd(), name, What::ServiceDir) };
            }
            instances |= name == INSTANCES[0];
            if matches!(bytes, b"current.new" | b"next.new" | b"template.old") {
                return remove::tree(self.dir.as_fd(), name, What::ServiceDir);
            }
            let is_link = matches!(kind, fs::FileType::Symlink | fs::FileType::Unknown);
            if is_link && !matches!(bytes, b"current" | b"next") { self.tidy_name(name) } else { Ok(()) }
        })?;
        if instances && !wanted {
            for name in [TEMPLATE, INSTANCES[1], INSTANCES[0]] {
                remove::tree(self.dir(), name, What::ServiceDir)?;
            }
        }
        Ok(())
    }

    /// What a process that was started then may live by, of the versions that were moved at once: the last one that had been put in
    /// force by then, and the next one after that, whose move may have begun. What was put in force by a start lies between them.
    fn lived_by(&self, since: u64) -> Result<(u32, u32), LiveError> {
        let walk = fs::open_dir(&self.dir, c".").during(Op::Open, What::ServiceDir)?;
        let (mut last, mut next) = (0, u32::MAX);
        fs::for_each_entry(&walk, |name, _, _| {
            let Some(version) = name.to_bytes().strip_prefix(b"v").and_then(decimal) else { return Ok(()) };
            match self.stamp_of(name)? {
                (moved, true) if moved <= since => last = last.max(version),
                (_, true) => next = next.min(version),
                _ => {}
            }
            Ok::<_, LiveError>(())
        })?;
        Ok((last, next))
    }

    /// Whether this version makes instances.
    fn has_instances(&self, version: &CStr) -> Result<bool, LiveError> {
        let path = PathBuffer::from_pieces(&[version.to_bytes(), b"/", INSTANCES[0].to_bytes()])
            .during(Op::Read, What::ServiceDir)?;
        is_there(fs::access(&self.dir, &path, 0))
    }

    /// Removes a link into `current` where neither definition has that name.
    fn tidy_name(&self, name: &CStr) -> Result<(), LiveError> {
        let exists = |dir: &[u8]| {
            let path =
                PathBuffer::from_pieces(&[dir, b"/", name.to_bytes()]).during(Op::Read, What::ServiceDir)?;
            is_there(fs::lstat(&self.dir, &path).map(|_| ()))
        };
        if exists(b"current")? || exists(b"next")? {
            return Ok(());
        }
        let mut buf = [0; 512];
        match fs::readlink(&self.dir, name, &mut buf) {
            Ok(target) if target == target_of(name)?.as_bytes() => {
                fs::unlink(&self.dir, name).during(Op::Remove, What::ServiceDir)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        let id = Id { generation: 12, index: 345 };
        assert_eq!(id.name().as_c(), c"12.345");
        assert_eq!(Id::parse(b"12.345"), Some(id));
        for bad in [&b"12"[..], b"12.", b".1", b"1.2.3", b"01.2", b"1.70000", b"lock"] {
            assert_eq!(Id::parse(bad), None);
        }
    }
}
