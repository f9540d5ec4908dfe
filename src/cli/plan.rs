//! `exitone plan SCENARIO…`: lists the cases that `run` would run, without an engine; as a matrix for a CI job.

use std::fmt::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;

use super::console::print;
use super::failure::Failure;
use super::flags::On;
use super::headings::{OUTPUT, WHAT};
use super::scenarios::requests;
use crate::model::shard::Shard;
use crate::model::{Case, Plan};
use crate::report::view::{name, plural};
use crate::run::schedule::{estimate, estimate_all, estimate_search};

/// The default work for a CI worker in seconds, and the default limit of workers.
const A_WORKER_S: f64 = 120.0;
const MOST_WORKERS: u64 = 16;
/// Slots of a worker with two processors.
const SLOTS: usize = 4;

/// The form of a plan.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Human-readable text
    Text,
    /// One JSON document
    Json,
    /// Lines for $GITHUB_OUTPUT: `matrix={"include":[{"shard":"1/4"}…]}` and `has_work`
    Github,
}

/// Arguments of `plan`.
#[derive(clap::Args)]
#[command(next_display_order = 1)]
pub(crate) struct Args {
    /// Scenario files
    #[arg(value_name = "SCENARIO.yaml", required = true, help_heading = WHAT, display_order = 0)]
    scenarios: Vec<PathBuf>,
    /// Image to use instead of the scenario's; may be repeated
    #[arg(long, value_name = "IMAGE", help_heading = WHAT)]
    image: Vec<String>,
    #[command(flatten)]
    on: On,
    /// Number of shards [default: enough for each to take about two minutes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256), help_heading = OUTPUT)]
    shards: Option<u64>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Form::Text, help_heading = OUTPUT)]
    format: Form,
}

/// Runs the command.
///
/// # Errors
/// Errors in scenario files.
pub(crate) fn execute(args: &Args) -> Result<u8, Failure> {
    let asked = requests(&args.scenarios, &args.image, &args.on)?;
    let plan = Plan::joined(asked.into_iter().map(|one| one.plan(Vec::new())).collect());
    let alone: Vec<Case> = plan.cases.iter().filter(|case| !case.is_searched()).cloned().collect();
    let searches = plan.searches.iter().map(|search| estimate_search(&search.conditions, SLOTS).1);
    let seconds = estimate_all(&alone, SLOTS) + searches.sum::<f64>();
    let default = (seconds / A_WORKER_S).ceil().max(1.0);
    let count = args.shards.unwrap_or(if default < MOST_WORKERS as f64 { default as u64 } else { MOST_WORKERS });
    let shards = (1..=count).map(|number| Shard { number, of: count });
    // A worker without cases would report an empty run.
    let shards: Vec<Shard> = shards.filter(|shard| plan.cases.iter().any(|case| shard.has(case.home()))).collect();
    let text = match args.format {
        Form::Text => text(&plan, &shards, seconds),
        Form::Json => format!("{:#}\n", document(&plan, &shards, seconds)),
        Form::Github => github(&shards),
    };
    print(&text)?;
    Ok(0)
}

fn text(plan: &Plan, shards: &[Shard], seconds: f64) -> String {
    let mut text = String::new();
    let searched = plan.searches.iter().map(|search| search.image.as_str());
    let mut images: Vec<&str> = plan.cases.iter().map(|case| case.image.as_str()).chain(searched).collect();
    images.sort_unstable();
    images.dedup();
    let ids = plan.cases.iter().map(|case| &case.id).chain(plan.searches.iter().map(|search| &search.id));
    let width = ids.map(|id| id.0.chars().count()).max().unwrap_or_default();
    for case in &plan.cases {
        let expect = case.expect.as_ref().map(|e| format!("  → {e}")).unwrap_or_default();
        let (id, image) = (&case.id.0, name(&case.image, &images));
        let _ = writeln!(text, "  {id:width$}  {image} under {}{expect}", case.conditions);
    }
    for search in &plan.searches {
        let (runs, seconds) = estimate_search(&search.conditions, SLOTS);
        let (image, among) = (name(&search.image, &images), plural(search.conditions.len(), "condition"));
        let _ = writeln!(
            text,
            "  {:width$}  {image}: a search among {among}, about {runs} runs, {seconds:.0} s",
            search.id.0
        );
    }
    let shards = if shards.len() > 1 { format!(", or {} parallel workers", shards.len()) } else { String::new() };
    let searches = match plan.searches.len() {
        0 => String::new(),
        1 => " and a search".to_owned(),
        count => format!(" and {count} searches"),
    };
    let cases = plural(plan.cases.len(), "case");
    let _ = writeln!(text, "\n{cases}{searches}, about {seconds:.0} s on two processors{shards}");
    text
}

fn document(plan: &Plan, shards: &[Shard], seconds: f64) -> serde_json::Value {
    let cases: Vec<_> = plan
        .cases
        .iter()
        .map(|case| {
            json!({
                "id": case.id,
                "image": case.image,
                "conditions": case.conditions,
                "scenario": plan.part(case).scenario,
                "expect": case.expect.as_ref().map(ToString::to_string),
                "search": case.search.as_ref().filter(|_| case.is_searched()),
                "seconds": estimate(&case.conditions).0,
                "shard": shards.iter().find(|shard| shard.has(case.home())).map(ToString::to_string),
            })
        })
        .collect();
    let searches: Vec<_> = plan
        .searches
        .iter()
        .map(|search| {
            let (runs, seconds) = estimate_search(&search.conditions, SLOTS);
            json!({
                "id": search.id,
                "image": search.image,
                "conditions": search.conditions,
                "scenario": plan.parts[search.part].scenario,
                "runs": runs,
                "seconds": (seconds * 10.0).round() / 10.0,
                "shard": shards.iter().find(|shard| shard.has(&search.id)).map(ToString::to_string),
            })
        })
        .collect();
    let shards: Vec<String> = shards.iter().map(ToString::to_string).collect();
    let seconds = (seconds * 10.0).round() / 10.0;
    json!({"version": 1, "cases": cases, "searches": searches, "seconds": seconds, "shards": shards})
}

fn github(shards: &[Shard]) -> String {
    let include: Vec<_> = shards.iter().map(|shard| json!({"shard": shard.to_string()})).collect();
    format!("matrix={}\nhas_work={}\n", json!({"include": include}), !shards.is_empty())
}
