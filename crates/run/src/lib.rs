// SPDX-License-Identifier: ISC
//! Carries out actions and plans; talks to the supervision tree
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
