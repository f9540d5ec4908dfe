//! `exitone demo`: the incident, from nothing to the answer.

use std::path::Path;

use super::common::{Common, Failure, Format, Running, candidates, engine, print, run_plan, say};
use crate::images::{Source, build};
use crate::model::{Case, Plan};
use crate::report::story::Story;
use crate::report::{json, terminal};
use crate::scenario::{apprunner, file};

/// The incident's scenario.
const INCIDENT: &str = include_str!("../../scenarios/incident.yaml");

/// Arguments of `demo`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: super::images::SourceArgs,
    #[command(flatten)]
    running: Running,
}

/// Runs it.
///
/// # Errors
/// Engine, build.
pub async fn execute(common: &Common, args: Args) -> Result<u8, Failure> {
    let scenario = file::read("incident.yaml", INCIDENT, Path::new("."), &apprunner())?;
    let (engine, info) = engine().await?;
    let source: Source = args.source.into();
    let built = build(engine.as_ref(), &[], &source, &|step| say(&format!("  {step}"))).await?;
    if !built.built.is_empty() {
        say(&format!("  built {} images; the next demo finds them there", built.built.len()));
    }
    let candidates = candidates(engine.as_ref(), &scenario.candidates).await?;
    let pairs = scenario.sets.iter().flat_map(|set| scenario.candidates.iter().map(move |image| (image, set)));
    let cases: Vec<Case> = pairs.map(|(image, set)| Case::new(image, set.clone())).collect();
    if args.running.format == Format::Text {
        let count = scenario.candidates.len();
        let sets = scenario.sets.len();
        let cases = cases.len();
        say(&format!("{count} versions of one service under {sets} sets of App Runner conditions: {cases} cases"));
    }
    let plan = Plan { service: scenario.service, candidates, cases };
    let finished = run_plan(common, &args.running, (engine, info), plan, false).await?;
    let story = Story::of(&scenario.candidates, &finished.results);
    match args.running.format {
        Format::Json => print(&format!("{:#}\n", json::demo(&finished.results, &finished.summary, &story)))?,
        Format::Text => {
            let mut text = terminal::matrix(&scenario.candidates, &scenario.sets, &finished.results);
            text.push_str(&terminal::story(&story, &finished.results));
            text.push_str(NEXT);
            text.push_str(&terminal::summary(&finished.summary));
            print(&text)?;
        }
    }
    // The incident's failures are what a demo is to show.
    Ok(match (finished.interrupted, finished.summary.unresolved) {
        (0, 0) => 0,
        (0, _) => 5,
        _ => 130,
    })
}

const NEXT: &str = "
Try it on an image of your own
  exitone run --image IMAGE --service service.yaml                       friendly conditions
  exitone run --image IMAGE --service service.yaml --with egress.drop    a VPC without NAT
  exitone run --help                                                     what else there is

";
