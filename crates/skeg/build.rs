// SPDX-License-Identifier: ISC
//! Packs the texts. Messages: each string in a `t!(…)` of the source, where it stands between zeros; the macro gives its
//! place. Help: `help/APPLET.txt`, whose first line says what the applet does, then a blank line, then what `--help`
//! prints. The list of all applets is made of the first lines.

#[allow(dead_code, missing_docs)]
#[path = "../text/src/packed.rs"]
mod packed;

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::path::Path;
use std::{env, fs};

/// What `skeg --help` begins with.
const USAGE: &str = "usage: skeg APPLET [ARGUMENT...], or a link to skeg named as the applet; skeg --help, skeg --version\n\n";

fn main() -> Result<(), Box<dyn Error>> {
    for path in ["help", "src", "build.rs", "../text/src/packed.rs"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let mut files = Vec::new();
    for entry in fs::read_dir("help")? {
        files.push(entry?.path());
    }
    files.sort();
    let (mut list, mut texts) = (USAGE.to_owned(), String::new());
    for file in files {
        let name = file.file_stem().and_then(|name| name.to_str()).ok_or("a name in UTF-8")?;
        let text = fs::read_to_string(&file)?;
        let (about, help) = text.split_once("\n\n").ok_or("a first line, then a blank one")?;
        if !about.is_empty() {
            list += &format!("  {name:20} {about}\n");
        }
        texts += &format!("{name}\0{help}\0");
    }
    let (mut all, mut arms) = (String::new(), String::new());
    for literal in messages(Path::new("src"))? {
        arms += &format!("    ({literal}) => {{ $crate::words::Text({}) }};\n", u16::try_from(all.len())?);
        all += &format!("{}\0", meaning(&literal)?);
    }
    let messages = all.len();
    all += &format!("skeg\0{list}\0{texts}");
    let bytes = pack(all.as_bytes());
    let mut again = vec![0; all.len()];
    packed::unpack(&bytes, &mut again);
    assert!(again == all.as_bytes(), "what is packed can be unpacked");
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("texts.bin"), &bytes)?;
    fs::write(Path::new(&out).join("texts.rs"), format!("macro_rules! t {{\n{arms}}}\n"))?;
    let length = format!(
        "/// Bytes of all texts.\nconst LENGTH: usize = {};\n/// Those of the messages.\nconst MESSAGES: usize = {messages};\n",
        all.len()
    );
    Ok(fs::write(Path::new(&out).join("length.rs"), length)?)
}

/// The literals of all messages, each once, as they stand in the source.
fn messages(folder: &Path) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            // The words for definitions go with the compiler.
            if path.ends_with("compile") && env::var_os("CARGO_FEATURE_COMPILER").is_none() {
                continue;
            }
            found.append(&mut messages(&path)?);
            continue;
        }
        let source = fs::read_to_string(&path)?;
        for (at, name) in source.match_indices("t!(") {
            let Some(text) = source[at + name.len()..].trim_start().strip_prefix('"') else { continue };
            if source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let mut escaped = false;
            let end = text.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            found.insert(format!("\"{}\"", &text[..end.ok_or("a string that ends")?]));
        }
    }
    Ok(found)
}

/// What a literal says.
fn meaning(literal: &str) -> Result<String, Box<dyn Error>> {
    let inside = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or("quotes")?;
    let (mut text, mut rest) = (String::new(), inside.chars());
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match rest.next() {
            Some('\n') => rest = rest.as_str().trim_start().chars(),
            Some('n') => text.push('\n'),
            Some(c @ ('\\' | '"')) => text.push(c),
            _ => return Err(format!("{literal}: an escape that this does not know").into()),
        }
    }
    Ok(text)
}

/// The bits of a number in gamma code.
const fn gamma(n: usize) -> u32 {
    2 * n.ilog2() + 1
}

/// The cheapest way to say the bytes from one place on: its bits, the length of its first repetition (1: a character),
/// and how far back that is.
#[derive(Clone, Copy)]
struct Choice {
    cost: u32,
    length: usize,
    distance: usize,
}

/// Packs as `text::packed` unpacks, in as few bits as this code can.
fn pack(text: &[u8]) -> Vec<u8> {
    assert!(text.is_ascii(), "texts are in ASCII");
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (at, pair) in text.windows(2).enumerate() {
        places.entry(pair).or_default().push(at);
    }
    let mut best = vec![Choice { cost: 0, length: 0, distance: 0 }; text.len() + 1];
    for at in (0..text.len()).rev() {
        let mut choice = Choice { cost: 8 + best[at + 1].cost, length: 1, distance: 0 };
        let before = text.get(at..at + 2).map_or(&[][..], |pair| &places[pair]);
        let (mut longest, before) = (1, &before[..before.partition_point(|place| *place < at)]);
        for from in before.iter().rev() {
            let same = text[*from..].iter().zip(&text[at..]).take_while(|(a, b)| a == b).count();
            let distance = at - from;
            let head = 1 + packed::NEAR + gamma(((distance - 1) >> packed::NEAR) + 1);
            for length in longest + 1..=same {
                let cost = head + gamma(length - 1) + best[at + length].cost;
                if cost < choice.cost {
                    choice = Choice { cost, length, distance };
                }
            }
            longest = longest.max(same);
        }
        best[at] = choice;
    }
    let (mut bits, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let Choice { length, distance, .. } = best[at];
        if length == 1 {
            put(&mut bits, usize::from(text[at]), 8);
        } else {
            put(&mut bits, 1, 1);
            put_gamma(&mut bits, ((distance - 1) >> packed::NEAR) + 1);
            put(&mut bits, distance - 1, packed::NEAR);
            put_gamma(&mut bits, length - 1);
        }
        at += length;
    }
    bits.chunks(8)
        .map(|byte| byte.iter().enumerate().map(|(n, bit)| u8::from(*bit) << (7 - n)).sum())
        .collect()
}

fn put(bits: &mut Vec<bool>, n: usize, count: u32) {
    bits.extend((0..count).rev().map(|shift| n >> shift & 1 != 0));
}

fn put_gamma(bits: &mut Vec<bool>, n: usize) {
    put(bits, n, gamma(n));
}
