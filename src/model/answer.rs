//! The answer of `why`: the minimal sets of conditions that make an image fail, its confidence, and what remains
//! unknown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::ConditionSet;
use super::deployment::Broke;
use super::id::CaseId;
use super::outcome::{Cause, FailureClass, Finding, Need, NotExercised, Outcome, Verdict};

/// Something that was not run, and why.
pub(crate) type Left = NotExercised;

/// A minimal set under which the image fails.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MinimalSet {
    /// The conditions; none if it always fails.
    pub conditions: ConditionSet,
    /// The confidence that this set is minimal and fails, from 0 to 1.
    pub confidence: f64,
    /// Number of failed runs, and of all runs.
    pub fails: [u32; 2],
    /// Whether a run passed without each of its conditions.
    pub passes_without_each: bool,
    /// The failure's signature: exit code and normalised last line.
    pub signature: String,
    /// The failure's class.
    pub class: Option<FailureClass>,
    /// The exit code, if there was one.
    pub exit_code: Option<i64>,
    /// Causes and fixes.
    pub causes: Vec<Cause>,
    /// Findings about its limits and delays: the smallest limit that passes, the largest delay that is survived.
    pub limits: Vec<String>,
    /// Repairs that were run, fixes that work first.
    #[serde(default)]
    pub(crate) repairs: Vec<Repair>,
    /// The command that reproduces it.
    pub repro: String,
    /// The case, for `exitone repro`.
    pub case: CaseId,
}

/// Whether a repair is one that a user would keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RepairKind {
    /// A setting that a user would keep.
    Fix,
    /// It shows the cause, and is no fix.
    Proof,
}

/// A change with which the image was run instead.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Repair {
    /// The repair as `exitone run --repair` takes it, or `without:CONDITION`.
    pub(crate) id: String,
    /// What is so with it, in words that follow "healthy when".
    pub(crate) text: String,
    /// Whether it is a fix.
    pub(crate) kind: RepairKind,
    /// Whether every run with it was healthy; null if none decided.
    pub(crate) verified: Option<bool>,
    /// Milliseconds until a run with it was healthy.
    pub(crate) healthy_ms: Option<f64>,
    /// Whether the image then fails in another way: something else is wrong as well.
    #[serde(default)]
    pub(crate) uncovers: bool,
    /// Number of runs that tried it; 0 if the search's own runs show it.
    #[serde(default)]
    pub(crate) runs: usize,
}

/// A condition that prevents a failure.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Healed {
    /// The conditions with which the failure does not occur.
    pub healers: ConditionSet,
    /// What fails without them.
    pub heals: ConditionSet,
}

/// A minimal set that was said ahead of the answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// The conditions; none if the image always fails.
    pub conditions: ConditionSet,
    /// How it failed.
    pub outcome: Option<Outcome>,
    /// The exit code, if there was one.
    pub exit_code: Option<i64>,
    /// The first cause.
    pub cause: Option<String>,
    /// Whether further runs may contradict it: a health check that goes on may yet pass, and what a log names may not be
    /// all.
    pub tentative: bool,
    /// Number of runs by then.
    pub runs: usize,
    /// Seconds since the search began.
    pub seconds: f64,
}

/// A failure that differs from those of all minimal sets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OtherFailure {
    /// Its signature.
    pub signature: String,
    /// A set under which it occurred, as small as the runs allowed.
    pub conditions: ConditionSet,
    /// The minimal set that it contains and that fails differently.
    pub behind: ConditionSet,
}

/// The complete answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The version of the document.
    pub version: u32,
    /// The image's name.
    pub image: String,
    /// Its content address.
    pub image_id: String,
    /// The simulated platform.
    pub platform: String,
    /// Its display name.
    #[serde(default)]
    pub platform_name: String,
    /// Fail as soon as something makes it fail.
    pub verdict: Verdict,
    /// The class of the likeliest failure.
    pub class: Option<FailureClass>,
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// The result under friendly conditions; if it is fail, the image fails under every condition.
    pub baseline: Verdict,
    /// The minimal failing sets, likeliest first.
    pub minimal_sets: Vec<MinimalSet>,
    /// Whether there is no other, under the assumption: `settled`, nothing `untried`, nothing `uncombined`.
    pub complete: bool,
    /// Whether there is no other among the conditions that were tried, under the assumption.
    #[serde(default)]
    pub settled: bool,
    /// What completeness depends on, and why the list is incomplete if it is.
    pub assumption: String,
    /// Whether the same case gave different answers.
    pub flaky: bool,
    /// The confidence in the whole list, from 0 to 1.
    pub confidence: f64,
    /// Conditions left out because a run showed that they would have no effect.
    pub pruned: Vec<Left>,
    /// Conditions that were imposed but had no effect in any run.
    pub not_exercised: Vec<String>,
    /// Conditions that the host cannot impose.
    pub skipped: Vec<Left>,
    /// Findings about the image before it runs.
    #[serde(rename = "static")]
    pub findings: Vec<Finding>,
    /// What broke the deployment; null without a description, an update or a log of one.
    #[serde(default)]
    pub deployment: Option<Broke>,
    /// What must be known before there is a verdict.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Conditions that heal.
    pub healed: Vec<Healed>,
    /// Failures with another signature.
    pub other_failures: Vec<OtherFailure>,
    /// Conditions that were not tried because a related one fails; they may fail for another reason.
    #[serde(default)]
    pub untried: Vec<Left>,
    /// Number of pairs of conditions that were not imposed together: other forms of conditions exclude many.
    #[serde(default)]
    pub uncombined: usize,
    /// What else was not tried, and why.
    pub not_tried: Vec<String>,
    /// Causes if the image fails under every condition, or notes about unresolved runs.
    pub notes: Vec<String>,
    /// For how many seconds a healthy run was watched: what happens later is unseen.
    #[serde(default)]
    pub watched_s: f64,
    /// What was said ahead of this answer, in chronological order.
    #[serde(default)]
    pub told: Vec<Told>,
    /// Total number of runs.
    pub runs: usize,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Answer {
    /// The exit code of a command with this answer (contract, exit codes).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Unresolved => 5,
        }
    }
}

#[cfg(test)]
impl Answer {
    /// An answer of which nothing is known.
    pub(crate) fn some() -> Self {
        Self {
            version: 2,
            image: "app:1".to_owned(),
            image_id: String::new(),
            platform: "apprunner".to_owned(),
            platform_name: "App Runner".to_owned(),
            verdict: Verdict::Unresolved,
            class: None,
            exit_code: None,
            baseline: Verdict::Unresolved,
            minimal_sets: Vec::new(),
            complete: false,
            settled: false,
            assumption: String::new(),
            flaky: false,
            confidence: 0.0,
            pruned: Vec::new(),
            not_exercised: Vec::new(),
            skipped: Vec::new(),
            findings: Vec::new(),
            deployment: None,
            needs: Vec::new(),
            healed: Vec::new(),
            other_failures: Vec::new(),
            untried: Vec::new(),
            uncombined: 0,
            not_tried: Vec::new(),
            notes: Vec::new(),
            told: Vec::new(),
            watched_s: 1.0,
            runs: 0,
            seconds: 0.0,
        }
    }
}
