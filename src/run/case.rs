//! One case as a state machine: prepare, start, listen, healthy, soak, stop.
//!
//! Every condition is in force before the candidate's first instruction: the holder acknowledges the namespace before
//! the container starts. The verdict is final before the candidate is stopped; stopping and removing it goes on in the
//! background.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::RunError;
use super::confirm::unless_only_slow;
use super::context::Context;
use super::disk::FullDisk;
use super::holder::Holder;
use super::lease::Lease;
use super::named;
use super::off_thread::off_thread;
use super::result::{Attempt, ResultBuilder, explain_by_image};
use super::services::Services;
use super::spec;
use super::teardown::Teardown;
use super::watch::{End, Watch, WatchInput};
use crate::diagnose::statics::findings;
use crate::engine::EngineError;
use crate::holder::protocol::{Prepare, ToHolder};
use crate::model::outcome::Phase;
use crate::model::service::UpstreamKind;
use crate::model::{Candidate, Case, CaseResult, Condition, Outcome, Redactor, Service};

const CANNOT_EXECUTE: &str = "the engine's machine cannot execute linux/amd64";
const CANNOT_EXECUTE_HINT: &str = "Install emulation on it (`docker run --privileged --rm tonistiigi/binfmt --install amd64`), or use an amd64 engine.";
/// Time limit of the engine's answer to a start.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Callbacks of a running case.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    /// Called with each phase that the case reaches.
    pub(crate) phase: &'a (dyn Fn(Phase) + Sync),
    /// Called when the candidate becomes healthy, or does nothing any more, with the result unless something else
    /// happens.
    pub(crate) provisional: Option<&'a (dyn Fn(CaseResult) + Sync)>,
    /// Set to true to cancel the case.
    pub(crate) cancelled: Option<&'a watch::Receiver<bool>>,
    /// What keeps a healthy candidate running; without it, a case ends with its verdict.
    pub(crate) lease: Option<&'a Lease>,
}

impl Listener<'_> {
    /// Ignores everything.
    pub const NOBODY: Self = Self { phase: &|_| {}, provisional: None, cancelled: None, lease: None };
}

/// Runs one case.
#[tracing::instrument(name = "case", skip_all, fields(id = %case.id))]
pub async fn run(
    context: &Context,
    service: &Service,
    candidate: &Candidate,
    case: &Case,
    listener: Listener<'_>,
) -> CaseResult {
    let begun = Instant::now();
    let first = context.options.first;
    let bare = ResultBuilder { case, candidate, service, files: None, first, total_ms: 0.0 };
    if let Some(result) = bare.of_image() {
        return with_files(context, result, &bare).await;
    }
    if let Err(error) = case.conditions.iter().try_for_each(|condition| context.limits.allow(condition)) {
        return bare.not_run(&error);
    }
    let run = async {
        let attempt = run_in_holder(context, service, candidate, case, listener).await;
        (attempt, millis(begun.elapsed()))
    };
    let read_files = context.inspector.files(service, candidate, case);
    let ((attempt, total_ms), files) = tokio::join!(run, read_files);
    if let Err(Failure::Run(error)) = &attempt {
        context.lifeline.check(error).await;
    }
    let foreign = candidate.facts.architecture != context.architecture;
    let service = spec::checked(service, &case.conditions).into_owned();
    let (candidate, case) = (candidate.clone(), case.clone());
    // Rules and redaction read the whole log.
    off_thread(move || {
        let (case, candidate, service, files) = (&case, &candidate, &service, files.as_ref());
        let builder = ResultBuilder { case, candidate, service, files, first, total_ms };
        judge(&builder, attempt, foreign).cleaned(&redactor(candidate, service, case))
    })
    .await
}

/// The result of an attempt. `foreign`: the engine's machine has another architecture than the image.
fn judge(builder: &ResultBuilder<'_>, attempt: Result<Attempt, Failure>, foreign: bool) -> CaseResult {
    // A machine of another architecture that cannot execute amd64 proves nothing about the image.
    let cannot = |text: &str| foreign && text.contains("exec format error");
    match attempt {
        Ok(attempt) if cannot(&attempt.log) => builder.not_run(&cannot_execute()),
        Err(Failure::Image { message, .. }) if cannot(&message) => builder.not_run(&cannot_execute()),
        Ok(attempt) if foreign => unless_only_slow(builder.of_attempt(attempt), builder.service.port),
        Ok(attempt) => builder.of_attempt(attempt),
        Err(Failure::Image { exit_code, message, hint }) => builder.not_started(exit_code, &message, hint),
        Err(Failure::Run(e)) => builder.not_run(&e),
    }
}

fn cannot_execute() -> RunError {
    RunError::Unsupported { reason: CANNOT_EXECUTE.to_owned(), hint: CANNOT_EXECUTE_HINT }
}

/// Adds findings about the image's files to a result that the image's configuration decides.
async fn with_files(context: &Context, mut result: CaseResult, builder: &ResultBuilder<'_>) -> CaseResult {
    let files = context.inspector.files(builder.service, builder.candidate, builder.case).await;
    result.findings = findings(&builder.candidate.facts, files.as_ref(), builder.service);
    explain_by_image(&mut result);
    result.cleaned(&redactor(builder.candidate, builder.service, builder.case))
}

async fn run_in_holder(
    context: &Context,
    service: &Service,
    candidate: &Candidate,
    case: &Case,
    listener: Listener<'_>,
) -> Result<Attempt, Failure> {
    let begun = Instant::now();
    let mut holder = context.pool.take().await?;
    let attempt = attempt(context, service, candidate, case, &mut holder, begun, listener).await;
    match attempt {
        Ok((attempt, gone)) => {
            context.pool.give_back(holder, gone).await;
            Ok(attempt)
        }
        Err(Failure::Run(e)) => {
            if holder.is_reusable() {
                context.pool.give_back(holder, std::future::ready(())).await;
            } else {
                context.pool.discard(holder).await;
            }
            Err(Failure::Run(e))
        }
        Err(image) => {
            context.pool.give_back(holder, std::future::ready(())).await;
            Err(image)
        }
    }
}

/// The redactor of every secret value of a case.
fn redactor(candidate: &Candidate, service: &Service, case: &Case) -> Redactor {
    let env = spec::environment(candidate, service, &case.conditions);
    let image = candidate.facts.env.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let set = env.iter().filter_map(|(n, v)| v.as_deref().map(|v| (n.as_str(), v)));
    let containers = service.upstreams.iter().filter_map(|upstream| match &upstream.kind {
        UpstreamKind::Container(container) => Some(&container.env),
        UpstreamKind::Stub(_) => None,
    });
    let theirs = containers.flatten().map(|(n, v)| (n.as_str(), v.as_str()));
    // A condition may wrap the service's own value, and the program may unwrap it again.
    let own = service.env.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    Redactor::new(image.chain(set).chain(own).chain(theirs), &service.secrets)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Why there is no attempt.
enum Failure {
    /// The image cannot be started anywhere.
    Image { exit_code: Option<i64>, message: String, hint: &'static str },
    /// The sandbox or the engine failed.
    Run(RunError),
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        // A failure of a holder, a service container or a keeper says nothing about the image.
        Self::Run(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let hint = error.hint();
        match error {
            EngineError::CannotStart { exit_code, message } => Self::Image { exit_code, message, hint },
            other => Self::Run(other.into()),
        }
    }
}

async fn attempt(
    context: &Context,
    service: &Service,
    candidate: &Candidate,
    case: &Case,
    holder: &mut Holder,
    begun: Instant,
    listener: Listener<'_>,
) -> Result<(Attempt, impl Future<Output = ()> + Send + 'static + use<>), Failure> {
    let on_phase = listener.phase;
    on_phase(Phase::Prepare);
    let engine = &context.engine;
    let env = spec::environment(candidate, service, &case.conditions);
    let mut container = spec::container(candidate, service, &case.conditions, &context.session, &holder.container);
    let takes_away = |condition: &&Condition| condition.variable().is_some_and(|v| env.get(&v.name) == Some(&None));
    if let Some(condition) = case.conditions.iter().find(takes_away).filter(|_| !context.unsets_variables) {
        let reason = "this engine cannot unset a variable of the image".to_owned();
        return Err(Failure::Run(RunError::CannotImpose { condition: condition.clone(), reason }));
    }
    container.names = context.names.as_ref().map(|volume| spec::names(volume, &case.conditions));
    let user = container.user.clone().unwrap_or_else(|| candidate.facts.user.clone());
    let mut disk = full_disk(context, service, candidate, case).await?;
    if let Some(disk) = &disk {
        container.volumes.extend(disk.volumes().iter().cloned());
    }
    // Podman puts no container into the network of one that does not run yet.
    if !context.pool.fresh() {
        holder.ready().await?;
    }
    let run = holder.next_run();
    let services = Services::start(context, service, holder, run).await?;
    let prepare = Prepare {
        run,
        fresh: context.pool.fresh(),
        conditions: case.conditions.iter().filter(|c| c.is_of_network()).cloned().collect(),
        real_time: context.options.real_time,
        ports: spec::named_ports(service, &env),
        upstreams: services.upstreams.clone(),
        outbox: listener.lease.is_some(),
        evidence: context.options.evidence,
    };
    let (prepared, created) = tokio::join!(holder.prepare(prepare), engine.create(&container));
    // From here on the container is removed, whatever happens.
    let mut teardown = Teardown::new(context, created.as_deref().unwrap_or_default());
    // First the holder's error: a holder that failed must not be reused.
    let zero = prepared?;
    let id = created?;
    if let Some(disk) = &mut disk {
        disk.fill().await?;
    }
    services.wait_until_serving(holder, run).await?;
    if context.measures_usage {
        holder.send(&ToHolder::Watch { run, container: id.clone() }).await?;
    }
    let attached = engine.attach(&id, false).await?;
    let death = context.deaths.of(&id);
    on_phase(Phase::Start);
    holder.mark_occupied();
    match timeout(START_WITHIN, engine.start(&id)).await {
        Ok(started) => started?,
        Err(_) => {
            let late = format!("the engine did not report the start within {} s", START_WITHIN.as_secs());
            teardown.start().await;
            return Err(Failure::Run(RunError::Holder(late)));
        }
    }
    holder.send(&ToHolder::Started { run }).await?;
    let output = attached.output;
    let redactor = redactor(candidate, service, case);
    let checked = spec::checked(service, &case.conditions);
    let service = &*checked;
    let builder = ResultBuilder { case, candidate, service, files: None, first: context.options.first, total_ms: 0.0 };
    let tell = listener.provisional.map(|tell| |attempt| tell(builder.of_attempt(attempt).cleaned(&redactor)));
    let on_provisional = tell.as_ref().map(|tell| tell as &(dyn Fn(Attempt) + Sync));
    let options = &context.options;
    let redactor = &redactor;
    let lease = listener.lease;
    let begin = WatchInput { service, options, holder, run, output, death, on_phase, on_provisional, redactor, lease };
    let mut watch = Watch::begin(begin);
    on_phase(Phase::Listen);
    let end = tokio::select! {
        biased;
        () = cancelled(listener.cancelled) => Err(RunError::Cancelled),
        end = decided(&mut watch, lease.is_some()) => end,
    };
    let end = match end {
        Ok(end) => end,
        Err(e) => {
            teardown.start().await;
            return Err(e.into());
        }
    };
    let started_ms = millis(watch.started - begun);
    let mut settled = watch.settle(end, engine.as_ref(), &id, zero).await;
    if let Ok(attempt) = &mut settled
        && attempt.outcome != Outcome::Healthy
        && options.evidence
    {
        let named = named::look(engine.as_ref(), &id, &candidate.facts, &user, &attempt.log).await;
        (attempt.evidence.user, attempt.evidence.files) = (named.user, named.files);
    }
    let writes = match &mut disk {
        Some(disk) => disk.writes().await?,
        None => 0,
    };
    if let Some(disk) = disk {
        disk.tear_down_with(&mut teardown);
    }
    if end != End::Died {
        // Still running: it gets SIGTERM, then SIGKILL.
        teardown.death = Some(watch.death);
    }
    let lived = end != End::Died;
    let one_run = !context.pool.fresh();
    let gone = teardown.done();
    teardown.start().await;
    services.tear_down().await;
    let mut attempt = settled?;
    attempt.evidence.full_disk_writes = writes;
    attempt.started_ms = attempt.started_ms.map(|lag| started_ms + lag);
    on_phase(Phase::Stop);
    let gone = async move {
        // A candidate that has ended cannot write to shared files, but the holder of a single run goes after it.
        if lived || one_run {
            gone.await;
        }
    };
    Ok((attempt, gone))
}

/// How the candidate ended; one that is kept running has its verdict long before.
async fn decided(watch: &mut Watch<'_>, is_kept: bool) -> Result<End, RunError> {
    match watch.until_decided().await {
        Ok(End::Healthy) if is_kept => watch.hold().await,
        end => end,
    }
}

/// Returns when the case is cancelled.
async fn cancelled(cancelled: Option<&watch::Receiver<bool>>) {
    if let Some(cancelled) = cancelled
        && cancelled.clone().wait_for(|cancelled| *cancelled).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Prepares the full disk of a case under `disk.full`.
async fn full_disk<'a>(
    context: &'a Context,
    service: &Service,
    candidate: &Candidate,
    case: &Case,
) -> Result<Option<FullDisk<'a>>, RunError> {
    let wanted = case.conditions.iter().find(|condition| condition.changes().container.full_disk);
    let Some(condition) = wanted else { return Ok(None) };
    let files = context.inspector.files(service, candidate, case).await;
    let reason = || "the image's folders cannot be read".to_owned();
    let cannot = || RunError::CannotImpose { condition: condition.clone(), reason: reason() };
    let mut folders = files.ok_or_else(cannot)?.folders;
    folders.extend(candidate.facts.volumes.iter().cloned());
    FullDisk::begin(context, condition.clone(), &folders).await.map(Some)
}
