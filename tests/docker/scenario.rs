//! Scenario files against the real engine: a search among their conditions, and images built first.

use std::path::Path;

use serde_json::Value;

use super::support::{engine, exitone, planted_program};

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("s.yaml");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

/// The service of the shipped incident.
fn service() -> &'static str {
    let incident = include_str!("../../scenarios/incident.yaml");
    incident.split("\nservice:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("the service")
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn searches_among_the_conditions_of_a_scenario() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build", "v20-otp-fix"]).assert().success();
    let folder = tempfile::tempdir().expect("a folder");
    let head = format!(
        "candidates: [nerava-backend:v20-otp-fix]\ncombine: why\nservice:\n{}\nconditions: [metadata.none, \
         'env.set:ENV=production', env.unset:DATABASE_URL]\n",
        service()
    );
    let planted =
        "expect: {'*': [healthy, exit 1 under env.set:ENV=production, exit 1 under env.unset:DATABASE_URL]}\n";
    let run = |expect: &str, code: i32| -> Value {
        let path = file(folder.path(), &format!("{head}{expect}"));
        let output = exitone().args(["run", &path, "--format", "json"]).output().expect("it runs");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{err}");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(!text.contains("not-a-password"), "a secret is in the output");
        serde_json::from_str(&text).expect("one document")
    };
    let document = run(planted, 0);
    let searched = &document["searches"][0];
    let judged = searched["judged"].as_array().expect("sets");
    assert_eq!((judged.len(), &searched["answer"]["complete"]), (2, &Value::from(true)), "{searched:#}");
    assert!(judged.iter().all(|set| set["smallest"] == true && set["expected"]["met"] == true), "{judged:#?}");
    assert_eq!(document["summary"]["unexpected"], 0);
    // The case of a set can be printed as a script.
    let case = judged[0]["case"].as_str().expect("an id");
    exitone().args(["repro", case]).assert().success();
}

#[tokio::test]
async fn builds_and_runs_images_of_a_scenario() {
    let Some((engine, _one)) = engine().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    planted_program(folder.path());
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY planted /planted\n").expect("written");
    let tag = format!("exitone-test/built:{}", std::process::id());
    let text = format!(
        "candidates: [{{image: '{tag}', context: .}}]\nservice: {{port: 8000, start_command: /planted exit 7}}\nexpect: {{'*': \
         exit 7}}\n"
    );
    let path = file(folder.path(), &text);
    let said = exitone().args(["run", &path]).assert().success().get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&said).contains(&format!("building {tag} from ")));
    assert!(engine.inspect_image(&tag).await.is_ok());
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY nothing-here /x\n").expect("written");
    let said = exitone().args(["run", &path]).assert().code(4).get_output().stderr.clone();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("cannot build") && said.contains("nothing-here"), "{said}");
    std::process::Command::new("docker").args(["rmi", &tag]).output().expect("docker");
}
