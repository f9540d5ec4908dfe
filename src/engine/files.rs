//! Files of a container as an engine reports them, and a file tree for the scripted engine.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;

/// Room in an archive for what precedes a file's bytes: its header, a long name, extended attributes.
const HEADERS: usize = 128 << 10;
/// As in the kernel: more links in a row are a loop (`MAXSYMLINKS`,
/// <https://man7.org/linux/man-pages/man7/path_resolution.7.html>).
pub(crate) const MOST_LINKS: usize = 40;

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A file with bytes in it.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, a socket, a pipe.
    Other,
}

/// A file of a container; a symbolic link at the end of its path is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Its type.
    pub(crate) kind: FileKind,
    /// The permission bits including set-user-id and the like (at most `0o7777`).
    pub(crate) mode: u32,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// The target of a link.
    pub(crate) link: Option<String>,
}

/// Types and special bits of Go's `os.FileMode` (<https://pkg.go.dev/io/fs#FileMode>).
const GO_DIRECTORY: u32 = 1 << 31;
const GO_LINK: u32 = 1 << 27;
const GO_OTHER: u32 = (1 << 26) | (1 << 25) | (1 << 24) | (1 << 21) | (1 << 19);
const GO_SPECIAL: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];
/// The type in Unix's own mode (<https://man7.org/linux/man-pages/man7/inode.7.html>).
const UNIX_TYPE: u32 = 0o170_000;

impl FileStat {
    /// Converts the mode that an engine reports, Go's or Unix's own: Go leaves the bits of Unix types clear.
    #[must_use]
    pub(crate) fn new(mode: u32, size: i64, link: &str) -> Self {
        let (kind, special) = match mode & UNIX_TYPE {
            0 => {
                let special = GO_SPECIAL.iter().filter(|(go, _)| mode & go != 0).map(|(_, unix)| unix).sum::<u32>();
                (go_kind(mode), special)
            }
            0o040_000 => (FileKind::Directory, mode & 0o7000),
            0o100_000 => (FileKind::Regular, mode & 0o7000),
            0o120_000 => (FileKind::Link, mode & 0o7000),
            _ => (FileKind::Other, mode & 0o7000),
        };
        let link = (kind == FileKind::Link && !link.is_empty()).then(|| link.to_owned());
        Self { kind, mode: (mode & 0o777) | special, size: u64::try_from(size).unwrap_or(0), link }
    }

    /// Whether it is a directory.
    #[must_use]
    pub(crate) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Whether it is a file that somebody may execute.
    #[must_use]
    pub(crate) fn is_executable(&self) -> bool {
        self.kind == FileKind::Regular && self.mode & 0o111 != 0
    }
}

fn go_kind(mode: u32) -> FileKind {
    if mode & GO_DIRECTORY != 0 {
        FileKind::Directory
    } else if mode & GO_LINK != 0 {
        FileKind::Link
    } else if mode & GO_OTHER != 0 {
        FileKind::Other
    } else {
        FileKind::Regular
    }
}

/// Number of bytes of an archive that surely contain the first `most` bytes of its first file.
#[must_use]
pub(crate) fn enough(most: usize) -> usize {
    most.saturating_add(HEADERS)
}

/// The first `most` bytes of the first entry of a possibly truncated archive; `None` if that is not a plain file.
#[must_use]
pub(crate) fn first_file(archive: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().ok()?.next()?.ok()?;
    if !entry.header().entry_type().is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    entry.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The owner of the first entry of a possibly truncated archive: its user id.
#[must_use]
pub(crate) fn first_owner(archive: &[u8]) -> Option<u32> {
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().ok()?.next()?.ok()?;
    entry.header().uid().ok().and_then(|id| u32::try_from(id).ok())
}

/// The names directly in a folder, from a possibly truncated archive of it.
#[must_use]
pub(crate) fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let Ok(entries) = archive.entries() else { return Vec::new() };
    let name = |entry: tar::Entry<'_, &[u8]>| -> Option<String> {
        let path = String::from_utf8(entry.path_bytes().into_owned()).ok()?;
        let (_, below) = path.split_once('/')?;
        below.split('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let mut all: Vec<String> = entries.map_while(Result::ok).filter_map(name).collect();
    all.dedup();
    all
}

/// The absolute form of a path relative to a directory, without `.` and `..`.
#[must_use]
pub(crate) fn absolute(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The directory that contains a path.
#[must_use]
pub(crate) fn parent(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

#[derive(Clone, Debug)]
enum Node {
    File(u32, Bytes),
    Link(String),
    Folder,
}

/// A file tree in memory, for the scripted engine.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    /// The user ids of owners other than root.
    owners: BTreeMap<String, u32>,
    /// Whether every requested path exists and is executable.
    everything: bool,
}

impl Tree {
    /// A tree in which every requested path exists and is fine, so that nothing can be ruled out.
    #[must_use]
    pub(crate) fn fine() -> Self {
        let folders = ["/tmp", "/var/tmp", "/var/log", "/var/cache", "/var/lib", "/run", "/home", "/root"];
        let tree = folders.into_iter().fold(Self { everything: true, ..Self::default() }, Self::folder);
        tree.file("/srv/app.jar", 0o644, &b"PK\x03\x04"[..])
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, bytes: impl Into<Bytes>) -> Self {
        self.nodes.insert(path.to_owned(), Node::File(mode, bytes.into()));
        self
    }

    /// Adds a link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.nodes.insert(path.to_owned(), Node::Link(target.to_owned()));
        self
    }

    /// Adds an empty folder.
    #[must_use]
    pub fn folder(mut self, path: &str) -> Self {
        self.nodes.insert(path.to_owned(), Node::Folder);
        self
    }

    /// Gives a file or a folder another owner than root.
    #[must_use]
    pub fn owned(mut self, path: &str, user: u32) -> Self {
        self.owners.insert(path.to_owned(), user);
        self
    }

    /// Like an engine: follows links on the way, but not one at the end.
    #[must_use]
    pub(crate) fn stat(&self, path: &str) -> Option<FileStat> {
        let path = self.on_the_way(&absolute("/", path))?;
        match self.nodes.get(&path) {
            Some(Node::File(mode, bytes)) => {
                Some(FileStat::new(*mode, i64::try_from(bytes.len()).unwrap_or(i64::MAX), ""))
            }
            Some(Node::Link(target)) => Some(FileStat::new(GO_LINK | 0o777, 0, target)),
            Some(Node::Folder) => Some(FileStat::new(GO_DIRECTORY | 0o755, 0, "")),
            None if path == "/" || self.nodes.keys().any(|key| is_below(key, &path)) => {
                Some(FileStat::new(GO_DIRECTORY | 0o755, 0, ""))
            }
            None => self.everything.then(|| FileStat::new(0o755, 64, "")),
        }
    }

    /// What a path refers to as an archive, as an engine gives it: names begin with the path's last part.
    #[must_use]
    pub(crate) fn archive_of(&self, path: &str) -> Option<Vec<u8>> {
        let path = self.on_the_way(&absolute("/", path))?;
        let base = path.rsplit('/').next().unwrap_or_default();
        let stat = self.stat(&path)?;
        let mut tar = tar::Builder::new(Vec::new());
        if stat.is_directory() {
            self.entry(&mut tar, &path, &format!("{base}/"), stat.mode, &Node::Folder).ok()?;
        }
        let fine = Node::File(0o755, static_amd64().into());
        let alone = std::iter::once((&path, &fine)).filter(|_| !stat.is_directory() && !self.nodes.contains_key(&path));
        let below = self
            .nodes
            .iter()
            .filter(|(key, node)| is_below(key, &path) || (**key == path && !matches!(node, Node::Folder)));
        for (key, node) in below.chain(alone) {
            let mode = if let Node::File(mode, _) = node { *mode } else { 0o755 };
            self.entry(&mut tar, key, &format!("{base}{}", &key[path.len()..]), mode, node).ok()?;
        }
        tar.into_inner().ok()
    }

    /// Appends a node to an archive under this name.
    fn entry(
        &self,
        tar: &mut tar::Builder<Vec<u8>>,
        path: &str,
        name: &str,
        mode: u32,
        node: &Node,
    ) -> std::io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(mode);
        header.set_uid(self.owners.get(path).copied().unwrap_or(0).into());
        header.set_gid(0);
        match node {
            Node::File(_, bytes) => {
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, name, bytes.as_ref())
            }
            Node::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, name, target)
            }
            Node::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, name, std::io::empty())
            }
        }
    }

    /// The whole tree as an archive.
    ///
    /// # Errors
    /// When a name does not fit into an archive.
    pub(crate) fn archive(&self) -> std::io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, node) in &self.nodes {
            let name = path.trim_start_matches('/');
            match node {
                Node::File(mode, _) => self.entry(&mut tar, path, name, *mode, node)?,
                Node::Link(_) => self.entry(&mut tar, path, name, 0o777, node)?,
                Node::Folder => {}
            }
        }
        tar.into_inner()
    }

    /// The path with every link followed but one at its end.
    fn on_the_way(&self, path: &str) -> Option<String> {
        let mut path = path.to_owned();
        for _ in 0..=MOST_LINKS {
            let link = self.nodes.iter().find_map(|(key, node)| match node {
                Node::Link(target) if is_below(&path, key) => Some((key, target)),
                _ => None,
            });
            let Some((key, target)) = link else { return Some(path) };
            path = format!("{}{}", absolute(parent(key), target), &path[key.len()..]);
        }
        None
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The header of a static program for x86-64.
fn static_amd64() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(64, 0);
    (header[16], header[18]) = (2, 62);
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn modes_of_go_and_of_unix() {
        for (mode, kind, bits) in [
            (0o755, FileKind::Regular, 0o755),
            (0o100_644, FileKind::Regular, 0o644),
            (0o104_755, FileKind::Regular, 0o4755),
            ((1 << 23) | 0o755, FileKind::Regular, 0o4755),
            (GO_DIRECTORY | (1 << 20) | 0o777, FileKind::Directory, 0o1777),
            (0o041_777, FileKind::Directory, 0o1777),
            (GO_LINK | 0o777, FileKind::Link, 0o777),
            (0o120_777, FileKind::Link, 0o777),
            ((1 << 26) | (1 << 21) | 0o666, FileKind::Other, 0o666),
            (0o020_666, FileKind::Other, 0o666),
        ] {
            let stat = FileStat::new(mode, 1, "/there");
            assert_eq!((stat.kind, stat.mode), (kind, bits), "{mode:o}");
            assert_eq!(stat.link.is_some(), kind == FileKind::Link, "{mode:o}");
        }
        assert!(FileStat::new(0o100, 1, "").is_executable());
        assert!(!FileStat::new(0o644, 1, "").is_executable());
        assert!(!FileStat::new(GO_DIRECTORY | 0o755, 1, "").is_executable());
        assert_eq!(FileStat::new(0o644, -1, "").size, 0);
    }

    #[test]
    fn makes_paths_absolute() {
        for (folder, path, expected) in [
            ("/app", "run.sh", "/app/run.sh"),
            ("/app", "./run.sh", "/app/run.sh"),
            ("/app/", "../bin/x", "/bin/x"),
            ("/app", "/bin//sh", "/bin/sh"),
            ("", "x", "/x"),
            ("/", "../../x", "/x"),
        ] {
            assert_eq!(absolute(folder, path), expected);
        }
        assert_eq!((parent("/a/b"), parent("/a"), parent("/"), parent("a")), ("/a", "/", "/", "/"));
    }

    #[test]
    fn reads_the_first_file_of_a_truncated_archive() {
        let long = format!("/{}", "x".repeat(180));
        let tree = Tree::default().file(&long, 0o755, vec![7; 100_000]);
        let archive = tree.archive().expect("packed");
        assert_eq!(first_file(&archive, 4096), Some(vec![7; 4096]));
        assert_eq!(first_file(&archive[..6000], 8192).map(|b| b.len()), Some(6000 - 3 * 512));
        assert_eq!(first_file(&archive[..100], 10), None);
        let link = Tree::default().link("/a", "b").archive().expect("packed");
        assert_eq!(first_file(&link, 10), None);
        assert_eq!(first_file(&[], 10), None);
    }

    #[test]
    fn tree_answers_like_an_engine() {
        let tree = Tree::default().link("/bin", "usr/bin").file("/usr/bin/sh", 0o755, "x").link("/usr/bin/a", "sh");
        assert!(tree.stat("/bin/sh").is_some_and(|s| s.is_executable()));
        assert_eq!(tree.stat("/bin").and_then(|s| s.link).as_deref(), Some("usr/bin"));
        assert_eq!(tree.stat("/bin/a").and_then(|s| s.link).as_deref(), Some("sh"));
        assert!(tree.stat("/usr").is_some_and(|s| s.is_directory()));
        assert_eq!(tree.stat("/usr/lib"), None);
        let archive = tree.archive_of("/bin/sh").expect("packed");
        assert_eq!(first_file(&archive, 10), Some(b"x".to_vec()));
        assert_eq!(tree.archive_of("/usr/lib"), None);
        let ring = Tree::default().link("/a", "b").link("/b", "a");
        assert_eq!(ring.stat("/a/x"), None);
        let owned = Tree::default().file("/app/x", 0o600, "x").link("/app/y", "x").folder("/app").owned("/app", 1000);
        let archive = owned.archive_of("/app").expect("packed");
        assert_eq!((first_owner(&archive), names(&archive)), (Some(1000), vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(first_owner(&owned.archive_of("/app/x").expect("packed")), Some(0));
        assert_eq!(names(&archive[..1600]), ["x"], "the rest is cut off");
        assert!(Tree::fine().stat("/usr/local/sbin/app").is_some_and(|s| s.is_executable()));
        assert!(Tree::fine().stat("/tmp").is_some_and(|s| s.is_directory()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000), most in 0usize..5000) {
            let first = first_file(&bytes, most);
            prop_assert!(first.is_none_or(|f| f.len() <= most));
        }

        #[test]
        fn broken_archives_do_not_panic(at in 0usize..2048, byte: u8) {
            let mut archive = Tree::default().file("/a", 0o755, vec![1; 600]).archive().expect("packed");
            archive[at] = byte;
            let _ = first_file(&archive, 4096);
        }

        #[test]
        fn every_mode_has_a_meaning(mode: u32, size: i64) {
            prop_assert!(FileStat::new(mode, size, "x").mode <= 0o7777);
        }
    }
}
