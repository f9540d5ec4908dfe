//! The documents match the program. `EXITONE_UPDATE_DOCS=1 cargo test --test program docs::` regenerates them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Parser;
use exitone::catalogue::embedded;
use exitone::cli::Cli;
use exitone::images::candidate_names;
use exitone::model::condition::{Argument, kinds};
use exitone::report;
use exitone::scenario::{apprunner, file, profile, schema, service};
use serde::Deserialize;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// Compares a document with its expected content, or writes it.
fn in_step(path: &str, expected: &str) {
    if std::env::var_os("EXITONE_UPDATE_DOCS").is_some() {
        std::fs::write(root().join(path), expected).expect(path);
    }
    let found = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    assert!(found == expected, "{path} is out of date; run EXITONE_UPDATE_DOCS=1 cargo test --test program docs::");
}

#[derive(Deserialize)]
struct Truth {
    images: Vec<String>,
    cells: BTreeMap<String, Vec<String>>,
}

fn truth() -> Truth {
    serde_saphyr::from_str(&read("tests/fixtures/truth.yaml")).expect("the table")
}

#[test]
fn truth_page_is_up_to_date() {
    let truth = truth();
    let mut page =
        "# The truth about the bundled candidates\n\nMade from `tests/fixtures/truth.yaml`, which the tests \
                    compare with the real engine cell by cell.\n\n**1** exits with code 1 · ok healthy · ok* healthy, \
                    but the OTP request fails · - not exercised\n\n| conditions |"
            .to_owned();
    for image in &truth.images {
        let _ = write!(page, " {image} |");
    }
    let _ = write!(page, "\n|---|{}\n", "---|".repeat(truth.images.len()));
    for (conditions, cells) in &truth.cells {
        let cells: Vec<&str> = cells.iter().map(|c| if c == "1" { "**1**" } else { c.as_str() }).collect();
        let _ = writeln!(page, "| {conditions} | {} |", cells.join(" | "));
    }
    in_step("docs/truth.md", &page);
}

#[test]
fn truth_covers_the_incident_scenario() {
    let truth = truth();
    let names: Vec<String> = truth.images.iter().map(|tag| format!("nerava-backend:{tag}")).collect();
    assert_eq!(names, candidate_names());
    let text = read("scenarios/incident.yaml");
    let scenario = file::read("incident.yaml", &text, Path::new("."), None).expect("a scenario");
    assert_eq!(scenario.candidates, names);
    let sets: Vec<String> = scenario.sets.iter().map(ToString::to_string).collect();
    let mut rows: Vec<&String> = truth.cells.keys().collect();
    let mut wanted: Vec<&String> = sets.iter().collect();
    rows.sort();
    wanted.sort();
    assert_eq!(rows, wanted);
    assert!(truth.cells.values().all(|row| row.len() == truth.images.len()));
}

/// The expectations for the bundled candidates match the truth table.
#[test]
fn scenarios_expect_what_the_truth_table_says() {
    let truth = truth();
    let mut count = 0;
    for name in ["history", "criteria", "gate"] {
        let text = read(&format!("scenarios/{name}.yaml"));
        let scenario = file::read(name, &text, Path::new("."), None).expect("a scenario");
        for (image, set, expected) in scenario.cases(&scenario.candidates) {
            let column = truth.images.iter().position(|tag| image.ends_with(&format!(":{tag}"))).expect("a column");
            let cell = &truth.cells[&set.to_string()][column];
            let good: &[&str] = match cell.as_str() {
                "ok" => &["pass", "healthy", "SUCCEEDED", "RUNNING"],
                "ok*" => &["healthy", "OTP fails", "SUCCEEDED", "RUNNING"],
                "1" => &["exit 1", "fail", "ROLLBACK_SUCCEEDED"],
                other => panic!("{other}"),
            };
            let expected = expected.expect("every case has one").to_string();
            assert!(good.contains(&expected.as_str()), "{name}: {image} under {set}: {expected}, and it is {cell}");
            count += 1;
        }
    }
    assert!(count >= 35 + 4 + 3, "{count}");
}

#[test]
fn scenario_schema_is_up_to_date() {
    in_step("docs/scenario.schema.json", &format!("{:#}\n", schema::scenario()));
}

/// tests/program/schema.rs compares them with actual output.
#[test]
fn event_and_result_schemas_are_up_to_date() {
    in_step("docs/events.schema.json", &format!("{:#}\n", report::schema::events()));
    in_step("docs/result.schema.json", &format!("{:#}\n", report::schema::result()));
}

#[test]
fn causes_page_is_up_to_date() {
    let all = embedded();
    let count = all.iter().map(|entry| &entry.id).collect::<BTreeSet<_>>().len();
    let mut page = format!(
        "# Causes\n\nThe {count} causes that `exitone` knows, by field. `exitone causes ID` prints one with the logs that show \
         it and those that only look alike. A cause is named only if everything it needs is seen; words in braces are filled \
         in.\n\nGenerated from `src/catalogue/*.yaml` by `EXITONE_UPDATE_DOCS=1 cargo test --test program docs::`. Answers of \
         `why` also have a cause for each condition that a failure needs, where nothing that was seen explains it.\n"
    );
    // In App Runner's words; other platforms have their own.
    let ways = apprunner().platform.ways;
    let in_words =
        |text: &str| ways.iter().fold(text.to_owned(), |text, (name, way)| text.replace(&format!("{{{name}}}"), way));
    let mut field = String::new();
    for entry in &all {
        if entry.field != field {
            field.clone_from(&entry.field);
            let _ = write!(page, "\n## {field}\n");
        }
        let _ = write!(page, "\n### {}\n\n> {}\n", entry.id, entry.cause);
        if entry.harmless {
            let _ = writeln!(page, "\nHarmless: a healthy start prints it too.");
        } else {
            let _ = writeln!(page, "\n{}", in_words(&entry.fix));
        }
        if let Some(log) = entry.fires.first() {
            let _ = write!(page, "\n```text\n{}\n```\n", log.trim_end());
        }
        for (name, address) in [("reference", &entry.reference), ("source", &entry.source)] {
            if !address.is_empty() {
                let _ = write!(page, "\n[{name}]({address})");
            }
        }
        page.push('\n');
    }
    page.push_str("\n## Competing entries\n\nOne log fires both; the first is named.\n\n");
    for (winner, other) in super::catalogue::competing() {
        let _ = writeln!(page, "- {winner} before {other}");
    }
    in_step("docs/causes.md", &page);
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
    let page = read("docs/reference.md");
    let (before, rest) = page.split_once("tests/program/docs.rs -->\n").expect("a mark");
    let (_, after) = rest.split_once("<!-- end -->").expect("a mark");
    in_step("docs/reference.md", &format!("{before}tests/program/docs.rs -->\n{table}<!-- end -->{after}"));
}

/// Lines of code blocks that start with a program's name, without comments.
fn commands(page: &str, program: &str) -> Vec<Vec<String>> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside && line.starts_with(program) {
            let line = line.split(" #").next().unwrap_or(line).split(" > ").next().unwrap_or(line);
            found.push(line.split_whitespace().map(ToOwned::to_owned).collect());
        }
    }
    found
}

#[test]
fn readme_commands_parse() {
    let mut count = 0;
    for command in commands(&read("README.md"), "exitone ") {
        assert!(Cli::try_parse_from(&command).is_ok(), "{command:?}");
        count += 1;
    }
    assert!(count >= 5, "{count}");
    assert_eq!(
        commands(&read("README.md"), "cargo "),
        [vec!["cargo", "run", "--release", "--", "demo"], vec!["cargo", "test"]]
    );
    assert!(read(".ci/run").contains("cargo test"), ".ci/run calls the README's test command");
}

#[test]
fn readme_service_file_is_valid() {
    let page = read("README.md");
    let text = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let (service, _) = service::read_file("service.yaml", text, Path::new("."), &apprunner()).expect("it is good");
    assert_eq!((service.port, service.checks.len()), (8000, 1));
}

/// The words in backticks in `CONTRIBUTING.md` that look like paths of this repository: `src/…`, `tests/…`.
fn files_named(page: &str) -> Vec<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    let folders = ["src/", "tests/", "docs/", "benches/", ".github/", ".ci/"];
    let named = quoted.filter(|word| folders.iter().any(|folder| word.starts_with(folder)));
    // `NAME.rs` and `*.yaml` are placeholders.
    named.filter(|word| !word.contains(|c: char| c.is_uppercase() || " *{".contains(c))).collect()
}

#[test]
fn contributing_names_files_that_exist() {
    let page = read("CONTRIBUTING.md");
    let mut missing: Vec<String> = Vec::new();
    for file in files_named(&page) {
        if !root().join(file).exists() {
            missing.push(file.to_owned());
        }
    }
    let (_, map) = page.split_once("## The map of `src`").expect("the map");
    let rows =
        map.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    let mut folders: Vec<&str> = Vec::new();
    for row in rows {
        let mut quoted = row.split('`').skip(1).step_by(2);
        let folder = quoted.next().expect("a folder");
        folders.push(folder);
        let begin = row.rsplit('|').nth(1).expect("a last column");
        let files = begin.split('`').skip(1).step_by(2).map(|file| format!("src/{folder}/{file}"));
        missing.extend(files.filter(|file| !root().join(file).exists()));
    }
    assert!(missing.is_empty(), "CONTRIBUTING.md names missing files: {missing:?}");
    let entries = std::fs::read_dir(root().join("src")).expect("src").map(|entry| entry.expect("an entry"));
    let rooms = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name());
    let absent: Vec<_> = rooms.filter(|room| !folders.iter().any(|folder| room == *folder)).collect();
    assert!(absent.is_empty(), "folders of src that the map of CONTRIBUTING.md does not have: {absent:?}");
}
