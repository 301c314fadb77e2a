// SPDX-License-Identifier: ISC
use super::*;

/// The settings of these files, and the faults as (line, text, why).
fn read<'a>(files: &[(Setting, &'a str)]) -> (Settings<'a>, Vec<(u32, &'a str, Wrong)>) {
    let (mut settings, mut faults) = (Settings::new(), Vec::new());
    for (setting, content) in files {
        settings.add_file(*setting, content.as_bytes(), &mut |f| {
            assert_eq!(f.setting, *setting);
            faults.push((f.line, core::str::from_utf8(f.text).unwrap(), f.wrong));
        });
    }
    (settings, faults)
}

fn fault(setting: Setting, content: &str) -> (u32, &str, Wrong) {
    let (_, faults) = read(&[(setting, content)]);
    assert_eq!(faults.len(), 1, "{content:?}: {faults:?}");
    faults[0]
}

#[test]
fn every_setting_comes_back_from_its_encoding() {
    let (mut settings, faults) = read(&[
        (Setting::User, "# who\nwww:web\n"),
        (Setting::Groups, "video 44\n\naudio\n"),
        (
            Setting::Cgroup,
            "memory.max 67108864\nio.max 8:0 rbps=1 wbps=2\nio.max 8:16 rbps=1\n path a/web \n",
        ),
        (Setting::Rlimits, "nofile 64 128\ncore 0\nas unlimited\nstack - 8388608\n"),
        (Setting::OomScore, "-500"),
        (Setting::Nice, " 7 \n"),
        (Setting::Umask, "027\n"),
        (Setting::NoNewPrivs, ""),
        (Setting::Capabilities, "CAP_NET_BIND_SERVICE\nkill bpf\n"),
    ]);
    assert_eq!(faults, []);
    settings.set_command(vec![b"httpd", b"-f", b"", b"a\nb"]);
    let bytes = settings.run();
    for s in [&settings, &Settings::decode(&bytes).unwrap()] {
        assert_eq!(s.user, Some(User { user: b"www", group: Some(b"web") }));
        assert_eq!(s.groups.as_deref(), Some(&[&b"video"[..], b"44", b"audio"][..]));
        let cgroup = s.cgroup.as_ref().unwrap();
        assert_eq!(cgroup.path, b"a/web");
        assert_eq!(cgroup.files[1], (&b"io.max"[..], &b"8:0 rbps=1 wbps=2"[..]));
        let limits: Vec<_> = s.limits.iter().map(|l| (limit_name(l.resource), l.soft, l.hard)).collect();
        assert_eq!(
            limits,
            [
                (&b"nofile"[..], Bound::At(64), Bound::At(128)),
                (b"core", Bound::At(0), Bound::At(0)),
                (b"as", Bound::Unlimited, Bound::Unlimited),
                (b"stack", Bound::Keep, Bound::At(8_388_608)),
            ]
        );
        assert_eq!((s.oom_score, s.nice, s.umask), (Some(-500), Some(7), Some(0o27)));
        assert!(s.no_new_privs);
        assert_eq!(s.capabilities, Some(1 << 10 | 1 << 5 | 1 << 39));
        assert_eq!(s.command.as_deref(), Some(&[&b"httpd"[..], b"-f", b"", b"a\nb"][..]));
    }
}

#[test]
fn an_empty_list_is_not_the_same_as_no_list() {
    let (settings, faults) = read(&[(Setting::Groups, "# none\n"), (Setting::Capabilities, "")]);
    assert_eq!(faults, []);
    let bytes = settings.run();
    let back = Settings::decode(&bytes).unwrap();
    assert_eq!((back.groups, back.capabilities), (Some(vec![]), Some(0)));
    assert!(Settings::decode(b"#!x\nskeg settings 1\n").unwrap().groups.is_none());
    assert!(Settings::new().is_empty() && !settings.is_empty());
}

#[test]
fn what_is_malformed_is_refused_with_its_line() {
    use Setting::*;
    assert_eq!(fault(User, ""), (0, "", Wrong::Missing));
    assert_eq!(fault(User, "# www\n"), (0, "", Wrong::Missing));
    assert_eq!(fault(User, "www\nroot\n"), (2, "root", Wrong::SecondValue));
    assert_eq!(fault(User, "www data"), (1, "www data", Wrong::TooManyWords));
    assert_eq!(fault(User, "www:"), (1, "www:", Wrong::NotAName));
    assert_eq!(fault(User, "4294967295"), (1, "4294967295", Wrong::NotAName));
    assert_eq!(fault(User, "www\r\n"), (1, "www", Wrong::Crlf));
    assert_eq!(fault(User, "w\0w"), (1, "w\0w", Wrong::ControlByte));
    assert_eq!(fault(Groups, "a\nb,c"), (2, "b,c", Wrong::NotAName));
    assert_eq!(fault(OomScore, "1001"), (1, "1001", Wrong::Range(-1000, 1000)));
    assert_eq!(fault(Nice, "low"), (1, "low", Wrong::NotANumber));
    assert_eq!(fault(Nice, "-99999999999999999999"), (1, "-99999999999999999999", Wrong::Range(-20, 19)));
    assert_eq!(fault(Umask, "088"), (1, "088", Wrong::NotAnUmask));
    assert_eq!(fault(Umask, "1000"), (1, "1000", Wrong::NotAnUmask));
    assert_eq!(fault(NoNewPrivs, "no"), (1, "no", Wrong::NotEmpty));
    assert_eq!(fault(Capabilities, "kill\nfly"), (2, "fly", Wrong::NoSuchCapability));
    assert_eq!(fault(Capabilities, "kill cap_kill"), (1, "cap_kill", Wrong::Twice));
    assert_eq!(fault(Rlimits, "files 3"), (1, "files", Wrong::NoSuchLimit));
    assert_eq!(fault(Rlimits, "\ncore"), (2, "core", Wrong::LimitWithoutValue));
    assert_eq!(fault(Rlimits, "core 1 2 3"), (1, "3", Wrong::TooManyWords));
    assert_eq!(fault(Rlimits, "core 1k"), (1, "1k", Wrong::NotALimit));
    assert_eq!(fault(Rlimits, "core 2 1"), (1, "core 2 1", Wrong::SoftAboveHard));
    assert_eq!(fault(Rlimits, "core 1\ncore 2"), (2, "core 2", Wrong::Twice));
    for path in ["/a", "a/", "a//b", "../a", "a/./b", "cgroup.procs"] {
        let line = format!("path {path}");
        assert_eq!(fault(Cgroup, &line), (1, path, Wrong::NotACgroup));
    }
    assert_eq!(fault(Cgroup, "path a\npath b"), (2, "path b", Wrong::SecondValue));
    assert_eq!(fault(Cgroup, "\ncgroup.procs 1"), (2, "cgroup.procs", Wrong::NotACgroupFile));
    assert_eq!(fault(Cgroup, "path a\n../b.max 1"), (2, "../b.max", Wrong::NotACgroupFile));
    assert_eq!(fault(Cgroup, "path a\nmemory.max"), (2, "memory.max", Wrong::CgroupFileWithoutValue));
}

#[test]
fn every_fault_of_a_file_is_reported() {
    let (_, faults) = read(&[(Setting::Rlimits, "x 1\ncore y\nstack\n"), (Setting::Nice, "20")]);
    assert_eq!(faults.iter().map(|f| f.0).collect::<Vec<_>>(), [1, 2, 3, 1]);
    let long = "a\n".repeat(300);
    let (_, faults) = read(&[(Setting::Groups, &long)]);
    assert_eq!(faults, [(MAX_LINES + 1, "", Wrong::TooManyLines)]);
}

#[test]
fn a_cgroup_without_a_path_is_named_after_its_service() {
    let (mut settings, _) = read(&[(Setting::Cgroup, "")]);
    assert!(Settings::new().finish().is_none());
    settings.name_cgroup(b"httpd", &mut |f| panic!("{f:?}"));
    assert_eq!(settings.run(), b"#!@SKEG@ s6rc-run\nskeg settings 1\ncgroup path skeg/httpd\n");
    let finish = settings.finish().unwrap();
    assert_eq!(finish, b"#!@SKEG@ s6rc-finish\nskeg settings 1\ncgroup path skeg/httpd\n");
    assert_eq!(Settings::decode(&finish).unwrap().cgroup.unwrap().path, b"skeg/httpd");

    let mut faults = Vec::new();
    for name in [&b"two words"[..], b"odd "] {
        let (mut settings, _) = read(&[(Setting::Cgroup, "pids.max 9")]);
        settings.name_cgroup(name, &mut |f| faults.push((f.text, f.wrong)));
    }
    assert_eq!(faults, [(&b"odd "[..], Wrong::NotACgroup)]);
}

#[test]
fn an_encoding_that_is_not_understood_is_refused() {
    for bad in [
        &b""[..],
        b"#!x\nskeg settings 2\nnice 3\n",
        b"#!x\nskeg settings 1\nnicest 3\n",
        b"#!x\nskeg settings 1\nnice 30\n",
        b"#!x\nskeg settings 1\nnice 3\nnice 4\n",
        b"#!x\nskeg settings 1\nuser\n",
        b"#!x\nskeg settings 1\n\n",
        b"skeg settings 1\nnice 3\n",
        b"#!x\nskeg settings 1\ncgroup\ncgroup pids.max 9",
        b"#!x\nskeg settings 1\ncommand\nword-without-its-end",
        b"#!x\nskeg settings 1\ncommand\n",
    ] {
        assert!(Settings::decode(bad).is_err(), "{:?}", core::str::from_utf8(bad));
    }
}
