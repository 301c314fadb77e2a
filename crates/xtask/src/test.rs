// SPDX-License-Identifier: ISC
//! `cargo xtask test`: the one command that says whether the project works. CI runs it and nothing else.

use crate::command::{Outcome, capture, cargo, dist, find_program, is_root, last_words, root, run};
use crate::toolchain::{self, Way};
use crate::{arch, images, setup};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const HELP: &str = "\
cargo xtask test [STEP...]
Runs everything, in an order that finds faults early, and says how long each step took.

  setup   what the machine lacks is named and installed
  check   imports, licences, headers, format, lints, documentation
  build   the device binary for this machine, and its variant for tests
  host    all tests of the libraries and of the binary, as the user that runs this
  user    the tests of the binary once more, as an ordinary user (where this runs as root)
  miri    the image format under Miri, where the toolchain has it
  archs   the device binary for all architectures, by each way to build that is open here;
          each compiles the same images, byte for byte
  boot    each architecture boots the router in QEMU; installs on x86_64 lose their power
";

/// A step: its name and its code.
struct Step(&'static str, fn() -> Outcome);

static STEPS: &[Step] = &[
    Step("setup", || setup::ensure("test")),
    Step("check", check),
    Step("build", build),
    Step("host", host),
    Step("user", user),
    Step("miri", miri),
    Step("archs", archs),
    Step("boot", boot),
];

/// `cargo xtask test`.
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
            other => return Err(format!("test: {}", other.unexpected())),
        }
    }
    if let Some(unknown) = wanted.iter().find(|name| !STEPS.iter().any(|step| step.0 == name.as_str())) {
        return Err(format!("test: {unknown}: no such step (see --help)"));
    }
    let mut results = Vec::new();
    for Step(name, code) in STEPS.iter().filter(|s| wanted.is_empty() || wanted.iter().any(|w| w == s.0)) {
        println!("\n=== {name}");
        let start = Instant::now();
        let result = code();
        if let Err(e) = &result {
            println!("FAILED: {e}");
        }
        results.push((*name, start.elapsed(), result));
        // Without a program to test, all that follows would only repeat it.
        if *name == "build"
            && !host_arch().is_ok_and(|arch| dist().join(arch.name).join("skeg-fault").exists())
        {
            break;
        }
    }
    summary(&results)
}

fn summary(results: &[(&str, Duration, Outcome)]) -> Outcome {
    println!("\n=== summary");
    for (name, took, result) in results {
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        println!("{name:6} {verdict:7} {:7.1} s", took.as_secs_f32());
    }
    let total: Duration = results.iter().map(|r| r.1).sum();
    println!("{:6} {:7} {:7.1} s", "all", "", total.as_secs_f32());
    match results.iter().filter(|r| r.2.is_err()).count() {
        0 => Ok(()),
        n => Err(format!("{n} of {} steps failed", results.len())),
    }
}

/// The same program, in a process of its own so that its output stands as one typed it.
fn task(words: &[&str]) -> Outcome {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    run(Command::new(me).args(words).current_dir(root()))
}

fn check() -> Outcome {
    task(&["check"])
}

fn host_arch() -> Outcome<&'static arch::Arch> {
    arch::host().ok_or_else(|| format!("no device binary for {} exists", std::env::consts::ARCH))
}

fn build() -> Outcome {
    let name = host_arch()?.name;
    task(&["dist", name])?;
    task(&["dist", "--fault", name])
}

fn host() -> Outcome {
    run(cargo().args(["test", "--quiet", "--locked", "--no-fail-fast"]).env("SKEG_NEED_S6", "1"))
}

/// Test programs of the package that drives the binary, as cargo built them.
fn test_programs() -> Outcome<Vec<PathBuf>> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--locked", "--package", "skeg-tests", "--no-run"]);
    command.arg("--message-format=json");
    let out = capture(&mut command)?;
    if !out.status.success() {
        return Err(last_words(&out.stderr));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(messages
        .filter(|message| message["profile"]["test"] == true)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect())
}

/// Tests run as `nobody`, from copies that it can reach, in a directory of its own.
fn user() -> Outcome {
    if !is_root() {
        println!(
            "this already runs as an ordinary user: `host` was that test; run it as root for the other one"
        );
        return Ok(());
    }
    let programs = test_programs()?;
    let scratch = tempfile::Builder::new()
        .prefix("skeg-user-")
        .tempdir()
        .map_err(|e| format!("a directory for the tests: {e}"))?;
    let folder = scratch.path();
    for name in ["skeg", "skeg-fault"] {
        copy(&dist().join(host_arch()?.name).join(name), &folder.join(name))?;
    }
    std::fs::create_dir(folder.join("tmp")).map_err(|e| e.to_string())?;
    run(Command::new("chmod").arg("0755").arg(folder))?;
    run(Command::new("chmod").arg("1777").arg(folder.join("tmp")))?;
    let mut failed = Vec::new();
    for program in &programs {
        let name = program.file_name().unwrap_or_default();
        copy(program, &folder.join(name))?;
        println!("-- {} as nobody", name.to_string_lossy());
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
        command.arg(folder.join(name)).arg("--quiet").current_dir(folder.join("tmp"));
        command.env("SKEG", folder.join("skeg")).env("SKEG_FAULT_BIN", folder.join("skeg-fault"));
        command.env("TMPDIR", folder.join("tmp")).env("HOME", folder.join("tmp"));
        // The longest enumerations have been through under the first user.
        command.env("SKEG_AGAIN", "1");
        if let Err(e) = run(&mut command) {
            failed.push(e);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

fn copy(from: &Path, to: &Path) -> Outcome {
    std::fs::copy(from, to).map(|_| ()).map_err(|e| format!("{}: {e}", from.display()))
}

/// The image format is the code that reads bytes from elsewhere: it runs under the interpreter too.
fn miri() -> Outcome {
    let probe =
        |words: &[&str]| capture(Command::new("cargo").args(words)).is_ok_and(|out| out.status.success());
    if find_program("rustup").is_none() || !probe(&["+nightly", "miri", "--version"]) {
        println!(
            "left out: Miri is a part of nightly Rust, which this machine has not (rustup component add miri)"
        );
        return Ok(());
    }
    let mut command = Command::new("cargo");
    // Reading, whole and damaged: the other tests go the same ways many times, which takes the interpreter an hour.
    command.args([
        "+nightly",
        "miri",
        "test",
        "--quiet",
        "--locked",
        "--package",
        "skeg-db",
        "--test",
        "images",
    ]);
    command.arg("--target-dir").arg(crate::command::target().join("miri"));
    command.args(["--", "what_was_written", "every_flipped", "every_cut"]);
    command.current_dir(root()).env("MIRIFLAGS", "-Zmiri-disable-isolation");
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    run(&mut command)
}

/// Every architecture by the first way that is open, and this one by each; then the images, and last the sizes.
fn archs() -> Outcome {
    let host = host_arch()?;
    for way in [Way::Debian, Way::Host] {
        match toolchain::choose(host, Some(way)) {
            Ok(_) => {
                crate::dist::build(host, false, Some(way))?;
                images::identical(&[host])?;
            }
            Err(e) => println!("left out: {e}"),
        }
    }
    for arch in &arch::ALL {
        crate::dist::build(arch, false, None)?;
    }
    images::identical(&arch::ALL.iter().collect::<Vec<_>>())?;
    task(&["sizes"])
}

/// Boots the router on each architecture and looks at it from outside; then power cuts.
fn boot() -> Outcome {
    task(&["boot-test", "all"])?;
    task(&["power-cuts", "--all"])
}
