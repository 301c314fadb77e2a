// SPDX-License-Identifier: ISC
//! `cargo xtask check`: everything that can be said of the sources without running the program.

use crate::command::{Outcome, cargo, run};
use crate::{imports, sources};
use std::time::Instant;

const HELP: &str = "\
cargo xtask check [STEP...]
Checks the sources: imports between crates, licences, headers, format, lints, documentation.

  STEP   one or more of: imports licences sources format lints docs   (all without one)
";

/// A step: its name, what it holds, its code.
struct Step(&'static str, &'static str, fn() -> Outcome);

static STEPS: &[Step] = &[
    Step("imports", "each crate imports only what the design lets it", check_imports),
    Step("licences", "each package's licence lets anyone ship it", check_licences),
    Step("sources", "licence headers; no `unsafe` outside of crates/sys", check_sources),
    Step("format", "cargo fmt", check_format),
    Step("lints", "clippy, warnings denied; no code that panics on purpose on a device", check_lints),
    Step("docs", "cargo doc, warnings denied", check_docs),
];

/// `cargo xtask check`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let mut wanted = Vec::new();
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Value(name) => wanted.push(name.to_string_lossy().into_owned()),
            other => return Err(format!("check: {}", other.unexpected())),
        }
    }
    if let Some(unknown) = wanted.iter().find(|name| !STEPS.iter().any(|step| step.0 == name.as_str())) {
        return Err(format!("check: {unknown}: no such step (see --help)"));
    }
    let mut failed = Vec::new();
    for Step(name, about, check) in
        STEPS.iter().filter(|s| wanted.is_empty() || wanted.iter().any(|w| w == s.0))
    {
        let start = Instant::now();
        let result = check();
        let seconds = start.elapsed().as_secs_f32();
        match result {
            Ok(()) => println!("check {name}: ok, {seconds:.1} s ({about})"),
            Err(e) => {
                println!("check {name}: FAILED ({about})\n{e}");
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("check: failed: {}", failed.join(", "))) }
}

fn none_of(faults: Vec<String>) -> Outcome {
    if faults.is_empty() { Ok(()) } else { Err(format!("  {}", faults.join("\n  "))) }
}

fn check_imports() -> Outcome {
    none_of(imports::imports(&imports::metadata()?))
}

fn check_licences() -> Outcome {
    let metadata = imports::metadata()?;
    println!("  {} packages", imports::count(&metadata));
    none_of(imports::licences(&metadata))
}

fn check_sources() -> Outcome {
    let findings = sources::read()?;
    println!("  {} files", findings.files);
    for line in &findings.advice {
        println!("  worth a thought: {line}");
    }
    none_of(findings.faults)
}

fn check_format() -> Outcome {
    run(cargo().args(["fmt", "--all", "--check"]))
}

/// The device binary is linted apart: in one run with the host tools it would get their standard library.
fn check_lints() -> Outcome {
    run(cargo().args(["clippy", "--quiet", "--locked", "--all-targets", "--", "-Dwarnings"]))?;
    for variant in [&[][..], &["--no-default-features"]] {
        let device = ["clippy", "--quiet", "--locked", "--package", "skeg"];
        run(cargo().args(device).args(variant).args(["--", "-Dwarnings"]))?;
    }
    let mut command = cargo();
    command.args(["clippy", "--quiet", "--locked", "--features", "skeg/fault", "--no-deps"]);
    for package in imports::device_packages() {
        command.args(["--package", &package]);
    }
    command.args(["--", "-Dwarnings"]);
    for lint in ["unwrap_used", "expect_used", "panic", "unreachable"] {
        command.arg(format!("-Dclippy::{lint}"));
    }
    run(&mut command)
}

fn check_docs() -> Outcome {
    let quiet = ["doc", "--quiet", "--locked", "--no-deps"];
    run(cargo().args(quiet).env("RUSTDOCFLAGS", "-Dwarnings"))?;
    run(cargo().args(quiet).args(["--package", "skeg"]).env("RUSTDOCFLAGS", "-Dwarnings"))
}
