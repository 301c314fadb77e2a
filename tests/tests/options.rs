// SPDX-License-Identifier: ISC
//! Every option, command and exit code of the manager's programs, one after the other on a small live tree.
//!
//! A row is a command line, its exit code, and what its output or the tree must be like after it. With `SKEG_SUITE` the
//! same table is played by another suite's programs, but for the rows marked as ours; those of s6-rc 0.7 pass it.

use harness::process::LONG;
use harness::wait::must;
use harness::{Done, Scanner, Scratch, Suite, User};
use rustix::process::Signal;

/// What is looked at after a row.
#[derive(Clone, Copy)]
enum See {
    /// Nothing but the exit code.
    Code,
    /// The lines of standard output, sorted, internal services left out.
    Out(&'static [&'static str]),
    /// Something that standard output has in it.
    Has(&'static str),
    /// Which services are up.
    Up(&'static [&'static str]),
}

use See::{Code, Has, Out, Up};

/// A command line, its exit code, what is looked at, and whether only we have it.
struct Row(&'static str, i32, See, bool);

const fn row(line: &'static str, code: i32, see: See) -> Row {
    Row(line, code, see, false)
}

/// One that the reference does not have, or where we differ with a reason.
const fn ours(line: &'static str, code: i32, see: See) -> Row {
    Row(line, code, see, true)
}

/// `web` (longrun) needs `disk` (oneshot); `ess` is essential; `fails` fails; `never` is never ready; `both` holds web and ess.
const FILES: &[(&str, &str)] = &[
    ("disk/type", "oneshot\n"),
    ("disk/up", "true\n"),
    ("disk/down", "true\n"),
    ("disk/reload", "true\n"),
    ("web/type", "longrun\n"),
    ("web/run", "#!/bin/sh\nexec sleep 1000\n"),
    ("web/dependencies.d/disk", ""),
    ("ess/type", "oneshot\n"),
    ("ess/up", ""),
    ("ess/flag-essential", ""),
    ("fails/type", "oneshot\n"),
    ("fails/up", "false\n"),
    ("slow/type", "oneshot\n"),
    ("slow/up", "sleep 1000\n"),
    ("never/type", "longrun\n"),
    ("never/run", "#!/bin/sh\nexec sleep 1000\n"),
    ("never/notification-fd", "3\n"),
    ("never/timeout-up", "150\n"),
    ("both/type", "bundle\n"),
    ("both/contents.d/web", ""),
    ("both/contents.d/ess", ""),
];

/// `@` is the scratch directory; the live directory is `@/live`, the image `@/db`.
const TABLE: &[Row] = &[
    // s6-rc-compile
    row("s6-rc-compile @/db @/src", 111, Code),
    row("s6-rc-compile -v 0 @/db-v0 @/src", 0, Out(&[])),
    row("s6-rc-compile --verbosity=2 @/db-v2 @/src", 0, Code),
    row("s6-rc-compile -v @/db-x @/src", 100, Code),
    row("s6-rc-compile -h root @/db-h @/src", 0, Code),
    row("s6-rc-compile --fdholder-user=root @/db-h2 @/src", 0, Code),
    row("s6-rc-compile -b @/db-b @/src", 0, Code),
    row("s6-rc-compile --block @/db-b2 @/src", 0, Code),
    row("s6-rc-compile @/db-x @/src-bad", 1, Code),
    row("s6-rc-compile @/db-x @/nowhere", 111, Code),
    row("s6-rc-compile @/db-x", 100, Code),
    row("s6-rc-compile", 100, Code),
    row("s6-rc-compile -q @/db-x @/src", 100, Code),
    ours("s6-rc --shutdown -u change web", 100, Code),
    ours("s6-rc-compile --replace @/db-v0 @/src", 0, Code),
    ours("s6-rc-compile --keep-going @/db-k @/src-bad", 0, Code),
    // s6-rc-init
    row("s6-rc-init -l @/live2 @/scan", 111, Code),
    row("s6-rc-init -c @/conv -l @/live2 @/scan", 4, Code),
    row("s6-rc-init -c @/src -l @/live2 @/scan", 4, Code),
    ours("s6-rc-init -c @/db-cut -l @/live2 @/scan", 4, Code),
    row("s6-rc-init -c @/db -l @/live2 @/nowhere", 111, Code),
    row("s6-rc-init -c @/db -l @/live2 @/conv", 111, Code),
    row("s6-rc-init -c @/db -l @/live2 @/empty", 100, Code),
    row("s6-rc-init -c @/db -l live2 @/scan", 100, Code),
    row("s6-rc-init -c @/db -l @/live2 scan", 100, Code),
    row("s6-rc-init -c @/db -l @/live2 -p a/b @/scan", 100, Code),
    row("s6-rc-init -c @/db -l @/live2", 100, Code),
    row("s6-rc-init -c @/db -l @/live2 -t x @/scan", 100, Code),
    row("s6-rc-init -c @/db -l @/live @/scan", 0, Code),
    row("s6-rc-init -c @/db -l @/live @/scan", 0, Code),
    row("s6-rc-init -b -d -t 30000 --bootdb=@/db --livedir=@/live @/scan", 0, Code),
    row("s6-rc-init -c @/db-other -l @/live @/scan", 102, Code),
    row("s6-rc-init -d -c @/db-link -l @/live2 -p two- -t 30000 @/scan", 0, Code),
    row(
        "s6-rc-init --block --no-block --dereference --no-dereference --timeout=30000 --prefix=three- -c @/db -l @/live3 @/scan",
        0,
        Code,
    ),
    // s6-rc: what it lists
    row("s6-rc help", 0, Has("listall")),
    row("s6-rc -l @/live list", 0, Out(&[])),
    row("s6-rc -l @/live list both", 0, Out(&["ess", "web"])),
    row("s6-rc -l @/live listall both", 0, Out(&["disk", "ess", "web"])),
    row("s6-rc -l @/live -e listall both", 0, Out(&["disk", "web"])),
    row(
        "s6-rc -l @/live --without-essentials --with-essentials listall both",
        0,
        Out(&["disk", "ess", "web"]),
    ),
    row("s6-rc -l @/live -d listall disk", 0, Out(&["disk", "web"])),
    row("s6-rc -l @/live -a list", 0, Out(&[])),
    row("s6-rc -l @/live -d list web", 0, Out(&["disk", "ess", "fails", "never", "slow"])),
    row("s6-rc -l @/live list nobody", 3, Code),
    row("s6-rc -l @/nowhere list", 111, Code),
    row("s6-rc -l @/live frobnicate", 100, Code),
    row("s6-rc -l @/live", 100, Code),
    row("s6-rc -q list", 100, Code),
    row("s6-rc -l @/live --no-lock -a list", 0, Out(&[])),
    // s6-rc: what it changes
    row("s6-rc -l @/live -u change both", 0, Up(&["disk", "ess", "web"])),
    row("s6-rc -l @/live -u change both", 0, Up(&["disk", "ess", "web"])),
    row("s6-rc -l @/live -b -v 2 reload web disk", 0, Up(&["disk", "ess", "web"])),
    row("s6-rc -l @/live diff", 0, Out(&[])),
    row("s6-rc -l @/live -d change disk", 0, Up(&["ess"])),
    row("s6-rc -l @/live start web", 0, Up(&["disk", "ess", "web"])),
    row("s6-rc -l @/live stop web", 0, Up(&["disk", "ess"])),
    row("s6-rc -l @/live -d change ess", 0, Up(&["disk", "ess"])),
    row("s6-rc -l @/live -D change ess", 0, Up(&["disk"])),
    row("s6-rc -l @/live --up --prune change ess", 0, Up(&["ess"])),
    row("s6-rc -l @/live -p change web", 0, Up(&["disk", "ess", "web"])),
    row("s6-rc -l @/live -pa change", 0, Up(&["disk", "ess", "web"])),
    row("s6-rc -l @/live --down --add change", 0, Up(&["ess"])),
    row("s6-rc -l @/live --all-down -a change", 0, Up(&[])),
    row("s6-rc -l @/live -u change", 0, Up(&[])),
    row("s6-rc -l @/live start fails", 1, Up(&[])),
    row("s6-rc -l @/live start fails ess", 1, Up(&["ess"])),
    row("s6-rc -l @/live start never", 1, Up(&["ess"])),
    row("s6-rc -l @/live -t 200 start slow", 2, Up(&["ess"])),
    row("s6-rc -l @/live --timeout=200 start slow", 2, Up(&["ess"])),
    row("s6-rc -l @/live start nobody", 3, Up(&["ess"])),
    row("s6-rc -l @/live -n 0 start web", 0, Up(&["ess"])),
    row("s6-rc -l @/live --dry-run=0 -v0 -D change ess", 0, Up(&["ess"])),
    row("s6-rc -l @/live -n 0 start web", 0, Has("disk")),
    row("s6-rc -l @/live -v x start web", 100, Up(&["ess"])),
    row("s6-rc -l @/live --verbosity=0 --block start web", 0, Up(&["disk", "ess", "web"])),
    ours("s6-rc -l @/live --max-scripts x start web", 100, Code),
    ours("s6-rc -l @/live --max-scripts 0 start web", 100, Code),
    ours("s6-rc -l @/live --max-scripts 257 start web", 100, Code),
    ours("s6-rc -l @/live --max-scripts 2 --times start web", 0, Code),
    // The others on the same scan directory are as they were.
    row("s6-rc -l @/live2 -a list", 0, Out(&[])),
    row("s6-rc -l @/live2 start web", 0, Code),
    row("s6-rc -l @/live2 -a list", 0, Out(&["disk", "web"])),
    row("s6-rc -l @/live3 -a list", 0, Out(&[])),
    row("s6-rc -l @/live -a list", 0, Out(&["disk", "ess", "web"])),
    // s6-rc-db
    row("s6-rc-db help", 0, Has("check")),
    row("s6-rc-db -c @/db check", 0, Code),
    row("s6-rc-db --compiled=@/db --block list oneshots", 0, Out(&["disk", "ess", "fails", "slow"])),
    row("s6-rc-db -l @/live list longruns", 0, Out(&["never", "web"])),
    row("s6-rc-db --livedir=@/live -b list bundles", 0, Out(&["both"])),
    row("s6-rc-db -c @/db -e list oneshots", 0, Out(&["disk", "fails", "slow"])),
    row(
        "s6-rc-db -c @/db --without-essentials --with-essentials list services",
        0,
        Out(&["disk", "ess", "fails", "never", "slow", "web"]),
    ),
    row("s6-rc-db -c @/db list all", 0, Out(&["both", "disk", "ess", "fails", "never", "slow", "web"])),
    row("s6-rc-db -c @/db list colours", 100, Code),
    row("s6-rc-db -c @/db type web", 0, Out(&["longrun"])),
    row("s6-rc-db -c @/db type nobody", 3, Code),
    row("s6-rc-db -c @/db -u timeout never", 0, Out(&["150"])),
    row("s6-rc-db -c @/db --down timeout never", 0, Out(&["0"])),
    row("s6-rc-db -c @/db timeout both", 5, Code),
    row("s6-rc-db -c @/db contents both", 0, Out(&["ess", "web"])),
    row("s6-rc-db -c @/db contents web", 5, Code),
    row("s6-rc-db -c @/db dependencies web", 0, Out(&["disk"])),
    row("s6-rc-db -c @/db --up dependencies web", 0, Out(&["disk"])),
    row("s6-rc-db -c @/db -d dependencies disk", 0, Out(&["web"])),
    row("s6-rc-db -c @/db all-dependencies both", 0, Out(&["disk", "ess", "web"])),
    row("s6-rc-db -c @/db atomics both", 0, Out(&["ess", "web"])),
    row("s6-rc-db -c @/db script disk", 0, Has("true")),
    row("s6-rc-db -c @/db script web", 5, Code),
    row("s6-rc-db -c @/db pipeline web", 0, Out(&[])),
    row("s6-rc-db -c @/db pipeline disk", 5, Code),
    row("s6-rc-db -c @/db flags ess", 0, Has("1")),
    ours("s6-rc-db -c @/src check", 4, Code),
    row("s6-rc-db -c @/nowhere check", 111, Code),
    row("s6-rc-db -c @/db", 100, Code),
    row("s6-rc-db -q check", 100, Code),
    // s6-rc-oneshot-run: the number of a oneshot in its image, after the longruns
    row("s6-rc-oneshot-run -l @/live up 99", 3, Code),
    row("s6-rc-oneshot-run -l @/live up x", 100, Code),
    row("s6-rc-oneshot-run -l @/live sideways 0", 100, Code),
    row("s6-rc-oneshot-run -l @/live up", 100, Code),
    row("s6-rc-oneshot-run -l @/nowhere up 0", 111, Code),
    ours("s6-rc-oneshot-run -b --livedir=@/live up #disk", 0, Code),
    ours("s6-rc-oneshot-run --block --no-block -l @/live up #fails", 1, Code),
    // s6-rc-dryrun
    row("s6-rc-dryrun -v 1 -t 0 a b", 0, Code),
    row("s6-rc-dryrun -v 0 -t 0 a b", 0, Out(&[])),
    row("s6-rc-dryrun -t x a", 100, Code),
    row("s6-rc-dryrun", 100, Code),
    // s6-rc-format-upgrade
    row("s6-rc-format-upgrade -l @/live relative", 100, Code),
    row("s6-rc-format-upgrade -l @/live", 100, Code),
    row("s6-rc-format-upgrade -v 1 -t 30000 -b -l @/live @/db-b", 0, Up(&["disk", "ess", "web"])),
    row(
        "s6-rc-format-upgrade --verbosity=1 --timeout=30000 --block --livedir=@/live @/db",
        0,
        Up(&["disk", "ess", "web"]),
    ),
    ours("s6-rc-format-upgrade -l @/live @/db-other", 1, Up(&["disk", "ess", "web"])),
    ours("s6-rc-format-upgrade -l @/live @/conv", 111, Code),
    ours("s6-rc-format-upgrade -l @/live @/src", 111, Code),
    ours("s6-rc-format-upgrade -l @/live @/db-cut", 4, Code),
    row("s6-rc-format-upgrade -l @/nowhere @/db", 111, Code),
    // s6-rc-update
    row("s6-rc-update -l @/live relative", 100, Code),
    row("s6-rc-update -l @/live", 100, Code),
    row("s6-rc-update -v x -l @/live @/db", 100, Code),
    row("s6-rc-update -l @/live @/conv", 111, Code),
    row("s6-rc-update -l @/live @/src", 111, Code),
    ours("s6-rc-update -l @/live @/db-cut", 4, Code),
    row("s6-rc-update -l @/nowhere @/db", 111, Code),
    row("s6-rc-update -l @/live -f @/nowhere @/db", 111, Code),
    row("s6-rc-update -n -l @/live @/db-other", 0, Up(&["disk", "ess", "web"])),
    row("s6-rc-update --dry-run -v 2 --livedir=@/live @/db-other", 0, Has("web")),
    row("s6-rc-update -f @/conv-unknown -l @/live @/db-other", 3, Up(&["disk", "ess", "web"])),
    row("s6-rc-update -f @/conv-lacks -l @/live @/db-other", 4, Up(&["disk", "ess", "web"])),
    row("s6-rc-update -f @/conv-bundle -l @/live @/db-other", 5, Up(&["disk", "ess", "web"])),
    row("s6-rc-update -f @/conv-twice -l @/live @/db-other", 6, Up(&["disk", "ess", "web"])),
    row(
        "s6-rc-update --conversion-file=@/conv -v 2 -b -t 30000 -l @/live @/db-other",
        0,
        Up(&["disk", "ess", "site"]),
    ),
    row(
        "s6-rc-update --verbosity=0 --block --timeout=30000 --force-essentials --no-force-essentials -l @/live @/db-other",
        0,
        Up(&["disk", "ess", "site"]),
    ),
    row("s6-rc-update -E -l @/live @/db-without", 0, Code),
    row("s6-rc-update -e -l @/live @/db-without", 0, Up(&["disk"])),
    row("s6-rc-update -l @/live @/db", 0, Up(&["disk"])),
];

/// Makes the sources, the images and the conversion files.
fn lay_out(scratch: &Scratch, suite: &Suite) {
    let define = |source: &str, files: &[(&str, &str)], leave_out: &str| {
        for (path, content) in files.iter().filter(|(path, _)| !path.split('/').any(|p| p == leave_out)) {
            scratch.file_mode(format!("{source}/{path}"), content, 0o644);
        }
    };
    define("src", FILES, "");
    define("src-without", FILES, "ess");
    // `web` is called `site` there.
    for (path, content) in FILES {
        scratch.file(format!("src-other/{}", path.replace("web", "site")), content);
    }
    define("src-bad", FILES, "");
    scratch.file("src-bad/web/dependencies.d/netwrok", "");
    for (image, source) in [("db", "src"), ("db-other", "src-other"), ("db-without", "src-without")] {
        scratch.run(suite, "s6-rc-compile", &[scratch.text(image), scratch.text(source)]).expect(0);
    }
    scratch.folder("empty");
    if suite.is_skeg() {
        let image = std::fs::read(scratch.at("db")).expect("the image");
        scratch.file("db-cut", &image[..image.len() / 2]);
    }
    std::os::unix::fs::symlink(scratch.at("db"), scratch.at("db-link")).expect("a link");
    for (name, rules) in [
        ("conv", "web -> site\n"),
        ("conv-unknown", "nobody -> site\n"),
        ("conv-lacks", "web -> nobody\n"),
        ("conv-bundle", "both -> disk\n"),
        ("conv-twice", "web -> site\nnever -> site\n"),
    ] {
        scratch.file(name, rules);
    }
}

/// Without the services that the manager makes for itself.
fn visible(done: &Done) -> Vec<String> {
    done.lines().into_iter().filter(|line| !line.starts_with("s6rc-") && !line.is_empty()).collect()
}

/// The number of a oneshot as `s6-rc-oneshot-run` takes it.
fn number(scratch: &Scratch, suite: &Suite, name: &str) -> String {
    let list =
        |kind| scratch.run(suite, "s6-rc-db", &["-c", &scratch.text("db"), "list", kind]).expect(0).out;
    let at = list("oneshots").lines().position(|line| line == name).expect("a oneshot");
    (list("longruns").lines().count() + at).to_string()
}

fn play(scratch: &Scratch, suite: &Suite, Row(line, code, see, _): &Row) -> Result<(), String> {
    let words: Vec<String> = line
        .split(' ')
        .map(|word| match word.strip_prefix('#') {
            Some(name) => number(scratch, suite, name),
            None => word.replace('@', &scratch.path().display().to_string()),
        })
        .collect();
    let (applet, words) = words.split_first().ok_or("no words")?;
    let done = scratch.run(suite, applet, words);
    let wrong = |what: &str| format!("{line}\n    {what}; it said {:?} {:?}", done.out, done.err.trim());
    if done.code != *code {
        return Err(wrong(&format!("exit {} instead of {code}", done.code)));
    }
    if done.code != 0 && done.err.trim().is_empty() && applet != "s6-rc-oneshot-run" {
        return Err(wrong("no message"));
    }
    match see {
        Code => {}
        Out(want) if visible(&done) == *want => {}
        Out(want) => return Err(wrong(&format!("instead of {want:?}"))),
        Has(want) if done.out.contains(want) => {}
        Has(want) => return Err(wrong(&format!("without {want}"))),
        Up(want) => {
            let up = visible(&scratch.run(suite, "s6-rc", &["-l", &scratch.text("live"), "-a", "list"]));
            if up != *want {
                return Err(wrong(&format!("up: {up:?} instead of {want:?}")));
            }
        }
    }
    Ok(())
}

/// All rows, as this user, on this tree.
fn all(tree: &Suite, user: User) {
    let suite = Suite::tested();
    let scratch = Scratch::of(user);
    lay_out(&scratch, &suite);
    let _scanner = Scanner::start(&scratch, tree);
    let mut faults = Vec::new();
    for row in TABLE.iter().filter(|row| suite.is_skeg() || !row.3) {
        faults.extend(play(&scratch, &suite, row).err());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The scanner of the suite that is tested.
fn own_tree() -> Suite {
    Suite::tested()
}

#[test]
fn every_option_and_exit_code_on_our_tree() {
    all(&own_tree(), User::Same);
}

#[test]
fn every_option_and_exit_code_on_the_tree_of_debian_and_for_an_ordinary_user() {
    if let Some(debian) = Suite::debian() {
        all(&debian, User::Same);
    }
    if User::Ordinary.ids().is_some() {
        all(&own_tree(), User::Ordinary);
    }
}

/// SIGTERM and SIGINT in a change: what is under way is given up or waited for, nothing new begins, the exit code is 1.
#[test]
fn a_signal_ends_a_change() {
    for signal in [Signal::TERM, Signal::INT] {
        let (scratch, suite) = (Scratch::new(), Suite::tested());
        lay_out(&scratch, &suite);
        let scanner = Scanner::start(&scratch, &own_tree());
        let live = scratch.text("live");
        scratch
            .run(&suite, "s6-rc-init", &["-c", &scratch.text("db"), "-l", &live, &scratch.text("scan")])
            .expect(0);
        // It has no limit but the command's.
        scratch.run(&suite, "s6-rc", &["-l", &live, "start", "ess"]).expect(0);
        let image = scratch.text("db-forever");
        scratch.file("src/never/timeout-up", "0\n");
        scratch.run(&suite, "s6-rc-compile", &[&image, &scratch.text("src")]).expect(0);
        scratch.run(&suite, "s6-rc-update", &["-l", &live, &image]).expect(0);
        let change = scratch.start(&suite, "s6-rc", &["-v2", "-l", &live, "start", "never", "web"]);
        scanner.service("never").must("started", |s| s.pid != 0);
        // Its process is there before the command has heard of it: what counts is that the command has.
        must("web is up", || {
            change.said().lines().any(|line| line.contains("web") && line.contains(": up after"))
        });
        change.signal(signal);
        let said = change.finish(LONG).expect(1).err;
        let name = if signal == Signal::TERM { "SIGTERM" } else { "SIGINT" };
        assert!(!suite.is_skeg() || said.contains(&format!("s6-rc: {name} came: ")), "{said}");
        scanner.service("never").must("sent down", |s| s.pid == 0);
        let up = visible(&scratch.run(&suite, "s6-rc", &["-l", &live, "-a", "list"]));
        assert_eq!(up, ["disk", "ess", "web"]);
    }
}
