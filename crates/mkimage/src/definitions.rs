// SPDX-License-Identifier: ISC
//! Source directories into the image that goes on a root: by the same code as `s6-rc-compile`, so the same bytes.

use source::Fault;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Compiles these directories; every grave fault is told, in one message.
pub fn compile(dirs: &[&PathBuf]) -> Result<Vec<u8>, String> {
    let paths: Result<Vec<CString>, _> =
        dirs.iter().map(|dir| CString::new(dir.as_os_str().as_bytes())).collect();
    let paths = paths.map_err(|e| format!("a source directory: {e}"))?;
    let paths: Vec<&CStr> = paths.iter().map(CString::as_c_str).collect();
    let compiled = compile::compile(source::read(&paths), &compile::Options::default());
    match compiled.image {
        Some(image) => db::Db::check(&image)
            .map(|_| ())
            .map_err(|e| format!("a bug: the image is not valid: {e:?}"))
            .map(|()| image),
        None => {
            let faults: Vec<_> = compiled.faults.iter().filter(|fault| fault.grave).map(told).collect();
            Err(format!(
                "the definitions are wrong (`skeg s6-rc-compile` says it in more words):\n{}",
                faults.join("\n")
            ))
        }
    }
}

/// A fault in one line: where, what, and which name may have been meant.
fn told(fault: &Fault) -> String {
    let parts =
        [&fault.source, &fault.service, &fault.file].map(|part| String::from_utf8_lossy(part).into_owned());
    let mut line =
        format!("  {}", parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("/"));
    if fault.line != 0 {
        line.push_str(&format!(":{}", fault.line));
    }
    line.push_str(&format!(": {:?}", fault.what));
    if !fault.text.is_empty() {
        line.push_str(&format!(" '{}'", String::from_utf8_lossy(&fault.text)));
    }
    if !fault.near.is_empty() {
        line.push_str(&format!(" (did you mean '{}'?)", String::from_utf8_lossy(&fault.near)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_become_an_image_or_every_fault_of_them() {
        let dir = std::env::temp_dir().join(format!("mkimage-definitions-{}", std::process::id()));
        let put = |name: &str, text: &str| {
            let file = dir.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        put("default/type", "bundle\n");
        put("default/contents.d/mount", "");
        put("mount/type", "oneshot\n");
        put("mount/up", "/bin/true\n");
        let image = compile(&[&dir]).unwrap();
        assert!(db::Db::check(&image).unwrap().lookup(b"default").is_some());
        put("default/contents.d/mounts", "");
        put("web/type", "logrun\n");
        let why = compile(&[&dir]).unwrap_err();
        assert!(why.contains("mounts") && why.contains("did you mean 'mount'?"), "{why}");
        assert!(why.contains("web/type"), "{why}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
