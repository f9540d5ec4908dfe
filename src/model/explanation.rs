//! The explanation of a deployment's log.

use serde::{Deserialize, Serialize};

use super::outcome::{Cause, FailureClass};

/// A line of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// Its position in the file, from 1; for JSON, the event's.
    pub number: usize,
    /// Its time as written; `None` if it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<String>,
    /// Its text without credentials.
    pub text: String,
}

/// A frequent cause of this kind of failure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Likely {
    /// Its stable id.
    pub id: String,
    /// Its description.
    pub text: String,
    /// Number of analysed field cases in which it was the true cause; `None` if not counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field_cases: Option<u32>,
    /// How to check for it.
    pub check: String,
}

/// The explanation of a log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The version of the document.
    pub version: u32,
    /// The failed deployment; `None` if no line names one.
    pub deployment: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// The failure's class; `None` if the log has no failed deployment.
    pub class: Option<FailureClass>,
    /// Whether its last deployment succeeded.
    pub succeeded: bool,
    /// The exit code in the failure line.
    pub exit_code: Option<i64>,
    /// The first true failure line.
    pub failure: Option<LogLine>,
    /// Lines that look like the failure but are not.
    pub misleading: Vec<LogLine>,
    /// Whether the log has lines of the application.
    pub application_log: bool,
    /// What happened, in a sentence.
    pub text: String,
    /// Causes shown by the application's own lines, most certain first.
    pub causes: Vec<Cause>,
    /// The most frequent causes of such a failure, if no line names the cause.
    pub likely: Vec<Likely>,
    /// What to run next, most useful first.
    pub next: Vec<String>,
    /// Further notes for readers.
    pub notes: Vec<String>,
}

impl Explanation {
    /// 1 for a failure, 0 if the last deployment succeeded, 5 if nothing is known (contract).
    #[must_use]
    pub(crate) fn status(&self) -> u8 {
        match (self.class, self.causes.is_empty(), self.succeeded) {
            (Some(_), ..) | (None, false, _) => 1,
            (None, true, true) => 0,
            (None, true, false) => 5,
        }
    }
}
