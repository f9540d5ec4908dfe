//! Every condition on the real engine: a planted candidate meets it and fails, passes without it, and one that never
//! meets it reports so.

use exitone::model::condition::kinds;

use super::support::{engine, exitone};

#[tokio::test]
async fn doctor_proves_every_condition() {
    let Some((_engine, _one)) = engine().await else { return };
    let output = exitone().args(["doctor", "--format", "json"]).output().expect("it ran");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    let conditions = report["conditions"].as_array().expect("a list");
    let bad: Vec<_> = conditions.iter().filter(|c| c["imposed"] != true).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for kind in kinds() {
        let named = |c: &serde_json::Value| {
            let text = c["condition"].as_str().unwrap_or_default();
            text.split([':', '@']).next() == Some(kind.name)
        };
        assert!(conditions.iter().any(named), "{} is not among them", kind.name);
    }
    assert_eq!(output.status.code(), Some(0));
}
