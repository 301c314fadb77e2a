// SPDX-License-Identifier: ISC
//! `cargo xtask bench --boot`: how long a machine in QEMU takes from the kernel's hand-over until `default` is up.
//!
//! The line that init ends a boot with has the times; they are the guest's own clock, which starts with the kernel.

use super::median;
use crate::arch::{self, Arch};
use crate::command::Outcome;
use crate::demo::{BOOT_LIMIT, UP};
use crate::qemu::{self, Root, Run};

/// Boots each architecture so often (all of them where none is named) and prints the medians.
pub fn main(names: &[String], runs: usize) -> Outcome {
    let mut archs = Vec::new();
    for name in names {
        archs.extend(arch::named(name)?);
    }
    if archs.is_empty() {
        archs.extend(&arch::ALL);
    }
    println!(
        "runs: {runs} (medians), in QEMU without acceleration; milliseconds until the bundle default is up"
    );
    println!("{:10}{:26}{:>24}{:>16}", "", "root", "since the hand-over", "the services");
    for arch in archs {
        for (root, what) in [(Root::Small, "3 services"), (Root::Router, "the router")] {
            let images = qemu::build_root(arch, root)?;
            let (mut all, mut services) = (Vec::new(), Vec::new());
            for _ in 0..runs {
                let (service, since) = boot(arch, &images)?;
                services.push(service);
                all.push(since);
            }
            let (all, services) = (median(all).unwrap_or_default(), median(services).unwrap_or_default());
            println!("{:10}{what:26}{all:>24.0}{services:>16.0}", arch.name);
        }
    }
    Ok(())
}

/// One boot: milliseconds for the services, and since the kernel handed over.
fn boot(arch: &Arch, images: &qemu::Images) -> Outcome<(f64, f64)> {
    // A card for the router's network.
    let forward = vec![(qemu::free_port()?, 80)];
    let mut guest = qemu::start(arch, images, &Run { forward, ..Run::default() })?;
    let line = guest.wait_for(UP, BOOT_LIMIT, |_| ())?;
    guest.cut();
    times(&line).ok_or_else(|| format!("no times in '{line}'"))
}

/// The two times of `bundle default is up: 0.182 s for the services, 0.800 s since the kernel handed over (image …)`.
fn times(line: &str) -> Option<(f64, f64)> {
    let before = |text: &str| -> Option<f64> {
        let seconds: f64 = line.split_once(text)?.0.rsplit(' ').next()?.parse().ok()?;
        Some(seconds * 1000.0)
    };
    Some((before(" s for the services")?, before(" s since the kernel")?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_line_of_a_boot_has_two_times() {
        let line = "skeg: bundle default is up: 0.182 s for the services, 0.800 s since the kernel handed over (image /x)";
        assert_eq!(super::times(line), Some((182.0, 800.0)));
        assert_eq!(super::times("skeg: bundle default is not all up"), None);
    }
}
