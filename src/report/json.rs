//! JSON documents for standard output.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::bisect;
use super::story::Story;
use crate::event::run::Run;
use crate::event::{Counts, Entry, Kind, Standing};
use crate::model::search::SearchReport;
use crate::model::{CaseId, CaseResult, Condition, ConditionSet, Expected};

/// The document's version (contract).
const VERSION: u32 = 1;

/// The document of `run --format json`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'a> {
    /// The document's version.
    version: u32,
    /// The results, in the order of the plan.
    cases: Vec<Case<'a>>,
    /// The counts.
    summary: Counts,
    /// The searches of the scenarios.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    searches: Vec<Search<'a>>,
    /// Cases without a result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_run: Vec<NotRun<'a>>,
}

/// A case with a result.
#[derive(Serialize, JsonSchema)]
struct Case<'a> {
    /// The final result.
    #[serde(flatten)]
    result: &'a CaseResult,
    /// Number of failed attempts, and of attempts that passed or failed, if there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<[u32; 2]>,
    /// The outcome of each attempt in a few words, if there were several.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tried: &'a [String],
    /// The scenario's expectation; absent if it expects a pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Expected>,
    /// Whether it is a step of a search, which has no expectation of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    step: bool,
    /// The log of the process, bounded in size and with secrets redacted.
    log: &'a str,
}

impl<'a> Case<'a> {
    fn of(entry: Entry<'a>) -> Option<Self> {
        let (result, attempts) = (entry.result?, entry.attempts);
        let several = !attempts.is_single();
        Some(Self {
            result,
            attempts: several.then_some([attempts.failed, attempts.decided]),
            tried: if several { &attempts.outcomes } else { &[] },
            expected: entry
                .expected
                .map(|text| Expected { text: text.to_owned(), met: entry.standing == Standing::Expected }),
            step: entry.standing == Standing::Step,
            log: &result.log,
        })
    }
}

/// A search and its report.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Search<'a> {
    /// It was run.
    Run(&'a SearchReport),
    /// It was not run.
    NotRun {
        /// Its stable name.
        id: &'a CaseId,
        /// The image.
        image: &'a str,
        /// The scenario that it belongs to.
        scenario: Option<&'a str>,
        /// The conditions to search among.
        conditions: &'a [Condition],
        /// Why it was not run.
        open: &'a str,
    },
}

/// A case that did not start.
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

/// The document of a run, for the command that made it.
#[must_use]
pub fn of_run(whole: &Run) -> Value {
    match (whole.header.kind, whole.searches.values().next(), &whole.verdicts) {
        (Kind::Why, Some(report), _) => json!(report.answer),
        (Kind::Bisect, _, Some(verdicts)) => bisect::json(verdicts),
        _ => document(whole),
    }
}

/// The document of `run`.
fn document(whole: &Run) -> Value {
    let not_run = whole.without_result().map(|(planned, because)| NotRun {
        id: &planned.id,
        image: &planned.image,
        conditions: &planned.conditions,
        because,
    });
    let searches = whole.searches().map(|(planned, came)| match came {
        Ok(report) => Search::Run(report),
        Err(because) => Search::NotRun {
            id: &planned.id,
            image: &planned.image,
            scenario: planned.scenario.as_deref(),
            conditions: &planned.conditions,
            open: because,
        },
    });
    json!(Document {
        version: VERSION,
        cases: whole.entries().filter_map(Case::of).collect(),
        summary: whole.counts(),
        searches: searches.collect(),
        not_run: not_run.collect()
    })
}

/// The document of `demo`: that of `run`, and what each version does.
#[must_use]
pub(crate) fn demo(run: &Run, story: &Story) -> Value {
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
    let cases: Vec<Case<'_>> = run.entries().filter_map(Case::of).collect();
    json!({"version": VERSION, "cases": cases, "images": versions, "first_bad": first_bad, "summary": run.counts()})
}
