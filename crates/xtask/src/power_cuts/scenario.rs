// SPDX-License-Identifier: ISC
//! What is recorded: commands and boots, whole and without one of their `fsync`s.

/// What is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An install.
    Install,
    /// An install on trial.
    OnTrial,
    /// `skeg install --back`, from an image that is on trial.
    Return,
    /// `skeg install --keep` of one.
    Keep,
    /// A boot that tries an image, until its `default` has begun to start.
    Try,
    /// The boot after one that did not come up, until it is up.
    Back,
    /// A boot that tries an image, until that has passed.
    Pass,
}

impl Kind {
    /// How many `fsync`s it makes, and which of them ext4 itself needs. Of the others the model in `tests/install_power.rs` shows
    /// the use: ext4 keeps names in order, in its journal; bytes, and the last name, are what it must be told to keep.
    /// Install: the image, its directory, (the mark,) what is aside, `previous`, `current`. A boot: the mark and its name,
    /// then the name that goes; or, going back, what is aside, `current`, the mark's name.
    fn syncs(self) -> (u32, &'static [u32]) {
        match self {
            Self::Install => (5, &[1, 5]),
            Self::OnTrial => (6, &[1, 3, 6]),
            Self::Return | Self::Back => (3, &[3]),
            Self::Keep => (1, &[1]),
            Self::Try => (2, &[1, 2]),
            Self::Pass => (3, &[3]),
        }
    }

    /// Whether the image is on trial before.
    pub fn begins_on_trial(self) -> bool {
        !matches!(self, Self::Install | Self::OnTrial)
    }
}

/// What is recorded, and which `fsync` it leaves out.
pub struct Scenario {
    pub kind: Kind,
    /// 0: none.
    pub without: u32,
    /// Whether something must go wrong without it.
    pub needed: bool,
}

/// These whole, then without an `fsync`: without each that ext4 needs where `ext4`, without each one where `all`.
pub fn scenarios(kinds: &[Kind], ext4: bool, all: bool) -> Vec<Scenario> {
    let mut list = Vec::new();
    for &kind in kinds {
        let (syncs, needs) = kind.syncs();
        for without in 0..=syncs {
            let needed = ext4 && needs.contains(&without);
            if without == 0 || needed || all {
                list.push(Scenario { kind, without, needed });
            }
        }
    }
    list
}

impl Scenario {
    pub fn name(&self) -> String {
        let what = match self.kind {
            Kind::Install => "install",
            Kind::OnTrial => "install on trial",
            Kind::Return => "install --back",
            Kind::Keep => "install --keep",
            Kind::Try => "the boot that tries it",
            Kind::Back => "the boot that goes back",
            Kind::Pass => "the boot that ends a good trial",
        };
        match self.without {
            0 => what.to_owned(),
            n => format!("{what} without fsync {n}"),
        }
    }

    /// The command, where it is one.
    pub fn command(&self) -> String {
        let words = match self.kind {
            Kind::Return => "--back",
            Kind::Keep => "--keep",
            Kind::OnTrial => "--trial 600 /data/three.image",
            _ => "/data/three.image",
        };
        // Without a need to leave one out, the device's own binary.
        match self.without {
            0 => format!("skeg install {words}"),
            n => format!("SKEG_FAULT=install:{n}:nosync skeg-fault install {words}"),
        }
    }

    /// Words for the kernel, where it is a boot: the binary for tests leaves an `fsync` out.
    pub fn append(&self) -> String {
        match self.without {
            0 => String::new(),
            n => format!("init=/sbin/faulty/boot SKEG_FAULT=init-start:{n}:nosync"),
        }
    }
}
