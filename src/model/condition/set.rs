//! Sets of conditions that can hold together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Changes, Condition};

/// Conditions that can hold together, in a fixed order.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, JsonSchema)]
pub struct ConditionSet(
    // In order, each once. A `BTreeSet` of one condition takes the room of eleven, and there are thousands of sets.
    #[schemars(with = "BTreeSet<Condition>")] Vec<Condition>,
);

impl ConditionSet {
    /// Puts conditions together.
    ///
    /// # Errors
    /// One sentence for each pair that excludes each other.
    pub fn new(conditions: impl IntoIterator<Item = Condition>) -> Result<Self, Vec<String>> {
        let set = in_order(conditions);
        // By slot, for a service may have hundreds of variables.
        let mut deciding: BTreeMap<String, Vec<(usize, &Condition)>> = BTreeMap::new();
        for (place, condition) in set.iter().enumerate() {
            if let Some(slot) = condition.family().slot() {
                deciding.entry(slot).or_default().push((place, condition));
            }
        }
        let mut clashes = Vec::new();
        for (slot, conditions) in &deciding {
            for (n, (i, a)) in conditions.iter().enumerate() {
                clashes.extend(conditions[n + 1..].iter().map(|(j, b)| (*i, *j, *a, *b, slot)));
            }
        }
        clashes.sort_by_key(|(i, j, ..)| (*i, *j));
        // By name: whether a value may be shown is not known yet.
        let problem = |(_, _, a, b, slot): &(usize, usize, &Condition, &Condition, &String)| {
            format!("`{}` and `{}` exclude each other: both decide {slot}", a.name(), b.name())
        };
        let problems: Vec<String> = clashes.iter().map(problem).collect();
        if problems.is_empty() { Ok(Self(set)) } else { Err(problems) }
    }

    /// The same set; values of variables that are among the secrets are never shown.
    #[must_use]
    pub(crate) fn with_secrets(self, secrets: &BTreeSet<String>) -> Self {
        Self(in_order(self.0.into_iter().map(|c| c.with_secrets(secrets))))
    }

    /// No condition at all.
    #[must_use]
    pub fn baseline() -> Self {
        Self::default()
    }

    /// True for the baseline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the conditions change about a run.
    #[must_use]
    pub(crate) fn changes(&self) -> Changes {
        Changes::of(&self.0)
    }

    /// The conditions in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    /// True when the set has this condition.
    #[must_use]
    pub(crate) fn has(&self, condition: &Condition) -> bool {
        self.0.binary_search(condition).is_ok()
    }

    /// True when every condition of this set is in the other.
    #[must_use]
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|condition| other.has(condition))
    }
}

fn in_order(conditions: impl IntoIterator<Item = Condition>) -> Vec<Condition> {
    let mut all: Vec<Condition> = conditions.into_iter().collect();
    all.sort();
    all.dedup();
    all.shrink_to_fit();
    all
}

impl Condition {
    /// True when the two cannot hold together: both decide the same thing, in different ways.
    #[must_use]
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            // Hundreds of variables are compared with each other.
            (Self::Env(one), Self::Env(another)) => one.name == another.name && self != other,
            _ => self != other && self.family().slot().is_some_and(|slot| other.family().slot() == Some(slot)),
        }
    }
}

impl<'de> Deserialize<'de> for ConditionSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let conditions = Vec::<Condition>::deserialize(deserializer)?;
        Self::new(conditions).map_err(|problems| serde::de::Error::custom(problems.join("; ")))
    }
}

impl fmt::Display for ConditionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("baseline");
        }
        for (i, condition) in self.0.iter().enumerate() {
            write!(f, "{}{condition}", if i == 0 { "" } else { " + " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Result<ConditionSet, Vec<String>> {
        ConditionSet::new(texts.iter().map(|t| t.parse().expect("valid")))
    }

    fn excludes(pair: [&str; 2]) -> bool {
        let [a, b] = pair.map(|text| text.parse::<Condition>().expect("valid"));
        assert_eq!(a.excludes(&b), b.excludes(&a), "{pair:?}");
        a.excludes(&b)
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        assert_eq!(
            set(&["egress.drop", "egress.reject", "dns.drop"]),
            Err(vec!["`egress.drop` and `egress.reject` exclude each other: both decide egress".to_owned()])
        );
        for pair in [
            ["env.unset:A", "env.empty:A"],
            ["env.json:A", "env.set:A=b"],
            ["env.unset:HOSTNAME", "hostname.platform"],
            ["dns.servfail@a.b", "dns.drop@a.b"],
            ["upstream.down:a.b", "upstream.slow:a.b=1s"],
            ["egress.drop:a.b", "upstream.refused:a.b"],
            ["metadata.none", "metadata.slow:1s"],
            ["cpu.limit:1", "cpu.limit:2"],
            ["egress.none", "egress.late:1s"],
        ] {
            assert_eq!(set(&pair).map_err(|e| e.len()), Err(1), "{pair:?}");
            assert!(excludes(pair), "{pair:?}");
        }
    }

    #[test]
    fn what_goes_together_is_kept_in_order() {
        let good = set(&["env.unset:B", "egress.drop", "env.unset:A"]).expect("fit together");
        assert_eq!(good.to_string(), "egress.drop + env.unset:A + env.unset:B");
        assert_eq!(ConditionSet::baseline().to_string(), "baseline");
        for pair in [
            ["dns.servfail@a.b", "dns.drop"],
            ["egress.drop:a.b", "egress.reject"],
            ["egress.drop:10.0.0.0/8", "egress.drop:a.b"],
            ["command.split", "command.no-entrypoint"],
            ["env.unset:A", "env.empty:B"],
            ["upstream.down:a.b", "upstream.down:c.d"],
            ["latency:1s", "egress.late:1s"],
        ] {
            assert!(set(&pair).is_ok() && !excludes(pair), "{pair:?}");
        }
    }
}
