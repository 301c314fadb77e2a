// SPDX-License-Identifier: ISC
//! The names of limits and capabilities, as the kernel's headers have them, in lower case and without prefix.

use sys::process::Resource;
use text::list;

/// Limits: `RLIMIT_*` of getrlimit(2).
const LIMITS: &str = "as core cpu data fsize locks memlock msgqueue nice nofile nproc \
    rss rtprio rttime sigpending stack";
/// What they stand for.
const RESOURCES: [Resource; 16] = [
    Resource::As,
    Resource::Core,
    Resource::Cpu,
    Resource::Data,
    Resource::Fsize,
    Resource::Locks,
    Resource::Memlock,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Nofile,
    Resource::Nproc,
    Resource::Rss,
    Resource::Rtprio,
    Resource::Rttime,
    Resource::Sigpending,
    Resource::Stack,
];

/// Capabilities in the order of their numbers: include/uapi/linux/capability.h.
const CAPABILITIES: &str = "\
    chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable \
    net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot \
    sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease \
    audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read \
    perfmon bpf checkpoint_restore";

/// The limit of this name.
pub fn limit(name: &[u8]) -> Option<Resource> {
    RESOURCES.get(list::place(name, LIMITS)?).copied()
}

/// The name of a limit.
pub fn limit_name(resource: Resource) -> &'static [u8] {
    list::at(LIMITS, RESOURCES.iter().position(|r| *r as u32 == resource as u32).unwrap_or(RESOURCES.len()))
}

/// The number of the capability of this name, in either case, with or without `cap_`.
pub fn capability(name: &[u8]) -> Option<u8> {
    let short = match name.split_at_checked(4) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(b"cap_") => rest,
        _ => name,
    };
    list::place_in_any_case(short, CAPABILITIES).map(|n| n as u8)
}

/// The name of a capability.
pub fn capability_name(number: u8) -> &'static [u8] {
    list::at(CAPABILITIES, usize::from(number))
}
