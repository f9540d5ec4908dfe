//! The one public event type: what case tasks tell the coordinator, and what reporters read.

use serde::Serialize;

use crate::model::outcome::{CaseResult, Phase};
use crate::model::{CaseId, ConditionSet, Summary};

/// The format's version; a reader refuses a newer one.
pub const VERSION: u32 = 1;

/// Something that happened in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run begins.
    RunStarted {
        /// [`VERSION`].
        version: u32,
        /// The session's name.
        session: String,
        /// How many cases there are.
        cases: usize,
        /// How many run at a time.
        jobs: usize,
    },
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
    /// No further case is begun.
    Draining,
    /// A run ends.
    RunFinished {
        /// Its counts.
        summary: Summary,
    },
}

/// An event with its place and time; the coordinator alone gives them.
#[derive(Clone, Debug, Serialize)]
pub struct Stamped {
    /// Counts from 0 without a gap.
    pub seq: u64,
    /// Milliseconds since the run began.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
