// SPDX-License-Identifier: ISC
//! The files of a definition that mean something, and to which types.

use crate::Type;

/// For which types a file means something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct For(u8);

const LONGRUN: u8 = 1;
const ONESHOT: u8 = 2;
const BUNDLE: u8 = 4;
const ATOMIC: u8 = LONGRUN | ONESHOT;

impl For {
    /// Whether it means something to this type.
    pub const fn has(self, kind: Type) -> bool {
        let bit = match kind {
            Type::Longrun => LONGRUN,
            Type::Oneshot => ONESHOT,
            Type::Bundle => BUNDLE,
        };
        self.0 & bit != 0
    }
}

macro_rules! known {
    ($($id:ident $name:literal $for:expr,)*) => {
        /// A known file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Known { $(#[doc = $name] $id,)* }
        /// Every known file.
        pub const ALL: &[Known] = &[$(Known::$id,)*];
        impl Known {
            /// Its name.
            #[inline(never)]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$id => $name,)* }
            }
            /// Which types it means something to.
            pub const fn types(self) -> For {
                match self { $(Self::$id => For($for),)* }
            }
            /// Whether s6-rc does not know it: what skeg adds is never ignored.
            pub const fn is_ours(self) -> bool {
                self as u32 >= Self::WantsD as u32 || matches!(self, Self::Command | Self::FlagManual)
            }
            /// Whether a link to nothing is as good as no file, as it is to s6-rc.
            pub const fn may_lead_nowhere(self) -> bool {
                !self.is_ours() && !matches!(self, Self::Type)
            }
            /// The known file of that name.
            pub fn find(name: &[u8]) -> Option<Self> {
                ALL.iter().copied().find(|known| known.name().as_bytes() == name)
            }
        }
    };
}

known! {
    Type "type" ATOMIC | BUNDLE,
    DependenciesD "dependencies.d" ATOMIC,
    Up "up" ONESHOT,
    Run "run" LONGRUN,
    Down "down" ONESHOT,
    Dependencies "dependencies" ATOMIC,
    TimeoutUp "timeout-up" ATOMIC,
    TimeoutDown "timeout-down" ATOMIC,
    FlagEssential "flag-essential" ATOMIC | BUNDLE,
    FlagRecommended "flag-recommended" ATOMIC | BUNDLE,
    FlagManual "flag-manual" ATOMIC,
    ContentsD "contents.d" BUNDLE,
    Contents "contents" BUNDLE,
    Reload "reload" ONESHOT,
    Command "command" LONGRUN,
    Finish "finish" LONGRUN,
    NotificationFd "notification-fd" LONGRUN,
    LockFd "lock-fd" LONGRUN,
    TimeoutKill "timeout-kill" LONGRUN,
    TimeoutFinish "timeout-finish" LONGRUN,
    FlagTimeoutKillpg "flag-timeout-killpg" LONGRUN,
    MaxDeathTally "max-death-tally" LONGRUN,
    DownSignal "down-signal" LONGRUN,
    ReloadSignal "reload-signal" LONGRUN,
    FlagNewpidns "flag-newpidns" LONGRUN,
    ProducerFor "producer-for" LONGRUN,
    ConsumerFor "consumer-for" LONGRUN,
    PipelineName "pipeline-name" LONGRUN,
    Data "data" LONGRUN,
    Env "env" LONGRUN,
    Template "template" LONGRUN,
    WantsD "wants.d" ATOMIC,
    AfterD "after.d" ATOMIC,
    BeforeD "before.d" ATOMIC,
    RestartWith "restart-with" ATOMIC,
    ReloadOnChange "reload-on-change" LONGRUN,
    User "user" ATOMIC,
    Groups "groups" ATOMIC,
    Cgroup "cgroup" LONGRUN,
    Rlimits "rlimits" ATOMIC,
    OomScore "oom-score" ATOMIC,
    Nice "nice" ATOMIC,
    Umask "umask" ATOMIC,
    NoNewPrivs "no-new-privs" ATOMIC,
    Capabilities "capabilities" ATOMIC,
    RestartBackoff "restart-backoff" LONGRUN,
}

/// Which known files a directory holds, and of what type each entry is.
#[derive(Default)]
pub struct Present {
    /// One bit a file.
    bits: u64,
    /// One bit a file: it is a link, or the file system does not tell.
    unsure: u64,
    /// One bit a file: it is a directory.
    directories: u64,
}

impl Present {
    /// Notes an entry.
    pub fn note(&mut self, known: Known, kind: sys::fs::FileType) {
        let bit = 1u64 << known as u32;
        self.bits |= bit;
        match kind {
            sys::fs::FileType::RegularFile => {}
            sys::fs::FileType::Directory => self.directories |= bit,
            _ => self.unsure |= bit,
        }
    }

    /// Whether there is such an entry.
    pub const fn has(&self, known: Known) -> bool {
        self.bits & 1 << known as u32 != 0
    }

    /// Those that mean nothing to this type.
    pub fn beyond(&self, kind: Type) -> impl Iterator<Item = Known> + use<> {
        const fn bits(kind: Type) -> u64 {
            let (mut bits, mut at) = (0, 0);
            while at < ALL.len() {
                bits |= (ALL[at].types().has(kind) as u64) << at;
                at += 1;
            }
            bits
        }
        let mut left = self.bits
            & !match kind {
                Type::Longrun => const { bits(Type::Longrun) },
                Type::Oneshot => const { bits(Type::Oneshot) },
                Type::Bundle => const { bits(Type::Bundle) },
            };
        core::iter::from_fn(move || {
            let known = *ALL.get(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(known)
        })
    }

    /// Whether it is surely a regular file.
    pub const fn surely_regular(&self, known: Known) -> bool {
        (self.unsure | self.directories) & 1 << known as u32 == 0
    }
}

const _: () = assert!(ALL.len() <= 64);
