// SPDX-License-Identifier: ISC
//! Generations `LIVE:N`: making one beside the current, switching the link, taking one away.

use crate::error::{During, LiveError, Op, What};
use crate::links;
use crate::names::{LINKS, SERVICEDIRS};
use crate::place::{Name, Place};
use crate::remove;
use crate::service_dir::Id;
use crate::state::{Header, States};
use core::ffi::CStr;
use sys::{AsFd, BorrowedFd, Errno, OwnedFd, Path, fs};

/// What a generation notes beside state and image.
#[derive(Clone, Copy, Debug)]
pub struct Notes<'a> {
    /// The image's path as the user gave it.
    pub compiled: &'a CStr,
    /// The scan directory's absolute path.
    pub scandir: &'a CStr,
    /// What scan directory entries begin with.
    pub prefix: &'a [u8],
    /// The skeg binary that generated scripts name.
    pub skeg: &'a CStr,
}

/// Where the image's bytes come from.
#[derive(Clone, Copy)]
pub enum ImageSource<'a> {
    /// These bytes are copied.
    Copy(&'a [u8]),
    /// A file on a read-only file system, by its absolute path: a link will do.
    Link(&'a CStr),
}

/// A generation under construction: nobody sees it before the link is switched to it.
pub struct Builder<'a> {
    place: &'a Place,
    number: u32,
    dir: OwnedFd,
}

impl<'a> Builder<'a> {
    /// Begins generation `number`. A half-made one of that number is taken away first.
    pub fn begin(place: &'a Place, number: u32) -> Result<Self, LiveError> {
        let name = place.generation_name(number);
        let made = match fs::mkdir(place.parent(), &name, 0o755) {
            Err(Errno::EXIST) => {
                remove::tree(place.parent(), &name, What::Generation)?;
                fs::mkdir(place.parent(), &name, 0o755)
            }
            other => other,
        };
        made.during(Op::Create, What::Generation)?;
        let dir = fs::open_dir(place.parent(), &name).during(Op::Open, What::Generation)?;
        let target = Path::from_pieces(&[b"../", place.sv_name().as_bytes(), b"/", LINKS.to_bytes()]);
        let target = target.during(Op::Create, What::Names)?;
        fs::symlink(&target, &dir, SERVICEDIRS).during(Op::Create, What::Names)?;
        Ok(Self { place, number, dir })
    }

    /// Writes the notes.
    pub fn notes(&self, notes: &Notes<'_>) -> Result<(), LiveError> {
        let link =
            |target: &CStr, name: &CStr| fs::symlink(target, &self.dir, name).during(Op::Create, What::Note);
        link(notes.compiled, c"compiled")?;
        link(notes.scandir, c"scandir")?;
        link(notes.skeg, c"skeg")?;
        let flags = fs::OFlags::WRONLY | fs::OFlags::CREATE;
        let prefix = fs::open(&self.dir, c"prefix", flags, 0o644).during(Op::Create, What::Note)?;
        fs::write_all(&prefix, notes.prefix).during(Op::Write, What::Note)
    }

    /// Puts the image there.
    pub fn image(&self, source: ImageSource<'_>) -> Result<(), LiveError> {
        match source {
            ImageSource::Link(path) => fs::symlink(path, &self.dir, c"image").during(Op::Create, What::Image),
            ImageSource::Copy(bytes) => {
                let flags = fs::OFlags::WRONLY | fs::OFlags::CREATE | fs::OFlags::EXCL;
                let image = fs::open(&self.dir, c"image", flags, 0o444).during(Op::Create, What::Image)?;
                fs::write_all(&image, bytes).during(Op::Write, What::Image)
            }
        }
    }

    /// Writes the states of so many services, all down, and the directories of those that are longruns, in the image's order.
    pub fn states(&self, hash: [u8; 32], count: usize, ids: &[Id]) -> Result<States, LiveError> {
        let header =
            Header { count: count as u32, generation: self.number, hash, longruns: ids.len() as u32 };
        States::create(self.dir.as_fd(), header, ids)
    }

    /// Makes the link that [`switch_link`] puts in force. The generation, as one that exists is opened.
    pub fn finish(self) -> Result<Generation, LiveError> {
        let (target, aside) = (self.place.generation_name(self.number), aside(self.place));
        links::make(self.place.parent(), &target, &aside, What::Link)?;
        Ok(Generation { number: self.number, dir: self.dir })
    }

    /// Makes it the generation in force: the first one. `Exists` where `LIVE` is there already.
    pub fn commit_first(&self) -> Result<(), LiveError> {
        let target = self.place.generation_name(self.number);
        match fs::symlink(&target, self.place.parent(), self.place.name()) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(LiveError::EXISTS),
            Err(e) => Err(LiveError::sys(Op::Create, What::Link, e)),
        }
    }
}

/// The name under which the next link is made.
fn aside(place: &Place) -> Name {
    Name::from_pieces(&[place.name().to_bytes(), b":new"]).unwrap_or_default()
}

/// Makes the generation that this one was built for the one in force: the commit point of an update. The link is replaced in one
/// step, which needs no space.
pub fn switch_link(place: &Place) -> Result<(), LiveError> {
    fs::rename(place.parent(), &aside(place), place.parent(), place.name()).during(Op::Rename, What::Link)
}

/// Takes away every generation but this one, and a link that was never switched.
pub fn remove_others(place: &Place, keep: Option<u32>) -> Result<(), LiveError> {
    let walk = fs::open_dir(place.parent(), c".").during(Op::Open, What::Parent)?;
    let aside = aside(place);
    fs::for_each_entry(&walk, |name, _, _| {
        let number = place.generation_of(name.to_bytes());
        let stale = number.is_some() && number != keep;
        if stale || name == aside.as_c() {
            return remove::tree(place.parent(), name, What::Generation);
        }
        Ok(())
    })
}

/// A generation that is open: its notes, states and image.
pub struct Generation {
    number: u32,
    dir: OwnedFd,
}

impl Generation {
    /// Opens the generation of this number.
    pub fn open(place: &Place, number: u32) -> Result<Self, LiveError> {
        let dir = fs::open_dir(place.parent(), &place.generation_name(number))
            .during(Op::Open, What::Generation)?;
        Ok(Self { number, dir })
    }

    /// Takes it away: what it has by name, else whatever is in it.
    pub fn remove(self, place: &Place) -> Result<(), LiveError> {
        for name in [c"state", c"image", c"prefix", c"skeg", c"scandir", c"compiled", SERVICEDIRS] {
            let _ = fs::unlink(&self.dir, name);
        }
        let name = place.generation_name(self.number);
        match fs::rmdir(place.parent(), &name) {
            Ok(()) => Ok(()),
            Err(_) => remove::tree(place.parent(), &name, What::Generation),
        }
    }

    /// Its number.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Its directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    fn note(&self, name: &CStr) -> Result<Path, LiveError> {
        fs::link_target(&self.dir, name).during(Op::Read, What::Note)
    }

    /// Where the image came from.
    pub fn compiled(&self) -> Result<Path, LiveError> {
        self.note(c"compiled")
    }

    /// Notes that the image came from elsewhere.
    pub fn set_compiled(&self, path: &CStr) -> Result<(), LiveError> {
        if self.compiled()?.as_c() == path {
            return Ok(());
        }
        links::replace(self.dir(), path, c"compiled", c"compiled.new", What::Note)
    }

    /// The scan directory's path.
    pub fn scandir(&self) -> Result<Path, LiveError> {
        self.note(c"scandir")
    }

    /// The skeg binary that generated scripts name.
    pub fn skeg(&self) -> Result<Path, LiveError> {
        self.note(c"skeg")
    }

    /// What scan directory entries begin with.
    pub fn prefix(&self) -> Result<Name, LiveError> {
        let file = fs::open_read(&self.dir, c"prefix").during(Op::Open, What::Note)?;
        let mut buf = [0; 256];
        let have = fs::read_full(&file, &mut buf).during(Op::Read, What::Note)?;
        Name::from_pieces(&[buf.get(..have).unwrap_or_default()]).during(Op::Read, What::Note)
    }

    /// Its states.
    pub fn states(&self, writable: bool) -> Result<States, LiveError> {
        States::open(self.dir.as_fd(), writable)
    }

    /// Its image, mapped for as long as the process lives.
    pub fn image(&self) -> Result<&'static [u8], LiveError> {
        let file = fs::open_read(&self.dir, c"image").during(Op::Open, What::Image)?;
        let size = fs::fstat(&file).during(Op::Read, What::Image)?.st_size as usize;
        sys::mm::MappedFile::new(&file, size).during(Op::Map, What::Image).map(sys::mm::MappedFile::leak)
    }
}
