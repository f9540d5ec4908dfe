//! The search for a candidate in a run: request, report, and comparison with the expectation.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::case::Case;
use super::condition::{Condition, ConditionSet};
use super::deployment::Deployment;
use super::expectation::{Expectation, Expected};
use super::id::{CaseId, fnv1a, tidy};
use super::outcome::{CaseResult, Verdict};

/// Default confidence.
pub(crate) const CONFIDENCE: f64 = 0.99;

/// A planned search: which minimal sets of these conditions make the image fail?
#[derive(Clone, PartialEq, Debug)]
pub struct Search {
    /// Its stable id; all of its cases run in the same shard.
    pub id: CaseId,
    /// The image's name.
    pub image: String,
    /// Index of the plan's part that it belongs to.
    pub part: usize,
    /// The place of its first case in the whole plan, after all planned ones.
    pub place: usize,
    /// The conditions it searches among.
    pub conditions: Vec<Condition>,
    /// Further forms of these, searched afterwards.
    pub forms: Vec<Condition>,
    /// The required confidence, from 0 to 1.
    pub confidence: f64,
    /// The command that runs a case of the image, without its conditions; empty if a case is rerun by its id.
    pub by_hand: Vec<String>,
    /// The expectation of a minimal failing set that the scenario does not name; `None` if there must be none.
    pub others: Option<Expectation>,
    /// Appended to the ids of its cases if another part has cases of the same image.
    pub suffix: String,
    /// Whether repairs are tried if the image fails under friendly conditions.
    pub repairs: bool,
    /// Whether to stop at the first minimal set.
    pub quick: bool,
    /// What is known of the deployment that failed, if the search is about one.
    pub deployment: Option<Arc<Deployment>>,
}

/// A search for the first bad image among a plan's candidates, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Bisect {
    /// Its stable id.
    pub id: CaseId,
    /// The conditions that every image runs under.
    pub conditions: ConditionSet,
    /// The required confidence from the first run on, from 0 to 1; `None` to believe single answers until they differ.
    pub confidence: Option<f64>,
    /// Whether a single image is judged instead of searching.
    pub judges: bool,
    /// The flags, in addition to image and conditions, with which `exitone run` runs an image again; `None` if it
    /// cannot.
    pub by_hand: Option<Vec<String>>,
}

impl Bisect {
    /// A search among images, oldest first, under a set of conditions.
    #[must_use]
    pub fn new(images: &[String], conditions: ConditionSet) -> Self {
        let hash = fnv1a(&format!("bisect\n{}\n{conditions}", images.join("\n")));
        Self {
            id: CaseId(format!("bisect-{:08x}", hash >> 32)),
            conditions,
            confidence: None,
            judges: false,
            by_hand: None,
        }
    }
}

/// The search that a scenario requests for a candidate.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The image's name.
    pub image: String,
    /// The conditions to search among.
    pub conditions: Vec<Condition>,
    /// Sets for which the scenario has an expectation.
    pub named: Vec<(ConditionSet, Option<Expectation>)>,
    /// The expectation of all others.
    pub others: Option<Expectation>,
}

impl Search {
    /// The requested search.
    #[must_use]
    pub fn new(asked: &SearchRequest) -> Self {
        let conditions: Vec<String> = asked.conditions.iter().map(ToString::to_string).collect();
        let hash = fnv1a(&format!("why\n{}\n{}", asked.image, conditions.join("\n")));
        Self {
            id: CaseId(format!("{}-why-{:08x}", tidy(&asked.image), hash >> 32)),
            image: asked.image.clone(),
            part: 0,
            place: 0,
            conditions: asked.conditions.clone(),
            forms: Vec::new(),
            confidence: CONFIDENCE,
            by_hand: Vec::new(),
            others: asked.others.clone(),
            suffix: String::new(),
            repairs: true,
            quick: false,
            deployment: None,
        }
    }

    /// The id of a case that it adds.
    #[must_use]
    pub(crate) fn case_id(&self, set: &ConditionSet) -> CaseId {
        CaseId(format!("{}{}", Case::new(&self.image, set.clone()).id, self.suffix))
    }
}

/// A set of conditions that is judged by itself; every other run of a search is a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct JudgedSet {
    /// Its case.
    pub case: CaseId,
    /// The conditions.
    pub conditions: ConditionSet,
    /// Whether it is one of the minimal failing sets.
    pub smallest: bool,
    /// Its expectation; absent if it must pass.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<Expected>,
}

/// The result of a search.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SearchReport {
    /// The search.
    pub id: CaseId,
    /// Its scenario.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scenario: Option<String>,
    /// Why there may be other sets; absent if all are known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub open: Option<String>,
    /// The sets that are judged by themselves, minimal failing ones first.
    pub judged: Vec<JudgedSet>,
    /// The complete answer, as from `why`.
    pub answer: Answer,
}

impl SearchReport {
    /// Compares an answer with the expectations. `named`: the planned cases of the search; `cut`: whether it ended
    /// before it had its answer.
    #[must_use]
    pub(crate) fn of(
        search: &Search,
        scenario: Option<&str>,
        named: &[&Case],
        (answer, cut): (Answer, bool),
        results: &BTreeMap<CaseId, Arc<CaseResult>>,
    ) -> Self {
        let smallest: Vec<&ConditionSet> = answer.minimal_sets.iter().map(|set| &set.conditions).collect();
        let mut judged: Vec<JudgedSet> = Vec::new();
        let mut open = open(&answer, cut);
        // The baseline's own case reports it.
        for set in smallest.iter().filter(|set| !set.is_empty()) {
            let case = named.iter().find(|case| case.conditions == **set);
            let id = case.map_or_else(|| search.case_id(set), |case| case.id.clone());
            let expected = case.map_or(search.others.as_ref(), |case| case.expect.as_ref());
            match results.get(&id) {
                Some(result) => {
                    let expected = expected.map(|e| Expected { text: e.to_string(), met: e.met(result) });
                    judged.push(JudgedSet { case: id, conditions: (*set).clone(), smallest: true, expected });
                }
                None => open = open.or_else(|| Some(format!("{set} was not run"))),
            }
        }
        for case in named.iter().filter(|case| !case.conditions.is_empty() && !smallest.contains(&&case.conditions)) {
            let (Some(result), Some(expect)) = (results.get(&case.id), &case.expect) else { continue };
            let expected = of_others(expect, result, &smallest, answer.settled);
            let (case, conditions) = (case.id.clone(), case.conditions.clone());
            judged.push(JudgedSet { case, conditions, smallest: false, expected: Some(expected) });
        }
        Self { id: search.id.clone(), scenario: scenario.map(ToOwned::to_owned), open, judged, answer }
    }
}

/// The expectation of a set that is not a minimal failing one. An expected failure means a minimal set: if a part of it
/// fails already, the expectation should have named that part.
fn of_others(expect: &Expectation, result: &CaseResult, smallest: &[&ConditionSet], complete: bool) -> Expected {
    let text = expect.to_string();
    if !expect.is_of_failure() {
        return Expected { met: expect.met(result), text };
    }
    match smallest.iter().find(|part| part.is_subset(&result.conditions)) {
        Some(part) => Expected { text: format!("{text}, as a smallest set ({part} fails already)"), met: false },
        None => Expected { text, met: !complete && expect.met(result) },
    }
}

/// Why the list of an answer may be incomplete.
fn open(answer: &Answer, cut: bool) -> Option<String> {
    if cut {
        return Some(answer.assumption.clone());
    }
    let of_image = answer.minimal_sets.iter().any(|set| set.fails == [0, 0]);
    if of_image || answer.baseline == Verdict::Fail {
        return None;
    }
    match (answer.baseline, answer.settled) {
        (Verdict::Unresolved, _) => Some(match answer.needs.first() {
            Some(need) => need.text.clone(),
            None => "the run under friendly conditions has no result".to_owned(),
        }),
        (_, false) => Some(answer.assumption.clone()),
        (_, true) if !answer.skipped.is_empty() => {
            let all: Vec<String> = answer.skipped.iter().map(|left| left.condition.to_string()).collect();
            Some(format!("{} could not be imposed here", all.join(", ")))
        }
        (_, true) => None,
    }
}
