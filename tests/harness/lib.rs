// SPDX-License-Identifier: ISC
//! What the tests share: running the binary, waiting for events, scan directories.
