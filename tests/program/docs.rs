//! The documents match the program. `EXITONE_UPDATE_DOCS=1 cargo test --test program docs::` regenerates them.

mod answers;
mod causes;
mod commands;
mod links;
mod page;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use exitone::images::candidate_names;
use exitone::report;
use exitone::scenario::{file, schema};
use serde::Deserialize;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// The files below a folder of the repository with this ending, sorted.
fn below(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).expect(folder) {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("a name"));
        if entry.path().is_dir() {
            found.extend(below(&path, extension));
        } else if Path::new(&path).extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every document with its path.
fn pages() -> Vec<(String, String)> {
    let mut paths = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    paths.extend(below("docs", "md"));
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// Compares a document with its expected content, or writes it.
fn in_step(path: &str, expected: &str) {
    let found = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    if found != expected && std::env::var_os("EXITONE_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(root().join(path).parent().expect("a folder")).expect(path);
        std::fs::write(root().join(path), expected).expect(path);
        return;
    }
    assert!(found == expected, "{path} is out of date; run EXITONE_UPDATE_DOCS=1 cargo test --test program docs::");
}

/// Compares the generated table of a document with its expected content, or writes it.
fn table_in_step(path: &str, table: &str) {
    let page = read(path);
    let (before, rest) = page.split_once("tests/program/docs.rs -->\n").expect("a mark");
    let (_, after) = rest.split_once("<!-- end -->").expect("a mark");
    in_step(path, &format!("{before}tests/program/docs.rs -->\n{table}<!-- end -->{after}"));
}

#[derive(Deserialize)]
struct Truth {
    images: Vec<String>,
    cells: BTreeMap<String, Vec<String>>,
}

/// Rows of the truth table: what the incident's service has set, with egress open and blocked.
const OPEN: &str = "env.set:OTP_PROVIDER=twilio_verify";
const BLOCKED: &str = "egress.drop + env.set:OTP_PROVIDER=twilio_verify";

fn truth() -> Truth {
    serde_saphyr::from_str(&read("tests/fixtures/truth.yaml")).expect("the table")
}

#[test]
fn truth_page_is_up_to_date() {
    let truth = truth();
    let mut page = "# What each bundled image does\n\nYou want to know what each bundled image does under each \
                    condition (`exitone run scenarios/incident.yaml`): here is every\ncell. [Each \
                    hypothesis](hypotheses.md) explains it. Generated from `tests/fixtures/truth.yaml`, which the tests \
                    compare with\nthe real engine cell by cell.\n\n**1** exits with code 1 · ok healthy · ok* healthy, but \
                    the OTP request fails · - not exercised\n\n| conditions |"
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

/// tests/docker/serve.rs compares each cell with the real engine.
#[test]
fn serve_page_has_the_table_of_deployments() {
    let truth = truth();
    let mut table = "| image | egress DEFAULT | egress VPC, no NAT |\n|---|---|---|\n".to_owned();
    let words = |row: &str, column: usize| match truth.cells[row][column].as_str() {
        "ok" => "SUCCEEDED; `/health` 200, the OTP is sent",
        "ok*" => "SUCCEEDED; `/health` 200, the OTP request fails",
        "1" => "ROLLBACK_SUCCEEDED",
        other => panic!("{other}"),
    };
    for (column, image) in truth.images.iter().enumerate() {
        let cells = [OPEN, BLOCKED].map(|row| words(row, column));
        let _ = writeln!(table, "| {image} | {} | {} |", cells[0], cells[1]);
    }
    table_in_step("docs/serve.md", &table);
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
