//! The whole incident: every cell of the truth table against the real engine, and its diagnosis.

#[path = "../program/docs/page.rs"]
mod page;

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use testcontainers::core::WaitFor;
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

use super::support::{engine, exitone};

/// The truth table.
#[derive(Deserialize)]
pub(crate) struct Truth {
    pub(crate) images: Vec<String>,
    pub(crate) cells: BTreeMap<String, Vec<String>>,
}

pub(crate) fn truth() -> Truth {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/truth.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).expect("the table")).expect("a table")
}

fn demo() -> Value {
    let output = exitone().args(["demo", "--format", "json"]).output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    serde_json::from_slice(&output.stdout).expect("one document")
}

/// A cell in the table's notation.
fn cell(case: &Value) -> String {
    let checks = case["checks"].as_array().expect("checks");
    match (case["outcome"].as_str(), case["exit_code"].as_i64()) {
        (None, _) => "-".to_owned(),
        (Some("healthy"), _) if checks.iter().all(|c| c["passed"] == true) => "ok".to_owned(),
        (Some("healthy"), _) => "ok*".to_owned(),
        (Some("exited"), Some(code)) => code.to_string(),
        (Some(other), _) => other.to_owned(),
    }
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn demo_finds_what_is_planted() {
    let Some((_engine, _one)) = engine().await else { return };
    let truth = truth();
    let found = demo();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for case in found["cases"].as_array().expect("cases") {
        let conditions: Vec<&str> =
            case["conditions"].as_array().expect("conditions").iter().filter_map(Value::as_str).collect();
        let row = if conditions.is_empty() { "baseline".to_owned() } else { conditions.join(" + ") };
        let image = case["image"].as_str().and_then(|i| i.split_once(':')).expect("a name").1;
        let column = truth.images.iter().position(|i| i == image).expect("an image of the table");
        let expected = &truth.cells.get(&row).unwrap_or_else(|| panic!("the table has no row {row}"))[column];
        seen += 1;
        if cell(case) != *expected {
            wrong.push(format!("{image} under {row}: {} instead of {expected}\n{case:#}", cell(case)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, truth.images.len() * truth.cells.len(), "every cell was run");
    check_meaning(&found);
}

fn check_meaning(found: &Value) {
    let first_bad = |conditions: &[&str]| {
        let all = found["first_bad"].as_array().expect("a list");
        let wanted = Value::from(conditions.to_vec());
        all.iter().find(|f| f["conditions"] == wanted).map(|f| f["first_bad"].as_str().expect("a name"))
    };
    assert_eq!(first_bad(&["env.set:ENV=production"]), Some("nerava-backend:v20-otp-fix"));
    let pair = ["egress.drop", "env.set:OTP_PROVIDER=twilio_verify"];
    assert_eq!(first_bad(&pair), Some("nerava-backend:v20-otp-fix-fixed"));
    assert_eq!(first_bad(&["egress.drop"]), Some("nerava-backend:v22-with-env"));
    let sentence = |tag: &str| {
        let all = found["images"].as_array().expect("images");
        let image = all.iter().find(|i| i["image"] == format!("nerava-backend:{tag}")).expect(tag);
        image["sentence"].as_str().expect("a sentence").to_owned()
    };
    assert!(sentence("v20-otp-fix").contains("ENV=production"));
    assert!(
        sentence("v20-otp-fix-fixed")
            .contains("OTP_PROVIDER=twilio_verify and any of these: outbound traffic is dropped")
    );
    assert!(sentence("v23-fixed-cmd-arm64").contains("linux/arm64"));
    let text = found.to_string();
    for secret in ["not-a-password", "not-a-real-jwt-secret", "not-a-real-auth-token", "phc_not-a-real-key"] {
        assert!(!text.contains(secret), "{secret} is in the output");
    }
}

#[tokio::test]
async fn works_with_plain_docker_run() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build", "v20-otp-fix", "v22-with-env"]).assert().success();
    // The mystery of the incident: images that exit with code 1 on the platform start here without a network.
    let image = GenericImage::new("nerava-backend", "v20-otp-fix")
        .with_wait_for(WaitFor::message_on_stderr("Uvicorn running on http://0.0.0.0:8000"))
        .with_network("none")
        .with_env_var("DATABASE_URL", "postgresql+psycopg://app:fake@db.internal:5432/app")
        .with_env_var("JWT_SECRET", "not-a-secret")
        .with_env_var("ENV", "dev")
        .with_label("exitone.session", "test");
    let container = image.start().await.expect("it starts");
    container.rm().await.expect("removed");
}

#[tokio::test]
async fn second_build_builds_nothing() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build"]).assert().success();
    let output = exitone().args(["images", "build", "--offline"]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.lines().all(|l| l.starts_with("exists")), "{text}");
}

/// An answer without what differs in every run: figures, the time line, the remarks after the third paragraph.
fn compared(answer: &str) -> String {
    let answer = answer.split("\n\n").take(3).collect::<Vec<_>>().join("\n");
    let timed = Regex::new(r"^ +([0-9.]+ s  |started |at most |connected at )").expect("a pattern");
    let figures = Regex::new(r"[0-9]+(\.[0-9]+)?").expect("a pattern");
    let lines = answer.lines().filter(|line| !timed.is_match(line));
    let text = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    figures.replace_all(&text, "#").into_owned()
}

/// The answers on `docs/what-broke.md` are reported from recorded runs; each run again gives the same answer.
/// `EXITONE_UPDATE_DOCS=1` records them; then `cargo test --test program docs::` writes the page.
#[tokio::test]
#[ignore = "takes minutes"]
async fn recorded_answers_are_current() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build"]).assert().success();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/what-broke.md")).expect("the page");
    let report = |folder: &Path| {
        let output = exitone().arg("report").arg(folder).output().expect("it runs");
        compared(&String::from_utf8(output.stdout).expect("text"))
    };
    let mut wrong = Vec::new();
    for (mark, command) in page::marks(&text, "answer") {
        let name = mark.split(',').next().unwrap_or_default();
        let line = command.unwrap_or_else(|| panic!("{name}: no command"));
        let recorded = root.join("tests/fixtures/incident").join(name);
        // The log is explained without an engine, whenever the page is tested.
        if line.words()[1] == "explain" {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let kept = folder.path().join(name);
        let mut run = exitone();
        run.current_dir(root.join(&line.folder)).args(&line.words()[1..]).arg("--folder").arg(&kept);
        let output = run.output().expect("it runs");
        assert!(matches!(output.status.code(), Some(0 | 1)), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        if std::env::var_os("EXITONE_UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(&recorded).expect("a folder");
            std::fs::copy(kept.join("events.jsonl"), recorded.join("events.jsonl")).expect("copied");
        }
        let (then, now) = (report(&recorded), report(&kept));
        if then != now {
            wrong.push(format!("{name}\n  recorded {then}\n  now      {now}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
