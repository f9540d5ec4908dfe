//! The details of one case in a report file: outcome, causes, evidence, and the end of its log.

use super::evidence;
use super::plain::{lines, one_line};
use super::view;
use crate::event::Entry;
use crate::model::outcome::{CaseResult, Cause};

/// Number of lines shown of a log's end.
const MOST_LOG: usize = 20;

/// The details of a case, as plain text that no format has escaped yet.
pub(crate) struct CaseDetails {
    /// The outcome and the first cause.
    pub(crate) headline: String,
    /// Causes, fixes and evidence.
    pub causes: Vec<CauseText>,
    /// Requests after healthy that failed.
    pub(crate) checks: Vec<String>,
    /// What it did, in chronological order, and what it was waiting for.
    pub(crate) timeline: Vec<String>,
    /// The last lines of its log.
    pub(crate) log: Vec<String>,
    /// What the platform would log.
    pub(crate) platform: Vec<String>,
    /// Notes on how the result was obtained.
    pub(crate) notes: Vec<String>,
    /// The command that prints a script of the case; `None` when nothing ran.
    pub(crate) repro: Option<String>,
}

/// A cause in words.
pub(crate) struct CauseText {
    /// What happened.
    pub(crate) text: String,
    /// How to fix it.
    pub(crate) fix: String,
    /// The evidence for it.
    pub(crate) evidence: Vec<String>,
}

impl CaseDetails {
    /// The details of a case that has a result.
    #[must_use]
    pub(crate) fn of(entry: &Entry<'_>, result: &CaseResult) -> Self {
        let causes: Vec<CauseText> = result
            .causes
            .iter()
            .map(|cause| CauseText {
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

/// Findings about the image that are not among the causes.
pub(crate) fn other_findings(result: &CaseResult) -> impl Iterator<Item = &Cause> {
    let findings = result.findings.iter().map(|finding| &finding.cause);
    findings.filter(|finding| result.causes.iter().all(|cause| cause.id != finding.id))
}
