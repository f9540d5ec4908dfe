//! Clients that disconnect before they are answered.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use super::{Local, PORT, arn, needs_egress, source};
use crate::engine::fake::{Act, FakeEngine, Situation, healthy};
use crate::serve::http;

/// A candidate that takes an hour to answer a request.
fn slow() -> Act {
    Act { takes: Duration::from_secs(3600), ..healthy(8000) }
}

/// Sends the beginning of a request and disconnects when `is_there`, or at once.
async fn disconnect(local: &Local, sent: &str, is_there: impl Fn(&Local) -> bool) {
    let (mut ours, theirs) = tokio::io::duplex(64 << 10);
    let served = tokio::spawn(http::speak(local.front.clone(), theirs, false));
    ours.write_all(sent.as_bytes()).await.expect("sent");
    until(|| is_there(local)).await;
    drop(ours);
    served.await.expect("the connection ends");
}

async fn until(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn request_to_a_service_ends_with_its_client() {
    let engine = FakeEngine::new(true);
    engine.image("app:slow", &[], Arc::new(|_: &Situation| slow()));
    engine.image("app:v2", &[], Arc::new(needs_egress));
    let local = Local::on(engine, tempfile::tempdir().expect("a folder")).await;
    let arn = arn(&local.create("nerava", "app:slow").await);
    let (service, _) = local.settled(&arn).await;
    let host = service["ServiceUrl"].as_str().expect("an address");
    let whole = format!("GET /slow HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let half_a_body = format!("POST /slow HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000\r\n\r\nhalf");
    let half_a_head = format!("GET /slow HTTP/1.1\r\nhost: {host}\r\nx-a");
    for sent in [&whole, &half_a_body] {
        for _ in 0..20 {
            disconnect(&local, sent, |local| local.engine.requests() == 1).await;
            until(|| local.engine.requests() == 0).await;
        }
    }
    disconnect(&local, &half_a_head, |_| true).await;
    // A deployment during which a client disconnects: the old instance has nothing left to wait for.
    local.call("UpdateService", json!({ "ServiceArn": arn, "SourceConfiguration": source("app:v2") })).await;
    disconnect(&local, &whole, |local| local.engine.requests() == 1).await;
    let (service, operation) = local.settled(&arn).await;
    assert_eq!(operation["Status"], "SUCCEEDED");
    assert!(local.get(&service, "/").await.1.contains("app:v2"));
    let begun = Instant::now();
    let candidates = || local.engine.left().iter().filter(|role| *role == "candidate").count();
    until(|| candidates() == 1).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "the old instance is stopped at once");
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn call_whose_client_disconnects_is_carried_out_or_not() {
    let local = Local::new().await;
    let arn = arn(&local.create("nerava", "app:v1").await);
    local.settled(&arn).await;
    let body = json!({ "ServiceArn": arn, "SourceConfiguration": source("app:v2") }).to_string();
    let call = |length: usize| {
        format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1:{PORT}\r\nx-amz-target: AppRunner.UpdateService\r\n\
             content-length: {}\r\n\r\n{}",
            body.len(),
            &body[..length]
        )
    };
    // Half of a call is none.
    disconnect(&local, &call(body.len() / 2), |_| true).await;
    assert_eq!(local.settled(&arn).await.1["Type"], "CREATE_SERVICE");
    // One that is accepted is carried out, whoever waits for its answer.
    let is_under_way = |local: &Local| local.front.shared.books().state.under_way(&arn).is_some();
    disconnect(&local, &call(body.len()), is_under_way).await;
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&operation["Type"], &operation["Status"]), (&json!("UPDATE_SERVICE"), &json!("SUCCEEDED")));
    assert!(local.get(&service, "/").await.1.contains("app:v2"));
    // One that waits for the engine.
    let ecr = "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-amz-target: \
               AmazonEC2ContainerRegistry_V20150921.DescribeImages\r\ncontent-length: 56\r\n\r\n\
               {\"repositoryName\":\"app\",\"imageIds\":[{\"imageTag\":\"v1\"}]}  ";
    disconnect(&local, ecr, |_| true).await;
    // The live events of the page.
    let (mut ours, theirs) = tokio::io::duplex(64 << 10);
    let served = tokio::spawn(http::speak(local.front.clone(), theirs, false));
    ours.write_all(b"GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.expect("sent");
    let mut piece = [0; 16];
    ours.read_exact(&mut piece).await.expect("events");
    drop(ours);
    served.await.expect("the connection ends");
    local.close().await;
}
