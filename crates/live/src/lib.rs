// SPDX-License-Identifier: ISC
//! The live directory: generations, state, journal, lock, service directories
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod tree;
