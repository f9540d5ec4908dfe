//! Text from outside, made fit for a page.

use std::collections::HashMap;

/// Text between tags or in an attribute.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// JSON inside of a script element: nothing in it ends the element or begins a comment. The characters that are
/// written otherwise stand in JSON only inside of strings.
#[must_use]
pub fn json_in_html(json: &str) -> String {
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
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.peek() {
                Some('[') => {
                    chars.next();
                    // Parameters, then one last character.
                    while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
                    chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
                }
                Some(']') => {
                    chars.next();
                    // A title or a link, up to its end or the end of the line.
                    while let Some(c) = chars.next_if(|c| *c != '\n') {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => out.push('␛'),
            },
            '\r' if chars.peek() == Some(&'\n') => {}
            // A line that is drawn over.
            '\r' => out.push('\n'),
            '\n' | '\t' => out.push(c),
            '\u{0}'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('␡'),
            // What turns the direction of writing would show another text than was written.
            '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The last bytes of a text, from the beginning of a line where there is one; and whether something was left out.
#[must_use]
pub fn tail(text: &str, bytes: usize) -> (&str, bool) {
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
pub struct Texts {
    known: HashMap<String, usize>,
    all: Vec<String>,
}

impl Texts {
    /// The number of a text.
    pub fn number(&mut self, text: &str) -> usize {
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
    pub fn all(self) -> Vec<String> {
        self.all
    }
}
