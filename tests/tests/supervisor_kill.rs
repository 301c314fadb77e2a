// SPDX-License-Identifier: ISC
//! The supervisor of 50 services is killed 200 times at random moments, while services die, become ready and get
//! commands. Nothing may be noticed of it: no service restarts by it, none runs twice, every death and every readiness
//! is seen, statuses are right within a second, and nobody is ever told that a service is not supervised.
//!
//! Ten services never die. Thirty live a random time, become ready, and die by exit or signal. Ten get commands.
//! Each service writes a log of its own, whose lines are then held against events, status and death tally.
//! `SKEG_SEED` repeats a run, `SKEG_KILLS` changes the number of kills.

use harness::fifodir::Listener;
use harness::process::{alive, kill};
use harness::status::deaths;
use harness::tree::Service;
use harness::wait::must;
use harness::{Scanner, Scratch, Suite, until};
use rustix::process::Signal;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// What a status may lag behind: the promise is a second; the rest is for a machine with other things to do.
const LAG: Duration = Duration::from_secs(4);

/// Its own log: `twice`, `start`, `ready` before and `told` after the notification, `finish CODE SIGNAL`.
const RUN: &str = r#"#!/bin/sh
if test -e pid && read p < pid && kill -0 $p 2>/dev/null; then echo twice >> log; fi
echo $$ > pid
echo start >> log
n=$(( ($$ * 7919) % 10 ))
read kind < kind
sleep 0.0$n 3>&-
echo ready >> log
echo >&3
echo told >> log
exec 3>&-
test $kind = lives && exec sleep 1000
test $kind = obeys && exec sleep 1000
sleep 0.$n
test $n = 3 && kill -USR1 $$
exit $n
"#;

const FINISH: &str = "#!/bin/sh\nif test -e finishing; then echo twice >> log; fi\n: > finishing\n\
                      echo \"finish $1 $2\" >> log\nrm finishing\n";

/// Xorshift: random enough for moments.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let given = std::env::var("SKEG_SEED").ok().and_then(|s| s.parse().ok());
        let now =
            || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
        let seed = given.unwrap_or_else(now) | 1;
        println!("SKEG_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// Lets up to this many microseconds pass: the moment is what is random, nothing waits for it.
    fn moment(&mut self, micros: u64) {
        let end = Instant::now() + Duration::from_micros(self.below(micros));
        while Instant::now() < end {
            std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
        }
    }
}

struct Actor {
    name: String,
    service: Service,
    events: Listener,
}

fn lay_out(scratch: &Scratch) -> Vec<(String, &'static str)> {
    let kind = |i| match i {
        0..10 => "lives",
        10..40 => "dies",
        _ => "obeys",
    };
    let names: Vec<_> = (0..50).map(|i| (format!("{}{i}", kind(i)), kind(i))).collect();
    for (name, kind) in &names {
        scratch.file(format!("scan/{name}/run"), RUN);
        scratch.file(format!("scan/{name}/finish"), FINISH);
        scratch.file(format!("scan/{name}/kind"), format!("{kind}\n"));
        scratch.file(format!("scan/{name}/notification-fd"), "3\n");
        scratch.file(format!("scan/{name}/max-death-tally"), "4096\n");
        scratch.folder(format!("scan/{name}/event"));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1733);
        std::fs::set_permissions(scratch.at(format!("scan/{name}/event")), mode).expect("chmod");
    }
    names
}

/// Kills the supervisor, once there is one, and returns the killed one's pid.
fn kill_supervisor(scanner: &Scanner, last: u32) -> u32 {
    let mut found = last;
    must("a new supervisor", || match scanner.supervisor() {
        Some(pid) if pid != last => {
            found = pid;
            true
        }
        _ => false,
    });
    assert!(kill(found, Signal::KILL));
    found
}

/// The status tells the truth: the process that it names is the one that runs.
fn true_status(actor: &Actor, scratch: &Scratch) -> bool {
    let Some(status) = actor.service.status() else { return false };
    let noted: Option<u32> = scratch.read(actor.service.dir.join("pid")).trim().parse().ok();
    let running = noted.filter(|pid| alive(*pid));
    match (status.up(), running) {
        (true, Some(pid)) => status.pid == pid,
        (true, None) => alive(status.pid), // it has just been spawned, and has not yet written
        (false, running) => running.is_none(),
    }
}

fn lines<'a>(log: &'a str, word: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.split(' ').next() == Some(word)).collect()
}

/// Holds a service's own log against what the tree said about it, when everything is down.
fn judge(actor: &mut Actor, scratch: &Scratch, faults: &mut Vec<String>) {
    let log = scratch.read(actor.service.dir.join("log"));
    let tally = deaths(&actor.service.dir);
    // The status comes first, the events follow at once.
    let told = |events: &str| events.matches('D').count() >= tally.len();
    actor.events.wait(LAG, told);
    let events = actor.events.events();
    let count = |c| events.chars().filter(|e| *e == c).count();
    let name = &actor.name;
    let mut check = |ok: bool, what: String| {
        if !ok {
            faults.push(format!("{name}: {what}; events {events}; log {}", log.replace('\n', "|")));
        }
    };
    let (starts, ends) = (lines(&log, "start").len(), lines(&log, "finish"));
    check(lines(&log, "twice").is_empty(), "two ran at once".into());
    check(
        tally.len() == ends.len(),
        format!("{} deaths in the tally, {} runs of finish", tally.len(), ends.len()),
    );
    // One killed before its first line is a death without a start.
    check(starts <= ends.len(), format!("{starts} starts and only {} ends", ends.len()));
    let codes = |d: &harness::status::Death| {
        if d.signal == 0 { format!("finish {} 0", d.code) } else { format!("finish 256 {}", d.signal) }
    };
    let told: Vec<_> = tally.iter().map(codes).collect();
    check(told == ends, format!("the tally says {told:?}"));
    check(count('d') >= tally.len() && count('D') >= tally.len(), format!("{} deaths", tally.len()));
    check(count('U') >= lines(&log, "told").len(), format!("{} became ready", lines(&log, "told").len()));
    check(count('u') >= starts, format!("{starts} starts"));
    check(count('s') <= 1 && count('O') == 0, "adoption is no start, and nobody failed for good".into());
}

/// What came of a command that was given right before or after a kill.
fn obey(actor: &Actor, byte: u8) {
    match byte {
        b'd' => actor.service.must("down as it was told", |s| s.down() && !s.want_up),
        b'u' => actor.service.must("up as it was told", |s| s.up() && s.ready && s.want_up),
        _ => return,
    };
}

#[test]
fn nobody_notices_that_the_supervisor_is_killed() {
    let kills: usize = std::env::var("SKEG_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut dice = Dice::new();
    let scratch = Scratch::new();
    let names = lay_out(&scratch);
    let listen = |(name, _): &(String, &str)| {
        let service = Service::at(scratch.at(format!("scan/{name}")));
        Actor { name: name.clone(), events: service.listen(), service }
    };
    let mut actors: Vec<_> = names.iter().map(listen).collect();
    let mut scanner = Scanner::start(&scratch, &Suite::skeg());
    for actor in &actors {
        actor.service.must("up and ready once", |s| s.stamp != s.ready_stamp || s.ready);
    }
    let quiet: Vec<u32> =
        actors[..10].iter().map(|a| a.service.must("ready", |s| s.up() && s.ready).pid).collect();
    for actor in &actors[40..] {
        actor.service.must("ready", |s| s.up() && s.ready);
    }

    let over = AtomicBool::new(false);
    let (mut asked, mut faults) = (0, Vec::new());
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| ask_whether_supervised(&scratch, &names, &over));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            kill_again_and_again(kills, &mut dice, &scanner, &actors, &scratch, &quiet)
        }));
        over.store(true, Ordering::Relaxed);
        match asks.join().expect("no panic") {
            Ok(n) => asked = n,
            Err(fault) => faults.push(fault),
        }
        match outcome {
            Ok(more) => faults.extend(more),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    for actor in &actors {
        actor.service.control(b"d");
    }
    for actor in &mut actors {
        actor.service.must("down at last", |s| s.down() && !s.want_up && s.ready);
        judge(actor, &scratch, &mut faults);
    }
    for actor in &mut actors[..10] {
        let log = scratch.read(actor.service.dir.join("log"));
        if lines(&log, "start").len() != 1 {
            faults.push(format!("{} was restarted: {log}", actor.name));
        }
    }
    let deaths: usize = actors.iter().map(|a| deaths(&a.service.dir).len()).sum();
    println!("{kills} kills, {deaths} deaths, s6-svok asked {asked} times");
    assert!(deaths > 50 && asked > 50, "enough has happened");
    let said = scratch.read("scan.log");
    assert!(faults.is_empty(), "{} faults:\n{}\nthe scanner said: {said}", faults.len(), faults.join("\n"));
    assert!(scanner.stop(Signal::TERM), "the scanner ends on SIGTERM");
}

/// Asks s6-svok (Debian's, where it is) about one service after the other; how often.
fn ask_whether_supervised(
    scratch: &Scratch,
    names: &[(String, &str)],
    over: &AtomicBool,
) -> Result<usize, String> {
    let tools = Suite::debian().unwrap_or_else(Suite::skeg);
    let mut asked = 0;
    while !over.load(Ordering::Relaxed) {
        let (name, _) = &names[asked % names.len()];
        let done = scratch.run(&tools, "s6-svok", &[&scratch.text(&format!("scan/{name}"))]);
        if done.code != 0 {
            return Err(format!("s6-svok says {} of {name} {}", done.code, done.err));
        }
        asked += 1;
    }
    Ok(asked)
}

fn kill_again_and_again(
    kills: usize,
    dice: &mut Dice,
    scanner: &Scanner,
    actors: &[Actor],
    scratch: &Scratch,
    quiet: &[u32],
) -> Vec<String> {
    let mut last = 0;
    for i in 0..kills {
        let actor = &actors[40 + dice.below(10) as usize];
        let up = actor.service.status().is_some_and(|s| s.want_up);
        let byte = match dice.below(4) {
            0 => b't',
            1 => b'k',
            _ if up => b'd',
            _ => b'u',
        };
        let before = dice.below(2) == 0;
        if before {
            actor.service.control(&[byte]);
            dice.moment(3_000);
        } else {
            dice.moment(30_000);
        }
        last = kill_supervisor(scanner, last);
        if !before {
            actor.service.control(&[byte]); // nobody reads it now; it must not be lost
        }
        obey(actor, byte);
        if i % 10 != 9 {
            continue;
        }
        for actor in actors {
            let truth = until(LAG, || true_status(actor, scratch));
            assert!(truth, "{}: its status {:?} is not true", actor.name, actor.service.status());
        }
    }
    let pids = actors[..10].iter().map(|a| a.service.status().map_or(0, |s| s.pid));
    let changed = pids.zip(quiet).zip(actors).filter(|((now, then), _)| now != *then);
    changed.map(|((now, then), actor)| format!("{} had pid {then}, now {now}", actor.name)).collect()
}

#[test]
fn the_scanner_keeps_its_own_memory_and_descriptors_bounded() {
    let scratch = Scratch::new();
    for i in 0..5 {
        scratch.file(format!("scan/s{i}/run"), "#!/bin/sh\nexec sleep 1000\n");
    }
    let scanner = Scanner::start(&scratch, &Suite::skeg());
    for i in 0..5 {
        scanner.service(&format!("s{i}")).must("up", |s| s.up());
    }
    let open = |pid: u32| {
        std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).map_or(0, Iterator::count)
    };
    let (mut last, mut counts) = (0, Vec::new());
    for _ in 0..8 {
        last = kill_supervisor(&scanner, last);
        must("a new supervisor", || scanner.supervisor().is_some_and(|pid| pid != last));
        let supervisor = scanner.supervisor().unwrap_or(0);
        scanner.service("s0").control(b"1");
        scanner.service("s0").must("up", |s| s.up());
        must("it has taken up its work", || open(supervisor) > 10);
        counts.push(open(scanner.pid()));
    }
    let (first, end) = (counts[1], counts[7]);
    assert!(end <= first + 2, "descriptors of the scanner after each kill: {counts:?}");
}
