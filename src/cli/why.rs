//! `exitone why`: finds the minimal sets of conditions that make an image fail.

use std::sync::Arc;
use std::time::Duration;

use super::console::say;
use super::deployment::{Evidence, Read};
use super::failure::{Failure, INTERNAL, or_errors, unless_engine_lost};
use super::flags::{Common, Fetch, On, Running, share};
use super::headings::{CONDITIONS, OUTPUT, WHAT};
use super::input::by_hand;
use super::kept::{RunFolder, resume};
use super::output::{Output, ReportForm, Reporters};
use super::session::{candidates, engine, room, run_plan};
use super::signals::Signals;
use crate::event::{Event, Stamped};
use crate::model::deployment::Deployment;
use crate::model::search::{Search, SearchRequest};
use crate::model::{CaseId, Condition, ConditionSet, Plan, Service, Verdict};
use crate::profile::{Battery, Profile, battery};
use crate::report::first::first;
use crate::report::live::{Live, Named};
use crate::report::why::text;
use crate::run::drivers::Finished;
use crate::run::schedule::How;
use crate::scenario::apprunner;
use crate::search::set::MOST;

/// Arguments of `why`.
#[derive(clap::Args)]
#[command(next_display_order = 1)]
pub(crate) struct Args {
    /// Image to test [default: the service file's]
    #[arg(value_name = "IMAGE", help_heading = WHAT, display_order = 0)]
    image: Option<String>,
    /// Condition to search among [default: the platform's]
    ///
    /// May be repeated. Without it, everything that differs on the platform is tried, with a condition for every variable
    /// of the service.
    #[arg(long, value_name = "CONDITION", help_heading = CONDITIONS)]
    with: Vec<String>,
    #[command(flatten)]
    evidence: Evidence,
    /// Repeat runs until the answer is this certain; a higher share takes more runs
    #[arg(long = "repeat-until", visible_alias = "confidence", value_name = "SHARE", default_value = "0.99")]
    #[arg(value_parser = share, help_heading = CONDITIONS, hide_short_help = true)]
    confidence: f64,
    /// Stop after this time and list what was not tried
    #[arg(long, value_name = "TIME", value_parser = super::flags::duration, help_heading = CONDITIONS)]
    budget: Option<Duration>,
    /// Stop at the first minimal set
    #[arg(long, help_heading = CONDITIONS)]
    quick: bool,
    /// Do not try repairs
    #[arg(long, help_heading = CONDITIONS, hide_short_help = true)]
    no_repair: bool,
    /// Show every run, and why conditions were left out
    #[arg(long, help_heading = OUTPUT)]
    explain: bool,
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

/// Runs the command.
///
/// # Errors
/// Usage, files, engine.
pub(crate) async fn execute(common: &Common, args: Args) -> Result<u8, Failure> {
    args.running.own.install()?;
    let before = args.kept.earlier()?;
    let Asked { image, service, battery, deployment } = ask(&args)?;
    let signals = Signals::listen();
    let (engine, info) = engine().await?;
    let candidates = candidates((engine.as_ref(), &info), std::slice::from_ref(&image), &service, args.fetch.pull);
    let candidates = signals.unless_asked(candidates).await??;
    let search = Search {
        forms: battery.forms,
        confidence: args.confidence,
        by_hand: args.evidence.flags().map(|files| by_hand(&image, &files, &args.on)).unwrap_or_default(),
        repairs: !args.no_repair,
        quick: args.quick,
        deployment: Some(Arc::new(deployment)),
        ..Search::new(&SearchRequest { image, conditions: battery.conditions, named: Vec::new(), others: None })
    };
    let id = search.id.clone();
    let plan = Plan { searches: vec![search], ..Plan::new(service, candidates, []) };
    let mut how = How { room: room(&args.running, &info), budget: args.budget, ..How::from(1) };
    if let Some(run) = &before {
        resume(run, &plan, &mut how)?;
    }
    let folder = args.kept.open(&how)?;
    let is_drawn = common.progress();
    let mut live = Live::new(is_drawn, Named::ByConditions, "the image itself");
    let on_event = move |stamped: &Stamped| match &stamped.event {
        // A file keeps what it was told.
        Event::SearchTold { told, .. } if !is_drawn && !told.tentative => say(&first(told)),
        _ => live.on(stamped),
    };
    let mut reporters = Reporters::new(on_event, Some(folder));
    let tell = &mut |event: &_| reporters.on(event);
    let (finished, leftovers) = run_plan(&args.running, (engine, info), (plan, how), false, &signals, tell).await?;
    let code = answered(&args, &id, &finished, &reporters, &signals);
    leftovers.close(&signals).await;
    code
}

/// Writes the answer, and returns the exit code.
fn answered(
    args: &Args,
    id: &CaseId,
    finished: &Finished,
    reporters: &Reporters,
    signals: &Signals,
) -> Result<u8, Failure> {
    let Some(answer) = finished.run.searches.get(id).map(|report| &report.answer) else {
        unless_engine_lost(finished.engine_lost.as_deref(), reporters.folder())?;
        return match signals.exit_code() {
            Some(code) => Ok(code),
            None => Err(Failure::internal("the search ended without an answer")),
        };
    };
    args.output.write_as(&reporters.run, |form| match form {
        ReportForm::Text => Some(text(answer, &finished.executions, args.explain)),
        ReportForm::Json => Some(format!("{:#}\n", serde_json::to_value(answer).unwrap_or_default())),
        _ => None,
    })?;
    unless_engine_lost(finished.engine_lost.as_deref(), reporters.folder())?;
    let unknown = answer.verdict == Verdict::Unresolved && finished.broken == 0;
    if finished.cut && unknown && signals.exit_code().is_none() {
        say("the budget ran out before there was an answer");
    }
    Ok(match (signals.exit_code(), reporters.failed()) {
        (Some(code), _) => code,
        (None, Some(failed)) => return Err(Failure::unwritten(failed)),
        (None, None) if finished.broken > 0 => INTERNAL,
        (None, None) => answer.exit_code(),
    })
}

/// What to search for.
struct Asked {
    image: String,
    service: Service,
    battery: Battery,
    deployment: Deployment,
}

/// Reads the request; reports all errors at once.
fn ask(args: &Args) -> Result<Asked, Failure> {
    let profile = args.on.platform.clone().unwrap_or_else(apprunner);
    let mut refusals: Vec<String> = Vec::new();
    let mut wrong: Vec<String> = Vec::new();
    let Read { mut service, image, deployment } = args.evidence.read(&args.on, &mut refusals)?;
    // Requests after healthy are not part of the question.
    service.checks.clear();
    let battery = match args.with.is_empty() {
        true => battery_of(&profile, &service, &deployment),
        false => chosen(&args.with, &service, &mut wrong),
    };
    let image = args.image.clone().or(image);
    if image.is_none() && refusals.is_empty() {
        wrong.push("missing image: pass IMAGE, or set `image:` in the service file".to_owned());
    }
    if battery.conditions.len() > MOST {
        let count = battery.conditions.len();
        wrong.push(format!("{count} conditions are too many for one search (at most {MOST}); choose some with --with"));
    }
    let image = image.unwrap_or_default();
    or_errors(Asked { image, service, battery, deployment }, &wrong, refusals)
}

/// The platform's conditions, what the update changed, and what the log points to.
pub(super) fn battery_of(profile: &Profile, service: &Service, deployment: &Deployment) -> Battery {
    let mut battery = battery(profile, service).with(&deployment.revision.changed);
    for condition in &deployment.pointed {
        if !battery.conditions.contains(condition) && !battery.forms.contains(condition) {
            battery.forms.push(condition.clone());
        }
    }
    battery
}

/// Exactly the requested conditions.
fn chosen(texts: &[String], service: &Service, wrong: &mut Vec<String>) -> Battery {
    let mut conditions: Vec<Condition> = Vec::new();
    for text in texts {
        match text.parse::<Condition>().map(|c| c.with_secrets(&service.secrets)) {
            Ok(condition) if conditions.contains(&condition) => {
                wrong.push(format!("--with: duplicate condition {condition}"))
            }
            Ok(condition) => conditions.push(condition),
            Err(e) => wrong.push(format!("--with: {e}")),
        }
    }
    if let Err(problems) = ConditionSet::new(conditions.clone()) {
        let why = "a search combines all of them; search among one at a time";
        wrong.extend(problems.into_iter().map(|problem| format!("--with: {problem} ({why})")));
    }
    Battery { conditions, forms: Vec::new() }
}
