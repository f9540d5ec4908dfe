//! What reports say of a run; each format only lays it out.

use super::plain::one_line;
use crate::event::{Counts, Entry, Standing};
use crate::model::Verdict;

/// `1 case`, `2 cases`.
#[must_use]
pub fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A case in a few words: what came out, and what was expected where that is something else.
#[must_use]
pub fn words(entry: &Entry<'_>) -> String {
    let Some(result) = entry.result else { return "not run".to_owned() };
    let often = entry.attempts.flaky().map(|often| format!(", flaky: {often}")).unwrap_or_default();
    let outcome = one_line(&result.cell());
    match (entry.expected, entry.standing) {
        (Some(expected), Standing::Unexpected) => format!("{outcome}{often}, expected: {}", one_line(expected)),
        _ => format!("{outcome}{often}"),
    }
}

/// Notes on a result: how it was had, and what its attempts came to.
pub fn notes<'a>(entry: &Entry<'a>) -> impl Iterator<Item = String> + use<'a> {
    let attempts = entry.attempts.summary();
    entry.result.into_iter().flat_map(|result| result.notes.iter().map(|note| one_line(note))).chain(attempts)
}

/// The counts that are not zero.
#[must_use]
pub fn counts(counts: &Counts) -> String {
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
    // Where every failure was unexpected, and nothing else, the count says it already.
    let stands = (counts.unexpected != counts.failed).then(|| match counts.unexpected {
        0 => "all as expected".to_owned(),
        n => format!("{n} not as expected"),
    });
    let first = [plural(counts.cases, "case"), format!("{} passed", counts.passed)];
    first.into_iter().chain(parts).chain(searches).chain(stands).collect::<Vec<_>>().join(", ")
}

/// What a run came to, in one sentence without a full stop; `None` of the verdict: nothing was run.
#[must_use]
pub fn headline(counts: &Counts) -> (Option<Verdict>, String) {
    let of = |count: usize, what: &str| format!("{count} of {} {what}", plural(counts.cases - counts.steps, "case"));
    let flaky = if counts.flaky > 0 { format!(", {} flaky", counts.flaky) } else { String::new() };
    let undecided = counts.unresolved + counts.skipped;
    match *counts {
        Counts { cases: 0, searches: 0, .. } => (None, "nothing was run".to_owned()),
        Counts { unexpected, .. } if unexpected > 0 => (Some(Verdict::Fail), of(unexpected, "not as expected")),
        _ if undecided > 0 => (Some(Verdict::Unresolved), of(undecided, "undecided, none failed")),
        Counts { not_run, .. } if not_run > 0 => (Some(Verdict::Unresolved), of(not_run, "not run, none failed")),
        Counts { open, searches, .. } if open > 0 => {
            (Some(Verdict::Unresolved), format!("{open} of {} undecided, none failed", plural(searches, "search")))
        }
        Counts { expected: 1, .. } => (Some(Verdict::Pass), format!("1 case, as expected{flaky}")),
        Counts { expected, .. } => (Some(Verdict::Pass), format!("all {expected} cases as expected{flaky}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::every_kind;

    #[test]
    fn counts_in_words() {
        let all = every_kind().counts();
        assert_eq!(headline(&all), (Some(Verdict::Fail), "4 of 11 cases not as expected".to_owned()));
        let one = Counts { cases: 1, passed: 1, expected: 1, ..Counts::default() };
        assert_eq!(headline(&one), (Some(Verdict::Pass), "1 case, as expected".to_owned()));
        assert_eq!(counts(&one), "1 case, 1 passed");
        let met = Counts { cases: 2, passed: 1, failed: 1, expected: 2, ..Counts::default() };
        assert_eq!(counts(&met), "2 cases, 1 passed, 1 failed, all as expected");
        assert_eq!(headline(&Counts::default()), (None, "nothing was run".to_owned()));
    }
}
