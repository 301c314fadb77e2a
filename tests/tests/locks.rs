// SPDX-License-Identifier: ISC
//! A live directory in use: the s6 names fail at once, the verbs of skeg wait, and each says who is in the way.

use harness::process::{LONG, Running, command_line};
use harness::wait::must;
use harness::{Scanner, Scratch, Suite};
use std::time::Duration;

/// How long a verb waits by itself.
const DEFAULT: Duration = Duration::from_secs(30);

/// A tree whose lock a command holds, until the file `go` is there.
struct Tree {
    scratch: Scratch,
    _scanner: Scanner,
    holder: Option<Running>,
}

impl Tree {
    fn held() -> Self {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        let (here, go) = (scratch.text("here"), scratch.text("go"));
        let script = format!("/bin/sh -c \"echo > {here} ; while ! test -e {go} ; do sleep 0.01 ; done\"\n");
        for source in ["src", "new"] {
            scratch.file(format!("{source}/slow/type"), "oneshot\n");
            scratch.file(format!("{source}/slow/up"), &script);
            scratch.file(format!("{source}/web/type"), "longrun\n");
            scratch.file(format!("{source}/web/run"), "#!/bin/sh\nexec sleep 1000\n");
        }
        scratch.file("new/extra/type", "oneshot\n");
        scratch.file("new/extra/up", "");
        let (image, live) = (scratch.text("image"), scratch.text("live"));
        scratch.run(&skeg, "s6-rc-compile", &[&image, &scratch.text("src")]).expect(0);
        scratch.run(&skeg, "s6-rc-compile", &[&scratch.text("new.img"), &scratch.text("new")]).expect(0);
        let scanner = Scanner::start(&scratch, &skeg);
        scratch.run(&skeg, "s6-rc-init", &["-c", &image, "-l", &live, &scratch.text("scan")]).expect(0);
        scratch.run(&skeg, "s6-rc", &["-l", &live, "start", "web"]).expect(0);
        let holder = scratch.start(&skeg, "s6-rc", &["-l", &live, "start", "slow"]);
        must("the script runs", || scratch.at("here").exists());
        Self { scratch, _scanner: scanner, holder: Some(holder) }
    }

    /// The commands that need the lock: the name, and its words behind `-l LIVE`.
    fn start(&self, applet: &str, more: &[&str], wait: Option<&str>) -> Running {
        let (live, new) = (self.scratch.text("live"), self.scratch.text("new.img"));
        let mut words = vec!["-l", &live];
        words.extend(wait.into_iter().flat_map(|ms| ["-w", ms]));
        words.extend(more.iter().map(|word| if *word == "NEW" { new.as_str() } else { word }));
        self.scratch.start(&Suite::skeg(), applet, &words)
    }

    fn names_the_holder(&self, said: &str) {
        let pid = self.holder.as_ref().expect("it holds").pid();
        assert!(said.contains(&format!("process {pid} holds it")), "{pid}: {said}");
        let line = command_line(pid);
        let line = line.rsplit('/').next().expect("words");
        assert!(said.contains("start slow") && said.contains(line), "{line}: {said}");
    }

    fn release(&mut self) {
        self.scratch.file("go", "");
        self.holder.take().expect("it holds").finish(LONG).expect(0);
    }
}

/// Those that change something, and those that only look at what must not change meanwhile.
const VERBS: [(&str, &[&str]); 5] =
    [("restart", &["web"]), ("apply", &["NEW"]), ("recover", &[]), ("plan", &["NEW"]), ("diff", &["NEW"])];

#[test]
fn a_verb_waits_until_the_lock_is_free_and_goes_on_then() {
    for (verb, words) in VERBS {
        let mut tree = Tree::held();
        let mut waits = tree.start(verb, words, Some("60000"));
        // It has the lock's file open, and has come to wait: poll(2) and its like sleep there.
        must(verb, || {
            let pid = waits.pid();
            let lock = tree.scratch.at("live:sv/lock");
            let has = |n: u32| std::fs::read_link(format!("/proc/{pid}/fd/{n}")).is_ok_and(|to| to == lock);
            (3..16).any(has) && harness::process::state(pid) == Some('S')
        });
        assert!(waits.alive(), "{verb} did not wait: {}", waits.said());
        tree.release();
        // What differs is what diff's exit code says.
        let done = waits.finish(LONG).expect(i32::from(verb == "diff"));
        assert!(!done.err.contains("holds it"), "{verb}: {}", done.err);
        if verb == "apply" {
            let words = ["-l", &tree.scratch.text("live"), "list", "oneshots"];
            let all = tree.scratch.run(&Suite::skeg(), "s6-rc-db", &words);
            assert!(all.expect(0).lines().contains(&"extra".to_owned()));
        }
    }
}

#[test]
fn a_verb_gives_up_after_its_wait_and_the_s6_names_at_once_and_both_name_the_holder() {
    let tree = Tree::held();
    // Those that wait as long as they do by themselves.
    let patient: Vec<_> = VERBS.iter().map(|(verb, words)| (verb, tree.start(verb, words, None))).collect();
    for (verb, words) in VERBS {
        let done = tree.start(verb, words, Some("1")).finish(LONG).expect(111);
        tree.names_the_holder(&done.err);
    }
    for (name, words) in [
        ("s6-rc", &["stop", "web"][..]),
        ("s6-rc", &["list"]),
        ("s6-rc-update", &["NEW"]),
        ("s6-rc-format-upgrade", &["NEW"]),
        ("s6-rc-bundle", &["add", "both", "web"]),
    ] {
        let done = tree.start(name, words, None).finish(LONG).expect(111);
        assert!(done.took < DEFAULT, "{name} waited {:?}", done.took);
        tree.names_the_holder(&done.err);
    }
    for (verb, command) in patient {
        let done = command.finish(LONG).expect(111);
        assert!(done.took >= DEFAULT, "{verb} gave up after {:?}: {}", done.took, done.err);
        tree.names_the_holder(&done.err);
    }
}

/// Changes that a script or a service of a transition calls, of the same live directory: each is refused at once, with that
/// reason, whether it would wait or not.
#[test]
fn a_change_from_inside_a_transition_is_refused_with_that_reason() {
    let commands = [
        ("start", "s6-rc -l LIVE start other"),
        ("block", "s6-rc -b -l LIVE start other"),
        ("list", "s6-rc -b -l LIVE list"),
        ("update", "s6-rc-update -l LIVE NEW"),
        ("update-b", "s6-rc-update -b -l LIVE NEW"),
        ("bundle", "s6-rc-bundle -l LIVE add both other"),
        ("bundle-b", "s6-rc-bundle -b -l LIVE add both other"),
        ("restart", "restart -l LIVE other"),
        ("apply", "apply -l LIVE NEW"),
        ("recover", "recover -l LIVE"),
        ("plan", "plan -l LIVE NEW"),
        ("diff", "diff -l LIVE NEW"),
        ("sync", "sync -l LIVE -o NEW.other SRC"),
        ("init", "s6-rc-init -b -c NEW -l LIVE SCAN"),
    ];
    for tree in [Some(Suite::skeg()), Suite::debian()].into_iter().flatten() {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        let (image, live) = (scratch.text("image"), scratch.text("live"));
        for (name, command) in commands {
            let binary = skeg.binary().display();
            let command = command.replace("LIVE", &live).replace("NEW", &image);
            let command = command.replace("SRC", &scratch.text("src")).replace("SCAN", &scratch.text("scan"));
            scratch.file(format!("src/{name}/type"), "oneshot\n");
            scratch.file(format!("src/{name}/up"), format!("{binary} {command}\n"));
            let out = scratch.text(&format!("told-{name}"));
            scratch.file(format!("src/long-{name}/type"), "longrun\n");
            scratch.file(format!("src/long-{name}/notification-fd"), "3\n");
            // Its supervisor knows of it a moment after it has begun.
            let known = format!("until test \"$({binary} s6-svstat -o pid .)\" = $$; do :; done");
            let run = format!("#!/bin/sh\n{known}\n{binary} {command} 2>{out}\necho >&3\nexec sleep 1000\n");
            scratch.file(format!("src/long-{name}/run"), run);
        }
        scratch.file("src/other/type", "oneshot\n");
        scratch.file("src/other/up", "");
        scratch.run(&skeg, "s6-rc-compile", &[&image, &scratch.text("src")]).expect(0);
        let _scanner = Scanner::start(&scratch, &tree);
        scratch.run(&skeg, "s6-rc-init", &["-c", &image, "-l", &live, &scratch.text("scan")]).expect(0);
        let reason = |service: &str| {
            format!(
                "called from inside the transition of service {service}, whose command holds the lock of {live}"
            )
        };
        for (name, _) in commands {
            let done = scratch.run(&skeg, "s6-rc", &["-l", &live, "start", name]).expect(1);
            assert!(done.took < DEFAULT, "{name} waited {:?}", done.took);
            assert!(done.err.contains(&reason(name)), "{name}: {}", done.err);
            let long = format!("long-{name}");
            let done = scratch.run(&skeg, "s6-rc", &["-l", &live, "start", &long]).expect(0);
            assert!(done.took < DEFAULT, "{long} waited {:?}", done.took);
            let told = scratch.read(format!("told-{name}"));
            assert!(told.contains(&reason(&long)), "{long}: {told}");
        }
        let up = scratch.run(&skeg, "s6-rc", &["-l", &live, "-a", "list"]).expect(0);
        assert!(!up.lines().contains(&"other".to_owned()), "{}", up.out);
    }
}
