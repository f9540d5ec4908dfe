//! The differences between two images: pure, from what was read of both.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::EnvValue;
use super::image::ImageFacts;
use super::redact::{REDACTED, Redactor, line_is_private, looks_like_credential, shown_value};
use super::words::quote;

/// Maximum number of files listed individually.
pub(crate) const MOST_LISTED: usize = 40;
/// Values are cut to this many characters.
const WIDTH: usize = 300;

/// What the engine writes into every container, in-memory file systems, caches and logs: not part of the image.
const LEFT_OUT_BELOW: [&str; 8] =
    ["/proc", "/sys", "/dev", "/tmp", "/var/cache", "/var/log", "/var/lib/dpkg", "/lib/apk/db"];
/// Files that an engine creates in a container: the first five by Docker, the last by Podman.
const LEFT_OUT: [&str; 6] =
    ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/mtab", "/.dockerenv", "/run/.containerenv"];
/// System directories (<https://refspecs.linuxfoundation.org/FHS_3.0/fhs-3.0.html>); an application may be in `/opt`,
/// `/srv` and `/home`.
const SYSTEM: [&str; 13] =
    ["bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "media", "mnt", "run", "sbin", "usr", "var"];
/// Directories that package managers fill, at any depth.
const LIBRARIES: [&str; 3] = ["site-packages", "dist-packages", "node_modules"];

/// The differences between two images; every entry is a human-readable line without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageChange {
    /// `+ NAME=value`, `- NAME`, `NAME: old → new`.
    pub(crate) env: Vec<String>,
    /// CMD: `old → new`.
    pub(crate) cmd: Vec<String>,
    /// ENTRYPOINT: `old → new`.
    pub(crate) entrypoint: Vec<String>,
    /// USER: `old → new`.
    pub(crate) user: Vec<String>,
    /// WORKDIR: `old → new`.
    pub(crate) workdir: Vec<String>,
    /// `linux/amd64 → linux/arm64`.
    pub(crate) arch: Vec<String>,
    /// Number of identical layers, by the digests of their contents.
    pub(crate) layers: Vec<String>,
    /// `+ twilio 9.1.0 (python)`, `- x 1 (node)`, `posthog 3.0 → 3.1 (python)`.
    pub(crate) packages: Vec<String>,
    /// `+ /app/otp.py (2.1 kB)`, `- /app/old.py`, `changed /app/main.py (2.1 kB → 2.4 kB)`: the application's own
    /// first. Files of a changed package are left out.
    pub(crate) files: Vec<String>,
    /// Number of changed files that are not listed.
    pub(crate) more_files: usize,
    /// Why something could not be compared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) note: Option<String>,
}

impl ImageChange {
    /// Whether nothing that was compared differs.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        let Self { env, cmd, entrypoint, user, workdir, arch, layers, packages, files, more_files: _, note: _ } = self;
        [env, cmd, entrypoint, user, workdir, arch, layers, packages, files].iter().all(|lines| lines.is_empty())
    }
}

/// What is known about one of two images.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    /// Its configuration.
    pub(crate) facts: ImageFacts,
    /// Its files by absolute path, except those of [`is_left_out`].
    pub(crate) files: BTreeMap<String, FileFacts>,
    /// Its packages.
    pub(crate) packages: Packages,
}

/// A file of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileFacts {
    /// Its content.
    pub(crate) content: Content,
    /// The permission bits including set-user-id and the like (at most `0o7777`).
    pub(crate) mode: u32,
    /// The ids of its user and its group.
    pub(crate) owner: (u64, u64),
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Their SHA-256.
        digest: [u8; 32],
    },
    /// A symbolic link, and its target.
    Link(String),
    /// A directory.
    Folder,
    /// A device, a socket, a pipe.
    Other,
}

impl Content {
    fn word(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Link(_) => "link",
            Self::Folder => "folder",
            Self::Other => "special file",
        }
    }
}

/// The manager of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PackageKind {
    /// pip and the like: `*.dist-info`.
    Python,
    /// npm and the like: `node_modules`.
    Node,
    /// dpkg.
    Debian,
    /// apk.
    Alpine,
}

impl fmt::Display for PackageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Debian => "debian",
            Self::Alpine => "alpine",
        })
    }
}

/// A package, by its manager and name.
pub(crate) type PackageKey = (PackageKind, String);

/// The packages of an image, collected from its files one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packages(BTreeMap<PackageKey, Package>);

/// The installed versions of a package (several if in several places), and its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Package {
    versions: BTreeSet<String>,
    owns: BTreeSet<String>,
}

impl Packages {
    /// Adds a version of a package.
    pub(crate) fn add(&mut self, kind: PackageKind, name: &str, version: &str) {
        self.0.entry((kind, name.to_owned())).or_default().versions.insert(version.to_owned());
    }

    /// Records that a file, or a directory (with a trailing `/`) with its contents, belongs to a package.
    pub(crate) fn own(&mut self, kind: PackageKind, name: &str, path: String) {
        self.0.entry((kind, name.to_owned())).or_default().owns.insert(path);
    }

    /// The packages with their versions, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PackageKey, &BTreeSet<String>)> {
        // File lists may outlive their package.
        self.0.iter().map(|(key, package)| (key, &package.versions)).filter(|(_, versions)| !versions.is_empty())
    }

    /// What belongs to a package.
    pub(crate) fn owned(&self, key: &PackageKey) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flat_map(|package| package.owns.iter().map(String::as_str))
    }

    fn versions(&self, key: &PackageKey) -> BTreeSet<&str> {
        self.0.get(key).into_iter().flat_map(|package| package.versions.iter().map(String::as_str)).collect()
    }
}

/// Whether the path says nothing about an image: what engines and systems create at run time, caches, logs, compiled
/// Python, and package lists, which are compared as such.
#[must_use]
pub(crate) fn is_left_out(path: &str) -> bool {
    LEFT_OUT.contains(&path)
        || LEFT_OUT_BELOW.iter().any(|folder| is_in(path, folder))
        || path.ends_with(".pyc")
        || path.split('/').any(|part| part == "__pycache__")
}

/// Whether the path is the folder or below it.
fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Compares two images. Values of variables that are `secrets` or look like credentials are not shown.
#[must_use]
pub(crate) fn compare(before: &Side, after: &Side, secrets: &BTreeSet<String>) -> ImageChange {
    let (old, new) = (&before.facts, &after.facts);
    let shown = Shown::new(old, new, secrets);
    let (packages, changed) = packages(&before.packages, &after.packages);
    let files = Files::new(before, after, &changed).lines();
    ImageChange {
        env: shown.env(old, new),
        cmd: shown.command(&old.cmd, &new.cmd),
        entrypoint: shown.command(&old.entrypoint, &new.entrypoint),
        user: shown.pair(&old.user, &new.user, "root"),
        workdir: shown.pair(&old.workdir, &new.workdir, "/"),
        arch: shown.pair(&old.platform(), &new.platform(), ""),
        layers: layers(old, new).into_iter().collect(),
        packages: packages.iter().map(|line| shown.line(line)).collect(),
        more_files: files.len().saturating_sub(MOST_LISTED),
        files: files.iter().take(MOST_LISTED).map(|line| shown.line(line)).collect(),
        note: None,
    }
}

/// Rules for showing texts of two images.
struct Shown<'a> {
    secrets: &'a BTreeSet<String>,
    redactor: Redactor,
}

impl<'a> Shown<'a> {
    fn new(old: &ImageFacts, new: &ImageFacts, secrets: &'a BTreeSet<String>) -> Self {
        let env = old.env.iter().chain(&new.env).map(|(name, value)| (name.as_str(), value.as_str()));
        Self { secrets, redactor: Redactor::new(env, secrets) }
    }

    /// A single line without secrets.
    fn line(&self, text: &str) -> String {
        one_line(&self.redactor.clean(text))
    }

    /// A value on one line, cut only after redaction: a truncated secret would not be recognised.
    fn value(&self, name: &str, value: &str) -> String {
        let value = EnvValue { text: value.to_owned(), secret: self.secrets.contains(name) };
        cut(&self.line(&value.shown(name)))
    }

    fn env(&self, old: &ImageFacts, new: &ImageFacts) -> Vec<String> {
        let names: BTreeSet<&String> = old.env.keys().chain(new.env.keys()).collect();
        let line = |name: &String| {
            let shown = self.line(name);
            match (old.env.get(name), new.env.get(name)) {
                (None, Some(value)) => Some(format!("+ {shown}={}", self.value(name, value))),
                (Some(_), None) => Some(format!("- {shown}")),
                (Some(old), Some(new)) if old != new => {
                    Some(format!("{shown}: {} → {}", quoted(self.value(name, old)), quoted(self.value(name, new))))
                }
                _ => None,
            }
        };
        names.into_iter().filter_map(line).collect()
    }

    fn command(&self, old: &[String], new: &[String]) -> Vec<String> {
        if old == new {
            return Vec::new();
        }
        let words = |words: &[String]| match words {
            [] => "(none)".to_owned(),
            words => cut(&one_line(&self.words(words).iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "))),
        };
        vec![format!("{} → {}", words(old), words(new))]
    }

    /// The words of a command without credentials, whose values only the image's author knows.
    fn words(&self, words: &[String]) -> Vec<String> {
        let mut after_private_flag = false;
        let mut shown = Vec::new();
        for word in words {
            let hidden = after_private_flag && !word.starts_with('-');
            shown.push(if hidden { REDACTED.to_owned() } else { self.redactor.clean(&self.word(word)) });
            after_private_flag = word.starts_with('-') && !word.contains('=') && self.is_private(word);
        }
        shown
    }

    fn word(&self, word: &str) -> String {
        // A script: its own quotes decide where a value ends.
        let listed = || self.secrets.iter().any(|name| word.contains(&format!("{name}=")));
        if word.contains(char::is_whitespace) && (word.lines().any(line_is_private) || listed()) {
            return REDACTED.to_owned();
        }
        match word.split_once('=') {
            Some((name, value)) if !value.is_empty() && self.is_private(name) => format!("{name}={REDACTED}"),
            _ => shown_value("", word),
        }
    }

    /// Whether a variable, or an option such as `--api-key`, holds a credential according to its name.
    fn is_private(&self, name: &str) -> bool {
        let name = name.trim_start_matches('-').replace('-', "_");
        looks_like_credential(&name) || self.secrets.iter().any(|secret| secret.eq_ignore_ascii_case(&name))
    }

    fn pair(&self, old: &str, new: &str, empty: &str) -> Vec<String> {
        if old == new {
            return Vec::new();
        }
        let text = |text: &str| self.line(if text.is_empty() { empty } else { text });
        vec![format!("{} → {}", text(old), text(new))]
    }
}

/// Escapes line breaks and other control characters.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || "\u{2028}\u{2029}".contains(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Quotes an empty value, which would leave nothing next to the arrow.
fn quoted(value: String) -> String {
    if value.is_empty() { "\"\"".to_owned() } else { value }
}

/// Number of identical layers, in any order.
fn layers(old: &ImageFacts, new: &ImageFacts) -> Option<String> {
    if old.layers == new.layers || old.layers.is_empty() || new.layers.is_empty() {
        return None;
    }
    let mut rest: HashMap<&str, usize> = HashMap::new();
    for layer in &old.layers {
        *rest.entry(layer).or_default() += 1;
    }
    let mut same = 0;
    for layer in &new.layers {
        if let Some(left) = rest.get_mut(layer.as_str()).filter(|left| **left > 0) {
            *left -= 1;
            same += 1;
        }
    }
    let (removed, added) = (old.layers.len() - same, new.layers.len() - same);
    if (removed, added) == (0, 0) {
        return Some("the same layers in another order".to_owned());
    }
    let (total, are) = (new.layers.len(), if same == 1 { "is" } else { "are" });
    let (old_size, new_size) = (show_size(old.size), show_size(new.size));
    let size = if old_size == new_size { String::new() } else { format!("; {old_size} → {new_size} in all") };
    Some(format!("{same} of {total} layers {are} the same; {removed} removed, {added} added{size}"))
}

/// A line for every changed package, and their keys.
fn packages<'a>(before: &'a Packages, after: &'a Packages) -> (Vec<String>, BTreeSet<&'a PackageKey>) {
    let keys: BTreeSet<&PackageKey> = before.iter().chain(after.iter()).map(|(key, _)| key).collect();
    let mut changed = BTreeSet::new();
    let mut lines = Vec::new();
    for key in keys {
        let (old, new) = (before.versions(key), after.versions(key));
        if old == new {
            continue;
        }
        changed.insert(key);
        // A version that also stays in another place has not changed.
        let list = |these: &BTreeSet<&str>, others: &BTreeSet<&str>| {
            these.difference(others).copied().collect::<Vec<_>>().join(", ")
        };
        let (kind, name) = key;
        let (gone, come) = (list(&old, &new), list(&new, &old));
        lines.push(match (gone.is_empty(), come.is_empty()) {
            (true, _) => format!("+ {name} {come} ({kind})"),
            (_, true) => format!("- {name} {gone} ({kind})"),
            _ => format!("{name} {gone} → {come} ({kind})"),
        });
    }
    (lines, changed)
}

/// The files of two images, and their owners.
struct Files<'a> {
    before: &'a Side,
    after: &'a Side,
    /// Files and directories of packages, and whether the package changed.
    owned: HashMap<&'a str, bool>,
}

impl<'a> Files<'a> {
    fn new(before: &'a Side, after: &'a Side, changed: &BTreeSet<&PackageKey>) -> Self {
        let mut owned: HashMap<&str, bool> = HashMap::new();
        for packages in [&before.packages, &after.packages] {
            for (key, _) in packages.iter() {
                for path in packages.owned(key) {
                    *owned.entry(path).or_default() |= changed.contains(key);
                }
            }
        }
        Self { before, after, owned }
    }

    /// A line for every changed file, unless its package changed: the application's own first.
    fn lines(&self) -> Vec<String> {
        let (old, new) = (&self.before.files, &self.after.files);
        let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut lines: Vec<(bool, &String, String)> = Vec::new();
        for path in paths {
            let line = match (old.get(path), new.get(path)) {
                (Some(old), Some(new)) => difference(path, old, new),
                (None, Some(file)) => lone("+", path, file, new),
                (Some(file), None) => lone("-", path, file, old),
                (None, None) => None,
            };
            let Some(line) = line else { continue };
            let owner_changed = self.owner_changed(path);
            if owner_changed != Some(true) {
                lines.push((owner_changed.is_some() || !self.is_application(path), path, line));
            }
        }
        lines.sort();
        lines.into_iter().map(|(_, _, line)| line).collect()
    }

    /// Whether the package that a file belongs to changed; `None` if it belongs to none.
    fn owner_changed(&self, path: &str) -> Option<bool> {
        // Debian's lists still contain `/bin/sh` although `/bin` is a link to `/usr/bin`.
        let exact = [Some(path), path.strip_prefix("/usr")].into_iter().flatten().find_map(|p| self.owned.get(p));
        let folders = path.match_indices('/').filter_map(|(at, _)| self.owned.get(&path[..=at]));
        exact.into_iter().chain(folders).copied().max()
    }

    fn is_application(&self, path: &str) -> bool {
        let workdirs = [&self.before.facts.workdir, &self.after.facts.workdir].map(|w| w.trim_end_matches('/'));
        let first = path.split('/').nth(1).unwrap_or_default();
        let own = workdirs.iter().any(|folder| !folder.is_empty() && is_in(path, folder));
        (own || !SYSTEM.contains(&first)) && !path.split('/').any(|part| LIBRARIES.contains(&part))
    }
}

/// A file that only one image has; a directory only if empty, because its contents are listed otherwise.
fn lone(sign: &str, path: &str, file: &FileFacts, all: &BTreeMap<String, FileFacts>) -> Option<String> {
    match &file.content {
        Content::File { size, .. } if sign == "+" => Some(format!("{sign} {path} ({})", show_size(*size))),
        Content::Folder => {
            let below = format!("{path}/");
            let filled = all.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below));
            (!filled).then(|| format!("{sign} {below}"))
        }
        Content::Link(target) if sign == "+" => Some(format!("{sign} {path} (a link to {target})")),
        _ => Some(format!("{sign} {path}")),
    }
}

/// How a file differs; `None` if it does not.
fn difference(path: &str, old: &FileFacts, new: &FileFacts) -> Option<String> {
    let content = match (&old.content, &new.content) {
        (a, b) if a == b => None,
        (Content::File { size: a, .. }, Content::File { size: b, .. }) => Some(sizes(*a, *b)),
        (Content::Link(a), Content::Link(b)) => Some(format!("{a} → {b}")),
        (a, b) => Some(format!("{} → {}", a.word(), b.word())),
    };
    // If the type changed, the rest differs anyway; the permission bits of a link mean nothing.
    let same_kind = old.content.word() == new.content.word();
    let bits = same_kind && old.mode != new.mode && !matches!(new.content, Content::Link(_));
    let mode = bits.then(|| format!("mode {:o} → {:o}", old.mode, new.mode));
    let owner = |(user, group): (u64, u64)| format!("{user}:{group}");
    let owner =
        (same_kind && old.owner != new.owner).then(|| format!("owner {} → {}", owner(old.owner), owner(new.owner)));
    let parts: Vec<String> = [content, mode, owner].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("changed {path} ({})", parts.join(", ")))
}

fn sizes(old: u64, new: u64) -> String {
    let (shown_old, shown_new) = (show_size(old), show_size(new));
    if old == new {
        format!("{shown_new}, other content")
    } else if shown_old == shown_new {
        format!("{old} B → {new} B")
    } else {
        format!("{shown_old} → {shown_new}")
    }
}

/// A human-readable size in decimal units: `512 B`, `2.1 kB`, `12 MB`.
#[must_use]
pub(crate) fn show_size(bytes: u64) -> String {
    for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")] {
        // A value that rounds up to a thousand uses the next unit.
        if bytes >= unit - unit / 2000 {
            let rounded = |step: u64| bytes.saturating_add(step / 2) / step;
            let tenths = rounded(unit / 10);
            let short = || format!("{}.{} {name}", tenths / 10, tenths % 10);
            return if tenths < 100 { short() } else { format!("{} {name}", rounded(unit)) };
        }
    }
    format!("{bytes} B")
}
