//! Machine output: one document to standard output.

use serde_json::{Value, json};

use super::story::Story;
use crate::model::{CaseResult, Summary};

/// The document's version (contract).
const VERSION: u32 = 1;

/// `run --format json`.
#[must_use]
pub fn run(results: &[CaseResult], summary: &Summary) -> Value {
    json!({"version": VERSION, "cases": results, "summary": summary})
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
