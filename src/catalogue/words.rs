//! The words that a pattern is found by. `build.rs` reads this file as well.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Minimum length of a word that a pattern is found by, in bytes.
const LEAST: usize = 2;
/// Maximum number of alternative words of a pattern.
const MOST_WORDS: usize = 24;

/// Why a text is not a usable pattern.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAPattern {
    /// The syntax is wrong.
    #[error("invalid pattern: {0}")]
    Invalid(String),
    /// It matches an empty line.
    #[error("the pattern matches the empty line")]
    Empty,
    /// It has no fixed text.
    #[error("the pattern needs at least {LEAST} characters of fixed text in a row, such as a word of the message")]
    NoWord,
}

/// Words of which every match contains one, in lower case.
///
/// # Errors
/// The pattern is invalid, matches the empty line, or has no such words.
pub(crate) fn words_of(pattern: &str) -> Result<Vec<String>, NotAPattern> {
    // Read as bytes first: the tables of Unicode's classes have no words, and take most of the time.
    let hir = match ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern) {
        Ok(hir) => hir,
        Err(_) => regex_syntax::parse(pattern).map_err(|e| NotAPattern::Invalid(short(&e)))?,
    };
    if hir.properties().minimum_len().is_none_or(|least| least == 0) {
        return Err(NotAPattern::Empty);
    }
    required(&hir).filter(|words| words.iter().all(|word| word.len() >= LEAST)).ok_or(NotAPattern::NoWord)
}

/// The kind of a syntax error, without the excerpt.
fn short(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(e) => e.kind().to_string(),
        regex_syntax::Error::Translate(e) => e.kind().to_string(),
        _ => error.to_string(),
    }
}

/// The best set of words of an expression: every match contains one of them.
fn required(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(required(branch)?);
            }
            (all.len() <= MOST_WORDS).then_some(all)
        }
        HirKind::Concat(parts) => {
            let mut best: Option<Vec<String>> = None;
            let mut run = String::new();
            let better = |new: Vec<String>, best: &mut Option<Vec<String>>| {
                let shortest = |words: &[String]| words.iter().map(String::len).min().unwrap_or_default();
                if best.as_ref().is_none_or(|best| shortest(&new) > shortest(best)) {
                    *best = Some(new);
                }
            };
            for part in parts {
                match fixed(part) {
                    Some(text) => run.push_str(&text),
                    None => {
                        better(vec![std::mem::take(&mut run)], &mut best);
                        if let Some(words) = required(part) {
                            better(words, &mut best);
                        }
                    }
                }
            }
            better(vec![run], &mut best);
            best.filter(|words| words.iter().all(|word| !word.is_empty()))
        }
        _ => fixed(hir).filter(|text| !text.is_empty()).map(|text| vec![text]),
    }
}

/// The text of an expression that matches nothing else, in lower case; upper and lower case are the same.
fn fixed(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(String::new()),
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok().map(|text| text.to_ascii_lowercase()),
        HirKind::Class(class) => {
            let ranges: Vec<(u32, u32)> = match class {
                Class::Unicode(class) => class.iter().map(|range| (range.start().into(), range.end().into())).collect(),
                Class::Bytes(class) => class.iter().map(|range| (range.start().into(), range.end().into())).collect(),
            };
            let few = ranges.iter().map(|(start, end)| end - start + 1).sum::<u32>() <= 3;
            let all = few.then(|| ranges.into_iter().flat_map(|(start, end)| start..=end))?;
            let mut ascii = all.filter_map(char::from_u32).filter(char::is_ascii).map(|c| c.to_ascii_lowercase());
            let first = ascii.next()?;
            ascii.all(|c| c == first).then(|| first.to_string())
        }
        HirKind::Capture(capture) => fixed(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(fixed).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_words_that_every_match_contains() {
        for (pattern, words) in [
            (r"(?i)exec format error", vec!["exec format error"]),
            (r"(?P<program>\S+): (?:command )?not found", vec!["not found"]),
            (r"EROFS|read-only file system", vec!["erofs", "read-only file system"]),
            (r"\bP1001\b.*server", vec!["server"]),
            (r"no (?:space|room) left", vec![" left"]),
            (r"(?i)s?mask", vec!["mask"]),
            (r"(?i)straße \p{L}+ gone", vec![" gone"]),
            (r"[Kk]now", vec!["know"]),
        ] {
            assert_eq!(words_of(pattern).expect(pattern), words, "{pattern}");
        }
    }

    #[test]
    fn rejects_what_matches_nothing_or_anything() {
        assert!(matches!(words_of("a("), Err(NotAPattern::Invalid(_))));
        assert_eq!(words_of("(?:error)?"), Err(NotAPattern::Empty));
        assert_eq!(words_of(r"\d+ \w+"), Err(NotAPattern::NoWord));
        assert_eq!(words_of("a"), Err(NotAPattern::NoWord));
    }
}
