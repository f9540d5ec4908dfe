//! `exitone why`: which smallest sets of conditions make an image fail.

use std::path::PathBuf;
use std::time::Duration;

use super::console::{print, say};
use super::failure::{Failure, INTERNAL, unless_wrong};
use super::flags::{Common, Form, Format, On, Running, share};
use super::input::{by_hand, service_of};
use super::repro;
use super::session::{candidates, close, engine, open, room};
use super::signals::Signals;
use crate::model::{Condition, ConditionSet, Part, Plan, Service, Verdict};
use crate::profile::{Battery, battery};
use crate::report::why::{Live, Seen, text};
use crate::run::why::{Question, Step, answer::cases, why};
use crate::scenario::apprunner;
use crate::search::set::MOST;

/// Arguments of `why`.
#[derive(clap::Args)]
pub struct Args {
    /// The image [default: that of the service file]
    #[arg(value_name = "IMAGE")]
    image: Option<String>,
    /// A condition to search among, once for each [default: everything that differs on the platform]
    #[arg(long, value_name = "CONDITION")]
    with: Vec<String>,
    /// A service file (port, environment, health check), or `aws apprunner describe-service` output
    #[arg(long, value_name = "FILE")]
    service: Option<PathBuf>,
    /// More variables, NAME=VALUE a line
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// How sure the answer must be; more means more runs
    #[arg(long, value_name = "SHARE", default_value = "0.99", value_parser = share)]
    confidence: f64,
    /// Stop after this time and say what was not tried
    #[arg(long, value_name = "TIME", value_parser = super::flags::duration)]
    budget: Option<Duration>,
    /// Show every run
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    form: Form,
}

/// Runs it.
///
/// # Errors
/// Usage, files, engine.
pub async fn execute(common: &Common, args: Args) -> Result<u8, Failure> {
    let (image, service, battery) = ask(&args)?;
    let signals = Signals::listen();
    let (engine, info) = engine().await?;
    let candidate = candidates(engine.as_ref(), std::slice::from_ref(&image), &service).await?.remove(0);
    let by_hand = by_hand(&image, &args.service, &args.env_file, &args.on);
    let room = room(&args.running, &info);
    let question = Question {
        candidate: candidate.clone(),
        service: service.clone(),
        battery: battery.conditions,
        variants: battery.forms,
        rates: None,
        confidence: args.confidence,
        budget: args.budget,
        room,
        by_hand,
    };
    let rig = signals.unless_asked(open(&args.running, engine, &info, room.most, false)).await??;
    let mut live = Live::new(common.progress());
    let explained = why(rig.context.clone(), &question, signals.asked(), &mut |step| live.on(&seen(&step))).await;
    drop(live);
    let plan = Plan {
        parts: vec![Part { scenario: None, service }],
        candidates: vec![candidate],
        cases: cases(&explained.results),
        searches: Vec::new(),
    };
    repro::remember(&plan, &explained.results);
    close(rig, &signals, explained.cut).await;
    let answer = &explained.answer;
    match args.form.format {
        Format::Json => {
            let document = serde_json::to_string_pretty(answer)
                .map_err(|e| Failure::internal(format!("writing the answer: {e}")))?;
            print(&format!("{document}\n"))?;
        }
        Format::Text => print(&text(answer, &explained.results, args.explain))?,
    }
    let unknown = answer.verdict == Verdict::Unresolved && explained.broken == 0;
    if explained.cut && unknown && signals.exit_code().is_none() {
        say("the budget is too small for an answer: nothing is known yet");
    }
    Ok(match signals.exit_code() {
        Some(code) => code,
        None if explained.broken > 0 => INTERNAL,
        None => answer.exit_code(),
    })
}

fn seen<'a>(step: &'a Step<'a>) -> Seen<'a> {
    match step {
        Step::Doing(what) => Seen::Doing(what),
        Step::Begun(set) => Seen::Begun(set),
        Step::Phase(set, phase) => Seen::Phase(set, *phase),
        Step::Result(result) => Seen::Result(result),
        Step::Found(sets) => Seen::Found(sets),
    }
}

/// Reads the question; everything that is wrong is said at once.
fn ask(args: &Args) -> Result<(String, Service, Battery), Failure> {
    let profile = args.on.platform.clone().unwrap_or_else(apprunner);
    let mut refusals: Vec<String> = Vec::new();
    let mut wrong: Vec<String> = Vec::new();
    let (mut service, named) = service_of(args.service.as_deref(), args.env_file.as_deref(), &args.on, &mut refusals)?;
    // Requests after healthy are no part of the question.
    service.checks.clear();
    let battery = match args.with.is_empty() {
        true => battery(&profile, &service),
        false => chosen(&args.with, &service, &mut wrong),
    };
    let image = args.image.clone().or(named);
    if image.is_none() && refusals.is_empty() {
        wrong.push("which image? give IMAGE, or `image:` in the service file".to_owned());
    }
    if battery.conditions.len() > MOST {
        let count = battery.conditions.len();
        wrong.push(format!("{count} conditions are too many for one search (at most {MOST}); choose some with --with"));
    }
    unless_wrong((image.unwrap_or_default(), service, battery), &wrong, refusals)
}

/// Exactly the conditions that were asked for.
fn chosen(texts: &[String], service: &Service, wrong: &mut Vec<String>) -> Battery {
    let mut conditions: Vec<Condition> = Vec::new();
    for text in texts {
        match text.parse::<Condition>().map(|c| c.with_secrets(&service.secrets)) {
            Ok(condition) if conditions.contains(&condition) => {
                wrong.push(format!("--with: {condition} is given twice"))
            }
            Ok(condition) => conditions.push(condition),
            Err(e) => wrong.push(format!("--with: {e}")),
        }
    }
    if let Err(problems) = ConditionSet::new(conditions.clone()) {
        let why = "a search combines all of them; ask about one after the other";
        wrong.extend(problems.into_iter().map(|problem| format!("--with: {problem} ({why})")));
    }
    Battery { conditions, forms: Vec::new() }
}
