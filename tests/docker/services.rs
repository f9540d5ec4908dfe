//! Service containers: a real database next to the candidate, in the same namespace arrangement.

use exitone::images::POSTGRES;

use super::support::{engine, exitone};

#[tokio::test]
async fn migrating_candidate_needs_its_database() {
    let Some((_engine, _one)) = engine().await else { return };
    exitone().args(["images", "build", POSTGRES, "v24-lazy-otp"]).assert().success();
    let output = exitone()
        .args(["run", "scenarios/database.yaml", "--image", "nerava-backend:v24-lazy-otp", "--format", "json"])
        .output()
        .expect("it ran");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    let cases = document["cases"].as_array().expect("cases");
    let code = |conditions: &str| {
        let case = cases.iter().find(|c| c["conditions"] == serde_json::json!([conditions]));
        case.unwrap_or_else(|| panic!("{conditions} is a case"))["exit_code"].as_i64()
    };
    for (condition, expected) in [
        ("upstream.down:db.internal", Some(1)),
        ("upstream.refused:db.internal", Some(1)),
        ("upstream.denied:db.internal", Some(1)),
        ("dns.nxdomain@db.internal", Some(1)),
        ("egress.drop:10.0.0.0/8", Some(1)),
        ("env.json:DATABASE_URL", Some(1)),
        ("command.split", Some(2)),
        // The allow list leaves the database reachable, a slow network leaves enough time.
        ("egress.drop:except=db.internal", None),
        ("latency:200ms", None),
    ] {
        assert_eq!(code(condition), expected, "{condition}");
    }
    let verdict = |conditions: &str| {
        let case = cases.iter().find(|c| c["conditions"] == serde_json::json!([conditions]));
        case.and_then(|c| c["verdict"].as_str()).unwrap_or_default().to_owned()
    };
    for passes in ["egress.drop:except=db.internal", "latency:200ms"] {
        assert_eq!(verdict(passes), "pass", "{passes}");
    }
    let baseline = cases.iter().find(|c| c["conditions"] == serde_json::json!([])).expect("the baseline");
    assert_eq!((&baseline["verdict"], &baseline["checks"][0]["passed"]), (&"pass".into(), &true.into()));
    let denied = cases.iter().find(|c| c["conditions"] == serde_json::json!(["upstream.denied:db.internal"]));
    let log = denied.expect("a case")["log"].as_str().unwrap_or_default().to_owned();
    assert!(log.contains("password authentication failed for user"), "{log}");
    assert!(!output.stdout.windows(14).any(|w| w == b"not-a-password"), "the password does not appear");
}
