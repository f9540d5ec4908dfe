//! What `why` answers: which smallest sets of conditions make an image fail, how sure that is, and what is not known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::ConditionSet;
use super::id::CaseId;
use super::outcome::{Cause, FailureClass, Finding, NotExercised, Verdict};

/// Something that was not run, and why.
pub(crate) type Left = NotExercised;

/// One smallest set under which the image fails.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MinimalSet {
    /// The conditions; none: it fails always.
    pub conditions: ConditionSet,
    /// How sure it is that this is one, from 0 to 1.
    pub confidence: f64,
    /// How often it failed, of how many runs.
    pub fails: [u32; 2],
    /// True when a run passed without each of its conditions.
    pub passes_without_each: bool,
    /// The failure's signature: exit code and normalised last line.
    pub signature: String,
    /// The failure's class.
    pub class: Option<FailureClass>,
    /// The exit code, where there was one.
    pub exit_code: Option<i64>,
    /// Why, and what to do.
    pub causes: Vec<Cause>,
    /// What was found out about its limits and delays: the smallest that passes, the largest that is survived.
    pub limits: Vec<String>,
    /// The command that runs it again.
    pub repro: String,
    /// The case, for `exitone repro`.
    pub case: CaseId,
}

/// A condition that takes a failure away.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Healed {
    /// With these the failure is gone.
    pub healers: ConditionSet,
    /// What fails without them.
    pub heals: ConditionSet,
}

/// A failure that differs from those of all smallest sets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OtherFailure {
    /// Its signature.
    pub signature: String,
    /// A set under which it was seen, made as small as the runs allowed.
    pub conditions: ConditionSet,
    /// The smallest set that is a part of it and fails in its own way.
    pub behind: ConditionSet,
}

/// The whole answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The document's version.
    pub version: u32,
    /// The image's name.
    pub image: String,
    /// Its content address.
    pub image_id: String,
    /// The platform that is simulated.
    pub platform: String,
    /// Its name in sentences.
    #[serde(default)]
    pub platform_name: String,
    /// Fail as soon as something makes it fail.
    pub verdict: Verdict,
    /// The class of the likeliest failure.
    pub class: Option<FailureClass>,
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// Friendly conditions; fail: it fails everywhere.
    pub baseline: Verdict,
    /// The smallest failing sets, likeliest first.
    pub minimal_sets: Vec<MinimalSet>,
    /// True when there is no other, under the assumption.
    pub complete: bool,
    /// What completeness rests on, and why it is not complete where it is not.
    pub assumption: String,
    /// True when the same case answered differently.
    pub flaky: bool,
    /// How sure the whole list is, from 0 to 1.
    pub confidence: f64,
    /// Conditions that were left out because a run showed that they would not be met.
    pub pruned: Vec<Left>,
    /// Conditions that no run met although they were imposed.
    pub not_exercised: Vec<String>,
    /// Conditions that the host cannot impose.
    pub skipped: Vec<Left>,
    /// What the image itself says, before anything runs.
    #[serde(rename = "static")]
    pub findings: Vec<Finding>,
    /// Conditions that heal.
    pub healed: Vec<Healed>,
    /// Failures of another signature.
    pub other_failures: Vec<OtherFailure>,
    /// What was not tried, and why.
    pub not_tried: Vec<String>,
    /// Causes where the image fails everywhere, or notes of runs that say nothing.
    pub notes: Vec<String>,
    /// Runs in all.
    pub runs: usize,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Answer {
    /// The exit code of a command that gives this answer (contract, exit codes).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Unresolved => 5,
        }
    }
}
