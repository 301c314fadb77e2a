// SPDX-License-Identifier: ISC
//! Messages in pieces, integers, and the argument pull-parser: what applets and resident processes say and hear.
//!
//! No `core::fmt`: a message is put together from byte strings and numbers in a buffer, and written once.
//! No system calls: whoever has the descriptor writes.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod args;
mod line;
pub mod list;
pub mod near;
mod number;
pub mod packed;

pub use line::Line;
pub use number::{Digits, NumberError, parse_hex, parse_i64, parse_octal, parse_u64};
