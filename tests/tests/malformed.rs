// SPDX-License-Identifier: ISC
//! Every way in which a file of a definition can be malformed, and what the compiler says of it, word for word
//! (`data/malformed.txt`); and that there is no message that none of them leads to.

use harness::{Scratch, Suite, User};
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A source directory for one definition after the other. Compiled as an ordinary user: root can read all files.
struct Place {
    scratch: Scratch,
    /// What can't be entered or removed as it is.
    closed: Vec<PathBuf>,
    /// All messages so far.
    said: BTreeSet<String>,
}

/// `\n`, `\r`, `\0`, `\\` and `\xHH` as bytes.
fn bytes(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        let escaped = if byte == b'\\' { rest.next() } else { None };
        out.push(match escaped {
            None => byte,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b'0') => 0,
            Some(b'x') => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(std::str::from_utf8(&digits).expect("digits"), 16).expect("two digits")
            }
            Some(other) => other,
        });
    }
    out
}

impl Place {
    fn new() -> Self {
        Self { scratch: Scratch::of(User::Ordinary), closed: Vec::new(), said: BTreeSet::new() }
    }

    /// An empty place for the next tree.
    fn clear(&mut self) {
        for path in self.closed.drain(..) {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("chmod");
        }
        for name in ["source", "more", "image"] {
            let path = self.scratch.at(name);
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
        self.scratch.folder("source");
    }

    /// The four definitions of which one is to be malformed.
    fn lay_out(&mut self) {
        self.clear();
        for (file, content) in [
            ("l/type", "longrun\n"),
            ("l/run", "#!/bin/sh\n"),
            ("m/type", "longrun\n"),
            ("m/run", "#!/bin/sh\n"),
            ("o/type", "oneshot\n"),
            ("o/up", "true\n"),
            ("b/type", "bundle\n"),
            ("b/contents.d/o", ""),
        ] {
            self.scratch.file(format!("source/{file}"), content);
        }
    }

    /// Puts what the table says in the place of a file.
    fn put(&mut self, name: &str, content: &str) {
        let name = PathBuf::from(std::ffi::OsString::from_vec(bytes(name)));
        let path = self.scratch.at("source").join(name);
        let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        self.scratch.folder(path.parent().expect("a definition"));
        match content {
            "(nothing)" => {}
            "(directory)" => drop(self.scratch.folder(&path)),
            "(link to nothing)" => std::os::unix::fs::symlink("nowhere", &path).expect("a link"),
            "(fifo)" => fifo(&path),
            "(unreadable)" => self.close(&path, |place, path| drop(place.scratch.file(path, "5\n"))),
            "(unreadable directory)" => self.close(&path, |place, path| drop(place.scratch.folder(path))),
            content => {
                // A program must be one to be run; no other file's mode matters.
                self.scratch.file_mode(&path, bytes(content), 0o644);
            }
        }
    }

    fn close(&mut self, path: &Path, make: impl FnOnce(&Self, &Path)) {
        make(self, path);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o0)).expect("chmod");
        self.closed.push(path.to_owned());
    }

    /// What the compiler says, joined by ` | `.
    fn compile(&mut self, options: &[&str], sources: &[&str]) -> String {
        let words = [options, &["image"], sources].concat();
        let done = self.scratch.run(&Suite::skeg(), "s6-rc-compile", &words);
        let lines: Vec<_> = done.err.lines().map(|l| l.trim_start_matches("s6-rc-compile: ")).collect();
        assert_eq!(
            done.code != 0,
            lines.iter().any(|l| l.starts_with("error: ")),
            "{}: {}",
            done.code,
            done.err
        );
        assert_eq!(done.code == 0, self.scratch.at("image").exists(), "{}: {}", done.code, done.err);
        self.said.extend(lines.iter().map(|line| (*line).to_owned()));
        if lines.is_empty() { "accepted".to_owned() } else { lines.join(" | ") }
    }

    /// Compiles what was laid out; it must say this.
    #[track_caller]
    fn says(&mut self, options: &[&str], sources: &[&str], message: &str) {
        let said = self.compile(options, sources);
        assert_eq!(said, message);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clear();
        }
    }
}

fn fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).expect("a FIFO");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).expect("chmod");
}

/// Every row of the table; those that differ.
fn table(place: &mut Place) -> Vec<String> {
    let rows = include_str!("../data/malformed.txt").lines();
    let mut wrong = Vec::new();
    for row in rows.filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let (files, message) = row.rsplit_once(" => ").expect("FILE = CONTENT => MESSAGE");
        place.lay_out();
        for file in files.split(" & ") {
            let (name, content) = file.split_once(" = ").unwrap_or_else(|| panic!("no content: {row}"));
            place.put(name, content);
        }
        let said = place.compile(&[], &["source"]);
        if said != message {
            wrong.push(format!("{files}\n  says    {said}\n  and not {message}"));
        }
    }
    wrong
}

/// What a line can't hold: large trees, several sources, options.
fn large_and_many(place: &mut Place) {
    place.clear();
    place.says(&[], &["source"], "warning: source: holds no definition");
    place.clear();
    place.says(&[], &["nowhere"], "error: nowhere: can't be read: no such file or directory");
    place.lay_out();
    place.scratch.file("more/o/type", "oneshot\n");
    place.scratch.file("more/o/up", "true\n");
    place.says(&[], &["source", "more"], "error: more/o: it is defined in source too");
    place.lay_out();
    place.put("o/up", "(nothing)");
    place.put("l/dependencies.d/o", "");
    place.says(
        &["--keep-going"],
        &["source"],
        "warning: source/o/up: there is none, and it is needed | \
         warning: source/o: is left out, with the faults above | \
         warning: source/l: is left out: it can't do without 'o'",
    );
    place.lay_out();
    place.put("l/dependencies", "o\\no\\n");
    let said = place.compile(&["-v", "2"], &["source"]);
    assert!(said.starts_with("warning: source/l/dependencies:2: 'o' is listed more than once"), "{said}");
    place.lay_out();
    place.put("x\\ny/type", "oneshot\\n");
    place.says(&[], &["source"], "error: source/x\\x0ay: a name can't contain a newline");
    let long = "x".repeat(251);
    place.lay_out();
    place.put(&format!("{long}/type"), "oneshot\\n");
    let message = format!("error: source/{long}: the name is too long: a scan directory takes 250 bytes");
    place.says(&[], &["source"], &message);
    place.lay_out();
    place.put("s6-rc-x/type", "oneshot\\n");
    let message = "error: source/s6-rc-x: 's6-rc-x': names that begin with s6rc- or s6-rc- are reserved";
    place.says(&[], &["source"], message);
    let too = "is too large, or lies too deep, for an image (16 MiB a file, 32 directories)";
    place.lay_out();
    place.scratch.folder(format!("source/l/data{}", "/x".repeat(32)));
    place.says(&[], &["source"], &format!("error: source/l/data{}: {too}", "/x".repeat(32)));
    place.lay_out();
    let big = place.scratch.file("source/l/data/big", "");
    std::fs::File::options()
        .write(true)
        .open(big)
        .and_then(|f| f.set_len((16 << 20) + (64 << 10)))
        .expect("big");
    place.says(&[], &["source"], &format!("error: source/l/data/big: {too}"));
    place.lay_out();
    let below = format!("/{}", "n".repeat(250)).repeat(4);
    place.scratch.folder(format!("source/l/data{below}"));
    place.scratch.file(format!("source/l/data{below}/{}", "f".repeat(40)), "");
    let message = "the path is too long for an image (1023 bytes)";
    let said = place.compile(&[], &["source"]);
    assert!(said.starts_with("error: source/l/data/nnn") && said.ends_with(message), "{said}");
    place.lay_out();
    place.put("l/capabilities", &"#\\n".repeat(257));
    place.says(&[], &["source"], "error: source/l/capabilities:257: more than 256 lines");
}

/// The limits of an image. In one directory: what counts is how many there are.
fn limits(place: &mut Place) {
    for (kind, file, message) in [
        ("oneshot", "up", "error: too many services: an image holds 8192"),
        ("bundle", "contents", "error: too many bundles: an image holds 8192"),
    ] {
        place.clear();
        for n in 0..8193 {
            let dir = place.scratch.at(format!("source/{n}"));
            std::fs::create_dir(&dir).expect("a directory");
            std::fs::write(dir.join("type"), kind).expect("a file");
            std::fs::write(dir.join(file), "").expect("a file");
        }
        place.says(&[], &["source"], message);
    }
    place.lay_out();
    let data = place.scratch.folder("source/l/data");
    for n in 0..65536 {
        std::fs::hard_link(place.scratch.at("source/o/up"), data.join(n.to_string()))
            .or_else(|_| std::fs::write(data.join(n.to_string()), ""))
            .expect("a file");
    }
    let said = place.compile(&[], &["source"]);
    assert!(said.ends_with("too large for an image (4 GiB in all, 65535 files a service)"), "{said}");
}

/// The messages of the compiler's word list: the texts in the three functions that make them.
fn word_list() -> Vec<String> {
    let source = include_str!("../../crates/skeg/src/compile/faults.rs");
    let mut texts = Vec::new();
    for function in ["fn what(", "fn lexer(", "fn setting("] {
        let body = source.split_once(function).expect("a function of the word list").1;
        let body = body.split_once("\n}\n").expect("its end").0;
        for arm in body.split("=>").skip(1) {
            let Some((_, text)) = arm.split_once('"') else { continue };
            let mut text = text.split_inclusive('"').next().expect("a text").trim_end_matches('"').to_owned();
            assert!(!text.ends_with('\\'), "a quotation mark in a message: {text}");
            text = text.replace("\\\\", "\\");
            texts.push(text);
        }
    }
    texts
}

/// Whether a message is this text with something in each of its places.
fn is_of(message: &str, text: &str) -> bool {
    let mut rest = message;
    text.split('%').all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn each_malformed_definition_is_refused_with_its_file_and_line_and_no_message_is_idle() {
    // Tens of thousands of files are made.
    drop(Scratch::in_memory());
    let mut place = Place::new();
    let wrong = table(&mut place);
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    large_and_many(&mut place);
    if std::env::var_os("SKEG_AGAIN").is_some() {
        return;
    }
    limits(&mut place);
    let texts = word_list();
    assert!(texts.len() > 60, "the word list has only {texts:#?}");
    let idle: Vec<_> = texts.iter().filter(|text| !place.said.iter().any(|said| is_of(said, text))).collect();
    assert!(idle.is_empty(), "no definition leads to {idle:#?}");
}
