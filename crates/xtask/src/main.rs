// SPDX-License-Identifier: ISC
//! xtask
fn main() {}
