//! Lists all files of an image in one pass over the engine's stream: a digest of each, and the package it belongs to.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sha2::{Digest, Sha256};
use tar::EntryType;

use super::packages;
use crate::engine::EngineResult;
use crate::model::change::{Content, FileFacts, Packages, is_left_out};
use crate::run::export::{Export, read_to_end};

/// Number of bytes read at once.
const PIECE: usize = 256 << 10;
/// Maximum number of files listed. Each takes a few hundred bytes of memory.
const MOST_FILES: usize = 1_000_000;
/// Maximum size (bytes) of a package list.
const LARGEST_SOURCE: u64 = 16 << 20;
/// Maximum size (bytes) of all package lists together.
const ALL_SOURCES: u64 = 128 << 20;

/// The files and packages of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// The files by absolute path.
    pub(crate) files: BTreeMap<String, FileFacts>,
    /// The known packages.
    pub(crate) packages: Packages,
    /// Whether a package list was too large to be read.
    pub(crate) incomplete: bool,
}

/// Lists the files of an archive.
///
/// # Errors
/// The engine's, or that the archive cannot be read.
pub(crate) async fn list(stream: Export) -> EngineResult<Listing> {
    read_to_end(stream, read).await
}

/// Reads an archive.
fn read(archive: impl Read) -> io::Result<Listing> {
    let mut archive = tar::Archive::new(archive);
    let mut pass = Pass { found: Listing::default(), sources: 0, buffer: vec![0; PIECE] };
    for entry in archive.entries()? {
        pass.entry(&mut entry?)?;
    }
    Ok(pass.found)
}

struct Pass {
    found: Listing,
    /// Bytes of package lists read so far.
    sources: u64,
    buffer: Vec<u8>,
}

impl Pass {
    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
        let path = absolute(&entry.path_bytes());
        let kind = entry.header().entry_type();
        let has_bytes = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        if path == "/" || (!has_bytes && is_left_out(&path)) {
            return Ok(());
        }
        // Some archives leave the fields empty.
        let header = entry.header();
        let mode = header.mode().unwrap_or(0) & 0o7777;
        let owner = (header.uid().unwrap_or(0), header.gid().unwrap_or(0));
        let content = match kind {
            _ if has_bytes => match self.file(&path, entry)? {
                Some(content) => content,
                None => return Ok(()),
            },
            EntryType::Directory => Content::Folder,
            EntryType::Symlink => Content::Link(target(entry)),
            // Another name of an earlier file.
            EntryType::Link => {
                let first = absolute(target(entry).as_bytes());
                match self.found.files.get(&first) {
                    Some(file) => return self.keep(path, file.clone()),
                    None => Content::Link(first),
                }
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => Content::Other,
            _ => return Ok(()),
        };
        self.keep(path, FileFacts { content, mode, owner })
    }

    fn keep(&mut self, path: String, file: FileFacts) -> io::Result<()> {
        if self.found.files.len() >= MOST_FILES {
            return Err(io::Error::other(format!("the image has more than {MOST_FILES} files")));
        }
        self.found.files.insert(path, file);
        Ok(())
    }

    /// Reads a file's packages if it is a package list, and returns its digest unless the file is left out.
    fn file(&mut self, path: &str, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Option<Content>> {
        let size = entry.size();
        let left_out = is_left_out(path);
        if let Some(source) = packages::source(path) {
            let all = self.sources.saturating_add(size);
            if size <= LARGEST_SOURCE && all <= ALL_SOURCES {
                self.sources = all;
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                packages::read(&mut self.found.packages, source, path, &bytes);
                let digest = Sha256::digest(&bytes).into();
                return Ok((!left_out).then_some(Content::File { size, digest }));
            }
            self.found.incomplete = true;
        }
        if left_out {
            return Ok(None);
        }
        let mut hash = Sha256::new();
        loop {
            match entry.read(&mut self.buffer)? {
                0 => break,
                n => hash.update(&self.buffer[..n]),
            }
        }
        Ok(Some(Content::File { size, digest: hash.finalize().into() }))
    }
}

fn absolute(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    format!("/{}", name.trim_start_matches("./").trim_matches('/'))
}

fn target(entry: &tar::Entry<'_, impl Read>) -> String {
    entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::archive::append_mode;
    use crate::engine::files::Tree;

    fn special(tar: &mut tar::Builder<Vec<u8>>, name: &str, kind: EntryType, target: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o755);
        header.set_uid(1000);
        header.set_gid(50);
        if target.is_empty() {
            tar.append_data(&mut header, name, io::empty()).expect("appended");
        } else {
            tar.append_link(&mut header, name, target).expect("appended");
        }
    }

    #[test]
    fn every_kind_of_file_is_listed() {
        let mut tar = tar::Builder::new(Vec::new());
        special(&mut tar, "./", EntryType::Directory, "");
        special(&mut tar, "app/", EntryType::Directory, "");
        append_mode(&mut tar, "app/a", 3, 0o4755, &b"abc"[..]).expect("appended");
        special(&mut tar, "app/b", EntryType::Link, "app/a");
        special(&mut tar, "app/c", EntryType::Symlink, "a");
        special(&mut tar, "app/d", EntryType::Link, "tmp/x");
        special(&mut tar, "app/p", EntryType::Fifo, "");
        special(&mut tar, "dev/", EntryType::Directory, "");
        append_mode(&mut tar, "tmp/x", 3, 0o644, &b"abc"[..]).expect("appended");
        append_mode(&mut tar, "app/a.pyc", 3, 0o644, &b"abc"[..]).expect("appended");
        append_mode(&mut tar, "var/lib/dpkg/status", 21, 0o644, &b"Package: a\nVersion: 1"[..]).expect("appended");
        let found = read(tar.into_inner().expect("whole").as_slice()).expect("read");
        let abc = Content::File { size: 3, digest: Sha256::digest(b"abc").into() };
        let file = |content, mode, owner| FileFacts { content, mode, owner };
        let link = |target: &str| file(Content::Link(target.to_owned()), 0o755, (1000, 50));
        let expected = BTreeMap::from(
            [
                ("/app", file(Content::Folder, 0o755, (1000, 50))),
                ("/app/a", file(abc.clone(), 0o4755, (0, 0))),
                ("/app/b", file(abc, 0o4755, (0, 0))),
                ("/app/c", link("a")),
                ("/app/d", link("/tmp/x")),
                ("/app/p", file(Content::Other, 0o755, (1000, 50))),
            ]
            .map(|(path, facts)| (path.to_owned(), facts)),
        );
        assert_eq!(found.files, expected);
        assert_eq!((found.packages.iter().count(), found.incomplete), (1, false));
    }

    #[test]
    fn package_list_that_is_too_large_is_skipped() {
        let size = usize::try_from(LARGEST_SOURCE).expect("fits") + 1;
        let tree = Tree::default().file("/s/a-1.dist-info/METADATA", 0o644, vec![b'x'; size]);
        let found = read(tree.archive().expect("packed").as_slice()).expect("read");
        assert!(found.incomplete && found.files.len() == 1 && found.packages.iter().next().is_none());
    }

    #[test]
    fn truncated_archive_is_an_error() {
        let archive = Tree::default().file("/a", 0o644, vec![1; 9000]).archive().expect("packed");
        assert!(read(&archive[..5000]).is_err());
        assert!(read(&archive[..300]).is_err());
    }
}
