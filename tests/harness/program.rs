// SPDX-License-Identifier: ISC
//! The programs under test: skeg as one binary, or another suite's programs in a folder.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the applets come from.
#[derive(Clone, Debug)]
pub enum Suite {
    /// One binary whose first word is the applet's name.
    Multicall(PathBuf),
    /// A folder with one program for each applet.
    Folder(PathBuf),
}

impl Suite {
    /// The device binary: `SKEG`, else `target/dist/ARCH/skeg`, else `target/quick/skeg`.
    pub fn skeg() -> Self {
        Self::Multicall(find("SKEG", "skeg", "skeg"))
    }

    /// The device binary with the test layer: `SKEG_FAULT_BIN`, else the `skeg-fault` beside the other.
    pub fn skeg_fault() -> Self {
        Self::Multicall(find("SKEG_FAULT_BIN", "skeg-fault", "skeg-fault"))
    }

    /// The device binary without the compiler: `SKEG_NO_COMPILER`, else that of `cargo xtask dist --no-compiler`.
    pub fn skeg_no_compiler() -> Self {
        Self::Multicall(find("SKEG_NO_COMPILER", "no-compiler/skeg", "no-compiler/skeg"))
    }

    /// The s6 of the machine (package `s6` on Debian), if it is installed. With `SKEG_NEED_S6` set it must be.
    pub fn debian() -> Option<Self> {
        let there = Path::new("/usr/bin/s6-svscan").exists();
        assert!(there || std::env::var_os("SKEG_NEED_S6").is_none(), "install the package s6");
        there.then(|| Self::Folder("/usr/bin".into()))
    }

    /// The programs that the tests' manager commands run: `SKEG_SUITE` names a folder with another suite's
    /// (to prove a test right against the reference), else skeg.
    pub fn tested() -> Self {
        match std::env::var_os("SKEG_SUITE") {
            Some(folder) => Self::Folder(folder.into()),
            None => Self::skeg(),
        }
    }

    /// A command that runs this applet.
    pub fn command(&self, applet: &str) -> Command {
        match self {
            Self::Multicall(binary) => {
                let mut command = Command::new(binary);
                command.arg(applet);
                command
            }
            Self::Folder(folder) => Command::new(folder.join(applet)),
        }
    }

    /// The words that run this applet, for a script or another program's command line.
    pub fn words(&self, applet: &str) -> Vec<String> {
        match self {
            Self::Multicall(binary) => vec![binary.display().to_string(), applet.to_owned()],
            Self::Folder(folder) => vec![folder.join(applet).display().to_string()],
        }
    }

    /// The multicall binary itself.
    pub fn binary(&self) -> &Path {
        match self {
            Self::Multicall(path) | Self::Folder(path) => path,
        }
    }

    /// Whether this is skeg.
    pub fn is_skeg(&self) -> bool {
        matches!(self, Self::Multicall(_))
    }
}

fn find(variable: &str, dist: &str, quick: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return std::path::absolute(path).expect("a working directory");
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let arch = match std::env::consts::ARCH {
        "arm" => "armv7",
        other => other,
    };
    let choices = [target.join("dist").join(arch).join(dist), target.join("quick").join(quick)];
    let found = choices.iter().find_map(|path| path.canonicalize().ok());
    found.unwrap_or_else(|| {
        panic!("no device binary: set {variable}, or run `cargo xtask dist` first (looked for {choices:?})")
    })
}
