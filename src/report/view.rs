//! The words that all reports share; each format only lays them out.

use std::fmt::Display;

use super::plain::one_line;
use crate::event::{Counts, Entry, Standing};
use crate::model::image::short_name;
use crate::model::outcome::{CaseResult, Outcome, Phase, Verdict};

/// `1 case`, `2 cases`.
#[must_use]
pub(crate) fn plural<N: Copy + Display + From<u8> + PartialEq>(count: N, what: &str) -> String {
    format!("{count} {what}{}", if count == N::from(1_u8) { "" } else { "s" })
}

/// The short name of an image, or the whole name if another image has the same short one.
#[must_use]
pub(crate) fn name<'a>(image: &'a str, all: &[impl AsRef<str>]) -> &'a str {
    let short = short_name(image);
    let shared = |other: &str| other != image && short_name(other) == short;
    if all.iter().any(|other| shared(other.as_ref())) { image } else { short }
}

/// The names of images, as [`name`] gives them.
#[must_use]
pub(crate) fn names(all: &[impl AsRef<str>]) -> Vec<String> {
    all.iter().map(|image| one_line(name(image.as_ref(), all))).collect()
}

/// What a running case is doing.
#[must_use]
pub(crate) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Prepare => "setting up",
        Phase::Start => "starting",
        Phase::Listen => "not listening yet",
        Phase::Healthy => "not healthy yet",
        Phase::Soak => "healthy, watching",
        Phase::Stop => "stopping",
    }
}

/// What the process does, as a predicate: `exits with code 1`.
#[must_use]
pub(crate) fn does(outcome: Option<&Outcome>, exit_code: Option<i64>) -> String {
    match (outcome, exit_code) {
        (Some(Outcome::Healthy), _) => "becomes healthy".to_owned(),
        (Some(Outcome::Exited), Some(code)) => format!("exits with code {code}"),
        (Some(Outcome::Exited), None) => "exits".to_owned(),
        (Some(Outcome::Signalled), code) => format!("is killed by signal {}", code.unwrap_or(128) - 128),
        (Some(Outcome::OomKilled), _) => "is killed for using too much memory".to_owned(),
        (Some(Outcome::NeverListened), _) => "never listens on the probed port".to_owned(),
        (Some(Outcome::Unhealthy), _) | (None, _) => "never becomes healthy".to_owned(),
        (Some(Outcome::NotStarted), Some(code)) => format!("cannot be started (exit code {code})"),
        (Some(Outcome::NotStarted), None) => "cannot be started".to_owned(),
    }
}

/// The look of a result, for which each format has a colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// Healthy.
    Good,
    /// Healthy without exercising a condition.
    Weak,
    /// Healthy, but a request after it failed.
    Soft,
    /// Failed.
    Bad,
    /// Unresolved.
    Unknown,
    /// Skipped: the host cannot impose a condition.
    Skipped,
    /// Not run.
    Nothing,
}

/// The mark of a result in a table, at most nine columns wide.
#[must_use]
pub(crate) fn mark(result: Option<&CaseResult>) -> (Look, String) {
    let Some(result) = result else { return (Look::Nothing, "–".to_owned()) };
    let (look, mark) = match (result.verdict, &result.outcome) {
        (Verdict::Unresolved, _) if result.skipped.is_some() => (Look::Skipped, "skip"),
        (Verdict::Unresolved, _) => (Look::Unknown, "?"),
        (Verdict::Pass, None) => (Look::Nothing, "–"),
        (Verdict::Pass, _) if result.missed_some() => (Look::Weak, "(ok)"),
        (Verdict::Pass, _) => (Look::Good, "ok"),
        (Verdict::Fail, Some(Outcome::Healthy)) => (Look::Soft, "ok*"),
        (Verdict::Fail, outcome) => return (Look::Bad, failure(outcome.as_ref(), result.exit_code)),
    };
    (look, mark.to_owned())
}

fn failure(outcome: Option<&Outcome>, code: Option<i64>) -> String {
    match (outcome, code) {
        (Some(Outcome::Exited), Some(code)) => format!("exit {code}"),
        (Some(Outcome::Signalled), Some(code)) => format!("signal {}", code - 128),
        (Some(Outcome::OomKilled), _) => "oom".to_owned(),
        (Some(Outcome::NeverListened), _) => "no port".to_owned(),
        (Some(Outcome::Unhealthy), _) => "unhealthy".to_owned(),
        (Some(Outcome::NotStarted), _) => "no start".to_owned(),
        _ => "fail".to_owned(),
    }
}

/// The meaning of the marks in a table, except exit codes and signals.
pub(crate) const LEGEND: [(Look, &str, &str); 9] = [
    (Look::Good, "ok", "healthy"),
    (Look::Weak, "(ok)", "healthy without exercising a condition"),
    (Look::Soft, "ok*", "healthy, but a request after it fails"),
    (Look::Bad, "no port", "never listened"),
    (Look::Bad, "unhealthy", "never passed the health check"),
    (Look::Bad, "no start", "could not be started"),
    (Look::Nothing, "–", "not run"),
    (Look::Unknown, "?", "unresolved"),
    (Look::Skipped, "skip", "this host cannot impose it"),
];

/// A case in a few words: the outcome, and the expectation if it was not met.
#[must_use]
pub(crate) fn words(entry: &Entry<'_>) -> String {
    let Some(result) = entry.result else { return "not run".to_owned() };
    let often = entry.attempts.flaky().map(|often| format!(", flaky: {often}")).unwrap_or_default();
    let outcome = one_line(&result.cell());
    match (entry.expected, entry.standing) {
        (Some(expected), Standing::Unexpected) => format!("{outcome}{often}, expected: {}", one_line(expected)),
        _ => format!("{outcome}{often}"),
    }
}

/// Notes on how a result was obtained, and the outcomes of its attempts.
pub(crate) fn notes<'a>(entry: &Entry<'a>) -> impl Iterator<Item = String> + use<'a> {
    let attempts = entry.attempts.summary();
    entry.result.into_iter().flat_map(|result| result.notes.iter().map(|note| one_line(note))).chain(attempts)
}

/// The counts that are not zero, as a line.
#[must_use]
pub(crate) fn counts(counts: &Counts) -> String {
    let parts = [
        (counts.failed, "failed"),
        (counts.unresolved, "unresolved"),
        (counts.skipped, "skipped"),
        (counts.not_run, "not run"),
        (counts.steps, "steps of a search"),
        (counts.flaky, "flaky"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let searches =
        (counts.open > 0).then(|| format!("{} of {} undecided", counts.open, plural(counts.searches, "search")));
    // Redundant if exactly the failures were unexpected.
    let expected = (counts.unexpected != counts.failed).then(|| match counts.unexpected {
        0 => "all as expected".to_owned(),
        n => format!("{n} not as expected"),
    });
    let first = [plural(counts.cases, "case"), format!("{} passed", counts.passed)];
    first.into_iter().chain(parts).chain(searches).chain(expected).collect::<Vec<_>>().join(", ")
}

/// The verdict on a run and a sentence, without a full stop. No verdict means that nothing was run.
#[must_use]
pub(crate) fn headline(counts: &Counts) -> (Option<Verdict>, String) {
    let of = |count: usize, what: &str| format!("{count} of {} {what}", plural(counts.cases - counts.steps, "case"));
    let flaky = if counts.flaky > 0 { format!(", {} flaky", counts.flaky) } else { String::new() };
    let undecided = counts.undecided();
    let skipped = if counts.skipped > 0 { format!(", {} skipped", counts.skipped) } else { String::new() };
    match *counts {
        Counts { cases: 0, searches: 0, .. } => (None, "nothing was run".to_owned()),
        Counts { unexpected, .. } if unexpected > 0 => (Some(Verdict::Fail), of(unexpected, "not as expected")),
        _ if undecided > 0 => (Some(Verdict::Unresolved), of(undecided, "undecided, none failed")),
        Counts { not_run, .. } if not_run > 0 => (Some(Verdict::Unresolved), of(not_run, "not run, none failed")),
        Counts { open, searches, .. } if open > 0 => {
            (Some(Verdict::Unresolved), format!("{open} of {} undecided, none failed", plural(searches, "search")))
        }
        Counts { expected: 1, .. } => (Some(Verdict::Pass), format!("1 case, as expected{flaky}{skipped}")),
        Counts { expected, .. } => (Some(Verdict::Pass), format!("all {expected} cases as expected{flaky}{skipped}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::every_kind;

    #[test]
    fn counts_are_worded() {
        let all = every_kind().counts();
        assert_eq!(headline(&all), (Some(Verdict::Fail), "4 of 11 cases not as expected".to_owned()));
        let one = Counts { cases: 1, passed: 1, expected: 1, ..Counts::default() };
        assert_eq!(headline(&one), (Some(Verdict::Pass), "1 case, as expected".to_owned()));
        assert_eq!(counts(&one), "1 case, 1 passed");
        let met = Counts { cases: 2, passed: 1, failed: 1, expected: 2, ..Counts::default() };
        assert_eq!(counts(&met), "2 cases, 1 passed, 1 failed, all as expected");
        assert_eq!(headline(&Counts::default()), (None, "nothing was run".to_owned()));
    }

    #[test]
    fn ambiguous_short_names_are_written_in_full() {
        assert_eq!(names(&["a:v1", "b:v1", "a:v2"]), ["a:v1", "b:v1", "v2"]);
    }
}
