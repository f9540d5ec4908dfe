//! Redaction: secret values are replaced before a text leaves the program.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex::Regex;

/// The replacement for a secret.
pub(crate) const REDACTED: &str = "‹redacted›";

/// Shorter values are replaced only as whole words, to avoid replacing parts of other words.
const WORD: usize = 6;
/// Minimum length of a part of a value next to dots that counts as abbreviated.
const CUT: usize = 6;
/// Values that are never secret, whatever the variable is called.
const PLAIN: [&str; 10] = ["", "0", "1", "true", "false", "yes", "no", "on", "off", "none"];
/// Values of examples, which occur in any text.
const EXAMPLES: [&str; 12] = [
    "secret", "password", "passwd", "changeme", "postgres", "root", "admin", "user", "test", "example", "health",
    "image",
];

/// Parts of a variable's name that suggest a credential.
const CREDENTIAL_WORDS: [&str; 12] = [
    "SECRET",
    "TOKEN",
    "_PASS",
    "PASSW",
    "PASSPHRASE",
    "_PWD",
    "CREDENTIAL",
    "APIKEY",
    "PRIVATE",
    "_KEY",
    "AUTH_TOKEN",
    "BEARER",
];

/// Whether a line of a file may contain a credential and must not be shown.
#[must_use]
pub(crate) fn line_is_private(line: &str) -> bool {
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    line.split_whitespace().any(|part| url_password(part).is_some()) || words.into_iter().any(looks_like_credential)
}

/// Whether a variable with this name probably holds a credential.
#[must_use]
pub(crate) fn looks_like_credential(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    CREDENTIAL_WORDS.iter().any(|word| name.contains(word)) || name.ends_with("_DSN") || name == "KEY"
}

/// The password in a URL (`scheme://user:password@host`), if there is one.
fn url_password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (user_info, _) = authority.rsplit_once('@')?;
    let (_, password) = user_info.split_once(':')?;
    (!password.is_empty()).then_some(password)
}

/// How a variable's value may be shown: completely, without the password of its URL, or not at all.
#[must_use]
pub(crate) fn shown_value(name: &str, value: &str) -> String {
    if looks_like_credential(name) && !value.is_empty() {
        return REDACTED.to_owned();
    }
    match url_password(value) {
        Some(password) => value.replacen(&format!(":{password}@"), &format!(":{REDACTED}@"), 1),
        None => value.to_owned(),
    }
}

/// A name and its assigned value, in any form that occurs in logs.
static ASSIGNED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?P<name>[A-Za-z_][\w.-]*)["']?\s*(?P<sign>[:=])\s*(?P<value>"[^"]*"|'[^']*'|[^\s,&;}\]]+)"#).ok()
});
/// The password of a URL anywhere in a line.
static PASSWORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?P<user>[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+@").ok());
/// Words after a name and a colon that are a remark about it, or begin the message of an error (`cert and key: tls: …`).
const REMARKS: [&str; 21] = [
    "tls:",
    "x509:",
    "asn1:",
    "yes",
    "no",
    "not",
    "notpresent",
    "missing",
    "required",
    "unset",
    "unbound",
    "parameter",
    "undefined",
    "null",
    "none",
    "empty",
    "invalid",
    "must",
    "field",
    // `/data/.access_key: Permission denied`, `…: Operation not permitted`
    "permission",
    "operation",
];

/// Words with which a message about a name begins, if more words follow (`jwt-secret: illegal base64 data`).
const BEGINNINGS: [&str; 20] = [
    "illegal", "is", "are", "has", "failed", "cannot", "could", "unable", "expected", "unknown", "wrong", "bad",
    "value", "length", "too", "should", "input", "string", "error", "jwt",
];

/// A log line as it may be shown: without passwords of URLs, and without the values of names that look like a
/// credential (`NAME=value`, `NAME: value`, `"name":"value"`).
#[must_use]
pub(crate) fn shown_line(line: &str) -> String {
    // An invalid pattern would be a bug that a test finds; nothing is shown then.
    let (Some(assigned), Some(password)) = (ASSIGNED.as_ref(), PASSWORD.as_ref()) else { return REDACTED.to_owned() };
    let line = password.replace_all(line, format!("${{user}}{REDACTED}@"));
    let mut out = String::new();
    let (mut end, mut from) = (0, 0);
    while let Some(found) = assigned.captures_at(&line, from) {
        let (Some(name), Some(value)) = (found.name("name"), found.name("value")) else { break };
        // A URL may have names and values of its own.
        from = if value.as_str().starts_with("//") { value.start() } else { value.end() };
        let text = value.as_str().trim_matches(['"', '\'']);
        let name_text = name.as_str();
        let of_error =
            name_text.starts_with("Missing") || ["Error", "Exception"].iter().any(|end| name_text.ends_with(end));
        let of_prose = &found["sign"] == ":" && {
            // `(using password: NO)` says whether there was one.
            let word = text.trim_end_matches([')', '.']).to_ascii_lowercase();
            // `/etc/passwd: Read-only file system`
            let is_path = line[..name.start()].ends_with("/etc/");
            // `the key :basic_auth` is a name in Elixir and Ruby.
            let is_atom = name_text == "key" && &line[name.end()..value.start()] == " :";
            let goes_on =
                line[value.end()..].strip_prefix(' ').is_some_and(|next| next.starts_with(|c: char| c.is_alphabetic()));
            let begins = goes_on && BEGINNINGS.contains(&word.as_str());
            REMARKS.contains(&word.as_str()) || begins || is_path || is_atom
        };
        // `SECRET: [ 'Required' ]`, and a call that makes it.
        let is_empty = !text.contains(char::is_alphanumeric);
        let is_code = &found["sign"] == "=" && value.as_str().ends_with("(...)");
        if !looks_like_credential(name_text) || of_error || of_prose || is_empty || is_code {
            continue;
        }
        out.push_str(&line[end..value.start()]);
        out.push_str(REDACTED);
        end = value.end();
    }
    out.push_str(&line[end..]);
    out
}

/// A value after decoding it as part of a URL (RFC 3986, 2.1); `None` if that changes nothing.
fn percent_decoded(value: &str) -> Option<String> {
    let decoded = percent_decode_str(value).decode_utf8().ok()?;
    (decoded != value).then(|| decoded.into_owned())
}

/// Removes the rest of a value that was abbreviated with dots (`postgresql://ap...rnal:5432/app`).
fn without_cut(text: &str, value: &str) -> String {
    let mut text = text.to_owned();
    for dots in ["...", "…"] {
        let mut from = 0;
        while let Some(at) = text[from..].find(dots).map(|at| from + at) {
            let end = at + dots.len();
            let head = (CUT..value.len()).rev().filter_map(|n| value.get(..n)).find(|head| text[..at].ends_with(head));
            let tail = (1..value.len().saturating_sub(CUT) + 1)
                .filter_map(|n| value.get(n..))
                .find(|tail| text[end..].starts_with(tail));
            let (head, tail) = (head.map_or(0, str::len), tail.map_or(0, str::len));
            let shown = |n: usize| if n > 0 { REDACTED } else { "" };
            let replacement = format!("{}{dots}{}", shown(head), shown(tail));
            text.replace_range(at - head..end + tail, &replacement);
            from = at - head + replacement.len();
        }
    }
    text
}

/// Replaces a value unless a letter or digit is next to it.
fn replace_word(text: &str, value: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let end = at + value.len();
        let before = rest[..at].chars().next_back().or(out.chars().next_back());
        let beside = [before, rest[end..].chars().next()];
        out.push_str(&rest[..at]);
        out.push_str(if beside.iter().flatten().any(|c| c.is_alphanumeric()) { value } else { REDACTED });
        rest = &rest[end..];
    }
    out + rest
}

/// Knows the secret values of one run and removes them from any text.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    values: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

impl Redactor {
    /// Collects the secret values of an environment: those in `secrets`, and those whose names look like credentials.
    pub(crate) fn new<'a>(env: impl IntoIterator<Item = (&'a str, &'a str)>, secrets: &BTreeSet<String>) -> Self {
        let mut values = BTreeSet::new();
        for (name, value) in env {
            // A number in a variable that only looks like a credential is a limit or a port (MAX_TOKENS=8000).
            let number = value.len() < WORD && value.bytes().all(|b| b.is_ascii_digit());
            if secrets.contains(name) || (looks_like_credential(name) && !number) {
                values.insert(value);
                let telling = |line: &&str| line.len() >= WORD && line.contains(|c: char| c.is_alphanumeric());
                values.extend(value.lines().map(str::trim).filter(telling));
            }
            values.extend(url_password(value));
        }
        let decoded: Vec<String> = values.iter().filter_map(|value| percent_decoded(value)).collect();
        let plain = |v: &String| PLAIN.iter().chain(&EXAMPLES).any(|plain| v.eq_ignore_ascii_case(plain));
        let mut values: Vec<String> =
            values.into_iter().map(ToOwned::to_owned).chain(decoded).filter(|v| !plain(v)).collect();
        // Longest first: a value that contains another must not leave a rest.
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        Self { values }
    }

    /// The text without secret values.
    #[must_use]
    pub(crate) fn clean(&self, text: &str) -> String {
        let whole = self.values.iter().fold(text.to_owned(), |text, value| match text.contains(value.as_str()) {
            false => text,
            true if value.chars().count() < WORD => replace_word(&text, value),
            true => text.replace(value.as_str(), REDACTED),
        });
        self.values.iter().fold(whole, |text, value| without_cut(&text, value))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn redacts_credentials_in_log_lines() {
        for (line, shown) in [
            (
                "connecting to postgres://app:pw123@db:5432/app now",
                "connecting to postgres://app:‹redacted›@db:5432/app now",
            ),
            ("  JWT_SECRET=abc PORT=8000", "  JWT_SECRET=‹redacted› PORT=8000"),
            ("{\"api_key\": \"abc\", \"port\": 1}", "{\"api_key\": ‹redacted›, \"port\": 1}"),
            ("{\"level\":\"error\",\"JWT_SECRET\":\"abc\"}", "{\"level\":\"error\",\"JWT_SECRET\":‹redacted›}"),
            ("JWT_SECRET: abc", "JWT_SECRET: ‹redacted›"),
            ("    password = \"hunter2\"", "    password = ‹redacted›"),
            ("GET https://h/?a=1&token=abc&b=2", "GET https://h/?a=1&token=‹redacted›&b=2"),
            ("JWT_SECRET: NotPresent", "JWT_SECRET: NotPresent"),
            ("denied for user 'a'@'b' (using password: NO)", "denied for user 'a'@'b' (using password: NO)"),
            ("(password: Nobody)", "(password: ‹redacted›"),
            ("KeyError: 'JWT_SECRET'", "KeyError: 'JWT_SECRET'"),
            (
                "run.sh: line 3: /data/.access_key: Permission denied",
                "run.sh: line 3: /data/.access_key: Permission denied",
            ),
            ("/etc/passwd: Read-only file system", "/etc/passwd: Read-only file system"),
            ("cert and key: tls: failed to find PEM data", "cert and key: tls: failed to find PEM data"),
            ("key: p4ss: too short", "key: ‹redacted› too short"),
            ("MissingSecret: Please define a secret", "MissingSecret: Please define a secret"),
            ("reading key :basic_auth during runtime", "reading key :basic_auth during runtime"),
            ("see https://h/token=abc", "see https://h/token=‹redacted›"),
            ("GET https://h/?token=abc&b=2", "GET https://h/?token=‹redacted›&b=2"),
        ] {
            assert_eq!(shown_line(line), shown);
        }
    }

    use super::*;

    #[test]
    fn removes_secrets_anywhere() {
        let env = [
            ("JWT_SECRET", "abcdef-long"),
            ("DATABASE_URL", "postgresql://app:s3cr3t-pw@db/app"),
            ("PLAIN", "hello world"),
            ("LISTED", "listed-value"),
            ("API_TOKEN", "abcdef-long-and-longer"),
            ("DB_PASS", "pw1"),
            ("TOKEN_ENABLED", "true"),
            ("MAX_TOKENS", "8000"),
            ("OTHER_URL", "amqp://u:p%40ss%2Fword@mq"),
        ];
        let redactor = Redactor::new(env, &BTreeSet::from(["LISTED".to_owned()]));
        let text = "x abcdef-long-and-longer abcdef-long s3cr3t-pw hello world listed-value pw1 pw12 true p@ss/word";
        assert_eq!(
            redactor.clean(text),
            format!("x {REDACTED} {REDACTED} {REDACTED} hello world {REDACTED} {REDACTED} pw12 true {REDACTED}")
        );
        assert_eq!(format!("{redactor:?}"), "Redactor(7 values)");
        assert_eq!(redactor.clean("value='listed-v...-value', x..."), format!("value='{REDACTED}...{REDACTED}', x..."));
        assert_eq!(redactor.clean("value='listed-val…'"), format!("value='{REDACTED}…'"));
    }

    #[test]
    fn shows_values_without_passwords() {
        assert_eq!(shown_value("JWT_SECRET", "x"), REDACTED);
        assert_eq!(shown_value("JWT_SECRET", ""), "");
        assert_eq!(shown_value("ENV", "production"), "production");
        assert_eq!(shown_value("URL", "https://a:b@c/d"), format!("https://a:{REDACTED}@c/d"));
        assert_eq!(shown_value("URL", "https://c/d?e=f:g@h"), "https://c/d?e=f:g@h");
    }
}
