//! What a deployment's log says of its failure.

use serde::{Deserialize, Serialize};

use super::outcome::{Cause, FailureClass};

/// A line of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// Its place in the file, from 1 on; of JSON: the event's.
    pub(crate) number: usize,
    /// Its time as it was written; nothing where none stood there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) time: Option<String>,
    /// What it says, credentials taken out.
    pub(crate) text: String,
}

/// Something that is often behind a failure of this kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Likely {
    /// Its stable name.
    pub(crate) id: String,
    /// What it is.
    pub(crate) text: String,
    /// In so many of the field cases that were looked into it was the true one; nothing: not counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) field_cases: Option<u32>,
    /// How to find out.
    pub(crate) check: String,
}

/// What a log says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// The document's version.
    pub(crate) version: u32,
    /// The deployment that failed; nothing where no line names one.
    pub(crate) deployment: Option<String>,
    /// The image that it deployed.
    pub(crate) image: Option<String>,
    /// The failure's class; nothing when the log has no failure of a deployment.
    pub(crate) class: Option<FailureClass>,
    /// True when its last deployment succeeded.
    pub(crate) succeeded: bool,
    /// The exit code that the line gives.
    pub(crate) exit_code: Option<i64>,
    /// The first true failure line.
    pub(crate) failure: Option<LogLine>,
    /// Lines that look like the failure and are not it.
    pub(crate) misleading: Vec<LogLine>,
    /// True when the log has lines of the application.
    pub(crate) application_log: bool,
    /// What happened, in a sentence.
    pub(crate) text: String,
    /// Causes that the application's own lines show, the most certain first.
    pub(crate) causes: Vec<Cause>,
    /// What was most often behind such a failure, where no line names the cause.
    pub(crate) likely: Vec<Likely>,
    /// What to run next, the first thing first.
    pub(crate) next: Vec<String>,
    /// What a reader must know beside it.
    pub(crate) notes: Vec<String>,
}

impl Explanation {
    /// 1: a failure; 0: the last deployment succeeded; 5: nothing is known (contract).
    #[must_use]
    pub(crate) fn status(&self) -> u8 {
        match (self.class, self.causes.is_empty(), self.succeeded) {
            (Some(_), ..) | (None, false, _) => 1,
            (None, true, true) => 0,
            (None, true, false) => 5,
        }
    }
}
