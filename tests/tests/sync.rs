// SPDX-License-Identifier: ISC
//! `skeg sync`: definitions that change file by file, and one command when the batch is over. (A kill at each of its calls:
//! `update_kill`.)

use harness::fault;
use harness::tree::{Scanner, Service};
use harness::wait::must;
use harness::{Done, Scratch, Suite};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// A store with a tree that runs what it defines.
struct World {
    scratch: Scratch,
    _scanner: Scanner,
}

/// A run script that says which version it is, and lives.
fn run(version: &str) -> String {
    format!("#!/bin/sh\necho run {version} >>../../log\nexec sleep 1000\n")
}

fn finish(version: &str) -> String {
    format!("#!/bin/sh\necho finish {version} >>../../log\n")
}

impl World {
    fn new() -> Self {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        let store = |path: &str, content: &str| scratch.file(format!("store/{path}"), content);
        for name in ["lan", "web", "dns"] {
            store(&format!("{name}/type"), "longrun\n");
            store(&format!("{name}/run"), "#!/bin/sh\nexec sleep 1000\n");
        }
        store("web/dependencies.d/lan", "");
        store("net/type", "bundle\n");
        store("net/contents.d/lan", "");
        scratch.run(&skeg, "s6-rc-compile", &["image", "store"]).expect(0);
        let scanner = Scanner::start(&scratch, &skeg);
        let live = scratch.text("live");
        scratch
            .run(&skeg, "s6-rc-init", &["-c", &scratch.text("image"), "-l", &live, &scratch.text("scan")])
            .expect(0);
        scratch.run(&skeg, "s6-rc", &["-l", &live, "-u", "change", "lan", "web", "dns"]).expect(0);
        Self { scratch, _scanner: scanner }
    }

    fn skeg(&self, applet: &str, words: &[&str]) -> Done {
        let live = self.scratch.text("live");
        self.scratch.run(&Suite::skeg(), applet, &[&["-l", &live], words].concat())
    }

    fn sync(&self, options: &[&str]) -> Done {
        self.skeg("sync", &[options, &["store"]].concat())
    }

    fn write(&self, path: &str, content: &str) {
        self.scratch.file(format!("store/{path}"), content);
    }

    fn pid(&self, name: &str) -> u32 {
        harness::status::Status::read(&self.scratch.at("scan").join(name)).map_or(0, |s| s.pid)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.scratch.at(name)).unwrap_or_default()
    }

    /// Fails the test unless image and live state are what the store defines, and nothing is unfinished.
    #[track_caller]
    fn must_agree(&self) {
        let difference = self.skeg("diff", &["store"]);
        assert_eq!((difference.code, difference.out.as_str()), (0, ""), "{}", difference.err);
        assert_eq!(self.bytes("image"), self.bytes("live/image"));
        assert!(!self.scratch.at("live:sv/journal").exists());
    }
}

#[test]
fn what_has_changed_in_the_store_is_compiled_and_put_in_force() {
    let world = World::new();
    let (lan, web) = (world.pid("lan"), world.pid("web"));
    world.write("web/run", "#!/bin/sh\nexec sleep 2000\n");
    world.write("web/dependencies.d/vpn", "");
    world.write("vpn/type", "longrun\n");
    world.write("vpn/run", "#!/bin/sh\nexec sleep 1000\n");
    std::fs::remove_dir_all(world.scratch.at("store/dns")).unwrap();
    let said = world.sync(&[]).expect(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    world.must_agree();
    assert_eq!(world.skeg("s6-rc", &["-a", "list"]).expect(0).lines(), ["lan", "vpn", "web"]);
    assert_eq!(world.pid("lan"), lan);
    assert_ne!(world.pid("web"), web);
    assert!(!world.scratch.at("scan/dns").exists());
    assert_eq!(std::fs::read_link(world.scratch.at("live/compiled")).unwrap(), world.scratch.at("image"));
}

/// What happens, in words and in deeds.
type Change = (&'static str, fn(&World));

/// What can happen to files, and each changes what the store defines.
const CHANGES: [Change; 9] = [
    ("a file of the same size, written in place", |w| {
        std::fs::write(w.scratch.at("store/web/run"), "#!/bin/sh\nexec sleep 1009\n").unwrap();
    }),
    ("a file that was replaced and keeps its time", |w| {
        let (old, new) = (w.scratch.at("store/web/run"), w.scratch.at("store/web/run.new"));
        std::fs::write(&new, "#!/bin/sh\nexec sleep 1008\n").unwrap();
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).unwrap();
        let time = std::fs::metadata(&old).unwrap().modified().unwrap();
        std::fs::File::open(&new).unwrap().set_modified(time).unwrap();
        std::fs::rename(new, old).unwrap();
    }),
    ("a dependency", |w| w.write("dns/dependencies.d/lan", "")),
    ("a dependency less", |w| std::fs::remove_file(w.scratch.at("store/dns/dependencies.d/lan")).unwrap()),
    ("a file deep in data", |w| w.write("web/data/conf.d/deep/er/file", "x\n")),
    ("that file", |w| w.write("web/data/conf.d/deep/er/file", "y\n")),
    ("its mode", |w| {
        let mode = PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(w.scratch.at("store/web/data/conf.d/deep/er/file"), mode).unwrap();
    }),
    ("a link to a definition", |w| {
        w.scratch.file("elsewhere/type", "bundle\n");
        w.scratch.file("elsewhere/contents.d/web", "");
        std::os::unix::fs::symlink("../elsewhere", w.scratch.at("store/linked")).unwrap();
    }),
    ("a list in a linked definition", |w| _ = w.scratch.file("elsewhere/contents.d/dns", "")),
];

#[test]
fn if_changed_notices_whatever_happens_to_the_store() {
    let world = World::new();
    world.sync(&["--if-changed"]).expect(0);
    for (what, change) in CHANGES {
        change(&world);
        assert_eq!(world.skeg("diff", &["store"]).code, 1, "{what} is a change");
        world.sync(&["--if-changed"]).expect(0);
        let difference = world.skeg("diff", &["store"]);
        assert_eq!(difference.out, "", "{what} was not noticed");
        world.must_agree();
    }
}

#[test]
fn if_changed_notices_another_image_and_another_live_state() {
    let world = World::new();
    world.sync(&["--if-changed"]).expect(0);
    world.scratch.file("image", "no image");
    world.sync(&["--if-changed"]).expect(0);
    world.must_agree();
    let own = world.bytes("live/image");
    world.scratch.file("other/web/type", "oneshot\n");
    world.scratch.file("other/web/up", "true\n");
    world.skeg("apply", &["other"]).expect(0);
    assert_ne!(world.bytes("live/image"), own);
    world.sync(&["--if-changed", "-o", "image"]).expect(0);
    world.must_agree();
    world.skeg("s6-rc-bundle", &["-b", "add", "mine", "web"]).expect(0);
    let said = world.sync(&["--if-changed"]).expect(0);
    assert!(said.err.contains("the bundles that s6-rc-bundle has edited"), "{}", said.err);
    world.must_agree();
}

#[test]
fn if_changed_reads_no_file_and_writes_nothing_when_nothing_has_changed() {
    let world = World::new();
    for n in 0..200 {
        world.write(&format!("s{n}/type"), "longrun\n");
        world.write(&format!("s{n}/run"), "#!/bin/sh\nexec sleep 1000\n");
        world.write(&format!("s{n}/finish"), "#!/bin/sh\nexit 0\n");
        world.write(&format!("s{n}/dependencies.d/lan"), "");
    }
    let count = |options: &[&str]| {
        let live = world.scratch.text("live");
        let words = [&["-l", &live][..], options, &["store"]].concat();
        let mut command = world.scratch.command(&Suite::skeg_fault(), "sync", &words);
        let (calls, done) = fault::count(&world.scratch, &mut command, "sync");
        done.expect(0);
        calls
    };
    count(&[]);
    let image = std::fs::metadata(world.scratch.at("image")).unwrap();
    let (always, unchanged) = (count(&[]), count(&["--if-changed"]));
    let after = std::fs::metadata(world.scratch.at("image")).unwrap();
    assert_eq!(
        (image.ino(), image.mtime_nsec()),
        (after.ino(), after.mtime_nsec()),
        "the same is not written again"
    );
    eprintln!("calls with 204 definitions: {always} for a sync, {unchanged} when nothing has changed");
    // A definition: open, close, its four entries one by one and the end of them, and a look at each; itself in its store.
    assert!(unchanged < 204 * 14 + 60, "{unchanged} calls");
    assert!(always > 2 * unchanged, "{always} calls against {unchanged}");
}

#[test]
fn an_inconsistent_batch_is_reported_whole_and_changes_nothing_until_it_is_mended() {
    let world = World::new();
    let before = (world.pid("web"), world.bytes("image"), world.bytes("live/image"));
    world.write("web/dependencies.d/vpm", "");
    world.write("dns/type", "lungrun\n");
    for options in [&[][..], &["--if-changed"], &["--if-changed"]] {
        let said = world.sync(options).expect(4);
        for fault in ["store/web/dependencies.d/vpm: no such service", "store/dns/type"] {
            assert!(said.err.contains(fault), "{fault}: {}", said.err);
        }
        assert_eq!((world.pid("web"), world.bytes("image"), world.bytes("live/image")), before);
    }
    world.write("vpm/type", "longrun\n");
    world.write("vpm/run", "#!/bin/sh\nexec sleep 1000\n");
    world.write("dns/type", "longrun\n");
    world.sync(&["--if-changed"]).expect(0);
    world.must_agree();
    assert_eq!(world.pid("web"), before.0, "a new dependency is no reason to restart");
}

#[test]
fn without_a_live_directory_only_the_image_is_written() {
    let (scratch, skeg) = (Scratch::new(), Suite::skeg());
    let oneshot = |name: &str| {
        scratch.file(format!("store/{name}/type"), "oneshot\n");
        scratch.file(format!("store/{name}/up"), "true\n");
    };
    oneshot("a");
    let sync = || scratch.run(&skeg, "sync", &["--if-changed", "-l", "none", "-o", "image", "store"]);
    sync().expect(0);
    let first = std::fs::metadata(scratch.at("image")).unwrap().ino();
    scratch.run(&skeg, "s6-rc-db", &["-c", &scratch.text("image"), "check"]).expect(0);
    sync().expect(0);
    assert_eq!(std::fs::metadata(scratch.at("image")).unwrap().ino(), first);
    oneshot("b");
    sync().expect(0);
    assert_ne!(std::fs::metadata(scratch.at("image")).unwrap().ino(), first);
    assert!(!scratch.at("none").exists() && !scratch.at("none:sv").exists());
}

#[test]
fn a_sync_waits_for_another_command() {
    let world = World::new();
    world.write("slow/type", "oneshot\n");
    world.write("slow/up", "sh -c \"echo >../../begun; until test -e ../../go; do sleep 0.01; done\"\n");
    world.sync(&[]).expect(0);
    let live = world.scratch.text("live");
    let change = world.scratch.start(&Suite::skeg(), "s6-rc", &["-l", &live, "-u", "change", "slow"]);
    must("the slow script runs", || world.scratch.at("begun").exists());
    world.write("web/run", "#!/bin/sh\nexec sleep 2000\n");
    let refused = world.sync(&["-w", "100"]).expect(111);
    assert!(refused.err.contains("is still in use: process"), "{}", refused.err);
    let sync = world.scratch.start(&Suite::skeg(), "sync", &["-l", &live, "store"]);
    world.scratch.file("go", "");
    change.finish(harness::process::LONG).expect(0);
    sync.finish(harness::process::LONG).expect(0);
    world.must_agree();
}

#[test]
fn the_finish_that_runs_in_the_middle_of_a_batch_is_that_of_the_run_that_died() {
    let world = World::new();
    let mut seen = 0;
    let mut log = |more: usize| {
        let lines = || world.scratch.read("log").lines().map(str::to_owned).collect::<Vec<_>>();
        must("more lines in the log", || lines().len() >= seen + more);
        seen += more;
        lines().split_off(seen - more).join(", ")
    };
    world.write("web/run", &run("1"));
    world.write("web/finish", &finish("1"));
    world.sync(&[]).expect(0);
    assert_eq!(log(1), "run 1");
    let web = Service::at(world.scratch.at("scan/web"));
    let dies = || {
        let pid = world.pid("web");
        web.control(b"k");
        web.must("started again", |s| s.up() && s.pid != pid && s.pid != 0);
    };
    // One file of the batch is there, the other not yet.
    world.write("web/finish", &finish("2"));
    dies();
    assert_eq!(log(2), "finish 1, run 1");
    world.write("web/run", &run("2"));
    dies();
    assert_eq!(log(2), "finish 1, run 1");
    world.sync(&["--if-changed"]).expect(0);
    assert_eq!(log(2), "finish 1, run 2");
    // A finish alone waits for the next start: this process still ends with the one that it was started with.
    world.write("web/finish", &finish("3"));
    let pid = world.pid("web");
    world.sync(&["--if-changed"]).expect(0);
    assert_eq!(world.pid("web"), pid);
    dies();
    assert_eq!(log(2), "finish 2, run 2");
    dies();
    assert_eq!(log(2), "finish 3, run 2");
}

#[test]
fn if_changed_finishes_what_a_killed_update_left() {
    let world = World::new();
    world.sync(&["--if-changed"]).expect(0);
    world.scratch.file("other/web/type", "longrun\n");
    world.scratch.file("other/web/run", "#!/bin/sh\nexec sleep 2000\n");
    let words = ["-l", &world.scratch.text("live"), "other"].map(str::to_owned);
    let journal = world.scratch.at("live:sv/journal");
    let mut calls = 1..400;
    while !journal.exists() {
        let n = calls.next().expect("an update writes a journal");
        fault::strike(&world.scratch, &Suite::skeg_fault(), "apply", &words, n, fault::Fault::Kill);
    }
    world.sync(&["--if-changed"]).expect(0);
    world.must_agree();
}

#[test]
fn if_changed_tries_again_after_a_start_that_failed() {
    let world = World::new();
    world.write("check/type", "oneshot\n");
    world.write("check/up", "test -e ../../good\n");
    world.write("web/dependencies.d/check", "");
    world.sync(&["--if-changed"]).expect(1);
    world.sync(&["--if-changed"]).expect(1);
    world.scratch.file("good", "");
    world.scratch.file("store/check/up", format!("test -e {}\n", world.scratch.text("good")));
    world.sync(&["--if-changed"]).expect(0);
    world.must_agree();
    assert!(world.skeg("s6-rc", &["-a", "list"]).expect(0).lines().contains(&"check".to_owned()));
}

#[test]
fn a_link_to_the_image_stays_and_the_image_behind_it_is_written() {
    let world = World::new();
    let (etc, real) = (world.scratch.folder("etc"), world.scratch.folder("real"));
    let link = etc.join("compiled");
    std::os::unix::fs::symlink("../real/second", &link).unwrap();
    std::os::unix::fs::symlink("image", real.join("second")).unwrap();
    let agrees = || {
        assert_eq!(std::fs::read_link(&link).unwrap().to_str(), Some("../real/second"));
        assert!(std::fs::symlink_metadata(real.join("second")).unwrap().is_symlink());
        assert!(std::fs::symlink_metadata(real.join("image")).unwrap().is_file());
        assert_eq!(world.bytes("real/image"), world.bytes("live/image"));
    };
    // First where the link leads nowhere, then over the image that is there; without -o that is the place that was noted.
    world.sync(&["-o", "etc/compiled"]).expect(0);
    agrees();
    assert_eq!(std::fs::read_link(world.scratch.at("live/compiled")).unwrap(), link);
    for options in [&["--if-changed", "-o", "etc/compiled"][..], &["--if-changed"]] {
        let version = format!("#!/bin/sh\nexec sleep {}\n", 2000 + options.len());
        world.write("web/run", &version);
        world.sync(options).expect(0);
        agrees();
        let before = std::fs::metadata(real.join("image")).unwrap().ino();
        world.scratch.file("real/image", "no image");
        world.sync(options).expect(0);
        agrees();
        world.sync(options).expect(0);
        assert_ne!(std::fs::metadata(real.join("image")).unwrap().ino(), before);
    }
    std::os::unix::fs::symlink("loop", etc.join("loop")).unwrap();
    let refused = world.sync(&["-o", "etc/loop"]).expect(111);
    assert!(refused.err.contains("too many levels of symbolic links"), "{}", refused.err);
}

#[test]
fn what_is_no_regular_file_is_not_replaced_by_an_image() {
    let world = World::new();
    world.write("web/run", "#!/bin/sh\nexec sleep 2000\n");
    let before = (world.pid("web"), world.bytes("live/image"));
    world.scratch.folder("folder");
    let made = std::process::Command::new("mkfifo").arg(world.scratch.at("fifo")).status().unwrap();
    assert!(made.success());
    std::os::unix::fs::symlink("fifo", world.scratch.at("link")).unwrap();
    for (path, why) in
        [("fifo", "is no regular file"), ("link", "is no regular file"), ("folder", "is a directory")]
    {
        for options in [&["-o", path][..], &["--if-changed", "-o", path]] {
            let refused = world.sync(options).expect(111);
            assert!(refused.err.contains(path) && refused.err.contains(why), "{}", refused.err);
        }
    }
    use std::os::unix::fs::FileTypeExt;
    assert!(std::fs::symlink_metadata(world.scratch.at("fifo")).unwrap().file_type().is_fifo());
    assert!(std::fs::symlink_metadata(world.scratch.at("link")).unwrap().is_symlink());
    assert_eq!((world.pid("web"), world.bytes("live/image")), before);
}

#[test]
fn after_a_source_tree_was_applied_the_image_still_has_its_place() {
    let world = World::new();
    world.write("web/run", "#!/bin/sh\nexec sleep 2000\n");
    world.skeg("apply", &["store"]).expect(0);
    assert_eq!(std::fs::read_link(world.scratch.at("live/compiled")).unwrap(), world.scratch.at("image"));
    assert_ne!(world.bytes("image"), world.bytes("live/image"));
    world.sync(&["--if-changed"]).expect(0);
    world.must_agree();
}

#[test]
fn a_store_without_a_service_is_refused_unless_that_is_meant() {
    let world = World::new();
    let before = world.bytes("image");
    std::fs::rename(world.scratch.at("store"), world.scratch.at("away")).unwrap();
    world.scratch.folder("store");
    let refused = world.sync(&[]).expect(4);
    assert!(refused.err.contains("store holds no definition: is it mounted?"), "{}", refused.err);
    assert!(refused.err.contains("these would stop and be gone: dns lan web net\n"), "{}", refused.err);
    assert_eq!(world.bytes("image"), before);
    assert_ne!(world.pid("lan"), 0);
    world.sync(&["--empty", "store/"]).expect(0);
    world.must_agree();
    // From nothing to nothing there is nothing to be warned of, with a live directory or without.
    world.sync(&[]).expect(0);
    for (image, code) in [("image", 0), ("fresh", 0), ("before", 4)] {
        world.scratch.file("before", &before);
        let (image, nowhere) = (world.scratch.text(image), world.scratch.text("nowhere"));
        let words = ["-l", &nowhere, "-o", &image, "store"];
        world.scratch.run(&Suite::skeg(), "sync", &words).expect(code);
    }
    assert_eq!(world.skeg("s6-rc", &["-a", "list"]).expect(0).out, "");
}

#[test]
fn a_working_directory_that_has_gone_is_told_as_such() {
    let world = World::new();
    let gone = world.scratch.folder("gone");
    let words = ["sync", "-l", &world.scratch.text("live"), "-o", "image", &world.scratch.text("store")];
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "rmdir \"$PWD\" && exec \"$0\" \"$@\""]).arg(Suite::skeg().binary()).args(words);
    command.current_dir(gone);
    world.scratch.mark(&mut command);
    let done = harness::process::run(&mut command).expect(111);
    assert!(done.err.contains("can't find the path of the image: no such file or directory"), "{}", done.err);
}

impl World {
    /// Syncs the store and a second one, which an administrator or a data partition has.
    fn sync_two(&self, options: &[&str]) -> Done {
        self.skeg("sync", &[options, &["store", "second"]].concat())
    }

    /// Defines a longrun in the second store.
    fn second(&self, name: &str) {
        self.scratch.file(format!("second/{name}/type"), "longrun\n");
        self.scratch.file(format!("second/{name}/run"), "#!/bin/sh\nexec sleep 1000\n");
    }

    /// Takes what the second store holds away, and leaves it empty, as where it is not mounted.
    fn unmount(&self) {
        std::fs::rename(self.scratch.at("second"), self.scratch.at("away")).unwrap();
        self.scratch.folder("second");
    }

    fn list(&self) -> Vec<String> {
        self.skeg("s6-rc", &["-a", "list"]).expect(0).lines()
    }
}

#[test]
fn one_store_of_several_that_is_not_mounted_is_refused_unless_that_is_meant() {
    let world = World::new();
    world.second("vpn");
    world.sync_two(&[]).expect(0);
    world.skeg("s6-rc", &["-u", "change", "vpn"]).expect(0);
    world.unmount();
    let before = (world.pid("vpn"), world.bytes("image"), world.bytes("live/image"));
    // It is not the first try alone that is refused, and what else has changed does not matter.
    world.write("web/finish", "#!/bin/sh\nexit 0\n");
    for options in [&["--if-changed"][..], &["--if-changed"], &[], &["--empty", "store"]] {
        let refused = world.sync_two(options).expect(4);
        for said in ["second holds no definition: is it mounted?", "(--empty second says", "be gone: vpn\n"] {
            assert!(refused.err.contains(said), "{said}: {}", refused.err);
        }
        assert!(!refused.err.contains("store holds"), "{}", refused.err);
        assert_eq!((world.pid("vpn"), world.bytes("image"), world.bytes("live/image")), before);
    }
    // Missing, it is no better.
    std::fs::remove_dir(world.scratch.at("second")).unwrap();
    let refused = world.sync_two(&["--empty", "second"]).expect(111);
    assert!(refused.err.contains("second: can't be read: no such file or directory"), "{}", refused.err);
    std::fs::rename(world.scratch.at("away"), world.scratch.at("second")).unwrap();
    world.sync_two(&["--if-changed"]).expect(0);
    assert_eq!(
        (world.pid("vpn"), world.list()),
        (before.0, vec!["dns".into(), "lan".into(), "vpn".into(), "web".into()])
    );
    world.unmount();
    world.sync_two(&["--if-changed", "--empty", "second"]).expect(0);
    assert_eq!(world.list(), ["dns", "lan", "web"]);
    // From now on that it is empty is known.
    std::fs::remove_dir_all(world.scratch.at("store/dns")).unwrap();
    world.sync_two(&["--if-changed"]).expect(0);
    assert_eq!(world.list(), ["lan", "web"]);
}

#[test]
fn a_store_that_never_held_anything_is_no_reason_to_refuse() {
    let world = World::new();
    world.scratch.folder("second");
    world.write("vpn/type", "longrun\n");
    world.write("vpn/run", "#!/bin/sh\nexec sleep 1000\n");
    world.sync_two(&["--if-changed"]).expect(0);
    // Not after a sync that ended with a failure, either.
    world.write("check/type", "oneshot\n");
    world.write("check/up", "false\n");
    world.write("web/dependencies.d/check", "");
    world.sync_two(&["--if-changed"]).expect(1);
    for gone in ["web", "check", "vpn"] {
        std::fs::remove_dir_all(world.scratch.at("store").join(gone)).unwrap();
    }
    world.sync_two(&["--if-changed"]).expect(0);
    assert_eq!(world.list(), ["dns", "lan", "s6rc-oneshot-runner"]);
}

#[test]
fn a_store_that_got_its_first_definition_by_a_sync_that_failed_is_not_taken_for_empty() {
    let world = World::new();
    world.scratch.folder("second");
    world.sync_two(&[]).expect(0);
    world.second("vpn");
    world.write("check/type", "oneshot\n");
    world.write("check/up", "false\n");
    world.write("web/dependencies.d/check", "");
    world.sync_two(&[]).expect(1);
    world.unmount();
    let refused = world.sync_two(&[]).expect(4);
    assert!(refused.err.contains("be gone: vpn\n"), "{}", refused.err);
    assert!(world.scratch.at("live/servicedirs/vpn").exists());
}

#[test]
fn no_kill_of_a_sync_makes_a_store_with_definitions_one_that_had_none() {
    let (scratch, skeg) = (Scratch::new(), Suite::skeg_fault());
    let words = ["-l", "none", "-o", "image", "store", "second"].map(str::to_owned);
    let sync = || scratch.run(&skeg, "sync", &words);
    let oneshot = |path: &str| {
        scratch.file(format!("{path}/type"), "oneshot\n");
        scratch.file(format!("{path}/up"), "");
    };
    oneshot("store/one");
    let mut refused = 0;
    for n in 1..400 {
        let _ = std::fs::remove_dir_all(scratch.at("second"));
        scratch.folder("second");
        for file in ["image", "image.sync"] {
            let _ = std::fs::remove_file(scratch.at(file));
        }
        sync().expect(0);
        oneshot("second/two");
        let struck = fault::strike(&scratch, &skeg, "sync", &words, n, fault::Fault::Kill);
        let db = scratch.text("image");
        let has =
            scratch.run(&skeg, "s6-rc-db", &["-c", &db, "list", "oneshots"]).expect(0).out.contains("two");
        std::fs::remove_dir_all(scratch.at("second/two")).unwrap();
        let code = sync().code;
        assert_eq!(code, if has { 4 } else { 0 }, "killed at call {n}");
        refused += u32::from(has);
        if struck.code == 0 {
            assert!(n > 40 && refused > 3, "{n} calls, {refused} with the new image");
            return;
        }
    }
    panic!("more calls than a sync can have");
}

#[test]
fn what_the_note_says_of_stores_holds_for_the_image_of_that_sync_alone() {
    let world = World::new();
    world.scratch.folder("second");
    world.sync_two(&[]).expect(0);
    // Another tool makes the image while there is something in the store, and puts it in force.
    world.second("vpn");
    std::fs::remove_file(world.scratch.at("image")).unwrap();
    let at = |name: &str| world.scratch.text(name);
    world
        .scratch
        .run(&Suite::skeg(), "s6-rc-compile", &[&at("image"), &at("store"), &at("second")])
        .expect(0);
    world.skeg("s6-rc-update", &[&at("image")]).expect(0);
    world.skeg("s6-rc", &["-u", "change", "vpn"]).expect(0);
    world.unmount();
    let refused = world.sync_two(&["--if-changed"]).expect(4);
    assert!(refused.err.contains("be gone: vpn\n"), "{}", refused.err);
    assert_ne!(world.pid("vpn"), 0);
}

#[test]
fn an_empty_that_names_no_store_and_a_note_that_is_a_fifo_are_told_or_passed_over() {
    let world = World::new();
    world.scratch.folder("second");
    let said = world.sync_two(&["--empty", "elsewhere"]).expect(100);
    assert!(said.err.contains("--empty elsewhere: not one of the source directories"), "{}", said.err);
    let _ = std::fs::remove_file(world.scratch.at("image.sync"));
    let made = std::process::Command::new("mkfifo").arg(world.scratch.at("image.sync")).status();
    assert!(made.is_ok_and(|status| status.success()));
    world.write("web/finish", "#!/bin/sh\nexit 0\n");
    world.sync_two(&[]).expect(0);
    world.must_agree();
}
