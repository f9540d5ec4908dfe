//! Conditions as the controller and a holder tell them to each other: exact. Everywhere else a condition is written as it
//! is shown, without secrets, and cannot be read back.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::Condition;
use crate::model::condition::{Env, EnvChange, EnvValue};

/// One condition.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Exact {
    /// `env.set`: its value may be redacted where it is shown, and begin or end in white space.
    Value { env: String, value: String, secret: bool },
    /// Any other is shown as it is.
    Text(String),
}

impl From<&Condition> for Exact {
    fn from(condition: &Condition) -> Self {
        match condition {
            Condition::Env(Env { name, change: EnvChange::Set(EnvValue { text, secret }) }) => {
                Self::Value { env: name.clone(), value: text.clone(), secret: *secret }
            }
            other => Self::Text(other.to_string()),
        }
    }
}

impl Exact {
    fn read<E: de::Error>(self) -> Result<Condition, E> {
        match self {
            Self::Value { env, value, secret } => {
                Ok(Condition::Env(Env { name: env, change: EnvChange::Set(EnvValue { text: value, secret }) }))
            }
            Self::Text(text) => text.parse().map_err(E::custom),
        }
    }
}

/// Writes one condition.
pub(crate) fn serialize<S: Serializer>(condition: &Condition, serializer: S) -> Result<S::Ok, S::Error> {
    Exact::from(condition).serialize(serializer)
}

/// Reads one condition.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Condition, D::Error> {
    Exact::deserialize(deserializer)?.read()
}

/// Lists of conditions.
pub(crate) mod list {
    use super::{Condition, Deserialize, Deserializer, Exact, Serializer};

    /// Writes conditions.
    pub(crate) fn serialize<S: Serializer>(conditions: &[Condition], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(conditions.iter().map(Exact::from))
    }

    /// Reads conditions.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
        Vec::<Exact>::deserialize(deserializer)?.into_iter().map(Exact::read).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::condition::kinds;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line {
        #[serde(with = "super")]
        one: Condition,
        #[serde(with = "super::list")]
        all: Vec<Condition>,
    }

    #[test]
    fn every_condition_survives_the_line_unchanged() {
        let texts = kinds().map(|kind| match kind.example() {
            text if text.ends_with("NAME=10s") => text.replace("NAME", "db.internal"),
            text => text,
        });
        let special = [
            // Redacted where they are shown.
            "env.set:API_TOKEN=s3cret",
            "env.set:DATABASE_URL=postgres://app:pa55@db.internal/app",
            "egress.drop:except=db.internal,10.0.0.0/8",
            "dns.delay:1500ms@verify.twilio.com",
            "latency:1ms",
        ];
        let mut all: Vec<Condition> =
            texts.chain(special.map(ToOwned::to_owned)).map(|text| text.parse().expect("valid")).collect();
        let value = EnvValue { text: " with a line break\n".to_owned(), secret: false };
        all.push(Condition::Env(Env { name: "KEY".to_owned(), change: EnvChange::Set(value) }));
        let listed: Condition = "env.set:LICENSE=abc".parse().expect("valid");
        all.push(listed.with_secrets(&BTreeSet::from(["LICENSE".to_owned()])));
        for one in &all {
            let line = Line { one: one.clone(), all: all.clone() };
            let text = serde_json::to_string(&line).expect("written");
            assert_eq!(serde_json::from_str::<Line>(&text).expect("read"), line, "{one}");
        }
    }
}
