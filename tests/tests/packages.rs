// SPDX-License-Identifier: ISC
//! The hooks of `targets/` for package managers, in a root directory of its own: dpkg's with dpkg itself, those of apk and opkg
//! run as these tools run them. Entering another root takes root: as an ordinary user these tests say so and do nothing.

use harness::process::{self, wait_for};
use harness::tree::{Service, listening};
use harness::wait::{PATIENCE, must};
use harness::{Done, Scratch, Suite};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A small machine: a shell, skeg, two stores, and perhaps a tree that runs.
struct Machine {
    scanner: Option<Child>,
    scratch: Scratch,
}

/// Copies a program, by a process of its own: one of ours that is started meanwhile would have it open for writing, and the
/// kernel would refuse to execute it.
fn copy(from: &Path, to: &Path) {
    process::run(Command::new("cp").arg(from).arg(to)).expect(0);
}

/// What services and maintainer scripts call.
const TOOLS: [&str; 8] = ["sh", "sleep", "echo", "cat", "rm", "find", "tar", "gzip"];

impl Machine {
    /// None, after a message, where this can't be done.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("left out: chroot takes root");
            return None;
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        let busybox = busybox.expect("install the package busybox-static");
        let scratch = Scratch::new();
        let folders = ["bin", "usr/bin", "tmp", "run/service", "var/lib/skeg", "etc/skeg/services", "dev"];
        folders.iter().for_each(|folder| _ = scratch.folder(folder));
        scratch.folder("usr/lib/skeg/services");
        copy(Path::new(busybox), &scratch.at("bin/busybox"));
        for tool in TOOLS {
            std::os::unix::fs::symlink("busybox", scratch.at("bin").join(tool)).unwrap();
        }
        copy(Suite::skeg().binary(), &scratch.at("usr/bin/skeg"));
        Some(Self { scanner: None, scratch })
    }

    /// A command inside, with an environment of its own.
    fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.scratch.path()).args(words).current_dir(self.scratch.path());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        self.scratch.mark(&mut command);
        command
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> Done {
        process::run(&mut self.inside(words))
    }

    /// Starts the tree on the image that the hook has made, and brings these services up.
    fn boot(&mut self, services: &[&str]) {
        let log = std::fs::File::create(self.scratch.at("scan.log")).unwrap();
        let mut chroot = self.inside(&["/usr/bin/skeg", "s6-svscan", "/run/service"]);
        chroot.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.scanner = Some(chroot.spawn().unwrap());
        let control = self.scratch.at("run/service/.s6-svscan/control");
        must("the scanner listens", || listening(&control));
        let init = ["skeg", "s6-rc-init", "-c", "/var/lib/skeg/image", "-S", "/usr/bin/skeg", "/run/service"];
        self.run(&init).expect(0);
        self.run(&[&["skeg", "s6-rc", "-u", "change"], services].concat()).expect(0);
    }

    fn pid(&self, name: &str) -> u32 {
        harness::status::Status::read(&self.service(name).dir).map_or(0, |s| s.pid)
    }

    /// The directory that the scanner knows: its entry is an absolute link inside.
    fn service(&self, name: &str) -> Service {
        let link = std::fs::read_link(self.scratch.at("run/service").join(name)).unwrap_or_default();
        Service::at(self.scratch.path().join(link.strip_prefix("/").unwrap_or(&link)))
    }

    /// Defines a service where no package does, and brings it up.
    fn administer(&self) {
        self.scratch.file("etc/skeg/services/own/type", "longrun\n");
        self.scratch.file("etc/skeg/services/own/run", "#!/bin/sh\nexec sleep 1000\n");
        let stores = ["/usr/lib/skeg/services", "/etc/skeg/services"];
        self.run(&[&["skeg", "sync", "-o", "/var/lib/skeg/image"][..], &stores].concat()).expect(0);
        self.run(&["skeg", "s6-rc", "-u", "change", "own"]).expect(0);
    }

    fn up(&self) -> Vec<String> {
        self.run(&["skeg", "s6-rc", "-a", "list"]).expect(0).lines()
    }

    /// Waits until the log has so many lines.
    fn log(&self, lines: usize) -> Vec<String> {
        let read = || self.scratch.read("log").lines().map(str::to_owned).collect::<Vec<_>>();
        must("more lines in the log", || read().len() >= lines);
        read()
    }

    /// Fails the test unless the live state is what the stores define, and the next boot takes the same.
    #[track_caller]
    fn must_agree(&self) {
        let image = std::fs::read(self.scratch.at("var/lib/skeg/image")).unwrap();
        assert!(image == std::fs::read(self.scratch.at("run/s6-rc/image")).unwrap());
        let stores = ["/usr/lib/skeg/services", "/etc/skeg/services"];
        self.run(&[&["skeg", "s6-rc-compile", "/tmp/now"][..], &stores].concat()).expect(0);
        let now = std::fs::read(self.scratch.at("tmp/now")).unwrap();
        std::fs::remove_file(self.scratch.at("tmp/now")).unwrap();
        assert!(image == now, "the image is that of the stores");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(scanner) = &mut self.scanner {
            process::kill(scanner.id(), Signal::TERM);
            if wait_for(scanner, PATIENCE).is_none() {
                let _ = scanner.kill();
                let _ = scanner.wait();
            }
        }
    }
}

/// A longrun of a package: its files below the store.
fn service(name: &str, version: &str, needs: &[&str]) -> Vec<(String, String)> {
    let file = |path: &str, content: String| (format!("usr/lib/skeg/services/{name}/{path}"), content);
    let mut files = vec![
        file("type", "longrun\n".into()),
        file("run", format!("#!/bin/sh\necho {name} runs {version} >>/log\nexec sleep 1000\n")),
        file("finish", format!("#!/bin/sh\necho {name} ends {version} >>/log\n")),
    ];
    files.extend(needs.iter().map(|need| file(&format!("dependencies.d/{need}"), String::new())));
    files
}

fn hook(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../targets").join(path)
}

/// dpkg with a database of its own in the machine.
struct Dpkg<'a>(&'a Machine);

impl<'a> Dpkg<'a> {
    fn new(machine: &'a Machine) -> Option<Self> {
        if !Path::new("/usr/bin/dpkg").exists() {
            eprintln!("left out: this machine has no dpkg");
            return None;
        }
        for folder in ["info", "updates", "triggers", "parts", "alternatives"] {
            machine.scratch.folder(format!("var/lib/dpkg/{folder}"));
        }
        machine.scratch.file("var/lib/dpkg/status", "");
        Some(Self(machine))
    }

    /// Builds a package of these files and maintainer scripts; its path.
    fn build(&self, name: &str, version: &str, files: &[(String, String)], postinst: &str) -> String {
        let scratch = &self.0.scratch;
        let folder = format!("build/{name}_{version}");
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: test <t@example.org>\nDescription: test\n"
        );
        scratch.file(format!("{folder}/DEBIAN/control"), control);
        if !postinst.is_empty() {
            scratch.file(format!("{folder}/DEBIAN/postinst"), postinst);
        }
        for (path, content) in files {
            scratch.file(format!("{folder}/{path}"), content);
        }
        self.pack(&folder)
    }

    fn pack(&self, folder: &str) -> String {
        let deb = self.0.scratch.text(&format!("{folder}.deb"));
        let mut command = Command::new("dpkg-deb");
        command.args(["--root-owner-group", "-Znone", "-b"]).arg(self.0.scratch.at(folder)).arg(&deb);
        process::run(&mut command).expect(0);
        deb
    }

    /// The shipped package.
    fn hooks(&self) -> String {
        let scratch = &self.0.scratch;
        for name in ["control", "triggers", "postinst"] {
            scratch
                .file(format!("build/hooks/DEBIAN/{name}"), std::fs::read(hook("dpkg").join(name)).unwrap());
        }
        for folder in ["usr/lib/skeg/services", "etc/skeg/services", "var/lib/skeg"] {
            scratch.folder(format!("build/hooks/{folder}"));
        }
        self.pack("build/hooks")
    }

    fn run(&self, words: &[&str]) -> Done {
        let mut command = Command::new("dpkg");
        command.arg("--root").arg(self.0.scratch.path()).arg("--force-unsafe-io").args(words);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
        self.0.scratch.mark(&mut command);
        process::run(&mut command)
    }

    fn state(&self, package: &str) -> String {
        let mut command = Command::new("dpkg-query");
        command.arg("--admindir").arg(self.0.scratch.at("var/lib/dpkg"));
        process::run(command.args(["-W", "-f", "${Status}", package])).out
    }
}

#[test]
fn dpkg_updates_the_services_once_at_the_end_of_a_run() {
    let Some(mut machine) = Machine::new() else { return };
    let Some(dpkg) = Dpkg::new(&machine) else { return };
    // Without the binary the hook has nothing to call.
    let hooks = dpkg.hooks();
    assert_ne!(dpkg.run(&["-i", &hooks]).code, 0);
    assert_eq!(dpkg.state("skeg-sync"), "install ok unpacked");
    let present = ("usr/share/skeg/present".to_owned(), String::new());
    dpkg.run(&["-i", &dpkg.build("skeg", "1", &[present], ""), &hooks]).expect(0);
    assert_eq!(dpkg.state("skeg-sync"), "install ok installed");
    let web = dpkg.build("web", "1", &service("web", "1", &[]), "");
    let dns = dpkg.build("dns", "1", &service("dns", "1", &[]), "");
    dpkg.run(&["-i", &web, &dns]).expect(0);
    // Of a machine that is not up, only the image is made: then it boots.
    assert!(!machine.scratch.at("run/s6-rc").exists());
    let dpkg = {
        machine.boot(&["web", "dns"]);
        Dpkg(&machine)
    };
    machine.must_agree();
    assert_eq!(machine.up(), ["dns", "web"]);
    assert!(machine.log(2).contains(&"web runs 1".to_owned()));
    // The service dies in the middle of the batch, when its files are the new ones and no sync has been yet.
    let dies = "#!/bin/sh\nset -e\necho -- >>/log\nskeg s6-svc -wr -T 20000 -k /run/service/web\n";
    let (before, quiet) = (machine.pid("web"), machine.pid("dns"));
    let web = dpkg.build("web", "2", &service("web", "2", &["db"]), dies);
    let db = dpkg.build("db", "1", &service("db", "1", &[]), "");
    dpkg.run(&["-i", &web, &db]).expect(0);
    machine.must_agree();
    assert_eq!(machine.up(), ["db", "dns", "web"]);
    assert!(machine.pid("web") != before && machine.pid("dns") == quiet);
    let lines = machine.log(8);
    let of_web: Vec<_> = lines.iter().skip(2).filter(|l| !l.starts_with("db")).collect();
    assert_eq!(of_web, ["--", "web ends 1", "web runs 1", "web ends 1", "web runs 2"], "{lines:?}");
    inconsistent(&machine, &dpkg);
    // What is removed stops.
    dpkg.run(&["-r", "dns"]).expect(0);
    machine.must_agree();
    assert_eq!(machine.up(), ["db", "new", "web"]);
    machine.administer();
    dpkg.run(&["-r", "web", "db", "new"]).expect(0);
    machine.must_agree();
    assert_eq!(machine.up(), ["own"]);
    // Its store is not mounted when the next package comes: that one waits, and what is up stays.
    std::fs::rename(machine.scratch.at("etc/skeg/services/own"), machine.scratch.at("tmp/own")).unwrap();
    let late = dpkg.build("late", "1", &service("late", "1", &[]), "");
    let said = dpkg.run(&["-i", &late]);
    assert_ne!(said.code, 0);
    assert!(said.err.contains("/etc/skeg/services holds no definition: is it mounted?"), "{}", said.err);
    assert_eq!(machine.up(), ["own"]);
    std::fs::rename(machine.scratch.at("tmp/own"), machine.scratch.at("etc/skeg/services/own")).unwrap();
    dpkg.run(&["--configure", "-a"]).expect(0);
    machine.must_agree();
}

/// A run that leaves definitions that do not fit, and one that mends it.
fn inconsistent(machine: &Machine, dpkg: &Dpkg) {
    let before = (machine.pid("web"), std::fs::read(machine.scratch.at("run/s6-rc/image")).unwrap());
    let web = dpkg.build("web", "3", &service("web", "3", &["db", "new"]), "");
    let said = dpkg.run(&["-i", &web]);
    assert_ne!(said.code, 0);
    assert!(said.err.contains("services/web/dependencies.d/new: no such service"), "{}", said.err);
    assert_eq!(dpkg.state("skeg-sync"), "install ok half-configured");
    assert_eq!(dpkg.state("web"), "install ok installed");
    let after = (machine.pid("web"), std::fs::read(machine.scratch.at("run/s6-rc/image")).unwrap());
    assert!(before == after, "the old is kept");
    dpkg.run(&["-i", &dpkg.build("new", "1", &service("new", "1", &[]), "")]);
    dpkg.run(&["--configure", "-a"]).expect(0);
    assert_eq!(dpkg.state("skeg-sync"), "install ok installed");
    machine.must_agree();
    assert_eq!(machine.up(), ["db", "dns", "new", "web"]);
}

/// What a package puts there, as any package manager would: aside, then renamed.
fn unpack(machine: &Machine, files: &[(String, String)]) {
    for (path, content) in files {
        let aside = machine.scratch.file(format!("{path}.new"), content);
        std::fs::rename(aside, machine.scratch.at(path)).unwrap();
    }
}

/// Installs, boots, updates, fails and mends with a hook that is run as `hook` says.
fn lives_with(mut machine: Machine, hook: &dyn Fn(&Machine) -> Done) {
    unpack(&machine, &service("web", "1", &[]));
    hook(&machine).expect(0);
    machine.boot(&["web"]);
    machine.must_agree();
    machine.log(1);
    let before = machine.pid("web");
    unpack(&machine, &service("web", "2", &["db"]));
    assert_ne!(hook(&machine).code, 0);
    assert_eq!(machine.pid("web"), before, "the old is kept");
    unpack(&machine, &service("db", "1", &[]));
    hook(&machine).expect(0);
    machine.must_agree();
    assert_eq!(machine.up(), ["db", "web"]);
    assert!(machine.log(4).contains(&"web runs 2".to_owned()));
    let pids = ["web", "db"].map(|name| machine.pid(name));
    hook(&machine).expect(0);
    assert_eq!(
        ["web", "db"].map(|name| machine.pid(name)),
        pids,
        "the second package of a run changes nothing"
    );
    // The last package goes, then what the administrator has is away.
    machine.administer();
    for name in ["web", "db"] {
        std::fs::remove_dir_all(machine.scratch.at("usr/lib/skeg/services").join(name)).unwrap();
    }
    hook(&machine).expect(0);
    machine.must_agree();
    assert_eq!(machine.up(), ["own"]);
    std::fs::remove_dir_all(machine.scratch.at("etc/skeg/services/own")).unwrap();
    let said = hook(&machine).expect(4);
    assert!(said.err.contains("/etc/skeg/services holds no definition: is it mounted?"), "{}", said.err);
    assert_eq!(machine.up(), ["own"]);
}

#[test]
fn apk_runs_the_trigger_with_the_directories_that_have_changed() {
    let Some(machine) = Machine::new() else { return };
    // In /lib/apk/exec, or a descriptor of a memfd; chroot, cwd /, PATH, APK_SCRIPT and APK_PACKAGE, a pipe as standard
    // output, umask 022: apk_db_run_script of apk-tools.
    let name = "lib/apk/exec/skeg-sync-1-r0.trigger";
    machine.scratch.file(name, std::fs::read(hook("apk/skeg-sync.trigger")).unwrap());
    lives_with(machine, &|machine| {
        let changed = ["/usr/lib/skeg/services", "/usr/lib/skeg/services/web"];
        let script = format!("/{name}");
        let mut command = machine.inside(&[&[script.as_str()][..], &changed].concat());
        process::run(command.env("APK_SCRIPT", "trigger").env("APK_PACKAGE", "skeg-sync"))
    });
}

/// Whether apk's pattern matches a directory: as fnmatch(3) with `FNM_PATHNAME` does, for patterns of literals and `*`.
fn matches(pattern: &str, directory: &str) -> bool {
    let (pattern, directory): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), directory.split('/').collect());
    pattern.len() == directory.len() && pattern.iter().zip(&directory).all(|(p, d)| *p == "*" || p == d)
}

fn apk_triggers() -> Vec<String> {
    let build = std::fs::read_to_string(hook("apk/APKBUILD")).unwrap();
    let line =
        build.lines().find_map(|line| line.strip_prefix("triggers=\"skeg-sync.trigger=")).expect("triggers");
    line.trim_end_matches('"').split(':').map(str::to_owned).collect()
}

#[test]
fn apk_knows_every_directory_of_a_definition_by_the_patterns() {
    let triggers = apk_triggers();
    for store in ["/usr/lib/skeg/services", "/etc/skeg/services"] {
        for inside in ["", "/web", "/web/dependencies.d", "/web/data", "/web/data/www"] {
            let directory = format!("{store}{inside}");
            assert!(triggers.iter().any(|pattern| matches(pattern, &directory)), "{directory}");
        }
    }
    assert!(!triggers.iter().any(|pattern| matches(pattern, "/usr/lib/skeg") || matches(pattern, "/etc")));
}

/// A package manager itself, a static executable that this variable names: Debian has neither apk nor opkg.
fn real(machine: &Machine, variable: &str, name: &str) -> Option<PathBuf> {
    let Some(path) = std::env::var_os(variable) else {
        eprintln!("left out: {variable} names no static {name}");
        return None;
    };
    let inside = machine.scratch.at("usr/bin").join(name);
    copy(Path::new(&path), &inside);
    Some(inside)
}

/// A package with one service: name, version, what it needs.
type Wanted<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Installs, boots, upgrades inconsistently, mends and removes, by a tool that installs (and builds) packages and removes them.
fn lives_through(
    mut machine: Machine,
    install: &dyn Fn(&Machine, &[Wanted<'_>]) -> Done,
    remove: &dyn Fn(&Machine, &str) -> Done,
) {
    install(&machine, &[("dns", "1", &["web"]), ("web", "1", &[])]).expect(0);
    machine.boot(&["web", "dns"]);
    machine.must_agree();
    let before = machine.pid("web");
    assert_ne!(install(&machine, &[("web", "2", &["db"])]).code, 0);
    assert_eq!(machine.pid("web"), before, "the old is kept");
    install(&machine, &[("db", "1", &[])]);
    machine.must_agree();
    assert_eq!(machine.up(), ["db", "dns", "web"]);
    assert!(machine.log(4).contains(&"web runs 2".to_owned()));
    let pids = ["web", "db"].map(|name| machine.pid(name));
    remove(&machine, "dns");
    machine.must_agree();
    assert_eq!(machine.up(), ["db", "web"]);
    assert_eq!(["web", "db"].map(|name| machine.pid(name)), pids);
}

#[test]
fn apk_itself_runs_the_trigger() {
    let Some(machine) = Machine::new() else { return };
    let Some(apk) = real(&machine, "SKEG_TEST_APK", "apk") else { return };
    let run = |machine: &Machine, words: &[&str]| {
        machine.run(&[&["/usr/bin/apk", "--allow-untrusted", "--no-network"][..], words].concat())
    };
    let build = |machine: &Machine, name: &str, version: &str, folder: &str, rest: &[String]| {
        let to = format!("tmp/{name}-{version}.apk");
        let mut command = Command::new(&apk);
        command.args(["mkpkg", "-I", "arch:noarch", "-I", "description:test", "-I", &format!("name:{name}")]);
        command.args(["-I", &format!("version:{version}-r0"), "-F"]).arg(machine.scratch.at(folder));
        command.arg("-o").arg(machine.scratch.at(&to)).args(rest);
        process::run(&mut command).expect(0);
        format!("/{to}")
    };
    for folder in ["lib/apk/db", "etc/apk", "hooks/usr/lib/skeg/services", "hooks/etc/skeg/services"] {
        machine.scratch.folder(folder);
    }
    run(&machine, &["--initdb", "add"]).expect(0);
    let mut rest = vec!["-s".to_owned(), format!("trigger:{}", hook("apk/skeg-sync.trigger").display())];
    rest.extend(apk_triggers().into_iter().flat_map(|trigger| ["-t".to_owned(), trigger]));
    let hooks = build(&machine, "skeg-sync", "1", "hooks", &rest);
    run(&machine, &["add", &hooks]).expect(0);
    let install = |machine: &Machine, packages: &[Wanted<'_>]| {
        let mut all = vec!["add".to_owned()];
        for (name, version, needs) in packages {
            let folder = format!("build/{name}-{version}");
            for (path, content) in service(name, version, needs) {
                machine.scratch.file(format!("{folder}/{path}"), content);
            }
            all.push(build(machine, name, version, &folder, &[]));
        }
        run(machine, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    lives_through(machine, &install, &|machine, name| run(machine, &["del", name]));
}

#[test]
fn opkg_itself_runs_the_scripts() {
    let Some(machine) = Machine::new() else { return };
    if real(&machine, "SKEG_TEST_OPKG", "opkg").is_none() {
        return;
    }
    for folder in ["var/lib/opkg", "var/lock"] {
        machine.scratch.folder(folder);
    }
    machine.scratch.file("etc/opkg.conf", "dest root /\nlists_dir ext /var/lists\narch all 1\n");
    let run = |machine: &Machine, words: &[&str]| machine.run(&[&["/usr/bin/opkg"][..], words].concat());
    let pack = |machine: &Machine, name: &str, version: &str, needs: &[&str]| {
        let folder = format!("build/{name}-{version}");
        let control = format!("Package: {name}\nVersion: {version}\nArchitecture: all\nDescription: test\n");
        machine.scratch.file(format!("{folder}/control/control"), control);
        for script in ["postinst", "postrm"] {
            let bytes = std::fs::read(hook("opkg/postinst")).unwrap();
            machine.scratch.file(format!("{folder}/control/{script}"), bytes);
        }
        for (path, content) in service(name, version, needs) {
            machine.scratch.file(format!("{folder}/data/{path}"), content);
        }
        machine.scratch.file(format!("{folder}/debian-binary"), "2.0\n");
        for (from, to, what) in [
            ("control", "control.tar.gz", &["."][..]),
            ("data", "data.tar.gz", &["."]),
            (".", "package.ipk", &["./debian-binary", "./data.tar.gz", "./control.tar.gz"]),
        ] {
            let (from, to) = (format!("/{folder}/{from}"), format!("/{folder}/{to}"));
            machine.run(&[&["tar", "-C", &from, "-czf", &to][..], what].concat()).expect(0);
        }
        format!("/{folder}/package.ipk")
    };
    let install = |machine: &Machine, packages: &[Wanted<'_>]| {
        let mut all = vec!["install".to_owned()];
        all.extend(packages.iter().map(|(name, version, needs)| pack(machine, name, version, needs)));
        run(machine, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    lives_through(machine, &install, &|machine, name| run(machine, &["remove", name]));
}

#[test]
fn opkg_runs_the_script_of_each_package_by_a_shell() {
    let Some(machine) = Machine::new() else { return };
    let name = "usr/lib/opkg/info/web.postinst";
    machine.scratch.file(name, std::fs::read(hook("opkg/postinst")).unwrap());
    // While an image is put together, nothing is compiled.
    let mut build = Command::new(machine.scratch.at(name));
    process::run(build.arg("configure").env("IPKG_INSTROOT", machine.scratch.path())).expect(0);
    assert!(!machine.scratch.at("var/lib/skeg/image").exists());
    let call = |machine: &Machine, words: &str, root: &str| {
        let line = format!("/{name} {words}");
        process::run(machine.inside(&["/bin/sh", "-c", &line]).env("PKG_ROOT", root).env("PKG_UPGRADE", "1"))
    };
    unpack(&machine, &service("web", "1", &[]));
    // Nor for a destination elsewhere; and an upgrade of the old package is not over.
    call(&machine, "configure", "/mnt/").expect(0);
    call(&machine, "upgrade 2", "/").expect(0);
    assert!(!machine.scratch.at("var/lib/skeg/image").exists());
    // As its postrm: of a removed package's definitions the directories have stayed.
    machine.scratch.folder("usr/lib/skeg/services/old/dependencies.d");
    call(&machine, "remove", "/").expect(0);
    assert!(machine.scratch.at("var/lib/skeg/image").exists());
    assert!(!machine.scratch.at("usr/lib/skeg/services/old").exists());
    lives_with(machine, &|machine| call(machine, "configure", "/"));
}
