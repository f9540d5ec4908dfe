//! The platform's own times, deletions that fail, maintenance.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep};

use super::{Local, arn, source, through_vpc};
use crate::engine::fake::{Act, FakeEngine, Situation, exits, healthy};
use crate::serve::platform::{Pace, Platform};

fn at_app_runners_pace() -> Platform {
    Platform { pace: Pace::REAL, ..Platform::default() }
}

fn seconds(operation: &Json) -> f64 {
    (operation["EndedAt"].as_f64().expect("ended") - operation["StartedAt"].as_f64().expect("started")).round()
}

impl Local {
    /// The lines of a deployment, each with the seconds since its start.
    async fn paced(&self, service: &Json, operation: &str) -> Vec<String> {
        let group = format!("/aws/apprunner/nerava/{}/service", service["ServiceId"].as_str().expect("an id"));
        let stream = format!("deployment/{operation}");
        let body = json!({ "logGroupName": group, "logStreamName": stream, "startFromHead": true });
        let answer = self.try_call("Logs_20140328.GetLogEvents", body).await.expect("a stream");
        let events = answer["events"].as_array().expect("a list");
        let at = |event: &Json| event["timestamp"].as_i64().expect("a time");
        let start = events.first().map_or(0, at);
        let text = |event: &Json| event["message"].as_str().expect("text").replace(operation, "ID");
        events.iter().map(|event| format!("{:>3} s  {}", (at(event) - start) / 1000, text(event))).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn deployments_take_app_runners_time() {
    let local = Local::behaving(at_app_runners_pace()).await;
    let created = local.create("nerava", "app:v1").await;
    let arn = arn(&created);
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&service["Status"], seconds(&operation)), (&json!("RUNNING"), 261.0));
    let update =
        json!({ "ServiceArn": arn, "SourceConfiguration": source("app:v2"), "NetworkConfiguration": through_vpc() });
    let id = local.call("UpdateService", update).await["OperationId"].as_str().expect("an id").to_owned();
    sleep(Duration::from_secs(100)).await;
    let all = local.call("ListOperations", json!({ "ServiceArn": arn })).await;
    assert_eq!(all["OperationSummaryList"][0]["Status"], "ROLLBACK_IN_PROGRESS");
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&operation["Status"], seconds(&operation)), (&json!("ROLLBACK_SUCCEEDED"), 458.0));
    insta::assert_snapshot!(local.paced(&service, &id).await.join("\n"));
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn failures_of_each_class_are_noticed_at_app_runners_pace() {
    let engine = FakeEngine::new(true);
    engine.image("app:v1", &[], Arc::new(|_: &Situation| healthy(8000)));
    engine.image("app:broken", &[], Arc::new(|_: &Situation| exits(Duration::from_secs(1), 1, "boom")));
    engine.image("app:idle", &[], Arc::new(|_: &Situation| Act::default()));
    let local = Local::with(engine, tempfile::tempdir().expect("a folder"), at_app_runners_pace()).await;
    for (name, image, took) in
        [("absent", "app:absent", 28.0), ("broken", "app:broken", 85.0), ("idle", "app:idle", 391.0)]
    {
        let arn = arn(&local.create(name, image).await);
        let (service, operation) = local.settled(&arn).await;
        assert_eq!((&service["Status"], seconds(&operation)), (&json!("CREATE_FAILED"), took), "{name}");
    }
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn first_deletion_fails_and_the_next_one_succeeds() {
    let local = Local::behaving(Platform { fails_deletions: true, ..Platform::default() }).await;
    let arn = arn(&local.create("nerava", "app:v1").await);
    local.settled(&arn).await;
    let id = local.call("DeleteService", json!({ "ServiceArn": arn })).await["OperationId"].clone();
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&service["Status"], &operation["Status"]), (&json!("DELETE_FAILED"), &json!("FAILED")));
    let group = format!("/aws/apprunner/nerava/{}/service", service["ServiceId"].as_str().expect("an id"));
    let why = local.logs(&group, &format!("exitone/{}", id.as_str().expect("an id"))).await;
    assert!(why.iter().any(|line| line.contains("--fail-delete")), "{why:?}");
    // It is gone for all but a deletion.
    assert_eq!(local.get(&service, "/").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(local.call("ListServices", json!({})).await["ServiceSummaryList"][0]["Status"], "DELETE_FAILED");
    for operation in ["UpdateService", "PauseService", "ResumeService", "StartDeployment"] {
        let refused = local.try_call(&format!("AppRunner.{operation}"), json!({ "ServiceArn": arn })).await;
        let code = if operation == "StartDeployment" { "InvalidRequestException" } else { "InvalidStateException" };
        assert_eq!(refused.expect_err(operation)["__type"], code);
    }
    local.call("DeleteService", json!({ "ServiceArn": arn })).await;
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&service["Status"], &operation["Status"]), (&json!("DELETED"), &json!("SUCCEEDED")));
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn maintenance_refuses_calls_while_services_serve() {
    let local = Local::new().await;
    let arn = arn(&local.create("nerava", "app:v1").await);
    local.settled(&arn).await;
    let (engine, folder) = local.close().await;
    let maintenance = || Platform { maintenance: Some(Duration::from_secs(120)), ..Platform::default() };
    let local = Local::with(engine, folder, maintenance()).await;
    let described = local.call("DescribeService", json!({ "ServiceArn": arn })).await["Service"].clone();
    assert_eq!(described["Status"], "OPERATION_IN_PROGRESS");
    let refused =
        local.try_call("AppRunner.PauseService", json!({ "ServiceArn": arn })).await.expect_err("maintenance");
    assert_eq!(refused["__type"], "InvalidStateException");
    local.serves(&described).await;
    // A server that ends meanwhile leaves nothing in maintenance.
    let (engine, folder) = local.close().await;
    let local = Local::on(engine, folder).await;
    assert_eq!(local.settled(&arn).await.0["Status"], "RUNNING");
    let (engine, folder) = local.close().await;
    let local = Local::with(engine, folder, maintenance()).await;
    let begun = Instant::now();
    let (service, operation) = local.settled(&arn).await;
    assert!(begun.elapsed().abs_diff(Duration::from_secs(120)) < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((&service["Status"], &operation["Type"]), (&json!("RUNNING"), &json!("CREATE_SERVICE")));
    local.call("PauseService", json!({ "ServiceArn": arn })).await;
    assert_eq!(local.settled(&arn).await.0["Status"], "PAUSED");
    local.close().await;
}
