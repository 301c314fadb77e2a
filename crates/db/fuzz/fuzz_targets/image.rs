// SPDX-License-Identifier: ISC
//! Arbitrary bytes as an image: opened and checked as they are, and once more with checksums that fit, so that
//! everything behind them is reached. Nothing may panic or hang.
#![no_main]

use db::{Db, Direction, Script};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    walk(bytes);
    let mut sealed = bytes.to_vec();
    db::testing::reseal(&mut sealed);
    walk(&sealed);
});

fn walk(bytes: &[u8]) {
    let _ = Db::check(bytes);
    let Ok(db) = Db::open(bytes) else { return };
    for id in db.services() {
        let _ = (db.name(id), db.flags(id), db.pipeline_end(id), db.lookup(db.name(id)), db.service_hash(id));
        for direction in [Direction::Up, Direction::Down] {
            let _ = (db.dependencies(id, direction).count(), db.script(id, direction).map(Iterator::count));
        }
        let _ = db.script(id, Script::Reload).map(Iterator::count);
        let _ = db.wants(id).chain(db.after(id)).chain(db.restart_with(id)).chain(db.producers(id)).count();
        let _ = (db.files(id).map(|f| f.bytes.len()).sum::<usize>(), db.find_file(id, b"run").is_some());
    }
    for id in db.bundles() {
        let _ = (db.bundle_name(id), db.bundle_contents(id).count());
    }
}
