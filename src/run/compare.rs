//! What changed from one image to the next: both are read through containers that are never started.

mod listing;
mod packages;

use std::collections::{BTreeMap, BTreeSet};

use self::listing::{Listing, list};
use super::RunError;
use crate::engine::{ContainerSpec, Engine, EngineResult};
use crate::model::ImageFacts;
use crate::model::change::{ImageChange, Side, compare};

/// Says what changed from `before` to `after`: their configurations, layers, packages and files. Values of variables
/// among the `secrets`, or that look like credentials, are not shown. Every file of both images is read, at the same
/// time, through a container of each that is created with the `labels` (the session's), never started, and removed;
/// nothing is read when the layers are the same. Files that cannot be read are not compared: a note says so.
///
/// # Errors
/// A container of ours could not be removed.
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
                .then(|| "some lists of packages are too large: not every package was compared".to_owned());
            ImageChange { note, ..compare(&side(before, old), &side(after, new), secrets) }
        }
        (old, new) => {
            let line = |facts: &ImageFacts, read: EngineResult<Listing>| {
                read.err().map(|error| format!("the files of {} could not be read: {error}", facts.reference))
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

/// Lists the files of an image. The outer error: its container is left behind.
async fn read(
    engine: &dyn Engine,
    labels: &BTreeMap<String, String>,
    facts: &ImageFacts,
) -> EngineResult<EngineResult<Listing>> {
    let spec = ContainerSpec {
        // An image without a command of its own cannot be created otherwise.
        entrypoint: Some(vec!["/never-started".to_owned()]),
        ..ContainerSpec::plain(&facts.id.0, labels.clone())
    };
    let container = match engine.create(&spec).await {
        Ok(container) => container,
        Err(e) => return Ok(Err(e)),
    };
    let begun = tokio::time::Instant::now();
    let listing = list(engine.export(&container)).await;
    // Somebody who removed it meanwhile would make files look missing.
    let there = engine.state(&container).await;
    engine.remove(&container).await?;
    tracing::debug!(image = facts.reference, took = ?begun.elapsed(), "the files of an image were listed");
    Ok(there.and(listing))
}

#[cfg(test)]
mod tests;
