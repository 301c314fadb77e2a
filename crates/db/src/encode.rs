// SPDX-License-Identifier: ISC
//! Writing an image. The same services give the same bytes on every machine.

use crate::check::is_name;
use crate::index::Index;
use crate::layout::{self, BundleRecord, FileRecord, Header, Place, ServiceRecord};
use crate::read::Db;
use crate::sum::sum;
use crate::{FileKind, Flags, Kind, MAX_BUNDLES, MAX_SERVICES, NO_SERVICE};
use alloc::vec::Vec;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

/// A service to be written. Numbers are places in the slice given to [`encode`](encode()), each list ascending.
#[derive(Clone, Copy, Debug)]
pub struct NewService<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Longrun or oneshot.
    pub kind: Kind,
    /// Its flags, with those of the bundles that hold it.
    pub flags: Flags,
    /// Milliseconds; 0 = none.
    pub timeout_up: u32,
    /// Milliseconds; 0 = none.
    pub timeout_down: u32,
    /// What it needs.
    pub dependencies: &'a [u16],
    /// What it wants.
    pub wants: &'a [u16],
    /// What it comes after.
    pub after: &'a [u16],
    /// What restarts it; a part of what it needs or wants.
    pub restart_with: &'a [u16],
    /// Who reads its output.
    pub consumer: Option<u16>,
    /// A longrun's service directory, or a oneshot's scripts, in the order of their paths.
    pub files: &'a [NewFile<'a>],
}

/// A file to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewFile<'a> {
    /// Relative to the service directory.
    pub path: &'a [u8],
    /// What it is.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u16,
    /// Contents, target, or words with a zero after each.
    pub bytes: &'a [u8],
}

/// A bundle to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewBundle<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its own flags.
    pub flags: Flags,
    /// Its services, flattened, ascending.
    pub contents: &'a [u16],
}

/// Why this can't be an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// More services than [`MAX_SERVICES`].
    TooManyServices,
    /// More bundles than [`MAX_BUNDLES`].
    TooManyBundles,
    /// It would be larger than offsets of 32 bits reach, or one service has more than 65,535 files.
    TooLarge,
    /// The service with this number is out of order, misnamed, or has a number that does not exist.
    Service(u16),
    /// The bundle with this number is.
    Bundle(u16),
}

struct Parts {
    services: Vec<ServiceRecord>,
    bundles: Vec<BundleRecord>,
    edges: Vec<U16>,
    files: Vec<FileRecord>,
    names: Vec<u8>,
    /// Bytes of the data.
    data: usize,
    /// Where in names each path was written.
    paths: Index,
}

/// Writes an image. `services` holds longruns first, each kind in the order of their names; `bundles` too.
pub fn encode(services: &[NewService<'_>], bundles: &[NewBundle<'_>]) -> Result<Vec<u8>, EncodeError> {
    encode_edited(services, bundles, 0)
}

/// The same, of an image whose bundles have been edited so many times.
pub fn encode_edited(
    services: &[NewService<'_>],
    bundles: &[NewBundle<'_>],
    edits: u32,
) -> Result<Vec<u8>, EncodeError> {
    if services.len() > MAX_SERVICES {
        return Err(EncodeError::TooManyServices);
    }
    if bundles.len() > MAX_BUNDLES {
        return Err(EncodeError::TooManyBundles);
    }
    order(services, bundles)?;
    let files = services.iter().map(|s| s.files.len()).sum();
    let mut parts = Parts {
        services: Vec::with_capacity(services.len()),
        bundles: Vec::new(),
        edges: Vec::new(),
        files: Vec::with_capacity(files),
        names: Vec::new(),
        data: 0,
        paths: Index::new(files),
    };
    let reverse = Reverse::new(services);
    let producers = Reverse::of(services, &|s, each| s.consumer.into_iter().for_each(each));
    for (number, service) in services.iter().enumerate() {
        parts.service(number, service, &reverse, &producers)?;
    }
    for bundle in bundles {
        parts.bundle(bundle)?;
    }
    let longruns = services.iter().filter(|s| s.kind == Kind::Longrun).count();
    let mut image = assemble(&parts, longruns, edits)?;
    for file in services.iter().flat_map(|s| s.files) {
        image.extend_from_slice(file.bytes);
    }
    seal(image, &mut parts.services)
}

fn order(services: &[NewService<'_>], bundles: &[NewBundle<'_>]) -> Result<(), EncodeError> {
    let key = |s: &NewService<'_>| s.kind == Kind::Oneshot;
    let mut before: Option<&NewService<'_>> = None;
    for (number, s) in services.iter().enumerate() {
        let wrong = EncodeError::Service(number as u16);
        let sorted = before.is_none_or(|b| (key(b), b.name) < (key(s), s.name));
        let lists = [s.dependencies, s.wants, s.after, s.restart_with];
        let known = lists.iter().all(|l| ascending(l, services.len()));
        let consumer = s.consumer.is_none_or(|c| usize::from(c) < services.len());
        if !sorted || !is_name(s.name) || !known || !consumer {
            return Err(wrong);
        }
        before = Some(s);
    }
    let mut before: &[u8] = b"";
    for (number, b) in bundles.iter().enumerate() {
        if b.name <= before || !is_name(b.name) || !ascending(b.contents, services.len()) {
            return Err(EncodeError::Bundle(number as u16));
        }
        before = b.name;
    }
    Ok(())
}

fn ascending(list: &[u16], limit: usize) -> bool {
    list.windows(2).all(|w| matches!(w, [a, b] if a < b))
        && list.last().is_none_or(|l| usize::from(*l) < limit)
}

/// Calls back for each service that one points at.
type Edges = dyn Fn(&NewService<'_>, &mut dyn FnMut(u16));

/// Edges turned round: for each service those that point at it, ascending.
struct Reverse {
    /// Where each service's list begins; one more than there are services.
    starts: Vec<u32>,
    edges: Vec<u16>,
}

impl Reverse {
    fn new(services: &[NewService<'_>]) -> Self {
        Self::of(services, &|s, each| s.dependencies.iter().for_each(|to| each(*to)))
    }

    fn of(services: &[NewService<'_>], edges: &Edges) -> Self {
        let mut starts = alloc::vec![0u32; services.len() + 1];
        for service in services {
            edges(service, &mut |to| {
                if let Some(n) = starts.get_mut(usize::from(to) + 1) {
                    *n += 1;
                }
            });
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut reversed = alloc::vec![0u16; sum as usize];
        for (from, service) in services.iter().enumerate() {
            edges(service, &mut |to| {
                if let Some(at) = next.get_mut(usize::from(to)) {
                    if let Some(slot) = reversed.get_mut(*at as usize) {
                        *slot = from as u16;
                    }
                    *at += 1;
                }
            });
        }
        Self { starts, edges: reversed }
    }

    fn get(&self, number: usize) -> &[u16] {
        match self.starts.get(number..).unwrap_or_default() {
            [start, end, ..] => self.edges.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

fn short(n: usize) -> Result<U16, EncodeError> {
    u16::try_from(n).map(U16::new).map_err(|_| EncodeError::TooLarge)
}

fn long(n: usize) -> Result<U32, EncodeError> {
    u32::try_from(n).map(U32::new).map_err(|_| EncodeError::TooLarge)
}

impl Parts {
    fn name(&mut self, name: &[u8]) -> Result<U32, EncodeError> {
        let at = long(self.names.len())?;
        self.names.extend_from_slice(name);
        self.names.push(0);
        Ok(at)
    }

    fn path(&mut self, path: &[u8]) -> Result<U32, EncodeError> {
        let names = &self.names;
        let is = |at: u32| {
            let rest = names.get(at as usize..).and_then(|from| from.strip_prefix(path));
            rest.is_some_and(|rest| rest.first() == Some(&0))
        };
        if let Some(at) = self.paths.find(path, &is) {
            return Ok(U32::new(at));
        }
        let at = self.name(path)?;
        self.paths.put(path, at.get());
        Ok(at)
    }

    fn edges(&mut self, list: &[u16]) -> Result<U16, EncodeError> {
        self.edges.extend(list.iter().map(|n| U16::new(*n)));
        short(list.len())
    }

    fn service(
        &mut self,
        number: usize,
        s: &NewService<'_>,
        reverse: &Reverse,
        producers: &Reverse,
    ) -> Result<(), EncodeError> {
        let mut record = ServiceRecord {
            name: self.name(s.name)?,
            name_length: s.name.len() as u8,
            flags: U32::new(s.flags.0),
            timeout_up: U32::new(s.timeout_up),
            timeout_down: U32::new(s.timeout_down),
            consumer: U16::new(s.consumer.unwrap_or(NO_SERVICE)),
            files: long(self.files.len())?,
            n_files: short(s.files.len())?,
            edges: long(self.edges.len())?,
            ..ServiceRecord::default()
        };
        record.n_up = self.edges(s.dependencies)?;
        record.n_down = self.edges(reverse.get(number))?;
        record.n_wants = self.edges(s.wants)?;
        record.n_after = self.edges(s.after)?;
        record.n_restart_with = self.edges(s.restart_with)?;
        record.n_producers = self.edges(producers.get(number))?;
        self.services.push(record);
        for file in s.files {
            if file.path.len() > layout::MAX_PATH {
                return Err(EncodeError::Service(number as u16));
            }
            let record = FileRecord {
                path: self.path(file.path)?,
                path_length: short(file.path.len())?,
                data: long(self.data)?,
                length: long(file.bytes.len())?,
                mode: U16::new(file.mode),
                kind: match file.kind {
                    FileKind::Regular => 1,
                    FileKind::Directory => 2,
                    FileKind::Link => 3,
                    FileKind::Script => 4,
                },
                reserved: [0; 3],
            };
            self.data += file.bytes.len();
            self.files.push(record);
        }
        Ok(())
    }

    fn bundle(&mut self, b: &NewBundle<'_>) -> Result<(), EncodeError> {
        let record = BundleRecord {
            name: self.name(b.name)?,
            name_length: b.name.len() as u8,
            contents: long(self.edges.len())?,
            n_contents: long(b.contents.len())?,
            flags: U32::new(b.flags.0),
            reserved: [0; 3],
        };
        let _ = self.edges(b.contents)?;
        self.bundles.push(record);
        Ok(())
    }
}

/// Header and sections, one after the other, without hashes and checksums; the data, which come last, are to be appended.
fn assemble(parts: &Parts, longruns: usize, edits: u32) -> Result<Vec<u8>, EncodeError> {
    let sections = [
        parts.services.as_bytes(),
        parts.bundles.as_bytes(),
        parts.edges.as_bytes(),
        parts.files.as_bytes(),
        &parts.names,
        &[],
    ];
    let total = sections.iter().map(|s| s.len() + layout::ALIGN).sum::<usize>() + layout::HEADER + parts.data;
    let mut image = Vec::with_capacity(total);
    image.resize(layout::HEADER, 0);
    let mut places = [Place::default(); layout::SECTIONS];
    for (place, bytes) in places.iter_mut().zip(sections) {
        image.resize(image.len().next_multiple_of(layout::ALIGN), 0);
        *place = Place { offset: long(image.len())?, length: long(bytes.len())?, checksum: U64::new(0) };
        image.extend_from_slice(bytes);
    }
    if let Some(data) = places.last_mut() {
        data.length = long(parts.data)?;
    }
    let header = Header {
        magic: layout::MAGIC,
        version: U32::new(layout::VERSION),
        length: long(image.len() + parts.data)?,
        services: long(parts.services.len())?,
        longruns: long(longruns)?,
        bundles: long(parts.bundles.len())?,
        edits: U32::new(edits),
        sections: places,
        ..Header::default()
    };
    if let Some(start) = image.get_mut(..layout::HEADER) {
        start.copy_from_slice(header.as_bytes());
    }
    Ok(image)
}

/// Fills in what depends on everything else: hashes of definitions, seals, checksums, identity, the header's checksum.
fn seal(mut image: Vec<u8>, services: &mut [ServiceRecord]) -> Result<Vec<u8>, EncodeError> {
    reseal_header(&mut image);
    let view = Db::glance(&image).map_err(|_| EncodeError::TooLarge)?;
    for (id, record) in view.services().zip(services.iter_mut()) {
        record.hash = crate::hash::definition(&view, id);
        record.seal = U32::new(view.seal(id, record));
    }
    if let Some(place) = image.get_mut(layout::HEADER..layout::HEADER + size_of_val(services)) {
        place.copy_from_slice(services.as_bytes());
    }
    let view = Db::glance(&image).map_err(|_| EncodeError::TooLarge)?;
    let identity = crate::hash::identity(&view);
    let sums = view.header.sections.map(|place| {
        let start = place.offset.get() as usize;
        sum(image.get(start..start + place.length.get() as usize).unwrap_or_default())
    });
    if let Ok((header, _)) = Header::mut_from_prefix(&mut image) {
        header.hash = identity;
        for (place, sum) in header.sections.iter_mut().zip(sums) {
            place.checksum = U64::new(sum);
        }
    }
    reseal_header(&mut image);
    Ok(image)
}

fn reseal_header(image: &mut [u8]) {
    let sum = sum(image.get(..layout::AT_CHECKSUM).unwrap_or_default());
    if let Ok((header, _)) = Header::mut_from_prefix(image) {
        header.checksum = U64::new(sum);
    }
}
