//! A deployment that failed: what its files say of it, and what broke it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::{Condition, ConditionSet};
use super::outcome::{Cause, FailureClass};
use super::words::file_name;

/// A statement and the file it was read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact<T> {
    /// What is stated.
    pub(crate) value: T,
    /// The file.
    pub(crate) source: String,
    /// Whether it holds for the failed revision. After a rollback, `describe-service` describes the version before.
    pub(crate) holds: bool,
}

/// What is known of a variable's value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// The value.
    Plain(String),
    /// It is stored elsewhere; `whole` if no key of a JSON document is named.
    Secret {
        /// Whether the whole secret is taken.
        whole: bool,
    },
}

/// The value stays out: it may be a secret.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Plain(_)) { "Plain(…)" } else { "Secret" })
    }
}

/// What the files say of the revision that failed. `None`: they do not say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Revision {
    /// The image.
    pub(crate) image: Option<Fact<String>>,
    /// Whether egress goes through a VPC connector.
    pub(crate) vpc: Option<Fact<bool>>,
    /// Whether that VPC has a NAT gateway, in the user's words.
    pub(crate) nat: Option<Fact<bool>>,
    /// Whether it has an instance role.
    pub(crate) role: Option<Fact<bool>>,
    /// Whether it has IPv6 addresses, too.
    pub(crate) dual_stack: Option<Fact<bool>>,
    /// Whether it has a start command.
    pub(crate) start_command: Option<Fact<bool>>,
    /// Its variables.
    pub(crate) variables: Option<Fact<BTreeMap<String, Known>>>,
    /// What the update that failed changed about variables: conditions that hold for the failed revision and not for
    /// the version before.
    pub(crate) changed: Vec<Condition>,
    /// Whether all of this is what the user wrote, and nothing is from AWS: a log that shows otherwise is right.
    pub(crate) written: bool,
}

/// A line of a file that shows something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// The file's name.
    pub(crate) source: String,
    /// The line, from 1; for JSON, the event's position. Absent if the whole file shows it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) line: Option<usize>,
    /// The text, without credentials.
    pub(crate) text: String,
}

/// What the logs show of the failure.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Seen {
    /// The failed deployment's id.
    pub(crate) deployment: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub(crate) began_ms: Option<i64>,
    /// The image that it deployed.
    pub(crate) image: Option<String>,
    /// How it failed; `None` if no line says so.
    pub(crate) class: Option<FailureClass>,
    /// The exit code, if there was one.
    pub(crate) exit_code: Option<i64>,
    /// The platform's line that says so.
    pub(crate) failure: Option<Shown>,
    /// The line of the application that names the error, else its last.
    pub(crate) error: Option<Shown>,
    /// The application's lines, without credentials; only the end of a long log.
    pub(crate) log: String,
    /// What the application's lines show.
    pub(crate) causes: Vec<Cause>,
    /// Whether none of the logs has a line of the application.
    pub(crate) silent: bool,
    /// What the logs lack.
    pub(crate) notes: Vec<String>,
}

/// Whether the image at hand is the one that was deployed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum SameImage {
    /// Their digests agree.
    Same,
    /// They differ.
    Other,
    /// One of the digests is not known.
    #[default]
    Unknown,
}

/// Everything known of a deployment before something runs.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Deployment {
    /// What the files say of the revision.
    pub(crate) revision: Revision,
    /// What the logs show; `None` without a log.
    pub(crate) seen: Option<Seen>,
    /// The image with the digest that the registry has for it, if that was asked: `REPOSITORY@sha256:…`.
    pub(crate) pushed: Option<String>,
    /// Conditions that the log points to.
    pub(crate) pointed: Vec<Condition>,
    /// Secrets whose values are not known: placeholders stand for them.
    pub(crate) placeholders: Vec<String>,
    /// What readers of the answer should know.
    pub(crate) notes: Vec<String>,
    /// Whether a description, an update or a log tells of a deployment, so that the answer is about it. Otherwise the
    /// facts only put the answer in order.
    pub(crate) is_told: bool,
}

/// Whether a condition applied to the deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Applies {
    /// It did.
    InForce,
    /// Nothing rules it out.
    Possible,
    /// It did not.
    RuledOut,
}

/// Whether a condition applied, and how that is known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ground {
    /// Whether it applied.
    pub(crate) is: Applies,
    /// Why.
    pub(crate) because: String,
    /// The file that says so; null for what the platform always does, and for what nothing excludes.
    pub(crate) source: Option<String>,
}

impl Ground {
    pub(crate) fn new(is: Applies, because: impl Into<String>) -> Self {
        Self { is, because: because.into(), source: None }
    }

    /// What a fact says; one that is not known to hold for the failed revision makes nothing certain.
    pub(crate) fn of<T>(fact: &Fact<T>, is: Applies, because: impl Into<String>) -> Self {
        let because = because.into();
        if fact.holds {
            return Self { is, because, source: Some(file_name(&fact.source).to_owned()) };
        }
        let because = format!("{because}, if the update that failed did not change that");
        // What was not so before the update may be so since.
        let source = (is != Applies::RuledOut).then(|| file_name(&fact.source).to_owned());
        Self { is: Applies::Possible, because, source }
    }

    /// Whether a file points to it.
    pub(crate) fn is_hinted(&self) -> bool {
        self.is == Applies::InForce || (self.is == Applies::Possible && self.source.is_some())
    }
}

/// A condition's standing in the deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConditionStanding {
    /// The condition.
    pub(crate) condition: Condition,
    /// Whether it applied.
    #[serde(flatten)]
    pub(crate) ground: Ground,
}

/// Whether the deployed set shows what the deployment showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reproduced {
    /// It fails as the deployment did.
    Yes,
    /// It is healthy, or fails in another way.
    No,
    /// It fails as the deployment did with a condition that may have been in force.
    Partly,
    /// There is no log to compare with, or it was not run.
    Unknown,
}

/// How certain it is that something broke the deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Certainty {
    /// Reproduced, as the log has it, and minimal.
    Proved,
    /// It fits.
    Likely,
    /// More must be known.
    Undecided,
}

/// Something that may have broken the deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Suspect {
    /// Which part of the answer: `set:0`, `static:0`, `baseline`, `class_a`.
    #[serde(rename = "ref")]
    pub(crate) part: String,
    /// How certain that is.
    pub(crate) certainty: Certainty,
    /// Why no more and no less.
    pub(crate) because: String,
    /// The command that would settle it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) settles: Option<String>,
}

/// What broke the deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Broke {
    /// Whether the deployed set reproduces the failure.
    pub(crate) reproduced: Reproduced,
    /// The conditions that were in force, imposed together.
    pub(crate) deployed: ConditionSet,
    /// The standing of every condition that was searched.
    pub(crate) standing: Vec<ConditionStanding>,
    /// What may have broken it, likeliest first.
    pub(crate) likely: Vec<Suspect>,
    /// What would fail as well, and is not what the deployment shows: `set:1`.
    pub(crate) also: Vec<String>,
    /// The lines that the answer rests on.
    pub(crate) matches: Vec<Shown>,
    /// What readers should know.
    pub(crate) notes: Vec<String>,
}

impl Broke {
    /// Whether what broke it is proved.
    pub(crate) fn is_proved(&self) -> bool {
        self.likely.first().is_some_and(|suspect| suspect.certainty == Certainty::Proved)
    }

    /// Whether the likeliest answer waits for values of secrets.
    pub(crate) fn is_open_for_secrets(&self) -> bool {
        self.likely.first().is_some_and(|suspect| suspect.part == BASELINE && suspect.certainty == Certainty::Undecided)
    }
}

/// The id of the finding that the image that was pushed may be of another architecture.
pub(crate) const NOT_PUSHED: &str = "arch-of-pushed-image";
/// The part of an answer that is about friendly conditions.
pub(crate) const BASELINE: &str = "baseline";
