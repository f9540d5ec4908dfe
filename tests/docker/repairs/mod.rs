//! Images after public reports that fail under friendly conditions: what `exitone why` tries heals them, and only what
//! stays healthy twice is called verified. Each folder has a Dockerfile that builds on the bundled Python base.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::support::{engine, exitone};

/// A folder, the repair that heals its image, and whether a user would keep it.
const IMAGES: [(&str, &str, &str); 5] = [
    ("01-rails-stale-pid", "folder.empty:/app/tmp/pids", "proof"),
    ("07-nginx-cache-nonroot", "user.root", "proof"),
    ("09-pem-key-escaped-newlines", "env.unescaped:PUSH_PRIVATE_KEY", "fix"),
    ("10-k8s-service-link-variable", "env.unset:LEDGER_PORT", "fix"),
    ("15-go-no-tzdata", "env.unset:MAINTENANCE_TIMEZONE", "proof"),
];
/// The most runs for an image whose baseline fails.
const MOST_RUNS: u64 = 12;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/repairs").join(name)
}

fn tag(name: &str) -> String {
    format!("exitone-test/repair-{}:latest", &name[..2])
}

fn build(name: &str) {
    // The classic builder needs nothing beside the engine.
    let output = Command::new("docker")
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "-q", "--label", "exitone.image=test", "-t", &tag(name)])
        .arg(folder(name))
        .output()
        .expect("docker");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn why(name: &str) -> Value {
    let mut command = exitone();
    command.args(["why", &tag(name), "--format", "json", "--service"]).arg(folder(name).join("service.yaml"));
    let output = command.output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {err}"))
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn images_that_fail_always_are_healed() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build"]).assert().success();
    for (name, repair, kind) in IMAGES {
        build(name);
        let answer = why(name);
        assert_eq!(answer["baseline"], "fail", "{answer:#}");
        let repairs = answer["minimal_sets"][0]["repairs"].as_array().expect("repairs");
        let found = repairs.iter().find(|one| one["id"] == repair).unwrap_or_else(|| panic!("{name}: {repairs:#?}"));
        assert_eq!((&found["verified"], &found["kind"]), (&Value::from(true), &Value::from(kind)), "{name}: {found:#}");
        assert!(found["healthy_ms"].is_number(), "{found:#}");
        assert!(answer["runs"].as_u64().is_some_and(|runs| runs <= MOST_RUNS), "{name}: {} runs", answer["runs"]);
    }
    // One repair by hand: the run is healthy.
    let (name, repair, _) = IMAGES[2];
    let service = folder(name).join("service.yaml").display().to_string();
    exitone().args(["run", "--image", &tag(name), "--service", &service, "--repair", repair]).assert().success();
    exitone().args(["run", "--image", &tag(name), "--service", &service]).assert().code(1);
    // Without repairs nothing more is run.
    let mut command = exitone();
    command.args(["why", &tag(name), "--service", &service, "--no-repair", "--format", "json"]);
    let answer: Value = serde_json::from_slice(&command.output().expect("it runs").stdout).expect("one document");
    assert_eq!(answer["minimal_sets"][0]["repairs"], Value::Array(Vec::new()));
}
