//! The domain types: plain values, no clock, no I/O.

pub mod answer;
pub(crate) mod case;
pub(crate) mod change;
pub mod condition;
pub mod deployment;
pub(crate) mod expectation;
pub(crate) mod explanation;
pub(crate) mod files;
pub(crate) mod id;
pub(crate) mod image;
pub mod observation;
pub mod outcome;
pub(crate) mod plan;
pub(crate) mod platform;
pub(crate) mod redact;
pub mod search;
pub mod service;
pub mod shard;
pub(crate) mod units;
pub mod verdicts;
pub(crate) mod words;

pub use case::{Candidate, Case};
pub(crate) use condition::EnvChange;
pub use condition::{Condition, ConditionSet};
pub use expectation::Expectation;
pub(crate) use expectation::Expected;
pub use id::CaseId;
pub(crate) use image::{ImageFacts, ImageId};
pub(crate) use observation::Evidence;
pub(crate) use outcome::FailureClass;
pub use outcome::{CaseResult, Outcome, Verdict};
pub use plan::{Part, Plan};
pub(crate) use platform::Platform;
pub(crate) use redact::Redactor;
pub use service::Service;
