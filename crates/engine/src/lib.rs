// SPDX-License-Identifier: ISC
//! Pure transitions: event in, actions out
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
