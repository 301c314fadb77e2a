// SPDX-License-Identifier: ISC
//! Process settings, asked from inside of services: under our scanner and under Debian's.
//!
//! The service directories are written by hand, as `crates/source/PROCESS.md` describes them.

use harness::tree::Service;
use harness::wait::must;
use harness::{Scanner, Scratch, Suite, User, process};
use std::path::{Path, PathBuf};

/// A scratch directory, and where generated scripts and their users' go.
struct Place {
    scratch: Scratch,
    skeg: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self { scratch: Scratch::new(), skeg: Suite::skeg().binary().to_owned() }
    }

    /// A service directory `scan/NAME` with these settings and this script.
    fn service(&self, name: &str, settings: &str, script: &str) -> Service {
        let head = format!("#!{} s6rc-run\nskeg settings 1\n", self.skeg.display());
        self.scratch.file(format!("scan/{name}/run"), format!("{head}{settings}"));
        self.scratch.file(format!("scan/{name}/run.user"), format!("#!/bin/sh\n{script}\n"));
        Service::at(self.scratch.at("scan").join(name))
    }

    /// A finish as it is generated for a cgroup, with the user's own.
    fn finish(&self, name: &str, cgroup: &str, script: &str) {
        let head = format!("#!{} s6rc-finish\nskeg settings 1\n", self.skeg.display());
        self.scratch.file(format!("scan/{name}/finish"), format!("{head}cgroup path {cgroup}\n"));
        self.scratch.file(format!("scan/{name}/finish.user"), format!("#!/bin/sh\n{script}\n"));
    }

    /// What a service has written, once it has written it all.
    #[track_caller]
    fn told(&self, file: &str) -> String {
        must(file, || self.scratch.at(file).exists());
        self.scratch.read(file)
    }
}

/// Runs the test on both trees.
fn on_both(test: impl Fn(&Suite)) {
    if !rustix::process::geteuid().is_root() {
        return println!("left out: only root can change user, limits and groups");
    }
    match Suite::debian() {
        Some(debian) => test(&debian),
        None => println!("left out on the other tree: no s6 here"),
    }
    test(&Suite::skeg());
}

/// A script that tells what its process is like, to a file that appears when it is whole.
fn tell(to: &Path) -> String {
    let to = to.display();
    format!(
        "umask 000\n\
        {{ umask; nice; cat /proc/self/oom_score_adj; grep ^0: /proc/self/cgroup\n\
        echo args: \"$@\"; id -u; id -g; id -G; pwd\n\
        cat /proc/self/status /proc/self/limits; }} >{to}.new\n\
        mv {to}.new {to}; exec sleep 1000"
    )
}

/// The fields of the line that begins like this.
#[track_caller]
fn line<'a>(told: &'a str, start: &str) -> Vec<&'a str> {
    let line = told.lines().find_map(|l| l.strip_prefix(start));
    line.unwrap_or_else(|| panic!("no {start}: {told}")).split_whitespace().collect()
}

/// Where the unified hierarchy is, if it is mounted; none where this process can't make groups.
fn hierarchy() -> Option<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = table.lines().find(|l| l.contains(" - cgroup2 ") && l.split(' ').nth(3) == Some("/"))?;
    let root = PathBuf::from(mount.split(' ').nth(4)?);
    let probe = root.join(format!("skeg-probe-{}", std::process::id()));
    std::fs::create_dir(&probe).ok()?;
    let able = probe.join("cgroup.kill").exists();
    std::fs::remove_dir(&probe).ok()?;
    able.then_some(root)
}

#[test]
fn a_service_gets_user_groups_limits_and_the_rest() {
    on_both(|tree| {
        let place = Place::new();
        let folder = place.scratch.folder("out");
        std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).expect("chown");
        let settings = "user 65534:65533\ngroups\ngroups 7 tty\nrlimits nofile 64 128\nrlimits core 0\n\
            rlimits memlock 65536 -\noom-score 300\nnice 5\numask 027\nno-new-privs\n\
            capabilities\ncapabilities net_bind_service CAP_KILL\n";
        let script = tell(&place.scratch.at("out/told")).replacen("umask 000\n", "", 1);
        place.service("web", settings, &script);
        let scanner = Scanner::start(&place.scratch, tree);
        let told = place.told("out/told");
        let words: Vec<&str> = told.lines().take(3).collect();
        assert_eq!(words, ["0027", "5", "300"]);
        assert_eq!(line(&told, "args:"), ["web"]);
        let home = scanner.dir.join("web");
        assert!(told.lines().any(|l| l == home.to_str().expect("a path")), "{told}");
        assert_eq!(line(&told, "Uid:"), ["65534"; 4]);
        assert_eq!(line(&told, "Gid:"), ["65533"; 4]);
        assert_eq!(line(&told, "Groups:"), ["5", "7"]);
        assert_eq!(line(&told, "Max open files"), ["64", "128", "files"]);
        assert_eq!(line(&told, "Max core file size"), ["0", "0", "bytes"]);
        assert_eq!(line(&told, "Max locked memory")[0], "65536");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(line(&told, set), ["0000000000000420"], "{set}");
        }
        assert_eq!(line(&told, "NoNewPrivs:"), ["1"]);
        // It is the supervisor's child: nothing stands between.
        let status = scanner.service("web").must("up", |s| s.pid != 0);
        must("the supervisor's child is the program", || process::command_line(status.pid) == "sleep 1000");
    });
}

#[test]
fn a_user_gets_the_groups_that_the_device_gives_it_and_no_capability() {
    on_both(|tree| {
        let place = Place::new();
        let folder = place.scratch.folder("out");
        std::os::unix::fs::chown(&folder, Some(33), Some(33)).expect("chown");
        place.service("web", "user www-data\n", &tell(&place.scratch.at("out/told")));
        place.service("root", "capabilities\n", &tell(&place.scratch.at("root")));
        let _scanner = Scanner::start(&place.scratch, tree);
        let told = place.told("out/told");
        assert_eq!(line(&told, "Uid:"), ["33"; 4]);
        assert_eq!(line(&told, "Gid:"), ["33"; 4]);
        assert_eq!(line(&told, "Groups:"), [""; 0]);
        assert_eq!(line(&told, "CapEff:"), ["0000000000000000"]);
        assert_ne!(line(&told, "CapBnd:"), ["0000000000000000"]);
        let told = place.told("root");
        assert_eq!(line(&told, "Uid:"), ["0"; 4]);
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(line(&told, set), ["0000000000000000"], "{set}");
        }
    });
}

#[test]
fn a_command_needs_no_script_and_no_shell() {
    on_both(|tree| {
        let place = Place::new();
        let told = place.scratch.at("told").display().to_string();
        let command = format!("nice 3\ncommand\nnice\0-n\x002\0cp\0/proc/self/status\0{told}\0");
        place.service("plain", &command, "echo must not run");
        std::fs::remove_file(place.scratch.at("scan/plain/run.user")).expect("remove");
        let _scanner = Scanner::start(&place.scratch, tree);
        must("a whole copy", || place.scratch.read("told").contains("nonvoluntary"));
        assert_eq!(line(&place.scratch.read("told"), "Name:"), ["cp"]);
    });
}

#[test]
fn what_cannot_be_applied_keeps_the_service_from_running() {
    on_both(|tree| {
        let cases = [
            ("user", "user no-such-user\n", "can't apply user: 'no-such-user' is not in /etc/passwd"),
            ("number", "user 4711\n", "its group must be given: 4711:GROUP"),
            ("group", "groups\ngroups no-such-group\n", "'no-such-group' is not in /etc/group"),
            ("cgroup", "cgroup\ncgroup no.such 1\ncgroup path skeg-test/none\n", "can't apply cgroup: "),
            ("future", "colour red\n", "does not understand the line 'colour red'"),
            ("limit", "rlimits nofile 1099511627776\n", "can't apply rlimits: nofile: "),
            ("command", "command\nno-such-program\0", "can't run no-such-program: no such file or directory"),
        ];
        let place = Place::new();
        for (name, settings, _) in &cases {
            let to = place.scratch.at(format!("ran-{name}"));
            place.service(name, settings, &format!("touch {}; exec sleep 1000", to.display()));
        }
        let scanner = Scanner::start(&place.scratch, tree);
        for (name, _, message) in &cases {
            let said = || place.scratch.read("scan.log");
            let whole = |log: &str| {
                log.lines().any(|l| l.contains(&format!("service '{name}'")) && l.contains(message))
            };
            must(&format!("{name}: {message}: {}", said()), || whole(&said()));
            scanner.service(name).must("ended with 111", |s| s.wait_status == 111 << 8);
            assert!(!place.scratch.at(format!("ran-{name}")).exists(), "{name} ran");
        }
    });
}

#[test]
fn a_stop_empties_the_cgroup() {
    on_both(|tree| {
        let Some(root) = hierarchy() else { return println!("left out: no cgroup2 with cgroup.kill here") };
        let place = Place::new();
        let top = format!("skeg-test-{}", std::process::id());
        let path = format!("{top}/web");
        let out = place.scratch.path().display().to_string();
        // A daemon that leaves the session and ignores what is polite.
        let script = format!(
            "grep ^0: /proc/self/cgroup >{out}/group\n\
            cat {0}/cgroup.max.depth >{out}/depth\n\
            setsid sh -c 'trap \"\" TERM HUP; echo $$ >{out}/stray.new; mv {out}/stray.new {out}/stray; \
            while :; do sleep 1000; done' &\n\
            exec sleep 1000",
            root.join(&path).display()
        );
        let settings = format!("cgroup\ncgroup cgroup.max.depth 3\ncgroup path {path}\n");
        let service = place.service("web", &settings, &script);
        place.finish(
            "web",
            &path,
            &format!("ls {} >{out}/left 2>&1; echo \"$@\" >{out}/ended; exit 0", root.join(&path).display()),
        );
        let _scanner = Scanner::start(&place.scratch, tree);
        let stray: u32 = place.told("stray").trim().parse().expect("a process id");
        assert_eq!(place.scratch.read("group").trim(), format!("0::/{path}"));
        assert_eq!(place.scratch.read("depth").trim(), "3");
        assert!(process::alive(stray));
        let events = service.listen();
        service.control(b"d");
        service.must("down", |s| s.pid == 0 && !s.want_up);
        drop(events);
        assert!(!process::alive(stray), "what was left in the cgroup still lives");
        let ended = place.scratch.read("ended");
        assert_eq!(ended.split_whitespace().nth(2), Some("web"), "a finish's arguments go through: {ended}");
        assert!(place.scratch.read("left").contains("No such file"), "the cgroup is still there");
        assert!(!root.join(&path).exists());
        // Up again: it is made again.
        std::fs::remove_file(place.scratch.at("stray")).expect("remove");
        service.control(b"u");
        let stray: u32 = place.told("stray").trim().parse().expect("a process id");
        service.control(b"d");
        service.must("down", |s| s.pid == 0 && !s.want_up);
        assert!(!process::alive(stray));
        std::fs::remove_dir(root.join(&top)).expect("an empty cgroup");
    });
}

/// Its commands run as they should, under both trees; what makes no sense for them is refused.
#[test]
fn a_oneshot_has_process_settings_too() {
    on_both(|tree| {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        let out = scratch.folder("out");
        std::os::unix::fs::chown(&out, Some(65534), Some(65534)).expect("chown");
        let tell = scratch.file("tell", format!("#!/bin/sh\nto=$1; shift\n{}\n", TELL_ONESHOT));
        std::fs::set_permissions(&tell, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
        let script =
            |name: &str| format!("{} {} \"two words\" {{ x }}", tell.display(), out.join(name).display());
        for (file, content) in [
            ("type", "oneshot\n"),
            ("up", &script("up")),
            ("down", &script("down")),
            ("reload", ""),
            ("user", "65534:65533\n"),
            ("groups", "7\n"),
            ("rlimits", "nofile 64 128\n"),
            ("oom-score", "300\n"),
            ("nice", "5\n"),
            ("umask", "027\n"),
            ("no-new-privs", ""),
            ("capabilities", "kill\n"),
        ] {
            scratch.file(format!("src/once/{file}"), content);
        }
        scratch.file("src/bad/type", "oneshot\n");
        scratch.file("src/bad/up", "true\n");
        scratch.file("src/bad/rlimits", "nofile 1099511627776\n");
        let (image, live) = (scratch.text("image"), scratch.text("live"));
        scratch.run(&skeg, "s6-rc-compile", &[&image, &scratch.text("src")]).expect(0);
        let _scanner = Scanner::start(&scratch, tree);
        scratch.run(&skeg, "s6-rc-init", &["-c", &image, "-l", &live, &scratch.text("scan")]).expect(0);
        for word in ["start", "reload", "stop"] {
            scratch.run(&skeg, "s6-rc", &["-l", &live, word, "once"]).expect(0);
        }
        for file in ["out/up", "out/down"] {
            let told = scratch.read(file);
            assert_eq!(
                told.lines().take(4).collect::<Vec<_>>(),
                ["0027", "5", "300", "two words, x,,"],
                "{told}"
            );
            assert_eq!(line(&told, "Uid:"), ["65534"; 4]);
            assert_eq!(line(&told, "Gid:"), ["65533"; 4]);
            assert_eq!(line(&told, "Groups:"), ["7"]);
            assert_eq!(line(&told, "Max open files"), ["64", "128", "files"]);
            assert_eq!(line(&told, "CapEff:"), ["0000000000000020"]);
            assert_eq!(line(&told, "NoNewPrivs:"), ["1"]);
            assert_eq!(line(&told, "descriptors:"), ["0", "1", "2"]);
        }
        let failed = scratch.run(&skeg, "s6-rc", &["-l", &live, "start", "bad"]).expect(1);
        assert!(failed.err.contains("service 'bad': can't apply rlimits: nofile"), "{}", failed.err);
    });
}

/// What a oneshot of [`a_oneshot_has_process_settings_too`] tells of itself, into the file `$to`.
const TELL_ONESHOT: &str = r#"{ umask; nice; cat /proc/self/oom_score_adj; printf '%s,' "$1" "$2" "$3"; echo
printf descriptors:; for n in 0 1 2 3 4 5 6 7 8 9; do test -e /proc/$$/fd/$n && printf ' %s' $n; done; echo
cat /proc/self/status /proc/self/limits; } >$to.new
mv $to.new $to"#;

#[test]
fn what_makes_no_sense_for_a_oneshot_is_refused() {
    let (scratch, skeg) = (Scratch::new(), Suite::skeg());
    for (file, content) in [
        ("type", "oneshot"),
        ("up", "true"),
        ("cgroup", ""),
        ("command", "true"),
        ("restart-backoff", "1 2"),
        ("reload-on-change", ""),
        ("rlimits", "nofile 1k\n"),
    ] {
        scratch.file(format!("source/o/{file}"), content);
    }
    let done = scratch.run(&skeg, "s6-rc-compile", &["image", "source"]).expect(1);
    for file in ["cgroup", "command", "restart-backoff", "reload-on-change"] {
        assert!(
            done.err.contains(&format!("source/o/{file}: it means nothing to a oneshot")),
            "{}",
            done.err
        );
    }
    assert!(done.err.contains("source/o/rlimits:1: '1k': neither a number"), "{}", done.err);
    assert!(!scratch.at("image").exists());
}

#[test]
fn a_cgroup_belongs_to_one_service() {
    let (scratch, skeg) = (Scratch::new(), Suite::skeg());
    let groups = [("a", "path apps/web\n"), ("b", "path apps/web-2\n"), ("c", ""), ("d", "path other\n")];
    for (service, content) in groups {
        scratch.file(format!("source/{service}/type"), "longrun\n");
        scratch.file(format!("source/{service}/command"), "sleep 1000");
        scratch.file(format!("source/{service}/cgroup"), content);
    }
    scratch.run(&skeg, "s6-rc-compile", &["image", "source"]).expect(0);
    for same in ["apps/web", "apps/web/below", "skeg/c"] {
        scratch.file("source/d/cgroup", format!("path {same}\n"));
        let done = scratch.run(&skeg, "s6-rc-compile", &["image2", "source"]).expect(1);
        let other = if same == "skeg/c" { "c" } else { "a" };
        let message = format!("source/d/cgroup: {other}/cgroup is the same group or one above");
        assert!(done.err.contains(&message), "{same}: {}", done.err);
    }
}

#[test]
fn init_refuses_what_can_never_be_applied() {
    let (place, skeg) = (Place::new(), Suite::skeg());
    let place = if rustix::process::geteuid().is_root() {
        Place { scratch: Scratch::of(User::Ordinary), skeg: place.skeg }
    } else {
        place
    };
    for (service, file, content) in [("a", "user", "root"), ("b", "capabilities", ""), ("c", "nice", "3")] {
        place.scratch.file(format!("source/{service}/type"), "longrun\n");
        place.scratch.file(format!("source/{service}/{file}"), content);
        place.scratch.file(format!("source/{service}/command"), "sleep 1000");
    }
    let (image, live) = (place.scratch.text("image"), place.scratch.text("live"));
    place.scratch.run(&skeg, "s6-rc-compile", &[&image, &place.scratch.text("source")]).expect(0);
    let _scanner = Scanner::start(&place.scratch, &skeg);
    let init = ["-c", &image, "-l", &live, &place.scratch.text("scan")];
    let refused = place.scratch.run(&skeg, "s6-rc-init", &init).expect(111);
    let whys = ["service 'a': can't apply user: only", "service 'b': can't apply capabilities: only"];
    let lines: Vec<&str> = refused.err.lines().collect();
    assert_eq!(lines.len(), whys.len(), "{lines:?}");
    assert!(lines.iter().zip(whys).all(|(line, why)| line.contains(why)), "{lines:?}");
    assert!(!place.scratch.at("live").exists());

    // The same for an update: nothing has happened.
    place.scratch.file("plain/a/type", "longrun\n");
    place.scratch.file("plain/a/command", "sleep 1000");
    let plain = place.scratch.text("plain.img");
    place.scratch.run(&skeg, "s6-rc-compile", &[&plain, &place.scratch.text("plain")]).expect(0);
    let init = ["-c", &plain, "-l", &live, &place.scratch.text("scan")];
    place.scratch.run(&skeg, "s6-rc-init", &init).expect(0);
    for (applet, words) in [("s6-rc-update", ["-l", &live, &image]), ("apply", ["-l", &live, &image])] {
        let refused = place.scratch.run(&skeg, applet, &words).expect(111);
        assert!(refused.err.contains("service 'a': can't apply user: only"), "{}", refused.err);
    }
    let list = place.scratch.run(&skeg, "s6-rc", &["-l", &live, "listall", "a"]).expect(0);
    assert!(list.out.contains("a\n"), "{}", list.out);
}

/// A controller that this hierarchy has not: refused before anything runs, on both trees.
#[test]
fn init_refuses_a_cgroup_whose_controller_cannot_be_enabled() {
    on_both(|tree| {
        if hierarchy().is_none() {
            return println!("left out: no cgroup2 with cgroup.kill here");
        }
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        scratch.file("source/web/type", "longrun\n");
        scratch.file("source/web/command", "sleep 1000\n");
        scratch.file("source/web/cgroup", "cgroup.max.depth 3\nno-such.max 5\n");
        let (image, live) = (scratch.text("image"), scratch.text("live"));
        scratch.run(&skeg, "s6-rc-compile", &[&image, &scratch.text("source")]).expect(0);
        let _scanner = Scanner::start(&scratch, tree);
        let init = ["-c", &image, "-l", &live, &scratch.text("scan")];
        let refused = scratch.run(&skeg, "s6-rc-init", &init).expect(111).err;
        assert!(
            refused.contains("service 'web': can't apply cgroup: there is no controller no-such"),
            "{refused}"
        );
        assert!(!scratch.at("live").exists());
    });
}

/// The generated scripts of a pipeline and of the settings stand one behind the other.
#[test]
fn members_of_a_pipeline_have_settings_too() {
    on_both(|tree| {
        let (place, skeg) = (Place::new(), Suite::skeg());
        let out = place.scratch.folder("out");
        std::os::unix::fs::chown(&out, Some(65534), Some(65534)).expect("chown");
        let files = [
            ("writer/type", "longrun\n"),
            ("writer/producer-for", "reader\n"),
            ("writer/nice", "3\n"),
            ("writer/command", "sh -c \"nice; exec sleep 1000\""),
            ("reader/type", "longrun\n"),
            ("reader/consumer-for", "writer\n"),
            ("reader/user", "65534:65534\n"),
            (
                "reader/run",
                &format!("#!/bin/sh\nread line\necho $line $(id -u) $1 >{}/read\n", out.display()),
            ),
        ];
        for (file, content) in files {
            place.scratch.file(format!("source/{file}"), content);
        }
        let (image, live) = (place.scratch.text("image"), place.scratch.text("live"));
        place.scratch.run(&skeg, "s6-rc-compile", &[&image, &place.scratch.text("source")]).expect(0);
        let _scanner = Scanner::start(&place.scratch, tree);
        let init = ["-c", &image, "-l", &live, &place.scratch.text("scan")];
        place.scratch.run(&skeg, "s6-rc-init", &init).expect(0);
        place.scratch.run(&skeg, "s6-rc", &["-l", &live, "-u", "change", "writer"]).expect(0);
        must("what went through the pipe", || place.scratch.read("out/read") == "3 65534 reader\n");
    });
}

/// A definition with every setting in files of its own, compiled, started and stopped by the manager.
#[test]
fn definitions_with_settings_work_from_end_to_end() {
    on_both(|tree| {
        let Some(root) = hierarchy() else { return println!("left out: no cgroup2 with cgroup.kill here") };
        let (place, skeg) = (Place::new(), Suite::skeg());
        let out = place.scratch.folder("out");
        std::os::unix::fs::chown(&out, Some(65534), Some(65534)).expect("chown");
        let name = format!("web-{}", std::process::id());
        let files = [
            ("web", "type", "longrun\n"),
            ("web", "user", "# whoever\n65534:65534\n"),
            ("web", "groups", ""),
            ("web", "cgroup", ""),
            ("web", "rlimits", "nofile 99\n"),
            ("web", "oom-score", "700\n"),
            ("web", "nice", "4\n"),
            ("web", "umask", "077\n"),
            ("web", "no-new-privs", ""),
            ("web", "capabilities", "net_bind_service\n"),
            ("web", "run", &format!("#!/bin/sh\nid -u >&2\n{}\n", tell(&out.join("told")))),
            (
                "web",
                "finish",
                &format!("#!/bin/sh\nls {}/skeg >{}\n", root.display(), place.scratch.text("left")),
            ),
            ("reader", "type", "longrun\n"),
            ("reader", "user", "65534:65534\n"),
            ("reader", "command", &format!("cp \"/proc/self/\"status {}/read", out.display())),
        ];
        for (service, file, content) in files {
            let service = if service == "web" { name.as_str() } else { service };
            place.scratch.file(format!("source/{service}/{file}"), content);
        }
        let (image, scan) = (place.scratch.text("image"), place.scratch.text("scan"));
        let live = place.scratch.text("live");
        place.scratch.run(&skeg, "s6-rc-compile", &[&image, &place.scratch.text("source")]).expect(0);
        let _scanner = Scanner::start(&place.scratch, tree);
        place.scratch.run(&skeg, "s6-rc-init", &["-c", &image, "-l", &live, &scan]).expect(0);
        place.scratch.run(&skeg, "s6-rc", &["-l", &live, "-u", "change", &name, "reader"]).expect(0);
        let told = place.told("out/told");
        assert_eq!(line(&told, "Uid:"), ["65534"; 4]);
        assert_eq!(line(&told, "Groups:"), [""; 0]);
        assert_eq!(line(&told, "CapBnd:"), ["0000000000000400"]);
        assert_eq!(line(&told, "Max open files"), ["99", "99", "files"]);
        assert!(told.contains(&format!("\n0::/skeg/{name}\n")), "{told}");
        assert!(told.contains("\n700\n"), "{told}");
        must("what the command copied", || place.scratch.read("out/read").contains("nonvoluntary"));
        assert_eq!(line(&place.scratch.read("out/read"), "Uid:"), ["65534"; 4]);
        place.scratch.run(&skeg, "s6-rc", &["-l", &live, "-d", "change", &name]).expect(0);
        must("its own finish", || place.scratch.at("left").exists());
        assert!(!place.scratch.read("left").contains(&name), "the cgroup is still there");
    });
}

/// What another scanner's supervisors can't do: named where it is only less, refused where it would be left out.
#[test]
fn what_a_foreign_supervisor_lacks_is_named_by_init_or_refused() {
    let Some(debian) = Suite::debian() else { return println!("left out: no s6 here") };
    let (scratch, skeg) = (Scratch::new(), Suite::skeg());
    for (tree, file, content) in [
        ("newer", "flag-newpidns", ""),
        ("newer", "reload-signal", "USR1\n"),
        ("newer", "flag-timeout-killpg", ""),
        ("loops", "restart-backoff", "500 60000\n"),
    ] {
        scratch.file(format!("{tree}/web/type"), "longrun\n");
        scratch.file(format!("{tree}/web/run"), "#!/bin/sh\nexec sleep 1000\n");
        scratch.file(format!("{tree}/web/{file}"), content);
    }
    for tree in ["newer", "loops"] {
        scratch
            .run(&skeg, "s6-rc-compile", &[scratch.text(&format!("{tree}.img")), scratch.text(tree)])
            .expect(0);
    }
    let _scanner = Scanner::start(&scratch, &debian);
    let live = scratch.text("live");
    let init = |image: &str| {
        let words = ["-c", &scratch.text(image), "-l", &live, &scratch.text("scan")];
        scratch.run(&skeg, "s6-rc-init", &words)
    };
    let refused = init("loops.img").expect(111).err;
    assert!(refused.contains("service web: its restart-backoff needs"), "{refused}");
    assert!(!scratch.at("live").exists());
    let warned = init("newer.img").expect(0).err;
    for file in ["flag-newpidns", "reload-signal", "flag-timeout-killpg"] {
        assert!(warned.contains(&format!("service web has {file}, which older")), "{warned}");
    }
    assert!(warned.contains("the letters P, C and K of s6-svc"), "{warned}");
    for applet in ["s6-rc-update", "apply"] {
        let refused = scratch.run(&skeg, applet, &["-l", &live, &scratch.text("loops.img")]).expect(111).err;
        assert!(refused.contains("service web: its restart-backoff needs"), "{refused}");
    }
    // An update says the same.
    scratch.file("newer/dns/type", "longrun\n");
    scratch.file("newer/dns/run", "#!/bin/sh\nexec sleep 1000\n");
    scratch.file("newer/dns/reload-signal", "USR1\n");
    let image = scratch.text("more.img");
    scratch.run(&skeg, "s6-rc-compile", &[&image, &scratch.text("newer")]).expect(0);
    let warned = scratch.run(&skeg, "s6-rc-update", &["-l", &live, &image]).expect(0).err;
    assert!(warned.contains("warning: service dns has reload-signal, which older supervisors"), "{warned}");
    assert!(warned.contains("service web has flag-newpidns, which older"), "{warned}");
    scratch.run(&skeg, "s6-rc", &["-l", &live, "start", "web"]).expect(0);
    assert!(!scratch.at("live:sv/journal").exists());
}
