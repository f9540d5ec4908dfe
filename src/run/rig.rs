//! Sets up and takes down everything that the cases of a session need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::RunError;
use super::cleanup;
use super::context::{Context, Ineffective, Limits, Options};
use super::deaths::Deaths;
use super::engine_proof::prove;
use super::holder::Launch;
use super::inspector::Inspector;
use super::lifeline::Lifeline;
use super::pool::{Mode, Pool};
use super::program::ensure_image;
use super::proven::Proven;
use super::session::Session;
use super::spec;
use super::watchdog::Watchdog;
use crate::engine::{Engine, EngineInfo};
use crate::holder::authority::new_authority;
use crate::model::{Condition, Plan, Service};

/// Settings of a rig.
pub struct Setup {
    /// The state folder.
    pub state: PathBuf,
    /// Number of cases run in parallel.
    pub jobs: usize,
    /// Options that apply to every case.
    pub options: Options,
    /// Whether to start a watchdog, which cleans up if this process is killed.
    pub watchdog: bool,
    /// The executable that serves as holder and as watchdog; `None` for this process's own.
    pub program: Option<PathBuf>,
    /// How holders are used; `None` to do what the engine supports.
    pub mode: Option<Mode>,
}

/// A session that is ready for cases.
pub struct Rig {
    /// What all cases share.
    pub context: Arc<Context>,
    watchdog: Option<Watchdog>,
}

impl Rig {
    /// Begins a session: sweeps dead ones, starts the watchdog, creates the volume, the holder's image and the holders.
    ///
    /// # Errors
    /// The engine's and this machine's. Nothing is left on the engine then.
    #[tracing::instrument(skip_all)]
    pub async fn open(engine: Arc<dyn Engine>, info: &EngineInfo, setup: Setup) -> Result<Self, RunError> {
        let session = Arc::new(Session::begin(&setup.state)?);
        let program = setup.program.as_deref();
        let watchdog = if setup.watchdog { Some(Watchdog::start(&session, program)?) } else { None };
        let swept = cleanup::sweep(engine.as_ref(), &session, &setup.state);
        let volume = session.volume();
        let labels = session.labels("volume");
        // The volume comes first: it shows that a session is opening, so that `clean` keeps the images.
        let created = engine.create_volume(&volume, &labels, false).await;
        let opened = async {
            let volume = created?;
            let image = ensure_image(engine.as_ref(), info, program).await?;
            let authority = new_authority().map_err(|e| RunError::host("making the session's authority", e))?;
            let launch = Launch {
                engine: engine.clone(),
                session: session.clone(),
                image,
                authority: Arc::new(authority),
                lifetime: setup.options.lifetime,
            };
            let mode = if info.joins_current_namespace { Mode::Shared } else { Mode::OneRun };
            let ending = watch::Sender::new(false);
            let pool = Pool::new(launch, setup.mode.unwrap_or(mode), setup.jobs, ending.subscribe());
            // A holder costs a quarter of a second of CPU time, which the first candidates need: the others are
            // launched on demand.
            pool.warm(setup.jobs.min(2));
            let deaths = Deaths::follow(&engine, &session.filter());
            let lifeline = Arc::new(Lifeline::new(engine.clone(), deaths.clone()));
            let whole = setup.options.whole_images;
            let inspector = Inspector::new(engine.clone(), session.clone(), &setup.state, whole);
            Ok(Context {
                engine: engine.clone(),
                session: session.clone(),
                pool: Arc::new(pool),
                deaths,
                lifeline,
                inspector: Arc::new(inspector),
                limits: Limits {
                    cpu: info.cpu_limit,
                    memory: info.memory_limit,
                    read_only_root: info.read_only_root,
                    cpus: info.cpus,
                    ineffective: Ineffective::new(),
                },
                options: setup.options,
                unsets_variables: info.unsets_variables,
                names: (!info.shares_names).then(|| volume.clone()),
                fills_at_create: info.fills_at_create,
                architecture: info.architecture().to_owned(),
                measures_usage: true,
                teardowns: Arc::new(Mutex::new(JoinSet::new())),
                ending,
            })
        };
        let (swept, opened) = tokio::join!(swept, opened);
        if let Err(error) = swept {
            tracing::warn!(%error, "sweeping dead sessions");
        }
        match opened {
            Ok(context) => Ok(Self { context: Arc::new(context), watchdog }),
            Err(error) => {
                // Dropping the watchdog without dismissing it makes it clean up.
                if let Err(error) = cleanup::pass(engine.as_ref(), &session.filter()).await {
                    tracing::warn!(%error, "cannot clean up after a failed start; the watchdog tries again");
                }
                Err(error)
            }
        }
    }

    /// Begins a session on an engine that has passed its proof, or passes it now. `defaults`: the platform's default
    /// service, for the planted candidates.
    ///
    /// # Errors
    /// Those of [`Self::open`], and [`RunError::Unproven`]. Nothing is left on the engine then.
    pub async fn open_proven(
        engine: Arc<dyn Engine>,
        info: &EngineInfo,
        setup: Setup,
        defaults: &Service,
    ) -> Result<Self, RunError> {
        let (state, program) = (setup.state.clone(), setup.program.clone());
        let rig = Self::open(engine, info, setup).await?;
        let proven = rig.proven(&state, info);
        if let Some((usage, ineffective)) = proven.read() {
            return Ok(rig.with(usage, ineffective));
        }
        tracing::info!("first session on this engine: checking it");
        let proof = prove(&rig.context, info, defaults, program.as_deref()).await;
        match proof.and_then(|proof| proof.require().map(|()| proof)) {
            Ok(proof) => {
                if let Some(seen) = proof.wrong_usage() {
                    tracing::warn!(
                        seen,
                        "CPU and memory figures on this engine are not the candidate's own; ignoring them"
                    );
                }
                if proof.is_lasting() {
                    proven.remember(proof.measures_usage(), &proof.ineffective);
                }
                Ok(rig.with(proof.measures_usage(), proof.ineffective))
            }
            Err(error) => {
                if let Err(cleanup) = rig.close(false).await {
                    tracing::warn!(error = %cleanup, "cannot clean up; the watchdog tries again");
                }
                Err(error)
            }
        }
    }

    /// The stored proof of this session's engine.
    #[must_use]
    pub(crate) fn proven(&self, state: &Path, info: &EngineInfo) -> Proven {
        Proven::of(state, info, self.context.pool.image())
    }

    /// Applies what a proof found: whether usage is measured, and what has no effect.
    fn with(self, usage: bool, ineffective: Ineffective) -> Self {
        let mut context = Context { measures_usage: usage, ..Context::clone(&self.context) };
        context.limits.ineffective = ineffective;
        Self { context: Arc::new(context), ..self }
    }

    /// Ends the session: waits for teardowns and removes everything of the session. `aborted`: whether cases were
    /// aborted.
    ///
    /// # Errors
    /// The engine's; the watchdog then tries again.
    #[tracing::instrument(skip_all)]
    pub async fn close(self, aborted: bool) -> Result<(), RunError> {
        self.context.ending.send_replace(true);
        let mut teardowns = std::mem::take(&mut *self.context.teardowns.lock().await);
        let torn_down = async { while teardowns.join_next().await.is_some() {} };
        tokio::join!(self.context.pool.close(), torn_down);
        let (engine, label) = (self.context.engine.as_ref(), self.context.session.filter());
        if aborted {
            // The engine may still be executing requests of an aborted case.
            cleanup::until_nothing_is_left(engine, &label).await?;
        } else {
            cleanup::pass(engine, &label).await?.complete()?;
        }
        if let Some(watchdog) = self.watchdog {
            watchdog.dismiss().await;
        }
        Ok(())
    }
}

/// Variables that conditions change but that neither the service nor an image sets. Their names are probably
/// misspelled.
#[must_use]
pub(crate) fn unknown_variables(plan: &Plan) -> BTreeSet<String> {
    let images = plan.candidates.iter().flat_map(|c| c.facts.env.keys());
    let known: BTreeSet<&String> = plan.parts.iter().flat_map(|p| p.service.env.keys()).chain(images).collect();
    let searched = plan.searches.iter().flat_map(|search| &search.conditions);
    let named = plan.cases.iter().flat_map(|case| case.conditions.iter()).chain(searched);
    named
        .filter_map(Condition::variable)
        .filter(|env| env.change.needs_a_value())
        .filter(|env| !known.contains(&env.name) && !spec::INJECTED.contains(&env.name.as_str()))
        .map(|env| env.name.clone())
        .collect()
}
