// SPDX-License-Identifier: ISC
//! Oneshots: the resident runner of their scripts, and the command's side of it.

pub mod client;
pub mod protocol;
pub mod runner;
mod search;

pub use search::find_program;
