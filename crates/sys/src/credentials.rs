// SPDX-License-Identifier: ISC
//! Who this process is and what it may: user, groups, capabilities, priority. Used to start a service.
//!
//! Each call changes the calling thread; the program has one.
#![allow(unsafe_code)]

use crate::{Result, raw};
use rustix::fs::{Gid, Uid};

/// Sets real, effective and saved user to this one.
#[doc(alias = "setresuid")]
pub fn set_user(user: u32) -> Result<()> {
    let user = Uid::from_raw(user);
    call!(rustix::thread::set_thread_res_uid(user, user, user))
}

/// Sets real, effective and saved group to this one.
#[doc(alias = "setresgid")]
pub fn set_group(group: u32) -> Result<()> {
    let group = Gid::from_raw(group);
    call!(rustix::thread::set_thread_res_gid(group, group, group))
}

/// Sets the supplementary groups.
#[doc(alias = "setgroups")]
pub fn set_groups(groups: &[u32]) -> Result<()> {
    crate::fault::enter()?;
    let at = groups.as_ptr().expose_provenance();
    // SAFETY: the kernel reads that many numbers of 32 bits there.
    unsafe { raw::syscall6(SETGROUPS, groups.len(), at, 0, 0, 0, 0) }?;
    Ok(())
}

// 32-bit ARM's first setgroups takes numbers of 16 bits.
#[cfg(not(target_arch = "arm"))]
const SETGROUPS: u32 = raw::nr::__NR_setgroups;
#[cfg(target_arch = "arm")]
const SETGROUPS: u32 = raw::nr::__NR_setgroups32;

/// Sets the nice value, -20 (first) to 19 (last).
#[doc(alias = "setpriority")]
pub fn set_nice(nice: i32) -> Result<()> {
    call!(rustix::process::setpriority_process(None, nice))
}

/// prctl(2) with plain numbers.
fn prctl(option: u32, a: usize, b: usize) -> Result<usize> {
    crate::fault::enter()?;
    // SAFETY: the options below take numbers, no memory.
    unsafe { raw::syscall6(raw::nr::__NR_prctl, option as usize, a, b, 0, 0, 0) }
}

// include/uapi/linux/prctl.h
const PR_SET_KEEPCAPS: u32 = 8;
const PR_CAPBSET_READ: u32 = 23;
const PR_CAPBSET_DROP: u32 = 24;
const PR_SET_NO_NEW_PRIVS: u32 = 38;
const PR_CAP_AMBIENT: u32 = 47;
const PR_CAP_AMBIENT_RAISE: usize = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;

/// No exec will ever give more rights than the process has.
pub fn set_no_new_privileges() -> Result<()> {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0).map(|_| ())
}

/// Whether the permitted capabilities outlive the change to another user.
pub fn set_keep_capabilities(keep: bool) -> Result<()> {
    prctl(PR_SET_KEEPCAPS, usize::from(keep), 0).map(|_| ())
}

/// Whether the bounding set holds this capability; `EINVAL` when the kernel does not know it.
pub fn is_in_bounding_set(capability: u8) -> Result<bool> {
    prctl(PR_CAPBSET_READ, usize::from(capability), 0).map(|held| held == 1)
}

/// Takes a capability out of the bounding set, for ever.
pub fn drop_from_bounding_set(capability: u8) -> Result<()> {
    prctl(PR_CAPBSET_DROP, usize::from(capability), 0).map(|_| ())
}

/// Empties the ambient set: what an exec of an ordinary program keeps.
pub fn clear_ambient() -> Result<()> {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0).map(|_| ())
}

/// Adds a capability to the ambient set; it must be permitted and inheritable.
pub fn raise_ambient(capability: u8) -> Result<()> {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, usize::from(capability)).map(|_| ())
}

/// `struct __user_cap_header_struct`, include/uapi/linux/capability.h
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`: the lower 32 capabilities in the first, the others in the second.
#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`
const CAP_VERSION: u32 = 0x2008_0522;

/// Sets the effective, permitted and inheritable capabilities to these: bit n is capability n.
#[doc(alias = "capset")]
pub fn set_capabilities(set: u64) -> Result<()> {
    let header = CapHeader { version: CAP_VERSION, pid: 0 };
    let data = [set as u32, (set >> 32) as u32].map(|half| CapData {
        effective: half,
        permitted: half,
        inheritable: half,
    });
    crate::fault::enter()?;
    let (header, data) = ((&raw const header).expose_provenance(), (&raw const data).expose_provenance());
    // SAFETY: the kernel reads one header and, for this version, two data records; both live until the call returns.
    unsafe { raw::syscall6(raw::nr::__NR_capset, header, data, 0, 0, 0, 0) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounding_set_ends_at_a_capability_the_kernel_does_not_know() {
        assert!(is_in_bounding_set(0).is_ok());
        assert_eq!(is_in_bounding_set(63), Err(crate::Errno::INVAL));
    }

    #[test]
    fn no_new_privileges_can_be_set_by_anyone() {
        std::thread::spawn(|| assert_eq!(set_no_new_privileges(), Ok(()))).join().unwrap();
    }
}
