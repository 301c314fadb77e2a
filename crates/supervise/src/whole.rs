// SPDX-License-Identifier: ISC
//! The tree as a whole: what the scanner asks for, how services come to be supervised no longer, how a new supervisor
//! takes over, how the tree ends.

use crate::keep::{CONTROL, DIR, LOCK, NOTIFY, PIPE};
use crate::machine::{Event, Intent, State, after};
use crate::supervisor::{CATCH_ALL, Supervisor, let_go_of_output, tick};
use crate::table::{Ending, NONE, Phase, Slot, Wish};
use core::sync::atomic::Ordering::SeqCst;
use sys::Result;

/// Between the end of a supervision that is still wanted and its new beginning, in ms; as s6-svscan does it.
const REST: u32 = 1_000;
/// After a failed scan, in ms; as in s6-svscan.
const SCAN_AGAIN: u32 = 5_000;

impl Supervisor {
    /// Does what the scanner asks for.
    pub(crate) fn fulfil(&mut self) {
        if self.header.ending() == Ending::No
            && let Some(number) = self.header.is_asked(Wish::Scan)
        {
            // While a failed scan waits for its next attempt, what depends on it waits too.
            if self.scan_failed && self.next_scan.is_some() {
                return;
            }
            self.scan_failed = !self.scan();
            if self.scan_failed {
                self.next_scan = Some(after(tick(), SCAN_AGAIN));
                return;
            }
            self.header.mark_done(Wish::Scan, number);
        }
        for wish in [Wish::Nuke, Wish::NukeAll] {
            if let Some(number) = self.header.is_asked(wish) {
                self.nuke(wish == Wish::NukeAll);
                self.header.mark_done(wish, number);
            }
        }
    }

    /// Ends the supervision of services whose entries are gone.
    fn nuke(&mut self, loggers_too: bool) {
        for index in self.table.indices() {
            if self.table.slot(index).is_some_and(|slot| !self.is_active(slot)) {
                self.dismiss(index, loggers_too);
            }
        }
    }

    /// Whether the last scan saw its entry.
    pub(crate) fn is_active(&self, slot: &Slot) -> bool {
        slot.seen.load(SeqCst) == self.header.scan.load(SeqCst)
    }

    fn dismiss(&mut self, index: u16, loggers_too: bool) {
        let Some(slot) = self.table.slot(index) else { return };
        let gentle = slot.is_logger() || slot.is_named(CATCH_ALL);
        self.event(index, if gentle && !loggers_too { Event::Hup } else { Event::Term });
    }

    /// Carries the tree's end on, if it is to end; whether it has ended.
    pub(crate) fn end(&mut self) -> bool {
        let ending = self.header.ending();
        if ending == Ending::No && self.keeper.is_some() {
            return false;
        }
        if self.told != ending {
            self.told = ending;
            self.let_go_of_catch_all();
            for index in self.table.indices() {
                self.dismiss(index, ending == Ending::Quit);
            }
        }
        !self.table.indices().any(|i| self.table.slot(i).is_some_and(|slot| slot.phase() == Phase::Live))
    }

    /// The catch-all logger ends when nobody holds the pipe to it.
    fn let_go_of_catch_all(&self) {
        let has_one =
            |i| self.table.slot(i).is_some_and(|s| s.phase() != Phase::Free && s.is_named(CATCH_ALL));
        if self.table.indices().any(has_one) {
            let_go_of_output(self.console.as_ref());
        }
    }

    /// After the death of another supervisor: goes on where it was.
    pub(crate) fn adopt(&mut self) -> Result<()> {
        for index in self.table.indices() {
            let (Some(slot), Some(pid)) = (self.table.slot(index), self.table.pid(index)) else { continue };
            match slot.phase() {
                Phase::Free => {}
                Phase::Setup => self.release(index, slot),
                Phase::Resting => {
                    // What the other one was about to give up, or to begin with.
                    self.drop_supervision(index);
                    let mut core = slot.core();
                    core.deadline = tick();
                    slot.commit(&core);
                    self.due(core.deadline);
                }
                Phase::Live => {
                    let core = slot.core();
                    if core.pid == 0 && !matches!(core.intent, Intent::RunNow | Intent::FinishNow) {
                        pid.store(0, SeqCst);
                    }
                    if [DIR, CONTROL, LOCK].iter().any(|kind| self.fd(index, *kind).is_none()) {
                        self.open_again(index, slot);
                    }
                    self.watch(index, CONTROL)?;
                    self.settle(index, slot);
                    self.resume(index, slot)?;
                }
            }
        }
        Ok(())
    }

    fn resume(&mut self, index: u16, slot: &'static Slot) -> Result<()> {
        if matches!(slot.core().state, State::Up | State::LastUp) {
            self.heed(index, slot);
            self.watch(index, NOTIFY)?;
        } else {
            self.drop_fd(index, NOTIFY);
        }
        self.obey(index, slot);
        self.take_death(index);
        self.due(slot.core().deadline);
        Ok(())
    }

    /// The supervision of a service has ended.
    pub(crate) fn remove(&mut self, index: u16, slot: &'static Slot) {
        if self.keeper.is_some() && self.is_active(slot) && self.header.ending() == Ending::No {
            let mut core = slot.core();
            core.deadline = after(tick(), REST);
            slot.commit(&core);
            slot.set_phase(Phase::Resting);
            self.due(core.deadline);
            return self.drop_supervision(index);
        }
        self.release(index, slot);
    }

    /// Gives up what belongs to the supervision of a service, but not the pipe to its peer.
    pub(crate) fn drop_supervision(&mut self, index: u16) {
        for kind in [CONTROL, NOTIFY, LOCK, DIR] {
            self.drop_fd(index, kind);
        }
    }

    /// Gives a slot back, with all that belongs to it.
    pub(crate) fn release(&mut self, index: u16, slot: &'static Slot) {
        let peer = slot.peer.load(SeqCst);
        if let Some(other) = self.table.slot(peer).filter(|other| other.peer.load(SeqCst) == index) {
            other.peer.store(NONE, SeqCst);
            if slot.is_logger() {
                other.role.store(0, SeqCst);
            }
            // With nobody to feed it, a logger comes to the end of its input; without a logger, nobody is fed.
            self.drop_fd(peer, PIPE);
        }
        self.drop_fd(index, PIPE);
        self.drop_supervision(index);
        slot.set_phase(Phase::Free);
    }
}
