//! `exitone run`: runs the cases of scenario files, or one case by hand.

use std::path::PathBuf;
use std::time::Duration;

use super::builder;
use super::console::say;
use super::deployment::{Files, Read};
use super::failure::{Failure, or_errors, unless_engine_lost};
use super::flags::{Common, Fetch, On, Require, Running};
use super::headings::{CONDITIONS, WHAT};
use super::input::conditions;
use super::kept::{self, RunFolder, absolute};
use super::output::{Output, Reporters};
use super::scenarios::{Request, in_force, requests_or_refusals};
use super::session::{candidates, engine, how, run_plan, warn_of_unknown};
use super::signals::{Signals, exit_code};
use crate::model::deployment::Revision;
use crate::model::shard::Shard;
use crate::model::{ConditionSet, Part, Plan, Service};
use crate::report::progress::Progress;
use crate::scenario::{Build, apprunner};

/// A run of at most this many cases does not mention its folder.
const FEW: usize = 4;

/// Arguments of `run`.
#[derive(clap::Args)]
#[command(next_display_order = 1)]
pub(crate) struct Args {
    /// Scenario files
    #[arg(value_name = "SCENARIO.yaml", help_heading = WHAT, display_order = 0)]
    scenarios: Vec<PathBuf>,
    /// Image to run; may be repeated
    #[arg(long, value_name = "IMAGE", help_heading = WHAT)]
    image: Vec<String>,
    /// Condition such as egress.drop; may be repeated
    #[arg(long, value_name = "CONDITION", help_heading = CONDITIONS)]
    with: Vec<String>,
    /// Repair to try, such as user.root; may be repeated
    #[arg(long, value_name = "REPAIR", help_heading = CONDITIONS)]
    repair: Vec<String>,
    #[command(flatten)]
    files: Files,
    /// Impose what the service's files say was in force
    ///
    /// And what the platform always does.
    #[arg(long, help_heading = CONDITIONS)]
    deployed: bool,
    /// Simulate the first deployment of the service: nothing to roll back to
    #[arg(long, help_heading = CONDITIONS, hide_short_help = true)]
    first_deployment: bool,
    /// Run one shard of the cases, such as 2/4; the split is the same on every machine
    #[arg(long, value_name = "K/N", value_parser = str::parse::<Shard>, help_heading = WHAT, hide_short_help = true)]
    shard: Option<Shard>,
    /// Start no more cases after the first unexpected result
    #[arg(long, help_heading = WHAT)]
    fail_fast: bool,
    /// Run each case N times; one failure fails it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = WHAT)]
    repeat: Option<u32>,
    /// Retry an unexpected or unresolved case up to N times; if a retry is as expected, the case is flaky
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100), conflicts_with = "repeat")]
    #[arg(help_heading = WHAT, hide_short_help = true)]
    retries: Option<u32>,
    /// Start no more cases after this time
    #[arg(long, value_name = "TIME", value_parser = super::flags::duration, help_heading = WHAT)]
    #[arg(hide_short_help = true)]
    budget: Option<Duration>,
    #[command(flatten)]
    kept: RunFolder,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    require: Require,
    #[command(flatten)]
    fetch: Fetch,
    #[command(flatten)]
    running: Running,
}

/// Runs the command.
///
/// # Errors
/// Usage, files, engine.
pub(crate) async fn execute(common: &Common, mut args: Args) -> Result<u8, Failure> {
    args.running.own.install()?;
    let before = args.kept.earlier()?;
    if let Some(run) = &before
        && args.scenarios.is_empty()
        && args.image.is_empty()
    {
        args.scenarios = run.header.files.iter().map(PathBuf::from).collect();
    }
    let asked = ask(&args)?;
    if let Some(one) = asked.iter().find(|one| one.repeat > 1 && args.retries.is_some_and(|n| n > 0)) {
        let name = one.part.scenario.as_deref().unwrap_or_default();
        let message = format!("--retries cannot be combined with `repeat: {}` of the scenario {name}", one.repeat);
        return Err(Failure::usage(format!("{message}: with `repeat`, one failure is final")));
    }
    if asked.is_empty() {
        return Err(Failure::usage("nothing to run: pass a scenario file or --image IMAGE"));
    }
    let missing = builder::missing(asked.iter().flat_map(|one| &one.builds));
    if !missing.is_empty() {
        return Err(Failure::file(missing.join("\n")));
    }
    let signals = Signals::listen();
    let (engine, info) = engine().await?;
    signals.unless_asked(build_all(&asked)).await??;
    let mut plans = Vec::new();
    for one in asked {
        let candidates = candidates((engine.as_ref(), &info), &one.images, &one.part.service, args.fetch.pull);
        let candidates = signals.unless_asked(candidates).await??;
        let plan = one.plan(candidates);
        warn_of_unknown(&plan);
        plans.push(plan);
    }
    let mut plan = Plan::joined(plans);
    if let Some(shard) = args.shard {
        plan.keep(shard);
    }
    if !plan.searches.is_empty() && (args.repeat.is_some() || plan.cases.iter().any(|case| case.repeat > 1)) {
        say("note: --repeat and `repeat` do not apply to searches, which repeat runs as needed");
    }
    let at_once: usize = plan.searches.iter().map(|search| search.conditions.len()).sum();
    let mut how = how(&args.running, &info, plan.cases.len() + at_once);
    (how.fail_fast, how.shard, how.budget) = (args.fail_fast, args.shard, args.budget);
    how.repeat = args.repeat.unwrap_or(1);
    how.retries = args.retries.unwrap_or(0);
    how.files = args.scenarios.iter().map(|path| absolute(path)).collect();
    how.require = args.require.require;
    if let Some(run) = &before {
        kept::resume(run, &plan, &mut how)?;
    }
    let folder = args.kept.open(&how)?;
    let shown = folder.path().display().to_string();
    let many = plan.cases.len() > FEW || !plan.searches.is_empty();
    let mut progress = Progress::new(common.progress(), common.progress_lines());
    let mut reporters = Reporters::new(move |event| progress.on(event), Some(folder));
    let tell = &mut |event: &_| reporters.on(event);
    let (finished, leftovers) =
        run_plan(&args.running, (engine, info), (plan, how), args.first_deployment, &signals, tell).await?;
    let written = args.output.write(&reporters.run);
    if many && reporters.failed().is_none() {
        say(&format!("run folder: {shown}"));
    }
    leftovers.close(&signals).await;
    written?;
    unless_engine_lost(finished.engine_lost.as_deref(), reporters.folder())?;
    let code = exit_code(&finished.summary, finished.broken, &signals);
    match reporters.failed() {
        Some(failed) if code < 6 => Err(Failure::unwritten(failed)),
        _ => Ok(code),
    }
}

/// Builds the images of scenarios, each once.
///
/// # Errors
/// The first build that fails.
async fn build_all(asked: &[Request]) -> Result<(), Failure> {
    let mut built: Vec<&Build> = Vec::new();
    for build in asked.iter().flat_map(|one| &one.builds) {
        if !built.contains(&build) {
            builder::of_scenario(build).await?;
            built.push(build);
        }
    }
    Ok(())
}

fn ask(args: &Args) -> Result<Vec<Request>, Failure> {
    let mut refusals: Vec<String> = Vec::new();
    let mut asked = requests_or_refusals(&args.scenarios, &args.image, &args.on, &mut refusals)?;
    let given: [(&str, &[String]); 2] = [("--with", &args.with), ("--repair", &args.repair)];
    let (conditions, mut wrong) = match conditions(&given) {
        Ok(conditions) => (conditions, Vec::new()),
        Err(wrong) => (ConditionSet::baseline(), wrong),
    };
    let own = [(!args.with.is_empty(), "--with"), (!args.repair.is_empty(), "--repair"), (args.deployed, "--deployed")];
    let own = own.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag);
    let misplaced = own.chain(args.files.given().map(|(flag, _)| flag)).filter(|_| !args.scenarios.is_empty());
    wrong.extend(misplaced.map(|flag| format!("{flag} cannot be used with scenario files: they set it themselves")));
    if args.scenarios.is_empty() {
        let Read { service, image, deployment } = args.files.read(&args.on, &mut refusals)?;
        let conditions = match args.deployed {
            true => with_deployed(&conditions, &service, &deployment.revision, &args.on, &mut wrong),
            false => conditions,
        };
        let images = if args.image.is_empty() { image.into_iter().collect() } else { args.image.clone() };
        if !images.is_empty() {
            asked.push(by_hand(images, service, &conditions));
        }
    }
    or_errors(asked, &wrong, refusals)
}

/// These conditions and everything that was in force.
fn with_deployed(
    conditions: &ConditionSet,
    service: &Service,
    revision: &Revision,
    on: &On,
    wrong: &mut Vec<String>,
) -> ConditionSet {
    let profile = on.platform.clone().unwrap_or_else(apprunner);
    let deployed = in_force(&profile, service, revision);
    say(&format!("note: deployed as {deployed}"));
    ConditionSet::new(deployed.iter().chain(conditions.iter()).cloned()).unwrap_or_else(|problems| {
        wrong.extend(problems.into_iter().map(|problem| format!("--deployed and --with: {problem}")));
        deployed
    })
}

/// Images under one set of conditions.
fn by_hand(images: Vec<String>, service: Service, conditions: &ConditionSet) -> Request {
    let cases = images.iter().map(|image| (image.clone(), conditions.clone(), None)).collect();
    let part = Part { scenario: None, service };
    Request { part, images, cases, searches: Vec::new(), repeat: 1, builds: Vec::new() }
}
