// SPDX-License-Identifier: ISC
//! `cargo xtask boot-test`: what a boot must do, on each architecture, in QEMU.

mod installed;
mod limits;
mod stop;

use crate::arch::{self, Arch};
use crate::command::{Outcome, target};
use crate::demo::{BOOT_LIMIT, LIMIT, Router, UP};
use crate::dist::Variant;
use crate::qemu::{self, Drive, Guest, Images, Root, Run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const HELP: &str = "\
cargo xtask boot-test [ARCH...|all] [--only TEST] [--built]
Boots each architecture in QEMU and looks at what it does. Needs target/dist/ARCH/skeg (built where it is missing).
Tests of data partitions, of trials and of ways to stop run on x86_64 alone.

  --only TEST  those whose name has this in it
  --built      take target/dist/ARCH/skeg as it is
";

/// A test: its name, its root, its code, whether it runs on every architecture.
struct Test {
    name: &'static str,
    root: Root,
    code: fn(&Arch, &Images) -> Outcome<String>,
    everywhere: bool,
}

const fn everywhere(name: &'static str, root: Root, code: fn(&Arch, &Images) -> Outcome<String>) -> Test {
    Test { name, root, code, everywhere: true }
}

const fn once(name: &'static str, code: fn(&Arch, &Images) -> Outcome<String>) -> Test {
    Test { name, root: Root::Small, code, everywhere: false }
}

static TESTS: &[Test] = &[
    everywhere("serves, heals and powers off", Root::Router, serves),
    Test { name: "serves without the compiler", root: Root::NoCompiler, code: serves, everywhere: false },
    everywhere("passes broken images over", Root::Router, broken_images),
    everywhere("without an image: a message and a restart", Root::NoImage, no_image),
    everywhere("without an image: a rescue shell for who answers", Root::NoImage, rescue_shell),
    everywhere("without a root: a message and a restart", Root::NoImage, no_root),
    Test {
        name: "a root that is no path is refused at once",
        root: Root::NoImage,
        code: no_path,
        everywhere: false,
    },
    everywhere("a cgroup limits its service, and its stop empties it", Root::Small, limits::cgroup),
    Test { name: "all that can be killed is", root: Root::Router, code: stop::killed, everywhere: false },
    once("Ctrl-Alt-Del stops the services and starts again", stop::ctrl_alt_del),
    once("SIGPWR powers off", stop::power_signal),
    once("halt halts", stop::halt),
    once("a start under way is interrupted", stop::interrupted),
    once("a command that hangs is interrupted", stop::held),
    once("with /run full and an update cut short poweroff powers off in order", stop::full),
    once("poweroff -f keeps what was written", installed::forced),
    once("an image of another format is passed over", installed::other_format),
    once("FAT is refused", installed::fat),
    Test { name: "only signed images boot", root: Root::Signed, code: installed::signed, everywhere: false },
    once("a trial: passed, failed, hung and cut", installed::trials),
];

/// `cargo xtask boot-test`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let (mut archs, mut only, mut built) = (Vec::new(), None, false);
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("help") | Short('h') => {
                print!("{HELP}");
                TESTS.iter().for_each(|test| println!("  {}", test.name));
                return Ok(());
            }
            Long("built") => built = true,
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
        failed += on(arch, only.as_deref(), built)?;
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} boot tests failed")) }
}

/// All tests on one architecture; how many failed.
fn on(arch: &Arch, only: Option<&str>, built: bool) -> Outcome<u32> {
    if !built {
        crate::dist::build(arch, Variant::DEVICE, None)?;
        if arch.name == "x86_64" {
            crate::dist::build(arch, Variant::NO_COMPILER, None)?;
        }
    }
    let (mut failed, mut roots) = (0, BTreeMap::new());
    let here = |test: &&Test| test.everywhere || arch.name == "x86_64";
    for test in TESTS.iter().filter(here).filter(|test| only.is_none_or(|part| test.name.contains(part))) {
        let start = Instant::now();
        let images = match roots.get(&test.root) {
            Some(images) => Images::clone(images),
            None => qemu::build_root(arch, test.root)?,
        };
        roots.insert(test.root, images.clone());
        let took = |start: Instant| start.elapsed().as_secs_f32();
        match (test.code)(arch, &images) {
            Ok(fact) => println!("{}: {}: ok {fact} ({:.1} s)", arch.name, test.name, took(start)),
            Err(why) => {
                failed += 1;
                println!("{}: {}: FAILED ({:.1} s): {why}", arch.name, test.name, took(start));
            }
        }
    }
    Ok(failed)
}

/// A machine with the small root, at the shell of its console, with its bundle up.
pub fn small(arch: &Arch, images: &Images, how: &Run) -> Outcome<Guest> {
    let mut guest = qemu::start(arch, images, how)?;
    guest.wait_for(UP, BOOT_LIMIT, |_| ())?;
    at_shell(&mut guest)?;
    Ok(guest)
}

/// Waits for the shell of the console, which may have come before.
fn at_shell(guest: &mut Guest) -> Outcome {
    if !guest.has_said(GREETING) {
        guest.wait_for(GREETING, LIMIT, |_| ())?;
    }
    guest.must("true", LIMIT).map(|_| ())
}

/// Whether the shell of the console comes within this time, or has come.
pub fn greets(guest: &mut Guest, limit: Duration) -> bool {
    guest.has_said(GREETING) || guest.wait_for(GREETING, limit, |_| ()).is_ok()
}

/// What the shell of the console begins with.
const GREETING: &str = "skeg router: ";

/// QEMU ends by itself, well, and these things have been said.
fn ends_well(guest: &mut Guest, texts: &[&str]) -> Outcome<String> {
    match guest.wait_end(BOOT_LIMIT, |_| ())? {
        0 => has_said(guest, texts).map(|()| String::new()),
        code => Err(guest.complaint(&format!("QEMU ended with {code}"))),
    }
}

/// All of these have been said, and the kernel did not panic.
pub fn has_said(guest: &Guest, texts: &[&str]) -> Outcome {
    if let Some(text) = texts.iter().find(|text| !guest.has_said(text)) {
        return Err(guest.complaint(&format!("'{text}' was not said")));
    }
    if guest.has_said("Kernel panic") {
        return Err(guest.complaint("the kernel panicked"));
    }
    Ok(())
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
    let whole = std::fs::read(qemu::compile_router(&folder)?).map_err(|e| e.to_string())?;
    let half = whole.get(..whole.len() / 2).unwrap_or_default();
    let data = qemu::data_partition(
        &folder,
        &[("current", b"not an image at all".repeat(100).as_slice()), ("previous", half)],
    )?;
    let how = Run {
        append: "skeg.data=/dev/vdb,squashfs".into(),
        drives: vec![Drive::fixed(data)],
        ..Run::default()
    };
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

fn no_path(arch: &Arch, images: &Images) -> Outcome<String> {
    let images = Images { root: None, ..images.clone() };
    let append = "rootwait root=UUID=0a3407de-014b-458b-b5c1-848e92a327a3 skeg.rescue-timeout=1".into();
    let start = Instant::now();
    let done = ends_with_a_restart(
        arch,
        &images,
        &Run { append, ..Run::default() },
        &["no device: UUID=0a3407de", "only paths are understood", "there is no root file system"],
    )?;
    // With `rootwait` it would wait for a minute.
    if start.elapsed() > Duration::from_secs(60) { Err("it has waited".into()) } else { Ok(done) }
}

/// The machine says these things and starts again (which ends QEMU), without a kernel panic.
fn ends_with_a_restart(arch: &Arch, images: &Images, how: &Run, texts: &[&str]) -> Outcome<String> {
    ends_well(&mut qemu::start(arch, images, how)?, texts)
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
    ends_well(&mut guest, &[])
}

fn scratch(arch: &Arch) -> Outcome<PathBuf> {
    let folder = target().join("qemu").join(arch.name);
    if Path::new(&folder).is_dir() { Ok(folder) } else { Err(format!("{}: not there", folder.display())) }
}
