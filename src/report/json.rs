//! Machine output: one document to standard output.

use serde_json::{Value, json};

use super::story::Story;
use crate::event::run::Run;
use crate::model::{CaseResult, Summary};

/// The document's version (contract).
const VERSION: u32 = 1;

/// The document of `run`, from a run's events.
#[must_use]
pub fn of_run(whole: &Run) -> Value {
    let results: Vec<&CaseResult> = whole.in_order().collect();
    let not_run: Vec<Value> = whole
        .without_result()
        .map(|(planned, because)| json!({"id": planned.id, "image": planned.image, "conditions": planned.conditions, "because": because}))
        .collect();
    let mut document = json!({"version": VERSION, "cases": results, "summary": whole.counts()});
    let searches: Vec<Value> = whole
        .searches()
        .map(|(planned, came)| match came {
            Ok(searched) => json!(searched),
            Err(because) => json!({
                "id": planned.id,
                "image": planned.image,
                "scenario": planned.scenario,
                "conditions": planned.conditions,
                "open": because,
            }),
        })
        .collect();
    if !searches.is_empty() {
        document["searches"] = Value::from(searches);
    }
    if !not_run.is_empty() {
        document["not_run"] = Value::from(not_run);
    }
    document
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
