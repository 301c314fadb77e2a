// SPDX-License-Identifier: ISC
//! A command is killed while a script of a oneshot runs: the next command waits for its end before it does anything.
//!
//! Found by the protocol's model: an `up` that runs beside the `down` of a killed command is undone by it.

use harness::process;
use harness::wait::{must, until};
use harness::{Scanner, Scratch, Suite};
use rustix::process::Signal;
use std::time::Duration;

/// A tree with the oneshot `net`, whose `down` says when it begins and goes on once the file `go` is there.
struct Tree {
    scratch: Scratch,
    skeg: Suite,
    _scanner: Scanner,
}

impl Tree {
    fn new() -> Self {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        let dir = scratch.path().display().to_string();
        let script = |line: &str| format!("sh -c \"{line}\"");
        let down = format!(
            "echo down >>{dir}/log; until test -e {dir}/go; do sleep 0.01; done; echo end >>{dir}/log"
        );
        scratch.file("one/net/type", "oneshot\n");
        scratch.file("one/net/up", script(&format!("echo up >>{dir}/log")));
        scratch.file("one/net/down", script(&down));
        scratch.file("two/other/type", "oneshot\n");
        scratch.file("two/other/up", "true");
        for name in ["one", "two"] {
            scratch
                .run(&skeg, "s6-rc-compile", &[scratch.text(&format!("{name}.img")), scratch.text(name)])
                .expect(0);
        }
        let scanner = Scanner::start(&scratch, &skeg);
        let tree = Self { scratch, skeg, _scanner: scanner };
        let (image, scan) = (tree.scratch.text("one.img"), tree.scratch.text("scan"));
        tree.scratch.run(&tree.skeg, "s6-rc-init", &["-c", &image, "-l", &tree.live(), &scan]).expect(0);
        tree.scratch.run(&tree.skeg, "s6-rc", &["-l", &tree.live(), "-u", "change", "net"]).expect(0);
        tree
    }

    fn live(&self) -> String {
        self.scratch.text("live")
    }

    /// Starts a command that runs `down`, and kills it there.
    fn cut_short(&self, applet: &str, words: &[&str]) {
        let command = self.scratch.start(&self.skeg, applet, words);
        must("down begins", || self.scratch.read("log").contains("down\n"));
        process::kill(command.pid(), Signal::KILL);
        command.finish(Duration::from_secs(20));
    }

    /// Runs a command while `down` still runs: it waits until that is let go.
    fn meanwhile(&self, applet: &str, words: &[&str]) {
        let before = self.scratch.read("log");
        let mut command = self.scratch.start(&self.skeg, applet, words);
        let early =
            until(Duration::from_millis(300), || self.scratch.read("log") != before || !command.alive());
        assert!(!early, "it did not wait: {}{}", self.scratch.read("log"), command.said());
        self.scratch.file("go", "");
        command.finish(Duration::from_secs(20)).expect(0);
        let up = self.scratch.run(&self.skeg, "s6-rc", &["-l", &self.live(), "-a", "list"]).expect(0);
        assert!(up.out.contains("net\n"), "{}", up.out);
        assert_eq!(self.scratch.read("log"), "up\ndown\nend\nup\n");
    }
}

#[test]
fn a_recovery_waits_for_the_scripts_of_the_killed_update() {
    let tree = Tree::new();
    tree.cut_short("s6-rc-update", &["-l", &tree.live(), &tree.scratch.text("two.img")]);
    tree.meanwhile("recover", &["-l", &tree.live()]);
}

#[test]
fn a_change_waits_for_the_scripts_of_the_killed_change() {
    let tree = Tree::new();
    tree.cut_short("s6-rc", &["-l", &tree.live(), "-d", "change", "net"]);
    tree.meanwhile("s6-rc", &["-l", &tree.live(), "-u", "change", "net"]);
}

#[test]
fn a_script_that_ignores_the_end_of_its_time_is_killed_and_holds_nobody_up() {
    let tree = Tree::new();
    tree.scratch.file("three/stuck/type", "oneshot\n");
    tree.scratch.file("three/stuck/timeout-up", "200\n");
    tree.scratch.file("three/stuck/up", "sh -c \"trap '' TERM; exec sleep 1000\"");
    tree.scratch.file("three/net/type", "oneshot\n");
    tree.scratch.file("three/net/up", "true");
    let (image, live) = (tree.scratch.text("three.img"), tree.scratch.text("live3"));
    tree.scratch.run(&tree.skeg, "s6-rc-compile", &[&image, &tree.scratch.text("three")]).expect(0);
    let init = ["-c", &image, "-l", &live, "-p", "three-", &tree.scratch.text("scan")];
    tree.scratch.run(&tree.skeg, "s6-rc-init", &init).expect(0);
    tree.scratch.run(&tree.skeg, "s6-rc", &["-l", &live, "-u", "change", "stuck"]).expect(1);
    let next = tree.scratch.start(&tree.skeg, "s6-rc", &["-l", &live, "-u", "change", "net"]);
    next.finish(Duration::from_secs(20)).expect(0);
    let up = tree.scratch.run(&tree.skeg, "s6-rc", &["-l", &live, "-a", "list"]).expect(0);
    assert!(up.out.contains("net\n") && !up.out.contains("stuck\n"), "{}", up.out);
}
