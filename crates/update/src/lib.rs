// SPDX-License-Identifier: ISC
//! Pure: old image + new image + which services are up + conversion rules, into a plan with reasons. No system call.
//!
//! Two sets of rules give the same kind of [`Plan`]: [`reference`](reference()) decides as `s6-rc-update` of s6-rc does, by names,
//! kinds and dependencies; [`smart`](smart()) looks at the definitions themselves and restarts what has to be. Read by `run`, which
//! carries a plan out, by `skeg plan`, which shows it, and by the property tests.
//!
//! Services are known by their index in their image, as everywhere: `old` indices and `new` indices are different numbers.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod compare;
mod conversion;
mod mapping;
mod plan;
mod reference;
mod smart;
#[cfg(test)]
mod tests;
mod written;

pub use compare::{At, Difference, Field, differences, flags, needs_restart};
pub use conversion::{Conversion, RuleError};
pub use mapping::Mapping;
pub use plan::{Plan, Reason, Restricted, view};
pub use reference::reference;
pub use smart::smart;
