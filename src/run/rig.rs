//! Everything that cases need, set up once for a session and taken down with it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::RunError;
use super::cleanup;
use super::context::{Context, Limits, Options};
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

/// How a rig is set up.
pub struct Setup {
    /// The folder for sessions' locks.
    pub state: PathBuf,
    /// How many cases run at a time.
    pub jobs: usize,
    /// How cases are run.
    pub options: Options,
    /// True: a process of its own removes what is left if this one is killed.
    pub watchdog: bool,
    /// The executable that serves as holder and as watchdog; `None` for this process's own.
    pub program: Option<PathBuf>,
    /// How holders are used; nothing: as the engine allows.
    pub mode: Option<Mode>,
}

/// A session that is ready for cases.
pub struct Rig {
    /// What cases share.
    pub context: Arc<Context>,
    watchdog: Option<Watchdog>,
}

impl Rig {
    /// Begins a session: sweep, watchdog, volume, holder's image, holders.
    ///
    /// # Errors
    /// The engine's and this machine's; nothing is left on the engine then.
    pub async fn open(engine: Arc<dyn Engine>, info: &EngineInfo, setup: Setup) -> Result<Self, RunError> {
        let session = Arc::new(Session::begin(&setup.state)?);
        let program = setup.program.as_deref();
        let watchdog = if setup.watchdog { Some(Watchdog::start(&session, program)?) } else { None };
        let swept = cleanup::sweep(engine.as_ref(), &session, &setup.state);
        let volume = session.volume();
        let labels = session.labels("volume");
        // The volume comes first: it shows others that a session is opening, and `clean` then keeps the images.
        let created = engine.create_volume(&volume, &labels, false).await;
        let opened = async {
            created?;
            let image = ensure_image(engine.as_ref(), info, program).await?;
            let authority = new_authority().map_err(|e| RunError::host("making the session's authority", e))?;
            let launch =
                Launch { engine: engine.clone(), session: session.clone(), image, authority: Arc::new(authority) };
            let mode = if info.joins_current_namespace { Mode::Shared } else { Mode::OneRun };
            let pool = Pool::new(launch, setup.mode.unwrap_or(mode), setup.jobs);
            // A holder costs a quarter of a second of a CPU, which the first candidates need: the others come when they
            // are wanted.
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
                limits: Limits { cpu: info.cpu_limit, memory: info.memory_limit, cpus: info.cpus },
                options: setup.options,
                unsets_variables: info.unsets_variables,
                architecture: info.architecture().to_owned(),
                measures_usage: true,
                leaving: Arc::new(Mutex::new(JoinSet::new())),
                ending: watch::Sender::new(false),
            })
        };
        let (swept, opened) = tokio::join!(swept, opened);
        if let Err(error) = swept {
            tracing::warn!(%error, "sweeping dead sessions");
        }
        match opened {
            Ok(context) => Ok(Self { context: Arc::new(context), watchdog }),
            Err(error) => {
                // Dropping the watchdog without a word makes it try again.
                if let Err(error) = cleanup::pass(engine.as_ref(), &session.filter()).await {
                    tracing::warn!(%error, "removing what a session that cannot be opened left; the watchdog tries again");
                }
                Err(error)
            }
        }
    }

    /// Begins a session on an engine that has been proven, or is proven now: before that nothing is judged. `defaults`:
    /// the service of a platform, for the planted candidates.
    ///
    /// # Errors
    /// As those of [`Self::open`], and [`RunError::Unproven`]; nothing is left on the engine then.
    pub async fn open_proven(
        engine: Arc<dyn Engine>,
        info: &EngineInfo,
        setup: Setup,
        defaults: &Service,
    ) -> Result<Self, RunError> {
        let (state, program) = (setup.state.clone(), setup.program.clone());
        let rig = Self::open(engine, info, setup).await?;
        let proven = rig.proven(&state, info);
        if let Some(usage) = proven.usage() {
            return Ok(rig.measuring(usage));
        }
        tracing::info!("first session on this engine: proving it");
        let proof = prove(&rig.context, info, defaults, program.as_deref()).await;
        match proof.and_then(|proof| proof.require().map(|()| proof)) {
            Ok(proof) => {
                match proof.wrong_usage() {
                    Some(seen) => tracing::warn!(
                        seen,
                        "use of CPU and memory is not the candidate's own on this engine: nothing is concluded from it"
                    ),
                    None => proven.remember(proof.measures_usage()),
                }
                Ok(rig.measuring(proof.measures_usage()))
            }
            Err(error) => {
                if let Err(cleanup) = rig.close(false).await {
                    tracing::warn!(error = %cleanup, "cleaning up; the watchdog tries again");
                }
                Err(error)
            }
        }
    }

    /// The memory of what was proven of this session's engine.
    #[must_use]
    pub(crate) fn proven(&self, state: &Path, info: &EngineInfo) -> Proven {
        Proven::of(state, info, self.context.pool.image())
    }

    fn measuring(self, usage: bool) -> Self {
        let context = Context { measures_usage: usage, ..Context::clone(&self.context) };
        Self { context: Arc::new(context), ..self }
    }

    /// Ends the session: what is leaving is waited for, everything of the session is removed. `broken_off`: cases were
    /// aborted.
    ///
    /// # Errors
    /// The engine's; the watchdog then tries again.
    pub async fn close(self, broken_off: bool) -> Result<(), RunError> {
        self.context.ending.send_replace(true);
        let mut leaving = std::mem::take(&mut *self.context.leaving.lock().await);
        let left = async { while leaving.join_next().await.is_some() {} };
        tokio::join!(self.context.pool.close(), left);
        let (engine, label) = (self.context.engine.as_ref(), self.context.session.filter());
        if broken_off {
            // The engine may still be carrying out what an aborted case asked of it.
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

/// Variables that are condition-worthy but unknown to the service: their names are most likely misspelt.
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
