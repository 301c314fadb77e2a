// SPDX-License-Identifier: ISC
//! `s6-rc-bundle` and `s6-rc-format-upgrade`, on an image and on a live directory.
#![allow(missing_docs)]

use harness::{Done, Scanner, Scratch, Suite};

struct Case {
    scratch: Scratch,
    suite: Suite,
}

impl Case {
    fn new() -> Self {
        let case = Self { scratch: Scratch::new(), suite: Suite::skeg() };
        for name in ["a", "b", "c"] {
            case.scratch.file(format!("source/{name}/type"), "oneshot\n");
            case.scratch.file(format!("source/{name}/up"), "true\n");
        }
        case.scratch.file("source/ab/type", "bundle\n");
        case.scratch.file("source/ab/contents", "a\nb\n");
        case.compile("image");
        case
    }

    fn compile(&self, out: &str) {
        self.scratch.run(&self.suite, "s6-rc-compile", &[out, "source"]).expect(0);
    }

    fn run(&self, applet: &str, words: &[&str]) -> Done {
        self.scratch.run(&self.suite, applet, words)
    }

    fn edit(&self, words: &[&str]) -> Done {
        self.run("s6-rc-bundle", &[&["-c", "image"], words].concat())
    }

    fn contents(&self, bundle: &str) -> Vec<String> {
        self.run("s6-rc-db", &["-c", "image", "contents", bundle]).expect(0).lines()
    }
}

#[test]
fn bundles_of_an_image_are_added_deleted_and_both_at_once() {
    let case = Case::new();
    case.edit(&["add", "abc", "ab", "c"]).expect(0);
    assert_eq!(case.contents("abc"), ["a", "b", "c"]);
    case.run("s6-rc-db", &["-c", "image", "check"]).expect(0);
    case.edit(&["add", "abc", "a"]).expect(1);
    case.edit(&["-f", "add", "abc", "a"]).expect(0);
    assert_eq!(case.contents("abc"), ["a"]);
    case.edit(&["delete", "ab"]).expect(0);
    case.edit(&["delete", "ab"]).expect(3);
    case.edit(&["-f", "delete", "ab"]).expect(0);
    case.edit(&["add", "x", "nothing"]).expect(3);
    case.edit(&["add", "a", "b"]).expect(5);
    case.edit(&["-f", "delete", "a"]).expect(5);
    case.edit(&["add", "s6rc-x", "a"]).expect(100);
    // Names in additions mean what they meant before the deletions.
    case.edit(&["multiple", " abc", "", "x", " abc", " c", "", "y", ""]).expect(0);
    assert_eq!(case.contents("x"), ["a", "c"]);
    assert_eq!(case.contents("y"), [""; 0]);
    case.run("s6-rc-db", &["-c", "image", "type", "abc"]).expect(3);
    // A link stays one, and leads to the edited image.
    std::os::unix::fs::symlink("image", case.scratch.at("link")).unwrap();
    case.run("s6-rc-bundle", &["-c", "link", "add", "z", "b"]).expect(0);
    assert!(case.scratch.at("link").is_symlink());
    assert_eq!(case.contents("z"), ["b"]);
    case.edit(&["multiple", " x"]).expect(100);
    case.edit(&["frobnicate"]).expect(100);
}

#[test]
fn deleting_what_was_added_gives_the_same_services() {
    let case = Case::new();
    let before = std::fs::read(case.scratch.at("image")).unwrap();
    case.edit(&["add", "x", "a"]).expect(0);
    case.edit(&["delete", "x"]).expect(0);
    let after = std::fs::read(case.scratch.at("image")).unwrap();
    // But for the count of edits, the identity and the header's checksum.
    assert_eq!(before.len(), after.len());
    assert_eq!(before[168..], after[168..]);
    assert_ne!(before[28..64], after[28..64]);
}

#[test]
fn the_live_image_is_edited_and_an_update_drops_the_edit() {
    let case = Case::new();
    let scanner = Scanner::start(&case.scratch, &case.suite);
    let (live, image) = (case.scratch.text("live"), case.scratch.text("image"));
    let scan = scanner.dir.display().to_string();
    case.run("s6-rc-init", &["-c", &image, "-l", &live, &scan]).expect(0);
    case.run("s6-rc", &["-l", &live, "start", "a"]).expect(0);
    let said = case.run("s6-rc-bundle", &["-l", &live, "add", "mine", "b", "c"]).expect(0).err;
    assert!(said.contains("the next update or boot drops it"), "{said}");
    assert_eq!(case.run("s6-rc-db", &["-l", &live, "contents", "mine"]).expect(0).lines(), ["b", "c"]);
    case.run("s6-rc", &["-l", &live, "start", "mine"]).expect(0);
    let up = || case.run("s6-rc", &["-l", &live, "-a", "-e", "list"]).expect(0).lines();
    assert_eq!(up(), ["a", "b", "c"]);
    // The file it came from is as it was.
    case.run("s6-rc-db", &["-c", &image, "type", "mine"]).expect(3);
    let said = case.run("s6-rc-update", &["-l", &live, &image]).expect(0).err;
    assert!(said.contains("edited"), "{said}");
    case.run("s6-rc-db", &["-l", &live, "type", "mine"]).expect(3);
    assert_eq!(up(), ["a", "b", "c"]);
}

/// What a boot can know: the live directory is still there when only the scanner has been started anew.
#[test]
fn an_init_in_the_place_of_an_edited_live_directory_says_that_the_edit_is_gone() {
    let case = Case::new();
    let (live, image) = (case.scratch.text("live"), case.scratch.text("image"));
    let init = || {
        let scanner = Scanner::start(&case.scratch, &case.suite);
        let scan = scanner.dir.display().to_string();
        let said = case.run("s6-rc-init", &["-c", &image, "-l", &live, &scan]).expect(0).err;
        (scanner, said)
    };
    let (scanner, said) = init();
    assert_eq!(said, "");
    case.run("s6-rc-bundle", &["-l", &live, "add", "mine", "b", "c"]).expect(0);
    drop(scanner);
    std::fs::remove_dir_all(case.scratch.at("scan")).unwrap();
    let (scanner, said) = init();
    assert!(said.contains("edited"), "{said}");
    case.run("s6-rc-db", &["-l", &live, "type", "mine"]).expect(3);
    drop(scanner);
    std::fs::remove_dir_all(case.scratch.at("scan")).unwrap();
    assert_eq!(init().1, "");
}

#[test]
fn a_format_upgrade_takes_the_same_services_and_no_others() {
    let case = Case::new();
    let scanner = Scanner::start(&case.scratch, &case.suite);
    let (live, image) = (case.scratch.text("live"), case.scratch.text("image"));
    let scan = scanner.dir.display().to_string();
    case.run("s6-rc-init", &["-c", &image, "-l", &live, &scan]).expect(0);
    case.run("s6-rc", &["-l", &live, "start", "ab"]).expect(0);
    case.compile("same");
    case.run("s6-rc-format-upgrade", &["-l", &live, &case.scratch.text("same")]).expect(0);
    assert_eq!(case.run("s6-rc", &["-l", &live, "-a", "-e", "list"]).expect(0).lines(), ["a", "b"]);
    case.scratch.file("source/c/up", "false\n");
    case.compile("other");
    let said = case.run("s6-rc-format-upgrade", &["-l", &live, &case.scratch.text("other")]).expect(1).err;
    assert!(said.contains("'c'"), "{said}");
    case.run("s6-rc-format-upgrade", &["-l", &live, "relative"]).expect(100);
}

/// A file system of a test's own, mounted for as long as this lives.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn mount(words: &[&str], at: &std::path::Path) {
        let done = std::process::Command::new("mount").args(words).arg(at).status().unwrap();
        assert!(done.success(), "mount {words:?}");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn the_edit_of_an_image_on_a_read_only_file_system_is_kept_in_the_live_directory() {
    if !rustix::process::geteuid().is_root() {
        return println!("left out: only root can mount");
    }
    let case = Case::new();
    let root = case.scratch.folder("root");
    Mounted::mount(&["-t", "tmpfs", "none"], &root);
    let mounted = Mounted(root.clone());
    std::fs::copy(case.scratch.at("image"), root.join("image")).unwrap();
    Mounted::mount(&["-o", "remount,ro"], &root);
    let scanner = Scanner::start(&case.scratch, &case.suite);
    let (live, image) = (case.scratch.text("live"), case.scratch.text("root/image"));
    let scan = scanner.dir.display().to_string();
    case.run("s6-rc-init", &["-c", &image, "-l", &live, &scan]).expect(0);
    assert!(std::fs::symlink_metadata(case.scratch.at("live/image")).unwrap().is_symlink());
    case.run("s6-rc-bundle", &["-c", &image, "add", "mine", "b"]).expect(111);
    case.run("s6-rc-bundle", &["-l", &live, "add", "mine", "b"]).expect(0);
    case.run("s6-rc", &["-l", &live, "start", "mine"]).expect(0);
    assert_eq!(case.run("s6-rc", &["-l", &live, "-a", "-e", "list"]).expect(0).lines(), ["b"]);
    let shown = case.run("diff", &["-l", &live, &image]);
    assert!(shown.out.contains("mine"), "{shown:?}");
    case.run("s6-rc-update", &["-l", &live, &image]).expect(0);
    case.run("s6-rc-db", &["-l", &live, "type", "mine"]).expect(3);
    drop(scanner);
    drop(mounted);
}
