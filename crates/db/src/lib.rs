// SPDX-License-Identifier: ISC
//! The image format: check, read, graph walks, encode
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
