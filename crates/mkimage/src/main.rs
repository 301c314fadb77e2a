// SPDX-License-Identifier: ISC
//! Boot images and read-only roots: an initramfs (cpio) or a squashfs file from a device binary, definitions and files.
//!
//! Host tool. Owners are root, times are zero and entries are sorted, so the same input gives the same bytes; no root
//! rights are needed. Used by firmware builders, by `cargo xtask demo` and by the boot tests.

mod cpio;
mod definitions;
mod options;
mod squashfs;
mod tree;

use std::process::ExitCode;

const HELP: &str = "\
usage: mkimage -o OUT --format cpio|squashfs [OPTION...]

Writes an initramfs (cpio, newc) or a root file system (squashfs, gzip).

  --skeg FILE            the device binary: /sbin/skeg, with /sbin/init (squashfs) or /init (cpio) as links to it,
                         and /sbin/poweroff, reboot, halt
  --busybox FILE         /bin/busybox, with /bin/sh as a link to it
  --applets NAME,...     more links to it, in /bin
  --module FILE          a kernel module: /lib/modules/NAME, and a line in /etc/skeg/modules, in the order given
  --definitions DIR      a source directory; all that are given are compiled together: /etc/s6-rc/compiled
  --image FILE           a database that is compiled already, at the same place
  --overlay DIR          everything below DIR, with its modes and links
  --file SOURCE=PATH[,MODE]    one file (0644)
  --dir PATH[,MODE]      an empty directory (0755)
  --link TARGET=PATH     a symbolic link
  --device PATH,c|b,MAJOR,MINOR[,MODE]   a device node (0600)

Directories above an entry are made. A squashfs gets the mount points /dev /proc /sys /run /tmp /data /var, a cpio
/dev with console and null, /proc, /sys. A later entry replaces an earlier one of the same path.

exit codes: 0 done, 1 failed, 2 wrong usage
";

fn main() -> ExitCode {
    let options = match options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            eprintln!("mkimage: {e} (--help shows the usage)");
            return ExitCode::from(2);
        }
    };
    match make(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("mkimage: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the tree, writes it aside, renames it over `OUT`.
fn make(options: &options::Options) -> Result<(), String> {
    let tree = options.tree()?;
    let aside = options.out.with_extension("new");
    let failed = |e: std::io::Error| format!("{}: {e}", aside.display());
    match options.format {
        options::Format::Cpio => std::fs::write(&aside, cpio::archive(&tree)).map_err(failed)?,
        options::Format::Squashfs => squashfs::write(&tree, &aside)?,
    }
    std::fs::rename(&aside, &options.out).map_err(|e| format!("{}: {e}", options.out.display()))
}
