//! The whole program against the scripted engine, with a paused clock: a day of waiting takes no time.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::support::{candidates, close, open};
use exitone::engine::EngineError;
use exitone::engine::fake::{Act, FakeEngine, Faults, Script, exits, healthy};
use exitone::event::{Event, Stamped};
use exitone::model::observation::{Contention, Observation, Usage};
use exitone::model::outcome::{FailureClass, OperationStatus, Phase, ServiceStatus};
use exitone::model::service::HttpCheck;
use exitone::model::{CaseResult, ConditionSet, Outcome, Plan, Service, Verdict};
use exitone::run::context::Options;
use exitone::run::drivers::{self, Finished};
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);

/// App Runner's defaults with an HTTP check: every 5 s, five failures.
fn service() -> Service {
    let mut service = super::support::service(&["DATABASE_URL"]);
    service.health_check.path = "/healthz".to_owned();
    service
}

fn script(act: impl Fn(&exitone::engine::fake::Situation) -> Act + Send + Sync + 'static) -> Script {
    Arc::new(act)
}

fn set(conditions: &[&str]) -> ConditionSet {
    ConditionSet::new(conditions.iter().map(|c| c.parse().expect("a condition"))).expect("a set")
}

struct World {
    engine: FakeEngine,
    state: tempfile::TempDir,
    options: Options,
    jobs: usize,
}

impl World {
    fn new() -> Self {
        Self::of(FakeEngine::new(true))
    }

    fn of(engine: FakeEngine) -> Self {
        let state = tempfile::tempdir().expect("a temporary folder");
        Self { engine, state, options: Options::default(), jobs: 4 }
    }

    async fn run(&self, service: Service, images: &[&str], sets: &[ConditionSet]) -> (Finished, Vec<Stamped>) {
        self.run_interrupted(service, images, sets, watch::channel(0).1).await
    }

    async fn run_interrupted(
        &self,
        service: Service,
        images: &[&str],
        sets: &[ConditionSet],
        interrupts: watch::Receiver<u32>,
    ) -> (Finished, Vec<Stamped>) {
        let candidates = candidates(&self.engine, images).await;
        let pairs = sets.iter().flat_map(|s| images.iter().map(move |i| (i, s)));
        let pairs: Vec<_> = pairs.map(|(image, set)| ((*image).to_owned(), set.clone())).collect();
        let plan = Plan::new(service, candidates, pairs);
        let rig = open(&self.engine, self.state.path(), self.jobs, self.options.clone()).await;
        let mut events = Vec::new();
        let finished =
            drivers::run(rig.context.clone(), Arc::new(plan), self.jobs, interrupts, |e| events.push(e.clone())).await;
        close(rig, &self.engine, false).await;
        (finished, events)
    }

    async fn one(&self, service: Service, conditions: &[&str]) -> CaseResult {
        let (finished, _) = self.run(service, &["app:1"], &[set(conditions)]).await;
        Arc::unwrap_or_clone(finished.results.into_iter().next().expect("a result"))
    }
}

#[tokio::test(start_paused = true)]
async fn healthy_image_passes_when_its_port_opens() {
    let world = World::new();
    world.engine.image("app:1", &[], script(|_| healthy(8000)));
    let result = world.one(service(), &[]).await;
    assert_eq!(
        (result.verdict, result.outcome.clone(), result.phase),
        (Verdict::Pass, Some(Outcome::Healthy), Phase::Soak)
    );
    assert_eq!(result.healthy_ms, Some(300.0));
    assert_eq!(result.total_ms, 1300.0, "0.3 s to open, 1 s of soak");
    assert_eq!(result.operation_status, Some(OperationStatus::Succeeded));
    assert_eq!(result.notes.len(), 1, "{:?}", result.notes);
}

#[tokio::test(start_paused = true)]
async fn real_time_follows_the_platform_schedule() {
    let mut world = World::new();
    world.options.real_time = true;
    world.engine.image("app:1", &[], script(|_| healthy(8000)));
    let result = world.one(service(), &[]).await;
    assert_eq!(result.healthy_ms, Some(5000.0));
    assert!(result.notes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn exit_is_detected_immediately_with_code_and_log() {
    let world = World::new();
    world.engine.image("app:1", &[], script(|_| exits(SECOND, 1, "ModuleNotFoundError: No module named 'x'")));
    let result = world.one(service(), &[]).await;
    assert_eq!((result.verdict, result.class, result.exit_code), (Verdict::Fail, Some(FailureClass::B), Some(1)));
    assert_eq!(result.exited_ms, Some(1000.0));
    assert_eq!(result.evidence.log_tail, ["ModuleNotFoundError: No module named 'x'"]);
    assert_eq!(result.causes[0].id, "missing-dependency");
    assert_eq!(result.operation_status, Some(OperationStatus::RollbackSucceeded));
    assert!(result.apprunner_log.iter().any(|l| l.ends_with("See logs for more information.  Container exit code: 1")));
}

#[tokio::test(start_paused = true)]
async fn first_deployment_has_nothing_to_roll_back_to() {
    let mut world = World::new();
    world.options.first = true;
    world.engine.image("app:1", &[], script(|_| exits(SECOND, 0, "done")));
    let result = world.one(service(), &[]).await;
    assert_eq!((result.verdict, result.exit_code), (Verdict::Fail, Some(0)), "an end is a failure, whatever its code");
    assert_eq!(
        (result.operation_status, result.service_status),
        (Some(OperationStatus::Failed), Some(ServiceStatus::CreateFailed))
    );
}

#[tokio::test(start_paused = true)]
async fn distinguishes_class_c_failures() {
    let world = World::new();
    let minute = |act: Act| Act { exits: Some((60 * SECOND, 0)), ..act };
    let listens = |address: Ipv4Addr, port| Some((SECOND, IpAddr::V4(address), port));
    // Five probes, five seconds apart: the platform gives up after 25 s.
    for (act, outcome, cause) in [
        (Act::default(), Outcome::NeverListened, Some("never-listened")),
        (
            Act { listens: listens(Ipv4Addr::UNSPECIFIED, 4001), ..Act::default() },
            Outcome::NeverListened,
            Some("port-mismatch"),
        ),
        (
            Act { listens: listens(Ipv4Addr::LOCALHOST, 8000), ..Act::default() },
            Outcome::NeverListened,
            Some("bound-to-loopback"),
        ),
        (Act { status: (SECOND, 404), ..healthy(8000) }, Outcome::Unhealthy, Some("probe-status")),
    ] {
        let act = minute(act);
        world.engine.image("app:1", &[], script(move |_| act.clone()));
        let result = world.one(service(), &[]).await;
        assert_eq!((result.class, result.outcome), (Some(FailureClass::C), Some(outcome.clone())));
        assert_eq!(result.causes.first().map(|c| c.id.as_str()), cause, "{outcome:?}");
        assert!((25_000.0..25_300.0).contains(&result.total_ms), "{}", result.total_ms);
    }
}

#[tokio::test(start_paused = true)]
async fn start_passes_within_the_limit_only() {
    let world = World::new();
    for (opens, verdict) in [(24, Verdict::Pass), (26, Verdict::Fail)] {
        let act = Act {
            listens: Some((opens * SECOND, IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8000)),
            status: (opens * SECOND, 200),
            ..Act::default()
        };
        world.engine.image("app:1", &[], script(move |_| act.clone()));
        assert_eq!(world.one(service(), &[]).await.verdict, verdict, "opens after {opens} s");
    }
}

#[tokio::test(start_paused = true)]
async fn exit_during_the_soak_is_a_failure() {
    let world = World::new();
    world.engine.image("app:1", &[], script(|_| Act { exits: Some((800 * SECOND / 1000, 3)), ..healthy(8000) }));
    let result = world.one(service(), &[]).await;
    assert_eq!((result.outcome, result.exit_code, result.phase), (Some(Outcome::Exited), Some(3), Phase::Soak));
}

#[tokio::test(start_paused = true)]
async fn distinguishes_oom_and_signals_from_exits() {
    let world = World::new();
    let over = |s: &exitone::engine::fake::Situation| match s.memory {
        Some(_) => Act { oom: true, ..exits(SECOND, 137, "") },
        None => exits(SECOND, 139, ""),
    };
    world.engine.image("app:1", &[], script(over));
    let (killed, fault) = (world.one(service(), &["memory.limit:64m"]).await, world.one(service(), &[]).await);
    assert_eq!(
        (killed.outcome, killed.oom, killed.causes[0].id.as_str()),
        (Some(Outcome::OomKilled), true, "out-of-memory")
    );
    assert_eq!((fault.outcome.clone(), fault.cell()), (Some(Outcome::Signalled), "signal 11".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn oom_kill_is_detected_although_the_engine_missed_it() {
    for (code, oom_kills, oom_kills_at_end, oom, outcome) in [
        (137, 1, 0, true, Outcome::OomKilled),
        (137, 0, 2, true, Outcome::OomKilled),
        (137, 0, 0, false, Outcome::Signalled),
        // The killed process may be another's, and one that exits by itself was not killed.
        (1, 0, 2, false, Outcome::Exited),
        // A worker was killed.
        (1, 1, 0, true, Outcome::Exited),
    ] {
        let world = World::new();
        let seen = vec![Observation::Usage(Usage { oom_kills, oom_kills_at_end, ..Usage::default() })];
        world.engine.image("app:1", &[], script(move |_| Act { seen: seen.clone(), ..exits(SECOND, code, "") }));
        let ended = world.one(service(), &["memory.limit:64m"]).await;
        let is_told = ended.causes[0].id == "out-of-memory";
        assert_eq!(is_told, outcome == Outcome::OomKilled, "{:?}", ended.causes);
        assert_eq!((ended.oom, ended.outcome), (oom, Some(outcome)));
    }
}

#[tokio::test(start_paused = true)]
async fn conditions_reach_the_candidate() {
    let world = World::new();
    let act = |s: &exitone::engine::fake::Situation| {
        let drop = s.conditions.contains(&"egress.drop".parse().expect("a condition"));
        let wrong = drop && s.env.get("A").is_some_and(|v| v == "1") && !s.env.contains_key("DATABASE_URL");
        if wrong && !s.env.contains_key("FROM_IMAGE") && s.env["PORT"] == "8000" {
            exits(SECOND, 7, "x")
        } else {
            healthy(8000)
        }
    };
    world.engine.image("app:1", &["FROM_IMAGE=1", "PORT=9"], script(act));
    let with = ["egress.drop", "env.set:A=1", "env.unset:DATABASE_URL", "env.unset:FROM_IMAGE"];
    assert_eq!(world.one(service(), &with).await.exit_code, Some(7));
    assert_eq!(world.one(service(), &with[..3]).await.verdict, Verdict::Pass);
}

#[tokio::test(start_paused = true)]
async fn judges_requests_after_healthy() {
    let world = World::new();
    world.engine.image("app:1", &[], script(|_| healthy(8000)));
    let mut service = service();
    let check = |json: serde_json::Value| HttpCheck {
        name: "OTP".to_owned(),
        method: "POST".to_owned(),
        path: "/otp".to_owned(),
        headers: BTreeMap::new(),
        body: None,
        status: 200,
        json: Some(json),
        within: SECOND,
    };
    service.checks = vec![check(serde_json::json!({}))];
    assert_eq!(world.one(service.clone(), &[]).await.verdict, Verdict::Pass);
    service.checks.push(check(serde_json::json!({"otp_sent": true})));
    let result = world.one(service, &[]).await;
    assert_eq!((result.verdict, result.class), (Verdict::Fail, None), "the deployment itself succeeds");
    assert_eq!(result.cell(), "healthy, OTP fails");
    assert_eq!(result.operation_status, Some(OperationStatus::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn judges_another_architecture_without_a_run() {
    let world = World::new();
    world.engine.image_of("app:1", "arm64", &[], script(|_| panic!("it must not be run")));
    let result = world.one(service(), &["egress.drop"]).await;
    assert_eq!(
        (result.verdict, result.exit_code, result.causes[0].id.as_str()),
        (Verdict::Fail, Some(1), "arch-mismatch")
    );
    world.engine.image("app:1", &[], script(|_| panic!("it must not be run")));
    let result = world.one(service(), &["arch.mismatch"]).await;
    assert_eq!((result.verdict, result.cell()), (Verdict::Pass, "not exercised".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn removes_secrets_from_the_log() {
    let world = World::new();
    let act = |s: &exitone::engine::fake::Situation| exits(SECOND, 1, &format!("input_value={}", s.env["JWT_SECRET"]));
    world.engine.image("app:1", &[], script(act));
    let mut service = service();
    service.env.insert("JWT_SECRET".to_owned(), "hunter2-hunter2".to_owned());
    let result = world.one(service, &["env.set:API_TOKEN=another-secret"]).await;
    assert_eq!(result.evidence.log_tail, ["input_value=‹redacted›"]);
    let everything = format!("{} {result:?}", serde_json::to_string(&result).expect("serialises"));
    assert!(!everything.contains("hunter2") && !everything.contains("another-secret"));
}

fn broken() -> EngineError {
    EngineError::Broken { action: "x".to_owned(), message: "it broke".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn infrastructure_failure_is_never_a_verdict() {
    for operation in ["create", "attach", "start", "state"] {
        let world = World::new();
        world.engine.image("app:1", &[], script(|_| exits(SECOND, 1, "x")));
        let errors = HashMap::from([(operation, broken())]);
        // The state is asked for where an event does not tell it.
        world.engine.set_faults(Faults { errors, bare_events: true, ..Faults::default() });
        let result = world.one(service(), &[]).await;
        assert_eq!(
            (result.verdict, result.outcome, result.exit_code),
            (Verdict::Unresolved, None, None),
            "{operation}"
        );
        assert!(result.notes[0].contains("it broke"), "{operation}: {:?}", result.notes);
    }
    for faults in [
        // The message alone skips nothing.
        Faults { holder: Some("host cannot: ipv6.off".to_owned()), ..Faults::default() },
        Faults { holder_ends: true, ..Faults::default() },
    ] {
        let world = World::new();
        world.engine.image("app:1", &[], script(|_| healthy(8000)));
        world.engine.set_faults(faults);
        let result = world.one(service(), &["egress.drop"]).await;
        assert_eq!((result.verdict, result.skipped, result.cannot_impose), (Verdict::Unresolved, None, None));
    }
}

#[tokio::test(start_paused = true)]
async fn reports_a_condition_that_cannot_be_imposed() {
    let world = World::new();
    world.engine.image("app:1", &[], script(|_| healthy(8000)));
    let cannot_impose = vec!["ipv6.off".parse().expect("a condition")];
    world.engine.set_faults(Faults { cannot_impose: cannot_impose.clone(), ..Faults::default() });
    let result = world.one(service(), &["egress.drop", "ipv6.off"]).await;
    assert_eq!((result.verdict, result.cannot_impose), (Verdict::Unresolved, cannot_impose.first().cloned()));
    assert_eq!(result.skipped.as_deref(), Some("host cannot: ipv6.off: the kernel refused"));
    assert_eq!(world.one(service(), &["egress.drop"]).await.verdict, Verdict::Pass);
}

#[tokio::test(start_paused = true)]
async fn image_that_cannot_start_fails() {
    let world = World::new();
    world.engine.image("app:1", &[], script(|_| healthy(8000)));
    let message = "exec: \"nope\": executable file not found in $PATH".to_owned();
    let error = EngineError::CannotStart { exit_code: Some(127), message };
    world.engine.set_faults(Faults { errors: HashMap::from([("start", error)]), ..Faults::default() });
    let result = world.one(service(), &[]).await;
    assert_eq!((result.verdict, result.class, result.exit_code), (Verdict::Fail, Some(FailureClass::A), Some(127)));
    assert!(result.causes[0].text.contains("nope"));
}

#[tokio::test(start_paused = true)]
async fn session_that_cannot_open_leaves_nothing() {
    let world = World::new();
    world.engine.set_faults(Faults { errors: HashMap::from([("load_image", broken())]), ..Faults::default() });
    let opened = super::support::try_open(&world.engine, world.state.path(), 2, Options::default()).await;
    assert!(opened.is_err());
    assert_eq!(world.engine.left(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn parallel_cases_are_reported_in_plan_order() {
    let world = World::new();
    let act = |s: &exitone::engine::fake::Situation| match s.env.get("N").and_then(|n| n.parse::<u64>().ok()) {
        Some(n) if n.is_multiple_of(2) => exits(Duration::from_millis(100 * n), i64::try_from(n).expect("small"), "x"),
        _ => healthy(8000),
    };
    world.engine.image("app:1", &[], script(act));
    let sets: Vec<ConditionSet> = (1..=20).map(|n| set(&[&format!("env.set:N={n}")])).collect();
    let (finished, events) = world.run(service(), &["app:1"], &sets).await;
    assert_eq!(finished.summary.cases, 20);
    assert_eq!((finished.summary.passed, finished.summary.failed), (10, 10));
    let order: Vec<ConditionSet> = finished.results.iter().map(|r| r.conditions.clone()).collect();
    assert_eq!(order, sets);
    for (n, result) in (1..=20).zip(&finished.results) {
        assert_eq!(result.exit_code, (n % 2 == 0).then_some(n));
    }
    assert_eq!(world.engine.most_running(), 4);
    assert!(events.iter().enumerate().all(|(i, e)| e.seq == i as u64), "events count without a gap");
    assert!(matches!(events.first().map(|e| &e.event), Some(Event::RunStarted(header)) if header.cases.len() == 20));
    assert!(matches!(events.last().map(|e| &e.event), Some(Event::RunFinished { .. })));
}

#[tokio::test(start_paused = true)]
async fn engine_that_keeps_namespaces_gets_a_holder_per_run() {
    let world = World::of(FakeEngine::new(false));
    world.engine.image("app:1", &[], script(|_| healthy(8000)));
    let sets: Vec<ConditionSet> = (1..=6).map(|n| set(&[&format!("env.set:N={n}")])).collect();
    let (finished, _) = world.run(service(), &["app:1"], &sets).await;
    assert_eq!(finished.summary.passed, 6);
}

#[tokio::test(start_paused = true)]
async fn first_interrupt_drains_and_second_aborts() {
    for (asked, expected) in [(1, 2), (2, 0)] {
        let mut world = World::new();
        world.jobs = 2;
        world.engine.image("app:1", &[], script(|_| Act { status: (20 * SECOND, 200), ..healthy(8000) }));
        let sets: Vec<ConditionSet> = (1..=6).map(|n| set(&[&format!("env.set:N={n}")])).collect();
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            tokio::time::sleep(10 * SECOND).await;
            for _ in 0..asked {
                sender.send_modify(|n| *n += 1);
                tokio::time::sleep(SECOND).await;
            }
            sender.closed().await;
        });
        let (finished, events) = world.run_interrupted(service(), &["app:1"], &sets, receiver).await;
        assert_eq!((finished.results.len(), finished.cut), (expected, asked > 1), "asked {asked} times");
        assert_eq!(events.iter().filter(|e| matches!(e.event, Event::Draining { .. })).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn kills_a_candidate_that_ignores_sigterm() {
    let world = World::new();
    world.engine.image("app:1", &[], script(|_| Act { deaf: true, ..healthy(8000) }));
    assert_eq!(world.one(service(), &[]).await.verdict, Verdict::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_lost_engine_ends_the_run_with_its_cause() {
    let gone = EngineError::NoEngine { host: "unix:///run/engine.sock".to_owned(), cause: "refused".to_owned() };
    let dies = Faults { errors: HashMap::from([("clock_us", gone)]), ..Faults::default() };
    let hangs = Faults { hangs: true, ..Faults::default() };
    for (faults, why) in [
        (Faults::default(), "the stream ended"),
        (dies, "cannot connect to the container engine at unix:///run/engine.sock"),
        (hangs, "no answer within 10 s"),
    ] {
        let mut world = World::new();
        world.jobs = 2;
        world.engine.image("app:1", &[], script(|_| exits(10 * SECOND, 1, "x")));
        let engine = world.engine.clone();
        tokio::spawn(async move {
            tokio::time::sleep(15 * SECOND).await;
            engine.set_faults(faults);
            engine.break_events();
        });
        let sets: Vec<ConditionSet> = (1..=6).map(|n| set(&[&format!("env.set:N={n}")])).collect();
        let (finished, events) = world.run(service(), &["app:1"], &sets).await;
        let (lost, summary) = (finished.engine_lost.expect("lost"), finished.summary);
        assert!(lost.contains(why), "{lost}");
        let decided = |result: &Arc<CaseResult>| result.verdict == Verdict::Fail;
        assert_eq!(finished.results.len(), 2, "those that were running have no result");
        assert!(finished.results.iter().all(decided));
        assert_eq!((summary.failed, summary.unresolved, summary.not_run), (2, 0, 4));
        let stops = events.iter().filter_map(|e| match &e.event {
            Event::Draining { because, aborts } => Some((because.as_str(), *aborts)),
            _ => None,
        });
        assert_eq!(stops.collect::<Vec<_>>(), [("the container engine stopped answering", true)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_container_is_no_end_of_the_engine() {
    let world = World::new();
    let full = EngineError::DiskFull { action: "creating a container".to_owned(), message: "full".to_owned() };
    world.engine.set_faults(Faults { errors: HashMap::from([("create", full)]), ..Faults::default() });
    world.engine.image("app:1", &[], script(|_| healthy(8000)));
    let (finished, _) = world.run(service(), &["app:1"], &[set(&[])]).await;
    assert_eq!((finished.engine_lost, finished.summary.unresolved), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn late_end_event_still_counts() {
    let world = World::new();
    world.engine.set_faults(Faults { late_events: 5 * SECOND, ..Faults::default() });
    // It exits 10 ms before the soak is over; the event would come long after.
    let act = Act { exits: Some((Duration::from_millis(1290), 1)), ..healthy(8000) };
    world.engine.image("app:1", &[], script(move |_| act.clone()));
    let result = world.one(service(), &[]).await;
    assert_eq!((result.outcome, result.exit_code), (Some(Outcome::Exited), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn silent_holder_is_an_error() {
    let world = World::new();
    world.engine.set_faults(Faults { holder_silent: true, ..Faults::default() });
    world.engine.image("app:1", &[], script(|_| healthy(8000)));
    let result = world.one(service(), &[]).await;
    assert_eq!(result.verdict, Verdict::Unresolved);
    assert_eq!(result.operation_status, None, "what says nothing has no status");
    assert!(result.total_ms < 20_000.0, "{}", result.total_ms);
}

#[tokio::test(start_paused = true)]
async fn matching_architecture_keeps_other_conditions() {
    let world = World::new();
    let act = |s: &exitone::engine::fake::Situation| match s
        .conditions
        .contains(&"egress.drop".parse().expect("a condition"))
    {
        true => exits(SECOND, 1, "x"),
        false => healthy(8000),
    };
    world.engine.image("app:1", &[], script(act));
    let result = world.one(service(), &["arch.mismatch", "egress.drop"]).await;
    assert_eq!(result.exit_code, Some(1));
    assert!(result.not_exercised.iter().any(|n| n.condition.is_of_image()), "{:?}", result.not_exercised);
}

#[tokio::test(start_paused = true)]
async fn conditions_that_differ_in_a_secret_have_separate_results() {
    let world = World::new();
    let act = |s: &exitone::engine::fake::Situation| match s.env["LICENSE"].as_str() {
        "bad-license" => exits(SECOND, 1, "x"),
        _ => healthy(8000),
    };
    world.engine.image("app:1", &[], script(act));
    let mut service = service();
    service.secrets.insert("LICENSE".to_owned());
    let sets = ["bad-license", "good-license"].map(|value| set(&[&format!("env.set:LICENSE={value}")]));
    let (finished, _) = world.run(service, &["app:1"], &sets).await;
    assert_eq!((finished.summary.failed, finished.summary.passed), (1, 1));
    let everything = serde_json::to_string(&finished.results).expect("serialises");
    assert!(!everything.contains("-license"), "{everything}");
}

#[tokio::test(start_paused = true)]
async fn text_report_of_a_run() {
    use exitone::event::run::Run;
    use exitone::report::{story::Story, table::tables, terminal};
    let world = World::new();
    let both = |s: &exitone::engine::fake::Situation| {
        let provider = s.env.get("PROVIDER").is_some_and(|p| p == "verify");
        match provider && s.conditions.contains(&"egress.drop".parse().expect("a condition")) {
            true => exits(SECOND, 1, "ConnectTimeout: timed out"),
            false => healthy(8000),
        }
    };
    world.engine.image("app:v1", &[], script(|_| healthy(8000)));
    world.engine.image("app:v2", &[], script(both));
    world.engine.image("app:v3", &["PROVIDER=verify"], script(both));
    world.engine.image("app:v4", &[], script(|_| exits(SECOND, 3, "ModuleNotFoundError: No module named 'x'")));
    world.engine.image_of("app:v5", "arm64", &[], script(|_| healthy(8000)));
    let images = ["app:v1", "app:v2", "app:v3", "app:v4", "app:v5"];
    let sets =
        [set(&[]), set(&["egress.drop"]), set(&["egress.drop", "env.set:PROVIDER=verify"]), set(&["arch.mismatch"])];
    let (finished, events) = world.run(service(), &images, &sets).await;
    let run = Run::of(&events);
    let story = Story::of(&images.map(ToOwned::to_owned), &finished.results);
    let mut text: String = tables(&run).iter().map(terminal::matrix).collect();
    text.push_str(&terminal::story(&story, &finished.results));
    insta::assert_snapshot!(anstream::adapter::strip_str(&text));
}

#[tokio::test(start_paused = true)]
async fn watches_a_process_until_its_network_calls_end() {
    let world = World::new();
    // Healthy at once; a call in the background fails after the soak.
    let dies = |waits| Act { exits: Some((SECOND * 4, 1)), waits, ..healthy(8000) };
    world.engine.image("app:1", &[], script(move |_| dies(true)));
    world.engine.image("app:2", &[], script(move |_| Act { waits: true, ..healthy(8000) }));
    let result = world.one(service(), &["egress.drop"]).await;
    assert_eq!((result.verdict, result.exit_code), (Verdict::Fail, Some(1)), "{:?}", result.notes);
    let (patient, _) = world.run(service(), &["app:2"], &[set(&["egress.drop"])]).await;
    assert_eq!(patient.results[0].verdict, Verdict::Pass, "it is not waited for without an end");
}

#[tokio::test(start_paused = true)]
async fn never_healthy_among_others_is_confirmed_alone() {
    let world = World::new();
    let runs = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = runs.clone();
    let act = move |s: &exitone::engine::fake::Situation| {
        // Slowed down by its neighbours the first time, and only then.
        if s.env.contains_key("SLOW") && counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            return Act::default();
        }
        healthy(8000)
    };
    world.engine.image("app:1", &[], script(act));
    let sets = [set(&["env.set:SLOW=yes"]), set(&["env.set:OTHER=yes"])];
    let (finished, _) = world.run(service(), &["app:1"], &sets).await;
    let slow = finished.results.iter().find(|r| r.conditions == sets[0]).expect("a result");
    assert_eq!(slow.verdict, Verdict::Pass, "{:?}", slow.notes);
    assert!(slow.notes.iter().any(|n| n.starts_with("confirmed alone")), "{:?}", slow.notes);
    assert_eq!(runs.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn answered_probes_need_no_confirmation() {
    let world = World::new();
    for (status, confirmed) in [(404, false), (503, true)] {
        world.engine.image("app:1", &[], script(move |_| Act { status: (SECOND, status), ..healthy(8000) }));
        let sets = [set(&["env.set:A=1"]), set(&["env.set:B=1"])];
        let (finished, _) = world.run(service(), &["app:1"], &sets).await;
        let told = |r: &exitone::model::CaseResult| r.notes.iter().any(|n| n.starts_with("confirmed alone"));
        assert_eq!(finished.results.iter().filter(|r| told(r)).count() > 0, confirmed, "{status}");
        assert!(finished.results.iter().all(|r| r.outcome == Some(Outcome::Unhealthy)), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn starved_case_is_confirmed_alone_or_unresolved() {
    let of = |waited_ms, quiet_ms, others| Contention { waited_ms, quiet_ms, others };
    for (contention, again, verdict) in [
        (of(3_000.0, 12_000.0, 0.3), false, Verdict::Fail),
        // Its own threads may have waited for each other.
        (of(22_000.0, 0.0, 0.2), true, Verdict::Fail),
        (of(6_000.0, 5_000.0, 0.9), true, Verdict::Fail),
        (of(22_000.0, 0.0, 0.97), true, Verdict::Unresolved),
    ] {
        let world = World::new();
        let usage = Observation::Usage(Usage { contention: Some(contention), ..Usage::default() });
        world.engine.image("app:1", &[], script(move |_| Act { seen: vec![usage.clone()], ..Act::default() }));
        let sets = [set(&["env.set:A=1"]), set(&["env.set:B=1"])];
        let (finished, _) = world.run(service(), &["app:1"], &sets).await;
        for result in &finished.results {
            let told = result.notes.iter().any(|n| n.contains("confirmed alone"));
            assert_eq!((told, result.verdict), (again, verdict), "{contention:?} {:?}", result.notes);
            let confirmed = result.notes.iter().any(|n| n.starts_with("confirmed alone"));
            assert_eq!(confirmed, again && verdict == Verdict::Fail, "{contention:?} {:?}", result.notes);
        }
        let alone = world.one(service(), &["env.set:A=1"]).await;
        assert_eq!(alone.verdict, verdict, "{contention:?}");
        if verdict == Verdict::Unresolved {
            assert_eq!((alone.class, alone.outcome), (None, None));
            assert!(alone.notes[0].contains("busy with other work"), "{:?}", alone.notes);
        }
    }
}

/// What uses all the CPU time that its own limit allows was held back by nothing else.
#[tokio::test(start_paused = true)]
async fn own_limit_that_is_used_up_is_neither_starved_nor_confirmed() {
    let contention = Some(Contention { waited_ms: 22_000.0, quiet_ms: 0.0, others: 0.97 });
    for (cpu_ms, verdict) in [(6_200.0, Verdict::Fail), (3_000.0, Verdict::Unresolved)] {
        let world = World::new();
        let seen = vec![Observation::Usage(Usage { cpu_ms, contention, ..Usage::default() })];
        world.engine.image("app:1", &[], script(move |_| Act { seen: seen.clone(), ..Act::default() }));
        let sets = [set(&["cpu.limit:0.25"]), set(&["cpu.limit:0.25", "env.set:B=1"])];
        let (finished, _) = world.run(service(), &["app:1"], &sets).await;
        for result in &finished.results {
            let again = result.notes.iter().any(|note| note.contains("confirmed alone"));
            assert_eq!((result.verdict, again), (verdict, verdict != Verdict::Fail), "{cpu_ms} {:?}", result.notes);
        }
    }
}

/// A program that has bound the probed port where no probe reaches it does not wait for a CPU.
#[tokio::test(start_paused = true)]
async fn socket_on_another_address_is_neither_starved_nor_confirmed() {
    let starved =
        Usage { contention: Some(Contention { waited_ms: 22_000.0, quiet_ms: 0.0, others: 0.97 }), ..Usage::default() };
    for (port, verdict) in [(8000, Verdict::Fail), (9000, Verdict::Unresolved)] {
        let world = World::new();
        let listens = Some((SECOND, std::net::Ipv4Addr::LOCALHOST.into(), port));
        let seen = vec![Observation::Usage(starved)];
        world.engine.image("app:1", &[], script(move |_| Act { listens, seen: seen.clone(), ..Act::default() }));
        let sets = [set(&["env.set:A=1"]), set(&["env.set:B=1"])];
        let (finished, _) = world.run(service(), &["app:1"], &sets).await;
        for result in &finished.results {
            let again = result.notes.iter().any(|note| note.contains("confirmed alone"));
            assert_eq!((result.verdict, again), (verdict, verdict != Verdict::Fail), "{port} {:?}", result.notes);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reads_all_image_files_only_if_needed_for_exercised_conditions() {
    use exitone::engine::files::Tree;
    for asked in [true, false] {
        let mut world = World::new();
        world.options.whole_images = asked;
        world.engine.image("app:1", &[], script(|_| healthy(8000)));
        world.engine.set_files("app:1", Tree::default().file("/app/main.py", 0o644, "print('nothing')"));
        let result = world.one(service(), &["env.unset:DATABASE_URL"]).await;
        assert_eq!(result.verdict, Verdict::Pass);
        let because = result.not_exercised.iter().map(|unmet| unmet.because.as_str()).collect::<Vec<_>>();
        assert_eq!(because.iter().any(|why| why.contains("occurs in no file")), asked, "{because:?}");
        // What was read is cached.
        let cached: Vec<String> = std::fs::read_dir(world.state.path().join("images"))
            .expect("the cache")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(cached.iter().any(|name| name.ends_with("-all.json")), asked, "{cached:?}");
    }
}
