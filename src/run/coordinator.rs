//! The one coordinator: starts cases as slots come free, stamps and orders what they tell, hands it to the reporters.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::case::{self, Context};
use crate::event::{Event, Stamped, VERSION};
use crate::model::{CaseId, CaseResult, Plan, Summary};

/// Where the run is told to stop: how often the user asked.
pub type Interrupts = tokio::sync::watch::Receiver<u32>;

/// What a run came to.
#[derive(Debug)]
pub struct Finished {
    /// Results in the order of the plan; cases that were not begun are missing.
    pub results: Vec<CaseResult>,
    /// Their counts.
    pub summary: Summary,
    /// How often the user asked to stop.
    pub interrupted: u32,
    /// Cases whose task broke off: a fault of ours.
    pub broken: usize,
}

/// Runs the cases of a plan, so many at a time. The first interrupt lets running cases end, the second does not.
pub async fn run(
    context: Arc<Context>,
    plan: Arc<Plan>,
    jobs: usize,
    mut interrupts: Interrupts,
    mut report: impl FnMut(&Stamped),
) -> Finished {
    let begun = Instant::now();
    let mut seq = 0;
    let mut stamp = |event: Event| {
        let stamped = Stamped { seq, at_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), event };
        seq += 1;
        report(&stamped);
    };
    let session = context.session.name.clone();
    stamp(Event::RunStarted { version: VERSION, session, cases: plan.cases.len(), jobs });
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let mut results: BTreeMap<CaseId, CaseResult> = BTreeMap::new();
    let mut next = 0;
    let mut draining = false;
    let mut broken = 0;
    loop {
        while !draining && tasks.len() < jobs && next < plan.cases.len() {
            tasks.spawn(one(context.clone(), plan.clone(), next, tell.clone()));
            next += 1;
        }
        if tasks.is_empty() {
            break;
        }
        tokio::select! {
            // What cases tell comes before their end.
            biased;
            Some(event) = told.recv() => {
                keep(&mut results, &event);
                stamp(event);
            }
            Some(joined) = tasks.join_next() => {
                if joined.is_err_and(|e| e.is_panic()) {
                    broken += 1;
                }
            }
            Ok(()) = interrupts.changed() => {
                let asked = *interrupts.borrow_and_update();
                if !draining {
                    draining = true;
                    stamp(Event::Draining);
                }
                if asked > 1 {
                    tasks.shutdown().await;
                }
            }
        }
    }
    while let Ok(event) = told.try_recv() {
        keep(&mut results, &event);
        stamp(event);
    }
    let results: Vec<CaseResult> = plan.cases.iter().filter_map(|c| results.remove(&c.id)).collect();
    let summary = Summary::of(&results, begun.elapsed().as_secs_f64());
    stamp(Event::RunFinished { summary: summary.clone() });
    Finished { results, summary, interrupted: *interrupts.borrow(), broken }
}

/// Keeps the result that an event carries.
fn keep(results: &mut BTreeMap<CaseId, CaseResult>, event: &Event) {
    if let Event::CaseFinished { result } = event {
        results.insert(result.id.clone(), (**result).clone());
    }
}

async fn one(context: Arc<Context>, plan: Arc<Plan>, index: usize, tell: mpsc::UnboundedSender<Event>) {
    let case = &plan.cases[index];
    let Some(candidate) = plan.candidate(case) else { return };
    let say = |event| {
        // The coordinator hears as long as a case runs.
        let _ = tell.send(event);
    };
    say(Event::CaseStarted { id: case.id.clone(), image: case.image.clone(), conditions: case.conditions.clone() });
    let on_phase = |phase| say(Event::CasePhase { id: case.id.clone(), phase });
    let result = case::run(&context, &plan.service, candidate, case, &on_phase).await;
    say(Event::CaseFinished { result: Box::new(result) });
}
