//! Reads the packages of an image from the files of dpkg, apk, pip and npm. RPM databases are not read.

use serde::Deserialize;

use crate::engine::files::{absolute, parent};
use crate::model::change::{PackageKind, Packages};

/// A file that lists packages or their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// dpkg's list of packages (deb822, <https://manpages.debian.org/dpkg/deb822.5>): a single file, or one for each
    /// package (`status.d`, in images without dpkg).
    DebianStatus,
    /// The paths of a Debian package, one per line.
    DebianList(&'a str),
    /// The digests and paths of a Debian package.
    DebianSums(&'a str),
    /// apk's list of packages and their files (<https://wiki.alpinelinux.org/wiki/Apk_spec>).
    Alpine,
    /// Name and version of a Python package
    /// (<https://packaging.python.org/en/latest/specifications/core-metadata/>), which its folder contains, too.
    PythonMetadata(&'a str),
    /// The files of a Python package
    /// (<https://packaging.python.org/en/latest/specifications/recording-installed-packages/>).
    PythonRecord(&'a str),
    /// Name and version of a Node package, whose folder contains the name, too.
    Node(&'a str),
}

/// The package information in the file at an absolute path; `None` when there is none.
#[must_use]
pub(crate) fn source(path: &str) -> Option<Source<'_>> {
    if let Some(file) = path.strip_prefix("/var/lib/dpkg/") {
        return debian(file);
    }
    if path == "/lib/apk/db/installed" {
        return Some(Source::Alpine);
    }
    let (folder, file) = path.rsplit_once('/')?;
    let (above, name) = folder.rsplit_once('/')?;
    match file {
        // Copies inside another package are not installed.
        _ if path.contains("/_vendor/") => None,
        "METADATA" => Some(Source::PythonMetadata(name.strip_suffix(".dist-info")?)),
        "RECORD" => Some(Source::PythonRecord(name.strip_suffix(".dist-info")?)),
        "package.json" => {
            // The dependencies of a package are in its own `node_modules`.
            let (above, scope) = above.rsplit_once('/')?;
            let (modules, name) = match scope.starts_with('@') {
                true => (above, &folder[above.len() + 1..]),
                false => (folder.strip_suffix(name)?.trim_end_matches('/'), name),
            };
            let outside = modules.strip_suffix("/node_modules")?;
            (!outside.contains("/node_modules/")).then_some(Source::Node(name))
        }
        _ => None,
    }
}

fn debian(file: &str) -> Option<Source<'_>> {
    if file == "status" {
        return Some(Source::DebianStatus);
    }
    if let Some(part) = file.strip_prefix("status.d/") {
        return Some(part.strip_suffix(".md5sums").map_or(Source::DebianStatus, Source::DebianSums));
    }
    let name = file.strip_prefix("info/")?.strip_suffix(".list")?;
    // `libc6:amd64.list`.
    Some(Source::DebianList(name.split(':').next().unwrap_or(name)))
}

/// Adds the packages of a file; what cannot be parsed is skipped.
pub(crate) fn read(packages: &mut Packages, source: Source<'_>, path: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match source {
        Source::DebianStatus => debian_status(packages, &text),
        Source::DebianList(name) => {
            let paths = text.lines().filter(|line| line.starts_with('/'));
            paths.for_each(|path| packages.own(PackageKind::Debian, name, path.to_owned()));
        }
        Source::DebianSums(name) => {
            let paths = text.lines().filter_map(|line| line.split_once("  "));
            paths.for_each(|(_, path)| packages.own(PackageKind::Debian, name, absolute("/", path)));
        }
        Source::Alpine => alpine(packages, &text),
        Source::PythonMetadata(folder) => python(packages, folder, path, &text),
        Source::PythonRecord(folder) => record(packages, folder, path, &text),
        Source::Node(folder) => node(packages, folder, path, bytes),
    }
}

/// The value of a field in lines of `Name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim()).filter(|value| !value.is_empty())
}

fn debian_status(packages: &mut Packages, text: &str) {
    for stanza in text.split("\n\n") {
        // A removed package may leave its configuration; `status.d` has no status.
        let there = field(stanza, "Status").is_none_or(|status| status.ends_with(" installed"));
        if let (Some(name), Some(version), true) = (field(stanza, "Package"), field(stanza, "Version"), there) {
            packages.add(PackageKind::Debian, name, version);
        }
    }
}

fn alpine(packages: &mut Packages, text: &str) {
    for stanza in text.split("\n\n") {
        let (Some(name), Some(version)) = (field(stanza, "P"), field(stanza, "V")) else { continue };
        packages.add(PackageKind::Alpine, name, version);
        let mut folder = "";
        for line in stanza.lines() {
            match line.split_once(':') {
                Some(("F", path)) => folder = path,
                Some(("R", file)) => packages.own(PackageKind::Alpine, name, absolute(&format!("/{folder}"), file)),
                _ => {}
            }
        }
    }
}

/// A Python package's normalized name
/// (<https://packaging.python.org/en/latest/specifications/name-normalization/>).
fn normal(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
    parts.join("-").to_ascii_lowercase()
}

fn python(packages: &mut Packages, folder: &str, path: &str, text: &str) {
    // The description follows an empty line.
    let headers = text.split("\n\n").next().unwrap_or_default();
    let (name, version) = folder.split_once('-').unwrap_or((folder, ""));
    let version = field(headers, "Version").unwrap_or(version);
    if version.is_empty() {
        return;
    }
    let name = normal(field(headers, "Name").unwrap_or(name));
    packages.add(PackageKind::Python, &name, version);
    packages.own(PackageKind::Python, &name, format!("{}/", parent(path)));
}

fn record(packages: &mut Packages, folder: &str, path: &str, text: &str) {
    let name = normal(folder.split_once('-').map_or(folder, |(name, _)| name));
    let site = parent(parent(path));
    for line in text.lines() {
        // CSV: a path with a comma or a quote is quoted, and its own quotes are doubled.
        let file = match line.strip_prefix('"') {
            Some(rest) => rest.rsplit_once("\",").map(|(file, _)| file.replace("\"\"", "\"")),
            None => line.split_once(',').map(|(file, _)| file.to_owned()),
        };
        if let Some(file) = file.filter(|file| !file.is_empty()) {
            packages.own(PackageKind::Python, &name, absolute(site, &file));
        }
    }
}

/// Two fields of package.json (<https://docs.npmjs.com/cli/configuring-npm/package-json>).
#[derive(Deserialize)]
struct NodePackage {
    name: Option<String>,
    version: Option<String>,
}

fn node(packages: &mut Packages, folder: &str, path: &str, bytes: &[u8]) {
    let Ok(NodePackage { name, version: Some(version) }) = serde_json::from_slice(bytes) else { return };
    let name = name.unwrap_or_else(|| folder.to_owned());
    packages.add(PackageKind::Node, &name, &version);
    packages.own(PackageKind::Node, &name, format!("{}/", parent(path)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a file: packages as `kind name version`, and the files they own.
    fn parsed(path: &str, text: &str) -> (Vec<String>, Vec<String>) {
        let mut packages = Packages::default();
        if let Some(source) = source(path) {
            read(&mut packages, source, path, text.as_bytes());
        }
        let line = |((kind, name), versions): (&(PackageKind, String), &std::collections::BTreeSet<String>)| {
            versions.iter().map(|version| format!("{kind} {name} {version}")).collect::<Vec<_>>()
        };
        let names: Vec<String> = packages.iter().flat_map(line).collect();
        let owned = packages.iter().flat_map(|(key, _)| packages.owned(key)).map(ToOwned::to_owned).collect();
        (names, owned)
    }

    #[test]
    fn package_lists_are_recognized_by_path() {
        for (path, expected) in [
            ("/var/lib/dpkg/status", Some(Source::DebianStatus)),
            ("/var/lib/dpkg/status.d/libc6", Some(Source::DebianStatus)),
            ("/var/lib/dpkg/status.d/libc6.md5sums", Some(Source::DebianSums("libc6"))),
            ("/var/lib/dpkg/info/bash.list", Some(Source::DebianList("bash"))),
            ("/var/lib/dpkg/info/libc6:amd64.list", Some(Source::DebianList("libc6"))),
            ("/var/lib/dpkg/info/bash.md5sums", None),
            ("/var/lib/dpkg/status-old", None),
            ("/lib/apk/db/installed", Some(Source::Alpine)),
            ("/opt/site/twilio-9.1.0.dist-info/METADATA", Some(Source::PythonMetadata("twilio-9.1.0"))),
            ("/opt/site/twilio-9.1.0.dist-info/RECORD", Some(Source::PythonRecord("twilio-9.1.0"))),
            ("/opt/site/setuptools/_vendor/wheel-0.4.dist-info/METADATA", None),
            ("/opt/site/twilio/METADATA", None),
            ("/app/node_modules/express/package.json", Some(Source::Node("express"))),
            ("/app/node_modules/@aws/sdk/package.json", Some(Source::Node("@aws/sdk"))),
            ("/node_modules/express/package.json", Some(Source::Node("express"))),
            ("/app/node_modules/express/node_modules/debug/package.json", None),
            ("/app/node_modules/express/lib/package.json", None),
            ("/app/node_modules/@aws/sdk/dist/package.json", None),
            ("/app/package.json", None),
            ("/package.json", None),
            ("/app/x.py", None),
            ("", None),
        ] {
            assert_eq!(source(path), expected, "{path}");
        }
    }

    #[test]
    fn packages_of_every_kind_are_read() {
        let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2-1\nDescription: shell\n Version: 9\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: half\n";
        let metadata = "Metadata-Version: 2.1\nName: Typing.Extensions\nVersion: 4.1\n\nVersion: 9\n";
        for (path, text, expected) in [
            ("/var/lib/dpkg/status", status, vec!["debian bash 5.2-1"]),
            ("/var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12", vec!["debian base-files 12"]),
            ("/var/lib/dpkg/status", "", vec![]),
            (
                "/lib/apk/db/installed",
                "P:musl\nV:1.2.5-r0\n\nP:zlib\nV:1.3\n",
                vec!["alpine musl 1.2.5-r0", "alpine zlib 1.3"],
            ),
            ("/s/typing_extensions-4.1.dist-info/METADATA", metadata, vec!["python typing-extensions 4.1"]),
            ("/s/My_App-1.0.dist-info/METADATA", "", vec!["python my-app 1.0"]),
            ("/s/odd.dist-info/METADATA", "", vec![]),
            ("/a/node_modules/e/package.json", r#"{"name": "express", "version": "5.1"}"#, vec!["node express 5.1"]),
            ("/a/node_modules/@b/c/package.json", r#"{"version": "1"}"#, vec!["node @b/c 1"]),
            ("/a/node_modules/e/package.json", r#"{"type": "module"}"#, vec![]),
            ("/a/node_modules/e/package.json", "{", vec![]),
        ] {
            assert_eq!(parsed(path, text).0, expected, "{path} {text}");
        }
    }

    #[test]
    fn files_of_packages_are_read() {
        let apk = "P:musl\nV:1\nF:lib\nR:ld-musl.so\nZ:Q1\nF:usr/bin\nR:ldd\n";
        assert_eq!(parsed("/lib/apk/db/installed", apk).1, ["/lib/ld-musl.so", "/usr/bin/ldd"]);
        let node = parsed("/a/node_modules/@b/c/package.json", r#"{"version": "1"}"#);
        assert_eq!(node.1, ["/a/node_modules/@b/c/"]);
        let mut packages = Packages::default();
        for (path, text) in [
            (
                "/s/x_y-1.dist-info/RECORD",
                "x_y/a.py,sha256=1,2\n../bin/x,,\n\"x_y/a,\"\"b\"\".py\",sha256=1,2\nbroken\n,,\n",
            ),
            ("/s/x_y-1.dist-info/METADATA", "Name: X-Y\nVersion: 1\n"),
            ("/var/lib/dpkg/info/bash:amd64.list", "/.\n/bin/bash\n"),
            ("/var/lib/dpkg/status.d/bash.md5sums", "0123  usr/share/bash\nbroken\n"),
            ("/var/lib/dpkg/status", "Package: bash\nVersion: 1\n"),
        ] {
            read(&mut packages, source(path).expect("a source"), path, text.as_bytes());
        }
        let owned = |kind, name: &str| packages.owned(&(kind, name.to_owned())).collect::<Vec<_>>().join(" ");
        assert_eq!(owned(PackageKind::Python, "x-y"), "/bin/x /s/x_y-1.dist-info/ /s/x_y/a,\"b\".py /s/x_y/a.py");
        assert_eq!(owned(PackageKind::Debian, "bash"), "/. /bin/bash /usr/share/bash");
    }

    proptest! {
        #[test]
        fn arbitrary_path_and_bytes_do_not_panic(path in "(/(node_modules|@a|b|x-1.dist-info|_vendor|METADATA|RECORD|package.json)){0,6}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let sources = [Source::DebianStatus, Source::DebianList("a"), Source::DebianSums("a"), Source::Alpine];
            for source in source(&path).into_iter().chain(sources) {
                read(&mut Packages::default(), source, &path, &bytes);
            }
        }
    }
}
