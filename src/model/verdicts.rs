//! The answer of `bisect`: the first bad image of an ordered list, and the evidence for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::ImageChange;
use super::condition::ConditionSet;
use super::id::CaseId;
use super::outcome::{Cause, Verdict};

/// The result of the search.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Culprit {
    /// The first bad image is known.
    First,
    /// It is one of several.
    AnyOf,
    /// The oldest image is already bad.
    AllBad,
    /// The newest image is good.
    NoneBad,
    /// The oldest image is bad and the newest is good.
    Reversed,
    /// The runs do not decide it.
    Unknown,
    /// One image was judged; nothing was searched.
    Judged,
}

/// An image that was run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tested {
    /// The image's name.
    pub image: String,
    /// Its content address.
    pub image_id: String,
    /// Pass is good, fail is bad.
    pub verdict: Verdict,
    /// Number of runs with an answer.
    pub runs: u32,
    /// Number of failed runs, and of decisive runs.
    pub fails: [u32; 2],
    /// How it ended, in a few words.
    pub outcome: String,
    /// The failure's signature: exit code and normalised last line.
    pub signature: Option<String>,
    /// Conditions without effect.
    pub not_exercised: Vec<String>,
    /// Why it is unresolved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub because: Option<String>,
    /// The case, for `exitone repro`.
    pub case: CaseId,
}

/// The start of another failure: the newest image fails differently from the first bad one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Also {
    /// The first image that fails like the newest.
    pub first_bad: Option<String>,
    /// The image before it, which passes.
    pub last_good: Option<String>,
    /// If it is not known exactly: one of these.
    pub any_of: Vec<String>,
    /// Their signature.
    pub signature: String,
    /// The command that compares the first image known to fail so with the last good one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compare: Option<String>,
}

/// The complete answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdicts {
    /// The version of the document.
    pub version: u32,
    /// The result of the search.
    pub culprit: Culprit,
    /// The first bad image.
    pub first_bad: Option<String>,
    /// The image before it, which passes.
    pub last_good: Option<String>,
    /// If the first bad image is not known exactly: one of these.
    pub any_of: Vec<String>,
    /// The images that were run, in the order of the list.
    pub tested: Vec<Tested>,
    /// The images that were not run.
    pub not_tried: Vec<String>,
    /// The changes from the last good image to the first known bad one.
    pub image_diff: ImageChange,
    /// The conditions that every image ran under.
    pub conditions: ConditionSet,
    /// The signature of the image that `causes` is about.
    pub signature: Option<String>,
    /// Causes and fixes for the first known bad image.
    pub causes: Vec<Cause>,
    /// The confidence in the answer, from 0 to 1.
    pub confidence: f64,
    /// Whether one image both failed and passed.
    pub flaky: bool,
    /// The result of the newest image.
    pub newest: Option<Tested>,
    /// Where the newest image's failure starts, if it is another one.
    pub also: Vec<Also>,
    /// The command that runs the first known bad image again.
    pub repro: Option<String>,
    /// Its case, for `exitone repro`.
    pub case: Option<CaseId>,
    /// Further notes for readers.
    pub notes: Vec<String>,
    /// Total number of runs; one that was repeated alone counts twice.
    pub runs: usize,
    /// Wall time in seconds.
    pub seconds: f64,
    /// All images, oldest first.
    pub images: Vec<String>,
}

impl Verdicts {
    /// The exit code of a command with this answer (contract, exit codes).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.culprit {
            Culprit::First | Culprit::AnyOf | Culprit::AllBad => 1,
            Culprit::NoneBad | Culprit::Reversed => 2,
            Culprit::Unknown => 5,
            Culprit::Judged => match self.newest.as_ref().map(|one| one.verdict) {
                Some(Verdict::Pass) => 0,
                Some(Verdict::Fail) => 1,
                Some(Verdict::Unresolved) | None => 5,
            },
        }
    }

    /// The result of an image.
    #[must_use]
    pub fn tested(&self, image: &str) -> Option<&Tested> {
        self.tested.iter().find(|one| one.image == image)
    }

    /// The first known bad image: the culprit, the last of several, or the oldest of all.
    #[must_use]
    pub(crate) fn known_bad(&self) -> Option<&String> {
        match self.culprit {
            Culprit::AllBad | Culprit::Reversed | Culprit::Judged => self.images.first(),
            _ => self.first_bad.as_ref().or(self.any_of.last()),
        }
    }
}
