//! `exitone doctor`: identifies the engine, and proves with planted candidates which conditions this host can impose.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde::Serialize;
use tokio::time::Instant;

use super::console::print;
use super::failure::Failure;
use super::flags::{Common, Format};
use super::headings::OUTPUT;
use super::session::engine;
use super::signals::Signals;
use crate::engine::{Engine, EngineInfo};
use crate::model::condition::ConditionSet;
use crate::model::{Candidate, Case, CaseResult, Verdict};
use crate::report::terminal::{Proved, doctor};
use crate::run::case::{self, Listener};
use crate::run::context::{Context, Options};
use crate::run::engine_proof::{self, EngineProof};
use crate::run::program::ensure_planted;
use crate::run::proofs::{Proof, describe_end, idle, proofs, service};
use crate::run::rig::{Rig, Setup};
use crate::run::session;
use crate::scenario::{apprunner, service::defaults};

/// How long a healthy planted candidate is watched.
const SOAK: Duration = Duration::from_millis(100);

/// Arguments of `doctor`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = OUTPUT)]
    format: Format,
}

/// What the planted candidates have shown.
#[derive(Serialize)]
struct Report {
    version: u32,
    engine: String,
    platform: String,
    /// The kernel of the engine's machine.
    kernel: String,
    /// Its features besides conditions.
    abilities: Vec<Ability>,
    /// Facts that a user of this engine should know.
    warnings: Vec<String>,
    /// What must hold for an engine before anything is judged on it.
    engine_proof: EngineProof,
    conditions: Vec<Proved>,
    seconds: f64,
}

/// Runs the command. The exit code is 0 if every condition that this host can impose is proved.
///
/// # Errors
/// Engine.
pub(crate) async fn execute(common: &Common, args: &Args) -> Result<u8, Failure> {
    let begun = Instant::now();
    let signals = Signals::listen();
    let (engine, info) = engine().await?;
    let images = signals.unless_asked(ensure_planted(engine.as_ref(), &info, None)).await??;
    let jobs = 2 * info.cpus;
    let setup = Setup {
        state: session::state_dir(),
        jobs,
        options: Options { soak: SOAK, ..Options::default() },
        watchdog: true,
        program: None,
        mode: None,
    };
    let rig = signals.unless_asked(Rig::open(engine.clone(), &info, setup)).await??;
    let proven = rig.proven(&session::state_dir(), &info);
    let work = async {
        let defaults = defaults(&apprunner());
        let engine_proof = engine_proof::prove(&rig.context, &info, &defaults, None).await?;
        let mut context = Context::clone(&rig.context);
        context.limits.ineffective = engine_proof.ineffective.clone();
        let (conditions, measured) = prove_all(Arc::new(context), engine, &images, jobs, common.progress()).await?;
        Ok::<_, Failure>((engine_proof, conditions, measured))
    };
    let proved = signals.unless_asked(work).await;
    let broken_off = proved.is_err();
    let closed = rig.close(broken_off).await;
    let (engine_proof, conditions, measured) = proved??;
    let failed = !engine_proof.passed() || conditions.iter().any(|p| p.imposed == Some(false));
    if !failed && engine_proof.is_lasting() {
        proven.remember(engine_proof.measures_usage(), &engine_proof.ineffective);
    }
    let report = Report {
        version: 1,
        engine: described(&info),
        platform: info.platform.clone(),
        kernel: info.kernel.clone(),
        abilities: abilities(&info, measured),
        warnings: warnings(&info),
        engine_proof,
        conditions,
        seconds: begun.elapsed().as_secs_f64(),
    };
    print(&match args.format {
        Format::Json => format!("{:#}\n", serde_json::to_value(&report).unwrap_or_default()),
        Format::Text => text(&report),
    })?;
    // What the candidates have shown is printed even if something of them is left.
    closed?;
    Ok(u8::from(failed))
}

fn described(info: &EngineInfo) -> String {
    format!("{} {} (API {}), {} CPUs", info.name, info.version, info.api, info.cpus)
}

/// A feature that a machine may lack.
#[derive(Serialize)]
struct Ability {
    name: &'static str,
    there: bool,
    /// The consequence of lacking it.
    without: &'static str,
}

fn abilities(info: &EngineInfo, measured: bool) -> Vec<Ability> {
    let ability = |name, there, without| Ability { name, there, without };
    vec![
        ability("one holder for many runs", info.joins_current_namespace, "each run needs its own holder"),
        ability(
            "measuring CPU and memory use",
            measured,
            "no such evidence, and cpu.limit and memory.limit are not verified",
        ),
        ability("CPU limits", info.cpu_limit, "cpu.limit is skipped"),
        ability("memory limits", info.memory_limit, "memory.limit is skipped"),
        ability("unsetting an image's variables", info.unsets_variables, "env.unset is skipped for these"),
    ]
}

fn warnings(info: &EngineInfo) -> Vec<String> {
    let vsock = "this engine lets containers make AF_VSOCK sockets, which belong to no network namespace: a candidate on \
                 a virtual machine could speak to its host (Docker 23.0 and newer forbid it)";
    info.lets_vsock().then(|| vsock.to_owned()).into_iter().collect()
}

fn text(report: &Report) -> String {
    let mut text = format!("{} on {}, Linux {}\n", report.engine, report.platform, report.kernel);
    for ability in &report.abilities {
        let (mark, without) =
            if ability.there { ("✓", String::new()) } else { ("–", format!(": {}", ability.without)) };
        let _ = writeln!(text, "  {mark} {}{without}", ability.name);
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text.push('\n');
    for check in &report.engine_proof.checks {
        let mark = match check.holds {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "–",
        };
        let _ = writeln!(text, "  {mark} {}: {}", check.claim, check.claim.expected());
        if check.holds != Some(true) {
            let _ = writeln!(text, "      {}", check.seen);
        }
    }
    text.push('\n');
    text.push_str(&doctor(&report.conditions));
    let _ = writeln!(text, "\nproved in {:.0} s", report.seconds);
    text
}

async fn prove_all(
    context: Arc<Context>,
    engine: Arc<dyn Engine>,
    images: &[String; 2],
    jobs: usize,
    progress: bool,
) -> Result<(Vec<Proved>, bool), Failure> {
    let here = Candidate { facts: engine.inspect_image(&images[0]).await? };
    let elsewhere = Candidate { facts: engine.inspect_image(&images[1]).await? };
    let proofs = proofs();
    let bar =
        if progress { indicatif::ProgressBar::new(proofs.len() as u64) } else { indicatif::ProgressBar::hidden() };
    let (context, here, elsewhere) = (&context, &here, &elsewhere);
    let work = proofs.iter().enumerate().map(|(number, proof)| async move {
        let (proved, measured) = prove(context, proof, here, elsewhere).await;
        (number, proved, measured)
    });
    let mut proved: Vec<(usize, Proved)> = Vec::new();
    let mut measured = false;
    let mut running = std::pin::pin!(futures_util::stream::iter(work).buffer_unordered(jobs));
    while let Some((number, one, usage)) = running.next().await {
        bar.inc(1);
        measured |= usage;
        proved.push((number, one));
    }
    bar.finish_and_clear();
    proved.sort_by_key(|(number, _)| *number);
    Ok((proved.into_iter().map(|(_, proved)| proved).collect(), measured))
}

/// Runs the three cases of a condition: the baseline, one that meets it, one that never does. Also returns whether CPU
/// and memory use could be measured.
async fn prove(context: &Context, proof: &Proof, here: &Candidate, elsewhere: &Candidate) -> (Proved, bool) {
    let run = async |candidate: &Candidate, command: &str, set: &ConditionSet| {
        let service = service(&defaults(&apprunner()), command, &context.architecture);
        let case = Case::new(&candidate.facts.reference, set.clone());
        case::run(context, &service, candidate, &case, Listener::NOBODY).await
    };
    let friendly = run(here, &proof.meets, &ConditionSet::baseline()).await;
    let met = run(if proof.of_image { elsewhere } else { here }, &proof.meets, &proof.condition).await;
    let unmet = run(here, &idle(), &proof.for_idle).await;
    (judge(proof, &friendly, &met, &unmet), unmet.evidence.usage.is_some())
}

fn judge(proof: &Proof, friendly: &CaseResult, met: &CaseResult, unmet: &CaseResult) -> Proved {
    let proved = |imposed: Option<bool>, what: String| Proved { condition: proof.condition.to_string(), imposed, what };
    let cannot = [friendly, met, unmet].iter().find_map(|r| r.skipped.clone());
    if let Some(why) = cannot {
        return proved(None, why);
    }
    if friendly.verdict != Verdict::Pass && !proof.of_image {
        return proved(Some(false), format!("the test program fails even without it: {}", describe_end(friendly)));
    }
    let held_back = |r: &CaseResult| r.evidence.usage.is_some_and(|usage| usage.throttled_ms > 0.0);
    if proof.name == "cpu.limit" && friendly.evidence.usage.is_some() {
        let what = format!("used {:.1} s of CPU time, throttled for {:.1} s", 0.2, throttled_s(met));
        return proved(Some(held_back(met) && !held_back(friendly)), what);
    }
    if met.verdict != Verdict::Fail {
        return proved(Some(false), format!("the test program does not fail under it: {}", describe_end(met)));
    }
    if !met.not_exercised.is_empty() {
        return proved(Some(false), format!("wrongly reported as not exercised: {}", met.not_exercised[0].because));
    }
    // What every planted program does by starting cannot be left out.
    let always = ["command.split", "command.no-entrypoint"].contains(&proof.name);
    if !always && (unmet.verdict != Verdict::Pass || unmet.not_exercised.is_empty()) {
        let end = describe_end(unmet);
        return proved(Some(false), format!("not reported as \"not exercised\" although it was not: {end}"));
    }
    proved(Some(true), describe_end(met))
}

fn throttled_s(result: &CaseResult) -> f64 {
    result.evidence.usage.map_or(0.0, |usage| usage.throttled_ms / 1000.0)
}
