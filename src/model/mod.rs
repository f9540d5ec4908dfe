//! The domain types: plain values, no clock, no I/O.

pub mod answer;
pub mod case;
pub mod change;
pub mod condition;
pub mod expectation;
pub mod explanation;
pub mod files;
pub mod id;
pub mod image;
pub mod observation;
pub mod outcome;
pub mod plan;
pub mod platform;
pub mod redact;
pub mod search;
pub mod service;
pub mod shard;
pub mod units;
pub mod verdicts;
pub mod words;

pub use case::{Candidate, Case};
pub use condition::{Condition, ConditionSet, EnvChange};
pub use expectation::{Expectation, Expected};
pub use id::CaseId;
pub use image::{ImageFacts, ImageId};
pub use observation::{Evidence, Observation};
pub use outcome::{CaseResult, FailureClass, Outcome, Phase, Verdict};
pub use plan::{Part, Plan};
pub use platform::Platform;
pub use redact::Redactor;
pub use service::Service;
