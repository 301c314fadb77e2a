// SPDX-License-Identifier: ISC
//! The rules of s6-rc's own update: what it restarts, and nothing else.
//!
//! A service that is up restarts when it has gone, changed its kind or become a bundle, when the conversion file says
//! so, when it needs a service that stops, and when it needs a service that was not up. Definitions are not looked at.

use crate::conversion::{Conversion, RuleError};
use crate::mapping::{Becomes, Mapping};
use crate::plan::{Plan, Reason, is_longrun, neighbours};
use db::{Db, Direction};
use engine::Set;

/// Decides as `s6-rc-update` does.
pub fn reference<'a>(
    old: Db<'a>,
    new: Db<'a>,
    old_up: Set,
    owed: Set,
    rules: &Conversion<'a>,
) -> Result<Plan<'a>, RuleError<'a>> {
    let mapping = Mapping::new(&old, &new, rules)?;
    let mut plan = Plan::new(old, new, mapping, old_up, owed);
    for service in own_reasons(&plan, rules) {
        plan.stop_because(service.0, service.1);
    }
    // Each round stops at least one more service, so there are at most as many rounds as services.
    for _ in 0..=plan.old.len() {
        close_stops(&mut plan);
        plan.divide();
        if !stop_for_new_needs(&mut plan) {
            break;
        }
    }
    plan.say_why_back();
    plan.find_in_place();
    Ok(plan)
}

/// Services that are up and stop for a reason of their own.
pub(crate) fn own_reasons<'a>(plan: &Plan<'a>, rules: &Conversion<'a>) -> alloc::vec::Vec<(u16, Reason<'a>)> {
    let reason = |service: u16| match plan.mapping.becomes(service) {
        Becomes::Nothing => Reason::Gone,
        Becomes::Several(..) => Reason::BecameBundle,
        Becomes::One(_, new) if is_longrun(&plan.old, service) != is_longrun(&plan.new, new) => {
            Reason::OtherKind
        }
        Becomes::One(..) if rules.rule(usize::from(service)).restart => Reason::Asked,
        Becomes::One(..) => Reason::None,
    };
    let mut found = alloc::vec::Vec::new();
    for service in plan.old_up.iter() {
        match reason(service) {
            Reason::None => {}
            reason => found.push((service, reason)),
        }
    }
    found
}

/// What needs a service that stops, stops too.
pub(crate) fn close_stops(plan: &mut Plan<'_>) {
    let mut work: alloc::vec::Vec<u16> = plan.stop.iter().collect();
    // Those that are down carry it on without being stopped.
    let mut seen = plan.stop.clone();
    while let Some(service) = work.pop() {
        let old = plan.old;
        neighbours(&old, service, Direction::Down, &mut |other| {
            if seen.insert(other) {
                work.push(other);
                if plan.old_up.contains(other) {
                    plan.stop_because(other, Reason::NeedsOld(service));
                }
            }
        });
    }
}

/// What is kept but needs something that is not: its old service stops, too. Whether there was any.
fn stop_for_new_needs(plan: &mut Plan<'_>) -> bool {
    let new = plan.new;
    let mut broken = Set::new(new.len());
    let mut work = alloc::vec::Vec::new();
    // All that kept services need, kept or not.
    let mut needed = plan.kept.clone();
    let mut stack: alloc::vec::Vec<u16> = needed.iter().collect();
    while let Some(service) = stack.pop() {
        neighbours(&new, service, Direction::Up, &mut |other| {
            if needed.insert(other) {
                stack.push(other);
            }
        });
    }
    for service in needed.iter().filter(|s| !plan.kept.contains(*s)) {
        broken.insert(service);
        work.push(service);
    }
    let mut any = false;
    while let Some(service) = work.pop() {
        neighbours(&new, service, Direction::Down, &mut |other| {
            if broken.insert(other) {
                work.push(other);
                if plan.kept.contains(other)
                    && let Some(old) = plan.mapping.from(other)
                {
                    any = true;
                    plan.stop_because(old, Reason::NeedsNew(service));
                }
            }
        });
    }
    any
}
