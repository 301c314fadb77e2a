// SPDX-License-Identifier: ISC
//! What a process of a service gets to see of those that start it: nothing that it does not need, and the same under our
//! tree and under Debian's.
//!
//! Asked from inside `run`, `finish`, `up` and `down`: open descriptors, signal masks and ignored signals, limits, umask,
//! nice, `oom_score_adj`, environment, session, controlling terminal, working directory, arguments.

use harness::wait::must;
use harness::{Scanner, Scratch, Suite, User};
use std::collections::BTreeMap;

/// Writes all of it into the file that its first argument names, which appears when it is whole.
const TELL: &str = r#"#!/bin/sh
to=$1 ; shift
for n in 1 2 ; do eval "was$n=\$(readlink /proc/$$/fd/$n)" ; done
exec > $to.new 2>&1
for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 100 101 102 255 256 ; do
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
    let scanner = Scanner::start(&scratch, tree);
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
        has("SigBlk:\t0000000000000000");
        let limit = lines.iter().find(|l| l.starts_with("Max open files")).expect("a limit");
        assert!(limit.split_whitespace().nth(3) == Some("700"), "{script}: {limit}");
    }
}

#[test]
fn nothing_leaks_into_the_processes_of_a_service() {
    compare(User::Same);
    if User::Ordinary.ids().is_some() {
        compare(User::Ordinary);
    }
}
