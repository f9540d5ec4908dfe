//! `aws apprunner list-operations`: whether and how the last deployment failed.
//!
//! Format: <https://docs.aws.amazon.com/apprunner/latest/api/API_OperationSummary.html>.

use serde::Deserialize;

use crate::scenario::problem::{Problem, Refused};

/// The document.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "OperationSummaryList")]
    operations: Vec<Operation>,
}

/// An operation on a service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Operation {
    /// Its id, which the service log names as the deployment's.
    pub(crate) id: String,
    /// `CREATE_SERVICE`, `UPDATE_SERVICE`, `START_DEPLOYMENT` …
    #[serde(rename = "Type")]
    pub(crate) kind: String,
    /// `SUCCEEDED`, `FAILED`, `ROLLBACK_SUCCEEDED` …
    pub(crate) status: String,
    /// The service's ARN.
    pub(crate) target_arn: Option<String>,
    /// When it began: seconds since 1970, or ISO 8601.
    pub(crate) started_at: Option<serde_json::Value>,
}

impl Operation {
    /// Whether it failed.
    pub(crate) fn failed(&self) -> bool {
        // https://docs.aws.amazon.com/apprunner/latest/api/API_OperationSummary.html
        ["FAILED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED", "ROLLBACK_SUCCEEDED"].contains(&self.status.as_str())
    }

    /// Whether another version was there before it.
    pub(crate) fn had_earlier_version(&self) -> bool {
        self.kind != "CREATE_SERVICE"
    }

    /// When it began, in milliseconds since 1970.
    pub(crate) fn started_ms(&self) -> Option<i64> {
        match self.started_at.as_ref()? {
            serde_json::Value::String(text) => millis(text),
            other => millis(&other.to_string()),
        }
    }
}

/// A time as `aws` prints it, in milliseconds since 1970: seconds, or ISO 8601.
pub(crate) fn millis(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        Ok(seconds) => Some((seconds * 1000.0) as i64),
        Err(_) => Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()),
    }
}

/// Reads the list, newest first as the service gives it.
///
/// # Errors
/// It is no such list.
pub(crate) fn read(file: &str, text: &str) -> Result<Vec<Operation>, Refused> {
    let refuse = |problem| Refused::new(file, "", vec![problem]);
    let document: Document = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| {
        let words = e.to_string();
        let words = words.split(" at line ").next().unwrap_or(&words).to_owned();
        refuse(Problem::at(e.line(), e.column(), format!("not the output of `aws apprunner list-operations`: {words}")))
    })?;
    let mut operations = document.operations;
    operations.sort_by_key(|operation| std::cmp::Reverse(operation.started_ms()));
    Ok(operations)
}
