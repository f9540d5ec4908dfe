//! The explanation of a deployment's log.

use serde::{Deserialize, Serialize};

use super::outcome::{Cause, FailureClass};

/// A line of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// Its position in the file, from 1; for JSON, the event's.
    pub(crate) number: usize,
    /// Its time as written; `None` if it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) time: Option<String>,
    /// Its text without credentials.
    pub(crate) text: String,
}

/// A frequent cause of this kind of failure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Likely {
    /// Its stable id.
    pub(crate) id: String,
    /// Its description.
    pub(crate) text: String,
    /// Number of analysed field cases in which it was the true cause; `None` if not counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) field_cases: Option<u32>,
    /// How to check for it.
    pub(crate) check: String,
}

/// The explanation of a log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// The version of the document.
    pub(crate) version: u32,
    /// The failed deployment; `None` if no line names one.
    pub(crate) deployment: Option<String>,
    /// Its image.
    pub(crate) image: Option<String>,
    /// The failure's class; `None` if the log has no failed deployment.
    pub(crate) class: Option<FailureClass>,
    /// Whether its last deployment succeeded.
    pub(crate) succeeded: bool,
    /// The exit code in the failure line.
    pub(crate) exit_code: Option<i64>,
    /// The first true failure line.
    pub(crate) failure: Option<LogLine>,
    /// Lines that look like the failure but are not.
    pub(crate) misleading: Vec<LogLine>,
    /// Whether the log has lines of the application.
    pub(crate) application_log: bool,
    /// What happened, in a sentence.
    pub(crate) text: String,
    /// Causes shown by the application's own lines, most certain first.
    pub(crate) causes: Vec<Cause>,
    /// The most frequent causes of such a failure, if no line names the cause.
    pub(crate) likely: Vec<Likely>,
    /// What to run next, most useful first.
    pub(crate) next: Vec<String>,
    /// Further notes for readers.
    pub(crate) notes: Vec<String>,
}

impl Explanation {
    /// 1 for a failure, 0 if the last deployment succeeded, 5 if nothing is known (contract).
    #[must_use]
    pub(crate) fn status(&self) -> u8 {
        let unknown = self.causes.iter().all(|cause| cause.id == "unrecognized-error");
        match (self.class, unknown, self.succeeded) {
            (Some(_), ..) | (None, false, _) => 1,
            (None, true, true) => 0,
            (None, true, false) => 5,
        }
    }
}
