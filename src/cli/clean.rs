//! `exitone clean`.

use super::console::print;
use super::failure::Failure;
use super::flags::Common;
use super::session::engine;
use super::{gate, repro};
use crate::images::candidate_names;
use crate::run::cleanup::everything;
use crate::run::inspector;
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
    let state = state_dir();
    let removed = everything(engine.as_ref(), &state, &candidate_names()).await?;
    for folder in [repro::folder(&state), state.join(gate::FOLDER), state.join(inspector::FOLDER)] {
        match std::fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::internal(format!("removing {}: {e}", folder.display())));
            }
            _ => {}
        }
    }
    print(&format!(
        "removed {} containers, {} volumes, {} images\n",
        removed.containers, removed.volumes, removed.images
    ))?;
    Ok(0)
}
