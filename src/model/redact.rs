//! Secrets never reach an output: values are replaced before a text leaves the program.

use std::collections::BTreeSet;

/// What stands in the place of a secret.
pub const REDACTED: &str = "‹redacted›";

/// Values shorter than this are left in log lines: `1` or `on` would blot out half of every line.
const SHORTEST: usize = 6;

/// Parts of a variable's name that make it look like a credential.
const CREDENTIAL_WORDS: [&str; 10] =
    ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY", "PRIVATE", "_KEY", "AUTH"];

/// True when a variable of this name probably carries a credential.
#[must_use]
pub fn looks_like_credential(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    CREDENTIAL_WORDS.iter().any(|word| name.contains(word)) || name.ends_with("_DSN") || name == "KEY"
}

/// The password inside a URL (`scheme://user:password@host`), if there is one.
fn url_password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (user_info, _) = authority.rsplit_once('@')?;
    let (_, password) = user_info.split_once(':')?;
    (!password.is_empty()).then_some(password)
}

/// How a variable's value may be shown: whole, without the password of its URL, or not at all.
#[must_use]
pub fn shown_value(name: &str, value: &str) -> String {
    if looks_like_credential(name) && !value.is_empty() {
        return REDACTED.to_owned();
    }
    match url_password(value) {
        Some(password) => value.replacen(&format!(":{password}@"), &format!(":{REDACTED}@"), 1),
        None => value.to_owned(),
    }
}

/// Knows the secret values of one run and takes them out of any text.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

impl Redactor {
    /// Collects the secret values of an environment: names under `secrets`, and names that look like credentials.
    pub fn new<'a>(env: impl IntoIterator<Item = (&'a str, &'a str)>, secrets: &BTreeSet<String>) -> Self {
        let mut values = BTreeSet::new();
        for (name, value) in env {
            if secrets.contains(name) || looks_like_credential(name) {
                values.insert(value);
                values.extend(value.lines().map(str::trim));
            }
            values.extend(url_password(value));
        }
        let mut values: Vec<String> =
            values.into_iter().filter(|v| v.len() >= SHORTEST).map(ToOwned::to_owned).collect();
        // The longest first: a value that contains another must not leave its rest behind.
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        Self { values }
    }

    /// The text without any secret value.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, value| {
            if text.contains(value.as_str()) { text.replace(value.as_str(), REDACTED) } else { text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_wherever_they_stand() {
        let env = [
            ("JWT_SECRET", "abcdef-long"),
            ("DATABASE_URL", "postgresql://app:s3cr3t-pw@db/app"),
            ("PLAIN", "hello world"),
            ("LISTED", "listed-value"),
            ("API_TOKEN", "abcdef-long-and-longer"),
        ];
        let redactor = Redactor::new(env, &BTreeSet::from(["LISTED".to_owned()]));
        let text = "x abcdef-long-and-longer abcdef-long s3cr3t-pw hello world listed-value";
        assert_eq!(redactor.clean(text), format!("x {REDACTED} {REDACTED} {REDACTED} hello world {REDACTED}"));
        assert_eq!(format!("{redactor:?}"), "Redactor(4 values)");
    }

    #[test]
    fn values_are_shown_without_their_passwords() {
        assert_eq!(shown_value("JWT_SECRET", "x"), REDACTED);
        assert_eq!(shown_value("JWT_SECRET", ""), "");
        assert_eq!(shown_value("ENV", "production"), "production");
        assert_eq!(shown_value("URL", "https://a:b@c/d"), format!("https://a:{REDACTED}@c/d"));
        assert_eq!(shown_value("URL", "https://c/d?e=f:g@h"), "https://c/d?e=f:g@h");
    }
}
