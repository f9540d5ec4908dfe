//! The one coordinator: starts cases as slots come free, stamps and orders what they tell, hands it to the reporters.

mod search;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::case::{self, Context, Listener};
use super::schedule::{How, Queue, Turn};
use crate::event::{Event, Header, Planned, PlannedSearch, Stamped, VERSION};
use crate::model::expectation::Expected;
use crate::model::search::Search;
use crate::model::{Case, CaseId, CaseResult, Plan, Summary, Verdict};
use search::With;

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
    /// True when cases were ended before they were decided.
    pub cut: bool,
}

/// What attempts at a case came to so far.
#[derive(Default)]
struct Tried {
    /// The one that stands up to now.
    stands: Option<Box<CaseResult>>,
    /// A few words for each.
    words: Vec<String>,
    /// How many were not as expected, of how many that say something.
    attempts: [u32; 2],
}

impl Tried {
    /// Takes note of an attempt. One that is as expected stands, else the first that says something.
    fn take(&mut self, result: Box<CaseResult>, good: bool) {
        let says = result.verdict != Verdict::Unresolved;
        self.words.push(if says { result.cell() } else { result.verdict.to_string() });
        self.attempts[0] += u32::from(says && !good);
        self.attempts[1] += u32::from(says);
        let better = self.stands.as_ref().is_none_or(|s| good || (says && s.verdict == Verdict::Unresolved));
        if better {
            self.stands = Some(result);
        }
    }

    /// What stands, with what it was found by.
    fn result(self) -> Option<Box<CaseResult>> {
        let mut result = self.stands?;
        if self.words.len() > 1 {
            result.attempts = Some(self.attempts);
            result.notes.push(format!("tried {} times: {}", self.words.len(), self.words.join(", then ")));
            result.tried = self.words;
        }
        Some(result)
    }
}

/// A run under way.
struct Conductor<'a, R> {
    plan: &'a Plan,
    queue: Queue,
    results: BTreeMap<CaseId, CaseResult>,
    /// Searches that were not begun.
    searches: VecDeque<&'a Search>,
    /// Cases that searches have added, in their order, each behind its search.
    added: Vec<(CaseId, CaseId)>,
    /// Searches that came to no whole answer.
    open: usize,
    retries: u32,
    /// Attempts at cases that are to be tried again, by their place in the plan.
    tried: BTreeMap<usize, Tried>,
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
            searches: plan.searches.iter().collect(),
            added: Vec::new(),
            open: 0,
            retries: how.retries,
            tried: BTreeMap::new(),
            fail_fast: how.fail_fast,
            begun: Instant::now(),
            seq: 0,
            report,
        };
        conductor.stamp(Event::RunStarted(header(session, plan, how)));
        let of_search = |result: &CaseResult| {
            let case = plan.cases.iter().find(|case| case.id == result.id);
            case.is_none_or(Case::is_searched)
        };
        let (of_searches, done): (Vec<_>, Vec<_>) = std::mem::take(&mut how.done).into_iter().partition(of_search);
        done.into_iter().for_each(|result| conductor.finished(Box::new(result)));
        let (added, searched) = std::mem::take(&mut how.searched);
        for planned in added {
            conductor.added.extend(planned.search.clone().map(|search| (search, planned.id.clone())));
            conductor.stamp(Event::CaseAdded { planned });
        }
        of_searches.into_iter().for_each(|result| conductor.again(result));
        for searched in searched {
            conductor.searches.retain(|search| search.id != searched.id);
            conductor.over(searched);
        }
        conductor
    }

    /// Tells of the end.
    fn end(mut self, interrupted: u32, broken: usize) -> Finished {
        let of_plan = self.plan.cases.iter().map(|case| &case.id);
        let ids: Vec<CaseId> = of_plan.chain(self.added.iter().map(|(_, id)| id)).cloned().collect();
        let results: Vec<CaseResult> = ids.iter().filter_map(|id| self.results.remove(id)).collect();
        let summary = Summary {
            not_run: ids.len() - results.len(),
            searches: self.plan.searches.len(),
            open: self.open,
            ..Summary::of(&results, self.begun.elapsed().as_secs_f64())
        };
        self.stamp(Event::RunFinished { summary: summary.clone() });
        Finished { results, summary, interrupted, broken, cut: false }
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

    /// An attempt has ended: its result stands, or the case is tried again.
    fn ended(&mut self, index: usize, result: Box<CaseResult>) {
        let expect = self.plan.cases[index].expect.as_ref();
        let good = expect.map_or(result.verdict == Verdict::Pass, |expect| expect.met(&result));
        // What the host cannot impose it cannot impose the next time.
        let may_help = !good && result.skipped.is_none();
        let mut tried = self.tried.remove(&index).unwrap_or_default();
        tried.take(result, good);
        let attempt = u32::try_from(tried.words.len()).unwrap_or(u32::MAX);
        if may_help && attempt <= self.retries && self.queue.again(index) {
            let because = tried.words.last().cloned().unwrap_or_default();
            self.tried.insert(index, tried);
            let id = self.plan.cases[index].id.clone();
            self.stamp(Event::CaseRetrying { id, attempt: attempt + 1, because });
        } else if let Some(result) = tried.result() {
            self.finished(result);
        }
    }

    /// What was found out stands where a case is not tried again after all; false: nothing was.
    fn given_up(&mut self, index: usize) -> bool {
        let found = self.tried.remove(&index).and_then(Tried::result);
        let known = found.is_some();
        found.into_iter().for_each(|mut result| {
            result.notes.push("not tried again: the run was to stop".to_owned());
            self.finished(result);
        });
        known
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
                if self.given_up(index) {
                    continue;
                }
                let id = self.plan.cases[index].id.clone();
                self.stamp(Event::CaseNotRun { id, because: because.to_owned() });
            }
            for search in std::mem::take(&mut self.searches) {
                self.open += 1;
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
                Ok((id, (turn, result))) => {
                    turns.remove(&id);
                    let index = turn.index;
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
    let done = |case: &Case| how.done.iter().any(|result| result.id == case.id);
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
) -> (Turn, Box<CaseResult>) {
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
    let mut result = case::run(&context, service, candidate, case, listener).await;
    let mut attempts = [u32::from(result.verdict == Verdict::Fail), u32::from(result.verdict != Verdict::Unresolved)];
    let repeat = repeat.max(case.repeat);
    for _ in 1..repeat {
        let next = case::run(&context, service, candidate, case, listener).await;
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
