//! The embedded entries, as `build.rs` packed them.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::DeflateDecoder;
use serde::Deserialize;

use super::pattern::{NotAPattern, Pattern};
use crate::scenario::node::Node;

/// What `build.rs` wrote.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalogue.deflate"));

/// The files of the catalogue, read before.
#[derive(Deserialize)]
pub(super) struct Packed {
    /// The words of the patterns.
    pub(super) words: Words,
    /// The values of each file, by its field.
    pub(super) fields: BTreeMap<String, Node>,
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

/// Unpacks the files.
///
/// # Errors
/// The program was built wrongly.
pub(super) fn unpacked() -> std::io::Result<Packed> {
    let mut json = Vec::new();
    DeflateDecoder::new(PACKED).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}
