//! Compares two images. Both are read through containers that are never started.

mod listing;
mod packages;

use std::collections::{BTreeMap, BTreeSet};

use self::listing::{Listing, list};
use super::RunError;
use crate::engine::{ContainerSpec, Engine, EngineResult};
use crate::model::ImageFacts;
use crate::model::change::{ImageChange, Side, compare};

/// Lists what changed from `before` to `after` in configuration, layers, packages and files. Values of the `secrets`,
/// and values that look like credentials, are not shown. Unless the layers are the same, every file of both images is
/// read in parallel, each through a container with `labels` that is created, never started, and removed. If files
/// cannot be read, they are not compared, and a note says so.
///
/// # Errors
/// When one of these containers could not be removed.
pub(crate) async fn change(
    engine: &dyn Engine,
    labels: &BTreeMap<String, String>,
    before: &ImageFacts,
    after: &ImageFacts,
    secrets: &BTreeSet<String>,
) -> Result<ImageChange, RunError> {
    let facts = |facts: &ImageFacts| Side { facts: facts.clone(), ..Side::default() };
    let same_layers = !before.layers.is_empty() && before.layers == after.layers;
    if before.id == after.id || same_layers {
        return Ok(compare(&facts(before), &facts(after), secrets));
    }
    let (old, new) = tokio::join!(read(engine, labels, before), read(engine, labels, after));
    let (old, new) = (old?, new?);
    Ok(match (old, new) {
        (Ok(old), Ok(new)) => {
            let note = (old.incomplete || new.incomplete)
                .then(|| "some package lists are too large: not every package was compared".to_owned());
            ImageChange { note, ..compare(&side(before, old), &side(after, new), secrets) }
        }
        (old, new) => {
            let line = |facts: &ImageFacts, read: EngineResult<Listing>| {
                read.err().map(|error| format!("cannot read the files of {}: {error}", facts.reference))
            };
            let notes = [line(before, old), line(after, new)].into_iter().flatten().collect::<Vec<_>>();
            let note = Some(format!("{}; packages and files were not compared", notes.join("; ")));
            ImageChange { note, ..compare(&facts(before), &facts(after), secrets) }
        }
    })
}

fn side(facts: &ImageFacts, listing: Listing) -> Side {
    Side { facts: facts.clone(), files: listing.files, packages: listing.packages }
}

/// Lists the files of an image. The outer error means that its container is left behind.
async fn read(
    engine: &dyn Engine,
    labels: &BTreeMap<String, String>,
    facts: &ImageFacts,
) -> EngineResult<EngineResult<Listing>> {
    let spec = ContainerSpec {
        // Without it, an image that has no command is refused.
        entrypoint: Some(vec!["/never-started".to_owned()]),
        ..ContainerSpec::plain(&facts.id.0, labels.clone())
    };
    let container = match engine.create(&spec).await {
        Ok(container) => container,
        Err(e) => return Ok(Err(e)),
    };
    let begun = tokio::time::Instant::now();
    let listing = list(engine.export(&container)).await;
    // If the container was removed meanwhile, files look missing.
    let there = engine.state(&container).await;
    engine.remove(&container).await?;
    tracing::debug!(image = facts.reference, took = ?begun.elapsed(), "listed the files of an image");
    Ok(there.and(listing))
}

#[cfg(test)]
mod tests;
