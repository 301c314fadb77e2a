// SPDX-License-Identifier: ISC
//! A session: a live directory, an epoll, a connection to the oneshot runner. It carries out changes, one after the other.
//!
//! Reader: the s6-rc applets, updates, boot. A session blocks SIGTERM and SIGINT and reads them itself; it raises the
//! soft limit of open descriptors, since each longrun under way needs two.

use crate::longrun::{Names, Progress, Watch, can_say, send};
use crate::note::{Note, Outcome, RunError, Why};
use crate::oneshot::client::{Scripts, connect_in_time};
use crate::oneshot::protocol::{DEFAULT_SCRIPTS, End, MAX_SCRIPTS, What};
use crate::owed;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use engine::{Change, Ended, Graph, Image, Rules, Script, Set, Step, Towards};
use live::{Live, LiveError, Phase, ServiceDir, State};
use sys::event::{Epoll, EventFlags, PollFd, PollFlags, poll};
use sys::process::{self, Resource};
use sys::signal::{self, number};
use sys::time::{Millis, monotonic, monotonic_nanos};
use sys::{AsFd, Errno, OwnedFd, fs};

/// What holds for a change.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Which way.
    pub towards: Towards,
    /// Whether a stop also stops essential services.
    pub stop_essentials: bool,
    /// When the whole change must be over.
    pub deadline: Option<Millis>,
    /// Scripts that may run at once.
    pub scripts: u16,
    /// A stop that nothing comes after: where no inode is left for a listener it goes on without. What an update stops it
    /// could not start again then.
    pub for_good: bool,
}

impl Terms {
    /// A change without a deadline, with the usual bound of scripts, that spares essential services.
    pub const fn new(towards: Towards) -> Self {
        Self { towards, stop_essentials: false, deadline: None, scripts: DEFAULT_SCRIPTS, for_good: false }
    }

    /// Whether the deadline has passed. A script that may not outlive it ends by it: whichever is told first, the change
    /// has timed out.
    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= monotonic())
    }
}

/// The oneshot runner's name.
pub(crate) const RUNNER: &[u8] = b"s6rc-oneshot-runner";

const SIGNALS: u64 = u64::MAX;
const RUNNER_KEY: u64 = u64::MAX - 1;

/// A script under way.
struct Running {
    service: u16,
    began: u64,
}

/// What a session needs of the kernel: several sessions of one command, one after the other, have the same.
pub struct Desk {
    epoll: Epoll,
    signals: OwnedFd,
    names: Names,
}

impl Desk {
    fn new() -> Result<Self, RunError> {
        let set = signal::Set::of(&[number::TERM, number::INT]);
        signal::set_mask(set).map_err(RunError::prepare)?;
        // A supervisor may go between the opening of its FIFO and the writing.
        ignore_broken_pipes();
        let signals = signal::signalfd(set).map_err(RunError::prepare)?;
        let epoll = Epoll::new().map_err(RunError::prepare)?;
        epoll.add(&signals, SIGNALS, EventFlags::IN).map_err(RunError::prepare)?;
        raise_open_files();
        Ok(Self { epoll, signals, names: Names::new() })
    }
}

/// The services of one live directory, at hand.
pub struct Session<'a> {
    image: &'a Image<'a>,
    live: &'a mut Live,
    desk: &'a Desk,
    /// Set to nothing while the session lives: the listeners' FIFOs have modes of their own.
    _umask: live::Umask,
    scripts: Option<Scripts>,
    /// One a longrun.
    watches: Vec<Option<Watch>>,
    deadlines: BinaryHeap<Reverse<(Millis, u16)>>,
    running: Vec<Running>,
    /// Longruns that did not come up and have been told to stop.
    leaving: Vec<Watch>,
    /// Whether one of the watches hears nothing.
    deaf: bool,
    note: &'a mut dyn FnMut(Note),
}

impl<'a> Session<'a> {
    /// Prepares; nothing is changed yet. `note` is told what happens. `desk` is that of a session before, if there was one.
    pub fn new(
        desk: &'a mut Option<Desk>,
        image: &'a Image<'a>,
        live: &'a mut Live,
        note: &'a mut dyn FnMut(Note),
    ) -> Result<Self, RunError> {
        let desk = match desk {
            Some(desk) => desk,
            none => none.insert(Desk::new()?),
        };
        let mut watches = Vec::new();
        watches.resize_with(image.db().longruns(), || None);
        Ok(Self {
            image,
            live,
            desk,
            _umask: live::Umask::none(),
            scripts: None,
            watches,
            deadlines: BinaryHeap::new(),
            running: Vec::new(),
            leaving: Vec::new(),
            deaf: false,
            note,
        })
    }

    /// Which services count as up.
    pub fn up(&self) -> Set {
        up_set(self.live)
    }

    /// Adds what the services of the set need (`Up`), or what needs them (`Down`).
    pub fn close(&self, set: &mut Set, towards: Towards) {
        engine::close(self.image, set, towards);
    }

    /// Records what of this is not up: a restart ends without it.
    pub(crate) fn owe(&mut self, wanted: &Set, outcome: &mut Outcome) -> Result<(), LiveError> {
        owed::owe(self.live, self.image, wanted, outcome, self.note)
    }

    /// Somebody wants these down, and what needs them: no update owes them any more.
    pub fn forgive(&mut self, selected: &Set) -> Result<(), RunError> {
        Ok(owed::forgive(self.live, self.image, selected)?)
    }

    /// The live directory.
    pub fn live(&mut self) -> &mut Live {
        self.live
    }

    /// Brings these services, with what they need or what needs them, up or down, and waits until nothing more can be done.
    pub fn change(&mut self, selected: Set, terms: Terms) -> Result<Outcome, RunError> {
        self.change_in(self.image, selected, terms)
    }

    /// As [`Self::change`], with other edges between the services than those of the image.
    pub fn change_in(&mut self, graph: &dyn Graph, selected: Set, terms: Terms) -> Result<Outcome, RunError> {
        let scripts = usize::from(terms.scripts).clamp(1, MAX_SCRIPTS);
        let rules = Rules { towards: terms.towards, stop_essentials: terms.stop_essentials, scripts };
        let mut up = self.up();
        if terms.towards == Towards::Down {
            // A longrun that did not get ready while its command had time runs, and is to be stopped.
            let states = self.live.states().iter().zip(0..);
            states.filter(|(state, _)| state.phase == Phase::Starting).for_each(|(_, at)| _ = up.insert(at));
        }
        let mut change = Change::new(graph, &up, selected, rules);
        let mut outcome = Outcome::default();
        loop {
            while let Some(step) = change.next() {
                if !self.take(&mut change, step, &terms) {
                    break;
                }
            }
            if change.running() == 0 {
                break;
            }
            if terms.is_over() {
                outcome.timed_out = true;
                self.tell_unfinished(terms.towards);
                break;
            }
            self.wait(&mut change, &terms, &mut outcome)?;
        }
        outcome.failures = change.failures();
        outcome.timed_out |= outcome.failures != 0 && terms.is_over();
        self.let_go();
        self.see_off();
        Ok(outcome)
    }

    /// Waits a moment for those that have been told to stop: a next command must not take a process for up that is
    /// about to end.
    fn see_off(&mut self) {
        /// Longer than a process takes to end by SIGTERM; one that does not listen is not waited for.
        const MOMENT: u64 = 1_000;
        if self.leaving.is_empty() {
            return;
        }
        let end = Millis(monotonic().0 + MOMENT);
        loop {
            self.leaving.retain_mut(|watch| matches!(watch.progress(), Progress::Waiting));
            let left = end.0.saturating_sub(monotonic().0);
            if self.leaving.is_empty() || left == 0 {
                break;
            }
            let watched = self.leaving.iter().map(|w| PollFd::from_borrowed_fd(w.as_fd(), PollFlags::IN));
            if poll(&mut watched.collect::<Vec<_>>(), Some(Millis(left))).is_err() {
                break;
            }
        }
        self.leaving.clear();
    }

    /// Names what the time was not enough for. It is left to its supervisor, or to the runner.
    fn tell_unfinished(&mut self, towards: Towards) {
        let watches = (0..).zip(&self.watches).filter_map(|(at, w)| Some((at, w.as_ref()?.began)));
        for (service, began) in watches.chain(self.running.iter().map(|r| (r.service, r.began))) {
            (self.note)(Note::Failed(service, towards, millis_since(began), Why::TimedOut));
        }
    }

    /// Forgets what is still under way; the descriptors are closed, the listeners taken away.
    fn let_go(&mut self) {
        self.watches.iter_mut().for_each(|w| *w = None);
        self.deadlines.clear();
        if !self.running.is_empty() {
            self.running.clear();
            self.scripts = None;
        }
    }

    /// Does one step. False: no descriptor is free for it; it was put back until another one is over.
    fn take(&mut self, change: &mut Change<'_>, step: Step, terms: &Terms) -> bool {
        match step {
            Step::Already(service) => (self.note)(Note::Already(service, terms.towards)),
            Step::Essential(service) => (self.note)(Note::Essential(service)),
            Step::Longrun(service) => return self.start_longrun(change, service, terms),
            Step::Script(service) => return self.start_script(change, service, terms),
        }
        true
    }

    fn start_longrun(&mut self, change: &mut Change<'_>, service: u16, terms: &Terms) -> bool {
        let towards = terms.towards;
        let timeout = self.image.timeout(service, towards);
        let deadline = (timeout != 0).then(|| Millis(monotonic().0 + u64::from(timeout)));
        let notifies = self.image.file(service, b"notification-fd").is_some();
        // Until it has arrived, all that is known is that it is on its way: should this command be killed, the next one
        // asks the supervisor.
        let way = if towards == Towards::Up { State::STARTING } else { State::STOPPING };
        let noted = self.live.states_mut().set(usize::from(service), way).map_err(Why::State);
        let begun = noted
            .and_then(|()| self.directory(service).map_err(Why::Control))
            .map_err(|why| if matches!(why, Why::Control(Errno::NOENT)) { Why::NotSupervised } else { why })
            .and_then(|dir| {
                let deaf = terms.for_good.then_some(&*self.live);
                Watch::begin(dir, (service, &self.desk.names), towards, notifies, deadline, deaf)
            })
            .and_then(|mut watch| {
                if watch.waits_for_word() && !self.can_say(service) {
                    watch.take_as_it_is();
                }
                if !watch.is_deaf() {
                    self.desk.epoll.add(&watch, u64::from(service), EventFlags::IN).map_err(Why::Control)?;
                }
                watch.tell().map(|()| watch)
            });
        match begun {
            Ok(watch) => {
                (self.note)(Note::Begin(service, towards));
                if let Some(deadline) = deadline {
                    self.deadlines.push(Reverse((deadline, service)));
                }
                self.deaf |= watch.is_deaf();
                let (began, there) = (watch.began, watch.is_there());
                if let Some(place) = self.watches.get_mut(usize::from(service)) {
                    *place = Some(watch);
                }
                if there {
                    self.longrun_ended(change, service, towards, began, Ok(()));
                }
            }
            Err(Why::Control(Errno::MFILE | Errno::NFILE)) if change.running() > 1 => {
                change.put_back(service);
                self.set_back(service, towards);
                return false;
            }
            Err(why) => {
                // It has not been told anything, and is what it was: where the kernel failed us, its supervisor knows.
                if matches!(why, Why::NotSupervised) {
                    self.set_back(service, towards);
                }
                (self.note)(Note::Begin(service, towards));
                self.ended(change, service, towards, monotonic_nanos(), Err(why));
            }
        }
        true
    }

    /// The service's directory.
    fn directory(&self, service: u16) -> sys::Result<OwnedFd> {
        self.live.service_dir(service)
    }

    /// Whether the process that a longrun has can say that it is ready.
    fn can_say(&self, service: u16) -> bool {
        let Some(id) = self.live.states().id(usize::from(service)) else { return false };
        ServiceDir::open(self.live.locked().sv(), id).is_ok_and(|directory| can_say(&directory, id))
    }

    /// Whether a longrun has arrived.
    fn look(&mut self, change: &mut Change<'_>, service: u16, towards: Towards) {
        let Some(Some(watch)) = self.watches.get_mut(usize::from(service)) else { return };
        let began = watch.began;
        match watch.progress() {
            Progress::Waiting => {}
            Progress::Reached => self.longrun_ended(change, service, towards, began, Ok(())),
            Progress::Failed(why) => self.longrun_ended(change, service, towards, began, Err(why)),
        }
    }

    fn longrun_ended(
        &mut self,
        change: &mut Change<'_>,
        service: u16,
        towards: Towards,
        began: u64,
        how: Result<(), Why>,
    ) {
        let watch = self.watches.get_mut(usize::from(service)).and_then(Option::take);
        let unheard = watch.as_ref().is_some_and(Watch::is_unheard);
        drop(watch);
        let how = how.and_then(|()| self.settle_longrun(service, towards));
        if let (Err(why), Towards::Up) = (&how, towards) {
            self.tell_to_stop(service, matches!(why, Why::Interrupted), unheard);
        }
        // A `d` may have been heeded or not, and a process that has got one will end: only the supervisor knows. A failed start
        // has been followed by one.
        let is_known =
            |why: &Why| towards == Towards::Up || matches!(why, Why::NotSupervised | Why::SupervisorGone);
        if how.as_ref().is_err_and(is_known) {
            self.set_back(service, towards);
        }
        self.ended(change, service, towards, began, how);
    }

    /// A service that did not come up must not stay half-way. `unheard`: its supervisor may not have read the `u` yet, and
    /// will start it before it reads the `d`; a next command must not take that for its own start.
    fn tell_to_stop(&mut self, service: u16, in_a_hurry: bool, unheard: bool) {
        let Ok(directory) = self.directory(service) else { return };
        let begun = Watch::begin(directory, (service, &self.desk.names), Towards::Down, false, None, None);
        match begun.and_then(|watch| watch.tell().map(|()| watch)) {
            Ok(mut watch) if !in_a_hurry && (unheard || !watch.is_there()) => {
                watch.expect_up();
                self.leaving.push(watch);
            }
            Ok(_) => {}
            Err(_) => {
                let _ = self.directory(service).map(|directory| send(&directory, b"d"));
            }
        }
    }

    /// A transition that has not happened: the state of before. What can't be written says that it is on its way.
    fn set_back(&mut self, service: u16, towards: Towards) {
        let state = if towards == Towards::Up { State::DOWN } else { State::UP };
        let _ = self.live.states_mut().set(usize::from(service), state);
    }

    /// The `down` file and the state of a longrun that has arrived.
    fn settle_longrun(&mut self, service: u16, towards: Towards) -> Result<(), Why> {
        let made = self.down_file(service, towards);
        match made {
            Ok(()) | Err(Errno::NOENT | Errno::EXIST) => {}
            Err(e) => (self.note)(Note::DownFile(service, e)),
        }
        let state = if towards == Towards::Up { State::UP } else { State::DOWN };
        self.live.states_mut().set(usize::from(service), state).map_err(Why::State)
    }

    fn down_file(&self, service: u16, towards: Towards) -> sys::Result<()> {
        let (sv, path) = (self.live.locked().sv(), self.live.service_path(service, b"down")?);
        match towards {
            Towards::Up => fs::unlink(sv, &path),
            Towards::Down => fs::mknod(sv, &path, fs::FileType::RegularFile, 0o644, 0),
        }
    }

    fn ended(
        &mut self,
        change: &mut Change<'_>,
        service: u16,
        towards: Towards,
        began: u64,
        how: Result<(), Why>,
    ) {
        let took = millis_since(began);
        match how {
            Ok(()) => {
                (self.note)(Note::Done(service, towards, took));
                change.ended(service, Ended::Done);
            }
            Err(why) => {
                (self.note)(Note::Failed(service, towards, took, why));
                change.ended(service, Ended::Failed);
            }
        }
    }

    fn start_script(&mut self, change: &mut Change<'_>, service: u16, terms: &Terms) -> bool {
        let (script, what) = match terms.towards {
            Towards::Up => (Script::Up, What::Up),
            Towards::Down => (Script::Down, What::Down),
        };
        let began = monotonic_nanos();
        let timeout = earliest(self.image.timeout(service, terms.towards), terms.deadline);
        let asked = self.ask(service, script, what, timeout, terms.scripts);
        if matches!(asked, Err(Why::NoRunner(Errno::MFILE | Errno::NFILE))) && change.running() > 1 {
            change.put_back(service);
            return false;
        }
        (self.note)(Note::Begin(service, terms.towards));
        match asked {
            Ok(()) => self.running.push(Running { service, began }),
            Err(why) => self.ended(change, service, terms.towards, began, Err(why)),
        }
        true
    }

    /// Sends a script to the runner.
    fn ask(&mut self, service: u16, script: Script, what: What, timeout: u32, bound: u16) -> Result<(), Why> {
        let (name, words) = (self.image.name(service), self.image.script(service, script));
        let scripts = match &mut self.scripts {
            Some(scripts) => scripts,
            none => {
                let scripts =
                    connect_in_time(self.live, bound, timeout, &self.desk.signals).map_err(Why::NoRunner)?;
                self.desk.epoll.add(&scripts, RUNNER_KEY, EventFlags::IN).map_err(Why::NoRunner)?;
                none.insert(scripts)
            }
        };
        scripts.run(service, what, timeout, name, words).map_err(|e| match e {
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Why::RunnerGone,
            other => Why::NotStarted(other),
        })
    }

    /// Waits for events and takes them in.
    fn wait(
        &mut self,
        change: &mut Change<'_>,
        terms: &Terms,
        outcome: &mut Outcome,
    ) -> Result<(), RunError> {
        /// Between two looks at the status of what can't be listened to.
        const LOOK: u64 = 20;
        let next = self.deadlines.peek().map(|Reverse((at, _))| *at);
        let look = self.deaf.then(|| Millis(monotonic().0 + LOOK));
        let until = [next, terms.deadline, look].into_iter().flatten().min();
        let timeout = until.map(|at| Millis(at.0.saturating_sub(monotonic().0)));
        for key in self.desk.epoll.wait(timeout).map_err(RunError::wait)? {
            match key {
                SIGNALS => self.interrupted(change, terms.towards, outcome),
                RUNNER_KEY => self.hear_runner(change, terms.towards),
                service => self.look(change, service as u16, terms.towards),
            }
        }
        if self.deaf {
            (0..self.watches.len() as u16).for_each(|service| self.look(change, service, terms.towards));
        }
        self.expire(change, terms.towards);
        Ok(())
    }

    fn interrupted(&mut self, change: &mut Change<'_>, towards: Towards, outcome: &mut Outcome) {
        while let Ok(Some(info)) = signal::next_signal(self.desk.signals.as_fd()) {
            outcome.signal = Some(info.signal);
            (self.note)(Note::Signal(info.signal));
            change.stop();
            for service in 0..self.watches.len() as u16 {
                if let Some(Some(watch)) = self.watches.get(usize::from(service)) {
                    let began = watch.began;
                    self.longrun_ended(change, service, towards, began, Err(Why::Interrupted));
                }
            }
        }
    }

    fn hear_runner(&mut self, change: &mut Change<'_>, towards: Towards) {
        let Some(scripts) = &mut self.scripts else { return };
        let Ok(reports) = scripts.reports() else {
            self.scripts = None;
            for script in core::mem::take(&mut self.running) {
                self.cut_short(script.service);
                self.ended(change, script.service, towards, script.began, Err(Why::RunnerGone));
            }
            return;
        };
        for report in reports {
            let Some(at) = self.running.iter().position(|r| r.service == report.service) else { continue };
            let script = self.running.swap_remove(at);
            let how = verdict(report.end);
            let state = match (towards, how.is_ok()) {
                (Towards::Up, true) | (Towards::Down, false) => State::UP,
                (Towards::Up, false) | (Towards::Down, true) => State::DOWN,
            };
            self.live.states_mut().note(usize::from(report.service), state);
            self.ended(change, script.service, towards, script.began, how);
        }
    }

    /// The runner died under a script, and its record says that the script runs: nobody will ever say how it ended.
    fn cut_short(&mut self, service: u16) {
        let states = self.live.states_mut();
        if states.reread().is_ok() {
            let settled = states.get(usize::from(service)).settled();
            // What can't be written stays as the runner left it, which says no more.
            let _ = states.set(usize::from(service), settled);
        }
    }

    /// Longruns whose time is over have failed.
    fn expire(&mut self, change: &mut Change<'_>, towards: Towards) {
        if self.deadlines.is_empty() {
            return;
        }
        let now = monotonic();
        while let Some(Reverse((at, service))) = self.deadlines.peek().copied() {
            if at > now {
                return;
            }
            self.deadlines.pop();
            if let Some(Some(watch)) = self.watches.get(usize::from(service))
                && watch.deadline == Some(at)
            {
                let began = watch.began;
                self.longrun_ended(change, service, towards, began, Err(Why::TimedOut));
            }
        }
    }

    /// Reloads these services: a longrun gets its reload signal, a oneshot's `reload` runs. States don't change, and
    /// are not asked. Supervisors of a foreign tree get the byte of the signal itself, which all of them know.
    pub fn reload(&mut self, selected: &Set, terms: Terms) -> Result<Outcome, RunError> {
        let mut outcome = Outcome::default();
        let mut queue: Vec<u16> = Vec::new();
        for service in selected.iter() {
            if self.image.is_oneshot(service) {
                queue.push(service);
                continue;
            }
            let sent = self
                .directory(service)
                .map_err(Why::Control)
                .and_then(|dir| send(&dir, &[reload_byte(self.image.file(service, b"reload-signal"))?]));
            self.reloaded(service, sent, &mut outcome);
        }
        queue.reverse();
        loop {
            while outcome.signal.is_none() && self.running.len() < usize::from(terms.scripts.max(1)) {
                let Some(service) = queue.pop() else { break };
                let timeout = earliest(self.image.timeout(service, Towards::Up), terms.deadline);
                match self.ask(service, Script::Reload, What::Reload, timeout, terms.scripts) {
                    Ok(()) => self.running.push(Running { service, began: monotonic_nanos() }),
                    Err(why) => self.reloaded(service, Err(why), &mut outcome),
                }
            }
            if self.running.is_empty() {
                break;
            }
            if terms.is_over() {
                outcome.timed_out = true;
                break;
            }
            self.wait_for_reloads(&terms, &mut outcome)?;
        }
        outcome.timed_out |= outcome.failures != 0 && terms.is_over();
        self.let_go();
        Ok(outcome)
    }

    fn reloaded(&mut self, service: u16, how: Result<(), Why>, outcome: &mut Outcome) {
        match how {
            Ok(()) => (self.note)(Note::Reloaded(service)),
            Err(why) => {
                outcome.failures += 1;
                (self.note)(Note::NotReloaded(service, why));
            }
        }
    }

    fn wait_for_reloads(&mut self, terms: &Terms, outcome: &mut Outcome) -> Result<(), RunError> {
        let timeout = terms.deadline.map(|at| Millis(at.0.saturating_sub(monotonic().0)));
        for key in self.desk.epoll.wait(timeout).map_err(RunError::wait)? {
            if key == SIGNALS {
                while let Ok(Some(info)) = signal::next_signal(self.desk.signals.as_fd()) {
                    outcome.signal = Some(info.signal);
                    (self.note)(Note::Signal(info.signal));
                }
                continue;
            }
            let Some(scripts) = &mut self.scripts else { continue };
            match scripts.reports() {
                Ok(reports) => {
                    for report in reports {
                        self.running.retain(|r| r.service != report.service);
                        self.reloaded(report.service, verdict(report.end), outcome);
                    }
                }
                Err(_) => {
                    self.scripts = None;
                    for script in core::mem::take(&mut self.running) {
                        self.reloaded(script.service, Err(Why::RunnerGone), outcome);
                    }
                }
            }
        }
        Ok(())
    }
}

fn millis_since(began: u64) -> u64 {
    monotonic_nanos().saturating_sub(began) / 1_000_000
}

/// Lets a write to a pipe that nobody reads fail instead of killing the process.
pub(crate) fn ignore_broken_pipes() {
    let _ = signal::set_disposition(number::PIPE, signal::Disposition::Ignore);
}

/// Which services of a live directory count as up.
pub fn up_set(live: &Live) -> Set {
    let states = live.states();
    let mut up = Set::new(states.len());
    for (index, state) in states.iter().enumerate() {
        if state.is_up() {
            up.insert(index as u16);
        }
    }
    up
}

const fn verdict(end: End) -> Result<(), Why> {
    match end {
        End::Exited(0) => Ok(()),
        End::Exited(code) => Err(Why::Exited(code)),
        End::Killed(signal) => Err(Why::Killed(signal)),
        End::TimedOut => Err(Why::TimedOut),
        End::NotStarted(errno) => Err(Why::NotStarted(Errno::from_raw_os_error(errno as i32))),
    }
}

/// The control byte that sends what this `reload-signal` file names.
fn reload_byte(file: Option<&[u8]>) -> Result<u8, Why> {
    let Some(text) = file else { return Ok(b'h') };
    let text = text.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii();
    let bytes: [(u8, u8); 12] = [
        (number::HUP, b'h'),
        (number::ALRM, b'a'),
        (number::ABRT, b'b'),
        (number::QUIT, b'q'),
        (number::KILL, b'k'),
        (number::TERM, b't'),
        (number::INT, b'i'),
        (number::USR1, b'1'),
        (number::USR2, b'2'),
        (number::STOP, b'p'),
        (number::CONT, b'c'),
        (number::WINCH, b'y'),
    ];
    match signal::from_text(text) {
        None => Ok(b'h'),
        Some(wanted) => {
            bytes.iter().find(|(signal, _)| *signal == wanted).map(|(_, byte)| *byte).ok_or(Why::ReloadSignal)
        }
    }
}

/// A timeout in milliseconds that also ends at the deadline; 0 = none.
fn earliest(timeout: u32, deadline: Option<Millis>) -> u32 {
    let Some(deadline) = deadline else { return timeout };
    let left = deadline.0.saturating_sub(monotonic().0).clamp(1, u64::from(u32::MAX)) as u32;
    if timeout == 0 { left } else { timeout.min(left) }
}

/// As many open descriptors as the hard limit allows.
fn raise_open_files() {
    let mut limit = process::limit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        let _ = process::set_limit(Resource::Nofile, limit);
    }
}
