// SPDX-License-Identifier: ISC
//! What `s6-rc-compile` and `s6-rc-db` say and do beyond the recorded cases: messages, atomic output, sameness.
#![allow(missing_docs)]

use harness::Suite;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A directory with a source tree in it.
struct Tree {
    dir: tempfile::TempDir,
    suite: Suite,
}

impl Tree {
    fn new() -> Self {
        let tree = Self { dir: tempfile::tempdir().unwrap(), suite: Suite::skeg() };
        std::fs::create_dir(tree.at("source")).unwrap();
        tree
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn file(&self, path: &str, content: &str) -> &Self {
        let path = self.at("source").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    fn oneshot(&self, name: &str, needs: &[&str]) -> &Self {
        self.file(&format!("{name}/type"), "oneshot\n").file(&format!("{name}/up"), "true\n");
        for other in needs {
            self.file(&format!("{name}/dependencies.d/{other}"), "");
        }
        self
    }

    fn longrun(&self, name: &str) -> &Self {
        self.file(&format!("{name}/type"), "longrun\n")
            .file(&format!("{name}/run"), "#!/bin/sh\nexec sleep 9\n")
    }

    fn bundle(&self, name: &str, contents: &[&str]) -> &Self {
        self.file(&format!("{name}/type"), "bundle\n");
        for other in contents {
            self.file(&format!("{name}/contents.d/{other}"), "");
        }
        self
    }

    fn compile(&self, options: &[&str]) -> Output {
        self.compile_to(&self.at("image"), options)
    }

    fn compile_to(&self, out: &Path, options: &[&str]) -> Output {
        let mut command = self.suite.command("s6-rc-compile");
        command.current_dir(self.dir.path()).args(options).arg(out).arg("source").output().unwrap()
    }

    /// Compiles a tree that must be refused: its messages.
    #[track_caller]
    fn refused(&self) -> Vec<String> {
        let done = self.compile(&[]);
        assert!(matches!(done.status.code(), Some(1 | 111)), "{done:?}");
        let names: Vec<_> =
            std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["source"], "a refused tree leaves nothing");
        lines(&done.stderr)
    }

    /// Compiles a tree that must be accepted: its warnings.
    #[track_caller]
    fn accepted(&self) -> Vec<String> {
        let done = self.compile(&[]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        lines(&done.stderr)
    }

    fn ask(&self, words: &[&str]) -> Output {
        self.suite.command("s6-rc-db").arg("-c").arg(self.at("image")).args(words).output().unwrap()
    }

    fn answer(&self, words: &[&str]) -> Vec<String> {
        lines(&self.ask(words).stdout)
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

#[track_caller]
fn has(lines: &[String], wanted: &str) {
    assert!(lines.iter().any(|l| l.contains(wanted)), "{wanted:?} is not among {lines:#?}");
}

#[test]
fn every_fault_is_told_in_one_run_with_file_and_line() {
    let tree = Tree::new();
    tree.oneshot("network", &[]).oneshot("httpd", &["netwrok"]).longrun("ntpd");
    tree.file("dns/type", "longrnu\n").file("dns/run", "#!/bin/sh\n");
    tree.file("cron/type", "oneshot\r\n").file("cron/up", "true");
    tree.file("mount/type", "oneshot\n").file("mount/up", "a\n\"b\n");
    tree.file("lan/type", "oneshot\n").file("lan/up", "true").file("lan/dependencies", "# c\nnetwork\nwan\n");
    tree.file("ntpd/timeout-up", "soon\n").file("ntpd/notification-fd", "4\n").file("ntpd/lock-fd", "4\n");
    let said = tree.refused();
    has(&said, "source/httpd/dependencies.d/netwrok: no such service (did you mean 'network'?)");
    has(
        &said,
        "source/dns/type:1: 'longrnu' is no type: oneshot, longrun or bundle (did you mean 'longrun'?)",
    );
    has(&said, "source/cron/type:1: the lines end in CRLF");
    has(&said, "source/mount/up:2: a quotation mark is never closed");
    has(&said, "source/lan/dependencies:3: 'wan': no such service");
    has(&said, "source/ntpd/timeout-up:1: 'soon' is not a number");
    has(&said, "source/ntpd/lock-fd: descriptor 4 is that of notification-fd already");
    assert_eq!(said.len(), 7, "{said:#?}");
}

#[test]
fn a_definition_of_no_valid_type_has_its_other_faults_told_too() {
    let tree = Tree::new();
    tree.file("dns/type", "longrnu\n").file("dns/run", "#!/bin/sh\n").file("dns/notification-fd", "x\n");
    tree.file("dns/timeout-up", "soon\n");
    tree.file("up/type", "oneshto\n").file("up/up", "\"a\n").file("up/dependencies", "a\r\n");
    tree.file("all/type", "bundel\n").file("all/contents", "s6rc-x\n");
    let said = tree.refused();
    for name in ["dns", "up", "all"] {
        has(&said, &format!("source/{name}/type:1: "));
    }
    has(&said, "source/dns/timeout-up:1: 'soon' is not a number");
    has(&said, "source/dns/notification-fd:1: 'x' is not a number");
    has(&said, "source/up/up:1: a quotation mark is never closed");
    has(&said, "source/up/dependencies:1: the lines end in CRLF");
    has(&said, "source/all/contents:1: 's6rc-x': names that begin with s6rc-");
    assert_eq!(said.len(), 8, "{said:#?}");
}

#[test]
fn a_cycle_is_told_with_its_whole_path() {
    let tree = Tree::new();
    tree.oneshot("c", &["a"]).oneshot("a", &["b"]).oneshot("b", &["c"]).oneshot("d", &["a"]);
    has(&tree.refused(), "it needs itself: a -> b -> c -> a");
    let tree = Tree::new();
    tree.bundle("x", &["y"]).bundle("y", &["x"]);
    has(&tree.refused(), "it contains itself: x -> y -> x");
    let tree = Tree::new();
    tree.oneshot("a", &[]).oneshot("b", &[]).file("a/after.d/b", "").file("b/wants.d/a", "");
    has(&tree.refused(), "it needs itself: a -> b -> a");
}

#[test]
fn a_broken_definition_is_the_only_one_to_be_blamed() {
    let tree = Tree::new();
    tree.file("network/up", "true\n").oneshot("httpd", &["network"]).bundle("all", &["network"]);
    let said = tree.refused();
    has(&said, "source/network/type: there is none: it must say oneshot, longrun or bundle");
    assert_eq!(said.len(), 1, "{said:#?}");
}

#[test]
fn what_looks_like_a_slip_is_warned_about_and_accepted() {
    let tree = Tree::new();
    tree.oneshot("a", &[])
        .file("a/up", "#!/bin/sh\ntrue\n")
        .file("a/timeout-upp", "3\n")
        .file("a/README", "hello");
    tree.longrun("b").file("b/down-signal", "SIGTRM\n").file("b/notification-fd", "1\n");
    tree.file("b/run", "#!/bin/sh\r\ntrue\r\n").file("b/pipeline-name", "p\n").file("b/up", "true\n");
    tree.bundle("c", &["a"]).file("c/dependencies.d/a", "");
    let said = tree.accepted();
    has(&said, "warning: source/a/up:1: begins with #!");
    has(&said, "source/a/timeout-upp: is ignored: no such file is known (did you mean 'timeout-up'?)");
    has(
        &said,
        "source/b/down-signal:1: nobody knows the signal 'SIGTRM': the usual one will be sent (did you mean 'TERM'?)",
    );
    has(&said, "source/b/notification-fd: descriptor 1 is one of the standard streams");
    has(&said, "source/b/run:1: the first line ends in CRLF");
    has(&said, "source/b/pipeline-name: is ignored");
    has(&said, "source/b/up: is ignored: it means nothing to a longrun");
    has(&said, "source/c/dependencies.d: is ignored: it means nothing to a bundle");
    assert_eq!(said.len(), 8, "{said:#?}");
    assert!(tree.compile(&["-v", "0", "--replace"]).stderr.is_empty());
}

#[test]
fn an_existing_output_is_refused_and_replaced_on_demand() {
    let tree = Tree::new();
    tree.oneshot("a", &[]);
    tree.accepted();
    let before = std::fs::read(tree.at("image")).unwrap();
    tree.oneshot("b", &[]);
    let done = tree.compile(&[]);
    assert_eq!(done.status.code(), Some(111));
    has(&lines(&done.stderr), "it exists already");
    assert_eq!(std::fs::read(tree.at("image")).unwrap(), before);
    assert!(tree.compile(&["--replace"]).status.success());
    assert_eq!(tree.answer(&["list", "oneshots"]), ["a", "b"]);
    // What a killed compiler left beside it is taken over.
    std::fs::write(tree.at(".image.new"), "half").unwrap();
    assert!(tree.compile(&["--replace"]).status.success());
    assert!(!tree.at(".image.new").exists());
    // What is no file can't be replaced by one: a directory, or what may be a device.
    assert_eq!(tree.compile_to(&tree.at("source"), &["--replace"]).status.code(), Some(111));
    let (fifo, link) = (tree.at("fifo"), tree.at("link"));
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [&fifo, &link] {
        let _ = std::os::unix::fs::symlink("fifo", &link);
        let done = tree.compile_to(path, &["--replace"]);
        assert_eq!(done.status.code(), Some(111));
        has(&lines(&done.stderr), "is no regular file");
        assert!(std::os::unix::fs::FileTypeExt::is_fifo(&fifo.metadata().unwrap().file_type()));
    }
    // A link stays, and leads to the new image, whether there was one or not.
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("later", &link).unwrap();
    for _ in 0..2 {
        tree.oneshot("c", &[]);
        assert!(tree.compile_to(&link, &["--replace"]).status.success());
        assert!(link.is_symlink() && std::fs::read(tree.at("later")).unwrap().starts_with(b"\x89skeg"));
    }
}

#[test]
fn keep_going_leaves_out_what_is_broken_and_what_needs_it() {
    let tree = Tree::new();
    tree.oneshot("good", &[]).oneshot("bad", &["nothing"]).oneshot("needs-bad", &["bad", "good"]);
    tree.oneshot("wants-bad", &["good"])
        .file("wants-bad/wants.d/bad", "")
        .bundle("all", &["good", "needs-bad", "none"]);
    tree.file("worse/type", "oneshot\n").oneshot("needs-worse", &["worse"]);
    tree.file("none/type", "onehsot\n").oneshot("needs-none", &["none"]);
    tree.longrun("writer").file("writer/producer-for", "reader\n").file("reader/type", "longrnu\n");
    let done = tree.compile(&["--keep-going"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let said = lines(&done.stderr);
    has(&said, "warning: source/bad/dependencies.d/nothing: no such service");
    has(&said, "warning: source/bad: is left out, with the faults above");
    has(&said, "warning: source/worse: is left out, with the faults above");
    has(&said, "warning: source/needs-bad: is left out: it can't do without 'bad'");
    has(&said, "warning: source/needs-none: is left out: it can't do without 'none'");
    has(&said, "warning: source/writer: is left out: it can't do without 'reader'");
    has(&said, "warning: source/needs-worse: is left out: it can't do without 'worse'");
    assert_eq!(said.iter().filter(|line| line.contains("is left out")).count(), 8, "{said:?}");
    assert_eq!(tree.answer(&["list", "oneshots"]), ["good", "wants-bad"]);
    assert_eq!(tree.answer(&["contents", "all"]), ["good"]);
    assert_eq!(tree.ask(&["check"]).status.code(), Some(0));
}

#[test]
fn the_order_of_directory_entries_does_not_change_a_byte() {
    let (a, b) = (Tree::new(), Tree::new());
    let names = ["net", "lan", "wan", "dns", "ntp", "log", "web", "ssh", "cron", "mount"];
    for name in names {
        a.oneshot(name, &[]);
    }
    for name in names.iter().rev() {
        b.oneshot(name, &[]);
    }
    for tree in [&a, &b] {
        tree.longrun("daemon").bundle("all", &names).file("daemon/data/x/y", "1").file("daemon/env/A", "b");
    }
    a.accepted();
    b.accepted();
    assert_eq!(std::fs::read(a.at("image")).unwrap(), std::fs::read(b.at("image")).unwrap());
}

#[test]
fn the_tree_beyond_s6_rc_is_read() {
    let tree = Tree::new();
    tree.longrun("web").file("web/wants.d/log", "").file("web/after.d/net", "").file("web/user", "www\n");
    tree.file("log/type", "longrun\n").file("log/command", "logger -f \"a b\"\n").file("log/flag-manual", "");
    tree.oneshot("net", &[]).file("net/before.d/log", "").file("net/restart-with", "mount\n");
    tree.oneshot("mount", &[])
        .file("net/dependencies.d/mount", "")
        .file("web/restart-backoff", "500 60000\n");
    let said = tree.accepted();
    assert!(said.is_empty(), "{said:?}");
    tree.file("web/nice", "fast\n").file("web/restart-backoff", "9 1\n").file("net/user", "a b\n");
    tree.file("mount/restart-with", "net\n").file("log/run", "#!/bin/true\n");
    std::fs::remove_file(tree.at("image")).unwrap();
    let said = tree.refused();
    has(&said, "source/web/nice:1: 'fast': not a whole number");
    has(&said, "source/web/restart-backoff:1: must be two numbers");
    has(&said, "source/net/user:1: ");
    has(&said, "source/mount/restart-with: 'net' is no dependency");
    has(&said, "source/log/command: there is a 'run' as well");
}

#[test]
fn queries_refuse_what_is_no_image_or_no_name() {
    let tree = Tree::new();
    tree.oneshot("network", &[]).longrun("daemon").bundle("all", &["network"]);
    tree.accepted();
    let code = |words: &[&str]| tree.ask(words).status.code();
    assert_eq!(code(&["type", "netwrok"]), Some(3));
    has(&lines(&tree.ask(&["type", "netwrok"]).stderr), "did you mean 'network'?");
    assert_eq!(code(&["timeout", "all"]), Some(5));
    assert_eq!(code(&["contents", "network"]), Some(5));
    assert_eq!(code(&["script", "daemon"]), Some(5));
    assert_eq!(code(&["pipeline", "network"]), Some(5));
    assert_eq!(code(&["frobnicate"]), Some(100));
    assert_eq!(code(&["list", "everything"]), Some(100));
    assert_eq!(tree.answer(&["-e", "list", "longruns"]), ["daemon"]);
    let image = std::fs::read(tree.at("image")).unwrap();
    for at in (0..image.len()).step_by(29) {
        let mut bad = image.clone();
        bad[at] ^= 0x10;
        std::fs::write(tree.at("image"), &bad).unwrap();
        // The bytes between two sections belong to nobody: a query does not look at them, a check does.
        assert_eq!(code(&["check"]), Some(4), "byte {at}");
    }
    for length in [0, 1, 100, 200, image.len() - 1] {
        std::fs::write(tree.at("image"), &image[..length]).unwrap();
        assert_eq!(code(&["list", "all"]), Some(4), "cut to {length}");
        assert_eq!(code(&["check"]), Some(4), "cut to {length}");
    }
    std::fs::remove_file(tree.at("image")).unwrap();
    assert_eq!(code(&["list", "all"]), Some(111));
    std::fs::create_dir(tree.at("image")).unwrap();
    assert_eq!(code(&["list", "all"]), Some(4));
}

#[test]
fn limits_are_told_with_their_figure() {
    let tree = Tree::new();
    for n in 0..8193 {
        std::fs::create_dir(tree.at("source").join(format!("s{n}"))).unwrap();
        std::fs::write(tree.at("source").join(format!("s{n}/type")), "oneshot").unwrap();
        std::fs::write(tree.at("source").join(format!("s{n}/up")), "").unwrap();
    }
    has(&tree.refused(), "too many services: an image holds 8192");
}

#[test]
fn what_can_not_be_part_of_an_image_is_named() {
    let tree = Tree::new();
    tree.longrun("a").file("a/data/ok", "x");
    fifo(&tree.at("source/a/data/fifo"));
    tree.longrun("b");
    std::fs::remove_file(tree.at("source/b/run")).unwrap();
    fifo(&tree.at("source/b/run"));
    tree.oneshot("c", &[]).file("d/type", "oneshot").file("d/up", "true");
    std::fs::create_dir(tree.at("source/c/down")).unwrap();
    let said = tree.refused();
    has(&said, "source/a/data/fifo: is neither a file nor a directory nor a link");
    has(&said, "source/b/run: is not a regular file");
    has(&said, "source/c/down: is not a regular file");
    std::fs::remove_dir_all(tree.at("source/a")).unwrap();
    std::fs::remove_dir_all(tree.at("source/b")).unwrap();
    std::fs::remove_dir_all(tree.at("source/c")).unwrap();
    std::fs::set_permissions(tree.at("source/d/up"), PermissionsExt::from_mode(0o755)).unwrap();
    tree.accepted();
}

fn fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}
