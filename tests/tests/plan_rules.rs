// SPDX-License-Identifier: ISC
//! The rules of `skeg plan` and `apply`, one by one, with the words in which they are told, in the order in which they are
//! carried out; and `skeg diff` of everything that it compares.

use harness::tree::{Scanner, Service, User};
use harness::wait::must;
use harness::{Done, Scratch, Suite};
use serde_json::Value;

/// A live directory of the tree `a`, and the tree `b`, which differs.
struct World {
    scratch: Scratch,
    scanner: Scanner,
}

const SLEEP: &str = "#!/bin/sh\nexec sleep 1000\n";
const OTHER: &str = "#!/bin/sh\nexec sleep 2000\n";

impl World {
    /// Both trees have these longruns with their dependencies; then the change is made to `b`.
    fn new(longruns: &[(&str, &[&str])], up: &[&str], change: impl FnOnce(&Scratch)) -> Self {
        Self::on(&Suite::skeg(), longruns, up, change)
    }

    /// The same on this scanner's tree.
    fn on(tree: &Suite, longruns: &[(&str, &[&str])], up: &[&str], change: impl FnOnce(&Scratch)) -> Self {
        let (scratch, skeg) = (Scratch::new(), Suite::skeg());
        for tree in ["a", "b"] {
            for (name, needs) in longruns {
                longrun(&scratch, &format!("{tree}/{name}"), needs);
            }
        }
        change(&scratch);
        scratch.run(&skeg, "s6-rc-compile", &["a.img", "a"]).expect(0);
        scratch.run(&skeg, "s6-rc-compile", &["b.img", "b"]).expect(0);
        let scanner = Scanner::start(&scratch, tree);
        let world = Self { scratch, scanner };
        let image = world.scratch.text("a.img");
        world.skeg("s6-rc-init", &["-c", &image, &world.scratch.text("scan")]).expect(0);
        world.skeg("s6-rc", &[&["-u", "change"], up].concat()).expect(0);
        world
    }

    fn skeg(&self, applet: &str, words: &[&str]) -> Done {
        let live = self.scratch.text("live");
        self.scratch.run(&Suite::skeg(), applet, &[&["-l", &live], words].concat())
    }

    fn service(&self, name: &str) -> Service {
        Service::at(self.scratch.at("scan").join(name))
    }

    fn pid(&self, name: &str) -> u32 {
        self.service(name).status().map_or(0, |s| s.pid)
    }

    /// What a plan says, in its order.
    fn plan(&self, words: &[&str]) -> String {
        self.skeg("plan", words).expect(0).out
    }

    /// Applies `b`; which of these services have another process than before.
    fn apply<'a>(&self, words: &[&str], services: &[&'a str]) -> Vec<&'a str> {
        let before: Vec<_> = services.iter().map(|name| self.pid(name)).collect();
        self.skeg("apply", words).expect(0);
        services
            .iter()
            .zip(before)
            .filter(|(name, pid)| self.pid(name) != *pid)
            .map(|(name, _)| *name)
            .collect()
    }

    fn json(&self, applet: &str, words: &[&str]) -> Value {
        let said = self.skeg(applet, &[&["--json"], words].concat());
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{applet}: {e}: {}{}", said.out, said.err))
    }
}

fn longrun(scratch: &Scratch, path: &str, needs: &[&str]) {
    scratch.file(format!("{path}/type"), "longrun\n");
    scratch.file(format!("{path}/run"), SLEEP);
    for need in needs {
        scratch.file(format!("{path}/dependencies.d/{need}"), "");
    }
}

const CHAIN: [(&str, &[&str]); 4] = [("lan", &[]), ("web", &["lan"]), ("shop", &["web"]), ("dns", &[])];
const ALL: [&str; 4] = ["lan", "web", "shop", "dns"];

#[test]
fn what_depends_on_a_changed_service_restarts_and_each_step_has_its_reason_and_place() {
    let world = World::new(&CHAIN, &ALL, |scratch| _ = scratch.file("b/lan/run", OTHER));
    let plan = "\
restart  shop: it depends on web, which restarts
restart  web: it depends on lan, whose run file changed, line 2
restart  lan: its run file changed, line 2
start    lan: it was up before
start    web: it was up before
start    shop: it was up before
";
    assert_eq!(world.plan(&["b.img"]), plan);
    assert_eq!(world.plan(&["b"]), plan, "a source tree and its image give the same plan");
    assert_eq!(world.apply(&["b"], &ALL), ["lan", "web", "shop"]);
    assert_eq!(world.plan(&["b"]), "nothing stops, nothing starts\n");
}

#[test]
fn the_definition_counts_not_where_it_stands() {
    // Another service before it, so that every number in the image is another.
    let world = World::new(&CHAIN, &ALL, |scratch| longrun(scratch, "b/aaa", &[]));
    assert_eq!(world.plan(&["b"]), "nothing stops, nothing starts\n");
    assert!(world.apply(&["b"], &ALL).is_empty());
    world.skeg("diff", &["b"]).expect(0);
}

#[test]
fn what_is_down_is_changed_and_not_started() {
    let world = World::new(&CHAIN, &["dns"], |scratch| _ = scratch.file("b/lan/run", OTHER));
    assert_eq!(world.plan(&["b"]), "nothing stops, nothing starts\n");
    assert!(world.apply(&["b"], &["dns"]).is_empty());
    assert_eq!(world.pid("lan"), 0);
    world.skeg("s6-rc", &["-u", "change", "lan"]).expect(0);
    assert_eq!(world.scratch.read("scan/lan/run"), OTHER);
}

#[test]
fn a_new_dependency_starts_below_what_needs_it() {
    let world = World::new(&CHAIN, &ALL, |scratch| {
        longrun(scratch, "b/vpn", &["tun"]);
        longrun(scratch, "b/tun", &[]);
        scratch.file("b/web/dependencies.d/vpn", "");
    });
    let plan = "\
start    tun: vpn, which starts, depends on it
start    vpn: web, which is up, depends on it now
";
    assert_eq!(world.plan(&["b"]), plan);
    assert!(world.apply(&["b"], &ALL).is_empty());
    assert!(world.pid("vpn") != 0 && world.pid("tun") != 0);
}

#[test]
fn a_new_dependency_restarts_what_asks_for_it() {
    let world = World::new(&CHAIN, &ALL, |scratch| {
        longrun(scratch, "b/vpn", &[]);
        scratch.file("b/web/dependencies.d/vpn", "");
        scratch.file("b/web/restart-with", "vpn\n");
    });
    let plan = "\
restart  shop: it depends on web, which restarts
restart  web: it restarts with vpn, which starts
start    vpn: web, which starts, depends on it
start    web: it was up before
start    shop: it was up before
";
    assert_eq!(world.plan(&["b"]), plan);
    assert_eq!(world.apply(&["b"], &ALL), ["web", "shop"]);
}

#[test]
fn a_dependency_that_goes_stops_and_what_needed_it_lives_on() {
    let world = World::new(&CHAIN, &ALL, |scratch| {
        std::fs::remove_file(scratch.at("b/web/dependencies.d/lan")).unwrap();
        std::fs::remove_dir_all(scratch.at("b/lan")).unwrap();
    });
    assert_eq!(world.plan(&["b"]), "stop     lan: the new image does not have it\n");
    assert!(world.apply(&["b"], &["web", "shop", "dns"]).is_empty());
    assert!(!world.scratch.at("scan/lan").exists());
}

#[test]
fn what_the_process_was_not_started_from_waits_for_the_next_start() {
    let files = ["finish", "data/table", "env/PATH", "timeout-kill"];
    for file in files {
        let world = World::new(&CHAIN, &ALL, |scratch| {
            scratch.file(format!("a/web/{file}"), "1\n");
            scratch.file(format!("b/web/{file}"), "2\n");
        });
        let plan = format!("in place web: its {file} changed, line 1; from its next start on\n");
        assert_eq!(world.plan(&["b"]), plan);
        assert!(world.apply(&["b"], &ALL).is_empty());
        assert_eq!(world.scratch.read(format!("scan/web/{file}")), "1\n");
        world.skeg("restart", &["web"]).expect(0);
        assert_eq!(world.scratch.read(format!("scan/web/{file}")), "2\n");
    }
}

/// By both kinds of update, and under both supervisors, of which Debian's does not know `reload-signal`: the manager does.
#[test]
fn with_reload_on_change_it_is_there_at_once_and_the_service_is_told() {
    let trees = [Some(Suite::skeg()), Suite::debian()];
    for (tree, signal) in trees.iter().flatten().flat_map(|tree| [(tree, "HUP"), (tree, "USR1")]) {
        let run = format!(
            "#!/bin/sh\ntrap 'cat data/table >>../../log' {signal}\necho up >>../../log\nwhile :; do sleep 0.01; done\n"
        );
        let world = World::on(tree, &CHAIN, &ALL, |scratch| {
            CHAIN.iter().for_each(|(name, needs)| longrun(scratch, &format!("c/{name}"), needs));
            for (tree, table) in [("a", "1\n"), ("b", "2\n"), ("c", "3\n")] {
                scratch.file(format!("{tree}/web/run"), &run);
                scratch.file(format!("{tree}/web/data/table"), table);
                scratch.file(format!("{tree}/web/reload-on-change"), "");
                if signal != "HUP" {
                    scratch.file(format!("{tree}/web/reload-signal"), format!("{signal}\n"));
                }
            }
        });
        must("the trap is set", || world.scratch.read("log") == "up\n");
        let plan = "in place web: its data/table changed, line 1; at once, with a reload\n";
        assert_eq!(world.plan(&["b"]), plan);
        assert_eq!(world.json("plan", &["b"])["steps"][0]["action"], "reload");
        assert!(world.apply(&["b"], &ALL).is_empty());
        must("the service has read the new table", || world.scratch.read("log") == "up\n2\n");
        assert_eq!(world.scratch.read("scan/web/data/table"), "2\n");

        let pid = world.pid("web");
        world.scratch.run(&Suite::skeg(), "s6-rc-compile", &["c.img", "c"]).expect(0);
        world.skeg("s6-rc-update", &[&world.scratch.text("c.img")]).expect(0);
        must("it has read the newest table", || world.scratch.read("log") == "up\n2\n3\n");
        assert_eq!(world.scratch.read("scan/web/data/table"), "3\n");
        assert_eq!(world.pid("web"), pid, "no other process");
    }
}

/// The stamps in a status are those of the wall clock, which may have been set back or forward since.
#[test]
fn what_a_process_lives_by_stays_while_it_lives_whatever_the_wall_clock_says() {
    let world = World::new(&CHAIN, &ALL, |scratch| {
        for (tree, table) in [("a", "1\n"), ("b", "2\n")] {
            scratch.file(
                format!("{tree}/web/run"),
                "#!/bin/sh\ntrap : HUP\necho up >>../../log\nwhile :; do sleep 0.01; done\n",
            );
            scratch.file(format!("{tree}/web/data/table"), table);
            scratch.file(format!("{tree}/web/reload-on-change"), "");
        }
    });
    let set_clock = |ahead: i64| {
        let path = world.scratch.at("scan/web/supervise/status");
        let mut bytes = std::fs::read(&path).unwrap();
        let label = u64::from_be_bytes(bytes[..8].try_into().unwrap()).wrapping_add_signed(ahead);
        bytes[..8].copy_from_slice(&label.to_be_bytes());
        std::fs::write(path, bytes).unwrap();
    };
    let has = |version: &str| world.scratch.at("live/servicedirs/web").join(version).exists();
    must("the trap is set", || world.scratch.read("log") == "up\n");
    let pid = world.pid("web");
    // Started when the clock was an hour ahead: its definition moves at once, and it lives on in the old one.
    set_clock(3_600);
    world.apply(&["b"], &ALL);
    assert!(has("v1") && has("v2") && world.pid("web") == pid);
    world.skeg("recover", &[]).expect(0);
    assert!(has("v1"), "as long as it lives");
    // Whatever comes since: what is neither its own nor in use goes.
    for (tree, version) in [("a", 3), ("b", 4), ("a", 5)] {
        world.apply(&[tree], &ALL);
        let there: Vec<u32> = (1..=version).filter(|n| has(&format!("v{n}"))).collect();
        let expected: Vec<u32> = [1, 2, version].into_iter().collect();
        assert_eq!(there, expected);
    }
    world.apply(&["b"], &ALL);
    Service::at(world.scratch.at("scan/web")).control(b"k");
    must("another process", || ![0, pid].contains(&world.pid("web")));
    // Started when the clock was an hour behind: nobody lives in the old one any more.
    set_clock(-3_600);
    world.skeg("recover", &[]).expect(0);
    assert!(!has("v1") && !has("v2") && has("v6"));
}

#[test]
fn a_oneshot_runs_again_when_its_up_has_changed_and_not_for_its_down() {
    let oneshot = |scratch: &Scratch, tree: &str, up: &str, down: &str| {
        scratch.file(format!("{tree}/net/type"), "oneshot\n");
        scratch.file(format!("{tree}/net/up"), format!("{up}\n"));
        scratch.file(format!("{tree}/net/down"), format!("{down}\n"));
    };
    let world = World::new(&[], &["net"], |scratch| {
        oneshot(scratch, "a", "true", "true");
        oneshot(scratch, "b", "true", "echo");
        oneshot(scratch, "c", "sh -c true", "true");
    });
    assert_eq!(world.plan(&["b"]), "nothing stops, nothing starts\n");
    let plan = "restart  net: its up changed, word 1\nstart    net: it was up before\n";
    assert_eq!(world.plan(&["c"]), plan);
}

#[test]
fn conversion_rules_rename_and_restart() {
    let world = World::new(&CHAIN, &ALL, |scratch| {
        std::fs::rename(scratch.at("b/dns"), scratch.at("b/resolver")).unwrap();
        scratch.file("conv", "dns -> resolver\nshop restart\n");
        scratch.file("wrong", "shop restart\nnix -> web\n");
        scratch.file("bad", "dns -> nowhere\n");
    });
    let plan = "\
restart  shop: the conversion file asks for it
start    shop: it was up before
rename   dns -> resolver
";
    assert_eq!(world.plan(&["-f", "conv", "-o", "saved", "b.img"]), plan);
    let json = world.json("plan", &["-f", "conv", "b.img"]);
    assert_eq!(json["renames"], serde_json::json!([{"from": "dns", "to": "resolver"}]));
    let said = world.skeg("plan", &["-f", "wrong", "b"]).expect(3).err;
    assert_eq!(said, "plan: wrong:2: the live image has no service 'nix'\n");
    let said = world.skeg("plan", &["-f", "bad", "b"]).expect(4).err;
    assert_eq!(said, "plan: bad:1: 'dns' can't become 'nowhere', which the new image does not have\n");
    let before = (world.pid("dns"), world.pid("shop"), world.pid("web"));
    world.skeg("apply", &["saved"]).expect(0);
    assert_eq!((world.pid("resolver"), world.pid("web")), (before.0, before.2));
    assert_ne!(world.pid("shop"), before.1);
}

#[test]
fn rules_that_clash_and_rules_for_internal_services_are_told_with_their_line() {
    let world = World::new(&CHAIN, &ALL, |scratch| {
        for tree in ["a", "b"] {
            scratch.file(format!("{tree}/once/type"), "oneshot\n");
            scratch.file(format!("{tree}/once/up"), "true\n");
        }
    });
    let cases = [
        // Where one of the two has no rule, before the other or behind it in the image.
        ("# one\nweb -> dns\n", "2: 'dns' and 'web' can't both become 'dns': give one of them another name"),
        (
            "shop -> lan\n\nweb -> lan\n",
            "1: 'lan' and 'shop' can't both become 'lan': give one of them another name",
        ),
        ("dns -> web\n", "1: 'dns' and 'web' can't both become 'web': give one of them another name"),
        (
            "dns restart\ns6rc-oneshot-runner -> web\n",
            "2: 's6rc-oneshot-runner' can't become 'web': the services that skeg itself adds keep their names",
        ),
        (
            "\nweb -> s6rc-oneshot-runner\n",
            "2: 'web' can't become 's6rc-oneshot-runner': the services that skeg itself adds keep their names",
        ),
    ];
    for (rules, why) in cases {
        world.scratch.file("conv", rules);
        for (verb, image) in [("plan", "b"), ("apply", "b.img")] {
            let said = world.skeg(verb, &["-f", "conv", image]).expect(6).err;
            assert_eq!(said, format!("{verb}: conv:{why}\n"), "{rules}");
        }
    }
    world.scratch.file("conv", "s6rc-oneshot-runner restart\n");
    world.skeg("plan", &["-f", "conv", "b"]).expect(0);
}

#[test]
fn of_a_pipeline_the_place_or_the_file_that_somebody_wrote_is_the_reason() {
    let world = World::new(&[("from", &[]), ("to", &[]), ("other", &[])], &["from"], |scratch| {
        for (tree, to) in [("a", "to"), ("b", "other")] {
            scratch.file(format!("{tree}/from/producer-for"), format!("{to}\n"));
            scratch.file(format!("{tree}/{to}/consumer-for"), "from\n");
        }
    });
    let reason = |tree: &str| {
        let plan = world.plan(&[tree]);
        plan.lines().find_map(|line| line.strip_prefix("restart  from: ").map(str::to_owned))
    };
    assert_eq!(reason("b").as_deref(), Some("its place in a pipeline changed"));
    world.scratch.file("a/from/run", OTHER);
    assert_eq!(reason("a").as_deref(), Some("its run file changed, line 2"));
}

#[test]
fn a_plan_in_json_says_the_same() {
    let world = World::new(&CHAIN, &ALL, |scratch| {
        scratch.file("b/web/run", OTHER);
        scratch.file("b/dns/finish", OTHER);
    });
    let expected = serde_json::json!([
        {"action": "restart", "service": "shop", "reason": "it depends on web, whose run file changed, line 2"},
        {"action": "restart", "service": "web", "reason": "its run file changed, line 2", "file": "run", "line": 2},
        {"action": "start", "service": "web", "reason": "it was up before"},
        {"action": "start", "service": "shop", "reason": "it was up before"},
        {"action": "in-place", "service": "dns", "reason": "its finish changed", "file": "finish"},
    ]);
    for (verb, steps) in [("plan", &expected), ("apply", &expected), ("apply", &serde_json::json!([]))] {
        let said = world.json(verb, &["b"]);
        assert_eq!((&said["steps"], &said["renames"]), (steps, &serde_json::json!([])));
    }
}

#[test]
fn a_source_tree_that_is_wrong_is_told_whole_and_nothing_happens() {
    let world = World::new(&CHAIN, &ALL, |_| ());
    world.scratch.file("b/web/dependencies.d/vpn", "");
    world.scratch.file("b/dns/type", "lungrun\n");
    for verb in ["plan", "apply", "diff"] {
        let said = world.skeg(verb, &["b"]).expect(4).err;
        for fault in ["error: b/web/dependencies.d/vpn: no such service", "error: b/dns/type"] {
            assert!(said.contains(fault), "{said}");
        }
    }
}

/// Everything that a diff knows, between two trees.
#[test]
fn a_diff_names_file_and_line_list_and_setting_and_what_bundles_hold() {
    let world = World::new(&CHAIN, &ALL, |scratch| {
        let b = |path: &str, content: &str| _ = scratch.file(format!("b/{path}"), content);
        b("lan/run", OTHER);
        b("lan/finish", SLEEP);
        b("lan/timeout-up", "1000\n");
        b("lan/flag-essential", "");
        scratch.file("a/dns/finish", SLEEP);
        b("dns/dependencies.d/lan", "");
        std::fs::remove_file(scratch.at("b/web/dependencies.d/lan")).unwrap();
        std::fs::remove_dir_all(scratch.at("b/shop")).unwrap();
        b("shop/type", "oneshot\n");
        b("shop/up", "true\n");
        for (tree, up) in [("a", "# one\nmount { -t ext3 } /a\n"), ("b", "mount { -t ext4 } /a -v\n")] {
            scratch.file(format!("{tree}/disk/type"), "oneshot\n");
            scratch.file(format!("{tree}/disk/up"), up);
            scratch.file(format!("{tree}/disk/down"), if tree == "a" { "umount /a\n" } else { "umount\n" });
        }
        for (tree, contents) in [("a", ["lan", "dns"]), ("b", ["lan", "web"])] {
            scratch.file(format!("{tree}/net/type"), "bundle\n");
            contents.iter().for_each(|name| _ = scratch.file(format!("{tree}/net/contents.d/{name}"), ""));
            scratch.file(format!("{tree}/only-{tree}/type"), "bundle\n");
            scratch.file(format!("{tree}/only-{tree}/contents.d/lan"), "");
        }
    });
    let expected = [
        "+only-b (bundle)",
        "-only-a (bundle)",
        "~disk: changed file down from /a to (end), word 2",
        "~disk: changed file up from ext3 to ext4, word 3",
        "~dns: added dependency lan",
        "~dns: removed file finish",
        "~lan: added file finish",
        "~lan: added file flag-essential",
        "~lan: changed file run, line 2",
        "~lan: changed timeout-up from 0 to 1000",
        "~net (bundle): added web",
        "~net (bundle): removed dns",
        "~shop: changed kind from longrun to oneshot",
        "~web: removed dependency lan",
    ];
    for a in ["a", "a.img", "live"] {
        for b in ["b", "b.img"] {
            assert_eq!(world.skeg("diff", &[a, b]).expect(1).lines(), expected, "{a} {b}");
            assert_eq!(world.skeg("diff", &[b, a]).expect(1).lines().len(), expected.len(), "{b} {a}");
        }
        for same in ["a", "a.img", "live"] {
            assert_eq!(world.skeg("diff", &[a, same]).expect(0).out, "");
        }
    }
    let json = world.json("diff", &["b"]);
    assert_eq!(json.as_array().unwrap().len(), expected.len());
    let run = serde_json::json!(
        {"change": "changed", "service": "lan", "what": "changed file", "which": "run", "line": 2}
    );
    assert!(json.as_array().unwrap().contains(&run), "{json}");
    let word = serde_json::json!({
        "change": "changed", "service": "disk", "what": "changed file", "which": "up", "from": "ext3", "to": "ext4", "word": 3
    });
    assert!(json.as_array().unwrap().contains(&word), "{json}");
    let gone = serde_json::json!({"change": "removed", "bundle": "only-a"});
    assert!(json.as_array().unwrap().contains(&gone), "{json}");
    assert_eq!(world.json("diff", &["a"]), serde_json::json!([]));
}

#[test]
fn a_diff_shows_bundles_that_were_edited_in_the_live_directory() {
    let world = World::new(&CHAIN, &ALL, |_| ());
    world.skeg("s6-rc-bundle", &["-b", "add", "mine", "web", "dns"]).expect(0);
    assert_eq!(world.skeg("diff", &["a", "live"]).expect(1).out, "+mine (bundle)\n");
    assert_eq!(world.skeg("diff", &["a"]).expect(1).out, "-mine (bundle)\n");
    let said = world.skeg("apply", &["b"]).expect(0).err;
    assert!(
        said.contains("the bundles that s6-rc-bundle has edited are those of the new image again"),
        "{said}"
    );
    world.skeg("diff", &["a"]).expect(0);
}

#[test]
fn a_diff_shows_where_record_and_supervisor_disagree() {
    let world = World::new(&CHAIN, &["lan"], |_| ());
    let tell = |name: &str, byte: &[u8], up: bool| {
        world.service(name).control(byte);
        world.service(name).must("told", |s| s.want_up == up && s.up() == up);
    };
    tell("lan", b"d", false);
    tell("dns", b"u", true);
    let expected = "\
!dns: recorded down, but its supervisor wants it up
!lan: recorded up, but its supervisor wants it down
";
    let mut lines = world.skeg("diff", &["a"]).expect(1).lines();
    lines.push(String::new());
    assert_eq!(lines.join("\n"), expected);
    let json = world.json("diff", &["a", "live"]);
    assert!(json.as_array().unwrap().iter().all(|d| d["change"] == "disagrees"), "{json}");
    // A plan goes by the record, and says so.
    let plan = world.plan(&["a"]);
    assert_eq!(plan, format!("{expected}nothing stops, nothing starts\n"));
    let json = world.json("plan", &["a"]);
    let lan = serde_json::json!({"service": "lan", "what": "recorded up, but its supervisor wants it down"});
    assert_eq!(json["disagreements"][1], lan, "{json}");
}

#[test]
fn names_that_are_no_utf8_stay_apart_in_json() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = World::new(&CHAIN, &[], |scratch| {
        for name in [b"n\xe9", b"n\xe8"] {
            let dir = scratch.folder("b").join(OsStr::from_bytes(name));
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join("type"), "longrun\n").unwrap();
            std::fs::write(dir.join("run"), SLEEP).unwrap();
        }
    });
    let json = world.json("diff", &["b"]);
    let names: Vec<_> = json.as_array().unwrap().iter().map(|d| d["service"].as_str().unwrap()).collect();
    assert_eq!(names, ["n\\xe8", "n\\xe9"]);
}

#[test]
fn a_diff_says_where_there_is_no_scanner_and_what_it_may_not_look_at() {
    let mut world = World::new(&CHAIN, &["lan"], |_| ());
    if let Some((uid, gid)) = User::Ordinary.ids() {
        use std::os::unix::process::CommandExt;
        // Of the program there is a copy where everybody may go.
        std::fs::copy(Suite::skeg().binary(), world.scratch.at("skeg")).unwrap();
        let diff = |tree: &str| {
            let mut command = std::process::Command::new(world.scratch.at("skeg"));
            command.args(["diff", "-l", &world.scratch.text("live"), tree]).current_dir(world.scratch.path());
            harness::process::run(command.uid(uid).gid(gid))
        };
        let same = diff("a").expect(111);
        let why =
            "diff: can't look at supervisors, to see whether they agree with the record: permission denied";
        assert_eq!((same.out.as_str(), same.err.lines().next()), ("", Some(why)));
        world.scratch.file("b/lan/run", OTHER);
        assert_eq!(diff("b").expect(1).out, "~lan: changed file run, line 2\n");
    }
    assert!(world.scanner.stop(rustix::process::Signal::TERM));
    let lines = world.skeg("diff", &["a"]).expect(1).lines();
    assert!(
        lines.contains(&"!lan: recorded up, but no s6-svscan runs on its scan directory".to_owned()),
        "{lines:?}"
    );
    assert!(!lines.iter().any(|line| line.contains("dns")), "{lines:?}");
}

#[test]
fn options_count_behind_the_image_and_nothing_else_does() {
    let world = World::new(&CHAIN, &ALL, |scratch| {
        scratch.file("conv", "dns -> resolver\nweb restart\n");
        std::fs::rename(scratch.at("b/dns"), scratch.at("b/resolver")).unwrap();
    });
    let plan = world.plan(&["-f", "conv", "b.img"]);
    assert!(plan.contains("rename   dns -> resolver"), "{plan}");
    assert_eq!(world.plan(&["b.img", "-f", "conv"]), plan);
    assert_eq!(world.plan(&["b.img", "--conversion-file=conv", "--"]), plan);
    let before = (world.pid("dns"), ALL.map(|name| world.pid(name)));
    let refused = |applet: &str, words: &[&str], why: &str| {
        let said = world.skeg(applet, words).expect(100).err;
        assert_eq!(said, format!("{applet}: {why} (--help shows the usage)\n"), "{words:?}");
    };
    for applet in ["plan", "apply"] {
        refused(applet, &["b.img", "conv"], "surplus word: conv");
        refused(applet, &["b.img", "--", "-f", "conv"], "surplus word: -f");
        refused(applet, &["b.img", "-x"], "unknown option -x");
        refused(applet, &["b.img", "-f"], "option -f needs a value");
    }
    refused("diff", &["a", "b", "conv"], "surplus word: conv");
    refused("recover", &["b"], "surplus word: b");
    refused("why", &["web", "lan"], "surplus word: lan");
    refused("restart", &["web", "-x"], "unknown option -x");
    refused("status", &["web", "-x"], "unknown option -x");
    refused("sync", &["b", "-x"], "unknown option -x");
    assert_eq!((world.pid("dns"), ALL.map(|name| world.pid(name))), before, "nothing has been done");
    for (applet, words) in [("status", ["web", "--json"]), ("why", ["web", "--json"])] {
        let said = world.skeg(applet, &words).expect(0).out;
        assert!(serde_json::from_str::<Value>(&said).is_ok(), "{said}");
    }
    world.skeg("apply", &["b.img", "-f", "conv"]).expect(0);
    assert_eq!(world.pid("resolver"), before.0, "the rules behind the image were followed");
    assert_ne!(world.pid("web"), before.1[1]);
}

#[test]
fn an_install_takes_one_image_or_one_of_its_other_ways() {
    let scratch = Scratch::new();
    scratch.folder("data");
    for (words, why) in [
        (&["--back", "a.img"][..], "surplus word: a.img"),
        (&["a.img", "--keep"], "surplus word: a.img"),
        (&["a.img", "b.img"], "surplus word: b.img"),
        (&["--back", "--keep"], "only one of --trial, --back and --keep"),
        (&["--trial", "5", "--back"], "only one of --trial, --back and --keep"),
        (&["a.img", "--trial=5", "--keep"], "only one of --trial, --back and --keep"),
    ] {
        let done = scratch.run(&Suite::skeg(), "install", &[&["-d", "data"], words].concat()).expect(100);
        assert_eq!(done.err, format!("install: {why} (--help shows the usage)\n"), "{words:?}");
    }
    assert_eq!(std::fs::read_dir(scratch.at("data")).unwrap().count(), 0);
}
