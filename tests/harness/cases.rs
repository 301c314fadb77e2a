// SPDX-License-Identifier: ISC
//! Recorded runs on a live tree (`data/live_cases.jsonl`): how one is read, played and judged.
//!
//! Each step is a command with its exit code, the services that are up after it, the lines it printed, and what the
//! services' own scripts wrote. Events are compared as a multiset, and their order is held against the dependencies.

use crate::process::run;
use crate::program::Suite;
use crate::scratch::Scratch;
use crate::tree::{Scanner, User};
use crate::wait::until;
use rustix::process::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

/// The services that the manager makes for itself: left out of every comparison.
const INTERNAL: [&str; 2] = ["s6rc-fdholder", "s6rc-oneshot-runner"];
/// How long events may take to come after the command that causes them has ended.
const EVENTS: Duration = Duration::from_secs(10);
/// How long the log must stay as it is at the end of a case.
const SILENCE: Duration = Duration::from_millis(100);

/// What a service that never becomes ready is given in place of a `timeout-up` of less than a second: all that the record says
/// of it is that its `run` writes its line and that the start then fails, which on a busy machine takes longer than the 400 ms of the
/// recording. No other time of a case is shorter than a second, and no command of them has a deadline.
const TIME: u32 = 3_000;

/// Which programs play a case.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The compiler and the manager.
    pub manager: Suite,
    /// The scanner and its supervisors.
    pub tree: Suite,
    /// Who runs them.
    pub user: User,
}

/// Reads a file of cases, one a line.
pub fn read(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("a case is one line of JSON")).collect()
}

/// The case's name.
pub fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap_or("?")
}

/// What stands in the place of this file's content, if it is a timeout that a busy machine may not keep.
fn longer(path: &str, content: &str) -> Option<String> {
    let short = |ms: &u32| (1..1_000).contains(ms);
    path.ends_with("/timeout-up").then(|| content.trim().parse().ok().filter(short)).flatten()?;
    Some(format!("{TIME}\n"))
}

/// Whether a service of the case is given more time than the recording gave it.
pub fn is_given_time(case: &Value) -> bool {
    let files = ["a", "b"].into_iter().filter_map(|db| case["dbs"][db].as_object()).flatten();
    let mut texts = files.filter_map(|(path, file)| Some((path, file["f"].as_str()?)));
    texts.any(|(path, text)| longer(path, text).is_some())
}

fn words(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect()
}

fn visible(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> =
        names.into_iter().filter(|n| !n.is_empty() && !INTERNAL.contains(&n.as_str())).collect();
    names.sort();
    names
}

/// What one line of the event log says: `up NAME`, `down NAME`, `reload NAME`.
type Event = (String, String);

fn recorded(step: &Value) -> Vec<Event> {
    let list = step["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let pair = |e: &Value| Some((e[0].as_str()?.to_owned(), e[1].as_str()?.to_owned()));
    list.iter().filter_map(pair).collect()
}

fn logged(scratch: &Scratch) -> Vec<Event> {
    let text = scratch.read("log");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|l| l.split_once(' ')).map(|(v, s)| (v.to_owned(), s.to_owned())).collect()
}

fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort();
    events
}

/// Longruns that the signal of a reload has ended: each is started again, a second after its last start or at once. That the
/// record has its line in one step or in a later one, or in none since the recording was over, is a race of the reference.
#[derive(Clone, Default)]
struct Restarts {
    /// Their lines have not come.
    due: BTreeSet<String>,
    /// Their lines have come before the record has them.
    early: BTreeSet<String>,
}

impl Restarts {
    /// Notes what this step's reload ends.
    fn expect(&mut self, step: &Value) {
        let (words, events) = (words(&step["cmd"]), recorded(step));
        if words.iter().any(|word| word == "reload") {
            let ended = events.iter().filter(|(verb, _)| verb == "down").map(|(_, service)| service.clone());
            self.due.extend(ended.filter(|s| !events.contains(&("up".to_owned(), s.clone()))));
        }
    }

    /// Whether these events are the record's, apart from when such a service came back.
    fn agree(&mut self, mut new: Vec<Event>, mut want: Vec<Event>) -> bool {
        for service in &self.early.clone() {
            if let Some(at) = want.iter().position(|(verb, s)| verb == "up" && s == service) {
                want.remove(at);
                self.early.remove(service);
            }
        }
        for service in &self.due.clone() {
            let up = |(verb, s): &Event| verb == "up" && s == service;
            let (came, due) = (new.iter().filter(|e| up(e)).count(), want.iter().filter(|e| up(e)).count());
            if came > due
                && let Some(at) = new.iter().position(up)
            {
                new.remove(at);
                self.early.insert(service.clone());
            }
            if came > 0 {
                self.due.remove(service);
            }
        }
        sorted(new) == sorted(want)
    }
}

/// The longruns that can't say when they are ready: such a one counts as up once its process has been started, and what
/// that writes may come after what its dependents write.
fn silent(tree: &Value) -> BTreeSet<String> {
    let has = |service: &str, file: &str| tree.get(format!("{service}/{file}")).is_some();
    let services = tree.as_object().into_iter().flatten().filter_map(|(path, _)| path.strip_suffix("/run"));
    services.filter(|service| !has(service, "notification-fd")).map(str::to_owned).collect()
}

/// What each service of a source tree depends on, and what each bundle contains.
fn dependencies(tree: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in tree.as_object().into_iter().flatten().map(|(path, _)| path) {
        let mut parts = path.splitn(3, '/');
        let (service, folder, item) = (parts.next(), parts.next(), parts.next());
        let needs = graph.entry(service.unwrap_or_default().to_owned()).or_default();
        if let (Some("dependencies.d" | "contents.d"), Some(item)) = (folder, item) {
            needs.insert(item.to_owned());
        }
    }
    graph
}

/// A dependency that the order of these events breaks, if any.
fn order_fault(
    events: &[Event],
    graph: &BTreeMap<String, BTreeSet<String>>,
    silent: &BTreeSet<String>,
) -> Option<String> {
    let at = |verb: &str, service: &str| events.iter().position(|(v, s)| v == verb && s == service);
    for (service, needs) in graph {
        for need in needs {
            let (up, up_need) = (at("up", service), at("up", need));
            let (down, down_need) = (at("down", service), at("down", need));
            match (up, up_need, down, down_need) {
                (Some(a), Some(b), None, None) if a < b && !silent.contains(need) => {
                    return Some(format!("{service} came up before {need}"));
                }
                (None, None, Some(a), Some(b)) if a > b => {
                    return Some(format!("{need} went down before {service}"));
                }
                _ => (),
            }
        }
    }
    None
}

/// Plays the case; what differs from the record. Empty = it passed.
pub fn play(cast: &Cast, case: &Value) -> Vec<String> {
    let scratch = Scratch::of(cast.user);
    let mut faults = Vec::new();
    if let Err(fault) = prepare(cast, case, &scratch) {
        return vec![fault];
    }
    let mut scanner = Scanner::start(&scratch, &cast.tree);
    let (live, scan) = (scratch.text("live"), scanner.dir.display().to_string());
    let done = scratch.run(&cast.manager, "s6-rc-init", &["-c", &scratch.text("db-a"), "-l", &live, &scan]);
    if done.code != 0 {
        return vec![format!("init exited {}: {}", done.code, done.err.trim())];
    }
    let (mut seen, mut restarts) = (0, Restarts::default());
    let (mut graph, mut quiet) = (dependencies(&case["dbs"]["a"]), silent(&case["dbs"]["a"]));
    for (i, step) in case["steps"].as_array().into_iter().flatten().enumerate() {
        let updates = step["cmd"][0] == "s6-rc-update";
        if updates {
            (graph, quiet) = (dependencies(&case["dbs"]["b"]), silent(&case["dbs"]["b"]));
        }
        let judged = play_step(cast, step, &scratch, &mut seen, &mut restarts);
        let order = (!updates).then(|| order_fault(&judged.1, &graph, &quiet)).flatten();
        let what = format!("step {i} `{}`: ", words(&step["cmd"]).join(" "));
        faults.extend(judged.0.into_iter().chain(order).map(|fault| what.clone() + &fault));
        if !faults.is_empty() {
            return faults; // what follows depends on it
        }
    }
    if until(SILENCE, || !restarts.clone().agree(logged(&scratch).split_off(seen), Vec::new())) {
        faults.push(format!("after the last step came {:?}", &logged(&scratch)[seen..]));
    }
    if !scanner.stop(Signal::TERM) {
        faults.push("the scanner did not stop on SIGTERM".to_owned());
    }
    faults
}

fn prepare(cast: &Cast, case: &Value, scratch: &Scratch) -> Result<(), String> {
    let log = scratch.text("log");
    scratch.file("log", "");
    scratch.file("conv", case["conv"].as_str().unwrap_or_default());
    for which in ["a", "b"] {
        for (path, entry) in case["dbs"][which].as_object().into_iter().flatten() {
            let content = entry["f"].as_str().unwrap_or_default().replace("@LOG@", &log);
            let content = longer(path, &content).unwrap_or(content);
            scratch.file_mode(
                format!("src-{which}/{path}"),
                content,
                entry["m"].as_u64().unwrap_or(0o644) as u32,
            );
        }
        let (to, from) = (scratch.text(&format!("db-{which}")), scratch.text(&format!("src-{which}")));
        let done = scratch.run(&cast.manager, "s6-rc-compile", &[&to, &from]);
        if done.code != 0 {
            return Err(format!("compile {which} exited {}: {}", done.code, done.err.trim()));
        }
    }
    Ok(())
}

fn play_step(
    cast: &Cast,
    step: &Value,
    scratch: &Scratch,
    seen: &mut usize,
    restarts: &mut Restarts,
) -> (Vec<String>, Vec<Event>) {
    let mut faults = Vec::new();
    let live = scratch.text("live");
    let given = words(&step["cmd"]);
    let mut real = vec!["-l".to_owned(), live.clone()];
    let place = |w: &String| w.replace("@b@", &scratch.text("db-b")).replace("@conv@", &scratch.text("conv"));
    real.extend(given.iter().skip(1).map(place));
    let done = run(&mut scratch.command(&cast.manager, given.first().map_or("", String::as_str), &real));
    if done.hung() {
        return (vec![format!("hung; it said {}", done.err.trim())], Vec::new());
    }
    let want = recorded(step);
    restarts.expect(step);
    // A finish script may still be writing when the command has ended.
    until(EVENTS, || restarts.clone().agree(logged(scratch).split_off(*seen), want.clone()));
    let all = logged(scratch);
    let new = all[*seen..].to_vec();
    *seen = all.len();
    let listed = run(&mut scratch.command(&cast.manager, "s6-rc", &["-l", &live, "-a", "list"]));
    let (up, want_up) = (visible(listed.lines()), visible(words(&step["up"])));
    let code = step["exit"].as_i64().unwrap_or(0);
    if i64::from(done.code) != code {
        faults.push(format!("exit {} instead of {code} ({})", done.code, done.err.trim()));
    }
    if up != want_up {
        faults.push(format!("up {up:?} instead of {want_up:?}"));
    }
    if !restarts.agree(new.clone(), want.clone()) {
        faults.push(format!("events {new:?} instead of {want:?}"));
    }
    if step.get("out").is_some() {
        let (out, want) = (visible(done.lines()), visible(words(&step["out"])));
        if out != want {
            faults.push(format!("printed {out:?} instead of {want:?}"));
        }
    }
    (faults, new)
}

/// Runs `work` on each item with this many threads; what it found wrong with each.
pub fn in_parallel<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Vec<String> + Sync,
) -> Vec<Vec<String>> {
    let next = Mutex::new(0);
    // A process that is to end with its parent ends with the thread that started it, and others may still use it.
    let all_done = std::sync::Barrier::new(threads);
    let found: Vec<Mutex<Vec<String>>> = items.iter().map(|_| Mutex::new(Vec::new())).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let i = {
                        let mut next = next.lock().expect("no thread panics with the lock");
                        *next += 1;
                        *next - 1
                    };
                    let Some(item) = items.get(i) else { break };
                    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(item)));
                    let faults = outcome.unwrap_or_else(|panic| {
                        let text = panic.downcast_ref::<String>().cloned();
                        vec![text.unwrap_or_else(|| "panicked".to_owned())]
                    });
                    if let Ok(mut slot) = found[i].lock() {
                        *slot = faults;
                    }
                }
                all_done.wait();
            });
        }
    });
    found.into_iter().map(|slot| slot.into_inner().unwrap_or_default()).collect()
}
