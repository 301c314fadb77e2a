// SPDX-License-Identifier: ISC
//! `cargo xtask dist` and `cargo xtask sizes`: the device binary, and where its bytes come from.
//!
//! A release lies at `target/dist/ARCH/skeg`, stripped; beside it `skeg.symbols`, the same program as the linker
//! left it. `--fault` makes `skeg-fault` instead, with the test layer of `sys` in it, which no device gets.

use crate::arch::{self, Arch};
use crate::command::{Outcome, dist, replace_file, run};
use crate::elf::{Elf, crate_of};
use crate::toolchain::{self, Way};
use std::collections::BTreeMap;
use std::io::Write;

/// Bytes that the stripped program may have on each architecture: the promise of the README.
pub const BUDGET: u64 = 256 * 1024;
/// Bytes of a block that a squashfs root packs by itself.
const BLOCK: usize = 128 * 1024;
/// Bytes more that one which checks signatures may have.
const SIGNATURES: u64 = 16 * 1024;

const HELP: &str = "\
cargo xtask dist [--signatures | --fault] [--way rustup|debian|host] ARCH...
Builds the device binary: target/dist/ARCH/skeg, static and stripped. The budget is 256 KiB.

  ARCH      x86_64, aarch64, armv7, riscv64, or all
  --fault   the variant for tests (target/dist/ARCH/skeg-fault): call n can be made to fail
  --signatures  one that checks ed25519 signatures of images: 15 KiB more
  --way     insist on one way to build instead of the first that is open:
            rustup  the musl target of stable Rust, installed where it is missing
            debian  Debian's compiler builds the core library from its source
            host    the core library of the installed compiler, for this machine only
";

/// What `dist` was asked to do.
struct Request {
    archs: Vec<&'static Arch>,
    fault: bool,
    signatures: bool,
    way: Option<Way>,
}

/// `cargo xtask dist`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let mut request = Request { archs: Vec::new(), fault: false, signatures: false, way: None };
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("fault") => request.fault = true,
            Long("signatures") => request.signatures = true,
            Long("way") => {
                let name = args.value().map_err(|e| e.to_string())?;
                request.way = Some(Way::named(&name.to_string_lossy())?);
            }
            Long("help") | Short('h') => return show(HELP),
            Value(name) => request.archs.extend(arch::named(&name.to_string_lossy())?),
            other => return Err(format!("dist: {} (see --help)", other.unexpected())),
        }
    }
    if request.archs.is_empty() {
        return Err("dist: which architecture? (x86_64, aarch64, armv7, riscv64 or all)".into());
    }
    for arch in &request.archs {
        let features: &[&str] = if request.signatures { &["signatures"] } else { &[] };
        build_with(arch, request.fault, features, request.way)?;
    }
    if request.fault {
        Ok(())
    } else {
        report(&request.archs, if request.signatures { SIGNATURES } else { 0 })
    }
}

/// `cargo xtask sizes`: the report for what has been built, or for the named architectures.
pub fn sizes(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let mut archs = Vec::new();
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("help") | Short('h') => {
                return show(
                    "cargo xtask sizes [ARCH...]\nThe bytes of each built binary, by crate, held to the budget.\n",
                );
            }
            Value(name) => archs.extend(arch::named(&name.to_string_lossy())?),
            other => return Err(format!("sizes: {}", other.unexpected())),
        }
    }
    if archs.is_empty() {
        archs.extend(arch::ALL.iter().filter(|arch| dist().join(arch.name).join("skeg.symbols").exists()));
    }
    if archs.is_empty() {
        return Err("nothing is built yet: `cargo xtask dist all` builds it".into());
    }
    report(&archs, 0)
}

fn show(text: &str) -> Outcome {
    print!("{text}");
    Ok(())
}

/// Builds one program and puts it where it belongs.
pub fn build(arch: &Arch, fault: bool, wanted: Option<Way>) -> Outcome {
    build_with(arch, fault, &[], wanted)
}

fn build_with(arch: &Arch, fault: bool, features: &[&str], wanted: Option<Way>) -> Outcome {
    let (way, why) = toolchain::choose(arch, wanted)?;
    println!("{}: by way of {} for {} ({why})", arch.name, way.name(), way.triple(arch));
    let mut command = way.cargo_build(arch);
    command.args(["--quiet", "--locked", "--profile", "dist", "--package", "skeg"]);
    for feature in features.iter().chain(fault.then_some(&"fault")) {
        command.args(["--features", feature]);
    }
    run(&mut command)?;
    let built =
        crate::command::target().join("device").join(way.name()).join(way.triple(arch)).join("dist/skeg");
    let bytes = std::fs::read(&built).map_err(|e| format!("{}: {e}", built.display()))?;
    let stripped = Elf::new(&bytes).ok_or("the linker's output is no ELF file")?.stripped()?;
    let folder = dist().join(arch.name);
    if fault {
        return replace_file(&folder.join("skeg-fault"), &stripped, true);
    }
    replace_file(&folder.join("skeg.symbols"), &bytes, true)?;
    replace_file(&folder.join("skeg"), &stripped, true)
}

/// One program's bytes, by crate.
struct Sizes {
    crates: BTreeMap<String, u64>,
    /// Constants without a name of their own, padding, headers.
    rest: u64,
    /// Memory that is not in the file.
    zero: u64,
    /// The stripped file.
    file: u64,
    /// The same on a root file system that is packed.
    packed: u64,
}

fn measure(arch: &Arch) -> Outcome<Sizes> {
    let folder = dist().join(arch.name);
    let path = folder.join("skeg.symbols");
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let elf = Elf::new(&bytes).ok_or_else(|| format!("{}: not an ELF file", path.display()))?;
    let stripped = std::fs::read(folder.join("skeg")).map_err(|e| format!("{}: {e}", arch.name))?;
    let (file, packed) = (stripped.len() as u64, squashed(&stripped)?);
    let mut crates = BTreeMap::new();
    for symbol in elf.symbols().iter().filter(|symbol| !symbol.zero) {
        *crates.entry(crate_of(&symbol.name).to_owned()).or_insert(0) += symbol.size;
    }
    let named: u64 = crates.values().sum();
    Ok(Sizes { crates, rest: file.saturating_sub(named), zero: elf.loaded().1, file, packed })
}

/// What a file takes on a squashfs with gzip, as `mksquashfs` makes it without options: blocks, each packed by itself.
fn squashed(bytes: &[u8]) -> Outcome<u64> {
    let mut all = 0;
    for block in bytes.chunks(BLOCK) {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(block).map_err(|e| e.to_string())?;
        all += packer.finish().map_err(|e| e.to_string())?.len().min(block.len()) as u64;
    }
    Ok(all)
}

/// Prints a column an architecture; says where a program is over the budget, fails where it is over what its
/// architecture tolerates, and where it is over the budget on a packed root.
fn report(archs: &[&Arch], more: u64) -> Outcome {
    let columns: Vec<Sizes> = archs.iter().map(|arch| measure(arch)).collect::<Outcome<_>>()?;
    let mut names: Vec<&String> = columns.iter().flat_map(|sizes| sizes.crates.keys()).collect();
    names.sort();
    names.dedup();
    let total = |name: &String| columns.iter().map(|s| s.crates.get(name).copied().unwrap_or(0)).max();
    names.sort_by_key(|name| std::cmp::Reverse(total(name)));
    let row = |name: &str, value: &dyn Fn(&Sizes) -> u64| {
        print!("{name:40}");
        for sizes in &columns {
            print!("{:>10}", value(sizes));
        }
        println!();
    };
    print!("\n{:40}", "bytes by crate");
    for arch in archs {
        print!("{:>10}", arch.name);
    }
    println!();
    for name in names {
        row(name, &|sizes| sizes.crates.get(name).copied().unwrap_or(0));
    }
    row("(constants without a name, headers)", &|sizes| sizes.rest);
    row("the stripped file", &|sizes| sizes.file);
    row("left of the budget of 256 KiB", &|sizes| BUDGET.saturating_sub(sizes.file));
    row("on a root of squashfs with gzip", &|sizes| sizes.packed);
    row("memory beside the file (.bss)", &|sizes| sizes.zero);
    for (arch, sizes) in archs.iter().zip(&columns) {
        if sizes.file > BUDGET {
            let over = sizes.file - BUDGET;
            println!(
                "{}: {} bytes, {over} over the budget of {BUDGET}: it is not kept yet",
                arch.name, sizes.file
            );
        }
        for (bytes, most, what) in [
            (sizes.file, arch.ceiling + more, "bytes"),
            (sizes.packed, BUDGET + more, "bytes on a packed root"),
        ] {
            if bytes > most {
                return Err(format!("{}: {bytes} {what} are more than {most}, what is tolerated", arch.name));
            }
        }
    }
    Ok(())
}
