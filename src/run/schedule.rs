//! How long cases take, and how much room they need: pure.
//!
//! A case that waits (for a time-out, for the end of its soak) leaves the processor to others: it counts for a part of
//! a slot only. What takes longest begins first, so that it does not end alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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

impl How {
    /// Number of events with which a resumed run tells what is known already, the first event not counted.
    #[must_use]
    pub(crate) fn recorded(&self) -> usize {
        self.done.len() + self.searched.0.len() + self.searched.1.len()
    }
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
pub(crate) fn estimate(conditions: &ConditionSet) -> (f64, f64) {
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

/// The part of a slot that a case takes in a phase. Only a candidate that uses the network waits for it.
#[must_use]
pub(crate) fn load(conditions: &ConditionSet, phase: Phase, uses_network: bool) -> f64 {
    let met = conditions.iter().filter(|c| uses_network || !c.is_of_network()).cloned();
    let (all, waits) = estimate(&ConditionSet::new(met).unwrap_or_default());
    match phase {
        Phase::Soak | Phase::Stop => WATCHED,
        _ if waits * 2.0 >= all => WAITS,
        _ => 1.0,
    }
}

/// How long cases take together, so many at a time, in seconds.
#[must_use]
pub(crate) fn whole(cases: &[Case], jobs: usize) -> f64 {
    let each: Vec<(f64, f64)> = cases.iter().map(|case| estimate(&case.conditions)).collect();
    let longest = each.iter().map(|(all, _)| *all).fold(0.0, f64::max);
    // Two slots share a processor.
    let busy: f64 = each.iter().map(|(all, waits)| all - waits * (1.0 - WAITS)).sum();
    longest.max(busy / jobs.max(1) as f64 * 1.5)
}

/// How many runs a search among conditions takes, mostly, and how many seconds, so many runs at a time.
#[must_use]
pub(crate) fn of_search(conditions: &[Condition], jobs: usize) -> (usize, f64) {
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

/// How much memory cases take, as far as their images were seen to run.
#[derive(Default)]
pub(crate) struct Needs {
    /// The most that each image was seen to need (bytes).
    peaks: BTreeMap<String, u64>,
}

impl Needs {
    /// Takes note of what a case needed.
    pub(crate) fn saw(&mut self, result: &CaseResult) {
        if let Some(usage) = &result.evidence.usage {
            let peak = self.peaks.entry(result.image.clone()).or_default();
            *peak = (*peak).max(usage.memory_peak);
        }
    }

    /// What a case of the image is taken to need (bytes): half as much again as was seen, and no more than its limit.
    #[must_use]
    pub(crate) fn of(&self, image: &str, conditions: &ConditionSet) -> u64 {
        let seen = taken(self.peaks.get(image));
        conditions.changes().container.memory.map_or(seen, |limit| seen.min(limit))
    }

    /// What any case is taken to need.
    #[must_use]
    pub(crate) fn largest(&self) -> u64 {
        taken(self.peaks.values().max())
    }
}

/// What is taken for needed, by the most that was seen (bytes).
fn taken(peak: Option<&u64>) -> u64 {
    peak.map_or(UNKNOWN_MEMORY, |peak| peak + peak / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(texts: &[&str]) -> Vec<Case> {
        let set =
            |text: &&str| ConditionSet::new(text.split_whitespace().map(|c| c.parse().expect("valid"))).expect("a set");
        texts.iter().map(|text| Case::new("app:1", set(text))).collect()
    }

    #[test]
    fn estimates_grow_with_what_is_waited_for() {
        let of = |text: &str| estimate(&cases(&[text])[0].conditions).0;
        assert!(of("") < of("egress.drop") && of("egress.drop") < of("dns.drop") && of("") < of("cpu.limit:0.25"));
        assert!(whole(&cases(&["", "", "", ""]), 4) < whole(&cases(&[""; 40]), 4));
    }
}
