//! Replaces values that look like credentials with placeholders of the same form.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::model::redact::{REDACTED, Redactor, looks_like_credential, shown_value};

/// The placeholder for a variable's value.
pub(crate) fn placeholder(name: &str) -> String {
    format!("placeholder-for-{name}")
}

/// The replacement for a value that may be a credential; `None` if it may be written.
pub(crate) fn value(name: &str, value: &str) -> Option<String> {
    if looks_like_credential(name) {
        // `true` and the like are no secrets, whatever the variable is called.
        let listed = Redactor::new([(name, value)], &BTreeSet::from([name.to_owned()]));
        return (listed.clean(value) != value).then(|| like(value, &placeholder(name)));
    }
    text(&placeholder(name), value)
}

/// The replacement for a value: a number for a number. A program that reads one (MAX_TOKENS) must not fail because of
/// the placeholder.
fn like(value: &str, instead: &str) -> String {
    match value.bytes().all(|b| b.is_ascii_digit()) {
        true => format!("1{}", "0".repeat(value.len().saturating_sub(1))),
        false => instead.to_owned(),
    }
}

/// A text with credentials replaced: the password of a URL, `TOKEN=…`, `"api_key": "…"`, `--password …`, a private key.
/// `None` if it has none.
pub(crate) fn text(instead: &str, text: &str) -> Option<String> {
    if text.contains("PRIVATE KEY-----") {
        return Some(instead.to_owned());
    }
    let masked: String =
        text.split_inclusive(char::is_whitespace).map(|word| without_passwords(instead, word)).collect();
    let out = without_assigned(instead, &masked);
    (out != text).then_some(out)
}

/// A word without the passwords of its URLs.
fn without_passwords(instead: &str, word: &str) -> String {
    let starts: Vec<usize> = word.match_indices("://").map(|(at, _)| at).collect();
    let mut out = word[..starts.first().copied().unwrap_or(word.len())].to_owned();
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(word.len());
        out.push_str(&shown_value("", &word[*start..end]).replace(REDACTED, instead));
    }
    out
}

/// Whether a credential follows this name in a text; `--ssl-keyfile` is followed by a path.
fn is_credential(name: &str) -> bool {
    let name = name.trim_start_matches('-').replace('-', "_");
    let of_a_path = ["file", "path", "dir"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    !of_a_path && (looks_like_credential(&name) || name.eq_ignore_ascii_case("pwd"))
}

/// A text without the values of `NAME=value`, `"name": "value"` and `--name value` for names of credentials.
fn without_assigned(instead: &str, text: &str) -> String {
    let of_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(of_name) {
        let length = rest[start..].find(|c| !of_name(c)).unwrap_or(rest.len() - start);
        let name = &rest[start..start + length];
        out.push_str(&rest[..start + length]);
        rest = &rest[start + length..];
        let value = is_credential(name).then(|| assigned(rest, name.starts_with("--"))).flatten();
        if let Some(value) = value.filter(|value| &rest[value.clone()] != instead) {
            out.push_str(&rest[..value.start]);
            out.push_str(&like(&rest[value.clone()], instead));
            rest = &rest[value.end..];
        }
    }
    out + rest
}

/// The value after a name, if there is one.
fn assigned(after: &str, is_flag: bool) -> Option<Range<usize>> {
    let behind = after.strip_prefix(['"', '\'']).unwrap_or(after).trim_start_matches([' ', '\t']);
    let (value, spaced) = match behind.strip_prefix(['=', ':']) {
        Some(value) => (value.trim_start(), false),
        None if is_flag && behind.len() < after.len() => (behind.trim_start(), true),
        None => return None,
    };
    // `$TOKEN` is a variable reference, `://` precedes a host, a flag is not a value.
    let bare = value.strip_prefix(['"', '\'']).unwrap_or(value);
    if bare.starts_with('$') || value.starts_with("//") || (spaced && value.starts_with('-')) {
        return None;
    }
    let start = after.len() - bare.len();
    let length = match value.chars().next().filter(|_| bare.len() < value.len()) {
        Some(quote) => bare.find(quote).unwrap_or(bare.len()),
        None => {
            let end = bare.find(|c: char| c.is_whitespace() || "&;\"'".contains(c)).unwrap_or(bare.len());
            bare[..end].trim_end_matches([',', '}', ']', ')']).len()
        }
    };
    (length > 0).then_some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_credentials_with_the_same_form() {
        for (name, written, expected) in [
            ("ENV", "production", None),
            ("JWT_SECRET", "hunter2", Some("placeholder-for-JWT_SECRET")),
            ("JWT_SECRET", "", None),
            ("TOKEN_ENABLED", "true", None),
            ("MAX_TOKENS", "8000", Some("1000")),
            ("DB_PASS", "pw", Some("placeholder-for-DB_PASS")),
            ("URL", "https://example.org/?a=b:c", None),
            (
                "DATABASE_URL",
                "postgresql://app:pw@db/app",
                Some("postgresql://app:placeholder-for-DATABASE_URL@db/app"),
            ),
            ("HOOK", "https://x.org/in?token=abc&a=b", Some("https://x.org/in?token=placeholder-for-HOOK&a=b")),
            ("CONN", "Server=db;Password=pw;Database=x", Some("Server=db;Password=placeholder-for-CONN;Database=x")),
            ("CONFIG", "{\"api_key\": \"abc\"}", Some("{\"api_key\": \"placeholder-for-CONFIG\"}")),
            ("CONFIG", "{\"api_key\":\"abc\",\"a\":1}", Some("{\"api_key\":\"placeholder-for-CONFIG\",\"a\":1}")),
            ("PEM", "-----BEGIN PRIVATE KEY-----\nabc\n", Some("placeholder-for-PEM")),
            (
                "NODES",
                "amqp://u:a@h,amqp://u:b@i",
                Some("amqp://u:placeholder-for-NODES@h,amqp://u:placeholder-for-NODES@i"),
            ),
            ("OPTS", "password = 'a b' x", Some("password = 'placeholder-for-OPTS' x")),
            ("FEATURES", "token_refresh,other", None),
            ("TIMES", "12:30:00", None),
        ] {
            assert_eq!(value(name, written).as_deref(), expected, "{name}={written}");
        }
    }

    #[test]
    fn placeholders_keep_the_other_words() {
        for (written, expected) in [
            ("uvicorn app:app --host 0.0.0.0 --port 8000", None),
            ("app --api-key=abc --port 1", Some("app --api-key=X --port 1")),
            ("app --password 'abc' -v", Some("app --password 'X' -v")),
            ("sh -c 'TOKEN=abc app'", Some("sh -c 'TOKEN=X app'")),
            ("app --token $TOKEN --secret=$S", None),
            ("app --no-token --verbose", None),
            ("app --ssl-keyfile key.pem --keep-alive 5", None),
            ("app --max-tokens 4096", Some("app --max-tokens 1000")),
            ("app --password \"a b\" -v", Some("app --password \"X\" -v")),
            ("é=1 app", None),
        ] {
            assert_eq!(text("X", written).as_deref(), expected, "{written}");
        }
    }
}
