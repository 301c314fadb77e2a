// SPDX-License-Identifier: ISC
//! The rules of `skeg plan` and `skeg apply`: restart what its definition, or what it needs, makes restart; nothing else.
//!
//! - A changed definition is noticed by its hash. A change of what the process was made from restarts the service; a
//!   change of anything else is put in place for the next start.
//! - A service restarts when something that it needs, before and after, restarts.
//! - A new dependency is started below its dependents without restarting them, unless `restart-with` names it.
//! - What has gone stops; what needed it and does no longer goes on.

use crate::compare::needs_restart;
use crate::conversion::{Conversion, RuleError};
use crate::mapping::{Becomes, Mapping};
use crate::plan::{Plan, Reason, neighbours};
use crate::reference::own_reasons;
use alloc::vec::Vec;
use db::{Db, Direction};
use engine::Set;

/// Decides by definitions.
pub fn smart<'a>(
    old: Db<'a>,
    new: Db<'a>,
    old_up: Set,
    owed: Set,
    rules: &Conversion<'a>,
) -> Result<Plan<'a>, RuleError<'a>> {
    let mapping = Mapping::new(&old, &new, rules)?;
    let mut plan = Plan::new(old, new, mapping, old_up, owed);
    for (service, reason) in own_reasons(&plan, rules) {
        plan.stop_because(service, reason);
    }
    for service in plan.old_up.clone().iter() {
        if let Some(reason) = changed(&plan, service) {
            plan.stop_because(service, reason);
        }
    }
    // Each round adds to the services that start, of which there is an end.
    for _ in 0..=plan.old.len() + plan.new.len() {
        spread(&mut plan);
        settle(&mut plan);
        if !restart_with(&mut plan) {
            break;
        }
    }
    plan.find_in_place();
    Ok(plan)
}

/// Whether the definition of an old service that is up changed so that it has to restart.
fn changed<'a>(plan: &Plan<'a>, service: u16) -> Option<Reason<'a>> {
    let Becomes::One(_, new) = plan.mapping.becomes(service) else { return None };
    let old_id = plan.old.service(usize::from(service))?;
    let new_id = plan.new.service(usize::from(new))?;
    needs_restart(&plan.old, old_id, &plan.new, new_id)
}

/// A service that needs another in the new image restarts with it.
fn spread(plan: &mut Plan<'_>) {
    let new = plan.new;
    let mut work: Vec<u16> = plan.stop.iter().collect();
    while let Some(stopping) = work.pop() {
        for target in plan.mapping.targets(stopping).to_vec() {
            neighbours(&new, target, Direction::Down, &mut |dependent| {
                let Some(old) = plan.mapping.same(dependent) else { return };
                if plan.old_up.contains(old) && !plan.stop.contains(old) {
                    plan.stop_because(old, Reason::NeedsOld(stopping));
                    work.push(old);
                }
            });
        }
    }
}

/// Works out what is kept and what starts: what was up and comes back, and what those that are up need newly.
fn settle(plan: &mut Plan<'_>) {
    let new = plan.new;
    plan.divide();
    plan.say_why_back();
    let mut work: Vec<u16> = plan.kept.iter().chain(plan.start.iter()).collect();
    while let Some(service) = work.pop() {
        let mut needed = Vec::new();
        neighbours(&new, service, Direction::Up, &mut |other| needed.push(other));
        if let Some(id) = new.service(usize::from(service)) {
            needed.extend(new.wants(id).map(|other| other.index() as u16));
        }
        for other in needed {
            if !plan.kept.contains(other) && plan.start.insert(other) {
                plan.because(other, Reason::NeededBy(service));
                work.push(other);
            }
        }
    }
}

/// A kept service whose `restart-with` names one that starts, stops. Whether there was any.
fn restart_with(plan: &mut Plan<'_>) -> bool {
    let mut found = Vec::new();
    for service in plan.kept.iter() {
        let Some(id) = plan.new.service(usize::from(service)) else { continue };
        let with = plan
            .new
            .restart_with(id)
            .map(|other| other.index() as u16)
            .find(|other| plan.start.contains(*other));
        if let (Some(with), Some(old)) = (with, plan.mapping.from(service)) {
            found.push((old, with));
        }
    }
    for (old, with) in &found {
        plan.stop_because(*old, Reason::RestartWith(*with));
    }
    !found.is_empty()
}
