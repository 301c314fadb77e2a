// SPDX-License-Identifier: ISC
//! `s6-rc-compile`: source directories into an image. The output appears whole, in one step, or not at all.
//!
//! A binary that was built without the feature `compiler` has these applets, too, and says that it can't. What else needs the
//! compiler, or makes images of its own, asks [`must_exist`] first.

#[cfg(feature = "compiler")]
mod compiler;
#[cfg(not(feature = "compiler"))]
#[path = "no_compiler.rs"]
mod compiler;
#[cfg(feature = "compiler")]
mod faults;

pub use compiler::{compile, must_exist};

use crate::applet::{Applet, Call, SYSTEM};
use crate::fault_words;
use crate::update::output;
use alloc::vec::Vec;
use core::ffi::CStr;
use sys::fs::{Lock, OFlags, RenameFlags};
use sys::{Errno, OwnedFd, Path};

/// The applets of this area.
pub static APPLETS: &[Applet] = &[Applet {
    name: "s6-rc-compile",
    options: Some("v#verbosity h=fdholder-user b/block -r/replace -k/keep-going"),
    main,
}];

struct Plan {
    verbosity: u32,
    replace: bool,
    keep_going: bool,
    out: &'static CStr,
    sources: Vec<&'static CStr>,
}

fn parse(call: &Call) -> Result<Plan, u8> {
    let out = call.operand(t!("where to write, and what to compile?"))?;
    let plan = Plan {
        verbosity: call.number(b'v', 1),
        replace: call.has(b'r'),
        keep_going: call.has(b'k'),
        out,
        sources: call.words.skip(1).collect(),
    };
    if plan.sources.is_empty() {
        return Err(call.misused(t!("which source directories?"), b""));
    }
    Ok(plan)
}

fn main(call: &Call) -> Result<u8, u8> {
    must_exist(call)?;
    carry_out(call, &parse(call)?).map(|()| 0)
}

fn carry_out(call: &Call, plan: &Plan) -> Result<(), u8> {
    let followed;
    let out = if plan.replace {
        followed = output(call, plan.out)?.0;
        followed.as_c()
    } else {
        plan.out
    };
    let place = Place::open(call, out)?;
    if !plan.replace && sys::fs::lstat(&place.dir, &place.name).is_ok() {
        return Err(place.taken(call));
    }
    let (image, _) = compile(call, &plan.sources, plan.keep_going, plan.verbosity, 1)?;
    let db = match db::Db::check_structure(&image) {
        Ok(db) => db,
        Err(error) => {
            let mut line = text::Line::new();
            fault_words::put_corrupt(&mut line, error);
            call.say(t!("a bug: the image that was made is not valid: %"), line.as_bytes());
            return Err(SYSTEM);
        }
    };
    place.write(call, &image, plan.replace)?;
    if plan.verbosity >= 2 {
        let mut line = text::Line::new();
        line.put(b"compiled ").num(db.longruns() as u64).put(b" longruns, ");
        line.num((db.len() - db.longruns()) as u64).put(b" oneshots and ").num(db.bundles().len() as u64);
        line.put(b" bundles into ").put_quoted(plan.out.to_bytes()).put(b", ").num(image.len() as u64);
        line.put(b" bytes");
        call.say(t!("%"), line.as_bytes());
    }
    Ok(())
}

/// Bytes of a file's name at most. Source: `NAME_MAX` of limits.h.
const NAME_MOST: usize = 255;

/// Where an image goes.
pub struct Place<'a> {
    dir: OwnedFd,
    name: Path,
    /// The name it has until it is whole: `.NAME.new`.
    aside: Path,
    path: &'a CStr,
}

impl<'a> Place<'a> {
    /// Opens the directory that is to hold it.
    pub fn open(call: &Call, path: &'a CStr) -> Result<Self, u8> {
        crate::applet::bear_size_limit();
        let bytes = path.to_bytes();
        let end = bytes.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
        let bytes = bytes.get(..end).unwrap_or_default();
        let cut = bytes.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
        let (parent, name) = bytes.split_at_checked(cut).unwrap_or_default();
        let too_long = || call.failed(t!("write %"), path.to_bytes(), Errno::NAMETOOLONG);
        if name.is_empty() {
            return Err(call.misused(t!("'%' is no name for a file"), path.to_bytes()));
        }
        let parent = Path::from_pieces(&[if parent.is_empty() { b"." } else { parent }]);
        let parent = parent.map_err(|_| too_long())?;
        let dir = sys::fs::open_dir(sys::CWD, &parent)
            .map_err(|e| call.failed(t!("open the directory %"), parent.as_bytes(), e))?;
        // A name that leaves no room for dot and ending shares one with its like.
        let aside: &[&[u8]] = if name.len() > NAME_MOST {
            return Err(too_long());
        } else if name.len() > NAME_MOST - b"..new".len() {
            &[b".skeg.new"]
        } else {
            &[b".", name, b".new"]
        };
        let name = Path::from_pieces(&[name]).map_err(|_| too_long())?;
        let aside = Path::from_pieces(aside).map_err(|_| too_long())?;
        Ok(Self { dir, name, aside, path })
    }

    /// What lies under the name aside now, if anything: it would be written over.
    pub fn beside(&self) -> Option<sys::fs::Stat> {
        sys::fs::lstat(&self.dir, &self.aside).ok()
    }

    fn taken(&self, call: &Call) -> u8 {
        call.fail(
            SYSTEM,
            t!("can't write %: it exists already (--replace puts the new one there)"),
            self.path.to_bytes(),
        )
    }

    /// Writes the image aside, syncs it, renames it, syncs the directory.
    pub fn write(&self, call: &Call, image: &[u8], replace: bool) -> Result<(), u8> {
        let file = self.aside(call)?;
        let outcome = self.fill(&file, image, replace);
        if let Err(e) = outcome {
            let _ = sys::fs::unlink(&self.dir, &self.aside);
            if e == Errno::EXIST {
                return Err(self.taken(call));
            }
            return Err(call.failed(t!("write %"), self.path.to_bytes(), e));
        }
        sys::fs::fsync(&self.dir)
            .map_err(|e| call.failed(t!("sync the directory of %"), self.path.to_bytes(), e))
    }

    /// The file aside, locked: what a killed compiler left is taken over, what a living one writes is not.
    fn aside(&self, call: &Call) -> Result<OwnedFd, u8> {
        for _ in 0..8 {
            let file = sys::fs::open(&self.dir, &self.aside, OFlags::RDWR | OFlags::CREATE, 0o644)
                .map_err(|e| call.failed(t!("make the file aside for %"), self.path.to_bytes(), e))?;
            match sys::fs::ofd_lock(&file, Lock::Exclusive) {
                Ok(()) => {}
                Err(Errno::AGAIN | Errno::ACCESS) => {
                    return Err(call.fail(SYSTEM, t!("another command is writing %"), self.path.to_bytes()));
                }
                Err(e) => return Err(call.failed(t!("lock the file aside for %"), self.path.to_bytes(), e)),
            }
            // Between the two calls another one may have finished: then this is its output, and the name is free.
            let (Ok(held), Ok(named)) = (sys::fs::fstat(&file), sys::fs::lstat(&self.dir, &self.aside))
            else {
                continue;
            };
            if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino) {
                return Ok(file);
            }
        }
        Err(call.failed(t!("make %"), self.aside.as_bytes(), Errno::BUSY))
    }

    fn fill(&self, file: &OwnedFd, image: &[u8], replace: bool) -> sys::Result<()> {
        sys::fs::ftruncate(file, 0)?;
        sys::fs::write_all(file, image)?;
        sys::fs::fsync(file)?;
        if replace {
            return sys::fs::rename(&self.dir, &self.aside, &self.dir, &self.name);
        }
        let flags = RenameFlags::NOREPLACE;
        match sys::fs::rename_with(&self.dir, &self.aside, &self.dir, &self.name, flags) {
            // Not every file system can: a link can't replace anything either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                sys::fs::link(&self.dir, &self.aside, &self.dir, &self.name)?;
                sys::fs::unlink(&self.dir, &self.aside)
            }
            other => other,
        }
    }
}
