// SPDX-License-Identifier: ISC
//! Model into image bytes
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
