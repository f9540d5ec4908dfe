//! The format of files: one table of keys, used by the readers and for the JSON Schema.

use std::time::Duration;

use super::node::{Entry, Node, Value};
use super::problem::Problem;
use crate::model::condition::{nearest, variable_name};
use crate::model::units::parse_duration;

/// Maximum duration in a scenario.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// The type of a value.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// A text.
    Text,
    /// A string, a number, or a boolean, as written.
    Scalar,
    /// An integer in a range, inclusive.
    Whole(u32, u32),
    /// A port number.
    Port,
    /// A duration of at least this many milliseconds and at most an hour.
    Time(u64),
    /// One of these words, case-insensitive.
    Word(&'static [&'static str]),
    /// Any JSON value.
    Json,
    /// A list.
    List(&'static Shape),
    /// One value or a list of them.
    OneOrMany(&'static Shape),
    /// A text or a mapping.
    TextOr(&'static [Key]),
    /// A mapping with these keys.
    Map(&'static [Key]),
    /// A mapping whose keys are names of variables.
    Variables,
    /// A mapping with any keys.
    Named(&'static Shape),
}

/// A key of a mapping.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// The key's name.
    pub(crate) name: &'static str,
    /// The type of its value.
    pub(crate) shape: Shape,
    /// Its description.
    pub(crate) about: &'static str,
    /// Whether it is required.
    pub(crate) required: bool,
}

impl Key {
    /// An optional key.
    pub(crate) const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, about, required: false }
    }

    /// A required key.
    pub(crate) const fn required(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, about, required: true }
    }
}

/// Removes values of the wrong shape and reports them in `problems`. `None` if the whole value is wrong.
pub(crate) fn check(node: Node, shape: Shape, key: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    if let Some(message) = wrong(&node, shape, key) {
        problems.push(node.problem(message));
        return None;
    }
    let Node { place, value } = node;
    let value = match (value, shape) {
        (Value::List(items), Shape::List(inner) | Shape::OneOrMany(inner)) => {
            Value::List(items.into_iter().filter_map(|item| check(item, *inner, key, problems)).collect())
        }
        (value, Shape::OneOrMany(inner)) => return check(Node { place, value }, *inner, key, problems),
        (Value::Map(entries), Shape::Map(keys) | Shape::TextOr(keys)) => {
            let (entries, unknown) = known(entries, keys, problems);
            for key in keys.iter().filter(|key| key.required) {
                let meant = |name: &&String| nearest(name, keys.iter().map(|k| k.name)) == Some(key.name);
                if entries.iter().all(|entry| entry.key != key.name) && !unknown.iter().any(|name| meant(&name)) {
                    problems.push(Problem::of(place, format!("missing key `{}`", key.name)));
                }
            }
            let shape_of = |name: &str| keys.iter().find(|key| key.name == name).map(|key| key.shape);
            let entries = entries.into_iter().filter_map(|entry| {
                let node = check(entry.node, shape_of(&entry.key)?, &entry.key, problems)?;
                Some(Entry { node, ..entry })
            });
            Value::Map(entries.collect())
        }
        (Value::Map(entries), Shape::Variables) => {
            let mut good = Vec::new();
            for entry in once(entries, problems) {
                if let Err(message) = variable_name(&entry.key) {
                    problems.push(Problem::of(entry.place, message));
                }
                if let Some(node) = check(entry.node, Shape::Scalar, &entry.key, problems) {
                    good.push(Entry { node, ..entry });
                }
            }
            Value::Map(good)
        }
        (Value::Map(entries), Shape::Named(inner)) => {
            let mut good = Vec::new();
            for entry in once(entries, problems) {
                if let Some(node) = check(entry.node, *inner, &entry.key, problems) {
                    good.push(Entry { node, ..entry });
                }
            }
            Value::Map(good)
        }
        (value, _) => value,
    };
    Some(Node { place, value })
}

/// The error if a value as a whole has the wrong type.
fn wrong(node: &Node, shape: Shape, key: &str) -> Option<String> {
    let (scalar, list, map) =
        (node.is_scalar(), matches!(node.value, Value::List(_)), matches!(node.value, Value::Map(_)));
    let expected = match shape {
        Shape::Json => return None,
        Shape::Text | Shape::Scalar if map => {
            "expected a string; put one that contains `: `, or JSON, in single quotes"
        }
        Shape::Text | Shape::Scalar if !scalar => "expected a string",
        Shape::Whole(..) | Shape::Port if !scalar => "expected a number",
        Shape::Time(_) if !scalar => "expected a duration such as 5s",
        Shape::Word(_) if !scalar => "expected one word",
        Shape::List(_) if !list => "expected a list",
        Shape::Map(_) | Shape::Variables | Shape::Named(_) if !map => "expected a mapping (KEY: value)",
        Shape::TextOr(_) if !scalar && !map => "expected a string or a mapping (KEY: value)",
        _ => return out_of_range(node.text(), shape, key),
    };
    let nothing = if matches!(node.value, Value::Null) { format!("`{key}` has no value: ") } else { String::new() };
    Some(format!("{nothing}{expected}"))
}

/// The error if a scalar of the right kind has an invalid value.
fn out_of_range(text: &str, shape: Shape, key: &str) -> Option<String> {
    let number = text.parse::<u32>().ok();
    match shape {
        Shape::Whole(low, high) if !number.is_some_and(|n| (low..=high).contains(&n)) => {
            let has_unit = number.is_none() && parse_duration(text).is_ok();
            let unit = if has_unit { " of seconds, without a unit" } else { "" };
            Some(format!("{key} `{text}`: must be an integer from {low} to {high}{unit}"))
        }
        Shape::Port if !number.is_some_and(|n| (1..=65535).contains(&n)) => {
            Some(format!("{key} `{text}`: must be an integer from 1 to 65535"))
        }
        Shape::Time(least) => match parse_duration(text) {
            Err(message) => Some(message),
            Ok(time) if time > LONGEST => Some(format!("{key} `{text}` is more than an hour")),
            Ok(time) if time < Duration::from_millis(least) => Some(format!("{key} `{text}` is too short")),
            Ok(_) => None,
        },
        Shape::Word(words) if !words.iter().any(|word| word.eq_ignore_ascii_case(text)) => {
            let known = match words {
                [one] => format!("expected {one}"),
                [one, other] => format!("expected {one} or {other}"),
                many => format!("expected one of {}", many.join(", ")),
            };
            let near = nearest(text, words.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            Some(format!("{key} `{text}`: {known}{}", near.unwrap_or_default()))
        }
        _ => None,
    }
}

/// Removes duplicate keys and keeps the first.
fn once(entries: Vec<Entry>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut kept: Vec<Entry> = Vec::new();
    for entry in entries {
        if kept.iter().any(|known| known.key == entry.key) {
            problems.push(Problem::of(entry.place, format!("duplicate key `{}`", entry.key)));
        } else {
            kept.push(entry);
        }
    }
    kept
}

/// Keys of another kind of file: the key that shows which kind this one is, those that are misplaced in it, what to do.
const MISPLACED: [(&str, &[&str], &str); 4] = [
    ("health_check", &["service"], "in a service file, its keys stand at the top level"),
    (
        "health_check",
        &["candidates", "conditions", "build", "expect"],
        "it belongs in a scenario file, which `exitone run` reads",
    ),
    ("candidates", &["image"], "write `candidates: [IMAGE]`"),
    ("candidates", &["port", "env", "health_check", "start_command"], "it belongs under `service:`"),
];

/// What to do with a key that belongs elsewhere.
fn misplaced(key: &str, keys: &[Key]) -> Option<&'static str> {
    let is_here = |name: &str| keys.iter().any(|key| key.name == name);
    MISPLACED.iter().find(|(kind, wrong, _)| is_here(kind) && wrong.contains(&key)).map(|(_, _, what)| *what)
}

/// The entries with known keys, and the unknown keys.
fn known(entries: Vec<Entry>, keys: &[Key], problems: &mut Vec<Problem>) -> (Vec<Entry>, Vec<String>) {
    let names = || keys.iter().map(|key| key.name);
    let (known, unknown): (Vec<Entry>, Vec<Entry>) =
        once(entries, problems).into_iter().partition(|entry| names().any(|name| name == entry.key));
    for entry in &unknown {
        // Anything too long for a key may be a secret.
        let plain = entry.key.len() <= 32 && entry.key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        let key = if plain { format!("unknown key `{}`", entry.key) } else { "unknown key".to_owned() };
        problems.push(Problem::of(
            entry.place,
            match (misplaced(&entry.key, keys), nearest(&entry.key, names())) {
                (Some(what), _) => format!("{key}: {what}"),
                (None, Some(near)) => format!("{key}; did you mean `{near}`?"),
                (None, None) => format!("{key}; expected one of {}", names().collect::<Vec<_>>().join(", ")),
            },
        ));
    }
    (known, unknown.into_iter().map(|entry| entry.key).collect())
}
