//! What a run tells, as it happens; every report is made from it.

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
use crate::model::outcome::{CaseResult, Phase};
use crate::model::search::SearchReport;
use crate::model::verdicts::Verdicts;
use crate::model::{CaseId, Condition, ConditionSet};

/// The format's version; a reader refuses a newer one.
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
    /// The scenario that it belongs to; nothing: a case by hand.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scenario: Option<String>,
    /// What the scenario expects; nothing: that it passes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expect: Option<String>,
    /// The search of its candidate, where the scenario asks for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub search: Option<CaseId>,
}

impl Planned {
    /// True when a search runs it: unless the search's answer says more of it, nothing is expected of it.
    #[must_use]
    pub(crate) fn is_step(&self) -> bool {
        self.search.is_some() && !self.conditions.is_empty()
    }
}

/// A search that a run is going to make.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlannedSearch {
    /// The search.
    pub(crate) id: CaseId,
    /// Its image.
    pub(crate) image: String,
    /// The image's content address.
    pub(crate) image_id: String,
    /// The place of its first case, behind all that are planned.
    pub(crate) place: usize,
    /// The scenario that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) scenario: Option<String>,
    /// What it searches among.
    pub(crate) conditions: Vec<Condition>,
}

/// What a run is for.
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

/// What a run is, said before its first case.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
// Its keys stand beside the event's name: a part of its own would not know that one.
#[schemars(inline)]
pub struct Header {
    /// The format's version; a reader refuses a newer one.
    pub version: u32,
    /// What the run is for.
    #[serde(default)]
    pub kind: Kind,
    /// The version of the program.
    pub tool: String,
    /// The session's name.
    pub session: String,
    /// The platform that is simulated.
    pub platform: String,
    /// When it began, in UTC (RFC 3339).
    pub started: String,
    /// How many cases run at a time.
    pub jobs: usize,
    /// `2/4`: the second of four parts; nothing: the whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard: Option<String>,
    /// The scenario files that the plan is from.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub files: Vec<String>,
    /// The cases, in the order of the report.
    pub cases: Vec<Planned>,
    /// Searches; they add cases.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub searches: Vec<PlannedSearch>,
}

/// Something that happened in a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run begins.
    RunStarted(Header),
    /// A case begins.
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
    /// A result stands for a case; once more where a search runs the case again.
    CaseFinished {
        /// The attempt that stands, as it was made.
        result: Arc<CaseResult>,
        /// All attempts so far, where there are several.
        #[serde(skip_serializing_if = "Attempts::is_single", default)]
        attempts: Attempts,
    },
    /// A case that depends on time ran beside others: it is run once more, alone.
    CaseConfirming {
        /// The case.
        id: CaseId,
    },
    /// A case did not come out as expected: it is tried again.
    CaseRetrying {
        /// The case.
        id: CaseId,
        /// From 2.
        attempt: u32,
        /// What the attempt before it came to.
        because: String,
    },
    /// A case is not begun any more.
    CaseNotRun {
        /// The case.
        id: CaseId,
        /// Why.
        because: String,
    },
    /// A search begins.
    SearchStarted {
        /// The search.
        id: CaseId,
    },
    /// A search runs a case that was not planned.
    CaseAdded {
        /// The case.
        planned: Planned,
    },
    /// A search goes on.
    SearchProgress {
        /// The search.
        id: CaseId,
        /// What it looks at now.
        doing: String,
        /// The smallest failing sets found so far.
        found: Vec<ConditionSet>,
    },
    /// A search has its answer, which says what each of its cases stands for.
    SearchFinished {
        /// The answer, held against what was expected.
        report: Arc<SearchReport>,
    },
    /// A search is not begun any more.
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
    /// No further case is begun.
    Draining {
        /// Why.
        because: String,
    },
    /// A run ends.
    RunFinished {
        /// Its counts.
        summary: Counts,
    },
}

/// An event with its place and time; the coordinator alone gives them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stamped {
    /// Counts from 0 without a gap.
    pub seq: u64,
    /// Milliseconds since the run began.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
