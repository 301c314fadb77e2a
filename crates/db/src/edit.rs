// SPDX-License-Identifier: ISC
//! An image with other bundles: everything else stays as it is. For `s6-rc-bundle`.

use crate::encode::{EncodeError, NewBundle, NewFile, NewService, encode_edited};
use crate::read::{Db, Ids};
use crate::{Direction, NO_SERVICE};
use alloc::vec::Vec;

/// The same services with these bundles, which are in the order of their names. The image says that it was edited
/// once more.
pub fn with_bundles(db: &Db<'_>, bundles: &[NewBundle<'_>]) -> Result<Vec<u8>, EncodeError> {
    let mut edges = Vec::new();
    let mut files = Vec::new();
    let mut places = Vec::with_capacity(db.len());
    let mut put = |ids: Ids<'_>| {
        let start = edges.len();
        edges.extend(ids.map(|id| id.0));
        (start, edges.len())
    };
    for id in db.services() {
        let lists = [db.dependencies(id, Direction::Up), db.wants(id), db.after(id), db.restart_with(id)]
            .map(&mut put);
        let start = files.len();
        files.extend(db.files(id).map(|f| NewFile {
            path: f.path.to_bytes(),
            kind: f.kind,
            mode: f.mode as u16,
            bytes: f.bytes,
        }));
        places.push((lists, start..files.len()));
    }
    let part = |(start, end): (usize, usize)| edges.get(start..end).unwrap_or_default();
    let services: Vec<NewService<'_>> = db
        .services()
        .zip(&places)
        .map(|(id, ([needs, wants, after, restart], own))| NewService {
            name: db.name(id),
            kind: db.kind(id),
            flags: db.flags(id),
            timeout_up: db.timeout(id, Direction::Up),
            timeout_down: db.timeout(id, Direction::Down),
            dependencies: part(*needs),
            wants: part(*wants),
            after: part(*after),
            restart_with: part(*restart),
            consumer: db.consumer(id).map(|c| c.0).filter(|c| *c != NO_SERVICE),
            files: files.get(own.clone()).unwrap_or_default(),
        })
        .collect();
    encode_edited(&services, bundles, db.edits().saturating_add(1))
}
