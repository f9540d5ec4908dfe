//! Reads the logs that people have, whatever program printed or exported them. Pure: it is handed a reader.
//!
//! A log may be larger than memory: what is kept of it is its beginning, its end, and the platform's own lines.

mod document;
pub(crate) mod json_line;
mod kept;
pub(crate) mod platform;
mod prefix;
pub(crate) mod spelled;

use std::io::{self, BufRead, Cursor, Read};

use encoding_rs_io::DecodeReaderBytesBuilder;

use crate::model::explanation::LogLine;
use crate::model::redact::shown_line;
use kept::{Kept, Raw};
pub(crate) use platform::PlatformLine;

/// Number of bytes read from the beginning to see what kind of log it is.
const SAMPLE: u64 = 64 << 10;

/// A line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Its position in time, from 1.
    pub(crate) at: usize,
    /// Its position in the file, from 1; for JSON, its event's.
    pub(crate) number: usize,
    /// Its time as written.
    pub(crate) time: Option<String>,
    /// Its time in milliseconds since 1970, or that of the line it continues.
    pub(crate) ms: Option<i64>,
    /// Without credentials.
    pub(crate) text: String,
    /// Its meaning; `None` for a line of the application.
    pub(crate) meaning: Option<PlatformLine>,
    /// Whether it is the reason that a platform gives for the end of a container, in its own field.
    pub(crate) is_reason: bool,
}

impl Line {
    pub(crate) fn shown(&self) -> LogLine {
        LogLine { number: self.number, time: self.time.clone(), text: self.text.clone() }
    }
}

/// Why a text cannot be read as a log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotALog {
    /// It is empty.
    #[error("the log is empty")]
    Empty,
    /// It is JSON that ends too early.
    #[error("the log is cut off: its JSON ends early, in line {line}; save it again, whole")]
    CutOff {
        /// The last line.
        line: usize,
    },
    /// It is JSON, but not a log.
    #[error("not a log: {what}; expected the JSON of `aws logs get-log-events`")]
    OtherJson {
        /// What it contains instead.
        what: String,
    },
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads a log from the beginning to the end; its lines in chronological order.
///
/// # Errors
/// It is empty, or another kind of file.
pub(crate) fn read(source: impl Read) -> Result<Vec<Line>, NotALog> {
    // UTF-16 is what PowerShell writes.
    let decoded = DecodeReaderBytesBuilder::new().bom_sniffing(true).build(source);
    let mut rest = io::BufReader::with_capacity(SAMPLE as usize, decoded);
    let mut sample = Vec::new();
    rest.by_ref().take(SAMPLE).read_to_end(&mut sample)?;
    let shape = document::shape(&String::from_utf8_lossy(&sample));
    let mut whole = Cursor::new(sample).chain(rest);
    let mut kept = Kept::default();
    if let Some(shape) = shape {
        document::read(shape, &mut whole, &mut kept)?;
    }
    text(&mut whole, &mut kept)?;
    let lines = prefix::parsed(kept.into_lines());
    let mut lines: Vec<Line> = lines.into_iter().enumerate().map(|(n, raw)| line(n + 1, raw)).collect();
    // A line without a time continues the one above.
    let mut last = None;
    for line in &mut lines {
        last = line.ms.or(last);
        line.ms = last;
    }
    let is_blank = lines.iter().all(|line| line.text.trim().is_empty() && line.meaning.is_none());
    if is_blank { Err(NotALog::Empty) } else { Ok(lines) }
}

/// Reads a text; for tests, and for logs that are in memory.
#[cfg(test)]
pub(crate) fn of_text(text: &str) -> Result<Vec<Line>, NotALog> {
    read(text.as_bytes())
}

/// The lines of several logs in one, by time where every log has times, else one after the other.
pub(crate) fn merged(logs: Vec<Vec<Line>>) -> Vec<Line> {
    let timed = logs.iter().all(|lines| lines.iter().any(|line| line.ms.is_some()));
    let mut all: Vec<Line> = logs.into_iter().flatten().collect();
    if timed {
        // Stable: the lines of one log keep their order.
        all.sort_by_key(|line| line.ms);
    }
    for (n, line) in all.iter_mut().enumerate() {
        line.at = n + 1;
    }
    all
}

/// Keeps the lines of a text.
fn text(source: &mut impl BufRead, kept: &mut Kept) -> Result<(), NotALog> {
    let mut buffer = Vec::new();
    let mut number = 0;
    while kept::line(source, &mut buffer)? {
        number += 1;
        kept.push(Raw::of_text(number, &buffer));
    }
    Ok(())
}

/// The time and the statement of a line of App Runner's whose prefix was left out, as documents quote it.
fn untagged(line: &str) -> Option<(&str, &str)> {
    // `12-01-2025 10:16:27 AM Your application stopped …`
    let end = line.match_indices(' ').nth(2)?.0;
    let (time, statement) = (&line[..end], line[end..].trim());
    (prefix::millis(time).is_some() && PlatformLine::of(statement) != PlatformLine::Other).then_some((time, statement))
}

fn line(at: usize, raw: Raw) -> Line {
    let Raw { number, time, ms, text, meaning } = raw;
    let is_reason = meaning.is_some();
    // Escape sequences for a terminal are removed.
    let plain: String = anstream::adapter::strip_str(&text).to_string();
    // A carriage return inside of quotes is a part of a name, of a script with Windows line endings.
    let plain = if plain.contains('\r') { plain.replace("\r'", "\\r'").replace("\r’", "\\r’") } else { plain };
    let plain: String = plain.chars().filter(|c| !c.is_control() || *c == '\t').collect();
    let shown = shown_line(plain.trim_end());
    let tagged = shown.split_once(platform::PREFIX).map(|(before, after)| (before.trim(), after.trim()));
    let of_platform = tagged.or_else(|| untagged(&shown));
    let (meaning, time, text) = match (meaning, of_platform) {
        (Some(meaning), _) => (Some(meaning), time, shown),
        (None, Some((before, statement))) => {
            // It follows a time.
            let before = before.trim_end_matches([':', '-']).trim();
            let time = time.or_else(|| (!before.is_empty()).then(|| before.to_owned()));
            (Some(PlatformLine::of(statement)), time, statement.to_owned())
        }
        (None, None) => (None, time, shown),
    };
    let ms = ms.or_else(|| prefix::millis(time.as_deref()?));
    Line { at, number, time, ms, text, meaning, is_reason }
}

#[cfg(test)]
mod tests;
