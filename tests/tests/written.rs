// SPDX-License-Identifier: ISC
//! What `skeg diff`, `plan` and `apply` name is what somebody wrote: the file in the definition, never one that the compiler
//! made of it.

use Told::{Added, Changed, Definition, Line, ListAdded, ListRemoved, Removed, Value, Word};
use harness::tree::Scanner;
use harness::{Scratch, Suite};
use serde_json::{Value as Json, json};

const SLEEP: &str = "#!/bin/sh\nexec sleep 1000\n";
const OTHER: &str = "#!/bin/sh\nexec sleep 2000\n";

/// Each setting: its file, two contents, and what differs between them.
const SETTINGS: [(&str, &str, &str, [&str; 2]); 9] = [
    ("user", "65534:65534\n", "# who\n\n0:0\n", ["65534:65534", "0:0"]),
    ("groups", "7\n", "7\n44 45\n", ["(end)", "44 45"]),
    (
        "cgroup",
        "cgroup.max.depth 5\n",
        "#\n\ncgroup.max.depth 6\n",
        ["cgroup.max.depth 5", "cgroup.max.depth 6"],
    ),
    ("rlimits", "core 0\nnofile 64\n", "core 0\n\n# more\nnofile 64 128\n", ["nofile 64", "nofile 64 128"]),
    ("oom-score", "300\n", "0\n", ["300", "0"]),
    ("nice", "5\n", "6\n", ["5", "6"]),
    ("umask", "022\n", "027\n", ["022", "027"]),
    ("no-new-privs", "", "# nothing\n", [""; 2]),
    ("capabilities", "kill\n", "kill chown\n", ["kill", "kill chown"]),
];

/// One thing that a diff says of a service.
#[derive(Clone, Copy)]
enum Told {
    /// A file is new.
    Added(&'static str),
    /// A file has gone.
    Removed(&'static str),
    /// A file differs, here.
    Line(&'static str, u32),
    /// A file differs as a whole.
    Changed(&'static str),
    /// A setting differs: from, to.
    Value(&'static str, [&'static str; 2]),
    /// A command line differs: from, to, which word.
    Word(&'static str, [&'static str; 2], u32),
    /// A list has this name now.
    ListAdded(&'static str, &'static str),
    /// A list has it no longer.
    ListRemoved(&'static str, &'static str),
    /// No more is known.
    Definition,
}

impl Told {
    /// What it is of the other way round.
    fn reversed(self) -> Self {
        match self {
            Added(file) => Removed(file),
            Removed(file) => Added(file),
            Value(file, [from, to]) => Value(file, [to, from]),
            Word(file, [from, to], at) => Word(file, [to, from], at),
            ListAdded(list, name) => ListRemoved(list, name),
            ListRemoved(list, name) => ListAdded(list, name),
            Line(..) | Changed(_) | Definition => self,
        }
    }

    fn text(self, service: &str) -> String {
        let what = match self {
            Added(file) => format!("added file {file}"),
            Removed(file) => format!("removed file {file}"),
            Line(file, at) => format!("changed file {file}, line {at}"),
            Changed(file) => format!("changed file {file}"),
            Value(file, [from, to]) => format!("changed file {file} from {from} to {to}"),
            Word(file, [from, to], at) => format!("changed file {file} from {from} to {to}, word {at}"),
            ListAdded(list, name) => format!("added {list} {name}"),
            ListRemoved(list, name) => format!("removed {list} {name}"),
            Definition => "definition".to_owned(),
        };
        format!("~{service}: {what}")
    }

    fn json(self, service: &str) -> Json {
        let one = |what: String, which: &str| json!({"change": "changed", "service": service, "what": what, "which": which});
        let with = |file: &str, more: &[(&str, Json)]| {
            let mut json = one("changed file".to_owned(), file);
            more.iter().for_each(|(key, value)| json[*key] = value.clone());
            json
        };
        match self {
            Added(file) => one("added file".to_owned(), file),
            Removed(file) => one("removed file".to_owned(), file),
            Line(file, at) => with(file, &[("line", at.into())]),
            Changed(file) => with(file, &[]),
            Value(file, [from, to]) => with(file, &[("from", from.into()), ("to", to.into())]),
            Word(file, [from, to], at) => {
                with(file, &[("from", from.into()), ("to", to.into()), ("word", at.into())])
            }
            ListAdded(list, name) => one(format!("added {list}"), name),
            ListRemoved(list, name) => one(format!("removed {list}"), name),
            Definition => json!({"change": "changed", "service": service, "what": "definition"}),
        }
    }
}

/// The trees `a` and `b`, and what a diff of them says.
struct Trees {
    scratch: Scratch,
    told: Vec<(String, Told)>,
}

type Files<'a> = &'a [(&'a str, &'a str)];

impl Trees {
    fn new() -> Self {
        Self { scratch: Scratch::new(), told: Vec::new() }
    }

    /// A service with these files in `a`, these in `b`, and these in both.
    fn service(&mut self, name: &str, both: Files<'_>, a: Files<'_>, b: Files<'_>, told: &[Told]) {
        for (tree, own) in [("a", a), ("b", b)] {
            for (file, content) in both.iter().chain(own) {
                self.scratch.file(format!("{tree}/{name}/{file}"), content);
            }
        }
        self.told.extend(told.iter().map(|told| (name.to_owned(), *told)));
    }

    fn longrun(&mut self, name: &str, both: Files<'_>, a: Files<'_>, b: Files<'_>, told: &[Told]) {
        self.service(name, &[both, &[("type", "longrun\n")]].concat(), a, b, told);
    }

    fn oneshot(&mut self, name: &str, both: Files<'_>, a: Files<'_>, b: Files<'_>, told: &[Told]) {
        self.service(name, &[both, &[("type", "oneshot\n")]].concat(), a, b, told);
    }

    fn compile(&self) {
        for tree in ["a", "b"] {
            let words = [self.scratch.text(&format!("{tree}.img")), self.scratch.text(tree)];
            self.skeg("s6-rc-compile", &words).expect(0);
        }
    }

    fn skeg(&self, applet: &str, words: &[impl AsRef<std::ffi::OsStr>]) -> harness::Done {
        self.scratch.run(&Suite::skeg(), applet, words)
    }

    /// A live directory of `a.img`; none where the machine does not let these services be.
    fn live(&self) -> Option<Scanner> {
        if !rustix::process::geteuid().is_root() {
            println!("left out: only root can change user and groups");
            return None;
        }
        let scanner = Scanner::start(&self.scratch, &Suite::skeg());
        let words = ["-l", "live", "-c", &self.scratch.text("a.img"), &self.scratch.text("scan")]
            .map(|word| if word == "live" { self.scratch.text("live") } else { word.to_owned() });
        self.skeg("s6-rc-init", &words).expect(0);
        Some(scanner)
    }

    /// Compares two, in words and in JSON.
    #[track_caller]
    fn compare(&self, a: &str, b: &str, told: &[(String, Told)]) {
        let mut expected: Vec<_> = told.iter().map(|(service, told)| told.text(service)).collect();
        expected.sort();
        let said = self.skeg("diff", &[a, b]);
        assert_eq!(said.lines(), expected, "{a} {b}: {}", said.err);
        assert_eq!(said.code, i32::from(!told.is_empty()), "{a} {b}");
        let said = self.skeg("diff", &["--json", a, b]).out;
        let said: Json = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
        let sorted = |list: &[Json]| {
            let mut list: Vec<_> = list.iter().map(Json::to_string).collect();
            list.sort();
            list
        };
        let expected: Vec<_> = told.iter().map(|(service, told)| told.json(service)).collect();
        assert_eq!(sorted(said.as_array().expect("a list")), sorted(&expected), "{a} {b}");
    }

    /// Compares source trees, images and, where that can be, the live state, both ways.
    #[track_caller]
    fn check(&self) {
        self.compile();
        let scanner = self.live();
        let back: Vec<_> = self.told.iter().map(|(name, told)| (name.clone(), told.reversed())).collect();
        let olds: &[&str] = if scanner.is_some() { &["a", "a.img", "live"] } else { &["a", "a.img"] };
        for a in olds {
            for b in ["b", "b.img"] {
                self.compare(a, b, &self.told);
                self.compare(b, a, &back);
            }
            self.compare(a, "a", &[]);
        }
    }
}

#[test]
fn a_setting_that_comes_goes_or_changes_is_its_file_and_the_script_beside_it_another() {
    let mut trees = Trees::new();
    let run = [("run", SLEEP)];
    let (old, new) = ([("run", SLEEP)], [("run", OTHER)]);
    for (file, first, second, values) in SETTINGS {
        let name = |what: &str| format!("{file}-{what}");
        let (one, two) = ((file, first), (file, second));
        let value: &[Told] = if file == "no-new-privs" { &[] } else { &[Value(file, values)] };
        trees.longrun(&name("comes"), &run, &[], &[one], &[Added(file)]);
        trees.longrun(&name("changes"), &run, &[one], &[two], value);
        trees.longrun(&name("comes-with-run"), &[], &old, &[new[0], one], &[Line("run", 2), Added(file)]);
        let told = [value, &[Line("run", 2)]].concat();
        trees.longrun(&name("changes-with-run"), &[], &[old[0], one], &[new[0], two], &told);
        trees.longrun(&name("stays"), &[one], &old, &new, &[Line("run", 2)]);
        let spaced = format!("\n# a comment\n{}", first.replace('\n', " \n\n"));
        trees.longrun(&name("means-the-same"), &run, &[one], &[(file, &spaced)], &[]);
        let beside = if file == "umask" { ("nice", "1\n") } else { ("umask", "077\n") };
        trees.longrun(&name("comes-beside"), &[run[0], beside], &[], &[one], &[Added(file)]);
        trees.longrun(&name("changes-beside"), &[run[0], beside], &[one], &[two], value);
        let told = [Removed(file), Added(beside.0)];
        trees.longrun(&name("becomes-another"), &run, &[one], &[beside], &told);
    }
    let all: Vec<_> = SETTINGS.iter().map(|(file, first, ..)| (*file, *first)).collect();
    let others: Vec<_> = SETTINGS.iter().map(|(file, _, second, _)| (*file, *second)).collect();
    let values = SETTINGS.iter().filter(|s| s.0 != "no-new-privs").map(|s| Value(s.0, s.3));
    trees.longrun("all-come", &run, &[], &all, &SETTINGS.map(|s| Added(s.0)));
    trees.longrun("all-change", &run, &all, &others, &values.collect::<Vec<_>>());
    trees.longrun("all-stay", &all, &old, &new, &[Line("run", 2)]);
    trees.check();
}

#[test]
fn a_setting_of_a_oneshot_is_its_file_once_and_the_words_of_its_scripts_are_counted_without_it() {
    let mut trees = Trees::new();
    let scripts = [("up", "echo { a b } c\n"), ("down", "echo down\n"), ("reload", "echo\n")];
    let (old, new) = ([("up", "echo { a b } c\n")], [("up", "echo { a b } d\n")]);
    let word = Word("up", ["c", "d"], 5);
    for (file, first, second, values) in SETTINGS.into_iter().filter(|s| s.0 != "cgroup") {
        let name = |what: &str| format!("{file}-{what}");
        let (one, two) = ((file, first), (file, second));
        let value: &[Told] = if file == "no-new-privs" { &[] } else { &[Value(file, values)] };
        trees.oneshot(&name("comes"), &scripts, &[], &[one], &[Added(file)]);
        trees.oneshot(&name("changes"), &scripts, &[one], &[two], value);
        trees.oneshot(&name("comes-with-up"), &[], &old, &[new[0], one], &[word, Added(file)]);
        let told = [value, &[word]].concat();
        trees.oneshot(&name("changes-with-up"), &[], &[old[0], one], &[new[0], two], &told);
        trees.oneshot(&name("stays"), &[one], &old, &new, &[word]);
        trees.oneshot(&name("of-down"), &[("up", ""), ("down", "echo\n")], &[one], &[two], value);
    }
    let nice = ("nice", "5\n");
    let up = [("up", "echo\n"), nice];
    trees.oneshot("down-comes", &up, &[], &[("down", "echo\n")], &[Added("down")]);
    trees.oneshot(
        "up-is-emptied",
        &[nice, ("down", "true\n")],
        &[("up", "true\n")],
        &[("up", "")],
        &[Word("up", ["true", "(end)"], 1)],
    );
    // No script has a word: the image has nothing of the setting but that there is one.
    trees.oneshot("nothing-to-set", &[("up", "")], &[], &[nice], &[Definition]);
    trees.check();
}

#[test]
fn a_command_is_its_file_and_no_run() {
    let mut trees = Trees::new();
    let (one, two) = (("command", "httpd -f \"a\\nb\"\n"), ("command", "# more\nhttpd -f \"a\\nb\" -v\n"));
    let word = Word("command", ["(end)", "-v"], 4);
    let nice = ("nice", "5\n");
    trees.longrun("changes", &[], &[one], &[two], &[word]);
    trees.longrun("changes-beside", &[nice], &[one], &[two], &[word]);
    trees.longrun(
        "changes-with",
        &[],
        &[one, nice],
        &[two, ("nice", "6\n")],
        &[word, Value("nice", ["5", "6"])],
    );
    trees.longrun("takes-over", &[], &[("run", SLEEP)], &[one], &[Removed("run"), Added("command")]);
    trees.longrun(
        "takes-over-beside",
        &[nice],
        &[("run", SLEEP)],
        &[one],
        &[Removed("run"), Added("command")],
    );
    trees.longrun("setting-comes", &[one], &[], &[nice], &[Added("nice")]);
    trees.longrun("later-setting-comes", &[one], &[], &[("umask", "022\n")], &[Added("umask")]);
    trees.check();
}

#[test]
fn a_finish_beside_a_cgroup_is_what_somebody_wrote_and_so_is_the_path_of_the_group() {
    let mut trees = Trees::new();
    let run = ("run", SLEEP);
    let (one, two) = (("finish", "#!/bin/sh\nexit 0\n"), ("finish", "#!/bin/sh\nexit 1\n"));
    let cgroup = ("cgroup", "");
    trees.longrun("cgroup-comes", &[run], &[], &[cgroup], &[Added("cgroup")]);
    trees.longrun("cgroup-comes-beside", &[run, one], &[], &[cgroup], &[Added("cgroup")]);
    trees.longrun("finish-comes", &[run, cgroup], &[], &[one], &[Added("finish")]);
    trees.longrun("finish-changes", &[run, cgroup], &[one], &[two], &[Line("finish", 2)]);
    trees.longrun("both", &[run], &[one], &[two, cgroup], &[Line("finish", 2), Added("cgroup")]);
    let moved = Value("cgroup", ["path skeg/moves", "path other/group"]);
    trees.longrun("moves", &[run, one], &[cgroup], &[("cgroup", "path other/group\n")], &[moved]);
    trees.longrun("path-is-said", &[run, one], &[cgroup], &[("cgroup", "path skeg/path-is-said\n")], &[]);
    let more = ("cgroup", "cgroup.max.depth 5\n");
    trees.longrun("more", &[run], &[cgroup], &[more], &[Value("cgroup", ["(end)", "cgroup.max.depth 5"])]);
    trees.check();
}

#[test]
fn a_pipeline_is_what_both_sides_say_and_no_script_or_dependency() {
    let mut trees = Trees::new();
    let run = ("run", SLEEP);
    let finish = ("finish", "#!/bin/sh\nexit 0\n");
    let nice = ("nice", "5\n");
    // It comes, to services without anything else and with everything.
    let to = ("producer-for", "to\n");
    trees.longrun("from", &[run], &[], &[to], &[ListAdded("producer-for", "to")]);
    let told = [ListAdded("consumer-for", "from"), ListAdded("consumer-for", "rich")];
    trees.longrun("to", &[run, finish], &[], &[("consumer-for", "from\nrich\n")], &told);
    let rich = [run, nice, ("cgroup", "cgroup.max.depth 5\n"), finish];
    trees.longrun("rich", &rich, &[], &[to], &[ListAdded("producer-for", "to")]);
    // It was there before.
    let (end, pipe) = (("consumer-for", "up\nset\ncommanded\n"), ("producer-for", "end\n"));
    trees.longrun(
        "end",
        &[end],
        &[run, nice],
        &[("run", OTHER), ("nice", "6\n")],
        &[Line("run", 2), Value("nice", ["5", "6"])],
    );
    trees.longrun("up", &[pipe, nice, finish], &[run], &[("run", OTHER)], &[Line("run", 2)]);
    trees.longrun("set", &[pipe, run, finish], &[], &[nice], &[Added("nice")]);
    let word = Word("command", ["a", "b"], 1);
    trees.longrun("commanded", &[pipe], &[("command", "a\n")], &[("command", "b\n")], &[word]);
    // Others write and read.
    let (old, new) = (("producer-for", "one\n"), ("producer-for", "two\n"));
    let told = [ListRemoved("producer-for", "one"), ListAdded("producer-for", "two")];
    trees.longrun("moves", &[run, nice], &[old], &[new], &told);
    let consumer = ("consumer-for", "moves\n");
    trees.longrun("one", &[run], &[consumer], &[], &[ListRemoved("consumer-for", "moves")]);
    trees.longrun("two", &[run], &[], &[consumer], &[ListAdded("consumer-for", "moves")]);
    // What is a dependency already, or stays one, is none that came or went.
    let needs = ("dependencies.d/sink", "");
    trees.longrun(
        "needs",
        &[run, needs],
        &[],
        &[("producer-for", "sink\n")],
        &[ListAdded("producer-for", "sink")],
    );
    let told = [ListAdded("consumer-for", "needs")];
    trees.longrun("sink", &[run], &[], &[("consumer-for", "needs\n")], &told);
    let told = [ListAdded("dependency", "one"), ListRemoved("producer-for", "drain")];
    let drain = ("producer-for", "drain\n");
    trees.longrun("turns", &[run], &[drain], &[("dependencies.d/one", "")], &told);
    let told = [ListRemoved("consumer-for", "turns")];
    trees.longrun("drain", &[run], &[("consumer-for", "turns\n")], &[], &told);
    trees.check();
}

#[test]
fn each_file_of_the_format_has_its_name_with_or_without_a_setting() {
    let mut trees = Trees::new();
    let files = [
        ("finish", "#!/bin/sh\n", "#!/bin/sh\nexit 1\n", 2),
        ("notification-fd", "3\n", "4\n", 1),
        ("lock-fd", "3\n", "4\n", 1),
        ("timeout-kill", "1\n", "2\n", 1),
        ("timeout-finish", "1\n", "2\n", 1),
        ("max-death-tally", "1\n", "2\n", 1),
        ("down-signal", "HUP\n", "INT\n", 1),
        ("reload-signal", "HUP\n", "INT\n", 1),
        ("restart-backoff", "10 20\n", "10 30\n", 1),
        ("flag-timeout-killpg", "", "", 0),
        ("flag-newpidns", "", "", 0),
        ("flag-essential", "", "", 0),
        ("flag-recommended", "", "", 0),
        ("flag-manual", "", "", 0),
        ("reload-on-change", "", "", 0),
    ];
    let (run, nice, cgroup) = (("run", SLEEP), ("nice", "5\n"), ("cgroup", ""));
    for (file, first, second, line) in files {
        let told: &[Told] = if line == 0 { &[] } else { &[Line(file, line)] };
        for (kind, both) in [("plain", &[run][..]), ("set", &[run, nice, cgroup])] {
            trees.longrun(&format!("{file}-comes-{kind}"), both, &[], &[(file, first)], &[Added(file)]);
            trees.longrun(&format!("{file}-changes-{kind}"), both, &[(file, first)], &[(file, second)], told);
        }
    }
    // What is called as a script with a suffix, but lies in a directory, is a file like any other.
    for dir in ["data", "env", "template"] {
        let (one, two, three) =
            (format!("{dir}/run"), format!("{dir}/run.user"), format!("{dir}/finish.user"));
        let told = [dir, &one, &two, &three].map(|file| Added(file.to_owned().leak()));
        let files = [(&*one, SLEEP), (&two, "#!@SKEG@ s6rc-finish\n"), (&three, "")];
        trees.longrun(&format!("{dir}-comes"), &[run], &[], &files, &told);
        trees.longrun(&format!("{dir}-comes-set"), &[run, nice, cgroup], &[], &files, &told);
        let told = [Line(two.clone().leak(), 2)];
        let files = [(&*two, "#!@SKEG@ s6rc-finish\n1\n")];
        let others = [(&*two, "#!@SKEG@ s6rc-finish\n2\n")];
        trees.longrun(&format!("{dir}-changes"), &[run, nice], &files, &others, &told);
    }
    trees.check();
    trees.scratch.file_mode("b/data-comes/data/run", SLEEP, 0o700);
    trees.scratch.file_mode("b/data-comes-set/data/run", SLEEP, 0o700);
    std::fs::rename(trees.scratch.at("b"), trees.scratch.at("c")).unwrap();
    let told = ["data-comes", "data-comes-set"].map(|name| (name.to_owned(), Changed("data/run")));
    trees.compare("b.img", "c", &told);
}

/// A service has the flags of the bundles that hold it, too.
#[test]
fn a_flag_that_comes_with_a_bundle_is_a_file_of_the_bundle() {
    let mut trees = Trees::new();
    let (run, flag) = (("run", SLEEP), ("flag-essential", ""));
    trees.longrun("lan", &[run], &[], &[], &[]);
    trees.longrun("wan", &[run], &[], &[flag], &[]);
    trees.longrun("vpn", &[run], &[], &[("flag-recommended", "")], &[Added("flag-recommended")]);
    trees.longrun("dns", &[run], &[flag], &[], &[Removed("flag-essential")]);
    trees.longrun("new", &[run], &[], &[], &[]);
    let contents = ["lan", "wan", "vpn"].map(|name| format!("contents.d/{name}"));
    let contents: Vec<_> = contents.iter().map(|path| (&**path, "")).collect();
    trees.service("net", &[&[("type", "bundle\n")], &contents[..]].concat(), &[], &[flag], &[]);
    let all = [("type", "bundle\n"), ("flag-recommended", ""), ("contents.d/lan", "")];
    trees.service("all", &all, &[], &[("contents.d/new", "")], &[]);
    trees.compile();
    let told = |what: &str, which: &str, bundle: &str| {
        let text = format!("~{bundle} (bundle): {what} {which}");
        (text, json!({"change": "changed", "bundle": bundle, "what": what, "which": which}))
    };
    for (a, b, word) in [("a", "b", "added"), ("b", "a", "removed")] {
        let mut expected =
            vec![told(&format!("{word} file"), "flag-essential", "net"), told(word, "new", "all")];
        for (name, one) in &trees.told {
            let one = if a == "a" { *one } else { one.reversed() };
            expected.push((one.text(name), one.json(name)));
        }
        expected.sort_by(|(one, _), (other, _)| one.cmp(other));
        let text: Vec<_> = expected.iter().map(|(text, _)| text.clone()).collect();
        assert_eq!(trees.skeg("diff", &[a, b]).expect(1).lines(), text);
        let said = trees.skeg("diff", &["--json", a, b]).out;
        let said: Json = serde_json::from_str(&said).unwrap();
        let said = said.as_array().unwrap();
        assert!(
            said.len() == expected.len() && expected.iter().all(|(_, json)| said.contains(json)),
            "{said:?}"
        );
    }
}

#[test]
fn what_the_compiler_adds_has_no_files() {
    let mut trees = Trees::new();
    trees.longrun("from", &[("run", SLEEP), ("producer-for", "to\n")], &[], &[], &[]);
    trees.longrun("to", &[("run", SLEEP), ("consumer-for", "from\n")], &[], &[], &[]);
    trees.compile();
    let words = ["-h", "65534:65534"].map(str::to_owned).into_iter();
    let words: Vec<_> = words.chain([trees.scratch.text("user.img"), trees.scratch.text("a")]).collect();
    trees.skeg("s6-rc-compile", &words).expect(0);
    trees.compare("a", "user.img", &[("s6rc-fdholder".to_owned(), Definition)]);
    trees.compare("user.img", "a.img", &[("s6rc-fdholder".to_owned(), Definition)]);
    let scanner = trees.live();
    if scanner.is_some() {
        let live = trees.scratch.text("live");
        trees.skeg("s6-rc", &["-l", &live, "-u", "change", "from"]).expect(0);
        let plan = trees.skeg("plan", &["-l", &live, "user.img"]).expect(0).out;
        assert_eq!(plan, "in place s6rc-fdholder: its definition changed; from its next start on\n");
        let said = trees.skeg("plan", &["-l", &live, "--json", "user.img"]).expect(0).out;
        let said: Json = serde_json::from_str(&said).unwrap();
        assert_eq!(
            said["steps"],
            json!([
                {"action": "in-place", "service": "s6rc-fdholder", "reason": "its definition changed"}
            ])
        );
    }
}

/// Services that restart, with what is said of it and where in the file.
type Reasons = Vec<(String, &'static str, &'static str)>;

fn with_reasons_to_restart(trees: &mut Trees) -> Reasons {
    let mut reasons = Reasons::new();
    let run = ("run", SLEEP);
    for (file, first, second, _) in SETTINGS {
        let (one, two) = ((file, first), (file, second));
        trees.longrun(&format!("{file}-comes"), &[run], &[], &[one], &[]);
        reasons.push((format!("{file}-comes"), file, ""));
        trees.longrun(&format!("{file}-changes"), &[run], &[one], &[two], &[]);
        if file != "no-new-privs" {
            reasons.push((format!("{file}-changes"), file, ""));
        }
        trees.longrun(&format!("{file}-stays"), &[one], &[run], &[("run", OTHER)], &[]);
        reasons.push((format!("{file}-stays"), "run file", ", line 2"));
        if file == "cgroup" {
            continue;
        }
        trees.oneshot(&format!("{file}-once"), &[("up", "true\n")], &[one], &[two], &[]);
        if file != "no-new-privs" {
            reasons.push((format!("{file}-once"), file, ""));
        }
        trees.oneshot(&format!("{file}-up"), &[one], &[("up", "true\n")], &[("up", "true a\n")], &[]);
        reasons.push((format!("{file}-up"), "up", ", word 2"));
        // Nothing of it was made with the setting.
        trees.oneshot(&format!("{file}-down"), &[("up", ""), ("down", "true\n")], &[one], &[two], &[]);
    }
    let command = |words| ("command", words);
    trees.longrun("command", &[], &[command("sleep 1000\n")], &[command("sleep 2000\n")], &[]);
    reasons.push(("command".to_owned(), "command", ", word 2"));
    trees.longrun("command-comes", &[], &[run], &[command("sleep 2000\n")], &[]);
    reasons.push(("command-comes".to_owned(), "run file", ""));
    let (nice, pipe) = (("nice", "5\n"), ("producer-for", "logger\n"));
    trees.longrun("logger", &[run, ("consumer-for", "piped\npiped-too\n")], &[], &[], &[]);
    trees.longrun("piped", &[nice, pipe], &[run], &[("run", OTHER)], &[]);
    reasons.push(("piped".to_owned(), "run file", ", line 2"));
    trees.longrun("piped-too", &[run, pipe], &[nice], &[("nice", "6\n")], &[]);
    reasons.push(("piped-too".to_owned(), "nice", ""));
    reasons
}

/// What a plan gives as reason for a service that changes, up as it is.
#[test]
fn a_plan_names_the_file_that_makes_it_restart() {
    let mut trees = Trees::new();
    let reasons = with_reasons_to_restart(&mut trees);
    let run = ("run", SLEEP);
    trees.longrun("user-of-it", &[run, ("dependencies.d/nice-changes", "")], &[], &[], &[]);
    // For the next start.
    let (one, two) = (("finish", "#!/bin/sh\nexit 0\n"), ("finish", "#!/bin/sh\nexit 1\n"));
    trees.longrun("finish", &[run, ("cgroup", "")], &[one], &[two], &[]);
    trees.longrun("finish-piped", &[run, ("consumer-for", "finish-pipes\n")], &[one], &[two], &[]);
    trees.longrun("finish-pipes", &[run, ("producer-for", "finish-piped\n")], &[], &[], &[]);
    let all = std::fs::read_dir(trees.scratch.at("a")).unwrap().flatten();
    let contents: Vec<_> =
        all.map(|entry| format!("contents.d/{}", entry.file_name().to_str().unwrap())).collect();
    let contents: Vec<_> = contents.iter().map(|path| (&**path, "")).collect();
    trees.service("everything", &[&[("type", "bundle\n")], &contents[..]].concat(), &[], &[], &[]);
    trees.compile();
    let Some(_scanner) = trees.live() else { return };
    let live = trees.scratch.text("live");
    trees.skeg("s6-rc", &["-l", &live, "-u", "change", "everything"]).expect(0);
    let mut expected = [
        "in place finish-piped: its finish changed, line 2; from its next start on",
        "in place finish: its finish changed, line 2; from its next start on",
        "restart  user-of-it: it depends on nice-changes, whose nice changed",
        "start    user-of-it: it was up before",
    ]
    .map(str::to_owned)
    .to_vec();
    for (name, what, place) in &reasons {
        expected.push(format!("restart  {name}: its {what} changed{place}"));
        expected.push(format!("start    {name}: it was up before"));
    }
    expected.sort();
    for b in ["b", "b.img"] {
        assert_eq!(trees.skeg("plan", &["-l", &live, b]).expect(0).lines(), expected);
    }
    let said = trees.skeg("plan", &["-l", &live, "--json", "b"]).expect(0).out;
    let said: Json = serde_json::from_str(&said).unwrap();
    for (name, what, _) in &reasons {
        let steps = said["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["service"] == **name && step["action"] == "restart");
        assert_eq!(step.unwrap()["file"], *what.strip_suffix(" file").unwrap_or(what), "{name}");
    }
}

/// Of a service with another name the files are what they were, but not what was made of them.
#[test]
fn a_service_that_is_renamed_restarts_where_its_name_is_part_of_how_it_runs() {
    let mut trees = Trees::new();
    let run = ("run", SLEEP);
    for (tree, names) in [("a", ["to", "group", "plain"]), ("b", ["to2", "group2", "plain2"])] {
        let file = |path: &str, content: &str| _ = trees.scratch.file(format!("{tree}/{path}"), content);
        for name in names.into_iter().chain(["from"]) {
            file(&format!("{name}/type"), "longrun\n");
            file(&format!("{name}/run"), SLEEP);
        }
        file(&format!("{}/consumer-for", names[0]), "from\n");
        file("from/producer-for", &format!("{}\n", names[0]));
        file(&format!("{}/cgroup", names[1]), "");
        file(&format!("{}/nice", names[2]), "5\n");
    }
    trees.longrun("other", &[run], &[], &[], &[]);
    trees.scratch.file("conversion", "to -> to2\ngroup -> group2\nplain -> plain2\n");
    trees.compile();
    let Some(_scanner) = trees.live() else { return };
    let live = trees.scratch.text("live");
    trees.skeg("s6-rc", &["-l", &live, "-u", "change", "from", "to", "group", "plain", "other"]).expect(0);
    let plan = trees.skeg("plan", &["-l", &live, "-f", "conversion", "b"]).expect(0);
    let expected = [
        "rename   group -> group2",
        "rename   plain -> plain2",
        "rename   to -> to2",
        "restart  from: its place in a pipeline changed",
        "restart  group: its cgroup changed",
        "restart  to: its place in a pipeline changed",
        "start    from: it was up before",
        "start    group2: it was up before",
        "start    to2: it was up before",
    ];
    assert_eq!(plan.lines(), expected);
}
