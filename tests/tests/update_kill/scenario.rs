// SPDX-License-Identifier: ISC
//! What is updated: two source trees, what is up in each, and what must not be touched.

use harness::Scratch;
use std::collections::BTreeSet;

/// A definition.
#[derive(Clone, Debug)]
pub struct Def {
    pub name: String,
    /// `longrun`, `oneshot` or `bundle`.
    pub kind: &'static str,
    /// Dependencies; of a bundle its contents.
    pub needs: Vec<String>,
    /// A text that its scripts carry.
    pub text: &'static str,
    /// More files.
    pub more: Vec<(&'static str, &'static str)>,
    /// What a oneshot's `up` and `down` are instead of the usual ones.
    pub scripts: [Option<&'static str>; 2],
}

fn def(kind: &'static str, name: &str, needs: &[&str], text: &'static str) -> Def {
    let needs = needs.iter().map(|n| (*n).to_owned()).collect();
    Def { name: name.to_owned(), kind, needs, text, more: Vec::new(), scripts: [None, None] }
}

pub fn longrun(name: &str, needs: &[&str], text: &'static str) -> Def {
    def("longrun", name, needs, text)
}

pub fn oneshot(name: &str, needs: &[&str], text: &'static str) -> Def {
    def("oneshot", name, needs, text)
}

pub fn bundle(name: &str, contents: &[&str]) -> Def {
    def("bundle", name, contents, "")
}

impl Def {
    pub fn with(mut self, file: &'static str, content: &'static str) -> Self {
        self.more.push((file, content));
        self
    }

    /// Its `up` fails.
    pub fn failing(mut self) -> Self {
        self.scripts[0] = Some("/bin/false\n");
        self
    }

    /// Its `down` fails.
    pub fn stubborn(mut self) -> Self {
        self.scripts[1] = Some("/bin/false\n");
        self
    }

    /// Its scripts take longer than a command that is killed lives.
    pub fn slow(mut self) -> Self {
        self.scripts =
            [Some("/bin/sh -c \"sleep 0.03; echo >>F\"\n"), Some("/bin/sh -c \"sleep 0.03; rm -f F\"\n")];
        self
    }

    /// The files of a longrun's definition as they were written.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        // A program that starts fast and ends by SIGTERM: it watches its own script.
        let run = format!("#!/usr/bin/tail -f\n# {}\n", self.text);
        let more = self.more.iter().map(|(file, content)| (*file, (*content).to_owned()));
        let pipes = ["producer-for", "consumer-for", "pipeline-name"];
        [("run", run)].into_iter().chain(more).filter(|(file, _)| !pipes.contains(file)).collect()
    }

    /// Whether it is part of a pipeline: its files are then not what they were in the source.
    pub fn is_piped(&self) -> bool {
        self.more.iter().any(|(file, _)| file.ends_with("-for"))
    }

    fn write(&self, scratch: &Scratch, tree: &str) {
        let at = |file: &str| format!("{tree}/{}/{file}", self.name);
        scratch.file(at("type"), format!("{}\n", self.kind));
        let folder = if self.kind == "bundle" { "contents.d" } else { "dependencies.d" };
        for need in &self.needs {
            scratch.file(at(&format!("{folder}/{need}")), "");
        }
        for (file, content) in &self.more {
            scratch.file(at(file), content);
        }
        match self.kind {
            "longrun" => {
                for (file, content) in self.files() {
                    scratch.file(at(file), content);
                }
            }
            "oneshot" => {
                // Scripts run in the runner's service directory, two below the directory of the tree.
                let flag = format!("../../flags/{}", self.name);
                let usual = ["/bin/sh -c \"echo >>F\"\n", "/bin/rm -f F\n"];
                for (i, name) in ["up", "down"].into_iter().enumerate() {
                    let script = self.scripts[i].unwrap_or(usual[i]).replace('F', &flag);
                    scratch.file(at(name), format!("# {}\n{script}", self.text));
                }
            }
            _ => {}
        }
    }
}

/// How the update ends that nothing disturbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The new image is in force, all is up.
    Well,
    /// The new image is in force, a start has failed.
    StartFails,
    /// A stop has failed: the old image is in force.
    StopFails,
}

/// Two trees, what is up in the first, and what is to be up in the second.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// The command.
    pub applet: &'static str,
    pub a: Vec<Def>,
    pub b: Vec<Def>,
    pub conversion: &'static str,
    pub up_before: Vec<String>,
    pub up_after: Vec<String>,
    /// Services that must keep their process and their directory, and oneshots that must not run again: by their name
    /// before and after.
    pub untouched: Vec<(String, String)>,
    pub ends: Ends,
    /// The command's words after `-l LIVE`, where it is no update. Of `s6-rc-bundle`: the new image is the old one after that edit.
    pub words: &'static [&'static str],
    /// Where the images lie: in the scratch directory, or below this.
    pub images: &'static str,
}

impl Scenario {
    /// Writes and compiles both trees.
    pub fn compile(&self, scratch: &Scratch) {
        for (tree, defs) in [("a", &self.a), ("b", &self.b)] {
            for def in defs {
                def.write(scratch, tree);
            }
            let words = [scratch.text(&format!("{tree}.img")), scratch.text(tree)];
            scratch.run(&harness::Suite::skeg(), "s6-rc-compile", &words).expect(0);
        }
        if self.applet == "s6-rc-bundle" {
            let image = scratch.text("b.img");
            let words = [&["-c", &image], self.words].concat();
            scratch.run(&harness::Suite::skeg(), "s6-rc-bundle", &words).expect(0);
        }
        scratch.file("conversion", self.conversion);
    }
}

/// The longruns of a tree, with those that the compiler makes.
pub fn longruns(tree: &[Def]) -> BTreeSet<String> {
    let mut found: BTreeSet<String> =
        tree.iter().filter(|d| d.kind == "longrun").map(|d| d.name.clone()).collect();
    found.insert("s6rc-oneshot-runner".into());
    found.insert("s6rc-fdholder".into());
    found
}

fn strings(names: &str) -> Vec<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

/// Names in the lists are separated by spaces; a renamed service is `old>new`.
fn scenario(name: &'static str, a: Vec<Def>, b: Vec<Def>, up: [&str; 3]) -> Scenario {
    let pair = |text: String| match text.split_once('>') {
        Some((old, new)) => (old.to_owned(), new.to_owned()),
        None => (text.clone(), text),
    };
    Scenario {
        name,
        applet: "s6-rc-update",
        a,
        b,
        conversion: "",
        up_before: strings(up[0]),
        up_after: strings(up[1]),
        untouched: strings(up[2]).into_iter().map(pair).collect(),
        ends: Ends::Well,
        words: &[],
        images: "",
    }
}

impl Scenario {
    fn converting(mut self, conversion: &'static str) -> Self {
        self.conversion = conversion;
        self
    }

    fn by(mut self, applet: &'static str) -> Self {
        self.applet = applet;
        self
    }

    fn ending(mut self, ends: Ends) -> Self {
        self.ends = ends;
        self
    }
}

pub fn script_changed() -> Scenario {
    scenario(
        "script changed",
        vec![longrun("base", &[], "1"), longrun("web", &["base"], "1"), longrun("other", &[], "1")],
        vec![longrun("base", &[], "2"), longrun("web", &["base"], "1"), longrun("other", &[], "1")],
        ["base web other", "base web other", "other"],
    )
    .converting("base restart\n")
}

pub fn script_changed_in_place() -> Scenario {
    scenario(
        "script changed, for the next start",
        vec![
            longrun("up", &[], "1").with("finish", "#!/bin/sh\nexit 0\n"),
            longrun("down", &[], "1"),
            oneshot("net", &[], "1"),
        ],
        vec![longrun("up", &[], "2"), longrun("down", &[], "2"), oneshot("net", &[], "1")],
        ["up net", "up net", "up net"],
    )
}

/// A template that changes, one that comes, one that goes. The services' own processes go on.
pub fn instances_changed() -> Scenario {
    let with = |name: &str, text| longrun(name, &[], "1").with("template/run", text);
    scenario(
        "instances changed",
        vec![
            with("up", "#!/bin/1\n"),
            with("down", "#!/bin/1\n"),
            longrun("comes", &[], "1"),
            with("goes", "1"),
        ],
        vec![
            with("up", "#!/bin/2\n"),
            with("down", "#!/bin/2\n"),
            with("comes", "2"),
            longrun("goes", &[], "1"),
        ],
        ["up comes goes", "up comes goes", "up comes goes"],
    )
}

pub fn dependency_added() -> Scenario {
    scenario(
        "dependency added",
        vec![longrun("base", &[], "1"), longrun("web", &[], "1")],
        vec![longrun("base", &[], "1"), longrun("web", &["base", "new"], "1"), oneshot("new", &[], "1")],
        ["base web", "base web new", "base"],
    )
}

pub fn dependency_removed() -> Scenario {
    scenario(
        "dependency removed",
        vec![oneshot("net", &[], "1"), longrun("base", &["net"], "1"), longrun("web", &["base", "net"], "1")],
        vec![oneshot("net", &[], "1"), longrun("base", &["net"], "1"), longrun("web", &[], "1")],
        ["net base web", "net base web", "net base"],
    )
}

pub fn service_added() -> Scenario {
    scenario(
        "service added",
        vec![longrun("base", &[], "1"), oneshot("net", &[], "1"), bundle("default", &["base"])],
        vec![
            longrun("base", &[], "1"),
            longrun("more", &["base"], "1"),
            oneshot("net", &[], "1"),
            oneshot("once", &["net"], "1"),
            bundle("default", &["base", "more"]),
        ],
        ["base net", "base net", "base net"],
    )
}

pub fn service_removed() -> Scenario {
    scenario(
        "service removed",
        vec![
            longrun("base", &[], "1"),
            oneshot("net", &["gone"], "1"),
            longrun("gone", &[], "1"),
            longrun("idle", &[], "1"),
        ],
        vec![longrun("base", &[], "1"), oneshot("net", &[], "1")],
        ["base net gone", "base net", "base"],
    )
}

pub fn service_renamed() -> Scenario {
    scenario(
        "service renamed",
        vec![longrun("old", &[], "1"), longrun("web", &["old"], "1"), oneshot("once", &[], "1")],
        vec![longrun("new", &[], "2"), longrun("web", &["new"], "1"), oneshot("twice", &[], "1")],
        ["old web once", "new web twice", "old>new web once>twice"],
    )
    .converting("old -> new\nonce -> twice\n")
}

pub fn other_type() -> Scenario {
    scenario(
        "of another type",
        vec![longrun("x", &[], "1"), oneshot("y", &[], "1"), longrun("z", &["x", "y"], "1")],
        vec![oneshot("x", &[], "2"), longrun("y", &[], "2"), longrun("z", &["x", "y"], "1")],
        ["x y z", "x y z", ""],
    )
}

pub fn pipeline_changed() -> Scenario {
    let producer = |to| longrun("source", &[], "1").with("producer-for", to);
    let consumer = |from| longrun("log", &[], "1").with("consumer-for", from).with("pipeline-name", "pipe\n");
    let filter = longrun("filter", &[], "1").with("consumer-for", "source\n").with("producer-for", "log\n");
    scenario(
        "pipeline changed",
        vec![producer("log\n"), consumer("source\n"), longrun("other", &[], "1")],
        vec![producer("filter\n"), filter, consumer("filter\n"), longrun("other", &[], "1")],
        ["source log other", "source filter log other", "other"],
    )
}

pub fn bundle_changed() -> Scenario {
    scenario(
        "bundle changed",
        vec![
            longrun("one", &[], "1"),
            longrun("two", &[], "1"),
            longrun("three", &["all"], "1"),
            bundle("all", &["one", "two"]),
        ],
        vec![
            longrun("one", &[], "1"),
            bundle("two", &["net"]),
            longrun("three", &["all"], "1"),
            bundle("all", &["one", "net"]),
            oneshot("net", &[], "1"),
        ],
        ["one two three", "one three net", "one"],
    )
}

pub fn several() -> Scenario {
    scenario(
        "added, removed, renamed, of another kind",
        vec![
            oneshot("setup", &[], "1"),
            longrun("gone", &["setup"], "1"),
            longrun("old", &["setup"], "1"),
            longrun("turns", &[], "1"),
            longrun("idle", &[], "1"),
        ],
        vec![
            oneshot("setup", &[], "2"),
            longrun("new", &["setup"], "2"),
            oneshot("turns", &[], "2"),
            longrun("idle", &[], "2"),
            longrun("added", &[], "2"),
        ],
        ["setup gone old turns", "setup new turns", "old>new setup"],
    )
    .converting("old -> new\n")
}

pub fn between() -> Scenario {
    scenario(
        "dependency added and removed, oneshots in between",
        vec![
            oneshot("one", &[], "1"),
            oneshot("two", &["one"], "1"),
            longrun("daemon", &["two"], "1"),
            longrun("alone", &[], "1"),
        ],
        vec![
            oneshot("zero", &[], "1"),
            oneshot("one", &["zero"], "1"),
            oneshot("two", &[], "1"),
            longrun("daemon", &["two"], "1").with("finish", "#!/bin/sh\nexit 0\n"),
            longrun("alone", &[], "1"),
        ],
        ["one two daemon alone", "zero one two daemon alone", "alone"],
    )
}

pub fn slow_and_failing() -> Scenario {
    scenario(
        "oneshots that are slow and that fail",
        vec![
            oneshot("slow", &[], "1").slow(),
            oneshot("again", &["slow"], "1").slow(),
            longrun("web", &["again"], "1"),
        ],
        vec![
            oneshot("slow", &[], "1").slow(),
            oneshot("new", &[], "1").slow(),
            oneshot("fails", &[], "1").failing(),
            oneshot("again", &["slow", "new"], "1").slow(),
            longrun("web", &["again", "fails"], "1"),
        ],
        ["slow again web", "slow again new", "slow"],
    )
    .ending(Ends::StartFails)
}

pub fn stop_fails() -> Scenario {
    scenario(
        "a stop that fails",
        vec![
            oneshot("held", &[], "1").stubborn(),
            longrun("web", &["held"], "1"),
            oneshot("other", &[], "1"),
        ],
        vec![longrun("web", &[], "1"), oneshot("other", &[], "1")],
        ["held web other", "", "other"],
    )
    .ending(Ends::StopFails)
}

/// A script of `held` hangs while a flag is there, and `web` needs it.
fn hangs(name: &'static str, scripts: [&'static str; 2]) -> Scenario {
    let tree = |text| {
        let held = Def { scripts: scripts.map(Some), ..oneshot("held", &[], "1") };
        vec![held, longrun("web", &["held"], text), longrun("top", &["web"], "1"), longrun("other", &[], "1")]
    };
    let up = "held web top other";
    scenario(name, tree("1"), tree("2"), [up, up, "other"]).converting("held restart\n")
}

pub fn stop_hangs() -> Scenario {
    let hang = "/bin/sh -c \"test ! -e ../../flags/hang || exec sleep 60; rm -f F\"\n";
    hangs("a stop that runs out of time", ["/bin/sh -c \"echo >>F\"\n", hang]).ending(Ends::StopFails)
}

pub fn start_hangs() -> Scenario {
    let hang = "/bin/sh -c \"test ! -e ../../flags/hang || exec sleep 60; echo >>F\"\n";
    hangs("a start that runs out of time", [hang, "/bin/rm -f F\n"]).ending(Ends::StartFails)
}

pub fn smart() -> Scenario {
    let mut s = several();
    s.name = "the same by a plan of skeg's own";
    s.untouched.retain(|(old, _)| old != "setup");
    // Its script has changed, so it restarts, and what needs it.
    s.untouched.retain(|(old, _)| old != "old");
    s.by("apply")
}

/// What a package manager leaves, compiled and applied by one command.
pub fn synced() -> Scenario {
    scenario(
        "the source directory of a package manager",
        vec![
            oneshot("setup", &[], "1"),
            longrun("gone", &["setup"], "1"),
            longrun("keeps", &["setup"], "1"),
            longrun("changes", &["keeps"], "1"),
            longrun("idle", &[], "1"),
            longrun("turns", &[], "1"),
        ],
        vec![
            oneshot("setup", &[], "1"),
            longrun("keeps", &["setup", "added"], "1"),
            longrun("changes", &["keeps"], "2"),
            longrun("idle", &[], "2"),
            oneshot("turns", &[], "1"),
            longrun("added", &["setup"], "1"),
        ],
        ["setup gone keeps changes turns", "setup keeps changes turns added", "setup keeps"],
    )
    .by("sync")
}

/// Fifty services, of which a few change.
pub fn fifty() -> Scenario {
    let mut a = Vec::new();
    for i in 0..48 {
        let need = format!("s{}", i - i % 8);
        let needs: &[&str] = if i % 8 == 0 { &[] } else { &[&need] };
        let name = format!("s{i}");
        a.push(match i % 4 {
            3 => oneshot(&name, needs, "1"),
            _ => longrun(&name, needs, "1"),
        });
    }
    a.push(oneshot("slow", &["s3"], "1").slow());
    a.push(longrun("gone", &["s5"], "1"));
    let mut b = a.clone();
    b.retain(|d| d.name != "gone");
    b.iter_mut().filter(|d| d.name == "s37").for_each(|d| d.needs.push("slow".into()));
    b.push(longrun("new", &["s1"], "1"));
    // Half of them are down, and stay so.
    let is_up = |d: &&Def| d.name[1..].parse().map_or(true, |i: u32| i % 16 < 8);
    let all = |defs: &[Def]| {
        let up = defs.iter().filter(is_up).map(|d| d.name.as_str());
        up.collect::<Vec<_>>().join(" ")
    };
    let after = all(&b).replace(" new", "");
    let kept = after.split(' ').filter(|n| *n != "s37").collect::<Vec<_>>().join(" ");
    scenario("fifty services", a.clone(), b, [&all(&a), &after, &kept])
}

/// The small ones in which every pair of kills is tried.
pub fn small() -> [Scenario; 4] {
    [
        scenario(
            "small: one service restarted",
            vec![longrun("a", &[], "1")],
            vec![longrun("a", &[], "2")],
            ["a", "a", ""],
        )
        .converting("a restart\n"),
        scenario(
            "small: a oneshot restarted",
            vec![oneshot("a", &[], "1")],
            vec![oneshot("a", &[], "2")],
            ["a", "a", ""],
        )
        .converting("a restart\n"),
        scenario(
            "small: one goes, one comes",
            vec![longrun("a", &[], "1")],
            vec![longrun("b", &[], "1")],
            ["a", "", ""],
        ),
        scenario(
            "small: one restarted, and what needs it",
            vec![longrun("a", &[], "1"), oneshot("b", &["a"], "1")],
            vec![longrun("a", &[], "2"), oneshot("b", &["a"], "1")],
            ["a b", "a b", ""],
        )
        .converting("a restart\n"),
    ]
}

/// The live image is edited by `s6-rc-bundle`.
pub fn bundle_edited() -> Scenario {
    let tree = || {
        vec![
            longrun("base", &[], "1"),
            oneshot("net", &[], "1"),
            longrun("idle", &["net"], "1"),
            bundle("some", &["base"]),
        ]
    };
    let mut s = scenario("bundle edited", tree(), tree(), ["base net", "base net", "base net"]);
    s.words = &["-f", "multiple", " some", "", "mine", " base", " idle", ""];
    s.by("s6-rc-bundle")
}

/// A tree of which everything is down, for init and changes; the lists say what a change brings up.
pub fn to_be_changed() -> Scenario {
    let tree = || {
        vec![
            oneshot("net", &[], "1"),
            oneshot("slow", &["net"], "1").slow(),
            longrun("web", &["slow"], "1"),
            longrun("base", &[], "1"),
            longrun("idle", &[], "1"),
        ]
    };
    scenario("change", tree(), tree(), ["", "", ""])
}

/// Services go down and come back.
pub fn restarted() -> Scenario {
    let tree = || {
        vec![
            longrun("base", &[], "1"),
            oneshot("net", &["base"], "1"),
            longrun("web", &["net"], "1"),
            longrun("other", &[], "1"),
        ]
    };
    let up = "base net web other";
    let mut s = scenario("restart", tree(), tree(), [up, up, "other"]);
    s.words = &["base"];
    s.by("restart")
}

/// Every update.
pub fn all() -> Vec<Scenario> {
    let some = [
        script_changed(),
        script_changed_in_place(),
        dependency_added(),
        dependency_removed(),
        service_added(),
        service_removed(),
        service_renamed(),
        other_type(),
        pipeline_changed(),
        bundle_changed(),
        several(),
        between(),
        slow_and_failing(),
        stop_fails(),
        smart(),
        synced(),
        bundle_edited(),
        restarted(),
    ];
    some.into()
}
