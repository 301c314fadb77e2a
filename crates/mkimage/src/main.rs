// SPDX-License-Identifier: ISC
//! mkimage
fn main() {}
