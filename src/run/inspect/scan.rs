//! Scans all files of an image in one pass over the engine's stream and keeps only what it searches for.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};

use aho_corasick::AhoCorasick;

use super::header::{HEAD, elf};
use crate::engine::EngineResult;
use crate::model::files::ForeignFile;
use crate::run::export::{Export, read_to_end};

/// Number of bytes searched at once.
const PIECE: usize = 256 << 10;
/// Maximum number of files named of each kind.
const NAMED: usize = 10;
/// Maximum number of files for other architectures remembered until their siblings are known.
const REMEMBERED: usize = 4096;

/// The result of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// The first shared objects and programs for another architecture.
    pub(crate) native: Vec<ForeignFile>,
    /// Number of such files.
    pub(crate) native_count: usize,
    /// The names that occur.
    pub(crate) mentions: BTreeSet<String>,
    /// Whether every file was searched for them.
    pub(crate) searched: bool,
    /// The first packed files.
    pub(crate) packed: Vec<String>,
    /// A file with certificate authorities outside the usual paths.
    pub(crate) ca_bundle: Option<String>,
    /// Total size of all files in bytes.
    pub(crate) bytes: u64,
}

/// Scans an archive.
///
/// # Errors
/// The engine's, or that the archive cannot be read.
pub(crate) async fn scan(stream: Export, wanted: &BTreeSet<String>) -> EngineResult<Scanned> {
    let wanted = wanted.clone();
    read_to_end(stream, move |archive| read(archive, wanted)).await
}

/// Reads an archive.
fn read(archive: impl Read, wanted: BTreeSet<String>) -> io::Result<Scanned> {
    let mut pass = Pass::new(wanted);
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if !(kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse()) {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = format!("/{}", name.trim_start_matches("./").trim_start_matches('/'));
        pass.found.bytes = pass.found.bytes.saturating_add(entry.size());
        pass.file(&path, &mut entry)?;
    }
    Ok(pass.finish())
}

struct Pass {
    found: Scanned,
    search: Search,
    buffer: Vec<u8>,
    foreign: Vec<ForeignFile>,
    foreign_count: usize,
    /// Paths of x86-64 files, with the architecture's name blanked out.
    siblings: HashSet<String>,
}

impl Pass {
    fn new(wanted: BTreeSet<String>) -> Self {
        let search = Search::new(wanted);
        Self {
            found: Scanned::default(),
            buffer: vec![0; PIECE + search.overlap],
            search,
            foreign: Vec::new(),
            foreign_count: 0,
            siblings: HashSet::new(),
        }
    }

    /// Reads a file's header, and its content while a name is still missing.
    fn file(&mut self, path: &str, content: &mut impl Read) -> io::Result<()> {
        let mut kept = 0;
        let mut begun = false;
        loop {
            let size = fill(content, &mut self.buffer[kept..])?;
            let end = kept + size;
            if !begun {
                self.head(path, end.min(HEAD));
                begun = true;
            }
            if size == 0 || self.search.is_done() {
                return Ok(());
            }
            self.search.look(&self.buffer[..end]);
            // A name may span two pieces.
            kept = end.min(self.search.overlap);
            self.buffer.copy_within(end - kept..end, 0);
        }
    }

    fn head(&mut self, path: &str, size: usize) {
        let head = &self.buffer[..size];
        let program = elf(head).filter(|e| e.loadable);
        if self.found.packed.len() < NAMED && is_packed(path, head) {
            self.found.packed.push(path.to_owned());
        }
        if self.found.ca_bundle.is_none() && has_authorities(path, program.is_some()) {
            self.found.ca_bundle = Some(path.to_owned());
        }
        let Some(program) = program else { return };
        if program.machine.is("amd64") {
            self.siblings.extend(places(path));
        } else if program.machine.is_foreign() && !is_for_other_machines(path) {
            self.foreign_count += 1;
            if self.foreign.len() < REMEMBERED {
                self.foreign.push(ForeignFile { path: path.to_owned(), machine: program.machine });
            }
        }
    }

    fn finish(self) -> Scanned {
        let before = self.foreign.len();
        let mut native = self.foreign;
        native.retain(|file| !places(&file.path).iter().any(|place| self.siblings.contains(place)));
        let native_count = self.foreign_count - (before - native.len());
        native.truncate(NAMED);
        let searched = !self.search.failed;
        Scanned { native, native_count, mentions: self.search.found, searched, ..self.found }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut size = 0;
    while size < buffer.len() {
        match content.read(&mut buffer[size..])? {
            0 => break,
            n => size += n,
        }
    }
    Ok(size)
}

/// Searches for names, ignoring case, in one-byte and two-byte characters (.NET).
struct Search {
    names: Vec<String>,
    found: BTreeSet<String>,
    automaton: Option<AhoCorasick>,
    /// Length of the longest pattern minus one.
    overlap: usize,
    failed: bool,
}

impl Search {
    fn new(wanted: BTreeSet<String>) -> Self {
        let names: Vec<String> = wanted.into_iter().filter(|name| !name.is_empty()).collect();
        let overlap = names.iter().map(|name| 2 * name.len()).max().unwrap_or(1) - 1;
        let mut search = Self { names, found: BTreeSet::new(), automaton: None, overlap, failed: false };
        search.build();
        search
    }

    /// Builds the automaton for the missing names. A name that occurs everywhere would slow it down.
    fn build(&mut self) {
        self.automaton = None;
        if self.names.is_empty() {
            return;
        }
        let wide = |name: &String| name.bytes().flat_map(|byte| [byte, 0]).collect::<Vec<u8>>();
        let patterns = self.names.iter().flat_map(|name| [name.as_bytes().to_vec(), wide(name)]);
        match AhoCorasick::builder().ascii_case_insensitive(true).build(patterns) {
            Ok(automaton) => self.automaton = Some(automaton),
            Err(error) => {
                tracing::warn!(%error, "cannot search for names of variables");
                self.failed = true;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.automaton.is_none()
    }

    fn look(&mut self, bytes: &[u8]) {
        let mut from = 0;
        while let Some(hit) = self.automaton.as_ref().and_then(|automaton| automaton.find(&bytes[from..])) {
            // Another name may overlap the end of this one.
            from = (from + hit.end()).saturating_sub(self.overlap);
            let name = self.names.remove(hit.pattern().as_usize() / 2);
            self.found.insert(name);
            self.build();
        }
    }
}

/// Whether a file's content is packed and may be the application: an archive, or a self-extracting program
/// (<https://upx.github.io/>).
fn is_packed(path: &str, head: &[u8]) -> bool {
    // Not the application: Python's installer and documentation.
    let bystander = ["/ensurepip/", "/virtualenv/", "/usr/share/doc/"].iter().any(|part| path.contains(part));
    let zip = head.starts_with(b"PK\x03\x04");
    let upx = head.starts_with(b"\x7fELF") && head.windows(4).any(|bytes| bytes == b"UPX!");
    !bystander && (zip || upx)
}

/// Whether a file contains certificate authorities: Python's certifi, Java's keystore, or a runtime with Mozilla's
/// list.
fn has_authorities(path: &str, program: bool) -> bool {
    // Only pip reads its own copy.
    let certifi = path.ends_with("/certifi/cacert.pem") && !path.contains("/_vendor/");
    let java = path.ends_with("/lib/security/cacerts") || path.ends_with("/java/cacerts");
    let runtime = ["/bin/node", "/bin/bun", "/bin/deno"].iter().any(|name| path.ends_with(name));
    certifi || java || (program && runtime)
}

/// Names of architectures in paths, longer ones first.
const ARCHITECTURES: [&str; 26] = [
    "loongarch64",
    "powerpc64le",
    "mips64el",
    "aarch64",
    "ppc64le",
    "riscv64",
    "x86_64",
    "x86-64",
    "loong64",
    "armv7l",
    "mips64",
    "mipsel",
    "amd64",
    "arm64",
    "armv8",
    "armv7",
    "armv6",
    "armhf",
    "armel",
    "s390x",
    "ppc64",
    "i386",
    "i686",
    "ia32",
    "x64",
    "arm",
];

/// A path with names of architectures replaced by `*`; `None` when it has none.
fn without_architecture(path: &str) -> Option<String> {
    let mut text = path.to_ascii_lowercase();
    for name in ARCHITECTURES {
        let mut from = 0;
        while let Some(at) = text[from..].find(name).map(|at| from + at) {
            let end = at + name.len();
            let edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
            if edge(text[..at].chars().next_back()) && edge(text[end..].chars().next()) {
                text.replace_range(at..end, "*");
                from = at + 1;
            } else {
                from = end;
            }
        }
    }
    text.contains('*').then_some(text)
}

/// A file's path and folder with the architecture blanked out, if they name one. Packages with a module for several
/// architectures have files whose places are the same.
fn places(path: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    [without_architecture(path), without_architecture(folder)].into_iter().flatten().collect()
}

/// Whether a file is for other machines on purpose: firmware, data, cross compilers, test data.
fn is_for_other_machines(path: &str) -> bool {
    let parts = ["/lib/firmware/", "/usr/share/", "/boot/", "/testdata/", "/gcc-cross/", "/lib/debug/"];
    let cross = path.strip_prefix("/usr/").and_then(|rest| rest.split('/').next());
    parts.iter().any(|part| path.contains(part)) || cross.is_some_and(|folder| folder.contains("-linux-"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::super::header::tests::program;
    use super::*;
    use crate::engine::EngineError;
    use crate::engine::files::Tree;
    use crate::model::files::Machine;
    use bytes::Bytes;
    use futures_util::StreamExt;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn of(tree: &Tree, wanted: &[&str]) -> Scanned {
        read(Cursor::new(tree.archive().expect("packed")), names(wanted)).expect("read")
    }

    #[test]
    fn names_are_found_in_any_case_and_width() {
        let wide: Vec<u8> = "Stripe_Key".bytes().flat_map(|b| [b, 0]).collect();
        let tree = Tree::default()
            .file("/app/config.py", 0o644, "os.environ['database_url'] + x.PORTABLE")
            .file("/app/app.dll", 0o644, wide)
            .link("/app/link", "JWT_SECRET");
        let found = of(&tree, &["DATABASE_URL", "DATABASE", "PORT", "STRIPE_KEY", "JWT_SECRET", ""]);
        assert_eq!(found.mentions, names(&["DATABASE_URL", "DATABASE", "PORT", "STRIPE_KEY"]));
        assert!(found.searched);
    }

    #[test]
    fn overlapping_names_are_all_found() {
        let tree = Tree::default().file("/a", 0o644, "xAAB_CDEFx");
        assert_eq!(of(&tree, &["B_C", "AAB_CD", "CDEF", "AB"]).mentions, names(&["B_C", "AAB_CD", "CDEF", "AB"]));
    }

    #[test]
    fn name_across_two_pieces_is_found() {
        let longest = "ANOTHER_NAME_THAT_IS_LONGER";
        for at in PIECE - 20..PIECE + 80 {
            let mut bytes = vec![b'x'; 2 * PIECE];
            bytes[at..at + 12].copy_from_slice(b"DATABASE_URL");
            let mut pass = Pass::new(names(&["DATABASE_URL", longest]));
            pass.file("/a", &mut Cursor::new(bytes)).expect("read");
            assert_eq!(pass.finish().mentions, names(&["DATABASE_URL"]), "at {at}");
        }
    }

    #[test]
    fn name_across_two_files_is_not_found() {
        let tree = Tree::default().file("/a", 0o644, "DATABASE").file("/b", 0o644, "_URL");
        assert_eq!(of(&tree, &["DATABASE_URL"]).mentions, names(&[]));
    }

    #[test]
    fn native_files_for_another_architecture_are_found() {
        let (arm, amd) = (program(Machine::ARM64, None, 0), program(Machine::AMD64, None, 0));
        let mut object = arm.clone();
        object[16] = 1;
        let tree = Tree::default()
            .file("/app/bcrypt_lib.node", 0o644, arm.clone())
            .file("/app/good.node", 0o644, amd.clone())
            .file("/app/object.o", 0o644, object)
            // Shipped for several architectures.
            .file("/m/prebuilds/linux-arm64/a.armv8.node", 0o644, arm.clone())
            .file("/m/prebuilds/linux-x64/a.node", 0o644, amd.clone())
            .file("/m/_x.cpython-312-aarch64-linux-gnu.so", 0o644, arm.clone())
            .file("/m/_x.cpython-312-x86_64-linux-gnu.so", 0o644, amd.clone())
            // Installed for the laptop only.
            .file("/n/@esbuild/linux-arm64/bin/esbuild", 0o755, arm.clone())
            .file("/usr/lib/firmware/x", 0o644, arm.clone())
            .file("/usr/aarch64-linux-gnu/lib/libc.so.6", 0o644, arm);
        let found = of(&tree, &[]);
        let paths: Vec<&str> = found.native.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["/app/bcrypt_lib.node", "/n/@esbuild/linux-arm64/bin/esbuild"]);
        assert_eq!((found.native_count, found.native[0].machine), (2, Machine::ARM64));
        let many = (0..30).fold(Tree::default(), |tree, n| tree.file(&format!("/x{n}"), 0o644, amd_or(n)));
        let found = of(&many, &[]);
        assert_eq!((found.native.len(), found.native_count), (NAMED, 20));
    }

    fn amd_or(n: u32) -> Vec<u8> {
        program(if n.is_multiple_of(3) { Machine::AMD64 } else { Machine::ARM64 }, None, 0)
    }

    #[test]
    fn packed_files_and_authorities_are_found() {
        let mut upx = program(Machine::AMD64, None, 0);
        upx.extend(b"UPX!");
        let tree = Tree::default()
            .file("/app/app.jar", 0o644, &b"PK\x03\x04..."[..])
            .file("/app/tool", 0o755, upx)
            .file("/usr/lib/python3/ensurepip/_bundled/pip.whl", 0o644, &b"PK\x03\x04"[..])
            .file("/x/site-packages/pip/_vendor/certifi/cacert.pem", 0o644, "x")
            .file("/y/site-packages/certifi/cacert.pem", 0o644, "x");
        let found = of(&tree, &[]);
        assert_eq!(found.packed, ["/app/app.jar", "/app/tool"]);
        assert_eq!(found.ca_bundle.as_deref(), Some("/y/site-packages/certifi/cacert.pem"));
        let node = Tree::default().file("/usr/local/bin/node", 0o755, program(Machine::AMD64, None, 0));
        assert_eq!(of(&node, &[]).ca_bundle.as_deref(), Some("/usr/local/bin/node"));
        let script = Tree::default().file("/usr/local/bin/node", 0o755, "#!/bin/sh\n");
        assert_eq!(of(&script, &[]).ca_bundle, None);
    }

    #[test]
    fn architectures_in_paths_are_blanked_out() {
        for (path, expected) in [
            ("/prebuilds/linux-x64/a", Some("/prebuilds/linux-*/a")),
            ("/prebuilds/linux-ARM64/a", Some("/prebuilds/linux-*/a")),
            ("/usr/lib/x86_64-linux-gnu", Some("/usr/lib/*-linux-gnu")),
            ("/app/farm/charm64/alarm", None),
            ("/opt/arm/é", Some("/opt/*/é")),
        ] {
            assert_eq!(without_architecture(path).as_deref(), expected, "{path}");
        }
    }

    fn pieces(bytes: &[u8], size: usize) -> Export {
        let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Box::pin(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn size_of_pieces_does_not_matter() {
        let tree = Tree::default().file(&format!("/app/{}/config.py", "deep/".repeat(40)), 0o644, "DATABASE_URL").file(
            "/app/x.node",
            0o644,
            program(Machine::ARM64, None, 0),
        );
        let archive = tree.archive().expect("packed");
        let wanted = names(&["DATABASE_URL", "OTHER"]);
        let expected = read(Cursor::new(archive.clone()), wanted.clone()).expect("read");
        assert_eq!((expected.mentions.len(), expected.native_count), (1, 1));
        for size in [1, 7, 511, 512, 513, 1000, 1 << 20] {
            assert_eq!(scan(pieces(&archive, size), &wanted).await, Ok(expected.clone()), "{size}");
        }
    }

    #[tokio::test]
    async fn broken_stream_is_an_error() {
        let archive = Tree::default().file("/a", 0o644, vec![b'x'; 9000]).archive().expect("packed");
        let gone = EngineError::Gone { action: "reading".to_owned(), message: "c1".to_owned() };
        let broken = pieces(&archive[..2000], 100).chain(futures_util::stream::iter([Err(gone.clone())]));
        assert_eq!(scan(Box::pin(broken), &names(&["A"])).await, Err(gone));
        let cut = scan(pieces(&archive[..700], 100), &names(&["A"])).await;
        assert!(matches!(cut, Err(EngineError::Broken { .. })), "{cut:?}");
        assert_eq!(scan(pieces(&[], 1), &names(&["A"])).await.map(|s| s.bytes), Ok(0));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let _ = read(Cursor::new(bytes), names(&["A", "BC"]));
        }

        #[test]
        fn corrupt_archive_does_not_panic(changes in prop::collection::vec((0usize..2000, any::<u8>()), 0..6)) {
            let tree = Tree::default().file("/a", 0o644, program(Machine::ARM64, None, 0)).file("/b", 0o644, "x");
            let mut archive = tree.archive().expect("packed");
            for (at, byte) in changes {
                archive[at] = byte;
            }
            let _ = read(Cursor::new(archive), names(&["A", "BC"]));
        }

        #[test]
        fn search_agrees_with_a_plain_search(
            text in "[aAbB_]{0,60}",
            wanted in prop::collection::btree_set("[AB_]{1,6}", 0..8),
        ) {
            let mut pass = Pass::new(wanted.clone());
            pass.file("/a", &mut Cursor::new(text.as_bytes())).expect("read");
            let upper = text.to_ascii_uppercase();
            let expected: BTreeSet<String> = wanted.into_iter().filter(|name| upper.contains(name.as_str())).collect();
            prop_assert_eq!(pass.finish().mentions, expected);
        }
    }
}
