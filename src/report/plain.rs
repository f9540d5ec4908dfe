//! Text from outside as plain text: without colours, and without what XML 1.0 (section 2.2) forbids.

/// What stands in the place of a character that no report may have.
const INSTEAD: char = '\u{fffd}';
/// So many characters of one line are shown.
const MOST: usize = 400;

/// A text without escape sequences of terminals and without control characters; line breaks and tabs stay.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    readable(text, |c| match c {
        '\u{1b}' => None,
        c if c.is_control() || turns(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => Some(INSTEAD),
        c => Some(c),
    })
}

/// Reads the escape sequences of a terminal (ECMA-48) out of a text. Line breaks and tabs stay; `shown` says what stands
/// for any other character, the one that begins an escape sequence among them where it begins none.
pub(crate) fn readable(text: &str, shown: impl Fn(char) -> Option<char>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\t' => out.push(c),
            // A carriage return alone writes over a line: what it would cover is shown, too.
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

/// True for what turns the direction of the text after it: a line could then read as something else.
pub(crate) fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text as one line of at most some hundred characters.
#[must_use]
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<String> = plain(text).split_whitespace().map(str::to_owned).collect();
    cut(&words.join(" "))
}

/// Lines of a log, as plain text, each cut where it is too long.
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

/// Takes an escape sequence away, its first character excepted; false when there is none. One that was cut takes no
/// line break along.
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

/// Takes the parameters and the last character of a control sequence away.
fn parameters(rest: &mut Rest<'_>) {
    while rest.next_if(|c| (' '..='?').contains(c)).is_some() {}
    rest.next_if(|c| ('@'..='~').contains(c));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_control_characters_go() {
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
