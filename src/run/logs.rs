//! What a candidate writes, in full up to a bound: the beginning and the end are kept.

use std::collections::VecDeque;

use crate::model::Redactor;

/// So many bytes of the beginning are kept.
const HEAD: usize = 256 << 10;
/// So many bytes of the end.
const TAIL: usize = 768 << 10;
/// Lines of evidence.
const EVIDENCE_LINES: usize = 20;
/// A line of evidence is cut here (characters).
const EVIDENCE_WIDTH: usize = 400;

/// A log with a bound.
#[derive(Default, Debug)]
pub(crate) struct Log {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
    /// When the last lines that are not empty ended, the newest last.
    times: VecDeque<f64>,
    /// True when the last line is not ended and has something in it.
    open: bool,
    /// When the newest piece came.
    last_ms: f64,
}

impl Log {
    /// Takes what was written, and when: milliseconds since the start.
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

    /// The text, secrets taken out.
    #[must_use]
    pub(crate) fn text(&self, redactor: &Redactor) -> String {
        let mut bytes = self.head.clone();
        if self.dropped > 0 {
            bytes.extend(format!("\n… {} bytes left out …\n", self.dropped).bytes());
        }
        bytes.extend(&self.tail);
        redactor.clean(&String::from_utf8_lossy(&bytes))
    }
}

impl Log {
    /// The last lines of the text as evidence, and when each came: `lag` milliseconds are added.
    #[must_use]
    pub(crate) fn last_lines(&self, text: &str, lag: f64) -> (Vec<String>, Vec<f64>) {
        let lines = last_lines(text);
        let mut times: Vec<f64> = self.times.iter().copied().collect();
        if self.open {
            times.push(self.last_ms);
        }
        // A line of control characters only is none of evidence, a line of the bound's own has no time.
        let missing = lines.len().saturating_sub(times.len());
        let first = times.first().copied().unwrap_or(self.last_ms);
        let known = times.len().saturating_sub(lines.len());
        let all = std::iter::repeat_n(first, missing).chain(times.into_iter().skip(known));
        (lines, all.map(|at| ((at + lag) * 10.0).round() / 10.0).collect())
    }
}

/// The last lines of a log, as evidence: no control characters, none too long.
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
    fn the_beginning_and_the_end_are_kept() {
        let mut log = Log::default();
        log.push(b"first line\n", 1.0);
        for _ in 0..30 {
            log.push(&[b'x'; 64 << 10], 2.0);
        }
        log.push(b"\nlast line\n", 3.0);
        let text = log.text(&Redactor::default());
        assert!(text.starts_with("first line\n") && text.ends_with("last line\n"));
        assert!(text.contains("bytes left out"), "{}", text.len());
        assert!(text.len() < HEAD + TAIL + 100);
    }

    #[test]
    fn every_line_has_its_time() {
        let mut log = Log::default();
        log.push(b"a\n\nb", 1.0);
        log.push(b"b\nc", 2.0);
        let text = log.text(&Redactor::default());
        let expected = (["a", "bb", "c"].map(ToOwned::to_owned).to_vec(), vec![1.5, 2.5, 2.5]);
        assert_eq!(log.last_lines(&text, 0.5), expected);
    }

    #[test]
    fn evidence_is_plain() {
        let lines = last_lines("a\n\n\u{1b}[31mred\u{1b}[0m\u{7}\n");
        assert_eq!(lines, vec!["a".to_owned(), "red".to_owned()]);
    }
}
