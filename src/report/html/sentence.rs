//! How a case came out, in sentences.

use std::fmt::Write;

use crate::event::{Entry, Standing};
use crate::model::outcome::{CaseResult, Outcome, Verdict};

/// How it ended, and what was expected of it.
#[must_use]
pub fn of(entry: &Entry<'_>) -> String {
    let Some(result) = entry.result else {
        let expected = entry.expected.map(|expected| format!(" Expected was: {expected}.")).unwrap_or_default();
        return format!("It was not run: {}.{expected}", entry.missing.unwrap_or_default());
    };
    let mut text = ended(result);
    let attempts = entry.attempts;
    match attempts.flaky() {
        Some(often) => {
            let _ = write!(text, " It is flaky: {often}.");
        }
        None if attempts.decided > 1 => {
            let _ = write!(text, " It failed {} times of {}.", attempts.failed, attempts.decided);
        }
        None => {}
    }
    match (entry.standing, entry.expected) {
        (Standing::Expected, Some(expected)) => {
            let _ = write!(text, " That is as expected: {expected}.");
        }
        (Standing::Unexpected, Some(expected)) => {
            let _ = write!(text, " Expected was: {expected}.");
        }
        (Standing::Unexpected, None) => text.push_str(" Expected was that it passes."),
        _ => {}
    }
    text
}

fn ended(result: &CaseResult) -> String {
    let after = |ms: Option<f64>| ms.map(|ms| format!(" after {}", seconds(ms))).unwrap_or_default();
    if result.verdict == Verdict::Unresolved {
        return match &result.skipped {
            Some(why) => format!("It was skipped: {why}."),
            None => "It is unresolved: the run says nothing about it.".to_owned(),
        };
    }
    let died = after(result.exited_ms);
    match (&result.outcome, result.exit_code) {
        (None, _) if result.verdict == Verdict::Pass => "Nothing was run: nothing in the image meets it.".to_owned(),
        (None, _) => "Nothing was run: what the image says of itself decides.".to_owned(),
        (Some(Outcome::Healthy), _) => {
            let healthy = after(result.healthy_ms);
            let failed: Vec<&str> = result.checks.iter().filter(|c| !c.passed).map(|c| c.name.as_str()).collect();
            match (failed.as_slice(), result.checks.len()) {
                ([], 0) => format!("It was healthy{healthy}."),
                ([], _) => format!("It was healthy{healthy}, and every check passed."),
                (failed, _) => format!("It was healthy{healthy}, but {} failed.", failed.join(" and ")),
            }
        }
        (Some(Outcome::Exited), Some(code)) => format!("It exited with code {code}{died}."),
        (Some(Outcome::Exited), None) => format!("It exited{died}."),
        (Some(Outcome::Signalled), code) => {
            format!("It was ended by signal {}{died}.", code.unwrap_or(128) - 128)
        }
        (Some(Outcome::OomKilled), _) => format!("It was killed for its memory{died}."),
        (Some(Outcome::NeverListened), _) => "It never listened where it is probed.".to_owned(),
        (Some(Outcome::Unhealthy), _) => "It listened, and never became healthy.".to_owned(),
        (Some(Outcome::NotStarted), Some(code)) => format!("It could not be started (exit code {code})."),
        (Some(Outcome::NotStarted), None) => "It could not be started.".to_owned(),
    }
}

fn seconds(ms: f64) -> String {
    format!("{:.2} s", ms / 1000.0)
}
