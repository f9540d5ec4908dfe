//! Patterns over the lines of a log, all of them in one pass.
//!
//! Each pattern has words that every match contains. One search for all words finds the few patterns that can match at
//! all; only those are compiled, and only tried on their lines. A log of ten thousand lines costs one pass,
//! however many patterns there are.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use aho_corasick::AhoCorasick;
use regex::Regex;

pub use super::words::NotAPattern;
use super::words::words_of;

/// A pattern over a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    text: Arc<str>,
    /// Every match contains one of these, in lower case.
    words: Vec<String>,
}

impl Pattern {
    /// The expression, as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A pattern with its words.
    pub(super) fn with_words(text: &str, words: &[String]) -> Self {
        Self { text: text.into(), words: words.to_vec() }
    }
}

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        Ok(Self { text: text.into(), words: words_of(text)? })
    }
}

/// An expression, compiled when a line may match it; `None` if it is too large.
#[derive(Debug)]
struct Expression {
    text: Arc<str>,
    regex: OnceLock<Option<Regex>>,
}

/// Patterns, found by their words.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    all: Vec<Expression>,
    by_text: BTreeMap<Arc<str>, usize>,
    /// Finds words; `None` if there are no patterns.
    words: Option<AhoCorasick>,
    /// The patterns of each word.
    of_word: Vec<Vec<usize>>,
}

/// The lines of a log that may match each pattern, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Candidates(BTreeMap<usize, Vec<usize>>);

impl Candidates {
    /// The positions of the patterns that may match a line.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = usize> {
        self.0.keys().copied()
    }
}

impl Patterns {
    /// Indexes patterns.
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Self {
        let (mut all, mut by_text) = (Vec::new(), BTreeMap::new());
        let mut of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for Pattern { text, words } in patterns {
            if by_text.contains_key(text) {
                continue;
            }
            for word in words {
                of.entry(word).or_default().push(all.len());
            }
            by_text.insert(text.clone(), all.len());
            all.push(Expression { text: text.clone(), regex: OnceLock::new() });
        }
        let words = AhoCorasick::builder().ascii_case_insensitive(true).build(of.keys()).ok();
        Self { all, by_text, words, of_word: of.into_values().collect() }
    }

    /// The lines that may match each pattern.
    pub(crate) fn candidates<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Candidates {
        let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let Some(words) = &self.words else { return Candidates::default() };
        for (n, line) in lines.enumerate() {
            let mut of_line = BTreeSet::new();
            for hit in words.find_overlapping_iter(line) {
                of_line.extend(self.of_word[hit.pattern().as_usize()].iter().copied());
            }
            for pattern in of_line {
                found.entry(pattern).or_default().push(n);
            }
        }
        Candidates(found)
    }

    /// The position of a pattern.
    pub(crate) fn position(&self, pattern: &Pattern) -> Option<usize> {
        self.by_text.get(&pattern.text).copied()
    }

    /// A pattern's expression, and the lines that may match it.
    pub(crate) fn look<'a>(&self, pattern: &Pattern, among: &'a Candidates) -> Option<(&Regex, &'a [usize])> {
        let at = self.position(pattern)?;
        let lines = among.0.get(&at)?;
        let known = &self.all[at];
        let regex = known.regex.get_or_init(|| Regex::new(&known.text).ok()).as_ref()?;
        Some((regex, lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_a_word_are_candidates() {
        let pattern = |text: &str| text.parse::<Pattern>().expect("a pattern");
        let known = [pattern(r"bind\(\) to (?P<a>\S+) failed"), pattern("out of memory")];
        let patterns = Patterns::new(known.iter());
        let log = ["start", "bind() to :80 FAILED", "Out of Memory"];
        let found = patterns.candidates(log.into_iter());
        assert_eq!(patterns.look(&known[0], &found).map(|(_, lines)| lines), Some(&[1][..]));
        assert_eq!(patterns.look(&known[1], &found).map(|(_, lines)| lines), Some(&[2][..]));
        assert!(patterns.look(&pattern("unknown"), &found).is_none());
    }
}
