//! The first bad version of the incident: what it depends on, what changed with it, and images in files.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::support::{engine, exitone};

/// The versions of the incident, oldest first.
const VERSIONS: [&str; 6] =
    ["v19-photo-fix", "v20-otp-fix", "v20-otp-fix-fixed", "v21-fresh", "v22-with-env", "v23-fixed-cmd"];

/// The incident's service, with the provider that calls out at startup.
const SERVICE: &str = r#"
port: "8000"
env:
  DATABASE_URL: postgresql+psycopg://app:not-a-password@db.internal:5432/app
  JWT_SECRET: not-a-real-jwt-secret
  ENV: dev
  OTP_PROVIDER: twilio_verify
  TWILIO_ACCOUNT_SID: ACfake0000000000000000000000000000
  TWILIO_AUTH_TOKEN: not-a-real-auth-token
  TWILIO_VERIFY_SERVICE_SID: VAfake0000000000000000000000000000
  POSTHOG_KEY: phc_not-a-real-key
secrets: [DATABASE_URL, JWT_SECRET, TWILIO_AUTH_TOKEN, POSTHOG_KEY]
upstreams: ["verify.twilio.com:443", "db.internal:5432"]
health_check: {protocol: HTTP, path: /healthz}
checks: [{path: /v1/auth/otp/start, method: POST, body: {phone: "+15550100"}, within: 10s}]
"#;

fn image(version: &str) -> String {
    format!("nerava-backend:{version}")
}

/// A folder with the service file.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("service.yaml"), SERVICE).expect("written");
    folder
}

/// Runs the program on images; returns its exit code and its document.
fn bisect(folder: &Path, images: &[String], more: &[&str]) -> (Option<i32>, Value) {
    let mut command = exitone();
    command.env("XDG_STATE_HOME", folder).args(["bisect", "--format", "json", "--service"]);
    let output = command.arg(folder.join("service.yaml")).args(more).args(images).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    (output.status.code(), document)
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn first_bad_version_depends_on_the_conditions() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build"]).assert().success();
    let folder = folder();
    let images = VERSIONS.map(image);
    for (with, first_bad, last_good) in [
        (&["--with", "egress.drop", "--with", "env.set:ENV=production"][..], VERSIONS[1], VERSIONS[0]),
        (&["--with", "egress.drop"], VERSIONS[2], VERSIONS[1]),
    ] {
        let (code, found) = bisect(folder.path(), &images, with);
        assert_eq!(code, Some(1), "{found:#}");
        assert_eq!(found["first_bad"], image(first_bad), "{found:#}");
        assert_eq!(found["last_good"], image(last_good));
        assert_eq!((&found["flaky"], found["any_of"].as_array().map(Vec::len)), (&Value::from(false), Some(0)));
        let files = found["image_diff"]["files"].as_array().expect("a list");
        assert!(files.iter().any(|line| line.as_str().is_some_and(|l| l.contains("/app/"))), "{files:#?}");
        assert!(!found["causes"].as_array().expect("causes").is_empty());
        assert!(found["runs"].as_u64() <= Some(12), "{}", found["runs"]);
        eprintln!("{first_bad}: {} runs in {} s", found["runs"], found["seconds"]);
        let text = found.to_string();
        for secret in ["not-a-password", "not-a-real-jwt-secret", "not-a-real-auth-token", "phc_not-a-real-key"] {
            assert!(!text.contains(secret), "{secret} is in the output");
        }
        let case = found["case"].as_str().expect("a case");
        exitone().env("XDG_STATE_HOME", folder.path()).args(["repro", case]).assert().success();
    }
}

#[tokio::test]
async fn accepts_images_in_files() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build", VERSIONS[1], VERSIONS[2]]).assert().success();
    let folder = folder();
    let archive = folder.path().join("v20.tar");
    let saved = Command::new("docker").args(["save", "-o"]).arg(&archive).arg(image(VERSIONS[2])).status();
    assert!(saved.expect("docker").success());
    let images = [image(VERSIONS[1]), archive.display().to_string()];
    let (code, found) = bisect(folder.path(), &images, &["--with", "egress.drop"]);
    assert_eq!((code, &found["first_bad"]), (Some(1), &Value::from(image(VERSIONS[2]))), "{found:#}");
    // The same image by name and from its file.
    let twins = [image(VERSIONS[2]), archive.display().to_string()];
    let mut command = exitone();
    let refused = command.arg("bisect").args(twins).assert().code(2);
    refused.stderr(predicates::str::contains("are the same image"));
    // What git gets for each.
    for (version, code) in [(VERSIONS[1], 0), (VERSIONS[2], 1)] {
        let (told, _) = bisect(folder.path(), &[image(version)], &["--git-bisect", "--with", "egress.drop"]);
        assert_eq!(told, Some(code), "{version}");
    }
    let missing = exitone().args(["bisect", "--git-bisect", "no-such-image:1"]).assert().code(128);
    missing.stderr(predicates::str::contains("no-such-image:1"));
}
