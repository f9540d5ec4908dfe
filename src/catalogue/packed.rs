//! The embedded entries, as `build.rs` packed them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

use flate2::read::DeflateDecoder;
use serde::Deserialize;

use super::pattern::{NotAPattern, Pattern};
use crate::scenario::node::Node;

/// What `build.rs` wrote.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalogue.deflate"));

/// A file of the catalogue, read before.
#[derive(Deserialize)]
pub(super) struct Packed {
    /// The file's name.
    pub(super) field: String,
    /// The words of its patterns.
    pub(super) words: Words,
    /// Its values.
    pub(super) entries: Node,
}

/// The words of patterns that were read before.
#[derive(Default, Deserialize)]
pub(super) struct Words(BTreeMap<String, Vec<String>>);

impl Words {
    /// A pattern, with the words that are known of it.
    ///
    /// # Errors
    /// Those of a pattern that is not known.
    pub(super) fn pattern(&self, text: &str) -> Result<Pattern, NotAPattern> {
        match self.0.get(text) {
            Some(words) => Ok(Pattern::with_words(text, words)),
            None => text.parse(),
        }
    }
}

/// Unpacks the files, one after the other: all at once would take twice the memory that the entries take.
///
/// # Errors
/// The program was built wrongly.
pub(super) fn unpacked() -> impl Iterator<Item = std::io::Result<Packed>> {
    BufReader::new(DeflateDecoder::new(PACKED)).split(b'\n').map(|line| Ok(serde_json::from_slice(&line?)?))
}
