// SPDX-License-Identifier: ISC
//! Definition directories into a model, every fault with file and line
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod process;
