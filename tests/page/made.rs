//! The runs shown by the tests: whole runs of the program against the scripted engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use exitone::engine::Engine;
use exitone::engine::fake::{Act, FakeEngine, Script, Situation, exits, healthy};
use exitone::event::run::Run;
use exitone::model::observation::{ConnectAttempt, DnsQuestion, Fate};
use exitone::model::service::Protocol;
use exitone::model::{Candidate, ConditionSet, Part, Plan};
use exitone::report::html;
use exitone::run::context::Options;
use exitone::run::drivers;
use exitone::run::rig::{Rig, Setup};
use tempfile::TempDir;
use tokio::sync::watch;

/// Passes, unless a variable is missing.
pub(crate) const APP: &str = "app:1";
/// Has a long name, and never listens without outbound network.
pub(crate) const LONG: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/payments-service:2026-11-03-release";
/// Its whole log is hostile.
pub(crate) const HOSTILE: &str = "hostile:1";

/// The log of a hostile image: each part would change the page's title or leave a mark if it ran. Its last line becomes
/// the text of a cause.
pub(crate) const LOGGED: &str = "</script><script>document.title='ran'; window.ran=1</script>\n\
                          <img src=x onerror=\"document.title='ran'; window.ran=1\">\n\
                          <svg onload=\"window.ran=1\"> --> ]]> <!-- \u{2028}window.ran=1\u{2029} `${window.ran=1}` <b>bold</b>\n\
                          <iframe srcdoc=\"<script>parent.ran=1</script>\"></iframe> javascript:window.ran=1\n\
                          AttributeError: '</script><script>window.ran=1</script>' object has no attribute \
                          '<img src=x onerror=window.ran=1>'";

/// A page in its own folder.
pub(crate) struct Page {
    pub run: Run,
    pub path: PathBuf,
    /// The content of the page.
    pub html: String,
    _folder: TempDir,
}

impl Page {
    fn of(run: Run) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, html) = (folder.path().join("page.html"), html::render(&run));
        std::fs::write(&path, &html).expect("written");
        Self { run, path, html, _folder: folder }
    }

    /// The place of a case in the plan, which is its number on the page.
    pub(crate) fn at(&self, image: &str, conditions: &str) -> usize {
        let set = set(conditions);
        let mut cases = self.run.header.cases.iter();
        cases.position(|c| c.image == image && c.conditions == set).expect("a case of the plan")
    }

    /// The id of a case.
    pub(crate) fn id(&self, at: usize) -> &str {
        &self.run.header.cases[at].id.0
    }

    /// The selector of a case's cell.
    pub(crate) fn cell(&self, image: &str, conditions: &str) -> String {
        format!("[data-case='{}']", self.at(image, conditions))
    }
}

/// Two scenarios, of 3 × 4 and 1 × 2 cases.
pub(crate) fn small() -> Page {
    let engine = |engine: &FakeEngine| {
        engine.image(APP, &[], needs_b("ModuleNotFoundError: No module named 'psycopg2'"));
        engine.image(LONG, &[], Arc::new(needs_a_way_out));
        engine.image(HOSTILE, &[], needs_b(LOGGED));
    };
    let sets = ["", "env.unset:A", "env.unset:B", SHUT];
    let all = sets.iter().flat_map(|set| [APP, LONG, HOSTILE].map(|image| (image, *set)));
    // An expectation that is not met.
    let expected = |(image, set): &(&str, &str)| (*image == LONG && *set == "env.unset:A").then_some("exit 1");
    let first = all.map(|case| (case.0.to_owned(), case.1.to_owned(), expected(&case))).collect();
    let second = ["env.unset:D", "env.unset:D env.unset:B"].map(|set| (APP.to_owned(), set.to_owned(), None)).into();
    let mut run = made(engine, &[APP, LONG, HOSTILE], vec![("start", first), ("again", second)]);
    reached_out(&mut run);
    Page::of(run)
}

/// A thousand cases of 20 images. Half of them fail, with a sizeable log.
pub(crate) fn large() -> Page {
    let images: Vec<String> = (0..20).map(|n| format!("registry.example/team/app:v{n}")).collect();
    let names: Vec<&str> = images.iter().map(String::as_str).collect();
    let log: String = (0..40).map(|n| format!("2026-11-03 12:00:00 INFO worker {n} waits for its turn\n")).collect();
    let engine = |engine: &FakeEngine| {
        for (n, image) in names.iter().enumerate() {
            let log = format!("{log}ModuleNotFoundError: No module named 'm{}'", n % 7);
            let script: Script = if n % 2 == 0 {
                Arc::new(|_: &Situation| healthy(8000))
            } else {
                Arc::new(move |_: &Situation| exits(Duration::from_secs(1), 1, &log))
            };
            engine.image(image, &[], script);
        }
    };
    let sets: Vec<String> = (0..50).map(|n| format!("env.unset:VARIABLE_{n}")).collect();
    let cases = sets.iter().flat_map(|set| images.iter().map(|image| (image.clone(), set.clone(), None))).collect();
    Page::of(made(engine, &names, vec![("all", cases)]))
}

fn needs_b(log: &'static str) -> Script {
    Arc::new(move |situation: &Situation| match situation.env.contains_key("B") {
        true => healthy(8000),
        false => exits(Duration::from_secs(1), 1, log),
    })
}

fn needs_a_way_out(situation: &Situation) -> Act {
    match situation.conditions.iter().any(|c| c.name() == "egress.drop") {
        true => Act { logs: vec![(Duration::from_secs(2), "connecting …".to_owned())], ..Act::default() },
        false => healthy(8000),
    }
}

/// The scripted engine has no network: adds the questions and connections of the cases without outbound network.
fn reached_out(run: &mut Run) {
    let planned = run.header.cases.iter().filter(|c| c.image == LONG && c.conditions == set(SHUT));
    for id in planned.map(|c| c.id.clone()).collect::<Vec<_>>() {
        let result = run.results.get_mut(&id).expect("it was run");
        Arc::make_mut(result).not_exercised.clear();
        let evidence = &mut Arc::make_mut(result).evidence;
        let question = |at_ms, name: &str, answer: &str| DnsQuestion {
            at_ms,
            name: name.to_owned(),
            record: "A".to_owned(),
            answer: answer.to_owned(),
            own: false,
        };
        evidence.dns.push(question(310.0, "db.internal.example", "198.18.0.1"));
        evidence.dns.push(question(2400.0, "queue.internal.example", "SERVFAIL"));
        for (at_ms, port, fate) in
            [(420.0, 5432, Fate::Silent), (5200.0, 443, Fate::Unreachable), (9000.0, 6379, Fate::Refused)]
        {
            evidence.connects.push(ConnectAttempt {
                at_ms,
                protocol: "tcp".to_owned(),
                address: std::net::Ipv4Addr::new(198, 18, 0, 1),
                port,
                name: Some("db.internal.example".to_owned()),
                fate,
                sent: 3,
            });
        }
    }
}

/// Conditions that block the outbound network.
pub(crate) const SHUT: &str = "egress.drop dns.delay:2s env.unset:C";

fn set(text: &str) -> ConditionSet {
    ConditionSet::new(text.split_whitespace().map(|c| c.parse().expect("a condition"))).expect("a set")
}

/// An image, its conditions, its expectation.
type Wanted = (String, String, Option<&'static str>);

fn made(images: impl FnOnce(&FakeEngine), names: &[&str], scenarios: Vec<(&str, Vec<Wanted>)>) -> Run {
    // The run's clock only advances while waiting: nothing takes real time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let engine = FakeEngine::new(true);
        images(&engine);
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let info = engine.info().await.expect("an engine");
        let mut candidates = Vec::new();
        for name in names {
            candidates.push(Candidate { facts: engine.inspect_image(name).await.expect("an image") });
        }
        let mut service = exitone::scenario::service::defaults(&exitone::scenario::apprunner());
        (service.port, service.health_check.protocol) = (8000, Protocol::Http);
        let variables = ["A", "B", "C", "D"].map(str::to_owned).into_iter();
        let variables = variables.chain((0..50).map(|n| format!("VARIABLE_{n}")));
        service.env = variables.map(|name| (name, "1".to_owned())).collect();
        let plans = scenarios.into_iter().map(|(name, cases)| {
            let part = Part { scenario: Some(name.to_owned()), service: service.clone() };
            let cases = cases.into_iter().map(|(image, conditions, expected)| {
                (image, set(&conditions), expected.map(|text| text.parse().expect("an outcome")))
            });
            Plan::of_scenario(part, candidates.clone(), cases)
        });
        let plan = Plan::joined(plans.collect());
        let state = tempfile::tempdir().expect("a folder");
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
        let mut run = Run::default();
        let interrupts = watch::channel(0).1;
        drivers::run(rig.context.clone(), Arc::new(plan), 4, interrupts, |event| run.on(event)).await;
        rig.close(false).await.expect("closed");
        run
    })
}
