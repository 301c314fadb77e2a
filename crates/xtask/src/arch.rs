// SPDX-License-Identifier: ISC
//! The architectures of a release: names, compiler targets, emulators. Read by dist, sizes, test, qemu and demo.

/// One architecture that a release is made for.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// What people type, and the folder below `target/dist`.
    pub name: &'static str,
    /// The compiler's target.
    pub triple: &'static str,
    /// User-mode emulator of Debian's `qemu-user`.
    pub emulator: &'static str,
    /// Debian's name of the architecture, for packages of its own.
    pub debian: &'static str,
    /// Compiler flags for it alone.
    pub flags: &'static str,
    /// Bytes that its program may have: what it has, so that it grows on purpose only. That is held to the budget where the
    /// budget is kept.
    pub ceiling: u64,
    /// The same for one without the compiler.
    pub ceiling_without_compiler: u64,
    /// What the code generator is told for it alone.
    pub generator: &'static [&'static str],
}

/// All of them, the quickest to test first.
pub static ALL: [Arch; 4] = [
    Arch {
        name: "x86_64",
        triple: "x86_64-unknown-linux-musl",
        emulator: "qemu-x86_64",
        debian: "amd64",
        // Addresses relative to a frame pointer are shorter than those relative to the stack pointer.
        flags: "-Cforce-frame-pointers=yes",
        ceiling: 386_000,
        ceiling_without_compiler: 320_000,
        generator: &["-x86-disable-avoid-SFB"],
    },
    Arch {
        name: "aarch64",
        triple: "aarch64-unknown-linux-musl",
        emulator: "qemu-aarch64",
        debian: "arm64",
        // All of it lies within a megabyte: an address is one instruction.
        flags: "-Ccode-model=tiny",
        ceiling: 345_300,
        ceiling_without_compiler: 290_200,
        generator: &[],
    },
    Arch {
        name: "armv7",
        triple: "armv7-unknown-linux-musleabihf",
        emulator: "qemu-arm",
        debian: "armhf",
        // Thumb-2: the same program in a third fewer bytes.
        flags: "-Ctarget-feature=+thumb-mode",
        ceiling: 260_700,
        ceiling_without_compiler: 219_800,
        generator: &[],
    },
    Arch {
        name: "riscv64",
        triple: "riscv64gc-unknown-linux-musl",
        emulator: "qemu-riscv64",
        debian: "riscv64",
        // The linker makes calls and addresses shorter where it can, these only if they are absolute; beginnings and ends of
        // functions are there once (`sys`).
        flags: "-Ctarget-feature=+relax,+save-restore -Ccode-model=small -Clink-arg=--relax-gp",
        ceiling: 296_300,
        ceiling_without_compiler: 247_900,
        generator: &[],
    },
];

/// The architecture of this name, or all of them for `all`, in the order they are to be built.
pub fn named(name: &str) -> Result<&'static [Arch], String> {
    if name == "all" {
        return Ok(&ALL);
    }
    match ALL.iter().find(|arch| arch.name == name) {
        Some(arch) => Ok(std::slice::from_ref(arch)),
        None => {
            let known: Vec<_> = ALL.iter().map(|arch| arch.name).collect();
            Err(format!("{name}: no such architecture (known: {}, all)", known.join(", ")))
        }
    }
}

/// The architecture of the machine that this runs on, where it is one of ours.
pub fn host() -> Option<&'static Arch> {
    let name = if std::env::consts::ARCH == "arm" { "armv7" } else { std::env::consts::ARCH };
    ALL.iter().find(|arch| arch.name == name)
}
