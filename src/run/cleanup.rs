//! Removing what a session left: by its watchdog, by the next start's sweep, by `exitone clean`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

use super::session::{Session, lives};
use crate::engine::{Engine, EngineResult, Found, KEPT, OWNER_LABEL, SESSION_LABEL};

/// The pause between two passes: an engine may still be carrying out what a killed process asked of it.
const BETWEEN_PASSES: Duration = Duration::from_millis(150);
/// So many passes must find nothing.
const EMPTY_PASSES: u32 = 3;

/// What was removed.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Containers.
    pub containers: usize,
    /// Volumes.
    pub volumes: usize,
    /// Images.
    pub images: usize,
}

/// Removes the containers and volumes with a label, once. The first error is returned after everything was tried.
///
/// # Errors
/// The engine's.
pub async fn pass(engine: &dyn Engine, label: &str) -> EngineResult<Removed> {
    let mut removed = Removed::default();
    let containers = engine.containers(label).await?;
    removed.containers = containers.len();
    let outcomes = join_all(containers.iter().map(|c| engine.remove(&c.id))).await;
    // A volume can go only after the containers that mount it.
    let volumes = engine.volumes(label).await?;
    removed.volumes = volumes.len();
    let more = join_all(volumes.iter().map(|v| engine.remove_volume(&v.id))).await;
    outcomes.into_iter().chain(more).collect::<EngineResult<Vec<()>>>()?;
    Ok(removed)
}

/// Removes a session's containers and volumes until three passes in a row find nothing.
///
/// # Errors
/// The engine's, once it failed ten times.
pub async fn until_nothing_is_left(engine: &dyn Engine, label: &str) -> EngineResult<()> {
    let mut empty = 0;
    let mut errors = 0;
    while empty < EMPTY_PASSES {
        match pass(engine, label).await {
            Ok(removed) if removed == Removed::default() => empty += 1,
            Ok(_) => empty = 0,
            Err(e) => {
                errors += 1;
                if errors == 10 {
                    return Err(e);
                }
            }
        }
        tokio::time::sleep(BETWEEN_PASSES).await;
    }
    Ok(())
}

/// Removes what dead sessions of this machine and user left.
///
/// # Errors
/// The engine's.
pub async fn sweep(engine: &dyn Engine, session: &Session, state: &Path) -> EngineResult<Removed> {
    let label = format!("{OWNER_LABEL}={}", session.owner);
    let found: Vec<Found> = engine.containers(&label).await?.into_iter().chain(engine.volumes(&label).await?).collect();
    let names: BTreeSet<&String> = found.iter().filter_map(|f| f.labels.get(SESSION_LABEL)).collect();
    let mut removed = Removed::default();
    for name in names {
        if *name == session.name || lives(state, name) {
            continue;
        }
        tracing::info!(session = name, "sweeping a dead session");
        let one = pass(engine, &format!("{SESSION_LABEL}={name}")).await?;
        removed.containers += one.containers;
        removed.volumes += one.volumes;
    }
    Ok(removed)
}

/// Repositories of images that are ours; an image that somebody built on one of them has another name.
const REPOSITORIES: [&str; 3] = ["exitone/", "exitone-gate/", "exitone-test/"];

/// Removes everything of ours: containers and volumes of every session that does not live here, and the images that are
/// kept as a cache. What a user made from one of these images inherits our labels, but has no owner or another name.
///
/// # Errors
/// The engine's.
pub async fn everything(engine: &dyn Engine, state: &Path, bundled: &[String]) -> EngineResult<Removed> {
    let ours = |name: &str| REPOSITORIES.iter().any(|r| name.starts_with(r));
    let mut removed = Removed::default();
    let all = engine.containers(OWNER_LABEL).await?.into_iter().chain(engine.volumes(OWNER_LABEL).await?);
    let sessions: BTreeSet<String> = all.filter_map(|f| f.labels.get(SESSION_LABEL).cloned()).collect();
    for session in sessions.iter().filter(|session| !lives(state, session)) {
        let one = pass(engine, &format!("{SESSION_LABEL}={session}")).await?;
        removed.containers += one.containers;
        removed.volumes += one.volumes;
    }
    for image in engine.images(&format!("{SESSION_LABEL}={KEPT}")).await? {
        for name in image.names.iter().filter(|name| bundled.contains(name) || ours(name)) {
            engine.remove_image(name).await?;
            removed.images += 1;
        }
    }
    Ok(removed)
}
