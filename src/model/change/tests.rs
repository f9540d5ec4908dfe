use proptest::prelude::*;

use super::super::image::ImageId;
use super::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn with_env(pairs: &[(&str, &str)]) -> ImageFacts {
    let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ImageFacts { env, ..ImageFacts::default() }
}

fn configured(old: ImageFacts, new: ImageFacts, secrets: &[&str]) -> ImageChange {
    let side = |facts| Side { facts, ..Side::default() };
    compare(&side(old), &side(new), &words(secrets).into_iter().collect())
}

#[test]
fn variables() {
    let old =
        [("A", "1"), ("GONE", "x"), ("SAME", "x"), ("DB", "pg://u:pass-1@h/x"), ("LISTED", "one-value"), ("E", "x")];
    let new = [
        ("A", "2\nb"),
        ("SAME", "x"),
        ("DB", "pg://u:pass-2@h/x"),
        ("LISTED", "two-value"),
        ("E", ""),
        ("NEW_TOKEN", "tok-12345"),
        ("SAYS", "it is tok-12345"),
    ];
    let change = configured(with_env(&old), with_env(&new), &["LISTED"]);
    let expected = [
        r"A: 1 → 2\nb",
        "DB: pg://u:‹redacted›@h/x → pg://u:‹redacted›@h/x",
        "E: x → \"\"",
        "- GONE",
        "LISTED: ‹redacted› → ‹redacted›",
        "+ NEW_TOKEN=‹redacted›",
        "+ SAYS=it is ‹redacted›",
    ];
    assert_eq!(change.env, expected);
    let long = configured(ImageFacts::default(), with_env(&[("A", &"ä".repeat(400))]), &[]);
    assert_eq!(long.env[0].chars().count(), "+ A=…".chars().count() + WIDTH);
}

#[test]
fn commands() {
    for (old, new, expected) in [
        (&["a", "b c"][..], &["a"][..], vec!["a 'b c' → a"]),
        (&["a"], &["a"], vec![]),
        (&[], &["python3", "-m", "x"], vec!["(none) → python3 -m x"]),
        (&["a"], &["a", ""], vec!["a → a ''"]),
        (&["a"], &["a", "--api-key=abc"], vec!["a → a '--api-key=‹redacted›'"]),
        (&["a"], &["a", "--token", "abc", "b"], vec!["a → a --token '‹redacted›' b"]),
        (&["a"], &["a", "--token", "--x"], vec!["a → a --token --x"]),
        (&["a"], &["a", "--mine=abc"], vec!["a → a '--mine=‹redacted›'"]),
        (&["a"], &["pg://u:abc@h"], vec!["a → 'pg://u:‹redacted›@h'"]),
        (&["a"], &["sh", "-c", "A_TOKEN='a b c' run"], vec!["a → sh -c '‹redacted›'"]),
        (&["a"], &["sh", "-c", "MINE=abc run"], vec!["a → sh -c '‹redacted›'"]),
        (&["a"], &["sh", "-c", "run\nmore"], vec![r"a → sh -c 'run\nmore'"]),
        (&["a"], &["hidden-1"], vec!["a → '‹redacted›'"]),
        (&["a"], &["it's\0"], vec![r#"a → "it's\u{0}""#]),
    ] {
        let facts = |cmd: &[&str]| ImageFacts { cmd: words(cmd), ..with_env(&[("A_SECRET", "hidden-1")]) };
        assert_eq!(configured(facts(old), facts(new), &["MINE"]).cmd, expected, "{new:?}");
        let facts = |entrypoint: &[&str]| ImageFacts { entrypoint: words(entrypoint), ..facts(&[]) };
        let change = configured(facts(old), facts(new), &["MINE"]);
        assert_eq!((change.entrypoint, change.cmd.len()), (words(&expected), 0), "{new:?}");
    }
}

#[test]
fn rest_of_the_configuration() {
    let facts = |architecture: &str, user: &str, workdir: &str| ImageFacts {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        user: user.to_owned(),
        workdir: workdir.to_owned(),
        ..ImageFacts::default()
    };
    let change = configured(facts("amd64", "", ""), facts("arm64", "app", "/app"), &[]);
    assert_eq!(change.arch, ["linux/amd64 → linux/arm64"]);
    assert_eq!((change.user, change.workdir), (words(&["root → app"]), words(&["/ → /app"])));
    let same = configured(facts("amd64", "", ""), facts("amd64", "", ""), &[]);
    assert!(same.is_empty());
    let keys: Vec<String> = match serde_json::to_value(&same) {
        Ok(serde_json::Value::Object(map)) => map.keys().cloned().collect(),
        other => panic!("{other:?}"),
    };
    let expected = ["env", "cmd", "entrypoint", "user", "workdir", "arch", "layers", "packages", "files", "more_files"];
    assert_eq!(keys, expected);
}

#[test]
fn layers_are_counted() {
    let mb = 1_000_000;
    for (old, new, sizes, expected) in [
        (
            &["a", "b", "c"][..],
            &["a", "b", "d", "e"][..],
            (200 * mb, 206 * mb),
            "2 of 4 layers are the same; 1 removed, 2 added; 200 MB → 206 MB in all",
        ),
        (&["a", "b"], &["a", "c"], (mb, mb), "1 of 2 layers is the same; 1 removed, 1 added"),
        (&["a", "a", "b"], &["a", "c"], (mb, mb), "1 of 2 layers is the same; 2 removed, 1 added"),
        (&["a"], &["b"], (mb, mb), "0 of 1 layers are the same; 1 removed, 1 added"),
        (&["a", "b"], &["b", "a"], (mb, mb), "the same layers in another order"),
        (&["a"], &["a"], (mb, 2 * mb), ""),
        (&[], &["a"], (mb, mb), ""),
    ] {
        let facts = |layers: &[&str], size| ImageFacts { layers: words(layers), size, ..ImageFacts::default() };
        let change = configured(facts(old, sizes.0), facts(new, sizes.1), &[]);
        assert_eq!(change.layers.join("|"), expected);
    }
}

fn file(size: u64, digest: u8) -> FileFacts {
    FileFacts { content: Content::File { size, digest: [digest; 32] }, mode: 0o644, owner: (0, 0) }
}

fn of(content: Content) -> FileFacts {
    FileFacts { content, mode: 0o755, owner: (0, 0) }
}

fn side(files: &[(&str, FileFacts)], packages: &[(PackageKind, &str, &str, &[&str])]) -> Side {
    let files = files.iter().map(|(path, facts)| ((*path).to_owned(), facts.clone())).collect();
    let mut known = Packages::default();
    for (kind, name, version, owns) in packages {
        if !version.is_empty() {
            known.add(*kind, name, version);
        }
        owns.iter().for_each(|path| known.own(*kind, name, (*path).to_owned()));
    }
    let facts = ImageFacts { workdir: "/usr/src/app".to_owned(), ..ImageFacts::default() };
    Side { facts, files, packages: known }
}

fn files(old: &[(&str, FileFacts)], new: &[(&str, FileFacts)]) -> Vec<String> {
    compare(&side(old, &[]), &side(new, &[]), &BTreeSet::new()).files
}

#[test]
fn describes_changes_of_a_file() {
    let link = |target: &str| of(Content::Link(target.to_owned()));
    let folder = || of(Content::Folder);
    for (old, new, expected) in [
        (file(2100, 1), file(2400, 2), "changed /x (2.1 kB → 2.4 kB)"),
        (file(2100, 1), file(2100, 2), "changed /x (2.1 kB, other content)"),
        (file(2101, 1), file(2102, 2), "changed /x (2101 B → 2102 B)"),
        (file(1, 1), FileFacts { mode: 0o4755, ..file(1, 1) }, "changed /x (mode 644 → 4755)"),
        (file(1, 1), FileFacts { owner: (1000, 5), ..file(2, 2) }, "changed /x (1 B → 2 B, owner 0:0 → 1000:5)"),
        (link("a"), link("b"), "changed /x (a → b)"),
        (link("a"), FileFacts { mode: 0o777, ..link("a") }, ""),
        (file(1, 1), folder(), "changed /x (file → folder)"),
        (link("a"), file(1, 1), "changed /x (link → file)"),
        (of(Content::Other), folder(), "changed /x (special file → folder)"),
        (folder(), FileFacts { mode: 0o700, ..folder() }, "changed /x (mode 755 → 700)"),
        (file(1, 1), file(1, 1), ""),
    ] {
        assert_eq!(files(&[("/x", old)], &[("/x", new)]).join("|"), expected);
    }
    let some = [("/a", file(12, 1)), ("/b", link("a")), ("/c", folder()), ("/d", folder()), ("/d/e", folder())];
    assert_eq!(files(&[], &some), ["+ /a (12 B)", "+ /b (a link to a)", "+ /c/", "+ /d/e/"]);
    assert_eq!(files(&some, &[]), ["- /a", "- /b", "- /c/", "- /d/e/"]);
    assert_eq!(files(&[], &[("/a\nb", file(1, 1))]), [r"+ /a\nb (1 B)"]);
}

#[test]
fn application_files_come_first() {
    let paths = [
        "/app/main.py",
        "/app/node_modules/x/y.js",
        "/bin/sh",
        "/entrypoint.sh",
        "/opt/site/lib.py",
        "/srv/x",
        "/usr/lib/x.so",
        "/usr/src/app/y.py",
    ];
    let new: Vec<(&str, FileFacts)> = paths.iter().map(|path| (*path, file(1, 1))).collect();
    let lib = [(PackageKind::Python, "lib", "1", &["/opt/site/lib.py"][..])];
    let change = compare(&side(&[], &lib), &side(&new, &lib), &BTreeSet::new());
    let names: Vec<&str> = change.files.iter().map(|line| line.split(' ').nth(1).expect("a path")).collect();
    let expected = [
        "/app/main.py",
        "/entrypoint.sh",
        "/srv/x",
        "/usr/src/app/y.py",
        "/app/node_modules/x/y.js",
        "/bin/sh",
        "/opt/site/lib.py",
        "/usr/lib/x.so",
    ];
    assert_eq!(names, expected);
}

#[test]
fn changed_packages_replace_their_files() {
    let owns = &["/opt/site/t/a.py", "/bin/tool", "/app/node_modules/t/"][..];
    let files = |digest| {
        let paths = ["/opt/site/t/a.py", "/opt/site/t/b.py", "/usr/bin/tool", "/app/node_modules/t/deep/x.js", "/kept"];
        paths.map(|path| (path, file(1, digest)))
    };
    let change = |old: &str, new: &str| {
        let packages = |version| {
            let kept = (PackageKind::Debian, "kept", "1", &["/kept"][..]);
            side(&files(if version == old { 1 } else { 2 }), &[(PackageKind::Python, "t", version, owns), kept])
        };
        compare(&packages(old), &packages(new), &BTreeSet::new())
    };
    for (old, new, line) in [("1", "2", "t 1 → 2 (python)"), ("", "2", "+ t 2 (python)"), ("1", "", "- t 1 (python)")]
    {
        let change = change(old, new);
        assert_eq!(change.packages, [line]);
        let expected = ["changed /opt/site/t/b.py (1 B, other content)", "changed /kept (1 B, other content)"];
        assert_eq!(change.files, expected, "{line}");
    }
}

#[test]
fn package_in_two_places() {
    let twice = |versions: &[&str]| {
        let packages: Vec<_> = versions.iter().map(|v| (PackageKind::Node, "x", *v, &[][..])).collect();
        side(&[], &packages)
    };
    for (old, new, expected) in [
        (&["1", "2"][..], &["1", "3"][..], "x 2 → 3 (node)"),
        (&["1"], &["1", "3"], "+ x 3 (node)"),
        (&["1", "2"], &["1"], "- x 2 (node)"),
        (&["1", "2"], &["3", "4"], "x 1, 2 → 3, 4 (node)"),
        (&["1", "2"], &["2", "1"], ""),
    ] {
        let change = compare(&twice(old), &twice(new), &BTreeSet::new());
        assert_eq!(change.packages.join("|"), expected);
    }
}

#[test]
fn long_list_is_truncated() {
    let paths: Vec<String> = (0..50).map(|i| format!("/app/{i:02}.py")).collect();
    let new: Vec<(&str, FileFacts)> = paths.iter().map(|path| (path.as_str(), file(1, 1))).collect();
    let change = compare(&side(&[], &[]), &side(&new, &[]), &BTreeSet::new());
    assert_eq!((change.files.len(), change.more_files), (MOST_LISTED, 10));
    assert!(!change.is_empty());
}

#[test]
fn leaves_out_irrelevant_paths() {
    for (path, expected) in [
        ("/proc", true),
        ("/proc/self", true),
        ("/process", false),
        ("/dev/null", true),
        ("/tmp", true),
        ("/var/tmp", false),
        ("/var/log/x", true),
        ("/var/cache/apt/x", true),
        ("/var/lib/dpkg/status", true),
        ("/lib/apk/db/installed", true),
        ("/etc/hosts", true),
        ("/etc/hosts.allow", false),
        ("/.dockerenv", true),
        ("/app/__pycache__", true),
        ("/app/__pycache__/x.txt", true),
        ("/app/x.pyc", true),
        ("/app/x.py", false),
    ] {
        assert_eq!(is_left_out(path), expected, "{path}");
    }
}

#[test]
fn sizes_are_readable() {
    for (bytes, expected) in [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (2149, "2.1 kB"),
        (12_345, "12 kB"),
        (9949, "9.9 kB"),
        (9950, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (59_900_000, "60 MB"),
        (1_500_000, "1.5 MB"),
        (194_000_000, "194 MB"),
        (2_000_000_000, "2.0 GB"),
        (u64::MAX, "18446744073 GB"),
    ] {
        assert_eq!(show_size(bytes), expected);
    }
}

proptest! {
    /// No line contains the value of a variable that looks like a credential, or is listed.
    #[test]
    fn never_shows_secrets(secret in "[a-z0-9]{8,20}", other in "[A-Z0-9]{8,20}", word in "[ -~]{0,10}") {
        let facts = |secret: &str| ImageFacts {
            id: ImageId(secret.to_owned()),
            cmd: vec![format!("{word}{secret}"), "--password".to_owned(), secret.to_owned()],
            entrypoint: vec!["sh".to_owned(), "-c".to_owned(), format!("run {secret} {word}")],
            user: secret.to_owned(),
            ..with_env(&[("A_TOKEN", secret), ("MINE", &secret[1..]), ("SAYS", &format!("{word}{secret}"))])
        };
        let side = |secret: &str, digest| {
            let path = format!("/app/{secret}");
            Side { facts: facts(secret), ..side(&[(&path, file(1, digest))], &[]) }
        };
        let change = compare(&side(&secret, 1), &side(&other, 2), &BTreeSet::from(["MINE".to_owned()]));
        let text = serde_json::to_string(&change).expect("serialised");
        prop_assert!(!text.contains(&secret) && !text.contains(&other), "{}", text);
    }

    /// Unchanged values are never listed.
    #[test]
    fn identical_images_have_no_changes(value in ".{0,20}", sizes in prop::collection::vec(any::<u64>(), 0..5)) {
        let files: Vec<(String, FileFacts)> = sizes.iter().map(|s| (format!("/{s}"), file(*s, 0))).collect();
        let side = Side { facts: with_env(&[("A", &value)]), files: files.into_iter().collect(), ..Side::default() };
        prop_assert!(compare(&side, &side, &BTreeSet::new()).is_empty());
    }
}
