// SPDX-License-Identifier: ISC
//! Stage 1, shutdown, operator questions
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
