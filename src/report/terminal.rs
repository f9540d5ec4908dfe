//! The report of a run for a terminal.

use std::borrow::Borrow;
use std::fmt::Write;
use std::sync::Arc;

use super::evidence;
use super::searches::{SearchView, searches};
use super::story::{Story, clauses, in_words};
use super::style::{BAD, DIM, GOOD, HEAD, WARN, causes, mark, shorten, shorten_end, styled, wrap};
use super::table::{Table, tables};
use super::view::{self, LEGEND};
use crate::event::run::Run;
use crate::event::{Counts, Entry, Kind, Standing};
use crate::model::ConditionSet;
use crate::model::image::plain_name;
use crate::model::outcome::{CaseResult, Verdict};
use crate::model::search::SearchReport;

/// Widths in columns: of a cell of the matrix, and the maximum of a label.
const CELL: usize = 8;
const MOST_LABEL: usize = 44;

/// The matrix: conditions down, images across.
#[must_use]
pub fn matrix(table: &Table<'_>) -> String {
    let label = table.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0).min(MOST_LABEL);
    let marks: Vec<String> = table.rows.iter().flat_map(|row| &row.cells).map(|cell| mark(result(cell)).0).collect();
    let width = marks.iter().map(|mark| mark.chars().count()).max().unwrap_or_default().max(CELL - 1) + 1;
    let mut text = format!("  {:label$}", "");
    for n in 1..=table.images.len() {
        let _ = write!(text, "{:>width$}", format!("[{n}]"));
    }
    text.push('\n');
    for row in &table.rows {
        let _ = write!(text, "  {}", shorten(&row.label, label));
        for cell in &row.cells {
            let (mark, style) = mark(result(cell));
            // Padded first, since colour codes have no width.
            let _ = write!(text, "{}", styled(style, &format!("{mark:>width$}")));
        }
        text.push('\n');
    }
    for (i, name) in table.names.iter().enumerate() {
        let _ = write!(text, "{}[{}] {name}", if i % 4 == 0 { "\n  " } else { "   " }, i + 1);
    }
    let shown = LEGEND.iter().filter(|(_, mark, _)| marks.iter().any(|known| known == mark));
    let legend: Vec<String> = shown.map(|(_, mark, meaning)| format!("{mark}: {meaning}")).collect();
    for line in legend.chunks(3) {
        let _ = write!(text, "\n  {}", styled(DIM, &line.join("   ")));
    }
    text + "\n"
}

fn result<'a>(cell: &Option<Entry<'a>>) -> Option<&'a CaseResult> {
    cell.and_then(|cell| cell.result).map(|result| &**result)
}

/// The text of the demo after its matrix.
#[must_use]
pub fn story(story: &Story, results: &[impl Borrow<CaseResult>]) -> String {
    let results: &[&CaseResult] = &results.iter().map(Borrow::borrow).collect::<Vec<_>>();
    let images: Vec<&str> = story.versions.iter().map(|version| version.image.as_str()).collect();
    let name = |image| view::name(image, &images);
    let mut text = format!("\n{}\n", styled(HEAD, "What each version does"));
    if !story.common.is_empty() {
        let sentence = format!("every version {}.", clauses(&story.common));
        let _ = writeln!(text, "  {} {}", styled(BAD, "•"), wrap(&sentence, 4));
    }
    for version in &story.versions {
        let own = version.sets.len() > story.common.len() || version.wrong_architecture.is_some();
        let style = match (!own, version.passed) {
            (true, 0) => DIM,
            (true, _) => GOOD,
            (false, _) => BAD,
        };
        let _ = writeln!(text, "  {} {}", styled(style, "•"), wrap(&version.own_sentence(&story.common), 4));
        if let Some((set, what)) = version.failed_checks.first() {
            let more = version.failed_checks.len() - 1;
            let more = if more > 0 { format!(" (and under {more} more)") } else { String::new() };
            let when = if set.is_empty() { in_words(set) } else { format!("when {}", in_words(set)) };
            let note = format!("healthy, but its check fails {when}: {what}{more}");
            let _ = writeln!(text, "    {}", styled(DIM, &wrap(&note, 4)));
        }
    }
    let _ = writeln!(text, "\n{}", styled(HEAD, "First bad version"));
    for transition in &story.first_bad {
        let good = transition.last_good.as_deref().map(|g| format!(" ({} is good)", name(g))).unwrap_or_default();
        let among: Vec<&str> = transition.any_of.iter().map(|i| name(i)).collect();
        let bad =
            transition.image.as_deref().map_or_else(|| format!("one of {}", among.join(", ")), |i| name(i).to_owned());
        let _ = writeln!(text, "  {:<58} {}{good}", transition.conditions.to_string(), styled(BAD, &bad));
    }
    if let Some(failed) = example(story, results) {
        let _ = writeln!(
            text,
            "\n{} {}",
            styled(HEAD, "One failed deployment as App Runner would log it:"),
            styled(DIM, &format!("{} under {}", name(&failed.image), failed.conditions))
        );
        for line in &failed.apprunner_log {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "  operation status {}", status(failed));
        text.push_str(&causes(failed));
    }
    text
}

fn status(result: &CaseResult) -> String {
    serde_json::to_value(result.operation_status)
        .ok()
        .and_then(|v| v.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

/// The most instructive failure: with a cause, and under a pair of conditions if there is one.
fn example<'a>(story: &Story, results: &[&'a CaseResult]) -> Option<&'a CaseResult> {
    let sets: Vec<(&String, &ConditionSet)> =
        story.versions.iter().flat_map(|v| v.sets.iter().map(|s| (&v.image, &s.conditions))).collect();
    // Reversed, since `max_by_key` returns the last of equal elements.
    results
        .iter()
        .copied()
        .rev()
        .filter(|r| !r.causes.is_empty() && sets.contains(&(&r.image, &r.conditions)))
        .max_by_key(|r| (r.conditions.iter().count() > 1, r.exit_code == Some(1), r.causes.len()))
}

/// One case in full; `images` are those of the run.
fn case(entry: &Entry<'_>, result: &CaseResult, images: &[&str]) -> String {
    let (_, style) = mark(Some(result));
    // Beside no other image, a tag alone says nothing.
    let image = if images.len() < 2 { plain_name(&result.image) } else { view::name(&result.image, images) };
    let mut text = format!(
        "{} {image}  {}\n",
        styled(style, &result.cell()),
        styled(DIM, &format!("under {}", result.conditions))
    );
    // From the start of the process on.
    let times = [("listened", result.first_listen_ms), ("healthy", result.healthy_ms), ("exited", result.exited_ms)];
    let times: Vec<String> = times.iter().filter_map(|(n, t)| t.map(|t| format!("{n} {:.2} s", t / 1000.0))).collect();
    if !times.is_empty() {
        let _ = writeln!(text, "  {}", times.join(" · "));
    }
    if let Some(often) = entry.attempts.flaky() {
        let _ = writeln!(text, "  {}", styled(WARN, &format!("flaky: {often}")));
    }
    if let Some(expected) = entry.expected {
        let (mark, style) =
            if entry.standing == Standing::Expected { ("as expected", GOOD) } else { ("not as expected", BAD) };
        let _ = writeln!(text, "  {}", styled(style, &format!("{mark}: {expected}")));
    }
    for check in &result.checks {
        let _ = writeln!(text, "  {} {}: {}", if check.passed { "✓" } else { "✗" }, check.name, check.text);
    }
    text.push_str(&seen(result));
    if result.verdict != Verdict::Pass {
        text.push_str(&failure(result));
    }
    for note in view::notes(entry) {
        let _ = writeln!(text, "  {}", styled(DIM, &format!("note: {}", wrap(&note, 8))));
    }
    text
}

/// A summary of many passes: conditions that were not exercised, and time compression.
fn not_exercised(entries: &[&Entry<'_>], all: &[&str]) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    let results = || entries.iter().filter_map(|entry| entry.result);
    for result in results().filter(|r| r.verdict == Verdict::Pass) {
        let name = view::name(&result.image, all);
        for line in evidence::not_exercised(result) {
            match groups.iter_mut().find(|(known, _)| *known == line) {
                Some((_, images)) if images.contains(&name) => {}
                Some((_, images)) => images.push(name),
                None => groups.push((line, vec![name])),
            }
        }
    }
    let mut text = String::new();
    for (line, images) in groups {
        let _ = writeln!(text, "  {}", styled(DIM, &wrap(&format!("{line} ({})", images.join(", ")), 4)));
    }
    let compressed = results().filter(|r| r.notes.iter().any(|n| n.starts_with("time compression"))).count();
    if compressed > 0 {
        let line = format!("time compression affected {compressed} of {} results; see --format json", entries.len());
        let _ = writeln!(text, "  {}", styled(DIM, &line));
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// Findings about the images, each once.
fn findings<'a>(results: impl IntoIterator<Item = &'a Arc<CaseResult>>, images: &[&str]) -> String {
    let mut shown: Vec<(&str, &str)> = Vec::new();
    let mut text = String::new();
    for result in results {
        for finding in &result.findings {
            let one = (result.image.as_str(), finding.cause.text.as_str());
            // Already shown as the cause of the failure.
            if shown.contains(&one) || result.causes.iter().any(|c| c.id == finding.cause.id) {
                continue;
            }
            shown.push(one);
            let mark = if finding.fatal { styled(BAD, "image") } else { styled(HEAD, "image") };
            let about = format!("{}: {}", view::name(&result.image, images), finding.cause.text);
            let _ = writeln!(text, "{mark} {}", wrap(&about, 6));
            let _ = writeln!(text, "  {} {}", styled(HEAD, "fix"), wrap(&finding.cause.fix, 6));
        }
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// What the case did, its usage, what it was waiting for, and conditions it did not exercise.
fn seen(result: &CaseResult) -> String {
    let mut text = String::new();
    for line in evidence::timeline(&result.evidence) {
        let _ = writeln!(text, "  {}", shorten_end(&line, 140));
    }
    if let Some(usage) = evidence::usage(&result.evidence) {
        let _ = writeln!(text, "  {}", styled(DIM, &usage));
    }
    for what in &result.evidence.waiting_for {
        let _ = writeln!(text, "  {} {}", styled(HEAD, "was waiting for"), wrap(what, 18));
    }
    for line in evidence::not_exercised(result) {
        let _ = writeln!(text, "  {}", styled(WARN, &wrap(&line, 4)));
    }
    text
}

/// The end of the log, the platform's message, causes and fixes.
fn failure(result: &CaseResult) -> String {
    let mut text = String::new();
    if !result.evidence.log_tail.is_empty() {
        let _ = writeln!(text, "  {}", styled(HEAD, "last lines of its log"));
        let tail = &result.evidence.log_tail;
        for line in &tail[tail.len().saturating_sub(8)..] {
            let _ = writeln!(text, "    {}", shorten_end(line, 140));
        }
    }
    if let Some(line) = result.apprunner_log.iter().rev().nth(1) {
        let _ = writeln!(text, "  {}", styled(DIM, line));
    }
    text.push_str(&causes(result));
    if result.outcome.is_some() {
        let by_hand = format!("by hand: exitone repro {} > case.sh && sh case.sh", result.id);
        let _ = writeln!(text, "  {}", styled(DIM, &by_hand));
    }
    text
}

/// The result of proving a condition with a planted candidate.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Proved {
    /// The condition.
    pub(crate) condition: String,
    /// Whether this host imposes it; `None` when it cannot.
    pub(crate) imposed: Option<bool>,
    /// What was seen, or why this host cannot impose it.
    pub(crate) what: String,
}

/// The table of `exitone doctor`: a line for each condition.
#[must_use]
pub(crate) fn doctor(proved: &[Proved]) -> String {
    let width = proved.iter().map(|p| p.condition.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for one in proved {
        let (mark, style) = match one.imposed {
            Some(true) => ("✓", GOOD),
            Some(false) => ("✗", BAD),
            None => ("–", DIM),
        };
        let what = if one.imposed.is_none() { format!("skipped: {}", one.what) } else { one.what.clone() };
        let name = format!("{:width$}", one.condition);
        let _ = writeln!(text, "  {} {name}  {}", styled(style, mark), styled(DIM, &shorten_end(&what, 68)));
    }
    let count = |imposed| proved.iter().filter(|p| p.imposed == imposed).count();
    let (good, bad, skipped) = (count(Some(true)), count(Some(false)), count(None));
    let _ = writeln!(text, "\n{good} conditions proved, {bad} not imposed, {skipped} skipped");
    text
}

/// A whole run: a matrix for each scenario, unless it is trivial, then the cases that did not pass, or all of a few.
#[must_use]
pub fn run(run: &Run) -> String {
    let found = searches(run);
    match (run.header.kind, &run.verdicts, found.first()) {
        (Kind::Bisect, Some(verdicts), _) => {
            let shown = verdicts.case.as_ref().and_then(|case| run.results.get(case));
            return super::bisect::text(verdicts, shown.map(|result| &**result));
        }
        (Kind::Why, _, Some(view)) => {
            let report = run.searches().find_map(|(_, report)| report.ok());
            return search(run, view, report);
        }
        _ => {}
    }
    let mut text = String::new();
    let images = run.images();
    let tables = tables(run);
    for table in &tables {
        let of_table = |entry: &Entry<'_>| entry.planned.scenario.as_deref() == table.scenario;
        let entries: Vec<Entry<'_>> = run.entries().filter(|entry| of_table(entry) && entry.result.is_some()).collect();
        if tables.len() > 1 {
            let name = table.scenario.unwrap_or("by hand");
            let _ = writeln!(text, "{}", styled(HEAD, name));
        }
        let shown = table.without_steps();
        if shown.images.len() > 1 || shown.rows.len() > 2 {
            text += &(matrix(&shown) + "\n");
        }
        let searches = || run.searches().filter(|(search, _)| search.scenario.as_deref() == table.scenario);
        let smallest = searches().filter_map(|(_, answer)| answer.ok()).flat_map(|report| &report.judged);
        let minimal: Vec<_> = smallest.filter(|judged| judged.smallest).map(|judged| &judged.case).collect();
        // The sets and steps of a search come below.
        let standalone = |entry: &&Entry<'_>| entry.standing != Standing::Step && !minimal.contains(&&entry.planned.id);
        let standalone: Vec<&Entry<'_>> = entries.iter().filter(standalone).collect();
        let few = standalone.len() <= 4;
        if !few {
            text += &not_exercised(&standalone, &images);
        }
        let odd = |entry: &Entry<'_>| {
            let failed = entry.result.is_some_and(|result| result.verdict != Verdict::Pass);
            failed || entry.standing != Standing::Expected || entry.attempts.flaky().is_some()
        };
        let shown = standalone.iter().filter(|entry| few || odd(entry));
        text.extend(shown.filter_map(|entry| Some(case(entry, entry.result?, &images) + "\n")));
        if searches().next().is_none() {
            text += &findings(entries.iter().filter_map(|entry| entry.result), &images);
        }
        let views = found.iter().filter(|view| view.scenario == table.scenario);
        text.extend(views.zip(searches()).map(|(view, (_, report))| search(run, view, report.ok())));
    }
    for (planned, because) in run.without_result() {
        let name = view::name(&planned.image, &images);
        let line = format!("not run: {name} under {}: {because}", planned.conditions);
        let _ = writeln!(text, "{}", styled(DIM, &line));
    }
    text + &summary(&run.counts())
}

/// What a search found, and whether that was expected.
fn search(run: &Run, search: &SearchView<'_>, report: Option<&SearchReport>) -> String {
    let mut text = String::new();
    if run.header.kind == Kind::Run {
        let _ = writeln!(text, "{}", styled(HEAD, &search.title));
    }
    if let Some(report) = report {
        let of_search = run.header.cases.iter().filter(|p| p.search.as_ref() == Some(&report.id));
        let results: Vec<&CaseResult> = of_search.filter_map(|p| run.results.get(&p.id)).map(|r| &**r).collect();
        text += &super::why::text(&report.answer, &results, false);
    }
    for line in search.lines.iter().filter(|_| run.header.kind == Kind::Run) {
        let (mark, style) = match line.good {
            Some(true) => ("✓", GOOD),
            Some(false) => ("✗", BAD),
            None => ("?", WARN),
        };
        let _ = writeln!(text, "  {} {}", styled(style, mark), wrap(&line.text, 4));
    }
    if let Some(undecided) = search.undecided() {
        let _ = writeln!(text, "  {}", styled(WARN, &wrap(&undecided, 2)));
    }
    text + "\n"
}

/// The last line: counts and duration.
#[must_use]
pub(crate) fn summary(counts: &Counts) -> String {
    format!("{} in {:.1} s\n", view::counts(counts), counts.seconds)
}
