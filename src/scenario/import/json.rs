//! A JSON document with paths and places.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::draft::{Field, Origin};
use crate::scenario::node::{self, Entry, Node};
use crate::scenario::problem::{Place, Problem};

/// An object and its place.
#[derive(Clone)]
pub(crate) struct Object<'a> {
    path: String,
    map: &'a serde_json::Map<String, Value>,
    /// The same with places.
    node: Option<&'a Node>,
}

/// The type of a value in words.
fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Appends a key to a path.
fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Object<'a> {
    /// Expects an object; `node` is the same value with its places, if known.
    pub(crate) fn of(
        value: &'a Value,
        node: Option<&'a Node>,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self { path: path.to_owned(), map, node }),
            other => {
                problems.push(wrong(&origin(path.to_owned(), node), "an object", other));
                None
            }
        }
    }

    /// The path of a key in it.
    pub(crate) fn path_of(&self, key: &str) -> String {
        below(&self.path, key)
    }

    /// An error about the whole object.
    pub(crate) fn problem(&self, message: &str) -> Problem {
        origin(self.path.clone(), self.node).problem(message)
    }

    /// An error about a missing key.
    pub(crate) fn missing(&self, key: &str) -> Problem {
        origin(self.path_of(key), self.node).problem("missing")
    }

    /// Whether it has the key with a non-empty value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Whether it has the key at all, if only with null.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// The value of a key; null counts as absent.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The entry of a key with its places; the last one counts, as in JSON.
    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.node?.entries().iter().rev().find(|entry| entry.key == key)
    }

    fn node_of(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    fn origin_of(&self, key: &str) -> Origin {
        origin(self.path_of(key), self.node_of(key))
    }

    /// An object under a key.
    pub(crate) fn object(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        Self::of(self.value(key)?, self.node_of(key), &self.path_of(key), problems)
    }

    /// A text under a key.
    pub(crate) fn text(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Field> {
        match self.value(key)? {
            Value::String(text) => Some(Field { text: text.clone(), from: self.origin_of(key) }),
            other => {
                problems.push(wrong(&self.origin_of(key), "a string", other));
                None
            }
        }
    }

    /// A number under a key, or a string: AWS writes some numbers as strings.
    pub(crate) fn number(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Field> {
        let text = match self.value(key)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            other => {
                problems.push(wrong(&self.origin_of(key), "a number or a string", other));
                return None;
            }
        };
        Some(Field { text, from: self.origin_of(key) })
    }

    /// The names and strings of an object under a key, in order.
    pub(crate) fn texts(&self, key: &str, problems: &mut Vec<Problem>) -> Vec<(String, String, Origin)> {
        let Some(object) = self.object(key, problems) else { return Vec::new() };
        let mut all = Vec::new();
        for (name, value) in object.map {
            // An invalid name may be part of a pasted secret.
            let shown = crate::model::condition::variable_name(name).is_ok() || name.starts_with("AWSAPPRUNNER");
            let path = if shown { object.path_of(name) } else { object.path.clone() };
            match value {
                Value::String(text) => {
                    let place = object.entry(name).map(|entry| entry.place);
                    all.push((name.clone(), text.clone(), Origin { path, place: place.map(pair) }));
                }
                other => problems.push(wrong(&origin(path, object.node_of(name)), "a string", other)),
            }
        }
        all
    }
}

fn pair(place: Place) -> (usize, usize) {
    (place.line, place.column)
}

fn origin(path: String, node: Option<&Node>) -> Origin {
    Origin { path, place: node.map(|node| pair(node.place)) }
}

fn wrong(origin: &Origin, expected: &str, found: &Value) -> Problem {
    origin.problem(&format!("expected {expected}, not {}", what(found)))
}

/// Keys whose values may contain a credential.
const PRIVATE: [&str; 4] = ["RuntimeEnvironmentVariables", "RuntimeEnvironmentSecrets", "StartCommand", "BuildCommand"];

/// The lines of a JSON document that may be shown; a line with a possible credential is empty, as is one with several
/// values of which one may be a credential.
pub(crate) fn shown(text: &str, root: &Node) -> String {
    let (mut private, mut values) = (BTreeSet::new(), BTreeMap::new());
    lines(root, false, &mut private, &mut values);
    let hidden = |line: usize| private.contains(&line) || values.get(&line).is_some_and(|count| *count > 1);
    text.split_inclusive('\n').enumerate().map(|(n, line)| if hidden(n + 1) { "\n" } else { line }).collect()
}

/// Collects the lines with private values, and the number of scalars per line. A JSON value never spans lines.
fn lines(node: &Node, is_private: bool, private: &mut BTreeSet<usize>, values: &mut BTreeMap<usize, usize>) {
    if is_private {
        private.insert(node.place.line);
    }
    if node.is_scalar() {
        *values.entry(node.place.line).or_default() += 1;
    }
    for entry in node.entries() {
        let is_private = is_private || PRIVATE.contains(&entry.key.as_str());
        if is_private {
            private.insert(entry.place.line);
        }
        lines(&entry.node, is_private, private, values);
    }
    if let node::Value::List(items) = &node.value {
        items.iter().for_each(|item| lines(item, is_private, private, values));
    }
}
