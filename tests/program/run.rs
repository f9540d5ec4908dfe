//! Whole runs against the scripted engine: their folders, shards, resumption, expectations, and when they stop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::{candidates, close, open};
use exitone::engine::EngineError;
use exitone::engine::fake::{Act, FakeEngine, Faults, exits, healthy};
use exitone::event::run::{MergeError, Run};
use exitone::event::{Event, Stamped};
use exitone::model::service::Protocol;
use exitone::model::{CaseId, ConditionSet, Expectation, Part, Plan, Service, Verdict};
use exitone::report;
use exitone::report::folder::{self, Folder, FolderError};
use exitone::run::context::Options;
use exitone::run::drivers::{self, Finished};
use exitone::run::schedule::How;
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);

fn service() -> Service {
    super::support::service(&["A", "B", "C", "D"])
}

fn set(text: &str) -> ConditionSet {
    ConditionSet::new(text.split_whitespace().map(|c| c.parse().expect("a condition"))).expect("a set")
}

/// An engine with one image, which needs B; and the number of its starts.
fn world() -> (FakeEngine, Arc<AtomicUsize>) {
    let (engine, starts) = (FakeEngine::new(true), Arc::new(AtomicUsize::new(0)));
    let count = starts.clone();
    let script = move |situation: &exitone::engine::fake::Situation| {
        count.fetch_add(1, Ordering::Relaxed);
        if situation.env.contains_key("B") { healthy(8000) } else { exits(SECOND, 1, "KeyError: 'B'") }
    };
    engine.image("app:1", &[], Arc::new(script));
    (engine, starts)
}

const SETS: [&str; 5] = ["", "env.unset:A", "env.unset:B", "env.unset:C", "env.unset:D"];

async fn plan(engine: &FakeEngine, expect: &[(usize, &str)]) -> Plan {
    let candidates = candidates(engine, &["app:1"]).await;
    let expected = |n: usize| {
        let text = expect.iter().find(|(at, _)| *at == n).map(|(_, text)| *text);
        text.map(|text| text.parse::<Expectation>().expect("an outcome"))
    };
    let cases = SETS.iter().enumerate().map(|(n, text)| ("app:1".to_owned(), set(text), expected(n)));
    let part = Part { scenario: Some("s".to_owned()), service: service() };
    Plan::of_scenario(part, candidates, cases.collect::<Vec<_>>())
}

async fn run(engine: &FakeEngine, plan: Plan, how: How, mut tell: impl FnMut(&Stamped)) -> Finished {
    let state = tempfile::tempdir().expect("a folder");
    let rig = open(engine, state.path(), how.room.jobs, Options::default()).await;
    let interrupts = watch::channel(0).1;
    let finished = drivers::run(rig.context.clone(), Arc::new(plan), how, interrupts, |e| tell(e)).await;
    close(rig, engine, false).await;
    finished
}

async fn into_folder(engine: &FakeEngine, plan: Plan, how: How, folder: &mut Folder) -> Finished {
    run(engine, plan, how, |event| folder.on(event).expect("written")).await
}

fn short(run: &Run) -> Vec<(CaseId, Verdict, Option<i64>, String)> {
    run.in_order().map(|r| (r.id.clone(), r.verdict, r.exit_code, r.log.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn folder_restores_the_run() {
    let (engine, _) = world();
    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().join("run");
    let mut folder = Folder::create(&path).expect("a folder");
    let mut live = Run::default();
    let plan = plan(&engine, &[(2, "exit 1")]).await;
    run(&engine, plan, How::from(2), |event| {
        live.on(event);
        folder.on(event).expect("written");
    })
    .await;
    let (read, cut) = folder::read(&path).expect("a run");
    assert!(!cut);
    assert_eq!(read, live);
    assert!(read.in_order().any(|r| r.log.contains("KeyError")), "logs are read back");
    assert_eq!((read.counts().failed, read.counts().unexpected, read.counts().exit_code()), (1, 0, 0));
    // It contains a run now.
    assert!(Folder::create(&path).is_err());
    assert!(matches!(folder::read(temporary.path()), Err(FolderError::NoRun(_))));
    assert_eq!(folder::below(temporary.path()).expect("one"), [path]);
}

#[tokio::test(start_paused = true)]
async fn counts_expected_results() {
    let (engine, _) = world();
    for (expect, unexpected, code) in [
        (&[(2, "exit 1")][..], 0, 0),
        (&[(2, "fail"), (0, "SUCCEEDED")], 0, 0),
        (&[(2, "exit 2")], 1, 1),
        (&[(2, "exit 1"), (3, "exit 1")], 1, 1),
        (&[], 1, 1),
    ] {
        let finished = run(&engine, plan(&engine, expect).await, How::from(4), |_| {}).await;
        assert_eq!((finished.summary.unexpected, finished.summary.exit_code()), (unexpected, code), "{expect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn merged_shards_equal_the_whole() {
    let (engine, _) = world();
    let temporary = tempfile::tempdir().expect("a folder");
    let whole_path = temporary.path().join("whole");
    into_folder(&engine, plan(&engine, &[]).await, How::from(2), &mut Folder::create(&whole_path).expect("one")).await;
    let (whole, _) = folder::read(&whole_path).expect("a run");
    let mut shards = Vec::new();
    for number in 1..=4 {
        let shard = format!("{number}/4").parse::<exitone::model::shard::Shard>().expect("a part");
        let mut part = plan(&engine, &[]).await;
        part.cases.retain(|case| shard.has(&case.id));
        let path = temporary.path().join(number.to_string());
        let how = How { shard: Some(shard), ..How::from(2) };
        into_folder(&engine, part, how, &mut Folder::create(&path).expect("one")).await;
        shards.push(folder::read(&path).expect("a run").0);
    }
    // In any order.
    shards.reverse();
    let merged = Run::merged(shards.clone()).expect("they belong together");
    assert_eq!(short(&merged), short(&whole));
    assert_eq!((merged.header.shard, merged.header.cases.len()), (None, SETS.len()));
    let some = Run::merged(shards[..2].to_vec()).expect("they belong together");
    assert_eq!(some.header.shard.as_deref(), Some("3+4/4"));
    let twice = Run::merged(vec![shards[0].clone(), shards[0].clone()]);
    assert!(matches!(twice, Err(MergeError::Shards(_))), "{twice:?}");
    assert!(matches!(Run::merged(vec![whole.clone(), whole]), Err(MergeError::Twice(_))));
}

#[tokio::test(start_paused = true)]
async fn empty_shard_needs_no_session_and_merges() {
    let (engine, starts) = world();
    let temporary = tempfile::tempdir().expect("a folder");
    let whole = plan(&engine, &[(2, "exit 1")]).await;
    let (mut shards, mut without) = (Vec::new(), 0);
    for number in 1..=8 {
        let shard = format!("{number}/8").parse::<exitone::model::shard::Shard>().expect("a part");
        let mut part = whole.clone();
        part.cases.retain(|case| shard.has(&case.id));
        let mut folder = Folder::create(&temporary.path().join(number.to_string())).expect("one");
        let how = How { shard: Some(shard), ..How::from(2) };
        let tell = |event: &Stamped| folder.on(event).expect("written");
        let finished = match drivers::without_session(&part, &how, tell) {
            Some(finished) => {
                assert!(part.cases.is_empty());
                without += 1;
                finished
            }
            None => into_folder(&engine, part, how, &mut folder).await,
        };
        assert_eq!((finished.summary.exit_code(), finished.summary.not_run), (0, 0));
        shards.push(folder::read(folder.path()).expect("a run").0);
    }
    assert!(without >= 3, "five cases in eight parts");
    // In any order.
    for _ in 0..shards.len() {
        shards.rotate_left(1);
        let merged = Run::merged(shards.clone()).expect("they belong together");
        assert_eq!((merged.header.shard.as_deref(), merged.without_result().count()), (None, 0));
        let ids: Vec<_> = merged.in_order().map(|result| result.id.clone()).collect();
        assert_eq!(ids, whole.cases.iter().map(|case| case.id.clone()).collect::<Vec<_>>());
        assert!(merged.summary.is_some() && !merged.header.session.is_empty());
    }
    assert_eq!(starts.load(Ordering::Relaxed), SETS.len());
}

#[tokio::test(start_paused = true)]
async fn resumes_an_interrupted_run() {
    let (engine, starts) = world();
    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().join("run");
    into_folder(&engine, plan(&engine, &[]).await, How::from(1), &mut Folder::create(&path).expect("one")).await;
    // As a kill leaves it: in the middle of the line with the fourth result.
    let events = path.join("events.jsonl");
    let text = std::fs::read_to_string(&events).expect("events");
    let fourth = text.match_indices("case_finished").nth(3).expect("a fourth").0;
    std::fs::write(&events, &text[..fourth + 300]).expect("cut");
    let (broken, cut) = folder::read(&path).expect("a run");
    assert!(cut && broken.summary.is_none());
    assert_eq!((broken.results.len(), broken.without_result().count()), (3, 2));
    let before = starts.swap(0, Ordering::Relaxed);
    let done: Vec<_> = broken.in_order().filter_map(|result| broken.finished(&result.id)).collect();
    let mut folder = Folder::resume(&path, done.len()).expect("a folder");
    into_folder(&engine, plan(&engine, &[]).await, How { done, ..How::from(1) }, &mut folder).await;
    assert_eq!((before, starts.load(Ordering::Relaxed)), (5, 2), "only the rest runs");
    let (whole, cut) = folder::read(&path).expect("a run");
    assert!(!cut && whole.summary.is_some() && whole.results.len() == 5);
    assert_eq!(std::fs::read_dir(&path).expect("a folder").count(), 2, "nothing is left of the earlier attempt");
}

#[test]
fn a_run_folder_has_one_writer() {
    let temporary = tempfile::tempdir().expect("a folder");
    let runs = temporary.path();
    let writing = Folder::create(&runs.join("1")).expect("a folder");
    let refused = Folder::resume(&runs.join("1"), 0).err().map(|e| e.kind());
    assert_eq!(refused, Some(std::io::ErrorKind::WouldBlock), "it is being written");
    drop(Folder::create(&runs.join("2")).expect("a folder"));
    folder::keep(runs, 0).expect("tidied");
    assert!(runs.join("1").is_dir() && !runs.join("2").exists(), "the one that is being written stays");
    drop(writing);
    let resuming = Folder::resume(&runs.join("1"), 0).expect("nobody writes it");
    let refused = Folder::resume(&runs.join("1"), 0).err().map(|e| e.kind());
    assert_eq!(refused, Some(std::io::ErrorKind::WouldBlock), "it is being resumed");
    drop(resuming);
    folder::keep(runs, 0).expect("tidied");
    assert!(!runs.join("1").exists());
}

#[tokio::test(start_paused = true)]
async fn fail_fast_starts_no_other_case_and_reports_it() {
    let (engine, _) = world();
    let mut events = Vec::new();
    let how = How { fail_fast: true, ..How::from(1) };
    let finished = run(&engine, plan(&engine, &[]).await, how, |event| events.push(event.clone())).await;
    assert_eq!((finished.results.len(), finished.summary.not_run, finished.summary.exit_code()), (3, 2, 1));
    let run = Run::of(&events);
    let because: Vec<&str> = run.without_result().map(|(_, because)| because).collect();
    assert_eq!(because.len(), 2);
    assert!(because.iter().all(|text| text.starts_with("--fail-fast")), "{because:?}");
    // An expected failure does not count.
    let how = How { fail_fast: true, ..How::from(1) };
    let finished = run_all(&engine, how).await;
    assert_eq!((finished.results.len(), finished.summary.exit_code()), (5, 0));
}

async fn run_all(engine: &FakeEngine, how: How) -> Finished {
    run(engine, plan(engine, &[(2, "exit 1")]).await, how, |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn budget_is_kept_and_the_rest_does_not_pass() {
    let (engine, _) = world();
    let how = How { budget: Some(SECOND * 2), ..How::from(1) };
    let finished = run_all(&engine, how).await;
    assert!(finished.results.len() < 5 && finished.summary.not_run > 0);
    assert_eq!(finished.summary.exit_code(), 5);
}

#[tokio::test(start_paused = true)]
async fn one_failure_among_repeats_fails_the_case() {
    let engine = FakeEngine::new(true);
    let count = AtomicUsize::new(0);
    let script = move |_: &exitone::engine::fake::Situation| match count.fetch_add(1, Ordering::Relaxed) {
        1 => exits(SECOND, 1, "once"),
        _ => healthy(8000),
    };
    engine.image("app:1", &[], Arc::new(script));
    let mut one = plan(&engine, &[]).await;
    one.cases.truncate(1);
    let finished = run(&engine, one, How { repeat: 3, ..How::from(1) }, |_| {}).await;
    let entry = finished.run.entries().next().expect("a case");
    assert_eq!(entry.result.map(|result| result.verdict), Some(Verdict::Fail));
    assert_eq!((entry.attempts.failed, entry.attempts.decided), (1, 3));
    assert_eq!(entry.attempts.flaky().as_deref(), Some("failed 1 of 3 attempts"));
    assert_eq!(entry.attempts.outcomes, ["healthy", "exit 1", "healthy"]);
}

/// One case whose attempts have these outcomes one after the other (`.` is healthy, a digit is an exit code), the last
/// one repeated; with this many retries.
async fn tried(outcomes: &'static str, expect: &[(usize, &str)], retries: u32) -> (Finished, Run) {
    let engine = FakeEngine::new(true);
    let count = AtomicUsize::new(0);
    let script = move |_: &exitone::engine::fake::Situation| {
        let n = count.fetch_add(1, Ordering::Relaxed).min(outcomes.len() - 1);
        match outcomes.as_bytes()[n] {
            b'.' => healthy(8000),
            code => exits(SECOND, i64::from(code - b'0'), "no"),
        }
    };
    engine.image("app:1", &[], Arc::new(script));
    let mut one = plan(&engine, expect).await;
    one.cases.truncate(1);
    let mut whole = Run::default();
    let finished = run(&engine, one, How { retries, ..How::from(1) }, |event| whole.on(event)).await;
    (finished, whole)
}

#[tokio::test(start_paused = true)]
async fn retries_only_if_requested() {
    let expect_1 = &[(0, "exit 1")][..];
    for (outcomes, expect, retries, code, attempts, flaky) in [
        ("1.", &[][..], 0, 1, None, None),
        ("1.", &[], 1, 0, Some([1, 2]), Some("failed 1 of 2 attempts")),
        ("12.", &[], 1, 1, Some([2, 2]), None),
        ("12.", &[], 2, 0, Some([2, 3]), Some("failed 2 of 3 attempts")),
        (".1", &[], 5, 0, None, None),
        (".1", expect_1, 5, 0, Some([1, 2]), Some("failed 1 of 2 attempts")),
        ("1.", expect_1, 5, 0, None, None),
        ("2", expect_1, 2, 1, Some([3, 3]), None),
        ("21", expect_1, 2, 0, Some([2, 2]), Some("not as expected in 1 of 2 attempts")),
    ] {
        let what = format!("{outcomes} {expect:?} {retries}");
        let (finished, run) = tried(outcomes, expect, retries).await;
        let entry = run.entries().next().expect("a case");
        let counted = (!entry.attempts.is_single()).then_some([entry.attempts.failed, entry.attempts.decided]);
        assert_eq!((finished.summary.exit_code(), counted), (code, attempts), "{what}");
        assert_eq!(entry.attempts.flaky().as_deref(), flaky, "{what}");
        assert_eq!(
            (finished.summary.flaky, run.counts().flaky),
            (flaky.iter().count(), flaky.iter().count()),
            "{what}"
        );
        // The first one counts if none is as expected.
        assert!(code == 0 || finished.results[0].exit_code == Some(i64::from(outcomes.as_bytes()[0] - b'0')), "{what}");
        let pages = [
            report::terminal::run(&run),
            report::markdown::render(&run),
            report::junit::render(&run),
            report::html::render(&run),
            report::annotations::render(&run),
        ];
        for page in pages {
            assert_eq!(page.contains(flaky.unwrap_or("of 2 attempts")), flaky.is_some(), "{what}: {page}");
        }
        assert_eq!(report::junit::render(&run).contains("<flakyFailure message="), flaky.is_some(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn unresolved_attempt_is_not_a_failure() {
    let (engine, starts) = world();
    let broken = EngineError::Broken { action: "creating".to_owned(), message: "no space left".to_owned() };
    let errors = std::collections::HashMap::from([("create", broken)]);
    engine.set_faults(Faults { errors, ..Faults::default() });
    let mut events = Vec::new();
    let mut one = plan(&engine, &[]).await;
    one.cases.truncate(1);
    let faulty = engine.clone();
    let finished = run(&engine, one, How { retries: 3, ..How::from(1) }, |event| {
        if matches!(event.event, Event::CaseRetrying { attempt: 3, .. }) {
            faulty.set_faults(Faults::default());
        }
        events.push(event.clone());
    })
    .await;
    let attempts = finished.run.entries().next().expect("a case").attempts;
    assert_eq!((attempts.failed, attempts.decided, attempts.flaky()), (0, 1, None));
    assert_eq!(
        (finished.results[0].verdict, attempts.outcomes.as_slice()),
        (Verdict::Pass, &["unresolved", "unresolved", "healthy"].map(str::to_owned)[..])
    );
    assert_eq!(starts.load(Ordering::Relaxed), 1);
    let begun = events.iter().filter(|e| matches!(e.event, Event::CaseStarted { .. })).count();
    assert_eq!(begun, 1, "a case starts once");
}

#[tokio::test(start_paused = true)]
async fn result_counts_without_time_for_a_retry() {
    let (engine, _) = world();
    let how = How { retries: 100, budget: Some(SECOND * 30), ..How::from(1) };
    let finished = run(&engine, plan(&engine, &[]).await, how, |_| {}).await;
    let failed = finished.run.entries().find(|e| e.result.is_some_and(|r| r.verdict == Verdict::Fail)).expect("B");
    assert_eq!((finished.results.len(), finished.summary.exit_code()), (5, 1));
    let attempts = failed.attempts;
    assert!(attempts.unexpected == attempts.decided && (2..100).contains(&attempts.decided), "{attempts:?}");
    assert!(attempts.cut_short && attempts.summary().is_some_and(|text| text.ends_with("before the next attempt")));
}

#[tokio::test(start_paused = true)]
async fn other_platforms_have_their_own_check_and_words() {
    let engine = FakeEngine::new(true);
    // It redirects every request, which only App Runner accepts as healthy; without B it exits.
    let script = |situation: &exitone::engine::fake::Situation| match situation.env.contains_key("B") {
        true => Act { status: (Duration::ZERO, 302), ..healthy(8080) },
        false => exits(SECOND, 1, "KeyError: 'B'"),
    };
    engine.image("app:1", &[], Arc::new(script));
    for (name, verdict, log) in [("apprunner", Verdict::Pass, true), ("ecs-express", Verdict::Fail, false)] {
        let profile = exitone::scenario::profile(name).expect("a platform");
        let mut plan = plan(&engine, &[]).await;
        plan.cases.truncate(3);
        let mut service = exitone::scenario::service::defaults(&profile);
        service.health_check.protocol = Protocol::Http;
        service.env = [("B".to_owned(), "1".to_owned())].into();
        plan.parts[0].service = service;
        let mut whole = Run::default();
        let finished = run(&engine, plan, How::from(1), |event| whole.on(event)).await;
        assert_eq!((finished.results[0].verdict, whole.header.platform.as_str()), (verdict, name));
        let died = &finished.results[2];
        assert_eq!(died.exit_code, Some(1));
        for result in &finished.results {
            assert_eq!((!result.apprunner_log.is_empty(), result.operation_status.is_some()), (log, log), "{name}");
            assert_eq!(result.service_status.is_some(), log, "{name}");
        }
        let pages = [report::terminal::run(&whole), report::markdown::render(&whole), report::junit::render(&whole)];
        for page in pages {
            assert_eq!(page.contains("AppRunner") || page.contains("App Runner"), log, "{page}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unwritable_folder_is_an_error() {
    let temporary = tempfile::tempdir().expect("a folder");
    std::fs::write(temporary.path().join("file"), "").expect("written");
    assert!(Folder::create(&temporary.path().join("file").join("run")).is_err());
    assert!(folder::read(Path::new("/nonexistent")).is_err());
    let header = Event::RunStarted(exitone::event::Header::default());
    let mut folder = Folder::create(&temporary.path().join("run")).expect("a folder");
    folder.on(&Stamped { seq: 0, at_ms: 0, event: header }).expect("written");
    std::fs::write(temporary.path().join("run/events.jsonl"), "{\"version\":9}\n").expect("written");
    let newer = folder::read(&temporary.path().join("run")).expect_err("a newer one");
    assert!(newer.to_string().contains("newer exitone"), "{newer}");
}
