//! What a deployment's log says of its failure.

use serde::{Deserialize, Serialize};

use super::outcome::{Cause, FailureClass};

/// A line of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// Its place in the file, from 1 on; of JSON: the event's.
    pub number: usize,
    /// Its time as it was written; `None` where none stood there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<String>,
    /// What it says, credentials taken out.
    pub text: String,
}

/// Something that is often behind a failure of this kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Likely {
    /// Its stable name.
    pub id: String,
    /// What it is.
    pub text: String,
    /// In so many of the field cases that were looked into it was the true one; `None`: not counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field_cases: Option<u32>,
    /// How to find out.
    pub check: String,
}

/// What a log says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The document's version.
    pub version: u32,
    /// The deployment that failed; `None` where no line names one.
    pub deployment: Option<String>,
    /// The image that it deployed.
    pub image: Option<String>,
    /// The failure's class; `None` when the log has no failure of a deployment.
    pub class: Option<FailureClass>,
    /// Whether its last deployment succeeded.
    pub succeeded: bool,
    /// The exit code that the line gives.
    pub exit_code: Option<i64>,
    /// The first true failure line.
    pub failure: Option<LogLine>,
    /// Lines that look like the failure and are not it.
    pub misleading: Vec<LogLine>,
    /// Whether the log has lines of the application.
    pub application_log: bool,
    /// What happened, in a sentence.
    pub text: String,
    /// Causes that the application's own lines show, the most certain first.
    pub causes: Vec<Cause>,
    /// What was most often behind such a failure, where no line names the cause.
    pub likely: Vec<Likely>,
    /// What to run next, the first thing first.
    pub next: Vec<String>,
    /// What a reader must know beside it.
    pub notes: Vec<String>,
}

impl Explanation {
    /// 1: a failure; 0: the last deployment succeeded; 5: nothing is known (contract).
    #[must_use]
    pub fn status(&self) -> u8 {
        match (self.class, self.causes.is_empty(), self.succeeded) {
            (Some(_), ..) | (None, false, _) => 1,
            (None, true, true) => 0,
            (None, true, false) => 5,
        }
    }
}
