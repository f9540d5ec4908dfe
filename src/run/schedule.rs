//! Estimates how long cases take and how much CPU and memory they need. Pure.
//!
//! A case that waits (for a time-out or the end of its soak) leaves the CPU to others, so it takes only part of a slot.
//! The longest cases start first, so that none runs alone at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Attempts, Planned};
use crate::model::condition::Wait;
use crate::model::outcome::Phase;
use crate::model::search::SearchReport;
use crate::model::{Case, CaseResult, Condition, ConditionSet};

/// Share of a slot for a case that mostly waits, and for one that is only watched. Any other case takes a whole slot.
const WAITS: f64 = 0.5;
const WATCHED: f64 = 0.25;
/// Seconds that a case takes under friendly conditions, and how many of them it is only watched.
const USUAL_S: f64 = 2.5;
const SOAK_S: f64 = 1.0;
/// How much longer computing takes beside other cases, since two slots share a processor: the incident's images are
/// healthy after 1.7 s alone, and after 2.2 s beside two others.
const SHARED: f64 = 1.3;
/// Seconds until an unanswered connection attempt fails (compressed), and until an unanswered DNS query does.
const SILENCE_S: f64 = 3.0;
const NO_ANSWER_S: f64 = 10.0;
/// Memory (bytes) assumed for an image before its first run.
const UNKNOWN_MEMORY: u64 = 512 << 20;

/// Limits on how many cases run in parallel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Number of slots: cases that may compute in parallel.
    pub jobs: usize,
    /// Maximum number of parallel cases, waiting ones included.
    pub most: usize,
    /// Memory (bytes) of the engine's machine that all cases together may use; `None` when unknown.
    pub memory: Option<u64>,
}

impl From<usize> for Room {
    /// As many cases as slots, whether they wait or not.
    fn from(jobs: usize) -> Self {
        Self { jobs, most: jobs, memory: None }
    }
}

/// How a run schedules its cases.
#[derive(Clone, Debug)]
pub struct How {
    /// Limits on parallel cases.
    pub room: Room,
    /// Whether the first unexpected result stops the run.
    pub fail_fast: bool,
    /// Number of times each case runs.
    pub repeat: u32,
    /// Number of further attempts at a case whose result is unexpected or unresolved.
    pub retries: u32,
    /// The shard of the plan to run.
    pub shard: Option<crate::model::shard::Shard>,
    /// Time after which no further case starts.
    pub budget: Option<Duration>,
    /// The scenario files of the plan, for resuming the run.
    pub files: Vec<String>,
    /// Names of conditions that the host must be able to impose.
    pub require: Vec<String>,
    /// Results kept from an earlier run of the same plan.
    pub done: Vec<(Arc<CaseResult>, Attempts)>,
    /// Cases that the earlier run's finished searches added, and the reports of these searches.
    pub searched: (Vec<Planned>, Vec<Arc<SearchReport>>),
}

impl How {
    /// Number of events that repeat an earlier run's results at the start of a resumed run, not counting `run_started`.
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
            require: Vec::new(),
            done: Vec::new(),
            searched: (Vec::new(), Vec::new()),
        }
    }
}

/// Seconds that a case under these conditions takes, and how many of them it waits.
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
    // A throttled process waits, too.
    let waits = waits + USUAL_S * (slow - 1.0);
    (USUAL_S + waits, waits)
}

/// Share of a slot that a case takes in a phase. Only a candidate that uses the network waits for it.
#[must_use]
pub(crate) fn load(conditions: &ConditionSet, phase: Phase, uses_network: bool) -> f64 {
    let met = conditions.iter().filter(|c| uses_network || !c.is_of_network()).cloned();
    let (all, waits) = estimate(&ConditionSet::new(met).unwrap_or_default());
    match phase {
        Phase::Soak | Phase::Stop => WATCHED,
        _ => share(all, waits),
    }
}

/// Seconds that all cases take with `jobs` slots.
#[must_use]
pub(crate) fn estimate_all(cases: &[Case], jobs: usize) -> f64 {
    // What the image decides takes no time.
    let run = cases.iter().filter(|case| !case.conditions.iter().any(Condition::is_of_image));
    let each: Vec<(f64, f64)> = run.map(|case| estimate(&case.conditions)).collect();
    if each.is_empty() {
        return 0.0;
    }
    let longest = each.iter().map(|(all, _)| *all).fold(0.0, f64::max);
    let busy: f64 = each.iter().map(|(all, waits)| slot_seconds(*all, *waits)).sum();
    longest.max(busy / jobs.max(1) as f64)
}

/// Seconds of a whole slot that a case takes.
fn slot_seconds(all: f64, waits: f64) -> f64 {
    let computes = (all - waits - SOAK_S) * SHARED;
    share(all, waits) * (computes + waits) + WATCHED * SOAK_S
}

/// Share of a slot that a case takes before it is watched.
fn share(all: f64, waits: f64) -> f64 {
    if waits * 2.0 >= all { WAITS } else { 1.0 }
}

/// Typical number of runs of a search among conditions, and the seconds it takes with `jobs` slots.
#[must_use]
pub(crate) fn estimate_search(conditions: &[Condition], jobs: usize) -> (usize, f64) {
    let count = conditions.len();
    // The baseline, all conditions together, each alone, and some in between.
    let runs = 3 + count + count.div_ceil(4);
    let alone = conditions.iter().map(|c| estimate(&ConditionSet::new([c.clone()]).unwrap_or_default()).0);
    let mean = alone.sum::<f64>() / count.max(1) as f64;
    // Searches parallelize badly: the next run depends on earlier results.
    let beside = jobs.clamp(1, 4) as f64 / 1.5;
    (runs, mean.max(USUAL_S) * runs as f64 / beside.max(1.0))
}

fn seconds(length: Duration) -> f64 {
    length.as_secs_f64().min(60.0)
}

/// Estimates the memory of cases from earlier runs of their images.
#[derive(Default)]
pub struct MemoryNeeds {
    /// Peak memory (bytes) seen of each image.
    peaks: BTreeMap<String, u64>,
}

impl MemoryNeeds {
    /// Records the peak memory of a result.
    pub fn record(&mut self, result: &CaseResult) {
        if let Some(usage) = &result.evidence.usage {
            let peak = self.peaks.entry(result.image.clone()).or_default();
            *peak = (*peak).max(usage.memory_peak);
        }
    }

    /// Memory (bytes) to reserve for a case: 1.5 times the peak seen of its image, and at most its memory limit.
    #[must_use]
    pub(crate) fn of(&self, image: &str, conditions: &ConditionSet) -> u64 {
        let seen = reserved(self.peaks.get(image));
        conditions.changes().container.memory.map_or(seen, |limit| seen.min(limit))
    }

    /// Memory (bytes) to reserve for a case of any image.
    #[must_use]
    pub(crate) fn largest(&self) -> u64 {
        reserved(self.peaks.values().max())
    }
}

/// Memory (bytes) to reserve, given the peak seen so far.
fn reserved(peak: Option<&u64>) -> u64 {
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
    fn estimate_grows_with_the_wait() {
        let of = |text: &str| estimate(&cases(&[text])[0].conditions).0;
        assert!(of("") < of("egress.drop") && of("egress.drop") < of("dns.drop") && of("") < of("cpu.limit:0.25"));
        assert!(estimate_all(&cases(&["", "", "", ""]), 4) < estimate_all(&cases(&[""; 40]), 4));
        assert!(estimate_all(&cases(&["arch.mismatch"; 40]), 4) < estimate_all(&cases(&[""]), 4));
    }

    #[test]
    fn estimate_is_about_what_was_measured() {
        // scenarios/incident.yaml: eight images, 114 s with four slots on two processors.
        let provider = "env.set:OTP_PROVIDER=twilio_verify";
        let pairs = ["egress.drop", "egress.reject", "egress.unreachable"].map(|egress| format!("{provider} {egress}"));
        let sets = [
            "",
            "egress.drop",
            "egress.reject",
            "egress.unreachable",
            "dns.servfail",
            "dns.nxdomain",
            "dns.drop",
            "dns.delay:2s",
            "env.unset:DATABASE_URL",
            "env.unset:JWT_SECRET",
            "env.unset:ENV",
            "env.unset:TWILIO_ACCOUNT_SID",
            "env.empty:DATABASE_URL",
            "env.set:ENV=production",
            provider,
            "arch.mismatch",
            "cpu.limit:0.25",
            "memory.limit:512m",
            "hostname.platform",
            "hostname.unbindable",
        ];
        let sets: Vec<&str> = sets.into_iter().chain(pairs.iter().map(String::as_str)).collect();
        let all = cases(&sets.repeat(8));
        let seconds = estimate_all(&all, 4);
        assert!(all.len() == 184 && (105.0..125.0).contains(&seconds), "{} cases: {seconds} s", all.len());
    }
}
