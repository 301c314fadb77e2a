// SPDX-License-Identifier: ISC
//! Process 1 until it becomes the scanner, and the applets around it: start, stop, modules.
//!
//! The way of a boot: in an initramfs [`stage1`] finds the root and hands over to the init there; on the root process 1
//! mounts what it needs, lays out the scan directory, starts `init-start` (which chooses the image and brings the
//! services up, see [`start`]) and becomes `s6-svscan` by exec. A request to stop is a signal to process 1, for which
//! the scanner runs `init-stop` (see [`stop`]); when the tree is gone the scanner's `finish` is `init-finish`.
//!
//! Process 1 never panics and never ends: what can't be mended is said, offered to whoever sits at the console, and
//! ends in a restart of the machine.

mod say;
mod start;
mod stop;
mod trial;

use crate::applet::{Applet, Call, SYSTEM, USAGE};
use ::init::cmdline::{self, Options};
use ::init::{Step, early, modules, mounts, power, rescue};
use core::ffi::CStr;
use say::say;
use sys::fs::OFlags;
use sys::process::Machine;
use sys::spawn::{Spawn, Word, Words};
use sys::start::Strings;
use sys::time::Millis;
use sys::{CBox, CWD, Errno, Path};
pub use trial::TRIED;

/// The applets of this area.
pub static APPLETS: &[Applet] = &[
    Applet { name: "init", options: None, main: init_applet },
    Applet { name: "poweroff", options: Some(stop::OPTIONS), main: stop::ask },
    Applet { name: "reboot", options: Some(stop::OPTIONS), main: stop::ask },
    Applet { name: "halt", options: Some(stop::OPTIONS), main: stop::ask },
    Applet { name: "init-start", options: None, main: start::main },
    Applet { name: "init-stop", options: None, main: stop::main },
    Applet { name: "init-finish", options: None, main: stop::finish },
    Applet { name: "load-modules", options: None, main: load_modules },
];

/// Where the scan directory of the booted machine lies.
const SCAN: &CStr = c"/run/service";
/// Where the live directory lies.
const LIVE: &CStr = c"/run/s6-rc";
/// What process 1 and its helpers tell each other.
const NOTES: &CStr = c"/run/skeg";
/// The process that brings the services up, while it does.
const STARTING: &CStr = c"/run/skeg/starting";
/// The environment variable with the time when the kernel handed over, in milliseconds since it started.
const HANDOVER: &[u8] = b"SKEG_HANDOVER";

/// Whether this process is the machine's init: process 1, called by a name of an init, not as another applet.
pub fn is_init(mut arguments: Strings) -> bool {
    if sys::process::pid() != 1 {
        return false;
    }
    let name = arguments.next().unwrap_or(c"").to_bytes();
    let base = name.rsplit(|b| *b == b'/').next().unwrap_or_default();
    match base {
        b"init" | b"linuxrc" => true,
        // `init=/sbin/skeg`: what the kernel did not understand may follow, but not an applet's name.
        b"skeg" => arguments.next().is_none_or(|word| !crate::is_applet(word.to_bytes())),
        _ => false,
    }
}

fn init_applet(call: &Call) -> Result<u8, u8> {
    if sys::process::pid() == 1 {
        process_1();
    }
    match { call.words }.next().map(CStr::to_bytes) {
        Some(b"0") => stop::request(call, Machine::PowerOff),
        Some(b"6") => stop::request(call, Machine::Reboot),
        _ => {
            say(
                "not process 1: 'init 0' powers off, 'init 6' starts again; --help says what a boot needs",
                b"",
            );
            Err(USAGE)
        }
    }
}

fn load_modules(call: &Call) -> Result<u8, u8> {
    match modules::load({ call.words }.next().unwrap_or(modules::LIST), say::fault) {
        Ok(all) => Ok(u8::from(!all)),
        Err(fault) => {
            say::fault(&fault);
            Err(SYSTEM)
        }
    }
}

/// The whole life of process 1 before it is the scanner.
pub fn process_1() -> ! {
    let _ = sys::fs::chdir(c"/");
    sys::process::umask(0o022);
    // Ctrl-Alt-Del becomes a SIGINT to process 1, so that it stops the services first.
    let _ = sys::process::reboot(Machine::AskOnCtrlAltDel);
    mounts::early(say::fault);
    let _ = sys::start::take_console(c"/dev/console");
    let mut line = [0; cmdline::MAX];
    let options = read_options(&mut line);
    if options.root.is_some() && early::in_initramfs() {
        stage1(&options);
    }
    on_root(&options)
}

/// Reads the kernel's command line; without /proc the defaults hold.
pub fn read_options(line: &mut [u8]) -> Options<'_> {
    let len =
        sys::fs::open_read(CWD, c"/proc/cmdline").and_then(|f| sys::fs::read_full(f, line)).unwrap_or(0);
    cmdline::parse(line.get(..len).unwrap_or_default())
}

/// In the initramfs: to the real root. Returns when there is no init there: this program goes on itself.
fn stage1(options: &Options<'_>) {
    let handover = handover();
    if let Err(fault) = modules::load(modules::LIST, say::fault)
        && !(fault.step == Step::Read && fault.errno == Errno::NOENT)
    {
        say::fault(&fault);
    }
    if let Err(fault) = early::mount_root(options) {
        say::fault(&fault);
        give_up(options, "there is no root file system");
    }
    // What this program needs if the root has no init: its own bytes, from before the initramfs is deleted.
    if let Err(fault) = early::switch_root(say::fault) {
        say::fault(&fault);
        give_up(options, "the root can't be entered");
    }
    let _ = sys::start::take_console(c"/dev/console");
    let wanted = options.init.and_then(|path| Path::from_pieces(&[path]).ok());
    let own = [c"/sbin/init", c"/sbin/skeg", c"/usr/bin/skeg", c"/bin/init"];
    for path in wanted.as_deref().into_iter().chain(own) {
        let errno = become_program(path, &[Word::new(path), Word::END], handover);
        if errno != Errno::NOENT || wanted.as_deref() == Some(path) {
            say::failed("run % on the root", path.to_bytes(), errno);
        }
    }
    say("the root has no init: going on with the initramfs's own", b"");
}

/// On the root: mounts, the scan directory, the child that starts the services; then it becomes the scanner.
fn on_root(options: &Options<'_>) -> ! {
    mounts::on_root(say::fault);
    let _ = sys::start::take_console(c"/dev/console");
    let program = match own_program() {
        Ok(program) => program,
        Err(errno) => {
            say::failed("find the own program", b"", errno);
            give_up(options, "the boot can't go on")
        }
    };
    if let Err(errno) = lay_out(&program) {
        say::failed("make the scan directory %", SCAN.to_bytes(), errno);
        give_up(options, "the boot can't go on");
    }
    let handover = handover();
    if let Err(errno) = run(&program, &[c"skeg", c"init-start"], handover) {
        say::failed("start %", program.to_bytes(), errno);
        give_up(options, "the boot can't go on");
    }
    let scanner = [Word::new(c"s6-svscan"), Word::new(SCAN), Word::END];
    let errno = become_program(&program, &scanner, handover);
    say::failed("run the scanner %", program.to_bytes(), errno);
    give_up(options, "the boot can't go on")
}

/// When the kernel handed over, in milliseconds since it started: noted by the first of us.
fn handover() -> u64 {
    sys::start::env(HANDOVER)
        .and_then(|value| text::parse_u64(value.to_bytes()).ok())
        .unwrap_or_else(|| sys::time::monotonic().0)
}

/// The environment of everything that the boot starts, in the caller's memory.
fn environment<T>(handover: u64, then: impl FnOnce(&[Word<'_>]) -> T) -> T {
    let digits = text::Digits::decimal(handover);
    let handover = CBox::from_pieces(&[HANDOVER, b"=", digits.as_bytes()]).unwrap_or_default();
    let path = c"PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    // What a test armed goes on to the applets of the boot.
    #[cfg(feature = "fault")]
    let fault = CBox::from_pieces(&[
        b"SKEG_FAULT=",
        sys::start::env(b"SKEG_FAULT").map_or(b"".as_slice(), CStr::to_bytes),
    ])
    .unwrap_or_default();
    then(&[
        Word::new(path),
        Word::new(c"HOME=/"),
        Word::new(c"TERM=linux"),
        Word::new(&handover),
        #[cfg(feature = "fault")]
        Word::new(&fault),
        Word::END,
    ])
}

/// Replaces this program.
fn become_program(path: &CStr, arguments: &[Word<'_>], handover: u64) -> Errno {
    environment(handover, |environment| match (Words::new(arguments), Words::new(environment)) {
        (Ok(arguments), Ok(environment)) => sys::spawn::exec(path, arguments, environment),
        _ => Errno::INVAL,
    })
}

/// Starts this program (or another) with these words; its process id. It has a session of its own.
fn run(path: &CStr, arguments: &[&CStr], handover: u64) -> sys::Result<u32> {
    let mut words = heapless::Vec::<Word<'_>, 16>::new();
    for word in arguments.iter().map(|a| Word::new(a)).chain([Word::END]) {
        words.push(word).map_err(|_| Errno::TOOBIG)?;
    }
    environment(handover, |environment| {
        sys::spawn::spawn(&Spawn {
            path,
            arguments: Words::new(&words)?,
            environment: Words::new(environment)?,
            directory: None,
            fds: &[],
            session: true,
            mask: sys::signal::Set::default(),
            open_files: None,
            new_pids: false,
            record_pid: None,
        })
    })
}

/// The path of this program. One that was deleted with the initramfs is copied to /run first.
fn own_program() -> sys::Result<Path> {
    let _ = make_directory(NOTES, 0o755);
    let found = sys::fs::link_target(CWD, c"/proc/self/exe")?;
    if sys::fs::access(CWD, &found, 1).is_ok() {
        return Ok(found);
    }
    let copy = c"/run/skeg/skeg";
    let from = sys::fs::open_read(CWD, c"/proc/self/exe")?;
    let to = sys::fs::open(CWD, copy, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, 0o755)?;
    while sys::fs::sendfile(&to, &from, 1 << 20)? != 0 {}
    Path::from_pieces(&[copy.to_bytes()]).map_err(|_| Errno::NAMETOOLONG)
}

fn make_directory(path: &CStr, mode: u32) -> sys::Result<()> {
    match sys::fs::mkdir(CWD, path, mode) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Makes one of the notes; `EEXIST` when it is there.
fn note(path: &CStr, text: &[u8]) -> sys::Result<()> {
    let _ = make_directory(NOTES, 0o755);
    let file = sys::fs::open(CWD, path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o644)?;
    sys::fs::write_all(file, text)
}

/// What the scanner runs, by name: for a signal, at its end, and when it can't go on.
const PROGRAMS: [(&CStr, &[u8]); 8] = [
    (c"SIGUSR1", b"init-stop"),
    (c"SIGUSR2", b"init-stop"),
    (c"SIGTERM", b"init-stop"),
    (c"SIGINT", b"init-stop"),
    (c"SIGPWR", b"init-stop"),
    (c"SIGQUIT", b"init-stop"),
    (c"finish", b"init-finish"),
    (c"crash", b"init-finish"),
];

/// Makes the scan directory with the programs that the scanner runs.
fn lay_out(program: &CStr) -> sys::Result<()> {
    make_directory(SCAN, 0o755)?;
    let control = Path::from_pieces(&[SCAN.to_bytes(), b"/.s6-svscan"]).map_err(|_| Errno::NAMETOOLONG)?;
    make_directory(&control, 0o700)?;
    let control = sys::fs::open_dir(CWD, &control)?;
    for (name, applet) in PROGRAMS {
        let text = CBox::from_pieces(&[b"#!", program.to_bytes(), b" ", applet, b"\n"])
            .map_err(|_| Errno::NAMETOOLONG)?;
        let file = sys::fs::open(&control, name, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, 0o755)?;
        sys::fs::write_all(&file, text.as_bytes())?;
    }
    let _ = note(stop::SPARE, &[b' '; 16]);
    Ok(())
}

/// Process 1 can't go on: says why, offers a shell, starts the machine again.
fn give_up(options: &Options<'_>, why: &str) -> ! {
    say(why, b"");
    offer_shell(options.rescue_seconds);
    power::unmount_all(|_| ());
    power::end_machine(Machine::Reboot)
}

/// Whether this is process 1 of a machine that we have booted (and not of a container, which may end).
pub fn is_machine() -> bool {
    sys::process::pid() == 1 && sys::start::env(HANDOVER).is_some()
}

/// What a panic of process 1 does instead of ending.
pub fn after_a_panic() -> ! {
    power::end_machine(Machine::Reboot)
}

/// A rescue shell, where there is one and somebody answers in time.
fn offer_shell(seconds: u32) {
    let digits = text::Digits::decimal(u64::from(seconds));
    let limit = Millis(u64::from(seconds) * 1000);
    let Some(shell) = rescue::shell() else {
        say("no rescue shell here; the machine starts again in % s", digits.as_bytes());
        rescue::pause(limit);
        return;
    };
    say("press Enter for a rescue shell; else the machine starts again in % s", digits.as_bytes());
    if !rescue::answered(sys::stdin(), limit) {
        say("nobody answered", b"");
        return;
    }
    if let Err(errno) = rescue::run(shell, sys::stdin()) {
        say::failed("run %", shell.to_bytes(), errno);
    }
    say("the rescue shell has ended; the machine starts again", b"");
}
