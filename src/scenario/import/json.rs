//! A JSON document with the path of everything in it, and the place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::draft::{Field, Origin};
use crate::scenario::node::{self, Entry, Node};
use crate::scenario::problem::{Place, Problem};

/// An object and where it stands.
#[derive(Clone)]
pub(crate) struct Object<'a> {
    path: String,
    map: &'a serde_json::Map<String, Value>,
    /// The same with its places.
    node: Option<&'a Node>,
}

/// What a value is, in words.
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

/// A path that is continued by a key.
fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Object<'a> {
    /// A value that must be an object; `node` is the same value with its places, where those could be read.
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

    /// Where something of it stands.
    pub(crate) fn path_of(&self, key: &str) -> String {
        below(&self.path, key)
    }

    /// A mistake of the object as a whole.
    pub(crate) fn problem(&self, message: &str) -> Problem {
        origin(self.path.clone(), self.node).problem(message)
    }

    /// A key that must be there is not.
    pub(crate) fn missing(&self, key: &str) -> Problem {
        origin(self.path_of(key), self.node).problem("missing")
    }

    /// True when it has the key, with something in it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// What stands under a key; null is nothing.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The entry of a key with its places; of two the last one counts, as in JSON.
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

    /// A number under a key, or a text: AWS writes some numbers as texts.
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

    /// The names and texts of an object under a key, in their order.
    pub(crate) fn texts(&self, key: &str, problems: &mut Vec<Problem>) -> Vec<(String, String, Origin)> {
        let Some(object) = self.object(key, problems) else { return Vec::new() };
        let mut all = Vec::new();
        for (name, value) in object.map {
            // A name that is none may be a part of a secret that was pasted there.
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

/// Keys under which a credential may stand.
const PRIVATE: [&str; 4] = ["RuntimeEnvironmentVariables", "RuntimeEnvironmentSecrets", "StartCommand", "BuildCommand"];

/// A JSON document as far as a person may be shown its lines: empty is a line with a value that may be a credential,
/// and one with several values, of which one may be.
pub(crate) fn shown(text: &str, root: &Node) -> String {
    let (mut private, mut values) = (BTreeSet::new(), BTreeMap::new());
    lines(root, false, &mut private, &mut values);
    let hidden = |line: usize| private.contains(&line) || values.get(&line).is_some_and(|count| *count > 1);
    text.split_inclusive('\n').enumerate().map(|(n, line)| if hidden(n + 1) { "\n" } else { line }).collect()
}

/// Takes note of the lines on which something private stands, and of how many scalars stand on each line. No value of
/// JSON goes on on another line.
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
