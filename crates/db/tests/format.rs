// SPDX-License-Identifier: ISC
//! `FORMAT.md` against the constants: each table's offsets and sizes are those of the code.
#![allow(missing_docs)]

use db::layout::{self, BundleRecord, FileRecord, Header, Place, ServiceRecord};
use std::mem::{offset_of, size_of};

const TEXT: &str = include_str!("../FORMAT.md");

/// The rows of the first table after a heading: offset, bytes, field.
fn table(heading: &str) -> Vec<(usize, Option<usize>, String)> {
    let from = TEXT.find(heading).unwrap_or_else(|| panic!("no heading {heading}"));
    let rows = TEXT[from..].lines().skip_while(|l| !l.starts_with("| offset")).skip(2);
    rows.take_while(|l| l.starts_with('|'))
        .map(|l| {
            let cells: Vec<&str> = l.split('|').map(str::trim).collect();
            (cells[1].parse().unwrap(), cells[2].parse().ok(), cells[3].to_owned())
        })
        .collect()
}

/// Each field begins where the one before ends.
#[track_caller]
fn matches(heading: &str, total: usize, fields: &[(&str, usize)]) {
    let rows = table(heading);
    let mut at = 0;
    for (offset, bytes, field) in &rows {
        assert_eq!(*offset, at, "{heading}: {field}");
        at += bytes.unwrap_or(0);
    }
    assert_eq!(at, total, "{heading}");
    for (name, offset) in fields {
        let row = rows.iter().find(|r| r.2 == *name).unwrap_or_else(|| panic!("{heading}: no {name}"));
        assert_eq!(row.0, *offset, "{heading}: {name}");
    }
    let documented = rows.iter().filter(|r| r.1.is_some()).count();
    assert_eq!(documented, fields.len(), "{heading}: as many rows as fields");
}

#[test]
fn the_tables_are_the_structures() {
    matches(
        "## The file",
        layout::HEADER,
        &[
            ("magic", layout::AT_MAGIC),
            ("version", layout::AT_VERSION),
            ("length", layout::AT_LENGTH),
            ("services", layout::AT_SERVICES),
            ("longruns", layout::AT_LONGRUNS),
            ("bundles", layout::AT_BUNDLES),
            ("edits", layout::AT_EDITS),
            ("hash", layout::AT_HASH),
            ("sections", layout::AT_SECTIONS),
            ("checksum", layout::AT_CHECKSUM),
        ],
    );
    assert_eq!(size_of::<Header>(), layout::HEADER);
    assert_eq!((size_of::<Place>(), layout::SECTIONS), (16, 6));
    macro_rules! record {
        ($heading:literal, $record:ident, $($name:literal $field:ident)*) => {
            matches($heading, size_of::<$record>(), &[$(($name, offset_of!($record, $field)),)*]);
        };
    }
    record!("## Services", ServiceRecord, "name" name "flags" flags "timeout-up" timeout_up
        "timeout-down" timeout_down "files" files "edges" edges "hash" hash "n-files" n_files
        "consumer" consumer "n-up" n_up "n-down" n_down "n-wants" n_wants "n-after" n_after
        "n-restart-with" n_restart_with "n-producers" n_producers "name-length" name_length
        "reserved" reserved "seal" seal);
    record!("## Bundles", BundleRecord, "name" name "contents" contents "n-contents" n_contents
        "flags" flags "name-length" name_length "reserved" reserved);
    record!("## Files", FileRecord, "path" path "data" data "length" length "mode" mode
        "path-length" path_length "kind" kind "reserved" reserved);
}

#[test]
fn the_numbers_in_the_text_are_the_constants() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    for wanted in [
        format!("`{}`", hex(&layout::MAGIC)),
        format!("| version | {} |", layout::VERSION),
        format!("## Services: {} bytes each", layout::SERVICE),
        format!("## Bundles: {} bytes each", layout::BUNDLE),
        format!("## Files: {} bytes each", layout::FILE),
        format!("## Edges: {} bytes each", layout::EDGE),
        format!("the next multiple of {}", layout::ALIGN),
        format!("bytes, at most {}", layout::MAX_PATH),
        format!("{} services, {} bundles", db::MAX_SERVICES, db::MAX_BUNDLES),
        format!("1 to {} bytes", db::MAX_NAME),
        format!(
            "Of no bytes: `{:016x}`; of `skeg`: `{:016x}`",
            db::testing::sum(b""),
            db::testing::sum(b"skeg")
        ),
    ] {
        assert!(TEXT.contains(&wanted), "{wanted:?} is not in FORMAT.md");
    }
    for (name, flag, bit) in [
        ("essential", db::Flags::ESSENTIAL, 0),
        ("recommended", db::Flags::RECOMMENDED, 1),
        ("manual", db::Flags::MANUAL, 16),
        ("reload-on-change", db::Flags::RELOAD_ON_CHANGE, 17),
        ("process settings", db::Flags::SETTINGS, 18),
        ("compiler", db::Flags::INTERNAL, 19),
        ("cgroup", db::Flags::CGROUP, 20),
        ("restart-backoff", db::Flags::BACKOFF, 21),
    ] {
        assert_eq!(flag.0, 1 << bit, "{name}");
    }
}
