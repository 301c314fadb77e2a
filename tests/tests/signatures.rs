// SPDX-License-Identifier: ISC
//! `skeg install --key`: an image is installed only with the key's signature behind it.

use ed25519_compact::{KeyPair, Seed};
use harness::{Scratch, Suite};

fn keys(seed: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([seed; 32]))
}

/// An image, the same signed by key 1, and by key 2; the files of both public keys.
fn prepare() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("src/x/type", "longrun\n");
    scratch.file("src/x/run", "#!/bin/sh\nexec sleep 1\n");
    scratch.file("src/default/type", "bundle\n");
    scratch.file("src/default/contents", "x\n");
    scratch.run(&Suite::skeg(), "s6-rc-compile", &["plain", "src"]).expect(0);
    let image = std::fs::read(scratch.at("plain")).expect("an image");
    for seed in [1, 2] {
        let keys = keys(seed);
        scratch.file(format!("key{seed}"), keys.pk.as_ref());
        let signature = keys.sk.sign(&image, None);
        scratch.file(format!("signed{seed}"), [&image[..], signature.as_ref()].concat());
    }
    scratch.folder("data");
    scratch
}

fn install(scratch: &Scratch, suite: &Suite, key: &str, image: &str) -> harness::Done {
    scratch.run(suite, "install", &["-d", "data", "--key", key, image])
}

#[test]
fn only_what_the_key_has_signed_is_installed() {
    let scratch = prepare();
    let skeg = Suite::skeg_fault();
    for image in ["plain", "signed2"] {
        let done = install(&scratch, &skeg, "key1", image).expect(4);
        assert!(done.err.contains("it is not signed by the key key1"), "{}", done.err);
    }
    // Cut short, longer, each byte of the signature, and some of the image, changed.
    let good = std::fs::read(scratch.at("signed1")).expect("an image");
    let refused = |bytes: &[u8]| {
        scratch.file("bad", bytes);
        install(&scratch, &skeg, "key1", "bad").expect(4);
    };
    refused(&good[..good.len() - 1]);
    refused(&[&good[..], b"x"].concat());
    let signature = good.len() - 64;
    for at in (signature..good.len()).step_by(7).chain((0..signature).step_by(97)) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        refused(&bytes);
    }
    assert_eq!(std::fs::read_dir(scratch.at("data")).expect("a directory").count(), 0, "nothing was written");
    install(&scratch, &skeg, "key1", "signed1").expect(0);
    assert_eq!(std::fs::read(scratch.at("data/current")).expect("the image"), good);
    scratch.run(&Suite::skeg(), "s6-rc-db", &["-c", "data/current", "check"]).expect(0);
}

#[test]
fn an_image_that_is_there_unsigned_can_be_signed() {
    let scratch = prepare();
    let skeg = Suite::skeg_fault();
    scratch.run(&skeg, "install", &["-d", "data", "plain"]).expect(0);
    install(&scratch, &skeg, "key1", "signed1").expect(0);
    assert_eq!(
        std::fs::read(scratch.at("data/current")).unwrap(),
        std::fs::read(scratch.at("signed1")).unwrap()
    );
    assert!(!scratch.at("data/previous").exists(), "it is the same image");
}

#[test]
fn what_a_boot_would_not_take_is_neither_gone_back_to_nor_kept() {
    let scratch = prepare();
    let skeg = Suite::skeg_fault();
    scratch.file("other/x/type", "longrun\n");
    scratch.file("other/x/run", "#!/bin/sh\nexec sleep 2\n");
    scratch.file("other/default/type", "bundle\n");
    scratch.file("other/default/contents", "x\n");
    scratch.run(&Suite::skeg(), "s6-rc-compile", &["other.img", "other"]).expect(0);
    let run = |words: &[&str]| scratch.run(&skeg, "install", &[&["-d", "data"], words].concat());
    run(&["plain"]).expect(0);
    run(&["--trial", "30", "other.img"]).expect(0);
    for (words, link) in [(["--key", "key1", "--back"], "previous"), (["--key", "key1", "--keep"], "current")]
    {
        let done = run(&words).expect(4);
        assert!(
            done.err.contains(&format!("data/{link} is damaged, not signed, or without")),
            "{}",
            done.err
        );
        assert!(scratch.at("data/trial").exists(), "nothing has changed");
    }
    // Without the key it may be done; the boot checks again.
    run(&["--keep"]).expect(0);
    assert!(!scratch.at("data/trial").exists());
    install(&scratch, &skeg, "key1", "signed1").expect(0);
    run(&["--key", "key1", "--keep"]).expect(0);
    let done = run(&["--key", "key2", "--keep"]).expect(4);
    assert!(done.err.contains("data/current is damaged, not signed, or without"), "{}", done.err);
    run(&["other.img"]).expect(0);
    run(&["--key", "key1", "--back"]).expect(0);
    assert_eq!(
        std::fs::read(scratch.at("data/current")).unwrap(),
        std::fs::read(scratch.at("signed1")).unwrap()
    );
}

#[test]
fn a_key_that_is_no_key_or_not_there_accepts_nothing() {
    let scratch = prepare();
    scratch.file("short", [1; 31]);
    scratch.file("zeros", [0; 32]);
    for key in ["short", "zeros", "nowhere", "data"] {
        install(&scratch, &Suite::skeg_fault(), key, "signed1").expect(4);
    }
}

#[test]
fn a_binary_without_signatures_says_so() {
    let scratch = prepare();
    let done = install(&scratch, &Suite::skeg(), "key1", "signed1");
    // A device's binary may have been built with them.
    if done.code != 0 {
        assert!(done.expect(4).err.contains("built without signatures"));
    }
}
