//! What `bisect` answers: which image of an ordered list is the first bad one, and what that stands on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::ImageChange;
use super::condition::ConditionSet;
use super::id::CaseId;
use super::outcome::{Cause, Verdict};

/// What became of the search.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Culprit {
    /// The first bad image is known.
    First,
    /// It is one of several.
    AnyOf,
    /// The oldest image is bad already.
    AllBad,
    /// The newest image is good.
    NoneBad,
    /// The oldest image is bad and the newest is good.
    Reversed,
    /// The runs do not tell.
    Unknown,
    /// One image was judged, nothing was searched for.
    Judged,
}

/// One image that was run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tested {
    /// The image's name.
    pub image: String,
    /// Its content address.
    pub image_id: String,
    /// Pass is good, fail is bad.
    pub verdict: Verdict,
    /// How often it was run to an answer.
    pub runs: u32,
    /// How often it failed, of how many runs that say something.
    pub fails: [u32; 2],
    /// How it ended, in a few words.
    pub outcome: String,
    /// The failure's signature: exit code and normalised last line.
    pub signature: Option<String>,
    /// Conditions that it never met.
    pub not_exercised: Vec<String>,
    /// Why nothing can be said of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub because: Option<String>,
    /// The case, for `exitone repro`.
    pub case: CaseId,
}

/// Where another failure begins: the newest image fails, and not as the first bad one does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Also {
    /// The first image that fails like the newest.
    pub first_bad: Option<String>,
    /// The image before it, which passes.
    pub last_good: Option<String>,
    /// When it cannot be told exactly: it is one of these.
    pub any_of: Vec<String>,
    /// How they fail.
    pub signature: String,
}

/// The whole answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdicts {
    /// The document's version.
    pub version: u32,
    /// What became of the search.
    pub culprit: Culprit,
    /// The first bad image.
    pub first_bad: Option<String>,
    /// The image before it, which passes.
    pub last_good: Option<String>,
    /// When the first bad image cannot be told exactly: it is one of these.
    pub any_of: Vec<String>,
    /// The images that were run, in the order of the list.
    pub tested: Vec<Tested>,
    /// The images that were not run.
    pub not_tried: Vec<String>,
    /// What changed from the last good image to the first one that is known to be bad.
    pub image_diff: ImageChange,
    /// The conditions that every image was run under.
    pub conditions: ConditionSet,
    /// How the image that `causes` is about fails.
    pub signature: Option<String>,
    /// Why, and what to do: of the first image that is known to be bad.
    pub causes: Vec<Cause>,
    /// How sure the answer is, from 0 to 1.
    pub confidence: f64,
    /// True when one image both failed and passed.
    pub flaky: bool,
    /// What became of the newest image.
    pub newest: Option<Tested>,
    /// Where the newest image's failure begins, when it is another one.
    pub also: Vec<Also>,
    /// The command that runs the first image that is known to be bad again.
    pub repro: Option<String>,
    /// Its case, for `exitone repro`.
    pub case: Option<CaseId>,
    /// What a reader must know beside it.
    pub notes: Vec<String>,
    /// Runs in all; one that was made once more, alone, counts twice.
    pub runs: usize,
    /// Wall time in seconds.
    pub seconds: f64,
    /// All images, the oldest first.
    pub images: Vec<String>,
}

impl Verdicts {
    /// The exit code of a command that gives this answer (contract, exit codes).
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

    /// What is known of an image.
    #[must_use]
    pub fn tested(&self, image: &str) -> Option<&Tested> {
        self.tested.iter().find(|one| one.image == image)
    }

    /// The first image that is known to be bad: the culprit, the last of several, or the oldest of all.
    #[must_use]
    pub(crate) fn known_bad(&self) -> Option<&String> {
        match self.culprit {
            Culprit::AllBad | Culprit::Reversed | Culprit::Judged => self.images.first(),
            _ => self.first_bad.as_ref().or(self.any_of.last()),
        }
    }
}
