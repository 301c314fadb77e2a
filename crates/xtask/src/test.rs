// SPDX-License-Identifier: ISC
//! `cargo xtask test`: the one command that says whether the project works. CI runs it and nothing else.

use crate::command::{Outcome, capture, cargo, dist, find_program, is_root, last_words, root, run};
use crate::dist::Variant;
use crate::images::Program;
use crate::side_by_side::side_by_side;
use crate::toolchain::{self, Way};
use crate::{arch, images, setup};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const HELP: &str = "\
cargo xtask test [STEP...]
Runs everything, in an order that finds faults early, and says how long each step took.

  setup   what the machine lacks is named and installed
  check   imports, licences, headers, format, lints, documentation
  build   the device binary for this machine, its variant for tests, and the one without the compiler
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
    task(&["dist", "--fault", name])?;
    task(&["dist", "--no-compiler", name])
}

/// A program of tests, as cargo built it.
struct TestProgram {
    file: PathBuf,
    /// Of its package: where cargo would start it.
    folder: PathBuf,
}

impl TestProgram {
    fn name(&self) -> &OsStr {
        self.file.file_name().unwrap_or_default()
    }

    /// Whether it keeps all cores busy by itself: the others mostly wait.
    fn is_busy(&self) -> bool {
        self.name().as_encoded_bytes().starts_with(b"update_kill-")
    }
}

/// Runs test programs, the busy ones each alone, then the others side by side.
fn run_programs(programs: &[TestProgram], run: impl Fn(&TestProgram) -> Outcome + Sync) -> Outcome {
    let (busy, others): (Vec<_>, Vec<_>) = programs.iter().partition(|program| program.is_busy());
    let alone = busy.into_iter().try_for_each(&run);
    side_by_side(others, run).and(alone)
}

/// The test programs of these packages.
fn test_programs(packages: &[&str]) -> Outcome<Vec<TestProgram>> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--locked", "--no-run", "--message-format=json"]).args(packages);
    let out = capture(&mut command)?;
    if !out.status.success() {
        eprint!("{}", String::from_utf8_lossy(&out.stderr));
        return Err(last_words(&out.stderr));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let programs = messages
        .filter(|message| message["profile"]["test"] == true)
        .filter_map(|message| {
            let file = PathBuf::from(message["executable"].as_str()?);
            let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf();
            Some(TestProgram { file, folder })
        })
        .collect();
    Ok(programs)
}

/// Runs a program of tests; what it said is printed in one piece, since another may run beside it.
fn run_tests(name: &OsStr, command: &mut Command) -> Outcome {
    let start = Instant::now();
    println!("-- {} begins", name.to_string_lossy());
    crate::command::forget_the_caller(command);
    let out = capture(command.arg("--quiet"))?;
    let mut said = format!("-- {} ({:.1} s)\n", name.to_string_lossy(), start.elapsed().as_secs_f32());
    for bytes in [&out.stdout, &out.stderr] {
        said += String::from_utf8_lossy(bytes).trim_start();
    }
    print!("{said}");
    if out.status.success() { Ok(()) } else { Err(format!("{}: {}", name.to_string_lossy(), out.status)) }
}

fn host() -> Outcome {
    let tests = run_programs(&test_programs(&[])?, |program| {
        let mut command = Command::new(&program.file);
        command.current_dir(&program.folder);
        run_tests(program.name(), command.env("SKEG_NEED_S6", "1"))
    });
    let examples = run(cargo().args(["test", "--quiet", "--locked", "--no-fail-fast", "--doc"]));
    tests.and(examples)
}

/// Tests run as `nobody`, from copies that it can reach, in a directory of its own.
fn user() -> Outcome {
    if !is_root() {
        println!(
            "this already runs as an ordinary user: `host` was that test; run it as root for the other one"
        );
        return Ok(());
    }
    let programs = test_programs(&["--package", "skeg-tests"])?;
    let scratch = tempfile::Builder::new()
        .prefix("skeg-user-")
        .tempdir()
        .map_err(|e| format!("a directory for the tests: {e}"))?;
    let folder = scratch.path();
    let built = dist().join(host_arch()?.name);
    let binaries = [
        ("SKEG", "skeg", "skeg"),
        ("SKEG_FAULT_BIN", "skeg-fault", "skeg-fault"),
        ("SKEG_NO_COMPILER", "no-compiler/skeg", "skeg-no-compiler"),
    ];
    for (_, from, to) in binaries {
        copy(&built.join(from), &folder.join(to))?;
    }
    std::fs::create_dir(folder.join("tmp")).map_err(|e| e.to_string())?;
    run(Command::new("chmod").arg("0755").arg(folder))?;
    run(Command::new("chmod").arg("1777").arg(folder.join("tmp")))?;
    for program in &programs {
        copy(&program.file, &folder.join(program.name()))?;
    }
    run_programs(&programs, |program| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
        command.arg(folder.join(program.name())).current_dir(folder.join("tmp"));
        command.envs(binaries.map(|(variable, _, name)| (variable, folder.join(name))));
        command.env("TMPDIR", folder.join("tmp")).env("HOME", folder.join("tmp"));
        // The longest enumerations have been through under the first user.
        run_tests(program.name(), command.env("SKEG_AGAIN", "1"))
    })
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
    // What the others are held against; and which way each takes, which may install something: not twice at once.
    crate::dist::build(host, Variant::DEVICE, None)?;
    crate::dist::build(host, Variant::NO_COMPILER, None)?;
    let others = || arch::ALL.iter().filter(|arch| *arch != host);
    let mut by_debian = Vec::new();
    for arch in others() {
        if toolchain::choose(arch, None)?.0 == Way::Debian {
            by_debian.push(arch.name);
        }
    }
    let by_debian = |arch: &&arch::Arch| by_debian.contains(&arch.name);
    let build = |arch: &arch::Arch| {
        crate::dist::build(arch, Variant::DEVICE, None)?;
        crate::dist::build(arch, Variant::NO_COMPILER, None)
    };
    // The linker optimises a program on one core; two builds in one of cargo's folders wait for each other.
    let jobs: [&(dyn Fn() -> Outcome + Sync); 2] = [
        &|| {
            by_way(host, Way::Debian)?;
            others().filter(by_debian).try_for_each(build)
        },
        &|| {
            others().filter(|arch| !by_debian(arch)).try_for_each(build)?;
            by_way(host, Way::Host)
        },
    ];
    side_by_side(jobs, |job| job())?;
    images::identical(&[host].into_iter().chain(others()).map(Program::of).collect::<Vec<_>>())?;
    task(&["sizes"])?;
    task(&["sizes", "--no-compiler"])
}

/// This machine's architecture by a way, where that is open: it compiles what the one for devices compiles.
fn by_way(host: &'static arch::Arch, way: Way) -> Outcome {
    if let Err(e) = toolchain::choose(host, Some(way)) {
        println!("left out: {e}");
        return Ok(());
    }
    let built = crate::dist::compile(host, Variant::DEVICE, Some(way))?;
    images::identical(&[Program::of(host), Program::at(host, built)])
}

/// Boots the router on each architecture and looks at it from outside; power cuts beside that.
fn boot() -> Outcome {
    // What is built and fetched already need not be waited for by two.
    task(&["qemu"])?;
    for arch in &arch::ALL {
        crate::dist::build(arch, Variant::DEVICE, None)?;
    }
    for arch in arch::named("x86_64")? {
        crate::dist::build(arch, Variant::FAULT, None)?;
        crate::dist::build(arch, Variant::NO_COMPILER, None)?;
    }
    let boots = arch::ALL.iter().map(|arch| ["boot-test", "--built", arch.name]);
    side_by_side([["power-cuts", "--built", "--all"]].into_iter().chain(boots), |words| task(&words))
}
