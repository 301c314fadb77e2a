// SPDX-License-Identifier: ISC
//! The names of limits and capabilities, as the kernel's headers have them, in lower case and without prefix.

use sys::process::Resource;

/// Limits: `RLIMIT_*` of getrlimit(2).
const LIMITS: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// Capabilities in the order of their numbers: include/uapi/linux/capability.h.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The limit of this name.
pub fn limit(name: &[u8]) -> Option<Resource> {
    LIMITS.iter().find(|(n, _)| n.as_bytes() == name).map(|(_, resource)| *resource)
}

/// The name of a limit.
pub fn limit_name(resource: Resource) -> &'static str {
    LIMITS.iter().find(|(_, r)| *r as u32 == resource as u32).map_or("?", |(name, _)| name)
}

/// The number of the capability of this name, in either case, with or without `cap_`.
pub fn capability(name: &[u8]) -> Option<u8> {
    let short = match name.split_at_checked(4) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(b"cap_") => rest,
        _ => name,
    };
    CAPABILITIES.iter().position(|n| n.as_bytes().eq_ignore_ascii_case(short)).map(|n| n as u8)
}

/// The name of a capability.
pub fn capability_name(number: u8) -> &'static str {
    CAPABILITIES.get(usize::from(number)).copied().unwrap_or("?")
}
