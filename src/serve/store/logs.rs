//! Log groups and their streams, as CloudWatch Logs has them: a folder for each group, a file for each stream, a JSON
//! document for each event. Where an event begins in its file is kept in memory, its text is not.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::journal::StoreError;

const FOLDER: &str = "logs";
const SUFFIX: &str = ".jsonl";
/// What a file name cannot have everywhere.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'/').add(b'\\').add(b':').add(b'%').add(b'.').add(b'*').add(b'?').add(b'"');

/// An event of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogEvent {
    /// When it was written, in milliseconds since 1970.
    #[serde(rename = "t")]
    pub(crate) at_ms: i64,
    /// Its text.
    #[serde(rename = "m")]
    pub(crate) message: String,
}

/// A stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The time of each event, and where it begins.
    index: Vec<(i64, u64)>,
    /// The length of the file.
    end: u64,
    /// When it was created.
    pub(crate) created_ms: i64,
}

impl Stream {
    /// The times of the first and of the last event.
    #[must_use]
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        Some((self.index.first()?.0, self.index.last()?.0))
    }

    /// The time of the event at a position.
    #[must_use]
    pub(crate) fn time(&self, position: usize) -> Option<i64> {
        self.index.get(position).map(|(at, _)| *at)
    }

    /// Positions of the events from `start` until before `end`.
    #[must_use]
    pub(crate) fn between(&self, start: Option<i64>, end: Option<i64>) -> Range<usize> {
        let at = |time: i64| self.index.partition_point(|(at, _)| *at < time);
        let from = start.map_or(0, at);
        from..end.map_or(self.index.len(), at).max(from)
    }
}

/// The log groups of a state folder.
pub(crate) struct Logs {
    folder: PathBuf,
    groups: BTreeMap<String, BTreeMap<String, Stream>>,
    /// The file that was written last.
    open: Option<(PathBuf, File)>,
}

impl Logs {
    /// Opens the logs of a state folder. Torn last lines are dropped.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let folder = folder.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        let logs = Self { groups: groups(&folder)?, folder, open: None };
        for (group, streams) in &logs.groups {
            for (stream, known) in streams {
                // What follows is the torn end of a server that was killed.
                let path = logs.file_of(group, stream);
                let file = OpenOptions::new().write(true).open(&path).map_err(StoreError::io(&path))?;
                file.set_len(known.end).map_err(StoreError::io(&path))?;
            }
        }
        Ok(logs)
    }

    /// Looks at the logs of a state folder, which a server may be writing.
    ///
    /// # Errors
    /// A file that cannot be read; there is no such folder.
    pub(crate) fn look(folder: &Path) -> Result<Self, StoreError> {
        let folder = folder.join(FOLDER);
        Ok(Self { groups: groups(&folder)?, folder, open: None })
    }

    fn folder_of(&self, group: &str) -> PathBuf {
        self.folder.join(utf8_percent_encode(group, UNSAFE).to_string())
    }

    fn file_of(&self, group: &str, stream: &str) -> PathBuf {
        self.folder_of(group).join(format!("{}{SUFFIX}", utf8_percent_encode(stream, UNSAFE)))
    }

    /// Adds events to a stream, which is created if need be. Times never go back within a stream.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn add(
        &mut self,
        group: &str,
        stream: &str,
        at_ms: i64,
        messages: impl IntoIterator<Item = String>,
    ) -> Result<(), StoreError> {
        let path = self.file_of(group, stream);
        let known = self.groups.entry(group.to_owned()).or_default().entry(stream.to_owned());
        let known = known.or_insert_with(|| Stream { created_ms: at_ms, ..Stream::default() });
        let at_ms = known.index.last().map_or(at_ms, |(last, _)| at_ms.max(*last));
        let mut lines = Vec::new();
        let mut begins = Vec::new();
        for message in messages {
            begins.push((at_ms, known.end + lines.len() as u64));
            serde_json::to_writer(&mut lines, &LogEvent { at_ms, message })
                .map_err(|e| StoreError::io(&path)(e.into()))?;
            lines.push(b'\n');
        }
        if self.open.as_ref().is_none_or(|(open, _)| *open != path) {
            let file = appended(&path).map_err(StoreError::io(&path))?;
            self.open = Some((path.clone(), file));
        }
        if let Some((_, file)) = &mut self.open {
            file.write_all(&lines).map_err(StoreError::io(&path))?;
        }
        known.end += lines.len() as u64;
        known.index.extend(begins);
        Ok(())
    }

    /// The groups whose name begins so, with the time of their first stream.
    pub(crate) fn groups(&self, prefix: &str) -> impl Iterator<Item = (&str, i64)> {
        let groups = self.groups.iter().filter(move |(name, _)| name.starts_with(prefix));
        groups.map(|(name, streams)| {
            (name.as_str(), streams.values().map(|stream| stream.created_ms).min().unwrap_or_default())
        })
    }

    /// The streams of a group; `None` if there is no such group.
    #[must_use]
    pub(crate) fn streams(&self, group: &str) -> Option<&BTreeMap<String, Stream>> {
        self.groups.get(group)
    }

    /// The events at these positions of a stream.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(&self, group: &str, stream: &str, at: Range<usize>) -> Result<Vec<LogEvent>, StoreError> {
        let path = self.file_of(group, stream);
        let Some(known) = self.groups.get(group).and_then(|streams| streams.get(stream)) else { return Ok(Vec::new()) };
        let Some((_, begin)) = known.index.get(at.start).filter(|_| !at.is_empty()) else { return Ok(Vec::new()) };
        let end = known.index.get(at.end).map_or(known.end, |(_, begin)| *begin);
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(*begin))?;
            let mut bytes = Vec::new();
            file.take(end - begin).read_to_end(&mut bytes)?;
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| serde_json::from_slice(line).map_err(io::Error::from)).collect::<io::Result<Vec<_>>>()
        };
        read().map_err(StoreError::io(&path))
    }

    /// All events of a stream; none if there is no such stream.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read_all(&self, group: &str, stream: &str) -> Result<Vec<LogEvent>, StoreError> {
        let known = self.groups.get(group).and_then(|streams| streams.get(stream));
        self.read(group, stream, known.map_or(0..0, |known| known.between(None, None)))
    }

    /// Deletes a group; whether there was one.
    ///
    /// # Errors
    /// Its folder cannot be removed.
    pub(crate) fn delete(&mut self, group: &str) -> Result<bool, StoreError> {
        if self.groups.remove(group).is_none() {
            return Ok(false);
        }
        self.open = None;
        let path = self.folder_of(group);
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io(&path)(e)),
            _ => Ok(true),
        }
    }
}

fn groups(folder: &Path) -> Result<BTreeMap<String, BTreeMap<String, Stream>>, StoreError> {
    let mut groups: BTreeMap<String, BTreeMap<String, Stream>> = BTreeMap::new();
    for (group, path) in names(folder)? {
        let streams = groups.entry(group).or_default();
        for (stream, path) in names(&path)? {
            streams.insert(stream, indexed(&path).map_err(StoreError::io(&path))?);
        }
    }
    Ok(groups)
}

fn appended(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}

/// What lies in a folder: names as they were given, and paths.
fn names(folder: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let entries = std::fs::read_dir(folder).map_err(StoreError::io(folder))?;
    let mut all = Vec::new();
    for entry in entries {
        let path = entry.map_err(StoreError::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.strip_suffix(SUFFIX).unwrap_or(&name);
        all.push((percent_decode_str(name).decode_utf8_lossy().into_owned(), path));
    }
    Ok(all)
}

/// Only the time of an event.
#[derive(Deserialize)]
struct Time {
    #[serde(rename = "t")]
    at_ms: i64,
}

fn indexed(path: &Path) -> io::Result<Stream> {
    let mut stream = Stream::default();
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)? as u64;
        match serde_json::from_slice::<Time>(&line) {
            Ok(event) if line.ends_with(b"\n") => stream.index.push((event.at_ms, stream.end)),
            _ => break,
        }
        stream.end += length;
    }
    stream.created_ms = stream.index.first().map_or(0, |(at, _)| *at);
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "/aws/apprunner/app/0123/service";

    fn texts(logs: &Logs, at: Range<usize>) -> Vec<String> {
        let events = logs.read(GROUP, "deployment/ab", at).expect("read");
        events.into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn events_survive_a_restart_and_a_torn_line_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut logs = Logs::open(folder.path()).expect("opened");
        logs.add(GROUP, "deployment/ab", 10, ["one".to_owned(), "two\n\"lines\"".to_owned()]).expect("written");
        logs.add(GROUP, "events", 15, ["status".to_owned()]).expect("written");
        logs.add(GROUP, "deployment/ab", 20, ["three".to_owned()]).expect("written");
        // The clock went back.
        logs.add(GROUP, "deployment/ab", 5, ["four".to_owned()]).expect("written");
        let path = logs.file_of(GROUP, "deployment/ab");
        drop(logs);
        appended(&path).and_then(|mut file| file.write_all(b"{\"t\":30,\"m\":\"fi")).expect("torn");
        let mut logs = Logs::open(folder.path()).expect("opened");
        let stream = &logs.streams(GROUP).expect("a group")["deployment/ab"];
        assert_eq!((stream.span(), stream.between(Some(11), None)), (Some((10, 20)), 2..4));
        assert_eq!(stream.between(Some(10), Some(20)), 0..2);
        assert_eq!(stream.between(Some(50), Some(1)), 4..4);
        assert_eq!(texts(&logs, 0..2), ["one", "two\n\"lines\""]);
        logs.add(GROUP, "deployment/ab", 40, ["six".to_owned()]).expect("written");
        assert_eq!(texts(&logs, 2..5), ["three", "four", "six"]);
        assert_eq!(logs.groups("/aws/").collect::<Vec<_>>(), [(GROUP, 10)]);
        assert!(logs.delete(GROUP).expect("deleted"));
        assert!(!logs.delete(GROUP).expect("nothing left"));
        assert!(Logs::open(folder.path()).expect("opened").streams(GROUP).is_none());
    }
}
