//! Which case is run next. Pure: the coordinator asks, and tells what became of each.
//!
//! A case that waits (for a time-out, for the end of its soak) leaves the processor to others: it counts for a part of
//! a slot only. What takes longest begins first, so that it does not end alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::alone;
use crate::event::{Attempts, Planned};
use crate::model::condition::Wait;
use crate::model::outcome::Phase;
use crate::model::search::SearchReport;
use crate::model::{Case, CaseResult, Condition, ConditionSet};

/// A case that computes takes a whole slot; one that mostly waits, or is only watched, takes these parts of one.
const WAITS: f64 = 0.5;
const WATCHED: f64 = 0.25;
/// A case is taken for so many seconds where nothing is known of it.
const USUAL_S: f64 = 2.5;
/// A connection that nobody answers is given up after so many seconds (compressed), a question of DNS after so many.
const SILENCE_S: f64 = 3.0;
const NO_ANSWER_S: f64 = 10.0;
/// Until an image has been seen to run, it is taken to need so much memory (bytes).
const UNKNOWN_MEMORY: u64 = 512 << 20;

/// How many cases there is room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Slots: so many cases compute at a time.
    pub jobs: usize,
    /// No more cases at a time than this, however many of them wait.
    pub most: usize,
    /// The memory of the engine's machine that cases may take together (bytes); nothing: it is not known.
    pub memory: Option<u64>,
}

impl From<usize> for Room {
    /// As many as there are slots, whether they wait or not.
    fn from(jobs: usize) -> Self {
        Self { jobs, most: jobs, memory: None }
    }
}

/// How cases are run beside each other.
#[derive(Clone, Debug)]
pub struct How {
    /// So many at a time.
    pub room: Room,
    /// True: after the first case that is not as expected no other one is begun.
    pub fail_fast: bool,
    /// How often each case is run.
    pub repeat: u32,
    /// How often a case that is not as expected, or says nothing, is tried again.
    pub retries: u32,
    /// The part of a larger run that this is.
    pub shard: Option<crate::model::shard::Shard>,
    /// After this time no other case is begun.
    pub budget: Option<Duration>,
    /// The scenario files that the plan is from, for whoever resumes it.
    pub files: Vec<String>,
    /// Results of an earlier run of the same plan, which stand.
    pub done: Vec<(Arc<CaseResult>, Attempts)>,
    /// Cases that its finished searches have added, and what these came to.
    pub searched: (Vec<Planned>, Vec<Arc<SearchReport>>),
}

impl From<usize> for How {
    fn from(jobs: usize) -> Self {
        Self {
            room: jobs.into(),
            fail_fast: false,
            repeat: 1,
            retries: 0,
            shard: None,
            budget: None,
            files: Vec::new(),
            done: Vec::new(),
            searched: (Vec::new(), Vec::new()),
        }
    }
}

/// How long a case under these conditions takes, in seconds: of this much it waits.
#[must_use]
pub fn estimate(conditions: &ConditionSet) -> (f64, f64) {
    let mut slow = 1.0_f64;
    let mut waits = 0.0_f64;
    for condition in conditions.iter() {
        let wait = match condition.wait() {
            Wait::Nothing => 0.0,
            Wait::Silence => SILENCE_S,
            Wait::NoAnswer => NO_ANSWER_S,
            Wait::For(length) => seconds(length),
            Wait::RoundTrips(length) => seconds(length) * 10.0,
            Wait::Cpu(milli) => {
                slow = slow.max(1000.0 / f64::from(milli.max(1)));
                0.0
            }
        };
        waits = waits.max(wait);
    }
    // A process that is kept from computing waits as well.
    let waits = waits + USUAL_S * (slow - 1.0);
    (USUAL_S + waits, waits)
}

/// The part of a slot that a case takes; `phase`: the furthest that it has reached.
#[must_use]
pub fn load(conditions: &ConditionSet, phase: Phase) -> f64 {
    let (all, waits) = estimate(conditions);
    match phase {
        Phase::Soak | Phase::Stop => WATCHED,
        _ if waits * 2.0 >= all => WAITS,
        _ => 1.0,
    }
}

/// How long cases take together, so many at a time, in seconds.
#[must_use]
pub fn whole(cases: &[Case], jobs: usize) -> f64 {
    let each: Vec<(f64, f64)> = cases.iter().map(|case| estimate(&case.conditions)).collect();
    let longest = each.iter().map(|(all, _)| *all).fold(0.0, f64::max);
    // Two slots share a processor.
    let busy: f64 = each.iter().map(|(all, waits)| all - waits * (1.0 - WAITS)).sum();
    longest.max(busy / jobs.max(1) as f64 * 1.5)
}

/// How many runs a search among conditions takes, mostly, and how many seconds, so many runs at a time.
#[must_use]
pub fn of_search(conditions: &[Condition], jobs: usize) -> (usize, f64) {
    let count = conditions.len();
    // The baseline, everything at once, each alone, and some in between.
    let runs = 3 + count + count.div_ceil(4);
    let alone = conditions.iter().map(|c| estimate(&ConditionSet::new([c.clone()]).unwrap_or_default()).0);
    let mean = alone.sum::<f64>() / count.max(1) as f64;
    // What is run next depends on what came before.
    let beside = jobs.clamp(1, 4) as f64 / 1.5;
    (runs, mean.max(USUAL_S) * runs as f64 / beside.max(1.0))
}

fn seconds(length: Duration) -> f64 {
    length.as_secs_f64().min(60.0)
}

/// One run of a case.
pub struct Turn {
    /// Its place in the plan.
    pub index: usize,
    /// What came of it beside other cases, when this is its second turn, alone.
    pub first: Option<Box<CaseResult>>,
}

struct Running {
    /// True when another one ran at the same time.
    beside: bool,
    /// The part of a slot that it takes now.
    load: f64,
    memory: u64,
}

/// How much memory cases take, as far as their images were seen to run.
#[derive(Default)]
pub struct Needs {
    /// The most that each image was seen to need (bytes).
    peaks: BTreeMap<String, u64>,
}

impl Needs {
    /// Takes note of what a case needed.
    pub fn saw(&mut self, result: &CaseResult) {
        if let Some(usage) = &result.evidence.usage {
            let peak = self.peaks.entry(result.image.clone()).or_default();
            *peak = (*peak).max(usage.memory_peak);
        }
    }

    /// What a case of the image is taken to need (bytes): half as much again as was seen, and no more than its limit.
    #[must_use]
    pub fn of(&self, image: &str, conditions: &ConditionSet) -> u64 {
        let seen = taken(self.peaks.get(image));
        conditions.changes().container.memory.map_or(seen, |limit| seen.min(limit))
    }

    /// What any case is taken to need.
    #[must_use]
    pub fn largest(&self) -> u64 {
        taken(self.peaks.values().max())
    }
}

/// What is taken for needed, by the most that was seen (bytes).
fn taken(peak: Option<&u64>) -> u64 {
    peak.map_or(UNKNOWN_MEMORY, |peak| peak + peak / 2)
}

/// The cases that are left. One of class C depends on time: when it ran beside others, it is run once more, alone,
/// when all others have ended.
pub struct Queue {
    room: Room,
    waiting: VecDeque<usize>,
    images: Vec<String>,
    conditions: Vec<ConditionSet>,
    needs: Needs,
    running: BTreeMap<usize, Running>,
    confirm: VecDeque<Turn>,
    draining: bool,
}

impl Queue {
    /// The cases of a plan but those that are done and those that searches run.
    #[must_use]
    pub fn new(cases: &[Case], how: &How) -> Self {
        let done = |case: &Case| how.done.iter().any(|(result, _)| result.id == case.id);
        let mut order: Vec<usize> =
            (0..cases.len()).filter(|n| !done(&cases[*n]) && !cases[*n].is_searched()).collect();
        let length = |n: &usize| estimate(&cases[*n].conditions).0;
        order.sort_by(|a, b| length(b).total_cmp(&length(a)));
        Self {
            room: how.room,
            waiting: order.into(),
            images: cases.iter().map(|case| case.image.clone()).collect(),
            conditions: cases.iter().map(|case| case.conditions.clone()).collect(),
            needs: Needs::default(),
            running: BTreeMap::new(),
            confirm: VecDeque::new(),
            draining: false,
        }
    }

    /// The next one, if there is room for it.
    pub fn begin(&mut self) -> Option<Turn> {
        if self.draining {
            return None;
        }
        let turn = match self.waiting.front().copied() {
            Some(index) if self.fits(index) => {
                self.waiting.pop_front();
                Turn { index, first: None }
            }
            Some(_) => return None,
            None if self.running.is_empty() => self.confirm.pop_front()?,
            None => return None,
        };
        let load = load(&self.conditions[turn.index], Phase::Prepare);
        let running = Running { beside: false, load, memory: self.memory(turn.index) };
        self.running.insert(turn.index, running);
        if self.running.len() > 1 {
            self.running.values_mut().for_each(|running| running.beside = true);
        }
        Some(turn)
    }

    fn fits(&self, index: usize) -> bool {
        let Room { jobs, most, memory } = self.room;
        // One case always runs, whatever it needs.
        if self.running.is_empty() {
            return true;
        }
        let taken_up: f64 = self.running.values().map(|running| running.load).sum();
        let taken: u64 = self.running.values().map(|running| running.memory).sum();
        self.running.len() < most
            && taken_up + load(&self.conditions[index], Phase::Prepare) <= jobs as f64 + 1e-9
            && memory.is_none_or(|all| taken + self.memory(index) <= all)
    }

    fn memory(&self, index: usize) -> u64 {
        self.needs.of(&self.images[index], &self.conditions[index])
    }

    /// A case has reached a phase: from now on it is only watched, or computes again.
    pub fn reached(&mut self, index: usize, phase: Phase) {
        if let Some(running) = self.running.get_mut(&index) {
            running.load = load(&self.conditions[index], phase);
        }
    }

    /// Takes note of a case's end; gives its result when that stands.
    pub fn ended(&mut self, turn: Turn, result: Box<CaseResult>) -> Option<Box<CaseResult>> {
        let beside = self.running.remove(&turn.index).is_some_and(|running| running.beside);
        self.needs.saw(&result);
        match turn.first {
            Some(first) => Some(alone::stands(first, result)),
            None if alone::is_wanted(beside, &result) => {
                self.confirm.push_back(Turn { index: turn.index, first: Some(result) });
                None
            }
            None => Some(alone::unless_starved(result)),
        }
    }

    /// A case is to be run again, after all that wait; false: none is begun any more.
    pub fn again(&mut self, index: usize) -> bool {
        if !self.draining {
            self.waiting.push_back(index);
        }
        !self.draining
    }

    /// A case broke off.
    pub fn broke(&mut self, index: usize) {
        self.running.remove(&index);
    }

    /// Results that were to be confirmed when the run was told to stop, each with its place in the plan.
    pub fn unconfirmed(&mut self) -> Vec<(usize, CaseResult)> {
        let first = |turn: Turn| {
            let first = alone::unconfirmed(turn.first?, "the run was interrupted");
            Some((turn.index, *alone::unless_starved(first)))
        };
        self.confirm.drain(..).filter_map(first).collect()
    }

    /// No other case is begun; true when that is new.
    pub fn drain(&mut self) -> bool {
        !std::mem::replace(&mut self.draining, true)
    }

    /// Cases that are not begun, or not tried again, by their place in the plan.
    #[must_use]
    pub fn left(&self) -> Vec<usize> {
        let mut left: Vec<usize> = self.waiting.iter().copied().collect();
        left.sort_unstable();
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(texts: &[&str]) -> Vec<Case> {
        let set =
            |text: &&str| ConditionSet::new(text.split_whitespace().map(|c| c.parse().expect("valid"))).expect("a set");
        texts.iter().map(|text| Case::new("app:1", set(text))).collect()
    }

    fn started(queue: &mut Queue) -> Vec<usize> {
        std::iter::from_fn(|| queue.begin().map(|turn| turn.index)).collect()
    }

    #[test]
    fn the_longest_begin_first_and_what_waits_leaves_room() {
        let all = cases(&["", "env.unset:A", "egress.drop", "dns.drop", "env.unset:B"]);
        let how = How { room: Room { most: 8, ..2.into() }, ..How::from(2) };
        let mut queue = Queue::new(&all, &how);
        // Two that wait take one slot together.
        assert_eq!(started(&mut queue), [3, 2, 0]);
        queue.reached(0, Phase::Soak);
        assert!(queue.begin().is_none(), "three quarters of a slot are not enough");
        queue.reached(2, Phase::Soak);
        assert_eq!(started(&mut queue), [1]);
        // A user's own number is kept.
        assert_eq!(started(&mut Queue::new(&all, &How::from(2))), [3, 2]);
    }

    #[test]
    fn memory_is_kept_within_its_bounds() {
        let all = cases(&["", "env.unset:A", "memory.limit:64m", "env.unset:B"]);
        let how = |memory| How { room: Room { memory: Some(memory), ..8.into() }, ..How::from(8) };
        assert_eq!(started(&mut Queue::new(&all, &how(1200 << 20))), [0, 1, 2], "512 + 512 + 64 MB");
        assert_eq!(started(&mut Queue::new(&all, &how(1))), [0], "one always runs");
    }

    #[test]
    fn what_is_done_is_not_run_and_what_is_left_is_known() {
        let all = cases(&["", "env.unset:A"]);
        let mut queue = Queue::new(&all, &How::from(1));
        assert!(queue.drain() && !queue.drain());
        assert_eq!((started(&mut queue), queue.left()), (vec![], vec![0, 1]));
    }

    #[test]
    fn estimates_grow_with_what_is_waited_for() {
        let of = |text: &str| estimate(&cases(&[text])[0].conditions).0;
        assert!(of("") < of("egress.drop") && of("egress.drop") < of("dns.drop") && of("") < of("cpu.limit:0.25"));
        assert!(whole(&cases(&["", "", "", ""]), 4) < whole(&cases(&[""; 40]), 4));
    }
}
