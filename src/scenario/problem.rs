//! Errors in a file, each with file, line, column, and an excerpt with a caret.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::model::redact::line_is_private;

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The line, from 1; 0 for no particular line.
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; `None` if it is about the whole file.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Problem {
    /// An error at a line and column.
    pub(crate) fn at(line: usize, column: usize, message: impl Into<String>) -> Self {
        Self { line: (line > 0).then_some(line), column: column.max(1), message: message.into() }
    }

    /// An error at a place.
    pub(crate) fn of(place: Place, message: impl Into<String>) -> Self {
        Self::at(place.line, place.column, message)
    }

    /// An error about the whole file.
    pub(crate) fn of_file(message: impl Into<String>) -> Self {
        Self { line: None, column: 1, message: message.into() }
    }
}

/// A rejected file with all its errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file's name.
    pub file: String,
    source: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl std::error::Error for Refused {}

impl Refused {
    /// Rejects a file. For a file with secrets, `source` is empty, so that no excerpt shows one.
    #[must_use]
    pub(crate) fn new(file: &str, source: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        Self { file: file.to_owned(), source: source.to_owned(), problems }
    }

    /// The byte range of the word at a place; `None` if its line may contain a credential.
    fn span(&self, problem: &Problem) -> Option<std::ops::Range<usize>> {
        let line = problem.line?;
        let start: usize = self.source.split_inclusive('\n').take(line - 1).map(str::len).sum();
        // A line that may not be shown is empty.
        let text = self.source.get(start..)?.lines().next().filter(|text| !text.trim().is_empty())?;
        let listed = || secret_names(&self.source).into_iter().any(|name| text.contains(name));
        if line_is_private(text) || text.contains("env.set") || (!text.trim_start().starts_with("secrets:") && listed())
        {
            return None;
        }
        let from = text.char_indices().nth(problem.column - 1).map_or(text.len(), |(at, _)| at);
        let word = text[from..].find([' ', ',', '#', ']', '}']).unwrap_or(text.len() - from).max(1);
        Some(start + from..(start + from + word).min(self.source.len().max(start + from)))
    }
}

/// The names under `secrets:`, even in a file that is not YAML.
fn secret_names(source: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        let line = line.split(" #").next().unwrap_or(line).trim();
        let rest = match line.find("secrets:") {
            Some(at) => &line[at + "secrets:".len()..],
            None if inside && !line.contains(':') => line,
            None => {
                inside = false;
                continue;
            }
        };
        inside = true;
        // In a mapping on one line, what follows the list does not belong to it.
        let rest = rest.split(']').next().unwrap_or(rest);
        let words = rest.split(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)));
        names.extend(words.map(|word| word.trim_start_matches('-')).filter(|word| word.len() > 1));
    }
    names
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let title = Level::ERROR.primary_title(problem.message.as_str());
            let group = match self.span(problem).filter(|_| !self.source.is_empty()) {
                Some(span) => title.element(
                    Snippet::source(self.source.as_str())
                        .path(self.file.as_str())
                        .annotation(AnnotationKind::Primary.span(span)),
                ),
                None => {
                    let column = problem.column;
                    let place = problem.line.map(|line| format!(":{line}:{column}")).unwrap_or_default();
                    write!(f, "error: {}{place}: {}", self.file, problem.message)?;
                    continue;
                }
            };
            write!(f, "{}", Renderer::plain().render(&[group]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_with_a_secret_shows_no_excerpt() {
        for secrets in ["secrets: [LICENSE]", "secrets:\n  - LICENSE # of the map\n", "x: {secrets: [LICENSE], a: 1}"] {
            let text = format!("env:\n  LICENSE: hunter2\n  OTHER: shown\n{secrets}\n");
            let problems = vec![Problem::at(2, 3, "wrong"), Problem::at(3, 3, "wrong")];
            let said = Refused::new("s.yaml", &text, problems).to_string();
            assert!(said.starts_with("error: s.yaml:2:3: wrong\n") && said.contains("OTHER: shown"), "{said}");
        }
    }
}
