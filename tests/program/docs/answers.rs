//! What the program answers about the incident, on the pages and in the README's picture. `explain` runs here; what needs
//! an engine was recorded by `tests/docker/incident.rs` and is reported again.

use std::collections::BTreeMap;

use anstyle_svg::{Term, WIN10_CONSOLE};
use assert_cmd::Command;

use super::page::{Line, marks};
use super::{Truth, in_step, read, root, truth};

const PAGES: [&str; 2] = ["docs/what-broke.md", "docs/getting-started.md"];

/// The page with new content between each mark `<!-- KEY: VALUE -->` and the next `<!-- end -->`.
fn filled(page: &str, key: &str, content: impl Fn(&str) -> String) -> String {
    let begin = format!("<!-- {key}: ");
    let mut parts = page.split(&begin);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (value, rest) = part.split_once("-->").expect("a mark ends");
        let (_, after) = rest.split_once("<!-- end -->").expect("<!-- end -->");
        text.push_str(&format!("{begin}{value}-->\n{}\n<!-- end -->{after}", content(value.trim()).trim_end()));
    }
    text
}

/// The output of the program for a folder of recorded events, or for the command itself if there is none.
fn output(name: &str, command: Option<&Line>, color: &str) -> String {
    let mut exitone = Command::cargo_bin("exitone").expect("built");
    exitone.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").env_remove("NO_COLOR");
    let recorded = root().join("tests/fixtures/incident").join(name);
    if recorded.is_dir() {
        exitone.args(["report", "--color", color]).arg(recorded);
    } else {
        let line = command.unwrap_or_else(|| panic!("{name}: no command and no recorded run"));
        exitone.current_dir(root().join(&line.folder)).args(["--color", color]).args(&line.words()[1..]);
    }
    let output = exitone.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!text.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// An answer of `why` about a deployment without the remarks after it: what broke it, the proof, what else would fail.
fn without_remarks(text: &str) -> String {
    text.split("\n\n").take(3).collect::<Vec<_>>().join("\n\n")
}

/// `NAME`, or `NAME, without remarks`.
fn shown(mark: &str, command: Option<&Line>) -> String {
    let (name, short) = match mark.split_once(", ") {
        Some((name, how)) => (name, how == "without remarks"),
        None => (mark, false),
    };
    let text = output(name, command, "never");
    let text = if short { without_remarks(&text) } else { text };
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    format!("\n```text\n{}\n```\n", text.trim_end())
}

#[test]
fn answers_on_the_pages_are_current() {
    for path in PAGES {
        let page = read(path);
        let commands: BTreeMap<String, Option<Line>> = marks(&page, "answer").into_iter().collect();
        assert!(!commands.is_empty(), "{path}");
        in_step(path, &filled(&page, "answer", |mark| shown(mark, commands[mark].as_ref())));
    }
}

/// The README's picture has the command that the page shows, and its answer.
#[test]
fn picture_of_the_answer_is_current() {
    let page = read("docs/what-broke.md");
    let (_, command) = marks(&page, "answer").into_iter().find(|(name, _)| name == "why").expect("the mark");
    let command = command.expect("a command");
    assert!(read("README.md").contains(&command.text), "the README's first task is the picture's: {}", command.text);
    let text = output("why", None, "always");
    let answer = without_remarks(&text);
    assert!(answer.contains('\u{1b}') && answer.len() < text.len(), "{text}");
    let prompt = anstyle::Style::new().bold();
    let screen = format!("{prompt}$ {}{prompt:#}\n\n{answer}\n", command.text);
    in_step("docs/answer.svg", &format!("{}\n", Term::new().palette(WIN10_CONSOLE).render_svg(&screen).trim_end()));
}

/// Rows of the truth table for some images: a mark lists them, `IMAGE, IMAGE` and a set of conditions on each line after.
fn rows(truth: &Truth, mark: &str) -> String {
    let mut lines = mark.lines().map(str::trim);
    let images: Vec<&str> = lines.next().expect("images").split(", ").collect();
    let columns: Vec<usize> = images
        .iter()
        .map(|image| truth.images.iter().position(|known| known == image).unwrap_or_else(|| panic!("{image}")))
        .collect();
    let mut table = format!("\n| conditions | {} |\n|---|{}\n", images.join(" | "), "---|".repeat(images.len()));
    for set in lines {
        let cells = truth.cells.get(set).unwrap_or_else(|| panic!("no row {set}"));
        let marks = columns.iter().map(|column| if cells[*column] == "1" { "**1**" } else { &cells[*column] });
        table.push_str(&format!("| `{set}` | {} |\n", marks.collect::<Vec<_>>().join(" | ")));
    }
    table
}

#[test]
fn rows_of_each_hypothesis_are_current() {
    let page = read("docs/hypotheses.md");
    let truth = truth();
    in_step("docs/hypotheses.md", &filled(&page, "rows", |mark| rows(&truth, mark)));
}

/// Sentences of the page that its tables show only in part.
#[test]
fn hypotheses_hold_in_the_whole_truth_table() {
    let truth = truth();
    let column = |image: &str| truth.images.iter().position(|known| known == image).expect(image);
    let same = |a: &str, b: &str| truth.cells.values().all(|cells| cells[column(a)] == cells[column(b)]);
    assert!(same("v22-with-env", "v23-fixed-cmd"), "python3 or python");
    assert!(same("v20-otp-fix-fixed", "v21-fresh"), "a stale build cache");
    let all = |set: &str, is: &str| {
        let other = column("v23-fixed-cmd-arm64");
        truth.cells[set].iter().enumerate().all(|(n, cell)| n == other || cell == is)
    };
    for name in ["DATABASE_URL", "JWT_SECRET", "ENV"] {
        assert!(all(&format!("env.unset:{name}"), "1"), "{name}");
    }
    for set in ["dns.delay:2s", "cpu.limit:0.25", "memory.limit:512m", "hostname.platform", "hostname.unbindable"] {
        assert!(all(set, "ok"), "{set}");
    }
    let broken = |set: &str| -> Vec<&str> {
        let cells = truth.images.iter().zip(&truth.cells[set]);
        cells.filter(|(_, cell)| *cell == "1").map(|(image, _)| image.as_str()).collect()
    };
    assert_eq!(broken("env.set:ENV=production"), ["v20-otp-fix", "v23-fixed-cmd-arm64"]);
}
