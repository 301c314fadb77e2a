// SPDX-License-Identifier: ISC
//! A model into image bytes: names, bundles, pipelines, cycles. Pure; the same model gives the same bytes.
//!
//! Every fault is noted before it gives up, so that one run tells all of them. With [`Options::keep_going`]
//! broken definitions, and what can't do without them, are left out instead. Used by `s6-rc-compile` and `mkimage`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod cycle;
mod emit;
mod graph;
mod names;
mod pipeline;

use alloc::vec::Vec;
use source::{Fault, Model};

/// How to compile.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Leave out what is broken and what depends on it, instead of refusing the tree.
    pub keep_going: bool,
    /// The user as whom the holder of the pipes runs; none = the one who owns the tree.
    pub holder_user: Option<&'a [u8]>,
}

/// What came out.
pub struct Compiled {
    /// The image; none if the tree is refused.
    pub image: Option<Vec<u8>>,
    /// Everything that is wrong: what reading found, then what resolving found.
    pub faults: Vec<Fault>,
}

/// The oneshot runner's name.
pub const RUNNER: &[u8] = b"s6rc-oneshot-runner";
/// The pipe holder's name.
pub const HOLDER: &[u8] = b"s6rc-fdholder";

/// Compiles a model.
pub fn compile(model: Model, options: &Options<'_>) -> Compiled {
    let mut names = names::Names::new(model, options);
    pipeline::bundles(&mut names);
    let bundles = graph::flatten(&mut names);
    let partners = pipeline::partners(&mut names);
    let graph = graph::Graph::new(&mut names, &bundles, &partners);
    cycle::find(&mut names, &graph);
    names.same_cgroups();
    if options.keep_going {
        graph::leave_out(&mut names, &graph);
    } else if names.faults.iter().any(|f| f.grave) {
        return Compiled { image: None, faults: names.faults };
    }
    let image = emit::image(&mut names, &graph, &bundles, &partners);
    Compiled { image, faults: names.faults }
}
