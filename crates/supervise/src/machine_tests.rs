// SPDX-License-Identifier: ISC
//! The state machine, held against the transitions of s6-supervise and against what skeg does on purpose otherwise.

use super::*;

struct Given {
    kill: u32,
    finish: u32,
    backoff: (u32, u32),
}

impl Settings for Given {
    fn timeout_kill(&self) -> u32 {
        self.kill
    }
    fn timeout_finish(&self) -> u32 {
        self.finish
    }
    fn backoff(&self) -> (u32, u32) {
        self.backoff
    }
}

/// A service under test: the machine, a clock, and a supervisor that has always done what was decided.
struct Bench {
    core: Core,
    tick: Tick,
    given: Given,
    events: Vec<u8>,
}

impl Bench {
    fn new(wanted_up: bool) -> Self {
        let core = Core::new(Now { tick: 10_000, stamp: Tai64n::default() }, wanted_up);
        let given = Given { kill: 0, finish: 5_000, backoff: (0, 0) };
        let mut bench = Self { core, tick: 10_000, given, events: Vec::new() };
        bench.settle();
        bench.core.paused = false;
        bench.events.clear();
        bench
    }

    fn settle(&mut self) {
        (self.core.write_status, self.core.write_tally) = (false, false);
        self.events.extend(self.core.events.iter().filter(|e| **e != 0));
        self.core.events = [0; 4];
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        let mut out = Actions::new();
        let mut stamp = [0; 12];
        stamp[8..].copy_from_slice(&self.tick.to_be_bytes());
        self.core.step(event, Now { tick: self.tick, stamp: Tai64n(stamp) }, &self.given, &mut out);
        self.settle();
        out.to_vec()
    }

    fn up(pid: u32) -> Self {
        let mut bench = Self::new(true);
        bench.step(Event::Timeout);
        bench.step(Event::Started(pid));
        assert_eq!(bench.take(), b"u");
        bench
    }

    fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.events)
    }
}

#[test]
fn a_service_that_is_wanted_up_is_started_at_once_and_one_with_a_down_file_is_not() {
    let mut b = Bench::new(true);
    b.step(Event::Timeout);
    assert_eq!(b.core.intent, Intent::Run);
    let mut b = Bench::new(false);
    b.step(Event::Timeout);
    assert_eq!((b.core.intent, b.core.deadline), (Intent::None, 0));
}

#[test]
fn a_life_with_readiness_and_a_finish_script() {
    let mut b = Bench::up(7);
    assert_eq!((b.core.state, b.core.pid, b.core.ready), (State::Up, 7, false));
    b.step(Event::Ready);
    assert_eq!((b.take(), b.core.ready), (b"U".to_vec(), true));
    b.tick += 5_000;
    b.step(Event::Died(3 << 8));
    assert_eq!((b.core.state, b.core.intent, b.core.run_pid), (State::Finish, Intent::Finish, 7));
    b.step(Event::Started(8));
    assert_eq!((b.take(), b.core.deadline), (b"d".to_vec(), b.tick + 5_000));
    assert_eq!(b.core.status()[34] & 0b1010, 0b0010, "finishing and not ready");
    b.step(Event::Died(0));
    assert_eq!((b.take(), b.core.state, b.core.ready), (b"D".to_vec(), State::Down, true));
    assert_eq!(b.core.deadline, b.tick, "it lived for a second: it starts again at once");
    assert_eq!(b.core.wait, 3 << 8, "the end of finish is not the end of run");
}

#[test]
fn without_a_finish_script_both_events_come_together() {
    let mut b = Bench::up(7);
    b.step(Event::Died(15));
    b.step(Event::NotStarted(0));
    assert_eq!((b.take(), b.core.state), (b"dD".to_vec(), State::Down));
}

#[test]
fn a_service_that_dies_young_waits_until_a_second_after_its_start() {
    let mut b = Bench::up(7);
    let start = b.core.started;
    b.tick += 300;
    b.step(Event::Died(0));
    b.step(Event::NotStarted(0));
    assert_eq!(b.core.deadline, start + RESPAWN);
}

#[test]
fn a_long_life_is_no_young_one_when_the_clock_has_turned() {
    for days in [1u64, 24, 25, 30, 49, 50, 99] {
        let mut b = Bench::up(7);
        b.tick = b.tick.wrapping_add((days * 86_400_000) as u32);
        b.step(Event::Died(0));
        b.step(Event::NotStarted(0));
        assert_eq!(b.core.deadline, b.tick, "after {days} days it starts again at once");
    }
}

/// One life of so many ms that ends by itself; the pause until the next start.
fn live_for(b: &mut Bench, ms: u32) -> u32 {
    b.step(Event::Timeout);
    b.step(Event::Started(7));
    b.tick += ms;
    b.step(Event::Died(1 << 8));
    // As a supervisor that takes over finds it.
    b.core = Core::unpack(&b.core.pack());
    b.step(Event::NotStarted(0));
    let pause = b.core.deadline - b.tick;
    b.tick = b.core.deadline;
    pause
}

#[test]
fn a_crash_loop_pauses_longer_each_time_up_to_the_most() {
    let mut b = Bench::new(true);
    b.given.backoff = (2_000, 9_000);
    let pauses: Vec<u32> = (0..5).map(|_| live_for(&mut b, 1_500)).collect();
    assert_eq!(pauses, [2_000, 4_000, 8_000, 9_000, 9_000]);
    assert_eq!(live_for(&mut b, 8_999), 9_000);
    assert_eq!(live_for(&mut b, 9_000), 2_000, "a life as long as the longest pause: it begins anew");
    assert_eq!(live_for(&mut b, 0), 4_000);
    b.step(Event::Command(b'u'));
    assert_eq!((b.core.intent, b.core.deadline), (Intent::Run, 0), "an order is no crash: at once");
    assert_eq!(live_for(&mut b, 0), 2_000, "and it begins anew");
    let mut b = Bench::new(true);
    b.given.backoff = (10, u32::MAX);
    assert_eq!(live_for(&mut b, 0), RESPAWN, "a short pause does not undo the second between two starts");
}

#[test]
fn exit_code_125_of_finish_is_a_permanent_failure() {
    let mut b = Bench::up(7);
    b.step(Event::Died(0));
    b.step(Event::Started(8));
    b.take();
    b.step(Event::Died(125 << 8));
    assert_eq!((b.take(), b.core.wanted_up), (b"OD".to_vec(), false));
    b.step(Event::Timeout);
    assert_eq!((b.core.intent, b.core.deadline), (Intent::None, 0));
    assert_eq!(b.step(Event::Command(b'u')), []);
    assert_eq!(b.core.intent, Intent::Run);
}

#[test]
fn down_sends_its_signal_then_cont_and_kills_when_the_time_is_over() {
    let mut b = Bench::up(7);
    b.given.kill = 2_000;
    assert_eq!(b.step(Event::Command(b'd')), [Action::SignalDown, Action::Signal(number::CONT)]);
    assert_eq!((b.core.wanted_up, b.core.deadline), (false, b.tick + 2_000));
    b.tick += 2_000;
    assert_eq!(b.step(Event::Timeout), [Action::KillLate]);
    assert_eq!(b.core.deadline, b.tick + KILL_AGAIN);
    b.step(Event::Died(9));
    b.step(Event::NotStarted(0));
    b.tick += 10_000;
    b.step(Event::Timeout);
    assert_eq!((b.core.state, b.core.intent), (State::Down, Intent::None));
}

#[test]
fn a_finish_script_that_takes_too_long_is_killed_again_and_again() {
    let mut b = Bench::up(7);
    b.step(Event::Died(0));
    b.step(Event::Started(8));
    b.tick += 5_000;
    let kill = [Action::Signal(number::CONT), Action::Signal(number::KILL)];
    assert_eq!(b.step(Event::Timeout), kill);
    b.tick += KILL_AGAIN;
    assert_eq!(b.step(Event::Timeout), kill);
    b.given.finish = 0;
    let mut b = Bench { given: Given { kill: 0, finish: 0, backoff: (0, 0) }, ..Bench::up(7) };
    b.step(Event::Died(0));
    b.step(Event::Started(8));
    assert_eq!(b.core.deadline, 0, "0 is no limit");
}

#[test]
fn once_starts_and_does_not_start_again() {
    let mut b = Bench::new(false);
    b.step(Event::Command(b'o'));
    assert_eq!((b.core.intent, b.core.wanted_up), (Intent::Run, false));
    b.step(Event::Started(7));
    b.step(Event::Died(0));
    b.step(Event::NotStarted(0));
    b.tick += 10_000;
    b.step(Event::Timeout);
    assert_eq!(b.core.intent, Intent::None);
    b.step(Event::Command(b'O'));
    assert_eq!(b.core.intent, Intent::None, "O does not even start it");
}

#[test]
fn down_and_up_files_come_and_go_with_the_capitals() {
    let mut b = Bench::up(7);
    assert_eq!(b.step(Event::Command(b'D'))[0], Action::AddDown);
    assert_eq!(b.step(Event::Command(b'U')), [Action::RemoveDown]);
    assert!(b.core.wanted_up);
    assert_eq!(b.step(Event::Command(b'Q')), [Action::AddDown]);
    assert_eq!((b.core.wanted_up, b.core.state), (false, State::Up));
}

#[test]
fn signals_reach_a_service_that_is_up_and_no_other() {
    for (byte, action) in [
        (b'a', Action::Signal(number::ALRM)),
        (b'k', Action::Signal(number::KILL)),
        (b'y', Action::Signal(number::WINCH)),
        (b'r', Action::SignalDown),
        (b'l', Action::SignalReload),
        (b'K', Action::SignalGroup(number::KILL)),
    ] {
        assert_eq!(Bench::up(7).step(Event::Command(byte)), [action]);
        assert_eq!(Bench::new(false).step(Event::Command(byte)), []);
    }
    let mut b = Bench::up(7);
    b.step(Event::Command(b'p'));
    assert!(b.core.paused);
    b.step(Event::Command(b'c'));
    assert!(!b.core.paused);
    assert_eq!(b.step(Event::Command(b'?')), []);
}

#[test]
fn exit_leaves_when_the_service_is_down() {
    let mut b = Bench::new(false);
    b.step(Event::Command(b'x'));
    assert_eq!((b.take(), b.core.state), (b"x".to_vec(), State::Gone));
    let mut b = Bench::up(7);
    b.step(Event::Command(b'x'));
    assert_eq!((b.core.state, b.core.closed, b.core.wanted_up), (State::LastUp, true, true));
    b.step(Event::Died(0));
    b.step(Event::Started(8));
    assert_eq!(b.take(), b"d");
    b.step(Event::Died(0));
    assert_eq!((b.take(), b.core.state), (b"Dx".to_vec(), State::Gone));
}

#[test]
fn term_stops_a_service_and_leaves_hup_waits_for_its_end_quit_leaves_it_alone() {
    let mut b = Bench::up(7);
    assert_eq!(b.step(Event::Term), [Action::SignalDown, Action::Signal(number::CONT)]);
    assert_eq!((b.core.state, b.core.closed), (State::LastUp, false));
    let mut b = Bench::up(7);
    assert_eq!(b.step(Event::Hup), []);
    assert_eq!(b.core.state, State::LastUp);
    let mut b = Bench::up(7);
    assert_eq!(b.step(Event::Quit), []);
    assert_eq!((b.core.state, b.core.pid), (State::Gone, 7));
    assert_eq!(Bench::up(7).step(Event::Int), [Action::SignalGroup(number::INT)]);
}

#[test]
fn a_start_that_fails_is_tried_again_later_or_by_a_command() {
    let mut b = Bench::new(true);
    b.step(Event::Timeout);
    b.step(Event::NotStarted(FAILED_SPAWN));
    assert_eq!((b.core.state, b.core.deadline, b.take().len()), (State::Down, b.tick + FAILED_SPAWN, 0));
    b.step(Event::Command(b'u'));
    assert_eq!(b.core.intent, Intent::Run);
}

#[test]
fn readiness_counts_once_and_only_for_what_is_up() {
    let mut b = Bench::up(7);
    b.step(Event::Ready);
    b.step(Event::Ready);
    assert_eq!(b.take(), b"U");
    let mut b = Bench::new(false);
    b.step(Event::Ready);
    assert_eq!(b.take(), b"");
}

#[test]
fn every_state_survives_its_packing() {
    let mut b = Bench::up(0x0102_0304);
    b.core.stamp = Tai64n([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    b.core.ready_stamp = Tai64n([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    (b.core.events, b.core.wait, b.core.run_pid) = (*b"dDx\0", 0xabcd, u32::MAX);
    for state in [State::Down, State::Up, State::Finish, State::LastUp, State::LastFinish, State::Gone] {
        for intent in [Intent::None, Intent::Run, Intent::RunNow, Intent::Finish, Intent::FinishNow] {
            for bit in 0..7 {
                let c = &mut b.core;
                (c.state, c.intent) = (state, intent);
                (c.paused, c.wanted_up, c.ready, c.dying) = (bit == 0, bit == 1, bit == 2, bit == 3);
                (c.closed, c.write_status, c.write_tally) = (bit == 4, bit == 5, bit == 6);
                assert_eq!(Core::unpack(&c.pack()), *c);
            }
        }
    }
}

#[test]
fn the_status_is_that_of_s6() {
    let mut b = Bench::up(0x1234);
    b.core.wait = 0x0f00;
    let bytes = b.core.status();
    assert_eq!(bytes[24..34], [0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x0f, 0]);
    assert_eq!(bytes[34], 0b0100);
}

#[test]
fn the_clock_of_deadlines_wraps() {
    assert_eq!(after(u32::MAX, 1), 1, "0 is no deadline");
    assert!(is_past(u32::MAX, 5));
    assert!(!is_past(5, u32::MAX));
    assert!(!is_past(after(7, u32::MAX), 7), "a huge timeout is cut to 24 days, not taken for the past");
}
