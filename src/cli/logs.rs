//! Reads the logs that the command line names.

use std::fs::File;
use std::path::Path;

use super::failure::Failure;
use crate::diagnose::log::{self, Line, NotALog};

/// A log and its name.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) name: String,
    /// Its lines, or why it is not a log.
    pub(crate) lines: Result<Vec<Line>, NotALog>,
}

impl Log {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self { name: "standard input".to_owned(), lines: log::read(std::io::stdin().lock()) });
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| Failure::file(format!("{name}: {e}")))?;
        Ok(Self { lines: log::read(file), name })
    }

    /// A log that was fetched.
    pub(crate) fn of_text(name: String, text: &str) -> Self {
        Self { name, lines: log::read(text.as_bytes()) }
    }

    /// Its lines; none if it is empty.
    ///
    /// # Errors
    /// Why it is not a log.
    pub(crate) fn lines(&self) -> Result<Vec<Line>, String> {
        match &self.lines {
            Ok(lines) => Ok(lines.clone()),
            Err(NotALog::Empty) => Ok(Vec::new()),
            Err(e) => Err(format!("{}: {e}", self.name)),
        }
    }
}
