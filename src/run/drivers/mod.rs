//! Drivers decide which jobs a run starts: for the cases of a plan, searches for minimal sets, and bisections.

mod matrix;
mod minimal;
mod searches;
mod versions;

use std::sync::Arc;

use super::conductor::{AtDeadline, Conductor, Interrupts};
use super::context::Context;
use super::recorder::Recorder;
use super::schedule::How;
use crate::event::run::Run;
use crate::event::{Attempts, Counts, Event, Header, Kind, Planned, PlannedSearch, Stamped, Standing, VERSION};
use crate::model::search::Search;
use crate::model::{Case, CaseId, CaseResult, Plan, Verdict};

/// Why a run stops when the task of a search's case panicked.
const BROKEN: &str = "a case crashed";

/// The outcome of a run.
#[derive(Debug)]
pub struct Finished {
    /// The run, as its events describe it.
    pub run: Run,
    /// Results in the order of the plan, without cases that did not run.
    pub results: Vec<Arc<CaseResult>>,
    /// Every execution of a search, in chronological order.
    pub executions: Vec<Arc<CaseResult>>,
    /// Its counts.
    pub summary: Counts,
    /// Number of cases whose task panicked: a bug in exitone.
    pub broken: usize,
    /// Whether cases were aborted before they had a result.
    pub cut: bool,
    /// Why the engine no longer answers, which ended the run.
    pub engine_lost: Option<String>,
}

/// Runs the cases of a plan, then its searches. The first interrupt lets running cases finish, the second aborts them.
pub async fn run(
    context: Arc<Context>,
    plan: Arc<Plan>,
    how: impl Into<How>,
    interrupts: Interrupts,
    mut report: impl FnMut(&Stamped),
) -> Finished {
    let how: How = how.into();
    let mut recorder = Recorder::new(&mut report);
    begin(&mut recorder, &context.session.name, &plan, &how);
    context.inspector.expect(&plan);
    // A scenario's cases probably exercise their conditions.
    let mut conductor = Conductor::new(context, recorder, how.room, !plan.cases.is_empty(), interrupts);
    conductor.until(how.budget.map(|budget| conductor.recorder.begun() + budget), AtDeadline::Drain);
    matrix::run(&mut conductor, &plan, &how).await;
    searches::run(&mut conductor, &plan, &how).await;
    versions::run(&mut conductor, &plan, &how).await;
    conductor.settle().await;
    let (broken, cut) = (conductor.broken, conductor.cut || conductor.interrupted() > 1);
    let executions = std::mem::take(&mut conductor.executions);
    let engine_lost = conductor.engine_lost.take();
    let finished = end(conductor.recorder);
    Finished { executions, broken, cut, engine_lost, ..finished }
}

/// Reports a run that has nothing left to run and so needs no session on the engine: a shard without cases, or a
/// complete run that is resumed. `None` when there is something to run.
pub fn without_session(plan: &Plan, how: &How, mut report: impl FnMut(&Stamped)) -> Option<Finished> {
    let done = |case: &Case| how.done.iter().any(|(result, _)| result.id == case.id);
    let made = |search: &Search| how.searched.1.iter().any(|report| report.id == search.id);
    if plan.bisect.is_some() || !plan.cases.iter().all(done) || !plan.searches.iter().all(made) {
        return None;
    }
    let mut recorder = Recorder::new(&mut report);
    begin(&mut recorder, "", plan, how);
    Some(end(recorder))
}

/// Stamps the beginning of the run, and what is known from an earlier run.
fn begin(recorder: &mut Recorder<'_>, session: &str, plan: &Plan, how: &How) {
    recorder.stamp(Event::RunStarted(header(session, plan, how)));
    let (added, reports) = &how.searched;
    added.iter().for_each(|planned| recorder.stamp(Event::CaseAdded { planned: planned.clone() }));
    for (result, attempts) in &how.done {
        recorder.stamp(Event::CaseFinished { result: result.clone(), attempts: attempts.clone() });
    }
    reports.iter().for_each(|report| recorder.stamp(Event::SearchFinished { report: report.clone() }));
}

fn end(mut recorder: Recorder<'_>) -> Finished {
    let summary = Counts { seconds: recorder.seconds(), ..recorder.run.counts() };
    recorder.stamp(Event::RunFinished { summary: summary.clone() });
    let results = recorder.run.in_order().cloned().collect();
    Finished { run: recorder.run, results, executions: Vec::new(), summary, broken: 0, cut: false, engine_lost: None }
}

/// Stamps the result of a case. With `--fail-fast`, an unexpected one stops the run.
fn finished(conductor: &mut Conductor<'_>, how: &How, result: Arc<CaseResult>, attempts: Attempts) {
    let id = result.id.clone();
    conductor.stamp(Event::CaseFinished { result, attempts });
    if how.fail_fast && is_unexpected(conductor, &id) {
        fail_fast(conductor, &id);
    }
}

fn is_unexpected(conductor: &Conductor<'_>, id: &CaseId) -> bool {
    conductor.recorder.run.entry(id).is_some_and(|entry| entry.standing == Standing::Unexpected)
}

/// Adds a case to the run, unless it is there.
fn add(conductor: &mut Conductor<'_>, plan: &Plan, case: Case) {
    if conductor.recorder.run.header.cases.iter().all(|known| known.id != case.id) {
        conductor.stamp(Event::CaseAdded { planned: planned(plan, &case) });
    }
}

/// Adds a case of a search to the run, unless it is there.
fn add_step(conductor: &mut Conductor<'_>, plan: &Plan, search: &Search, case: &Case) {
    let cases = conductor.recorder.run.header.cases.iter();
    let added = cases.filter(|known| known.search.as_ref() == Some(&search.id) && known.place >= search.place);
    let place = search.place + added.count();
    add(conductor, plan, Case { place, ..case.clone() });
}

/// Stamps the result of a search's run. A case that ran several times fails if it failed once.
fn ran(conductor: &mut Conductor<'_>, plan: &Plan, result: &Arc<CaseResult>) {
    conductor.executions.push(result.clone());
    let run = &conductor.recorder.run;
    let before = run.results.get(&result.id);
    let of_plan = plan.cases.iter().any(|case| case.id == result.id && !case.is_searched());
    // A case of the plan keeps its result unless it passed before and fails now.
    if of_plan && before.is_some_and(|r| r.verdict != Verdict::Pass || result.verdict != Verdict::Fail) {
        return;
    }
    let mut attempts = run.attempts.get(&result.id).cloned().unwrap_or_default();
    if let Some(before) = before.filter(|_| attempts.outcomes.is_empty()) {
        attempts.count(before, false);
    }
    attempts.count(result, false);
    let counts = before
        .filter(|r| r.verdict == Verdict::Fail || (r.verdict == Verdict::Pass && result.verdict != Verdict::Fail));
    let result = counts.unwrap_or(result).clone();
    conductor.stamp(Event::CaseFinished { result, attempts });
}

fn fail_fast(conductor: &mut Conductor<'_>, id: &CaseId) {
    conductor.drain(&format!("--fail-fast: {id} was not as expected"));
}

fn header(session: &str, plan: &Plan, how: &How) -> Header {
    let search = |search: &Search| PlannedSearch {
        id: search.id.clone(),
        image: search.image.clone(),
        image_id: plan.image_id(&search.image),
        place: search.place,
        scenario: plan.parts[search.part].scenario.clone(),
        conditions: search.conditions.clone(),
    };
    Header {
        version: VERSION,
        kind: match plan {
            Plan { bisect: Some(_), .. } => Kind::Bisect,
            Plan { cases, searches, .. } if cases.is_empty() && !searches.is_empty() => Kind::Why,
            _ => Kind::Run,
        },
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        session: session.to_owned(),
        platform: plan.platforms(),
        started: jiff::Timestamp::now().round(jiff::Unit::Second).map(|t| t.to_string()).unwrap_or_default(),
        jobs: how.room.jobs,
        shard: how.shard.map(|shard| shard.to_string()),
        files: how.files.clone(),
        require: how.require.clone(),
        cases: plan.cases.iter().map(|case| planned(plan, case)).collect(),
        searches: plan.searches.iter().map(search).collect(),
    }
}

fn planned(plan: &Plan, case: &Case) -> Planned {
    Planned {
        id: case.id.clone(),
        image: case.image.clone(),
        image_id: plan.image_id(&case.image),
        place: case.place,
        conditions: case.conditions.clone(),
        scenario: plan.part(case).scenario.clone(),
        expect: case.expect.as_ref().map(ToString::to_string),
        search: case.search.clone(),
    }
}
