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
use std::path::PathBuf;

/// Bytes that the stripped program may have on each architecture: the promise of the README.
pub const BUDGET: u64 = 256 * 1024;
/// Bytes of a block that a squashfs root packs by itself.
const BLOCK: usize = 128 * 1024;
/// Bytes more that one which checks signatures may have.
const SIGNATURES: u64 = 16 * 1024;

const HELP: &str = "\
cargo xtask dist [--no-compiler] [--signatures | --fault] [--way rustup|debian|host] ARCH...
Builds the device binary: target/dist/ARCH/skeg, static and stripped. The budget is 256 KiB.

  ARCH      x86_64, aarch64, armv7, riscv64, or all
  --no-compiler  one for devices whose images are made elsewhere: target/dist/ARCH/no-compiler/skeg, without what makes
            images (s6-rc-compile, s6-rc-bundle, sync, source directories given to diff and plan)
  --signatures  one that checks ed25519 signatures of images: 15 KiB more
  --fault   the variant for tests (target/dist/ARCH/skeg-fault): call n can be made to fail
  --way     insist on one way to build instead of the first that is open:
            rustup  the musl target of stable Rust, installed where it is missing
            debian  Debian's compiler builds the core library from its source
            host    the core library of the installed compiler, for this machine only
";

/// What is in a binary.
#[derive(Clone, Copy)]
pub struct Variant {
    /// The compiler, and what else makes images.
    compiler: bool,
    /// Signatures of images.
    signatures: bool,
    /// The test layer.
    fault: bool,
}

impl Variant {
    /// What a device gets.
    pub const DEVICE: Self = Self { compiler: true, signatures: false, fault: false };
    /// What tests get.
    pub const FAULT: Self = Self { fault: true, ..Self::DEVICE };
    /// What a device gets whose images are made elsewhere.
    pub const NO_COMPILER: Self = Self { compiler: false, ..Self::DEVICE };

    /// Where its files lie.
    pub fn folder(self, arch: &Arch) -> PathBuf {
        let folder = dist().join(arch.name);
        if self.compiler { folder } else { folder.join("no-compiler") }
    }

    /// What cargo is told.
    fn words(self) -> impl Iterator<Item = &'static str> {
        let without = ["--no-default-features"].into_iter().filter(move |_| !self.compiler);
        let features = [(self.signatures, "signatures"), (self.fault, "fault")].into_iter();
        without.chain(features.filter(|(has, _)| *has).flat_map(|(_, name)| ["--features", name]))
    }

    /// Bytes that it may have: the stripped file, and on a packed root.
    fn most(self, arch: &Arch) -> [u64; 2] {
        let file = if self.compiler { arch.ceiling } else { arch.ceiling_without_compiler };
        [file, BUDGET].map(|most| if self.signatures { most + SIGNATURES } else { most })
    }
}

/// What `dist` was asked to do.
struct Request {
    archs: Vec<&'static Arch>,
    variant: Variant,
    way: Option<Way>,
}

/// `cargo xtask dist`.
pub fn main(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let mut request = Request { archs: Vec::new(), variant: Variant::DEVICE, way: None };
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("fault") => request.variant.fault = true,
            Long("signatures") => request.variant.signatures = true,
            Long("no-compiler") => request.variant.compiler = false,
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
        build(arch, request.variant, request.way)?;
    }
    if request.variant.fault { Ok(()) } else { report(&request.archs, request.variant) }
}

/// `cargo xtask sizes`: the report for what has been built, or for the named architectures.
pub fn sizes(mut args: lexopt::Parser) -> Outcome {
    use lexopt::prelude::*;
    let (mut named, mut variant) = (Vec::new(), Variant::DEVICE);
    while let Some(arg) = args.next().map_err(|e| e.to_string())? {
        match arg {
            Long("help") | Short('h') => {
                return show(
                    "cargo xtask sizes [--no-compiler] [ARCH...]\n\
                     The bytes of each built binary, by crate, held to the budget.\n",
                );
            }
            Long("no-compiler") => variant = Variant::NO_COMPILER,
            Value(name) => named.extend(arch::named(&name.to_string_lossy())?),
            other => return Err(format!("sizes: {}", other.unexpected())),
        }
    }
    if named.is_empty() {
        named.extend(arch::ALL.iter().filter(|arch| variant.folder(arch).join("skeg.symbols").exists()));
    }
    if named.is_empty() {
        return Err("nothing of that is built yet: `cargo xtask dist` builds it".into());
    }
    report(&named, variant)
}

fn show(text: &str) -> Outcome {
    print!("{text}");
    Ok(())
}

/// Builds one program and puts it where it belongs.
pub fn build(arch: &Arch, variant: Variant, wanted: Option<Way>) -> Outcome {
    let bytes = std::fs::read(compile(arch, variant, wanted)?).map_err(|e| format!("what was built: {e}"))?;
    let stripped = Elf::new(&bytes).ok_or("the linker's output is no ELF file")?.stripped()?;
    let folder = variant.folder(arch);
    if variant.fault {
        return replace_file(&folder.join("skeg-fault"), &stripped, true);
    }
    replace_file(&folder.join("skeg.symbols"), &bytes, true)?;
    replace_file(&folder.join("skeg"), &stripped, true)
}

/// Builds one program; where cargo leaves it, until the next one that is built in the same way.
pub fn compile(arch: &Arch, variant: Variant, wanted: Option<Way>) -> Outcome<PathBuf> {
    let (way, why) = toolchain::choose(arch, wanted)?;
    println!("{}: by way of {} for {} ({why})", arch.name, way.name(), way.triple(arch));
    let mut command = way.cargo_build(arch);
    command.args(["--quiet", "--locked", "--profile", "dist", "--package", "skeg"]).args(variant.words());
    run(&mut command)?;
    Ok(way.built(arch))
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

fn measure(arch: &Arch, variant: Variant) -> Outcome<Sizes> {
    let folder = variant.folder(arch);
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
fn report(archs: &[&Arch], variant: Variant) -> Outcome {
    let columns: Vec<Sizes> = archs.iter().map(|arch| measure(arch, variant)).collect::<Outcome<_>>()?;
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
        let found = [(sizes.file, "bytes"), (sizes.packed, "bytes on a packed root")];
        for ((bytes, what), most) in found.into_iter().zip(variant.most(arch)) {
            if bytes > most {
                return Err(format!("{}: {bytes} {what} are more than {most}, what is tolerated", arch.name));
            }
        }
    }
    Ok(())
}
