//! Text that Erlang prints as the numbers of its bytes: `message=><<101,110,118>>`. Pure.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Eight bytes or more.
static BYTES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"<<(\d{1,3}(?:,\d{1,3}){7,})>>").ok());

/// A log in which such bytes are text, in quotes, where all of them are printable.
pub(crate) fn spelled(log: &str) -> Cow<'_, str> {
    let Some(bytes) = BYTES.as_ref() else { return Cow::Borrowed(log) };
    bytes.replace_all(log, |found: &Captures<'_>| text(&found[1]).unwrap_or_else(|| found[0].to_owned()))
}

fn text(numbers: &str) -> Option<String> {
    let bytes: Vec<u8> = numbers.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let text = String::from_utf8(bytes).ok()?;
    text.chars().all(|c| !c.is_control() || c == '\n').then(|| format!("\"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_where_they_can_be() {
        let log = "{#{message=><<68,65,84,65,66,65,83,69,95,85,82,76>>},<<1,2,3>>,<<0,1,2,3,4,5,6,7>>}";
        assert_eq!(spelled(log), "{#{message=>\"DATABASE_URL\"},<<1,2,3>>,<<0,1,2,3,4,5,6,7>>}");
        assert_eq!(spelled("<<300,300,300,300,300,300,300,300>>"), "<<300,300,300,300,300,300,300,300>>");
        assert!(matches!(spelled("a << b >> c"), Cow::Borrowed(_)));
    }
}
