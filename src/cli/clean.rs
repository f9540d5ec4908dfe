//! `exitone clean`.

use super::common::{Common, Failure, engine, print};
use super::repro;
use crate::images::candidate_names;
use crate::run::cleanup::everything;
use crate::run::session::state_dir;

/// Arguments of `clean`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs it.
///
/// # Errors
/// Engine.
pub async fn execute(_: &Common, _: &Args) -> Result<u8, Failure> {
    let (engine, _) = engine().await?;
    let removed = everything(engine.as_ref(), &state_dir(), &candidate_names()).await?;
    repro::forget().map_err(|e| Failure::internal(format!("forgetting the cases that were kept: {e}")))?;
    print(&format!(
        "removed {} containers, {} volumes, {} images\n",
        removed.containers, removed.volumes, removed.images
    ))?;
    Ok(0)
}
