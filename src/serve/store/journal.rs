//! The journal: one change a line, in one file of the state folder. What is described after a restart is what the journal
//! says; its last line may be torn.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::serve::service::{Change, State};

/// The format; a folder of another one is not read.
const VERSION: u32 = 1;
const FILE: &str = "journal.jsonl";
const LOCK: &str = "lock";

/// The first line of the journal.
#[derive(Serialize, Deserialize)]
struct Header {
    /// `exitone serve`, so that no other file is taken for one.
    journal: String,
    /// [`VERSION`].
    version: u32,
}

const KIND: &str = "exitone serve";

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another server has it.
    #[error("{} is in use by another `exitone serve`", .0.display())]
    InUse(PathBuf),
    /// Another version wrote it.
    #[error("{} was written by another version of exitone (format {theirs}, this one reads {VERSION})", folder.display())]
    OtherVersion {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        theirs: u32,
    },
    /// It is something else.
    #[error("{}:{line}: not a journal of `exitone serve`: {problem}", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// It cannot be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

impl StoreError {
    /// What to do.
    #[must_use]
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::InUse(_) => "Stop that server, or pass another folder with --state DIR.",
            Self::OtherVersion { .. } | Self::Foreign { .. } => "Pass another folder with --state DIR.",
            Self::Io { .. } => "Pass a folder that you may write to with --state DIR.",
        }
    }

    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |cause| Self::Io { path: path.to_owned(), cause }
    }
}

/// The journal of a state folder, which no other server has while this lives.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    _lock: File,
}

impl Journal {
    /// Opens the journal of a folder, creating both, and returns what it says. It is written anew, so that it stays short.
    ///
    /// # Errors
    /// Everything in [`StoreError`].
    pub(crate) fn open(folder: &Path) -> Result<(Self, State), StoreError> {
        std::fs::create_dir_all(folder).map_err(StoreError::io(folder))?;
        private(folder)?;
        let lock_path = folder.join(LOCK);
        let lock = File::create(&lock_path).map_err(StoreError::io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.to_owned())),
            Err(std::fs::TryLockError::Error(cause)) => return Err(StoreError::Io { path: lock_path, cause }),
        }
        let path = folder.join(FILE);
        let state = match std::fs::read(&path) {
            Ok(bytes) => read(folder, &path, &bytes)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => State::default(),
            Err(cause) => return Err(StoreError::Io { path, cause }),
        };
        let file = written_anew(&path, &state).map_err(StoreError::io(&path))?;
        Ok((Self { path, file, _lock: lock }, state))
    }

    /// Adds changes. They are on the disk when this returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn add<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) -> Result<(), StoreError> {
        let mut lines = Vec::new();
        for change in changes {
            line(&mut lines, change).map_err(StoreError::io(&self.path))?;
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        written.map_err(StoreError::io(&self.path))
    }
}

/// Lets nobody but the user read a folder: variables of services may be secrets.
fn private(folder: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mine = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder, mine).map_err(StoreError::io(folder))?;
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn line(lines: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, value)?;
    lines.push(b'\n');
    Ok(())
}

fn written_anew(path: &Path, state: &State) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Readable by nobody else.
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    let mut lines = Vec::new();
    line(&mut lines, &Header { journal: KIND.to_owned(), version: VERSION })?;
    for change in state.changes() {
        line(&mut lines, &change)?;
    }
    draft.write_all(&lines)?;
    draft.as_file().sync_all()?;
    draft.persist(path).map_err(|e| e.error)?;
    OpenOptions::new().append(true).open(path)
}

fn read(folder: &Path, file: &Path, bytes: &[u8]) -> Result<State, StoreError> {
    let foreign = |line: usize, problem: &dyn std::fmt::Display| StoreError::Foreign {
        file: file.to_owned(),
        line,
        problem: problem.to_string(),
    };
    let mut state = State::default();
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is_whole = line.ends_with(b"\n");
        if at == 0 {
            let header: Header = serde_json::from_slice(line).map_err(|e| foreign(1, &e))?;
            if header.journal != KIND {
                return Err(foreign(1, &"another kind of journal"));
            }
            if header.version != VERSION {
                return Err(StoreError::OtherVersion { folder: folder.to_owned(), theirs: header.version });
            }
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(change) => state.apply(change),
            // A server that was killed while it wrote: nobody was told of this change.
            Err(_) if !is_whole => {}
            Err(e) => return Err(foreign(at + 1, &e)),
        }
    }
    Ok(state)
}
