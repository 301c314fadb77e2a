// SPDX-License-Identifier: ISC
//! `cargo xtask boot-test`: what a boot must do, on each architecture, in QEMU.

use crate::arch::{self, Arch};
use crate::command::{Outcome, target};
use crate::demo::{LIMIT, Router};
use crate::qemu::{self, Images, Root, Run};
use std::path::{Path, PathBuf};

const HELP: &str = "\
cargo xtask boot-test [ARCH...|all] [--only TEST]
Boots each architecture in QEMU and looks at what it does. Needs target/dist/ARCH/skeg (built where it is missing).
";

/// A test: its name, and its code.
struct Test(&'static str, Root, fn(&Arch, &Images) -> Outcome<String>);

static TESTS: &[Test] = &[
    Test("serves, heals and powers off", Root::Router, serves),
    Test("passes broken images over", Root::Router, broken_images),
    Test("without an image: a message and a restart", Root::NoImage, no_image),
    Test("without an image: a rescue shell for who answers", Root::NoImage, rescue_shell),
    Test("without a root: a message and a restart", Root::NoImage, no_root),
];

/// `cargo xtask boot-test`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let (mut archs, mut only) = (Vec::new(), None);
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("help") | Short('h') => {
                print!("{HELP}");
                TESTS.iter().for_each(|test| println!("  {}", test.0));
                return Ok(());
            }
            Long("only") => {
                only = Some(args.value().map_err(|e| e.to_string())?.to_string_lossy().into_owned())
            }
            Value(name) => archs.extend(arch::named(&name.to_string_lossy())?),
            other => return Err(format!("boot-test: {} (see --help)", other.unexpected())),
        }
    }
    if archs.is_empty() {
        archs.extend(&arch::ALL);
    }
    let mut failed = 0;
    for arch in archs {
        failed += on(arch, only.as_deref())?;
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} boot tests failed")) }
}

/// All tests on one architecture; how many failed.
fn on(arch: &Arch, only: Option<&str>) -> Outcome<u32> {
    crate::dist::build(arch, false, None)?;
    let mut failed = 0;
    for Test(name, root, code) in TESTS.iter().filter(|test| only.is_none_or(|part| test.0.contains(part))) {
        match qemu::build_root(arch, *root).and_then(|images| code(arch, &images)) {
            Ok(fact) => println!("{}: {name}: ok {fact}", arch.name),
            Err(why) => {
                failed += 1;
                println!("{}: {name}: FAILED: {why}", arch.name);
            }
        }
    }
    Ok(failed)
}

fn serves(arch: &Arch, images: &Images) -> Outcome<String> {
    let router = Router::boot(arch, images, "", |_| ())?;
    let page = router.page()?;
    if page.services.len() < 30 {
        return Err(format!("only {} services on the page", page.services.len()));
    }
    // What is not in `default` is down.
    let down: Vec<_> = page.services.iter().filter(|s| s.state != "up").map(|s| s.name.as_str()).collect();
    if down != ["console"] {
        return Err(format!("down: {down:?}"));
    }
    router.kill("syslogd", &page)?;
    let summary = router.summary.clone();
    router.power_off(|_| ())?;
    Ok(format!("({} services; {summary})", page.services.len()))
}

/// A data partition whose `current` is no image and whose `previous` is cut short.
fn broken_images(arch: &Arch, images: &Images) -> Outcome<String> {
    let folder = scratch(arch)?;
    let whole = std::fs::read(folder.join("router.image")).map_err(|e| e.to_string())?;
    let half = whole.get(..whole.len() / 2).unwrap_or_default();
    let data = qemu::data_partition(
        &folder,
        &[("current", b"not an image at all".repeat(100).as_slice()), ("previous", half)],
    )?;
    let how =
        Run { append: "skeg.data=/dev/vdb,squashfs".into(), drives: vec![(data, true)], ..Run::default() };
    let router = Router::boot_with(arch, images, how, |_| ())?;
    for text in [
        "passing over /data/current: it is no image",
        "passing over /data/previous: it is cut short",
        "(image /etc/s6-rc/compiled)",
    ] {
        if !router.guest.has_said(text) {
            return Err(router.guest.complaint(&format!("'{text}' was not said")));
        }
    }
    router.power_off(|_| ()).map(|()| String::new())
}

fn no_image(arch: &Arch, images: &Images) -> Outcome<String> {
    let how = Run { append: "skeg.rescue-timeout=2".into(), ..Run::default() };
    ends_with_a_restart(arch, images, &how, &["no image that works", "nobody answered"])
}

fn no_root(arch: &Arch, images: &Images) -> Outcome<String> {
    let images = Images { root: None, kernel: images.kernel.clone(), initramfs: images.initramfs.clone() };
    let how = Run { append: "root=/dev/nonesuch skeg.rescue-timeout=1".into(), ..Run::default() };
    ends_with_a_restart(
        arch,
        &images,
        &how,
        &["waited in vain for /dev/nonesuch", "there is no root file system"],
    )
}

/// The machine says these things and starts again (which ends QEMU), without a kernel panic.
fn ends_with_a_restart(arch: &Arch, images: &Images, how: &Run, texts: &[&str]) -> Outcome<String> {
    let mut guest = qemu::start(arch, images, how)?;
    let code = guest.wait_end(LIMIT, |_| ())?;
    for text in texts {
        if !guest.has_said(text) {
            return Err(guest.complaint(&format!("'{text}' was not said")));
        }
    }
    if guest.has_said("Kernel panic") || code != 0 {
        return Err(guest.complaint(&format!("QEMU ended with {code}")));
    }
    Ok(String::new())
}

fn rescue_shell(arch: &Arch, images: &Images) -> Outcome<String> {
    let mut guest =
        qemu::start(arch, images, &Run { append: "skeg.rescue-timeout=60".into(), ..Run::default() })?;
    guest.wait_for("press Enter for a rescue shell", LIMIT, |_| ())?;
    guest.type_line("")?;
    // The answer, not the echo of the question.
    guest.type_line("echo rescued-$((6 * 7))")?;
    guest.wait_for("rescued-42", LIMIT, |_| ())?;
    guest.type_line("exit")?;
    match guest.wait_end(LIMIT, |_| ())? {
        0 if !guest.has_said("Kernel panic") => Ok(String::new()),
        code => Err(guest.complaint(&format!("QEMU ended with {code}"))),
    }
}

fn scratch(arch: &Arch) -> Outcome<PathBuf> {
    let folder = target().join("qemu").join(arch.name);
    if Path::new(&folder).is_dir() { Ok(folder) } else { Err(format!("{}: not there", folder.display())) }
}
