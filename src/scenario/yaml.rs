//! YAML with places; no other file names the library.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::{Problem, Refused};
use crate::model::condition::nearest;

/// A larger file is refused unread (bytes).
pub const LARGEST: usize = 1 << 20;

/// A value and the place where it stands.
pub type Placed<T> = serde_saphyr::Spanned<T>;

/// Reads a document. An unknown key, a wrong type, a duplicate key is refused with its place.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Refused> {
    if text.len() > LARGEST {
        let message = format!("the file has {} bytes; no scenario needs more than {LARGEST}", text.len());
        return Err(Refused::new(file, "", vec![Problem::of_file(message)]));
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        let message = error.without_snippet().to_string();
        // The library adds the place to its words; it is shown by the excerpt.
        let message = in_our_words(message.split(" at line ").next().unwrap_or(&message).trim());
        let problem = match place {
            Some(place) => Problem::at(small(place.line()), small(place.column()), message),
            None => Problem::of_file(message),
        };
        Refused::new(file, text, vec![problem])
    })
}

/// The library's message in words for a person who writes a scenario.
fn in_our_words(message: &str) -> String {
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    if let Some((unknown, known)) = message.strip_prefix("unknown field ").and_then(|m| m.split_once(", expected ")) {
        let name = quoted(unknown);
        let known: Vec<&str> = known
            .trim_start_matches("one of ")
            .split([',', ' '])
            .map(|k| k.trim_matches('`'))
            .filter(|k| !k.is_empty())
            .collect();
        return match nearest(&name, known.iter().copied()) {
            Some(near) => format!("unknown key `{name}`; did you mean `{near}`?"),
            None => format!("unknown key `{name}`; known are {}", known.join(", ")),
        };
    }
    if let Some(rest) = message.strip_prefix("duplicate mapping key: ") {
        return format!("the key `{}` stands twice", rest.split(',').next().unwrap_or(rest));
    }
    if message.starts_with("missing field ") {
        return format!("the key `{}` is missing", quoted(message));
    }
    match message {
        "expected mapping start" => "a mapping (KEY: value) is expected here".to_owned(),
        "expected sequence start" => "a list is expected here".to_owned(),
        other => other.to_owned(),
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A mistake at the place of a value.
pub fn problem<T>(at: &Placed<T>, message: impl Into<String>) -> Problem {
    Problem::at(small(at.referenced.line()), small(at.referenced.column()), message)
}

/// A scalar as text, whether it is written as a string, a number or a boolean: `port: 8000` and `port: "8000"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A plain scalar of YAML is given as the text that was written.
        String::deserialize(deserializer).map(Self)
    }
}

/// One value or a list of them.
#[derive(Clone, Debug)]
pub struct OneOrMany(pub Vec<Placed<String>>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a condition or a list of conditions")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(vec![text.to_owned()])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(all)
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(A::Error::custom("a condition with `: ` in it must be written in quotes"))
            }
        }
        struct Whole(Vec<String>);
        impl<'de> Deserialize<'de> for Whole {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Any).map(Self)
            }
        }
        let placed = Placed::<Whole>::deserialize(deserializer)?;
        let (referenced, defined) = (placed.referenced, placed.defined);
        Ok(Self(placed.value.0.into_iter().map(|value| Placed { value, referenced, defined }).collect()))
    }
}
