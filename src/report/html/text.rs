//! Prepares untrusted text for the page.

use std::collections::HashMap;

use crate::report::plain::{changes_direction, readable};

/// JSON for a script element: nothing in it can end the element or begin a comment. The escaped characters occur in
/// JSON only inside strings.
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

/// Text without terminal escape sequences and with visible control characters.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    readable(text, |c| {
        Some(match c {
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
            '\u{7f}' => '␡',
            c if c.is_control() || changes_direction(c) => '\u{fffd}',
            c => c,
        })
    })
}

/// The last bytes of a text, from the beginning of a line if possible, and whether something was cut.
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

/// Interned texts: each is stored once, however many cases use it.
#[derive(Default)]
pub(crate) struct Texts {
    known: HashMap<String, usize>,
    all: Vec<String>,
}

impl Texts {
    /// The index of a text.
    pub(crate) fn number(&mut self, text: &str) -> usize {
        let text = plain(text);
        if let Some(known) = self.known.get(&text) {
            return *known;
        }
        self.known.insert(text.clone(), self.all.len());
        self.all.push(text);
        self.all.len() - 1
    }

    /// All texts by index.
    #[must_use]
    pub(crate) fn all(self) -> Vec<String> {
        self.all
    }
}
