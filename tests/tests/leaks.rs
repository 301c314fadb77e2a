// SPDX-License-Identifier: ISC
//! What a process of a service gets to see of those that start it: nothing that it does not need, and the same under our
//! tree and under Debian's.
//!
//! Asked from inside `run`, `finish`, `up` and `down`: open descriptors, signal masks and ignored signals, limits, umask,
//! nice, `oom_score_adj`, environment, session, controlling terminal, working directory, arguments.

use harness::wait::must;
use harness::{Scanner, Scratch, Suite, User, process};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Mutex;

/// Writes all of it into the file that its first argument names, which appears when it is whole.
const TELL: &str = r#"#!/bin/sh
to=$1 ; shift
for n in 1 2 ; do eval "was$n=\$(readlink /proc/$$/fd/$n)" ; done
exec > $to.new 2>&1
for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 100 101 102 255 256 300 ; do
test -e /proc/$$/fd/$n && echo "fd $n $(readlink /proc/$$/fd/$n)"
done
echo out $was1
echo err $was2
grep -E '^(SigBlk|SigIgn|Groups|Uid|Gid|NoNewPrivs|CapEff|CapInh|CapAmb)' /proc/self/status
grep ^Max /proc/self/limits
echo umask $(umask)
echo nice $(nice)
echo oom $(cat /proc/self/oom_score_adj)
read pid comm state parent group session tty rest < /proc/$$/stat
test $session = $$ && echo session own || echo session other
test $group = $$ && echo group own || echo group other
echo tty $tty
echo cwd $(pwd -P)
echo args "$@"
env | sed 's/^/env /'
mv $to.new $to
test -z "$THEN" || exec $THEN
"#;

/// Descriptors of high numbers that a tree is started with, as s6-svscan itself passes them on: number and file.
const INHERITED: [(i32, &str); 2] = [(100, "/dev/zero"), (300, "/dev/full")];

/// Opens them so that an exec keeps them, until they are dropped.
fn inherited() -> Vec<OwnedFd> {
    let open = |(number, path): (i32, &str)| {
        let file = File::open(path).expect("a device");
        let fd = rustix::io::fcntl_dupfd_cloexec(&file, number).expect("a descriptor");
        assert_eq!(fd.as_raw_fd(), number);
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::empty()).expect("kept over an exec");
        fd
    };
    INHERITED.into_iter().map(open).collect()
}

/// The soft limit of descriptors that the trees are started with: ours raises its own, and must not pass that on.
const DESCRIPTORS: u64 = 700;

fn lay_out(scratch: &Scratch) {
    let (tell, at) = (scratch.file("tell", TELL), |name| scratch.text(name));
    let tell = tell.display();
    scratch.file("src/once/type", "oneshot\n");
    scratch.file("src/once/up", format!("{tell} {} a \"b c\" {{ x y }}\n", at("told-up")));
    scratch.file("src/once/down", format!("{tell} {}\n", at("told-down")));
    scratch.file("src/long/type", "longrun\n");
    let run = format!("#!/bin/sh\nTHEN='sleep 1000' exec {tell} {} \"$@\"\n", at("told-run"));
    scratch.file("src/long/run", run);
    scratch.file("src/long/finish", format!("#!/bin/sh\nexec {tell} {} $1 $2 $3\n", at("told-finish")));
    scratch.file("src/long/notification-fd", "5\n");
}

/// What differs from run to run is named alike: pids, inodes, the scratch directory.
fn plain(scratch: &Scratch, told: &str) -> Vec<String> {
    let dir = scratch.path().display().to_string();
    let mut lines: Vec<String> = told
        .lines()
        .map(|line| {
            let line = line.replace(&dir, "DIR");
            match line.split_once(":[") {
                Some((before, _)) if line.starts_with("fd ") => before.to_owned(),
                _ if line.contains("(deleted)") => line.split(" /").next().unwrap_or_default().to_owned(),
                // The shell's own script, under a number of its choice.
                _ if line.starts_with("fd 1") && line.ends_with("DIR/tell") => String::new(),
                _ if line.starts_with("env PWD=") || line.starts_with("env OLDPWD=") => String::new(),
                _ => line,
            }
        })
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort();
    lines
}

/// What the four scripts tell under this tree, our manager in command.
fn told(tree: &Suite, user: User) -> BTreeMap<&'static str, Vec<String>> {
    let scratch = Scratch::of(user);
    let skeg = Suite::skeg();
    lay_out(&scratch);
    let at = |name| scratch.text(name);
    scratch.run(&skeg, "s6-rc-compile", &[at("db"), at("src")]).expect(0);
    let high = inherited();
    let scanner = Scanner::start(&scratch, tree);
    drop(high);
    scratch.run(&skeg, "s6-rc-init", &["-c", &at("db"), "-l", &at("live"), &at("scan")]).expect(0);
    scratch.run(&skeg, "s6-rc", &["-l", &at("live"), "start", "once"]).expect(0);
    // A longrun is up for its manager when it says so; this one never does, and is started by hand.
    scratch.run(&skeg, "s6-svc", &["-u", &at("scan/long")]).expect(0);
    must("run has told", || scratch.at("told-run").exists());
    scratch.run(&skeg, "s6-svc", &["-d", &at("scan/long")]).expect(0);
    must("finish has told", || scratch.at("told-finish").exists());
    scratch.run(&skeg, "s6-rc", &["-l", &at("live"), "stop", "once"]).expect(0);
    drop(scanner);
    ["up", "down", "run", "finish"]
        .into_iter()
        .map(|script| (script, plain(&scratch, &scratch.read(format!("told-{script}")))))
        .collect()
}

fn lower_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), ..limit }).expect("a lower soft limit");
}

/// Both trees tell the same, but for what is listed here with its reason.
fn compare(user: User) {
    let Some(debian) = Suite::debian() else { return println!("left out: no s6 here") };
    lower_descriptors();
    let (theirs, ours) = (told(&debian, user), told(&Suite::skeg(), user));
    let mut faults = Vec::new();
    for (script, there) in &theirs {
        let here = &ours[script];
        assert!(there.len() > 20, "{script} has told: {there:?}");
        faults.extend(
            there
                .iter()
                .filter(|l| !here.contains(l))
                .map(|l| format!("{script}: only on Debian's tree: {l}")),
        );
        faults.extend(
            here.iter().filter(|l| !there.contains(l)).map(|l| format!("{script}: only on ours: {l}")),
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (script, lines) in &ours {
        // From 10 on they are the shell's own.
        let low = |l: &&String| l.strip_prefix("fd ").is_some_and(|rest| rest.chars().nth(1) == Some(' '));
        let fds: Vec<_> = lines.iter().filter(low).collect();
        let most = if *script == "run" { 4 } else { 3 };
        assert_eq!(fds.len(), most, "{script} has open: {fds:?}");
        let has = |line: &str| assert!(lines.iter().any(|l| l == line), "{script}: no {line:?} in {lines:?}");
        // Scripts of oneshots are in their runner's session, as in s6-rc.
        has(if matches!(*script, "run" | "finish") { "session own" } else { "session other" });
        has("tty 0");
        // The runner hands none of the tree's own on to scripts.
        let passed = |(number, file): &(i32, &str)| lines.contains(&format!("fd {number} {file}"));
        let count = if matches!(*script, "run" | "finish") { INHERITED.len() } else { 0 };
        assert_eq!(INHERITED.iter().filter(|fd| passed(fd)).count(), count, "{script}: {lines:?}");
        has("SigBlk:\t0000000000000000");
        let limit = lines.iter().find(|l| l.starts_with("Max open files")).expect("a limit");
        assert!(limit.split_whitespace().nth(3) == Some("700"), "{script}: {limit}");
    }
}

/// What this process has open and not close-on-exec, the trees of both tests would get.
static ONE: Mutex<()> = Mutex::new(());

#[test]
fn nothing_leaks_into_the_processes_of_a_service() {
    let _one = ONE.lock();
    compare(User::Same);
    if User::Ordinary.ids().is_some() {
        compare(User::Ordinary);
    }
}

/// The numbers from 64 on that a program of this process gets.
fn passed_on() -> Vec<i32> {
    let list = std::process::Command::new("ls").arg("/proc/self/fd").output().expect("ls");
    let numbers = String::from_utf8_lossy(&list.stdout).into_owned();
    let mut numbers: Vec<i32> = numbers.lines().filter_map(|n| n.parse().ok()).filter(|n| *n >= 64).collect();
    numbers.sort_unstable();
    numbers
}

/// Through another supervisor and another scanner; and what the supervisor has open for all the other services does not
/// make the table of a new process larger.
#[test]
fn what_the_scanner_was_started_with_reaches_its_services() {
    let _one = ONE.lock();
    for some in [false, true] {
        let scratch = Scratch::new();
        for i in 0..120 {
            scratch.file(format!("scan/other{i}/run"), "#!/bin/sh\nexec sleep 1000\n");
            scratch.file(format!("scan/other{i}/down"), "");
        }
        scratch.file("scan/asked/run", "#!/bin/sh\nexec sleep 1000\n");
        let high = if some { inherited() } else { Vec::new() };
        let wanted = passed_on();
        assert_eq!(wanted.contains(&300), some);
        let scanner = Scanner::start(&scratch, &Suite::skeg());
        drop(high);
        let asked = scanner.service("asked");
        let look = |when: &str, before: u32| {
            let pid = asked.must(when, |s| s.up() && s.pid != before).pid;
            must("its program", || process::command_line(pid) == "sleep 1000");
            let dir = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
            let fds = dir.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
            let mut fds: Vec<i32> = fds.filter(|n| *n >= 64).collect();
            fds.sort_unstable();
            assert_eq!(fds, wanted, "{when}");
            for (number, file) in INHERITED.iter().filter(|_| some) {
                let open = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).expect("a file");
                assert_eq!(open.to_str(), Some(*file), "{when}");
            }
            // The kernel allocates powers of two.
            let most = wanted.last().map_or(64, |last| (*last as u64 + 1).next_power_of_two());
            let size = process::status_field(pid, "FDSize").and_then(|size| size.parse::<u64>().ok());
            assert!(size.is_some_and(|size| size <= most), "{when}: a table of {size:?}");
            pid
        };
        let pid = look("up", 0);
        let old = scanner.must_supervisor();
        process::kill(old, Signal::KILL);
        must("another supervisor", || scanner.supervisor().is_some_and(|new| new != old));
        asked.control(b"r");
        let pid = look("up by another supervisor", pid);
        let old = scanner.must_supervisor();
        scratch.run(&Suite::skeg(), "s6-svscanctl", &["-R".to_owned(), scratch.text("scan")]).expect(0);
        must("another scanner", || scanner.supervisor().is_some_and(|new| new != old));
        asked.control(b"r");
        look("up by another scanner", pid);
    }
}
