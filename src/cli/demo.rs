//! `exitone demo`: the bundled incident, from start to answer.

mod stand_in;

use std::path::Path;

use super::console::{print, say};
use super::failure::{Failure, unless_engine_lost};
use super::flags::{Common, Form, Format, Running};
use super::session::{candidates, engine, how, run_plan};
use super::signals::{Signals, exit_code};
use crate::event::{Counts, Stamped};
use crate::images::{build, is_missing};
use crate::model::Plan;
use crate::report::progress::Progress;
use crate::report::story::Story;
use crate::report::table::tables;
use crate::report::view::plural;
use crate::report::{json, terminal};
use crate::scenario::file;

/// The incident's scenario.
const INCIDENT: &str = include_str!("../../scenarios/incident.yaml");

/// Arguments of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    source: super::images::SourceArgs,
    #[command(flatten)]
    running: Running,
}

/// Runs the command.
///
/// # Errors
/// Engine, build.
pub(crate) async fn execute(common: &Common, args: Args) -> Result<u8, Failure> {
    let scenario = file::read("incident.yaml", INCIDENT, Path::new("."), None)?;
    let signals = Signals::listen();
    let (engine, info) = engine().await?;
    let source = args.source.source(common);
    if args.form.format == Format::Text && is_missing(engine.as_ref()).await? {
        stand_in::show(common, &args.running, (engine.clone(), info.clone()), &scenario.service, &signals).await?;
    }
    let progress = |step: &str| say(&format!("  {step}"));
    let built = signals.unless_asked(build(engine.as_ref(), &[], &source, &progress)).await??;
    if !built.built.is_empty() {
        say(&format!("  built {}; the next demo reuses them", plural(built.built.len(), "image")));
    }
    for (image, why) in &built.skipped {
        say(&format!("  skipped {image}: {why}"));
    }
    let skipped = |image: &String| built.skipped.iter().any(|(left, _)| left == image);
    let images: Vec<String> = scenario.candidates.iter().filter(|image| !skipped(image)).cloned().collect();
    let candidates = candidates((engine.as_ref(), &info), &images, &scenario.service, false).await?;
    let pairs = scenario.sets.iter().flat_map(|set| images.iter().map(move |image| (image.clone(), set.clone())));
    let plan = Plan::new(scenario.service, candidates, pairs.collect::<Vec<_>>());
    if args.form.format == Format::Text {
        let count = images.len();
        let sets = scenario.sets.len();
        let cases = plan.cases.len();
        say(&format!(
            "{count} versions of one service under {sets} sets of App Runner conditions: {}",
            plural(cases, "case")
        ));
    }
    let mut progress = Progress::new(common.progress(), common.progress_lines());
    let how = how(&args.running, &info, plan.cases.len());
    let tell = &mut |event: &Stamped| progress.on(event);
    let (finished, leftovers) = run_plan(&args.running, (engine, info), (plan, how), false, &signals, tell).await?;
    let run = &finished.run;
    let story = Story::of(&images, &finished.results);
    let text = match args.form.format {
        Format::Json => format!("{:#}\n", json::demo(run, &story)),
        Format::Text => {
            let mut text: String = tables(run).iter().map(terminal::matrix).collect();
            text.push_str(&terminal::story(&story, &finished.results));
            text.push_str(NEXT);
            text.push_str(&terminal::summary(&finished.summary));
            text
        }
    };
    let printed = print(&text);
    leftovers.close(&signals).await;
    printed?;
    unless_engine_lost(finished.engine_lost.as_deref(), None)?;
    // The incident's failures are what the demo shows.
    let expected = Counts { unexpected: 0, ..finished.summary };
    Ok(exit_code(&expected, finished.broken, &signals))
}

const NEXT: &str = "
Try it on an image of your own
  exitone run --image IMAGE --service service.yaml                       friendly conditions
  exitone run --image IMAGE --service service.yaml --with egress.drop    a VPC without NAT
  exitone run --help                                                     what else there is

";
