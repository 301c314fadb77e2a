// SPDX-License-Identifier: ISC
//! What a name means on this device: /etc/passwd, /etc/group and the mount table, given as bytes. Pure.
//!
//! No name service, no directory: on a device the two files are all there is. A line that has not its fields is passed over.

use super::words;
use alloc::vec::Vec;

/// An entry of /etc/passwd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// The user's name.
    pub name: &'a [u8],
    /// The user's number.
    pub user: u32,
    /// The number of the group that it belongs to first.
    pub group: u32,
}

/// A number of a user or group; the highest one means "as it is" to the kernel and is no id.
pub fn parse_id(text: &[u8]) -> Option<u32> {
    text::parse_u64(text).ok().and_then(|id| u32::try_from(id).ok()).filter(|id| *id != u32::MAX)
}

fn account(line: &[u8]) -> Option<Account<'_>> {
    let mut fields = line.split(|b| *b == b':');
    let (name, _) = (fields.next()?, fields.next()?);
    Some(Account { name, user: parse_id(fields.next()?)?, group: parse_id(fields.next()?)? })
}

/// The first account of this name or, when `who` is a number, with this number.
pub fn find_account<'a>(passwd: &'a [u8], who: &[u8]) -> Option<Account<'a>> {
    let id = parse_id(who);
    let mut accounts = passwd.split(|b| *b == b'\n').filter_map(account);
    accounts.find(|a| id.map_or(a.name == who, |id| a.user == id))
}

fn group(line: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let mut fields = line.split(|b| *b == b':');
    let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
    Some((name, parse_id(id)?, fields.next().unwrap_or_default()))
}

/// The number of the group of this name; a number is taken as it is.
pub fn find_group(groups: &[u8], name: &[u8]) -> Option<u32> {
    if let Some(id) = parse_id(name) {
        return Some(id);
    }
    groups.split(|b| *b == b'\n').filter_map(group).find(|g| g.0 == name).map(|g| g.1)
}

/// The groups that list this user as a member.
pub fn groups_of(groups: &[u8], user: &[u8]) -> Vec<u32> {
    let mut found = Vec::new();
    for (_, id, members) in groups.split(|b| *b == b'\n').filter_map(group) {
        if members.split(|b| *b == b',').any(|m| m == user) {
            found.push(id);
        }
    }
    found
}

/// Where the cgroup2 hierarchy is mounted, from /proc/self/mountinfo: its own root if any mount shows it.
pub fn cgroup_mount(mountinfo: &[u8]) -> Option<Vec<u8>> {
    let mount = |line| {
        let mut fields = words(line);
        let (root, point) = (fields.nth(3)?, fields.next()?);
        // Optional fields up to a dash, then the type. Source: proc_pid_mountinfo(5).
        fields.by_ref().find(|f| *f == b"-")?;
        (fields.next() == Some(b"cgroup2")).then_some((root, point))
    };
    let mounts = || mountinfo.split(|b| *b == b'\n').filter_map(mount);
    let (_, point) = mounts().find(|(root, _)| *root == b"/").or_else(|| mounts().next())?;
    Some(unescape(point))
}

/// Blanks and backslashes of a path stand as three octal digits there.
fn unescape(path: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(path.len()), path);
    while let Some((first, after)) = rest.split_first() {
        let code =
            after.get(..3).filter(|_| *first == b'\\').and_then(|digits| text::parse_octal(digits).ok());
        match code {
            Some(code) => {
                bytes.push(code as u8);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nbroken\nwww:x:33:34::/:/bin/false\n# c:x:a:b\n";
    const GROUP: &[u8] = b"root:x:0:\nwww:x:34:\nvideo:x:44:me,www\naudio:x:45:www2\ntape:x:46:www";

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        let www = Account { name: b"www", user: 33, group: 34 };
        assert_eq!(find_account(PASSWD, b"www"), Some(www));
        assert_eq!(find_account(PASSWD, b"33"), Some(www));
        assert_eq!(find_account(PASSWD, b"broken"), None);
        assert_eq!(find_account(PASSWD, b"34"), None);
        assert_eq!(parse_id(b"4294967295"), None);
    }

    #[test]
    fn groups_are_found_by_name_and_by_member() {
        assert_eq!(find_group(GROUP, b"video"), Some(44));
        assert_eq!(find_group(GROUP, b"999"), Some(999));
        assert_eq!(find_group(GROUP, b"nobody"), None);
        assert_eq!(groups_of(GROUP, b"www"), [44, 46]);
    }

    #[test]
    fn the_mount_that_shows_the_whole_hierarchy_is_taken() {
        let table = b"22 1 0:20 / /proc rw - proc proc rw\n\
            30 1 0:25 /box /box rw,nosuid shared:4 - cgroup2 cgroup2 rw\n\
            31 1 0:25 / /sys/fs/my\\040cg rw shared:5 master:1 - cgroup2 none rw\n";
        assert_eq!(cgroup_mount(table).as_deref(), Some(&b"/sys/fs/my cg"[..]));
        assert_eq!(cgroup_mount(b"22 1 0:20 / /proc rw - proc proc rw\n"), None);
        assert_eq!(cgroup_mount(b"1 1 0:1 /x /y rw - cgroup2 c rw").as_deref(), Some(&b"/y"[..]));
    }
}
