// SPDX-License-Identifier: ISC
//! The engine on small random graphs, and on the cases that a reader would ask about.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug, Default)]
struct Small {
    longruns: usize,
    /// `needs[i]`: what i depends on, all below i in `order`.
    needs: Vec<Vec<u16>>,
    after: Vec<Vec<u16>>,
    wants: Vec<Vec<u16>>,
    essential: Vec<bool>,
}

fn walk(edges: &[Vec<u16>], service: u16, towards: Towards, each: &mut dyn FnMut(u16)) {
    match towards {
        Towards::Up => edges[usize::from(service)].iter().for_each(|o| each(*o)),
        Towards::Down => {
            (0..edges.len() as u16).filter(|o| edges[usize::from(*o)].contains(&service)).for_each(each)
        }
    }
}

impl Graph for Small {
    fn len(&self) -> usize {
        self.needs.len()
    }
    fn longruns(&self) -> usize {
        self.longruns
    }
    fn is_essential(&self, service: u16) -> bool {
        self.essential[usize::from(service)]
    }
    fn hard(&self, service: u16, towards: Towards, each: &mut dyn FnMut(u16)) {
        walk(&self.needs, service, towards, each);
    }
    fn soft(&self, service: u16, towards: Towards, each: &mut dyn FnMut(u16)) {
        walk(&self.after, service, towards, each);
    }
    fn wants(&self, service: u16, each: &mut dyn FnMut(u16)) {
        walk(&self.wants, service, Towards::Up, each);
    }
}

fn small(needs: &[&[u16]]) -> Small {
    let n = needs.len();
    Small {
        longruns: 0,
        needs: needs.iter().map(|l| l.to_vec()).collect(),
        after: vec![vec![]; n],
        wants: vec![vec![]; n],
        essential: vec![false; n],
    }
}

fn set(n: usize, of: &[u16]) -> Set {
    let mut set = Set::new(n);
    for s in of {
        set.insert(*s);
    }
    set
}

const UP: Rules = Rules { towards: Towards::Up, stop_essentials: false, scripts: 2 };
const DOWN: Rules = Rules { towards: Towards::Down, ..UP };

/// Runs a change to its end; these fail. The order in which the services were handed out.
fn run(change: &mut Change<'_>, failing: &[u16]) -> Vec<u16> {
    let (mut order, mut running) = (vec![], vec![]);
    loop {
        while let Some(step) = change.next() {
            if let Step::Script(s) | Step::Longrun(s) = step {
                order.push(s);
                running.push(s);
            }
        }
        assert_eq!(running.len(), change.running());
        let Some(s) = running.pop() else { return order };
        change.ended(s, if failing.contains(&s) { Ended::Failed } else { Ended::Done });
    }
}

#[test]
fn a_chain_goes_up_in_order_and_down_in_reverse() {
    let g = small(&[&[], &[0], &[1]]);
    assert_eq!(run(&mut Change::new(&g, &Set::new(3), set(3, &[2]), UP), &[]), [0, 1, 2]);
    assert_eq!(run(&mut Change::new(&g, &set(3, &[0, 1, 2]), set(3, &[0]), DOWN), &[]), [2, 1, 0]);
}

#[test]
fn a_failure_stops_what_hangs_on_it_and_nothing_else() {
    let g = small(&[&[], &[0], &[], &[2]]);
    let mut change = Change::new(&g, &Set::new(4), set(4, &[1, 3]), UP);
    let mut order = run(&mut change, &[0]);
    order.sort();
    assert_eq!(order, [0, 2, 3]);
    assert_eq!((change.failures(), change.missed().collect::<Vec<_>>()), (1, vec![0, 1]));
}

#[test]
fn an_essential_service_stays_up_with_what_it_needs_unless_asked() {
    let mut g = small(&[&[], &[0]]);
    g.essential[1] = true;
    let mut change = Change::new(&g, &set(2, &[0, 1]), set(2, &[0]), DOWN);
    assert_eq!(run(&mut change, &[]), []);
    assert_eq!(change.failures(), 0);
    let rules = Rules { stop_essentials: true, ..DOWN };
    assert_eq!(run(&mut Change::new(&g, &set(2, &[0, 1]), set(2, &[0]), rules), &[]), [1, 0]);
}

#[test]
fn never_more_scripts_at_once_than_allowed() {
    let g = small(&[&[], &[], &[], &[]]);
    let mut change = Change::new(&g, &Set::new(4), set(4, &[0, 1, 2, 3]), UP);
    assert!(change.next().is_some() && change.next().is_some());
    assert_eq!(change.next(), None);
    change.ended(0, Ended::Done);
    assert_eq!(change.next(), Some(Step::Script(2)));
}

#[test]
fn what_is_only_wanted_or_ordered_may_fail() {
    let mut g = small(&[&[], &[], &[]]);
    g.wants[1] = vec![0];
    g.after[1] = vec![0, 2];
    let mut change = Change::new(&g, &Set::new(3), set(3, &[1]), UP);
    assert_eq!(run(&mut change, &[0]), [0, 1], "2 is not pulled in by the order alone");
    assert_eq!(change.missed().collect::<Vec<_>>(), [0]);
}

#[test]
fn after_a_stop_only_what_runs_is_waited_for() {
    let g = small(&[&[], &[0]]);
    let mut change = Change::new(&g, &Set::new(2), set(2, &[1]), UP);
    assert_eq!(change.next(), Some(Step::Script(0)));
    change.stop();
    change.ended(0, Ended::Done);
    assert_eq!((change.next(), change.running()), (None, 0));
    assert!(change.up().contains(0));
}

fn graphs() -> impl Strategy<Value = (Small, Vec<bool>, Vec<bool>, Vec<bool>)> {
    (2usize..24).prop_flat_map(|n| {
        let edges = || prop::collection::vec(prop::collection::vec(0u16..24, 0..4), n);
        let bits = || prop::collection::vec(any::<bool>(), n);
        (edges(), edges(), bits(), bits(), bits(), bits(), 0..n).prop_map(
            |(needs, after, essential, up, selected, failing, longruns)| {
                // Edges go to lower numbers only, so there is no cycle.
                let lower = |edges: Vec<Vec<u16>>| -> Vec<Vec<u16>> {
                    edges
                        .into_iter()
                        .enumerate()
                        .map(|(i, mut l)| {
                            l.retain(|o| usize::from(*o) < i);
                            l.sort();
                            l.dedup();
                            l
                        })
                        .collect()
                };
                let needs = lower(needs);
                let n = needs.len();
                (
                    Small { longruns, after: lower(after), wants: vec![vec![]; n], essential, needs },
                    up,
                    selected,
                    failing,
                )
            },
        )
    })
}

proptest! {
    #[test]
    fn every_change_ends_and_keeps_the_order((g, up, selected, failing) in graphs(), down in any::<bool>()) {
        let n = g.len();
        let of = |bits: &[bool]| set(n, &(0..n as u16).filter(|i| bits[usize::from(*i)]).collect::<Vec<_>>());
        // What is up has its dependencies up.
        let mut up = of(&up);
        close(&g, &mut up, Towards::Up);
        let rules = if down { DOWN } else { UP };
        let failing: Vec<u16> = of(&failing).iter().collect();
        let mut change = Change::new(&g, &up, of(&selected), rules);
        let order = run(&mut change, &failing);
        let after = change.up();
        let at = |s: u16| order.iter().position(|o| *o == s);
        for s in 0..n as u16 {
            prop_assert!(order.iter().filter(|o| **o == s).count() <= 1);
            // Nothing is up without what it needs.
            if after.contains(s) {
                g.hard(s, Towards::Up, &mut |o| assert!(after.contains(o)));
            }
            // A service comes after all that had to come before it.
            let mut before = vec![];
            g.hard(s, rules.towards, &mut |o| before.push(o));
            g.soft(s, rules.towards, &mut |o| before.push(o));
            for o in before {
                if let (Some(a), Some(b)) = (at(o), at(s)) {
                    prop_assert!(a < b);
                }
            }
            // What was selected and has no failure before it got there.
            if change.selected().contains(s) && change.missed().any(|m| m == s) && !failing.contains(&s) && !g.essential[usize::from(s)] {
                let mut blocked = false;
                g.hard(s, rules.towards, &mut |o| blocked |= change.missed().any(|m| m == o));
                prop_assert!(blocked);
            }
        }
    }
}

#[test]
fn what_was_put_back_comes_again_behind_the_others() {
    let mut g = small(&[&[], &[], &[]]);
    g.longruns = 2;
    let mut change = Change::new(&g, &Set::new(3), set(3, &[0, 1, 2]), UP);
    assert_eq!(change.next(), Some(Step::Longrun(0)));
    change.put_back(0);
    assert_eq!((change.next(), change.next()), (Some(Step::Longrun(1)), Some(Step::Longrun(0))));
    assert_eq!(change.next(), Some(Step::Script(2)));
    change.put_back(2);
    assert_eq!((change.next(), change.running()), (Some(Step::Script(2)), 3));
}
