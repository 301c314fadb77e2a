// SPDX-License-Identifier: ISC
//! The 300 recorded source trees: what the reference's compiler accepts, and the answer of every query.
//!
//! `data/db_cases.jsonl` has one a line. The order of lines is not compared, nor are messages: a refused tree must
//! give a non-zero exit, a message, and no output.
#![allow(missing_docs)]

use harness::Suite;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

const CASES: &str = include_str!("../data/db_cases.jsonl");

fn write(case: &Value, root: &Path) {
    for (source, files) in case["sources"].as_object().unwrap() {
        std::fs::create_dir_all(root.join(source)).unwrap();
        for (path, entry) in files.as_object().unwrap() {
            let path = root.join(source).join(path);
            let Some(content) = entry["f"].as_str() else {
                std::fs::create_dir_all(path).unwrap();
                continue;
            };
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            let mode = u32::try_from(entry["m"].as_u64().unwrap()).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
    }
}

/// A compiled case and the ways in which its answers differ from the record.
struct Judge<'a> {
    suite: &'a Suite,
    out: &'a Path,
    wrong: Vec<String>,
}

impl Judge<'_> {
    fn ask(&self, words: &[&str]) -> Output {
        self.suite.command("s6-rc-db").arg("-c").arg(self.out).args(words).output().unwrap()
    }

    fn lines(&self, words: &[&str]) -> Vec<String> {
        let out = String::from_utf8_lossy(&self.ask(words).stdout).into_owned();
        let mut lines: Vec<_> = out.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, got: &T, wanted: &T) {
        if got != wanted {
            self.wrong.push(format!("{what}: {got:?} instead of {wanted:?}"));
        }
    }

    fn lines_same(&mut self, words: &[&str], wanted: &Value) {
        let mut wanted = strings(wanted);
        wanted.sort();
        self.same(&words.join(" "), &self.lines(words), &wanted);
    }

    fn text_same(&mut self, words: &[&str], wanted: &Value) {
        let got = String::from_utf8_lossy(&self.ask(words).stdout).trim().to_owned();
        self.same(&words.join(" "), &got, &wanted.as_str().unwrap().to_owned());
    }

    fn name(&mut self, name: &str, record: &Value) {
        self.text_same(&["type", name], &record["type"]);
        for (key, words) in [("contents", ["contents", name]), ("pipeline", ["pipeline", name])] {
            if !record[key].is_null() {
                self.lines_same(&words, &record[key]);
            }
        }
        if !record["flags"].is_null() {
            self.text_same(&["flags", name], &record["flags"]);
        }
        for (at, way) in ["-u", "-d"].into_iter().enumerate() {
            if !record["timeout"].is_null() {
                self.text_same(&[way, "timeout", name], &record["timeout"][at]);
            }
            for key in ["dependencies", "all-dependencies"] {
                self.lines_same(&[way, key, name], &record[key][at]);
            }
            if !record["script"].is_null() {
                let out = self.ask(&[way, "script", name]).stdout;
                // The record has one character for each byte.
                let words: Vec<String> = out
                    .split_inclusive(|b| *b == 0)
                    .map(|w| w.iter().take(w.len() - 1).copied().map(char::from).collect())
                    .collect();
                self.same(&format!("{way} script {name}"), &words, &strings(&record["script"][at]));
            }
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn play(suite: &Suite, case: &Value) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    write(case, root.path());
    let out = root.path().join("compiled");
    let sources = strings(&case["args"]);
    let sources = sources.iter().map(|s| root.path().join(s));
    let done = suite.command("s6-rc-compile").arg(&out).args(sources).output().unwrap();
    let message = String::from_utf8_lossy(&done.stderr).into_owned();
    let mut judge = Judge { suite, out: &out, wrong: Vec::new() };
    if case["compile_exit"] != 0 {
        if !matches!(done.status.code(), Some(1 | 111)) {
            judge.wrong.push(format!("must be refused, but: {}", done.status));
        }
        if message.trim().is_empty() {
            judge.wrong.push("refused without a message".into());
        }
        let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        let sources = case["sources"].as_object().unwrap();
        if left.iter().any(|n| !sources.contains_key(&*n.to_string_lossy())) {
            judge.wrong.push(format!("something was left behind: {left:?}"));
        }
        return judge.wrong;
    }
    if !done.status.success() {
        return vec![format!("must be accepted, but: {}, {message}", done.status)];
    }
    judge.same("check", &judge.ask(&["check"]).status.code(), &Some(0));
    for (kind, names) in case["db"]["list"].as_object().unwrap() {
        judge.lines_same(&["list", kind], names);
    }
    for (name, record) in case["db"]["of"].as_object().unwrap() {
        judge.name(name, record);
    }
    judge.same("an unknown name", &judge.ask(&["type", "no such service"]).status.code(), &Some(3));
    judge.wrong
}

#[test]
fn every_recorded_tree_compiles_and_answers_as_the_reference_does() {
    let suite = Suite::tested();
    let cases: Vec<Value> = CASES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(cases.len(), 300);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let name = case["name"].as_str().unwrap();
            wrong.extend(play(&suite, case).into_iter().map(|w| format!("{name}: {w}")));
        }
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
