//! Links within the documents: files and headings that exist, and a table of contents with every page.

use std::collections::BTreeSet;
use std::path::Path;

use super::{below, pages, read, root};

/// A page with the files that it includes, without code blocks and code within lines.
fn prose(path: &str, page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if let Some(file) = line.strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}")) {
            let file = Path::new(path).parent().expect("a folder").join(file);
            text.push_str(&prose(path, &read(&tidy(&file))));
        } else if !inside {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The path without `..`.
fn tidy(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.to_str().expect("a name").split('/') {
        match part {
            ".." => drop(parts.pop()),
            "" | "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Without the code within lines, which has no links.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The targets of links and pictures.
fn targets(prose: &str) -> Vec<String> {
    let text = without_code(prose);
    text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '\n']).next()).map(ToOwned::to_owned).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(prose: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for heading in prose.lines().filter(|line| line.starts_with('#')) {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        let id: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let first = (0..).map(|n| if n == 0 { id.clone() } else { format!("{id}-{n}") }).find(|id| !found.contains(id));
        found.extend(first);
    }
    found
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut broken = Vec::new();
    let mut count = 0;
    for (path, page) in pages() {
        for target in targets(&prose(&path, &page)) {
            if target.starts_with("http://") || target.starts_with("https://") {
                continue;
            }
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&path).parent().expect("a folder");
            let file = if file.is_empty() { path.clone() } else { tidy(&folder.join(file)) };
            if !root().join(&file).exists() {
                broken.push(format!("{path}: {target}: no file {file}"));
            } else if path.starts_with("docs/") && !file.starts_with("docs/") {
                broken.push(format!("{path}: {target}: the book does not have {file}"));
            } else if !anchor.is_empty() && !anchors(&prose(&file, &read(&file))).contains(anchor) {
                broken.push(format!("{path}: {target}: no heading #{anchor} in {file}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(count >= 100, "{count}");
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let summary = read("docs/SUMMARY.md");
    let listed = targets(&summary);
    let mut unique: Vec<String> = listed.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), listed.len(), "a page is listed twice");
    let mut there: Vec<String> = below("docs", "md").iter().map(|path| path["docs/".len()..].to_owned()).collect();
    there.retain(|path| path != "SUMMARY.md");
    there.sort();
    assert_eq!(unique, there);
}

/// Every page starts with who it is for: "You have … and want …".
#[test]
fn every_page_starts_with_a_task() {
    for (path, page) in pages() {
        if path.starts_with("docs/") && path != "docs/SUMMARY.md" {
            let text = prose(&path, &page);
            let first = text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
            assert!(first.starts_with("You "), "{path}: {first}");
        }
    }
}

/// The messages that the page of troubleshooting explains are messages of the program: all words between `…`.
#[test]
fn messages_explained_are_messages_of_the_program() {
    let page = read("docs/troubleshooting.md");
    let (messages, _) = page.split_once("## Answers that surprise").expect("the last section");
    let mut source = String::new();
    for file in below("src", "rs") {
        source.push_str(&read(&file));
    }
    // A text that continues on the next line.
    let source = source.split("\\\n").map(str::trim_start).collect::<String>();
    let mut count = 0;
    for row in messages.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.trim_start_matches("| ").split(" | ").next().expect("a cell");
        let delimiter = if cell.contains("``") { "``" } else { "`" };
        for quoted in cell.split(delimiter).skip(1).step_by(2) {
            let quoted = quoted.trim_start_matches("host cannot: ");
            for words in quoted.split(['…', '`']).map(str::trim).filter(|words| words.len() > 7) {
                let words = words.trim_end_matches([':', '(', ')', ';']).trim();
                assert!(source.contains(words), "no message of the program says {words:?}");
                count += 1;
            }
        }
    }
    assert!(count >= 30, "{count}");
}
