// SPDX-License-Identifier: ISC
//! What `skeg recover` says: what it has done, or why nothing can be done and what to do about it. That it does it is shown by
//! `update_kill`.

use harness::fault::{self, Fault};
use harness::tree::Scanner;
use harness::{Done, Scratch, Suite};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;

struct World {
    scratch: Scratch,
    scanner: Scanner,
}

impl World {
    /// Two images that differ in a script and in a service.
    fn new() -> Self {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        for (tree, names) in [("a", &["web", "old"][..]), ("b", &["web", "new"])] {
            for name in names {
                scratch.file(format!("{tree}/{name}/type"), "longrun\n");
                scratch.file(format!("{tree}/{name}/run"), format!("#!/bin/sh\n# {tree}\nexec sleep 1000\n"));
            }
            scratch.run(&skeg, "s6-rc-compile", &[&format!("{tree}.img"), tree]).expect(0);
        }
        let scanner = Scanner::start(&scratch, &skeg);
        Self { scratch, scanner }
    }

    fn up() -> Self {
        let world = Self::new();
        world.run("s6-rc-init", &["-c", &world.text("a.img"), &world.text("scan")]).expect(0);
        world.run("s6-rc", &["-u", "change", "web", "old"]).expect(0);
        world
    }

    fn text(&self, name: &str) -> String {
        self.scratch.text(name)
    }

    fn run(&self, applet: &str, words: &[&str]) -> Done {
        self.scratch.run(&Suite::skeg(), applet, &[&["-l", &self.text("live")], words].concat())
    }

    /// The command with a kill at call n; whether it was.
    fn killed(&self, applet: &str, words: &[&str], n: u32) -> bool {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let done = fault::strike(&self.scratch, &Suite::skeg_fault(), applet, &words, n, Fault::Kill);
        assert!(matches!(done.code, 0 | 137), "{applet} at call {n}: {done:?}");
        done.code == 137
    }

    /// Kills an update at one call after the other until the condition holds; the call.
    fn cut_short(&self, image: &str, condition: impl Fn(&Self) -> bool) {
        let (live, image) = (self.text("live"), self.text(image));
        for n in 1.. {
            assert!(self.killed("apply", &["-l", &live, &image], n), "the update came to its end");
            if condition(self) {
                return;
            }
        }
    }

    fn journal(&self) -> bool {
        self.scratch.at("live:sv/journal").exists()
    }

    fn new_is_in_force(&self) -> bool {
        std::fs::read(self.scratch.at("live/image")).ok() == std::fs::read(self.scratch.at("b.img")).ok()
    }

    /// What it says, with LIVE for the path.
    fn recover(&self, options: &[&str], code: i32) -> String {
        let done = self.run("recover", options).expect(code);
        assert_eq!(done.out, "");
        done.err.replace(&self.text("live"), "LIVE")
    }
}

const NOTHING: &str = "";

#[test]
fn an_update_is_undone_or_completed_and_it_says_which() {
    let world = World::up();
    assert_eq!(world.recover(&[], 0), NOTHING);
    world.cut_short("b.img", World::journal);
    assert_eq!(world.recover(&[], 0), "recover: LIVE: an update that was cut short has been undone\n");
    assert_eq!(world.recover(&[], 0), NOTHING);
    world.cut_short("b.img", World::new_is_in_force);
    assert_eq!(world.recover(&[], 0), "recover: LIVE: an update that was cut short has been completed\n");
    assert_eq!(world.recover(&[], 0), NOTHING);
    world.cut_short("a.img", World::journal);
    assert_eq!(world.recover(&["-v", "0"], 0), NOTHING);
    assert!(!world.journal());
}

#[test]
fn another_command_says_what_it_has_finished_before_its_own_work() {
    let world = World::up();
    world.cut_short("b.img", World::journal);
    let said =
        world.run("s6-rc", &["-d", "change", "old"]).expect(0).err.replace(&world.text("live"), "LIVE");
    assert_eq!(said, "s6-rc: LIVE: an update that was cut short has been undone\n");
}

#[test]
fn a_command_that_only_looks_says_that_one_was_cut_short_and_finishes_nothing() {
    let world = World::up();
    world.cut_short("b.img", World::journal);
    let (image, live) = (world.text("b.img"), world.text("live"));
    let looks: [(&str, &[&str], i32); 6] = [
        ("s6-rc-update", &["-n", &image], 0),
        ("s6-rc", &["-n", "0", "-d", "change", "old"], 0),
        ("plan", &[&image], 0),
        ("why", &["web"], 0),
        ("status", &[], 1),
        ("diff", &[&live, &image], 1),
    ];
    for (applet, words, code) in looks {
        let done = match applet {
            "diff" => world.scratch.run(&Suite::skeg(), applet, words),
            _ => world.run(applet, words),
        };
        assert!(done.code == code || applet == "status", "{applet}: {done:?}");
        assert!(done.err.contains("'skeg recover'"), "{applet}: {}", done.err);
        assert!(world.journal(), "{applet} has finished what was cut short");
    }
    assert_eq!(world.recover(&[], 0), "recover: LIVE: an update that was cut short has been undone\n");
}

#[test]
fn an_init_is_undone_or_completed_and_it_says_which() {
    let world = World::new();
    let mut said = BTreeSet::new();
    let (image, scan, live) = (world.text("a.img"), world.text("scan"), world.text("live"));
    for n in 1.. {
        if !world.killed("s6-rc-init", &["-c", &image, "-l", &live, &scan], n) {
            break;
        }
        let again = if world.scratch.at("live:sv").exists() { world.recover(&[], 0) } else { String::new() };
        let done = again.contains("completed");
        said.insert(again);
        if done {
            break;
        }
    }
    let expected = [
        NOTHING,
        "recover: LIVE: an init that was cut short has been completed\n",
        "recover: LIVE: an init that was cut short has been undone\n",
    ];
    assert_eq!(said.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn a_restart_is_completed_and_it_says_so() {
    let world = World::up();
    let live = world.text("live");
    let journal = (1..).find(|n| {
        assert!(world.killed("restart", &["-l", &live, "web"], *n), "the restart came to its end");
        world.journal()
    });
    assert!(journal.is_some());
    assert_eq!(world.recover(&[], 0), "recover: LIVE: a change that was cut short has been completed\n");
}

#[test]
fn what_can_not_be_finished_is_told_with_its_reason() {
    let mut world = World::up();
    world.cut_short("b.img", World::new_is_in_force);
    assert!(world.scanner.stop(Signal::TERM));
    let said = world.recover(&[], 111);
    assert_eq!(said, "recover: no s6-svscan runs on the scan directory of LIVE: start it, then try again\n");
    let image = world.scratch.at("live/image");
    std::fs::remove_file(&image).unwrap();
    std::fs::write(&image, "no image").unwrap();
    let said = world.recover(&[], 4);
    assert_eq!(said, "recover: LIVE/image is corrupt: an unfinished command can't be finished\n");
    std::fs::write(world.scratch.at("live:sv/journal"), "no journal").unwrap();
    let said = world.recover(&[], 4);
    let why = "can't be understood: another version of skeg wrote it, which can finish it, or it is damaged: \
        then remove it, and start what 'skeg status' shows down";
    assert_eq!(said, format!("recover: LIVE:sv/journal {why}\n"));
    std::fs::remove_dir_all(world.scratch.at("live:sv")).unwrap();
    assert_eq!(world.recover(&[], 111), "recover: no live directory at LIVE: s6-rc-init makes one\n");
}

/// What another version of skeg has made is told as such; once nothing of it is supervised an init makes it anew.
#[test]
fn a_state_file_of_another_version_is_refused_and_replaced_when_nobody_supervises() {
    let mut world = World::up();
    let state = world.scratch.at("live/state");
    let mut bytes = std::fs::read(&state).unwrap();
    bytes[7] = 2;
    std::fs::write(&state, bytes).unwrap();
    let said = "LIVE/state can't be understood: another version of skeg wrote it, or it is damaged: the next boot makes a new one\n";
    assert_eq!(world.recover(&[], 4), format!("recover: {said}"));
    let init = |world: &World, code| {
        let done = world.run("s6-rc-init", &["-c", &world.text("a.img"), &world.text("scan")]).expect(code);
        done.err.replace(&world.text("live"), "LIVE")
    };
    assert_eq!(init(&world, 4), format!("s6-rc-init: {said}"));
    assert!(world.scanner.service("web").status().is_some_and(|s| s.up()));
    assert!(world.scanner.stop(Signal::TERM));
    std::fs::remove_dir_all(&world.scanner.dir).unwrap();
    world.scanner = Scanner::start(&world.scratch, &Suite::skeg());
    assert_eq!(init(&world, 0), NOTHING);
    world.run("s6-rc", &["-u", "change", "web"]).expect(0);
}

/// Who has lost the link still has the services: they are not taken away with their directories.
#[test]
fn an_init_refuses_where_a_supervised_tree_has_lost_its_link() {
    let world = World::up();
    let live = world.scratch.at("live");
    let (generation, pid) =
        (std::fs::read_link(&live).unwrap(), world.scanner.service("web").status().unwrap().pid);
    std::fs::remove_file(&live).unwrap();
    let done = world.run("s6-rc-init", &["-c", &world.text("a.img"), &world.text("scan")]).expect(102);
    assert!(done.err.contains("and supervised"), "{}", done.err);
    std::os::unix::fs::symlink(generation, &live).unwrap();
    assert_eq!(world.recover(&[], 0), NOTHING);
    assert!(world.scanner.service("web").status().is_some_and(|s| s.up() && s.pid == pid));
}

/// The links from names to directories follow the state file: one that somebody has taken away, turned or added hinders nothing,
/// and is mended.
#[test]
fn links_of_names_that_were_taken_away_are_made_again_and_services_live_on() {
    let world = World::up();
    let links = world.scratch.at("live/servicedirs/");
    let seen = || -> BTreeMap<_, _> {
        let entries = std::fs::read_dir(&links).into_iter().flatten().map(|entry| entry.unwrap());
        entries.map(|e| (e.file_name(), std::fs::read_link(e.path()).unwrap())).collect()
    };
    let pids = || ["web", "old"].map(|name| world.scanner.service(name).status().map(|s| s.pid));
    let (before, running) = (seen(), pids());
    assert!(before.len() > 2 && running.iter().all(|pid| pid.is_some_and(|pid| pid != 0)));
    let spoil = || {
        std::fs::remove_file(links.join("old")).unwrap();
        std::fs::remove_file(links.join("web")).unwrap();
        std::os::unix::fs::symlink("../9.9", links.join("web")).unwrap();
        std::os::unix::fs::symlink("../1.0", links.join("stranger")).unwrap();
    };
    spoil();
    assert_eq!(world.recover(&[], 0), "");
    assert_eq!((seen(), pids()), (before.clone(), running));
    std::fs::remove_dir_all(world.scratch.at("live:sv/names")).unwrap();
    assert_eq!(world.recover(&[], 0), "");
    assert_eq!((seen(), pids()), (before.clone(), running));
    // The same for what an update that was cut short left.
    world.cut_short("b.img", World::journal);
    spoil();
    assert_eq!(world.recover(&[], 0), "recover: LIVE: an update that was cut short has been undone\n");
    assert_eq!(seen(), before);
    spoil();
    world.run("apply", &[&world.text("b.img")]).expect(0);
    assert!(world.new_is_in_force());
}

/// What somebody has put where those links are goes: it is not followed, and hinders no update and no recovery.
#[test]
fn what_stands_in_the_place_of_links_of_names_goes_and_is_not_followed() {
    let world = World::up();
    let (names, elsewhere) = (world.scratch.at("live:sv/names"), world.scratch.folder("elsewhere"));
    let precious = world.scratch.file("elsewhere/precious", "it\n");
    let seen = || -> BTreeMap<_, _> {
        let entries = std::fs::read_dir(&names).into_iter().flatten().map(|entry| entry.unwrap());
        entries.map(|e| (e.file_name(), std::fs::read_link(e.path()).ok())).collect()
    };
    let before = seen();
    let away = || std::fs::remove_dir_all(&names).unwrap();
    let spoils: [&dyn Fn(); 3] = [
        &|| {
            away();
            std::fs::write(&names, "a file").unwrap();
        },
        &|| {
            away();
            std::os::unix::fs::symlink(&elsewhere, &names).unwrap();
        },
        &|| {
            std::fs::create_dir_all(names.join("stranger/deep")).unwrap();
            std::fs::remove_file(names.join("web")).unwrap();
            std::fs::create_dir_all(names.join("web/deep")).unwrap();
        },
    ];
    for spoil in spoils {
        spoil();
        assert_eq!(world.recover(&[], 0), NOTHING);
        assert_eq!(seen(), before);
        assert!(std::fs::symlink_metadata(&names).unwrap().is_dir());
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 1, "{}", precious.display());
    }
    // An update that changes names, each time back and forth, puts all of them in their places.
    for spoil in [spoils[0], spoils[1], &away] {
        spoil();
        world.run("apply", &[&world.text("b.img")]).expect(0);
        assert!(
            ["web", "new"].iter().all(|name| names.join(name).join("supervise").exists()),
            "{:?}",
            seen()
        );
        world.run("apply", &[&world.text("a.img")]).expect(0);
        assert_eq!(seen().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    }
    away();
    let skeg = Suite::skeg().command("recover");
    let mut strict = std::process::Command::new("sh");
    strict.args(["-c", "umask 777; exec \"$@\"", "sh"]).arg(skeg.get_program()).args(skeg.get_args());
    harness::process::run(strict.args(["-l", &world.text("live")])).expect(0);
    assert_eq!(std::fs::metadata(&names).unwrap().mode() & 0o777, 0o755);
}

/// A directory with an empty file system over it that is read-only, as long as this lives.
struct Covered(std::path::PathBuf);

impl Covered {
    /// None where that is not allowed.
    fn with_nothing(at: &std::path::Path) -> Option<Self> {
        let done =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "ro", "tmpfs"]).arg(at).status();
        done.is_ok_and(|s| s.success()).then(|| Self(at.into()))
    }
}

impl Drop for Covered {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Nothing depends on the links of names, so where they can't be made services come up all the same, and the journal stays.
#[test]
fn links_of_names_that_can_not_be_made_keep_no_service_down() {
    let world = World::up();
    let (names, image) = (world.scratch.at("live:sv/names"), world.text("b.img"));
    let Some(mounted) = Covered::with_nothing(&names) else { return };
    let is_up = |name: &str| world.scanner.service(name).status().is_some_and(|s| s.up());
    let cant = "can't make LIVE:sv/names: read-only file system\n";
    let said = world.run("apply", &[&image]).expect(111).err.replace(&world.text("live"), "LIVE");
    assert!(said.starts_with(&format!("apply: {cant}")) && is_up("web") && world.journal(), "{said}");
    assert_eq!(world.recover(&[], 111), format!("recover: {cant}"));
    assert!(is_up("web") && world.journal());
    drop(mounted);
    assert_eq!(world.recover(&[], 0), "recover: LIVE: an update that was cut short has been completed\n");
    assert!(names.join("new").exists() && is_up("web") && !world.journal());
}

/// A recovery tells each longrun that shall be up to go up. As long as it has not, what it has recorded says that it is uncertain.
#[test]
fn no_state_is_false_and_not_marked_at_any_call_of_a_recovery() {
    let world = World::up();
    world.cut_short("b.img", World::journal);
    let mut marked = 0;
    for n in 1.. {
        if !world.killed("recover", &["-l", &world.text("live")], n) {
            break;
        }
        let said = world.run("status", &["web", "old"]).out;
        assert!(!said.contains("down, but runs"), "call {n}: {said}");
        marked += usize::from(said.contains("uncertain"));
    }
    assert!(marked > 0, "no state was uncertain");
    let said = world.run("status", &["web", "old"]).expect(0).out;
    assert!(!said.contains("uncertain"), "{said}");
}

#[test]
fn an_update_that_is_undone_leaves_no_version_that_no_start_will_use() {
    let world = World::up();
    world.scratch.file("a/web/finish", "#!/bin/sh\n");
    world.run("apply", &["a"]).expect(0);
    let web = world.scratch.at("live/servicedirs/web");
    let pid = world.scanner.service("web").status().expect("a status").pid;
    assert!(web.join("v1").exists() && web.join("v2").exists(), "it waits for the next start");
    let stopped = || world.scanner.service("web").status().is_some_and(|s| s.pid != pid);
    for n in 1.. {
        assert!(
            world.killed("apply", &["-l", &world.text("live"), &world.text("b.img")], n),
            "it came to its end"
        );
        if world.journal() && stopped() {
            break;
        }
        world.recover(&[], 0);
    }
    world.recover(&[], 0);
    assert!(!web.join("v1").exists() && web.join("v2").exists() && !web.join("v3").exists());
}
