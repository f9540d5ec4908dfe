//! Turns untrusted text into plain text, without colours and without characters that XML 1.0 (section 2.2) forbids.

/// Replaces a character that is not allowed in a report.
const REPLACEMENT: char = '\u{fffd}';
/// Maximum length (characters) of a line.
const MOST: usize = 400;

/// Removes terminal escape sequences and control characters, except line breaks and tabs.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    readable(text, |c| match c {
        '\u{1b}' => None,
        c if c.is_control() || changes_direction(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => Some(REPLACEMENT),
        c => Some(c),
    })
}

/// Removes terminal escape sequences (ECMA-48) from a text and keeps line breaks and tabs. `shown` maps every other
/// character, including an ESC that begins no escape sequence.
pub(crate) fn readable(text: &str, shown: impl Fn(char) -> Option<char>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\t' => out.push(c),
            // A terminal overwrites the line after a lone carriage return; show both texts.
            '\r' => {
                if rest.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\u{1b}' if escape(&mut rest) => {}
            '\u{9b}' => parameters(&mut rest),
            c => out.extend(shown(c)),
        }
    }
    out
}

/// Whether a character changes the direction of the text after it, which could disguise a line.
pub(crate) fn changes_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Plain text on one line, cut to a maximum length.
#[must_use]
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<String> = plain(text).split_whitespace().map(str::to_owned).collect();
    cut(&words.join(" "))
}

/// Plain lines of a log, each cut to a maximum length.
#[must_use]
pub(crate) fn lines(texts: &[String]) -> Vec<String> {
    texts.iter().flat_map(|text| plain(text).lines().map(cut).collect::<Vec<_>>()).collect()
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Skips the rest of an escape sequence; false when there is none. A truncated one never swallows a line break.
fn escape(rest: &mut Rest<'_>) -> bool {
    match rest.peek() {
        Some('[') => {
            rest.next();
            parameters(rest);
        }
        // A string for the terminal, such as its title: up to BEL or ESC \.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = rest.next_if(|c| *c != '\n') {
                if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some(' '..='~') => {
            while rest.next_if(|c| (' '..='/').contains(c)).is_some() {}
            rest.next_if(|c| ('0'..='~').contains(c));
        }
        _ => return false,
    }
    true
}

/// Skips the parameters and the final character of a control sequence.
fn parameters(rest: &mut Rest<'_>) {
    while rest.next_if(|c| (' '..='?').contains(c)).is_some() {}
    rest.next_if(|c| ('@'..='~').contains(c));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_control_characters_are_removed() {
        for (text, expected) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://a.b\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9b}31mred", "red"),
            ("cut \u{1b}[31", "cut "),
            ("cut \u{1b}]title\nnext", "cut \nnext"),
            ("cut \u{1b}", "cut "),
            ("\u{1b}(Bascii", "ascii"),
            ("a\0b\u{8}c\u{7f}d\u{85}e", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"),
            ("\u{fffe}\u{ffff}\u{1ffff}", "\u{fffd}\u{fffd}\u{1ffff}"),
            ("a\u{202e}b", "a\u{fffd}b"),
            ("10 %\r20 %\r\n", "10 %\n20 %\n"),
            ("ä\t‹redacted›", "ä\t‹redacted›"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_cut() {
        assert_eq!(one_line(&"ä".repeat(1000)).chars().count(), MOST + 1);
        assert_eq!(one_line(" a \n b\u{1b}[m "), "a b");
        assert_eq!(lines(&["a\nb".to_owned(), "c".to_owned()]), ["a", "b", "c"]);
    }
}
