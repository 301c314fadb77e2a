// SPDX-License-Identifier: ISC
//! The rules on small images, one by one, and their properties on random ones.

use crate::{At, Conversion, Difference, Field, Plan, Reason, RuleError, differences, view};
use db::{Db, FileKind, Flags, Kind};
use db::{NewBundle, NewFile, NewService, encode};
use engine::Set;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A definition for a test.
#[derive(Clone, Debug, Default)]
struct Def {
    oneshot: bool,
    deps: Vec<&'static str>,
    restart_with: Vec<&'static str>,
    run: &'static str,
    finish: &'static str,
    reload_on_change: bool,
}

fn def(deps: &[&'static str]) -> Def {
    Def { deps: deps.to_vec(), run: "run\n", ..Def::default() }
}

/// A plan where nothing is owed.
fn reference<'a>(
    old: Db<'a>,
    new: Db<'a>,
    up: Set,
    rules: &Conversion<'a>,
) -> Result<Plan<'a>, RuleError<'a>> {
    crate::reference(old, new, up, Set::new(old.len()), rules)
}

fn smart<'a>(old: Db<'a>, new: Db<'a>, up: Set, rules: &Conversion<'a>) -> Result<Plan<'a>, RuleError<'a>> {
    crate::smart(old, new, up, Set::new(old.len()), rules)
}

type Source = BTreeMap<&'static str, Def>;

fn source(defs: &[(&'static str, Def)]) -> Source {
    defs.iter().cloned().collect()
}

fn image(source: &Source, bundles: &[(&'static str, &[&'static str])]) -> Vec<u8> {
    let mut names: Vec<_> = source.keys().copied().collect();
    names.sort_by_key(|name| (source[name].oneshot, *name));
    let find = |name: &str| names.iter().position(|n| *n == name).unwrap() as u16;
    let list = |of: &[&'static str]| {
        let mut found: Vec<u16> = of.iter().map(|n| find(n)).collect();
        found.sort_unstable();
        found
    };
    let lists: Vec<_> =
        names.iter().map(|n| (list(&source[n].deps), list(&source[n].restart_with))).collect();
    let files: Vec<Vec<NewFile<'_>>> = names.iter().map(|n| files(&source[n])).collect();
    let services: Vec<_> = names
        .iter()
        .zip(&lists)
        .zip(&files)
        .map(|((name, (deps, with)), files)| NewService {
            name: name.as_bytes(),
            kind: if source[name].oneshot { Kind::Oneshot } else { Kind::Longrun },
            flags: if source[name].reload_on_change { Flags::RELOAD_ON_CHANGE } else { Flags(0) },
            timeout_up: 0,
            timeout_down: 0,
            dependencies: deps,
            wants: &[],
            after: &[],
            restart_with: with,
            consumer: None,
            files,
        })
        .collect();
    let contents: Vec<_> = bundles.iter().map(|(_, members)| list(members)).collect();
    let bundles: Vec<_> = bundles
        .iter()
        .zip(&contents)
        .map(|((name, _), contents)| NewBundle { name: name.as_bytes(), flags: Flags(0), contents })
        .collect();
    encode(&services, &bundles).unwrap()
}

fn files(def: &Def) -> Vec<NewFile<'_>> {
    let file = |path: &'static str, kind, bytes: &'static str| NewFile {
        path: path.as_bytes(),
        kind,
        mode: 0o755,
        bytes: bytes.as_bytes(),
    };
    if def.oneshot {
        return vec![file("up", FileKind::Script, "true\0")];
    }
    let mut files = Vec::new();
    if !def.finish.is_empty() {
        files.push(file("finish", FileKind::Regular, def.finish));
    }
    files.push(file("run", FileKind::Regular, def.run));
    files
}

fn set(db: &Db<'_>, names: &[&str]) -> Set {
    let mut set = Set::new(db.len());
    for service in db.services().filter(|s| names.iter().any(|n| n.as_bytes() == db.name(*s))) {
        set.insert(service.index() as u16);
    }
    set
}

fn names(db: &Db<'_>, set: &Set) -> Vec<String> {
    let mut names: Vec<_> = set
        .iter()
        .map(|i| String::from_utf8(db.name(db.service(i.into()).unwrap()).to_vec()).unwrap())
        .collect();
    names.sort();
    names
}

fn rules(db: &Db<'_>, lines: &[&'static [&'static str]]) -> Conversion<'static> {
    let mut rules = Conversion::new(db);
    for line in lines {
        rules.line(db, line.iter().map(|w| w.as_bytes())).unwrap();
    }
    rules
}

/// Stops, kept, starts of a plan by name.
fn shape(plan: &Plan<'_>) -> [Vec<String>; 3] {
    [names(&plan.old, &plan.stop), names(&plan.new, &plan.kept), names(&plan.new, &plan.start)]
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|w| (*w).to_owned()).collect()
}

fn why(plan: &Plan<'static>, old: &str) -> Reason<'static> {
    let service = set(&plan.old, &[old]).iter().next().unwrap();
    plan.why_stop[usize::from(service)]
}

fn leak(bytes: Vec<u8>) -> Db<'static> {
    Db::check(bytes.leak()).unwrap()
}

#[test]
fn an_exact_copy_restarts_nothing() {
    let defs = source(&[("a", def(&[])), ("b", def(&["a"])), ("c", def(&["b"]))]);
    let (old, new) = (leak(image(&defs, &[])), leak(image(&defs, &[])));
    for rules in [reference, smart] {
        let plan = rules(old, new, set(&old, &["a", "b"]), &Conversion::new(&old)).unwrap();
        assert_eq!(shape(&plan), [vec![], words(&["a", "b"]), vec![]]);
        assert!(plan.is_quiet());
    }
}

#[test]
fn what_is_owed_starts_and_stops_nothing_unless_the_reference_needs_it_first() {
    let defs = source(&[("a", def(&[])), ("b", def(&["a"])), ("c", def(&["b"])), ("d", def(&[]))]);
    let more = source(&[("a", def(&[])), ("b", def(&["a"])), ("e", def(&["b"])), ("d", def(&["b"]))]);
    let (old, new) = (leak(image(&defs, &[])), leak(image(&more, &[])));
    let (up, owed) = (set(&old, &["a", "d"]), set(&old, &["b", "c"]));
    let rules = rules(&old, &[&["c", "->", "e"]]);
    let plan = crate::smart(old, new, up.clone(), owed.clone(), &rules).unwrap();
    assert_eq!(shape(&plan), [vec![], words(&["a", "d"]), words(&["b", "e"])]);
    assert!(plan.start.iter().all(|new| plan.why[usize::from(new)] == Reason::Owed));
    let plan = crate::reference(old, new, up, owed, &rules).unwrap();
    assert_eq!(shape(&plan), [words(&["d"]), words(&["a"]), words(&["b", "d", "e"])]);
}

#[test]
fn what_has_gone_stops_and_by_the_reference_what_needed_it_restarts() {
    let old = leak(image(&source(&[("a", def(&[])), ("b", def(&["a"])), ("x", def(&[]))]), &[]));
    let new = leak(image(&source(&[("b", def(&[])), ("x", def(&[]))]), &[]));
    let up = set(&old, &["a", "b", "x"]);
    let plan = reference(old, new, up.clone(), &Conversion::new(&old)).unwrap();
    assert_eq!(shape(&plan), [words(&["a", "b"]), words(&["x"]), words(&["b"])]);
    assert_eq!(why(&plan, "a"), Reason::Gone);
    assert!(matches!(why(&plan, "b"), Reason::NeedsOld(_)));
    let plan = smart(old, new, up, &Conversion::new(&old)).unwrap();
    assert_eq!(shape(&plan), [words(&["a"]), words(&["b", "x"]), vec![]]);
}

#[test]
fn a_new_dependency_restarts_by_the_reference_and_starts_below_by_ours() {
    let old = leak(image(&source(&[("b", def(&[])), ("c", def(&["b"]))]), &[]));
    let new = leak(image(&source(&[("a", def(&[])), ("b", def(&["a"])), ("c", def(&["b"]))]), &[]));
    let up = set(&old, &["b", "c"]);
    let plan = reference(old, new, up.clone(), &Conversion::new(&old)).unwrap();
    assert_eq!(shape(&plan), [words(&["b", "c"]), vec![], words(&["b", "c"])]);
    assert!(matches!(why(&plan, "b"), Reason::NeedsNew(_)));
    let plan = smart(old, new, up.clone(), &Conversion::new(&old)).unwrap();
    assert_eq!(shape(&plan), [vec![], words(&["b", "c"]), words(&["a"])]);
    let with = Def { restart_with: vec!["a"], ..def(&["a"]) };
    let new = leak(image(&source(&[("a", def(&[])), ("b", with), ("c", def(&["b"]))]), &[]));
    let plan = smart(old, new, up, &Conversion::new(&old)).unwrap();
    assert_eq!(shape(&plan), [words(&["b", "c"]), vec![], words(&["a", "b", "c"])]);
    assert!(matches!(why(&plan, "b"), Reason::RestartWith(_)));
}

#[test]
fn a_changed_script_restarts_by_ours_with_file_and_line() {
    let run = |run| Def { run, ..def(&[]) };
    let old =
        leak(image(&source(&[("lan", run("1\n2\n3\n")), ("web", def(&["lan"])), ("x", def(&[]))]), &[]));
    let new =
        leak(image(&source(&[("lan", run("1\n2\nx\n")), ("web", def(&["lan"])), ("x", def(&[]))]), &[]));
    let up = set(&old, &["lan", "web", "x"]);
    let plan = smart(old, new, up.clone(), &Conversion::new(&old)).unwrap();
    assert_eq!(shape(&plan), [words(&["lan", "web"]), words(&["x"]), words(&["lan", "web"])]);
    assert_eq!(why(&plan, "lan"), Reason::File(b"run", At::Line(3)));
    let plan = reference(old, new, up, &Conversion::new(&old)).unwrap();
    assert!(plan.stop.is_empty());
    assert_eq!(names(&new, &plan.in_place), ["lan"]);
}

#[test]
fn a_changed_finish_is_put_in_place_and_reloaded_where_asked() {
    let finish = |finish, reload_on_change| Def { finish, reload_on_change, ..def(&[]) };
    let old = leak(image(&source(&[("a", finish("1", false)), ("b", finish("1", true))]), &[]));
    let new = leak(image(&source(&[("a", finish("2", false)), ("b", finish("2", true))]), &[]));
    let plan = smart(old, new, set(&old, &["a", "b"]), &Conversion::new(&old)).unwrap();
    assert!(plan.stop.is_empty() && plan.start.is_empty());
    assert_eq!((names(&new, &plan.in_place), names(&new, &plan.reload)), (words(&["a", "b"]), words(&["b"])));
}

#[test]
fn a_rename_keeps_the_service_up_and_its_directory() {
    let old = leak(image(&source(&[("a", def(&[]))]), &[]));
    let new = leak(image(&source(&[("z", def(&[]))]), &[]));
    for rule in [reference, smart] {
        let rules = rules(&old, &[&["a", "->", "z"]]);
        let plan = rule(old, new, set(&old, &["a"]), &rules).unwrap();
        assert_eq!(shape(&plan), [vec![], words(&["z"]), vec![]]);
        assert_eq!(plan.continues(0), Some(0));
    }
    let rules = rules(&old, &[&["a", "->", "z", "restart"]]);
    let plan = reference(old, new, set(&old, &["a"]), &rules).unwrap();
    assert_eq!(shape(&plan), [words(&["a"]), vec![], words(&["z"])]);
    assert_eq!(why(&plan, "a"), Reason::Asked);
}

#[test]
fn another_kind_and_a_bundle_restart() {
    let oneshot = Def { oneshot: true, ..Def::default() };
    let old = leak(image(&source(&[("a", def(&[])), ("b", oneshot.clone())]), &[]));
    let new =
        leak(image(&source(&[("a", oneshot), ("c", def(&[])), ("d", def(&[]))]), &[("b", &["c", "d"])]));
    for rule in [reference, smart] {
        let plan = rule(old, new, set(&old, &["a", "b"]), &Conversion::new(&old)).unwrap();
        assert_eq!(shape(&plan), [words(&["a", "b"]), vec![], words(&["a", "c", "d"])]);
        assert_eq!((why(&plan, "a"), why(&plan, "b")), (Reason::OtherKind, Reason::BecameBundle));
        assert_eq!(plan.continues(2), None);
    }
}

#[test]
fn rules_that_cannot_be_followed_say_why() {
    use crate::RuleError::*;
    let old =
        leak(image(&source(&[("a", def(&[])), ("b", def(&[]))]), &[("ab", &["a", "b"]), ("one", &["a"])]));
    let mut conversion = Conversion::new(&old);
    let mut line = |words: &'static [&'static str]| conversion.line(&old, words.iter().map(|w| w.as_bytes()));
    assert_eq!(line(&[]), Ok(()));
    assert_eq!(line(&["x"]), Err(Unknown(b"x")));
    assert_eq!(line(&["ab"]), Err(NotAtomic(b"ab")));
    assert_eq!(line(&["one", "restart"]), Ok(()));
    assert_eq!(line(&["a", "restart"]), Err(Twice(b"a")));
    assert_eq!(line(&["b", "again"]), Err(Keyword(b"again")));
    let new = leak(image(&source(&[("a", def(&[]))]), &[]));
    let up = set(&old, &["a", "b"]);
    let both = rules(&old, &[&["b", "->", "a"]]);
    assert!(matches!(reference(old, new, up.clone(), &both), Err(TargetTwice(b"a", _, _))));
    let nowhere = rules(&old, &[&["b", "->", "c"]]);
    assert!(matches!(reference(old, new, up, &nowhere), Err(NoSuchTarget(b"b", b"c"))));
}

#[test]
fn a_view_stops_dependents_first_and_starts_them_last() {
    let old = leak(image(&source(&[("a", def(&[])), ("b", def(&["a"])), ("c", def(&["b"]))]), &[]));
    let rules = rules(&old, &[&["a", "restart"]]);
    let plan = reference(old, old, set(&old, &["a", "b", "c"]), &rules).unwrap();
    let mut steps = Vec::new();
    view(&plan, &mut |start, service| steps.push((start, service)));
    assert_eq!(steps, [(false, 2), (false, 1), (false, 0), (true, 0), (true, 1), (true, 2)]);
}

#[test]
fn differences_name_files_lines_and_lists() {
    let finish = Def { finish: "x", ..def(&["a"]) };
    let old = leak(image(&source(&[("a", def(&[])), ("b", finish)]), &[]));
    let new = leak(image(&source(&[("a", def(&[])), ("b", Def { run: "run\nmore\n", ..def(&[]) })]), &[]));
    let mut found = Vec::new();
    differences(&old, old.service(1).unwrap(), &new, new.service(1).unwrap(), &mut |d| found.push(d));
    let dependency = Difference::Removed(Field::Dependencies, b"a");
    let run = Difference::FileChanged(b"run", At::Line(2), [b"", b"more\n"]);
    assert_eq!(found, [Difference::Removed(Field::File, b"finish"), run, dependency]);
}

/// What the compiler does not write gives an answer, too.
#[test]
fn settings_that_no_compiler_wrote_come_to_an_end() {
    let runs = [
        "#!@SKEG@ s6rc-run\n",
        "#!@SKEG@ s6rc-run\nskeg settings 1",
        "#!@SKEG@ s6rc-run\nskeg settings 1\n\n\nuser\n",
        "#!@SKEG@ s6rc-run\nskeg settings 1\n x\nuser",
        "#!@SKEG@ s6rc-run\nskeg settings 1\nuser a\nnice 1\nuser b\ncommand",
        "#!@SKEG@ s6rc-run\nskeg settings 1\ncommand\n",
        "#!@SKEG@ s6rc-run\nskeg settings 1\ncommand\nsleep\0",
    ];
    let images = runs.map(|run| leak(image(&source(&[("a", Def { run, ..def(&[]) })]), &[])));
    for (old, new) in images.iter().flat_map(|old| images.iter().map(move |new| (old, new))) {
        let mut found = 0;
        differences(old, old.service(0).unwrap(), new, new.service(0).unwrap(), &mut |_| found += 1);
        assert!(found < 10);
    }
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const RUNS: [&str; 2] = ["one\n", "two\n"];

/// A random source: each service may be missing, needs some of those before it.
fn any_source() -> impl Strategy<Value = Source> {
    proptest::collection::vec((0..4u8, any::<u8>(), any::<bool>(), any::<bool>()), NAMES.len()).prop_map(
        |picks| {
            let mut source = Source::new();
            for (at, (kind, needs, run, with)) in picks.into_iter().enumerate() {
                if kind == 0 {
                    continue;
                }
                let deps: Vec<_> = (0..at)
                    .filter(|d| needs >> d & 1 == 1 && source.contains_key(NAMES[*d]))
                    .map(|d| NAMES[d])
                    .collect();
                let restart_with = if with { deps.clone() } else { vec![] };
                let run = RUNS[usize::from(run)];
                source
                    .insert(NAMES[at], Def { oneshot: kind == 1, deps, restart_with, run, ..Def::default() });
            }
            source
        },
    )
}

/// A set closed under dependencies, from random bits.
fn closed(db: &Db<'_>, bits: u8) -> Set {
    let mut up = Set::new(db.len());
    for service in 0..db.len() as u16 {
        if bits >> (service % 8) & 1 == 1 {
            up.insert(service);
        }
    }
    let mut work: Vec<u16> = up.iter().collect();
    while let Some(service) = work.pop() {
        crate::plan::neighbours(db, service, db::Direction::Up, &mut |d| {
            if up.insert(d) {
                work.push(d);
            }
        });
    }
    up
}

proptest! {
    #[test]
    fn plans_hold_together(a in any_source(), b in any_source(), bits: u8, late: u8) {
        let (a, b) = (image(&a, &[]), image(&b, &[]));
        let (old, new) = (Db::check(&a).unwrap(), Db::check(&b).unwrap());
        let up = closed(&old, bits);
        let mut owed = closed(&old, late);
        up.iter().for_each(|service| _ = owed.remove(service));
        let rules = Conversion::new(&old);
        for (rule, ours) in [(crate::reference as fn(_, _, _, _, &_) -> _, false), (crate::smart, true)] {
            let plan: Plan<'_> = rule(old, new, up.clone(), owed.clone(), &rules).unwrap();
            // Only what is up stops; nothing is both kept and started.
            prop_assert!(plan.stop.iter().all(|s| up.contains(s)));
            prop_assert!(plan.kept.iter().all(|s| !plan.start.contains(s)));
            // What was up, or was to be, and still exists is up afterwards.
            for service in up.iter().chain(owed.iter()) {
                for target in plan.mapping.targets(service) {
                    prop_assert!(plan.kept.contains(*target) || plan.start.contains(*target));
                }
            }
            // What is kept was not stopped, and each stop has a reason.
            for service in plan.kept.iter() {
                prop_assert!(!plan.stop.contains(plan.mapping.from(service).unwrap()));
            }
            for service in plan.stop.iter() {
                prop_assert!(plan.why_stop[usize::from(service)] != Reason::None);
            }
            let after = plan.up_after();
            for service in plan.kept.iter() {
                crate::plan::neighbours(&new, service, db::Direction::Up, &mut |d| {
                    // The reference never keeps anything above what starts; ours does, when it is new below it.
                    assert!(plan.kept.contains(d) || ours && after.contains(d));
                });
            }
            // The view takes every step once.
            let mut steps = 0;
            view(&plan, &mut |_, _| steps += 1);
            prop_assert_eq!(steps, plan.stop.count() + plan.start.count());
        }
    }

    #[test]
    fn ours_stops_nothing_whose_definition_and_needs_stay(a in any_source(), bits: u8) {
        let image = image(&a, &[]);
        let db = Db::check(&image).unwrap();
        let plan = smart(db, db, closed(&db, bits), &Conversion::new(&db)).unwrap();
        prop_assert!(plan.is_quiet());
    }
}
