// SPDX-License-Identifier: ISC
//! `cargo xtask kill-all`: every process that an update needs, killed at each of its system calls; the counts.

use crate::arch;
use crate::command::{Outcome, cargo};
use crate::dist::Variant;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const HELP: &str = "\
cargo xtask kill-all [NAME]
Builds skeg and its variant for tests, runs the enumerations of kills and full file systems (crates/live/PROTOCOL.md,
\"What was tried\"), and prints what each has shown and the sums. `cargo xtask test` runs them too, without the sums.

  NAME      only the tests with this in their name

With SKEG and SKEG_FAULT_BIN set, those programs are tested, and nothing is built.
exit codes: 0 all was recovered from, 1 something was not, 2 wrong usage
";

/// What has been counted.
#[derive(Default)]
struct Sums {
    enumerations: u64,
    trials: u64,
    wrong: u64,
}

impl Sums {
    /// Takes a line of a test, `NAME: WHAT: N old, N new, N wrong, …` or `NAME: N classes, N pairs, N wrong, …`.
    fn take(&mut self, line: &str) {
        let number = |word: &str| {
            let before = line.split(&format!(" {word}")).next().filter(|before| before.len() < line.len())?;
            before.rsplit(' ').next()?.parse::<u64>().ok()
        };
        // What a swapped protocol shows is meant to be wrong.
        let is_swapped = line.contains(": U") && line.contains(" after U");
        let Some(wrong) = number("wrong,").filter(|_| !is_swapped) else { return };
        self.enumerations += 1;
        self.trials += ["old,", "new,", "pairs,"].iter().filter_map(|word| number(word)).sum::<u64>() + wrong;
        self.wrong += wrong;
    }
}

/// `cargo xtask kill-all`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let mut name = None;
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Value(wanted) if name.is_none() => name = Some(wanted),
            other => return Err(format!("kill-all: {} (see --help)", other.unexpected())),
        }
    }
    if std::env::var_os("SKEG").is_none() {
        let arch = arch::host().ok_or("kill-all: no device binary for this machine exists")?;
        crate::dist::build(arch, Variant::DEVICE, None)?;
        crate::dist::build(arch, Variant::FAULT, None)?;
    }
    let mut command = cargo();
    command.args(["test", "--quiet", "--locked", "--package", "skeg-tests", "--test", "update_kill"]);
    command.args(["--test", "install_kill", "--", "--nocapture", "--test-threads", "1"]).args(name);
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(|e| format!("cargo test: {e}"))?;
    let mut sums = Sums::default();
    for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(BufReader::lines) {
        let line = line.map_err(|e| e.to_string())?;
        println!("{line}");
        sums.take(&line);
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    let Sums { enumerations, trials, wrong } = sums;
    println!("\n{enumerations} enumerations, {trials} trials, {wrong} wrong");
    if status.success() { Ok(()) } else { Err("something was not recovered from".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::Sums;

    #[test]
    fn lines_of_all_kinds_are_counted() {
        let mut sums = Sums::default();
        for line in [
            "script changed: Kill at each of 253 calls: 103 old, 150 new, 0 wrong, 2.7 s",
            "small: 50 classes, 9578 pairs, 1 wrong, 58.2 s",
            "script changed: U1 after U2: 40 old, 0 new, 1 wrong, 0.8 s",
            "thread panicked",
        ] {
            sums.take(line);
        }
        assert_eq!((sums.enumerations, sums.trials, sums.wrong), (2, 9832, 1));
    }
}
