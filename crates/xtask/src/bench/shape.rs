// SPDX-License-Identifier: ISC
//! Source trees to measure with: the same for every suite and every run, made from a fixed seed.

use super::World;
use super::suite::{self, Suite};
use crate::command::Outcome;
use std::fs;
use std::path::{Path, PathBuf};

/// What a tree consists of.
#[derive(Clone, Copy)]
pub enum Shape {
    /// 70% oneshots, 30% longruns, one to three dependencies each.
    Mixed(usize),
    /// Oneshots that need nothing.
    Independent(usize),
    /// Oneshots, each needing the one before.
    Chain(usize),
    /// Longruns that need nothing.
    Longruns(usize),
}

impl Shape {
    fn tag(self) -> String {
        match self {
            Self::Mixed(n) => format!("mixed-{n}"),
            Self::Independent(n) => format!("independent-{n}"),
            Self::Chain(n) => format!("chain-{n}"),
            Self::Longruns(n) => format!("longruns-{n}"),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Mixed(n) | Self::Independent(n) | Self::Chain(n) | Self::Longruns(n) => n,
        }
    }

    fn is_longrun(self, at: usize) -> bool {
        match self {
            Self::Mixed(_) => at % 10 >= 7,
            Self::Independent(_) | Self::Chain(_) => false,
            Self::Longruns(_) => true,
        }
    }

    /// How many of its services are longruns.
    pub fn longruns(self) -> usize {
        (0..self.len()).filter(|at| self.is_longrun(*at)).count()
    }

    /// How many are oneshots.
    pub fn oneshots(self) -> usize {
        self.len() - self.longruns()
    }

    fn needs(self, at: usize, random: &mut Random) -> Vec<usize> {
        match self {
            Self::Mixed(_) if at > 0 => (0..=random.below(3)).map(|_| random.below(at)).collect(),
            Self::Chain(_) if at > 0 => vec![at - 1],
            _ => Vec::new(),
        }
    }

    /// The source tree, made where it is not there yet.
    pub fn source(self, world: &World) -> Outcome<PathBuf> {
        let path = world.scratch.path().join(self.tag());
        if !path.exists() {
            self.write(&path, &world.scratch.path().join("ends"))
                .map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(path)
    }

    /// The compiled database of this suite, made where it is not there yet.
    pub fn database(self, world: &World, suite: &Suite) -> Outcome<PathBuf> {
        let path = world.scratch.path().join(format!("{}-{}", self.tag(), suite.tag));
        if !path.exists() {
            suite::must(suite.command("s6-rc-compile").arg(&path).arg(self.source(world)?))?;
        }
        Ok(path)
    }

    fn write(self, folder: &Path, ends: &Path) -> std::io::Result<()> {
        let mut random = Random(1);
        let contents = folder.join("all/contents.d");
        fs::create_dir_all(&contents)?;
        fs::write(folder.join("all/type"), "bundle\n")?;
        for at in 0..self.len() {
            let name = service(at);
            let service_dir = folder.join(&name);
            fs::create_dir(&service_dir)?;
            fs::write(contents.join(&name), "")?;
            if self.is_longrun(at) {
                fs::write(service_dir.join("type"), "longrun\n")?;
                fs::write(service_dir.join("run"), suite::waits())?;
                set_executable(&service_dir.join("run"))?;
            } else {
                fs::write(service_dir.join("type"), "oneshot\n")?;
                fs::write(service_dir.join("up"), format!("{}\n", ends.display()))?;
            }
            let needs = self.needs(at, &mut random);
            if !needs.is_empty() {
                fs::create_dir(service_dir.join("dependencies.d"))?;
            }
            for need in needs {
                fs::write(service_dir.join("dependencies.d").join(service(need)), "")?;
            }
        }
        Ok(())
    }
}

/// The name of a service.
pub fn service(at: usize) -> String {
    format!("s{at:05}")
}

fn set_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// A small linear congruential generator: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}
