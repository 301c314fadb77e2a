// SPDX-License-Identifier: ISC
//! `cargo xtask demo`: the router in QEMU, looked at from outside.
//!
//! Everything is waited for with a limit: a line on the console, an answer over HTTP or from the remote shell.

use crate::arch::{self, Arch};
use crate::command::Outcome;
use crate::dist::Variant;
use crate::qemu::{self, Guest, Page, Root, Run, Service, Shell};
use std::time::{Duration, Instant};

const HELP: &str = "\
cargo xtask demo [ARCH] [--shell]
Builds skeg and a read-only root with the definitions of qemu/router, boots it in QEMU, waits until everything is up,
reads the router's status page over HTTP, kills one daemon, shows that it came back and that nothing else did, and
powers off. What is missing on this machine is named, installed or fetched first.

  ARCH      x86_64, aarch64, armv7 or riscv64 (default: this machine's)
  --shell   stay at a root shell on the router's console instead; `poweroff` there ends it

exit codes: 0 all of it happened, 1 it did not, 2 wrong usage
";

/// The line that init ends a good boot with.
pub const UP: &str = "bundle default is up";
/// How long a boot may take until `default` is up: emulated, on a busy machine.
pub const BOOT_LIMIT: Duration = Duration::from_secs(240);
/// How long anything else may take.
pub const LIMIT: Duration = Duration::from_secs(90);
/// The daemon that is killed.
const VICTIM: &str = "crond";

/// `cargo xtask demo`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let (mut wanted, mut shell) = (None, false);
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Long("shell") => shell = true,
            Value(name) => wanted = arch::named(&name.to_string_lossy())?.first(),
            other => return Err(format!("demo: {} (see --help)", other.unexpected())),
        }
    }
    let arch = wanted.or_else(arch::host).ok_or("demo: which architecture? (see --help)")?;
    crate::setup::ensure("demo")?;
    crate::dist::build(arch, Variant::DEVICE, None)?;
    if shell { stay(arch) } else { show(arch) }
}

/// A console for the person at the terminal.
fn stay(arch: &Arch) -> Outcome {
    let images = qemu::build_root(arch, Root::Router)?;
    let http = qemu::free_port()?;
    println!("the router's status page: http://127.0.0.1:{http}/ ; 'poweroff' in its shell ends it");
    let how = Run {
        append: "skeg.bundle=default-shell".into(),
        forward: vec![(http, 80)],
        interactive: true,
        ..Run::default()
    };
    match qemu::start(arch, &images, &how)?.wait_interactive()? {
        0 => Ok(()),
        code => Err(format!("QEMU ended with {code}")),
    }
}

/// The whole show.
fn show(arch: &Arch) -> Outcome {
    let images = qemu::build_root(arch, Root::Router)?;
    println!("booting {} in QEMU", arch.name);
    let router = Router::boot(arch, &images, "", |line| println!("  | {line}"))?;
    let before = router.page()?;
    println!("\nhttp://127.0.0.1:{}/ says: boot {}, up {} s", router.http, before.boot_id, before.uptime);
    print_table(&before);
    println!("\nkilling {VICTIM} (pid {})", before.pid(VICTIM)?);
    let after = router.kill(VICTIM, &before)?;
    println!("{VICTIM} is back with pid {}; every other pid is what it was", after.pid(VICTIM)?);
    router.power_off(|line| println!("  | {line}"))?;
    println!("powered off: QEMU ended with status 0");
    Ok(())
}

fn print_table(page: &Page) {
    let row = |cells: [&str; 8]| {
        let [name, kind, state, ready, pid, up_for, started, took] = cells;
        println!("{name:20} {kind:8} {state:6} {ready:6} {pid:>6} {up_for:>7} {started:>11} {took:>11}");
    };
    row(["service", "type", "state", "ready", "pid", "up (s)", "started (s)", "took (ms)"]);
    for Service { name, kind, state, ready, pid, up_for, started, took } in &page.services {
        row([name, kind, state, ready, pid, up_for, started, took]);
    }
}

/// A router that has booted.
pub struct Router {
    /// Its machine.
    pub guest: Guest,
    /// The host's port of its status page.
    pub http: u16,
    shell: u16,
    /// The line with the times of the boot.
    pub summary: String,
}

impl Router {
    /// Boots it and waits until `default` is up.
    pub fn boot(arch: &Arch, images: &qemu::Images, append: &str, show: impl FnMut(&str)) -> Outcome<Self> {
        Self::boot_with(arch, images, Run { append: append.into(), ..Run::default() }, show)
    }

    /// The same with further drives.
    pub fn boot_with(arch: &Arch, images: &qemu::Images, how: Run, show: impl FnMut(&str)) -> Outcome<Self> {
        let (http, shell) = (qemu::free_port()?, qemu::free_port()?);
        let mut guest = qemu::start(arch, images, &Run { forward: vec![(http, 80), (shell, 23)], ..how })?;
        let summary = guest.wait_for(UP, BOOT_LIMIT, show)?;
        Ok(Self { guest, http, shell, summary })
    }

    /// Its status page.
    pub fn page(&self) -> Outcome<Page> {
        Page::fetch(self.http, LIMIT).map_err(|e| self.guest.complaint(&e))
    }

    /// Runs a command in its remote shell; what it printed.
    pub fn command(&self, line: &str) -> Outcome<String> {
        Shell::login(self.shell, "root", "skeg", LIMIT)
            .and_then(|mut shell| shell.command(line))
            .map_err(|e| self.guest.complaint(&e))
    }

    /// Kills a daemon, waits until it is back, and holds every other against what it was; the page after it.
    pub fn kill(&self, name: &str, before: &Page) -> Outcome<Page> {
        let old = before.pid(name)?;
        self.command(&format!("kill -KILL {old}"))?;
        let end = Instant::now() + LIMIT;
        let after = loop {
            let page = self.page()?;
            if page.pid(name).is_ok_and(|pid| pid != old) {
                break page;
            }
            if Instant::now() > end {
                return Err(self.guest.complaint(&format!("{name} did not come back")));
            }
        };
        if after.boot_id != before.boot_id {
            return Err("the machine has booted again".into());
        }
        for service in before.services.iter().filter(|s| s.name != name) {
            let now = after.services.iter().find(|s| s.name == service.name);
            if now.is_none_or(|now| now.pid != service.pid || now.state != service.state) {
                return Err(format!(
                    "{} changed when {name} was killed: {service:?} became {now:?}",
                    service.name
                ));
            }
        }
        Ok(after)
    }

    /// Asks for the power to go off, and waits for QEMU's end.
    pub fn power_off(mut self, show: impl FnMut(&str)) -> Outcome {
        // The connection may end before the shell's answer.
        let _ = self.command("poweroff");
        match self.guest.wait_end(LIMIT, show)? {
            0 if self.guest.has_said("skeg: power off") => Ok(()),
            0 => Err(self.guest.complaint("QEMU ended, but not by a power-off")),
            code => Err(self.guest.complaint(&format!("QEMU ended with {code}"))),
        }
    }
}
