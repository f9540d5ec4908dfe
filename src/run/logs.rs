//! A candidate's log, bounded in size: its beginning and its end are kept.

use std::collections::VecDeque;

use crate::model::Redactor;

/// Bytes kept of the beginning.
const HEAD: usize = 256 << 10;
/// Bytes kept of the end.
const TAIL: usize = 768 << 10;
/// Number of lines kept as evidence.
const EVIDENCE_LINES: usize = 20;
/// Maximum length (characters) of a line of evidence.
const EVIDENCE_WIDTH: usize = 400;

/// A log of bounded size.
#[derive(Default, Debug)]
pub(crate) struct Log {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
    /// When the last non-blank lines ended (ms), the newest last.
    times: VecDeque<f64>,
    /// Whether the last line is non-blank and has no line break yet.
    open: bool,
    /// When the newest piece arrived (ms).
    last_ms: f64,
}

impl Log {
    /// Appends output that arrived at `at_ms`, in milliseconds since the start.
    pub(crate) fn push(&mut self, bytes: &[u8], at_ms: f64) {
        self.last_ms = at_ms;
        for byte in bytes {
            if *byte != b'\n' {
                self.open |= !byte.is_ascii_whitespace();
            } else if std::mem::take(&mut self.open) {
                self.times.push_back(at_ms);
            }
        }
        let over = self.times.len().saturating_sub(EVIDENCE_LINES);
        self.times.drain(..over);
        let room = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend(&bytes[room..]);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.dropped += over as u64;
    }

    /// Number of bytes written so far.
    #[must_use]
    pub(crate) fn written(&self) -> u64 {
        (self.head.len() + self.tail.len()) as u64 + self.dropped
    }

    /// The text, with secrets redacted.
    #[must_use]
    pub(crate) fn text(&self, redactor: &Redactor) -> String {
        let mut bytes = self.head.clone();
        if self.dropped > 0 {
            bytes.extend(format!("\n… {} bytes omitted …\n", self.dropped).bytes());
        }
        bytes.extend(&self.tail);
        redactor.clean(&String::from_utf8_lossy(&bytes))
    }
}

impl Log {
    /// The last lines of the text as evidence, and when each arrived (ms, plus `lag`).
    #[must_use]
    pub(crate) fn last_lines(&self, text: &str, lag: f64) -> (Vec<String>, Vec<f64>) {
        let lines = last_lines(text);
        let mut times: Vec<f64> = self.times.iter().copied().collect();
        if self.open {
            times.push(self.last_ms);
        }
        // Lines of control characters only have a time but are no evidence; the line about omitted bytes has no time.
        let missing = lines.len().saturating_sub(times.len());
        let first = times.first().copied().unwrap_or(self.last_ms);
        let known = times.len().saturating_sub(lines.len());
        let all = std::iter::repeat_n(first, missing).chain(times.into_iter().skip(known));
        (lines, all.map(|at| ((at + lag) * 10.0).round() / 10.0).collect())
    }
}

/// The last lines of a log as evidence, without control characters and cut to a maximum length.
fn last_lines(text: &str) -> Vec<String> {
    let plain = |line: &str| -> String {
        let escaped = anstream::adapter::strip_str(line).to_string();
        escaped.chars().filter(|c| !c.is_control() || *c == '\t').take(EVIDENCE_WIDTH).collect()
    };
    let lines: Vec<String> = text.lines().map(plain).filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(EVIDENCE_LINES)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_are_kept() {
        let mut log = Log::default();
        log.push(b"first line\n", 1.0);
        for _ in 0..30 {
            log.push(&[b'x'; 64 << 10], 2.0);
        }
        log.push(b"\nlast line\n", 3.0);
        let text = log.text(&Redactor::default());
        assert!(text.starts_with("first line\n") && text.ends_with("last line\n"));
        assert!(text.contains("bytes omitted"), "{}", text.len());
        assert!(text.len() < HEAD + TAIL + 100);
    }

    #[test]
    fn every_line_has_a_time() {
        let mut log = Log::default();
        log.push(b"a\n\nb", 1.0);
        log.push(b"b\nc", 2.0);
        let text = log.text(&Redactor::default());
        let expected = (["a", "bb", "c"].map(ToOwned::to_owned).to_vec(), vec![1.5, 2.5, 2.5]);
        assert_eq!(log.last_lines(&text, 0.5), expected);
    }

    #[test]
    fn evidence_has_no_control_characters() {
        let lines = last_lines("a\n\n\u{1b}[31mred\u{1b}[0m\u{7}\n");
        assert_eq!(lines, vec!["a".to_owned(), "red".to_owned()]);
    }
}
