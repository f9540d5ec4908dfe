//! The one coordinator: starts cases as slots come free, stamps and orders what they tell, hands it to the reporters.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::case::{self, Context};
use super::schedule::{How, Queue, Turn};
use crate::event::{Event, Header, Planned, Stamped, VERSION};
use crate::model::expectation::Expected;
use crate::model::{Case, CaseId, CaseResult, Plan, Summary, Verdict};

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

/// A run under way.
struct Conductor<'a, R> {
    plan: &'a Plan,
    queue: Queue,
    results: BTreeMap<CaseId, CaseResult>,
    fail_fast: bool,
    begun: Instant,
    seq: u64,
    report: R,
}

impl<'a, R: FnMut(&Stamped)> Conductor<'a, R> {
    /// Tells of the beginning, and of what is done already.
    fn begin(plan: &'a Plan, how: &mut How, session: &str, report: R) -> Self {
        let mut conductor = Self {
            plan,
            queue: Queue::new(&plan.cases, how),
            results: BTreeMap::new(),
            fail_fast: how.fail_fast,
            begun: Instant::now(),
            seq: 0,
            report,
        };
        conductor.stamp(Event::RunStarted(header(session, plan, how)));
        for result in std::mem::take(&mut how.done) {
            conductor.finished(Box::new(result));
        }
        conductor
    }

    /// Tells of the end.
    fn end(mut self, interrupted: u32, broken: usize) -> Finished {
        let results: Vec<CaseResult> = self.plan.cases.iter().filter_map(|c| self.results.remove(&c.id)).collect();
        let mut summary = Summary::of(&results, self.begun.elapsed().as_secs_f64());
        summary.not_run = self.plan.cases.len() - results.len();
        self.stamp(Event::RunFinished { summary: summary.clone() });
        Finished { results, summary, interrupted, broken }
    }

    fn stamp(&mut self, event: Event) {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        (self.report)(&Stamped { seq: self.seq, at_ms, event });
        self.seq += 1;
    }

    /// Takes note of what a case tells while it runs.
    fn told(&mut self, index: usize, event: Event) {
        if let Event::CasePhase { phase, .. } = &event {
            self.queue.reached(index, *phase);
        }
        self.stamp(event);
    }

    /// Keeps a result that stands, and tells of it.
    fn finished(&mut self, mut result: Box<CaseResult>) {
        let case = self.plan.cases.iter().find(|case| case.id == result.id);
        let expect = case.and_then(|case| case.expect.as_ref());
        result.expected = expect.map(|expect| Expected { text: expect.to_string(), met: expect.met(&result) });
        self.results.insert(result.id.clone(), (*result).clone());
        let unexpected = result.verdict != Verdict::Unresolved && !result.as_expected();
        let id = result.id.clone();
        self.stamp(Event::CaseFinished { result });
        if unexpected && self.fail_fast {
            self.drain(&format!("--fail-fast: {id} did not come out as expected"));
        }
    }

    fn drain(&mut self, because: &str) {
        if self.queue.drain() {
            self.stamp(Event::Draining { because: because.to_owned() });
            for index in self.queue.left() {
                let id = self.plan.cases[index].id.clone();
                self.stamp(Event::CaseNotRun { id, because: because.to_owned() });
            }
        }
    }
}

/// Runs the cases of a plan, so many at a time. The first interrupt lets running cases end, the second does not.
pub async fn run(
    context: Arc<Context>,
    plan: Arc<Plan>,
    how: impl Into<How>,
    mut interrupts: Interrupts,
    report: impl FnMut(&Stamped),
) -> Finished {
    let mut how: How = how.into();
    let mut conductor = Conductor::begin(&plan, &mut how, &context.session.name, report);
    context.inspector.expect(&plan);
    let mut deadline = how.budget.map(|budget| conductor.begun + budget);
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let mut turns: BTreeMap<Id, usize> = BTreeMap::new();
    let mut broken = 0;
    loop {
        while let Some(turn) = conductor.queue.begin() {
            let index = turn.index;
            if turn.first.is_some() {
                conductor.stamp(Event::CaseConfirming { id: plan.cases[index].id.clone() });
            }
            let task = tasks.spawn(one(context.clone(), plan.clone(), turn, how.repeat, tell.clone()));
            turns.insert(task.id(), index);
        }
        if tasks.is_empty() {
            // Cases that were to be confirmed when the user asked to stop.
            for result in conductor.queue.unconfirmed() {
                conductor.finished(Box::new(result));
            }
            break;
        }
        tokio::select! {
            // What cases tell comes before their end.
            biased;
            Some((index, event)) = told.recv() => conductor.told(index, event),
            Some(joined) = tasks.join_next_with_id() => match joined {
                Ok((id, (turn, result))) => {
                    turns.remove(&id);
                    if let Some(result) = conductor.queue.ended(turn, result) {
                        conductor.finished(result);
                    }
                }
                Err(e) => {
                    broken += usize::from(e.is_panic());
                    turns.remove(&e.id()).into_iter().for_each(|index| conductor.queue.broke(index));
                }
            },
            () = until(deadline) => {
                conductor.drain("the time that --budget gives was up");
                deadline = None;
            }
            Ok(()) = interrupts.changed() => {
                let asked = *interrupts.borrow_and_update();
                conductor.drain("the run was interrupted");
                if asked > 1 {
                    tasks.shutdown().await;
                }
            }
        }
    }
    while let Ok((index, event)) = told.try_recv() {
        conductor.told(index, event);
    }
    let interrupted = *interrupts.borrow();
    conductor.end(interrupted, broken)
}

/// A run without a case to run: a shard that has none, or one where all are done. It needs no session on the engine;
/// nothing: there is a case to run.
pub fn without_session(plan: &Plan, how: &How, report: impl FnMut(&Stamped)) -> Option<Finished> {
    let done = |case: &Case| how.done.iter().any(|result| result.id == case.id);
    if !plan.cases.iter().all(done) {
        return None;
    }
    Some(Conductor::begin(plan, &mut how.clone(), "", report).end(0, 0))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn header(session: &str, plan: &Plan, how: &How) -> Header {
    let planned = |case: &Case| Planned {
        id: case.id.clone(),
        image: case.image.clone(),
        image_id: plan.candidate(case).map(|c| c.facts.id.to_string()).unwrap_or_default(),
        place: case.place,
        conditions: case.conditions.clone(),
        scenario: plan.part(case).scenario.clone(),
        expect: case.expect.as_ref().map(ToString::to_string),
    };
    Header {
        version: VERSION,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        session: session.to_owned(),
        platform: "apprunner".to_owned(),
        started: jiff::Timestamp::now().round(jiff::Unit::Second).map(|t| t.to_string()).unwrap_or_default(),
        jobs: how.jobs,
        shard: how.shard.map(|shard| shard.to_string()),
        files: how.files.clone(),
        cases: plan.cases.iter().map(planned).collect(),
    }
}

async fn one(
    context: Arc<Context>,
    plan: Arc<Plan>,
    turn: Turn,
    repeat: u32,
    tell: mpsc::UnboundedSender<(usize, Event)>,
) -> (Turn, Box<CaseResult>) {
    let case = &plan.cases[turn.index];
    let say = |event| {
        // The coordinator hears as long as a case runs.
        let _ = tell.send((turn.index, event));
    };
    if turn.first.is_none() {
        say(Event::CaseStarted { id: case.id.clone(), image: case.image.clone(), conditions: case.conditions.clone() });
    }
    let Some(candidate) = plan.candidate(case) else {
        // A plan is made from its candidates.
        unreachable!("{} has no candidate", case.id)
    };
    let service = &plan.part(case).service;
    let on_phase = |phase| say(Event::CasePhase { id: case.id.clone(), phase });
    let mut result = case::run(&context, service, candidate, case, &on_phase).await;
    let mut attempts = [u32::from(result.verdict == Verdict::Fail), u32::from(result.verdict != Verdict::Unresolved)];
    let repeat = repeat.max(case.repeat);
    for _ in 1..repeat {
        let next = case::run(&context, service, candidate, case, &on_phase).await;
        attempts[0] += u32::from(next.verdict == Verdict::Fail);
        attempts[1] += u32::from(next.verdict != Verdict::Unresolved);
        // The first failure stands: a case that fails at times fails.
        if next.verdict == Verdict::Fail && result.verdict != Verdict::Fail || result.verdict == Verdict::Unresolved {
            result = next;
        }
    }
    if repeat > 1 {
        result.attempts = Some(attempts);
        if attempts[0] > 0 && attempts[0] < attempts[1] {
            result.notes.push(format!("flaky: it failed {} of {} times", attempts[0], attempts[1]));
        }
    }
    (turn, Box::new(result))
}
