// SPDX-License-Identifier: ISC
//! Which new services each old service becomes.

use crate::conversion::{Conversion, RuleError};
use alloc::vec::Vec;
use db::{Db, Flags, ServiceId};

/// No service.
const NONE: u16 = u16::MAX;

/// What an old service becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// Nothing: no new service or bundle has its name.
    Nothing,
    /// This new service, which stands alone at this place of the list.
    One(u32, u16),
    /// The contents of a bundle: a range of the list.
    Several(u32, u32),
}

/// Old services to new ones and back.
#[derive(Clone, Debug)]
pub struct Mapping {
    becomes: Vec<Becomes>,
    list: Vec<u16>,
    from: Vec<u16>,
    /// For each new service: an old one becomes this one and no other.
    one_to_one: Vec<bool>,
}

impl Mapping {
    /// By names, and by what the conversion file says instead.
    pub fn new<'a>(old: &Db<'a>, new: &Db<'a>, rules: &Conversion<'a>) -> Result<Self, RuleError<'a>> {
        let mut this = Self {
            becomes: Vec::with_capacity(old.len()),
            list: Vec::new(),
            from: alloc::vec![NONE; new.len()],
            one_to_one: alloc::vec![false; new.len()],
        };
        for service in old.services() {
            let becomes = this.becomes_of(old, new, service, rules)?;
            this.becomes.push(becomes);
        }
        Ok(this)
    }

    fn becomes_of<'a>(
        &mut self,
        old: &Db<'a>,
        new: &Db<'a>,
        service: ServiceId,
        rules: &Conversion<'a>,
    ) -> Result<Becomes, RuleError<'a>> {
        let renamed = rules.rule(service.index()).new_name;
        let name = renamed.unwrap_or(old.name(service));
        let Some(target) = new.lookup(name) else {
            return match renamed {
                Some(to) => Err(RuleError::NoSuchTarget(old.name(service), to)),
                None => Ok(Becomes::Nothing),
            };
        };
        let start = self.list.len();
        let is_internal = |flags: Flags| renamed.is_some() && flags.has(Flags::INTERNAL);
        for member in new.atomics(target) {
            if is_internal(old.flags(service)) || is_internal(new.flags(member)) {
                return Err(RuleError::Internal(old.name(service), name));
            }
            let Some(from) = self.from.get_mut(member.index()) else { continue };
            if let Some(other) = old.service(usize::from(*from)) {
                return Err(RuleError::TargetTwice(new.name(member), old.name(other), old.name(service)));
            }
            *from = service.index() as u16;
            self.list.push(member.index() as u16);
        }
        match self.list.get(start..) {
            Some([one]) => {
                if let Some(mark) = self.one_to_one.get_mut(usize::from(*one)) {
                    *mark = true;
                }
                Ok(Becomes::One(start as u32, *one))
            }
            _ => Ok(Becomes::Several(start as u32, self.list.len() as u32)),
        }
    }

    /// What this old service becomes.
    pub fn becomes(&self, old: u16) -> Becomes {
        self.becomes.get(usize::from(old)).copied().unwrap_or(Becomes::Nothing)
    }

    /// The new services that this old one becomes.
    pub fn targets(&self, old: u16) -> &[u16] {
        match self.becomes(old) {
            Becomes::Nothing => &[],
            Becomes::One(at, _) => self.list.get(at as usize..at as usize + 1).unwrap_or_default(),
            Becomes::Several(start, end) => self.list.get(start as usize..end as usize).unwrap_or_default(),
        }
    }

    /// The old service that becomes this new one, alone or with others.
    pub fn from(&self, new: u16) -> Option<u16> {
        self.from.get(usize::from(new)).copied().filter(|old| *old != NONE)
    }

    /// The old service that becomes exactly this new one.
    pub fn same(&self, new: u16) -> Option<u16> {
        self.from(new).filter(|_| self.one_to_one.get(usize::from(new)) == Some(&true))
    }
}
