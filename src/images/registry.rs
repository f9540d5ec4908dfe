//! Takes the layers and the configuration from a registry's image.

use std::path::Path;

use serde::Deserialize;

use super::{BuildError, Source};
use crate::engine::archive::{Blob, Layer};
use crate::engine::{Engine, EngineError};

const HINT: &str = "Log in to the registry or pass another with `--registry HOST:PORT`; on Debian the image is built \
                    from packages instead.";

/// An image that was saved and unpacked.
pub struct Saved {
    /// Its name including the registry.
    pub name: String,
    /// From the lowest up.
    pub layers: Vec<Layer>,
    /// ENV.
    pub env: Vec<(String, String)>,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    architecture: String,
}

#[derive(Deserialize)]
struct SavedManifest {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct SavedConfig {
    architecture: String,
    #[serde(default)]
    config: SavedRuntime,
    rootfs: SavedRootfs,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct SavedRuntime {
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct SavedRootfs {
    diff_ids: Vec<String>,
}

/// Takes an image such as `python:3.12-slim` from the given registry, or from the engine and its default registry.
///
/// # Errors
/// The engine's errors; an unavailable image.
pub async fn take(
    engine: &dyn Engine,
    source: &Source,
    image: &str,
    architecture: &str,
    work: &Path,
) -> Result<Saved, BuildError> {
    let name = match &source.registry {
        Some(registry) => format!("{registry}/{image}"),
        None => image.to_owned(),
    };
    let before = engine.inspect_image(&name).await.ok();
    let local = before.as_ref().is_some_and(|image| image.architecture == architecture);
    if !local {
        pull(engine, source, &name, architecture).await?;
    }
    let file = image.replace([':', '/'], "-");
    let folder = work.join(format!("{file}-{architecture}"));
    let tar = work.join(format!("{file}-{architecture}.tar"));
    // The name is the user's: restore its previous meaning immediately.
    let ours = format!("exitone/registry-base:{architecture}");
    engine.tag_image(&name, &ours).await?;
    match before {
        Some(image) if !local => engine.tag_image(&image.id.0, &name).await?,
        None => engine.remove_image(&name).await?,
        Some(_) => {}
    }
    let saved = engine.save_image(&ours, &tar).await;
    engine.remove_image(&ours).await?;
    saved?;
    let step = format!("unpacking {name}");
    let saved = tokio::task::spawn_blocking(move || unpack(name, &tar, &folder))
        .await
        .map_err(|e| BuildError::step(&step, e, HINT))?
        .map_err(|e| BuildError::step(&step, e, HINT))?;
    if saved.architecture != architecture {
        let cause = format!("the registry returned an image for {} instead of {architecture}", saved.architecture);
        return Err(BuildError::step(format!("taking {}", saved.name), cause, HINT));
    }
    Ok(saved)
}

async fn pull(engine: &dyn Engine, source: &Source, name: &str, architecture: &str) -> Result<(), BuildError> {
    if source.offline {
        let step = format!("taking {name} for {architecture}");
        return Err(BuildError::step(step, "it is not on the engine, and --offline forbids fetching it", HINT));
    }
    engine.pull_image(name, &format!("linux/{architecture}")).await.map_err(|e| match e {
        EngineError::NotPulled { name, message, .. } => BuildError::step(format!("pulling {name}"), message, HINT),
        other => other.into(),
    })
}

fn unpack(name: String, tar: &Path, folder: &Path) -> std::io::Result<Saved> {
    tar::Archive::new(std::fs::File::open(tar)?).unpack(folder)?;
    let manifests: Vec<SavedManifest> = serde_json::from_slice(&std::fs::read(folder.join("manifest.json"))?)?;
    let manifest = manifests.into_iter().next().ok_or_else(|| std::io::Error::other("empty archive"))?;
    let config: SavedConfig = serde_json::from_slice(&std::fs::read(folder.join(&manifest.config))?)?;
    let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
    let env = config.config.env.unwrap_or_default();
    let env = env.iter().filter_map(|e| e.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned()));
    Ok(Saved {
        name,
        layers: layers
            .map(|(path, diff_id)| Layer { blob: Blob::File(folder.join(path)), diff_id: diff_id.clone() })
            .collect(),
        env: env.collect(),
        entrypoint: config.config.entrypoint.unwrap_or_default(),
        architecture: config.architecture,
    })
}
