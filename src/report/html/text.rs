//! Text from outside, made fit for a page.

use std::collections::HashMap;

use crate::report::plain::{readable, turns};

/// JSON inside of a script element: nothing in it ends the element or begins a comment. The characters that are
/// written otherwise stand in JSON only inside of strings.
#[must_use]
pub(crate) fn json_in_html(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// Text as a person reads it: without a terminal's colours, every other control character visible.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    readable(text, |c| {
        Some(match c {
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
            '\u{7f}' => '␡',
            c if c.is_control() || turns(c) => '\u{fffd}',
            c => c,
        })
    })
}

/// The last bytes of a text, from the beginning of a line where there is one; and whether something was left out.
#[must_use]
pub(crate) fn tail(text: &str, bytes: usize) -> (&str, bool) {
    let Some(mut from) = text.len().checked_sub(bytes).filter(|from| *from > 0) else { return (text, false) };
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let end = &text[from..];
    match end.find('\n') {
        Some(line) if line + 1 < end.len() => (&end[line + 1..], true),
        _ => (end, true),
    }
}

/// Texts that stand once in the data, however many cases have them.
#[derive(Default)]
pub(crate) struct Texts {
    known: HashMap<String, usize>,
    all: Vec<String>,
}

impl Texts {
    /// The number of a text.
    pub(crate) fn number(&mut self, text: &str) -> usize {
        let text = plain(text);
        if let Some(known) = self.known.get(&text) {
            return *known;
        }
        self.known.insert(text.clone(), self.all.len());
        self.all.push(text);
        self.all.len() - 1
    }

    /// All of them.
    #[must_use]
    pub(crate) fn all(self) -> Vec<String> {
        self.all
    }
}
