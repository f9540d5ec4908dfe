//! The page of a run in a real browser, without a window: what it draws, and that nothing of a candidate runs in it.

// A test that cannot be made says so.
#![allow(clippy::print_stderr)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use exitone::engine::Engine;
use exitone::engine::fake::{FakeEngine, exits, healthy};
use exitone::event::run::Run;
use exitone::model::service::Protocol;
use exitone::model::{Candidate, CaseId, ConditionSet, Part, Plan};
use exitone::report::html;
use exitone::run::case::Options;
use exitone::run::coordinator;
use exitone::run::rig::{Rig, Setup};
use tokio::sync::watch;

/// What a hostile image logs: each would change the page's title if it ran.
const HOSTILE: &str = "</script><script>document.title='ran'</script>\n<img src=x onerror=\"document.title='ran'\">\n\
                       <!-- \u{2028} RuntimeError: planted & <b>bold</b>";
/// A browser that hangs is ended.
const SECONDS: &str = "120";

/// A run of an image that needs B: a pass, and a failure with a hostile log.
async fn run() -> Run {
    let engine = FakeEngine::new(true);
    let script = |situation: &exitone::engine::fake::Situation| match situation.env.contains_key("B") {
        true => healthy(8000),
        false => exits(Duration::from_secs(1), 1, HOSTILE),
    };
    engine.image("app:1", &[], Arc::new(script));
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let info = engine.info().await.expect("an engine");
    let mut service = exitone::scenario::service::defaults(&exitone::scenario::apprunner());
    (service.port, service.health_check.protocol) = (8000, Protocol::Http);
    service.env = ["A", "B"].map(|name| (name.to_owned(), "1".to_owned())).into_iter().collect();
    let set =
        |text: &str| ConditionSet::new(text.split_whitespace().map(|c| c.parse().expect("valid"))).expect("a set");
    let cases = ["", "env.unset:A", "env.unset:B"].map(|text| ("app:1".to_owned(), set(text), None));
    let candidate = Candidate { facts: engine.inspect_image("app:1").await.expect("an image") };
    let plan = Plan::of_scenario(Part { scenario: Some("s".to_owned()), service }, vec![candidate], cases);
    let state = tempfile::tempdir().expect("a folder");
    let setup = Setup {
        state: state.path().to_owned(),
        jobs: 1,
        options: Options::default(),
        watchdog: false,
        program: None,
        mode: None,
    };
    let rig = Rig::open(engine, &info, setup).await.expect("a session");
    let mut run = Run::default();
    let interrupts = watch::channel(0).1;
    coordinator::run(rig.context.clone(), Arc::new(plan), 1, interrupts, |event| run.on(event)).await;
    rig.close(false).await.expect("closed");
    run
}

/// What the browser made of a page; nothing where there is no browser.
fn drawn(page: &Path, fragment: &str) -> Option<String> {
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new("timeout")
        .args([SECONDS, "chromium", "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
        .args(["--no-first-run", "--disable-background-networking", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}{fragment}", page.display()))
        .output()
        .expect("timeout is there");
    // 127: there is no such program.
    if output.status.code() == Some(127) {
        assert!(std::env::var_os("CI").is_none(), "no browser: Debian's package chromium is needed");
        eprintln!("no chromium here: the page is not looked at");
        return None;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The part of the page that shows a case.
fn panel(page: &str) -> &str {
    let from = page.find("<aside").expect("a panel");
    &page[from..from + page[from..].find("</aside>").expect("its end")]
}

#[test]
fn a_browser_draws_the_matrix_and_opens_the_case_of_its_address() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let run = runtime.expect("a runtime").block_on(run());
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.html");
    std::fs::write(&page, html::render(&run)).expect("written");

    let Some(plain) = drawn(&page, "") else { return };
    assert!(plain.contains("data-ready"), "its script did not run to its end: {plain}");
    assert_eq!(plain.matches("data-case=").count(), 3, "a button for each cell");
    assert!(plain.contains("1 case of 3 not as expected"), "{plain}");
    assert!(panel(&plain).starts_with("<aside") && panel(&plain).contains("hidden"), "no case is open");

    let failed: Vec<&CaseId> = run.in_order().filter(|r| r.exit_code == Some(1)).map(|r| &r.id).collect();
    let whole = drawn(&page, &format!("#{}", failed[0])).expect("as before");
    let opened = panel(&whole);
    for text in ["It exited with code 1 after 1.00 s", "Time line", "exitone repro", "Container exit code: 1"] {
        assert!(opened.contains(text), "{text} is missing: {opened}");
    }
    // The log is there as text, and none of it has run.
    assert!(opened.contains("&lt;img src=x onerror=") && opened.contains("&lt;b&gt;bold"), "{opened}");
    for page in [&plain, &whole] {
        assert!(!page.contains("<title>ran</title>") && !page.contains("<img "), "a candidate's text has run");
    }
}
