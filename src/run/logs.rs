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
pub struct Log {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl Log {
    /// Takes what was written.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend(&bytes[room..]);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.dropped += over as u64;
    }

    /// The text, secrets taken out.
    #[must_use]
    pub fn text(&self, redactor: &Redactor) -> String {
        let mut bytes = self.head.clone();
        if self.dropped > 0 {
            bytes.extend(format!("\n… {} bytes left out …\n", self.dropped).bytes());
        }
        bytes.extend(&self.tail);
        redactor.clean(&String::from_utf8_lossy(&bytes))
    }
}

/// The last lines of a log, as evidence: no control characters, none too long.
#[must_use]
pub fn last_lines(text: &str) -> Vec<String> {
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
        log.push(b"first line\n");
        for _ in 0..30 {
            log.push(&[b'x'; 64 << 10]);
        }
        log.push(b"\nlast line\n");
        let text = log.text(&Redactor::default());
        assert!(text.starts_with("first line\n") && text.ends_with("last line\n"));
        assert!(text.contains("bytes left out"), "{}", text.len());
        assert!(text.len() < HEAD + TAIL + 100);
    }

    #[test]
    fn evidence_is_plain() {
        let lines = last_lines("a\n\n\u{1b}[31mred\u{1b}[0m\u{7}\n");
        assert_eq!(lines, vec!["a".to_owned(), "red".to_owned()]);
    }
}
