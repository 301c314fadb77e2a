// SPDX-License-Identifier: ISC
//! An update that is killed right before its n-th system call, for every n; then recovery; then a judge that knows nothing of
//! skeg's own code: lstat, /proc, the documented layout, and Debian's `s6-svstat`.

use harness::fault::{self, Fault};
use harness::process::{Done, run};
use harness::tree::{Scanner, listening};
use harness::wait::PATIENCE;
use harness::{Scratch, Suite, until};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// A definition: its kind, what it needs, and a text that its scripts carry.
#[derive(Clone, Debug)]
struct Def {
    kind: &'static str,
    needs: &'static [&'static str],
    text: &'static str,
    more: &'static [(&'static str, &'static str)],
}

const fn longrun(needs: &'static [&'static str], text: &'static str) -> Def {
    Def { kind: "longrun", needs, text, more: &[] }
}

const fn oneshot(needs: &'static [&'static str], text: &'static str) -> Def {
    Def { kind: "oneshot", needs, text, more: &[] }
}

const fn with(mut def: Def, more: &'static [(&'static str, &'static str)]) -> Def {
    def.more = more;
    def
}

type Tree = &'static [(&'static str, Def)];

/// Two trees, what is up in the first, and what is to be up in the second.
struct Scenario {
    name: &'static str,
    a: Tree,
    b: Tree,
    conversion: &'static str,
    up_before: &'static [&'static str],
    up_after: &'static [&'static str],
    /// Services that must keep their process and their directory, by their name before and after.
    untouched: &'static [(&'static str, &'static str)],
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "script changed",
        a: &[("base", longrun(&[], "1")), ("web", longrun(&["base"], "1")), ("other", longrun(&[], "1"))],
        b: &[("base", longrun(&[], "2")), ("web", longrun(&["base"], "1")), ("other", longrun(&[], "1"))],
        conversion: "base restart\n",
        up_before: &["base", "web", "other"],
        up_after: &["base", "web", "other"],
        untouched: &[("other", "other")],
    },
    Scenario {
        name: "added, removed, renamed, of another kind",
        a: &[
            ("setup", oneshot(&[], "1")),
            ("gone", longrun(&["setup"], "1")),
            ("old", longrun(&["setup"], "1")),
            ("turns", longrun(&[], "1")),
            ("idle", longrun(&[], "1")),
        ],
        b: &[
            ("setup", oneshot(&[], "2")),
            ("new", longrun(&["setup"], "2")),
            ("turns", oneshot(&[], "2")),
            ("idle", longrun(&[], "2")),
            ("added", longrun(&[], "2")),
        ],
        conversion: "old -> new\n",
        up_before: &["setup", "gone", "old", "turns"],
        up_after: &["setup", "new", "turns"],
        untouched: &[("old", "new")],
    },
    Scenario {
        name: "dependency added and removed, oneshots in between",
        a: &[
            ("one", oneshot(&[], "1")),
            ("two", oneshot(&["one"], "1")),
            ("daemon", longrun(&["two"], "1")),
            ("alone", longrun(&[], "1")),
        ],
        b: &[
            ("zero", oneshot(&[], "1")),
            ("one", oneshot(&["zero"], "1")),
            ("two", oneshot(&[], "1")),
            ("daemon", with(longrun(&["two"], "1"), &[("finish", "#!/bin/sh\nexit 0\n")])),
            ("alone", longrun(&[], "1")),
        ],
        conversion: "",
        up_before: &["one", "two", "daemon", "alone"],
        up_after: &["zero", "one", "two", "daemon", "alone"],
        untouched: &[("alone", "alone")],
    },
];

/// Writes a source tree; scripts of oneshots leave and remove a file in `flags/`.
fn write(scratch: &Scratch, name: &str, tree: Tree) {
    for (service, def) in tree {
        let at = |file: &str| format!("{name}/{service}/{file}");
        scratch.file(at("type"), format!("{}\n", def.kind));
        for need in def.needs {
            scratch.file(at(&format!("dependencies.d/{need}")), "");
        }
        let flag = scratch.text(&format!("flags/{service}"));
        if def.kind == "longrun" {
            scratch.file(at("run"), run_of(def));
        } else {
            scratch.file(at("up"), format!("/bin/touch {flag} # {}\n", def.text));
            scratch.file(at("down"), format!("/bin/rm -f {flag}\n"));
        }
        for (file, content) in def.more {
            scratch.file(at(file), content);
        }
    }
}

fn run_of(def: &Def) -> String {
    format!("#!/bin/sh\nexec sleep 1000 # {}\n", def.text)
}

fn find<'t>(tree: &'t [(&'static str, Def)], name: &str) -> Option<&'t Def> {
    tree.iter().find(|(n, _)| *n == name).map(|(_, def)| def)
}

/// A live tree in the state before the update.
struct World {
    scratch: Scratch,
    _scanner: Scanner,
    /// Inode of the directory and pid of each longrun that is up, before.
    before: BTreeMap<String, (u64, u32)>,
}

impl World {
    fn new(scenario: &Scenario, scanner: &Suite) -> Self {
        let scratch = Scratch::new();
        scratch.folder("flags");
        // Scripts name this scratch directory, so they are compiled here.
        write(&scratch, "a", scenario.a);
        write(&scratch, "b", scenario.b);
        for image in ["a", "b"] {
            let words = [scratch.text(&format!("{image}.img")), scratch.text(image)];
            scratch.run(&Suite::skeg(), "s6-rc-compile", &words).expect(0);
        }
        scratch.file("conversion", scenario.conversion);
        let scanner = Scanner::start(&scratch, scanner);
        let words = ["-c", &scratch.text("a.img"), "-l", &scratch.text("live"), &scratch.text("scan")];
        scratch.run(&Suite::skeg(), "s6-rc-init", &words).expect(0);
        let mut world = Self { scratch, _scanner: scanner, before: BTreeMap::new() };
        world.start(scenario.up_before);
        for name in scenario.up_before {
            if find(scenario.a, name).is_some_and(|def| def.kind == "longrun") {
                world.before.insert((*name).to_owned(), world.identity(name));
            }
        }
        world
    }

    fn service(&self, name: &str) -> PathBuf {
        self.scratch.at("scan").join(name)
    }

    fn identity(&self, name: &str) -> (u64, u32) {
        let dir = self.service(name);
        let inode = std::fs::metadata(&dir).map_or(0, |m| m.ino());
        (inode, harness::status::Status::read(&dir).map_or(0, |s| s.pid))
    }

    fn words(&self) -> Vec<String> {
        let text = |name| self.scratch.text(name);
        vec!["-l".into(), text("live"), "-f".into(), text("conversion"), text("b.img")]
    }

    /// The update again: the rules name old services, so they are for the old image alone.
    fn update(&self, suite: &Suite, new: bool) -> Done {
        let words = self.words();
        let plain = [&words[..2], &words[4..]].concat();
        self.scratch.run(suite, "s6-rc-update", if new { &plain } else { &words })
    }

    /// Brings services up.
    fn start(&self, names: &[&str]) {
        self.change("-u", names);
    }

    fn change(&self, way: &str, names: &[&str]) {
        let live = self.scratch.text("live");
        let words = [&["-l", &live, way, "change"], names].concat();
        self.scratch.run(&Suite::skeg(), "s6-rc", &words).expect(0);
    }

    /// After a failure that was reported: every service that the update is about is stopped and started, so that it is
    /// where its record says, and what is left over goes.
    fn repair(&self, scenario: &Scenario, new: bool) {
        let up = if new { scenario.up_after } else { scenario.up_before };
        let kept = |name: &str| scenario.untouched.iter().any(|(a, b)| name == if new { *b } else { *a });
        let others: Vec<&str> = up.iter().copied().filter(|name| !kept(name)).collect();
        self.change("-d", &others);
        self.start(up);
        self.recover(&Suite::skeg()).expect(0);
    }

    fn recover(&self, suite: &Suite) -> Done {
        self.scratch.run(suite, "recover", &["-l", &self.scratch.text("live")])
    }

    /// Which side is in force: everything must be of that side. Says what is not.
    fn judge(&self, scenario: &Scenario) -> Result<bool, String> {
        self.judge_with(scenario, true)
    }

    /// As [`Self::judge`]; not `strict`: a command that reported a failure may leave services as they are.
    fn judge_with(&self, scenario: &Scenario, strict: bool) -> Result<bool, String> {
        let live = std::fs::read_link(self.scratch.at("live")).map_err(|e| format!("LIVE: {e}"))?;
        let image = std::fs::read(self.scratch.at("live/image")).map_err(|e| format!("image: {e}"))?;
        let is = |name: &str| std::fs::read(self.scratch.at(name)).is_ok_and(|bytes| bytes == image);
        let new = is("b.img");
        if !new && !is("a.img") {
            return Err("the image is neither the old nor the new one".into());
        }
        let (tree, up) = if new { (scenario.b, scenario.up_after) } else { (scenario.a, scenario.up_before) };
        let leftover = |what: &str, found: BTreeSet<String>, wanted: BTreeSet<String>| {
            if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?} instead of {wanted:?}")) }
        };
        let generation = live.display().to_string();
        let siblings = names(self.scratch.path()).into_iter().filter(|n| n.starts_with("live")).collect();
        leftover("beside LIVE", siblings, ["live".into(), "live:sv".into(), generation].into())?;
        let longruns: BTreeSet<String> = longruns(tree);
        let entries = names(&self.scratch.at("scan")).into_iter().filter(|n| n != ".s6-svscan").collect();
        leftover("scan directory", entries, longruns.clone())?;
        let mut ids: BTreeSet<String> = ["lock".into(), "history".into()].into();
        for name in &longruns {
            ids.insert(self.judge_directory(tree, name, strict)?);
        }
        let mut found: BTreeSet<String> = names(&self.scratch.at("live:sv"));
        found.insert("history".into());
        leftover("LIVE:sv", found, ids)?;
        if strict {
            self.judge_states(tree, up)?;
        }
        self.judge_untouched(scenario, new)?;
        Ok(new)
    }

    /// The directory of a longrun: its versions, its names, its definition. Its ID.
    fn judge_directory(&self, tree: Tree, name: &str, strict: bool) -> Result<String, String> {
        let link = std::fs::read_link(self.service(name)).map_err(|e| format!("{name}: {e}"))?;
        let dir = self.service(name);
        if link.parent() != Some(&self.scratch.at("live:sv")) {
            return Err(format!("{name} points to {}", link.display()));
        }
        let version = |which: &str| std::fs::read_link(dir.join(which)).ok().map(|v| v.display().to_string());
        let (current, next) = (version("current"), version("next"));
        let used: BTreeSet<String> = current.iter().chain(&next).cloned().collect();
        let found: BTreeSet<String> =
            names(&dir).into_iter().filter(|n| n.starts_with('v') && n[1..].parse::<u32>().is_ok()).collect();
        if strict && used != found {
            return Err(format!("{name} has versions {found:?}, uses {used:?}"));
        }
        let mut expected = BTreeSet::new();
        for version in &used {
            expected.extend(names(&dir.join(version)));
        }
        let links: BTreeSet<String> = names(&dir)
            .into_iter()
            .filter(|n| std::fs::read_link(dir.join(n)).is_ok_and(|t| t.starts_with("current")))
            .collect();
        if strict && links != expected || !links.is_superset(&expected) {
            return Err(format!("{name} has the names {links:?} instead of {expected:?}"));
        }
        if let Some(def) = find(tree, name) {
            let latest = dir.join(next.or(current).unwrap_or_default()).join("run");
            if std::fs::read_to_string(&latest).ok() != Some(run_of(def)) {
                return Err(format!("{name}: its definition is not that of the image"));
            }
        }
        Ok(link.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// What is wanted up is up, the rest is down.
    fn judge_states(&self, tree: Tree, up: &[&str]) -> Result<(), String> {
        for (name, def) in tree {
            let wanted = up.contains(name);
            let is_up = || {
                if def.kind == "oneshot" {
                    return self.scratch.at("flags").join(name).exists();
                }
                svstat_up(&self.service(name))
            };
            if !until(PATIENCE, || is_up() == wanted) {
                return Err(format!("{name} is {}", if wanted { "down" } else { "up" }));
            }
            if def.kind == "longrun" && self.service(name).join("down").exists() == wanted {
                return Err(format!("the down file of {name} is wrong"));
            }
        }
        let listed =
            self.scratch.run(&Suite::skeg(), "s6-rc", &["-l", &self.scratch.text("live"), "-a", "list"]);
        let mut listed = listed.lines();
        listed.retain(|n| !n.starts_with("s6rc-"));
        let mut wanted: Vec<String> = up.iter().map(|n| (*n).to_owned()).collect();
        wanted.sort();
        if listed == wanted {
            Ok(())
        } else {
            Err(format!("the states say {listed:?} instead of {wanted:?}"))
        }
    }

    fn judge_untouched(&self, scenario: &Scenario, new: bool) -> Result<(), String> {
        for (before, after) in scenario.untouched {
            let now = self.identity(if new { after } else { before });
            if self.before.get(*before) != Some(&now) {
                return Err(format!(
                    "{before} is another: {now:?} instead of {:?}",
                    self.before.get(*before)
                ));
            }
        }
        Ok(())
    }
}

fn longruns(tree: Tree) -> BTreeSet<String> {
    let mut found: BTreeSet<String> =
        tree.iter().filter(|(_, d)| d.kind == "longrun").map(|(n, _)| (*n).to_owned()).collect();
    // The compiler makes these two for every image that can need them.
    found.insert("s6rc-oneshot-runner".into());
    found.insert("s6rc-fdholder".into());
    found
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned())).collect()
}

/// Whether Debian's s6-svstat, or where it is missing the status file, says that a service is up.
fn svstat_up(dir: &Path) -> bool {
    match Suite::debian() {
        Some(debian) => run(debian.command("s6-svstat").args(["-o", "up"]).arg(dir)).out.trim() == "true",
        None => harness::status::Status::read(dir).is_some_and(|s| s.up()),
    }
}

/// How a point went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Point {
    Old,
    New,
    /// The command ended before it came to that call.
    Beyond,
}

/// One trial: the fault at call n, recovery, the judge, the update again, the judge.
fn trial(scenario: &Scenario, scanner: &Suite, n: u32, fault: Fault) -> Result<Point, String> {
    let world = World::new(scenario, scanner);
    let struck =
        fault::strike(&world.scratch, &Suite::skeg_fault(), "s6-rc-update", &world.words(), n, fault);
    let killed = struck.code == 137;
    if struck.hung() || fault == Fault::Kill && !killed && struck.code != 0 {
        return Err(format!("the update ended with {struck:?}"));
    }
    let recovered = world.recover(&Suite::skeg());
    if recovered.code != 0 {
        return Err(format!("recovery: {recovered:?}"));
    }
    // A command that ends with a failure is a finished command: it has said which services are not up.
    let failed = fault != Fault::Kill && (struck.code != 0 || struck.err.contains("'down' file"));
    let told = |e| format!("{e}; exit {}: {}{}", struck.code, struck.err, recovered.err);
    let new = world.judge_with(scenario, !failed).map_err(told)?;
    if failed {
        world.repair(scenario, new);
    }
    let again = world.update(&Suite::skeg(), new);
    if again.code != 0 {
        return Err(format!("the update again: {again:?}"));
    }
    if !world.judge(scenario).map_err(|e| format!("after the update again: {e}"))? {
        return Err("the update again did not lead to the new state".into());
    }
    assert!(listening(&world.scratch.at("scan/.s6-svscan/control")));
    Ok(match (fault == Fault::Kill && !killed, new) {
        (true, _) => Point::Beyond,
        (false, true) => Point::New,
        (false, false) => Point::Old,
    })
}

/// Recovery is killed, too: the update at call `first`, the recovery at call `second`, then it is run again.
fn double_trial(scenario: &Scenario, scanner: &Suite, first: u32, second: u32) -> Result<Point, String> {
    let world = World::new(scenario, scanner);
    fault::strike(&world.scratch, &Suite::skeg_fault(), "s6-rc-update", &world.words(), first, Fault::Kill);
    let words = ["-l".to_owned(), world.scratch.text("live")];
    let killed = fault::strike(&world.scratch, &Suite::skeg_fault(), "recover", &words, second, Fault::Kill);
    if killed.code != 137 && killed.code != 0 {
        return Err(format!("the first recovery: {killed:?}"));
    }
    let recovered = world.recover(&Suite::skeg());
    if recovered.code != 0 {
        return Err(format!("the second recovery: {recovered:?}"));
    }
    let new = world.judge(scenario)?;
    Ok(match (killed.code, new) {
        (0, _) => Point::Beyond,
        (_, true) => Point::New,
        (_, false) => Point::Old,
    })
}

/// Every call of the recovery of an update that was killed before its commit and after it.
fn enumerate_recovery(scenario: &Scenario, scanner: &Suite) {
    let calls = count(scenario, scanner);
    for first in [calls * 2 / 5, calls * 3 / 5] {
        strike_all(scenario, &format!("recovery after a kill at call {first}"), 1, 400, |n| {
            double_trial(scenario, scanner, first, n)
        });
    }
}

/// How many calls an update makes that nothing disturbs.
fn count(scenario: &Scenario, scanner: &Suite) -> u32 {
    let world = World::new(scenario, scanner);
    let mut command = world.scratch.command(&Suite::skeg_fault(), "s6-rc-update", &world.words());
    let (total, done) = fault::count(&world.scratch, &mut command, "s6-rc-update");
    done.expect(0);
    assert_eq!(world.judge(scenario), Ok(true), "{}: an update that nothing disturbs", scenario.name);
    total
}

/// Tries each call from `first` to `last`, or until ten in a row lie beyond the command's end; tells the counts.
fn strike_all(
    scenario: &Scenario,
    what: &str,
    first: u32,
    last: u32,
    trial: impl Fn(u32) -> Result<Point, String> + Sync,
) {
    let (next, old, new) = (AtomicU32::new(first), AtomicUsize::new(0), AtomicUsize::new(0));
    let beyond = AtomicUsize::new(0);
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Relaxed);
                    if n > last || beyond.load(Relaxed) >= 10 {
                        return;
                    }
                    match trial(n) {
                        Ok(Point::Old) => _ = old.fetch_add(1, Relaxed),
                        Ok(Point::New) => _ = new.fetch_add(1, Relaxed),
                        Ok(Point::Beyond) => _ = beyond.fetch_add(1, Relaxed),
                        Err(e) => faults.lock().unwrap().push(format!("call {n}: {e}")),
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    let (old, new) = (old.into_inner(), new.into_inner());
    eprintln!("{}: {what}: {old} old, {new} new, {} wrong", scenario.name, faults.len());
    assert!(faults.is_empty(), "{}: {what}: {faults:#?}", scenario.name);
}

/// Every call of a scenario's update.
fn enumerate(scenario: &Scenario, scanner: &Suite, fault: Fault) {
    let total = count(scenario, scanner);
    // A part of the calls, for whoever looks into one: SKEG_CALLS=100-120.
    let part = std::env::var("SKEG_CALLS").ok();
    let part = part
        .as_deref()
        .and_then(|p| p.split_once('-'))
        .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    // The number of calls varies a little with what has happened when the command looks.
    let (first, last) = part.unwrap_or((1, total + 20));
    let what = format!("{fault:?} at each of {total} calls");
    strike_all(scenario, &what, first, last, |n| trial(scenario, scanner, n, fault));
}

#[test]
fn a_kill_at_any_call_leaves_the_old_or_the_new_with_a_changed_script() {
    enumerate(&SCENARIOS[0], &Suite::skeg(), Fault::Kill);
}

#[test]
fn a_kill_at_any_call_leaves_the_old_or_the_new_with_services_added_removed_renamed() {
    enumerate(&SCENARIOS[1], &Suite::skeg(), Fault::Kill);
}

#[test]
fn a_kill_at_any_call_leaves_the_old_or_the_new_with_other_dependencies() {
    enumerate(&SCENARIOS[2], &Suite::skeg(), Fault::Kill);
}

#[test]
fn a_full_file_system_at_any_call_leaves_the_old_or_the_new() {
    enumerate(&SCENARIOS[0], &Suite::skeg(), Fault::Errno(fault::ENOSPC));
}

#[test]
fn a_kill_at_any_call_on_debians_tree() {
    if let Some(debian) = Suite::debian() {
        enumerate(&SCENARIOS[0], &debian, Fault::Kill);
    }
}

#[test]
fn a_kill_at_any_call_of_the_recovery_is_recovered_from() {
    enumerate_recovery(&SCENARIOS[2], &Suite::skeg());
}
