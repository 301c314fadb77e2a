// SPDX-License-Identifier: ISC
//! Mappings: a file to read, a memory file that processes share.
#![allow(unsafe_code)]

use crate::{AsFd, AsRawFd, BorrowedFd, Errno, OwnedFd, Result, raw};
use core::ptr::NonNull;
use core::sync::atomic::AtomicU8;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A file's bytes, mapped read-only and private.
///
/// The file must not be cut while it is mapped (the kernel then sends SIGBUS): images are never changed in
/// place, they are replaced by a rename.
pub struct MappedFile {
    /// Invariant: a readable mapping of `len` bytes that only `drop` takes away; dangling when `len` is 0.
    start: NonNull<u8>,
    len: usize,
}

impl MappedFile {
    /// Maps `len` bytes of a file from its start.
    pub fn new(fd: impl AsFd, len: usize) -> Result<Self> {
        if len == 0 {
            return Ok(Self { start: NonNull::dangling(), len });
        }
        crate::fault::enter()?;
        // Not populated at once: the kernel maps some pages around each that is touched, and a question touches few.
        // SAFETY: a new private mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { mmap(core::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, fd, 0) }?;
        Ok(Self { start: NonNull::new(start.cast()).ok_or(Errno::FAULT)?, len })
    }

    /// The bytes.
    pub const fn bytes(&self) -> &[u8] {
        // SAFETY: by the invariant; the pages are private and nobody writes them.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, mapped until the process ends.
    pub fn leak(self) -> &'static [u8] {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: by the invariant; `drop` never runs, so the mapping stays.
        unsafe { core::slice::from_raw_parts(this.start.as_ptr(), this.len) }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: by the invariant this is our mapping, and no borrow of it outlives `self`.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        }
    }
}

/// Memory that processes share, and that outlives each of them while one holds its descriptor.
///
/// It is seen as atomic bytes, words and arrays of them, since another process may write at any time.
pub struct SharedMemory {
    /// Invariant: a readable and writable shared mapping of `len` bytes that is never taken away.
    start: NonNull<u8>,
    len: usize,
}

/// Types that may lie in shared memory: any bytes are a valid value and each access is atomic.
///
/// # Safety
/// `#[repr(C)]` of atomic integers and arrays of such types only; all-zero bytes and any others are valid.
pub unsafe trait Shared: Sync + 'static {}

// SAFETY: an atomic integer takes any bytes.
unsafe impl Shared for AtomicU8 {}
// SAFETY: an atomic integer takes any bytes.
unsafe impl Shared for core::sync::atomic::AtomicU16 {}
// SAFETY: an atomic integer takes any bytes.
unsafe impl Shared for core::sync::atomic::AtomicU32 {}
// SAFETY: an atomic integer takes any bytes.
unsafe impl Shared for core::sync::atomic::AtomicI32 {}
// SAFETY: an atomic integer takes any bytes.
#[cfg(target_has_atomic = "64")]
unsafe impl Shared for core::sync::atomic::AtomicU64 {}
// SAFETY: an array of such.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

/// Declares `#[repr(C)]` structures of shared types: each field's type must be [`Shared`] too.
#[macro_export]
macro_rules! shared_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        pub struct $name { $($(#[$fmeta])* pub $field: $type,)* }
        const _: () = { const fn is_shared<T: $crate::mm::Shared>() {} $(is_shared::<$type>();)* };
        // SAFETY: `repr(C)`, and each field's type was just required to be `Shared`.
        #[allow(unsafe_code)]
        unsafe impl $crate::mm::Shared for $name {}
    };
}

/// A new memory file of this many bytes, all zero; close-on-exec.
pub fn memory_file(name: &core::ffi::CStr, len: usize) -> Result<OwnedFd> {
    let fd = OwnedFd::from(call!(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC))?);
    crate::fs::ftruncate(&fd, len as u64)?;
    Ok(fd)
}

impl SharedMemory {
    /// Maps `len` bytes of a memory file, for as long as the process lives.
    pub fn map(fd: impl AsFd, len: usize) -> Result<Self> {
        crate::fault::enter()?;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe {
            mmap(core::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, fd, 0)
        }?;
        Ok(Self { start: NonNull::new(start.cast()).ok_or(Errno::FAULT)?, len })
    }

    /// The `index`th `T` of an array that begins `offset` bytes into the memory; none beyond its end or unaligned.
    pub fn at<T: Shared>(&self, offset: usize, index: usize) -> Option<&'static T> {
        let start = size_of::<T>().checked_mul(index)?.checked_add(offset)?;
        if start.checked_add(size_of::<T>())? > self.len || !start.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: start + size lies within the mapping, by the check above.
        let place = unsafe { self.start.as_ptr().add(start) };
        // SAFETY: in bounds and aligned (the mapping is page-aligned), never unmapped, and `T: Shared` is valid for
        // any bytes and changed through atomics only.
        Some(unsafe { &*place.cast::<T>() })
    }
}

/// Reads from a descriptor straight into shared memory: once the call is over the bytes are there, even if the
/// process is killed before it learns how many. `into` should be zero before.
pub fn read_shared(fd: BorrowedFd<'_>, into: &[AtomicU8]) -> Result<usize> {
    crate::fault::enter()?;
    let (at, len) = (into.as_ptr().expose_provenance(), into.len());
    // SAFETY: the kernel writes at most `len` bytes there; they are atomics, so others may look at any time.
    unsafe { raw::syscall6(raw::nr::__NR_read, fd.as_raw_fd() as usize, at, len, 0, 0, 0) }
}

/// Private memory of this process, all zero, for as long as it lives: a page of it exists once it is touched. For the large
/// buffers of processes that must not allocate.
pub fn scratch(len: usize) -> Result<&'static mut [u8]> {
    crate::fault::enter()?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let start =
        unsafe { rustix::mm::mmap_anonymous(core::ptr::null_mut(), len, protection, MapFlags::PRIVATE) }?;
    // SAFETY: a fresh mapping of `len` zero bytes that is never taken away, and this is the only reference to it.
    Ok(unsafe { core::slice::from_raw_parts_mut(start.cast(), len) })
}

/// Owned descriptors by index, in one private mapping that is made once: pages that are never used cost nothing.
/// A forked process has a copy, with the same descriptors.
pub struct FdTable {
    /// Invariant: a private mapping of `len` integers that is never taken away: 0 for none, else a descriptor that
    /// this table owns, plus 1.
    start: NonNull<i32>,
    len: usize,
}

impl FdTable {
    /// An empty table of this many places.
    pub fn new(len: usize) -> Result<Self> {
        let bytes = len.checked_mul(size_of::<i32>()).ok_or(Errno::NOMEM)?.max(1);
        crate::fault::enter()?;
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { rustix::mm::mmap_anonymous(core::ptr::null_mut(), bytes, access, flags) }?;
        Ok(Self { start: NonNull::new(start.cast()).ok_or(Errno::FAULT)?, len })
    }

    fn place(&self, index: usize) -> Option<*mut i32> {
        // SAFETY: the index is below the length of the mapping.
        (index < self.len).then(|| unsafe { self.start.as_ptr().add(index) })
    }

    fn number(&self, index: usize) -> Option<i32> {
        // SAFETY: in bounds, aligned and initialised (a fresh mapping is zero).
        let value = unsafe { self.place(index)?.read() };
        (value > 0).then(|| value - 1)
    }

    /// The descriptor at this index.
    pub fn get(&self, index: usize) -> Option<BorrowedFd<'_>> {
        // SAFETY: the table owns it, and only `take`, which needs `&mut self`, gives it away.
        self.number(index).map(|number| unsafe { BorrowedFd::borrow_raw(number) })
    }

    /// Takes the descriptor at this index out.
    pub fn take(&mut self, index: usize) -> Option<OwnedFd> {
        use crate::FromRawFd;
        let number = self.number(index)?;
        // SAFETY: in bounds and aligned, and nobody else has it (`&mut self`).
        unsafe { self.place(index)?.write(0) };
        // SAFETY: the table owned it, and has just forgotten it.
        Some(unsafe { OwnedFd::from_raw_fd(number) })
    }

    /// Puts a descriptor at this index; the one that was there is closed. `EINVAL` beyond the end.
    pub fn put(&mut self, index: usize, fd: OwnedFd) -> Result<()> {
        use crate::IntoRawFd;
        drop(self.take(index));
        let place = self.place(index).ok_or(Errno::INVAL)?;
        // SAFETY: in bounds and aligned, and nobody else has it (`&mut self`).
        unsafe { place.write(fd.into_raw_fd() + 1) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_owns_its_descriptors() {
        let mut table = FdTable::new(3).unwrap();
        let (a, b) = crate::fs::pipe(rustix::pipe::PipeFlags::empty()).unwrap();
        table.put(0, a).unwrap();
        table.put(2, b).unwrap();
        assert!(table.get(1).is_none());
        assert!(table.put(3, crate::event::eventfd().unwrap()).is_err());
        crate::fs::write(table.get(2).unwrap(), b"x").unwrap();
        drop(table.take(2));
        let mut buf = [0; 4];
        assert_eq!(crate::fs::read(table.get(0).unwrap(), &mut buf), Ok(1));
        assert_eq!(crate::fs::read(table.get(0).unwrap(), &mut buf), Ok(0), "the other end was closed");
    }
}
