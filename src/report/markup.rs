//! Text for HTML and XML, which read the same characters otherwise.

/// A text between tags.
#[must_use]
pub(crate) fn text(text: &str) -> String {
    escaped(text, false)
}

/// A text in an attribute, in quotes of either kind.
#[must_use]
pub(crate) fn attribute(text: &str) -> String {
    escaped(text, true)
}

fn escaped(text: &str, attribute: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // `]]>` must not stand in a text of XML.
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\'' if attribute => out.push_str("&#39;"),
            // XML would make a space of them.
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#9;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let hostile = "</a>]]>&\n\t'\"";
        assert_eq!(text(hostile), "&lt;/a&gt;]]&gt;&amp;\n\t'\"");
        assert_eq!(attribute(hostile), "&lt;/a&gt;]]&gt;&amp;&#10;&#9;&#39;&quot;");
    }
}
