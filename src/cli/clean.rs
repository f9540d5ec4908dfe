//! `exitone clean`.

use super::console::{print, say};
use super::failure::Failure;
use super::flags::Common;
use super::session::engine;
use super::{gate, repro};
use crate::engine::SESSION_LABEL;
use crate::images::candidate_names;
use crate::report::view::plural;
use crate::run::cleanup::{self, EngineSession, Life, RemovedImages};
use crate::run::inspector;
use crate::run::session::state_dir;

/// Arguments of `clean`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// End sessions that are in use as well, also those of others on the same engine
    #[arg(long)]
    all: bool,
}

/// Runs the command.
///
/// # Errors
/// Engine.
pub(crate) async fn execute(_: &Common, args: &Args) -> Result<u8, Failure> {
    let (engine, _) = engine().await?;
    let engine = engine.as_ref();
    let state = state_dir();
    let sessions = cleanup::sessions(engine, &state, SESSION_LABEL).await?;
    let (in_use, dead): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|session| session.life.is_some());
    for session in &in_use {
        say(&described(session, args.all));
    }
    let ended: &[EngineSession] = if args.all { &in_use } else { &[] };
    let removed = cleanup::remove(engine, dead.iter().chain(ended)).await?;
    // A session may be about to start any of the images.
    let images = if in_use.is_empty() || args.all {
        cleanup::remove_images(engine, &candidate_names()).await?
    } else {
        say("images stay while a session is in use");
        RemovedImages::default()
    };
    for name in removed.in_use.iter().chain(&images.in_use) {
        say(&format!("{name} stays: a container uses it"));
    }
    for folder in [repro::folder(&state), state.join(gate::FOLDER), state.join(inspector::FOLDER)] {
        match std::fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::internal(format!("removing {}: {e}", folder.display())));
            }
            _ => {}
        }
    }
    print(&format!(
        "removed {}, {}, {}\n",
        plural(removed.containers, "container"),
        plural(removed.volumes, "volume"),
        plural(images.removed, "image")
    ))?;
    Ok(0)
}

/// What happens to a session that is in use.
fn described(session: &EngineSession, all: bool) -> String {
    let EngineSession { name, containers, volumes, life } = session;
    let who = match life {
        Some(Life::Here) => "it runs on this machine",
        Some(Life::Opening) => "it began less than a minute ago",
        Some(Life::Elsewhere) | None => "its holder runs",
    };
    let (containers, volumes) = (plural(*containers, "container"), plural(*volumes, "volume"));
    let has = format!("session {name} ({who}; {containers}, {volumes})");
    if all { format!("ending {has}") } else { format!("{has} stays; `exitone clean --all` ends it") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_a_session_in_use() {
        let session =
            EngineSession { name: "0123456789ab".to_owned(), containers: 3, volumes: 1, life: Some(Life::Elsewhere) };
        let has = "session 0123456789ab (its holder runs; 3 containers, 1 volume)";
        assert_eq!(described(&session, true), format!("ending {has}"));
        assert_eq!(described(&session, false), format!("{has} stays; `exitone clean --all` ends it"));
    }
}
