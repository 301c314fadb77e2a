// SPDX-License-Identifier: ISC
//! Opening an image and reading it. Every accessor is total: a record that lies gives an empty answer.

use crate::layout::{self, BundleRecord, FileRecord, Header, ServiceRecord};
use crate::sum::sum;
use crate::{
    BundleId, Corrupt, Direction, FileKind, Flags, Kind, NO_SERVICE, Script, Section, ServiceId, Target,
};
use crate::{MAX_BUNDLES, MAX_SERVICES};
use core::ffi::CStr;
use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, IntoBytes};

/// An image: a view of its bytes.
#[derive(Clone, Copy)]
pub struct Db<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) header: &'a Header,
    pub(crate) services: &'a [ServiceRecord],
    pub(crate) bundles: &'a [BundleRecord],
    pub(crate) edges: &'a [U16],
    pub(crate) files: &'a [FileRecord],
    pub(crate) names: &'a [u8],
    pub(crate) data: &'a [u8],
    longruns: u16,
}

const SECTIONS: [Section; layout::SECTIONS] =
    [Section::Services, Section::Bundles, Section::Edges, Section::Files, Section::Names, Section::Data];

/// Places of what a service needs, and of what needs it, among its lists.
const UP: usize = 0;
pub const DOWN: usize = 1;

impl<'a> Db<'a> {
    /// Looks at the header, the section table and every checksum.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let db = Self::glance(bytes)?;
        for (section, place) in SECTIONS.into_iter().zip(&db.header.sections) {
            let bytes = part(db.bytes, place).ok_or(Corrupt::Place(section))?;
            if sum(bytes) != place.checksum.get() {
                return Err(Corrupt::Checksum(section));
            }
        }
        Ok(db)
    }

    /// Looks at everything: [`Self::open`], then each record, the order of names, the agreement of forward and
    /// reverse edges, cycles, and the hashes.
    pub fn check(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let db = Self::open(bytes)?;
        crate::check::structure(&db)?;
        crate::check::hashes(&db)?;
        Ok(db)
    }

    /// Looks at all but checksums and hashes: for who has just made these bytes.
    pub fn check_structure(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let db = Self::glance(bytes)?;
        crate::check::structure(&db)?;
        Ok(db)
    }

    /// Looks at the header and the section table alone: for a question about few services, each of which is asked whether
    /// it [is sound](Self::is_sound) before it is believed.
    pub fn glance(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| short(bytes))?;
        if header.magic != layout::MAGIC {
            return Err(Corrupt::Magic);
        }
        if header.version.get() != layout::VERSION {
            return Err(Corrupt::Version(header.version.get()));
        }
        let length = header.length.get() as usize;
        let bytes = bytes.get(..length).ok_or(Corrupt::Truncated(header.length.get()))?;
        let sealed = bytes.get(..layout::AT_CHECKSUM).ok_or(Corrupt::Header)?;
        if sum(sealed) != header.checksum.get() {
            return Err(Corrupt::Header);
        }
        let [services, bundles, edges, files, names, data] = &header.sections;
        let place = |section| move || Corrupt::Place(section);
        let services = records(bytes, services).ok_or_else(place(Section::Services))?;
        let bundles = records(bytes, bundles).ok_or_else(place(Section::Bundles))?;
        let db = Self {
            bytes,
            header,
            services,
            bundles,
            edges: records(bytes, edges).ok_or_else(place(Section::Edges))?,
            files: records(bytes, files).ok_or_else(place(Section::Files))?,
            names: part(bytes, names).ok_or_else(place(Section::Names))?,
            data: part(bytes, data).ok_or_else(place(Section::Data))?,
            longruns: u16::try_from(header.longruns.get()).map_err(|_| Corrupt::Header)?,
        };
        let counted = services.len() == header.services.get() as usize
            && bundles.len() == header.bundles.get() as usize
            && usize::from(db.longruns) <= services.len();
        if !counted || services.len() > MAX_SERVICES || bundles.len() > MAX_BUNDLES {
            return Err(Corrupt::Header);
        }
        Ok(db)
    }

    /// The bytes of the whole image.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The identity of the image: a cryptographic hash of everything in it.
    pub const fn hash(&self) -> [u8; 32] {
        self.header.hash
    }

    /// How many times `s6-rc-bundle` has edited it since the sources were compiled.
    pub const fn edits(&self) -> u32 {
        self.header.edits.get()
    }

    /// How many atomic services.
    pub const fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there is no service at all.
    pub const fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// How many of them are longruns: those with the lowest ids.
    pub fn longruns(&self) -> usize {
        usize::from(self.longruns)
    }

    /// All services: longruns, then oneshots, each in the order of their names.
    pub fn services(&self) -> impl ExactSizeIterator<Item = ServiceId> + DoubleEndedIterator + use<> {
        (0..self.services.len() as u16).map(ServiceId)
    }

    /// All bundles, in the order of their names.
    pub fn bundles(&self) -> impl ExactSizeIterator<Item = BundleId> + DoubleEndedIterator + use<> {
        (0..self.bundles.len() as u16).map(BundleId)
    }

    /// The service with this index.
    pub fn service(&self, index: usize) -> Option<ServiceId> {
        (index < self.services.len()).then_some(ServiceId(index as u16))
    }

    fn record(&self, id: ServiceId) -> Option<&'a ServiceRecord> {
        self.services.get(id.index())
    }

    /// Its name.
    pub fn name(&self, id: ServiceId) -> &'a [u8] {
        self.record(id).map_or(b"", |r| self.text(r.name.get(), usize::from(r.name_length)))
    }

    /// Its name, with the final zero that a path needs.
    pub fn name_c(&self, id: ServiceId) -> &'a CStr {
        self.record(id).map_or(c"", |r| self.text_c(r.name.get(), usize::from(r.name_length)))
    }

    /// A bundle's name.
    pub fn bundle_name(&self, id: BundleId) -> &'a [u8] {
        let record = self.bundles.get(id.index());
        record.map_or(b"", |r| self.text(r.name.get(), usize::from(r.name_length)))
    }

    /// The name of either.
    pub fn target_name(&self, target: Target) -> &'a [u8] {
        match target {
            Target::Service(id) => self.name(id),
            Target::Bundle(id) => self.bundle_name(id),
        }
    }

    fn text(&self, offset: u32, length: usize) -> &'a [u8] {
        range(self.names, offset as usize, length)
    }

    fn text_c(&self, offset: u32, length: usize) -> &'a CStr {
        CStr::from_bytes_with_nul(range(self.names, offset as usize, length.saturating_add(1))).unwrap_or(c"")
    }

    /// What a name stands for.
    pub fn lookup(&self, name: &[u8]) -> Option<Target> {
        let service = |i: u16| self.name(ServiceId(i));
        search(name, 0, self.longruns, service)
            .or_else(|| search(name, self.longruns, self.services.len() as u16, service))
            .map(|i| Target::Service(ServiceId(i)))
            .or_else(|| {
                search(name, 0, self.bundles.len() as u16, |i| self.bundle_name(BundleId(i)))
                    .map(|i| Target::Bundle(BundleId(i)))
            })
    }

    /// Longrun or oneshot.
    pub fn kind(&self, id: ServiceId) -> Kind {
        if id.0 < self.longruns { Kind::Longrun } else { Kind::Oneshot }
    }

    /// Its flags, with those of the bundles that hold it.
    pub fn flags(&self, id: ServiceId) -> Flags {
        self.record(id).map_or(Flags(0), |r| Flags(r.flags.get()))
    }

    /// A bundle's own flags.
    pub fn bundle_flags(&self, id: BundleId) -> Flags {
        self.bundles.get(id.index()).map_or(Flags(0), |r| Flags(r.flags.get()))
    }

    /// How long its transition may take, in milliseconds; 0 = as long as it likes.
    pub fn timeout(&self, id: ServiceId, direction: Direction) -> u32 {
        self.record(id).map_or(0, |r| match direction {
            Direction::Up => r.timeout_up.get(),
            Direction::Down => r.timeout_down.get(),
        })
    }

    /// So many numbers from this one on.
    fn edges(&self, first: u32, count: usize) -> &'a [U16] {
        let start = first as usize;
        self.edges.get(start..start.saturating_add(count)).unwrap_or_default()
    }

    /// One of the lists of a service, by its place among them.
    pub(crate) fn list(&self, id: ServiceId, place: usize) -> Ids<'a> {
        let mut found: &[U16] = &[];
        if let Some(r) = self.record(id) {
            let mut start = r.edges.get() as usize;
            for (at, count) in r.counts().iter().enumerate() {
                let end = start.saturating_add(n(*count));
                if at == place {
                    found = self.edges.get(start..end).unwrap_or_default();
                    break;
                }
                start = end;
            }
        }
        Ids { edges: found, limit: self.services.len() as u16 }
    }

    /// `Up`: what it needs. `Down`: what needs it. Direct only, ascending.
    pub fn dependencies(&self, id: ServiceId, direction: Direction) -> Ids<'a> {
        self.list(id, if direction == Direction::Down { DOWN } else { UP })
    }

    /// What it wants: pulled in and waited for, but its failure does not matter.
    pub fn wants(&self, id: ServiceId) -> Ids<'a> {
        self.list(id, 2)
    }

    /// What it comes after if both are to start, without needing it (`after.d`, and `before.d` of the others).
    pub fn after(&self, id: ServiceId) -> Ids<'a> {
        self.list(id, 3)
    }

    /// The dependencies whose restart restarts it.
    pub fn restart_with(&self, id: ServiceId) -> Ids<'a> {
        self.list(id, 4)
    }

    /// The services that write into its standard input.
    pub fn producers(&self, id: ServiceId) -> Ids<'a> {
        self.list(id, 5)
    }

    /// What [`ServiceRecord::seal`] must be.
    pub(crate) fn seal(&self, id: ServiceId, record: &ServiceRecord) -> u32 {
        let sealed = record.as_bytes().get(..layout::SEALED).unwrap_or_default();
        let lists = self.edges(record.edges.get(), total(record.counts())).as_bytes();
        let all = sum(sealed) ^ sum(self.name(id)).rotate_left(16) ^ sum(lists).rotate_left(32);
        (all ^ all >> 32) as u32
    }

    /// Whether its record, its name and its lists are those that were written: for who came by [`Self::glance`].
    pub fn is_sound(&self, id: ServiceId) -> bool {
        self.record(id).is_some_and(|r| r.seal.get() == self.seal(id, r))
    }

    /// Whether its definition is the one that was hashed, its files and scripts included.
    pub fn is_whole(&self, id: ServiceId) -> bool {
        crate::hash::definition(self, id) == self.service_hash(id)
    }

    /// The service that reads its standard output.
    pub fn consumer(&self, id: ServiceId) -> Option<ServiceId> {
        let consumer = self.record(id)?.consumer.get();
        (consumer != NO_SERVICE && consumer < self.longruns).then_some(ServiceId(consumer))
    }

    /// Whether it reads from or writes to another service.
    pub fn in_pipeline(&self, id: ServiceId) -> bool {
        self.consumer(id).is_some() || self.producers(id).len() > 0
    }

    /// The last consumer of the pipeline that it belongs to (itself, if it belongs to none).
    pub fn pipeline_end(&self, id: ServiceId) -> ServiceId {
        let mut end = id;
        // A pipeline is never longer than there are services: the bound matters for an image that lies.
        for _ in 0..self.services.len() {
            match self.consumer(end) {
                Some(next) => end = next,
                None => break,
            }
        }
        end
    }

    /// The services of a bundle, flattened, ascending.
    pub fn bundle_contents(&self, id: BundleId) -> Ids<'a> {
        let record = self.bundles.get(id.index());
        let edges = record.map(|r| self.edges(r.contents.get(), r.n_contents.get() as usize));
        Ids { edges: edges.unwrap_or_default(), limit: self.services.len() as u16 }
    }

    /// The services that a name stands for: itself, or the bundle's contents.
    pub fn atomics(&self, target: Target) -> impl Iterator<Item = ServiceId> + use<'a> {
        let (one, many) = match target {
            Target::Service(id) => (Some(id), Ids { edges: &[], limit: 0 }),
            Target::Bundle(id) => (None, self.bundle_contents(id)),
        };
        one.into_iter().chain(many)
    }

    fn file_records(&self, id: ServiceId) -> &'a [FileRecord] {
        let found = self.record(id).and_then(|r| {
            let start = r.files.get() as usize;
            self.files.get(start..start.checked_add(n(r.n_files))?)
        });
        found.unwrap_or_default()
    }

    /// A longrun's service directory as it is to be written, in the order of the paths, so that a directory comes
    /// before what is in it; a oneshot's scripts.
    pub fn files(&self, id: ServiceId) -> impl ExactSizeIterator<Item = File<'a>> + Clone + use<'a> {
        let db = *self;
        self.file_records(id).iter().map(move |r| db.file(r))
    }

    fn file(&self, r: &'a FileRecord) -> File<'a> {
        File {
            path: self.text_c(r.path.get(), n(r.path_length)),
            mode: u32::from(r.mode.get()),
            kind: kind_of(r.kind).unwrap_or(FileKind::Regular),
            bytes: range(self.data, r.data.get() as usize, r.length.get() as usize),
        }
    }

    /// One file of a service directory, by its place among them.
    pub fn file_at(&self, id: ServiceId, at: usize) -> Option<File<'a>> {
        self.file_records(id).get(at).map(|r| self.file(r))
    }

    /// One file of a service directory, by its path.
    pub fn find_file(&self, id: ServiceId, path: &[u8]) -> Option<File<'a>> {
        let records = self.file_records(id);
        let at = |r: &FileRecord| self.text(r.path.get(), n(r.path_length)).cmp(path);
        records.binary_search_by(at).ok().and_then(|i| records.get(i)).map(|r| self.file(r))
    }

    /// The command line of a oneshot's script; none where the definition has no such file.
    pub fn script(&self, id: ServiceId, script: impl Into<Script>) -> Option<Argv<'a>> {
        let path = match script.into() {
            Script::Up => c"up",
            Script::Down => c"down",
            Script::Reload => c"reload",
        };
        let mut scripts = self.files(id).filter(|f| f.kind == FileKind::Script);
        scripts.find(|f| f.path == path).map(|f| Argv { bytes: f.bytes })
    }

    /// The hash of its whole definition, by names and not by numbers: equal in two images exactly if nothing about
    /// it differs.
    pub fn service_hash(&self, id: ServiceId) -> [u8; layout::SERVICE_HASH] {
        self.record(id).map_or([0; layout::SERVICE_HASH], |r| r.hash)
    }
}

/// A file of a service directory.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Relative to the service directory: `run`, `data/x`.
    pub path: &'a CStr,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub kind: FileKind,
    /// Contents, target, or words.
    pub bytes: &'a [u8],
}

/// The words of a command line.
#[derive(Clone, Copy, Debug)]
pub struct Argv<'a> {
    pub(crate) bytes: &'a [u8],
}

impl<'a> Argv<'a> {
    /// All words, each with its final zero: what a message carries.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there is no word: nothing is run, and that is a success.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'a> Iterator for Argv<'a> {
    type Item = &'a CStr;
    fn next(&mut self) -> Option<&'a CStr> {
        let word = CStr::from_bytes_until_nul(self.bytes).ok()?;
        self.bytes = self.bytes.get(word.count_bytes() + 1..).unwrap_or_default();
        Some(word)
    }
}

/// Some services of an image, ascending.
#[derive(Clone, Copy)]
pub struct Ids<'a> {
    edges: &'a [U16],
    limit: u16,
}

impl Ids<'_> {
    /// The numbers as they lie in the image.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.edges.as_bytes()
    }

    /// The one at this place.
    pub(crate) fn at(&self, place: u16) -> Option<ServiceId> {
        self.edges.get(usize::from(place)).map(|edge| ServiceId(edge.get()))
    }

    /// Whether this service is among them.
    pub fn contains(&self, id: ServiceId) -> bool {
        self.edges.binary_search_by_key(&id.0, |e| e.get()).is_ok()
    }
}

impl Iterator for Ids<'_> {
    type Item = ServiceId;
    fn next(&mut self) -> Option<ServiceId> {
        let (first, rest) = self.edges.split_first()?;
        self.edges = rest;
        // A number beyond the services cannot be in an image that was checked.
        Some(ServiceId(if first.get() < self.limit { first.get() } else { 0 }))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.edges.len(), Some(self.edges.len()))
    }
}

impl ExactSizeIterator for Ids<'_> {}

impl DoubleEndedIterator for Ids<'_> {
    fn next_back(&mut self) -> Option<ServiceId> {
        let (last, rest) = self.edges.split_last()?;
        self.edges = rest;
        Some(ServiceId(if last.get() < self.limit { last.get() } else { 0 }))
    }
}

/// The sum of the lengths of lists.
pub fn total(counts: &[U16]) -> usize {
    counts.iter().map(|count| n(*count)).sum()
}

fn n(count: U16) -> usize {
    usize::from(count.get())
}

/// What a file record's kind says.
pub fn kind_of(kind: u8) -> Option<FileKind> {
    match kind {
        1 => Some(FileKind::Regular),
        2 => Some(FileKind::Directory),
        3 => Some(FileKind::Link),
        4 => Some(FileKind::Script),
        _ => None,
    }
}

fn short(bytes: &[u8]) -> Corrupt {
    let begins = bytes.iter().zip(&layout::MAGIC).all(|(a, b)| a == b);
    if begins { Corrupt::Truncated(layout::HEADER as u32) } else { Corrupt::Magic }
}

fn range(bytes: &[u8], start: usize, length: usize) -> &[u8] {
    start.checked_add(length).and_then(|end| bytes.get(start..end)).unwrap_or_default()
}

fn part<'a>(bytes: &'a [u8], place: &layout::Place) -> Option<&'a [u8]> {
    let start = place.offset.get() as usize;
    bytes.get(start..start.checked_add(place.length.get() as usize)?)
}

fn records<'a, T>(bytes: &'a [u8], place: &layout::Place) -> Option<&'a [T]>
where
    T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout + zerocopy::Unaligned,
{
    <[T]>::ref_from_bytes(part(bytes, place)?).ok()
}

/// Binary search for a name between two numbers.
fn search<'a>(name: &[u8], from: u16, to: u16, at: impl Fn(u16) -> &'a [u8]) -> Option<u16> {
    let (mut low, mut high) = (from, to);
    while low < high {
        let middle = low + (high - low) / 2;
        match at(middle).cmp(name) {
            core::cmp::Ordering::Less => low = middle + 1,
            core::cmp::Ordering::Equal => return Some(middle),
            core::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}
