// SPDX-License-Identifier: ISC
//! Reads every source file for what no compiler checks: licence headers, `unsafe` outside of `sys`, lengths.

use crate::command::{Outcome, output, root};
use std::process::Command;

/// Lines of a file, tests aside, above which it is asking to be two.
const LONG_FILE: usize = 600;
/// Lines of a function above which it is asking to be two.
const LONG_FUNCTION: usize = 60;

const HEADER: &str = "SPDX-License-Identifier: ISC";

/// What the reading found.
#[derive(Default)]
pub struct Findings {
    /// Each must go.
    pub faults: Vec<String>,
    /// Each is worth a thought.
    pub advice: Vec<String>,
    /// Files read.
    pub files: usize,
}

/// Reads all files that git knows or would take.
pub fn read() -> Outcome<Findings> {
    let mut command = Command::new("git");
    command.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let mut findings = Findings::default();
    for path in output(&mut command)?.lines() {
        // A file that git still lists may be gone; a binary one is none of ours to read.
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        if needs_header(path) {
            findings.files += 1;
            header(path, &text, &mut findings);
        }
        if path.ends_with(".rs") {
            rust(path, &text, &mut findings);
        }
    }
    Ok(findings)
}

fn needs_header(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    [".rs", ".toml", ".sh"].iter().any(|end| name.ends_with(end)) || path == ".ci/run"
}

fn header(path: &str, text: &str, findings: &mut Findings) {
    if !text.lines().take(3).any(|line| line.contains(HEADER)) {
        findings.faults.push(format!("{path}: has no `{HEADER}` in its first lines"));
    }
}

fn rust(path: &str, text: &str, findings: &mut Findings) {
    // Tests stand at the end of a file, in a module of their own.
    let code = text.find("#[cfg(test)]\nmod ").map_or(text, |at| &text[..at]);
    let lines = code.lines().count();
    if lines > LONG_FILE {
        findings.advice.push(format!("{path}: {lines} lines, tests aside"));
    }
    long_functions(path, code, findings);
    if path.starts_with("crates/sys/") {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        if words(without_comment(line)).any(|word| word == "unsafe") {
            findings.faults.push(format!("{path}:{}: `unsafe` outside of crates/sys", number + 1));
        }
    }
    let is_root = path.ends_with("/lib.rs") || path.ends_with("/main.rs");
    if path.starts_with("crates/") && is_root && !text.contains("#![") && !text.contains("//!") {
        findings.faults.push(format!("{path}: has no module header"));
    }
}

/// A function that is formatted as rustfmt does it begins with `fn` and ends with a brace at the same depth.
fn long_functions(path: &str, code: &str, findings: &mut Findings) {
    let mut open: Option<(usize, usize, &str)> = None;
    for (number, line) in code.lines().enumerate() {
        let depth = line.len() - line.trim_start().len();
        let words: Vec<_> = words(without_comment(line)).take(6).collect();
        let at = words.iter().position(|word| *word == "fn");
        if let Some(name) = at.and_then(|at| words.get(at + 1))
            && open.is_none_or(|(outer, ..)| depth <= outer)
        {
            open = Some((depth, number, name));
        }
        if let Some((outer, start, name)) = open
            && line.trim_start() == "}"
            && depth == outer
        {
            if number - start > LONG_FUNCTION {
                findings.advice.push(format!("{path}:{}: fn {name} has {} lines", start + 1, number - start));
            }
            open = None;
        }
    }
}

/// The line without a comment and without what stands in quotes.
fn without_comment(line: &str) -> &str {
    let line = line.split("//").next().unwrap_or(line);
    line.split('"').next().unwrap_or(line)
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_found_in_code_and_not_in_comments() {
        let mut findings = Findings::default();
        rust(
            "crates/db/src/x.rs",
            "// unsafe\nlet a = \"unsafe\";\nunsafe { b() }\n#![forbid(unsafe_code)]\n",
            &mut findings,
        );
        assert_eq!(findings.faults, ["crates/db/src/x.rs:3: `unsafe` outside of crates/sys"]);
    }

    #[test]
    fn a_long_function_is_named_with_its_place() {
        let body = "    a();\n".repeat(70);
        let mut findings = Findings::default();
        rust(
            "crates/db/src/x.rs",
            &format!("fn short() {{\n}}\npub fn long() {{\n{body}}}\n"),
            &mut findings,
        );
        assert_eq!(findings.advice, ["crates/db/src/x.rs:3: fn long has 71 lines"]);
    }
}
