//! How the conditions of a scenario are put together to sets.

use super::node::Node;
use super::problem::Problem;
use crate::model::{Condition, ConditionSet};

/// How conditions are put together. The baseline is always run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combine {
    /// Each entry by itself.
    #[default]
    Each,
    /// Each entry, and every two entries that can hold together.
    Pairs,
    /// All at once.
    All,
    /// A search among all of them: which smallest sets make a candidate fail? Only the baseline is run by itself.
    Why,
}

impl Combine {
    /// The word of a scenario file.
    pub(super) fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "pairs" => Self::Pairs,
            "all" => Self::All,
            "why" => Self::Why,
            _ => Self::Each,
        }
    }

    /// The sets to run, the baseline first.
    pub(super) fn sets(self, entries: &[Entry], problems: &mut Vec<Problem>) -> Vec<ConditionSet> {
        let mut sets = vec![ConditionSet::baseline()];
        let mut add = |set: ConditionSet| {
            if !sets.contains(&set) {
                sets.push(set);
            }
        };
        if matches!(self, Self::Each | Self::Pairs) {
            entries.iter().for_each(|entry| add(entry.set.clone()));
        }
        if self == Self::Pairs {
            for (i, first) in entries.iter().enumerate() {
                for second in &entries[i + 1..] {
                    let both = first.set.iter().chain(second.set.iter()).cloned();
                    ConditionSet::new(both).into_iter().for_each(&mut add);
                }
            }
        }
        if matches!(self, Self::All | Self::Why) {
            let word = if self == Self::All { "all" } else { "why" };
            let mut whole = ConditionSet::baseline();
            for (condition, node) in entries.iter().flat_map(|entry| &entry.conditions) {
                match ConditionSet::new(whole.iter().chain([condition]).cloned()) {
                    Ok(set) => whole = set,
                    Err(messages) => {
                        problems.extend(messages.into_iter().map(|m| node.problem(format!("combine: {word}: {m}"))));
                    }
                }
            }
            if self == Self::All {
                add(whole);
            }
        }
        sets
    }
}

/// An entry of `conditions`.
pub(super) struct Entry {
    /// Its conditions as a set.
    pub(crate) set: ConditionSet,
    conditions: Vec<(Condition, Node)>,
}

/// Reads the list; what is wrong is added to `problems`.
pub(super) fn entries(list: Option<&Node>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for item in list.map(Node::items).unwrap_or_default() {
        let mut set = ConditionSet::baseline();
        let mut conditions = Vec::new();
        let before = problems.len();
        for node in item.items() {
            let condition: Condition = match node.text().parse() {
                Ok(condition) => condition,
                Err(e) => {
                    problems.push(node.problem(format!("{e}")));
                    continue;
                }
            };
            if set.has(&condition) {
                problems.push(node.problem(format!("duplicate condition `{}`", condition.name())));
            }
            match ConditionSet::new(set.iter().chain([&condition]).cloned()) {
                Ok(larger) => set = larger,
                Err(messages) => problems.extend(messages.into_iter().map(|message| node.problem(message))),
            }
            conditions.push((condition, node.clone()));
        }
        if item.items().is_empty() {
            problems.push(item.problem("empty list of conditions; the baseline always runs"));
        } else if problems.len() == before && entries.iter().any(|entry| entry.set == set) {
            problems.push(item.problem("duplicate set of conditions"));
        }
        // What is left of an entry without its mistakes may be nothing.
        if !set.is_empty() {
            entries.push(Entry { set, conditions });
        }
    }
    entries
}
