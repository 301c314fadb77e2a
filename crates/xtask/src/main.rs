// SPDX-License-Identifier: ISC
//! The project's own tasks: `cargo xtask TASK`. Host tool; nothing of it reaches a device.

mod arch;
mod bench;
mod boot_test;
mod check;
mod command;
mod demo;
mod dist;
mod elf;
mod images;
mod imports;
mod kill_all;
mod power_cuts;
mod qemu;
mod setup;
mod side_by_side;
mod sources;
mod test;
mod toolchain;

use command::Outcome;
use std::process::ExitCode;

/// A task's code: it takes the rest of the command line.
type Run = fn(lexopt::Parser) -> Outcome;

/// A task: its name, one line about it, its code.
struct Task(&'static str, &'static str, Run);

static TASKS: &[Task] = &[
    Task("test", "run everything: what CI runs", test::main),
    Task("setup", "say what the machine lacks, and install it", setup::main),
    Task("dist", "build the device binary for some architectures, with a size report", dist::main),
    Task("sizes", "the bytes of the built binaries, by crate, beside the budget", dist::sizes),
    Task("check", "imports, licences, headers, format, lints, documentation", check::main),
    Task("bench", "the figures, each beside its floor and another suite's", bench::main),
    Task("qemu", "fetch the kernels and emulators that demo and boot-test need", qemu::main),
    Task(
        "kill-all",
        "everything that an update needs is killed at each of its calls: the counts",
        kill_all::main,
    ),
    Task("demo", "boot the router in QEMU and look at it", demo::main),
    Task("boot-test", "boot, serve, fail and power off in QEMU, on some architectures", boot_test::main),
    Task("power-cuts", "what an install leaves when the power goes, at any moment", power_cuts::main),
];

fn main() -> ExitCode {
    let mut args = lexopt::Parser::from_env();
    match task(&mut args) {
        Ok(Some(run)) => match run(args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("xtask: {e}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => {
            help();
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("xtask: {e}");
            help();
            ExitCode::from(2)
        }
    }
}

fn task(args: &mut lexopt::Parser) -> Outcome<Option<Run>> {
    use lexopt::prelude::*;
    match args.next().map_err(|e| e.to_string())? {
        None | Some(Long("help") | Short('h')) => Ok(None),
        Some(Value(name)) => match TASKS.iter().find(|task| name == task.0) {
            Some(task) => Ok(Some(task.2)),
            None => Err(format!("{}: no such task", name.to_string_lossy())),
        },
        Some(other) => Err(other.unexpected().to_string()),
    }
}

fn help() {
    println!("cargo xtask TASK [OPTION...]   (TASK --help says more)\n");
    for Task(name, about, _) in TASKS {
        println!("  {name:10} {about}");
    }
}
