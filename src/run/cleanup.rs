//! Removes what sessions left: for the watchdog, the sweep at the next start, and `exitone clean`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures_util::future::{join_all, try_join, try_join_all};

use super::session::{Session, is_name, known_owner, lives};
use crate::engine::{
    Engine, EngineError, EngineResult, Found, IMAGE_LABEL, OLD_IMAGE_SESSION, OWNER_LABEL, ROLE_LABEL, SESSION_LABEL,
};

/// Pause between two passes: the engine may still be executing requests of a killed process.
const BETWEEN_PASSES: Duration = Duration::from_millis(150);
/// Number of passes in a row that must find nothing.
const EMPTY_PASSES: u32 = 3;
/// A session without a holder may still be opening if something of it is younger than this.
const OPENING: Duration = Duration::from_secs(60);

/// What was removed.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Number of containers.
    pub containers: usize,
    /// Number of volumes.
    pub volumes: usize,
    /// Volumes that remain because another container uses them.
    pub in_use: Vec<String>,
}

impl Removed {
    fn found_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that everything was removed.
    ///
    /// # Errors
    /// When a volume is in use.
    pub(crate) fn complete(&self) -> EngineResult<()> {
        match self.in_use.first() {
            None => Ok(()),
            Some(volume) => Err(EngineError::InUse { action: "removing a volume".to_owned(), message: volume.clone() }),
        }
    }
}

/// Removes the containers and volumes with a label, once. Returns the first error after trying everything.
///
/// # Errors
/// The engine's. A volume in use is not an error.
pub(crate) async fn pass(engine: &dyn Engine, label: &str) -> EngineResult<Removed> {
    let (containers, volumes) = try_join(engine.containers(label), engine.volumes(label)).await?;
    let containers = created(engine, containers).await;
    // Holders last: Podman removes none whose network another container uses.
    let (holders, others): (Vec<&Found>, Vec<&Found>) = containers.iter().partition(|c| is_holder(c));
    let mut outcomes = join_all(others.iter().map(|c| engine.remove(&c.id))).await;
    outcomes.extend(join_all(holders.iter().map(|c| engine.remove(&c.id))).await);
    // A volume can be removed only after the containers that mount it.
    let gone = join_all(volumes.iter().map(|v| engine.remove_volume(&v.id))).await;
    let mut removed = Removed { containers: containers.len(), ..Removed::default() };
    for (volume, outcome) in volumes.into_iter().zip(gone) {
        match outcome {
            Err(EngineError::InUse { .. }) => removed.in_use.push(volume.id),
            Ok(()) => removed.volumes += 1,
            Err(error) => outcomes.push(Err(error)),
        }
    }
    outcomes.into_iter().collect::<EngineResult<Vec<()>>>()?;
    Ok(removed)
}

/// Filters out containers that inherited a session's label from their image: images of version 0.1.0 have one, and so
/// does a commit of one of our containers.
async fn created(engine: &dyn Engine, found: Vec<Found>) -> Vec<Found> {
    let images: BTreeSet<&String> = found.iter().map(|container| &container.image).collect();
    let labels = images.into_iter().map(|id| async move { (id.clone(), engine.inspect_image(id).await.ok()) });
    let labels: BTreeMap<_, _> = join_all(labels).await.into_iter().collect();
    let inherited = |container: &Found| {
        let session = container.labels.get(SESSION_LABEL);
        match labels.get(&container.image).and_then(Option::as_ref) {
            Some(image) => image.labels.get(SESSION_LABEL) == session,
            // The image is gone. Only this label is known to come from images.
            None => session.is_some_and(|session| session == OLD_IMAGE_SESSION),
        }
    };
    found.into_iter().filter(|container| !inherited(container)).collect()
}

/// Removes a session's containers and volumes until three passes in a row find nothing.
///
/// # Errors
/// The engine's tenth error.
pub(crate) async fn until_nothing_is_left(engine: &dyn Engine, label: &str) -> EngineResult<()> {
    let mut empty = 0;
    let mut errors = 0;
    while empty < EMPTY_PASSES {
        match pass(engine, label).await.and_then(|removed| removed.complete().map(|()| removed)) {
            Ok(removed) if removed.found_nothing() => empty += 1,
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

/// Why a session counts as in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// A process on this machine holds its lock.
    Here,
    /// One of its holders runs, which some process must be keeping alive.
    Elsewhere,
    /// It has no holder, but something of it was created within the last minute.
    Opening,
}

/// A session as seen on the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EngineSession {
    /// Its name.
    pub name: String,
    /// Number of containers.
    pub containers: usize,
    /// Number of volumes.
    pub volumes: usize,
    /// Why it counts as in use; `None` when it is dead.
    pub life: Option<Life>,
}

/// Whether a container holds the namespaces of others.
fn is_holder(container: &Found) -> bool {
    container.labels.get(ROLE_LABEL).is_some_and(|role| role == "holder")
}

/// The session of a container or volume; `None` when exitone did not create it.
fn session_of(found: &Found) -> Option<&String> {
    let name = found.labels.get(SESSION_LABEL)?;
    let ours = name == OLD_IMAGE_SESSION || (is_name(name) && found.labels.contains_key(OWNER_LABEL));
    ours.then_some(name)
}

/// The sessions that have containers or volumes with a label (`name` or `name=value`) on the engine.
///
/// # Errors
/// The engine's.
pub async fn sessions(engine: &dyn Engine, state: &Path, label: &str) -> EngineResult<Vec<EngineSession>> {
    let containers = async { Ok(created(engine, engine.containers(label).await?).await) };
    let (containers, volumes) = try_join(containers, engine.volumes(label)).await?;
    if containers.is_empty() && volumes.is_empty() {
        return Ok(Vec::new());
    }
    let own = known_owner(state);
    let mut found: BTreeMap<&String, (Vec<&Found>, Vec<&Found>)> = BTreeMap::new();
    for container in &containers {
        if let Some(name) = session_of(container) {
            found.entry(name).or_default().0.push(container);
        }
    }
    for volume in &volumes {
        if let Some(name) = session_of(volume) {
            found.entry(name).or_default().1.push(volume);
        }
    }
    // Whether it lives; `None` if its age decides.
    let told = |name: &str, containers: &[&Found], volumes: &[&Found]| {
        if lives(state, name) {
            return Some(Some(Life::Here));
        }
        let mut all = containers.iter().chain(volumes);
        // The locks of this owner are in this folder: without one, the session is dead.
        if name == OLD_IMAGE_SESSION || all.any(|one| one.labels.get(OWNER_LABEL) == own.as_ref()) {
            return Some(None);
        }
        let serves = |one: &&Found| one.running && is_holder(one);
        containers.iter().any(serves).then_some(Some(Life::Elsewhere))
    };
    let mut now_us = None;
    let mut all = Vec::new();
    for (name, (containers, volumes)) in found {
        let life = match told(name, &containers, &volumes) {
            Some(life) => life,
            None => {
                let now_us = match now_us {
                    Some(now_us) => now_us,
                    None => *now_us.insert(engine.clock_us().await?),
                };
                let opening = i64::try_from(OPENING.as_micros()).unwrap_or(i64::MAX);
                let young = |created: i64| now_us.is_some_and(|now| now - created < opening);
                let opens = containers.iter().chain(&volumes).any(|one| one.created_us.is_none_or(young));
                opens.then_some(Life::Opening)
            }
        };
        let (containers, volumes) = (containers.len(), volumes.len());
        all.push(EngineSession { name: name.clone(), containers, volumes, life });
    }
    Ok(all)
}

/// Removes the containers and volumes of some sessions.
///
/// # Errors
/// The engine's, after trying everything.
pub async fn remove(engine: &dyn Engine, sessions: impl IntoIterator<Item = &EngineSession>) -> EngineResult<Removed> {
    let label = |session: &EngineSession| format!("{SESSION_LABEL}={}", session.name);
    let passes = sessions.into_iter().map(|session| async move { pass(engine, &label(session)).await });
    let mut removed = Removed::default();
    for one in join_all(passes).await.into_iter().collect::<EngineResult<Vec<Removed>>>()? {
        removed.containers += one.containers;
        removed.volumes += one.volumes;
        removed.in_use.extend(one.in_use);
    }
    Ok(removed)
}

/// Removes what dead sessions of this owner left. Sessions of other owners are left to them and to `exitone clean`.
///
/// # Errors
/// The engine's.
pub(crate) async fn sweep(engine: &dyn Engine, session: &Session, state: &Path) -> EngineResult<Removed> {
    let found = sessions(engine, state, &format!("{OWNER_LABEL}={}", session.owner)).await?;
    let dead: Vec<&EngineSession> = found.iter().filter(|s| s.life.is_none() && s.name != session.name).collect();
    for session in &dead {
        tracing::info!(session = session.name, "sweeping a dead session");
    }
    remove(engine, dead).await
}

/// Repositories of exitone's own images. An image that a user built on one of them has another name.
const REPOSITORIES: [&str; 3] = ["exitone/", "exitone-gate/", "exitone-test/"];

/// The outcome of removing images.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct RemovedImages {
    /// Number of names removed.
    pub removed: usize,
    /// Names that remain because containers use the image.
    pub in_use: Vec<String>,
}

/// Removes the cached images. An image that a user built on one of them has our labels but another name, and stays; so
/// does one that a container uses.
///
/// # Errors
/// The engine's.
pub async fn remove_images(engine: &dyn Engine, bundled: &[String]) -> EngineResult<RemovedImages> {
    let ours = |name: &String| bundled.contains(name) || REPOSITORIES.iter().any(|r| name.starts_with(r));
    // A container inherits the labels of its image.
    let old = format!("{SESSION_LABEL}={OLD_IMAGE_SESSION}");
    let labels = [IMAGE_LABEL, old.as_str()];
    let containers = try_join_all(labels.map(|label| engine.containers(label))).await?;
    let used: BTreeSet<String> = containers.into_iter().flatten().map(|container| container.image).collect();
    let images = try_join_all(labels.map(|label| engine.images(label))).await?;
    let names: BTreeMap<String, String> = images
        .into_iter()
        .flatten()
        .flat_map(|image| image.names.into_iter().map(move |name| (name, image.id.clone())))
        .collect();
    let mut outcome = RemovedImages::default();
    for (name, id) in names.into_iter().filter(|(name, _)| ours(name)) {
        if used.contains(&id) {
            outcome.in_use.push(name);
        } else {
            engine.remove_image(&name).await?;
            outcome.removed += 1;
        }
    }
    Ok(outcome)
}
