//! An engine is proven before the first verdict on it; nothing is judged on one whose environment is not ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::support::{self, any_file, candidates};
use exitone::engine::fake::{Act, FakeEngine, Faults, Foreign, exits};
use exitone::engine::{Engine, EngineError};
use exitone::model::observation::{Observation, Usage};
use exitone::model::{CaseResult, ConditionSet, Plan, Verdict};
use exitone::run::RunError;
use exitone::run::context::Options;
use exitone::run::drivers;
use exitone::run::engine_proof::{Claim, EngineProof, prove};
use exitone::run::rig::{Rig, Setup};
use tokio::sync::watch;
use tokio::time::Instant;

struct World {
    engine: FakeEngine,
    state: tempfile::TempDir,
}

impl World {
    fn new(foreign: &[Foreign]) -> Self {
        Self::of(FakeEngine::new(true), foreign)
    }

    fn of(engine: FakeEngine, foreign: &[Foreign]) -> Self {
        let script = |_: &exitone::engine::fake::Situation| {
            let mut act = exits(Duration::from_secs(1), 1, "boom");
            act.seen.push(Observation::Usage(Usage { memory_peak: 1 << 20, ..Usage::default() }));
            act
        };
        engine.image("app:1", &[], Arc::new(script));
        engine.set_faults(Faults { foreign: foreign.to_vec(), ..Faults::default() });
        Self { engine, state: tempfile::tempdir().expect("a folder") }
    }

    fn setup(&self, options: Options) -> Setup {
        let state = self.state.path().to_owned();
        Setup { state, jobs: 2, options, watchdog: false, program: Some(any_file()), mode: None }
    }

    async fn open(&self) -> Result<Rig, RunError> {
        self.open_with(Options::default()).await
    }

    async fn open_with(&self, options: Options) -> Result<Rig, RunError> {
        let engine: Arc<dyn Engine> = Arc::new(self.engine.clone());
        let info = engine.info().await.expect("an engine");
        Rig::open_proven(engine, &info, self.setup(options), &support::service(&[])).await
    }

    async fn close(&self, rig: Rig) {
        support::close(rig, &self.engine, false).await;
    }

    /// The claims that were not proven, and what was seen.
    async fn refused(&self) -> Vec<(Claim, String)> {
        let Err(error) = self.open().await else { panic!("the session was not refused") };
        assert_eq!(self.engine.left(), Vec::<String>::new(), "nothing is left on the engine");
        assert_eq!(self.remembered(), Vec::<PathBuf>::new(), "a failed proof is not remembered");
        let RunError::Unproven { failed } = error else { panic!("{error}") };
        failed.into_iter().map(|check| (check.claim, check.seen)).collect()
    }

    fn remembered(&self) -> Vec<PathBuf> {
        let folder = self.state.path().join("proven");
        let all = std::fs::read_dir(folder).into_iter().flatten();
        all.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Number of started planted candidates.
    fn planted(&self) -> usize {
        self.engine.started("exitone/planted")
    }

    async fn run(&self, rig: &Rig) -> Arc<CaseResult> {
        self.run_image(rig, "app:1").await
    }

    async fn run_image(&self, rig: &Rig, image: &str) -> Arc<CaseResult> {
        let candidates = candidates(&self.engine, &[image]).await;
        let plan = Plan::new(support::service(&[]), candidates, vec![(image.to_owned(), ConditionSet::baseline())]);
        let interrupts = watch::channel(0).1;
        let finished = drivers::run(rig.context.clone(), Arc::new(plan), 1, interrupts, |_| {}).await;
        finished.results.into_iter().next().expect("a result")
    }
}

#[tokio::test(start_paused = true)]
async fn proof_precedes_the_first_verdict_and_is_remembered() {
    let world = World::new(&[]);
    let begun = Instant::now();
    let rig = world.open().await.expect("a session");
    assert_eq!(world.planted(), 5);
    assert!(begun.elapsed() <= Duration::from_millis(1100), "{:?}", begun.elapsed());
    let result = world.run(&rig).await;
    assert_eq!((result.verdict, result.exit_code), (Verdict::Fail, Some(1)));
    assert!(result.evidence.usage.is_some());
    world.close(rig).await;
    assert_eq!(world.remembered().len(), 1);
    // The second session relies on it.
    let begun = Instant::now();
    let rig = world.open().await.expect("a session");
    assert_eq!((world.planted(), begun.elapsed()), (5, Duration::ZERO));
    world.close(rig).await;
    // Another engine, and an invalid file.
    std::fs::write(&world.remembered()[0], "{").expect("written");
    let rig = world.open().await.expect("a session");
    assert_eq!(world.planted(), 10);
    world.close(rig).await;
    let other = World { engine: FakeEngine::new(false), state: world.state };
    let rig = other.open().await.expect("a session");
    assert_eq!(other.planted(), 5, "an engine of another name");
    other.close(rig).await;
    assert_eq!(other.remembered().len(), 2);
}

/// As on an Apple laptop: what proves the engine is a native program there, and no image of the platform's architecture.
#[tokio::test(start_paused = true)]
async fn engine_of_another_architecture_proves_itself() {
    for machine in ["aarch64", "x86_64"] {
        let world = World::of(FakeEngine::new(true).on(machine), &[]);
        let rig = world.open().await.expect("a session");
        let result = world.run(&rig).await;
        assert_eq!((result.verdict, result.exit_code), (Verdict::Fail, Some(1)), "{machine}");
        // Emulation makes programs slow.
        world.engine.image("slow:1", &[], Arc::new(|_| Act::default()));
        let result = world.run_image(&rig, "slow:1").await;
        let emulated = machine == "aarch64";
        assert_eq!(result.verdict == Verdict::Unresolved, emulated, "{machine}: {result:?}");
        assert_eq!(
            result.notes.iter().any(|note| note.contains("emulates the image's")),
            emulated,
            "{:?}",
            result.notes
        );
        world.close(rig).await;
    }
}

#[tokio::test(start_paused = true)]
async fn soak_and_real_time_do_not_slow_the_proof() {
    let world = World::new(&[]);
    let begun = Instant::now();
    let options = Options { soak: Duration::from_secs(600), real_time: true, ..Options::default() };
    let rig = world.open_with(options).await.expect("a session");
    assert!(begun.elapsed() <= Duration::from_millis(1100), "{:?}", begun.elapsed());
    assert_eq!(rig.context.options.soak, Duration::from_secs(600), "the session's own stays");
    world.close(rig).await;
}

#[tokio::test(start_paused = true)]
async fn foreign_resolver_fails_the_session() {
    for shared in [true, false] {
        let world = World::of(FakeEngine::new(shared), &[Foreign::Resolver]);
        let refused = world.refused().await;
        assert_eq!(refused[0].0, Claim::Resolver);
        assert!(
            refused[0].1.starts_with("no DNS query for planted.example reached the simulated internet"),
            "{refused:?}"
        );
        assert!(refused[0].1.contains("Connection timed out (110)"), "{refused:?}");
        assert!(!refused.iter().any(|(claim, _)| *claim == Claim::Route), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_route_fails_the_session() {
    let refused = World::new(&[Foreign::Route]).refused().await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].0, Claim::Route);
    assert!(refused[0].1.starts_with("no connection attempt reached the simulated internet"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn probe_that_reaches_loopback_fails_the_session() {
    let refused = World::new(&[Foreign::Probe]).refused().await;
    assert_eq!(refused, [(Claim::Probe, "a probe reached port 8000 on 127.0.0.1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn usage_of_another_group_is_ignored() {
    let world = World::new(&[Foreign::Groups]);
    let rig = world.open().await.expect("a session");
    assert!(!rig.context.measures_usage);
    world.close(rig).await;
    assert_eq!(world.remembered(), Vec::<PathBuf>::new(), "said again with the next session");
}

#[tokio::test(start_paused = true)]
async fn engine_without_measurements_is_remembered_as_such() {
    let world = World::new(&[Foreign::NoGroups]);
    for _ in 0..2 {
        let rig = world.open().await.expect("a session");
        assert!(!rig.context.measures_usage);
        assert_eq!(world.planted(), 5);
        world.close(rig).await;
    }
}

/// What an engine accepts and does not set is skipped, in this session and in the next.
#[tokio::test(start_paused = true)]
async fn limits_without_effect_are_skipped() {
    for (foreign, skipped) in
        [(vec![], vec![]), (vec![Foreign::Limits], vec!["cpu.limit:1", "memory.limit:1g", "nofile.limit:1024"])]
    {
        let world = World::new(&foreign);
        for _ in 0..2 {
            let rig = world.open().await.expect("a session");
            let limits = ["cpu.limit:1", "memory.limit:1g", "nofile.limit:1024", "egress.drop"];
            let denied = limits.into_iter().filter(|set| {
                let allowed = rig.context.limits.allow(&set.parse().expect("a condition"));
                matches!(allowed, Err(RunError::CannotImpose { .. }))
            });
            assert_eq!(denied.collect::<Vec<_>>(), skipped);
            world.close(rig).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn engine_that_runs_no_candidate_fails_with_its_cause() {
    let world = World::new(&[]);
    let holder = Some("setting net.ipv4/ip_forward: Read-only file system".to_owned());
    world.engine.set_faults(Faults { holder, ..Faults::default() });
    let refused = world.refused().await;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, Claim::Sandbox);
    assert!(refused[0].1.contains("setting net.ipv4/ip_forward: Read-only file system"), "{refused:?}");
    // An engine that cannot load our image reports it.
    let error = EngineError::Broken { action: "loading an image".to_owned(), message: "no".to_owned() };
    world.engine.set_faults(Faults { errors: [("load_image", error.clone())].into(), ..Faults::default() });
    let other = World { engine: FakeEngine::new(true), state: tempfile::tempdir().expect("a folder") };
    other.engine.set_faults(Faults { errors: [("load_image", error)].into(), ..Faults::default() });
    assert!(matches!(other.open().await, Err(RunError::Engine(EngineError::Broken { .. }))));
}

#[tokio::test(start_paused = true)]
async fn error_says_what_was_expected_and_seen() {
    let world = World::new(&[Foreign::Resolver]);
    let Err(error) = world.open().await else { panic!("not refused") };
    let text = error.to_string();
    for words in [
        "this container engine failed its checks",
        "resolver: expected: a candidate's names are resolved by the simulated internet",
        "resolver: seen: no DNS query for planted.example",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(error.hint().contains("exitone doctor"));
}

/// Interrupting the proof of an engine leaves nothing behind and remembers no proof.
#[tokio::test(start_paused = true)]
async fn interrupted_proof_is_not_remembered() {
    let world = World::new(&[]);
    let left = tokio::time::timeout(Duration::from_millis(500), world.open()).await;
    assert!(left.is_err());
    assert_eq!(world.remembered(), Vec::<PathBuf>::new());
    let rig = world.open().await.expect("a session");
    assert_eq!(world.planted(), 10);
    rig.close(true).await.expect("closed");
}

#[tokio::test(start_paused = true)]
async fn every_claim_is_proven_once() {
    let world = World::new(&[]);
    let rig = support::open(&world.engine, world.state.path(), 2, Options::default()).await;
    let info = world.engine.info().await.expect("an engine");
    let proof: EngineProof = prove(&rig.context, &info, &support::service(&[]), None::<&Path>).await.expect("proven");
    let claims: Vec<_> = proof.checks.iter().map(|check| (check.claim, check.holds)).collect();
    let all = [Claim::Resolver, Claim::Route, Claim::Probe, Claim::Usage];
    assert_eq!(claims, all.map(|claim| (claim, Some(true))));
    assert!(proof.passed() && proof.measures_usage() && proof.wrong_usage().is_none());
    world.close(rig).await;
}
