// SPDX-License-Identifier: ISC
//! Whether this machine can apply what an image asks for, before it is put in force.
//!
//! What can't change while the machine runs is refused: rights, the kernel's abilities, settings that this skeg does not know.
//! A name that is not in /etc/passwd yet is only told, since a oneshot may bring it.

use super::identity::{self, Identity};
use super::{Service, cgroup, decode, read_file};
use db::{Db, Flags, RUN, SCRIPT};
use source::process::Settings;

/// Says what can't be applied; whether everything can.
pub fn all(applet: &[u8], db: Db<'_>) -> bool {
    let mut good = true;
    for id in db.services().filter(|id| db.flags(*id).has(Flags::SETTINGS)) {
        for file in db.files(id) {
            let settings = match file.bytes.strip_prefix(SCRIPT) {
                Some(words) => words.split(|b| *b == 0).next().unwrap_or_default(),
                None if file.bytes.starts_with(RUN) => file.bytes,
                None => continue,
            };
            let service = Service { applet, name: db.name(id) };
            good &= decode(service, settings).and_then(|settings| one(service, &settings)).is_ok();
        }
    }
    good
}

fn one(service: Service<'_>, settings: &Settings<'_>) -> Result<(), u8> {
    if sys::process::ids().0 != 0 {
        let setting = match settings {
            Settings { user: Some(_), .. } => "user",
            Settings { groups: Some(_), .. } => "groups",
            Settings { capabilities: Some(_), .. } => "capabilities",
            _ => "",
        };
        if !setting.is_empty() {
            return Err(service.refuse(setting, "only a tree of root's can", b""));
        }
    }
    if settings.cgroup.is_some()
        && let Ok(kinds) = read_file(c"/proc/filesystems")
        && !kinds.split(u8::is_ascii_whitespace).any(|kind| kind == b"cgroup2")
    {
        return Err(service.refuse("cgroup", "this kernel has no cgroup2", b""));
    }
    if let Some(cgroup) = &settings.cgroup {
        cgroup::can_have(service, cgroup)?;
    }
    identity::can_have(service, settings.capabilities.unwrap_or(0))?;
    let _ = Identity::resolve(service, settings);
    Ok(())
}
