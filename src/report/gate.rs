//! The gate's message about a push: a line when it passes, else a paragraph.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::story::in_words;
use super::style::wrap;
use super::view::{self, plural};
use crate::event::run::Run;
use crate::event::{Entry, Standing};
use crate::model::outcome::Verdict;
use crate::model::words::command_line;

/// The cached verdict on a commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// Number of cases.
    pub(crate) cases: usize,
    /// Number of cases that failed.
    pub(crate) failed: usize,
    /// Number of cases without a verdict.
    pub(crate) unresolved: usize,
    /// Number of cases that this host cannot impose.
    #[serde(default)]
    pub(crate) skipped: usize,
    /// The failure to show.
    pub worst: Option<WorstFailure>,
}

/// A failure in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorstFailure {
    /// The case's id.
    pub(crate) case: String,
    /// Its image's name.
    pub(crate) image: String,
    /// What the image does, and when.
    pub(crate) what: String,
    /// The cause and its fix, if known.
    pub(crate) why: Option<(String, String)>,
    /// The conditions of the other cases that fail, in words.
    pub(crate) others: Vec<String>,
}

/// Most other cases that are named.
const MOST_OTHERS: usize = 6;

impl Judged {
    /// Summarizes a run.
    #[must_use]
    pub(crate) fn of(run: &Run) -> Self {
        let counts = run.counts();
        // The one with the fewest conditions is the easiest to understand.
        let mut unexpected: Vec<Entry<'_>> =
            run.entries().filter(|entry| entry.standing == Standing::Unexpected).collect();
        unexpected.sort_by_key(|entry| entry.planned.conditions.iter().count());
        let mut unexpected = unexpected.into_iter();
        let worst = unexpected.next();
        let others = unexpected.map(|entry| in_words(&entry.planned.conditions)).collect();
        Self {
            cases: counts.cases,
            failed: counts.unexpected,
            // Cases that did not run have no verdict, either.
            unresolved: counts.undecided() + counts.not_run,
            skipped: counts.skipped,
            worst: worst.and_then(|entry| {
                let cause = entry.result?.causes.first();
                Some(WorstFailure {
                    case: entry.planned.id.to_string(),
                    image: entry.planned.image.clone(),
                    what: what(&entry, counts.unexpected == counts.cases),
                    why: cause.map(|cause| (cause.text.clone(), cause.fix.clone())),
                    others,
                })
            }),
        }
    }

    /// The verdict.
    #[must_use]
    pub(crate) fn verdict(&self) -> Verdict {
        match (self.failed, self.unresolved) {
            (0, 0) => Verdict::Pass,
            (0, _) => Verdict::Unresolved,
            _ => Verdict::Fail,
        }
    }
}

/// What the image does, and when; `always`: whether it fails in every case.
fn what(entry: &Entry<'_>, always: bool) -> String {
    let Some(result) = entry.result else { return "was not run".to_owned() };
    let mut does = view::does(result.outcome.as_ref(), result.exit_code);
    if let Some(check) = result.checks.iter().find(|check| !check.passed) {
        does = format!("{does}, and its check {} fails ({})", check.name, check.text);
    }
    let when = in_words(&result.conditions);
    let does = match (result.conditions.is_empty(), always) {
        (true, true) => format!("{does} under all conditions tried"),
        (true, false) => format!("{does}, {when}"),
        (false, _) => format!("{does} when {when}"),
    };
    match entry.expected {
        Some(expected) => format!("{does} (expected: {expected})"),
        None => does,
    }
}

/// The context of a verdict.
pub(crate) struct Frame<'a> {
    /// The branch and its commit.
    pub(crate) name: &'a str,
    /// The scenario file.
    pub(crate) scenario: &'a str,
    /// Whether a push waits for it.
    pub(crate) push: bool,
    /// The age of a cached verdict, in seconds.
    pub(crate) age: Option<u64>,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
}

/// A duration with its unit: `8 s`, `3 min`, `2 h`, `5 d`.
#[must_use]
pub(crate) fn in_time(seconds: f64) -> String {
    let whole = |unit: f64| (seconds / unit).round();
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 100.0 => format!("{} s", whole(1.0)),
        s if s < 5400.0 => format!("{} min", whole(60.0)),
        s if s < 48.0 * 3600.0 => format!("{} h", whole(3600.0)),
        _ => format!("{} d", whole(86400.0)),
    }
}

/// The message about a commit.
#[must_use]
pub(crate) fn text(judged: &Judged, frame: &Frame<'_>, lenient: bool) -> String {
    let Frame { name, scenario, push, .. } = frame;
    let known = match frame.age {
        Some(age) => format!("known for {}; `exitone gate --no-cache` judges again; ", in_age(age)),
        None => String::new(),
    };
    let took = format!("{known}{}", in_time(frame.seconds));
    let cases = |n: usize| plural(n, "case");
    match (judged.verdict(), &judged.worst) {
        (Verdict::Pass, _) => {
            let known = frame.age.map(|age| format!("known for {}; ", in_age(age))).unwrap_or_default();
            let skipped = match judged.skipped {
                0 => String::new(),
                n => format!(", {n} skipped: this engine cannot impose a condition"),
            };
            let passed = cases(judged.cases - judged.skipped);
            format!("exitone gate: {name} passes {passed}{skipped} ({known}{})\n", in_time(frame.seconds))
        }
        (Verdict::Unresolved, _) | (Verdict::Fail, None) => {
            let open = format!("{} of {} could not be judged ({took})", judged.unresolved, cases(judged.cases));
            let end = match (push, lenient) {
                (true, true) => "the push continues (--lenient)",
                (true, false) => "the push is stopped; `git push --no-verify` skips the gate",
                (false, _) => "no verdict on the image",
            };
            format!("exitone gate: {name}: {open}, none failed: {end}\n")
        }
        (Verdict::Fail, Some(worst)) => {
            let stopped = if *push { "is not pushed" } else { "fails" };
            let (failed, all) = (judged.failed, cases(judged.cases));
            let does = if failed == 1 { "fails" } else { "fail" };
            let mut text = format!("exitone gate: {name} {stopped}: {failed} of {all} {does} ({took})\n");
            let more = match worst.others.len() {
                0 => String::new(),
                // It says that it always fails.
                n if n + 1 == judged.cases => String::new(),
                n => {
                    let named =
                        worst.others.iter().take(MOST_OTHERS).map(String::as_str).collect::<Vec<_>>().join("; ");
                    let rest = n.saturating_sub(MOST_OTHERS);
                    let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
                    let fail = if n == 1 { "1 other case fails" } else { &format!("{n} other cases fail") };
                    format!(". {fail} too: {named}{rest}")
                }
            };
            let sentence = format!("{} {}{more}.", worst.image, worst.what);
            let _ = writeln!(text, "  {}", wrap(&sentence, 2));
            if let Some((why, fix)) = &worst.why {
                let _ = writeln!(text, "  why  {}\n  fix  {}", wrap(why, 7), wrap(fix, 7));
            }
            let run = command_line(["exitone", "run", scenario, "--image", &worst.image].map(str::to_owned));
            let _ = writeln!(text, "  details: {run}\n           exitone repro {}", worst.case);
            let _ = writeln!(text, "  if it is meant to fail there: say so under `expect` in {scenario}");
            if *push {
                text.push_str("  to push anyway: git push --no-verify\n");
            }
            text
        }
    }
}

/// An age with its unit; below a minute in whole seconds.
fn in_age(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds} s") } else { in_time(seconds as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(age: Option<u64>, push: bool) -> Frame<'static> {
        Frame { name: "main (0123456789)", scenario: ".exitone.yaml", push, age, seconds: 4.21 }
    }

    fn judged(failed: usize, unresolved: usize) -> Judged {
        let worst = (failed > 0).then(|| WorstFailure {
            case: "0123456789-00c0ffee".to_owned(),
            image: "exitone-gate/app:0123456789".to_owned(),
            what: "exits with code 1 when outbound traffic is dropped".to_owned(),
            why: Some(("It connects while it starts.".to_owned(), "Connect later.".to_owned())),
            others: vec!["DNS answers SERVFAIL".to_owned(); failed - 1],
        });
        Judged { cases: 5, failed, unresolved, skipped: 0, worst }
    }

    #[test]
    fn message_of_each_verdict() {
        let mut all = String::new();
        for (failed, unresolved, age, push, lenient) in [
            (0, 0, None, true, false),
            (0, 0, Some(200), true, false),
            (2, 0, None, true, false),
            (1, 4, Some(90_000), false, false),
            (0, 1, None, true, false),
            (0, 1, None, true, true),
            (0, 5, None, false, false),
        ] {
            all += &text(&judged(failed, unresolved), &frame(age, push), lenient);
        }
        all += &text(&Judged { skipped: 2, ..judged(0, 0) }, &frame(None, true), false);
        insta::assert_snapshot!(all);
    }

    #[test]
    fn durations_have_units() {
        let all: Vec<String> = [0.0, 0.34, 9.4, 42.0, 130.0, 7200.0, 700_000.0].map(in_time).to_vec();
        assert_eq!(all, ["0.0 s", "0.3 s", "9.4 s", "42 s", "2 min", "2 h", "8 d"]);
    }
}
