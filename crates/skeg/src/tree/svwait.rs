// SPDX-License-Identifier: ISC
//! `s6-svwait`: waits until services are up or down.

use super::wait::{Goal, Waiter};
use crate::applet::Call;

pub const OPTIONS: &str = "u/ U/ d/ D/ r/ R/ a/ o/ t#";

pub fn main(call: &Call) -> Result<u8, u8> {
    let goal = Goal::of(call.last(b"uUdDrR")).unwrap_or(Goal::Up(false));
    if call.words.is_empty() {
        return Ok(0);
    }
    Waiter::new(call, call.words, call.number(b't', 0))?.wait(call, goal, call.last(b"ao") == b'o', false)
}
