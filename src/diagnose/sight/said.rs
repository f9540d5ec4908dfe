//! What a line of a log says, as the text of a cause quotes it. Pure.

use std::sync::LazyLock;

use regex::Regex;

/// The value of a key in logfmt: `msg="cannot start" err=closed`. Without quotes it goes on until the next key.
fn value(keys: &str) -> Option<Regex> {
    let word = r#"(?:[^\s="]+|[^\w\s"]\S*)"#;
    Regex::new(&format!(r#"(?:^|\s)(?:{keys})=(?:"((?:[^"\\]|\\.)*)"|([^\s"]\S*(?: {word})*?)(?:\s+[\w.]+=|\s*$))"#))
        .ok()
}

static MESSAGE: LazyLock<Option<Regex>> = LazyLock::new(|| value("msg|message"));
static ERROR: LazyLock<Option<Regex>> = LazyLock::new(|| value("err|error|reason"));

/// The message and the error of a line in logfmt, and what stands below a line that ends with a colon.
pub(super) fn said(line: &str, below: Option<&str>) -> String {
    let line = line.trim();
    let of = |key: &LazyLock<Option<Regex>>| {
        let found = key.as_ref()?.captures(line)?;
        let value = found.get(1).or(found.get(2))?.as_str().replace("\\\"", "\"");
        (!value.is_empty()).then_some(value)
    };
    match (of(&MESSAGE), of(&ERROR)) {
        (Some(message), Some(error)) => format!("{message}: {error}"),
        (Some(message), None) => message,
        (None, _) => match below.map(str::trim).filter(|below| line.ends_with(':') && !below.is_empty()) {
            Some(below) => format!("{line} {below}"),
            None => line.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_matters() {
        for (line, below, expected) in [
            ("boom", Some("next"), "boom"),
            (
                "AH00526: Syntax error on line 7:",
                Some("  Invalid command"),
                "AH00526: Syntax error on line 7: Invalid command",
            ),
            ("AH00526: Syntax error on line 7:", None, "AH00526: Syntax error on line 7:"),
            (
                r#"level=error msg="cannot start" err="port \"x\" is no number" file=main.go"#,
                None,
                r#"cannot start: port "x" is no number"#,
            ),
            ("time=1 level=fatal msg=boom", Some("next"), "boom"),
            (
                "level=error msg=Unable to start. audience=app error=map[message: length must be >= 16, but got 11]",
                None,
                "Unable to start.: map[message: length must be >= 16, but got 11]",
            ),
            ("level=error error=closed", None, "level=error error=closed"),
            ("no msg= here", None, "no msg= here"),
        ] {
            assert_eq!(said(line, below), expected);
        }
    }
}
