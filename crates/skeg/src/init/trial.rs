// SPDX-License-Identifier: ISC
//! The trial of an installed image: it counts only once a boot has brought its `default` up in time.
//!
//! `trial` on the data partition holds the seconds that it has; a boot that tries it adds ` tried` before `default` starts, on the
//! disk. A boot that finds it tried, for instance after a hang, goes back to the previous image. Used by `init-start`.

use super::say::say;
use core::ffi::CStr;
use live::Store;
use sys::CBuf;
use sys::time::Millis;

/// What a boot adds to the mark.
const TRIED: &[u8] = b" tried";

/// A trial that this boot makes.
pub struct Trial {
    store: Store,
    /// How long `default` has.
    pub limit: Millis,
}

impl Trial {
    /// The trial on this partition, noted as tried. One that was tried before is over: `current` is the previous image again.
    pub fn begin(data: &CStr) -> Option<Self> {
        let store = Store::open(data).ok()?;
        let mut buf = [0; 32];
        let mark = store.trial(&mut buf).ok()??;
        if mark.ends_with(TRIED) {
            say("the installed image did not come up at the last boot: going back to the previous one", b"");
            Self::go_back(&store);
            return None;
        }
        let seconds = text::parse_u64(mark).unwrap_or(0);
        let noted = CBuf::<40>::from_pieces(&[mark, TRIED]).ok()?;
        if store.mark(noted.as_bytes()).is_err() {
            // A trial that can't be noted might never end.
            say("the trial of the installed image can't be noted: going on without it", b"");
            return None;
        }
        Some(Self { store, limit: Millis(seconds.saturating_mul(1_000)) })
    }

    fn go_back(store: &Store) {
        match store.back() {
            Ok(true) => {}
            Ok(false) | Err(_) => say("there is no previous image to go back to", b""),
        }
    }

    /// The image has come up: it counts.
    pub fn passed(self) {
        match self.store.end_trial() {
            Ok(()) => say("the installed image has passed its trial", b""),
            Err(_) => say("the installed image has passed its trial, but that can't be noted", b""),
        }
    }

    /// It has not: the next boot takes the previous one.
    pub fn failed(self) {
        say("the installed image has failed its trial: the next boot takes the previous one", b"");
        Self::go_back(&self.store);
    }
}
