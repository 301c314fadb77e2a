// SPDX-License-Identifier: ISC
//! The conversion file: which old service goes on under which name, and which is to be restarted.
//!
//! One line a service, lexed by the caller in execline's syntax: `OLD`, then optionally `-> NEW`, then optionally `restart`.

use alloc::vec::Vec;
use db::{Db, Target};

/// Why a line, or all of them together, can't be followed. Line numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError<'a> {
    /// The old image has no such name.
    Unknown(&'a [u8]),
    /// The name stands for several services of the old image, or for none.
    NotAtomic(&'a [u8]),
    /// This service was named before.
    Twice(&'a [u8]),
    /// A word that is neither `->` in its place nor `restart`.
    Keyword(&'a [u8]),
    /// The new image has no such name, though the file says that this old service becomes it: old, new.
    NoSuchTarget(&'a [u8], &'a [u8]),
    /// Two old services become this new one: new, the two.
    TargetTwice(&'a [u8], &'a [u8], &'a [u8]),
    /// A rule that renames a service of the compiler's own, or another one to it: old, new.
    Internal(&'a [u8], &'a [u8]),
}

/// What the file says about one old service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule<'a> {
    /// The line that names it, from 1; 0 = none.
    pub(crate) line: u32,
    pub(crate) new_name: Option<&'a [u8]>,
    pub(crate) restart: bool,
}

/// A conversion file, read.
#[derive(Clone, Debug)]
pub struct Conversion<'a> {
    rules: Vec<Rule<'a>>,
    lines: u32,
}

impl<'a> Conversion<'a> {
    /// One that says nothing.
    pub fn new(old: &Db<'_>) -> Self {
        Self { rules: alloc::vec![Rule::default(); old.len()], lines: 0 }
    }

    /// The line of the rule for the old service of this name, from 1; 0 where there is none.
    pub fn line_of(&self, old: &Db<'_>, name: &[u8]) -> u32 {
        let service = old.lookup(name).and_then(|target| single(old, target));
        service.map_or(0, |service| self.rule(service).line)
    }

    /// Adds the next line by its words.
    pub fn line(
        &mut self,
        old: &Db<'_>,
        mut words: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), RuleError<'a>> {
        self.lines += 1;
        let Some(name) = words.next() else { return Ok(()) };
        let target = old.lookup(name).ok_or(RuleError::Unknown(name))?;
        let service = single(old, target).ok_or(RuleError::NotAtomic(name))?;
        let rule = self.rules.get_mut(service).ok_or(RuleError::Unknown(name))?;
        if rule.line != 0 {
            return Err(RuleError::Twice(name));
        }
        rule.line = self.lines;
        let mut word = words.next();
        if word == Some(b"->") {
            rule.new_name = Some(words.next().ok_or(RuleError::Keyword(b"->"))?);
            word = words.next();
        }
        while let Some(keyword) = word {
            if keyword != b"restart" {
                return Err(RuleError::Keyword(keyword));
            }
            rule.restart = true;
            word = words.next();
        }
        Ok(())
    }

    pub(crate) fn rule(&self, old: usize) -> Rule<'a> {
        self.rules.get(old).copied().unwrap_or_default()
    }
}

/// The one service that a name stands for: a service, or the only one of a bundle.
fn single(db: &Db<'_>, target: Target) -> Option<usize> {
    let mut all = db.atomics(target);
    let first = all.next()?;
    if all.next().is_some() { None } else { Some(first.index()) }
}
