//! `docs/field-cases.md`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use exitone::engine::EngineInfo;
use regex::Regex;
use serde_json::Value;

use super::WhyRun;
use super::table::{Case, joined, texts};

const HEAD: &str = "\
# Reported failures

You want to know whether exitone finds causes that people really had: these are deployments to App Runner that failed, as they
were reported.

Each is reproduced as a small image (`tests/docker/field/`) and given to `exitone why` with nothing but its service file.
A row has all minimal sets of conditions; `baseline` stands for none: it fails everywhere, and the cause says why. `healed
by` has the repairs that were tried and verified.

`EXITONE_UPDATE_DOCS=1 cargo test --release --test docker field::` writes this page, one row at a time;
`EXITONE_ALL=1 cargo test --test docker field::` compares it.
";

/// What differs in every run.
static VARIES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d+\.\d+ (CPUs|s)\b").expect("a pattern"));

/// Writes the page, or returns where it differs. `whole`: whether all rows ran.
pub(super) fn agrees(
    cases: &[Case],
    said: &BTreeMap<String, WhyRun>,
    info: &EngineInfo,
    how: (bool, bool),
) -> Vec<String> {
    let (update, whole) = how;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/field-cases.md");
    let mut page = HEAD.to_owned();
    page.push_str("\n| id | what happened | `why`: conditions | cause | healed by | runs | seconds |\n|---|---|---|---|---|---|---|\n");
    let (mut runs, mut seconds) = (Vec::new(), Vec::new());
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let written = lines(&old);
    for case in cases {
        // A row that did not run stays as it is.
        let kept = written.get(case.id.as_str()).filter(|_| !said.contains_key(&case.id));
        if let Some(line) = kept.filter(|_| update && !whole) {
            let figures = line.trim_end_matches(" |").rsplit(" | ").take(2).filter_map(|cell| cell.parse::<f64>().ok());
            if let [took, count] = figures.collect::<Vec<_>>()[..] {
                runs.push(count);
                seconds.push(took);
            }
            page.push_str(&format!("{line}\n"));
            continue;
        }
        let (row, figures) = match (&case.cannot, said.get(&case.id)) {
            (None, Some(said)) => {
                let count = said.answer["runs"].as_u64().unwrap_or_default();
                runs.push(count as f64);
                seconds.push(said.seconds);
                (row(case, &said.answer), format!("{} | {count} | {:.1}", healed(&said.answer), said.seconds))
            }
            (why, _) => (cannot(case, why.as_deref().unwrap_or("not run")), "– | – | –".to_owned()),
        };
        page.push_str(&format!("{row}{figures} |\n"));
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    page.push_str(&format!(
        "\nMedians: {:.0} runs, {:.1} s. Measured with a {build} build on {} CPUs, {} {}, at a load average of {load}.\n",
        median(runs),
        median(seconds),
        info.cpus,
        info.name,
        info.version,
    ));
    if update {
        std::fs::write(&path, page).expect("written");
        return Vec::new();
    }
    let (old, new) = (rows(&written), rows(&lines(&page)));
    let differs = |id: &&String| old.get(*id) != new.get(*id);
    let asked = |id: &&String| whole || new.contains_key(*id);
    let known: Vec<&String> = old.keys().filter(asked).chain(new.keys().filter(|id| !old.contains_key(*id))).collect();
    let differing = known.into_iter().filter(differs);
    let say = |row: Option<&String>| row.map_or("no row", String::as_str).to_owned();
    let told = differing.map(|id| {
        format!("docs/field-cases.md does not agree:\n  there {}\n  now   {}", say(old.get(id)), say(new.get(id)))
    });
    told.collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The rows of a page by id.
fn lines(page: &str) -> BTreeMap<&str, &str> {
    let named = |line| Some((str::strip_prefix(line, "| ")?.split(" | ").next()?, line));
    page.lines().filter(|line| line.starts_with("| F")).filter_map(named).collect()
}

/// Rows without their figures, and without the repairs: which of several that heal is tried first varies.
fn rows(lines: &BTreeMap<&str, &str>) -> BTreeMap<String, String> {
    let cut = |(id, line): (&&str, &&str)| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let row = cells[..cells.len().saturating_sub(3)].join(" | ");
        ((*id).to_owned(), VARIES.replace_all(&row, "… $1").into_owned())
    };
    lines.iter().map(cut).collect()
}

fn happened(case: &Case) -> String {
    let source = case.source.as_ref().map(|source| {
        let short = source.trim_start_matches("https://").trim_start_matches("github.com/").replace("/issues/", "#");
        format!(" ([{short}]({source}))")
    });
    cell(&format!("{}{}", case.happened, source.unwrap_or_default()))
}

fn row(case: &Case, answer: &Value) -> String {
    let sets = answer["minimal_sets"].as_array().cloned().unwrap_or_default();
    let conditions: Vec<String> = sets.iter().map(|set| format!("`{}`", joined(&texts(&set["conditions"])))).collect();
    let mut causes: Vec<String> = Vec::new();
    for set in &sets {
        let cause = &set["causes"][0];
        let text = cause["text"].as_str().unwrap_or("nothing said");
        let said = format!("**{}**: {}", cause["id"].as_str().unwrap_or("none"), sentence(text));
        if !causes.contains(&said) {
            causes.push(said);
        }
    }
    for need in answer["needs"].as_array().into_iter().flatten() {
        causes.push(format!("**undecided**: {}", need["text"].as_str().unwrap_or_default()));
    }
    let note = if case.note.is_empty() { String::new() } else { format!("<br>({})", case.note) };
    format!(
        "| {} | {} | {} | {}{} | ",
        case.id,
        happened(case),
        conditions.join("<br>"),
        cell(&causes.join("<br>")),
        cell(&note)
    )
}

/// The repairs that were tried and are verified.
fn healed(answer: &Value) -> String {
    let repairs = answer["minimal_sets"].as_array().into_iter().flatten().flat_map(|set| set["repairs"].as_array());
    let is_good = |repair: &&Value| repair["verified"] == true && repair["runs"].as_u64() > Some(0);
    let ids = repairs.flatten().filter(is_good).filter_map(|repair| Some(format!("`{}`", repair["id"].as_str()?)));
    let ids: Vec<String> = ids.collect();
    if ids.is_empty() { "–".to_owned() } else { ids.join("<br>") }
}

fn cannot(case: &Case, why: &str) -> String {
    format!("| {} | {} | – | {} | ", case.id, happened(case), cell(why))
}

/// The first sentence.
fn sentence(text: &str) -> &str {
    text.split_inclusive(". ").next().unwrap_or(text).trim_end()
}

/// Escapes a text for a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
