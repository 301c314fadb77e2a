// SPDX-License-Identifier: ISC
//! The trial of an installed image: it counts only once a boot has brought its `default` up in time.
//!
//! `trial` on the data partition holds the seconds that it has; a boot that tries it adds ` tried` before `default` starts, on the
//! disk. A boot that finds it tried, for instance after a hang, goes back to the previous image. Used by `init-start`.

use super::say::say;
use core::ffi::CStr;
use live::{Judge, LiveError, Store};
use sys::CBox;
use sys::time::Millis;

/// What a boot adds to the mark.
pub const TRIED: &[u8] = b" tried";

/// How long a boot waits for somebody who changes the partition.
const PATIENCE: Millis = Millis(30_000);

/// What a boot does about a trial.
pub enum Trial {
    /// None is under way: it takes what there is.
    None,
    /// It tries `current`, which is noted on the disk; `default` has this time.
    Try(Millis),
    /// `current` was tried before and did not come up: it is passed over, and is the previous image again where that
    /// could be written.
    Over,
}

/// Where images are installed, and what there is instead of one that failed.
pub struct Place<'a> {
    /// Where the data partition is mounted.
    pub data: &'a CStr,
    /// The root has an image of its own.
    pub own: bool,
    /// Whether this boot would take an image.
    pub boots: Judge<'a>,
}

impl Place<'_> {
    /// The store, which nobody else changes until it is dropped.
    fn open(&self) -> Result<Store, LiveError> {
        let store = Store::open(self.data)?;
        store.lock(PATIENCE)?;
        Ok(store)
    }

    /// Whether there is something else than what failed.
    fn go_back(&self, store: Result<Store, LiveError>) -> bool {
        // Without any other: better the one that failed than none, and no trial without end.
        let gone = store.and_then(|store| match store.back(self.boots)? {
            true => Ok(true),
            false if self.own => store.forget().map(|()| true),
            false => {
                let _ = store.end_trial();
                Ok(false)
            }
        });
        gone.unwrap_or_else(|_| {
            say("can't write the data partition: the next boot tries to go back again", b"");
            true
        })
    }
}

impl Trial {
    /// What the mark on this partition asks for.
    pub fn begin(place: &Place<'_>) -> Self {
        let Ok(store) = place.open() else { return Self::None };
        let mut buf = [0; 32];
        let Ok(Some(mark)) = store.trial(&mut buf) else { return Self::None };
        if mark.ends_with(TRIED) {
            say("the installed image did not come up at the last boot: going back to the previous one", b"");
            return if place.go_back(Ok(store)) { Self::Over } else { Self::None };
        }
        let seconds = text::parse_u64(mark).unwrap_or(0);
        let noted = CBox::from_pieces(&[mark, TRIED]).unwrap_or_default();
        if store.mark(noted.as_bytes()).is_err() {
            // A trial that can't be noted might never end.
            say("the trial of the installed image can't be noted: going on without it", b"");
            return Self::None;
        }
        Self::Try(Millis(seconds.saturating_mul(1_000)))
    }

    /// The time that `default` has.
    pub fn limit(&self) -> Millis {
        match self {
            Self::Try(limit) => *limit,
            Self::None | Self::Over => Millis(u64::MAX),
        }
    }

    /// Ends it; whether it has failed.
    pub fn end(self, passed: bool, place: &Place<'_>) -> bool {
        let Self::Try(_) = self else { return false };
        let store = place.open();
        // Another image has been installed meanwhile: its trial is to come.
        if let Ok(store) = &store
            && !store.trial(&mut [0; 32]).is_ok_and(|mark| mark.is_some_and(|mark| mark.ends_with(TRIED)))
        {
            return false;
        }
        if !passed {
            say("the installed image has failed its trial: going back to the previous one", b"");
            place.go_back(store);
        } else if store.is_ok_and(|store| store.end_trial().is_ok()) {
            say("the installed image has passed its trial", b"");
        } else {
            say("the installed image has passed its trial, but that can't be noted", b"");
        }
        !passed
    }
}
