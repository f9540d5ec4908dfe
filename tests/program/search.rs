//! Searches of a run against the scripted engine: what they add to it, how that is judged, and when they stop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::{candidates, close, open, service};
use exitone::engine::Engine;
use exitone::engine::fake::{FakeEngine, Situation, exits, healthy};
use exitone::event::run::Run;
use exitone::event::{Counts, Event, Kind, Stamped, Standing, log};
use exitone::model::search::Bisect;
use exitone::model::shard::Shard;
use exitone::model::{Candidate, ConditionSet, Part, Plan};
use exitone::report::folder::{self, Folder};
use exitone::report::{annotations, html, json, junit, markdown, terminal};
use exitone::run::context::Options;
use exitone::run::drivers::{self, Finished};
use exitone::run::schedule::How;
use exitone::scenario::file;
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);
const HEAD: &str = "candidates: [app:v1, app:v2]\ncombine: why\nservice:\n  port: 8000\n  env: {A: 1, B: 1, C: 1, D: 1}\n  \
                    health_check: {protocol: HTTP}\nconditions: [env.unset:A, env.unset:B, env.unset:C, env.unset:D]\n";
/// The planted failures: v1 needs B; v2 needs B, and C or D.
const ALL: &str = "expect:\n  '*': [pass, exit 1 under env.unset:B]\n  v2: exit 3 under env.unset:C + env.unset:D\n";

/// An engine with two images, and the number of starts.
fn world() -> (FakeEngine, Arc<AtomicUsize>) {
    let (engine, starts) = (FakeEngine::new(true), Arc::new(AtomicUsize::new(0)));
    for (image, more) in [("app:v1", false), ("app:v2", true)] {
        let count = starts.clone();
        let script = move |s: &Situation| {
            count.fetch_add(1, Ordering::Relaxed);
            let has = |name: &str| s.env.contains_key(name);
            match (has("B"), more && !has("C") && !has("D")) {
                (false, _) => exits(SECOND, 1, "KeyError: 'B'"),
                (true, true) => exits(SECOND, 3, "RuntimeError: neither c nor d"),
                (true, false) => healthy(8000),
            }
        };
        engine.image(image, &[], Arc::new(script));
    }
    (engine, starts)
}

async fn plan(engine: &FakeEngine, expect: &str) -> Plan {
    let scenario = file::read("s.yaml", &format!("{HEAD}{expect}"), Path::new("."), None).expect("good");
    let mut candidates = Vec::new();
    for image in &scenario.candidates {
        candidates.push(Candidate { facts: engine.inspect_image(image).await.expect("an image") });
    }
    let (cases, searches) = (scenario.cases(&scenario.candidates), scenario.searches(&scenario.candidates));
    let part = Part { scenario: Some(scenario.name), service: scenario.service };
    Plan::joined(vec![Plan::of_scenario(part, candidates, cases).with_searches(searches)])
}

async fn run(
    engine: &FakeEngine,
    plan: Plan,
    how: How,
    interrupts: watch::Receiver<u32>,
    mut tell: impl FnMut(&Stamped),
) -> (Finished, Run) {
    let state = tempfile::tempdir().expect("a folder");
    let rig = open(engine, state.path(), how.room.jobs, Options::default()).await;
    let mut live = Run::default();
    let finished = drivers::run(rig.context.clone(), Arc::new(plan), how, interrupts, |event| {
        live.on(event);
        tell(event);
    })
    .await;
    close(rig, engine, finished.cut).await;
    (finished, live)
}

fn never() -> watch::Receiver<u32> {
    watch::channel(0).1
}

async fn whole(engine: &FakeEngine, expect: &str) -> (Finished, Run) {
    run(engine, plan(engine, expect).await, How::from(2), never(), |_| {}).await
}

/// The sets that are judged by themselves, each with its state.
fn judged(run: &Run) -> Vec<String> {
    let searched = run.searches().filter_map(|(_, came)| came.ok());
    let line = |image: &str, judged: &exitone::model::search::JudgedSet| {
        let smallest = if judged.smallest { "" } else { " (no smallest)" };
        let good = run.entry(&judged.case).expect("a case").is_good();
        format!("{image} {}{smallest}: {good}", judged.conditions)
    };
    searched.flat_map(|s| s.judged.iter().map(|j| line(&s.answer.image, j)).collect::<Vec<_>>()).collect()
}

#[tokio::test(start_paused = true)]
async fn search_runs_become_cases_and_sets_are_judged() {
    let (engine, _) = world();
    let (finished, run) = whole(&engine, ALL).await;
    let all = ["app:v1 env.unset:B: true", "app:v2 env.unset:B: true", "app:v2 env.unset:C + env.unset:D: true"];
    assert_eq!(judged(&run), all);
    assert_eq!(finished.summary.exit_code(), 0, "{:?}", finished.summary);
    assert_eq!(run.counts(), finished.summary, "the fold counts as the run does");
    let summary = &finished.summary;
    assert_eq!((summary.unexpected, summary.open, summary.searches, summary.failed), (0, 0, 2, 3));
    assert!(summary.steps >= 4 && summary.cases == summary.steps + 5, "{summary:?}");
    assert_eq!(run.header.cases.len(), summary.cases);
    // Every case of the run is included once, and a failing step is not a failure.
    assert_eq!(finished.results.len(), run.results.len());
    let steps = || run.entries().filter(|entry| entry.standing == Standing::Step);
    assert!(steps().any(|entry| entry.result.is_some_and(|r| r.exit_code == Some(1))));
    for (_, came) in run.searches() {
        let searched = came.expect("made");
        assert!(searched.answer.complete && searched.open.is_none());
        for set in &searched.answer.minimal_sets {
            assert_eq!(run.results[&set.case].conditions, set.conditions);
            assert_eq!(set.repro, format!("exitone repro {}", set.case));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unexpected_sets_fail_and_missing_sets_are_reported() {
    let (engine, _) = world();
    for (expect, unexpected, said) in [
        ("", 3, vec![]),
        ("expect: {v2: [pass, exit 1 under env.unset:B, exit 3 under env.unset:C + env.unset:D]}\n", 1, vec![]),
        ("expect: {'*': [fail, pass under baseline]}\n", 0, vec![]),
        // Another exit code, a set that passes, and a set with a part that fails already.
        (
            "expect:\n  '*': [fail, pass under baseline, exit 2 under env.unset:B, exit 1 under env.unset:A]\n  v2: exit 1 \
             under env.unset:B + env.unset:C\n",
            5,
            vec![
                "app:v1 env.unset:B: false",
                "app:v1 env.unset:A (no smallest): false",
                "app:v2 env.unset:B: false",
                "app:v2 env.unset:C + env.unset:D: true",
                "app:v2 env.unset:A (no smallest): false",
                "app:v2 env.unset:B + env.unset:C (no smallest): false",
            ],
        ),
        // A set that is expected to pass runs regardless of the search.
        ("expect: {'*': [fail, pass under baseline, pass under env.unset:A + env.unset:C]}\n", 0, vec![]),
    ] {
        let (finished, run) = whole(&engine, expect).await;
        assert_eq!(
            (finished.summary.unexpected, finished.summary.open),
            (unexpected, 0),
            "{expect} {:?}",
            judged(&run)
        );
        assert_eq!(finished.summary.exit_code(), u8::from(unexpected > 0));
        assert_eq!(run.counts(), finished.summary);
        if !said.is_empty() {
            assert_eq!(judged(&run), said);
            let text = terminal::run(&run);
            assert!(text.contains("as a smallest set (env.unset:B fails already)"), "{text}");
        }
        if expect.contains("env.unset:A + env.unset:C") {
            assert!(judged(&run).contains(&"app:v1 env.unset:A + env.unset:C (no smallest): true".to_owned()));
        }
    }
}

/// What distinguishes two runs.
fn short(run: &Run) -> Vec<String> {
    let one = |entry: exitone::event::Entry<'_>| {
        let verdict = entry.result.map(|result| result.verdict);
        format!("{} {verdict:?} {:?} {:?} {:?}", entry.planned.id, entry.standing, entry.expected, entry.attempts)
    };
    run.entries().map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn merged_shards_equal_the_whole() {
    let (engine, _) = world();
    let (_, whole) = whole(&engine, ALL).await;
    let mut shards = Vec::new();
    let mut with_a_search = 0;
    for number in 1..=4 {
        let shard: Shard = format!("{number}/4").parse().expect("a part");
        let mut part = plan(&engine, ALL).await;
        part.keep(shard);
        for case in &part.cases {
            assert!(
                part.searches.iter().any(|s| case.search.as_ref() == Some(&s.id)),
                "its search is in the same shard"
            );
        }
        with_a_search += usize::from(!part.searches.is_empty());
        let how = How { shard: Some(shard), ..How::from(2) };
        shards.push(run(&engine, part, how, never(), |_| {}).await.1);
    }
    assert!(with_a_search >= 1);
    shards.reverse();
    let merged = Run::merged(shards).expect("they belong together");
    assert_eq!(short(&merged), short(&whole));
    assert_eq!(judged(&merged), judged(&whole));
    let places = |run: &Run| run.header.cases.iter().map(|p| (p.id.clone(), p.place)).collect::<Vec<_>>();
    assert_eq!(places(&merged), places(&whole));
    let counted = |run: &Run| Counts { seconds: 0.0, ..run.counts() };
    assert_eq!((counted(&merged), merged.header.shard), (counted(&whole), None));
}

#[tokio::test(start_paused = true)]
async fn finished_search_does_not_run_again() {
    let (engine, starts) = world();
    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().join("run");
    let mut folder = Folder::create(&path).expect("a folder");
    let plan = plan(&engine, ALL).await;
    run(&engine, plan.clone(), How::from(1), never(), |event| folder.on(event).expect("written")).await;
    drop(folder);
    let (before, _) = folder::read(&path).expect("a run");
    // Killed during the second search.
    let events = path.join("events.jsonl");
    let text = std::fs::read_to_string(&events).expect("events");
    let second = text.match_indices("search_started").nth(1).expect("a second").0;
    let cut = second + text[second..].match_indices("case_finished").nth(2).expect("a third").0;
    std::fs::write(&events, &text[..cut]).expect("cut");
    let (broken, _) = folder::read(&path).expect("a run");
    assert_eq!((broken.searches.len(), broken.counts().open, broken.counts().exit_code()), (1, 1, 5));
    assert!(broken.searches().nth(1).expect("two").1.is_err_and(|because| because.contains("interrupted")));
    let first = plan.searches[0].id.clone();
    let of_first = |p: &&exitone::event::Planned| p.search.as_ref() == Some(&first);
    let first_place = plan.searches[0].place;
    let added: Vec<_> =
        broken.header.cases.iter().filter(of_first).filter(|p| p.place >= first_place).cloned().collect();
    let kept = broken.header.cases.iter().filter(|p| p.conditions.is_empty() || of_first(p));
    let done: Vec<_> = kept.filter_map(|p| broken.finished(&p.id)).collect();
    let events = done.len() + added.len() + 1;
    let searched = (added, broken.searches.values().cloned().collect());
    let all = starts.swap(0, Ordering::Relaxed);
    let mut folder = Folder::resume(&path, events).expect("a folder");
    let how = How { done, searched, ..How::from(1) };
    run(&engine, plan, how, never(), |event| folder.on(event).expect("written")).await;
    let again = starts.load(Ordering::Relaxed);
    assert!(again > 0 && again < all - 4, "{again} of {all}");
    let (resumed, cut) = folder::read(&path).expect("a run");
    assert!(!cut && resumed.summary.is_some());
    assert_eq!(short(&resumed), short(&before));
    assert_eq!(judged(&resumed), judged(&before));
}

#[tokio::test(start_paused = true)]
async fn stopping_a_run_stops_its_searches_without_a_pass() {
    let (engine, _) = world();
    // The first search finds an unexpected set.
    let how = How { fail_fast: true, ..How::from(2) };
    let (finished, run_) = run(&engine, plan(&engine, "").await, how, never(), |_| {}).await;
    assert_eq!((finished.summary.exit_code(), finished.summary.open, run_.searches.len()), (1, 1, 1));
    let because = run_.searches().nth(1).expect("two").1.expect_err("not made").to_owned();
    assert!(because.starts_with("--fail-fast: v1-"), "{because}");
    // Time runs out during the second.
    let mut ends = Vec::new();
    run(&engine, plan(&engine, ALL).await, How::from(2), never(), |event| {
        if matches!(event.event, Event::SearchFinished { .. }) {
            ends.push(event.at_ms);
        }
    })
    .await;
    let budget = Duration::from_millis(ends[0] + 2_500);
    let how = How { budget: Some(budget), ..How::from(2) };
    let (finished, run_) = run(&engine, plan(&engine, ALL).await, how, never(), |_| {}).await;
    assert_eq!((finished.summary.open, finished.summary.exit_code(), finished.cut), (1, 5, true));
    assert_eq!(run_.counts(), finished.summary);
    let open = run_.searches().nth(1).expect("two").1.expect("begun").open.clone().expect("undecided");
    assert!(open.contains("the search stopped early"), "{open}");
    for text in [terminal::run(&run_), markdown::render(&run_), annotations::render(&run_), junit::render(&run_)] {
        assert!(text.to_lowercase().contains("undecided"), "{text}");
    }
    // The user interrupts during the first.
    let (ask, asked) = watch::channel(0);
    let (finished, run_) = run(&engine, plan(&engine, ALL).await, How::from(2), asked, |event| {
        if matches!(event.event, Event::CaseAdded { .. }) {
            ask.send_replace(1);
        }
    })
    .await;
    assert_eq!((finished.summary.open, finished.cut), (2, false));
    assert_eq!(run_.counts(), finished.summary);
}

#[tokio::test(start_paused = true)]
async fn reports_images_that_fail_everywhere() {
    let (engine, _) = world();
    engine.image("app:v1", &[], Arc::new(|_| exits(SECOND, 1, "always")));
    engine.image_of("app:v2", "arm64", &[], Arc::new(|_| healthy(8000)));
    let (finished, run) = whole(&engine, "").await;
    // Both baselines, and the second one's finding about its image.
    assert_eq!((finished.summary.unexpected, finished.summary.open), (3, 0), "{:?}", finished.summary);
    assert_eq!(judged(&run), ["app:v2 arch.mismatch: false"]);
    let (finished, _) = whole(&engine, "expect: {v1: exit 1}\n").await;
    assert_eq!(finished.summary.unexpected, 2);
}

#[tokio::test(start_paused = true)]
async fn every_report_includes_the_search() {
    let (engine, _) = world();
    let (_, run) = whole(&engine, "expect: {'*': [pass, exit 1 under env.unset:B]}\n").await;
    let text = anstream::adapter::strip_str(&terminal::run(&run)).to_string();
    for said in [
        "v2: a search among 4 conditions",
        "healthy as configured; 2 minimal sets of conditions make it fail",
        "It exits with code 1 when B is missing.",
        "✓ env.unset:B: exit 1, as expected",
        "✗ env.unset:C + env.unset:D: exit 3, expected: pass",
        "The list is complete",
        "This assumes that",
        "steps of a search",
        "1 not as expected",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
    let document = json::of_run(&run);
    assert_eq!(document["searches"][1]["answer"]["minimal_sets"].as_array().map(Vec::len), Some(2));
    assert_eq!(document["summary"]["unexpected"], 1);
    let xml = junit::render(&run);
    assert!(xml.contains("name=\"a search among 4 conditions\"") && xml.matches("<failure").count() == 1, "{xml}");
    let page = markdown::render(&run);
    assert!(page.contains("- ❌ env.unset:C + env.unset:D: exit 3") && page.contains("- ✅ env.unset:B"), "{page}");
    assert_eq!(annotations::render(&run).matches("::error ").count(), 1);
    let page = html::render(&run);
    assert!(page.contains("v2: a search among 4 conditions") && page.contains("\"group\":\"step\""));
}

/// The data of a page, as its script reads it.
fn data(page: &str) -> serde_json::Value {
    let json = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    serde_json::from_str(json).expect("JSON")
}

/// Writes a page to the folder in `EXITONE_PAGES`, for viewing.
fn keep(name: &str, page: &str) {
    if let Some(folder) = std::env::var_os("EXITONE_PAGES") {
        std::fs::write(Path::new(&folder).join(name), page).expect("written");
    }
}

#[tokio::test(start_paused = true)]
async fn why_run_in_every_format() {
    let (engine, _) = world();
    let mut plan = plan(&engine, "").await;
    plan.cases.retain(|case| case.image == "app:v2");
    plan.searches.retain(|search| search.image == "app:v2");
    let (_, mut run) = run(&engine, plan, How::from(2), never(), |_| {}).await;
    run.header.kind = Kind::Why;
    assert_eq!(run.exit_code(), 1);
    let counts = run.counts();

    let text = anstream::adapter::strip_str(&terminal::run(&run)).to_string();
    assert!(text.starts_with("app:v2  healthy as configured; 2 minimal sets of conditions make it fail\n"), "{text}");
    assert_eq!(json::of_run(&run)["minimal_sets"].as_array().map(Vec::len), Some(2));

    // A test case for the baseline, for each minimal set, and for the search.
    let xml = junit::render(&run);
    assert_eq!([xml.matches("<testcase ").count(), xml.matches("<failure ").count()], [4, 2], "{xml}");
    assert!(xml.contains(&format!("name=\"steps of a search\" value=\"{}\"", counts.steps)), "{xml}");

    let page = markdown::render(&run);
    assert!(
        page.starts_with("## ❌ exitone: app:v2: healthy as configured; 2 minimal sets of conditions make it fail\n"),
        "{page}"
    );
    for said in
        ["- ✅ friendly conditions: healthy", "- ❌ env.unset:B: exit 1\n", "- ❌ env.unset:C + env.unset:D: exit 3\n"]
    {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(page.contains("baseline: healthy; a failure needs a condition"), "{page}");

    let page = html::render(&run);
    keep("why.html", &page);
    let search = &data(&page)["searches"][0];
    assert_eq!(search["lines"].as_array().map(Vec::len), Some(3), "{search:#}");
    let runs = search["runs"].as_array().expect("runs");
    assert!(runs.len() > counts.steps, "every run is included, also repeated ones");
    let lessons: Vec<&str> = runs.iter().map(|run| run[4].as_str().expect("a lesson")).collect();
    for lesson in ["a failure needs a condition", "a minimal set", "not enough by itself"] {
        assert!(lessons.contains(&lesson), "{lesson}: {lessons:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bisect_run_in_every_format() {
    let engine = FakeEngine::new(true);
    for (n, bad) in [false, false, true, true].into_iter().enumerate() {
        let act = move |_: &Situation| if bad { exits(SECOND, 1, "KeyError: 'B'") } else { healthy(8000) };
        engine.image(&format!("app:v{n}"), &["A=1"], Arc::new(act));
    }
    let images: Vec<String> = (0..4).map(|n| format!("app:v{n}")).collect();
    let bisect = Bisect::new(&images, ConditionSet::baseline());
    let plan = Plan { bisect: Some(bisect), ..Plan::new(service(&[]), candidates(&engine, &images).await, []) };
    let state = tempfile::tempdir().expect("a folder");
    let rig = open(&engine, state.path(), 2, Options::default()).await;
    let mut events = Vec::new();
    let tell = |event: &Stamped| events.push(event.clone());
    let finished = drivers::run(rig.context.clone(), Arc::new(plan), 2, never(), tell).await;
    close(rig, &engine, finished.cut).await;
    let log: String = events.iter().map(|event| log::line(event).expect("a line")).collect();
    let run = Run::of(&log::read(&log).expect("a log").events);

    assert_eq!((run.exit_code(), run.counts().unexpected), (1, 0));
    let first_bad = "v2 is the first bad one; v1, before it, is good";
    let text = anstream::adapter::strip_str(&terminal::run(&run)).to_string();
    assert!(text.contains(first_bad) && text.contains("✓ v0") && text.contains("✗ v2"), "{text}");
    assert_eq!(json::of_run(&run)["first_bad"], "app:v2");
    let xml = junit::render(&run);
    let bad = xml.matches("<failure ").count();
    assert!(xml.contains("<testcase name=\"v2\"") && bad >= 1, "{xml}");
    assert_eq!(xml.matches("<testcase ").count(), 4);
    let page = markdown::render(&run);
    assert!(page.starts_with(&format!("## ❌ exitone: {first_bad}\n")) && page.contains("- ✅ v1: good"), "{page}");
    assert_eq!(annotations::render(&run).matches("::error ").count(), 1);
    let page = html::render(&run);
    keep("bisect.html", &page);
    let search = &data(&page)["searches"][0];
    assert_eq!((search["verdict"].as_str(), search["lines"].as_array().map(Vec::len)), (Some(first_bad), Some(4)));
}
