// SPDX-License-Identifier: ISC
//! The binary of `dist --no-compiler`: it does with images from elsewhere what the whole one does, and says where it can't.

use harness::{Done, Scanner, Scratch, Suite};
use std::collections::BTreeMap;
use std::path::Path;

/// Two images of the whole skeg, `one` and `two`, and their sources: `web` needs `lan`; the second one has `dns`, too, and
/// another `run` of `web`.
fn prepare() -> Scratch {
    let scratch = Scratch::new();
    for (label, more) in [("one", ""), ("two", "dns")] {
        let at = |path: &str| format!("{label}.src/{path}");
        for name in ["lan", "web", more].iter().filter(|name| !name.is_empty()) {
            scratch.file(at(&format!("{name}/type")), "longrun\n");
            scratch.file(at(&format!("{name}/run")), "#!/bin/sh\nexec sleep 1000\n");
            scratch.file(at(&format!("default/contents.d/{name}")), "");
        }
        scratch.file(at("web/run"), format!("#!/bin/sh\n: {label}\nexec sleep 1000\n"));
        scratch.file(at("web/dependencies.d/lan"), "");
        scratch.file(at("clock/type"), "oneshot\n");
        scratch.file(at("clock/up"), "true\n");
        scratch.file(at("default/type"), "bundle\n");
        scratch.file(at("default/contents.d/clock"), "");
        scratch.run(&Suite::skeg(), "s6-rc-compile", &[label, &format!("{label}.src")]).expect(0);
    }
    scratch
}

#[test]
fn images_from_elsewhere_are_run_updated_and_asked() {
    let (scratch, device) = (prepare(), Suite::skeg_no_compiler());
    let scanner = Scanner::start(&scratch, &device);
    let (live, scan) = (scratch.text("live"), scanner.dir.display().to_string());
    let run = |applet: &str, words: &[&str]| -> Done {
        scratch.run(&device, applet, &[&["-l", live.as_str()], words].concat())
    };
    run("s6-rc-init", &["-c", &scratch.text("one"), &scan]).expect(0);
    run("s6-rc", &["-u", "change", "default"]).expect(0);
    assert_eq!(
        run("s6-rc", &["-a", "list"]).expect(0).lines(),
        ["clock", "lan", "s6rc-oneshot-runner", "web"]
    );
    let lan = scanner.service("lan").status().expect("a status").pid;
    for verb in ["plan", "apply"] {
        let refused = run(verb, &["two.src"]).expect(100);
        assert!(refused.err.contains("built without the compiler"), "{refused:?}");
    }
    let told = run("diff", &["two"]).expect(1).out;
    assert!(told.contains("dns") && told.contains("web"), "{told}");
    run("apply", &["two"]).expect(0);
    run("s6-rc", &["-u", "change", "default"]).expect(0);
    assert_eq!(
        run("s6-rc", &["-a", "list"]).expect(0).lines(),
        ["clock", "dns", "lan", "s6rc-oneshot-runner", "web"]
    );
    assert_eq!(scanner.service("lan").status().expect("a status").pid, lan, "lan was not touched");
    let web = run("why", &["web"]).out;
    assert!(web.contains("up"), "{web}");
    run("s6-rc-update", &[&scratch.text("one")]).expect(0);
    run("s6-rc", &["-da", "change"]).expect(0);
    assert_eq!(run("s6-rc", &["-a", "list"]).expect(0).lines(), ["s6rc-oneshot-runner"], "it is essential");
    // An image is told from what it was made of.
    let asked = scratch.run(&device, "s6-rc-db", &["-c", "two", "all-dependencies", "web"]).expect(0);
    assert_eq!(asked.lines(), ["lan", "web"]);
    scratch.folder("data");
    scratch.run(&device, "install", &["-d", "data", "two"]).expect(0);
}

/// All files below a directory, with what they hold.
fn files(top: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.display().to_string(), std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

#[test]
fn what_makes_images_says_that_it_can_not_and_changes_nothing() {
    let (scratch, device) = (prepare(), Suite::skeg_no_compiler());
    let before = files(&scratch.at(""));
    for words in [
        &["s6-rc-compile", "three", "one.src"][..],
        &["s6-rc-compile", "--replace", "one", "one.src"],
        &["s6-rc-bundle", "-c", "one", "add", "more", "lan"],
        &["s6-rc-bundle", "-l", "live", "add", "more", "lan"],
        &["sync", "-o", "one", "two.src"],
        &["diff", "one", "two.src"],
    ] {
        let done = scratch.run(&device, words[0], &words[1..]).expect(100);
        let told = format!(
            "{}: this skeg was built without the compiler: make the image on the host that builds the firmware\n",
            words[0]
        );
        assert_eq!(done.err, told, "{words:?}");
        assert_eq!(done.out, "");
    }
    assert!(files(&scratch.at("")) == before, "something was written");
}
