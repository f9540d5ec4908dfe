//! What is kept of a log: its beginning, its end, and the platform's own lines.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use super::PlatformLine;

/// A longer line is cut, in bytes.
const LONGEST: usize = 64 << 10;
/// What is kept of the beginning, in lines and bytes.
const HEAD: (usize, usize) = (5_000, 4 << 20);
/// What is kept of the end, in lines and bytes.
const TAIL: (usize, usize) = (20_000, 16 << 20);
/// Maximum number of the platform's lines between them.
const MOST_OF_PLATFORM: usize = 10_000;

/// A line as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    /// Its position in the file, from 1; for a document, its event's.
    pub(super) number: usize,
    /// Its time as written.
    pub(super) time: Option<String>,
    /// Its time in milliseconds since 1970.
    pub(super) ms: Option<i64>,
    pub(super) text: String,
    /// What the platform says with it.
    pub(super) meaning: Option<PlatformLine>,
}

impl Raw {
    /// A line of a text.
    pub(super) fn of_text(number: usize, bytes: &[u8]) -> Self {
        Self { number, text: String::from_utf8_lossy(bytes).into_owned(), ..Self::default() }
    }

    fn is_platforms(&self) -> bool {
        self.meaning.is_some() || self.text.contains("[AppRunner]")
    }
}

/// The lines that are kept.
#[derive(Default)]
pub(super) struct Kept {
    head: Vec<Raw>,
    head_bytes: usize,
    /// The platform's lines between the beginning and the end.
    between: Vec<Raw>,
    tail: VecDeque<Raw>,
    tail_bytes: usize,
}

impl Kept {
    pub(super) fn push(&mut self, mut line: Raw) {
        if line.text.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|at| line.text.is_char_boundary(*at)).unwrap_or_default();
            line.text.truncate(end);
        }
        if self.tail.is_empty() && self.head.len() < HEAD.0 && self.head_bytes + line.text.len() <= HEAD.1 {
            self.head_bytes += line.text.len();
            self.head.push(line);
            return;
        }
        self.tail_bytes += line.text.len();
        self.tail.push_back(line);
        while self.tail.len() > TAIL.0 || self.tail_bytes > TAIL.1 {
            let Some(out) = self.tail.pop_front() else { return };
            self.tail_bytes -= out.text.len();
            if out.is_platforms() && self.between.len() < MOST_OF_PLATFORM {
                self.between.push(out);
            }
        }
    }

    /// The lines in the order of the file.
    pub(super) fn into_lines(self) -> Vec<Raw> {
        self.head.into_iter().chain(self.between).chain(self.tail).collect()
    }
}

/// Reads a line without its end, cut if it is very long. `false` at the end of the log.
pub(super) fn line(source: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.clear();
    let mut some = false;
    loop {
        let part = match source.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            part => part?,
        };
        if part.is_empty() {
            return Ok(some);
        }
        some = true;
        let end = part.iter().position(|byte| *byte == b'\n');
        let text = &part[..end.unwrap_or(part.len())];
        buffer.extend_from_slice(&text[..text.len().min(LONGEST.saturating_sub(buffer.len()))]);
        let used = end.map_or(part.len(), |end| end + 1);
        source.consume(used);
        if end.is_some() {
            if buffer.last() == Some(&b'\r') {
                buffer.pop();
            }
            return Ok(true);
        }
    }
}
