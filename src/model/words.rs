//! Command lines in shell syntax.

use std::borrow::Cow;

/// Quotes a word for a shell; a word with a NUL byte, which no shell accepts, is left as is.
#[must_use]
pub(crate) fn quote(word: &str) -> Cow<'_, str> {
    shlex::Quoter::new().allow_nul(true).quote(word).unwrap_or(Cow::Borrowed(word))
}

/// The last part of a path.
#[must_use]
pub(crate) fn file_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Whether a word of a command is a shell: `sh`, `/bin/bash`.
#[must_use]
pub(crate) fn is_shell(word: &str) -> bool {
    ["sh", "bash", "ash", "dash"].contains(&word.rsplit('/').next().unwrap_or(word))
}

/// Joins words to a command line.
#[must_use]
pub(crate) fn command_line(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().map(|word| quote(&word).into_owned()).collect::<Vec<_>>().join(" ")
}

/// Whether a text has this word, not as a part of another.
#[must_use]
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_words_for_a_shell() {
        let words = ["exitone", "run", "--image", "my app:1", "--with", "env.set:A=b c"].map(str::to_owned);
        assert_eq!(command_line(words), "exitone run --image 'my app:1' --with 'env.set:A=b c'");
    }
}
