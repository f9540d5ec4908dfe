//! Variables of the environment: `env.*`.

use std::fmt;

use super::kind::Each;
use super::{Argument, Changes, Condition, Family, Kind};
use crate::model::redact::{REDACTED, shown_value};

/// A variable that differs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Env {
    /// The variable.
    pub(crate) name: String,
    /// What becomes of it.
    pub(crate) change: EnvChange,
}

/// What becomes of a variable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum EnvChange {
    /// It is missing.
    Unset,
    /// It is there and empty.
    Empty,
    /// It has this value.
    Set(EnvValue),
    /// Its value has quotes around it that are a part of it.
    Quoted,
    /// Its value ends in a line break.
    Newline,
    /// It holds a JSON document in which its value has the variable's name as its key.
    Json,
    /// A repair: without the quotes around its value, and without white space at the ends.
    Bare,
    /// A repair: the characters `\\n` in its value are line breaks.
    Unescaped,
    /// A repair: the value that its JSON document has under this key.
    Key(String),
    /// A repair: the URL in it begins with this scheme.
    Scheme(String),
}

/// The value that stands for a variable that is missing. It is no secret, whatever its variable is called.
pub(crate) const STAND_IN: &str = "stand-in";

/// The value that a condition gives to a variable, and whether it may be shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EnvValue {
    /// The value.
    pub(crate) text: String,
    /// True when it is never shown: the name is among the service's secrets.
    pub(crate) secret: bool,
}

static UNSET: Kind =
    Kind::new("env.unset", Argument::Required("NAME"), "a variable is missing", |w| of(w.argument, EnvChange::Unset))
        .for_each(Each::Variable);
static EMPTY: Kind =
    Kind::new("env.empty", Argument::Required("NAME"), "a variable is empty", |w| of(w.argument, EnvChange::Empty))
        .for_each(Each::Variable);
static SET: Kind = Kind::new("env.set", Argument::Required("NAME=VALUE"), "a variable has this value", |w| {
    let (name, value) = w.pair("NAME=VALUE")?;
    of(name, EnvChange::Set(EnvValue { text: value.to_owned(), secret: false }))
});
static QUOTED: Kind =
    Kind::new("env.quoted", Argument::Required("NAME"), "a variable's value has quotes around it", |w| {
        of(w.argument, EnvChange::Quoted)
    })
    .for_each(Each::Variable);
static NEWLINE: Kind =
    Kind::new("env.newline", Argument::Required("NAME"), "a variable's value ends in a line break", |w| {
        of(w.argument, EnvChange::Newline)
    })
    .for_each(Each::Secret);
static JSON: Kind =
    Kind::new("env.json", Argument::Required("NAME"), "a variable holds the secret's whole JSON document", |w| {
        of(w.argument, EnvChange::Json)
    })
    .for_each(Each::Secret);
pub(super) const KINDS: &[&Kind] = &[&UNSET, &EMPTY, &SET, &QUOTED, &NEWLINE, &JSON];

static BARE: Kind = Kind::new(
    "env.bare",
    Argument::Required("NAME"),
    "a variable's value has neither quotes around it nor white space at its ends",
    |w| of(w.argument, EnvChange::Bare),
);
static UNESCAPED: Kind =
    Kind::new("env.unescaped", Argument::Required("NAME"), "`\\n` in a variable's value are line breaks", |w| {
        of(w.argument, EnvChange::Unescaped)
    });
static KEY: Kind =
    Kind::new("env.key", Argument::Required("NAME=KEY"), "a variable has one value of its JSON document", |w| {
        let (name, key) = w.pair("NAME=KEY")?;
        of(name, EnvChange::Key(key.to_owned()))
    });
static SCHEME: Kind =
    Kind::new("env.scheme", Argument::Required("NAME=SCHEME"), "a URL in a variable begins with this scheme", |w| {
        let (name, scheme) = w.pair("NAME=SCHEME")?;
        of(name, EnvChange::Scheme(scheme.to_owned()))
    });
pub(super) const REPAIRS: &[&Kind] = &[&BARE, &UNESCAPED, &KEY, &SCHEME];

fn of(name: &str, change: EnvChange) -> Result<Condition, String> {
    Ok(Condition::Env(Env { name: variable_name(name)?, change }))
}

/// Accepts what a process can have as a variable's name.
///
/// # Errors
/// A sentence that says what is wrong with the name.
pub(crate) fn variable_name(name: &str) -> Result<String, String> {
    let good = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if !good {
        // What is no name may be a part of a secret that was pasted here.
        let plain = name.len() <= 32 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let quoted = if plain && !name.is_empty() { format!("`{name}` is") } else { "this is".to_owned() };
        return Err(format!("{quoted} not a variable's name"));
    }
    if name.to_ascii_uppercase().starts_with("AWSAPPRUNNER") {
        // https://docs.aws.amazon.com/apprunner/latest/api/API_ImageConfiguration.html
        return Err(format!("`{name}`: App Runner refuses names that begin with AWSAPPRUNNER"));
    }
    Ok(name.to_owned())
}

/// The value stays out: it may be a secret.
impl fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvValue(…)")
    }
}

impl EnvValue {
    /// The value as it may be shown.
    #[must_use]
    pub(crate) fn shown(&self, name: &str) -> String {
        if self.text == STAND_IN {
            return self.text.clone();
        }
        if self.secret && !self.text.is_empty() { REDACTED.to_owned() } else { shown_value(name, &self.text) }
    }
}

impl EnvChange {
    /// The value of a variable that had `now`; `None` where it has none, or there is none to change.
    #[must_use]
    pub(crate) fn apply(&self, name: &str, now: Option<String>) -> Option<String> {
        match self {
            Self::Unset => None,
            Self::Empty => Some(String::new()),
            Self::Set(value) => Some(value.text.clone()),
            Self::Quoted => now.map(|value| format!("\"{value}\"")),
            Self::Newline => now.map(|value| value + "\n"),
            Self::Json => {
                let document = |value| serde_json::json!({ name: serde_json::Value::String(value) }).to_string();
                now.map(document)
            }
            Self::Bare => now.map(|value| bare(&value).to_owned()),
            Self::Unescaped => now.map(|value| value.replace("\\r\\n", "\n").replace("\\n", "\n")),
            Self::Key(key) => now.and_then(|value| of_document(&value, key)),
            Self::Scheme(scheme) => {
                now.map(|value| value.split_once("://").map_or(value.clone(), |(_, rest)| format!("{scheme}://{rest}")))
            }
        }
    }

    /// True when it does nothing to a variable that is not there.
    #[must_use]
    pub(crate) fn needs_a_value(&self) -> bool {
        !matches!(self, Self::Set(_) | Self::Empty)
    }
}

/// A value without white space at its ends and without the quotes around it.
fn bare(value: &str) -> &str {
    let value = value.trim();
    let of_pair = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    of_pair('"').or_else(|| of_pair('\'')).unwrap_or(value)
}

/// The value under a key of a JSON document.
fn of_document(document: &str, key: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(document).ok()?;
    match document.get(key)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

impl Family for Env {
    fn kind(&self) -> &'static Kind {
        match self.change {
            EnvChange::Unset => &UNSET,
            EnvChange::Empty => &EMPTY,
            EnvChange::Set(_) => &SET,
            EnvChange::Quoted => &QUOTED,
            EnvChange::Newline => &NEWLINE,
            EnvChange::Json => &JSON,
            EnvChange::Bare => &BARE,
            EnvChange::Unescaped => &UNESCAPED,
            EnvChange::Key(_) => &KEY,
            EnvChange::Scheme(_) => &SCHEME,
        }
    }

    fn argument(&self) -> String {
        match &self.change {
            EnvChange::Set(value) => format!(":{}={}", self.name, value.shown(&self.name)),
            EnvChange::Key(text) | EnvChange::Scheme(text) => format!(":{}={text}", self.name),
            _ => format!(":{}", self.name),
        }
    }

    fn slot(&self) -> Option<String> {
        // The platform's host name conditions inject it.
        let hostname = self.name == "HOSTNAME";
        Some(if hostname { "the host name".to_owned() } else { format!("the variable {}", self.name) })
    }

    fn words(&self) -> String {
        let name = &self.name;
        match &self.change {
            EnvChange::Unset => format!("{name} is missing"),
            EnvChange::Empty => format!("{name} is empty"),
            EnvChange::Set(value) => format!("{name}={}", value.shown(name)),
            EnvChange::Quoted => format!("{name} has quotes around its value"),
            EnvChange::Newline => format!("{name} ends in a line break"),
            EnvChange::Json => format!("{name} is a JSON document"),
            EnvChange::Bare => format!("{name} has neither quotes around it nor white space at its ends"),
            EnvChange::Unescaped => format!("{name} has line breaks in place of `\\n`"),
            EnvChange::Key(key) => format!("{name} is the value of {key}"),
            EnvChange::Scheme(scheme) => format!("{name} begins with {scheme}://"),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        changes.container.env.insert(self.name.clone(), self.change.clone());
    }

    fn is_covered_by(&self, failing: &Condition) -> bool {
        let same = failing.variable().is_some_and(|known| known.name == self.name);
        same && !matches!(self.change, EnvChange::Set(_))
    }
}
