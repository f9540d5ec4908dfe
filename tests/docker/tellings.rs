//! The three tellings of the incident (`scenarios/incident/`), asked with the files and with a fake `aws` on the PATH.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::{engine, exitone};

const ARN: &str = "arn:aws:apprunner:us-east-1:123456789012:service/nerava-backend/7b13e5d9a0c64f2ab8d7c61e94f0a358";
/// Answers what `aws` is asked, from the folder of a telling; every question is written down.
const FAKE_AWS: &str = r#"#!/bin/sh
echo "$*" >> "$ASKED"
case "$1 $2" in
    "apprunner describe-service") exec cat "$TELLING/service.json" ;;
    "apprunner list-operations") exec cat "$TELLING/operations.json" ;;
    "cloudtrail lookup-events") echo "An error occurred (AccessDeniedException)" >&2; exit 254 ;;
    "logs describe-log-streams") echo '{"logStreams": []}' ;;
    "logs get-log-events") exec python3 - "$TELLING/service.log" <<'PYTHON'
import json, sys
lines = open(sys.argv[1]).read().splitlines()
events = [{"timestamp": 1764584102000 + n, "message": line[23:]} for n, line in enumerate(lines)]
print(json.dumps({"events": events}))
PYTHON
        ;;
    "ecr describe-images") echo '{"imageDetails": [{"imageDigest": "sha256:5f"}]}' ;;
    *) echo "unexpected: $*" >&2; exit 2 ;;
esac
"#;

fn telling(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/incident").join(name)
}

fn ask(name: &str, image: &str, more: &[&str]) -> (Value, String) {
    let files = [("--service", "service.json"), ("--update", "update.json"), ("--operations", "operations.json")];
    let folder = telling(name);
    let mut command = exitone();
    command.args(["why", image, "--format", "json", "--log"]).arg(folder.join("service.log")).args(more);
    for (flag, file) in files {
        command.arg(flag).arg(folder.join(file));
    }
    let output = command.output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {err}")), err)
}

/// The first suspect: its certainty and its conditions, or the id of its finding.
fn first(answer: &Value) -> (String, String) {
    let suspect = &answer["deployment"]["likely"][0];
    let part = suspect["ref"].as_str().unwrap_or("nothing");
    let at = |prefix: &str| part.strip_prefix(prefix).and_then(|n| n.parse::<usize>().ok());
    let named = match (at("set:"), at("static:")) {
        (Some(n), _) => answer["minimal_sets"][n]["conditions"].to_string(),
        (_, Some(n)) => answer["static"][n]["id"].as_str().unwrap_or_default().to_owned(),
        _ => part.to_owned(),
    };
    (suspect["certainty"].as_str().unwrap_or_default().to_owned(), named)
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn tellings_of_the_incident_have_their_answers() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build"]).assert().success();

    // Egress to the internet and no application log: the architecture of what was pushed leads, with a command.
    let (answer, err) = ask("public-egress", "nerava-backend:v20-otp-fix-fixed", &[]);
    assert_eq!(first(&answer), ("likely".to_owned(), "arch-of-pushed-image".to_owned()), "{answer:#}\n{err}");
    let settles = answer["deployment"]["likely"][0]["settles"].as_str().expect("a command");
    assert!(settles.starts_with("docker manifest inspect"), "{settles}");
    let drop =
        answer["deployment"]["standing"].as_array().expect("a list").iter().find(|of| of["condition"] == "egress.drop");
    assert_eq!(drop.expect("standing")["is"], "ruled_out");

    // A VPC connector: the call at import, proved.
    let (answer, err) = ask("vpc-without-nat", "nerava-backend:v20-otp-fix-fixed", &[]);
    assert_eq!(first(&answer), ("proved".to_owned(), "[\"egress.drop\"]".to_owned()), "{answer:#}\n{err}");
    let also: Vec<String> = answer["deployment"]["also"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|part| {
            let n: usize = part.as_str().and_then(|part| part.strip_prefix("set:")?.parse().ok()).expect("a set");
            answer["minimal_sets"][n]["conditions"][0].as_str().unwrap_or_default().to_owned()
        })
        .collect();
    assert!(also.contains(&"env.unset:DATABASE_URL".to_owned()), "{also:?}");
    for secret in ["not-a-password", "not-a-real-jwt-secret", "not-a-real-auth-token"] {
        assert!(!answer.to_string().contains(secret) && !err.contains(secret), "{secret} is shown");
    }

    // Production mode: the attribute's case.
    let (answer, err) = ask("production-mode", "nerava-backend:v20-otp-fix", &[]);
    assert_eq!(first(&answer), ("proved".to_owned(), "[\"env.set:ENV=production\"]".to_owned()), "{answer:#}\n{err}");
    assert_eq!(answer["minimal_sets"][0]["causes"][0]["id"], "settings-attribute-case");
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn arn_is_asked_through_the_users_aws() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build"]).assert().success();
    let folder = tempfile::tempdir().expect("a folder");
    let aws = folder.path().join("aws");
    std::fs::write(&aws, FAKE_AWS).expect("written");
    std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let update = telling("vpc-without-nat").join("update.json");
    let output = exitone()
        .args([
            "why",
            "nerava-backend:v20-otp-fix-fixed",
            "--arn",
            ARN,
            "--profile",
            "team",
            "--format",
            "json",
            "--update",
        ])
        .arg(update)
        .env("PATH", path)
        .env("ASKED", folder.path().join("asked"))
        .env("TELLING", telling("vpc-without-nat"))
        .output()
        .expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {err}"));
    assert_eq!(first(&answer), ("proved".to_owned(), "[\"egress.drop\"]".to_owned()), "{answer:#}\n{err}");
    assert!(err.contains("$ aws apprunner describe-service --service-arn"), "what is run is shown: {err}");
    assert!(err.contains("AccessDeniedException"), "what could not be read is told: {err}");
    let asked = std::fs::read_to_string(folder.path().join("asked")).expect("questions");
    for line in asked.lines() {
        assert!(line.contains("--region us-east-1") && line.contains("--profile team"), "{line}");
        let verb = line.split(' ').nth(1).expect("a verb");
        let reads = ["describe-", "list-", "get-", "lookup-"].iter().any(|prefix| verb.starts_with(prefix));
        assert!(reads, "the account is only read: {line}");
    }
}
