// SPDX-License-Identifier: ISC
//! Images that were written, cut, flipped and made up: what the format promises about each.
#![allow(missing_docs)]

use db::{
    Corrupt, Db, Direction, EncodeError, FileKind, Flags, Kind, NewBundle, NewFile, NewService, Script,
    Target, encode,
};
use proptest::prelude::*;

const RUN: NewFile<'static> =
    NewFile { path: b"run", kind: FileKind::Regular, mode: 0o755, bytes: b"#!/bin/true\n" };

fn service<'a>(
    name: &'a [u8],
    kind: Kind,
    dependencies: &'a [u16],
    files: &'a [NewFile<'a>],
) -> NewService<'a> {
    NewService {
        name,
        kind,
        flags: Flags(0),
        timeout_up: 0,
        timeout_down: 0,
        dependencies,
        wants: &[],
        after: &[],
        restart_with: &[],
        consumer: None,
        files,
    }
}

/// Two longruns in a pipeline, two oneshots, two bundles.
fn sample() -> Vec<u8> {
    let up = [NewFile { path: b"up", kind: FileKind::Script, mode: 0, bytes: b"echo\0a b\0\0" }];
    let files = [
        NewFile { path: b"data", kind: FileKind::Directory, mode: 0o700, bytes: b"" },
        NewFile { path: b"data/x", kind: FileKind::Link, mode: 0o777, bytes: b"y" },
        RUN,
    ];
    let producer =
        NewService { consumer: Some(0), timeout_up: 7, ..service(b"web", Kind::Longrun, &[0, 2], &files) };
    let services = [
        service(b"log", Kind::Longrun, &[], &[RUN]),
        producer,
        NewService { timeout_down: 9, flags: Flags::ESSENTIAL, ..service(b"mount", Kind::Oneshot, &[], &up) },
        NewService { wants: &[1], after: &[0], ..service(b"net", Kind::Oneshot, &[2], &up) },
    ];
    let bundles = [
        NewBundle { name: b"all", flags: Flags(0), contents: &[0, 1, 2, 3] },
        NewBundle { name: b"none", flags: Flags::RECOMMENDED, contents: &[] },
    ];
    encode(&services, &bundles).unwrap()
}

fn named(db: &Db<'_>, name: &str) -> db::ServiceId {
    match db.lookup(name.as_bytes()) {
        Some(Target::Service(id)) => id,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn what_was_written_is_read_back() {
    let image = sample();
    let db = Db::check(&image).unwrap();
    assert_eq!((db.len(), db.longruns(), db.bundles().len()), (4, 2, 2));
    let (log, web, mount, net) =
        (named(&db, "log"), named(&db, "web"), named(&db, "mount"), named(&db, "net"));
    assert_eq!((db.kind(web), db.kind(net)), (Kind::Longrun, Kind::Oneshot));
    assert_eq!(db.consumer(web), Some(log));
    assert_eq!(db.pipeline_end(web), log);
    assert_eq!(db.producers(log).collect::<Vec<_>>(), [web]);
    assert_eq!(db.dependencies(web, Direction::Up).collect::<Vec<_>>(), [log, mount]);
    assert_eq!(db.dependencies(mount, Direction::Down).collect::<Vec<_>>(), [web, net]);
    assert_eq!(db.wants(net).chain(db.after(net)).collect::<Vec<_>>(), [web, log]);
    assert_eq!((db.timeout(web, Direction::Up), db.timeout(mount, Direction::Down)), (7, 9));
    assert!(db.flags(mount).has(Flags::ESSENTIAL));
    let words: Vec<_> = db.script(net, Script::Up).unwrap().map(|w| w.to_bytes().to_vec()).collect();
    assert_eq!(words, [&b"echo"[..], b"a b", b""]);
    assert!(db.script(net, Direction::Down).is_none());
    let paths: Vec<_> = db.files(web).map(|f| f.path.to_str().unwrap().to_owned()).collect();
    assert_eq!(paths, ["data", "data/x", "run"]);
    assert_eq!(db.find_file(web, b"data/x").unwrap().bytes, b"y");
    let Some(Target::Bundle(all)) = db.lookup(b"all") else { panic!("no bundle") };
    assert_eq!(db.bundle_contents(all).len(), 4);
    assert_eq!(db.lookup(b"nothing"), None);
}

/// Every place is tried; under the interpreter, which is some hundred times slower, one of many.
const STEP: usize = if cfg!(miri) { 211 } else { 1 };

#[test]
fn every_flipped_bit_is_noticed_on_opening() {
    let mut image = sample();
    for bit in (0..image.len() * 8).step_by(STEP) {
        image[bit / 8] ^= 1 << (bit % 8);
        // The bytes between two sections belong to none of them: only a check looks there.
        assert!(Db::check(&image).is_err(), "bit {bit}");
        if let Ok(db) = Db::open(&image) {
            walk(&db);
        }
        if let Ok(db) = Db::glance(&image) {
            believes_only_what_was_written(&db);
        }
        image[bit / 8] ^= 1 << (bit % 8);
    }
}

/// What a service says that is sound, and more if it is whole, is what the sample says of it.
fn believes_only_what_was_written(db: &Db<'_>) {
    let sample = sample();
    let written = Db::open(&sample).unwrap();
    for id in db.services().filter(|id| db.is_sound(*id)) {
        let Some(Target::Service(other)) = written.lookup(db.name(id)) else { panic!("no such name") };
        let facts = |db: &Db<'_>, id| {
            let lists =
                [db.dependencies(id, Direction::Up), db.dependencies(id, Direction::Down), db.wants(id)];
            let lists = lists.map(|l| l.map(|s| s.index()).collect::<Vec<_>>());
            (lists, db.flags(id), db.timeout(id, Direction::Up), db.timeout(id, Direction::Down))
        };
        assert_eq!(facts(db, id), facts(&written, other));
        assert_eq!(id, other);
        if db.is_whole(id) {
            let words = |db: &Db<'_>| db.script(id, Script::Up).map(|w| w.as_bytes().to_vec());
            assert_eq!(words(db), words(&written));
        }
    }
}

#[test]
fn every_cut_is_noticed_and_named() {
    let image = sample();
    for length in (0..image.len()).step_by(STEP) {
        let error = Db::open(&image[..length]).err();
        assert!(matches!(error, Some(Corrupt::Truncated(_))), "{length}: {error:?}");
    }
    assert_eq!(Db::open(b"a text file that is longer than a header").err(), Some(Corrupt::Magic));
}

#[test]
fn another_version_is_named_as_such() {
    let mut image = sample();
    image[db::layout::AT_VERSION] = 9;
    assert_eq!(Db::open(&image).err(), Some(Corrupt::Version(9)));
}

#[test]
fn the_same_definition_has_the_same_hash_in_another_image() {
    let a = sample();
    let b = encode(
        &[service(b"aaa", Kind::Longrun, &[], &[RUN]), service(b"log", Kind::Longrun, &[], &[RUN])],
        &[],
    );
    let c = encode(&[service(b"log", Kind::Longrun, &[], &[RUN])], &[]).unwrap();
    let b = b.unwrap();
    let (a, b, c) = (Db::check(&a).unwrap(), Db::check(&b).unwrap(), Db::check(&c).unwrap());
    assert_eq!(b.service_hash(named(&b, "log")), c.service_hash(named(&c, "log")));
    assert_ne!(a.service_hash(named(&a, "log")), c.service_hash(named(&c, "log")), "it has a producer there");
    assert_ne!(b.hash(), c.hash());
}

#[test]
fn a_cycle_does_not_pass_the_check() {
    let files = [RUN];
    let services = [
        service(b"a", Kind::Longrun, &[1], &files),
        service(b"b", Kind::Longrun, &[2], &files),
        NewService { wants: &[0], ..service(b"c", Kind::Longrun, &[], &files) },
    ];
    let image = encode(&services, &[]).unwrap();
    assert!(matches!(Db::check(&image), Err(Corrupt::Record(_, _, db::Problem::Cycle))));
    assert!(Db::open(&image).is_ok());
}

#[test]
fn what_is_out_of_order_or_too_much_is_not_written() {
    let a = service(b"a", Kind::Longrun, &[], &[]);
    let b = service(b"b", Kind::Longrun, &[], &[]);
    assert_eq!(encode(&[b, a], &[]), Err(EncodeError::Service(1)));
    assert_eq!(encode(&[service(b"x/y", Kind::Longrun, &[], &[])], &[]), Err(EncodeError::Service(0)));
    assert_eq!(encode(&[service(b"x", Kind::Longrun, &[1], &[])], &[]), Err(EncodeError::Service(0)));
    let many = vec![a; db::MAX_SERVICES + 1];
    assert_eq!(encode(&many, &[]), Err(EncodeError::TooManyServices));
}

/// Calls every accessor: what comes out does not matter, that it ends does.
fn walk(db: &Db<'_>) -> usize {
    let mut seen = 0;
    for id in db.services() {
        seen += db.name(id).len() + db.name_c(id).count_bytes();
        seen += db.flags(id).0 as usize & 1;
        for direction in [Direction::Up, Direction::Down] {
            seen += db.timeout(id, direction) as usize & 1;
            seen += db.dependencies(id, direction).map(|d| db.name(d).len()).sum::<usize>();
            seen += db.script(id, direction).map_or(0, Iterator::count);
        }
        seen += db.script(id, Script::Reload).map_or(0, Iterator::count);
        seen += db.wants(id).chain(db.after(id)).chain(db.restart_with(id)).chain(db.producers(id)).count();
        seen += db.files(id).map(|f| f.path.count_bytes() + f.bytes.len()).sum::<usize>();
        seen += db.pipeline_end(id).index() + usize::from(db.in_pipeline(id));
        seen +=
            usize::from(db.lookup(db.name(id)).is_some()) + usize::from(db.find_file(id, b"run").is_some());
    }
    for id in db.bundles() {
        seen += db.bundle_contents(id).map(|s| s.index()).sum::<usize>() + db.bundle_name(id).len();
    }
    seen
}

/// Makes the checksums right again, so that what lies behind them is reached.
fn reseal(image: &mut [u8]) {
    db::testing::reseal(image);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        if let Ok(db) = Db::open(&bytes) {
            walk(&db);
        }
    }

    #[test]
    fn an_image_that_lies_with_right_checksums_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut image = sample();
        for (at, byte) in changes {
            let at = at.index(image.len());
            image[at] = byte;
        }
        if let Some(cut) = cut {
            image.truncate(cut.index(image.len()));
        }
        reseal(&mut image);
        if let Ok(db) = Db::open(&image) {
            walk(&db);
        }
        if let Ok(db) = Db::check(&image) {
            walk(&db);
        }
    }

    #[test]
    fn what_is_written_passes_the_check(
        edges in proptest::collection::vec((0u16..40, 0u16..40), 0..200),
        longruns in 0usize..40,
        contents in proptest::collection::btree_set(0u16..40, 0..40),
    ) {
        let names: Vec<String> = (0..40).map(|n| format!("service-{n:02}")).collect();
        let mut needs = vec![std::collections::BTreeSet::new(); 40];
        for (a, b) in edges {
            if a != b {
                // From the higher to the lower number: no cycle.
                needs[usize::from(a.max(b))].insert(a.min(b));
            }
        }
        let needs: Vec<Vec<u16>> = needs.into_iter().map(|s| s.into_iter().collect()).collect();
        let up = [NewFile { path: b"up", kind: FileKind::Script, mode: 0, bytes: b"true\0" }];
        let run = [RUN];
        let services: Vec<_> = names.iter().zip(&needs).enumerate().map(|(n, (name, needs))| {
            let longrun = n < longruns;
            let kind = if longrun { Kind::Longrun } else { Kind::Oneshot };
            service(name.as_bytes(), kind, needs, if longrun { &run } else { &up })
        }).collect();
        let contents: Vec<u16> = contents.into_iter().collect();
        let bundles = [NewBundle { name: b"bundle", flags: Flags(0), contents: &contents }];
        let image = encode(&services, &bundles).unwrap();
        let db = Db::check(&image).unwrap();
        for (id, needs) in db.services().zip(&needs) {
            prop_assert!(db.dependencies(id, Direction::Up).map(|d| d.index() as u16).eq(needs.iter().copied()));
        }
    }
}
