//! Healthy servers get no false diagnosis: ordinary images of `servers.yaml`, run under friendly conditions and
//! searched under the platform's. The results are in `docs/healthy.md`; `EXITONE_UPDATE_DOCS=1 cargo test --test docker
//! healthy::` regenerates it. Without an engine the test is skipped with a message; in CI (`CI=true`) it fails.

mod images;
mod page;
mod table;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;

use exitone::catalogue::catalogue;
use exitone::diagnose::samples::causes_of;
use exitone::images::debian::is_debian;
use exitone::model::outcome::Cause;
use exitone::scenario::{apprunner, service};
use serde_json::Value;
use tokio::time::Instant;

use super::rows::Wanted;
use super::support::engine;
use page::Row;
use table::{Server, Truth};

/// Number of images tested in parallel; they mostly wait.
const AT_A_TIME: usize = 4;
/// One that has its image to itself.
const FEW: [&str; 1] = ["c"];
/// Parallel cases of each.
const JOBS: &str = "2";

#[tokio::test]
async fn healthy_servers_get_no_false_diagnosis() {
    let Some((engine, _alone)) = engine().await else { return };
    if !servers_can_be_made() {
        return;
    }
    let wanted = Wanted::of("EXITONE_HEALTHY", &FEW);
    let servers: Vec<Server> = table::read().into_iter().filter(|server| wanted.has(&server.name)).collect();
    images::build(&*engine, &servers).await;
    let versions = images::versions(&servers);
    let rows = Mutex::new(BTreeMap::new());
    // Servers that fail somewhere take more runs: start them first, so that nothing long remains at the end.
    let mut order: Vec<(usize, &Server)> = servers.iter().enumerate().collect();
    order.sort_by_key(|(_, server)| Reverse(server.truth.len()));
    let left = Mutex::new(order.into_iter());
    let problems = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((at, server)) = next(&left) {
                    let mut wrong = baseline(server);
                    let (mut row, answer) = why(server);
                    wrong.extend(differences(server, &answer));
                    eprintln!("{}: {} runs, {:.0} s", server.name, row.runs, row.seconds);
                    row.version = versions.get(&server.name).cloned().unwrap_or_default();
                    problems.lock().expect("whole").extend(wrong.into_iter().map(|w| format!("{}: {w}", server.name)));
                    rows.lock().expect("whole").insert(at, row);
                }
            });
        }
    });
    let rows: Vec<Row> = rows.into_inner().expect("whole").into_values().collect();
    let mut problems = problems.into_inner().expect("whole");
    problems.extend(page::check(&rows, wanted.is_all()));
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

fn next<'a>(left: &Mutex<impl Iterator<Item = (usize, &'a Server)>>) -> Option<(usize, &'a Server)> {
    left.lock().expect("whole").next()
}

/// Whether the servers can be built; prints the reason if not. CI needs them.
fn servers_can_be_made() -> bool {
    if is_debian() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs Debian: the servers are made of its packages");
    eprintln!("skipped: the servers are made of Debian packages, and this machine has none");
    false
}

/// Runs the program for a server; returns its JSON and exit code.
fn exitone(command: &[&str], server: &Server) -> (Value, Option<i32>) {
    let service = server.folder().join("service.yaml");
    let output = Command::new(env!("CARGO_BIN_EXE_exitone"))
        .arg("--no-progress")
        .args(command)
        .arg("--service")
        .arg(service)
        .args(["--format", "json"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let answer = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}\n{said}", server.name));
    (answer, output.status.code())
}

/// What is wrong with the answer under friendly conditions.
fn baseline(server: &Server) -> Vec<String> {
    let (answer, code) = exitone(&["run", "--image", &server.image()], server);
    let case = &answer["cases"][0];
    let well = code == Some(0) && case["verdict"] == "pass" && case["causes"] == Value::Array(Vec::new());
    let told = format!("the baseline is not simply healthy (exit code {code:?}): {case:#}");
    let accused = accused(&strings(&case["evidence"]["log_tail"]).join("\n"));
    if well && accused.is_empty() { Vec::new() } else { vec![format!("{told}\nits own log accuses {accused:?}")] }
}

/// What `explain` would say of a healthy server's log, had the server ended: nothing.
fn accused(log: &str) -> Vec<String> {
    // That it ended, and said nothing, would be new.
    let named = |cause: &Cause| !["unrecognized-error", "no-output"].contains(&cause.id.as_str());
    let service = service::defaults(&apprunner());
    let entry = catalogue().entries().first().expect("an entry");
    causes_of(catalogue(), entry, log, &service).into_iter().filter(named).map(|cause| cause.id).collect()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

fn ids(list: &Value) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|one| one["id"].as_str()).map(ToOwned::to_owned).collect()
}

/// Sets with the causes given for them.
fn diagnosed(answer: &Value) -> BTreeMap<String, Vec<String>> {
    let sets = answer["minimal_sets"].as_array().into_iter().flatten();
    sets.map(|set| (strings(&set["conditions"]).join(" + "), ids(&set["causes"]))).collect()
}

/// The search over the platform's whole battery.
fn why(server: &Server) -> (Row, Value) {
    let begun = Instant::now();
    let (answer, _) = exitone(&["why", &server.image(), "--jobs", JOBS], server);
    let row = Row {
        name: server.name.clone(),
        version: String::new(),
        diagnosed: diagnosed(&answer),
        warnings: ids(&answer["static"]),
        runs: answer["runs"].as_u64().unwrap_or(0),
        seconds: begun.elapsed().as_secs_f64(),
    };
    (row, answer)
}

/// Where the answer differs from the truth.
fn differences(server: &Server, answer: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut say = |what: &str, found: &dyn std::fmt::Debug, truth: &dyn std::fmt::Debug| {
        wrong.push(format!("{what}: {found:?}, and the truth is {truth:?}"));
    };
    let found = diagnosed(answer);
    let truth: BTreeMap<String, Vec<String>> =
        server.truth.iter().map(|(set, Truth { causes, .. })| (set.clone(), causes.clone())).collect();
    if found != truth {
        say("sets", &found, &truth);
    }
    let verdict = if truth.is_empty() { "pass" } else { "fail" };
    if answer["verdict"] != verdict || answer["baseline"] != "pass" || answer["settled"] != true {
        let seen = ["verdict", "baseline", "settled"].map(|key| answer[key].to_string());
        say("verdict, baseline, settled", &seen, &[verdict, "pass", "true"]);
    }
    if ids(&answer["static"]) != server.warnings {
        say("findings", &answer["static"], &server.warnings);
    }
    if !wrong.is_empty() {
        wrong.push(format!("{answer:#}"));
    }
    wrong
}
