//! Machine output: one document to standard output.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::story::Story;
use crate::event::run::Run;
use crate::model::search::Searched;
use crate::model::{CaseId, CaseResult, Condition, ConditionSet, Summary};

/// The document's version (contract).
const VERSION: u32 = 1;

/// The document of `run --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Document<'a> {
    /// The document's version.
    version: u32,
    /// The results, in the order of the plan.
    cases: Vec<&'a CaseResult>,
    /// Their counts.
    summary: Summary,
    /// Searches, where scenarios ask for some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    searches: Vec<Search<'a>>,
    /// Cases without a result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_run: Vec<NotRun<'a>>,
}

/// What came of a search.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Search<'a> {
    /// It was made.
    Made(&'a Searched),
    /// It was not.
    NotMade {
        /// Its stable name.
        id: &'a CaseId,
        /// The image.
        image: &'a str,
        /// The scenario that it belongs to.
        scenario: Option<&'a str>,
        /// The conditions to search among.
        conditions: &'a [Condition],
        /// Why nothing is known.
        open: &'a str,
    },
}

/// A case that was not begun.
#[derive(Serialize, JsonSchema)]
struct NotRun<'a> {
    /// The case.
    id: &'a CaseId,
    /// Its image.
    image: &'a str,
    /// Its conditions.
    conditions: &'a ConditionSet,
    /// Why.
    because: &'a str,
}

/// The document of `run`, from a run's events.
#[must_use]
pub fn of_run(whole: &Run) -> Value {
    let not_run = whole.without_result().map(|(planned, because)| NotRun {
        id: &planned.id,
        image: &planned.image,
        conditions: &planned.conditions,
        because,
    });
    let searches = whole.searches().map(|(planned, came)| match came {
        Ok(searched) => Search::Made(searched),
        Err(because) => Search::NotMade {
            id: &planned.id,
            image: &planned.image,
            scenario: planned.scenario.as_deref(),
            conditions: &planned.conditions,
            open: because,
        },
    });
    json!(Document {
        version: VERSION,
        cases: whole.in_order().collect(),
        summary: whole.counts(),
        searches: searches.collect(),
        not_run: not_run.collect()
    })
}

/// `demo --format json`: the document of `run`, and what it says of each version.
#[must_use]
pub fn demo(results: &[CaseResult], summary: &Summary, story: &Story) -> Value {
    let versions: Vec<Value> = story
        .versions
        .iter()
        .map(|v| {
            json!({
                "image": v.image,
                "verdict": v.verdict,
                "sentence": v.sentence(),
                "minimal_sets": v.sets.iter().map(|s| json!({
                    "conditions": s.conditions,
                    "exit_code": s.exit_code,
                    "signature": s.signature,
                    "causes": s.causes,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let first_bad: Vec<Value> = story
        .first_bad
        .iter()
        .map(
            |f| json!({"conditions": f.conditions, "first_bad": f.image, "last_good": f.last_good, "any_of": f.any_of}),
        )
        .collect();
    json!({"version": VERSION, "cases": results, "images": versions, "first_bad": first_bad, "summary": summary})
}
