//! The pages of the catalogue, and the tables of conditions and fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use exitone::catalogue::embedded;
use exitone::model::condition::{Argument, kinds};
use exitone::scenario::{apprunner, profile};

use super::{below, in_step, read};

/// What the causes of each field are about, in the order of the catalogue's files.
const FIELDS: [(&str, &str); 22] = [
    ("python", "Python"),
    ("node", "Node.js and Bun"),
    ("jvm", "Java and the JVM"),
    ("go", "Go"),
    ("dotnet", ".NET"),
    ("ruby", "Ruby"),
    ("php", "PHP"),
    ("rust", "Rust"),
    ("beam", "Erlang and Elixir"),
    ("native", "Native programs and loaders"),
    ("shell", "Entry points and shell scripts"),
    ("proxy", "Web servers and proxies"),
    ("database", "Databases"),
    ("datastores", "Database servers, brokers and migrations"),
    ("cloud", "Cloud credentials and APIs"),
    ("kernel", "The kernel and its limits"),
    ("platform", "Platforms and container engines"),
    ("container", "Files and variables in the container"),
    ("program", "Programs in any language"),
    ("network", "The network, as observed"),
    ("serving", "Ports and health checks"),
    ("end", "How the process ended"),
];

/// The marks of a generated part.
const BEGIN: &str = "tests/program/docs/ -->\n";
const END: &str = "<!-- end -->";

/// The page with new content in its generated part.
fn with_part(page: &str, content: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("a mark");
    let (_, after) = rest.split_once(END).expect("a mark");
    format!("{before}{BEGIN}{content}{END}{after}")
}

#[test]
fn causes_pages_are_up_to_date() {
    assert_eq!(exitone::catalogue::FIELDS, FIELDS.map(|(field, _)| field));
    let all = embedded();
    // In App Runner's words; other platforms have their own.
    let ways = apprunner().platform.ways;
    let in_words =
        |text: &str| ways.iter().fold(text.to_owned(), |text, (name, way)| text.replace(&format!("{{{name}}}"), way));
    let mut expected = BTreeSet::from(["docs/causes/competing.md".to_owned()]);
    let mut table = "| field | about | causes |\n|---|---|---|\n".to_owned();
    for (field, title) in FIELDS {
        let entries: Vec<_> = all.iter().filter(|entry| entry.field == field).collect();
        let count = entries.iter().map(|entry| &entry.id).collect::<BTreeSet<_>>().len();
        let mut page = format!(
            "# Causes: {title}\n\nYou have a line of a log and want its cause: search this page for words of the line, or let \
             `exitone explain LOG` do it.\n\nGenerated from `src/catalogue/{field}.yaml`; exitone replaces the words in \
             braces.\n"
        );
        for entry in entries {
            let _ = write!(page, "\n## {}\n\n> {}\n", entry.id, text(&entry.cause));
            if entry.harmless {
                let _ = writeln!(page, "\nHarmless: a healthy start prints it too.");
            } else {
                let _ = writeln!(page, "\n{}", text(&in_words(&entry.fix)));
            }
            if let Some(log) = entry.fires.first() {
                let _ = write!(page, "\n```text\n{}\n```\n", log.trim_end());
            }
            let links = [("reference", &entry.reference), ("source", &entry.source)];
            let links = links.into_iter().filter(|(_, address)| !address.is_empty());
            let links: Vec<String> = links.map(|(name, address)| format!("[{name}]({address})")).collect();
            let _ = writeln!(page, "\n{}", links.join(" ·\n"));
        }
        let path = format!("docs/causes/{field}.md");
        in_step(&path, &page);
        let _ = writeln!(table, "| [{field}](causes/{field}.md) | {title} | {count} |");
        expected.insert(path);
    }
    let count = all.iter().map(|entry| &entry.id).collect::<BTreeSet<_>>().len();
    let _ = writeln!(
        table,
        "\n{count} causes in all. If a log matches two entries, [a fixed order](causes/competing.md) decides which is \
         named."
    );
    in_step("docs/causes.md", &with_part(&read("docs/causes.md"), &table));
    let mut page =
        "# Competing causes\n\nYou expected another cause for a log: if it matches two entries, the first of the two \
                    here is named, and `exitone explain LOG\n--format json` has the other under `also`.\n\n"
            .to_owned();
    for (winner, other) in super::super::catalogue::competing() {
        let _ = writeln!(page, "- {winner} before {other}");
    }
    in_step("docs/causes/competing.md", &page);
    assert_eq!(below("docs/causes", "md").into_iter().collect::<BTreeSet<_>>(), expected, "a page without a field");
}

/// The fields in the book's table of contents, below their page.
#[test]
fn table_of_contents_has_the_fields() {
    let summary = read("docs/SUMMARY.md");
    let mut expected = String::new();
    for line in summary.lines().filter(|line| !line.contains("](causes/")) {
        let _ = writeln!(expected, "{line}");
        if line.contains("](causes.md)") {
            for (field, title) in FIELDS {
                let _ = writeln!(expected, "  - [{title}](causes/{field}.md)");
            }
            let _ = writeln!(expected, "  - [Competing causes](causes/competing.md)");
        }
    }
    in_step("docs/SUMMARY.md", &expected);
}

/// Text of an entry as Markdown: what looks like a tag is text.
fn text(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let shown = parts.map(|(n, part)| if n % 2 == 1 { part.to_owned() } else { part.replace('<', "\\<") });
    shown.collect::<Vec<_>>().join("`")
}

#[test]
fn every_platform_defines_the_words_that_fixes_use() {
    let names = |ways: &BTreeMap<String, String>| ways.keys().cloned().collect::<Vec<_>>();
    let own = names(&apprunner().platform.ways);
    for name in exitone::profile::NAMES {
        let ways = profile(name).expect("known").platform.ways;
        assert_eq!(names(&ways), own, "{name}");
        assert_eq!(name == "apprunner", ways.values().any(|way| way.contains("apprunner")), "{name}");
    }
    let fixes: String = embedded().into_iter().map(|entry| entry.fix).collect();
    for name in own {
        let needed = ["more_cpu", "network"].contains(&name.as_str());
        assert!(needed || fixes.contains(&format!("{{{name}}}")), "no fix says {{{name}}}");
    }
}

#[test]
fn condition_table_is_up_to_date() {
    let mut table = "| condition | what it does |\n|---|---|\n".to_owned();
    for kind in kinds() {
        let mut forms = vec![kind.example()];
        match kind.argument {
            Argument::Optional(argument) => forms.push(format!("{}:{argument}", kind.name)),
            _ if kind.takes_name => forms.push(format!("{}@NAME", kind.example())),
            _ => {}
        }
        let _ = writeln!(table, "| `{}` | {} |", forms.join("`, `"), kind.about);
    }
    in_step("docs/conditions.md", &with_part(&read("docs/conditions.md"), &table));
}
