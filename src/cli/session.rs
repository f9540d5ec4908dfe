//! From flags to a session on the engine: locates the engine and its images, opens a session, runs a plan, closes it.

use std::sync::Arc;

use super::console::say;
use super::failure::Failure;
use super::flags::Running;
use super::repro;
use super::signals::Signals;
use crate::engine::context::EngineEnv;
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineError, EngineInfo};
use crate::event::run::Run;
use crate::event::{Entry, Event, Planned, Stamped, Standing};
use crate::model::service::UpstreamKind;
use crate::model::{Candidate, Case, Plan, Service};
use crate::report::view::{name, plural};
use crate::run::context::Options;
use crate::run::drivers::{self, Finished};
use crate::run::rig::{Rig, Setup, unknown_variables};
use crate::run::schedule::{How, Room};
use crate::run::{RunError, session};
use crate::scenario::{apprunner, service};

/// Locates and identifies the engine.
///
/// # Errors
/// There is no engine, no permission, or it is too old.
pub(crate) async fn engine() -> Result<(Arc<dyn Engine>, EngineInfo), Failure> {
    let engine: Arc<dyn Engine> = Arc::new(DockerEngine::connect(&EngineEnv::of_process())?);
    let info = engine.info().await?;
    tracing::info!(name = info.name, version = info.version, api = info.api, "engine");
    Ok((engine, info))
}

/// Looks up images, including those of service containers; reports all missing ones at once. With `pull`, the missing
/// ones are pulled first: service containers for the engine's machine, the others for the platform.
///
/// # Errors
/// The engine's errors; for several missing images, their messages together.
pub(crate) async fn candidates(
    (engine, info): (&dyn Engine, &EngineInfo),
    names: &[String],
    service: &Service,
    pull: bool,
) -> Result<Vec<Candidate>, Failure> {
    let served = service.upstreams.iter().filter_map(|upstream| match &upstream.kind {
        UpstreamKind::Container(container) => Some((&container.image, Some(upstream))),
        UpstreamKind::Stub(_) => None,
    });
    let mut found = Vec::new();
    let mut missing: Vec<(EngineError, String)> = Vec::new();
    for (name, serves) in names.iter().map(|name| (name, None)).chain(served) {
        let mut looked = engine.inspect_image(name).await;
        if pull && matches!(looked, Err(EngineError::ImageNotFound { .. })) {
            let architecture = if serves.is_some() { info.architecture() } else { &service.platform.architecture };
            say(&format!("pulling {name}"));
            looked = match engine.pull_image(name, &format!("linux/{architecture}")).await {
                Ok(()) => engine.inspect_image(name).await,
                Err(e) => Err(e),
            };
        }
        match looked {
            Ok(facts) if serves.is_none() => found.push(Candidate { facts }),
            Ok(_) => {}
            Err(e @ (EngineError::ImageNotFound { .. } | EngineError::NotPulled { .. })) => {
                let whose = serves.map(|up| format!(" (it serves the upstream {}:{})", up.host, up.port));
                missing.push((e, whose.unwrap_or_default()));
            }
            Err(e) => return Err(e.into()),
        }
    }
    match missing.first() {
        None => Ok(found),
        Some((first, _)) => {
            let each = missing.iter().map(|(error, whose)| format!("{error}{whose}"));
            let message = each.collect::<Vec<_>>().join("\nerror: ");
            Err(Failure::usage(message).with_hint(first.hint()))
        }
    }
}

/// Warns of conditions on variables that neither the service nor any image sets.
pub(crate) fn warn_of_unknown(plan: &Plan) {
    let unknown: Vec<String> = unknown_variables(plan).into_iter().collect();
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        say(&format!("warning: neither the service nor an image sets {names}; env.unset has no effect there"));
    }
}

/// Maximum number of cases per slot: waiting cases leave their slot to others.
const WAITING_TOO: usize = 2;

/// Number of parallel cases of a search on this engine: fewer than for a run, because each next case is chosen better
/// the more answers are known.
pub(crate) fn room(running: &Running, info: &EngineInfo) -> Room {
    room_for(running, info, (3 * info.cpus).div_ceil(2))
}

fn room_for(running: &Running, info: &EngineInfo, jobs: usize) -> Room {
    let jobs = running.jobs.map_or(jobs, usize::from);
    let most = if running.jobs.is_some() { jobs } else { WAITING_TOO * jobs };
    Room { jobs, most, memory: info.memory.map(|all| all / 5 * 4) }
}

/// How cases run in parallel on this engine.
pub(crate) fn how(running: &Running, info: &EngineInfo, cases: usize) -> How {
    let Room { jobs, most, memory } = room_for(running, info, 2 * info.cpus);
    let cases = cases.max(1);
    How { room: Room { jobs: jobs.min(cases), most: most.min(cases), memory }, ..How::from(1) }
}

/// What remains to be closed when a plan has run: the answer comes before it.
#[must_use]
pub(crate) struct Leftovers {
    /// `None` without a session, and when the engine is lost: one that does not answer removes nothing.
    rig: Option<Rig>,
    /// Whether cases were ended before they were decided.
    broken_off: bool,
}

impl Leftovers {
    /// Closes the session.
    pub(crate) async fn close(self, signals: &Signals) {
        if let Some(rig) = self.rig {
            close(rig, signals, self.broken_off).await;
        }
    }
}

/// Opens a session and runs a plan; without a case to run, there is no session. `tell` receives every event.
///
/// # Errors
/// Errors of the engine and of this machine.
pub(crate) async fn run_plan(
    running: &Running,
    (engine, info): (Arc<dyn Engine>, EngineInfo),
    (plan, how): (Plan, How),
    first: bool,
    signals: &Signals,
    tell: &mut dyn FnMut(&Stamped),
) -> Result<(Finished, Leftovers), Failure> {
    let mut known = plan.clone();
    let plan = Arc::new(plan);
    let mut tell = |event: &Stamped| {
        // A killed run keeps its results.
        match &event.event {
            Event::CaseFinished { result, .. } => repro::remember(&known, [&**result]),
            // Cases added by a search are not in the plan.
            Event::CaseAdded { planned } => known.cases.extend(added(&plan, planned)),
            _ => {}
        }
        tell(event);
    };
    if let Some(finished) = drivers::without_session(&plan, &how, &mut tell) {
        return Ok((finished, Leftovers { rig: None, broken_off: false }));
    }
    let rig = signals.unless_asked(open(running, engine, &info, how.room.most, first)).await??;
    let (context, asked) = (rig.context.clone(), signals.asked());
    let finished = drivers::run(context, plan.clone(), how, asked, tell).await;
    say_undecided(&finished.run);
    // Then the watchdog tries, and so does the next session.
    let rig = Some(rig).filter(|_| finished.engine_lost.is_none());
    let broken_off = finished.cut;
    Ok((finished, Leftovers { rig, broken_off }))
}

/// Most cases without a verdict that are named.
const MOST_UNDECIDED: usize = 5;

/// Says why cases have no verdict.
fn say_undecided(run: &Run) {
    let images: Vec<String> = run.entries().map(|entry| entry.planned.image.clone()).collect();
    let undecided = |entry: &Entry<'_>| matches!(entry.standing, Standing::Unresolved | Standing::Skipped);
    let all: Vec<_> = run.entries().filter(undecided).filter_map(|entry| entry.result.cloned()).collect();
    for result in all.iter().take(MOST_UNDECIDED) {
        let why = result.notes.first().map(String::as_str).unwrap_or_default();
        say(&format!("unresolved: {} under {}: {why}", name(&result.image, &images), result.conditions));
    }
    if all.len() > MOST_UNDECIDED {
        say(&format!("unresolved: {} more; the report has them", plural(all.len() - MOST_UNDECIDED, "case")));
    }
}

/// A case that a search added to a plan.
fn added(plan: &Plan, planned: &Planned) -> Option<Case> {
    let search = plan.searches.iter().find(|search| planned.search.as_ref() == Some(&search.id));
    let part = search.map(|search| search.part).or(plan.bisect.as_ref().map(|_| 0))?;
    let case = Case::new(&planned.image, planned.conditions.clone());
    Some(Case { id: planned.id.clone(), part, search: planned.search.clone(), ..case })
}

/// Opens a session on an engine that was proven before, or is proven now.
///
/// # Errors
/// Errors of the engine and of this machine.
pub(crate) async fn open(
    running: &Running,
    engine: Arc<dyn Engine>,
    info: &EngineInfo,
    jobs: usize,
    first: bool,
) -> Result<Rig, RunError> {
    let setup = Setup {
        state: session::state_dir(),
        jobs,
        options: Options {
            soak: running.soak,
            real_time: running.real_time,
            first,
            evidence: true,
            whole_images: !running.verdicts_only,
            lifetime: running.lifetime.unwrap_or(Options::default().lifetime),
        },
        watchdog: true,
        program: None,
        mode: None,
    };
    Rig::open_proven(engine, info, setup, &service::defaults(&apprunner())).await
}

/// Closes a session. The results are kept even if this fails: the watchdog and the next start try again. `broken_off`:
/// cases were ended before they were decided.
pub(crate) async fn close(rig: Rig, signals: &Signals, broken_off: bool) {
    match signals.unless_asked(rig.close(broken_off)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cleaning up; the watchdog tries again"),
        Err(_) => tracing::warn!("interrupted while cleaning up; the watchdog goes on"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::fake::{FakeEngine, healthy};
    use crate::run::engine_proof::{Check, Claim};

    #[test]
    fn engine_that_fails_its_proof_is_unusable() {
        let failed = vec![Check { claim: Claim::Resolver, holds: Some(false), seen: "no question".to_owned() }];
        let failure = Failure::from(RunError::Unproven { failed });
        assert!(failure.is_of_engine() && failure.message().contains("no question"), "{}", failure.message());
        assert_eq!(failure.report(), std::process::ExitCode::from(4));
    }

    #[tokio::test]
    async fn names_every_missing_image_including_service_containers() {
        let engine = FakeEngine::new(true);
        engine.image("app:1", &[], Arc::new(|_: &crate::engine::fake::Situation| healthy(8000)));
        let text = "upstreams: [{host: db.internal, port: 5432, container: {image: 'db:1'}}]";
        let (service, _) = service::read_file("s.yaml", text, Path::new("."), &apprunner()).expect("a service");
        let names = ["app:1".to_owned(), "app:2".to_owned()];
        let info = engine.info().await.expect("an engine");
        let on = (&engine as &dyn Engine, &info);
        let failure = candidates(on, &names, &service, false).await.expect_err("two are missing");
        let message = failure.message();
        assert!(message.contains("app:2") && message.contains("db:1"), "{message}");
        assert!(message.contains("(it serves the upstream db.internal:5432)"), "{message}");
        assert_eq!(failure.report(), std::process::ExitCode::from(2));
        engine.image("db:1", &[], Arc::new(|_: &crate::engine::fake::Situation| healthy(5432)));
        assert_eq!(candidates(on, &names[..1], &service, false).await.expect("both are there").len(), 1);
    }
}
