//! The one public event type: what case tasks tell the coordinator, and what reporters read.

pub mod log;
pub mod run;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::outcome::{CaseResult, Phase};
use crate::model::search::Searched;
use crate::model::{CaseId, Condition, ConditionSet, Summary};

/// The format's version; a reader refuses a newer one.
pub const VERSION: u32 = 1;

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

/// A search that a run is going to make.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlannedSearch {
    /// The search.
    pub id: CaseId,
    /// Its image.
    pub image: String,
    /// The image's content address.
    pub image_id: String,
    /// The place of its first case, behind all that are planned.
    pub place: usize,
    /// The scenario that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scenario: Option<String>,
    /// What it searches among.
    pub conditions: Vec<Condition>,
}

/// What a run is, said before its first case.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
// Its keys stand beside the event's name: a part of its own would not know that one.
#[schemars(inline)]
pub struct Header {
    /// The format's version; a reader refuses a newer one.
    pub version: u32,
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
    /// A case is decided.
    CaseFinished {
        /// Everything about it.
        result: Box<CaseResult>,
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
    /// A search has its answer; it says which of its cases stand for themselves.
    SearchFinished {
        /// Everything about it.
        searched: Box<Searched>,
    },
    /// A search is not begun any more.
    SearchNotRun {
        /// The search.
        id: CaseId,
        /// Why.
        because: String,
    },
    /// No further case is begun.
    Draining {
        /// Why.
        because: String,
    },
    /// A run ends.
    RunFinished {
        /// Its counts.
        summary: Summary,
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
