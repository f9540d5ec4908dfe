//! The whole server on the scripted engine, with a paused clock: HTTP over streams in memory.

mod disconnects;
mod edge;
mod platform;
mod refusals;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::engine::Engine;
use crate::engine::fake::{Act, FakeEngine, Situation, exits, healthy};
use crate::holder::authority::new_authority;
use crate::run::context::Options;
use crate::run::rig::{self, Rig};

/// A server and its engine.
struct Local {
    front: Arc<Front>,
    engine: FakeEngine,
    rig: Rig,
    deployer: JoinHandle<()>,
    end: watch::Sender<bool>,
    folder: tempfile::TempDir,
}

const PORT: u16 = 8765;
/// A service to begin with, and its custom domain.
const ARN: &str = "arn:aws:apprunner:us-east-1:123456789012:service/seeded/0123456789abcdef0123456789abcdef";
const DOMAIN: &str = "api.example.com";

fn place() -> Place {
    let domains = BTreeMap::from([(DOMAIN.to_owned(), ARN.to_owned())]);
    Place { account: "123456789012".to_owned(), region: "us-east-1".to_owned(), port: PORT, domains }
}

/// A candidate that serves unless egress is blocked.
fn needs_egress(situation: &Situation) -> Act {
    let blocked = situation.conditions.iter().any(|condition| condition.name() == "egress.drop");
    if blocked { exits(Duration::from_secs(2), 1, "no answer from verify.twilio.com") } else { healthy(8000) }
}

impl Local {
    async fn new() -> Self {
        Self::behaving(Platform::default()).await
    }

    async fn behaving(platform: Platform) -> Self {
        let engine = FakeEngine::new(true);
        engine.image("app:v1", &[], Arc::new(|_: &Situation| healthy(8000)));
        engine.image("app:v2", &[], Arc::new(needs_egress));
        engine.image("app:broken", &[], Arc::new(|_: &Situation| exits(Duration::from_secs(1), 1, "boom")));
        let folder = tempfile::tempdir().expect("a folder");
        Self::with(engine, folder, platform).await
    }

    async fn on(engine: FakeEngine, folder: tempfile::TempDir) -> Self {
        Self::with(engine, folder, Platform::default()).await
    }

    async fn with(engine: FakeEngine, folder: tempfile::TempDir, platform: Platform) -> Self {
        let shared_engine: Arc<dyn Engine> = Arc::new(engine.clone());
        let info = shared_engine.info().await.expect("an engine");
        let setup = rig::Setup {
            state: folder.path().join("sessions"),
            jobs: 4,
            options: Options::default(),
            watchdog: false,
            program: None,
            mode: None,
        };
        let rig = Rig::open(shared_engine.clone(), &info, setup).await.expect("a session");
        let books = Books::open(&folder.path().join("serve")).expect("a state folder");
        let (shared, orders) = Shared::new(place(), books);
        resume(&shared).expect("resumed");
        let signer = Signer::new(&new_authority().expect("an authority").key).expect("a signer");
        let front = Arc::new(Front { shared: shared.clone(), engine: shared_engine, signer });
        let (end, ending) = watch::channel(false);
        let mut deployer = Deployer::new(shared, rig.context.clone(), 4.into(), World::default(), platform);
        deployer.maintain();
        let deployer = tokio::spawn(deployer.run(orders, ending));
        Self { front, engine, rig, deployer, end, folder }
    }

    /// Ends the server; its folder and its engine stay.
    async fn close(self) -> (FakeEngine, tempfile::TempDir) {
        self.end.send_replace(true);
        self.deployer.await.expect("ended");
        drop(self.front);
        self.rig.close(true).await.expect("closed");
        assert_eq!(self.engine.left(), Vec::<String>::new());
        (self.engine, self.folder)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let served = tokio::spawn(http::speak(self.front.clone(), theirs, false));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(ours)).await.expect("a connection");
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        drop(sender);
        connection.await.expect("ended").expect("well");
        served.await.expect("ended");
        (status, body)
    }

    /// A call that may be refused.
    async fn try_call(&self, target: &str, body: Json) -> Result<Json, Json> {
        let request = Request::post("/").header("host", format!("127.0.0.1:{PORT}")).header("x-amz-target", target);
        let request = request.body(Full::new(Bytes::from(body.to_string()))).expect("a request");
        let (status, answer) = self.send(request).await;
        let answer = serde_json::from_slice(&answer).expect("JSON");
        if status == StatusCode::OK { Ok(answer) } else { Err(answer) }
    }

    async fn call(&self, operation: &str, body: Json) -> Json {
        self.try_call(&format!("AppRunner.{operation}"), body).await.expect("accepted")
    }

    async fn logs(&self, group: &str, stream: &str) -> Vec<String> {
        let body = json!({ "logGroupName": group, "logStreamName": stream, "startFromHead": true });
        let answer = self.try_call("Logs_20140328.GetLogEvents", body).await.expect("a stream");
        let events = answer["events"].as_array().expect("a list").clone();
        events.iter().map(|event| event["message"].as_str().expect("text").to_owned()).collect()
    }

    async fn get(&self, service: &Json, path: &str) -> (StatusCode, String) {
        let host = service["ServiceUrl"].as_str().expect("an address");
        let request = Request::get(path).header("host", host).body(Full::default()).expect("a request");
        let (status, body) = self.send(request).await;
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// Waits until no operation of a service is under way, and returns the service and its newest operation.
    async fn settled(&self, arn: &str) -> (Json, Json) {
        let begun = Instant::now();
        loop {
            let service = self.call("DescribeService", json!({ "ServiceArn": arn })).await["Service"].clone();
            if service["Status"] != "OPERATION_IN_PROGRESS" {
                let all = self.call("ListOperations", json!({ "ServiceArn": arn })).await;
                return (service, all["OperationSummaryList"][0].clone());
            }
            assert!(begun.elapsed() < Duration::from_secs(600), "{service:#}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a service answers.
    async fn serves(&self, service: &Json) {
        let begun = Instant::now();
        while self.get(service, "/").await.0 != StatusCode::OK {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not serve: {service:#}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn create(&self, name: &str, image: &str) -> Json {
        self.call("CreateService", json!({ "ServiceName": name, "SourceConfiguration": source(image) })).await
    }
}

fn source(image: &str) -> Json {
    json!({ "ImageRepository": {
        "ImageIdentifier": format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/{image}"),
        "ImageRepositoryType": "ECR",
        "ImageConfiguration": { "Port": "8000" },
    } })
}

fn arn(answer: &Json) -> String {
    answer["Service"]["ServiceArn"].as_str().expect("an ARN").to_owned()
}

fn through_vpc() -> Json {
    let connector = "arn:aws:apprunner:us-east-1:123456789012:vpcconnector/net/1/0123456789abcdef0123456789abcdef";
    json!({ "EgressConfiguration": { "EgressType": "VPC", "VpcConnectorArn": connector } })
}

#[tokio::test(start_paused = true)]
async fn deployment_that_fails_rolls_back_while_the_old_version_serves() {
    let local = Local::new().await;
    let created = local.create("nerava", "app:v1").await;
    let arn = arn(&created);
    assert_eq!(created["Service"]["Status"], "OPERATION_IN_PROGRESS");
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&service["Status"], &operation["Status"]), (&json!("RUNNING"), &json!("SUCCEEDED")));
    let (status, body) = local.get(&service, "/health").await;
    assert_eq!((status, body.contains("app:v1 /health")), (StatusCode::OK, true), "{body}");
    let update =
        json!({ "ServiceArn": arn, "SourceConfiguration": source("app:v2"), "NetworkConfiguration": through_vpc() });
    let updated = local.call("UpdateService", update.clone()).await;
    let id = updated["OperationId"].as_str().expect("an id");
    assert!(
        updated["Service"]["SourceConfiguration"]["ImageRepository"]["ImageIdentifier"]
            .as_str()
            .is_some_and(|name| name.ends_with("app:v2"))
    );
    let second = local.try_call("AppRunner.UpdateService", update).await.expect_err("busy");
    assert_eq!(second["__type"], "InvalidStateException");
    let (status, body) = local.get(&service, "/health").await;
    assert_eq!((status, body.contains("app:v1")), (StatusCode::OK, true), "the old version serves");
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&service["Status"], &operation["Status"]), (&json!("RUNNING"), &json!("ROLLBACK_SUCCEEDED")));
    assert!(
        service["SourceConfiguration"]["ImageRepository"]["ImageIdentifier"]
            .as_str()
            .is_some_and(|name| name.ends_with("app:v1"))
    );
    assert_eq!(service["NetworkConfiguration"]["EgressConfiguration"]["EgressType"], "DEFAULT");
    let group = format!("/aws/apprunner/nerava/{}/service", service["ServiceId"].as_str().expect("an id"));
    let lines = local.logs(&group, &format!("deployment/{id}")).await;
    insta::assert_snapshot!(lines.join("\n").replace(id, "ID"));
    let events = local.logs(&group, "events").await;
    assert_eq!(events.last().map(String::as_str), Some("[AppRunner] Service status is set to RUNNING."));
    let ours = local.logs(&group, &format!("exitone/{id}")).await;
    assert!(ours.iter().any(|line| line.contains("egress.drop")), "{ours:#?}");
    let application = group.replace("/service", "/application");
    let streams = local
        .try_call("Logs_20140328.DescribeLogStreams", json!({ "logGroupName": application }))
        .await
        .expect("a group");
    let name = streams["logStreams"][0]["logStreamName"].as_str().expect("a stream");
    assert_eq!(local.logs(&application, name).await, ["no answer from verify.twilio.com"]);
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn new_version_takes_over_and_the_old_one_is_removed() {
    let local = Local::new().await;
    let arn = arn(&local.create("nerava", "app:v1").await);
    local.settled(&arn).await;
    local.call("UpdateService", json!({ "ServiceArn": arn, "SourceConfiguration": source("app:v2") })).await;
    let (service, operation) = local.settled(&arn).await;
    assert_eq!(operation["Status"], "SUCCEEDED");
    assert!(local.get(&service, "/").await.1.contains("app:v2"));
    local.call("PauseService", json!({ "ServiceArn": arn })).await;
    let (service, _) = local.settled(&arn).await;
    assert_eq!(service["Status"], "PAUSED");
    assert_eq!(local.get(&service, "/").await.0, StatusCode::SERVICE_UNAVAILABLE);
    local.call("ResumeService", json!({ "ServiceArn": arn })).await;
    let (service, _) = local.settled(&arn).await;
    assert_eq!((&service["Status"], local.get(&service, "/").await.0), (&json!("RUNNING"), StatusCode::OK));
    local.call("DeleteService", json!({ "ServiceArn": arn })).await;
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&service["Status"], &operation["Type"]), (&json!("DELETED"), &json!("DELETE_SERVICE")));
    assert_eq!(local.call("ListServices", json!({})).await["ServiceSummaryList"], json!([]));
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn creation_that_fails_leaves_a_service_to_be_rebuilt() {
    let local = Local::new().await;
    let arn = arn(&local.create("nerava", "app:broken").await);
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&service["Status"], &operation["Status"]), (&json!("CREATE_FAILED"), &json!("FAILED")));
    let missing = json!({ "ServiceArn": arn, "SourceConfiguration": source("app:absent") });
    let id = local.call("UpdateService", missing).await["OperationId"].as_str().expect("an id").to_owned();
    let (service, _) = local.settled(&arn).await;
    let group = format!("/aws/apprunner/nerava/{}/service", service["ServiceId"].as_str().expect("an id"));
    let lines = local.logs(&group, &format!("deployment/{id}")).await;
    assert!(lines.iter().any(|line| line.ends_with("Failed to deploy your application image.")), "{lines:#?}");
    local.call("UpdateService", json!({ "ServiceArn": arn, "SourceConfiguration": source("app:v1") })).await;
    assert_eq!(local.settled(&arn).await.0["Status"], "RUNNING");
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn services_run_again_after_a_restart() {
    let local = Local::new().await;
    let arn = arn(&local.create("nerava", "app:v1").await);
    local.settled(&arn).await;
    local.call("UpdateService", json!({ "ServiceArn": arn, "SourceConfiguration": source("app:v2") })).await;
    let (engine, folder) = local.close().await;
    let local = Local::on(engine, folder).await;
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&service["Status"], &operation["Status"]), (&json!("RUNNING"), &json!("ROLLBACK_SUCCEEDED")));
    local.serves(&service).await;
    assert!(local.get(&service, "/").await.1.contains("app:v1"));
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn new_image_under_the_same_name_is_deployed() {
    let local = Local::new().await;
    let arn = arn(&local.create("nerava", "app:v1").await);
    local.settled(&arn).await;
    // The same image again is nothing new.
    local.engine.tag_image("app:v1", "app:v1").await.expect("tagged");
    local.engine.tag_image("app:v2", "app:v1").await.expect("tagged");
    sleep(Duration::from_secs(30)).await;
    let (service, operation) = local.settled(&arn).await;
    assert_eq!((&operation["Type"], &operation["Status"]), (&json!("START_DEPLOYMENT"), &json!("SUCCEEDED")));
    assert_eq!(
        local.call("ListOperations", json!({ "ServiceArn": arn })).await["OperationSummaryList"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(local.get(&service, "/").await.0, StatusCode::OK);
    local.close().await;
}

/// The version that runs again after a restart may be healthy before or after the one that is deployed meanwhile.
#[tokio::test(start_paused = true)]
async fn newest_version_serves_whichever_is_healthy_first() {
    for (again, next) in [(1, 6), (6, 1)] {
        let engine = FakeEngine::new(true);
        for (name, seconds) in [("app:v1", again), ("app:v2", next)] {
            let open = Duration::from_secs(seconds);
            let mut act = healthy(8000);
            act.listens = act.listens.map(|(_, address, port)| (open, address, port));
            act.status.0 = open;
            engine.image(name, &[], Arc::new(move |_: &Situation| act.clone()));
        }
        let local = Local::on(engine, tempfile::tempdir().expect("a folder")).await;
        let arn = arn(&local.create("nerava", "app:v1").await);
        local.settled(&arn).await;
        let (engine, folder) = local.close().await;
        let local = Local::on(engine, folder).await;
        local.call("UpdateService", json!({ "ServiceArn": arn, "SourceConfiguration": source("app:v2") })).await;
        let (service, operation) = local.settled(&arn).await;
        assert_eq!(operation["Status"], "SUCCEEDED");
        for _ in 0..20 {
            assert!(local.get(&service, "/").await.1.contains("app:v2"), "{again} s against {next} s");
            sleep(Duration::from_secs(1)).await;
        }
        local.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn instance_that_dies_is_replaced() {
    let engine = FakeEngine::new(true);
    let act = Act { exits: Some((Duration::from_secs(30), 1)), ..healthy(8000) };
    engine.image("app:v1", &[], Arc::new(move |_: &Situation| act.clone()));
    let local = Local::on(engine, tempfile::tempdir().expect("a folder")).await;
    let arn = arn(&local.create("nerava", "app:v1").await);
    let (service, _) = local.settled(&arn).await;
    let mut seen = Vec::new();
    for _ in 0..60 {
        seen.push(local.get(&service, "/").await.0 == StatusCode::OK);
        sleep(Duration::from_secs(1)).await;
    }
    let changes = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(seen[0] && changes >= 2, "it serves, is gone, and serves again: {seen:?}");
    assert_eq!(local.settled(&arn).await.0["Status"], "RUNNING");
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn custom_domain_leads_to_its_service() {
    let engine = FakeEngine::new(true);
    engine.image("app:v1", &[], Arc::new(|_: &Situation| healthy(8000)));
    let folder = tempfile::tempdir().expect("a folder");
    let described = json!({
        "ServiceName": "seeded", "ServiceArn": ARN, "ServiceUrl": "abcdefghij.us-east-1.awsapprunner.com",
        "SourceConfiguration": source("app:v1"),
    });
    let seed = seed::read(&described.to_string(), 0).expect("a seed");
    Books::open(&folder.path().join("serve")).expect("opened").change(seed.changes).expect("written");
    let local = Local::on(engine, folder).await;
    local.serves(&json!({ "ServiceUrl": DOMAIN })).await;
    for host in ["API.example.com:443", "abcdefghij.us-east-1.awsapprunner.com"] {
        let (status, body) = local.get(&json!({ "ServiceUrl": host }), "/health").await;
        assert_eq!((status, body.contains("app:v1 /health")), (StatusCode::OK, true), "{host}: {body}");
    }
    assert_eq!(local.get(&json!({ "ServiceUrl": "other.example.com" }), "/").await.0, StatusCode::FORBIDDEN);
    let domains = local.call("DescribeCustomDomains", json!({ "ServiceArn": ARN })).await;
    assert_eq!(domains["CustomDomains"][0]["DomainName"], DOMAIN);
    local.close().await;
}
