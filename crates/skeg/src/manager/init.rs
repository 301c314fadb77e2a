// SPDX-License-Identifier: ISC
//! `s6-rc-init`: makes the live directory.

use super::open::lock;
use super::report::Reporter;
use crate::applet::{Call, SYSTEM, USAGE};
use crate::update::{ImageFile, link_target, real_path};
use core::ffi::CStr;
use engine::Image;
use live::{Access, Fault, Live, LiveError, Notes, Wait};
use run::init::{Made, Plan};
use run::{RunError, Trouble};

pub const OPTIONS: &str =
    "c=bootdb l=livedir p=prefix S=skeg t#timeout b/block -n/no-block d/dereference -N/no-dereference";

/// The scan directory, where the paths are fit.
fn check(call: &Call, image: &CStr, dereference: bool) -> Result<&'static CStr, u8> {
    let scandir = call.operand(t!("which scan directory?"))?;
    for (path, what) in [
        (scandir, t!("the scan directory '%' must be an absolute path")),
        (call.live(), t!("the live directory '%' must be an absolute path")),
        (if dereference { c"/" } else { image }, t!("the image '%' must be an absolute path")),
    ] {
        if !path.to_bytes().starts_with(b"/") {
            return Err(call.misused(what, path.to_bytes()));
        }
    }
    let prefix = call.value(b'p').unwrap_or_default().to_bytes();
    if prefix.iter().any(|b| matches!(b, b'/' | b'\n')) {
        return Err(call.misused(t!("a prefix can't have a slash or a newline"), b""));
    }
    if prefix.starts_with(b".") {
        return Err(call.misused(t!("a prefix can't begin with a dot: scanners skip such entries"), b""));
    }
    Ok(scandir)
}

pub fn main(call: &Call) -> Result<u8, u8> {
    crate::applet::bear_size_limit();
    let path = call.value(b'c').unwrap_or(super::COMPILED);
    let dereference = call.last(b"dN") == b'd';
    let scandir = check(call, path, dereference)?;
    let file = ImageFile::open(call, path)?;
    file.must_fit(call)?;
    let image = Image::new(file.db);
    let (own, real);
    let skeg = match call.value(b'S') {
        Some(path) => path,
        None => {
            own = link_target(c"/proc/self/exe")
                .map_err(|e| call.failed(t!("find this program's path (-S says it)"), b"", e))?;
            own.as_c()
        }
    };
    let compiled = if dereference {
        real = real_path(path).map_err(|e| call.failed(t!("resolve the path of %"), path.to_bytes(), e))?;
        real.as_c()
    } else {
        path
    };
    if call.block() != Wait::No && Live::open(call.live(), Access::Look, Wait::No).is_ok() {
        // Here it is known who holds it, and whether that waits for this very process.
        lock(call, call.live(), Access::Read, call.block())?;
    }
    let prefix = call.value(b'p').unwrap_or_default().to_bytes();
    let notes = Notes { compiled, scandir, prefix, skeg };
    let plan = Plan {
        live: call.live(),
        notes,
        source: file.source(),
        wait: call.block(),
        deadline: call.deadline(),
    };
    let mut warn = |lacking: (u16, &CStr)| warn_of(call, &image, lacking);
    let mut note = |note| Reporter::new(call.name, &image, 1, None).take(note);
    match run::init::init(&image, &plan, &mut warn, &mut note) {
        Ok(Made::New) => {}
        Ok(Made::NewBundles) => {
            call.say(t!("the bundles that s6-rc-bundle had edited are those of the image again"), b"");
        }
        Ok(Made::Already) => call.say(t!("already there and supervised: %"), call.live().to_bytes()),
        Err(e) => return Err(failed(call, scandir, &image, e)),
    }
    Ok(0)
}

/// Says that these supervisors may not heed a file of a service.
pub fn warn_of(call: &Call, image: &Image<'_>, (service, file): (u16, &CStr)) {
    let what = t!("warning: service % has %, which older supervisors of s6 ignore");
    call.say_two(what, image.name(service), file.to_bytes());
    if file == c"flag-timeout-killpg" {
        call.say(t!("warning: they ignore the letters P, C and K of s6-svc as well"), b"");
    }
}

/// Says that these supervisors can't do what the service needs; the exit code.
pub fn unable_to(call: &Call, service: &[u8]) -> u8 {
    call.fail(
        SYSTEM,
        t!("can't supervise service %: its restart-backoff needs skeg's own s6-svscan"),
        service,
    )
}

/// Exit code for a live directory of something else, as in the reference.
const OTHER: u8 = 102;

fn failed(call: &Call, scandir: &CStr, image: &Image<'_>, error: RunError) -> u8 {
    let (live, scandir) = (call.live().to_bytes(), scandir.to_bytes());
    match error.trouble() {
        Trouble::Live(e) if e == LiveError::NOT_LIVE => {
            call.fail(OTHER, t!("% exists and is not a live directory of skeg"), live)
        }
        Trouble::Live(e) if matches!(e.fault(), Fault::Taken(_)) => {
            let service = if let Fault::Taken(service) = e.fault() { service } else { 0 };
            let what = t!("% has an entry '%' that is not ours (-p gives ours a prefix)");
            let mut entry = text::Line::new();
            entry.put(call.value(b'p').unwrap_or_default().to_bytes()).put(image.name(service));
            call.say_two(what, scandir, entry.as_bytes());
            SYSTEM
        }
        Trouble::Live(_) | Trouble::Prepare(_) | Trouble::Wait(_) | Trouble::Elsewhere => {
            super::report::session_error(call, call.live(), error)
        }
        Trouble::NoScanner => call.fail(USAGE, t!("no s6-svscan runs on %"), scandir),
        Trouble::ScanDir(errno) => call.failed(t!("use the scan directory %"), scandir, errno),
        Trouble::OtherImage => {
            call.fail(OTHER, t!("% is the live directory of another image, and supervised"), live)
        }
        Trouble::OtherScanDir => {
            call.say_two(t!("% is supervised in another scan directory than %"), live, scandir);
            OTHER
        }
        Trouble::OtherPrefix => call.fail(OTHER, t!("% was made with another prefix"), live),
        Trouble::Unfinished => {
            call.fail(SYSTEM, t!("a command on % was cut short: 'skeg recover' finishes it"), live)
        }
        Trouble::TimedOut(missing) => {
            let missing = text::Digits::decimal(u64::from(missing));
            call.fail(
                SYSTEM,
                t!("timed out: % services have no supervisor (s6-svscan takes 1000 unless its -C says more)"),
                missing.as_bytes(),
            )
        }
        Trouble::Unable(service) => unable_to(call, image.name(service)),
    }
}
