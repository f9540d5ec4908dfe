//! A run as Markdown, for the summary of a CI job or a comment: counts, the matrix, and every case that needs
//! attention.
//!
//! Untrusted text is escaped with entities, which work in Markdown and HTML, or put in a fence that is longer than any
//! in it. GitHub limits a summary to 1 MiB; a longer one is cut between two parts and says so.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::account::{CaseDetails, other_findings};
use super::plain::plain;
use super::searches::{headline, searches as views};
use super::table::{Table, severity, tables};
use super::view::{self, plural};
use crate::event::run::Run;
use crate::event::{Counts, Entry, Standing};
use crate::model::Verdict;

/// Maximum size. GitHub limits a step's summary to 1 MiB, and a job may write something before it.
const MOST_BYTES: usize = 1_000_000;
/// Bytes reserved for the note at the end.
const END_BYTES: usize = 2_000;
/// Maximum number of columns of a table; a wider one becomes a list.
const MOST_COLUMNS: usize = 20;
/// Maximum number of names in one line of a list.
const MOST_NAMES: usize = 20;

/// The document.
#[must_use]
pub fn render(run: &Run) -> String {
    let tables = tables(run);
    let mut page = Page::default();
    head(&mut page, run);
    searches(&mut page, run);
    for table in &tables {
        matrix(&mut page, &table.without_steps(), tables.len() > 1);
    }
    let mut looked_at: Vec<(&str, &str, Entry<'_>)> = tables.iter().flat_map(Table::cells).collect();
    looked_at.retain(|(_, _, cell)| matches!(cell.standing, Standing::Unexpected | Standing::Unresolved));
    looked_at.sort_by_key(|(_, _, cell)| (cell.standing, cell.result.map(|result| severity(result))));
    let mut left_out = 0;
    for (n, (image, label, cell)) in looked_at.iter().enumerate() {
        let title = if n == 0 { "### Cases to look at\n\n" } else { "" };
        // Once one is left out, so are all less severe ones.
        if left_out > 0 || !page.add(&format!("{title}{}", case(image, label, *cell))) {
            left_out += 1;
        }
    }
    lists(&mut page, &tables);
    end(page, left_out)
}

/// The text so far, which never exceeds its limit.
#[derive(Default)]
struct Page {
    text: String,
    cut: bool,
}

impl Page {
    /// Adds a whole part; false when there is no room for it.
    fn add(&mut self, part: &str) -> bool {
        let fits = self.text.len() + part.len() + END_BYTES <= MOST_BYTES;
        if fits {
            self.text.push_str(part);
        }
        self.cut |= !fits;
        fits
    }
}

fn end(page: Page, left_out: usize) -> String {
    let mut text = page.text;
    if page.cut {
        let what = match left_out {
            0 => "Part of this report is".to_owned(),
            1 => "1 case to look at is".to_owned(),
            _ => format!("{left_out} cases to look at are"),
        };
        let _ = write!(
            text,
            "\n**{what} omitted here**, because a job's summary is limited in size; `exitone report` shows all of it \
             from the run's folder.\n"
        );
    }
    text
}

fn head(page: &mut Page, run: &Run) {
    let counts = run.counts();
    let (verdict, headline) = headline(run);
    let sign = match verdict {
        Some(Verdict::Fail) => "❌",
        Some(Verdict::Pass) => "✅",
        Some(Verdict::Unresolved) | None => "⚠️",
    };
    let header = &run.header;
    let mut about = vec![view::counts(&counts), format!("{:.1} s", counts.seconds)];
    let shard = header.shard.as_ref().map(|shard| format!("shard {shard}"));
    let known = [header.platform.clone(), format!("exitone {}", header.tool)].into_iter().chain(shard);
    about.extend(known.filter(|text| !text.trim().is_empty()).map(|text| prose(&text)));
    page.add(&format!("## {sign} exitone: {}\n\n{}\n\n", headline, about.join(" · ")));
    if run.summary.is_none() {
        page.add("The run ended early.\n\n");
    }
}

/// What searches and a bisection found, with folded lists of their runs.
fn searches(page: &mut Page, run: &Run) {
    let sign = |good| match good {
        Some(true) => "✅",
        Some(false) => "❌",
        None => "❓",
    };
    for search in views(run) {
        let mut text = format!("### {}\n\n{}\n\n", prose(&search.title), prose(&search.verdict));
        for line in &search.broke {
            let _ = writeln!(text, "{}\n", prose(line));
        }
        for line in &search.lines {
            let _ = writeln!(text, "- {} {}", sign(line.good), prose(&line.text));
            line.because.iter().for_each(|because| {
                let _ = writeln!(text, "  - {}", prose(because));
            });
        }
        text.push_str(if search.lines.is_empty() { "" } else { "\n" });
        for remark in &search.remarks {
            let _ = writeln!(text, "{}\n", prose(remark));
        }
        if let Some(undecided) = search.undecided() {
            let _ = writeln!(text, "❓ {}\n", prose(&undecided));
        }
        page.add(&text);
        let lines: Vec<String> = search
            .runs
            .iter()
            .map(|ran| format!("- {} {}; {}\n", sign(ran.passed), prose(&ran.text), prose(&ran.lesson)))
            .collect();
        if !lines.is_empty() {
            let head = format!("<details><summary>{}</summary>\n\n", plural(lines.len(), "run"));
            whole_lines(page, &head, &lines);
            page.add("</details>\n\n");
        }
    }
}

/// A cell of the matrix: a sign and the mark.
fn sign(cell: Option<Entry<'_>>) -> String {
    let Some(cell) = cell else { return String::new() };
    let letters = prose(&view::mark(cell.result.map(|result| &**result)).1);
    match cell.standing {
        Standing::Expected if cell.attempts.flaky().is_some() => format!("✅ {letters}, flaky"),
        Standing::Expected => format!("✅ {letters}"),
        Standing::Unexpected => format!("❌ **{letters}**"),
        Standing::Unresolved => "❓ unresolved".to_owned(),
        Standing::Skipped => "⏭️ skipped".to_owned(),
        Standing::NotRun => "⬜ not run".to_owned(),
        Standing::Step => format!("· {letters}"),
    }
}

/// The matrix of a scenario, turned so that it has fewer columns than rows; as a list if it is still too wide.
fn matrix(page: &mut Page, table: &Table<'_>, titled: bool) {
    if table.rows.is_empty() {
        return;
    }
    let mut text = if titled { format!("### {}\n\n", prose(&table.title())) } else { String::new() };
    let sets: Vec<&str> = table.rows.iter().map(|row| row.label.as_str()).collect();
    let images: Vec<&str> = table.names.iter().map(String::as_str).collect();
    let turned = images.len() > sets.len();
    let (down, across) = if turned { (&images, &sets) } else { (&sets, &images) };
    if across.len() > MOST_COLUMNS {
        let mut lines = Vec::new();
        for row in &table.rows {
            let counts = Counts::of(row.cells.iter().copied().flatten());
            lines.push(format!("- {}: {}\n", code(&row.label), view::counts(&counts)));
        }
        return whole_lines(page, &text, &lines);
    }
    let corner = if turned { "image" } else { "conditions" };
    let _ =
        writeln!(text, "| {corner} |{}", across.iter().map(|name| format!(" {} |", code(name))).collect::<String>());
    let _ = writeln!(text, "|---|{}", "---|".repeat(across.len()));
    let mut lines = Vec::new();
    for (n, name) in down.iter().enumerate() {
        let cell = |m: usize| {
            let (row, column) = if turned { (m, n) } else { (n, m) };
            table.rows.get(row).and_then(|row| row.cells.get(column)).copied().flatten()
        };
        let cells: String = (0..across.len()).map(|m| format!(" {} |", sign(cell(m)))).collect();
        lines.push(format!("| {} |{cells}\n", code(name)));
    }
    whole_lines(page, &text, &lines);
}

/// Adds a heading and lines, up to half of the page's size.
fn whole_lines(page: &mut Page, head: &str, lines: &[String]) {
    let mut part = head.to_owned();
    let room = (MOST_BYTES / 2).saturating_sub(page.text.len());
    let mut left_out = lines.len();
    for line in lines {
        if part.len() + line.len() > room {
            break;
        }
        part.push_str(line);
        left_out -= 1;
    }
    part.push('\n');
    if left_out > 0 {
        page.cut = true;
        let _ = writeln!(part, "… and {} more\n", plural(left_out, "line"));
    }
    page.add(&part);
}

/// A case in full, folded.
fn case(image: &str, label: &str, cell: Entry<'_>) -> String {
    let Some(result) = cell.result else { return String::new() };
    let details = CaseDetails::of(&cell, result);
    let sign = if cell.standing == Standing::Unexpected { "❌" } else { "❓" };
    let mut text = format!(
        "<details><summary>{sign} {} under {}: {}</summary>\n\n",
        code(image),
        code(label),
        prose(&view::words(&cell))
    );
    for why in &details.causes {
        let _ = writeln!(text, "**Why** {}\n\n**Fix** {}\n", prose(&why.text), prose(&why.fix));
        why.evidence.iter().for_each(|line| {
            let _ = writeln!(text, "- {}", code(line));
        });
        text.push('\n');
    }
    let parts = [
        ("Requests that failed", &details.checks),
        ("What it did", &details.timeline),
        ("Last lines of its log", &details.log),
        ("As App Runner would log it", &details.platform),
    ];
    for (title, lines) in parts.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        let _ = write!(text, "{title}\n\n{}\n", fence(lines));
    }
    for note in &details.notes {
        let _ = writeln!(text, "Note: {}\n", prose(note));
    }
    if let Some(command) = &details.repro {
        let _ = writeln!(text, "By hand: {}\n", code(&format!("{command} > case.sh && sh case.sh")));
    }
    text + "</details>\n\n"
}

/// Lists of cases that did not exercise a condition, were skipped or not run, grouped by reason.
fn lists(page: &mut Page, tables: &[Table<'_>]) {
    let mut not_exercised = Groups::default();
    let mut skipped = Groups::default();
    let mut not_run = Groups::default();
    let mut flaky = Groups::default();
    let mut images = Groups::default();
    let mut compressed = 0;
    for (image, label, cell) in tables.iter().flat_map(Table::cells) {
        let case = format!("{} under {}", code(image), code(label));
        match (cell.standing, cell.result) {
            (Standing::NotRun, _) => not_run.add(prose(cell.missing.unwrap_or("no result")), case),
            (Standing::Skipped, Some(result)) => {
                skipped.add(prose(result.skipped.as_deref().unwrap_or("skipped")), case);
            }
            (Standing::Expected, Some(result)) => {
                if let Some(often) = cell.attempts.flaky() {
                    flaky.add(prose(&often), case);
                }
                for one in &result.not_exercised {
                    not_exercised
                        .add(format!("{}: {}", code(&one.condition.to_string()), prose(&one.because)), code(image));
                }
            }
            _ => {}
        }
        for cause in cell.result.into_iter().flat_map(|result| other_findings(result)) {
            images.add(format!("{} **Fix** {}", prose(&cause.text), prose(&cause.fix)), code(image));
        }
        let notes = cell.result.map(|result| result.notes.as_slice()).unwrap_or_default();
        compressed += usize::from(notes.iter().any(|note| note.starts_with("time compression")));
    }
    page.add(&flaky.text("As expected, but flaky"));
    page.add(&not_exercised.text("Passed without exercising a condition"));
    page.add(&skipped.text("Skipped: this host cannot impose it"));
    page.add(&not_run.text("Not run"));
    page.add(&images.text("Findings about the images"));
    if compressed > 0 {
        page.add(&format!("Time compression affected {}.\n", plural(compressed, "result")));
    }
}

/// Names grouped by reason, in the order in which the reasons first occurred.
#[derive(Default)]
struct Groups {
    order: Vec<String>,
    names: BTreeMap<String, Vec<String>>,
}

impl Groups {
    fn add(&mut self, reason: String, name: String) {
        let names = self.names.entry(reason.clone()).or_default();
        if names.is_empty() {
            self.order.push(reason);
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }

    fn text(&self, title: &str) -> String {
        if self.order.is_empty() {
            return String::new();
        }
        let mut text = format!("### {title}\n\n");
        for reason in &self.order {
            let Some(names) = self.names.get(reason) else { continue };
            let more = names.len().saturating_sub(MOST_NAMES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let shown: Vec<&str> = names.iter().take(MOST_NAMES).map(String::as_str).collect();
            let _ = writeln!(text, "- {reason} ({}{more})", shown.join(", "));
        }
        text.push('\n');
        text
    }
}

/// Lines in a fence that is longer than any run of backticks in them.
fn fence(lines: &[String]) -> String {
    let text = lines.join("\n");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{text}\n{fence}\n")
}

/// Escapes a text for Markdown and HTML. A zero-width space keeps `@name` and `#1` from becoming links that notify
/// people.
fn prose(text: &str) -> String {
    let mut out = String::new();
    let text = plain(text).replace(['\n', '\t'], " ");
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        entity(&mut out, c);
        let mentions = (c == '@' && rest.peek().is_some_and(|next| next.is_alphanumeric()))
            || (c == '#' && rest.peek().is_some_and(char::is_ascii_digit));
        if mentions {
            out.push('\u{200b}');
        }
    }
    out
}

/// A text as code that also works in tables and HTML. Nothing in it becomes a link.
fn code(text: &str) -> String {
    let mut out = "<code>".to_owned();
    plain(text).replace(['\n', '\t'], " ").chars().for_each(|c| entity(&mut out, c));
    out + "</code>"
}

fn entity(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '`' | '|' | '*' | '_' | '[' | ']' | '\\' | '~' | '$' => {
            let _ = write!(out, "&#{};", u32::from(c));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{HOSTILE, every_kind, huge};

    #[test]
    fn page_of_every_kind() {
        insta::assert_snapshot!(render(&every_kind()));
    }

    #[test]
    fn untrusted_text_is_escaped() {
        let text = prose(HOSTILE);
        for word in ["<", "`", "|", "@e", " #1", "\u{1b}", "\0", "*", "[", "$"] {
            assert!(!text.replace("##[", "").contains(word), "{word}: {text}");
        }
        let fenced = fence(&[HOSTILE.to_owned(), "`````".to_owned()]);
        assert!(fenced.starts_with("``````text\n") && fenced.ends_with("\n``````\n"), "{fenced}");
        // Outside of fences there are no tags but our own.
        let page = render(&every_kind());
        let mut inside = false;
        for line in page.lines() {
            if line.starts_with("```") {
                inside = !inside;
            }
            let tags = ["<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>"];
            let left = tags.iter().fold(line.to_owned(), |line, tag| line.replace(tag, ""));
            assert!(inside || !left.contains('<'), "{line}");
        }
        assert!(!inside);
    }

    #[test]
    fn matrix_has_few_columns_or_is_a_list() {
        assert!(render(&huge(2, 3)).contains("| conditions | <code>v0</code> | <code>v1</code> |\n|---|---|---|\n"));
        assert!(render(&huge(3, 2)).contains("| image | <code>env.set:N=0</code> | <code>env.set:N=1</code> |\n"));
        let list = render(&huge(21, 21));
        assert!(
            !list.contains("|---|") && list.contains("- <code>env.set:N=0</code>: 21 cases, 0 passed, 21 failed\n")
        );
    }

    #[test]
    fn long_page_is_cut_between_parts() {
        let page = render(&huge(100, 20));
        assert!(page.len() <= MOST_BYTES && page.len() > MOST_BYTES / 2, "{}", page.len());
        assert_eq!(page.matches("<details>").count(), page.matches("</details>").count());
        assert!(page.contains(" cases to look at are omitted here**"));
        assert_eq!(page.matches("❌ **exit 1**").count(), 2000, "the matrix is whole");
        assert!(render(&Run::default()).starts_with("## ⚠️ exitone: nothing was run"));
    }
}
