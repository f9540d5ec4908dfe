//! Command lines, as a shell reads them.

use std::borrow::Cow;

/// A word as a shell reads it; no shell reads a zero byte, which is left as it is.
#[must_use]
pub(crate) fn quote(word: &str) -> Cow<'_, str> {
    shlex::Quoter::new().allow_nul(true).quote(word).unwrap_or(Cow::Borrowed(word))
}

/// Words as one command line.
#[must_use]
pub(crate) fn command_line(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().map(|word| quote(&word).into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        let words = ["exitone", "run", "--image", "my app:1", "--with", "env.set:A=b c"].map(str::to_owned);
        assert_eq!(command_line(words), "exitone run --image 'my app:1' --with 'env.set:A=b c'");
    }
}
