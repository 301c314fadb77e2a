// SPDX-License-Identifier: ISC
//! The kernel's command line: the words that concern the boot. Pure. Used by stage 1 and stage 2.
//!
//! The kernel's own words keep their meaning (`root= rootfstype= rootflags= rootwait ro rw init=`); ours begin with
//! `skeg.`. A word that comes twice: the last one counts, as in the kernel. Double quotes keep blanks together.

/// Seconds in which somebody may ask for the rescue shell before the machine starts again: long enough to reach a
/// keyboard, short enough for a device that nobody watches.
pub const RESCUE_SECONDS: u32 = 10;

/// Bytes of the command line that are read: the kernel's own limit on every CPU that we build for.
pub const MAX: usize = 4096;

/// What the command line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// `root=`: the device with the root file system.
    pub root: Option<&'a [u8]>,
    /// `rootfstype=`: its file system; all that the kernel knows are tried without it.
    pub root_type: Option<&'a [u8]>,
    /// `rootflags=`: options for its mount.
    pub root_flags: &'a [u8],
    /// `rw`: it is mounted for writing; `ro`, the default, read-only.
    pub writable: bool,
    /// `rootwait`: its device may take a while to come.
    pub wait: bool,
    /// `init=`: the program that the initramfs hands over to.
    pub init: Option<&'a [u8]>,
    /// `skeg.data=DEVICE[,TYPE[,OPTIONS]]`: the partition with installed images.
    pub data: Option<&'a [u8]>,
    /// `skeg.image=`: this image and no other.
    pub image: Option<&'a [u8]>,
    /// `skeg.bundle=`: what is brought up, instead of `default`.
    pub bundle: &'a [u8],
    /// `skeg.hook=`: the program that is run when the bundle is up, instead of `/etc/skeg/up`.
    pub hook: Option<&'a [u8]>,
    /// `skeg.rescue-timeout=`: seconds to answer before the machine starts again.
    pub rescue_seconds: u32,
    /// `skeg.stop-timeout=`: seconds that the services have to stop.
    pub stop_seconds: u32,
}

/// Seconds that the services have to stop, all together, before they are killed.
pub const STOP_SECONDS: u32 = 60;

/// What stands before a word's `=`, in the order of [`parse`].
const KEYS: &str = "root rootfstype rootflags rootwait ro rw init \
    skeg.data skeg.image skeg.bundle skeg.hook skeg.rescue-timeout skeg.stop-timeout";

/// Reads the command line.
pub fn parse(line: &[u8]) -> Options<'_> {
    let mut options = Options {
        root: None,
        root_type: None,
        root_flags: b"",
        writable: false,
        wait: false,
        init: None,
        data: None,
        image: None,
        bundle: b"default",
        hook: None,
        rescue_seconds: RESCUE_SECONDS,
        stop_seconds: STOP_SECONDS,
    };
    for word in words(line) {
        let (key, value) = match word.iter().position(|b| *b == b'=') {
            Some(at) => {
                (word.get(..at).unwrap_or_default(), unquoted(word.get(at + 1..).unwrap_or_default()))
            }
            None => (word, &b""[..]),
        };
        let filled = (!value.is_empty()).then_some(value);
        match text::list::place(key, KEYS) {
            Some(0) => options.root = filled,
            Some(1) => options.root_type = filled,
            Some(2) => options.root_flags = value,
            Some(3) => options.wait = true,
            Some(4) => options.writable = false,
            Some(5) => options.writable = true,
            Some(6) => options.init = filled,
            Some(7) => options.data = filled,
            Some(8) => options.image = filled,
            Some(9) => options.bundle = filled.unwrap_or(b"default"),
            Some(10) => options.hook = filled,
            Some(11) => options.rescue_seconds = seconds(value, RESCUE_SECONDS),
            Some(12) => options.stop_seconds = seconds(value, STOP_SECONDS),
            _ => {}
        }
    }
    options
}

fn seconds(value: &[u8], default: u32) -> u32 {
    text::parse_u64(value).ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").map_or(value, |v| v.strip_suffix(b"\"").unwrap_or(v))
}

/// The words, split at blanks that are not within double quotes; nothing after a lone `--` is for us.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |byte| {
        quoted ^= *byte == b'"';
        !quoted && byte.is_ascii_whitespace()
    })
    .take_while(|word| *word != b"--")
    .filter(|word| !word.is_empty())
}

/// The parts of `skeg.data=`: device, type, options.
pub fn data_parts(value: &[u8]) -> (&[u8], Option<&[u8]>, &[u8]) {
    let mut parts = value.splitn(3, |b| *b == b',');
    let device = parts.next().unwrap_or_default();
    (device, parts.next().filter(|t| !t.is_empty()), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_and_ours() {
        let o = parse(
            b"console=ttyS0 root=/dev/vda rootfstype=squashfs rootwait ro skeg.data=/dev/vdb,ext4 \
            skeg.rescue-timeout=3 panic=-1\n",
        );
        assert_eq!(o.root, Some(&b"/dev/vda"[..]));
        assert_eq!(o.root_type, Some(&b"squashfs"[..]));
        assert!(o.wait && !o.writable);
        assert_eq!(o.rescue_seconds, 3);
        assert_eq!(data_parts(o.data.unwrap()), (&b"/dev/vdb"[..], Some(&b"ext4"[..]), &b""[..]));
    }

    #[test]
    fn the_last_word_counts_and_what_is_malformed_is_the_default() {
        let o = parse(b"ro rw skeg.rescue-timeout=soon root= init=/bin/x -- root=/dev/late");
        assert!(o.writable);
        assert_eq!((o.root, o.init), (None, Some(&b"/bin/x"[..])));
        assert_eq!(o.rescue_seconds, RESCUE_SECONDS);
    }

    #[test]
    fn quotes_keep_blanks_together() {
        let o = parse(b"rootflags=\"a b,c\" rw");
        assert_eq!(o.root_flags, b"a b,c");
        assert!(o.writable);
    }
}
