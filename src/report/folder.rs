//! A run's folder: its events, one per line, and the log of every case. It stays readable if the run is killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event::log::{self, LogError};
use crate::event::run::Run;
use crate::event::{Event, Stamped};
use crate::model::CaseId;

/// The events of a run.
const EVENTS: &str = "events.jsonl";
/// The events of a resumed run, until they include everything from the earlier run.
const NEXT: &str = "events.jsonl.next";
/// The folder of the cases' logs.
const LOGS: &str = "logs";
/// Maximum size (bytes) of a file of events to read. 10,000 cases take about 100 MB.
const LARGEST: u64 = 1 << 30;

/// A folder that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It contains no run.
    #[error("{0}: no run in this folder ({EVENTS} is missing)")]
    NoRun(PathBuf),
    /// Its events cannot be read.
    #[error("{0}: {1}")]
    Log(PathBuf, LogError),
    /// A file cannot be read.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

/// Writes a run to its folder.
pub struct Folder {
    path: PathBuf,
    events: File,
    /// Number of events left to repeat before this run replaces the earlier one.
    again: usize,
    /// The events of the run that is resumed, locked while this run is written.
    before: Option<File>,
}

impl Folder {
    /// Creates the folder of a new run.
    ///
    /// # Errors
    /// When it is not writable or already contains a run; [`io::ErrorKind::WouldBlock`] when another process writes it.
    pub fn create(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path.join(LOGS))?;
        let events = locked(OpenOptions::new().write(true).create_new(true).open(path.join(EVENTS))?)?;
        Ok(Self { path: path.to_owned(), events, again: 0, before: None })
    }

    /// Opens the folder of a run that is resumed, which first repeats `done` events.
    ///
    /// # Errors
    /// When it is not writable; [`io::ErrorKind::WouldBlock`] when another process writes it.
    pub fn resume(path: &Path, done: usize) -> io::Result<Self> {
        std::fs::create_dir_all(path.join(LOGS))?;
        let before = locked(File::open(path.join(EVENTS))?)?;
        let events = locked(File::create(path.join(NEXT))?)?;
        // `run_started`, and the repeated events.
        Ok(Self { path: path.to_owned(), events, again: 1 + done, before: Some(before) })
    }

    /// The folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes an event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn on(&mut self, stamped: &Stamped) -> io::Result<()> {
        if let Event::CaseFinished { result, .. } = &stamped.event {
            std::fs::write(log_file(&self.path, &result.id), &result.log)?;
        }
        self.events.write_all(log::line(stamped).map_err(io::Error::other)?.as_bytes())?;
        if self.again > 0 {
            self.again -= 1;
            if self.again == 0 {
                std::fs::rename(self.path.join(NEXT), self.path.join(EVENTS))?;
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    /// A child that is being started has inherited the files until it becomes its program: closing them is not enough.
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked when the last of these is closed.
        for file in [Some(&self.events), self.before.as_ref()].into_iter().flatten() {
            let _ = file.unlock();
        }
    }
}

/// Locks a file until it is closed or the process ends.
fn locked(file: File) -> io::Result<File> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

fn log_file(folder: &Path, id: &CaseId) -> PathBuf {
    folder.join(LOGS).join(format!("{id}.log"))
}

/// Reads a run's folder, including logs. Returns whether the last line of its events was cut.
///
/// # Errors
/// When the folder contains no run, or a run that is corrupt or of a newer version of exitone.
pub fn read(path: &Path) -> Result<(Run, bool), FolderError> {
    let file = path.join(EVENTS);
    let mut text = String::new();
    match File::open(&file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(FolderError::NoRun(path.to_owned())),
        Err(e) => return Err(FolderError::Io(file, e)),
        Ok(events) => {
            let mut bytes = Vec::new();
            let io = |e| FolderError::Io(file.clone(), e);
            events.take(LARGEST).read_to_end(&mut bytes).map_err(io)?;
            // A line may be cut in the middle of a character.
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    let read = log::read(&text).map_err(|e| FolderError::Log(file, e))?;
    drop(text);
    let (mut run, cut) = (Run::of(&read.events), read.cut);
    // Now the results are not shared, and `make_mut` does not copy.
    drop(read);
    for (id, result) in &mut run.results {
        // Ids come from a file: never follow one out of the folder.
        let plain = id.0.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        if plain && let Ok(log) = std::fs::read(log_file(path, id)) {
            Arc::make_mut(result).log = String::from_utf8_lossy(&log).into_owned();
        }
    }
    Ok((run, cut))
}

/// The run folders at a path: itself, or those in it.
///
/// # Errors
/// When there is none.
pub fn below(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if path.join(EVENTS).is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let found = runs_in(path).map_err(|e| FolderError::Io(path.to_owned(), e))?;
    if found.is_empty() { Err(FolderError::NoRun(path.to_owned())) } else { Ok(found) }
}

/// Removes the oldest runs in a folder until `most` are left. A run that is being written stays.
///
/// # Errors
/// When the folder cannot be read.
pub fn keep(runs: &Path, most: usize) -> io::Result<()> {
    // Their names begin with the time, so the oldest come first.
    let all = runs_in(runs)?;
    let old = all.len().saturating_sub(most);
    for run in &all[..old] {
        match File::open(run.join(EVENTS)).and_then(locked) {
            Ok(_) => std::fs::remove_dir_all(run)?,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The run folders in a folder, sorted by name.
fn runs_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path)?.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.join(EVENTS).is_file()).collect();
    found.sort();
    Ok(found)
}
