// SPDX-License-Identifier: ISC
//! Listings of `s6-rc`: services by name, and where supervisors disagree with the live directory.

use super::{Call, Opened, Options};
use crate::words;
use alloc::vec::Vec;
use engine::{Graph, Set, Towards, close};
use live::tree::Status;

/// Prints a selection, closed under what it needs (or what needs it) if asked.
pub fn print(opened: &Opened, mut selected: Set, o: &Options, closed: bool) -> Result<u8, u8> {
    let image = &opened.image;
    if closed {
        close(image, &mut selected, o.towards);
    } else if o.towards == Towards::Down {
        selected.invert();
    }
    let mut text = Vec::new();
    for service in selected.iter() {
        if o.hide_essentials && image.is_essential(service) {
            continue;
        }
        text.extend_from_slice(image.name(service));
        text.push(b'\n');
    }
    words::output(&text).map(|()| 0)
}

/// Prints the longruns whose supervisor wants otherwise than the state says.
pub fn diff(call: &Call, opened: &Opened) -> Result<u8, u8> {
    let image = &opened.image;
    let mut text = Vec::new();
    for service in 0..image.db().longruns() as u16 {
        let name = image.name(service);
        let cant = |e| call.failed(t!("read the status of service %"), name, e);
        let status = opened.live.service_dir(service).and_then(Status::read).map_err(cant)?;
        if status.wanted_up != opened.live.states().get(usize::from(service)).is_up() {
            text.push(if status.wanted_up { b'+' } else { b'-' });
            text.extend_from_slice(name);
            text.push(b'\n');
        }
    }
    words::output(&text)?;
    Ok(u8::from(!text.is_empty()))
}
