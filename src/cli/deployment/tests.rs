use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::super::why::battery_of;
use super::*;
use crate::engine::Engine;
use crate::engine::fake::{Act, FakeEngine, Situation, exits, healthy};
use crate::model::answer::Answer;
use crate::model::observation::{ConnectAttempt, Fate, Observation};
use crate::model::search::{Search, SearchRequest};
use crate::model::{Candidate, Condition, Plan};
use crate::report::markdown;
use crate::report::why::text;
use crate::run::context::Options;
use crate::run::drivers;
use crate::run::rig::{Rig, Setup};
use crate::run::schedule::How;

const TELLINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/incident");

fn on() -> On {
    On { platform: None }
}

/// The evidence of a telling.
fn evidence(telling: &str) -> Evidence {
    let file = |name: &str| Path::new(TELLINGS).join(telling).join(name);
    Evidence {
        files: Files { service: Some(file("service.json")), update: Some(file("update.json")), ..Files::default() },
        log: vec![file("service.log")],
        operations: Some(file("operations.json")),
        arn: None,
        profile: None,
    }
}

/// What a call to the provider at import meets.
fn calls(situation: &Situation) -> Act {
    let is_dropped = situation.conditions.iter().any(|condition| condition.name() == "egress.drop");
    let no_name = situation.conditions.iter().any(|condition| condition.name().starts_with("dns."));
    let seen = Observation::Connect(ConnectAttempt {
        at_ms: 100.0,
        protocol: "tcp".to_owned(),
        address: [198, 18, 0, 1].into(),
        port: 443,
        name: Some("verify.twilio.com".to_owned()),
        fate: if is_dropped { Fate::Silent } else { Fate::Answered },
        sent: 1,
    });
    let asked = Observation::Dns(crate::model::observation::DnsQuestion {
        at_ms: 90.0,
        name: "verify.twilio.com".to_owned(),
        record: "A".to_owned(),
        answer: if no_name { "SERVFAIL" } else { "198.18.0.1" }.to_owned(),
        own: false,
    });
    let act = if no_name {
        exits(Duration::from_millis(200), 1, "socket.gaierror: [Errno -3] Temporary failure in name resolution")
    } else if is_dropped {
        exits(
            Duration::from_secs(3),
            1,
            "requests.exceptions.ConnectTimeout: HTTPSConnectionPool(host='verify.twilio.com')",
        )
    } else {
        healthy(8000)
    };
    let seen = if no_name { vec![asked] } else { vec![asked, seen] };
    Act { seen, ..act }
}

/// The bundled candidates, as far as the tellings need them.
fn acts(fixed: bool) -> impl Fn(&Situation) -> Act + Send + Sync {
    move |situation| {
        let value = |name: &str| situation.env.get(name).map(String::as_str);
        for name in ["DATABASE_URL", "JWT_SECRET", "ENV"] {
            if value(name).is_none() {
                return exits(Duration::from_millis(300), 1, &format!("KeyError: '{name}'"));
            }
        }
        if !fixed && value("ENV") == Some("production") {
            return exits(
                Duration::from_millis(300),
                1,
                "AttributeError: 'Settings' object has no attribute 'database_url'",
            );
        }
        if fixed && value("OTP_PROVIDER") == Some("twilio_verify") { calls(situation) } else { healthy(8000) }
    }
}

async fn why(telling: &str, image: &str, change: impl FnOnce(&mut Read)) -> (Answer, String) {
    let mut refusals = Vec::new();
    let mut read = evidence(telling).read(&on(), &mut refusals).expect("files");
    assert_eq!(refusals, Vec::<String>::new());
    change(&mut read);
    let engine = FakeEngine::new(true);
    engine.image(image, &[], Arc::new(acts(image.ends_with("fixed"))));
    let mut battery = battery_of(&apprunner(), &read.service, &read.deployment);
    // What the scripts do not know would only take time.
    let unknown = ["POSTHOG_KEY", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_VERIFY_SERVICE_SID"];
    let is_known = |c: &Condition| !c.variable().is_some_and(|variable| unknown.contains(&variable.name.as_str()));
    battery.conditions.retain(is_known);
    battery.forms.retain(is_known);
    let asked =
        SearchRequest { image: image.to_owned(), conditions: battery.conditions, named: Vec::new(), others: None };
    let search = Search {
        forms: battery.forms,
        confidence: 0.9,
        deployment: Some(Arc::new(read.deployment)),
        ..Search::new(&asked)
    };
    let facts = engine.inspect_image(image).await.expect("an image");
    let plan = Plan { searches: vec![search], ..Plan::new(read.service, vec![Candidate { facts }], []) };
    let state = tempfile::tempdir().expect("a folder");
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let info = engine.info().await.expect("an engine");
    let setup = Setup {
        state: state.path().to_owned(),
        jobs: 4,
        options: Options::default(),
        watchdog: false,
        // The scripted engine runs no program: any file will do.
        program: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()),
        mode: None,
    };
    let rig = Rig::open(engine, &info, setup).await.expect("a session");
    let how = How { room: 4.into(), ..How::from(1) };
    let finished = drivers::run(rig.context.clone(), Arc::new(plan), how, watch::channel(0).1, |_| {}).await;
    rig.close(false).await.expect("closed");
    // What broke the deployment comes before the list of everything that fails.
    let page = markdown::render(&finished.run);
    let at = |words: &str| page.find(words).unwrap_or_else(|| panic!("no {words}: {page}"));
    assert!(at("matches: ") < at("friendly conditions"), "{page}");
    let answer = finished.run.searches.values().next().expect("an answer").answer.clone();
    let said = anstream::adapter::strip_str(&text(&answer, &finished.executions, false)).to_string();
    (answer, two_parts(&said))
}

/// What broke the deployment and what else would fail, without how many runs that took: it depends on which end first.
fn two_parts(said: &str) -> String {
    let parts = said.split("\n\n  ruled out").next().unwrap_or(said);
    let is_count = |line: &&str| line.trim_start().starts_with("proof");
    let cut = |line: &str| line.split(" · ").next().unwrap_or(line).to_owned();
    let mut lines: Vec<String> = Vec::new();
    let mut in_proof = false;
    for line in parts.lines() {
        // The rest of the paragraph of the proof is indented further.
        in_proof = is_count(&line) || (in_proof && line.starts_with("           "));
        match (in_proof, is_count(&line)) {
            (true, true) => lines.push(cut(line)),
            (true, false) => {}
            (false, _) => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

#[tokio::test(start_paused = true)]
async fn egress_to_the_internet_leaves_the_architecture() {
    let (_, said) = why("public-egress", "nerava-backend:v20-otp-fix-fixed", |_| {}).await;
    insta::assert_snapshot!(said);
    // With the same digest, the next hypothesis.
    let same = |read: &mut Read| {
        read.deployment.pushed = Some("nerava-backend@sha256:nerava-backend:v20-otp-fix-fixed".to_owned());
    };
    let (answer, _) = why("public-egress", "nerava-backend:v20-otp-fix-fixed", same).await;
    let broke = answer.deployment.expect("one");
    assert!(broke.likely.iter().all(|suspect| !suspect.part.starts_with("static")), "{:?}", broke.likely);
}

#[tokio::test(start_paused = true)]
async fn vpc_connector_is_proved() {
    let (_, said) = why("vpc-without-nat", "nerava-backend:v20-otp-fix-fixed", |_| {}).await;
    insta::assert_snapshot!(said);
}

#[tokio::test(start_paused = true)]
async fn changed_variable_is_proved() {
    let (_, said) = why("production-mode", "nerava-backend:v20-otp-fix", |_| {}).await;
    insta::assert_snapshot!(said);
}

fn log_of(source: Source) -> Log {
    Log::of_text(source.name, &source.text)
}

#[test]
fn files_of_other_services_are_refused_together() {
    let name = |name: &str| Source { name: name.to_owned(), text: text_of(name), folder: PathBuf::from(".") };
    fn text_of(name: &str) -> String {
        std::fs::read_to_string(Path::new(TELLINGS).join("vpc-without-nat").join(name)).expect("a file")
    }
    let other = |mut source: Source, changes: &[(&str, &str)]| {
        source.text = changes.iter().fold(source.text, |text, (old, new)| text.replace(old, new));
        source
    };
    let said = |sources: &Sources| {
        let mut refusals = Vec::new();
        let _ = read(sources, &Files::default(), &on(), &mut refusals).expect("read");
        refusals.join("\n")
    };
    let good = || Sources {
        service: Some(name("service.json")),
        update: None,
        operations: Some(name("operations.json")),
        logs: vec![log_of(name("service.log"))],
        ..Sources::default()
    };
    assert_eq!(said(&good()), "");
    let log = other(name("service.log"), &[("nerava-backend", "billing"), ("4c0a9e7f", "00000000")]);
    let operations = other(name("operations.json"), &[("7b13e5d9a0c64f2ab8d7c61e94f0a358", "0123")]);
    let strangers = Sources { operations: Some(operations), logs: vec![log_of(log)], ..good() };
    insta::assert_snapshot!(said(&strangers));
    let bad = Sources {
        service: Some(other(name("service.json"), &[("ImageIdentifier", "Image")])),
        update: Some(other(name("service.json"), &[("\"Service\"", "\"Nothing\"")])),
        operations: Some(name("service.json")),
        logs: vec![log_of(other(name("service.json"), &[]))],
        ..Sources::default()
    };
    insta::assert_snapshot!(said(&bad));
    let succeeded = other(
        name("service.log"),
        &[("Your application stopped or failed to start.", "Service update completed successfully.")],
    );
    let done = Sources { logs: vec![log_of(succeeded)], ..good() };
    assert!(said(&done).contains("its last deployment succeeded"), "{}", said(&done));
}

#[test]
fn what_the_files_lack_is_said() {
    let file = |name: &str| Path::new(TELLINGS).join("vpc-without-nat").join(name);
    let log = std::fs::read_to_string(file("service.log")).expect("a file");
    let service = std::fs::read_to_string(file("service.json")).expect("a file");
    let notes = |service: &str, log: &str| {
        let source = |name: &str, text: &str| Source {
            name: name.to_owned(),
            text: text.to_owned(),
            folder: PathBuf::from("."),
        };
        let sources = Sources {
            service: Some(source("service.json", service)),
            logs: vec![log_of(source("service.log", log))],
            ..Sources::default()
        };
        let mut refusals = Vec::new();
        let read = read(&sources, &Files::default(), &on(), &mut refusals).expect("read");
        assert_eq!(refusals, Vec::<String>::new());
        read.deployment.notes.into_iter().filter(|note| note.starts_with("service.")).collect::<Vec<_>>()
    };
    assert_eq!(notes(&service, &log), Vec::<String>::new());
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(
        notes(&service, &lines[..6].join("\n")),
        ["service.log ends before its deployment does: how the deployment failed is not in it"]
    );
    assert_eq!(
        notes(&service, &lines[5..].join("\n")),
        ["service.log begins within its deployment: which image that was is not in it"]
    );
    assert_eq!(
        notes(&service.replace("2025-12-01T10:22", "2025-11-20T08:05"), &log),
        ["service.json is older than the deployment in service.log: it was last changed at \
          2025-11-20T08:05:40.500000+00:00. exitone assumes that it still applies; to be sure, save it again with \
          `aws apprunner describe-service`."]
    );
}
