//! A search that a run makes for a candidate: what it is asked, what came out, and how that stands against what is
//! expected.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::case::Case;
use super::condition::{Condition, ConditionSet};
use super::expectation::{Expectation, Expected};
use super::id::{CaseId, fnv1a, tidy};
use super::outcome::{CaseResult, Verdict};

/// How sure an answer must be where nothing is said.
pub(crate) const CONFIDENCE: f64 = 0.99;

/// A search that is planned: which smallest sets of these conditions make the image fail?
#[derive(Clone, PartialEq, Debug)]
pub struct Search {
    /// Its stable name; all of its cases are run where it is.
    pub id: CaseId,
    /// The image's name.
    pub image: String,
    /// Which of the plan's parts it belongs to.
    pub part: usize,
    /// The place of its first case in the whole plan, behind all that are planned.
    pub place: usize,
    /// What it searches among.
    pub conditions: Vec<Condition>,
    /// Further forms of these, searched among afterwards.
    pub forms: Vec<Condition>,
    /// How sure the answer must be, from 0 to 1.
    pub confidence: f64,
    /// The command that runs a case of the image, without its conditions; empty: a case is run again by its id.
    pub by_hand: Vec<String>,
    /// What is expected of a smallest failing set that the scenario does not name; nothing: that there is none.
    pub others: Option<Expectation>,
    /// What stands behind the ids of its cases, where another part has cases of the same image.
    pub suffix: String,
}

/// A search for the first bad image of a plan's candidates, the oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Bisect {
    /// Its stable name.
    pub id: CaseId,
    /// The conditions that every image runs under.
    pub conditions: ConditionSet,
    /// How sure the answer must be from the first run on, from 0 to 1; `None`: single answers are believed until they
    /// differ.
    pub confidence: Option<f64>,
    /// Whether the only image is judged, and nothing is searched for.
    pub judges: bool,
    /// The flags, besides image and conditions, with which `exitone run` runs an image again; `None` where it cannot.
    pub by_hand: Option<Vec<String>>,
}

impl Bisect {
    /// A search among images, the oldest first, under a set of conditions.
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

/// What a scenario asks of a candidate.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The image's name.
    pub image: String,
    /// What to search among.
    pub conditions: Vec<Condition>,
    /// Sets that the scenario expects something of.
    pub named: Vec<(ConditionSet, Option<Expectation>)>,
    /// What it expects of the others.
    pub others: Option<Expectation>,
}

impl Search {
    /// The search that is asked for.
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
        }
    }

    /// The id of a case that it adds.
    #[must_use]
    pub(crate) fn case_id(&self, set: &ConditionSet) -> CaseId {
        CaseId(format!("{}{}", Case::new(&self.image, set.clone()).id, self.suffix))
    }
}

/// A set of conditions that stands for itself; every other run of a search is a step of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct JudgedSet {
    /// Its case.
    pub case: CaseId,
    /// The conditions.
    pub conditions: ConditionSet,
    /// True when it is one of the smallest failing sets.
    pub smallest: bool,
    /// What was expected of it; nothing: that it passes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<Expected>,
}

/// What a search of a run came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SearchReport {
    /// The search.
    pub id: CaseId,
    /// The scenario that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scenario: Option<String>,
    /// Why it is not known whether there are other sets; nothing: all are known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub open: Option<String>,
    /// The sets that stand for themselves, the smallest failing ones first.
    pub judged: Vec<JudgedSet>,
    /// The whole answer, as `why` gives it.
    pub answer: Answer,
}

impl SearchReport {
    /// Holds an answer against what is expected. `named`: the planned cases of the search; `cut`: it was ended before it
    /// had its answer.
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
        // What the baseline does is told by its own case.
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
            let expected = of_others(expect, result, &smallest, answer.complete);
            let (case, conditions) = (case.id.clone(), case.conditions.clone());
            judged.push(JudgedSet { case, conditions, smallest: false, expected: Some(expected) });
        }
        Self { id: search.id.clone(), scenario: scenario.map(ToOwned::to_owned), open, judged, answer }
    }
}

/// What is expected of a set that is none of the smallest failing ones. A failure is expected of a smallest set: where a
/// part of it fails already, it is another one that should have been named.
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

/// Why the list of an answer may not be whole.
fn open(answer: &Answer, cut: bool) -> Option<String> {
    if cut {
        return Some(answer.assumption.clone());
    }
    let of_image = answer.minimal_sets.iter().any(|set| set.fails == [0, 0]);
    if of_image || answer.baseline == Verdict::Fail {
        return None;
    }
    match (answer.baseline, answer.complete) {
        (Verdict::Unresolved, _) => Some("the baseline itself could not be run".to_owned()),
        (_, false) => Some(answer.assumption.clone()),
        (_, true) if !answer.skipped.is_empty() => {
            let all: Vec<String> = answer.skipped.iter().map(|left| left.condition.to_string()).collect();
            Some(format!("{} could not be imposed here", all.join(", ")))
        }
        (_, true) => None,
    }
}
