// SPDX-License-Identifier: ISC
//! `skeg diff`, `plan`, `apply`, `install` from outside: what they print, what they do, what they leave alone.

use harness::tree::Scanner;
use harness::{Scratch, Suite};

/// A tree with a scanner; two source trees and their images; everything of `a` up.
struct World {
    scratch: Scratch,
    _scanner: Scanner,
}

fn service(scratch: &Scratch, tree: &str, name: &str, files: &[(&str, &str)]) {
    for (file, content) in files {
        scratch.file(format!("{tree}/{name}/{file}"), content);
    }
}

fn longrun(scratch: &Scratch, tree: &str, name: &str, run: &str, more: &[(&str, &str)]) {
    service(scratch, tree, name, &[("type", "longrun\n"), ("run", run)]);
    service(scratch, tree, name, more);
}

const SLEEP: &str = "#!/bin/sh\nexec sleep 1000\n";

impl World {
    fn new() -> Self {
        let scratch = Scratch::new();
        let skeg = Suite::skeg();
        for (tree, run, finish) in [
            ("a", SLEEP, "#!/bin/sh\nexit 0\n"),
            ("b", "#!/bin/sh\nexec sleep 2000\n", "#!/bin/sh\nexit 1\n"),
        ] {
            longrun(&scratch, tree, "lan", run, &[]);
            longrun(&scratch, tree, "web", SLEEP, &[("dependencies.d/lan", "")]);
            longrun(&scratch, tree, "dns", SLEEP, &[("finish", finish)]);
            longrun(&scratch, tree, "ntp", SLEEP, &[]);
        }
        longrun(&scratch, "a", "gone", SLEEP, &[]);
        longrun(&scratch, "b", "vpn", SLEEP, &[]);
        service(&scratch, "b", "ntp", &[("dependencies.d/vpn", "")]);
        for tree in ["a", "b"] {
            let words = [scratch.text(&format!("{tree}.img")), scratch.text(tree)];
            scratch.run(&skeg, "s6-rc-compile", &words).expect(0);
        }
        let scanner = Scanner::start(&scratch, &skeg);
        let live = scratch.text("live");
        let words = ["-c", &scratch.text("a.img"), "-l", &live, &scratch.text("scan")];
        scratch.run(&skeg, "s6-rc-init", &words).expect(0);
        scratch
            .run(&skeg, "s6-rc", &["-l", &live, "-u", "change", "lan", "web", "dns", "ntp", "gone"])
            .expect(0);
        Self { scratch, _scanner: scanner }
    }

    /// Runs a verb on the live directory.
    fn run(&self, verb: &str, words: &[&str]) -> harness::Done {
        let live = self.scratch.text("live");
        self.scratch.run(&Suite::skeg(), verb, &[&["-l", &live], words].concat())
    }

    fn pid(&self, name: &str) -> u32 {
        harness::status::Status::read(&self.scratch.at("scan").join(name)).map_or(0, |s| s.pid)
    }
}

const PLAN: [&str; 7] = [
    "in place dns: its finish changed, line 2; from its next start on",
    "restart  lan: its run file changed, line 2",
    "restart  web: it depends on lan, whose run file changed, line 2",
    "start    lan: it was up before",
    "start    vpn: ntp, which is up, depends on it now",
    "start    web: it was up before",
    "stop     gone: the new image does not have it",
];

#[test]
fn a_plan_is_shown_saved_and_performed_exactly_once() {
    let world = World::new();
    let before = ["dns", "ntp", "lan"].map(|name| world.pid(name));
    let shown = world.run("plan", &["-o", "saved", "b.img"]).expect(0);
    assert_eq!(shown.lines(), PLAN);
    assert_eq!(["dns", "ntp", "lan"].map(|name| world.pid(name)), before, "a plan changes nothing");
    let json = world.run("plan", &["--json", "b.img"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["steps"].as_array().unwrap().len(), PLAN.len());
    world.run("apply", &["saved"]).expect(0);
    let after = ["dns", "ntp", "lan"].map(|name| world.pid(name));
    assert_eq!((after[0], after[1]), (before[0], before[1]), "what had no reason to restart lives on");
    assert_ne!(after[2], before[2]);
    let up = world.run("s6-rc", &["-a", "list"]).expect(0).lines();
    assert_eq!(up, ["dns", "lan", "ntp", "vpn", "web"]);
    world.run("apply", &["saved"]).expect(7);
    assert_eq!(world.run("plan", &["b"]).expect(0).lines(), ["nothing stops, nothing starts"]);
}

#[test]
fn a_plan_is_refused_when_other_services_are_up_or_the_image_is_another() {
    let world = World::new();
    world.run("plan", &["-o", "saved", "b.img"]).expect(0);
    world.run("s6-rc", &["-d", "change", "ntp"]).expect(0);
    let refused = world.run("apply", &["saved"]).expect(7);
    assert!(refused.err.contains("other services are up"), "{}", refused.err);
    world.run("plan", &["-o", "saved", "b.img"]).expect(0);
    std::fs::copy(world.scratch.at("a.img"), world.scratch.at("b.img")).unwrap();
    world.run("apply", &["saved"]).expect(7);
    assert!(world.scratch.at("live/image").exists());
}

#[test]
fn a_definition_that_waits_is_used_by_the_next_start() {
    let world = World::new();
    let finish = |which: &str| world.scratch.read(format!("scan/dns/{which}/finish"));
    world.run("apply", &["b"]).expect(0);
    assert_eq!(
        (finish("current"), finish("next")),
        ("#!/bin/sh\nexit 0\n".into(), "#!/bin/sh\nexit 1\n".into())
    );
    world.run("s6-rc", &["-d", "change", "dns"]).expect(0);
    world.run("s6-rc", &["-u", "change", "dns"]).expect(0);
    assert_eq!(finish("current"), "#!/bin/sh\nexit 1\n");
    assert!(!world.scratch.at("scan/dns/next").exists());
}

#[test]
fn a_diff_compares_any_two() {
    let world = World::new();
    let expected = [
        "+vpn: longrun",
        "-gone",
        "~dns: changed file finish, line 2",
        "~lan: changed file run, line 2",
        "~ntp: added dependency vpn",
    ];
    for pair in [["a", "b"], ["a.img", "b"], ["a", "b.img"], ["live", "b.img"]] {
        assert_eq!(world.run("diff", &pair).expect(1).lines(), expected, "{pair:?}");
    }
    assert_eq!(world.run("diff", &["b"]).expect(1).lines(), expected);
    world.run("diff", &["a", "live"]).expect(0);
    let service = harness::tree::Service::at(world.scratch.at("scan/ntp"));
    service.control(b"d");
    service.must("down", |s| s.down() && !s.want_up);
    let said = world.run("diff", &["a"]).expect(1).lines();
    assert_eq!(said, ["!ntp: recorded up, but its supervisor wants it down"]);
}

#[test]
fn an_install_keeps_the_previous_image_and_can_go_back() {
    let world = World::new();
    let (skeg, scratch) = (Suite::skeg(), &world.scratch);
    scratch.folder("data");
    let install =
        |words: &[&str]| scratch.run(&skeg, "install", &[&["-d", "data", "--bundle", "ntp"], words].concat());
    let is = |link: &str, image: &str| {
        std::fs::read(scratch.at("data").join(link)).ok() == std::fs::read(scratch.at(image)).ok()
    };
    install(&["--back"]).expect(1);
    install(&["a.img"]).expect(0);
    assert!(is("current", "a.img"));
    install(&["b.img"]).expect(0);
    assert!(is("current", "b.img") && is("previous", "a.img"));
    install(&["b.img"]).expect(0);
    assert!(is("previous", "a.img"), "the same image again is no install");
    scratch.file("broken", "no image");
    install(&["broken"]).expect(4);
    assert!(is("current", "b.img"));
    install(&["--back"]).expect(0);
    assert!(is("current", "a.img"));
    assert_eq!(std::fs::read_dir(scratch.at("data/images")).unwrap().count(), 2);
}

#[test]
fn a_plan_says_when_an_unfinished_command_comes_first() {
    let world = World::new();
    let (image, live) = (world.scratch.text("b.img"), world.scratch.text("live"));
    assert!(!world.run("plan", &[&image]).expect(0).err.contains("unfinished"));
    let words = ["-l".to_owned(), live, image.clone()];
    let mut calls = 1..200;
    let journal = world.scratch.at("live:sv/journal");
    while !journal.exists() {
        let n = calls.next().expect("an update writes a journal");
        let suite = Suite::skeg_fault();
        harness::fault::strike(
            &world.scratch,
            &suite,
            "s6-rc-update",
            &words,
            n,
            harness::fault::Fault::Kill,
        );
    }
    let said = world.run("plan", &[&image]).expect(0);
    assert!(said.err.contains("unfinished") && said.err.contains("skeg recover"), "{}", said.err);
    assert!(world.run("plan", &["--json", &image]).expect(0).out.contains("\"unfinished\":true"));
    world.run("recover", &[]).expect(0);
    assert!(world.run("plan", &["--json", &image]).expect(0).out.contains("\"unfinished\":false"));
}

#[test]
fn a_plan_is_not_saved_over_what_it_is_made_from() {
    let world = World::new();
    let scratch = &world.scratch;
    scratch.file("rules", "ntp restart\n");
    std::os::unix::fs::symlink("b.img", scratch.at("link")).unwrap();
    std::fs::hard_link(scratch.at("b.img"), scratch.at("same")).unwrap();
    let read = |name: &str| std::fs::read(scratch.at(name)).unwrap();
    let before = (read("b.img"), read("rules"));
    for output in ["b.img", "link", "same", "rules"] {
        let refused = world.run("plan", &["-f", "rules", "-o", output, "b.img"]).expect(100);
        assert!(refused.err.contains("is what the plan is made from"), "{}", refused.err);
    }
    assert_eq!((read("b.img"), read("rules")), before);
    // Another file is replaced, behind a link as well.
    std::os::unix::fs::symlink("saved", scratch.at("to")).unwrap();
    scratch.file("saved", "old");
    world.run("plan", &["-f", "rules", "-o", "to", "b.img"]).expect(0);
    assert!(std::fs::symlink_metadata(scratch.at("to")).unwrap().is_symlink());
    world.run("apply", &["saved"]).expect(0);
}

#[test]
fn a_plan_that_can_t_be_written_leaves_the_one_before_or_none() {
    use harness::fault::{ENOSPC, Fault, count, strike};
    let world = World::new();
    let scratch = &world.scratch;
    let words = ["-l", &scratch.text("live"), "-o", "out/saved", "b.img"].map(str::to_owned);
    let names = || std::fs::read_dir(scratch.folder("out")).unwrap().count();
    assert_eq!(names(), 0);
    let (total, done) = count(scratch, &mut scratch.command(&Suite::skeg_fault(), "plan", &words), "plan");
    done.expect(0);
    let whole = std::fs::read(scratch.at("out/saved")).unwrap();
    let mut refused = 0;
    for n in total.saturating_sub(25)..=total {
        for old in [None, Some("old")] {
            let _ = std::fs::remove_file(scratch.at("out/saved"));
            if let Some(old) = old {
                scratch.file("out/saved", old);
            }
            let done = strike(scratch, &Suite::skeg_fault(), "plan", &words, n, Fault::Errno(ENOSPC));
            let left = std::fs::read(scratch.at("out/saved")).ok();
            let is_old = left.as_deref() == old.map(str::as_bytes);
            assert!(is_old || left.as_ref() == Some(&whole), "call {n} of {total}: {done:?}");
            // What could not be locked stays aside: it might be another command's.
            let aside = usize::from(done.err.contains("lock the file aside"));
            assert_eq!(names(), usize::from(left.is_some()) + aside, "call {n} of {total}: {done:?}");
            let _ = std::fs::remove_file(scratch.at("out/.saved.new"));
            refused += u32::from(done.code == 111);
        }
    }
    assert!(refused >= 8, "the calls that write are among them: {refused} of {total}");
}

#[test]
fn what_is_no_regular_file_is_no_image_and_no_plan() {
    let world = World::new();
    let scratch = &world.scratch;
    let made = std::process::Command::new("mkfifo").arg(scratch.at("fifo")).status().unwrap();
    assert!(made.success());
    scratch.folder("folder");
    for (verb, words) in [
        ("plan", &["fifo"][..]),
        ("apply", &["fifo"]),
        ("diff", &["fifo"]),
        ("plan", &["-o", "fifo", "b.img"]),
        ("plan", &["-f", "fifo", "b.img"]),
        ("s6-rc-update", &["/fifo"]),
    ] {
        let path = scratch.text("fifo");
        let words: Vec<_> = words.iter().map(|w| if *w == "/fifo" { path.as_str() } else { *w }).collect();
        let refused = world.run(verb, &words).expect(111);
        assert!(refused.err.contains("fifo is no regular file"), "{verb} {words:?}: {}", refused.err);
    }
    let refused = world.run("s6-rc-update", &[&scratch.text("folder")]).expect(111);
    assert!(refused.err.contains("is a directory"), "{}", refused.err);
    let refused = world.run("plan", &["-o", "folder", "b.img"]).expect(111);
    assert!(refused.err.contains("is a directory"), "{}", refused.err);
}

#[test]
fn a_plan_is_refused_when_a_service_was_stopped_past_the_record() {
    let world = World::new();
    world.run("plan", &["-o", "saved", "b.img"]).expect(0);
    let service = harness::tree::Service::at(world.scratch.at("scan/ntp"));
    service.control(b"d");
    service.must("down", |s| !s.want_up && s.down());
    let refused = world.run("apply", &["saved"]).expect(7);
    assert!(refused.err.contains("supervisors want other services up than when"), "{}", refused.err);
    service.control(b"u");
    service.must("up", |s| s.want_up && s.up());
    world.run("apply", &["saved"]).expect(0);
}

#[test]
fn a_file_that_holds_more_than_a_plan_is_none() {
    let world = World::new();
    world.run("plan", &["-o", "saved", "b.img"]).expect(0);
    let plan = std::fs::read(world.scratch.at("saved")).unwrap();
    world.scratch.file("two", [&plan[..], &plan].concat());
    assert!(world.run("apply", &["two"]).expect(4).err.contains("two is a damaged plan"));
}

#[test]
fn a_plan_is_not_written_over_its_input_by_the_file_aside_either() {
    let world = World::new();
    std::fs::rename(world.scratch.at("b.img"), world.scratch.at(".p.new")).unwrap();
    let before = std::fs::read(world.scratch.at(".p.new")).unwrap();
    let refused = world.run("plan", &["-o", "p", ".p.new"]).expect(100);
    assert!(
        refused.err.contains("p is what the plan is made from, or the file beside it is"),
        "{}",
        refused.err
    );
    assert_eq!(std::fs::read(world.scratch.at(".p.new")).unwrap(), before);
}

#[test]
fn a_rule_for_a_service_that_the_new_image_lacks_is_told_with_its_line() {
    let world = World::new();
    world.scratch.file("rules", "# none\n\nlan -> nothere\n");
    let (rules, image) = (world.scratch.text("rules"), world.scratch.text("b.img"));
    for verb in ["plan", "apply", "s6-rc-update"] {
        let refused = world.run(verb, &["-f", &rules, &image]).expect(4);
        let why = format!("{rules}:3: 'lan' can't become 'nothere', which the new image does not have");
        assert!(refused.err.contains(&why), "{}", refused.err);
    }
}

#[test]
fn what_defines_no_service_is_applied_only_when_that_is_meant() {
    let world = World::new();
    world.scratch.folder("empty");
    let refused = world.run("apply", &["empty"]).expect(4);
    assert!(
        refused.err.contains("empty defines no service, so all would stop: nothing is changed"),
        "{}",
        refused.err
    );
    assert_ne!(world.pid("lan"), 0);
    // A plan of it says what it does, so it may be performed.
    assert!(world.run("plan", &["empty"]).expect(0).out.contains("stop     lan: "));
    world.run("apply", &["--empty", "empty"]).expect(0);
    assert_eq!(world.run("s6-rc", &["-a", "list"]).expect(0).out, "");
}

#[test]
fn who_only_looks_is_told_that_a_command_was_cut_short() {
    use harness::fault::{Fault, strike};
    let world = World::new();
    let words = ["-l", &world.scratch.text("live"), "b.img"].map(str::to_owned);
    for n in 1.. {
        let done = strike(&world.scratch, &Suite::skeg_fault(), "apply", &words, n, Fault::Kill);
        assert_eq!(done.code, 137, "it was not killed");
        if world.scratch.at("live:sv/journal").exists() {
            break;
        }
    }
    let looks: [(&str, &[&str]); 3] = [("status", &[]), ("why", &["lan"]), ("diff", &["a.img"])];
    for (verb, words) in looks {
        let said = world.run(verb, words).err;
        assert!(said.contains("an update or a change was cut short: 'skeg recover', or "), "{verb}: {said}");
    }
    world.run("recover", &[]).expect(0);
    for (verb, words) in looks {
        assert_eq!(world.run(verb, words).err, "", "{verb}");
    }
}

#[test]
fn an_empty_file_and_a_device_are_no_images_and_the_reason_is_told() {
    let world = World::new();
    world.scratch.file("nothing", "");
    assert!(world.run("diff", &["nothing"]).expect(4).err.contains("invalid image nothing: it is cut short"));
    let check = |path: &str| world.scratch.run(&Suite::skeg(), "s6-rc-db", &["-c", path, "check"]);
    assert!(check("nothing").err.contains("cut short"), "{}", check("nothing").err);
    assert!(check("/dev/null").expect(111).err.contains("/dev/null is no regular file"));
}
