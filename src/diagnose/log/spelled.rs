//! Text that is not written as it is read: the numbers of its bytes (Erlang's `message=><<101,110,118>>`), escaped quotes
//! and line ends, typographic quotes. Pure.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Eight bytes or more.
static BYTES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"<<(\d{1,3}(?:,\d{1,3}){7,})>>").ok());

/// A stack in one line: `…\\n\\tat a.B.c(B.java:1)`.
static STACK: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\\n(?:\\t|    |  )?(?:at \w|Caused by: |File \\?"|Traceback \()"#).ok());
/// A message that was wrapped before the name in it.
static WRAPPED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(Cannot find (?:module|package)|imported from)[ \t]*\r?\n[ \t]*(['"])"#).ok());

/// A log as it is read: bytes are text, in quotes, where all of them are printable.
pub(crate) fn spelled(log: &str) -> Cow<'_, str> {
    let mut log = Cow::Borrowed(log);
    if let Some(bytes) = BYTES.as_ref().filter(|bytes| bytes.is_match(&log)) {
        let text = |found: &Captures<'_>| text(&found[1]).unwrap_or_else(|| found[0].to_owned());
        log = Cow::Owned(bytes.replace_all(&log, text).into_owned());
    }
    if let Some(wrapped) = WRAPPED.as_ref().filter(|wrapped| wrapped.is_match(&log)) {
        log = Cow::Owned(wrapped.replace_all(&log, "$1 $2").into_owned());
    }
    if log.contains(['“', '”', '‘', '’']) {
        log = Cow::Owned(log.replace(['“', '”'], "\"").replace(['‘', '’'], "'"));
    }
    log
}

/// A log without the escapes of logfmt (`error="user \"app\""`) and of a stack that was cut out of JSON.
pub(crate) fn unescaped(log: &str) -> Cow<'_, str> {
    if !log.contains('\\') {
        return Cow::Borrowed(log);
    }
    let line = |line: &str| match STACK.as_ref() {
        Some(stack) if stack.is_match(line) => line.replace("\\n", "\n").replace("\\t", "\t").replace("\\\"", "\""),
        _ if line.contains("=\"") => line.replace("\\\"", "\""),
        _ => line.to_owned(),
    };
    Cow::Owned(log.lines().map(line).collect::<Vec<_>>().join("\n"))
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

    #[test]
    fn quotes_and_lines_are_what_they_stand_for() {
        assert_eq!(spelled("File “/a.py”"), "File \"/a.py\"");
        assert_eq!(spelled("Cannot find module\n'x' from"), "Cannot find module 'x' from");
        assert_eq!(unescaped(r#"error="user \"app\"""#), r#"error="user "app""#.to_owned() + "\"");
        assert_eq!(unescaped(r#"bad URI: "\"https://h\"""#), r#"bad URI: "\"https://h\"""#);
        assert_eq!(unescaped(r"E: bad\n\tat a.B(B.java:1)"), "E: bad\n\tat a.B(B.java:1)");
        assert_eq!(unescaped(r"C:\new\tmp"), r"C:\new\tmp");
    }
}
