// SPDX-License-Identifier: ISC
//! The block writes of a guest, and what a power cut may leave of them.
//!
//! The record is QEMU's `blklogwrites`, in the format of the kernel's dm-log-writes: a sector with a header, then for each write a
//! sector with its place and length, and the bytes. (Documentation/admin-guide/device-mapper/log-writes.rst; block/blklogwrites.c)

use crate::command::Outcome;
use std::path::Path;

const SECTOR: u64 = 512;
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
/// Writes between two flushes of which every subset is looked at; of more, only some.
const ALL_SUBSETS: usize = 6;
/// Subsets by chance of an epoch with more writes.
const BY_CHANCE: u32 = 24;

/// One write.
pub struct Write {
    at: u64,
    bytes: Vec<u8>,
}

/// What is in the record.
pub enum Entry {
    /// Bytes for a place.
    Write(Write),
    /// What was written before is on the disk.
    Flush,
}

impl Write {
    /// The blocks of this size that may not be zero after it.
    pub fn blocks(&self, size: usize) -> impl Iterator<Item = usize> {
        let first = self.at as usize / size;
        let end = (self.at as usize + self.bytes.len()).div_ceil(size);
        (first..end).filter(move |block| {
            let from = (block * size).saturating_sub(self.at as usize);
            let to = ((block + 1) * size - self.at as usize).min(self.bytes.len());
            self.bytes.get(from..to).unwrap_or_default().iter().any(|byte| *byte != 0)
        })
    }

    /// What it overwrites.
    pub fn undo(&self, disk: &[u8]) -> Write {
        let range = self.at as usize..self.at as usize + self.bytes.len();
        Write { at: self.at, bytes: disk.get(range).unwrap_or_default().to_vec() }
    }
}

/// A whole disk as entries: what is recorded behind them begins with it.
pub fn whole(disk: &[u8]) -> [Entry; 2] {
    [Entry::Write(Write { at: 0, bytes: disk.to_vec() }), Entry::Flush]
}

/// The record so far, read while QEMU writes it: the guest waits meanwhile.
pub fn read(log: &Path) -> Outcome<Vec<Entry>> {
    let bytes = std::fs::read(log).map_err(|e| format!("{}: {e}", log.display()))?;
    let number = |at: u64| -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
    };
    if number(0) != Some(MAGIC) {
        return Err(format!("{}: not a record of block writes", log.display()));
    }
    let (mut entries, mut at) = (Vec::new(), SECTOR);
    while let (Some(sector), Some(count), Some(flags)) = (number(at), number(at + 8), number(at + 16)) {
        at += SECTOR;
        let len = if flags & DISCARD != 0 { 0 } else { count * SECTOR };
        if len != 0 {
            let range = at as usize..(at + len) as usize;
            let bytes = bytes.get(range).ok_or("the record of block writes ends in the middle of one")?;
            entries.push(Entry::Write(Write { at: sector * SECTOR, bytes: bytes.to_vec() }));
        }
        if flags & FLUSH != 0 {
            entries.push(Entry::Flush);
        }
        at += len;
    }
    Ok(entries)
}

/// Carries writes out.
pub fn apply<'a>(disk: &mut [u8], writes: impl IntoIterator<Item = &'a Write>) -> Outcome {
    for write in writes {
        let range = write.at as usize..write.at as usize + write.bytes.len();
        disk.get_mut(range).ok_or("a write beyond the disk's end")?.copy_from_slice(&write.bytes);
    }
    Ok(())
}

/// All writes of a stretch.
pub fn writes(entries: &[Entry]) -> impl Iterator<Item = &Write> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Write(write) => Some(write),
        Entry::Flush => None,
    })
}

/// A power cut: how far the disk was sure to be, which writes of the epoch after that it got, and whether the command had
/// ended by then.
pub struct Cut {
    /// Everything before this entry is on the disk.
    pub from: usize,
    /// And these.
    pub some: Vec<usize>,
    /// And of this one the first half.
    pub torn: Option<usize>,
    /// No more was to come.
    pub done: bool,
}

/// Every power cut of a stretch: each epoch (the writes up to the next flush) with each subset of its writes, or, of a long
/// one, with each prefix, with each write alone or missing, and some by chance; and with each write cut in two, behind all
/// that came before it. `prefixes`: with each prefix only.
pub fn cuts(entries: &[Entry], prefixes: bool, random: &mut Random) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut from = 0;
    loop {
        let rest = entries.get(from..).unwrap_or_default();
        let end = rest.iter().position(|entry| matches!(entry, Entry::Flush));
        let epoch: Vec<usize> = (from..from + end.unwrap_or(rest.len())).collect();
        for subset in subsets(epoch.len(), prefixes, random) {
            let some = epoch.iter().zip(subset).filter(|(_, have)| *have).map(|(n, _)| *n).collect();
            cuts.push(Cut { from, some, torn: None, done: end.is_none() });
        }
        for (count, &write) in epoch.iter().enumerate() {
            let some = epoch.get(..count).unwrap_or_default().to_vec();
            cuts.push(Cut { from, some, torn: Some(write), done: end.is_none() });
        }
        match end {
            Some(end) => from += end + 1,
            None => return cuts,
        }
    }
}

/// The first half of a write, in whole blocks of the file system, which are written whole or not at all: ext4 itself needs that
/// of its superblock; what devices of flash write at once is larger.
pub fn half(write: &Write, block: usize) -> Write {
    let len = write.bytes.len() / 2 / block * block;
    Write { at: write.at, bytes: write.bytes.get(..len).unwrap_or_default().to_vec() }
}

/// Which of some writes are on the disk.
fn subsets(len: usize, prefixes: bool, random: &mut Random) -> Vec<Vec<bool>> {
    let of = |have: &dyn Fn(usize) -> bool| (0..len).map(have).collect::<Vec<_>>();
    if len <= ALL_SUBSETS && !prefixes {
        return (0..1u32 << len).map(|bits| of(&|n| bits & (1 << n) != 0)).collect();
    }
    let mut all: Vec<_> = (0..=len).map(|count| of(&|n| n < count)).collect();
    if !prefixes {
        all.extend((0..len).map(|one| of(&|n| n == one)));
        all.extend((0..len).map(|one| of(&|n| n != one)));
        for _ in 0..BY_CHANCE {
            let bits = random.next();
            all.push(of(&|n| bits & (1 << (n % 64)) != 0));
        }
    }
    all.sort();
    all.dedup();
    all
}

/// A generator of numbers (xorshift64*, Marsaglia and Vigna) whose seed is printed, so that a run can be had again.
pub struct Random(u64);

impl Random {
    /// From this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: u64) -> Entry {
        Entry::Write(Write { at, bytes: vec![1; 512] })
    }

    #[test]
    fn every_subset_of_what_was_not_flushed_is_a_cut() {
        let entries = [write(0), write(512), Entry::Flush, write(1024), Entry::Flush];
        let cuts = cuts(&entries, false, &mut Random::new(1));
        assert_eq!(cuts.len(), 4 + 2 + 2 + 1 + 1);
        assert_eq!(cuts.iter().filter(|cut| cut.done).count(), 1);
        assert!(cuts.iter().all(|cut| cut.from != 3 || cut.some.iter().all(|n| *n == 3)));
    }

    #[test]
    fn of_many_writes_there_are_prefixes_and_singles() {
        let entries: Vec<_> = (0..20).map(|n| write(n * 512)).collect();
        assert_eq!(cuts(&entries, true, &mut Random::new(1)).len(), 21 + 20);
        assert!(cuts(&entries, false, &mut Random::new(1)).len() > 21 + 20 + 36);
    }

    #[test]
    fn a_record_is_read() {
        let mut bytes = Vec::new();
        for (numbers, data) in [([MAGIC, 1, 2, 512], 0), ([3, 2, 0, 0], 1024), ([0, 0, FLUSH, 0], 0)] {
            let from = bytes.len();
            numbers.iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()));
            bytes.resize(from + 512, 0);
            bytes.resize(from + 512 + data, 7);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let entries = read(file.path()).unwrap();
        assert_eq!(entries.len(), 2);
        let mut disk = vec![0; 4096];
        apply(&mut disk, writes(&entries)).unwrap();
        assert_eq!(disk.iter().filter(|b| **b == 7).count(), 1024);
        assert_eq!(disk[3 * 512], 7);
    }

    #[test]
    fn what_a_write_leaves_zero_is_no_block_of_it() {
        let mut bytes = vec![0; 2048];
        bytes[1100] = 1;
        let write = Write { at: 512, bytes };
        assert_eq!(write.blocks(1024).collect::<Vec<_>>(), [1]);
        let mut disk = vec![3; 4096];
        let undo = write.undo(&disk);
        apply(&mut disk, [&write]).unwrap();
        apply(&mut disk, [&undo]).unwrap();
        assert_eq!(disk, vec![3; 4096]);
    }
}
