//! What a scenario expects of its cases: candidate → `OUTCOME`, `OUTCOME under CONDITION + CONDITION`.

use std::collections::BTreeSet;

use super::node::Node;
use super::problem::Problem;
use super::service::check_problem;
use crate::model::condition::nearest;
use crate::model::image::short_name;
use crate::model::service::HttpCheck;
use crate::model::{Condition, ConditionSet, Expectation, Platform};

/// An expectation and the cases that it is about.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The image's whole name; nothing: every candidate.
    image: Option<String>,
    /// Exactly these conditions; nothing: whatever no other rule names.
    set: Option<ConditionSet>,
    outcome: Expectation,
}

/// What is expected of a case: a rule that names its conditions comes before one that does not, and among these one that
/// names its candidate.
pub(super) fn of_case(rules: &[Rule], candidates: &[String], image: &str, set: &ConditionSet) -> Option<Expectation> {
    find(rules, candidates, image, Some(set))
}

/// What is expected of cases of an image whose conditions no rule names.
pub(super) fn of_others(rules: &[Rule], candidates: &[String], image: &str) -> Option<Expectation> {
    find(rules, candidates, image, None)
}

/// Every set that a rule about this image names, but for the baseline.
pub(super) fn named<'a>(rules: &'a [Rule], candidates: &[String], image: &str) -> Vec<&'a ConditionSet> {
    let mut sets: Vec<&ConditionSet> = Vec::new();
    for rule in rules.iter().filter(|rule| rank(rule, candidates, image).is_some()) {
        match &rule.set {
            Some(set) if !set.is_empty() && !sets.contains(&set) => sets.push(set),
            _ => {}
        }
    }
    sets
}

/// Whether a rule is about an image: 1 when it names it, 0 when it names none.
fn rank(rule: &Rule, candidates: &[String], image: &str) -> Option<u8> {
    // An image of the command line may stand elsewhere than the candidate whose version it is.
    let same_version = |named: &str| short_name(named) == short_name(image);
    let known = candidates.iter().any(|c| c == image);
    let about = |named: &str| named == image || (!known && same_version(named));
    match &rule.image {
        None => Some(0),
        Some(named) if about(named) => Some(1),
        Some(_) => None,
    }
}

fn find(rules: &[Rule], candidates: &[String], image: &str, set: Option<&ConditionSet>) -> Option<Expectation> {
    let rank = |rule: &Rule| {
        let image = rank(rule, candidates, image)?;
        match &rule.set {
            None => Some((0, image)),
            Some(named) if Some(named) == set => Some((1, image)),
            Some(_) => None,
        }
    };
    let ranked = rules.iter().filter_map(|rule| Some((rank(rule)?, rule)));
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, rule)| rule.outcome.clone())
}

/// What expectations may speak of; nothing where it is not known for a mistake of its own.
pub(super) struct Known<'a> {
    pub(crate) candidates: Option<&'a [String]>,
    pub(crate) sets: Option<Sets<'a>>,
    pub(crate) checks: Option<&'a [HttpCheck]>,
    pub(crate) secrets: &'a BTreeSet<String>,
    pub(crate) platform: &'a Platform,
}

/// The sets that an expectation may name.
#[derive(Clone, Copy)]
pub(super) enum Sets<'a> {
    /// One of these.
    These(&'a [ConditionSet]),
    /// Any set of these conditions: a search runs what it needs.
    Of(&'a [Condition]),
}

/// Reads the mapping; what is wrong is added to `problems`.
pub(super) fn read(map: Option<&Node>, known: &Known, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for entry in map.map(Node::entries).unwrap_or_default() {
        let image = match known.candidates.map(|candidates| candidate(&entry.key, candidates)) {
            None => Some(entry.key.as_str()),
            Some(Ok(image)) => image,
            Some(Err(message)) => {
                problems.push(Problem::of(entry.place, message));
                Some(entry.key.as_str())
            }
        };
        for node in entry.node.items() {
            match rule(node.text(), image, known) {
                Ok(rule) if rules.iter().any(|r| (&r.image, &r.set) == (&rule.image, &rule.set)) => {
                    problems.push(node.problem("these cases already have an expectation"));
                }
                Ok(rule) => rules.push(rule),
                Err(message) => problems.push(node.problem(message)),
            }
        }
    }
    rules
}

/// The candidate that a key means; nothing for `*`.
fn candidate<'a>(key: &str, candidates: &'a [String]) -> Result<Option<&'a str>, String> {
    if key == "*" {
        return Ok(None);
    }
    if let Some(image) = candidates.iter().find(|image| *image == key) {
        return Ok(Some(image));
    }
    let last = |image: &'a str| image.rsplit('/').next().unwrap_or(image);
    let meant: Vec<&String> =
        candidates.iter().filter(|image| last(image) == key || short_name(image) == key).collect();
    match meant[..] {
        [image] => Ok(Some(image)),
        [] => {
            let short = candidates.iter().map(|image| short_name(image));
            let names = short.chain(candidates.iter().map(String::as_str));
            Err(match nearest(key, names) {
                Some(near) => format!("unknown candidate `{key}`; did you mean `{near}`?"),
                None => format!("unknown candidate `{key}`; expected one of {} or `*`", candidates.join(", ")),
            })
        }
        _ => Err(format!("`{key}` matches {} candidates; use the full image name", meant.len())),
    }
}

fn rule(text: &str, image: Option<&str>, known: &Known) -> Result<Rule, String> {
    let (outcome, under) = match text.rsplit_once(" under ") {
        Some((outcome, under)) => (outcome, under.trim()),
        None => (text, "anything"),
    };
    let outcome: Expectation = outcome.parse()?;
    if let Expectation::CheckFails(name) = &outcome
        && let Some(message) = known.checks.and_then(|checks| check_problem(name, checks))
    {
        return Err(message);
    }
    if let Expectation::Operation(_) | Expectation::Service(_) = outcome
        && !known.platform.service_log
    {
        let name = &known.platform.name;
        return Err(format!("`{outcome}` is an App Runner status; on {name}, expect `pass`, `fail` or `exit N`"));
    }
    let set = match under {
        "anything" => None,
        "baseline" => Some(ConditionSet::baseline()),
        conditions => {
            let parsed: Result<Vec<_>, _> = conditions.split(" + ").map(str::parse).collect();
            let set = ConditionSet::new(parsed.map_err(|e| format!("{e}"))?).map_err(|messages| messages.join("; "))?;
            Some(set.with_secrets(known.secrets))
        }
    };
    let mean = |what: &str, known: Vec<String>| {
        let near = nearest(what, known.iter().map(String::as_str));
        near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
    };
    match (&set, known.sets) {
        (Some(set), Some(Sets::These(sets))) if !sets.contains(set) => {
            let near = mean(&set.to_string(), sets.iter().map(ToString::to_string).collect());
            return Err(format!("no case runs under `{set}`{near}"));
        }
        (Some(set), Some(Sets::Of(conditions))) => {
            if let Some(other) = set.iter().find(|condition| !conditions.contains(condition)) {
                let near = mean(&other.to_string(), conditions.iter().map(ToString::to_string).collect());
                return Err(format!("the search does not include `{other}`{near}"));
            }
            if matches!(outcome, Expectation::CheckFails(_)) && !set.is_empty() {
                return Err(format!("a search makes no requests: `{outcome}` is possible only under the baseline"));
            }
        }
        _ => {}
    }
    Ok(Rule { image: image.map(ToOwned::to_owned), set, outcome })
}
