//! A document as a tree in which every key and value has its place.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::problem::{Place, Problem};
use crate::model::units::parse_duration;

/// A value with its place. It has no `Debug`: values may be secrets.
#[derive(Clone)]
pub(crate) struct Node {
    /// Where it begins; for an alias, the place of the alias.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) value: Value,
}

/// The content of a node.
#[derive(Clone)]
pub(crate) enum Value {
    /// No value.
    Null,
    /// A string, a number, a boolean.
    Scalar {
        /// As it is written, without quotes.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, with its keys in order, possibly with duplicates.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// The place of the key.
    pub(crate) place: Place,
    /// The value.
    pub(crate) node: Node,
}

impl Node {
    /// An empty mapping.
    pub(crate) fn empty() -> Self {
        Self { place: Place::default(), value: Value::Map(Vec::new()) }
    }

    /// The entry of a key in a mapping.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of a key in a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The entries of a mapping.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The elements of a list; any other value is a list of one.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> &str {
        match &self.value {
            Value::Scalar { text, .. } => text,
            _ => "",
        }
    }

    /// Whether it is a scalar.
    pub(crate) fn is_scalar(&self) -> bool {
        matches!(self.value, Value::Scalar { .. })
    }

    /// An error at the place of this value.
    pub(crate) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::of(self.place, message)
    }

    /// The value as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Scalar { text, plain: false } => text.as_str().into(),
            Value::Scalar { text, plain: true } => plain(text),
            Value::List(items) => items.iter().map(Node::json).collect(),
            Value::Map(entries) => entries.iter().map(|e| (e.key.clone(), e.node.json())).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    /// From a document without places, in which every scalar is a string.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(OfValue)?;
        Ok(Self { place: Place::default(), value })
    }
}

struct OfValue;

impl<'de> Visitor<'de> for OfValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a list, a mapping or null")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Scalar { text: text.to_owned(), plain: false })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some((key, node)) = entries.next_entry()? {
            all.push(Entry { key, place: Place::default(), node });
        }
        Ok(Value::Map(all))
    }
}

/// A number whose range has been checked.
pub(super) fn number<T: std::str::FromStr + Default>(written: &Node) -> T {
    written.text().parse().unwrap_or_default()
}

/// A time whose range has been checked.
pub(super) fn time(written: Option<&Node>, default: Duration) -> Duration {
    written.and_then(|written| parse_duration(written.text()).ok()).unwrap_or(default)
}

/// A mapping of variables whose names have been checked.
pub(super) fn variables(written: Option<&Node>) -> BTreeMap<String, String> {
    let entries = written.map(Node::entries).unwrap_or_default().iter();
    entries.map(|entry| (entry.key.clone(), entry.node.text().to_owned())).collect()
}

/// Converts a plain scalar (<https://yaml.org/spec/1.2.2/#103-core-schema>). Digits after a leading zero stay a string:
/// people do not mean a number.
fn plain(text: &str) -> serde_json::Value {
    match text {
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || ".eE+-".contains(c));
    if leading_zero || !numeric {
        return text.into();
    }
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    let float = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    float.map_or_else(|| text.into(), serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn plain_scalars_convert_to_json() {
        let cases = [("1", "1"), ("-1.5", "-1.5"), ("1e3", "1000.0"), ("true", "true"), ("FALSE", "false")];
        for (text, json) in cases {
            assert_eq!(plain(text).to_string(), json);
        }
        for text in ["007", "+15550100x", "1.2.3", "yes", ".", "e1", "-"] {
            assert_eq!(plain(text), text);
        }
    }
}
