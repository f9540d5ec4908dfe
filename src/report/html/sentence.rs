//! The outcome of a case in sentences.

use std::fmt::Write;

use crate::event::{Entry, Standing};
use crate::model::outcome::{CaseResult, Outcome, Verdict};
use crate::report::view;

/// How it ended, and the expectation.
#[must_use]
pub(crate) fn of(entry: &Entry<'_>) -> String {
    let Some(result) = entry.result else {
        let expected = entry.expected.map(|expected| format!(" Expected: {expected}.")).unwrap_or_default();
        return format!("It was not run: {}.{expected}", entry.missing.unwrap_or_default());
    };
    let mut text = ended(result);
    let attempts = entry.attempts;
    match attempts.flaky() {
        Some(often) => {
            let _ = write!(text, " It is flaky: {often}.");
        }
        None if attempts.decided > 1 => {
            let _ = write!(text, " It failed {} of {}.", attempts.failed, view::plural(attempts.decided, "time"));
        }
        None => {}
    }
    match (entry.standing, entry.expected) {
        (Standing::Expected, Some(expected)) => {
            let _ = write!(text, " As expected: {expected}.");
        }
        (Standing::Unexpected, Some(expected)) => {
            let _ = write!(text, " Expected: {expected}.");
        }
        (Standing::Unexpected, None) => text.push_str(" Expected: it passes."),
        _ => {}
    }
    text
}

fn ended(result: &CaseResult) -> String {
    let after = |ms: Option<f64>| ms.map(|ms| format!(" after {}", seconds(ms))).unwrap_or_default();
    if result.verdict == Verdict::Unresolved {
        return match &result.skipped {
            Some(why) => format!("It was skipped: {why}."),
            None => "It is unresolved: the run proves nothing about the image.".to_owned(),
        };
    }
    if result.outcome.is_none() {
        return match result.verdict {
            Verdict::Pass => "Nothing was run: the image cannot exercise the condition.".to_owned(),
            _ => "Nothing was run: the image alone decides.".to_owned(),
        };
    }
    let does = view::does(result.outcome.as_ref(), result.exit_code);
    if result.outcome != Some(Outcome::Healthy) {
        return format!("It {does}{}.", after(result.exited_ms));
    }
    let failed: Vec<&str> = result.checks.iter().filter(|c| !c.passed).map(|c| c.name.as_str()).collect();
    let checks = match (failed.as_slice(), result.checks.len()) {
        ([], 0) => String::new(),
        ([], _) => ", and every check passes".to_owned(),
        (failed, _) => format!(", but {} failed", failed.join(" and ")),
    };
    format!("It {does}{}{checks}.", after(result.healthy_ms))
}

fn seconds(ms: f64) -> String {
    format!("{:.2} s", ms / 1000.0)
}
