// SPDX-License-Identifier: ISC
//! What goes into the hash of a definition and into the identity of an image. `FORMAT.md` says the same in words.

use crate::blake2s::Blake2s;
use crate::layout::{self, SERVICE_HASH};
use crate::read::{DOWN, Db};
use crate::{Direction, Kind, ServiceId};

/// The hash of a definition: everything about it by name and by bytes, nothing by number or offset.
pub fn definition(db: &Db<'_>, id: ServiceId) -> [u8; SERVICE_HASH] {
    let mut hash = Blake2s::new(SERVICE_HASH as u8);
    text(&mut hash, db.name(id));
    number(&mut hash, matches!(db.kind(id), Kind::Longrun) as u32);
    number(&mut hash, db.flags(id).0);
    number(&mut hash, db.timeout(id, Direction::Up));
    number(&mut hash, db.timeout(id, Direction::Down));
    text(&mut hash, db.consumer(id).map_or(b"", |c| db.name(c)));
    // What needs it is not a part of its definition.
    for list in (0..layout::LISTS).filter(|place| *place != DOWN).map(|place| db.list(id, place)) {
        number(&mut hash, list.len() as u32);
        // Longruns come before oneshots, so the order of two names can only change with a kind, which is a change too.
        for other in list {
            text(&mut hash, db.name(other));
        }
    }
    let files = db.files(id);
    number(&mut hash, files.len() as u32);
    for file in files {
        text(&mut hash, file.path.to_bytes());
        number(&mut hash, file.mode << 2 | file.kind as u32);
        text(&mut hash, file.bytes);
    }
    first(hash.finish())
}

/// The identity of an image: the header before it, the hash of each definition, the bundles.
pub fn identity(db: &Db<'_>) -> [u8; 32] {
    let mut hash = Blake2s::new(32);
    hash.update(db.bytes.get(..layout::AT_HASH).unwrap_or_default());
    for service in db.services {
        hash.update(&service.hash);
    }
    for id in db.bundles() {
        text(&mut hash, db.bundle_name(id));
        number(&mut hash, db.bundle_flags(id).0);
        let contents = db.bundle_contents(id);
        number(&mut hash, contents.len() as u32);
        hash.update(contents.as_bytes());
    }
    hash.finish()
}

/// Seven bits a byte, the lowest first: short, since nearly all numbers are small, and no number begins as another one.
fn number(hash: &mut Blake2s, mut n: u32) {
    while n >= 0x80 {
        hash.push(n as u8 | 0x80);
        n >>= 7;
    }
    hash.push(n as u8);
}

fn text(hash: &mut Blake2s, bytes: &[u8]) {
    number(hash, bytes.len() as u32);
    hash.update(bytes);
}

fn first(bytes: [u8; 32]) -> [u8; SERVICE_HASH] {
    let mut out = [0; SERVICE_HASH];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = from;
    }
    out
}
