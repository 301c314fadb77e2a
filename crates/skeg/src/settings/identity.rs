// SPDX-License-Identifier: ISC
//! User, groups and capabilities: first looked up, then taken on, in the order in which the kernel allows it.

use super::{Service, read_file};
use alloc::vec::Vec;
use core::ffi::CStr;
use source::process::host::{Account, find_account, find_group, groups_of, parse_id};
use source::process::{Settings, User, capability_name};
use sys::Errno;
use sys::credentials;

const PASSWD: &CStr = c"/etc/passwd";
const GROUP: &CStr = c"/etc/group";

/// Numbers for every name.
pub struct Identity {
    /// User and group.
    user: Option<(u32, u32)>,
    groups: Option<Vec<u32>>,
    capabilities: Option<u64>,
}

impl Identity {
    /// Looks every name up.
    pub fn resolve(service: Service<'_>, settings: &Settings<'_>) -> Result<Self, u8> {
        let mut identity = Self { user: None, groups: None, capabilities: settings.capabilities };
        if settings.user.is_none() && settings.groups.is_none() {
            return Ok(identity);
        }
        // A device may do without them as long as numbers say it all.
        let read = |setting: &str, path: &CStr| match read_file(path) {
            Err(Errno::NOENT) => Ok(Vec::new()),
            other => other.map_err(|e| service.failed(setting, "%", path.to_bytes(), e)),
        };
        let groups = read("groups", GROUP)?;
        if let Some(user) = &settings.user {
            let passwd = read("user", PASSWD)?;
            let account = find_account(&passwd, user.user);
            identity.user = Some(ids(service, user, account, &groups)?);
            if settings.groups.is_none() {
                let name = account.map_or(user.user, |a| a.name);
                identity.groups = Some(groups_of(&groups, name));
            }
        }
        if let Some(names) = &settings.groups {
            let mut list = Vec::new();
            for name in names {
                list.push(group_id(service, "groups", name, &groups)?);
            }
            identity.groups = Some(list);
        }
        Ok(identity)
    }

    /// Takes it on. The bounding set first, as that needs a right that goes with the user; what is kept, last.
    pub fn take(&self, service: Service<'_>) -> Result<(), u8> {
        if let Some(set) = self.capabilities {
            bound(service, set)?;
            credentials::set_keep_capabilities(true)
                .map_err(|e| service.failed("capabilities", "prctl", b"", e))?;
        }
        if let Some(groups) = &self.groups {
            credentials::set_groups(groups).map_err(|e| service.failed("groups", "setgroups", b"", e))?;
        }
        if let Some((user, group)) = self.user {
            credentials::set_group(group).map_err(|e| service.failed("user", "setresgid", b"", e))?;
            credentials::set_user(user).map_err(|e| service.failed("user", "setresuid", b"", e))?;
        }
        match self.capabilities {
            Some(set) => keep(set).map_err(|e| service.failed("capabilities", "capset", b"", e)),
            None => Ok(()),
        }
    }
}

/// User and group as numbers.
fn ids(
    service: Service<'_>,
    user: &User<'_>,
    account: Option<Account<'_>>,
    groups: &[u8],
) -> Result<(u32, u32), u8> {
    let id = account.map(|a| a.user).or(parse_id(user.user));
    let Some(id) = id else {
        return Err(service.refuse("user", "'%' is not in /etc/passwd", user.user));
    };
    let group = match (user.group, account) {
        (Some(name), _) => group_id(service, "user", name, groups)?,
        (None, Some(account)) => account.group,
        (None, None) => {
            let why = "user % is not in /etc/passwd, so its group must be given: %:GROUP";
            return Err(service.refuse("user", why, user.user));
        }
    };
    Ok((id, group))
}

fn group_id(service: Service<'_>, setting: &str, name: &[u8], groups: &[u8]) -> Result<u32, u8> {
    find_group(groups, name)
        .ok_or_else(|| service.refuse(setting, "the group '%' is not in /etc/group", name))
}

/// Refuses capabilities that the kernel does not know or the supervisor has given up.
pub fn can_have(service: Service<'_>, set: u64) -> Result<(), u8> {
    for capability in (0..64).filter(|n| set & (1 << n) != 0) {
        let name = capability_name(capability);
        let why = match credentials::is_in_bounding_set(capability) {
            Ok(true) => continue,
            Ok(false) => "the supervisor itself may not have %",
            Err(_) => "this kernel has no %",
        };
        return Err(service.refuse("capabilities", why, name));
    }
    Ok(())
}

/// Takes all others out of the bounding set.
fn bound(service: Service<'_>, set: u64) -> Result<(), u8> {
    can_have(service, set)?;
    for capability in (0..64).filter(|n| set & (1 << n) == 0) {
        // Beyond the last one that the kernel knows there is nothing to give up.
        if credentials::is_in_bounding_set(capability) == Ok(true) {
            let name = capability_name(capability);
            credentials::drop_from_bounding_set(capability)
                .map_err(|e| service.failed("capabilities", "give up %", name, e))?;
        }
    }
    Ok(())
}

/// Keeps exactly these, also over an exec.
fn keep(set: u64) -> sys::Result<()> {
    credentials::set_capabilities(set)?;
    credentials::clear_ambient()?;
    (0..64).filter(|n| set & (1 << n) != 0).try_for_each(credentials::raise_ambient)
}
