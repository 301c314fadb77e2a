// SPDX-License-Identifier: ISC
//! The allocator of the offline applets: one growing arena, nothing is ever given back except by exit.
//!
//! So the destructors of vectors and boxes are no code at all. Whatever waits in a loop without an end reuses what it has.
//! The resident processes never allocate, so in them this is never called. A reallocation of the last block
//! grows it in place, which is what a growing vector needs. Each chunk but the first is a fresh anonymous mapping of
//! [`CHUNK`] bytes, and a larger block has one of its own. Single-threaded by construction: the program never makes a thread.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// Bytes of one mapping: large enough that the mappings are few, small enough for a 32 MB machine.
const CHUNK: usize = 256 * 1024;

/// Bytes of the first chunk, which lies beside the program's data: enough for a command that asks one question, and in a
/// page that is in use anyway.
const FIRST: usize = 1536;

/// Bytes that are made when they are first asked for, and stay.
pub struct Once(Cell<Option<&'static [u8]>>);

// SAFETY: as for the arena below: the program has one thread.
unsafe impl Sync for Once {}

impl Once {
    /// Not made yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// The bytes.
    pub fn get(&self, make: impl FnOnce() -> &'static [u8]) -> &'static [u8] {
        let bytes = self.0.get().unwrap_or_else(make);
        self.0.set(Some(bytes));
        bytes
    }
}

struct Arena {
    next: Cell<usize>,
    end: Cell<usize>,
    /// Whether the kernel has refused memory.
    refused: Cell<bool>,
    first: UnsafeCell<[MaybeUninit<u8>; FIRST]>,
}

// SAFETY: the program has one thread; a vfork child runs while its parent is suspended and does not allocate.
unsafe impl Sync for Arena {}

#[global_allocator]
static ARENA: Arena = Arena {
    next: Cell::new(0),
    end: Cell::new(0),
    refused: Cell::new(false),
    first: UnsafeCell::new([MaybeUninit::uninit(); FIRST]),
};

/// Whether memory has run out: what a panic is then about.
pub fn is_out_of_memory() -> bool {
    ARENA.refused.get()
}

impl Arena {
    fn take(&self, size: usize, align: usize) -> Option<usize> {
        if self.end.get() == 0 {
            let first = self.first.get().expose_provenance();
            self.next.set(first);
            self.end.set(first + FIRST);
        }
        // An alignment is a power of two: no division.
        let start = self.next.get().checked_add(align - 1)? & !(align - 1);
        let end = start.checked_add(size)?;
        if end > self.end.get() {
            return None;
        }
        self.next.set(end);
        Some(start)
    }
}

// SAFETY: `take` gives disjoint, aligned ranges of `first`, which nothing else refers to, and of live anonymous mappings,
// which are never unmapped; a large block is such a mapping. None of these ends where `next` stands: that is never the
// beginning of a chunk, from which something has been taken as soon as it is there. So only the last block grows in place.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(start) = self.take(layout.size(), layout.align()) {
            return core::ptr::with_exposed_provenance_mut(start);
        }
        let Some(wanted) = layout.size().checked_add(layout.align()) else { return core::ptr::null_mut() };
        let Some(bytes) = wanted.max(CHUNK).checked_next_multiple_of(4096) else {
            return core::ptr::null_mut();
        };
        // Whoever has filled a chunk is likely to fill another one: its pages all at once cost less than one fault each.
        let is_first = self.end.get() == self.first.get().expose_provenance() + FIRST;
        let flags = if is_first { MapFlags::PRIVATE } else { MapFlags::PRIVATE | MapFlags::POPULATE };
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let Ok(chunk) = (unsafe {
            mmap_anonymous(core::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags)
        }) else {
            self.refused.set(true);
            return core::ptr::null_mut();
        };
        if bytes > CHUNK && layout.align() <= 4096 {
            // A mapping of its own, which begins with a page: what is left of the chunk goes on being used.
            return chunk.cast();
        }
        let start = chunk.expose_provenance();
        self.next.set(start);
        self.end.set(start + bytes);
        match self.take(layout.size(), layout.align()) {
            Some(start) => core::ptr::with_exposed_provenance_mut(start),
            None => core::ptr::null_mut(),
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // No byte is given out twice, and the kernel gives zeros.
        // SAFETY: passed on as it came.
        unsafe { self.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if new_size <= layout.size() {
            return block;
        }
        let start = block.addr();
        if start + layout.size() == self.next.get()
            && start.checked_add(new_size).is_some_and(|e| e <= self.end.get())
        {
            self.next.set(start + new_size);
            return block;
        }
        let Ok(wider) = Layout::from_size_align(new_size, layout.align()) else {
            return core::ptr::null_mut();
        };
        // SAFETY: a layout of non-zero size, since it is larger than the old one.
        let moved = unsafe { self.alloc(wider) };
        if !moved.is_null() {
            // SAFETY: the old block holds `layout.size()` bytes, the new one more, and they are disjoint.
            unsafe { core::ptr::copy_nonoverlapping(block, moved, layout.size()) };
        }
        moved
    }
}
