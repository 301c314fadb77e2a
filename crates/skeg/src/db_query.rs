// SPDX-License-Identifier: ISC
//! `s6-rc-db`: questions to an image. It is mapped, never parsed; the answer is one write.
//!
//! A question about a few services looks at these alone, each of which carries its own seal. Before anything else is
//! believed, and before something is said not to be there, the checksums of the whole image are looked at.

use crate::applet::{Applet, Call};
use crate::update::map_image;
use crate::{fault_words, words};
use alloc::vec::Vec;
use core::ffi::CStr;
use db::{Corrupt, Db, Direction, Flags, Kind, ServiceId, Target};
use engine::Set;
use sys::Errno;
use sys::start::Strings;

/// The applets of this area.
pub static APPLETS: &[Applet] = &[Applet {
    name: "s6-rc-db",
    options: Some("u/up d/down b/block E/with-essentials e/without-essentials l=livedir c=compiled"),
    main,
}];

/// The image is not valid.
const INVALID: u8 = 4;
/// A name of the wrong type.
const WRONG_TYPE: u8 = 5;

/// What is asked, in the order of [`COMMANDS`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Help,
    Check,
    List,
    Type,
    Timeout,
    Contents,
    Dependencies,
    Pipeline,
    Script,
    Flags,
    Atomics,
    AllDependencies,
}

const COMMANDS: &str =
    "help check list type timeout contents dependencies pipeline script flags atomics all-dependencies";

impl Command {
    fn of(word: &[u8]) -> Option<Self> {
        use Command::*;
        const ALL: [Command; 12] = [
            Help,
            Check,
            List,
            Type,
            Timeout,
            Contents,
            Dependencies,
            Pipeline,
            Script,
            Flags,
            Atomics,
            AllDependencies,
        ];
        ALL.get(words::place(word, COMMANDS)?).copied()
    }
}

struct Query {
    direction: Direction,
    hide_essential: bool,
    command: Command,
    names: Strings,
}

fn parse(call: &Call) -> Result<Query, u8> {
    let word = call.operand(t!("which command?"))?.to_bytes();
    let Some(command) = Command::of(word) else { return Err(call.misused(t!("unknown command '%'"), word)) };
    let mut names = call.words;
    names.next();
    let first = { names }.next();
    let query = Query {
        direction: if call.last(b"ud") == b'd' { Direction::Down } else { Direction::Up },
        hide_essential: call.last(b"Ee") == b'e',
        command,
        names,
    };
    if first.is_none() && !matches!(command, Command::Help | Command::Check) {
        return Err(call.misused(t!("'%' needs a name"), word));
    }
    Ok(query)
}

/// The bytes of the image at a path, mapped for as long as the process lives.
pub fn map(call: &Call, path: &CStr) -> Result<&'static [u8], u8> {
    Ok(map_image(call, path)?.1)
}

/// Says why an image is refused; the exit code.
#[inline(never)]
pub fn refuse_image(call: &Call, path: &CStr, error: Corrupt) -> u8 {
    let mut line = text::Line::new();
    fault_words::put_corrupt(&mut line, error);
    call.say_two(t!("the image % is not valid: %"), path.to_bytes(), line.as_bytes());
    INVALID
}

fn main(call: &Call) -> Result<u8, u8> {
    let query = parse(call)?;
    answer(call, &query).map(|()| 0)
}

fn answer(call: &Call, query: &Query) -> Result<(), u8> {
    if query.command == Command::Help {
        return call.help().map(|_| ());
    }
    match call.value(b'c') {
        Some(path) => ask(call, query, path),
        None => ask_live(call, query),
    }
}

/// By itself: a path is a page of the stack, which a question to an image does without.
#[inline(never)]
fn ask_live(call: &Call, query: &Query) -> Result<(), u8> {
    let path = sys::Path::from_pieces(&[call.live().to_bytes(), b"/image"])
        .map_err(|_| call.failed(t!("open %"), call.live().to_bytes(), Errno::NAMETOOLONG))?;
    ask(call, query, &path)
}

#[inline(never)]
fn ask(call: &Call, query: &Query, path: &CStr) -> Result<(), u8> {
    let bytes = map(call, path)?;
    let opened = if query.command == Command::Check { Db::check(bytes) } else { Db::glance(bytes) };
    let db = opened.map_err(|error| refuse_image(call, path, error))?;
    let asked = Asked { call, query, path, db, sure: false, out: Vec::with_capacity(512) };
    asked.answer()
}

struct Asked<'a> {
    call: &'a Call,
    query: &'a Query,
    path: &'a CStr,
    db: Db<'static>,
    /// All checksums have been looked at.
    sure: bool,
    out: Vec<u8>,
}

impl Asked<'_> {
    fn answer(mut self) -> Result<(), u8> {
        match self.query.command {
            Command::Help | Command::Check => {}
            Command::List => self.list()?,
            Command::Type => self.kind()?,
            Command::Timeout => self.timeout()?,
            Command::Contents => self.contents()?,
            Command::Dependencies | Command::Atomics | Command::AllDependencies => self.union()?,
            Command::Pipeline => self.pipeline()?,
            Command::Script => self.script()?,
            Command::Flags => self.flags()?,
        }
        words::output(&self.out)
    }

    /// Looks at all checksums, once.
    fn make_sure(&mut self) -> Result<(), u8> {
        if !self.sure {
            Db::open(self.db.bytes()).map_err(|error| refuse_image(self.call, self.path, error))?;
            self.sure = true;
        }
        Ok(())
    }

    /// Before anything that a service says is believed.
    fn believe(&mut self, id: ServiceId) -> Result<(), u8> {
        if self.db.is_sound(id) { Ok(()) } else { self.make_sure() }
    }

    fn line(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.out.push(b'\n');
    }

    /// A service's name, unless it is not to be shown.
    fn show(&mut self, id: ServiceId) -> Result<(), u8> {
        self.believe(id)?;
        if !(self.query.hide_essential && self.db.flags(id).has(Flags::ESSENTIAL)) {
            self.line(self.db.name(id));
        }
        Ok(())
    }

    fn find(&mut self, name: &CStr) -> Result<Target, u8> {
        let found = self.db.lookup(name.to_bytes());
        match found {
            Some(Target::Service(id)) => self.believe(id)?,
            Some(Target::Bundle(_)) | None => self.make_sure()?,
        }
        found.ok_or_else(|| words::unknown(self.call, &self.db, name.to_bytes()))
    }

    fn first(&self) -> &'static CStr {
        { self.query.names }.next().unwrap_or(c"")
    }

    fn wrong_type(&self, name: &CStr, is: &[u8]) -> u8 {
        self.call.say_two(t!("'%' has the wrong type: %"), name.to_bytes(), is);
        WRONG_TYPE
    }

    /// The first name, which must be an atomic service.
    fn atomic(&mut self) -> Result<ServiceId, u8> {
        let name = self.first();
        match self.find(name)? {
            Target::Service(id) => Ok(id),
            Target::Bundle(_) => Err(self.wrong_type(name, b"bundle")),
        }
    }

    fn list(&mut self) -> Result<(), u8> {
        self.make_sure()?;
        let (longruns, all) = (self.db.longruns(), self.db.len());
        let what = self.first().to_bytes();
        let Some(place) = words::place(what, "all services oneshots longruns bundles") else {
            let known = t!("'%' can't be listed: all, services, oneshots, longruns, bundles");
            return Err(self.call.misused(known, what));
        };
        let range =
            [0..all, 0..all, longruns..all, 0..longruns, 0..0].get(place).cloned().unwrap_or_default();
        let hides = self.query.hide_essential;
        for id in self.db.services().take(range.end).skip(range.start) {
            if place == 0 || !(hides && self.db.flags(id).has(Flags::ESSENTIAL)) {
                self.line(self.db.name(id));
            }
        }
        if place == 0 || place == 4 {
            for id in self.db.bundles() {
                self.line(self.db.bundle_name(id));
            }
        }
        Ok(())
    }

    fn kind(&mut self) -> Result<(), u8> {
        let word: &[u8] = match self.find(self.first())? {
            Target::Bundle(_) => b"bundle",
            Target::Service(id) => match self.db.kind(id) {
                Kind::Longrun => b"longrun",
                Kind::Oneshot => b"oneshot",
            },
        };
        self.line(word);
        Ok(())
    }

    fn timeout(&mut self) -> Result<(), u8> {
        let id = self.atomic()?;
        let timeout = self.db.timeout(id, self.query.direction);
        self.line(text::Digits::decimal(u64::from(timeout)).as_bytes());
        Ok(())
    }

    fn contents(&mut self) -> Result<(), u8> {
        let name = self.first();
        match self.find(name)? {
            Target::Bundle(id) => {
                for service in self.db.bundle_contents(id) {
                    self.show(service)?;
                }
                Ok(())
            }
            Target::Service(_) => Err(self.wrong_type(name, b"atomic service")),
        }
    }

    /// The union over all names: of themselves, of what they need, or of all that.
    fn union(&mut self) -> Result<(), u8> {
        let mut wanted = Set::new(self.db.len());
        let mut waiting: Vec<ServiceId> = Vec::new();
        let deeply = self.query.command == Command::AllDependencies;
        for name in self.query.names {
            let found = self.find(name)?;
            for id in self.db.atomics(found) {
                if self.query.command == Command::Dependencies {
                    for other in self.db.dependencies(id, self.query.direction) {
                        wanted.insert(other.index() as u16);
                    }
                } else if wanted.insert(id.index() as u16) && deeply {
                    waiting.push(id);
                }
            }
        }
        while let Some(id) = waiting.pop() {
            self.believe(id)?;
            for other in self.db.dependencies(id, self.query.direction) {
                if wanted.insert(other.index() as u16) {
                    waiting.push(other);
                }
            }
        }
        for service in wanted.iter() {
            if let Some(id) = self.db.service(usize::from(service)) {
                self.show(id)?;
            }
        }
        Ok(())
    }

    fn pipeline(&mut self) -> Result<(), u8> {
        let id = self.atomic()?;
        if self.db.kind(id) == Kind::Oneshot {
            return Err(self.wrong_type(self.first(), b"oneshot"));
        }
        self.make_sure()?;
        let mut waiting = alloc::vec![self.db.pipeline_end(id)];
        // Each service is the producer of at most one: none comes twice, or the image lies.
        let mut rounds = self.db.len();
        while let Some(consumer) = waiting.pop().filter(|_| rounds > 0) {
            rounds -= 1;
            for producer in self.db.producers(consumer) {
                self.out.extend_from_slice(self.db.name(producer));
                self.out.push(b'/');
                self.line(self.db.name(consumer));
                waiting.push(producer);
            }
        }
        Ok(())
    }

    fn script(&mut self) -> Result<(), u8> {
        let id = self.atomic()?;
        if self.db.kind(id) == Kind::Longrun {
            return Err(self.wrong_type(self.first(), b"longrun"));
        }
        if !self.db.is_whole(id) {
            self.make_sure()?;
        }
        if let Some(words) = self.db.script(id, self.query.direction) {
            self.out.extend_from_slice(words.as_bytes());
        }
        Ok(())
    }

    #[inline(never)]
    fn flags(&mut self) -> Result<(), u8> {
        let id = self.atomic()?;
        let flags = self.db.flags(id).0 & Flags::REFERENCE.0;
        let mut line = text::Line::new();
        line.hex(&flags.to_be_bytes());
        self.line(line.as_bytes());
        Ok(())
    }
}
