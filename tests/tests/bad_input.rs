// SPDX-License-Identifier: ISC
//! Bad input and bad weather: option values, long names, many services, a scan directory that vanishes, a file system that
//! is full or read-only, no descriptor left. Each gives a clear error, and a live state that is still true.

use harness::mount::{Mount, fill, fill_inodes};
use harness::process::run_for;
use harness::wait::must;
use harness::{Done, Scanner, Scratch, Suite, User};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// Options that take a number, by applet, with the operands that follow. `@` stands for a path that is not there.
const NUMBERS: &[(&str, &[&str], &[&str])] = &[
    ("s6-rc", &["-v", "-t", "-n"], &["-l", "@", "list"]),
    ("s6-rc-init", &["-t"], &["-c", "@", "-l", "@", "@"]),
    ("s6-rc-update", &["-v", "-t"], &["-l", "@", "@"]),
    ("s6-rc-compile", &["-v"], &["@", "@"]),
    ("s6-rc-dryrun", &["-v", "-t"], &["true"]),
    ("s6-svc", &["-T"], &["-u", "@"]),
    ("s6-svwait", &["-t"], &["-u", "@"]),
    ("s6-svscan", &["-t", "-d", "-X"], &["@"]),
];

/// Options that take a path or word.
const PATHS: &[(&str, &[&str], &[&str])] = &[
    ("s6-rc", &["-l"], &["list"]),
    ("s6-rc-init", &["-l", "-c"], &["@"]),
    ("s6-rc-update", &["-l", "-f"], &["@"]),
    ("s6-rc-db", &["-c", "-l"], &["check"]),
    ("s6-svstat", &["-o"], &["@"]),
    ("s6-svc", &["-w", "-s"], &["@"]),
    ("status", &["-l"], &[]),
    ("why", &["-l"], &["x"]),
];

fn values() -> Vec<OsString> {
    let text =
        ["", "x", "-1", "4294967296", "99999999999999999999999999", "1x", " 1", "0x10", "1e3", "\u{663}"];
    let mut all: Vec<OsString> = text.iter().map(OsString::from).collect();
    all.push(OsStr::from_bytes(b"\xff\xfe").to_owned());
    all.push(OsString::from("9".repeat(5000)));
    all
}

/// Runs an applet up to a deadline that nothing here should come near to.
fn run(scratch: &Scratch, applet: &str, words: &[OsString]) -> Done {
    run_for(&mut scratch.command(&Suite::skeg(), applet, words), Duration::from_secs(20))
}

/// It failed by itself, with a message in one piece.
fn refused(done: &Done) -> bool {
    (1..128).contains(&done.code) && !done.err.trim().is_empty()
}

fn operands(scratch: &Scratch, list: &[&str]) -> Vec<OsString> {
    list.iter().map(|w| if *w == "@" { scratch.at("nowhere/x").into_os_string() } else { w.into() }).collect()
}

#[test]
fn a_bad_value_is_refused_with_a_message() {
    let scratch = Scratch::new();
    let mut wrong = Vec::new();
    for (applet, options, rest) in NUMBERS.iter().chain(PATHS) {
        for option in *options {
            // No value at all.
            let done = run(&scratch, applet, &[OsString::from(option)]);
            if !refused(&done) {
                wrong.push(format!("{applet} {option}: {} {:?}", done.code, done.err));
            }
            for value in values() {
                let mut words = vec![OsString::from(option), value.clone()];
                words.extend(operands(&scratch, rest));
                let done = run(&scratch, applet, &words);
                if !refused(&done) {
                    wrong.push(format!(
                        "{applet} {option} {value:.30?}: {} {:?} {:?}",
                        done.code, done.out, done.err
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_unknown_option_is_a_wrong_usage_and_help_is_there() {
    let scratch = Scratch::new();
    let listed = scratch.run(&Suite::skeg(), "--help", &[] as &[&str]).expect(0).out;
    let applets: Vec<&str> = listed
        .lines()
        .filter_map(|l| l.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| {
            !matches!(*name, "init" | "poweroff" | "reboot" | "halt") && !name.starts_with("init-")
        })
        .collect();
    assert!(applets.len() > 15, "{applets:?}");
    let version = scratch.run(&Suite::skeg(), "--version", &[] as &[&str]).expect(0).out;
    assert_eq!(version, concat!("skeg ", env!("CARGO_PKG_VERSION"), "\n"));
    let mut wrong = Vec::new();
    for applet in applets {
        let done = run(&scratch, applet, &["--help".into()]);
        if done.code != 0 || done.out.len() < 20 {
            wrong.push(format!("{applet} --help: {} {:?}", done.code, done.out));
        }
        if applet.starts_with("s6rc-") || matches!(applet, "s6-svok" | "s6-supervise") {
            continue; // internal, or without options: the word is a path
        }
        let done = run(&scratch, applet, &["--nonsense".into()]);
        if !refused(&done) {
            wrong.push(format!("{applet} --nonsense: {} {:?}", done.code, done.err));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sleeper(scratch: &Scratch, name: &str) {
    scratch.file(format!("src/{name}/type"), "longrun\n");
    scratch.file(format!("src/{name}/run"), "#!/bin/sh\nexec sleep 1000\n");
}

fn compile(scratch: &Scratch) -> Done {
    scratch.run(&Suite::skeg(), "s6-rc-compile", &[scratch.text("db"), scratch.text("src")])
}

#[test]
fn names_up_to_the_limit_work_and_longer_ones_are_refused() {
    // The kernel's limit of a name is 255; a scan directory's entry may have 250.
    for (length, fits) in [(200, true), (250, true), (255, false)] {
        let scratch = Scratch::new();
        let name = "n".repeat(length);
        sleeper(&scratch, &name);
        let made = compile(&scratch);
        if !fits && made.code != 0 {
            assert!(refused(&made), "{made:?}");
            assert!(!scratch.at("db").exists());
            continue;
        }
        assert_eq!(made.code, 0, "{length}: {}", made.err);
        let scanner = Scanner::start(&scratch, &Suite::skeg());
        let words = ["-c", &scratch.text("db"), "-l", &scratch.text("live"), &scratch.text("scan")];
        let done = scratch.run(&Suite::skeg(), "s6-rc-init", &words);
        if !fits {
            assert!(refused(&done), "{done:?}");
            continue;
        }
        done.expect(0);
        scratch.run(&Suite::skeg(), "s6-rc", &["-l", &scratch.text("live"), "start", &name]).expect(0);
        scanner.service(&name).must("up", |s| s.up());
    }
}

#[test]
fn more_services_than_the_limit_are_refused_with_the_figure() {
    let scratch = Scratch::new();
    for i in 0..8193 {
        let dir = scratch.folder(format!("src/s{i}"));
        std::fs::write(dir.join("type"), "oneshot\n").expect("a file");
        std::fs::write(dir.join("up"), "true\n").expect("a file");
    }
    let done = compile(&scratch);
    assert!(refused(&done), "{done:?}");
    assert!(done.err.contains("8192") || done.err.contains("8,192"), "{}", done.err);
    assert!(!scratch.at("db").exists());
    for i in 5000..8193 {
        std::fs::remove_dir_all(scratch.at(format!("src/s{i}"))).expect("a directory");
    }
    compile(&scratch).expect(0);
    let listed =
        scratch.run(&Suite::skeg(), "s6-rc-db", &["-c", &scratch.text("db"), "list", "services"]).expect(0);
    assert!(listed.out.lines().count() >= 5000);
}

/// A live tree with one longrun, `a`.
fn tree() -> (Scratch, Scanner) {
    let scratch = Scratch::new();
    sleeper(&scratch, "a");
    compile(&scratch).expect(0);
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    let words = ["-c", &scratch.text("db"), "-l", &scratch.text("live"), &scratch.text("scan")];
    scratch.run(&Suite::skeg(), "s6-rc-init", &words).expect(0);
    (scratch, scanner)
}

fn rc(scratch: &Scratch, words: &[&str]) -> Done {
    let live = scratch.text("live");
    scratch.run(&Suite::skeg(), "s6-rc", &[&["-l", &live], words].concat())
}

#[test]
fn a_scan_directory_that_vanishes_keeps_what_runs() {
    let (scratch, scanner) = tree();
    rc(&scratch, &["start", "a"]).expect(0);
    let service = harness::tree::Service::at(scratch.at("live/servicedirs/a"));
    let pid = service.must("up", |s| s.up()).pid;
    std::fs::rename(scratch.at("scan"), scratch.at("elsewhere")).expect("rename");
    harness::process::kill(scanner.pid(), rustix::process::Signal::ALARM);
    let listed = rc(&scratch, &["-a", "list"]).expect(0);
    assert!(listed.out.lines().any(|l| l == "a"));
    assert!(service.supervised());
    assert_eq!(service.status().map(|s| s.pid), Some(pid));
    rc(&scratch, &["stop", "a"]).expect(0);
    service.must("down", |s| s.down());
    std::fs::rename(scratch.at("elsewhere"), scratch.at("scan")).expect("rename");
    must("the scanner still listens", || harness::tree::listening(&scratch.at("scan/.s6-svscan/control")));
}

#[test]
fn init_on_a_missing_scan_directory_or_a_broken_image_leaves_nothing() {
    let scratch = Scratch::new();
    sleeper(&scratch, "a");
    compile(&scratch).expect(0);
    let nothing = |done: Done| {
        assert!(refused(&done), "{done:?}");
        let left = std::fs::read_dir(scratch.path()).expect("a directory").flatten();
        let left: Vec<_> =
            left.map(|e| e.file_name()).filter(|n| n.as_bytes().starts_with(b"live")).collect();
        assert!(left.is_empty(), "left {left:?}");
    };
    let init = |image: &str, scan: &str| {
        let words = ["-c", &scratch.text(image), "-l", &scratch.text("live"), &scratch.text(scan)];
        scratch.run(&Suite::skeg(), "s6-rc-init", &words)
    };
    nothing(init("db", "nowhere"));
    let whole = std::fs::read(scratch.at("db")).expect("an image");
    let _scanner = Scanner::start(&scratch, &Suite::skeg());
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        scratch.file("broken", &whole[..cut]);
        nothing(init("broken", "scan"));
    }
    nothing(init("src", "scan"));
    init("db", "scan").expect(0);
}

#[test]
fn without_descriptors_a_command_fails_clearly_or_does_its_work() {
    let (scratch, scanner) = tree();
    for limit in [3, 4, 6, 8, 12, 16, 24] {
        let line = format!("ulimit -n {limit}; exec \"$@\"");
        let skeg = Suite::skeg().binary().display().to_string();
        for word in ["start", "stop"] {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", &line, "sh", &skeg, "s6-rc", "-l", &scratch.text("live"), word, "a"]);
            scratch.mark(&mut command);
            let done = run_for(&mut command, Duration::from_secs(20));
            assert!(done.code == 0 || refused(&done), "{limit} descriptors, {word}: {done:?}");
            let up = rc(&scratch, &["-a", "list"]).expect(0).out.lines().any(|l| l == "a");
            if done.code == 0 {
                assert_eq!(up, word == "start", "{limit} descriptors, {word}");
            }
            let status = scanner.service("a").status().expect("a status");
            assert_eq!(
                status.want_up, up,
                "{limit} descriptors, {word} ({}): listed up: {up}, {status:?}",
                done.code
            );
        }
        rc(&scratch, &["stop", "a"]).expect(0);
    }
}

#[test]
fn a_live_directory_on_a_full_file_system_is_refused_and_leaves_nothing() {
    let scratch = Scratch::new();
    for i in 0..20 {
        sleeper(&scratch, &format!("s{i}"));
    }
    compile(&scratch).expect(0);
    let _scanner = Scanner::start(&scratch, &Suite::skeg());
    let init = |live: &str| {
        let words = ["-c", &scratch.text("db"), "-l", &scratch.text(live), &scratch.text("scan")];
        scratch.run(&Suite::skeg(), "s6-rc-init", &words)
    };
    for kib in [4, 8, 16, 64] {
        let Some(mount) = Mount::new(&scratch, kib) else { return println!("left out: no mounts here") };
        let done = init("small/live");
        assert!(refused(&done), "{kib} KiB: {done:?}");
        assert!(done.err.contains("no space left"), "{kib} KiB: {}", done.err);
        // The lock outlives every live directory.
        let shared = mount.0.join("live:sv");
        let left = [&mount.0, &shared].map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
        let left: Vec<_> = left.into_iter().flatten().map(|e| e.file_name()).collect();
        assert!(left.iter().all(|name| name == "live:sv" || name == "lock"), "{kib} KiB: left {left:?}");
        let scanned = std::fs::read_dir(scratch.at("scan")).expect("a directory").flatten();
        let scanned: Vec<_> = scanned.map(|e| e.file_name()).filter(|n| n != ".s6-svscan").collect();
        assert!(scanned.is_empty(), "{kib} KiB: in the scan directory: {scanned:?}");
    }
    init("live").expect(0);
}

/// A FIFO in the place of a file of the live directory: nobody waits for who might write into it.
#[test]
fn a_fifo_in_the_place_of_a_file_holds_no_command_up() {
    let files = [
        "live:1/state",
        "live:1/image",
        "live:1/prefix",
        "live:sv/history",
        "live:sv/journal",
        "scan/a/supervise/status",
    ];
    for file in files {
        let (scratch, _scanner) = tree();
        let path = scratch.at(file);
        let _ = std::fs::remove_file(&path);
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
        let (live, image, scan) = (scratch.text("live"), scratch.text("db"), scratch.text("scan"));
        for words in [
            &["s6-rc", "-a", "list"][..],
            &["s6-rc", "-t", "2000", "start", "a"],
            &["s6-rc-update", "-t", "2000", &image],
            &["s6-rc-bundle", "add", "b", "a"],
            &["s6-rc-db", "list", "all"],
            &["s6-rc-init", "-t", "2000", "-c", &image, &scan],
            &["status"],
            &["why", "a"],
            &["diff", &image],
            &["plan", &image],
            &["restart", "-t", "2000", "a"],
            &["recover", "-t", "2000"],
        ] {
            let all = [&["-l", &live], &words[1..]].concat();
            let done = run_for(&mut scratch.command(&Suite::skeg(), words[0], &all), Duration::from_secs(20));
            assert!(!done.hung(), "{file}: {words:?} hangs");
            assert!(matches!(done.code, 0..=2) || !done.err.is_empty(), "{file}: {words:?}: {done:?}");
        }
    }
}

/// A scanner takes fewer services than the image has: who waits for the supervisors of all says how many there are not, in
/// the time that it was given; so does a later command that has to finish that init.
#[test]
fn more_services_than_the_scanner_takes_are_told_by_init_and_by_what_follows() {
    let trees = [Some((Suite::skeg(), "-C")), Suite::debian().map(|debian| (debian, "-c"))];
    for (tree, option) in trees.into_iter().flatten() {
        let scratch = Scratch::new();
        for i in 0..10 {
            sleeper(&scratch, &format!("s{i}"));
        }
        compile(&scratch).expect(0);
        let _scanner = Scanner::start_with(&scratch, &tree, "scan", &[option, "5"], |_| ());
        let words =
            ["-t", "4000", "-c", &scratch.text("db"), "-l", &scratch.text("live"), &scratch.text("scan")];
        // The ten and the manager's own two.
        let told = |done: Done, what: &str| assert!(done.err.contains(what), "{}", done.err);
        // One that ends by itself takes back what it has done; one that is killed does not.
        let done = scratch.run(&Suite::skeg(), "s6-rc-init", &words).expect(111);
        told(done, "7 services have no supervisor");
        assert!(!scratch.at("live").exists() && scratch.at("scan").join("s1").symlink_metadata().is_err());
        let init = scratch.start(&Suite::skeg(), "s6-rc-init", &words[2..]);
        must("the live directory", || scratch.at("live").exists());
        init.signal(rustix::process::Signal::KILL);
        init.finish(Duration::from_secs(60)).expect(137);
        told(rc(&scratch, &["-t", "4000", "start", "s1"]).expect(111), "did not come or go in time");
        assert_eq!(rc(&scratch, &["-a", "list"]).expect(0).out, "");
    }
}

/// Whatever the umask of who calls: everybody can read what is there, and an ordinary user can go on with a tree of their own.
#[test]
fn a_live_directory_made_under_a_strict_umask_can_be_read() {
    for user in [User::Same, User::Ordinary] {
        let scratch = Scratch::of(user);
        sleeper(&scratch, "a");
        compile(&scratch).expect(0);
        let scanner = Scanner::start(&scratch, &Suite::skeg());
        let init = scratch.command(
            &Suite::skeg(),
            "s6-rc-init",
            &["-c", &scratch.text("db"), "-l", &scratch.text("live"), &scratch.text("scan")],
        );
        let mut strict = std::process::Command::new("sh");
        strict.args(["-c", "umask 777; exec \"$@\"", "sh"]).arg(init.get_program()).args(init.get_args());
        scratch.mark(&mut strict);
        harness::process::run(&mut strict).expect(0);
        let mode = |name: &str| {
            let stat = std::fs::metadata(scratch.at(name)).expect(name);
            std::os::unix::fs::PermissionsExt::mode(&stat.permissions()) & 0o777
        };
        assert_eq!(
            ["live:sv", "live:sv/lock", "live:1", "live:1/state"].map(mode),
            [0o755, 0o644, 0o755, 0o644]
        );
        rc(&scratch, &["start", "a"]).expect(0);
        scanner.service("a").must("up", |s| s.up());
    }
}

#[test]
fn a_live_directory_on_a_read_only_file_system_is_refused() {
    let scratch = Scratch::new();
    sleeper(&scratch, "a");
    compile(&scratch).expect(0);
    let Some(mount) = Mount::new(&scratch, 4096) else { return println!("left out: no mounts here") };
    mount.make_read_only();
    let _scanner = Scanner::start(&scratch, &Suite::skeg());
    let words = ["-c", &scratch.text("db"), "-l", &scratch.text("small/live"), &scratch.text("scan")];
    let done = scratch.run(&Suite::skeg(), "s6-rc-init", &words);
    assert!(refused(&done), "{done:?}");
    assert!(done.err.contains("read-only"), "{}", done.err);
}

#[test]
fn a_status_that_could_not_be_written_is_written_once_that_is_possible() {
    let scratch = Scratch::new();
    for (name, again) in [("a", false), ("b", true)] {
        scratch.file(format!("scan{name}/{name}/run"), "#!/bin/sh\nexec sleep 1000\n");
        let mut scanner = Scanner::start_with(&scratch, &Suite::skeg(), &format!("scan{name}"), &[], |_| ());
        let service = scanner.service(name);
        let was = service.must("up", |s| s.up());
        let obstacle = scratch.folder(format!("scan{name}/{name}/supervise/status.new"));
        service.control(b"d");
        must("its process is gone", || !harness::process::alive(was.pid));
        must("the command is read", || service.has_read_all());
        if again {
            // Another supervisor has it to write, too.
            let supervisor = scanner.must_supervisor();
            harness::process::kill(supervisor, rustix::process::Signal::KILL);
            must("another one", || scanner.supervisor().is_some_and(|pid| pid != supervisor));
        }
        assert_eq!(service.status().map(|s| s.pid), Some(was.pid), "it could be written");
        std::fs::remove_dir(obstacle).expect("removed");
        let now = service.must("down", |s| s.down() && !s.want_up);
        assert_eq!(now.pid, 0);
        scanner.stop(rustix::process::Signal::TERM);
        let said = scratch.read(format!("scan{name}.log"));
        assert!(said.matches("can't write supervise/status").count() <= 3, "{said}");
    }
}

#[test]
fn a_status_is_true_on_a_file_system_without_room_for_another_file() {
    let scratch = Scratch::new();
    let Some(mount) = Mount::new(&scratch, 512) else { return println!("left out: no mounts here") };
    for (name, again) in [("a", false), ("b", true)] {
        scratch.file(format!("small/scan{name}/{name}/run"), "#!/bin/sh\nexec sleep 1000\n");
        let mut scanner =
            Scanner::start_with(&scratch, &Suite::skeg(), &format!("small/scan{name}"), &[], |_| ());
        let service = scanner.service(name);
        let was = service.must("up", |s| s.up());
        // Of both kinds: for bytes, and for names.
        let filler = fill(&mount.0);
        let fillers = fill_inodes(&mount.0);
        if again {
            // Another supervisor writes it as well.
            let supervisor = scanner.must_supervisor();
            harness::process::kill(supervisor, rustix::process::Signal::KILL);
            must("another one", || scanner.supervisor().is_some_and(|pid| pid != supervisor));
        }
        service.control(b"d");
        let now = service.must("down", |s| s.down() && !s.want_up);
        assert!(now.pid == 0 && !harness::process::alive(was.pid));
        service.control(b"u");
        service.must("up again", |s| s.up() && s.pid != was.pid);
        std::fs::remove_file(filler).expect("room");
        fillers.iter().for_each(|file| std::fs::remove_file(file).expect("room"));
        service.control(b"d");
        service.must("down again", |s| s.down() && !s.want_up);
        scanner.stop(rustix::process::Signal::TERM);
    }
}

#[test]
fn on_a_full_file_system_an_update_and_a_recovery_let_live_what_runs() {
    let scratch = Scratch::new();
    sleeper(&scratch, "a");
    sleeper(&scratch, "b");
    scratch.run(&Suite::skeg(), "s6-rc-compile", &["first", "src"]).expect(0);
    scratch.file("src/a/run", "#!/bin/sh\n# other\nexec sleep 1000\n");
    scratch.run(&Suite::skeg(), "s6-rc-compile", &["other", "src"]).expect(0);
    let Some(mount) = Mount::new(&scratch, 4096) else { return println!("left out: no mounts here") };
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    let live = scratch.text("small/live");
    let run = |applet: &str, more: &[&str]| {
        scratch.run(&Suite::skeg(), applet, &[&["-l", live.as_str()], more].concat())
    };
    run("s6-rc-init", &["-c", &scratch.text("first"), &scratch.text("scan")]).expect(0);
    run("s6-rc", &["-u", "change", "a", "b"]).expect(0);
    let pid = |name: &str| scanner.service(name).status().map(|s| s.pid);
    let were = [pid("a"), pid("b")];
    let fillers = fill_inodes(&mount.0);
    assert!(run("apply", &["other"]).expect(111).err.contains("no space left"));
    assert_eq!(run("s6-rc", &["-a", "list"]).expect(0).lines(), ["a", "b"]);
    let free = |fillers: Vec<std::path::PathBuf>| {
        fillers.iter().for_each(|file| std::fs::remove_file(file).expect("room"));
    };
    free(fillers);
    assert_eq!(run("recover", &[]).expect(0).err, "");
    assert_eq!([pid("a"), pid("b")], were);
    // A command that was killed when it had its journal.
    let all = ["-l", &live, "other"].map(str::to_owned);
    let journal = mount.0.join("live:sv/journal");
    for n in 1.. {
        harness::fault::strike(&scratch, &Suite::skeg_fault(), "apply", &all, n, harness::fault::Fault::Kill);
        if journal.exists() {
            break;
        }
    }
    let fillers = fill_inodes(&mount.0);
    let said = run("recover", &[]).err;
    assert!(said.contains("no space left"), "{said}");
    assert!(!said.contains("is down"), "what runs is not down: {said}");
    assert_eq!([pid("a"), pid("b")], were);
    free(fillers);
    assert_eq!(run("s6-rc", &["-a", "list"]).expect(0).lines(), ["a", "b"]);
    run("recover", &[]).expect(0);
    assert_eq!([pid("a"), pid("b")], were);
    run("apply", &["other"]).expect(0);
    assert!(pid("a") != were[0] && pid("b") == were[1]);
}

#[test]
fn beyond_the_limit_of_a_files_size_a_command_says_so_and_undoes_what_it_began() {
    let scratch = Scratch::new();
    for image in ["first", "other"] {
        // Larger than the limit below, which the words that a command says are not.
        let rest = "# what is in it does not matter\n".repeat(400);
        scratch.file(format!("{image}/a/type"), "longrun\n");
        scratch.file(format!("{image}/a/run"), format!("#!/bin/sh\n# {image}\nexec sleep 1000\n{rest}"));
        scratch.run(&Suite::skeg(), "s6-rc-compile", &[&format!("{image}.img"), image]).expect(0);
    }
    scratch.folder("data");
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    let (live, first, scan) = (scratch.text("live"), scratch.text("first.img"), scratch.text("scan"));
    let init = ["s6-rc-init", "-c", &first, "-l", &live, &scan];
    let limited = |words: &[&str]| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]).arg(Suite::skeg().binary()).args(words);
        command.current_dir(scratch.path());
        scratch.mark(&mut command);
        let done = run_for(&mut command, Duration::from_secs(20));
        assert!(done.code == 111 && done.err.contains("file too large"), "{words:?}: {done:?}");
    };
    limited(&init);
    assert!(!scratch.at("live").exists());
    scratch.run(&Suite::skeg(), init[0], &init[1..]).expect(0);
    rc(&scratch, &["-u", "change", "a"]).expect(0);
    let was = scanner.service("a").status();
    limited(&["apply", "-l", &live, "other.img"]);
    limited(&["s6-rc-update", "-l", &live, &scratch.text("other.img")]);
    limited(&["sync", "-l", &live, "-o", "third.img", "other"]);
    limited(&["s6-rc-bundle", "-l", &live, "add", "all", "a"]);
    limited(&["s6-rc-compile", "third.img", "other"]);
    limited(&["install", "-d", "data", "--bundle", "a", "other.img"]);
    assert!(!scratch.at("third.img").exists() && !scratch.at("live:sv/journal").exists());
    assert_eq!(scanner.service("a").status(), was);
    scratch.run(&Suite::skeg(), "apply", &["-l", &live, "other.img"]).expect(0);
}

#[test]
fn an_init_that_waits_for_a_scanner_that_takes_fewer_services_says_so() {
    let scratch = Scratch::new();
    ["a", "b", "c", "d"].into_iter().for_each(|name| sleeper(&scratch, name));
    compile(&scratch).expect(0);
    let _scanner = Scanner::start_with(&scratch, &Suite::skeg(), "scan", &["-C", "2"], |_| ());
    let words = ["-t", "7000", "-c", &scratch.text("db"), "-l", &scratch.text("live"), &scratch.text("scan")];
    let said = scratch.run(&Suite::skeg(), "s6-rc-init", &words).expect(111).err;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains(" services have no supervisor yet; waiting (-t gives up)"), "{said}");
    assert!(lines[0].contains("its -C says more") && lines[1].contains("timed out"), "{said}");
}
