//! Combines the conditions of a scenario into sets.

use super::node::Node;
use super::problem::Problem;
use crate::model::{Condition, ConditionSet};

/// How conditions are combined. The baseline always runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combine {
    /// Each entry by itself.
    #[default]
    Each,
    /// Each entry, and every pair of compatible entries.
    Pairs,
    /// All of them at once.
    All,
    /// A search for the minimal failing sets among all of them. Only the baseline runs by itself.
    Why,
}

impl Combine {
    /// Parses the word of a scenario file.
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

/// The entry that stands for everything that is in force for the service.
const DEPLOYED: &str = "deployed";

/// The entry that asks for everything that is in force for the service, if there is one.
pub(super) fn deployed(list: Option<&Node>) -> Option<&Node> {
    list?.items().iter().find(|item| item.is_scalar() && item.text() == DEPLOYED)
}

/// Reads the list; adds errors to `problems`.
pub(super) fn entries(list: Option<&Node>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for item in list.map(Node::items).unwrap_or_default() {
        if item.is_scalar() && item.text() == DEPLOYED {
            continue;
        }
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
        // An entry may be empty without its invalid conditions.
        if !set.is_empty() {
            entries.push(Entry { set, conditions });
        }
    }
    entries
}
