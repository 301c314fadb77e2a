// SPDX-License-Identifier: ISC
//! Starting `run` and `finish`: what was intended becomes a process whose id is in the table before it runs.

use crate::What;
use crate::files::{self, Small};
use crate::keep::{DIR, NOTIFY, PIPE};
use crate::machine::{Core, Event, FAILED_SPAWN, Intent, RESPAWN};
use crate::supervisor::{CATCH_ALL, Supervisor};
use crate::table::Slot;
use core::ffi::CStr;
use core::sync::atomic::Ordering::SeqCst;
use sys::fs::{self, OFlags};
use sys::spawn::{Spawn, Word, Words};
use sys::{AsFd, BorrowedFd, CBuf, Errno, OwnedFd, Result};

/// The file that holds a service's lock.
const SERVICE_LOCK: &CStr = c"supervise/service-lock";

/// What a failed start of `run` waits before the next attempt, in ms; with what is to be said.
struct Refusal {
    what: What,
    errno: Option<Errno>,
    wait: u32,
}

impl Refusal {
    const fn new(what: What, errno: Errno) -> Self {
        Self { what, errno: Some(errno), wait: FAILED_SPAWN }
    }
}

/// Descriptors of a new process.
type Given<'a> = heapless::Vec<(BorrowedFd<'a>, i32), 4>;

impl Supervisor {
    /// Carries an intent out, and tells the machine how it went.
    pub(crate) fn carry_out(&mut self, index: u16, slot: &'static Slot, mut core: Core) {
        let Some(pid) = self.table.pid(index) else { return };
        if let Intent::RunNow | Intent::FinishNow = core.intent {
            // Another supervisor was killed here: it has started the process, or it has not.
            let id = pid.load(SeqCst);
            if id != 0 {
                return self.event(index, Event::Started(id as u32));
            }
            core.intent = if core.intent == Intent::RunNow { Intent::Run } else { Intent::Finish };
        }
        // From here on a number in the table is that of the new process, and no death is recorded.
        pid.store(0, SeqCst);
        slot.dead.store(0, SeqCst);
        let is_run = core.intent == Intent::Run;
        if is_run {
            self.drop_fd(index, NOTIFY);
            slot.notify.iter().for_each(|byte| byte.store(0, SeqCst));
        }
        core.intent = if is_run { Intent::RunNow } else { Intent::FinishNow };
        slot.commit(&core);
        let outcome =
            if is_run { self.spawn_run(index, slot) } else { self.spawn_finish(index, slot, &core) };
        match outcome {
            Ok(Some(id)) => {
                self.event(index, Event::Started(id));
            }
            Ok(None) => self.event(index, Event::NotStarted(0)),
            Err(refusal) => {
                self.note(index, refusal.what, refusal.errno);
                self.event(index, Event::NotStarted(refusal.wait));
            }
        }
    }

    fn spawn_run(&mut self, index: u16, slot: &'static Slot) -> core::result::Result<Option<u32>, Refusal> {
        self.switch_version(index)?;
        let (notify, lock) = self.settings_of_run(index)?;
        let mut ready: Option<OwnedFd> = None;
        if notify.is_some() {
            let (reader, writer) = fs::pipe(fs::PipeFlags::empty())
                .and_then(|ends| fs::set_nonblocking(&ends.0, true).map(|()| ends))
                .map_err(|e| Refusal::new(What::SpawnRun, e))?;
            self.hold(index, NOTIFY, [reader]);
            self.watch(index, NOTIFY).map_err(|e| Refusal::new(What::Watch, e))?;
            ready = Some(writer);
        }
        let locked = match lock {
            Some(_) => Some(self.open_lock(index).map_err(|e| Refusal::new(What::SpawnRun, e))?),
            None => None,
        };
        let mut given = self.streams(index, slot);
        for (fd, to) in [(&ready, notify), (&locked, lock)] {
            if let (Some(fd), Some(to)) = (fd, to) {
                let _ = given.push((fd.as_fd(), to));
            }
        }
        let (mut name, mut buf) = (CBuf::<257>::new(), [0; 256]);
        let _ = name.push(slot.name(&mut buf));
        let words = [Word::new(c"./run"), Word::new(&name), Word::END];
        let new_pids = self.fd(index, DIR).is_some_and(|dir| files::has(dir, c"flag-newpidns"));
        let started = self.start(index, c"./run", &words, &given, new_pids, lock);
        let id = started.map_err(|e| match e {
            Errno::BUSY if lock.is_some() => {
                Refusal { what: What::ServiceLocked, errno: None, wait: RESPAWN }
            }
            e => Refusal::new(What::SpawnRun, e),
        })?;
        Ok(Some(id))
    }

    /// A version that waits for the next start takes the place of the current one.
    fn switch_version(&self, index: u16) -> core::result::Result<(), Refusal> {
        let Some(dir) = self.fd(index, DIR) else { return Ok(()) };
        match fs::rename(dir, c"next", dir, c"current") {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(Refusal::new(What::SwitchVersion, e)),
        }
    }

    /// The numbers in `notification-fd` and `lock-fd`.
    fn settings_of_run(&self, index: u16) -> core::result::Result<(Option<i32>, Option<i32>), Refusal> {
        let Some(dir) = self.fd(index, DIR) else { return Ok((None, None)) };
        let complain = |what| self.note(index, what, None);
        let small = Small { dir, complain: &complain };
        let most = self.open_files.and_then(|limit| limit.current).unwrap_or(1 << 20);
        let number = |file, known_as| {
            let number: u32 = small.number(file, known_as)?;
            if number == 0 || u64::from(number) >= most {
                complain(What::InvalidFile(known_as));
                return None;
            }
            i32::try_from(number).ok()
        };
        let notify = number(c"notification-fd", "notification-fd");
        let lock = number(c"lock-fd", "lock-fd");
        if notify.is_some() && notify == lock {
            return Err(Refusal { what: What::InvalidFile("lock-fd"), errno: None, wait: FAILED_SPAWN });
        }
        Ok((notify, lock))
    }

    fn open_lock(&self, index: u16) -> Result<OwnedFd> {
        let dir = self.fd(index, DIR).ok_or(Errno::BADF)?;
        fs::open(dir, SERVICE_LOCK, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK, 0o644)
    }

    fn spawn_finish(
        &self,
        index: u16,
        slot: &'static Slot,
        core: &Core,
    ) -> core::result::Result<Option<u32>, Refusal> {
        if !self.fd(index, DIR).is_some_and(|dir| files::has(dir, c"finish")) {
            return Ok(None);
        }
        let (mut name, mut buf) = (CBuf::<257>::new(), [0; 256]);
        let _ = name.push(slot.name(&mut buf));
        let signal = core.wait & 0x7f;
        let (code, number, group) = (
            decimal(if signal == 0 { u32::from(core.wait >> 8) } else { 256 }),
            decimal(u32::from(signal)),
            decimal(core.run_pid),
        );
        let words = [
            Word::new(c"finish"),
            Word::new(&code),
            Word::new(&number),
            Word::new(&name),
            Word::new(&group),
            Word::END,
        ];
        let null = core.closed.then(|| fs::open(sys::CWD, c"/dev/null", OFlags::RDWR, 0));
        let mut given = self.streams(index, slot);
        if let Some(Ok(null)) = &null {
            given.clear();
            let _ = given.push((null.as_fd(), 0));
            let _ = given.push((null.as_fd(), 1));
        }
        match self.start(index, c"./finish", &words, &given, false, None) {
            Ok(id) => Ok(Some(id)),
            Err(e) => Err(Refusal::new(What::SpawnFinish, e)),
        }
    }

    /// The standard streams that are not the supervisor's own.
    fn streams(&self, index: u16, slot: &Slot) -> Given<'_> {
        let mut given = Given::new();
        if let Some(pipe) = self.fd(index, PIPE) {
            let _ = given.push((pipe, i32::from(!slot.is_logger())));
        }
        if let Some(console) = self.console.as_ref().filter(|_| slot.is_named(CATCH_ALL)) {
            let _ = given.push((console.as_fd(), 2));
        }
        given
    }

    fn start(
        &self,
        index: u16,
        path: &CStr,
        words: &[Word<'_>],
        fds: &[(BorrowedFd<'_>, i32)],
        new_pids: bool,
        lock: Option<i32>,
    ) -> Result<u32> {
        let what = Spawn {
            path,
            arguments: Words::new(words)?,
            environment: Words::environment(),
            directory: Some(self.fd(index, DIR).ok_or(Errno::BADF)?),
            fds,
            session: true,
            mask: self.mask,
            open_files: self.open_files,
            new_pids,
            record_pid: self.table.pid(index),
        };
        match lock {
            Some(number) => sys::spawn::spawn_locked(&what, number),
            None => sys::spawn::spawn(&what),
        }
    }
}

fn decimal(n: u32) -> CBuf<12> {
    let mut digits = CBuf::new();
    let _ = digits.push_number(u64::from(n));
    digits
}
