//! A run as JUnit XML: a suite for each image of a scenario, a test for each case.
//!
//! The format is that of `junit-10.xsd`, which the xUnit plugin of Jenkins validates against; GitLab, GitHub's actions
//! and Azure read it, too. The crate `quick-junit` does not fit: it always writes an attribute `skipped` of
//! `testsuites`, which that schema rejects.

use std::fmt::Write;

use super::account::{CaseDetails, other_findings};
use super::markup;
use super::plain::{one_line, plain};
use super::searches::{SearchView, searches};
use super::table::{Table, tables};
use super::view;
use crate::event::run::Run;
use crate::event::{Counts, Entry, Standing};

/// The document.
#[must_use]
pub fn render(run: &Run) -> String {
    let mut xml = Xml { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), depth: 0 };
    let found = searches(run);
    let versions = found.iter().filter(|search| search.image.is_none());
    let mut suites = Xml { text: String::new(), depth: 1 };
    let mut numbers = [0; 3];
    for table in tables(run) {
        for image in 0..table.images.len() {
            add(&mut numbers, suite(&mut suites, run, &table, image, &found));
        }
    }
    versions.for_each(|search| add(&mut numbers, bisection(&mut suites, run, search)));
    let [tests, failures, errors] = &numbers.map(|n| n.to_string());
    let time = seconds(run.counts().seconds);
    let attributes =
        [("name", "exitone"), ("time", &time), ("tests", tests), ("failures", failures), ("errors", errors)];
    xml.open("testsuites", &attributes);
    xml.text.push_str(&suites.text);
    xml.close("testsuites");
    xml.text
}

fn add(numbers: &mut [usize; 3], more: [usize; 3]) {
    numbers.iter_mut().zip(more).for_each(|(number, more)| *number += more);
}

/// The suite of an image: its cases, without steps of a search, and its searches. Returns the number of tests, failures
/// and errors.
fn suite(xml: &mut Xml, run: &Run, table: &Table<'_>, image: usize, found: &[SearchView<'_>]) -> [usize; 3] {
    let (steps, cases): (Vec<_>, Vec<(&str, Entry<'_>)>) =
        table.column(image).partition(|(_, cell)| cell.standing == Standing::Step);
    let of_image =
        |search: &&SearchView<'_>| search.scenario == table.scenario && search.image == Some(table.images[image]);
    let searches: Vec<&SearchView<'_>> = found.iter().filter(of_image).collect();
    if cases.is_empty() && searches.is_empty() {
        return [0; 3];
    }
    let counts = Counts::of(cases.iter().map(|(_, cell)| *cell));
    let short = &table.names[image];
    let name = table.scenario.map_or_else(|| short.clone(), |scenario| format!("{scenario} · {short}"));
    let total = seconds(cases.iter().map(|(_, cell)| cell.seconds()).sum());
    let open = searches.iter().filter(|search| search.open.is_some()).count();
    let numbers = [counts.cases + searches.len(), counts.unexpected, counts.unresolved + open];
    let [tests, failures, errors] = &numbers.map(|n| n.to_string());
    let skipped = &(counts.skipped + counts.not_run).to_string();
    let attributes = [
        ("name", name.as_str()),
        ("tests", tests),
        ("failures", failures),
        ("errors", errors),
        ("skipped", skipped),
        ("time", &total),
        ("timestamp", &run.header.started),
    ];
    xml.open("testsuite", &attributes[..if run.header.started.is_empty() { 6 } else { 7 }]);
    xml.open("properties", &[]);
    let header = &run.header;
    let image_id = cases.first().map(|(_, cell)| cell.planned.image_id.as_str());
    let properties = [
        ("tool", Some(format!("exitone {}", header.tool))),
        ("platform", Some(header.platform.clone())),
        ("session", Some(header.session.clone())),
        ("shard", header.shard.clone()),
        ("scenario", table.scenario.map(ToOwned::to_owned)),
        ("image", Some(table.images[image].to_owned())),
        ("image.id", image_id.map(ToOwned::to_owned)),
        ("steps of a search", (!steps.is_empty()).then(|| steps.len().to_string())),
    ];
    for (name, value) in properties {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            xml.empty("property", &[("name", name), ("value", &value)]);
        }
    }
    for (label, cell) in &cases {
        xml.empty("property", &[("name", &format!("case.{}", cell.planned.id)), ("value", label)]);
    }
    xml.close("properties");
    // Readers take everything before the last dot for a package, so the parts must not contain dots.
    let part = |text: &str| one_line(text).replace('.', "_");
    let class = format!("{}.{}", part(table.scenario.unwrap_or("exitone")), part(short));
    for (label, cell) in cases {
        case(xml, &class, label, cell);
    }
    searches.iter().for_each(|view| search(xml, &class, view));
    xml.close("testsuite");
    numbers
}

/// The suite of a bisection: each version is a test.
fn bisection(xml: &mut Xml, run: &Run, search: &SearchView<'_>) -> [usize; 3] {
    let count = |good| search.lines.iter().filter(|line| line.case.is_some() && line.good == good).count();
    let numbers = [search.lines.len(), count(Some(false)), count(None)];
    let [tests, failures, errors] = &numbers.map(|n| n.to_string());
    let skipped = search.lines.iter().filter(|line| line.case.is_none()).count().to_string();
    let time = seconds(search.seconds);
    let attributes = [
        ("name", "bisect"),
        ("tests", tests),
        ("failures", failures),
        ("errors", errors),
        ("skipped", &skipped),
        ("time", &time),
        ("timestamp", &run.header.started),
    ];
    xml.open("testsuite", &attributes[..if run.header.started.is_empty() { 6 } else { 7 }]);
    for line in &search.lines {
        let (name, text) = line.text.split_once(": ").unwrap_or((&line.text, ""));
        xml.open("testcase", &[("name", name), ("classname", "exitone.bisect"), ("time", &seconds(0.0))]);
        match (&line.case, line.good) {
            (None, _) => xml.empty("skipped", &[("message", text)]),
            (_, Some(true)) => {}
            (_, Some(false)) => xml.leaf("failure", &[("message", text), ("type", "bad")], text),
            (_, None) => xml.leaf("error", &[("message", text), ("type", "unresolved")], text),
        }
        xml.close("testcase");
    }
    let mut out = vec![search.verdict.clone()];
    out.extend(search.remarks.iter().cloned());
    out.extend(search.runs.iter().map(|ran| format!("{}; {}", ran.text, ran.lesson)));
    xml.leaf("system-out", &[], &out.join("\n"));
    xml.close("testsuite");
    numbers
}

fn case(xml: &mut Xml, class: &str, label: &str, cell: Entry<'_>) {
    let time = seconds(cell.seconds());
    xml.open("testcase", &[("name", label), ("classname", class), ("time", &time)]);
    let standing = cell.standing;
    let Some(result) = cell.result else {
        let because = format!("not run: {}", one_line(cell.missing.unwrap_or("no result")));
        xml.empty("skipped", &[("message", &because)]);
        return xml.close("testcase");
    };
    let details = CaseDetails::of(&cell, result);
    match standing {
        Standing::Unexpected => {
            let kind = one_line(&result.cell());
            xml.leaf("failure", &[("message", &details.headline), ("type", &kind)], &body(&details));
        }
        Standing::Unresolved => {
            xml.leaf("error", &[("message", &details.headline), ("type", "unresolved")], &body(&details));
        }
        Standing::Skipped => {
            let because = result.skipped.as_deref().unwrap_or("skipped");
            xml.empty("skipped", &[("message", &one_line(because))]);
        }
        Standing::Expected => {
            // As surefire writes it: the test passed, but an attempt failed.
            if let (Some(often), Some(first)) = (cell.attempts.flaky(), cell.attempts.outcomes.first()) {
                xml.empty("flakyFailure", &[("message", &often), ("type", &one_line(first))]);
            }
        }
        Standing::NotRun | Standing::Step => {}
    }
    let mut out = vec![format!("{} {label}: {}", one_line(&result.image), view::words(&cell))];
    out.extend(details.platform.iter().cloned());
    out.extend(details.notes.iter().map(|note| format!("note: {note}")));
    out.extend(
        other_findings(result).map(|cause| format!("image: {} {}", one_line(&cause.text), one_line(&cause.fix))),
    );
    if standing == Standing::Expected {
        out.extend(details.timeline.iter().cloned());
    }
    out.extend(details.repro.iter().map(|command| format!("by hand: {command} > case.sh && sh case.sh")));
    xml.leaf("system-out", &[], &out.join("\n"));
    xml.close("testcase");
}

/// A search as a test, with an error if it is undecided. Its baseline and its sets are separate tests.
fn search(xml: &mut Xml, class: &str, view: &SearchView<'_>) {
    let title = view.title.split_once(": ").map_or(view.title.as_str(), |(_, title)| title);
    xml.open("testcase", &[("name", title), ("classname", class), ("time", &seconds(view.seconds))]);
    let mut out = vec![view.verdict.clone()];
    out.extend(view.broke.iter().cloned());
    out.extend(view.lines.iter().map(|line| line.text.clone()));
    out.extend(view.remarks.iter().cloned());
    if let Some(message) = view.undecided() {
        xml.leaf("error", &[("message", &message), ("type", "unresolved")], &out.join("\n"));
    }
    out.extend(view.runs.iter().map(|ran| format!("{}; {}", ran.text, ran.lesson)));
    xml.leaf("system-out", &[], &out.join("\n"));
    xml.close("testcase");
}

/// The text of a failure.
fn body(details: &CaseDetails) -> String {
    let mut text = format!("{}\n", details.headline);
    for why in &details.causes {
        let _ = write!(text, "\nwhy  {}\nfix  {}\n", why.text, why.fix);
        why.evidence.iter().for_each(|line| {
            let _ = writeln!(text, "     {line}");
        });
    }
    let parts = [
        ("requests that failed", &details.checks),
        ("what it did", &details.timeline),
        ("last lines of its log", &details.log),
    ];
    for (title, lines) in parts.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        let _ = writeln!(text, "\n{title}");
        lines.iter().for_each(|line| {
            let _ = writeln!(text, "  {line}");
        });
    }
    text
}

/// Seconds with three decimals, as readers of the schema expect.
fn seconds(seconds: f64) -> String {
    format!("{:.3}", if seconds.is_finite() { seconds.max(0.0) } else { 0.0 })
}

/// Writes indented elements and escapes every text.
struct Xml {
    text: String,
    depth: usize,
}

impl Xml {
    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let _ = write!(self.text, "{:1$}<{name}", "", self.depth * 2);
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"{}\"", markup::attribute(&plain(value)));
        }
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str(">\n");
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth -= 1;
        let _ = writeln!(self.text, "{:1$}</{name}>", "", self.depth * 2);
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str("/>\n");
    }

    fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], content: &str) {
        self.tag(name, attributes);
        let _ = writeln!(self.text, ">{}</{name}>", markup::text(&plain(content)));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::report::fixture::{HOSTILE, every_kind, huge};

    /// Validates a document with `xmllint`; `None` when that is not installed.
    #[allow(clippy::print_stderr)]
    fn validate(document: &str) -> Option<Result<(), String>> {
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/junit.xsd");
        let mut command = Command::new("xmllint");
        command.args(["--noout", "--nonet", "--schema"]).arg(schema).arg("-");
        let child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
        let Ok(mut child) = child else {
            assert!(std::env::var_os("CI").is_none(), "xmllint is missing: install libxml2-utils");
            eprintln!("skipped: xmllint is not installed (libxml2-utils)");
            return None;
        };
        child.stdin.take().expect("piped").write_all(document.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        Some(if output.status.success() { Ok(()) } else { Err(errors) })
    }

    #[test]
    fn document_of_every_kind() {
        insta::assert_snapshot!(render(&every_kind()));
    }

    #[test]
    fn documents_are_valid() {
        for run in [Run::default(), every_kind(), huge(40, 3)] {
            if let Some(result) = validate(&render(&run)) {
                assert_eq!(result, Ok(()));
            }
        }
    }

    #[test]
    fn schema_rejects_invalid_documents() {
        let good = render(&every_kind());
        for (from, to) in [
            ("<testsuites ", "<testsuites skipped=\"1\" "),
            ("<testcase ", "<testcase id=\"1\" "),
            ("<skipped message", "<skipped reason"),
            ("</testcase>", "<properties/></testcase>"),
            (" time=\"1.500\"", " time=\"1.500 s\""),
            ("<system-out>", "<system-out>\u{1}"),
        ] {
            assert!(good.contains(from), "{from}");
            if let Some(result) = validate(&good.replacen(from, to, 1)) {
                assert!(result.is_err(), "{to}");
            }
        }
    }

    #[test]
    fn hostile_text_is_escaped() {
        let text = render(&every_kind());
        assert!(HOSTILE.contains("]]>") && text.contains("]]&gt;") && !text.contains("]]>"));
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "no control character");
        assert!(text.contains("&lt;/failure&gt;"));
    }
}
