//! A run as annotations of a CI job: GitHub's workflow commands and the logging commands of Azure Pipelines. (GitLab
//! has neither and reads the JUnit file.)
//!
//! A command is a line on standard output, so anything else that a job prints may be mistaken for one. Wrap the output
//! of candidates in [`fenced`].

use std::fmt::Write;

use super::account::CaseDetails;
use super::plain::one_line;
use super::searches::{SearchView, searches};
use super::table::{Table, severity, tables};
use super::view::{self, plural};
use crate::event::run::Run;
use crate::event::{Entry, Kind, Standing};

/// Number of errors, and of warnings, that GitHub shows of a step.
const MOST: usize = 10;

/// An annotation.
struct Issue {
    title: String,
    text: String,
}

/// The annotations of a run, the worst first, and a sentence about the rest.
struct Issues {
    errors: Vec<Issue>,
    warnings: Vec<Issue>,
    rest: Option<String>,
}

/// The commands of GitHub's workflows: `::error title=…::…`.
#[must_use]
pub fn render(run: &Run) -> String {
    let issues = issues(run);
    let mut text = String::new();
    for (command, issues) in [("error", &issues.errors), ("warning", &issues.warnings)] {
        for issue in issues {
            let _ = writeln!(text, "::{command} title={}::{}", property(&issue.title), data(&issue.text));
        }
    }
    if let Some(rest) = &issues.rest {
        let _ = writeln!(text, "::notice title=exitone::{}", data(rest));
    }
    text
}

/// The commands of Azure Pipelines: `##vso[task.logissue type=error]…`.
#[must_use]
pub fn render_azure(run: &Run) -> String {
    let issues = issues(run);
    let mut text = String::new();
    for (kind, issues) in [("error", &issues.errors), ("warning", &issues.warnings)] {
        for issue in issues {
            let message = format!("{}: {}", issue.title, issue.text);
            let _ = writeln!(text, "##vso[task.logissue type={kind}]{}", azure(&message));
        }
    }
    if let Some(rest) = &issues.rest {
        let _ = writeln!(text, "##[section]{}", azure(rest));
    }
    text
}

/// Wraps a text so that GitHub reads no commands in it.
#[must_use]
pub fn fenced(output: &str) -> String {
    // The end marker must not occur in the text.
    let mut number = 0;
    let word = loop {
        let word = format!("exitone-output-{number}");
        if !output.contains(&word) {
            break word;
        }
        number += 1;
    };
    let gap = if output.is_empty() || output.ends_with('\n') { "" } else { "\n" };
    format!("::stop-commands::{word}\n{output}{gap}::{word}::\n")
}

fn issues(run: &Run) -> Issues {
    let tables = tables(run);
    let mut cells: Vec<(&str, &str, Entry<'_>)> = tables.iter().flat_map(Table::cells).collect();
    cells.sort_by_key(|(_, _, cell)| (cell.standing, cell.result.map(|result| severity(result))));
    let of = |chosen: &dyn Fn(Entry<'_>) -> bool| -> Vec<Issue> {
        let chosen = cells.iter().filter(|(_, _, cell)| chosen(*cell)).take(MOST);
        chosen.map(|(image, label, cell)| issue(image, label, *cell)).collect()
    };
    let doubtful = |cell: Entry<'_>| match cell.standing {
        Standing::Unresolved | Standing::Skipped => true,
        Standing::Expected => cell.attempts.flaky().is_some(),
        Standing::Unexpected | Standing::NotRun | Standing::Step => false,
    };
    let mut warnings = of(&doubtful);
    let found = searches(run);
    let issue_of = |search: &SearchView<'_>, text| Issue { title: format!("exitone: {}", search.title), text };
    warnings.splice(0..0, found.iter().filter_map(|search| Some(issue_of(search, search.undecided()?))));
    warnings.truncate(MOST);
    let mut errors = of(&|cell| cell.standing == Standing::Unexpected);
    let bisected = found.iter().filter(|_| run.header.kind == Kind::Bisect && run.exit_code() == 1);
    errors.extend(bisected.map(|search| issue_of(search, search.verdict.clone())));
    let tally = run.counts();
    let more = [
        (tally.unexpected.saturating_sub(MOST), "more case", "not as expected"),
        ((tally.unresolved + tally.skipped).saturating_sub(MOST), "more case", "unresolved or skipped"),
        (tally.not_run, "case", "not run"),
    ];
    let more = more.iter().filter(|(count, _, _)| *count > 0);
    let more: Vec<String> = more.map(|(count, case, what)| format!("{} {what}", plural(*count, case))).collect();
    let rest = (!more.is_empty()).then(|| format!("{}; see the report for all of them", more.join(", ")));
    Issues { errors, warnings, rest }
}

fn issue(image: &str, label: &str, cell: Entry<'_>) -> Issue {
    let title = format!("exitone: {image} under {label}");
    let Some(result) = cell.result else { return Issue { title, text: view::words(&cell) } };
    if let Some(because) = &result.skipped {
        return Issue { title, text: format!("skipped: {}", one_line(because)) };
    }
    if cell.standing == Standing::Expected {
        return Issue { title, text: view::words(&cell) };
    }
    let details = CaseDetails::of(&cell, result);
    let mut text = details.headline;
    if let Some(why) = details.causes.first() {
        let _ = write!(text, "\nFix: {}", why.fix);
        why.evidence.iter().take(3).for_each(|line| {
            let _ = write!(text, "\n{line}");
        });
    }
    if let Some(command) = details.repro {
        let _ = write!(text, "\nBy hand: {command}");
    }
    Issue { title, text }
}

/// Escapes a message for GitHub.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property for GitHub.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Escapes a message for Azure.
fn azure(text: &str) -> String {
    text.replace('%', "%AZP25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{HOSTILE, every_kind, huge};

    #[test]
    fn commands_of_every_kind() {
        let run = every_kind();
        insta::assert_snapshot!(format!("{}\n{}", render(&run), render_azure(&run)));
    }

    #[test]
    fn every_line_is_one_command() {
        for text in [render(&every_kind()), render(&huge(30, 3)), render(&Run::default())] {
            for line in text.lines() {
                let known = ["::error title=", "::warning title=", "::notice title="];
                assert!(known.iter().any(|begin| line.starts_with(begin)), "{line}");
                let properties = line[2..].split("::").next().expect("a part");
                assert!(!properties.contains([':', ',']), "{line}");
            }
        }
        assert_eq!(property("a: b, 5 %\r\n"), "a%3A b%2C 5 %25%0D%0A");
        assert_eq!(data("a: b, 5 %25"), "a: b, 5 %2525");
        assert!(render_azure(&every_kind()).lines().all(|line| line.starts_with("##")));
    }

    #[test]
    fn issues_beyond_the_maximum_are_counted() {
        let text = render(&huge(30, 3));
        assert_eq!(text.matches("::error ").count(), 10);
        assert!(
            text.ends_with("::notice title=exitone::80 more cases not as expected; see the report for all of them\n")
        );
    }

    #[test]
    fn log_cannot_end_its_fence() {
        for output in ["", "::error::x", "a\n::exitone-output-0::\n::error::x\n", HOSTILE] {
            let text = fenced(output);
            let lines: Vec<&str> = text.lines().collect();
            let word = lines[0].strip_prefix("::stop-commands::").expect("a fence");
            let end = format!("::{word}::");
            assert_eq!(lines.iter().position(|line| *line == end), Some(lines.len() - 1), "{text}");
            assert_eq!(text.matches(word).count(), 2);
        }
    }
}
