//! The catalogue of causes: data in YAML, one file a field, embedded in the program and extended by a user's own files.
//!
//! An entry fires when everything it names is seen; each sighting provides the observations that the cause cites, and
//! words for its text. [`crate::diagnose`] decides which of several entries is named.

pub(crate) mod entry;
mod packed;
pub(crate) mod pattern;
pub(crate) mod read;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

pub use entry::{Basis, Entry, FileState, NearMiss, Rank, Seen, VariableState};
use pattern::{Candidates, Patterns};
pub use pattern::{NotAPattern, Pattern};

use crate::scenario::Refused;

/// The fields, each with a file of its name. The order decides between entries that are equal in everything else.
pub const FIELDS: [&str; 22] = [
    "python",
    "node",
    "jvm",
    "go",
    "dotnet",
    "ruby",
    "php",
    "rust",
    "beam",
    "native",
    "shell",
    "proxy",
    "database",
    "datastores",
    "cloud",
    "kernel",
    "platform",
    "container",
    "program",
    "network",
    "serving",
    "end",
];

/// Entries, ready to be matched.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
    by_id: BTreeMap<String, usize>,
    pub(crate) patterns: Patterns,
    /// The entries that must see one of the lines of each pattern.
    of_pattern: BTreeMap<usize, Vec<usize>>,
    /// The entries that must see no line.
    without_line: Vec<usize>,
}

impl Catalogue {
    /// A catalogue of these entries. Several may have one id: variants, or a user's entry before ours.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut by_id = BTreeMap::new();
        for (n, entry) in entries.iter().enumerate() {
            by_id.entry(entry.id.clone()).or_insert(n);
        }
        let patterns = Patterns::new(entries.iter().flat_map(Entry::patterns));
        let mut of_pattern: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut without_line = Vec::new();
        for (n, entry) in entries.iter().enumerate() {
            if entry.lines().next().is_none() {
                without_line.push(n);
            }
            for pattern in entry.lines().filter_map(|line| patterns.position(line)) {
                of_pattern.entry(pattern).or_default().push(n);
            }
        }
        Self { entries, by_id, patterns, of_pattern, without_line }
    }

    /// The entries that may fire on a log with these candidates, in order.
    pub(crate) fn possible<'a>(&'a self, candidates: &Candidates) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let of = candidates.patterns().filter_map(|pattern| self.of_pattern.get(&pattern)).flatten();
        let all: BTreeSet<usize> = of.chain(&self.without_line).copied().collect();
        all.into_iter().map(|n| &self.entries[n])
    }

    /// Its entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.by_id.get(id).map(|n| &self.entries[*n])
    }
}

/// The process's catalogue.
static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();

/// The catalogue: the embedded entries, and those that were added.
#[must_use]
pub fn catalogue() -> &'static Catalogue {
    CATALOGUE.get_or_init(|| Catalogue::new(embedded()))
}

/// What the entry with this id says to do.
pub(crate) fn fix_of(id: &str) -> &'static str {
    catalogue().get(id).map_or("", |entry| entry.fix.as_str())
}

/// Puts a user's own entries before the embedded ones. Has no effect once the catalogue is in use.
pub(crate) fn extend(own: Vec<Entry>) {
    let _ = CATALOGUE.set(Catalogue::new(own.into_iter().chain(embedded()).collect()));
}

/// The embedded entries.
///
/// # Panics
/// Never: a test compares them with the files.
#[must_use]
pub fn embedded() -> Vec<Entry> {
    let mut of_field: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for file in packed::unpacked() {
        let file = file.unwrap_or_else(|error| panic!("the embedded catalogue: {error}"));
        let entries = read::unchecked(&file.entries, &file.field, &file.words);
        of_field.insert(file.field, entries);
    }
    FIELDS.iter().filter_map(|field| of_field.remove(*field)).flatten().collect()
}

/// The entries of a file; a variant follows its entry. `field`: what they are listed under.
///
/// # Errors
/// The file as a whole, with every mistake.
pub fn entries(field: &str, text: &str) -> Result<Vec<Entry>, Refused> {
    let read = read::read(&format!("{field}.yaml"), text, field)?;
    Ok(read.into_iter().flat_map(read::Located::entries).collect())
}

/// Substitutes `{word}` in a text. A part in `[…]` that has words is dropped if one of them is unknown; other brackets and
/// braces are text.
#[must_use]
pub(crate) fn filled(text: &str, word: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let Some(close) = rest[open..].find(']').map(|n| n + open) else { break };
        let (before, option) = (&rest[..open], &rest[open + 1..close]);
        out.push_str(&words(before, word).0);
        match words(option, word) {
            (_, Found { known: 0, unknown: 0 }) => out.push_str(&rest[open..=close]),
            (text, Found { unknown: 0, .. }) => out.push_str(&text),
            _ => {}
        }
        rest = &rest[close + 1..];
    }
    out.push_str(&words(rest, word).0);
    out
}

/// The words of a text outside `[…]`.
pub(crate) fn required_words(text: &str) -> Vec<String> {
    let names = std::cell::RefCell::new(Vec::new());
    let note = |name: &str| {
        names.borrow_mut().push(name.to_owned());
        None
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        words(before, &note);
        rest = after.split_once(']').map_or("", |(_, after)| after);
    }
    words(rest, &note);
    names.into_inner()
}

/// How many words of a text are known, and how many are not.
struct Found {
    known: usize,
    unknown: usize,
}

/// A text with its words; one that is unknown leaves a mark.
fn words(text: &str, word: &dyn Fn(&str) -> Option<String>) -> (String, Found) {
    let (mut out, mut found) = (String::new(), Found { known: 0, unknown: 0 });
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let name = after.split_once('}').filter(|(name, _)| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                && !before.ends_with('$')
        });
        let Some((name, after)) = name else {
            out.push('{');
            rest = after;
            continue;
        };
        match word(name) {
            Some(value) => {
                found.known += 1;
                out.push_str(&value);
            }
            None => {
                found.unknown += 1;
                out.push('…');
            }
        }
        rest = after;
    }
    out.push_str(rest);
    (out, found)
}

#[cfg(test)]
mod tests;
