// SPDX-License-Identifier: ISC
//! How many system calls commands make: for each service that they concern, and none for those that they don't.

use harness::{Scanner, Scratch, Suite};

/// A live tree of so many longruns and its images: as it is, with one script changed, with one service more.
struct Tree {
    scratch: Scratch,
    _scanner: Scanner,
    /// The calls of `s6-rc-init`.
    init: usize,
}

impl Tree {
    fn new(longruns: usize) -> Self {
        let scratch = Scratch::new();
        for image in ["same", "script", "more"] {
            for n in 0..longruns {
                define(
                    &scratch,
                    image,
                    &format!("s{n}"),
                    if image == "script" && n == 0 { "2000" } else { "1000" },
                );
            }
        }
        define(&scratch, "more", "z", "1000");
        for image in ["same", "script", "more"] {
            let (to, from) = (scratch.text(&format!("{image}.image")), scratch.text(image));
            scratch.run(&Suite::skeg(), "s6-rc-compile", &[&to, &from]).expect(0);
        }
        let scanner = Scanner::start(&scratch, &Suite::skeg());
        let (image, live) = (scratch.text("same.image"), scratch.text("live"));
        let scan = scanner.dir.display().to_string();
        let init = count(&scratch, &["s6-rc-init", "-c", &image, "-l", &live, &scan]);
        let up: Vec<String> = (0..longruns).map(|n| format!("s{n}")).collect();
        let mut words = vec!["-l", &live, "-u", "change"];
        words.extend(up.iter().map(String::as_str));
        scratch.run(&Suite::skeg(), "s6-rc", &words).expect(0);
        Self { scratch, _scanner: scanner, init }
    }

    /// The calls of an update to this image; the way back is not counted.
    fn update(&self, image: &str) -> usize {
        let (live, to) = (self.scratch.text("live"), self.scratch.text(&format!("{image}.image")));
        let calls = count(&self.scratch, &["apply", "-l", &live, &to]);
        let same = self.scratch.text("same.image");
        self.scratch.run(&Suite::skeg(), "apply", &["-l", &live, &same]).expect(0);
        calls
    }
}

fn define(scratch: &Scratch, image: &str, name: &str, seconds: &str) {
    scratch.file(format!("{image}/{name}/type"), "longrun\n");
    scratch.file(format!("{image}/{name}/run"), format!("#!/bin/sh\nexec sleep {seconds}\n"));
}

/// Runs a command of skeg, which must succeed; how many system calls it made.
fn count(scratch: &Scratch, words: &[&str]) -> usize {
    let (trace, program) = (scratch.text("trace"), Suite::skeg().binary().display().to_string());
    let mut all = vec!["-o", &trace, "--", &program];
    all.extend(words);
    scratch.run(&Suite::Folder("/usr/bin".into()), "strace", &all).expect(0);
    scratch.read("trace").lines().filter(|line| line.contains('(')).count()
}

#[test]
fn a_command_makes_few_calls_for_a_service_and_an_update_without_a_change_none() {
    if !std::path::Path::new("/usr/bin/strace").exists() {
        return println!("left out: no strace here");
    }
    let (few, many) = (Tree::new(10), Tree::new(40));
    let each = |few: usize, many: usize| (many as f64 - few as f64) / 30.0;
    // Three directories, four links, the script, `down`, the mode of `event`, two looks whether it is supervised: 15, or up to
    // six more where a file system lists new entries neither first nor last.
    let init = each(few.init, many.init);
    assert!(init <= 21.5, "{init} calls of s6-rc-init for each longrun");
    let (one, other) = (few.update("same"), many.update("same"));
    assert!(one.abs_diff(other) <= 2 && one <= 70, "{one} and {other} calls where nothing has changed");
    let (one, other) = (few.update("script"), many.update("script"));
    assert!(each(one, other) <= 0.2 && one <= 260, "{one} and {other} calls where one script has");
    // Its entry in the scan directory is looked at.
    let (one, other) = (few.update("more"), many.update("more"));
    assert!(each(one, other) <= 1.2 && one <= 180, "{one} and {other} calls where one was added");
}

/// `--if-changed` where nothing has: it looks at names and times, and reads and writes no definition.
#[test]
fn a_sync_without_a_change_opens_only_directories_and_its_own_note() {
    if !std::path::Path::new("/usr/bin/strace").exists() {
        return println!("left out: no strace here");
    }
    let tree = Tree::new(10);
    let (live, image) = (tree.scratch.text("live"), tree.scratch.text("sync.image"));
    let (store, trace) = (tree.scratch.text("same"), tree.scratch.text("trace"));
    let words = ["sync", "--if-changed", "-l", &live, "-o", &image, &store];
    tree.scratch.run(&Suite::skeg(), "sync", &words[1..]).expect(0);
    let calls = count(&tree.scratch, &words);
    let trace = std::fs::read_to_string(trace).unwrap();
    for line in trace.lines() {
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "rename", "unlink", "mkdir", "symlink", "fsync"];
        assert!(!writes.iter().any(|call| line.contains(call)), "{line}");
        let opens = line.contains("open") && line.contains(&store);
        assert!(!opens || line.contains("O_DIRECTORY"), "{line}");
    }
    // A directory of two files: opened, listed twice, closed, and each name looked at.
    assert!(calls <= 40 + 10 * 8, "{calls} calls for 10 definitions:\n{trace}");
}
