// SPDX-License-Identifier: ISC
//! `s6-rc-init`: makes the live directory.

use super::open::corrupt;
use crate::applet::{Call, SYSTEM, USAGE};
use crate::words;
use core::ffi::CStr;
use db::Db;
use engine::Image;
use live::{ImageSource, LiveError, Notes, Wait};
use run::init::{InitError, Made, Plan};
use sys::time::{Millis, monotonic};
use sys::{AsRawFd, CBuf, Errno, OwnedFd, Path, fs};
use text::args::Arg;

pub const HELP: &str = "\
usage: s6-rc-init [-c IMAGE] [-l LIVE] [-p PREFIX] [-t TIMEOUT] [-b] [-d] [-S SKEG] SCANDIR

Makes the live directory LIVE of the compiled IMAGE with all services down, adds the service directories of its longruns
to SCANDIR, where a scanner must run, and returns when each of them is supervised. A LIVE that is there with the
same image is left as it is.
  -c IMAGE    the image (--bootdb; default /etc/s6-rc/compiled)
  -l LIVE     the live directory to be (--livedir; default /run/s6-rc)
  -p PREFIX   what the entries in SCANDIR begin with (--prefix; default nothing)
  -t TIMEOUT  milliseconds after which the supervisors must be there (--timeout; 0, the default: no limit)
  -b          wait for another command that is at work on LIVE (--block; --no-block: the default)
  -d          note the path of IMAGE without its symbolic links (--dereference; --no-dereference: the default)
  -S SKEG     the path of skeg in generated scripts (--skeg; default: this program's)

exit codes: 0, 4 invalid image, 100 wrong usage or no scanner, 102 LIVE belongs to another image,
111 system call failed or TIMEOUT is over
";

struct Options {
    image: &'static CStr,
    live: &'static CStr,
    prefix: &'static CStr,
    timeout: u32,
    wait: Wait,
    dereference: bool,
    skeg: Option<&'static CStr>,
    scandir: &'static CStr,
}

fn parse(call: &Call) -> Result<Options, u8> {
    let mut o = Options {
        image: super::COMPILED,
        live: super::LIVE,
        prefix: c"",
        timeout: 0,
        wait: Wait::No,
        dereference: false,
        skeg: None,
        scandir: c"",
    };
    let mut args = call.args();
    while let Some(option) = args.option().map_err(|e| call.refuse(e))? {
        let to = match option {
            Arg::Short(b'c') | Arg::Long(b"bootdb") => &mut o.image,
            Arg::Short(b'l') | Arg::Long(b"livedir") => &mut o.live,
            Arg::Short(b'p') | Arg::Long(b"prefix") => &mut o.prefix,
            Arg::Short(b'S') | Arg::Long(b"skeg") => o.skeg.insert(c""),
            Arg::Short(b't') | Arg::Long(b"timeout") => {
                o.timeout = call.number(&mut args, b"timeout", u32::MAX)?;
                continue;
            }
            Arg::Short(b'b') | Arg::Long(b"block") => {
                o.wait = Wait::Forever;
                continue;
            }
            Arg::Long(b"no-block") => {
                o.wait = Wait::No;
                continue;
            }
            Arg::Short(b'd') | Arg::Long(b"dereference") => {
                o.dereference = true;
                continue;
            }
            Arg::Long(b"no-dereference") => {
                o.dereference = false;
                continue;
            }
            other => return Err(call.unknown(other)),
        };
        *to = args.value().map_err(|e| call.refuse(e))?;
    }
    o.scandir = args.operand().ok_or_else(|| call.misused(&[b"which scan directory?"]))?;
    check(call, &o).map(|()| o)
}

fn check(call: &Call, o: &Options) -> Result<(), u8> {
    let mut absolute: heapless::Vec<(&[u8], &CStr), 3> = heapless::Vec::new();
    let _ = absolute.push((b"scan directory", o.scandir));
    let _ = absolute.push((b"live directory", o.live));
    if !o.dereference {
        let _ = absolute.push((b"image", o.image));
    }
    for (what, path) in absolute {
        if !path.to_bytes().starts_with(b"/") {
            return Err(call.misused(&[
                b"the ",
                what,
                b" '",
                path.to_bytes(),
                b"' must be an absolute path",
            ]));
        }
    }
    if o.prefix.to_bytes().iter().any(|b| matches!(b, b'/' | b'\n')) {
        return Err(call.misused(&[b"a prefix can't have a slash or a newline"]));
    }
    if o.prefix.to_bytes().starts_with(b".") {
        return Err(call.misused(&[b"a prefix can't begin with a dot: scanners skip such entries"]));
    }
    Ok(())
}

pub fn main(call: &mut Call) -> u8 {
    match parse(call).and_then(|options| init(call, &options)) {
        Ok(()) => 0,
        Err(code) => code,
    }
}

/// What /proc says of an open file: its path without symbolic links.
fn real_path(file: &OwnedFd) -> Result<Path, Errno> {
    let mut link = CBuf::<40>::new();
    let _ = link.push(b"/proc/self/fd/").and_then(|l| l.push_number(file.as_raw_fd() as u64));
    own_link(&link)
}

fn own_link(link: &CStr) -> Result<Path, Errno> {
    let mut buf = [0; 4096];
    let target = fs::readlink(sys::CWD, link, &mut buf)?;
    Path::from_pieces(&[target]).map_err(|_| Errno::NAMETOOLONG)
}

fn init(call: &Call, o: &Options) -> Result<(), u8> {
    let cant = |what: &[u8], errno| call.failed(&[what, o.image.to_bytes()], errno);
    let file = fs::open_read(sys::CWD, o.image).map_err(|e| cant(b"open the image ", e))?;
    let size = fs::fstat(&file).map_err(|e| cant(b"look at the image ", e))?.st_size as usize;
    let bytes = sys::mm::MappedFile::new(&file, size).map_err(|e| cant(b"map the image ", e))?.leak();
    let db = Db::check(bytes).map_err(|e| corrupt(call.name, &[o.image.to_bytes()], e))?;
    if !crate::settings::can_apply(call.name, db) {
        return Err(SYSTEM);
    }
    let image = Image::new(db);
    let real = real_path(&file);
    let compiled = match (&real, o.dereference) {
        (Ok(path), true) => path.as_c(),
        (Err(e), true) => return Err(cant(b"resolve the path of ", *e)),
        (_, false) => o.image,
    };
    let source = match &real {
        Ok(path) if fs::is_read_only(&file).unwrap_or(false) => ImageSource::Link(path),
        _ => ImageSource::Copy(bytes),
    };
    let own;
    let skeg = match o.skeg {
        Some(path) => path,
        None => {
            own = own_link(c"/proc/self/exe")
                .map_err(|e| call.failed(&[b"find this program's path (-S says it)"], e))?;
            own.as_c()
        }
    };
    let deadline = (o.timeout != 0).then(|| Millis(monotonic().0 + u64::from(o.timeout)));
    let notes = Notes { compiled, scandir: o.scandir, prefix: o.prefix.to_bytes(), skeg };
    let plan = Plan { live: o.live, notes, source, wait: o.wait, deadline };
    let mut warn = |(service, file): (u16, &CStr)| {
        let name = image.name(service);
        let pieces: [&[u8]; 5] = [
            b"warning: service ",
            name,
            b" has ",
            file.to_bytes(),
            b", which older supervisors of s6 ignore",
        ];
        words::complain(call.name, &pieces);
    };
    match run::init::init(&image, &plan, &mut warn) {
        Ok(Made::New) => Ok(()),
        Ok(Made::Already) => {
            words::complain(call.name, &[b"already there and supervised: ", o.live.to_bytes()]);
            Ok(())
        }
        Err(e) => Err(failed(call, o, &image, e)),
    }
}

/// Exit code for a live directory of something else, as in the reference.
const OTHER: u8 = 102;

fn failed(call: &Call, o: &Options, image: &Image<'_>, error: InitError) -> u8 {
    let (live, scandir) = (o.live.to_bytes(), o.scandir.to_bytes());
    let (code, pieces): (u8, [&[u8]; 4]) = match error {
        InitError::Run(run::RunError::Live(LiveError::Taken(service))) => {
            let name = image.name(service);
            (SYSTEM, [scandir, b" has an entry '", name, b"' that is not ours (-p gives ours a prefix)"])
        }
        InitError::Run(run::RunError::Live(LiveError::NotLive)) => {
            (OTHER, [live, b" exists and is not a live directory of skeg", b"", b""])
        }
        InitError::Run(error) => return super::report::session_error(call.name, live, error),
        InitError::NoScanner => (USAGE, [b"no s6-svscan runs on ", scandir, b"", b""]),
        InitError::ScanDir(errno) => return call.failed(&[b"use the scan directory ", scandir], errno),
        InitError::OtherImage => {
            (OTHER, [live, b" is the live directory of another image, and supervised", b"", b""])
        }
        InitError::OtherScanDir => {
            (OTHER, [live, b" is supervised in another scan directory than ", scandir, b""])
        }
        InitError::OtherPrefix => (OTHER, [live, b" was made with another prefix", b"", b""]),
        InitError::Unfinished => {
            (SYSTEM, [b"a command on ", live, b" was cut short: 'skeg recover' finishes it", b""])
        }
        InitError::TimedOut(missing) => {
            let missing = text::Digits::decimal(missing as u64);
            words::complain(
                call.name,
                &[b"timed out: ", missing.as_bytes(), b" services have no supervisor"],
            );
            return SYSTEM;
        }
        InitError::Unable(service) => {
            let why = b": its restart-backoff needs skeg's own s6-svscan";
            (SYSTEM, [b"can't supervise service ", image.name(service), why, b""])
        }
    };
    words::complain(call.name, &pieces);
    code
}
