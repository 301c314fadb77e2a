// SPDX-License-Identifier: ISC
//! Boot tests: data partitions, installed images, trials.

use super::{BOOT_LIMIT, LIMIT, UP, at_shell, ends_well, has_said, scratch, small};
use crate::arch::Arch;
use crate::command::Outcome;
use crate::qemu::{self, Drive, Guest, Images, Run, Way};
use std::path::{Path, PathBuf};

/// The bytes of a small image.
fn image(arch: &Arch, label: &str, way: Way) -> Outcome<Vec<u8>> {
    let file = qemu::define(&scratch(arch)?, label, way)?;
    std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))
}

/// A run with this data partition.
fn with(data: &Path, append: &str) -> Run {
    Run {
        append: format!("skeg.data=/dev/vdb,ext4 {append}"),
        drives: vec![Drive::writable(data.to_path_buf())],
        ..Run::default()
    }
}

/// A data partition of this name.
fn partition(arch: &Arch, name: &str, files: &[(&str, &[u8])]) -> Outcome<PathBuf> {
    let data = scratch(arch)?.join(format!("{name}.data"));
    qemu::ext4(&data, files)?;
    Ok(data)
}

/// `poweroff -f` stops nothing, but loses nothing that was written.
pub fn forced(arch: &Arch, images: &Images) -> Outcome<String> {
    let data = partition(arch, "forced", &[("current", &image(arch, "one", Way::Good)?)])?;
    let mut guest = small(arch, images, &with(&data, ""))?;
    has_said(&guest, &["image one is starting", "(image /data/current)"])?;
    guest.must("echo kept-$((6 * 7)) > /data/note", LIMIT)?;
    guest.type_line("skeg poweroff -f")?;
    ends_well(&mut guest, &[])?;
    if guest.has_said("stopping all services") || guest.has_said("image one is undone") {
        return Err(guest.complaint("services were stopped"));
    }
    let mut guest = small(arch, images, &with(&data, ""))?;
    guest.must("cat /data/note", LIMIT)?;
    has_said(&guest, &["kept-42"])?;
    guest.type_line("poweroff")?;
    ends_well(&mut guest, &["skeg: power off"])
}

/// `current` is of a format that this skeg does not know: `previous` it is.
pub fn other_format(arch: &Arch, images: &Images) -> Outcome<String> {
    let mut newer = image(arch, "two", Way::Good)?;
    // The version, behind the magic: FORMAT.md.
    newer.get_mut(8..12).ok_or("a short image")?.copy_from_slice(&99u32.to_le_bytes());
    let files = [("current", newer.as_slice()), ("previous", &image(arch, "one", Way::Good)?)];
    let data = partition(arch, "format", &files)?;
    let mut guest = small(arch, images, &with(&data, ""))?;
    has_said(
        &guest,
        &[
            "passing over /data/current: it is of a format that this skeg does not know",
            "image one is starting",
            "(image /data/previous)",
        ],
    )?;
    guest.type_line("poweroff")?;
    ends_well(&mut guest, &["skeg: power off"])
}

/// An install on FAT is refused with the reason, and changes nothing.
pub fn fat(arch: &Arch, images: &Images) -> Outcome<String> {
    let data = scratch(arch)?.join("fat.data");
    qemu::fat(&data)?;
    let how = Run {
        append: "skeg.data=/dev/vdb,vfat".into(),
        drives: vec![Drive::writable(data)],
        ..Run::default()
    };
    let mut guest = small(arch, images, &how)?;
    guest.must("grep ' /data vfat rw' /proc/mounts", LIMIT)?;
    match guest.command("skeg install /etc/s6-rc/compiled", LIMIT)? {
        (111, _) => {}
        (code, _) => return Err(guest.complaint(&format!("an install on FAT ended with {code}"))),
    }
    has_said(&guest, &["/data is on FAT, which has no links and no atomic rename"])?;
    guest.must("test -z \"$(ls /data)\"", LIMIT)?;
    guest.type_line("poweroff")?;
    ends_well(&mut guest, &["skeg: power off"])
}

/// The root has a key: an image without its signature is neither booted nor installed.
pub fn signed(arch: &Arch, images: &Images) -> Outcome<String> {
    let (one, two) = (image(arch, "one", Way::Good)?, image(arch, "two", Way::Good)?);
    let sign = |image: &[u8]| [image, qemu::keys().sk.sign(image, None).as_ref()].concat();
    let two_signed = sign(&two);
    let files: [(&str, &[u8]); 4] =
        [("current", &two), ("previous", &sign(&one)), ("two.image", &two), ("two.signed", &two_signed)];
    let data = partition(arch, "signed", &files)?;
    let mut guest = small(arch, images, &with(&data, ""))?;
    let refused = "it is not signed by the key /etc/skeg/key";
    has_said(
        &guest,
        &[
            &format!("passing over /data/current: {refused}"),
            "image one is starting",
            "(image /data/previous)",
        ],
    )?;
    match guest.command("skeg install /data/two.image", LIMIT)? {
        (4, lines) if lines.iter().any(|line| line.contains(refused)) => {}
        (code, _) => return Err(guest.complaint(&format!("the install of an unsigned image: {code}"))),
    }
    install(&mut guest, "/data/two.signed")?;
    let mut guest = up(qemu::start(arch, images, &with(&data, ""))?, "two")?;
    has_said(&guest, &["(image /data/current)"])?;
    guest.type_line("poweroff")?;
    ends_well(&mut guest, &["skeg: power off"])
}

/// While a trial is under way, an install that has the lock and waits for somebody to read what it writes.
const HOLD: &[u8] = b"[ -e /data/trial ] || exit 0
mkfifo /data/images/.new
skeg install /data/fails.image &
until grep -q FLOCK /proc/locks; do sleep 0.1; done
(sleep 4; echo the lock will be free; cat /data/images/.new > /dev/null; rm -f /data/images/.new) &
";

/// One life of a partition: an image passes its trial, the next fails, one hangs until the power is cut, one hangs until its
/// time is over. Each time the image that passed comes back; when it is damaged as well, the root's own does.
pub fn trials(arch: &Arch, images: &Images) -> Outcome<String> {
    let (two, fails) = (image(arch, "two", Way::Holds)?, image(arch, "fails", Way::Fails)?);
    let (hangs, hook) =
        (image(arch, "hangs", Way::Hangs)?, b"#!/bin/sh\necho the hook of the data has run\n");
    let files: [(&str, &[u8]); 5] = [
        ("two.image", &two),
        ("fails.image", &fails),
        ("hangs.image", &hangs),
        ("hook", hook),
        ("hold", HOLD),
    ];
    let data = partition(arch, "trials", &files)?;
    let boot = |append: &str| qemu::start(arch, images, &with(&data, append));

    // The first one, without any to go back to but the root's own: it fails, and the root's own it is again.
    let mut guest = up(boot("")?, "own")?;
    install(&mut guest, "--trial 600 /data/fails.image")?;
    let texts = ["image fails is starting", "failed its trial: going back", "skeg: restart"];
    ends_well(&mut boot("")?, &texts)?;
    let mut guest = up(boot("")?, "own")?;
    has_said(&guest, &["(image /etc/s6-rc/compiled)"])?;

    // It passes; the hook that the command line names runs.
    install(&mut guest, "--trial 600 /data/two.image")?;
    let mut guest = boot("skeg.hook=/data/hook")?;
    guest.wait_for("the hook of the data has run", BOOT_LIMIT, |_| ())?;
    let mut guest = up(guest, "two")?;
    has_said(&guest, &["the installed image has passed its trial"])?;
    if !guest.has_said_in_order("the lock will be free", "the installed image has passed its trial") {
        return Err(guest.complaint("the trial ended while an install had the lock"));
    }
    guest.must("test ! -e /data/trial", LIMIT)?;

    // One that hangs, and the power goes while it does.
    install(&mut guest, "--trial 600 /data/hangs.image")?;
    let mut guest = boot("")?;
    guest.wait_for("image hangs is starting", BOOT_LIMIT, |_| ())?;
    guest.cut();
    let mut guest = boot("")?;
    guest.wait_for("the hook of the root has run", BOOT_LIMIT, |_| ())?;
    let mut guest = up(guest, "two")?;
    has_said(&guest, &["did not come up at the last boot: going back to the previous one"])?;
    guest.must("test ! -e /data/trial", LIMIT)?;

    // The same, and its time is over.
    install(&mut guest, "--trial 15 /data/hangs.image")?;
    let mut guest = boot("")?;
    ends_well(
        &mut guest,
        &["image hangs is starting", "failed its trial: going back", "image hangs is undone"],
    )?;
    if guest.has_said("what comes later has begun") || guest.has_said("the hook of") {
        return Err(guest.complaint("the start went on"));
    }
    let mut guest = up(boot("")?, "two")?;

    // It fails, and what it goes back to is damaged: nothing of the partition is taken any more.
    guest.must("skeg install --trial 600 /data/fails.image", LIMIT)?;
    guest.must("dd if=/dev/zero of=/data/previous bs=1 seek=200 count=9 conv=notrunc", LIMIT)?;
    guest.type_line("reboot")?;
    ends_well(&mut guest, &["skeg: restart"])?;
    ends_well(&mut boot("")?, &texts)?;
    let mut guest = up(boot("")?, "own")?;
    has_said(&guest, &["passing over /data/previous: it is damaged", "(image /etc/s6-rc/compiled)"])?;
    guest.must("test ! -L /data/current -a ! -e /data/trial", LIMIT)?;
    guest.type_line("poweroff")?;
    ends_well(&mut guest, &["skeg: power off"])
}

/// A boot that came up with this image.
fn up(mut guest: Guest, label: &str) -> Outcome<Guest> {
    if !guest.has_said(UP) {
        guest.wait_for(UP, BOOT_LIMIT, |_| ())?;
    }
    at_shell(&mut guest)?;
    has_said(&guest, &[&format!("image {label} is starting")])?;
    Ok(guest)
}

/// Installs an image, starts the machine again.
fn install(guest: &mut Guest, words: &str) -> Outcome {
    guest.must(&format!("skeg install {words}"), LIMIT)?;
    guest.type_line("reboot")?;
    ends_well(guest, &["skeg: restart"]).map(|_| ())
}
