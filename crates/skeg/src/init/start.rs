// SPDX-License-Identifier: ISC
//! `init-start`: the child of process 1 that brings the services up.
//!
//! Waits for the scanner, mounts the data partition, chooses the image, makes the live directory, starts the bundle
//! `default`. An image that is broken, or that `s6-rc-init` refuses, is passed over with a message.

use super::say::{self, say};
use super::stop::wait_for;
use super::trial::{Place, Trial};
use super::{LIVE, NOTES, SCAN, handover, offer_shell, own_program, read_options, run};
use crate::applet::{Call, SYSTEM};
use crate::signature::{self, Key};
use crate::words;
use ::init::cmdline::{self, Options};
use ::init::{early, mounts};
use core::ffi::CStr;
use db::{Corrupt, Db};
use sys::fs::{MountFlags, OFlags};
use sys::mm::MappedFile;
use sys::time::{Millis, monotonic};
use sys::{CBox, CWD, Errno, Path};

/// How long the scanner may take to listen.
const SCANNER: Millis = Millis(20_000);
/// How long the data partition's device may take.
const DATA_WAIT: Millis = Millis(5_000);
/// How long `s6-rc-init` may take: it waits for the supervisors of all services.
const INIT_LIMIT: Millis = Millis(60_000);
/// Largest image that is looked at: the format's own limits keep a real one far below.
const MAX_IMAGE: u64 = 256 << 20;

/// A path of an image.
type Candidate = Path;

/// The applet.
pub fn main(_: &Call) -> Result<u8, u8> {
    Ok(start())
}

fn start() -> u8 {
    let mut line = [0; cmdline::MAX];
    let options = read_options(&mut line);
    if let Err(errno) = wait_for_scanner() {
        say::failed("reach the scanner in %", SCAN.to_bytes(), errno);
        return fail(&options);
    }
    let data = options.data.and_then(mount_data);
    let Ok(program) = own_program() else { return fail(&options) };
    let boots = |bytes: &[u8]| check(bytes, options.bundle).is_ok() && is_signed(bytes);
    let own = ROOT.iter().any(|path| sys::fs::access(CWD, path, 0).is_ok());
    let place = Place { data: data.unwrap_or(c"/"), own, boots: &boots };
    let mut trial = match data {
        Some(_) if options.image.is_none() => Trial::begin(&place),
        _ => Trial::None,
    };
    for candidate in candidates(&options, data) {
        let current = candidate.as_bytes().ends_with(b"/current");
        if current && matches!(trial, Trial::Over) {
            continue;
        }
        if initialise(&candidate, &program, &options) {
            return carry_out(&candidate, &program, &options, trial, &place);
        }
        if super::stop::is_requested() {
            // That has interrupted it: nothing is wrong with the image.
            return SYSTEM;
        }
        if current {
            core::mem::replace(&mut trial, Trial::None).end(false, &place);
        }
    }
    words::complain_all(
        b"skeg",
        "no image that works; looked for: skeg.image=, current and previous on skeg.data=, %, %",
        &[ROOT[0].to_bytes(), ROOT[1].to_bytes()],
    );
    fail(&options)
}

/// Brings the bundle up and judges a trial by that: after one that failed the machine starts again, with the previous image.
fn carry_out(
    image: &Candidate,
    program: &CStr,
    options: &Options<'_>,
    trial: Trial,
    place: &Place<'_>,
) -> u8 {
    let code = bring_up(image, program, options, trial.limit());
    if trial.end(code == 0, place) {
        // Process 1 stops what there is and restarts the machine.
        let _ = sys::signal::kill(1, sys::signal::number::TERM);
    } else if code == 0 {
        hook(options);
    }
    code
}

/// Runs the program that wants to know that this boot is a good one.
fn hook(options: &Options<'_>) {
    let path = Candidate::from_pieces(&[options.hook.unwrap_or(b"/etc/skeg/up")]).unwrap_or_default();
    if options.hook.is_none() && sys::fs::access(CWD, &path, 0).is_err() {
        return;
    }
    let failed = match run(&path, &[&path], handover()).map(|pid| wait_for(pid, Millis(u64::MAX))) {
        Ok(Some(0)) => return,
        Ok(_) => b"it failed".as_slice(),
        Err(errno) => words::errno(errno),
    };
    words::complain_all(b"skeg", "the hook %: %", &[path.as_bytes(), failed]);
}

/// Waits until the scanner reads its control FIFO.
fn wait_for_scanner() -> sys::Result<()> {
    let path = Path::from_pieces(&[SCAN.to_bytes(), b"/.s6-svscan/control"]).unwrap_or_default();
    let end = monotonic().0.saturating_add(SCANNER.0);
    loop {
        match sys::fs::open(CWD, &path, OFlags::WRONLY | OFlags::NONBLOCK, 0) {
            Ok(_) => return Ok(()),
            Err(errno) if monotonic().0 >= end => return Err(errno),
            // Not made yet, or nobody reads it yet.
            Err(_) => {
                let _ = sys::event::poll(&mut [], Some(Millis(5)));
            }
        }
    }
}

/// Mounts the partition with installed images; where.
fn mount_data(value: &[u8]) -> Option<&'static CStr> {
    let (device, kind, options) = cmdline::data_parts(value);
    let on_root = c"/data";
    let at = if sys::fs::access(CWD, on_root, 0).is_ok() { on_root } else { c"/run/skeg/data" };
    let _ = super::make_directory(NOTES, 0o755);
    let _ = super::make_directory(at, 0o755);
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let mount = |flags| mounts::device(device, at, kind, flags, options);
    let mounted = early::wait_for(device, DATA_WAIT).and_then(|()| match mount(flags) {
        // A device that can't be written can still be booted from.
        Err(fault) if matches!(fault.errno, Errno::ACCESS | Errno::ROFS) => mount(flags | MountFlags::RDONLY),
        other => other,
    });
    match mounted {
        Ok(()) => Some(at),
        Err(fault) => {
            say::fault(&fault);
            say("going on without the data partition", b"");
            None
        }
    }
}

/// Where the root's own image lies.
const ROOT: [&CStr; 2] = [c"/etc/s6-rc/compiled", c"/lib/skeg/image"];

/// The images to try, in order.
fn candidates(options: &Options<'_>, data: Option<&CStr>) -> heapless::Vec<Candidate, 4> {
    let mut list = heapless::Vec::new();
    let mut add = |pieces: &[&[u8]]| {
        if let Ok(path) = Candidate::from_pieces(pieces) {
            let _ = list.push(path);
        }
    };
    if let Some(only) = options.image {
        add(&[only]);
        return list;
    }
    if let Some(data) = data {
        add(&[data.to_bytes(), b"/current"]);
        add(&[data.to_bytes(), b"/previous"]);
    }
    for path in ROOT {
        add(&[path.to_bytes()]);
    }
    list
}

/// Checks this image and makes the live directory from it; an image that can't be used is passed over with a message.
fn initialise(image: &Candidate, program: &CStr, options: &Options<'_>) -> bool {
    let mapped = match map(image) {
        Ok(mapped) => mapped,
        // Not there is not worth a line: most machines have one of the places only.
        Err(Errno::NOENT) if options.image.is_none() => return false,
        Err(errno) => {
            pass_over(image, words::errno(errno));
            return false;
        }
    };
    if let Err(why) = check(mapped.bytes(), options.bundle) {
        pass_over(image, why);
        return false;
    }
    // The root's own image is as good as the key, which lies beside it.
    let own = ROOT.iter().any(|path| path.to_bytes() == image.as_bytes());
    if !own && !is_signed(mapped.bytes()) {
        words::complain_all(
            b"skeg",
            "passing over %: %%",
            &[image.as_bytes(), signature::MISSING, signature::KEY.to_bytes()],
        );
        return false;
    }
    let millis = CBox::from_pieces(&[text::Digits::decimal(INIT_LIMIT.0).as_bytes()]).unwrap_or_default();
    let words = [c"s6-rc-init", c"-t", millis.as_c(), c"-c", image.as_c(), c"-l", LIVE, SCAN];
    let ended = run(program, &words, handover()).map(|pid| wait_for(pid, Millis(INIT_LIMIT.0 + 5_000)));
    match ended {
        Ok(Some(0)) => true,
        Ok(code) => {
            let code = text::Digits::decimal(u64::from(code.unwrap_or(999)));
            words::complain_all(
                b"skeg",
                "passing over %: s6-rc-init failed with exit code %",
                &[image.as_bytes(), code.as_bytes()],
            );
            false
        }
        Err(errno) => {
            say::failed("run %", program.to_bytes(), errno);
            false
        }
    }
}

/// Whether the root's key, where there is one, has signed it.
fn is_signed(bytes: &[u8]) -> bool {
    Key::read(signature::KEY).is_none_or(|key| key.has_signed(bytes))
}

fn pass_over(image: &Candidate, why: &[u8]) {
    words::complain_all(b"skeg", "passing over %: %", &[image.as_bytes(), why]);
}

fn map(image: &Candidate) -> sys::Result<MappedFile> {
    let file = sys::fs::open_read(CWD, image)?;
    let len = sys::fs::fstat(&file)?.st_size as u64;
    let len = usize::try_from(len).ok().filter(|_| len <= MAX_IMAGE).ok_or(Errno::FBIG)?;
    MappedFile::new(&file, len)
}

/// Whether the image is whole, of a known format, and has the bundle; else why not.
fn check(bytes: &[u8], bundle: &[u8]) -> Result<(), &'static [u8]> {
    let image = Db::check(bytes).map_err(|corrupt| match corrupt {
        Corrupt::Magic => b"it is no image".as_slice(),
        Corrupt::Version(_) => b"it is of a format that this skeg does not know",
        Corrupt::Truncated(_) => b"it is cut short",
        Corrupt::Header
        | Corrupt::Place(_)
        | Corrupt::Checksum(_)
        | Corrupt::Record(..)
        | Corrupt::Identity => b"it is damaged",
    })?;
    match image.lookup(bundle) {
        Some(_) => Ok(()),
        None => Err(b"it has no bundle of the wanted name (skeg.bundle=, 'default')"),
    }
}

/// Brings the bundle up; the exit code.
fn bring_up(image: &Candidate, program: &CStr, options: &Options<'_>, limit: Millis) -> u8 {
    let bundle = CBox::from_pieces(&[options.bundle]).unwrap_or_default();
    let start = monotonic();
    let words = [c"s6-rc", c"-b", c"-l", LIVE, c"-u", c"--times", c"change", bundle.as_c()];
    let code = match run(program, &words, handover()) {
        // Each service has its own time; what has none may take for ever, as in the reference.
        Ok(pid) => {
            let _ = super::note(super::STARTING, text::Digits::decimal(u64::from(pid)).as_bytes());
            let code = wait_for(pid, limit);
            // One that still runs, beyond its time, is ended by whoever stops the machine.
            if code.is_some() {
                let _ = sys::fs::unlink(CWD, super::STARTING);
            }
            code.unwrap_or(256)
        }
        Err(errno) => {
            say::failed("run %", program.to_bytes(), errno);
            return SYSTEM;
        }
    };
    let now = monotonic().0;
    let mut line = text::Line::new();
    line.put(b"bundle ").put_quoted(options.bundle).put(if code == 0 {
        b" is up".as_slice()
    } else {
        b" is not all up"
    });
    line.put(b": ").seconds(now.saturating_sub(start.0)).put(b" for the services, ");
    line.seconds(now.saturating_sub(handover())).put(b" since the kernel handed over (image ");
    say("%", line.put_quoted(image.as_bytes()).put(b")").as_bytes());
    u8::from(code != 0)
}

/// A shell where somebody wants one, then a restart.
fn fail(options: &Options<'_>) -> u8 {
    offer_shell(options.rescue_seconds);
    // Process 1 stops what there is and restarts the machine.
    let _ = sys::signal::kill(1, sys::signal::number::TERM);
    SYSTEM
}
