// SPDX-License-Identifier: ISC
//! Holds the crates to the design: who may import whom, what they may take from outside, and under which licences.
//!
//! Reads `cargo metadata`, so it sees what is really linked, renamed or not. Dependencies for tests alone are free.

use crate::command::{Outcome, cargo, output};
use serde_json::Value;
use std::collections::HashSet;

/// A crate of the project and what of the project it may import. Dependencies run one way: each line names only
/// crates of lines before it.
pub struct Crate {
    /// The folder below `crates/`, which is the library's name as well.
    pub name: &'static str,
    imports: &'static [&'static str],
    /// Whether it runs on a device: no_std, and only these packages from outside.
    device: Option<&'static [&'static str]>,
}

/// For tables of a fixed size, messages between our own processes, and the image's records.
const PURE: &[&str] = &["heapless", "postcard", "serde", "zerocopy"];
/// The same, and what the feature `signatures` of the binary takes.
const BINARY: &[&str] = &["heapless", "postcard", "serde", "zerocopy", "ed25519-compact"];
const SYSTEM: &[&str] = &["rustix", "linux-raw-sys", "heapless"];

const fn device(name: &'static str, imports: &'static [&'static str]) -> Crate {
    Crate { name, imports, device: Some(PURE) }
}

const fn host(name: &'static str, imports: &'static [&'static str]) -> Crate {
    Crate { name, imports, device: None }
}

/// The house.
pub static CRATES: &[Crate] = &[
    Crate { name: "sys", imports: &[], device: Some(SYSTEM) },
    device("text", &[]),
    device("db", &[]),
    device("source", &["sys", "text", "db"]),
    device("compile", &["source", "db"]),
    device("live", &["sys", "db"]),
    device("engine", &["db"]),
    device("update", &["db", "engine"]),
    device("run", &["sys", "live", "engine", "update"]),
    device("supervise", &["sys", "text"]),
    device("init", &["sys", "text", "supervise"]),
    Crate {
        name: "skeg",
        imports: &[
            "sys",
            "text",
            "db",
            "source",
            "compile",
            "live",
            "engine",
            "update",
            "run",
            "supervise",
            "init",
        ],
        device: Some(BINARY),
    },
    host("mkimage", &["source", "compile", "db"]),
    host("xtask", &[]),
];

/// The crates that run on a device, by the name that cargo knows them under.
pub fn device_packages() -> impl Iterator<Item = String> {
    CRATES.iter().filter(|c| c.device.is_some()).map(|c| package_name(c.name))
}

fn package_name(folder: &str) -> String {
    match folder {
        "skeg" | "mkimage" | "xtask" => folder.to_owned(),
        library => format!("skeg-{library}"),
    }
}

/// Licences that let anyone ship a firmware with the program in it. An expression passes when one side of each
/// `OR`, and each side of each `AND`, does.
const LICENCES: &[&str] = &[
    "ISC",
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "Zlib",
    "Unlicense",
    "CC0-1.0",
    "0BSD",
    "Unicode-3.0",
];

/// What `cargo metadata` says of the workspace, for the lock file as it is.
pub fn metadata() -> Outcome<Value> {
    let text = output(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))
}

/// The faults of the crates' imports; a sentence each.
pub fn imports(metadata: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let ours: HashSet<String> = CRATES.iter().map(|c| package_name(c.name)).collect();
    for krate in CRATES {
        let name = package_name(krate.name);
        let Some(package) = packages(metadata).find(|package| package["name"] == name.as_str()) else {
            faults.push(format!("crates/{}: not in the workspace", krate.name));
            continue;
        };
        for dependency in array(&package["dependencies"]).filter(|d| d["kind"] != "dev") {
            let taken = dependency["name"].as_str().unwrap_or_default();
            let may = if ours.contains(taken) {
                krate.imports.iter().any(|import| package_name(import) == taken)
            } else {
                krate.device.is_none_or(|outside| outside.contains(&taken))
            };
            if !may {
                faults.push(format!(
                    "crates/{}/Cargo.toml: imports {taken}, which the design does not let it (it may import: {})",
                    krate.name,
                    krate.imports.join(" ")
                ));
            }
        }
    }
    for package in packages(metadata).filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().unwrap_or_default();
        if !ours.contains(name) && name != "skeg-tests" {
            faults
                .push(format!("{name}: a crate that the design does not know (crates/xtask/src/imports.rs)"));
        }
    }
    faults
}

/// The faults of the licences: of each package that the lock file names.
pub fn licences(metadata: &Value) -> Vec<String> {
    packages(metadata)
        .filter_map(|package| {
            let name = package["name"].as_str().unwrap_or_default();
            match package["license"].as_str() {
                Some(licence) if allowed(licence) => None,
                Some(licence) => Some(format!("{name}: its licence is {licence}")),
                None => Some(format!("{name}: names no licence")),
            }
        })
        .collect()
}

/// How many packages there are.
pub fn count(metadata: &Value) -> usize {
    packages(metadata).count()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    array(&metadata["packages"])
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Whether an SPDX expression (with the old `/` for `OR`) is satisfied by the list above.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let parts = split_outside_parentheses(&expression, " AND ");
    if parts.len() > 1 {
        return parts.into_iter().all(allowed);
    }
    let parts = split_outside_parentheses(&expression, " OR ");
    if parts.len() > 1 {
        return parts.into_iter().any(allowed);
    }
    let word = expression.trim();
    match word.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => allowed(inner),
        None => LICENCES.contains(&word.split_whitespace().collect::<Vec<_>>().join(" ").as_str()),
    }
}

fn split_outside_parentheses<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_imports_only_those_before_it() {
        for (at, krate) in CRATES.iter().enumerate() {
            for import in krate.imports {
                assert!(CRATES[..at].iter().any(|c| c.name == *import), "{} imports {import}", krate.name);
            }
        }
    }

    #[test]
    fn licence_expressions_are_read_with_their_parentheses() {
        assert!(allowed("MIT/Apache-2.0"));
        assert!(allowed("Apache-2.0  OR  MIT"));
        assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(allowed("MIT OR Apache-2.0 OR LGPL-2.1-or-later"));
        assert!(!allowed("MIT AND GPL-3.0-only"));
        assert!(!allowed("GPL-2.0-only"));
    }

    #[test]
    fn a_forbidden_import_is_found() {
        let metadata = serde_json::json!({"packages": [
            {"name": "skeg-db", "source": null, "dependencies": [
                {"name": "skeg-sys", "kind": null}, {"name": "zerocopy", "kind": null},
                {"name": "proptest", "kind": "dev"}, {"name": "rustix", "kind": null}]}]});
        let faults: Vec<_> = imports(&metadata).into_iter().filter(|f| f.starts_with("crates/db/")).collect();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("skeg-sys") && faults[1].contains("rustix"));
    }
}
