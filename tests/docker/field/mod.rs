//! Failures from the field, reproduced as small images and diagnosed by `exitone why`. The table is `cases.yaml`; each
//! row has a folder with the image's files and the service file. Without an engine the test is skipped with a message;
//! in CI (`CI=true`) it fails.
//!
//! With `EXITONE_UPDATE_DOCS=1` the rows run one after the other and the results are written to `docs/field-cases.md`,
//! where rows that did not run stay as they are; without it the results are compared with that page.

mod page;
mod table;

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;

use super::rows::{Wanted, side_by_side};
use super::support::engine;
use table::{Case, folder, table};

/// Number of rows run in parallel, unless their durations are recorded.
const ROWS: usize = 3;

/// A start command; variables and the network.
const FEW: [&str; 2] = ["F14", "F50"];

/// The answer of `why` for a row.
pub(crate) struct WhyRun {
    /// Its document.
    pub answer: Value,
    /// Wall time in seconds, including the program's start.
    pub seconds: f64,
}

#[tokio::test]
async fn diagnoses_every_field_failure() {
    let Some((engine, _alone)) = engine().await else { return };
    let info = engine.info().await.expect("an engine");
    let cases = table();
    let which = Wanted::of("EXITONE_FIELD", &FEW);
    let is_wanted = |case: &&Case| which.has(&case.id) && (case.cannot.is_none() || which.is_listed());
    let wanted: Vec<&Case> = cases.iter().filter(is_wanted).collect();
    let rows: Vec<_> = wanted.iter().map(|case| case.row()).collect();
    super::rows::build(&*engine, &rows).await;
    let update = std::env::var_os("EXITONE_UPDATE_DOCS").is_some();
    let said = all(&wanted, if update { 1 } else { ROWS });
    super::rows::report_times(said.values().map(|why| (&why.answer, why.seconds)));
    let mut wrong: Vec<String> = wanted.iter().flat_map(|case| case.wrong(&said[&case.id].answer)).collect();
    let whole = which.is_all();
    let told: Vec<Case> = cases.into_iter().filter(|case| whole || update || said.contains_key(&case.id)).collect();
    wrong.extend(page::agrees(&told, &said, &info, (update, whole)));
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn all(cases: &[&Case], at_a_time: usize) -> BTreeMap<String, WhyRun> {
    side_by_side(cases, at_a_time, |case| (case.id.clone(), why(case))).into_iter().collect()
}

fn why(case: &Case) -> WhyRun {
    let begun = Instant::now();
    let files = [("--service", folder(&case.id).join("service.yaml"))];
    // Complete answers, for reading: `EXITONE_FIELD_ANSWERS=FOLDER`.
    let answer = super::rows::why(&case.tag(), &files, ("EXITONE_FIELD_ANSWERS", &case.id));
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{}: {seconds:.1} s, {} wrong", case.id, case.wrong(&answer).len());
    WhyRun { answer, seconds }
}
