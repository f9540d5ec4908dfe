//! Describes a table of results in sentences: what each version does, and the first bad one.

use std::borrow::Borrow;

use super::view;
use crate::model::outcome::{CaseResult, Cause, Outcome, Verdict};
use crate::model::{Condition, ConditionSet};
use crate::search::table::{FirstBad, first_bad, minimal};

/// A minimal failing set of a version.
#[derive(Clone, Debug)]
pub(crate) struct FailingSet {
    /// The conditions.
    pub(crate) conditions: ConditionSet,
    /// How it failed, in a few words (`exit 1`).
    pub(crate) signature: String,
    /// How it ended.
    pub(crate) outcome: Option<Outcome>,
    /// The exit code, if the process ended.
    pub(crate) exit_code: Option<i64>,
    /// The causes.
    pub(crate) causes: Vec<Cause>,
}

/// What the runs show about one version.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// The image's name.
    pub(crate) image: String,
    /// Its name in sentences: the short one, where that is unambiguous.
    pub(crate) name: String,
    /// Pass only if every case passed.
    pub(crate) verdict: Verdict,
    /// The minimal failing sets among those that were run.
    pub(crate) sets: Vec<FailingSet>,
    /// Cases that were healthy but failed a request afterwards: the set, and the request's result.
    pub failed_checks: Vec<(ConditionSet, String)>,
    /// Number of cases that passed.
    pub(crate) passed: usize,
    /// Number of unresolved cases.
    pub(crate) unresolved: usize,
    /// The cause, if the image is for another architecture and can never run on the platform.
    pub wrong_architecture: Option<Cause>,
}

/// The first bad version under a set of conditions.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The conditions.
    pub(crate) conditions: ConditionSet,
    /// The first bad image; `None` when images before it are unresolved.
    pub(crate) image: Option<String>,
    /// The good one before it.
    pub(crate) last_good: Option<String>,
    /// The images one of which is the first bad one, if it is unknown which.
    pub(crate) any_of: Vec<String>,
}

/// A description of a table of results.
#[derive(Clone, Debug)]
pub struct Story {
    /// The versions, in the order of the table.
    pub(crate) versions: Vec<Version>,
    /// The failing sets that all versions share, except images for another architecture.
    pub(crate) common: Vec<FailingSet>,
    /// The first bad version, for each set of conditions that has one.
    pub first_bad: Vec<Transition>,
}

impl Story {
    /// Describes a table: `images` in order, `results` in any order.
    #[must_use]
    pub fn of(images: &[String], results: &[impl Borrow<CaseResult>]) -> Self {
        let results: &[&CaseResult] = &results.iter().map(Borrow::borrow).collect::<Vec<_>>();
        let versions: Vec<Version> = images.iter().map(|image| version(image, images, results)).collect();
        Self { common: common(&versions), versions, first_bad: transitions(images, results) }
    }
}

fn died(result: &CaseResult) -> bool {
    result.verdict == Verdict::Fail && result.outcome != Some(Outcome::Healthy)
}

fn version(image: &str, images: &[String], results: &[&CaseResult]) -> Version {
    let own: Vec<&CaseResult> = results.iter().copied().filter(|r| r.image == image).collect();
    let failing: Vec<&ConditionSet> = own.iter().filter(|r| died(r)).map(|r| &r.conditions).collect();
    let smallest = minimal(&failing, ConditionSet::is_subset);
    let sets = own
        .iter()
        .filter(|r| died(r) && smallest.contains(&&r.conditions))
        .map(|r| FailingSet {
            conditions: r.conditions.clone(),
            signature: r.cell(),
            outcome: r.outcome.clone(),
            exit_code: r.exit_code,
            causes: r.causes.clone(),
        })
        .collect();
    let failed_checks = own
        .iter()
        .filter(|r| r.outcome == Some(Outcome::Healthy))
        .filter_map(|r| {
            let check = r.checks.iter().find(|c| !c.passed)?;
            Some((r.conditions.clone(), format!("{}: {}", check.name, check.text)))
        })
        .collect();
    let unresolved = own.iter().filter(|r| r.verdict == Verdict::Unresolved).count();
    let passed = own.iter().filter(|r| r.verdict == Verdict::Pass).count();
    let failed = own.iter().any(|r| r.verdict == Verdict::Fail);
    let wrong_architecture = own.iter().flat_map(|r| &r.causes).find(|c| c.id == "arch-mismatch").cloned();
    let verdict = match (failed, unresolved) {
        (true, _) => Verdict::Fail,
        (false, 0) => Verdict::Pass,
        _ => Verdict::Unresolved,
    };
    let name = view::name(image, images).to_owned();
    Version { image: image.to_owned(), name, verdict, sets, failed_checks, passed, unresolved, wrong_architecture }
}

/// The failing sets that all versions share, except images for another architecture.
fn common(versions: &[Version]) -> Vec<FailingSet> {
    let mut running = versions.iter().filter(|v| v.wrong_architecture.is_none());
    let Some(first) = running.next() else { return Vec::new() };
    let rest: Vec<&Version> = running.collect();
    let alike = |set: &&FailingSet| {
        let same = |other: &FailingSet| other.conditions == set.conditions && verb(other) == verb(set);
        !rest.is_empty() && rest.iter().all(|v| v.sets.iter().any(same))
    };
    first.sets.iter().filter(|set| !set.conditions.is_empty()).filter(alike).cloned().collect()
}

fn transitions(images: &[String], results: &[&CaseResult]) -> Vec<Transition> {
    let mut sets: Vec<&ConditionSet> = Vec::new();
    for result in results {
        if !sets.contains(&&result.conditions) {
            sets.push(&result.conditions);
        }
    }
    let transition = |set: &&ConditionSet| {
        let row: Vec<(&String, Option<bool>)> = images
            .iter()
            // An image for another architecture is bad for a different reason.
            .filter(|image| {
                !results.iter().any(|r| r.image == **image && r.causes.iter().any(|c| c.id == "arch-mismatch"))
            })
            .map(|image| {
                let result = results.iter().find(|r| r.image == *image && r.conditions == **set);
                let good = match result {
                    Some(r) if died(r) => Some(false),
                    Some(r) if r.verdict != Verdict::Unresolved => Some(true),
                    _ => None,
                };
                (image, good)
            })
            .collect();
        let goods: Vec<Option<bool>> = row.iter().map(|(_, good)| *good).collect();
        let name = |at: usize| row[at].0.clone();
        let conditions = (*set).clone();
        match first_bad(&goods) {
            FirstBad::At(bad) => Some(Transition {
                conditions,
                image: Some(name(bad)),
                last_good: Some(name(bad - 1)),
                any_of: Vec::new(),
            }),
            FirstBad::Among(first, bad) => Some(Transition {
                conditions,
                image: None,
                last_good: first.checked_sub(1).map(name),
                any_of: (first..=bad).map(name).collect(),
            }),
            FirstBad::All | FirstBad::None => None,
        }
    };
    sets.iter().filter_map(transition).collect()
}

/// Conditions in words.
#[must_use]
pub(crate) fn in_words(set: &ConditionSet) -> String {
    let words: Vec<String> = set.iter().map(Condition::words).collect();
    if words.is_empty() { "even under friendly conditions".to_owned() } else { words.join(" and ") }
}

impl Version {
    /// One sentence: `v20-otp-fix exits with code 1 when …`.
    #[must_use]
    pub(crate) fn sentence(&self) -> String {
        let name = &self.name;
        if let Some(cause) = &self.wrong_architecture {
            return format!("{name} exits with code 1 under every condition: {}", first_sentence(&cause.text));
        }
        let unresolved = || format!(" ({} unresolved)", view::plural(self.unresolved, "case"));
        let tail = if self.unresolved > 0 { unresolved() } else { String::new() };
        if self.sets.is_empty() && self.passed == 0 {
            return format!("{name}: no verdict{tail}.");
        }
        if self.sets.is_empty() {
            return format!("{name} starts and stays healthy under every condition that was tried{tail}.");
        }
        if let Some(always) = self.sets.iter().find(|s| s.conditions.is_empty()) {
            return format!("{name} {} even under friendly conditions{tail}.", verb(always));
        }
        format!("{name} {}{tail}.", clauses(&self.sets))
    }

    /// The sentence, without what all versions share.
    #[must_use]
    pub(crate) fn own_sentence(&self, common: &[FailingSet]) -> String {
        let own: Vec<FailingSet> =
            self.sets.iter().filter(|s| !common.iter().any(|c| c.conditions == s.conditions)).cloned().collect();
        if own.len() == self.sets.len() || self.wrong_architecture.is_some() {
            return self.sentence();
        }
        if own.is_empty() {
            let name = &self.name;
            return match self.unresolved {
                0 => format!("{name} is healthy under everything else."),
                n => format!("{name} has no other failure ({n} unresolved)."),
            };
        }
        Self { sets: own, ..self.clone() }.sentence()
    }
}

/// One clause for each kind of failure: `exits with code 1 when A, B or C; or when X and D or E`.
#[must_use]
pub(crate) fn clauses(sets: &[FailingSet]) -> String {
    let mut groups: Vec<(String, Vec<&ConditionSet>)> = Vec::new();
    for set in sets {
        let how = verb(set);
        match groups.iter_mut().find(|(known, _)| *known == how) {
            Some((_, all)) => all.push(&set.conditions),
            None => groups.push((how, vec![&set.conditions])),
        }
    }
    let part = |(how, sets): (String, Vec<&ConditionSet>)| match sets.iter().find(|set| set.is_empty()) {
        Some(always) => format!("{how} {}", in_words(always)),
        None => format!("{how} when {}", when_clauses(&sets)),
    };
    groups.into_iter().map(part).collect::<Vec<_>>().join("; it ")
}

/// Lists sets of one condition together, and larger sets by what they share besides a network condition.
fn when_clauses(sets: &[&ConditionSet]) -> String {
    let mut clauses: Vec<(String, Vec<String>)> = Vec::new();
    for set in sets {
        let (network, other): (Vec<&Condition>, Vec<&Condition>) = set.iter().partition(|c| c.is_of_network());
        let joined = |all: &[&Condition]| all.iter().map(|c| c.words()).collect::<Vec<_>>().join(" and ");
        let (shared, varied) = match (network.as_slice(), other.as_slice()) {
            ([one], [_, ..]) => (joined(&other), one.words()),
            _ => (String::new(), in_words(set)),
        };
        match clauses.iter_mut().find(|(known, _)| *known == shared) {
            Some((_, all)) => all.push(varied),
            None => clauses.push((shared, vec![varied])),
        }
    }
    let clause = |(shared, varied): &(String, Vec<String>)| match shared.is_empty() {
        true => list(&merge(varied)),
        false if varied.len() == 1 => format!("{shared} and {}", varied.concat()),
        false => format!("{shared} and any of these: {}", varied.join(", ")),
    };
    clauses.iter().map(clause).collect::<Vec<_>>().join("; or when ")
}

/// `a, b or c`.
fn list(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        all => all.concat(),
    }
}

/// What a version does under a failing set, as a predicate.
fn verb(set: &FailingSet) -> String {
    view::does(set.outcome.as_ref(), set.exit_code)
}

/// `A is missing`, `A is empty`, `B is missing` → `A is missing or empty`, `B is missing`.
fn merge(sets: &[String]) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    for set in sets {
        let name = set.strip_suffix(" is empty").filter(|name| !name.contains(' '));
        match name.and_then(|name| merged.iter_mut().find(|m| **m == format!("{name} is missing"))) {
            Some(missing) => missing.push_str(" or empty"),
            None => merged.push(set.clone()),
        }
    }
    merged
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| &text[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(conditions: &[&str], code: i64) -> FailingSet {
        let conditions = conditions.iter().map(|c| c.parse().expect("a condition"));
        FailingSet {
            conditions: ConditionSet::new(conditions).expect("a set"),
            signature: String::new(),
            outcome: Some(Outcome::Exited),
            exit_code: Some(code),
            causes: Vec::new(),
        }
    }

    #[test]
    fn sets_with_the_same_failure_are_one_sentence() {
        let sets = [
            failing(&["env.unset:A"], 1),
            failing(&["env.empty:A"], 1),
            failing(&["dns.drop"], 1),
            failing(&["env.set:P=x", "egress.drop"], 1),
            failing(&["env.set:P=x", "egress.reject"], 1),
            failing(&["env.unset:B"], 3),
        ];
        assert_eq!(
            clauses(&sets),
            "exits with code 1 when A is missing or empty or DNS does not answer; or when P=x and any of these: \
             outbound traffic is dropped, outbound connections are refused; it exits with code 3 when B is missing"
        );
    }

    #[test]
    fn shared_sets_are_described_once() {
        let version = |image: &str, sets: Vec<FailingSet>| Version {
            image: image.to_owned(),
            name: view::name(image, &[image]).to_owned(),
            verdict: Verdict::Fail,
            sets,
            failed_checks: Vec::new(),
            passed: 1,
            unresolved: 0,
            wrong_architecture: None,
        };
        let shared = failing(&["env.unset:A"], 1);
        let versions = [
            version("app:v1", vec![shared.clone()]),
            version("app:v2", vec![shared.clone(), failing(&["egress.drop"], 1)]),
        ];
        let shared = common(&versions);
        assert_eq!(shared.len(), 1);
        assert_eq!(versions[0].own_sentence(&shared), "v1 is healthy under everything else.");
        assert_eq!(versions[1].own_sentence(&shared), "v2 exits with code 1 when outbound traffic is dropped.");
        assert!(common(&versions[..1]).is_empty(), "one version shares nothing");
        let always = ["app:v1", "app:v2"].map(|image| version(image, vec![failing(&[], 1)]));
        assert!(common(&always).is_empty(), "what fails always has a sentence of its own");
        assert!(always[0].own_sentence(&[]).contains("even under friendly conditions"));
    }
}
