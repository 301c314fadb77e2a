// SPDX-License-Identifier: ISC
//! What goes into the hash of a definition and into the identity of an image. `FORMAT.md` says the same in words.

use crate::blake2s::Blake2s;
use crate::layout::{self, SERVICE_HASH};
use crate::read::{Db, Ids};
use crate::{Direction, Kind, ServiceId};
use zerocopy::IntoBytes;

/// The hash of a definition: everything about it by name and by bytes, nothing by number or offset.
pub fn definition(db: &Db<'_>, id: ServiceId) -> [u8; SERVICE_HASH] {
    let mut hash = Blake2s::new(SERVICE_HASH as u8);
    text(&mut hash, db.name(id));
    number(&mut hash, matches!(db.kind(id), Kind::Longrun) as u32);
    number(&mut hash, db.flags(id).0);
    number(&mut hash, db.timeout(id, Direction::Up));
    number(&mut hash, db.timeout(id, Direction::Down));
    text(&mut hash, db.consumer(id).map_or(b"", |c| db.name(c)));
    for list in [
        db.dependencies(id, Direction::Up),
        db.wants(id),
        db.after(id),
        db.restart_with(id),
        db.producers(id),
    ] {
        names(&mut hash, db, list);
    }
    let files = db.files(id);
    number(&mut hash, files.len() as u32);
    for file in files {
        text(&mut hash, file.path.to_bytes());
        number(&mut hash, file.mode << 8 | file.kind as u32);
        text(&mut hash, file.bytes);
    }
    first(hash.finish())
}

/// The identity of an image: the header without the identity and the checksums, then each section but data,
/// which the hashes of the definitions cover.
pub fn identity(db: &Db<'_>) -> [u8; 32] {
    let mut hash = Blake2s::new(32);
    hash.update(db.bytes.get(..layout::AT_HASH).unwrap_or_default());
    for place in &db.header.sections {
        hash.update(place.offset.as_bytes());
        hash.update(place.length.as_bytes());
    }
    hash.update(db.services.as_bytes());
    hash.update(db.bundles.as_bytes());
    hash.update(db.edges.as_bytes());
    hash.update(db.files.as_bytes());
    hash.update(db.names);
    hash.finish()
}

fn number(hash: &mut Blake2s, n: u32) {
    hash.update(&n.to_le_bytes());
}

fn text(hash: &mut Blake2s, bytes: &[u8]) {
    number(hash, bytes.len() as u32);
    hash.update(bytes);
}

fn names(hash: &mut Blake2s, db: &Db<'_>, ids: Ids<'_>) {
    number(hash, ids.len() as u32);
    // Longruns come before oneshots, so the order of two names can only change with a kind, which is a change too.
    for id in ids {
        text(hash, db.name(id));
    }
}

fn first(bytes: [u8; 32]) -> [u8; SERVICE_HASH] {
    let mut out = [0; SERVICE_HASH];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = from;
    }
    out
}
