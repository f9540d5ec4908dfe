//! The answer of `why` for a terminal: one paragraph for each cause.

use std::borrow::Borrow;
use std::fmt::Write;

use super::deployed::{ALSO, deployed, healed};
use super::story::{FailingSet, clauses};
use super::style::{BAD, DIM, GOOD, HEAD, WARN, cause, mark, shorten_end, styled, wrap};
use super::view::plural;
use crate::model::FailureClass;
use crate::model::answer::{Answer, Left, MinimalSet, Repair};
use crate::model::deployment::{Broke, Certainty};
use crate::model::image::plain_name;
use crate::model::outcome::{CaseResult, Outcome, Verdict};

/// The answer for a terminal. `explain`: whether to list every run.
#[must_use]
pub fn text(answer: &Answer, results: &[impl Borrow<CaseResult>], explain: bool) -> String {
    let results: &[&CaseResult] = &results.iter().map(Borrow::borrow).collect::<Vec<_>>();
    if let Some(broke) = &answer.deployment {
        let mut text = deployment(answer, broke, results);
        text.push_str(&around(answer, explain));
        text.push_str(&certain(answer, results));
        if explain {
            text.push_str(&runs(results));
        }
        return text;
    }
    let mut text = headline(answer);
    text.push_str(&needs(answer));
    text.push_str(&image(answer));
    let groups = grouped(&answer.minimal_sets);
    let last = groups.len();
    for (n, group) in groups.into_iter().enumerate() {
        text.push_str(&paragraph(n + 1, last, &group, results));
    }
    if answer.baseline == Verdict::Fail && answer.minimal_sets.iter().all(|set| set.conditions.is_empty()) {
        text.push_str(&log(results));
    }
    text.push_str(&around(answer, explain));
    text.push_str(&certain(answer, results));
    if explain {
        text.push_str(&runs(results));
    }
    text
}

/// What broke the deployment, then what else would fail.
fn deployment(answer: &Answer, broke: &Broke, results: &[&CaseResult]) -> String {
    let of = deployed(answer, broke, |set| outcome(set, results));
    let style = match of.certainty {
        Certainty::Proved => BAD,
        Certainty::Likely | Certainty::Undecided => WARN,
    };
    let mut text = format!("{}\n\n", styled(style, &wrap(&of.headline, 0)));
    for (key, line) in &of.lines {
        let _ = writeln!(text, "  {} {}", styled(HEAD, &format!("{key:<8}")), wrap(line, 11));
    }
    if let Some(also) = &of.also {
        let _ = writeln!(text, "\n{ALSO}\n  {}", wrap(also, 2));
    }
    text
}

/// The last run of a set that failed.
fn failed<'a>(set: &MinimalSet, results: &[&'a CaseResult]) -> Option<&'a CaseResult> {
    results.iter().copied().rev().find(|r| r.id == set.case && r.verdict == Verdict::Fail)
}

/// How a set failed.
fn outcome(set: &MinimalSet, results: &[&CaseResult]) -> Option<Outcome> {
    failed(set, results)?.outcome.clone()
}

fn headline(answer: &Answer) -> String {
    let name = plain_name(&answer.image);
    let style = match answer.verdict {
        Verdict::Pass => GOOD,
        Verdict::Unresolved => WARN,
        Verdict::Fail => BAD,
    };
    let flaky = if answer.flaky { "  (flaky: results differ between runs)" } else { "" };
    format!("{}  {}{flaky}\n", styled(HEAD, name), styled(style, &verdict(answer)))
}

/// What is missing for a verdict, and what to add.
fn needs(answer: &Answer) -> String {
    let mut text = String::new();
    for need in &answer.needs {
        let _ = writeln!(text, "\n  {} {}", styled(HEAD, "needs"), wrap(&need.text, 8));
        let _ = writeln!(text, "  {} {}", styled(HEAD, "fix  "), wrap(&need.how(), 8));
    }
    text
}

/// The verdict in a few words.
pub(super) fn verdict(answer: &Answer) -> String {
    let count = answer.minimal_sets.len();
    match (answer.verdict, answer.baseline) {
        (Verdict::Pass, _) => "nothing that was tried makes it fail".to_owned(),
        (Verdict::Unresolved, _) if !answer.needs.is_empty() => {
            "undecided: something that it needs is missing".to_owned()
        }
        (Verdict::Unresolved, _) => "no answer".to_owned(),
        (Verdict::Fail, Verdict::Fail) => "fails without any condition".to_owned(),
        (Verdict::Fail, _) if count == 0 => "fails; the minimal set is not known".to_owned(),
        (Verdict::Fail, _) if count == 1 => "healthy as configured; one set of conditions makes it fail".to_owned(),
        (Verdict::Fail, _) => {
            // The answer has a paragraph for each failure.
            let failures = match grouped(&answer.minimal_sets).len() {
                1 => " (the same failure)".to_owned(),
                groups if groups < count => format!(" ({groups} different failures)"),
                _ => String::new(),
            };
            format!("healthy as configured; {count} minimal sets of conditions make it fail{failures}")
        }
    }
}

/// Findings about the image that are not among the causes.
fn image(answer: &Answer) -> String {
    let is_cause = |id: &str| answer.minimal_sets.iter().flat_map(|set| &set.causes).any(|c| c.is(id));
    let mut text = String::new();
    for finding in answer.findings.iter().filter(|finding| !is_cause(&finding.cause.id)) {
        let mark = if finding.fatal { styled(BAD, "image") } else { styled(HEAD, "image") };
        let _ = writeln!(text, "\n{mark} {}", wrap(&finding.cause.text, 6));
        let _ = writeln!(text, "  {} {}", styled(HEAD, "fix"), wrap(&finding.cause.fix, 6));
    }
    text
}

/// Groups sets with the same signature and the same kinds of causes.
fn grouped(sets: &[MinimalSet]) -> Vec<Vec<&MinimalSet>> {
    let mut groups: Vec<Vec<&MinimalSet>> = Vec::new();
    let kinds = |set: &MinimalSet| set.causes.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
    for set in sets {
        let alike =
            |group: &&mut Vec<&MinimalSet>| group[0].signature == set.signature && kinds(group[0]) == kinds(set);
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(set),
            None => groups.push(vec![set]),
        }
    }
    groups
}

fn paragraph(number: usize, of: usize, group: &[&MinimalSet], results: &[&CaseResult]) -> String {
    let number = if of > 1 { format!("{number}. ") } else { String::new() };
    let failing: Vec<FailingSet> = group
        .iter()
        .map(|set| FailingSet {
            conditions: set.conditions.clone(),
            signature: set.signature.clone(),
            outcome: outcome(set, results).or(Some(Outcome::Exited)),
            exit_code: set.exit_code,
            causes: Vec::new(),
        })
        .collect();
    let mut text = format!("\n{}{}\n", styled(HEAD, &number), wrap(&format!("It {}.", clauses(&failing)), 4));
    for set in group.iter().filter(|set| !set.conditions.is_empty()) {
        let _ = writeln!(text, "    {}  {}", set.conditions, styled(DIM, &proof(set)));
        for limit in &set.limits {
            let _ = writeln!(text, "      {limit}");
        }
    }
    let _ = writeln!(text, "    {}", styled(DIM, &shorten_end(&group[0].signature, 120)));
    let mut shown: Vec<&str> = Vec::new();
    for one in group.iter().flat_map(|set| &set.causes) {
        if !shown.contains(&one.text.as_str()) {
            let fix =
                !group.iter().flat_map(|s| &s.causes).any(|c| shown.contains(&c.text.as_str()) && c.fix == one.fix);
            text.push_str(&cause(one, fix));
            shown.push(&one.text);
        }
    }
    if shown.is_empty() {
        text.push_str(&log_of(failed(group[0], results)));
    }
    // That it passes without its conditions is in the proof already.
    let was_run = |repair: &&Repair| repair.runs > 0;
    for line in group.iter().flat_map(|set| healed(set.repairs.iter().filter(was_run))) {
        let _ = writeln!(text, "  {} {}", styled(HEAD, "heals"), wrap(&line, 8));
    }
    if group[0].fails[1] > 0 {
        let script = format!("exitone repro {} > case.sh && sh case.sh", group[0].case);
        if script.starts_with(&group[0].repro) {
            let _ = writeln!(text, "  {} {}", styled(HEAD, "rerun"), styled(DIM, &script));
        } else {
            let _ = writeln!(text, "  {} {}", styled(HEAD, "rerun"), group[0].repro);
            let _ = writeln!(text, "        {}", styled(DIM, &script));
        }
    }
    text
}

/// How often the set failed, and whether each condition is needed.
fn proof(set: &MinimalSet) -> String {
    if set.fails[1] == 0 {
        return "judged from the image".to_owned();
    }
    let [fails, runs] = set.fails;
    let without = match (set.passes_without_each, set.conditions.iter().count()) {
        (true, 1) => ", passes without it",
        (true, _) => ", passes without any one of them",
        (false, _) => "",
    };
    format!("failed {fails} of {runs}{without}")
}

/// The end of the log, for a failure of unknown cause.
fn log_of(result: Option<&CaseResult>) -> String {
    let Some(result) = result else { return String::new() };
    // One that was given up early has no tail of its own yet.
    let whole = result.log.lines().filter(|line| !line.trim().is_empty());
    let tail: Vec<&str> = match result.evidence.log_tail.as_slice() {
        [] => whole.collect(),
        tail => tail.iter().map(String::as_str).collect(),
    };
    if tail.is_empty() {
        return format!("  {}   empty\n", styled(HEAD, "log"));
    }
    let mut text = format!("  {}\n", styled(HEAD, "last lines of its log"));
    for line in &tail[tail.len().saturating_sub(6)..] {
        let _ = writeln!(text, "        {}", shorten_end(line, 140));
    }
    text
}

fn log(results: &[&CaseResult]) -> String {
    let failed = results.iter().copied().rev().find(|r| r.verdict == Verdict::Fail && r.conditions.is_empty());
    match failed {
        // Without a cause, the log is shown already.
        Some(result) if !result.causes.is_empty() => log_of(Some(result)),
        _ => String::new(),
    }
}

/// The remarks below the sets.
fn around(answer: &Answer, explain: bool) -> String {
    let lines = lines_around(answer, if explain { reasons } else { names });
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("  {}\n", styled(DIM, &wrap(line, 4)))).collect();
    format!("\n{lines}")
}

/// Remarks, one per line: conditions that prevent failures, other failures, notes.
fn remarks(answer: &Answer) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for healed in &answer.healed {
        lines.push(format!("{} prevents the failure under {}", healed.healers, healed.heals));
    }
    for other in &answer.other_failures {
        lines.push(format!(
            "under {} it fails differently; {} alone hides this: {}",
            other.conditions, other.behind, other.signature
        ));
    }
    lines.extend(answer.notes.iter().cloned());
    lines
}

/// The remarks, and the conditions that were not searched, with the reason.
pub(super) fn around_lines(answer: &Answer) -> Vec<String> {
    lines_around(answer, reasons)
}

/// The same; `left_out`: the lines for what was ruled out or not tried. The reason for skipping is always given.
fn lines_around(answer: &Answer, left_out: fn(&[Left], &str) -> Vec<String>) -> Vec<String> {
    let mut lines = remarks(answer);
    lines.extend(left_out(&answer.pruned, "ruled out"));
    lines.extend(reasons(&answer.skipped, "skipped"));
    if !answer.not_exercised.is_empty() {
        lines.push(format!("not exercised: {}", answer.not_exercised.join(", ")));
    }
    lines.extend(left_out(&answer.untried, "not tried"));
    lines.extend(answer.not_tried.iter().map(|what| format!("not tried: {what}")));
    lines
}

/// Conditions that were left out, in one line.
fn names(left: &[Left], what: &str) -> Vec<String> {
    let names: Vec<String> = left.iter().map(|one| one.condition.to_string()).collect();
    let line = (!names.is_empty()).then(|| format!("{what}: {} (--explain says why)", names.join(", ")));
    line.into_iter().collect()
}

/// Conditions that were left out, one line for each reason.
fn reasons(left: &[Left], what: &str) -> Vec<String> {
    let mut by: Vec<(&str, Vec<String>)> = Vec::new();
    for one in left {
        match by.iter_mut().find(|(because, _)| *because == one.because) {
            Some((_, all)) => all.push(one.condition.to_string()),
            None => by.push((&one.because, vec![one.condition.to_string()])),
        }
    }
    by.into_iter().map(|(because, all)| format!("{what}: {} ({because})", all.join(", "))).collect()
}

/// Whether the list of sets is complete, with confidence and assumption.
pub(super) fn certainty(answer: &Answer) -> String {
    let percent = format!("{:.1} %", answer.confidence * 100.0);
    if answer.verdict == Verdict::Unresolved && !answer.needs.is_empty() {
        return "Without it, there is no verdict on the image.".to_owned();
    }
    let untried =
        (!answer.untried.is_empty()).then(|| format!("{} not tried", plural(answer.untried.len(), "condition")));
    let apart = (answer.uncombined > 0).then(|| format!("{} not tried together", plural(answer.uncombined, "pair")));
    let but: Vec<String> = untried.into_iter().chain(apart).collect();
    let but = if but.is_empty() { String::new() } else { format!(", except for {}", but.join(" and ")) };
    match (answer.settled, answer.baseline) {
        (true, _) => format!("The list is complete ({percent} sure){but}. This assumes that {}.", answer.assumption),
        (false, Verdict::Unresolved) => "The baseline has no result, so there is no verdict.".to_owned(),
        (false, _) => format!("The list may not be complete: {}.", answer.assumption),
    }
}

/// The certainty, the platform's failure class, notes on the run that shows it, and the number of runs.
fn certain(answer: &Answer, results: &[&CaseResult]) -> String {
    let list = certainty(answer);
    let class = match answer.class {
        Some(FailureClass::B) => " would report that the container exited (class B).",
        Some(FailureClass::C) => " would report a failed health check (class C).",
        Some(FailureClass::A) => " would fail before it starts the container (class A).",
        None => "",
    };
    let class = if class.is_empty() { String::new() } else { format!(" {}{class}", answer.platform_name) };
    let watched = match answer.baseline {
        Verdict::Pass => format!(", healthy ones watched for {} s (--soak)", answer.watched_s),
        Verdict::Fail | Verdict::Unresolved => String::new(),
    };
    let runs = format!("{} in {:.1} s{watched}", plural(answer.runs, "run"), answer.seconds);
    // In real time, the class may be another one.
    // What the log of the deployment proves is not in question.
    let is_proved = answer.deployment.as_ref().is_some_and(Broke::is_proved);
    let in_question = answer.class.is_some() && !is_proved;
    let shown = answer.minimal_sets.first().filter(|_| in_question).and_then(|set| failed(set, results));
    let notes = shown.into_iter().flat_map(|result| &result.notes);
    let notes: String = notes.map(|note| format!("  {}\n", styled(DIM, &format!("note: {}", wrap(note, 8))))).collect();
    format!("\n{}\n{notes}{runs}\n", wrap(&format!("{list}{class}"), 0))
}

/// Every run, in chronological order.
fn runs(results: &[&CaseResult]) -> String {
    let mut text = format!("\n{}\n", styled(HEAD, "Every run"));
    for result in results {
        let (mark, style) = mark(Some(result));
        let _ = writeln!(
            text,
            "  {} {:>6.1} s  {}",
            styled(style, &format!("{mark:>8}")),
            result.total_ms / 1000.0,
            result.conditions
        );
        for note in &result.notes {
            let _ = writeln!(text, "                     {}", styled(DIM, &shorten_end(note, 110)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn failing(conditions: &[&str], signature: &str) -> MinimalSet {
        let conditions = fixture::set(conditions);
        MinimalSet {
            case: crate::model::CaseId(conditions.to_string()),
            conditions,
            confidence: 1.0,
            fails: [1, 1],
            passes_without_each: true,
            signature: signature.to_owned(),
            class: Some(FailureClass::B),
            exit_code: Some(1),
            causes: Vec::new(),
            limits: Vec::new(),
            repairs: Vec::new(),
            repro: String::new(),
        }
    }

    #[test]
    fn verdict_has_the_numbers_of_sets_and_of_failures() {
        let of = |minimal_sets: Vec<MinimalSet>| {
            verdict(&Answer { verdict: Verdict::Fail, baseline: Verdict::Pass, minimal_sets, ..Answer::some() })
        };
        let (a, b, c) = (failing(&["env.unset:A"], "x"), failing(&["env.unset:B"], "x"), failing(&["dns.drop"], "y"));
        assert_eq!(of(vec![a.clone()]), "healthy as configured; one set of conditions makes it fail");
        assert_eq!(of(vec![a.clone(), c.clone()]), "healthy as configured; 2 minimal sets of conditions make it fail");
        assert_eq!(
            of(vec![a.clone(), b.clone()]),
            "healthy as configured; 2 minimal sets of conditions make it fail (the same failure)"
        );
        assert_eq!(
            of(vec![a, b, c]),
            "healthy as configured; 3 minimal sets of conditions make it fail (2 different failures)"
        );
    }

    #[test]
    fn class_comes_with_the_notes_of_the_run_that_shows_it() {
        let set = failing(&["egress.drop"], "exit 1");
        let note = "in real time the health check's limit of 25 s would come first (class C)";
        let died = fixture::died(&set.case.0, "app:1", set.conditions.clone());
        let died = CaseResult { notes: vec![note.to_owned()], ..died };
        let class = Some(FailureClass::B);
        let answer = Answer { verdict: Verdict::Fail, class, minimal_sets: vec![set], ..Answer::some() };
        let said = anstream::adapter::strip_str(&certain(&answer, &[&died])).to_string();
        assert!(said.contains("(class B).\n  note: in real time") && said.contains("(class C)\n"), "{said}");
        let other = CaseResult { id: crate::model::CaseId("other".to_owned()), ..died };
        let said = certain(&Answer { class: None, ..answer }, &[&other]);
        assert!(!said.contains("note:"), "{said}");
    }
}
