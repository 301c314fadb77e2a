// SPDX-License-Identifier: ISC
//! Instances: a longrun with a `template/`, whose process is a scanner of its own, and s6's `s6-instance-*` programs on its
//! live service directory, under both trees.

use harness::tree::Service;
use harness::wait::must;
use harness::{Done, Scanner, Scratch, Suite};

/// The database of a service `web`, the text of whose instances is this.
fn compile(scratch: &Scratch, tree: &Suite, text: &str) -> String {
    let (source, image) = (format!("src-{text}"), scratch.text(&format!("db-{text}")));
    scratch.file(format!("{source}/web/type"), "longrun\n");
    let scanner = tree.words("s6-svscan").join(" ");
    scratch
        .file(format!("{source}/web/run"), format!("#!/bin/sh\n: {text}\nexec {scanner} -d 3 -- instance\n"));
    scratch.file(format!("{source}/web/notification-fd"), "3\n");
    let log = scratch.text("log");
    let run = format!("#!/bin/sh\necho {text} $1 $(cat data/word) >>{log}\nexec sleep 1000\n");
    scratch.file(format!("{source}/web/template/run"), run);
    scratch.file(format!("{source}/web/template/data/word"), format!("{text}-data\n"));
    scratch.run(&Suite::skeg(), "s6-rc-compile", &[&image, &scratch.text(&source)]).expect(0);
    image
}

#[test]
fn instances_are_made_controlled_and_kept_over_updates_and_restarts() {
    let Some(debian) = Suite::debian() else { return println!("left out: no s6 here") };
    let skeg = Suite::skeg();
    for tree in [&debian, &skeg] {
        let scratch = Scratch::new();
        let (first, second) = (compile(&scratch, tree, "first"), compile(&scratch, tree, "second"));
        let _scanner = Scanner::start(&scratch, tree);
        let (live, scan, web) = (scratch.text("live"), scratch.text("scan"), scratch.text("scan/web"));
        let rc = |applet: &str, words: &[&str]| scratch.run(&skeg, applet, &[&["-l", &live], words].concat());
        let instance = |verb: &str, words: &[&str]| -> Done {
            scratch.run(&debian, &format!("s6-instance-{verb}"), words)
        };
        let service = |name: &str| Service::at(scratch.at(format!("scan/web/instance/{name}")));
        let said = |lines: &str| must(lines, || scratch.read("log") == lines);
        rc("s6-rc-init", &["-c", &first, &scan]).expect(0);
        rc("s6-rc", &["-u", "change", "web"]).expect(0);

        instance("create", &["-t", "20000", &web, "one"]).expect(0);
        said("first one first-data\n");
        let one = service("one").must("up", |s| s.up());
        assert_eq!(instance("list", &[&web]).expect(0).lines(), ["one"]);
        assert!(instance("status", &[&web, "one"]).expect(0).out.starts_with("up (pid "));
        instance("create", &["-t", "20000", &web, "one"]).expect(100);

        // What there is goes on over an update, with the files that it was made of; what comes is of the new template.
        rc("s6-rc-update", &[&second]).expect(0);
        assert_eq!(service("one").must("up", |s| s.up()).pid, one.pid);
        instance("create", &["-t", "20000", &web, "two"]).expect(0);
        said("first one first-data\nsecond two second-data\n");
        assert_eq!(instance("list", &[&web]).expect(0).lines(), ["one", "two"]);
        for left in ["template.old", "template.v2"] {
            assert!(!scratch.at(format!("scan/web/{left}")).exists(), "{left} is left");
        }

        let third = scratch.text("db-third");
        std::fs::rename(scratch.at("src-second"), scratch.at("src-third")).expect("a rename");
        scratch.file("src-third/web/template/data/word", "third-data\n");
        scratch.run(&skeg, "s6-rc-compile", &[&third, &scratch.text("src-third")]).expect(0);
        let plan = rc("plan", &[&third]).expect(0).out;
        assert_eq!(plan, "in place web: its template/data/word changed, line 1; for new instances\n");

        // The service is stopped, with all instances, and started: they come back.
        let two = service("two").must("up", |s| s.up());
        rc("s6-rc", &["-d", "change", "web"]).expect(0);
        must("all are gone", || [one.pid, two.pid].iter().all(|pid| !harness::process::alive(*pid)));
        rc("s6-rc", &["-u", "change", "web"]).expect(0);
        for (name, old) in [("one", one.pid), ("two", two.pid)] {
            service(name).must("up again", |s| s.up() && s.pid != old);
        }
        must("both have told", || scratch.read("log").lines().count() == 4);

        instance("control", &["-d", &web, "one"]).expect(0);
        service("one").must("down", |s| s.down());
        instance("delete", &["-t", "20000", &web, "one"]).expect(0);
        instance("delete", &["-t", "20000", &web, "two"]).expect(0);
        assert_eq!(instance("list", &[&web]).expect(0).lines(), [""; 0]);
        for folder in ["instance", "instances"] {
            let left = std::fs::read_dir(scratch.at(format!("scan/web/{folder}"))).expect("a directory");
            let left: Vec<_> = left.flatten().map(|e| e.file_name()).filter(|n| n != ".s6-svscan").collect();
            assert!(left.is_empty(), "{folder}: {left:?}");
        }
        rc("s6-rc", &["-d", "change", "web"]).expect(0);
    }
}

/// A service that has instances only from an update on, and one that has none any more.
#[test]
fn an_update_can_bring_instances_and_take_them_away() {
    let Some(debian) = Suite::debian() else { return println!("left out: no s6 here") };
    let skeg = Suite::skeg();
    for tree in [&debian, &skeg] {
        let scratch = Scratch::new();
        let with = compile(&scratch, tree, "with");
        scratch.file("src/web/type", "longrun\n");
        scratch.file("src/web/run", "#!/bin/sh\nexec sleep 1000\n");
        let without = scratch.text("db");
        scratch.run(&skeg, "s6-rc-compile", &[&without, &scratch.text("src")]).expect(0);
        let _scanner = Scanner::start(&scratch, tree);
        let (live, web) = (scratch.text("live"), scratch.text("scan/web"));
        let rc = |applet: &str, words: &[&str]| scratch.run(&skeg, applet, &[&["-l", &live], words].concat());
        rc("s6-rc-init", &["-c", &without, &scratch.text("scan")]).expect(0);
        rc("s6-rc", &["-u", "change", "web"]).expect(0);
        rc("apply", &[&with]).expect(0);
        scratch.run(&debian, "s6-instance-create", &["-t", "20000", &web, "one"]).expect(0);
        must("it has told", || scratch.read("log") == "with one with-data\n");
        let one = Service::at(scratch.at("scan/web/instance/one")).must("up", |s| s.up()).pid;
        rc("apply", &[&without]).expect(0);
        must("it is gone", || !harness::process::alive(one));
        for left in ["template", "instance", "instances"] {
            assert!(!scratch.at(format!("scan/web/{left}")).exists(), "{left} is left");
        }
        rc("apply", &[&with]).expect(0);
        assert_eq!(scratch.run(&debian, "s6-instance-list", &[&web]).expect(0).out, "");
    }
}
