//! What commands share: flags, the engine, interrupts, failures with their exit codes.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::repro;
use crate::engine::context::Surroundings;
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineError, EngineInfo};
use crate::event::{Event, Planned, Stamped};
use crate::images::BuildError;
use crate::model::image::short_name;
use crate::model::service::UpstreamKind;
use crate::model::{Candidate, Case, Plan, Service, Summary, Verdict};
use crate::profile::Profile;
use crate::run::case::Options;
use crate::run::coordinator::{self, Finished, Interrupts};
use crate::run::rig::{Rig, Setup};
use crate::run::schedule::{How, Room};
use crate::run::{RunError, session};
use crate::scenario::{Refused, apprunner, env_file, import, profile, service};

/// Exit codes (contract).
pub const USAGE: u8 = 2;
const BAD_SCENARIO: u8 = 3;
const NO_ENGINE: u8 = 4;
const NO_REPORT: u8 = 6;
pub const INTERNAL: u8 = 70;
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// Flags of every command.
#[derive(Args)]
pub struct Common {
    /// Say more on standard error; twice: everything
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
    /// Colour in the output
    #[arg(long, value_enum, default_value_t = Colour::Auto, global = true)]
    color: Colour,
    /// No live progress
    #[arg(long, global = true)]
    no_progress: bool,
    /// Fetch nothing from a registry or a package index; what is missing is named
    #[arg(long, global = true)]
    pub offline: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

/// Flags of commands that run cases.
#[derive(Args)]
pub struct Running {
    /// Cases at a time [default: 2 × the engine's CPUs, of a search 1.5 ×, and more while some only wait]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// How long a healthy candidate is watched
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub soak: Duration,
    /// The kernel's and the platform's own times instead of shorter ones
    #[arg(long)]
    pub real_time: bool,
    /// True: nothing but verdicts is shown.
    #[arg(skip)]
    pub verdicts_only: bool,
}

/// The flag of commands that know platforms.
#[derive(Args)]
pub struct On {
    /// The platform whose rules hold: apprunner or ecs-express; it beats a scenario's own [default: apprunner]
    #[arg(long, value_name = "PROFILE", value_parser = profile)]
    pub platform: Option<Profile>,
}

/// The form of a single answer.
#[derive(Args)]
pub struct Form {
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The form of the result.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person
    Text,
    /// One document on standard output
    Json,
}

/// A time that a user may ask for.
pub fn duration(text: &str) -> Result<Duration, String> {
    crate::model::units::parse_duration(text)
        .and_then(|d| if d <= Duration::from_secs(3600) { Ok(d) } else { Err("more than an hour".to_owned()) })
}

/// Why a command did not come to a result.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into(), hint: None }
    }

    /// A report could not be written.
    pub fn unwritten(message: impl Into<String>) -> Self {
        Self { code: NO_REPORT, message: message.into(), hint: None }
    }

    /// Our own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { code: INTERNAL, message: message.into(), hint: None }
    }

    /// A scenario, service or environment file is wrong.
    pub fn file(message: impl Into<String>) -> Self {
        Self { code: BAD_SCENARIO, message: message.into(), hint: None }
    }

    /// A result, or a file that was asked for, cannot be written.
    pub fn unwritable(message: impl Into<String>) -> Self {
        Self { code: NO_REPORT, message: message.into(), hint: None }
    }

    /// The engine cannot be used.
    pub fn no_engine(message: impl Into<String>) -> Self {
        Self { code: NO_ENGINE, message: message.into(), hint: None }
    }

    /// With what to do about it.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With what becomes of the work that waited for it.
    pub fn past(self, words: &str) -> Self {
        Self { message: format!("{}\n{words}", self.message.trim_end()), ..self }
    }

    /// True when there is no engine that can be used: nothing is said of any image.
    pub fn is_of_engine(&self) -> bool {
        self.code == NO_ENGINE
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Says it and gives the exit code.
    pub fn report(self) -> ExitCode {
        let mut text =
            if self.message.starts_with("error") { self.message } else { format!("error: {}", self.message) };
        if let Some(hint) = self.hint {
            text.push_str(&format!("\nhint: {hint}"));
        }
        let _ = writeln!(anstream::stderr(), "{}", text.trim_end());
        ExitCode::from(self.code)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let code = if matches!(error, EngineError::ImageNotFound { .. }) { USAGE } else { NO_ENGINE };
        Self { code, hint: Some(error.hint().to_owned()), message: error.to_string() }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Engine(e) => e.into(),
            other => Self { code: NO_ENGINE, hint: Some(other.hint().to_owned()), message: other.to_string() },
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Engine(e) => e.into(),
            other => {
                let code = if matches!(other, BuildError::Unknown { .. }) { USAGE } else { NO_ENGINE };
                Self { code, hint: Some(other.hint().to_owned()), message: other.to_string() }
            }
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::file(refused.to_string())
    }
}

impl Common {
    /// What is said on standard error beside results: `-v`, or `EXITONE_LOG` as tracing-subscriber reads it.
    pub fn start_tracing(&self) {
        match self.color {
            Colour::Auto => {}
            Colour::Always => anstream::ColorChoice::Always.write_global(),
            Colour::Never => anstream::ColorChoice::Never.write_global(),
        }
        let default = ["warn", "exitone=info", "exitone=debug"][usize::from(self.verbose.min(2))];
        let filter = EnvFilter::try_from_env("EXITONE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
        // A second start within one process (tests) keeps the first.
        let _ = subscriber.with_target(false).with_ansi(anstream::stderr().is_terminal() && coloured()).try_init();
    }

    /// True when live progress is wanted and can be seen.
    pub fn progress(&self) -> bool {
        !self.no_progress && std::io::stderr().is_terminal()
    }
}

/// True when colours are wanted on standard error.
fn coloured() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// Writes a result to standard output.
///
/// # Errors
/// When nobody can take it.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Failure::unwritten(format!("writing the result: {e}")))
}

/// A line about what is going on, to standard error.
pub fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Finds the engine and asks who it is.
///
/// # Errors
/// No engine, no permission, too old.
pub async fn engine() -> Result<(Arc<dyn Engine>, EngineInfo), Failure> {
    let engine: Arc<dyn Engine> = Arc::new(DockerEngine::connect(&Surroundings::of_process())?);
    let info = engine.info().await?;
    tracing::info!(name = info.name, version = info.version, api = info.api, "engine");
    Ok((engine, info))
}

/// Looks images up, those of service containers too; all that are missing are named at once.
///
/// # Errors
/// The engine's; for several missing images, their messages together.
pub async fn candidates(engine: &dyn Engine, names: &[String], service: &Service) -> Result<Vec<Candidate>, Failure> {
    let served = service.upstreams.iter().filter_map(|upstream| match &upstream.kind {
        UpstreamKind::Container(container) => Some((&container.image, Some(upstream))),
        UpstreamKind::Stub(_) => None,
    });
    let mut found = Vec::new();
    let mut missing: Vec<(EngineError, String)> = Vec::new();
    for (name, serves) in names.iter().map(|name| (name, None)).chain(served) {
        match engine.inspect_image(name).await {
            Ok(facts) if serves.is_none() => found.push(Candidate { facts }),
            Ok(_) => {}
            Err(e @ EngineError::ImageNotFound { .. }) => {
                let whose = serves.map(|up| format!(" (it serves the upstream {}:{})", up.host, up.port));
                missing.push((e, whose.unwrap_or_default()));
            }
            Err(e) => return Err(e.into()),
        }
    }
    match missing.first() {
        None => Ok(found),
        Some((first, _)) => {
            let hint = Some(first.hint().to_owned());
            let each = missing.iter().map(|(error, whose)| format!("{error}{whose}"));
            let message = each.collect::<Vec<_>>().join("\nerror: ");
            Err(Failure { code: USAGE, message, hint })
        }
    }
}

/// What the user asks of a running command: Ctrl-C or SIGTERM.
pub struct Signals {
    asked: Interrupts,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from now on, for the whole command.
    pub fn listen() -> Self {
        let (sender, asked) = watch::channel(0);
        let terminated = Arc::new(AtomicBool::new(false));
        let flag = terminated.clone();
        tokio::spawn(async move {
            #[cfg(unix)]
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
            loop {
                #[cfg(unix)]
                let ended = async {
                    match &mut terminate {
                        Some(signal) => signal.recv().await,
                        None => std::future::pending().await,
                    }
                };
                #[cfg(not(unix))]
                let ended = std::future::pending::<Option<()>>();
                tokio::select! {
                    pressed = tokio::signal::ctrl_c() => if pressed.is_err() { return },
                    _ = ended => flag.store(true, Ordering::Relaxed),
                }
                sender.send_modify(|asked| *asked += 1);
            }
        });
        Self { asked, terminated }
    }

    /// Hears of every time that the user asks.
    pub fn asked(&self) -> Interrupts {
        self.asked.clone()
    }

    /// The exit code when the user asked to stop.
    pub fn exit_code(&self) -> Option<u8> {
        let code = if self.terminated.load(Ordering::Relaxed) { TERMINATED } else { INTERRUPTED };
        (*self.asked.borrow() > 0).then_some(code)
    }

    /// Does something that is simply left when the user asks to stop; the watchdog cleans up after it.
    ///
    /// # Errors
    /// The interruption.
    pub async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut asked = self.asked.clone();
        asked.mark_unchanged();
        tokio::select! {
            done = work => Ok(done),
            Ok(()) = asked.changed() => {
                let code = self.exit_code().unwrap_or(INTERRUPTED);
                Err(Failure { code, message: "interrupted".to_owned(), hint: None })
            }
        }
    }
}

/// So many cases for each slot at the most: those that wait leave their slot to others.
const WAITING_TOO: usize = 2;

/// How many cases of a search there is room for on this engine: fewer than of a run, as the next one is chosen the better
/// the sooner the others have answered.
pub fn room(running: &Running, info: &EngineInfo) -> Room {
    room_for(running, info, (3 * info.cpus).div_ceil(2))
}

fn room_for(running: &Running, info: &EngineInfo, jobs: usize) -> Room {
    let jobs = running.jobs.map_or(jobs, usize::from);
    let most = if running.jobs.is_some() { jobs } else { WAITING_TOO * jobs };
    Room { jobs, most, memory: info.memory.map(|all| all / 5 * 4) }
}

/// How cases are run beside each other on this engine.
pub fn how(running: &Running, info: &EngineInfo, cases: usize) -> How {
    let Room { jobs, most, memory } = room_for(running, info, 2 * info.cpus);
    let cases = cases.max(1);
    How { room: Room { jobs: jobs.min(cases), most: most.min(cases), memory }, ..How::from(1) }
}

/// Sets a session up, runs a plan, and takes the session down again; where no case is to be run, there is no session.
/// `tell` hears of every event.
///
/// # Errors
/// The engine's and this machine's.
pub async fn run_plan(
    running: &Running,
    (engine, info): (Arc<dyn Engine>, EngineInfo),
    (plan, how): (Plan, How),
    first: bool,
    signals: &Signals,
    tell: &mut dyn FnMut(&Stamped),
) -> Result<Finished, Failure> {
    let mut known = plan.clone();
    let plan = Arc::new(plan);
    let mut tell = |event: &Stamped| {
        // A run that is killed keeps what it has found out.
        match &event.event {
            Event::CaseFinished { result } => repro::remember(&known, std::slice::from_ref(result)),
            // What a search adds is none of the plan's cases.
            Event::CaseAdded { planned } => known.cases.extend(added(&plan, planned)),
            _ => {}
        }
        tell(event);
    };
    if let Some(finished) = coordinator::without_session(&plan, &how, &mut tell) {
        return Ok(finished);
    }
    let rig = signals.unless_asked(open(running, engine, &info, how.room.most, first)).await??;
    let (context, asked) = (rig.context.clone(), signals.asked.clone());
    let finished = coordinator::run(context, plan.clone(), how, asked, tell).await;
    for result in finished.results.iter().filter(|r| r.verdict == Verdict::Unresolved && !r.step) {
        let why = result.notes.first().map(String::as_str).unwrap_or_default();
        say(&format!("unresolved: {} under {}: {why}", short_name(&result.image), result.conditions));
    }
    close(rig, signals, finished.cut).await;
    Ok(finished)
}

/// A case that a search has added to a plan.
fn added(plan: &Plan, planned: &Planned) -> Option<Case> {
    let search = plan.searches.iter().find(|search| planned.search.as_ref() == Some(&search.id))?;
    let case = Case::new(&planned.image, planned.conditions.clone());
    Some(Case { id: planned.id.clone(), part: search.part, search: Some(search.id.clone()), ..case })
}

/// Sets a session up.
///
/// # Errors
/// The engine's and this machine's.
pub async fn open(
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
        },
        watchdog: true,
        program: None,
        mode: None,
    };
    Rig::open(engine, info, setup).await
}

/// Takes a session down. The results stand, whatever becomes of it: the watchdog and the next start try again.
/// `broken_off`: cases were ended before they were decided.
pub async fn close(rig: Rig, signals: &Signals, broken_off: bool) {
    match signals.unless_asked(rig.close(broken_off)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cleaning up; the watchdog tries again"),
        Err(_) => tracing::warn!("interrupted while cleaning up; the watchdog goes on"),
    }
}

/// The exit code of a command whose cases came to this.
pub fn exit_code(summary: &Summary, broken: usize, signals: &Signals) -> u8 {
    match signals.exit_code() {
        Some(code) => code,
        None if broken > 0 => INTERNAL,
        None => summary.exit_code(),
    }
}

/// The name and the text of a file, or of standard input for `-`.
///
/// # Errors
/// What cannot be read, and what is no text.
pub fn read_or_stdin(path: &Path) -> Result<(String, String), Failure> {
    if path.as_os_str() != "-" {
        return Ok((path.display().to_string(), read_text(path)?));
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|e| Failure::file(format!("standard input: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::file("standard input: not a text (UTF-8)"))?;
    Ok(("standard input".to_owned(), text))
}

/// Reads a file of the user's.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    crate::scenario::text::read(path).map_err(|message| Failure::file(format!("{}: {message}", path.display())))
}

/// Reads a file of variables.
///
/// # Errors
/// When it cannot be read, and everything that is wrong with it.
fn read_env(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    Ok(env_file::parse(&path.display().to_string(), &read_text(path)?)?)
}

/// The service of a command line, and the image that its file names; the file may be describe-service's output. What is wrong with the files is added to
/// `refusals`.
///
/// # Errors
/// When the service file cannot be read.
pub fn service_of(
    file: Option<&Path>,
    env_file: Option<&Path>,
    on: &On,
    refusals: &mut Vec<String>,
) -> Result<(Service, Option<String>), Failure> {
    let profile = on.platform.clone().unwrap_or_else(apprunner);
    let (mut service, mut image) = (service::defaults(&profile), None);
    if let Some(path) = file {
        let (name, text) = (path.display().to_string(), read_text(path)?);
        let read = match import::service(&name, &text, &profile) {
            Some(described) => described.map(|described| {
                say(&format!("note: {name}: read as {}", import::Kind::Describe));
                described.notes.iter().for_each(|note| say(&format!("note: {note}")));
                (described.service, described.image)
            }),
            None => service::read_file(&name, &text, &folder_of(path), &profile),
        };
        match read {
            Ok(read) => (service, image) = read,
            Err(refused) => refusals.push(refused.to_string()),
        }
    }
    if let Some(path) = env_file {
        match read_env(path) {
            Ok(env) => service.env.extend(env),
            Err(failure) => refusals.push(failure.message().to_owned()),
        }
    }
    Ok((service, image))
}

/// The words with which a user would run a case of an image.
pub fn by_hand(image: &str, service: &Option<PathBuf>, env_file: &Option<PathBuf>, on: &On) -> Vec<String> {
    let mut words = ["exitone", "run", "--image", image].map(str::to_owned).to_vec();
    words.extend(on.platform.iter().flat_map(|profile| ["--platform".to_owned(), profile.platform.id.clone()]));
    for (flag, path) in [("--service", service), ("--env-file", env_file)] {
        words.extend(path.iter().flat_map(|path| [flag.to_owned(), path.display().to_string()]));
    }
    words
}

/// Everything that is wrong is said at once, the command line first.
///
/// # Errors
/// When something is wrong.
pub fn unless_wrong<T>(asked: T, wrong: &[String], refusals: Vec<String>) -> Result<T, Failure> {
    match (wrong.is_empty(), refusals.is_empty()) {
        (true, true) => Ok(asked),
        (true, false) => Err(Failure::file(refusals.join("\n"))),
        (false, _) => {
            let wrong = wrong.iter().map(|text| format!("error: {text}"));
            Err(Failure::usage(wrong.chain(refusals).collect::<Vec<_>>().join("\n")))
        }
    }
}

/// The folder that a file's own paths start from.
pub fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::{FakeEngine, healthy};

    #[tokio::test]
    async fn every_missing_image_is_named_that_of_a_service_container_too() {
        let engine = FakeEngine::new(true);
        engine.image("app:1", &[], Arc::new(|_: &crate::engine::fake::Situation| healthy(8000)));
        let text = "upstreams: [{host: db.internal, port: 5432, container: {image: 'db:1'}}]";
        let (service, _) = service::read_file("s.yaml", text, Path::new("."), &apprunner()).expect("a service");
        let names = ["app:1".to_owned(), "app:2".to_owned()];
        let failure = candidates(&engine, &names, &service).await.expect_err("two are missing");
        assert_eq!(failure.code, USAGE);
        assert!(failure.message.contains("app:2") && failure.message.contains("db:1"), "{}", failure.message);
        assert!(failure.message.contains("(it serves the upstream db.internal:5432)"), "{}", failure.message);
        engine.image("db:1", &[], Arc::new(|_: &crate::engine::fake::Situation| healthy(5432)));
        assert_eq!(candidates(&engine, &names[..1], &service).await.expect("both are there").len(), 1);
    }
}
