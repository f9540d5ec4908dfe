//! `exitone bisect`: the first bad image of an ordered list.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::deployment::{Files, Read};
use super::failure::{Failure, INTERNAL, or_errors, unless_engine_lost};
use super::flags::{Common, Fetch, On, Running, duration, share};
use super::headings::{CONDITIONS, WHAT};
use super::input::{conditions, flags, folder_of, read_text};
use super::kept::{RunFolder, resume};
use super::output::{Output, ReportForm, Reporters};
use super::session::{candidates, engine, room, run_plan, warn_of_unknown};
use super::signals::Signals;
use crate::engine::saved::{SavedError, is_path, load, read_saved};
use crate::engine::{Engine, EngineError};
use crate::model::search::Bisect;
use crate::model::verdicts::{Culprit, Verdicts};
use crate::model::{Candidate, CaseResult, ConditionSet, Plan, Service, Verdict};
use crate::report::bisect::{json, sentence, text};
use crate::report::live::{Live, Named};
use crate::run::drivers::Finished;
use crate::run::schedule::How;
use crate::scenario::{apprunner, file, service};

/// For `git bisect run`: the revision cannot be tested.
const GIT_SKIP: u8 = 125;
/// For `git bisect run`: stop. It takes every code from 1 to 127 except 125 for "bad".
const GIT_STOP: u8 = 128;

/// The long help.
pub(crate) const ABOUT: &str = "Find the first bad image of an ordered list\n\nAn image is bad when it does not become healthy \
    under the conditions: it exits, is killed, cannot start, never answers its health check. Requests after healthy \
    (`checks` of the service) are not made. Both ends are checked first. In the end the first bad image and the one \
    before it are run once more; if an answer differs, the failure comes only sometimes, and images are run until it is \
    99 % sure.";

/// Arguments of `bisect`.
#[derive(clap::Args)]
#[command(next_display_order = 1)]
pub(crate) struct Args {
    /// Images, oldest first: tags, digests or `docker save` archives
    ///
    /// An archive is loaded, and its image kept on the engine.
    #[arg(value_name = "IMAGE", help_heading = WHAT, display_order = 0)]
    images: Vec<String>,
    /// Condition to impose on every image; may be repeated
    #[arg(long, value_name = "CONDITION", help_heading = CONDITIONS)]
    with: Vec<String>,
    /// Take service, images and conditions from a scenario
    ///
    /// Images and conditions that are given here take precedence.
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    scenario: Option<PathBuf>,
    #[command(flatten)]
    files: Files,
    /// Assume that results are flaky, and test until the culprit is this certain [default: repeat only if results differ]
    #[arg(long = "repeat-until", visible_alias = "confidence", value_name = "SHARE", value_parser = share)]
    #[arg(help_heading = CONDITIONS, hide_short_help = true)]
    confidence: Option<f64>,
    /// Stop after this time and report what is known
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = CONDITIONS)]
    budget: Option<Duration>,
    /// Test one image, for `git bisect run`
    ///
    /// Exits with 0 if it is good, 1 if it is bad and 125 if it cannot be tested (git skips the revision). Every
    /// other failure (usage, files, a missing image, no engine, an interruption) exits with 128 or more: git would take
    /// anything from 1 to 127 for "bad" and stops at 128. Where the image is built first, a build that fails is skipped:
    /// `git bisect run sh -c 'docker build -q -t app:bisect . || exit 125; exitone bisect --git-bisect app:bisect --with
    /// egress.drop'`
    #[arg(long, conflicts_with = "confidence", help_heading = WHAT)]
    git_bisect: bool,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    kept: RunFolder,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    fetch: Fetch,
    #[command(flatten)]
    running: Running,
}

/// The validated request.
struct Request {
    images: Vec<String>,
    service: Service,
    conditions: ConditionSet,
}

/// Runs the command.
///
/// # Errors
/// Usage, files, engine; also if there is nothing to bisect.
pub(crate) async fn execute(common: &Common, args: Args) -> Result<u8, Failure> {
    args.running.own.install()?;
    let before = args.kept.earlier()?;
    let request = ask(&args)?;
    let signals = Signals::listen();
    let (engine, info) = engine().await?;
    let images = signals.unless_asked(references(engine.as_ref(), &request.images)).await??;
    let candidates = candidates((engine.as_ref(), &info), &images, &request.service, args.fetch.pull);
    let candidates = signals.unless_asked(candidates).await??;
    refuse_twins(&request.images, &candidates)?;
    let bisect = Bisect {
        confidence: args.confidence,
        judges: args.git_bisect,
        // A scenario's service cannot be passed to `run`.
        by_hand: args.scenario.is_none().then(|| flags(&args.files.flags(), &args.on)),
        ..Bisect::new(&images, request.conditions)
    };
    let plan = Plan { bisect: Some(bisect), ..Plan::new(request.service, candidates, []) };
    warn_of_unknown(&plan);
    let mut how = How { room: room(&args.running, &info), budget: args.budget, ..How::from(1) };
    if let Some(run) = &before {
        resume(run, &plan, &mut how)?;
    }
    let folder = args.kept.open(&how)?;
    let mut live = Live::new(common.progress(), Named::ByImage, "looking for the first bad image");
    let mut reporters = Reporters::new(move |event| live.on(event), Some(folder));
    let tell = &mut |event: &_| reporters.on(event);
    let (finished, leftovers) = run_plan(&args.running, (engine, info), (plan, how), false, &signals, tell).await?;
    let code = answered(&args, &finished, &reporters, &signals);
    leftovers.close(&signals).await;
    code
}

/// Writes the answer, and returns the exit code.
fn answered(args: &Args, finished: &Finished, reporters: &Reporters, signals: &Signals) -> Result<u8, Failure> {
    let Some(verdicts) = &finished.run.verdicts else {
        unless_engine_lost(finished.engine_lost.as_deref(), reporters.folder())?;
        return Err(Failure::internal("the search ended without an answer"));
    };
    args.output.write_as(&reporters.run, |form| match form {
        ReportForm::Text => Some(shown(verdicts, &finished.results)),
        ReportForm::Json => Some(format!("{:#}\n", json(verdicts))),
        _ => None,
    })?;
    unless_engine_lost(finished.engine_lost.as_deref(), reporters.folder())?;
    match reporters.failed() {
        Some(failed) => Err(Failure::unwritten(failed)),
        None => ended(args, verdicts, finished.broken, signals),
    }
}

fn shown(verdicts: &Verdicts, results: &[Arc<CaseResult>]) -> String {
    let bad = verdicts.known_bad().and_then(|image| results.iter().find(|r| r.image == *image));
    text(verdicts, bad.filter(|r| r.verdict == Verdict::Fail).map(Arc::as_ref))
}

/// The exit code, or why there is nothing to bisect.
fn ended(args: &Args, verdicts: &Verdicts, broken: usize, signals: &Signals) -> Result<u8, Failure> {
    if let Some(code) = signals.exit_code() {
        return Ok(code);
    }
    if broken > 0 {
        return Ok(INTERNAL);
    }
    match verdicts.culprit {
        Culprit::NoneBad | Culprit::Reversed => Err(Failure::usage(sentence(verdicts))),
        _ if args.git_bisect && verdicts.exit_code() == 5 => Ok(GIT_SKIP),
        _ => Ok(verdicts.exit_code()),
    }
}

/// Reads the request; reports all errors at once, those of the command line first.
fn ask(args: &Args) -> Result<Request, Failure> {
    let (conditions, mut wrong) = match conditions(&[("--with", &args.with)]) {
        Ok(conditions) => (conditions, Vec::new()),
        Err(wrong) => (ConditionSet::baseline(), wrong),
    };
    let mut refusals = Vec::new();
    let mut request = match &args.scenario {
        Some(path) => of_scenario(path, args, &mut wrong, &mut refusals)?,
        None => of_service(args, &mut refusals)?,
    };
    if !args.with.is_empty() {
        request.conditions = conditions;
    }
    request.conditions = request.conditions.with_secrets(&request.service.secrets);
    // Requests after healthy are not part of the question.
    request.service.checks.clear();
    // An unreadable file says nothing about its images.
    if refusals.is_empty() {
        wrong.extend(wrong_images(&request.images, args.git_bisect));
    }
    or_errors(request, &wrong, refusals)
}

fn of_scenario(
    path: &Path,
    args: &Args,
    wrong: &mut Vec<String>,
    refusals: &mut Vec<String>,
) -> Result<Request, Failure> {
    let misplaced = args.files.given();
    wrong
        .extend(misplaced.map(|(flag, _)| format!("{flag} cannot be used with --scenario: the scenario file sets it")));
    match file::read(&path.display().to_string(), &read_text(path)?, &folder_of(path), args.on.platform.as_ref()) {
        Ok(scenario) => {
            let sets: Vec<&ConditionSet> = scenario.sets.iter().filter(|set| !set.is_empty()).collect();
            if sets.len() > 1 && args.with.is_empty() {
                let shown: Vec<String> = sets.iter().take(3).map(|set| format!("`{set}`")).collect();
                let more = if sets.len() > 3 { " …" } else { "" };
                let (count, shown) = (sets.len(), shown.join(", "));
                wrong.push(format!(
                    "{} has {count} sets of conditions ({shown}{more}): choose one with --with",
                    path.display()
                ));
            }
            let conditions = sets.first().map(|set| (*set).clone()).unwrap_or_default();
            let images =
                if args.images.is_empty() && !args.git_bisect { scenario.candidates } else { args.images.clone() };
            Ok(Request { images, service: scenario.service, conditions })
        }
        Err(refused) => {
            refusals.push(refused.to_string());
            let (service, images) = (service::defaults(&apprunner()), args.images.clone());
            Ok(Request { images, service, conditions: ConditionSet::baseline() })
        }
    }
}

fn of_service(args: &Args, refusals: &mut Vec<String>) -> Result<Request, Failure> {
    let Read { service, .. } = args.files.read(&args.on, refusals)?;
    Ok(Request { images: args.images.clone(), service, conditions: ConditionSet::baseline() })
}

/// Errors in the list of images that need no engine.
fn wrong_images(images: &[String], git: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    match (git, images.len()) {
        (true, 1) | (false, 2..) => {}
        (true, 0) => wrong.push("--git-bisect needs the image to test".to_owned()),
        (true, count) => wrong.push(format!("--git-bisect tests one image; got {count}")),
        (false, 0) => wrong.push("bisect needs at least two images, oldest first".to_owned()),
        (false, _) => wrong.push(format!("bisect needs at least two images, oldest first; got only {}", images[0])),
    }
    let mut known = BTreeSet::new();
    let mut twice: Vec<&String> = images.iter().filter(|image| !known.insert(*image)).collect();
    twice.dedup();
    wrong.extend(twice.iter().map(|image| format!("duplicate image {image}")));
    wrong.extend(
        known
            .iter()
            .filter(|image| is_path(image) && !Path::new(image).is_file())
            .map(|path| format!("{path}: no such file (save an image with `docker save IMAGE -o FILE`)")),
    );
    wrong
}

/// The names by which the engine knows the images; images in files are loaded.
async fn references(engine: &dyn Engine, images: &[String]) -> Result<Vec<String>, Failure> {
    let mut references = Vec::new();
    for image in images {
        let saved = is_path(image) || (Path::new(image).is_file() && is_unknown(engine, image).await?);
        references.push(if saved { loaded(engine, Path::new(image)).await? } else { image.clone() });
    }
    Ok(references)
}

async fn is_unknown(engine: &dyn Engine, image: &str) -> Result<bool, Failure> {
    match engine.inspect_image(image).await {
        Ok(_) => Ok(false),
        Err(EngineError::ImageNotFound { .. }) => Ok(true),
        Err(e) => Err(e.into()),
    }
}

async fn loaded(engine: &dyn Engine, path: &Path) -> Result<String, Failure> {
    let wrong = |error: SavedError| match error {
        SavedError::Engine(e) => e.into(),
        other => Failure::usage(format!("{other}\nhint: {}", other.hint())),
    };
    let file = path.to_owned();
    // Finding the manifest of a compressed archive decompresses all of it.
    let saved = tokio::task::spawn_blocking(move || read_saved(&file)).await;
    let saved = saved.map_err(|e| Failure::internal(format!("reading {}: {e}", path.display())))?.map_err(wrong)?;
    load(engine, &saved).await.map_err(wrong)
}

/// Two names of one image have the same answer: there is nothing between them.
fn refuse_twins(given: &[String], candidates: &[Candidate]) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (n, one) in candidates.iter().enumerate() {
        let twin = candidates[..n].iter().position(|other| other.facts.id == one.facts.id);
        if let Some(twin) = twin {
            wrong.push(format!("error: {} and {} are the same image ({})", given[twin], given[n], one.facts.id));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::usage(wrong.join("\n"))) }
}

/// Whether `git bisect run` will read the exit code.
pub(crate) fn is_for_git<S: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = S>) -> bool {
    let words = words.into_iter().map(|word| word.as_ref().to_owned()).take_while(|word| word != "--");
    let words: Vec<std::ffi::OsString> = words.collect();
    words.iter().any(|word| word == "bisect")
        && words.iter().any(|word| word.to_string_lossy().starts_with("--git-bisect"))
}

/// An early end must not be taken for "bad": codes unknown to git become 128.
pub(crate) fn for_git(command: impl FnOnce() -> ExitCode) -> ExitCode {
    let code = catch_unwind(AssertUnwindSafe(command)).unwrap_or(ExitCode::from(GIT_STOP));
    let known = [0, 1, GIT_SKIP].into_iter().chain(GIT_STOP..=u8::MAX).any(|known| ExitCode::from(known) == code);
    if known { code } else { ExitCode::from(GIT_STOP) }
}

/// The exit code of a command line that clap rejected.
pub(crate) fn refused(error: &clap::Error) -> ExitCode {
    // Nobody may be reading any more.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(GIT_STOP) } else { ExitCode::SUCCESS }
}
