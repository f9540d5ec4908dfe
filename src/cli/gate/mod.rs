//! `exitone gate`: tests the image of the pushed commit before a push.

mod build;
mod cache;
mod changes;
mod estimate;
mod git;
mod hook;
mod named;
mod push;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tokio::time::Instant;

pub(crate) use cache::FOLDER;

use super::console::{print, say};
use super::failure::{Failure, INTERNAL, unless_engine_lost};
use super::flags::{Common, On, Require, Running, condition_name};
use super::headings::WHAT;
use super::session::{candidates, engine, how, run_plan};
use super::signals::{Signals, exit_code};
use crate::engine::{Engine, EngineError};
use crate::event::Stamped;
use crate::model::service::UpstreamKind;
use crate::model::{ConditionSet, Expectation, Part, Plan, Verdict};
use crate::report::gate::{Frame, Judged, text};
use crate::report::progress::Progress;
use crate::run::session::state_dir;
use build::{Built, NoImage, short};
use cache::Cache;
use estimate::Times;
use git::Repo;
use hook::Done;
use named::{Build, Named};
use push::Update;

/// The long help.
pub(crate) const ABOUT: &str = "Build the image of the pushed commit, run the gate's scenario on it, and stop the push if a case \
fails.\n\n`exitone gate --install` installs a git pre-push hook; without a flag, HEAD is tested. The scenario is \
--scenario, or the first of .exitone.yaml, exitone.yaml and scenarios/gate.yaml. Verdicts are cached: the same image is \
not tested twice.";

/// The setting that lets an unresolved push continue.
const LENIENT: &str = "exitone.gate.lenient";
/// The setting for the maximum age.
const MAX_AGE: &str = "exitone.gate.maxage";
/// Git's setting for `--require`, with commas.
const REQUIRE: &str = "exitone.gate.require";
/// Verdicts older than this are not reused.
const USUAL_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Number of images of earlier pushes kept on the engine.
const KEPT_IMAGES: usize = 8;

/// Arguments of `gate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install the pre-push hook
    ///
    /// An existing hook is kept and runs first.
    #[arg(long, conflicts_with_all = ["uninstall", "platform"], help_heading = WHAT)]
    install: bool,
    /// Remove the hook and restore the previous one
    #[arg(long, conflicts_with_all = ["scenario", "no_cache", "max_age", "lenient", "platform"], help_heading = WHAT)]
    uninstall: bool,
    /// Scenario to run; --install saves it in git's config
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    scenario: Option<PathBuf>,
    /// Ignore cached verdicts
    #[arg(long, conflicts_with = "install", help_heading = WHAT)]
    no_cache: bool,
    /// Ignore cached verdicts older than this [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = named::age, help_heading = WHAT)]
    max_age: Option<Duration>,
    /// Allow the push if it could not be tested
    #[arg(long, help_heading = WHAT)]
    lenient: bool,
    #[command(flatten)]
    require: Require,
    #[command(flatten)]
    on: On,
    /// Called by the hook, with the remote's name and address
    #[arg(long, hide = true, num_args = 0..=2, value_names = ["REMOTE", "URL"])]
    #[arg(conflicts_with_all = ["install", "uninstall"])]
    hook: Option<Vec<String>>,
}

/// Runs the gate, or installs or removes the hook.
///
/// # Errors
/// Usage, files, engine.
pub(crate) async fn execute(common: &Common, args: Args) -> Result<u8, Failure> {
    let begun = Instant::now();
    let Request { updates, remote, push } = request(&args)?;
    let repo = Repo::find().await?;
    if args.uninstall {
        return uninstall(&repo).await;
    }
    if args.install {
        return install(&repo, &args).await;
    }
    let mut left = Vec::new();
    for update in updates {
        match update.nothing_to_judge() {
            Some(why) => say(&format!("exitone gate: nothing to test in {}: {why}", update.short())),
            None => left.push(update),
        }
    }
    if left.is_empty() {
        return Ok(0);
    }
    let lenient = args.lenient || repo.setting(LENIENT).await.as_deref() == Some("true");
    let max_age = match (args.max_age, repo.setting(MAX_AGE).await) {
        (Some(age), _) => age,
        (None, Some(text)) => named::age(&text).map_err(|e| Failure::usage(format!("git's setting {MAX_AGE}: {e}")))?,
        (None, None) => USUAL_AGE,
    };
    let mut require = args.require.require;
    if require.is_empty() {
        let named = repo.setting(REQUIRE).await.unwrap_or_default();
        let names = named.split(',').filter(|name| !name.is_empty()).map(condition_name).collect::<Result<_, _>>();
        require = names.map_err(|e| Failure::usage(format!("git's setting {REQUIRE}, {named}: {e}")))?;
    }
    let path = named::find(&repo, args.scenario.as_deref()).await?;
    let named = named::read(&repo, &path, &args.on)?;
    let state = state_dir();
    let cache =
        Cache::open(&state).map_err(|e| Failure::internal(format!("the state folder {}: {e}", state.display())))?;
    let fresh = args.no_cache;
    let gate = Gate { common, repo, named, cache, lenient, require, max_age, fresh, push };
    let commits = gate.commits(left, remote.as_deref()).await?;
    if commits.is_empty() {
        return Ok(0);
    }
    let outcome = gate.all(&commits, begun).await;
    match outcome {
        Err(failure) if lenient && push && failure.is_of_engine() => {
            say(&format!("exitone gate: {}; pushing anyway (--lenient)", failure.message()));
            Ok(0)
        }
        Err(failure) if push => Err(failure.past("push stopped; `git push --no-verify` skips the gate")),
        outcome => outcome,
    }
}

/// The request.
struct Request {
    updates: Vec<Update>,
    /// The remote's name, if known.
    remote: Option<String>,
    /// Whether a push waits for the answer.
    push: bool,
}

fn request(args: &Args) -> Result<Request, Failure> {
    let by_hand = Request { updates: vec![Update::by_hand()], remote: None, push: false };
    let framework = push::of_framework(|name| std::env::var(name).ok());
    let framework = framework.map(|update| Request {
        updates: vec![update],
        remote: std::env::var("PRE_COMMIT_REMOTE_NAME").ok(),
        push: true,
    });
    let Some(words) = &args.hook else { return Ok(framework.unwrap_or(by_hand)) };
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(by_hand);
    }
    let mut bytes = Vec::new();
    stdin.lock().read_to_end(&mut bytes).map_err(|e| Failure::usage(format!("reading the refs to push: {e}")))?;
    let updates = push::read(&String::from_utf8_lossy(&bytes)).map_err(Failure::usage)?;
    // The framework has consumed git's lines and passes on none.
    match framework.filter(|_| updates.is_empty()) {
        Some(request) => Ok(request),
        None => Ok(Request { updates, remote: words.first().cloned(), push: true }),
    }
}

async fn install(repo: &Repo, args: &Args) -> Result<u8, Failure> {
    let path = named::find(repo, args.scenario.as_deref()).await?;
    let named = named::read(repo, &path, &args.on)?;
    if let Some(build) = named.build.filter(|build| !repo.top.join(&build.dockerfile).is_file()) {
        let (scenario, dockerfile) = (named.path.display(), build.dockerfile);
        say(&format!("warning: {scenario}: no {dockerfile} here yet; `build` is relative to the scenario's folder"));
    }
    let folder = hook::folder(repo).await?;
    let done = hook::install(&folder)?;
    let written = named::within(repo, &path).unwrap_or_else(|| path.clone());
    let mut settings = Vec::new();
    if args.scenario.is_some() {
        settings.push((named::SETTING, written.display().to_string()));
    }
    if args.lenient {
        settings.push((LENIENT, "true".to_owned()));
    }
    if let Some(age) = args.max_age {
        settings.push((MAX_AGE, crate::model::units::show_duration(age)));
    }
    if !args.require.require.is_empty() {
        settings.push((REQUIRE, args.require.require.join(",")));
    }
    for (name, value) in settings {
        let set = repo.bytes(&["config", "--local", name, &value]).await;
        if let Err(e) = set {
            if matches!(done, Done::Installed(_)) {
                hook::uninstall(&folder)?;
            }
            return Err(Failure::unwritable(format!("git's setting {name} could not be written: {e}")));
        }
    }
    let place = folder.join("pre-push");
    let (what, kept) = match done {
        Done::AlreadyInstalled(kept) => ("is already installed", kept),
        Done::Installed(kept) => ("is installed", kept),
        Done::Removed(_) | Done::NotInstalled => return Err(Failure::internal("an installation removed a hook")),
    };
    let first = if kept { "; the existing hook runs first" } else { "" };
    let scenario = written.display();
    print(&format!("the gate {what}: {}, with {scenario}{first}\n", place.display()))?;
    Ok(0)
}

async fn uninstall(repo: &Repo) -> Result<u8, Failure> {
    let done = hook::uninstall(&hook::folder(repo).await?)?;
    // The section does not exist if nothing was set.
    let _ = repo.bytes(&["config", "--local", "--remove-section", "exitone.gate"]).await;
    print(match done {
        Done::Removed(true) => "removed the gate; restored the previous hook\n",
        Done::Removed(false) => "removed the gate\n",
        _ => "the gate is not installed here\n",
    })?;
    Ok(0)
}

/// A commit to test.
struct Commit {
    /// Its customary name.
    name: String,
    oid: String,
}

/// Everything shared by the commits of a push.
struct Gate<'a> {
    common: &'a Common,
    repo: Repo,
    named: Named,
    cache: Cache,
    lenient: bool,
    /// Names of conditions that the engine must be able to impose.
    require: Vec<String>,
    max_age: Duration,
    /// Whether to ignore cached verdicts.
    fresh: bool,
    /// Whether a push waits.
    push: bool,
}

impl Gate<'_> {
    /// The distinct commits that need a test.
    async fn commits(&self, updates: Vec<Update>, remote: Option<&str>) -> Result<Vec<Commit>, Failure> {
        let mut commits: Vec<Commit> = Vec::new();
        for update in updates {
            let Some(oid) = self.repo.commit(&update.local).await else {
                // Nothing else has a tree to build an image from; an empty repository has no commit.
                say(&format!("exitone gate: nothing to test in {}: not a commit", update.short()));
                continue;
            };
            if let Some(build) = &self.named.build
                && self.push
                && !self.may_differ(&update, &oid, build, remote).await
            {
                say(&format!("exitone gate: nothing to test in {}: nothing in it changes the image", update.short()));
                continue;
            }
            if !commits.iter().any(|known| known.oid == oid) {
                let name = format!("{} ({})", update.short(), short(&oid));
                commits.push(Commit { name, oid });
            }
        }
        Ok(commits)
    }

    /// False only if the pushed commit surely makes the same image as the remote's.
    async fn may_differ(&self, update: &Update, oid: &str, build: &Build, remote: Option<&str>) -> bool {
        let repo = &self.repo;
        let known = if push::is_nothing(&update.remote) { None } else { repo.commit(&update.remote).await };
        let base = match (known, remote) {
            (Some(known), _) => Some(known),
            (None, Some(remote)) => repo.base(oid, remote).await,
            (None, None) => None,
        };
        let Some(base) = base else { return true };
        // Links lead elsewhere.
        for path in [&build.context, &build.dockerfile] {
            if !repo.is_plain(oid, path).await || !repo.is_plain(&base, path).await {
                return true;
            }
        }
        let Some(changed) = repo.changed(&base, oid).await else { return true };
        let context = if build.context.is_empty() { String::new() } else { format!("{}/", build.context) };
        // Which of the two files is read depends on the builder.
        let own = repo.object(oid, &build.own_ignore()).await.is_some();
        let ignore = if own { None } else { repo.text(oid, &format!("{context}{}", changes::IGNORE)).await };
        let affecting = changes::affecting(&changed, build, ignore.as_deref(), &self.named.sources);
        tracing::info!(base, changed = changed.len(), affecting, "compared with what the remote has");
        affecting.is_some()
    }

    /// Tests one commit after the other; stops at the first that does not pass.
    async fn all(&self, commits: &[Commit], begun: Instant) -> Result<u8, Failure> {
        let signals = Signals::listen();
        let (engine, info) = engine().await?;
        for commit in commits {
            if let Some(has) = self.named.otherwise_in(&self.repo, &commit.oid).await {
                let (path, name) = (self.named.path.display(), &commit.name);
                say(&format!("exitone gate: {path} is read from the working tree; {name} {has}"));
            }
            let code = self.one(commit, (engine.clone(), info.clone()), &signals, begun).await?;
            if code != 0 {
                return Ok(code);
            }
        }
        Ok(0)
    }

    async fn one(
        &self,
        commit: &Commit,
        target: (std::sync::Arc<dyn Engine>, crate::engine::EngineInfo),
        signals: &Signals,
        begun: Instant,
    ) -> Result<u8, Failure> {
        let engine = target.0.clone();
        let known = self.known_image(commit, engine.as_ref()).await;
        let images = match (&self.named.build, &known.built) {
            (None, _) => Some(self.named.scenario.candidates.clone()),
            (Some(_), Some(built)) => Some(vec![built.tag.clone()]),
            (Some(_), None) => None,
        };
        if let Some(images) = &images
            && let Some((judged, age)) = self.known_verdict(images, engine.as_ref()).await?
        {
            return self.tell(commit, &judged, Some(age), begun);
        }
        if let (None, Some(build), true) = (&images, &self.named.build, self.common.offline) {
            // A builder fetches the base images of a Dockerfile, and whatever its commands need.
            let (name, tag) = (&commit.name, build::tag(&build.image, &commit.oid));
            let why = format!("--offline forbids building the image {tag} of {name}");
            return Err(
                Failure::no_engine(why).with_hint("Run it once without --offline: images and verdicts are cached.")
            );
        }
        let cpus = target.1.cpus;
        let count = self.named.scenario.sets.len() * images.as_ref().map_or(1, Vec::len);
        let scenario = self.cache.key(["times", &self.named.document]);
        let last: Option<Times> = self.cache.read("times", &scenario, Duration::MAX).map(|(times, _)| times);
        say(&estimate::announcement(&commit.name, images.is_none(), count, 2 * cpus, last.as_ref()));
        let mut times = last.unwrap_or_default();
        let images = match (images, &self.named.build) {
            (Some(images), _) => images,
            (None, None) => return Err(Failure::internal("nothing is built, and nothing is there")),
            (None, Some(build)) => {
                let from = Instant::now();
                let built = signals.unless_asked(build::build(&self.repo, &commit.oid, build)).await?;
                let tag = match built {
                    Ok(tag) => tag,
                    Err(NoImage::Machine(why)) => return Err(Failure::no_engine(why)),
                    Err(NoImage::Commit(why)) => return self.not_built(commit, &why),
                };
                times.build = Some(from.elapsed().as_secs_f64());
                self.remember_image(&known, &tag, engine.as_ref()).await?;
                // Another commit may have produced the same image.
                let images = vec![tag];
                if let Some((judged, age)) = self.known_verdict(&images, engine.as_ref()).await? {
                    self.cache.write("times", &scenario, &times);
                    return self.tell(commit, &judged, Some(age), begun);
                }
                images
            }
        };
        let from = Instant::now();
        let part = self.part();
        let found = candidates((engine.as_ref(), &target.1), &images, &part.service, false).await?;
        let plan = Plan::of_scenario(part, found, self.cases(&images));
        // By the current image ids: a name may refer to another image when the run ends.
        let key = self.verdict_key(&images, engine.as_ref()).await?;
        let running = running()?;
        let mut progress = Progress::new(self.common.progress(), self.common.progress_lines());
        let mut how = how(&running, &target.1, plan.cases.len());
        how.require.clone_from(&self.require);
        let tell = &mut |event: &Stamped| progress.on(event);
        let (finished, leftovers) = run_plan(&running, target, (plan, how), false, signals, tell).await?;
        leftovers.close(signals).await;
        unless_engine_lost(finished.engine_lost.as_deref(), None)?;
        let judged = Judged::of(&finished.run);
        match exit_code(&finished.summary, finished.broken, signals) {
            code if signals.exit_code().is_some() || code == INTERNAL => return Ok(code),
            _ => {}
        }
        times.run = Some(from.elapsed().as_secs_f64());
        self.cache.write("times", &scenario, &times);
        // Another engine may be able to impose what was skipped.
        if judged.verdict() != Verdict::Unresolved && judged.skipped == 0 {
            self.cache.write("verdict", &key, &judged);
        }
        self.cache.sweep();
        self.tell(commit, &judged, None, begun)
    }

    fn part(&self) -> Part {
        let scenario = &self.named.scenario;
        Part { scenario: Some(scenario.name.clone()), service: scenario.service.clone() }
    }

    /// The cases of images; expectations about the built image apply to the one just built.
    fn cases(&self, images: &[String]) -> Vec<(String, ConditionSet, Option<Expectation>)> {
        let scenario = &self.named.scenario;
        match (&self.named.build, images) {
            (Some(build), [built]) => {
                let cases = scenario.cases(std::slice::from_ref(&build.image)).into_iter();
                cases.map(|(_, set, expect)| (built.clone(), set, expect)).collect()
            }
            _ => scenario.cases(images),
        }
    }

    /// Reports the result of a commit; returns the exit code.
    fn tell(&self, commit: &Commit, judged: &Judged, age: Option<u64>, begun: Instant) -> Result<u8, Failure> {
        let scenario = self.named.path.display().to_string();
        let seconds = begun.elapsed().as_secs_f64();
        let frame = Frame { name: &commit.name, scenario: &scenario, push: self.push, age, seconds };
        print(&text(judged, &frame, self.lenient))?;
        Ok(match judged.verdict() {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Unresolved if self.lenient && self.push => 0,
            Verdict::Unresolved => 5,
        })
    }

    fn not_built(&self, commit: &Commit, why: &str) -> Result<u8, Failure> {
        let stopped = if self.push { "is not pushed" } else { "fails" };
        let mut text = format!("exitone gate: {} {stopped}: cannot build its image\n{}\n", commit.name, why.trim_end());
        if self.push {
            text.push_str("  to push anyway: git push --no-verify\n");
        }
        print(&text)?;
        Ok(1)
    }

    /// The image for a commit's files, if it was built before and still exists.
    async fn known_image(&self, commit: &Commit, engine: &dyn Engine) -> KnownImage {
        let Some(build) = &self.named.build else { return KnownImage::default() };
        let Some(parts) = build::ingredients(&self.repo, &commit.oid, build).await else {
            return KnownImage::default();
        };
        let key = self.cache.key(parts.iter().map(String::as_str).chain(["image", env!("CARGO_PKG_VERSION")]));
        if self.fresh {
            return KnownImage { key: Some(key), built: None };
        }
        let built: Option<Built> = self.cache.read("image", &key, self.max_age).map(|(built, _)| built);
        let built = match built {
            Some(built) => {
                let there = engine.inspect_image(&built.tag).await.is_ok_and(|facts| facts.id.0 == built.id);
                there.then_some(built)
            }
            None => None,
        };
        KnownImage { key: Some(key), built }
    }

    /// Records a built image; removes those of old pushes.
    async fn remember_image(&self, known: &KnownImage, tag: &str, engine: &dyn Engine) -> Result<(), Failure> {
        let Some(key) = &known.key else { return Ok(()) };
        let id = engine.inspect_image(tag).await?.id.0;
        self.cache.write("image", key, &Built { tag: tag.to_owned(), id });
        let all: Vec<(String, Built)> = self.cache.all("image");
        let (kept, old) = all.split_at(all.len().min(KEPT_IMAGES));
        for (key, built) in old {
            if !kept.iter().any(|(_, other)| other.tag == built.tag) {
                // An image that is gone, or in use, does not matter here.
                let _ = engine.remove_image(&built.tag).await;
            }
            self.cache.remove("image", key);
        }
        Ok(())
    }

    async fn known_verdict(&self, images: &[String], engine: &dyn Engine) -> Result<Option<(Judged, u64)>, Failure> {
        let key = self.verdict_key(images, engine).await?;
        if self.fresh {
            return Ok(None);
        }
        let mut known: Option<(Judged, u64)> = self.cache.read("verdict", &key, self.max_age);
        // The same image may have had another commit's name then.
        if let (Some(_), [image], Some((Judged { worst: Some(worst), .. }, _))) =
            (&self.named.build, images, &mut known)
        {
            worst.image.clone_from(image);
        }
        Ok(known)
    }

    /// What a verdict depends on: the images, everything the scenario says, and this build of the program.
    async fn verdict_key(&self, images: &[String], engine: &dyn Engine) -> Result<String, Failure> {
        let service = &self.named.scenario.service;
        let containers = service.upstreams.iter().filter_map(|upstream| match &upstream.kind {
            UpstreamKind::Container(container) => Some(&container.image),
            UpstreamKind::Stub(_) => None,
        });
        let mut parts = vec!["verdict".to_owned(), env!("CARGO_PKG_VERSION").to_owned(), own_build()];
        for image in images.iter().chain(containers) {
            let id = match engine.inspect_image(image).await {
                Ok(facts) => facts.id.0,
                // Running the cases reports it.
                Err(EngineError::ImageNotFound { .. }) => "none".to_owned(),
                Err(e) => return Err(e.into()),
            };
            parts.extend([image.split(':').next().unwrap_or(image).to_owned(), id]);
        }
        // The variables may come from a separate file.
        parts.extend(service.env.iter().flat_map(|(name, value)| [name.clone(), value.clone()]));
        parts.push(self.named.document.clone());
        Ok(self.cache.key(parts))
    }
}

/// An image that may have been built before.
#[derive(Default)]
struct KnownImage {
    /// The key of what it is made of; `None` if unknown.
    key: Option<String>,
    built: Option<Built>,
}

/// Two builds of this program may have the same version: the file's size and time distinguish them.
fn own_build() -> String {
    let file = std::env::current_exe().and_then(|path| path.metadata());
    let time = |m: &std::fs::Metadata| m.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok();
    file.map(|m| format!("{} {:?}", m.len(), time(&m))).unwrap_or_default()
}

/// The defaults for running cases. A verdict does not depend on the variables that the image's files mention.
fn running() -> Result<Running, Failure> {
    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        running: Running,
    }
    let defaults = Defaults::try_parse_from(["exitone"]);
    defaults
        .map(|all| Running { verdicts_only: true, ..all.running })
        .map_err(|e| Failure::internal(format!("the defaults of a run: {e}")))
}
