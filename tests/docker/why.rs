//! `exitone why` against the real engine: exactly the sets that are planted in the bundled candidates.

use std::path::Path;

use serde_json::Value;

use super::support::{engine, exitone};

/// The incident's service, as a file of its own.
fn service_file(folder: &Path) -> String {
    let scenario = include_str!("../../scenarios/incident.yaml");
    let block = scenario.split("\nservice:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("the service");
    let text: String = block.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect();
    let path = folder.join("service.yaml");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

fn why(image: &str, service: &str, with: &[&str]) -> Value {
    let with = with.iter().flat_map(|condition| ["--with", condition]);
    let arguments = ["why", image, "--service", service, "--format", "json"].into_iter().chain(with);
    let output = exitone().args(arguments).output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let text = String::from_utf8(output.stdout).expect("text");
    for secret in ["not-a-password", "not-a-real-jwt-secret", "not-a-real-auth-token", "phc_not-a-real-key"] {
        assert!(!text.contains(secret), "{secret} is in the output");
    }
    serde_json::from_str(&text).expect("one document")
}

fn sets(answer: &Value) -> Vec<String> {
    let all = answer["minimal_sets"].as_array().expect("sets");
    let joined = |set: &Value| {
        let conditions = set["conditions"].as_array().expect("conditions");
        conditions.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" + ")
    };
    let mut sets: Vec<String> = all.iter().map(joined).collect();
    sets.sort();
    sets
}

fn causes<'a>(answer: &'a Value, conditions: &str) -> Vec<&'a str> {
    let all = answer["minimal_sets"].as_array().expect("sets");
    let set = all.iter().find(|set| set["conditions"][0] == conditions).expect(conditions);
    set["causes"].as_array().expect("causes").iter().filter_map(|cause| cause["id"].as_str()).collect()
}

#[tokio::test]
async fn why_names_what_is_planted() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build"]).assert().success();
    let folder = tempfile::tempdir().expect("a folder");
    let service = service_file(folder.path());
    let always = ["env.unset:DATABASE_URL", "env.unset:ENV", "env.unset:JWT_SECRET"];

    // The whole battery: production mode is one of its forms.
    let answer = why("nerava-backend:v20-otp-fix", &service, &[]);
    let mut planted = vec!["env.set:ENV=production"];
    planted.extend(always);
    assert_eq!(sets(&answer), planted, "{answer:#}");
    assert_eq!((&answer["baseline"], &answer["complete"]), (&Value::from("pass"), &Value::from(true)));
    assert_eq!(causes(&answer, "env.set:ENV=production"), ["settings-attribute-case", "variable-value"]);
    let pruned = answer["pruned"].as_array().expect("a list");
    assert!(pruned.iter().any(|left| left["condition"] == "dns.servfail"), "{pruned:#?}");

    // This one calls Twilio at import.
    let answer = why("nerava-backend:v22-with-env", &service, &[]);
    let mut planted = vec!["dns.servfail", "egress.drop"];
    planted.extend(always);
    planted.extend(["env.unset:TWILIO_ACCOUNT_SID", "upstream.denied:verify.twilio.com"]);
    assert_eq!(sets(&answer), planted, "{answer:#}");
    assert_eq!(causes(&answer, "egress.drop"), ["outbound-call-at-startup"]);
}

#[tokio::test]
async fn pairs_are_found_in_few_runs() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build", "v20-otp-fix-fixed"]).assert().success();
    let folder = tempfile::tempdir().expect("a folder");
    let service = service_file(folder.path());
    let with = [
        "egress.drop",
        "env.set:OTP_PROVIDER=twilio_verify",
        "dns.servfail",
        "env.unset:DATABASE_URL",
        "env.unset:JWT_SECRET",
        "metadata.none",
        "hostname.platform",
        "memory.limit:512m",
    ];
    let answer = why("nerava-backend:v20-otp-fix-fixed", &service, &with);
    let pairs = ["dns.servfail", "egress.drop"].map(|c| format!("{c} + env.set:OTP_PROVIDER=twilio_verify"));
    let planted = [&pairs[0], &pairs[1], "env.unset:DATABASE_URL", "env.unset:JWT_SECRET"];
    assert_eq!(sets(&answer), planted, "{answer:#}");
    // Twelve on a machine with nothing else to do; which run ends first decides what is started beside it.
    assert!(answer["runs"].as_u64().is_some_and(|runs| runs <= 16), "{}", answer["runs"]);
    assert_eq!(answer["complete"], true);
}

#[tokio::test]
async fn an_image_for_another_processor_is_named_before_anything_runs() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build", "v23-fixed-cmd-arm64"]).assert().success();
    let folder = tempfile::tempdir().expect("a folder");
    let answer = why("nerava-backend:v23-fixed-cmd-arm64", &service_file(folder.path()), &[]);
    assert_eq!(sets(&answer), ["arch.mismatch"]);
    assert_eq!((&answer["runs"], &answer["exit_code"]), (&Value::from(0), &Value::from(1)));
}
