// SPDX-License-Identifier: ISC
//! Scanner, supervisor, service state machine, logger, pipe holder
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
