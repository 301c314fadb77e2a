// SPDX-License-Identifier: ISC
//! Pure: old image, new image, state and rules into a plan with reasons
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
