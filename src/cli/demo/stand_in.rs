//! The first answer of the demo: this program plays the incident's service, so that nothing needs to be built for it.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::console::{print, say};
use super::super::failure::{Failure, unless_engine_lost};
use super::super::flags::{Common, Running};
use super::super::session::{candidates, how, run_plan};
use super::super::signals::Signals;
use crate::engine::{Engine, EngineInfo};
use crate::event::Stamped;
use crate::model::{CaseResult, Condition, ConditionSet, Plan, Service};
use crate::report::progress::Progress;
use crate::report::stand_in;
use crate::run::program::ensure_planted;

/// What the service does while it starts, as actions of a planted candidate: it calls the provider of its one-time
/// passwords, and serves only once that has answered.
const ACTIONS: &str = "connect verify.twilio.com 443 3 then serve 8000";

/// Runs the stand-in under friendly conditions and without egress, and shows both.
///
/// # Errors
/// Engine.
pub(super) async fn show(
    common: &Common,
    running: &Running,
    (engine, info): (Arc<dyn Engine>, EngineInfo),
    service: &Service,
    signals: &Signals,
) -> Result<(), Failure> {
    let begun = Instant::now();
    say("  the images of the incident are not built yet; first, exitone itself plays the service");
    let [image, _] = signals.unless_asked(ensure_planted(engine.as_ref(), &info, None)).await??;
    let images = [image];
    let service = Service { start_command: Some(ACTIONS.to_owned()), checks: Vec::new(), ..service.clone() };
    let found = candidates((engine.as_ref(), &info), &images, &service, false).await?;
    let dropped = ConditionSet::new("egress.drop".parse::<Condition>()).unwrap_or_default();
    let cases = [ConditionSet::baseline(), dropped].map(|set| (images[0].clone(), set));
    let plan = Plan::new(service, found, cases);
    let how = how(running, &info, plan.cases.len());
    let mut progress = Progress::new(common.progress(), common.progress_lines());
    let tell = &mut |event: &Stamped| progress.on(event);
    let (finished, leftovers) = run_plan(running, (engine, info), (plan, how), false, signals, tell).await?;
    unless_engine_lost(finished.engine_lost.as_deref(), None)?;
    let results: Vec<&CaseResult> = finished.results.iter().map(Arc::as_ref).collect();
    let printed = print(&stand_in::text(&results, begun.elapsed()));
    leftovers.close(signals).await;
    printed
}
