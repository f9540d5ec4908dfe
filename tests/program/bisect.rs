//! The search for the first bad image against the scripted engine, with a paused clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::{candidates, close, open, service};
use exitone::engine::EngineError;
use exitone::engine::fake::{Act, FakeEngine, Faults, exits, healthy};
use exitone::event::{Event, Stamped};
use exitone::model::search::Bisect;
use exitone::model::verdicts::{Culprit, Verdicts};
use exitone::model::{CaseResult, ConditionSet, Plan, Verdict};
use exitone::report::bisect::{json, sentence, text};
use exitone::run::conductor::Interrupts;
use exitone::run::context::Options;
use exitone::run::drivers;
use exitone::run::schedule::How;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::json;
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);

fn fails(log: &str) -> Act {
    exits(SECOND, 1, log)
}

/// The images of a list: `g` is good, `w` waits forever, `~` fails every second time starting with the first, and any
/// other letter fails in its own way.
struct World {
    engine: FakeEngine,
    images: Vec<String>,
    confidence: Option<f64>,
    budget: Option<Duration>,
    jobs: usize,
}

impl World {
    fn new(versions: &str) -> Self {
        let engine = FakeEngine::new(true);
        let mut images = Vec::new();
        for (n, kind) in versions.chars().enumerate() {
            let image = format!("app:v{n}");
            let times = AtomicUsize::new(0);
            let act = move || match (kind, times.fetch_add(1, Ordering::Relaxed) % 2) {
                ('g', _) | ('~', 1) => healthy(8000),
                ('w', _) => Act { listens: None, ..Act::default() },
                (kind, _) => fails(&format!("ValueError: {kind}")),
            };
            engine.image(&image, &[], Arc::new(move |_| act()));
            images.push(image);
        }
        Self { engine, images, confidence: None, budget: None, jobs: 2 }
    }

    async fn found(&self) -> Bisected {
        self.heard(watch::channel(0).1, &mut |_| {}).await
    }

    async fn heard(&self, interrupts: Interrupts, tell: &mut dyn FnMut(&Event)) -> Bisected {
        let state = tempfile::tempdir().expect("a folder");
        let rig = open(&self.engine, state.path(), self.jobs, Options::default()).await;
        let conditions = ConditionSet::new(["egress.drop".parse().expect("valid")]).expect("one");
        let judges = self.images.len() == 1;
        let bisect = Bisect { confidence: self.confidence, judges, ..Bisect::new(&self.images, conditions) };
        let candidates = candidates(&self.engine, &self.images).await;
        let plan = Plan { bisect: Some(bisect), ..Plan::new(service(&[]), candidates, []) };
        let how = How { room: self.jobs.into(), budget: self.budget, ..How::from(1) };
        let tell = |stamped: &Stamped| tell(&stamped.event);
        let finished = drivers::run(rig.context.clone(), Arc::new(plan), how, interrupts, tell).await;
        close(rig, &self.engine, finished.cut).await;
        let verdicts = (*finished.run.verdicts.expect("an answer")).clone();
        Bisected { verdicts, results: finished.results, cut: finished.cut, broken: finished.broken }
    }
}

struct Bisected {
    verdicts: Verdicts,
    results: Vec<Arc<CaseResult>>,
    cut: bool,
    broken: usize,
}

async fn verdicts(versions: &str) -> Verdicts {
    World::new(versions).found().await.verdicts
}

fn name(version: usize) -> Option<String> {
    Some(format!("app:v{version}"))
}

#[tokio::test(start_paused = true)]
async fn finds_the_first_bad_image_anywhere() {
    for first in 1..5 {
        for jobs in [1, 2, 4] {
            let versions: String = (0..5).map(|n| if n < first { 'g' } else { 'b' }).collect();
            let world = World { jobs, ..World::new(&versions) };
            let found = world.found().await;
            let verdicts = &found.verdicts;
            assert_eq!((verdicts.culprit, &verdicts.first_bad), (Culprit::First, &name(first)), "{versions}");
            assert_eq!(verdicts.last_good, name(first - 1));
            assert_eq!((verdicts.exit_code(), verdicts.flaky, found.cut, found.broken), (1, false, false, 0));
            assert!(verdicts.confidence > 0.98, "{}", verdicts.confidence);
            assert!(verdicts.runs <= 7, "{versions} with {jobs} at a time: {}", verdicts.runs);
            let often = |version: usize| verdicts.tested(&world.images[version]).expect("tested").runs;
            assert_eq!((often(first), often(first - 1)), (2, 2), "both are repeated");
            assert_eq!(verdicts.signature.as_deref(), Some("exit 1 · ValueError: b"));
            assert!(verdicts.also.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn does_not_run_the_good_half() {
    let found = verdicts(&format!("{}{}", "g".repeat(40), "b".repeat(60))).await;
    assert_eq!(found.first_bad, name(40));
    assert!(found.runs <= 14, "{}", found.runs);
    assert_eq!(found.tested.len() + found.not_tried.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn reports_ends_that_agree() {
    let good = verdicts("gggg").await;
    assert_eq!((good.culprit, good.exit_code(), good.runs), (Culprit::NoneBad, 2, 3));
    assert_eq!(sentence(&good), "nothing to bisect: the newest image, v3, passes under egress.drop");
    let bad = World::new("bbbb").found().await;
    assert_eq!((bad.verdicts.culprit, bad.verdicts.exit_code(), &bad.verdicts.first_bad), (Culprit::AllBad, 1, &None));
    assert_eq!(
        sentence(&bad.verdicts),
        "the oldest image, v0, already fails under egress.drop; start with an older one"
    );
    assert_eq!(bad.verdicts.case.as_ref(), bad.results.first().map(|r| &r.id));
    let turned = verdicts("bbgg").await;
    assert_eq!((turned.culprit, turned.exit_code()), (Culprit::Reversed, 2));
    assert!(sentence(&turned).ends_with("pass the oldest image first"));
}

#[tokio::test(start_paused = true)]
async fn repeats_a_flaky_failure_until_certain() {
    // The first run of every bad image fails; the confirming run passes.
    let found = verdicts("ggg~~~~").await;
    assert_eq!((found.culprit, &found.first_bad, found.flaky), (Culprit::First, &name(3), true));
    assert!(found.confidence >= 0.99 && found.runs < 60, "{} {}", found.confidence, found.runs);
    assert!(text(&found, None).contains("the failure is flaky"));
    let doubted = World { confidence: Some(0.999), ..World::new("ggg~~~~") }.found().await.verdicts;
    assert_eq!((&doubted.first_bad, doubted.flaky), (&name(3), true));
    let certain = World { confidence: Some(0.99), ..World::new("gggbbb") }.found().await.verdicts;
    assert_eq!((&certain.first_bad, certain.flaky), (&name(3), false));
    assert!(certain.confidence >= 0.99, "{}", certain.confidence);
}

#[tokio::test(start_paused = true)]
async fn finds_where_another_failure_of_the_newest_starts() {
    let found = verdicts("ggbbcc").await;
    assert_eq!((&found.first_bad, &found.last_good), (&name(2), &name(1)));
    let [also] = found.also.as_slice() else { panic!("{:?}", found.also) };
    // The images in between fail in their own way; whether they would also fail in this one is unknown.
    assert_eq!(
        (&also.first_bad, &also.any_of[..]),
        (&None, &["app:v2".to_owned(), "app:v3".into(), "app:v4".into()][..])
    );
    assert_eq!(also.signature, "exit 1 · ValueError: c");
    let apart = verdicts("gbggcc").await;
    if let [also] = apart.also.as_slice() {
        assert_eq!((&also.first_bad, &also.last_good), (&name(4), &name(3)));
    }
    assert!(text(&found, None).contains("The newest image, v5, has a different failure"), "{}", text(&found, None));
}

#[tokio::test(start_paused = true)]
async fn reports_images_that_are_good_again() {
    let found = World { jobs: 4, ..World::new("gbgb") }.found().await.verdicts;
    assert_eq!((&found.first_bad, &found.notes[..]), (&name(1), &["good again after it: app:v2".to_owned()][..]));
}

#[tokio::test(start_paused = true)]
async fn never_listening_is_a_failure_and_is_confirmed_alone() {
    let found = verdicts("ggww").await;
    assert_eq!((&found.first_bad, found.newest.expect("run").outcome), (&name(2), "never listened".to_owned()));
}

/// An engine that cannot inspect an image: the runs are unresolved.
fn broken(operation: &'static str) -> Faults {
    let error = EngineError::Broken { action: "creating a container".to_owned(), message: "no space left".to_owned() };
    Faults { errors: HashMap::from([(operation, error)]), ..Faults::default() }
}

#[tokio::test(start_paused = true)]
async fn unresolved_image_leaves_several_candidates() {
    let world = World::new("ggbbb");
    // While the middle image runs, the engine is broken.
    let engine = world.engine.clone();
    let mut tell = |event: &Event| match event {
        Event::CaseStarted { image, .. } if image == "app:v2" => engine.set_faults(broken("create")),
        Event::CaseFinished { result, .. } if result.image == "app:v2" => engine.set_faults(Faults::default()),
        _ => {}
    };
    let world = World { jobs: 1, ..world };
    let found = world.heard(watch::channel(0).1, &mut tell).await.verdicts;
    assert_eq!((found.culprit, &found.first_bad, found.exit_code()), (Culprit::AnyOf, &None, 1));
    assert_eq!(
        (found.any_of.as_slice(), &found.last_good),
        (&["app:v2".to_owned(), "app:v3".to_owned()][..], &name(1))
    );
    let silent = found.tested("app:v2").expect("tried");
    assert_eq!((silent.verdict, silent.runs), (Verdict::Unresolved, 2));
    assert!(silent.because.as_ref().expect("a reason").contains("no space left"), "{:?}", silent.because);
    assert_eq!(sentence(&found), "the first bad one is one of v2, v3; v1, before them, is good");
}

#[tokio::test(start_paused = true)]
async fn unresolved_ends_give_no_answer() {
    let world = World::new("gggb");
    world.engine.set_faults(broken("create"));
    let found = world.found().await.verdicts;
    assert_eq!((found.culprit, found.exit_code(), found.first_bad.clone()), (Culprit::Unknown, 5, None));
    assert!(sentence(&found).starts_with("no answer: the newest image, v3, is unresolved"), "{}", sentence(&found));
    let world = World { images: vec!["app:v0".to_owned()], ..World::new("b") };
    world.engine.set_faults(broken("create"));
    assert_eq!(world.found().await.verdicts.exit_code(), 5);
}

#[tokio::test(start_paused = true)]
async fn budget_ends_it_with_what_is_known() {
    let slow = |versions: &str, budget: Duration| World { jobs: 1, budget: Some(budget), ..World::new(versions) };
    // Each good image takes 1.3 s, each bad one 1 s.
    let nothing = slow("gggbbb", Duration::from_millis(500)).found().await;
    assert_eq!((nothing.verdicts.culprit, nothing.verdicts.exit_code(), nothing.cut), (Culprit::Unknown, 5, true));
    assert_eq!(nothing.verdicts.not_tried.len(), 6);
    assert!(
        sentence(&nothing.verdicts).ends_with("not tried: v0, v1, v2, v3, v4, v5"),
        "{}",
        sentence(&nothing.verdicts)
    );
    assert_eq!(nothing.verdicts.notes, ["stopped early: the budget ran out"]);
    let some = slow("gggbbb", Duration::from_secs(3)).found().await.verdicts;
    assert_eq!((some.culprit, some.exit_code(), some.any_of.len()), (Culprit::AnyOf, 1, 5));
}

#[tokio::test(start_paused = true)]
async fn first_interrupt_drains_and_second_aborts() {
    for (times, cut, tested) in [(1, false, 2), (2, true, 0)] {
        let (sender, asked) = watch::channel(0);
        let mut begun = 0;
        let mut tell = |event: &Event| {
            begun += usize::from(matches!(event, Event::CaseStarted { .. }));
            if begun == 2 {
                sender.send_if_modified(|asked| std::mem::replace(asked, times) != times);
            }
        };
        let found = World::new("gggbbb").heard(asked, &mut tell).await;
        assert_eq!((found.cut, found.verdicts.tested.len()), (cut, tested), "{times}");
        assert!(found.verdicts.notes.contains(&"stopped early: the run was interrupted".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn judges_one_image_for_git() {
    for (kind, code, said) in [("g", 0, "v0 is good"), ("b", 1, "v0 is bad")] {
        let found = World::new(kind).found().await.verdicts;
        assert_eq!((found.culprit, found.exit_code(), found.runs), (Culprit::Judged, code, 1));
        assert!(sentence(&found).starts_with(said));
    }
}

#[tokio::test(start_paused = true)]
async fn text_and_json_of_an_answer() {
    let world = World::new("gggbbb");
    world.engine.set_layers("app:v2", &["a", "b"]);
    world.engine.set_layers("app:v3", &["a", "c"]);
    let found = world.found().await;
    let shown = found.results.iter().find(|r| Some(&r.image) == found.verdicts.first_bad.as_ref()).map(Arc::as_ref);
    insta::assert_snapshot!(anstream::adapter::strip_str(&text(&found.verdicts, shown)));
    let document = json(&found.verdicts);
    assert_eq!(document["first_bad"], "app:v3");
    assert_eq!(document["last_good"], "app:v2");
    assert_eq!(document["any_of"], json!([]));
    assert_eq!(document["conditions"], json!(["egress.drop"]));
    assert_eq!(document["image_diff"]["layers"][0], "1 of 2 layers is the same; 1 removed, 1 added");
    assert_eq!(document["newest"]["image"], "app:v5");
    assert_eq!(document["tested"][0]["fails"], json!([0, 1]));
    assert!(
        document["image_diff"]["env"].is_array() && document["causes"].is_array() && document["seconds"].is_number()
    );
}

/// The program without an engine.
fn exitone(arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = assert_cmd::Command::cargo_bin("exitone").expect("built");
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").arg("bisect").args(arguments).assert()
}

#[test]
fn rejects_invalid_requests_without_an_engine() {
    exitone(&[]).code(2).stderr(contains("bisect needs at least two images, oldest first"));
    exitone(&["app:1"]).code(2).stderr(contains("got only app:1"));
    let wrong = ["app:1", "app:2", "app:1", "./gone.tar", "--with", "egres.drop", "--with", "env.set:X"];
    let said = contains("duplicate image app:1").and(contains("./gone.tar: no such file"));
    exitone(&wrong).code(2).stderr(said.and(contains("did you mean `egress.drop`?")).and(contains("needs NAME=VALUE")));
    let excluding = ["app:1", "app:2", "--with", "egress.drop", "--with", "egress.reject"];
    exitone(&excluding).code(2).stderr(contains("exclude each other"));
    exitone(&["app:1", "app:2", "--confidence", "0.3"])
        .code(2)
        .stderr(contains("must be at least 0.5 and less than 1"));
    exitone(&["app:1", "app:2", "--budget", "soon"]).code(2);
    exitone(&["app:1", "app:2", "--service", "/nonexistent.yaml"]).code(3);
    exitone(&["app:1", "app:2"]).code(4).stderr(contains("hint: Start Docker"));
}

#[test]
fn scenario_provides_images_and_one_set_of_conditions() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.yaml");
    let path = path.to_str().expect("a path");
    let write = |text: &str| std::fs::write(path, text).expect("written");
    write("candidates: [a:1, a:2]\nconditions: [egress.drop, dns.drop]\n");
    let choose = contains("has 2 sets of conditions (`egress.drop`, `dns.drop`): choose one with --with");
    exitone(&["--scenario", path]).code(2).stderr(choose);
    // These are valid: the engine is contacted.
    exitone(&["--scenario", path, "--with", "dns.drop"]).code(4);
    exitone(&["--scenario", path, "--with", "dns.drop", "b:1", "b:2"]).code(4);
    write("candidates: [a:1, a:2]\nconditions: [egress.drop]\n");
    exitone(&["--scenario", path]).code(4);
    exitone(&["--scenario", path, "--service", path])
        .code(2)
        .stderr(contains("--service cannot be used with --scenario"));
    write("candidates: [a:1]\nconditions: [egres.drop]\n");
    exitone(&["--scenario", path]).code(3).stderr(contains("s.yaml:2:14"));
}

#[test]
fn git_never_takes_an_error_for_a_bad_revision() {
    let for_git = |arguments: &[&str]| exitone(&[&["--git-bisect"], arguments].concat());
    for wrong in [
        &[][..],
        &["app:1", "app:2"],
        &["app:1", "--confidence", "0.9"],
        &["app:1", "--no-such-flag"],
        &["app:1", "--with", "egres.drop"],
        &["app:1", "--service", "/nonexistent.yaml"],
        &["./gone.tar"],
        // No engine answers.
        &["app:1"],
    ] {
        for_git(wrong).code(128).stderr(contains("error"));
    }
    for_git(&["--help"]).success().stdout(contains("git bisect run").and(contains("Both ends are checked first")));
}
