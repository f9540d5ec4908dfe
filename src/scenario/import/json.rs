//! A JSON document with the path of everything in it.

use serde_json::Value;

use super::draft::{Field, Origin};
use crate::scenario::problem::Problem;

/// An object and where it stands.
#[derive(Clone)]
pub struct Object<'a> {
    path: String,
    map: &'a serde_json::Map<String, Value>,
}

/// What a value is, in words.
fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn origin(path: String) -> Origin {
    Origin { path, place: None }
}

/// A path that is continued by a key.
fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Object<'a> {
    /// A value that must be an object.
    pub fn of(value: &'a Value, path: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self { path: path.to_owned(), map }),
            other => {
                problems.push(wrong(path, "an object", other));
                None
            }
        }
    }

    /// Where something of it stands.
    pub fn path_of(&self, key: &str) -> String {
        below(&self.path, key)
    }

    /// True when it has the key, with something in it.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// What stands under a key; null is nothing.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// An object under a key.
    pub fn object(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        Self::of(self.value(key)?, &self.path_of(key), problems)
    }

    /// A text under a key.
    pub fn text(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Field> {
        match self.value(key)? {
            Value::String(text) => Some(Field { text: text.clone(), from: origin(self.path_of(key)) }),
            other => {
                problems.push(wrong(&self.path_of(key), "a text", other));
                None
            }
        }
    }

    /// A number under a key, or a text: AWS writes some numbers as texts.
    pub fn number(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Field> {
        let text = match self.value(key)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            other => {
                problems.push(wrong(&self.path_of(key), "a number or a text", other));
                return None;
            }
        };
        Some(Field { text, from: origin(self.path_of(key)) })
    }

    /// The names and texts of an object under a key, in their order.
    pub fn texts(&self, key: &str, problems: &mut Vec<Problem>) -> Vec<(String, String, Origin)> {
        let Some(object) = self.object(key, problems) else { return Vec::new() };
        let mut all = Vec::new();
        for (name, value) in object.map {
            // A name that is none may be a part of a secret that was pasted there.
            let shown = crate::model::condition::variable_name(name).is_ok() || name.starts_with("AWSAPPRUNNER");
            let path = if shown { object.path_of(name) } else { object.path.clone() };
            match value {
                Value::String(text) => all.push((name.clone(), text.clone(), origin(path))),
                other => problems.push(wrong(&path, "a text", other)),
            }
        }
        all
    }
}

fn wrong(path: &str, expected: &str, found: &Value) -> Problem {
    let message = format!("{expected} is expected here, not {}", what(found));
    Problem::of_file(if path.is_empty() { message } else { format!("{path}: {message}") })
}
