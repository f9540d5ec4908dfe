//! Escapes text for HTML and XML.

/// Escapes text between tags.
#[must_use]
pub(crate) fn text(text: &str) -> String {
    escaped(text, false)
}

/// Escapes the value of an attribute, for quotes of either kind.
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
            // `]]>` is not allowed in XML text.
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\'' if attribute => out.push_str("&#39;"),
            // XML would turn them into spaces.
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
    fn markup_is_escaped() {
        let hostile = "</a>]]>&\n\t'\"";
        assert_eq!(text(hostile), "&lt;/a&gt;]]&gt;&amp;\n\t'\"");
        assert_eq!(attribute(hostile), "&lt;/a&gt;]]&gt;&amp;&#10;&#9;&#39;&quot;");
    }
}
