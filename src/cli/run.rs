//! `exitone run`: cases of scenario files, or one case by hand.

use std::path::PathBuf;

use super::common::{
    Common, Failure, Format, Running, Signals, candidates, engine, exit_code, folder_of, print, read_text, run_plan,
    say, service_of, unless_wrong,
};
use crate::model::{ConditionSet, Expectation, Part, Plan, Summary, Verdict};
use crate::report::{json, terminal};
use crate::run::coordinator::Finished;
use crate::run::rig::unknown_variables;
use crate::scenario::{apprunner, file};

/// Arguments of `run`.
#[derive(clap::Args)]
pub struct Args {
    /// Scenario files
    #[arg(value_name = "SCENARIO.yaml")]
    scenarios: Vec<PathBuf>,
    /// An image to run, once for each
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,
    /// A condition to impose, once for each: `egress.drop`, `env.unset:NAME` …
    #[arg(long, value_name = "CONDITION")]
    with: Vec<String>,
    /// A service file: port, environment, health check
    #[arg(long, value_name = "FILE")]
    service: Option<PathBuf>,
    /// More variables, NAME=VALUE a line
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// The deployment that creates the service: nothing to roll back to
    #[arg(long)]
    first_deployment: bool,
    #[command(flatten)]
    running: Running,
}

/// What is asked for, before the engine is asked.
struct Asked {
    images: Vec<String>,
    part: Part,
    sets: Vec<ConditionSet>,
    cases: Vec<(String, ConditionSet, Option<Expectation>)>,
}

/// Runs it.
///
/// # Errors
/// Usage, files, engine.
pub async fn execute(common: &Common, args: Args) -> Result<u8, Failure> {
    let asked = ask(&args)?;
    if asked.is_empty() {
        return Err(Failure::usage("nothing to run: give a scenario file, or --image IMAGE"));
    }
    let signals = Signals::listen();
    let (engine, info) = engine().await?;
    let mut plans = Vec::new();
    for one in asked {
        let candidates = candidates(engine.as_ref(), &one.images).await?;
        let plan = Plan::of_scenario(one.part, candidates, one.cases);
        let unknown = unknown_variables(&plan);
        if !unknown.is_empty() {
            let names: Vec<String> = unknown.into_iter().collect();
            let text = format!("neither the service nor an image has the variable {}", names.join(", "));
            say(&format!("warning: {text}; env.unset changes nothing there"));
        }
        plans.push((plan, one.sets, one.images));
    }
    let (mut results, mut seconds, mut broken) = (Vec::new(), 0.0, 0);
    let mut failure = None;
    for (plan, sets, images) in plans {
        if signals.exit_code().is_some() {
            break;
        }
        let target = (engine.clone(), info.clone());
        let finished = match run_plan(common, &args.running, target, plan, args.first_deployment, &signals).await {
            Ok(finished) => finished,
            // What has been found out stands; the failure is said after it.
            Err(e) => {
                failure = Some(e);
                break;
            }
        };
        seconds += finished.summary.seconds;
        broken += finished.broken;
        if args.running.format == Format::Text {
            print(&text(&images, &sets, &finished))?;
        }
        results.extend(finished.results);
    }
    let summary = Summary::of(&results, seconds);
    if args.running.format == Format::Json && (failure.is_none() || !results.is_empty()) {
        print(&format!("{:#}\n", json::run(&results, &summary)))?;
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(exit_code(&summary, broken, &signals)),
    }
}

/// A matrix where there is one to see, then the cases that did not pass, or all of a few.
fn text(images: &[String], sets: &[ConditionSet], finished: &Finished) -> String {
    let results = &finished.results;
    let mut text = String::new();
    if images.len() > 1 || sets.len() > 2 {
        text = terminal::matrix(images, sets, results) + "\n";
    }
    if results.len() > 4 {
        text += &terminal::unmet(results);
    }
    let shown = results.iter().filter(|r| results.len() <= 4 || r.verdict != Verdict::Pass);
    text.extend(shown.map(|r| terminal::case(r) + "\n"));
    text + &terminal::findings(results) + &terminal::summary(&finished.summary)
}

fn ask(args: &Args) -> Result<Vec<Asked>, Failure> {
    let profile = apprunner();
    let mut asked = Vec::new();
    let mut refusals: Vec<String> = Vec::new();
    for path in &args.scenarios {
        let text = read_text(path)?;
        match file::read(&path.display().to_string(), &text, &folder_of(path), &profile) {
            Ok(scenario) => {
                let images = if args.image.is_empty() { scenario.candidates.clone() } else { args.image.clone() };
                let cases = scenario.cases(&images);
                let part = Part { scenario: Some(scenario.name), service: scenario.service };
                asked.push(Asked { images, part, sets: scenario.sets, cases });
            }
            Err(refused) => refusals.push(refused.to_string()),
        }
    }
    let (conditions, mut wrong) = match conditions(&args.with) {
        Ok(conditions) => (conditions, Vec::new()),
        Err(wrong) => (ConditionSet::baseline(), wrong),
    };
    let own = [
        (!args.with.is_empty(), "--with"),
        (args.service.is_some(), "--service"),
        (args.env_file.is_some(), "--env-file"),
    ];
    let misplaced = own.iter().filter(|(given, _)| *given && !args.scenarios.is_empty());
    wrong.extend(misplaced.map(|(_, flag)| format!("{flag} goes with --image alone; a scenario file has its own")));
    if args.scenarios.is_empty() {
        let (service, image) = service_of(args.service.as_deref(), args.env_file.as_deref(), &mut refusals)?;
        let images = if args.image.is_empty() { image.into_iter().collect() } else { args.image.clone() };
        if !images.is_empty() {
            let sets = vec![conditions.with_secrets(&service.secrets)];
            let cases = images.iter().map(|image| (image.clone(), sets[0].clone(), None)).collect();
            asked.push(Asked { images, part: Part { scenario: None, service }, sets, cases });
        }
    }
    unless_wrong(asked, &wrong, refusals)
}

/// Reads conditions; all mistakes at once.
pub fn conditions(texts: &[String]) -> Result<ConditionSet, Vec<String>> {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(condition) => good.push(condition),
            Err(e) => bad.push(format!("--with: {e}")),
        }
    }
    match ConditionSet::new(good) {
        Ok(set) if bad.is_empty() => Ok(set),
        Ok(_) => Err(bad),
        Err(more) => {
            bad.extend(more.into_iter().map(|problem| format!("--with: {problem}")));
            Err(bad)
        }
    }
}
