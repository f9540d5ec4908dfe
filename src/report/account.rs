//! What is told of one case in a file: what came out, why, what was seen, the end of its log.

use super::evidence;
use super::plain::{lines, one_line};
use super::view;
use crate::event::Entry;
use crate::model::outcome::{CaseResult, Cause};

/// So many of the last lines of a log are told.
const MOST_LOG: usize = 20;

/// The parts of an account, as plain text without escapes of any format.
pub(crate) struct Account {
    /// What came out, and the first cause.
    pub(crate) headline: String,
    /// Why and what to do, each with what it stands on.
    pub(crate) causes: Vec<Why>,
    /// Requests after healthy that failed.
    pub(crate) checks: Vec<String>,
    /// What it did, in order of time, and what it was waiting for.
    pub(crate) timeline: Vec<String>,
    /// The last lines of its log.
    pub(crate) log: Vec<String>,
    /// What the platform would log.
    pub(crate) platform: Vec<String>,
    /// What a reader must know of how the result was had.
    pub(crate) notes: Vec<String>,
    /// The command that writes a script of the case; nothing: nothing ran.
    pub(crate) repro: Option<String>,
}

/// A cause.
pub(crate) struct Why {
    /// What happened.
    pub(crate) text: String,
    /// What to do.
    pub(crate) fix: String,
    /// What it stands on.
    pub(crate) evidence: Vec<String>,
}

impl Account {
    /// The account of a case that has a result.
    #[must_use]
    pub(crate) fn of(entry: &Entry<'_>, result: &CaseResult) -> Self {
        let causes: Vec<Why> = result
            .causes
            .iter()
            .map(|cause| Why {
                text: one_line(&cause.text),
                fix: one_line(&cause.fix),
                evidence: cause.evidence.iter().map(|text| one_line(text)).collect(),
            })
            .collect();
        let words = view::words(entry);
        let failed = result.checks.iter().filter(|check| !check.passed);
        let checks: Vec<String> =
            failed.map(|check| format!("{}: {}", one_line(&check.name), one_line(&check.text))).collect();
        let reason = causes.first().map(|why| &why.text).or(checks.first());
        let headline = reason.map_or_else(|| words.clone(), |reason| format!("{words}. {reason}"));
        let mut timeline = lines(&evidence::timeline(&result.evidence));
        timeline.extend(evidence::usage(&result.evidence));
        let waiting = &result.evidence.waiting_for;
        timeline.extend(waiting.iter().map(|what| format!("was waiting for {}", one_line(what))));
        timeline.extend(evidence::not_exercised(result).iter().map(|line| one_line(line)));
        let log = lines(&result.evidence.log_tail);
        Self {
            headline,
            causes,
            checks,
            timeline,
            log: log[log.len().saturating_sub(MOST_LOG)..].to_vec(),
            platform: lines(&result.apprunner_log),
            notes: view::notes(entry).collect(),
            repro: result.outcome.as_ref().map(|_| format!("exitone repro {}", result.id)),
        }
    }
}

/// What the image says of itself and is no cause that has been told.
pub(crate) fn untold(result: &CaseResult) -> impl Iterator<Item = &Cause> {
    let findings = result.findings.iter().map(|finding| &finding.cause);
    findings.filter(|finding| result.causes.iter().all(|cause| cause.id != finding.id))
}
