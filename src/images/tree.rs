//! Packs directories as layers: the same files always give the same bytes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use include_dir::Dir;

use crate::engine::archive::append_mode;

/// Packs a directory under a prefix into a tar file.
///
/// # Errors
/// When a file cannot be read, or the archive cannot be written.
pub fn pack_folder(folder: &Path, prefix: &str, to: &Path) -> io::Result<()> {
    let mut tar = tar::Builder::new(BufWriter::new(File::create(to)?));
    let mut paths = Vec::new();
    walk(folder, &mut paths)?;
    paths.sort();
    for path in paths {
        let relative = path.strip_prefix(folder).map_err(io::Error::other)?;
        let name = format!("{prefix}/{}", relative.display());
        let file = File::open(&path)?;
        append_mode(&mut tar, &name, file.metadata()?.len(), mode(&path)?, file)?;
    }
    tar.into_inner()?.flush()
}

/// Keeps the executable bit; nothing else of the mode matters.
fn mode(path: &Path) -> io::Result<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let executable = std::fs::metadata(path)?.permissions().mode() & 0o100 != 0;
        Ok(if executable { 0o755 } else { 0o644 })
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(0o644)
    }
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

/// The files of an embedded directory in order, with relative paths.
pub(crate) fn embedded<'a>(dir: &'a Dir<'a>) -> Vec<(String, &'a [u8])> {
    let mut files: Vec<(String, &[u8])> = Vec::new();
    collect(dir, dir.path(), &mut files);
    files.sort();
    files
}

fn collect<'a>(dir: &'a Dir<'a>, root: &Path, files: &mut Vec<(String, &'a [u8])>) {
    for file in dir.files() {
        let relative = file.path().strip_prefix(root).unwrap_or(file.path());
        if file.path().components().any(|c| c.as_os_str() == "__pycache__") {
            continue;
        }
        files.push((relative.display().to_string(), file.contents()));
    }
    for sub in dir.dirs() {
        collect(sub, root, files);
    }
}
