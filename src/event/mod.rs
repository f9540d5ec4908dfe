//! The events of a run, from which every report is made.

mod counts;
mod entry;
pub mod log;
pub mod run;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::counts::Counts;
pub(crate) use self::entry::{Attempts, judge};
pub use self::entry::{Entry, Standing};
use crate::model::answer::Told;
use crate::model::outcome::{CaseResult, Phase};
use crate::model::search::SearchReport;
use crate::model::verdicts::Verdicts;
use crate::model::{CaseId, Condition, ConditionSet};

/// The version of the format; a reader rejects newer ones.
pub(crate) const VERSION: u32 = 2;

/// A case that a run is going to run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// The case.
    pub id: CaseId,
    /// Its image.
    pub image: String,
    /// The image's content address.
    #[serde(default)]
    pub image_id: String,
    /// Its place in the whole plan, of which this run may be a shard.
    #[serde(default)]
    pub place: usize,
    /// Its conditions.
    pub conditions: ConditionSet,
    /// Its scenario; absent for a case by hand.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scenario: Option<String>,
    /// What the scenario expects; absent if it must pass.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expect: Option<String>,
    /// The search of its candidate, if the scenario requests one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub search: Option<CaseId>,
}

impl Planned {
    /// Whether a search runs it: unless the search's answer judges it, it has no expectation.
    #[must_use]
    pub(crate) fn is_step(&self) -> bool {
        self.search.is_some() && !self.conditions.is_empty()
    }
}

/// A search that a run is going to run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlannedSearch {
    /// The search.
    pub(crate) id: CaseId,
    /// Its image.
    pub(crate) image: String,
    /// The image's content address.
    pub image_id: String,
    /// The place of its first case, after all planned ones.
    pub place: usize,
    /// Its scenario.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scenario: Option<String>,
    /// The conditions it searches among.
    pub(crate) conditions: Vec<Condition>,
}

/// The kind of a run.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `run`: the cases of a plan.
    #[default]
    Run,
    /// `why`: one search.
    Why,
    /// `bisect`: the first bad image.
    Bisect,
}

/// Metadata of a run, before its first case.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
// Its keys are next to the event's name; a nested part of its own would not know that one.
#[schemars(inline)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The kind of the run.
    #[serde(default)]
    pub kind: Kind,
    /// The version of the program.
    pub tool: String,
    /// The session's name.
    pub session: String,
    /// The simulated platform.
    pub platform: String,
    /// Start time in UTC (RFC 3339).
    pub started: String,
    /// Number of cases run in parallel.
    pub jobs: usize,
    /// `2/4`: the second of four shards; absent for the whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard: Option<String>,
    /// The scenario files of the plan.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub files: Vec<String>,
    /// Names of conditions that the host must be able to impose (`--require`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub require: Vec<String>,
    /// The cases, in report order.
    pub cases: Vec<Planned>,
    /// Searches; they add cases.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub searches: Vec<PlannedSearch>,
}

/// An event of a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run starts.
    RunStarted(Header),
    /// A case starts.
    CaseStarted {
        /// The case.
        id: CaseId,
        /// Its image.
        image: String,
        /// Its conditions.
        conditions: ConditionSet,
    },
    /// A case reached a phase.
    CasePhase {
        /// The case.
        id: CaseId,
        /// The phase.
        phase: Phase,
    },
    /// A case has a result; repeated if a search runs the case again.
    CaseFinished {
        /// The attempt that counts.
        result: Arc<CaseResult>,
        /// All attempts so far, if there are several.
        #[serde(skip_serializing_if = "Attempts::is_single", default)]
        attempts: Attempts,
    },
    /// A time-dependent case ran next to others and is run once more, alone.
    CaseConfirming {
        /// The case.
        id: CaseId,
    },
    /// A case had an unexpected result and is retried.
    CaseRetrying {
        /// The case.
        id: CaseId,
        /// Counts from 2.
        attempt: u32,
        /// The outcome of the previous attempt.
        because: String,
    },
    /// A case will not start.
    CaseNotRun {
        /// The case.
        id: CaseId,
        /// Why.
        because: String,
    },
    /// A search starts.
    SearchStarted {
        /// The search.
        id: CaseId,
    },
    /// A search runs a case that was not planned.
    CaseAdded {
        /// The case.
        planned: Planned,
    },
    /// A search makes progress.
    SearchProgress {
        /// The search.
        id: CaseId,
        /// What it is doing now.
        doing: String,
        /// The smallest failing sets found so far.
        found: Vec<ConditionSet>,
    },
    /// A search says a minimal set ahead of its answer.
    SearchTold {
        /// The search.
        id: CaseId,
        /// What it says.
        told: Told,
    },
    /// A search has its answer, which judges its cases.
    SearchFinished {
        /// The answer, held against what was expected.
        report: Arc<SearchReport>,
    },
    /// A search will not start.
    SearchNotRun {
        /// The search.
        id: CaseId,
        /// Why.
        because: String,
    },
    /// A bisection has its answer.
    BisectFinished {
        /// The answer.
        verdicts: Arc<Verdicts>,
    },
    /// No further case starts.
    Draining {
        /// Why.
        because: String,
        /// Whether running cases are ended without a result; otherwise they go on to it.
        #[serde(default)]
        aborts: bool,
    },
    /// A run ends.
    RunFinished {
        /// Its counts.
        summary: Counts,
    },
}

/// An event with sequence number and time; only the coordinator assigns them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stamped {
    /// Counts from 0 without gaps.
    pub seq: u64,
    /// Milliseconds since the start of the run.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
