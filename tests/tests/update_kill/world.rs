// SPDX-License-Identifier: ISC
//! A live tree of a scenario, and the judge, which knows nothing of skeg's own code: lstat, /proc, the documented layout, and
//! Debian's `s6-svstat`.

use crate::scenario::{Def, Ends, Scenario, longruns};
use harness::process::{self, Done, run};
use harness::status::Status;
use harness::tree::Scanner;
use harness::wait::PATIENCE;
use harness::{Scratch, Suite, until};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A live tree in the state before the update, in a directory of its own below that of the scenario.
pub struct World<'a> {
    pub scenario: &'a Scenario,
    /// The scenario's: images and rules.
    pub scratch: &'a Scratch,
    name: String,
    scanner: Option<Scanner>,
    /// Inode and process of each service that is up, before: of a oneshot its mark's inode and length.
    before: BTreeMap<String, (u64, u64)>,
    /// What shall be up, where it is not what the scenario says.
    pub wanted: Option<Vec<String>>,
    /// Debian's s6-svstat has been asked: once a trial, since it costs as much as all the rest.
    asked: Cell<bool>,
}

/// How long a tree must stay as it is to be at rest.
const SILENCE: Duration = Duration::from_millis(60);

pub fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned())).collect()
}

fn link(path: &Path) -> Option<String> {
    std::fs::read_link(path).ok().map(|target| target.display().to_string())
}

fn set<const N: usize>(list: [&str; N]) -> BTreeSet<String> {
    list.map(str::to_owned).into()
}

fn same(what: &str, found: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?} instead of {wanted:?}")) }
}

/// Holds what Debian's s6-svstat says, where it is installed, against what is wanted.
fn svstat(dir: &Path, wanted: bool) -> Result<(), String> {
    let Some(debian) = Suite::debian() else { return Ok(()) };
    let done = run(debian.command("s6-svstat").args(["-o", "up,wantedup"]).arg(dir));
    let expected = format!("{wanted} {wanted}\n");
    if done.out == expected { Ok(()) } else { Err(format!("s6-svstat says of {}: {done:?}", dir.display())) }
}

impl<'a> World<'a> {
    /// Before anything: a scanner that runs, and nothing else.
    pub fn empty(
        scenario: &'a Scenario,
        scratch: &'a Scratch,
        name: String,
        scanner: &Suite,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        scratch.folder(format!("{name}/flags"));
        let scanner = Scanner::start_with(scratch, scanner, &format!("{name}/scan"), &[], prepare);
        Self {
            scenario,
            scratch,
            name,
            scanner: Some(scanner),
            before: BTreeMap::new(),
            wanted: None,
            asked: Cell::new(false),
        }
    }

    /// What is up is listed, what is listed is up, or it is told that this is not certain.
    pub fn judge_truth(&self) -> Result<(), String> {
        let mut wrong = String::new();
        let is_true = || {
            let live = self.text("live");
            let listed = self.scratch.run(&Suite::skeg(), "s6-rc", &["-l", &live, "-a", "list"]);
            let is_listed = |name: &str| listed.out.lines().any(|l| l == name);
            wrong = String::new();
            for def in self.scenario.a.iter().filter(|d| d.kind != "bundle") {
                let (name, is_oneshot) = (&def.name, def.kind == "oneshot");
                let status = Status::read(&self.service(name));
                let up = if is_oneshot {
                    self.at("flags").join(name).exists()
                } else {
                    status.is_some_and(|s| s.up() && s.want_up)
                };
                if up != is_listed(name) {
                    wrong = format!("{name} is up: {up}, listed: {}", !up);
                }
            }
            wrong.is_empty()
        };
        if until(PATIENCE, is_true) { Ok(()) } else { Err(wrong) }
    }

    /// Waits until nothing changes any more: no command is unread, no script runs, nothing is on its way.
    pub fn settle(&self) -> Result<String, String> {
        let mut last = (String::new(), std::time::Instant::now());
        let still = || {
            let now = self.picture();
            if now != last.0 {
                last = (now, std::time::Instant::now());
            }
            last.1.elapsed() > SILENCE
        };
        if until(PATIENCE, still) { Ok(last.0) } else { Err("it does not come to rest".into()) }
    }

    /// The tree of the old image, with what is up in it.
    pub fn new(
        scenario: &'a Scenario,
        scratch: &'a Scratch,
        name: String,
        scanner: &Suite,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let mut world = Self::empty(scenario, scratch, name, scanner, prepare);
        // Its oneshot runner is the variant for tests where the scanner is.
        let all = if scanner.binary() == Suite::skeg_fault().binary() { scanner } else { &Suite::skeg() };
        world.init(all).expect(0);
        world.change("-u", &scenario.up_before).expect(0);
        world.remember();
        world
    }

    /// Takes note of who is who.
    pub fn remember(&mut self) {
        let up = &self.scenario.up_before;
        self.before = up.iter().map(|name| (name.clone(), self.identity(&self.scenario.a, name))).collect();
    }

    /// The name of its directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.scratch.at(&self.name).join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    pub fn init_words(&self) -> Vec<String> {
        let image = self.scratch.text(&format!("{}a.img", self.scenario.images));
        ["-c".into(), image, "-l".into(), self.text("live"), self.text("scan")].into()
    }

    pub fn init(&self, suite: &Suite) -> Done {
        self.scratch.run(suite, "s6-rc-init", &self.init_words())
    }

    pub fn update_words(&self) -> Vec<String> {
        if !self.scenario.words.is_empty() {
            let words = self.scenario.words.iter().map(|w| (*w).to_owned());
            return ["-l".into(), self.text("live")].into_iter().chain(words).collect();
        }
        let file = |name| self.scratch.text(name);
        if self.scenario.applet == "sync" {
            let image = format!("{}.img", self.text("").trim_end_matches('/'));
            return ["-l".into(), self.text("live"), "-o".into(), image, "--if-changed".into(), file("b")]
                .into();
        }
        ["-l".into(), self.text("live"), "-f".into(), file("conversion"), file("b.img")].into()
    }

    /// The update again: the rules name old services, so they are for the old image alone.
    pub fn update(&self, suite: &Suite, new: bool) -> Done {
        let words = self.update_words();
        let plain: Vec<String> = if self.scenario.conversion.is_empty() {
            words.clone()
        } else {
            [&words[..2], &words[4..]].concat()
        };
        self.scratch.run(suite, self.scenario.applet, if new { &plain } else { &words })
    }

    pub fn change_words<N: AsRef<str>>(&self, way: &str, names: &[N]) -> Vec<String> {
        let mut words: Vec<String> = ["-l".into(), self.text("live"), way.into(), "change".into()].into();
        words.extend(names.iter().map(|n| n.as_ref().to_owned()));
        words
    }

    pub fn change<N: AsRef<str>>(&self, way: &str, names: &[N]) -> Done {
        self.scratch.run(&Suite::skeg(), "s6-rc", &self.change_words(way, names))
    }

    pub fn recover_words(&self) -> Vec<String> {
        ["-l".into(), self.text("live")].into()
    }

    pub fn recover(&self) -> Done {
        self.scratch.run(&Suite::skeg(), "recover", &self.recover_words())
    }

    /// After a failure that was reported: every service that the update is about is stopped and started, so that it is
    /// where its record says.
    pub fn repair(&self, new: bool) -> Result<(), String> {
        let s = self.scenario;
        let up = if new { &s.up_after } else { &s.up_before };
        let kept = |name: &String| s.untouched.iter().any(|(a, b)| name == if new { b } else { a });
        let others: Vec<_> = up.iter().filter(|name| !kept(name)).cloned().collect();
        for (way, names) in [("-d", &others), ("-u", up)] {
            let done = self.change(way, names);
            if done.code != 0 {
                return Err(format!("repairing: {done:?}"));
            }
        }
        Ok(())
    }

    pub fn service(&self, name: &str) -> PathBuf {
        self.at("scan").join(name)
    }

    fn identity(&self, tree: &[Def], name: &str) -> (u64, u64) {
        if tree.iter().any(|d| d.name == name && d.kind == "oneshot") {
            let mark = self.mark(tree, name);
            return std::fs::metadata(mark).map_or((0, 0), |m| (m.ino(), m.len()));
        }
        let dir = self.service(name);
        let inode = std::fs::metadata(&dir).map_or(0, |m| m.ino());
        (inode, Status::read(&dir).map_or(0, |s| u64::from(s.pid)))
    }

    /// The file that says that a oneshot is up. One that was renamed has left it under its old name.
    fn mark(&self, tree: &[Def], name: &str) -> PathBuf {
        let flags = self.at("flags");
        let renamed = self.scenario.untouched.iter().find(|(_, new)| new == name).map(|(old, _)| old);
        let is_new = std::ptr::eq(tree, self.scenario.b.as_slice());
        flags.join(renamed.filter(|_| is_new).map_or(name, String::as_str))
    }

    /// Which side is in force: everything must be of that side, and nothing of the other. Says what is not.
    /// Not `strict`: a command that reported a failure may leave services as they are.
    pub fn judge(&self, strict: bool) -> Result<bool, String> {
        let s = self.scenario;
        let live = link(&self.at("live")).ok_or("no LIVE")?;
        let image = std::fs::read(self.at("live/image")).map_err(|e| format!("image: {e}"))?;
        let is = |name: &str| std::fs::read(self.scratch.at(name)).is_ok_and(|bytes| bytes == image);
        let new = is("b.img");
        if !new && !is("a.img") {
            return Err("the image is neither the old nor the new one".into());
        }
        let (tree, up) = if new { (&s.b, &s.up_after) } else { (&s.a, &s.up_before) };
        let up = self.wanted.as_ref().unwrap_or(up);
        let siblings: BTreeSet<String> = names(&self.at(".")).into_iter().filter(|n| n != "flags").collect();
        same("beside LIVE", &siblings, &set(["live", "live:sv", &live, "scan", "scan.log"]))?;
        let generation = set(["state", "image", "compiled", "scandir", "skeg", "prefix", "servicedirs"]);
        same("LIVE:N", &names(&self.at("live/")), &generation)?;
        let longruns = longruns(tree);
        same("servicedirs", &names(&self.at("live/servicedirs")), &longruns)?;
        let mut entries = names(&self.at("scan"));
        entries.remove(".s6-svscan");
        same("scan directory", &entries, &longruns)?;
        let mut ids = Vec::new();
        for name in &longruns {
            let def = tree.iter().find(|d| d.name == *name);
            let wanted = def.filter(|_| strict).map(|_| up.contains(name));
            ids.push(self.judge_directory(def, name, wanted, new)?);
        }
        let recorded = self.recorded_directories();
        if recorded != ids {
            return Err(format!(
                "the state file has the directories {recorded:?}, the scan directory {ids:?}"
            ));
        }
        let mut ids: BTreeSet<String> = ids.into_iter().collect();
        ids.extend(set(["lock", "history", "names"]));
        let mut found = names(&self.at("live:sv"));
        found.insert("history".into());
        same("LIVE:sv", &found, &ids)?;
        if strict {
            self.judge_states(tree, up)?;
        }
        self.judge_untouched(new)?;
        Ok(new)
    }

    /// The directory of a longrun: its versions, its names, its definition, and nothing else. Its ID.
    fn judge_directory(
        &self,
        def: Option<&Def>,
        name: &str,
        wanted: Option<bool>,
        new: bool,
    ) -> Result<String, String> {
        let dir = self.service(name);
        let target = link(&dir).ok_or_else(|| format!("no entry {name}"))?;
        let id = target.strip_prefix(&format!("{}/", self.text("live:sv")));
        let id = id.ok_or_else(|| format!("{name} points to {target}"))?.to_owned();
        if link(&self.at("live/servicedirs").join(name)) != Some(format!("../{id}")) {
            return Err(format!("the scan directory and servicedirs have different directories for {name}"));
        }
        let (current, next) = (link(&dir.join("current")), link(&dir.join("next")));
        let Some(current) = current else { return Err(format!("{name} has no current")) };
        if !new && (next.is_some() || current != "v1") {
            return Err(format!("{name} has {current} and {next:?} under the old image"));
        }
        let is_untouched = self.scenario.untouched.iter().any(|(_, after)| after == name);
        if wanted == Some(true) && next.is_some() && !is_untouched {
            return Err(format!("{name} was started from {current}, not from {next:?}"));
        }
        let latest = next.as_ref().unwrap_or(&current);
        // Where `current` moves at once, as under a foreign supervisor, a process that lives on keeps the version that it
        // was started from.
        let kept = if is_untouched { "v1".to_owned() } else { current.clone() };
        let mut expected = set(["current", "supervise", "event"]);
        expected.extend(next.iter().map(|_| "next".to_owned()));
        for version in [&current, latest, &kept] {
            expected.insert(version.clone());
            let version = names(&dir.join(version));
            if version.contains("instance") {
                expected.extend(set(["template", "instances"]));
            }
            expected.extend(version);
        }
        let down = names(&dir).contains("down");
        expected.extend(down.then(|| "down".to_owned()));
        // Sockets and pipes of those that are up lie there, too. One that has just been started may be at making them.
        let mut found = names(&dir);
        if name.starts_with("s6rc-") || def.is_some_and(Def::is_piped) {
            until(PATIENCE, || {
                found = names(&dir);
                !found.iter().any(|name| name.ends_with(".new"))
            });
            found.retain(|n| !matches!(n.as_str(), "s" | "held" | "stdin" | "stdout"));
        }
        same(name, &found, &expected)?;
        if wanted == Some(down) {
            return Err(format!("the down file of {name} is wrong"));
        }
        let stale = link(&dir.join("run"));
        if stale.as_deref() != Some("current/run") {
            return Err(format!("{name}: run is {stale:?}"));
        }
        let events = names(&dir.join("event"));
        if !events.is_empty() {
            return Err(format!("{name}: left in event/: {events:?}"));
        }
        if let Some(def) = def {
            self.judge_definition(def, &dir.join(latest))?;
        }
        Ok(id)
    }

    fn judge_definition(&self, def: &Def, version: &Path) -> Result<(), String> {
        let files = def.files();
        let run = std::fs::read_to_string(version.join("run")).unwrap_or_default();
        if def.is_piped() {
            return if run.is_empty() { Err(format!("{} has no run", def.name)) } else { Ok(()) };
        }
        // What instances are made of lies beside the versions; each of those says by an empty directory that it has some.
        let place = |file: &str| if file.starts_with("template/") { "instance" } else { file }.to_owned();
        let wanted: BTreeSet<String> = files.iter().map(|(file, _)| place(file)).collect();
        same(&format!("the definition of {}", def.name), &names(version), &wanted)?;
        for (file, content) in &files {
            let dir = if place(file) == *file { version } else { version.parent().unwrap_or(version) };
            if std::fs::read_to_string(dir.join(file)).ok().as_ref() != Some(content) {
                return Err(format!("{}: its {file} is not that of the image", def.name));
            }
        }
        Ok(())
    }

    /// What is wanted up is up, the rest is down.
    fn judge_states(&self, tree: &[Def], up: &[String]) -> Result<(), String> {
        for def in tree.iter().filter(|d| d.kind != "bundle") {
            let (name, wanted) = (&def.name, up.contains(&def.name));
            let is_oneshot = def.kind == "oneshot";
            let is_up = || {
                if is_oneshot {
                    return self.mark(tree, name).exists();
                }
                Status::read(&self.service(name)).is_some_and(|s| s.up())
            };
            // A process that had been told to end when its command was killed comes back a second later.
            let asks = !is_oneshot && !self.asked.get() && self.is_touched(name);
            let mut said = Ok(());
            let is_so = || {
                is_up() == wanted && {
                    said = if asks { svstat(&self.service(name), wanted) } else { Ok(()) };
                    said.is_ok()
                }
            };
            if !until(PATIENCE, is_so) {
                said?;
                return Err(format!("{name} is {}", if wanted { "down" } else { "up" }));
            }
        }
        self.asked.set(true);
        self.judge_record(tree, up)?;
        let listed = self.scratch.run(&Suite::skeg(), "s6-rc", &["-l", &self.text("live"), "-a", "list"]);
        let listed: BTreeSet<String> = listed.out.lines().map(str::to_owned).collect();
        let listed = listed.into_iter().filter(|n| !n.starts_with("s6rc-")).collect();
        same("the states say", &listed, &up.iter().cloned().collect())
    }

    /// The state file, read by the documented layout: a byte a service, longruns first, each kind in the order of the names;
    /// then a bit a service, which says that it is owed where it is not up.
    fn judge_record(&self, tree: &[Def], up: &[String]) -> Result<(), String> {
        let file = std::fs::read(self.at("live/state")).map_err(|e| format!("state: {e}"))?;
        let oneshots = tree.iter().filter(|d| d.kind == "oneshot").map(|d| d.name.clone());
        let services: Vec<String> =
            longruns(tree).into_iter().chain(oneshots.collect::<BTreeSet<_>>()).collect();
        let count = file.get(8..12).map_or(0, |n| u32::from_le_bytes([n[0], n[1], n[2], n[3]]) as usize);
        let (bytes, owed) = file.get(64..).and_then(|rest| rest.split_at_checked(count)).unwrap_or_default();
        if count != services.len() || bytes.len() != count || owed.len() < count.div_ceil(8) {
            return Err(format!("the state file is about {count} services, not about {services:?}"));
        }
        for (at, (name, byte)) in services.iter().zip(bytes).enumerate() {
            let is_owed = *byte != 1 && owed.get(at / 8).is_none_or(|bits| bits >> (at % 8) & 1 != 0);
            let should = u8::from(up.contains(name));
            let is_right = *byte == should || name.starts_with("s6rc-") && *byte < 2;
            let may_be_owed = should == 0 && self.scenario.ends != Ends::Well;
            if !is_right || is_owed && !may_be_owed {
                return Err(format!("the state file says {byte} of {name}, owed: {is_owed}"));
            }
        }
        Ok(())
    }

    /// The directories of the longruns in the order of their names, as the state file has them: behind what is owed.
    fn recorded_directories(&self) -> Vec<String> {
        let file = std::fs::read(self.at("live/state")).unwrap_or_default();
        let word = |bytes: &[u8]| bytes.first_chunk().copied().map_or(u32::MAX, u32::from_le_bytes);
        let number = |at: usize| file.get(at..).map_or(0, word) as usize;
        let (count, longruns) = (number(8), number(48));
        let ids = file.get(64 + count + count.div_ceil(8)..).unwrap_or_default();
        let named = ids.chunks(8).map(|id| format!("{}.{}", word(id), id.get(4..).map_or(u32::MAX, word)));
        if ids.len() == 8 * longruns { named.collect() } else { Vec::new() }
    }

    /// Whether a service may have another process than before, or none: one that keeps its own is known by that, one that was
    /// down and stays so by its status.
    fn is_touched(&self, name: &str) -> bool {
        let s = self.scenario;
        let was_up = self.before.contains_key(name) || s.up_after.iter().any(|n| n == name);
        was_up && !s.untouched.iter().any(|(old, new)| old == name || new == name)
    }

    fn judge_untouched(&self, new: bool) -> Result<(), String> {
        let s = self.scenario;
        for (before, after) in &s.untouched {
            let now = if new { self.identity(&s.b, after) } else { self.identity(&s.a, before) };
            let is_longrun = s.a.iter().any(|d| d.name == *before && d.kind == "longrun");
            if is_longrun && !process::alive(now.1 as u32) {
                return Err(format!("the process {} of {before} is not there", now.1));
            }
            if self.before.get(before) != Some(&now) {
                let then = self.before.get(before);
                return Err(format!("{before} is another: {now:?} instead of {then:?}"));
            }
        }
        Ok(())
    }

    /// A file system that was full when the next generation was to be built has interrupted no service.
    pub fn judge_uninterrupted(&self) -> Result<(), String> {
        for (name, before) in &self.before {
            if self.identity(&self.scenario.a, name) != *before {
                return Err(format!("{name} was interrupted before the next generation was built"));
            }
        }
        Ok(())
    }

    /// Nothing is up: no process under any service directory, no mark of a oneshot.
    pub fn judge_stopped(&self) -> Result<(), String> {
        let mut marks = names(&self.at("flags"));
        // One that was renamed does not know where it has left its mark.
        for (old, _) in self.scenario.untouched.iter().filter(|(old, new)| old != new) {
            marks.remove(old);
        }
        same("what is marked as up", &marks, &BTreeSet::new())?;
        for name in names(&self.at("live:sv")) {
            if let Some(status) = Status::read(&self.at("live:sv").join(&name))
                && status.pid != 0
            {
                return Err(format!("the service in {name} has process {}", status.pid));
            }
        }
        Ok(())
    }

    /// What lies on disk, in one text: names, links, states, the journal; without what differs from one run to the next.
    pub fn picture(&self) -> String {
        let mut picture = String::new();
        let mut todo = vec![self.at(".")];
        while let Some(dir) = todo.pop() {
            for name in names(&dir) {
                let path = dir.join(&name);
                let Ok(kind) = std::fs::symlink_metadata(&path).map(|m| m.file_type()) else { continue };
                let name = if name.contains("ftrig1:") { "ftrig".into() } else { name };
                let content = match name.as_str() {
                    "scan.log" | "lock" | "history" | "death_tally" | "image" => String::new(),
                    "status" => format!(
                        "{:?}",
                        Status::read(dir.parent().unwrap_or(&dir)).map(|s| (s.up(), s.want_up))
                    ),
                    _ if kind.is_symlink() => link(&path).unwrap_or_default(),
                    _ if kind.is_file() => format!("{:?}", std::fs::read(&path).unwrap_or_default()),
                    _ => String::new(),
                };
                let parent = dir.display().to_string().replace(&self.name, "");
                picture.push_str(&format!("{parent}/{name} {content}\n").replace(&self.name, ""));
                if kind.is_dir() {
                    todo.push(path);
                }
            }
        }
        picture
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        drop(self.scanner.take());
        let _ = std::fs::remove_dir_all(self.scratch.at(&self.name));
    }
}
