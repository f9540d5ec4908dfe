//! Runs as a whole against the scripted engine: their folders, shards, resumption, expectations, and when they stop.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use exitone::engine::fake::{FakeEngine, exits, healthy};
use exitone::event::run::{MergeError, Run};
use exitone::event::{Event, Stamped};
use exitone::model::{CaseId, ConditionSet, Expectation, Part, Plan, Service, Verdict};
use exitone::report::folder::{self, Folder, FolderError};
use exitone::run::case::Options;
use exitone::run::coordinator::{self, Finished};
use exitone::run::schedule::How;
use support::{candidates, close, open};
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);

fn service() -> Service {
    support::service(&["A", "B", "C", "D"])
}

fn set(text: &str) -> ConditionSet {
    ConditionSet::new(text.split_whitespace().map(|c| c.parse().expect("a condition"))).expect("a set")
}

/// An engine with one image, which needs B; and how often it was started.
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
    let rig = open(engine, state.path(), how.jobs, Options::default()).await;
    let interrupts = watch::channel(0).1;
    let finished = coordinator::run(rig.context.clone(), Arc::new(plan), how, interrupts, |e| tell(e)).await;
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
async fn a_folder_gives_the_run_back() {
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
    // There is a run in it now.
    assert!(Folder::create(&path).is_err());
    assert!(matches!(folder::read(temporary.path()), Err(FolderError::NoRun(_))));
    assert_eq!(folder::below(temporary.path()).expect("one"), [path]);
}

#[tokio::test(start_paused = true)]
async fn what_is_expected_is_counted() {
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
async fn shards_together_are_the_whole() {
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
    // In whatever order they are given.
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
async fn a_shard_without_a_case_needs_no_session_and_is_a_part_of_the_whole() {
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
        let finished = match coordinator::without_session(&part, &how, tell) {
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
    // Whichever comes first.
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
async fn a_run_that_broke_off_is_resumed() {
    let (engine, starts) = world();
    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().join("run");
    into_folder(&engine, plan(&engine, &[]).await, How::from(1), &mut Folder::create(&path).expect("one")).await;
    // As a kill leaves it: in the middle of the line that tells of the fourth result.
    let events = path.join("events.jsonl");
    let text = std::fs::read_to_string(&events).expect("events");
    let fourth = text.match_indices("case_finished").nth(3).expect("a fourth").0;
    std::fs::write(&events, &text[..fourth + 300]).expect("cut");
    let (broken, cut) = folder::read(&path).expect("a run");
    assert!(cut && broken.summary.is_none());
    assert_eq!((broken.results.len(), broken.without_result().count()), (3, 2));
    let before = starts.swap(0, Ordering::Relaxed);
    let done: Vec<_> = broken.in_order().cloned().collect();
    let mut folder = Folder::resume(&path, done.len()).expect("a folder");
    into_folder(&engine, plan(&engine, &[]).await, How { done, ..How::from(1) }, &mut folder).await;
    assert_eq!((before, starts.load(Ordering::Relaxed)), (5, 2), "only the rest is run");
    let (whole, cut) = folder::read(&path).expect("a run");
    assert!(!cut && whole.summary.is_some() && whole.results.len() == 5);
    assert_eq!(std::fs::read_dir(&path).expect("a folder").count(), 2, "nothing is left of the attempt before");
}

#[tokio::test(start_paused = true)]
async fn fail_fast_begins_no_other_case_and_says_so() {
    let (engine, _) = world();
    let mut events = Vec::new();
    let how = How { fail_fast: true, ..How::from(1) };
    let finished = run(&engine, plan(&engine, &[]).await, how, |event| events.push(event.clone())).await;
    assert_eq!((finished.results.len(), finished.summary.not_run, finished.summary.exit_code()), (3, 2, 1));
    let run = Run::of(&events);
    let because: Vec<&str> = run.without_result().map(|(_, because)| because).collect();
    assert_eq!(because.len(), 2);
    assert!(because.iter().all(|text| text.starts_with("--fail-fast")), "{because:?}");
    // A failure that is expected is none.
    let how = How { fail_fast: true, ..How::from(1) };
    let finished = run_all(&engine, how).await;
    assert_eq!((finished.results.len(), finished.summary.exit_code()), (5, 0));
}

async fn run_all(engine: &FakeEngine, how: How) -> Finished {
    run(engine, plan(engine, &[(2, "exit 1")]).await, how, |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_kept_and_what_is_left_is_no_pass() {
    let (engine, _) = world();
    let how = How { budget: Some(SECOND * 2), ..How::from(1) };
    let finished = run_all(&engine, how).await;
    assert!(finished.results.len() < 5 && finished.summary.not_run > 0);
    assert_eq!(finished.summary.exit_code(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_case_that_fails_once_of_several_times_fails() {
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
    let result = &finished.results[0];
    assert_eq!((result.verdict, result.attempts), (Verdict::Fail, Some([1, 3])));
    assert!(result.notes.iter().any(|note| note == "flaky: it failed 1 of 3 times"), "{:?}", result.notes);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_written_is_an_error() {
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
