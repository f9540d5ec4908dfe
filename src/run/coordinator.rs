//! The one coordinator: starts cases as slots come free, stamps and orders what they tell, hands it to the reporters.

mod search;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::case::{self, Context, Listener};
use super::schedule::{How, Queue, Turn};
use crate::event::run::Run;
use crate::event::{Attempts, Counts, Event, Header, Kind, Planned, PlannedSearch, Stamped, Standing, VERSION};
use crate::model::search::Search;
use crate::model::{Case, CaseId, CaseResult, Plan, Verdict};
use search::With;

/// Where the run is told to stop: how often the user asked.
pub type Interrupts = tokio::sync::watch::Receiver<u32>;

/// What a run came to.
#[derive(Debug)]
pub struct Finished {
    /// Everything that its events say.
    pub run: Run,
    /// Results in the order of the plan; cases that were not begun are missing.
    pub results: Vec<Arc<CaseResult>>,
    /// Its counts.
    pub summary: Counts,
    /// How often the user asked to stop.
    pub interrupted: u32,
    /// Cases whose task broke off: a fault of ours.
    pub broken: usize,
    /// True when cases were ended before they were decided.
    pub cut: bool,
}

/// The attempts at a case so far, and the one that stands up to now.
#[derive(Default)]
struct Tried {
    stands: Option<Box<CaseResult>>,
    attempts: Attempts,
}

impl Tried {
    /// Takes note of an attempt. One that is as expected stands, else the first that says something.
    fn take(&mut self, result: Box<CaseResult>, good: bool) {
        self.attempts.count(&result, !good);
        let says = result.verdict != Verdict::Unresolved;
        let better = self.stands.as_ref().is_none_or(|s| good || (says && s.verdict == Verdict::Unresolved));
        if better {
            self.stands = Some(result);
        }
    }
}

/// A run under way.
struct Conductor<'a, R> {
    plan: &'a Plan,
    queue: Queue,
    /// What was told so far.
    run: Run,
    /// Searches that were not begun.
    searches: VecDeque<&'a Search>,
    /// Cases that searches have added, in their order, each behind its search.
    added: Vec<(CaseId, CaseId)>,
    retries: u32,
    /// Attempts at cases that are to be tried again, by their place in the plan.
    tried: BTreeMap<usize, Tried>,
    /// The attempts of the last turn of each case.
    repeated: BTreeMap<usize, Attempts>,
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
            run: Run::default(),
            searches: plan.searches.iter().collect(),
            added: Vec::new(),
            retries: how.retries,
            tried: BTreeMap::new(),
            repeated: BTreeMap::new(),
            fail_fast: how.fail_fast,
            begun: Instant::now(),
            seq: 0,
            report,
        };
        conductor.stamp(Event::RunStarted(header(session, plan, how)));
        let of_search = |(result, _): &(Arc<CaseResult>, Attempts)| {
            let case = plan.cases.iter().find(|case| case.id == result.id);
            case.is_none_or(Case::is_searched)
        };
        let (of_searches, done): (Vec<_>, Vec<_>) = std::mem::take(&mut how.done).into_iter().partition(of_search);
        done.into_iter().for_each(|(result, attempts)| conductor.finished(result, attempts));
        let (added, searched) = std::mem::take(&mut how.searched);
        for planned in added {
            conductor.added.extend(planned.search.clone().map(|search| (search, planned.id.clone())));
            conductor.stamp(Event::CaseAdded { planned });
        }
        of_searches.into_iter().for_each(|(result, attempts)| conductor.emit(result, attempts));
        for report in searched {
            conductor.searches.retain(|search| search.id != report.id);
            conductor.stamp(Event::SearchFinished { report });
        }
        conductor
    }

    /// Tells of the end.
    fn end(mut self, interrupted: u32, broken: usize) -> Finished {
        let summary = self.run.counts();
        self.stamp(Event::RunFinished { summary: summary.clone() });
        let results = self.run.in_order().cloned().collect();
        Finished { run: self.run, results, summary, interrupted, broken, cut: false }
    }

    fn stamp(&mut self, event: Event) {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let stamped = Stamped { seq: self.seq, at_ms, event };
        self.run.on(&stamped);
        (self.report)(&stamped);
        self.seq += 1;
    }

    /// Takes note of what a case tells while it runs.
    fn told(&mut self, index: usize, event: Event) {
        if let Event::CasePhase { phase, .. } = &event {
            self.queue.reached(index, *phase);
        }
        self.stamp(event);
    }

    /// An attempt has ended: its result stands, or the case is tried again.
    fn ended(&mut self, index: usize, result: Box<CaseResult>) {
        let good = as_expected(&self.plan.cases[index], &result);
        // What the host cannot impose it cannot impose the next time.
        let may_help = !good && result.skipped.is_none();
        let mut tried = self.tried.remove(&index).unwrap_or_default();
        match self.repeated.remove(&index).filter(|repeated| !repeated.is_single()) {
            Some(attempts) => tried = Tried { stands: Some(result), attempts },
            None => tried.take(result, good),
        }
        let attempt = u32::try_from(tried.attempts.outcomes.len()).unwrap_or(u32::MAX);
        let again = may_help && attempt <= self.retries;
        if again && self.queue.again(index) {
            let because = tried.attempts.outcomes.last().cloned().unwrap_or_default();
            self.tried.insert(index, tried);
            let id = self.plan.cases[index].id.clone();
            self.stamp(Event::CaseRetrying { id, attempt: attempt + 1, because });
        } else if let Some(result) = tried.stands {
            self.finished(Arc::from(result), Attempts { cut_short: again, ..tried.attempts });
        }
    }

    /// What was found out stands where a case is not tried again after all; false: nothing was.
    fn given_up(&mut self, index: usize) -> bool {
        let Some(Tried { stands: Some(result), attempts }) = self.tried.remove(&index) else { return false };
        self.finished(Arc::from(result), Attempts { cut_short: true, ..attempts });
        true
    }

    /// Tells of a result that stands.
    fn finished(&mut self, result: Arc<CaseResult>, attempts: Attempts) {
        let id = result.id.clone();
        self.emit(result, attempts);
        if self.fail_fast && self.run.entry(&id).is_some_and(|entry| entry.standing == Standing::Unexpected) {
            self.drain(&format!("--fail-fast: {id} did not come out as expected"));
        }
    }

    fn emit(&mut self, result: Arc<CaseResult>, attempts: Attempts) {
        self.stamp(Event::CaseFinished { result, attempts });
    }

    fn drain(&mut self, because: &str) {
        if self.queue.drain() {
            self.stamp(Event::Draining { because: because.to_owned() });
            for index in self.queue.left() {
                if self.given_up(index) {
                    continue;
                }
                let id = self.plan.cases[index].id.clone();
                self.stamp(Event::CaseNotRun { id, because: because.to_owned() });
            }
            for search in std::mem::take(&mut self.searches) {
                self.stamp(Event::SearchNotRun { id: search.id.clone(), because: because.to_owned() });
                self.not_run(search, because);
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
            let again = turn.first.is_some() || conductor.tried.contains_key(&index);
            let task = tasks.spawn(one(context.clone(), plan.clone(), turn, (how.repeat, again), tell.clone()));
            turns.insert(task.id(), index);
        }
        if tasks.is_empty() {
            // Cases that were to be confirmed when the user asked to stop.
            for (index, result) in conductor.queue.unconfirmed() {
                conductor.ended(index, Box::new(result));
            }
            // Cases whose next attempt broke off.
            for index in conductor.tried.keys().copied().collect::<Vec<_>>() {
                conductor.given_up(index);
            }
            break;
        }
        tokio::select! {
            // What cases tell comes before their end.
            biased;
            Some((index, event)) = told.recv() => conductor.told(index, event),
            Some(joined) = tasks.join_next_with_id() => match joined {
                Ok((id, (turn, result, attempts))) => {
                    turns.remove(&id);
                    let index = turn.index;
                    conductor.repeated.insert(index, attempts);
                    if let Some(result) = conductor.queue.ended(turn, result) {
                        conductor.ended(index, result);
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
    let with = With { context, room: how.room, deadline, interrupts: interrupts.clone() };
    let ended = conductor.search(&with).await;
    let interrupted = *interrupts.borrow();
    let finished = conductor.end(interrupted, broken + ended.broken);
    Finished { cut: ended.cut || interrupted > 1, ..finished }
}

/// A run without a case to run: a shard that has none, or one where all are done. It needs no session on the engine;
/// nothing: there is a case to run, or a search to make.
pub fn without_session(plan: &Plan, how: &How, report: impl FnMut(&Stamped)) -> Option<Finished> {
    let done = |case: &Case| how.done.iter().any(|(result, _)| result.id == case.id);
    let made = |search: &Search| how.searched.1.iter().any(|searched| searched.id == search.id);
    if !plan.cases.iter().all(done) || !plan.searches.iter().all(made) {
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
        kind: Kind::Run,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        session: session.to_owned(),
        platform: plan.platforms(),
        started: jiff::Timestamp::now().round(jiff::Unit::Second).map(|t| t.to_string()).unwrap_or_default(),
        jobs: how.room.jobs,
        shard: how.shard.map(|shard| shard.to_string()),
        files: how.files.clone(),
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

async fn one(
    context: Arc<Context>,
    plan: Arc<Plan>,
    turn: Turn,
    (repeat, again): (u32, bool),
    tell: mpsc::UnboundedSender<(usize, Event)>,
) -> (Turn, Box<CaseResult>, Attempts) {
    let case = &plan.cases[turn.index];
    let say = |event| {
        // The coordinator hears as long as a case runs.
        let _ = tell.send((turn.index, event));
    };
    if !again {
        say(Event::CaseStarted { id: case.id.clone(), image: case.image.clone(), conditions: case.conditions.clone() });
    }
    let Some(candidate) = plan.candidate(case) else {
        // A plan is made from its candidates.
        unreachable!("{} has no candidate", case.id)
    };
    let service = &plan.part(case).service;
    let on_phase = |phase| say(Event::CasePhase { id: case.id.clone(), phase });
    let listener = Listener { phase: &on_phase, healthy: None };
    let mut attempts = Attempts::default();
    let mut result = case::run(&context, service, candidate, case, listener).await;
    attempts.count(&result, !as_expected(case, &result));
    for _ in 1..repeat.max(case.repeat) {
        let next = case::run(&context, service, candidate, case, listener).await;
        attempts.count(&next, !as_expected(case, &next));
        // The first failure stands: a case that fails at times fails.
        if next.verdict == Verdict::Fail && result.verdict != Verdict::Fail || result.verdict == Verdict::Unresolved {
            result = next;
        }
    }
    (turn, Box::new(result), attempts)
}

fn as_expected(case: &Case, result: &CaseResult) -> bool {
    case.expect.as_ref().map_or(result.verdict == Verdict::Pass, |expect| expect.met(result))
}
