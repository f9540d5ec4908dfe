//! The one coordinator: starts cases as slots come free, stamps and orders what they tell, hands it to the reporters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::case::{self, Context};
use crate::event::{Event, Stamped, VERSION};
use crate::model::{CaseId, CaseResult, FailureClass, Plan, Summary, Verdict};

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
    context.inspector.expect(&plan);
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let mut results: BTreeMap<CaseId, CaseResult> = BTreeMap::new();
    let mut queue = Queue::new(plan.cases.len(), jobs);
    let mut broken = 0;
    loop {
        while let Some(turn) = queue.next(tasks.len()) {
            if turn.first.is_some() {
                stamp(Event::CaseConfirming { id: plan.cases[turn.index].id.clone() });
            }
            tasks.spawn(one(context.clone(), plan.clone(), turn, tell.clone()));
        }
        if tasks.is_empty() {
            // Cases that were to be confirmed when the user asked to stop.
            for result in queue.unconfirmed() {
                stamp(finished(&mut results, Box::new(result)));
            }
            break;
        }
        tokio::select! {
            // What cases tell comes before their end.
            biased;
            Some(event) = told.recv() => stamp(event),
            Some(joined) = tasks.join_next() => match joined {
                Ok(Some((turn, result))) => {
                    if let Some(result) = queue.ended(turn, result) {
                        stamp(finished(&mut results, result));
                    }
                }
                Ok(None) => {}
                Err(e) => broken += usize::from(e.is_panic()),
            },
            Ok(()) = interrupts.changed() => {
                let asked = *interrupts.borrow_and_update();
                if queue.drain() {
                    stamp(Event::Draining);
                }
                if asked > 1 {
                    tasks.shutdown().await;
                }
            }
        }
    }
    while let Ok(event) = told.try_recv() {
        stamp(event);
    }
    let results: Vec<CaseResult> = plan.cases.iter().filter_map(|c| results.remove(&c.id)).collect();
    let summary = Summary::of(&results, begun.elapsed().as_secs_f64());
    stamp(Event::RunFinished { summary: summary.clone() });
    Finished { results, summary, interrupted: *interrupts.borrow(), broken }
}

/// Keeps a result that stands, and tells of it.
fn finished(results: &mut BTreeMap<CaseId, CaseResult>, result: Box<CaseResult>) -> Event {
    results.insert(result.id.clone(), (*result).clone());
    Event::CaseFinished { result }
}

/// One run of a case.
struct Turn {
    index: usize,
    /// What came of it beside other cases, when this is its second turn, alone.
    first: Option<Box<CaseResult>>,
}

/// Which case is run next. A case of class C depends on time: when it ran beside others, it is run once more, alone,
/// when all others have ended.
struct Queue {
    cases: usize,
    jobs: usize,
    next: usize,
    /// Cases that run now, each with whether another one ran at the same time.
    running: BTreeMap<usize, bool>,
    confirm: VecDeque<Turn>,
    draining: bool,
}

impl Queue {
    fn new(cases: usize, jobs: usize) -> Self {
        Self { cases, jobs, next: 0, running: BTreeMap::new(), confirm: VecDeque::new(), draining: false }
    }

    fn next(&mut self, running: usize) -> Option<Turn> {
        if self.draining || running >= self.jobs {
            return None;
        }
        let turn = if self.next < self.cases {
            self.next += 1;
            Turn { index: self.next - 1, first: None }
        } else if running == 0 {
            self.confirm.pop_front()?
        } else {
            return None;
        };
        self.running.insert(turn.index, false);
        if self.running.len() > 1 {
            self.running.values_mut().for_each(|beside| *beside = true);
        }
        Some(turn)
    }

    /// Takes note of a case's end; gives its result when that stands.
    fn ended(&mut self, turn: Turn, mut result: Box<CaseResult>) -> Option<Box<CaseResult>> {
        let beside = self.running.remove(&turn.index).unwrap_or_default();
        if let Some(first) = turn.first {
            if result.verdict == Verdict::Unresolved {
                let mut first = first;
                let why = result.notes.first().cloned().unwrap_or_default();
                first.notes.push(format!("not confirmed alone: {why}"));
                return Some(first);
            }
            let before = if first.verdict == Verdict::Unresolved { "unresolved".to_owned() } else { first.cell() };
            result.notes.push(format!("confirmed alone; beside other cases it was: {before}"));
        } else if beside && result.class == Some(FailureClass::C) {
            self.confirm.push_back(Turn { index: turn.index, first: Some(result) });
            return None;
        }
        Some(result)
    }

    fn unconfirmed(&mut self) -> Vec<CaseResult> {
        let first = |turn: Turn| {
            let mut result = *turn.first?;
            result.notes.push("not confirmed alone: the run was interrupted".to_owned());
            Some(result)
        };
        self.confirm.drain(..).filter_map(first).collect()
    }

    /// True when it was not draining before.
    fn drain(&mut self) -> bool {
        !std::mem::replace(&mut self.draining, true)
    }
}

async fn one(
    context: Arc<Context>,
    plan: Arc<Plan>,
    turn: Turn,
    tell: mpsc::UnboundedSender<Event>,
) -> Option<(Turn, Box<CaseResult>)> {
    let case = &plan.cases[turn.index];
    let candidate = plan.candidate(case)?;
    let say = |event| {
        // The coordinator hears as long as a case runs.
        let _ = tell.send(event);
    };
    if turn.first.is_none() {
        say(Event::CaseStarted { id: case.id.clone(), image: case.image.clone(), conditions: case.conditions.clone() });
    }
    let on_phase = |phase| say(Event::CasePhase { id: case.id.clone(), phase });
    let result = case::run(&context, &plan.service, candidate, case, &on_phase).await;
    Some((turn, Box::new(result)))
}
