//! A run assembled from its events: the input of every report.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Attempts, Counts, Entry, Event, Header, Kind, Planned, PlannedSearch, Stamped, Standing, judge};
use crate::model::search::{JudgedSet, SearchReport};
use crate::model::verdicts::Verdicts;
use crate::model::{CaseId, CaseResult, Condition, Verdict};

/// The reason for a missing result if no event gives one.
const BROKE_OFF: &str = "the run was interrupted";

/// A run, as far as its events go.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Run {
    /// The plan.
    pub header: Header,
    /// The result that counts, by case.
    pub results: BTreeMap<CaseId, Arc<CaseResult>>,
    /// The attempts, for cases with several.
    pub attempts: BTreeMap<CaseId, Attempts>,
    /// The answers of searches.
    pub searches: BTreeMap<CaseId, Arc<SearchReport>>,
    /// Every finished run, in order; a search may run a case several times.
    pub runs: Vec<Ran>,
    /// The answer of a bisection.
    pub verdicts: Option<Arc<Verdicts>>,
    /// Cases and searches that did not start, and why.
    pub not_run: BTreeMap<CaseId, String>,
    /// Its counts, once it has finished; `None` if it was interrupted.
    pub summary: Option<Counts>,
    /// Milliseconds from its start to its last event.
    pub last_ms: u64,
}

/// A run of a case.
#[derive(Clone, PartialEq, Debug)]
pub struct Ran {
    /// The case.
    pub(crate) case: CaseId,
    /// Milliseconds from the start of the whole run to its end.
    pub(crate) at_ms: u64,
    /// The verdict of this run; another run's result may count.
    pub(crate) verdict: Verdict,
    /// Its outcome in a few words.
    pub(crate) outcome: String,
}

/// Why runs cannot be merged.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MergeError {
    /// A case was run in two of them.
    #[error("case {0} was run in two of the runs: they are not shards of one run")]
    Twice(CaseId),
    /// The same shard was given twice, or shards of different runs.
    #[error("{0}")]
    Shards(String),
}

impl Run {
    /// Applies an event.
    pub fn on(&mut self, stamped: &Stamped) {
        self.last_ms = self.last_ms.max(stamped.at_ms);
        match &stamped.event {
            Event::RunStarted(header) => self.header = header.clone(),
            Event::CaseFinished { result, attempts } => {
                self.not_run.remove(&result.id);
                self.runs.push(self.ran(result, attempts, stamped.at_ms));
                self.results.insert(result.id.clone(), result.clone());
                match attempts.is_single() {
                    true => self.attempts.remove(&result.id),
                    false => self.attempts.insert(result.id.clone(), attempts.clone()),
                };
            }
            Event::CaseNotRun { id, because } | Event::SearchNotRun { id, because } => {
                self.not_run.insert(id.clone(), because.clone());
            }
            Event::CaseAdded { planned } => self.add(planned),
            Event::SearchFinished { report } => {
                self.not_run.remove(&report.id);
                self.searches.insert(report.id.clone(), report.clone());
            }
            Event::BisectFinished { verdicts } => self.verdicts = Some(verdicts.clone()),
            Event::RunFinished { summary } => self.summary = Some(summary.clone()),
            Event::CaseStarted { .. }
            | Event::SearchStarted { .. }
            | Event::SearchProgress { .. }
            | Event::SearchTold { .. }
            | Event::CasePhase { .. }
            | Event::CaseConfirming { .. }
            | Event::CaseRetrying { .. }
            | Event::Draining { .. } => {}
        }
    }

    /// The last attempt at a case: the difference to those before it.
    fn ran(&self, result: &CaseResult, attempts: &Attempts, at_ms: u64) -> Ran {
        let before = self.results.get(&result.id).map(|before| match self.attempts.get(&result.id) {
            Some(attempts) => (attempts.failed, attempts.decided),
            None => (u32::from(before.verdict == Verdict::Fail), u32::from(before.verdict != Verdict::Unresolved)),
        });
        let verdict = match before {
            Some((failed, _)) if attempts.failed > failed => Verdict::Fail,
            Some((_, decided)) if attempts.decided > decided => Verdict::Pass,
            Some(_) if !attempts.is_single() => Verdict::Unresolved,
            _ => result.verdict,
        };
        let outcome = attempts.outcomes.last().cloned().unwrap_or_else(|| result.cell());
        Ran { case: result.id.clone(), at_ms, verdict, outcome }
    }

    /// An added case gets the place that it would have had in the plan.
    fn add(&mut self, planned: &Planned) {
        let cases = &mut self.header.cases;
        if cases.iter().all(|known| known.id != planned.id) {
            let at = cases.iter().rposition(|known| known.place <= planned.place).map_or(0, |at| at + 1);
            cases.insert(at, planned.clone());
        }
    }

    /// Assembles a run from its events.
    #[must_use]
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Stamped>) -> Self {
        let mut run = Self::default();
        events.into_iter().for_each(|event| run.on(event));
        run
    }

    /// Every case in plan order, judged.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let judged = self.searches.values().flat_map(|report| &report.judged);
        let judged: BTreeMap<&CaseId, &JudgedSet> = judged.map(|judged| (&judged.case, judged)).collect();
        self.header.cases.iter().map(move |planned| self.judged(planned, judged.get(&planned.id).copied()))
    }

    /// One case, judged; `None` if the run has no such case.
    #[must_use]
    pub fn entry(&self, id: &CaseId) -> Option<Entry<'_>> {
        let planned = self.header.cases.iter().find(|planned| planned.id == *id)?;
        let judged = self.searches.values().flat_map(|report| &report.judged).find(|judged| judged.case == *id);
        Some(self.judged(planned, judged))
    }

    fn judged<'a>(&'a self, planned: &'a Planned, set: Option<&'a JudgedSet>) -> Entry<'a> {
        let id = &planned.id;
        let done = self.results.get(id).map(|result| (result, self.attempts.get(id)));
        let missing = done.is_none().then(|| self.because(id));
        let entry = judge(planned, done, set, missing);
        let standing = match (self.header.kind, entry.standing) {
            // Every version is a step to the first bad one.
            (Kind::Bisect, Standing::Expected | Standing::Unexpected) => Standing::Step,
            (_, Standing::Skipped) if entry.result.is_some_and(|result| self.requires(result)) => Standing::Unresolved,
            (_, standing) => standing,
        };
        Entry { standing, ..entry }
    }

    /// Whether a condition that the host could not impose is one that it must.
    fn requires(&self, result: &CaseResult) -> bool {
        let name = result.cannot_impose.as_ref().map(Condition::name);
        name.is_some_and(|name| self.header.require.iter().any(|required| required == name))
    }

    fn because(&self, id: &CaseId) -> &str {
        self.not_run.get(id).map_or(BROKE_OFF, String::as_str)
    }

    /// What a resumed run keeps of a case.
    #[must_use]
    pub fn finished(&self, id: &CaseId) -> Option<(Arc<CaseResult>, Attempts)> {
        let result = self.results.get(id)?.clone();
        Some((result, self.attempts.get(id).cloned().unwrap_or_default()))
    }

    /// The results in plan order.
    pub fn in_order(&self) -> impl Iterator<Item = &Arc<CaseResult>> {
        self.header.cases.iter().filter_map(|planned| self.results.get(&planned.id))
    }

    /// Planned cases without a result, in plan order, each with the reason.
    pub fn without_result(&self) -> impl Iterator<Item = (&Planned, &str)> {
        self.entries().filter_map(|entry| Some((entry.planned, entry.missing?)))
    }

    /// The searches in plan order, each with its answer, or the reason for not having one.
    pub fn searches(&self) -> impl Iterator<Item = (&PlannedSearch, Result<&SearchReport, &str>)> {
        self.header.searches.iter().map(|planned| {
            let report = self.searches.get(&planned.id).map(|report| &**report);
            (planned, report.ok_or_else(|| self.because(&planned.id)))
        })
    }

    /// The images, in plan order.
    #[must_use]
    pub(crate) fn images(&self) -> Vec<&str> {
        let mut images: Vec<&str> = Vec::new();
        for planned in &self.header.cases {
            if !images.contains(&planned.image.as_str()) {
                images.push(&planned.image);
            }
        }
        images
    }

    /// The counts of what exists so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let seconds = self.summary.as_ref().map_or(self.last_ms as f64 / 1000.0, |summary| summary.seconds);
        let open = self.searches().filter(|(_, answer)| answer.is_err() || answer.is_ok_and(|s| s.open.is_some()));
        Counts {
            searches: self.header.searches.len(),
            open: open.count(),
            seconds: (seconds * 10.0).round() / 10.0,
            ..Counts::of(self.entries())
        }
    }

    /// The exit code of the command that made the run (contract, exit codes).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.header.kind {
            Kind::Run => self.counts().exit_code(),
            Kind::Why => self.searches.values().next().map_or(5, |report| report.answer.exit_code()),
            Kind::Bisect => self.verdicts.as_ref().map_or(5, |verdicts| verdicts.exit_code()),
        }
    }

    /// Merges shards of one run, or runs of different scenarios.
    ///
    /// # Errors
    /// When a case was run in two of them, or shards do not belong together.
    pub fn merged(runs: Vec<Self>) -> Result<Self, MergeError> {
        let mut runs = runs.into_iter();
        let Some(mut whole) = runs.next() else { return Ok(Self::default()) };
        let mut shards: Vec<String> = whole.header.shard.iter().cloned().collect();
        for run in runs {
            if let Some(shard) = &run.header.shard {
                if shards.contains(shard) {
                    return Err(MergeError::Shards(format!("shard {shard} was given twice")));
                }
                shards.push(shard.clone());
            }
            if let Some(id) = run.results.keys().find(|id| whole.results.contains_key(*id)) {
                return Err(MergeError::Twice(id.clone()));
            }
            // A shard without cases had no session.
            if whole.header.session.is_empty() {
                whole.header.session = run.header.session;
            }
            for planned in run.header.cases {
                if whole.header.cases.iter().all(|known| known.id != planned.id) {
                    whole.header.cases.push(planned);
                }
            }
            for planned in run.header.searches {
                if whole.header.searches.iter().all(|known| known.id != planned.id) {
                    whole.header.searches.push(planned);
                }
            }
            whole.searches.extend(run.searches);
            whole.results.extend(run.results);
            whole.attempts.extend(run.attempts);
            whole.runs.extend(run.runs);
            whole.verdicts = whole.verdicts.or(run.verdicts);
            whole.not_run.extend(run.not_run);
            whole.last_ms = whole.last_ms.max(run.last_ms);
            whole.header.started = whole.header.started.min(run.header.started);
            whole.summary = match (whole.summary, run.summary) {
                (Some(a), Some(b)) => Some(if a.seconds > b.seconds { a } else { b }),
                _ => None,
            };
        }
        let of = |shard: &String| shard.split('/').nth(1).map(str::to_owned);
        if let Some(first) = shards.first()
            && let Some(other) = shards.iter().find(|shard| of(shard) != of(first))
        {
            return Err(MergeError::Shards(format!("{first} and {other} are not shards of one run")));
        }
        if shards.len() > 1 {
            whole.header.cases.sort_by_key(|planned| planned.place);
            whole.header.searches.sort_by_key(|planned| planned.place);
        }
        let done = &whole.results;
        let searched = &whole.searches;
        whole.not_run.retain(|id, _| !done.contains_key(id) && !searched.contains_key(id));
        if shards.len() > 1 || whole.header.shard.is_some() {
            whole.header.shard = whole_of(&shards);
        }
        Ok(whole)
    }
}

/// The shard notation of merged shards: `None` if they are all of them.
fn whole_of(shards: &[String]) -> Option<String> {
    let of = shards.first()?.split('/').nth(1)?.parse::<usize>().ok()?;
    (shards.len() < of).then(|| {
        let mut numbers: Vec<&str> = shards.iter().filter_map(|shard| shard.split('/').next()).collect();
        numbers.sort_unstable();
        format!("{}/{of}", numbers.join("+"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::model::ConditionSet;

    fn planned(id: &str, place: usize) -> Planned {
        let search = (place > 1).then(|| CaseId("s".to_owned()));
        let (image, conditions) = ("app:1".to_owned(), crate::model::ConditionSet::baseline());
        let id = CaseId(id.to_owned());
        Planned { id, image, image_id: String::new(), place, conditions, scenario: None, expect: None, search }
    }

    fn folded(header: Header, events: impl IntoIterator<Item = Event>) -> Run {
        let events = std::iter::once(Event::RunStarted(header)).chain(events).enumerate();
        let stamped: Vec<Stamped> =
            events.map(|(n, event)| Stamped { seq: n as u64, at_ms: n as u64, event }).collect();
        Run::of(&stamped)
    }

    fn header(shard: &str, cases: &[(&str, usize)], searches: &[(&str, usize)]) -> Header {
        let search = |(id, place): &(&str, usize)| PlannedSearch {
            id: CaseId((*id).to_owned()),
            image: "app:1".to_owned(),
            image_id: String::new(),
            place: *place,
            scenario: None,
            conditions: Vec::new(),
        };
        Header {
            shard: Some(shard.to_owned()),
            cases: cases.iter().map(|(id, place)| planned(id, *place)).collect(),
            searches: searches.iter().map(search).collect(),
            ..Header::default()
        }
    }

    fn ids(run: &Run) -> Vec<&str> {
        run.header.cases.iter().map(|planned| planned.id.0.as_str()).collect()
    }

    #[test]
    fn added_cases_take_the_place_of_their_search() {
        let added = |id: &str, place| Event::CaseAdded { planned: planned(id, place) };
        // An earlier search comes after one that is run again.
        let first = folded(
            header("1/2", &[("a", 0)], &[("s", 100), ("t", 200)]),
            [added("t0", 200), added("s0", 100), added("s1", 101), added("t1", 201), added("s0", 100)],
        );
        assert_eq!(ids(&first), ["a", "s0", "s1", "t0", "t1"]);
        let second = folded(header("2/2", &[("b", 1)], &[("u", 150)]), [added("u0", 150)]);
        let merged = Run::merged(vec![second, first]).expect("they belong together");
        assert_eq!(ids(&merged), ["a", "b", "s0", "s1", "u0", "t0", "t1"]);
        let searches: Vec<&str> = merged.searches().map(|(planned, _)| planned.id.0.as_str()).collect();
        assert_eq!(searches, ["s", "u", "t"]);
    }

    #[test]
    fn search_without_an_answer_is_open() {
        let not_made = Event::SearchNotRun { id: CaseId("s".to_owned()), because: "asked".to_owned() };
        let run = folded(header("1/1", &[], &[("s", 1), ("t", 2)]), [not_made]);
        let because: Vec<&str> = run.searches().filter_map(|(_, came)| came.err()).collect();
        assert_eq!(because, ["asked", "the run was interrupted"]);
        assert_eq!((run.counts().open, run.counts().exit_code()), (2, 5));
    }

    #[test]
    fn what_the_host_cannot_impose_counts_only_where_it_is_required() {
        let code = |with: &[&str], require: &[&str]| {
            let mut header = header("1/1", &with.iter().map(|id| (*id, 0)).collect::<Vec<_>>(), &[]);
            header.require = require.iter().map(|name| (*name).to_owned()).collect();
            let mut run = folded(header, []);
            for id in with {
                let mut result = CaseResult::some(id, "app:1", ConditionSet::baseline());
                if *id == "skipped" {
                    result.verdict = Verdict::Unresolved;
                    result.skipped = Some("host cannot: no control group".to_owned());
                    result.cannot_impose = Some("cpu.limit:1".parse().expect("a condition"));
                }
                run.results.insert(result.id.clone(), Arc::new(result));
            }
            run.exit_code()
        };
        assert_eq!(code(&["passed", "skipped"], &[]), 0);
        assert_eq!(code(&["passed", "skipped"], &["egress.drop"]), 0);
        assert_eq!(code(&["passed", "skipped"], &["cpu.limit"]), 5);
        assert_eq!(code(&["skipped"], &[]), 5, "nothing was judged");
    }
}
