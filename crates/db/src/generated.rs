// SPDX-License-Identifier: ISC
//! How files that the compiler makes of a definition are told from those that somebody wrote. What is in them is written
//! down in `crates/source/PROCESS.md` and `compile`.

/// How the `run` and `finish` begin that stand in the place of the definition's own, or of none.
pub const GENERATED: &[u8] = b"#!@SKEG@ s6rc-";
/// The first line of the `run` that carries a longrun's settings. The token becomes the path of the binary when the file is
/// written.
pub const RUN: &[u8] = b"#!@SKEG@ s6rc-run\n";
/// What comes before the settings in the command line of a oneshot that has some: its runner is skeg.
pub const SCRIPT: &[u8] = b"/proc/self/exe\0s6rc-script\0";
