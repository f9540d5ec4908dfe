//! Builds what is missing and loads it in one archive, in which shared layers stand once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::base::{self, Base};
use super::recipe::{BASE, CANDIDATES, DEBIAN_PACKAGES, Recipe, SOURCES};
use super::tree::{embedded, pack_folder};
use super::{BuildError, CONTENT_LABEL, Source};
use crate::engine::archive::{self, Layer, NewImage};
use crate::engine::context::hex;
use crate::engine::{Archive, Engine, EngineError, KEPT, ROLE_LABEL, SESSION_LABEL};
use crate::model::condition::nearest;

/// Goes into every content digest: a change here builds everything anew.
const BUILDER: &str = "1";
const DISK_HINT: &str = "About 1 GB of temporary space is needed; TMPDIR says where.";
/// Where the packages are in a candidate.
const SITE: &str = "opt/site";

/// What a build did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Built {
    /// The images that were built.
    pub built: Vec<String>,
    /// The images that were there already.
    pub present: Vec<String>,
    /// Images for another architecture that cannot be had here, and why; the others do not need them.
    pub skipped: Vec<(String, String)>,
}

/// Builds the named candidates, or all of them, that are not on the engine as the sources have them.
///
/// # Errors
/// The engine's; a package or an image that cannot be fetched; a name that is none.
pub async fn build(
    engine: &dyn Engine,
    names: &[String],
    source: &Source,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Built, BuildError> {
    let recipes = select(names)?;
    let mut report = Built::default();
    let mut missing = Vec::new();
    for recipe in recipes {
        if has(engine, &recipe.name(), &content(recipe)).await? {
            report.present.push(recipe.name());
        } else {
            missing.push(recipe);
        }
    }
    if missing.is_empty() {
        return Ok(report);
    }
    let work = tempfile::tempdir().map_err(|e| BuildError::step("making a work folder", e, DISK_HINT))?;
    let mut images = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let recipes: Vec<&Recipe> = missing.iter().copied().filter(|r| r.architecture == architecture).collect();
        if recipes.is_empty() {
            continue;
        }
        let parts = match parts(engine, source, architecture, work.path(), progress).await {
            Ok(parts) => parts,
            // Not every registry and engine gives the files of a foreign architecture.
            Err(error) if architecture != "amd64" && names.is_empty() => {
                report.skipped.extend(recipes.iter().map(|r| (r.name(), error.to_string())));
                continue;
            }
            Err(error) => return Err(error),
        };
        if architecture == "amd64" {
            images.push(base_image(&parts.0));
        }
        for recipe in recipes {
            images.push(image(recipe, &parts.0, &parts.1, work.path()).await?);
        }
    }
    if images.is_empty() {
        return Ok(report);
    }
    progress(&format!("loading {} images", images.len()));
    report.built = images.iter().map(|image| image.tag.clone()).collect();
    let file = work.path().join("images.tar");
    let target = file.clone();
    tokio::task::spawn_blocking(move || archive::write(&images, std::fs::File::create(target)?))
        .await
        .map_err(|e| BuildError::step("packing the images", e, DISK_HINT))?
        .map_err(|e| BuildError::step("packing the images", e, DISK_HINT))?;
    engine.load_image(Archive::File(file)).await?;
    Ok(report)
}

fn select(names: &[String]) -> Result<Vec<&'static Recipe>, BuildError> {
    if names.is_empty() {
        return Ok(CANDIDATES.iter().collect());
    }
    let find = |name: &String| {
        CANDIDATES.iter().find(|r| r.tag == *name || r.name() == *name).ok_or_else(|| BuildError::Unknown {
            name: name.clone(),
            nearest: nearest(name, CANDIDATES.iter().map(|r| r.tag)).map(ToOwned::to_owned),
        })
    };
    names.iter().map(find).collect()
}

async fn has(engine: &dyn Engine, name: &str, content: &str) -> Result<bool, BuildError> {
    match engine.inspect_image(name).await {
        Ok(image) => match image.labels.get(CONTENT_LABEL) {
            Some(label) => Ok(label == content),
            None => Err(BuildError::step(
                format!("building {name}"),
                "an image of that name is there, and it is not ours",
                "Give your image another name first (`docker tag`, then `docker rmi` the old name).",
            )),
        },
        Err(EngineError::ImageNotFound { .. }) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The digest of everything that a candidate is made of.
fn content(recipe: &Recipe) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(BUILDER.as_bytes());
    add(DEBIAN_PACKAGES.join(",").as_bytes());
    add(format!("{} {:?} {:?} {}", recipe.architecture, recipe.cmd(), recipe.env, recipe.created).as_bytes());
    add(requirements());
    for (name, bytes) in app_files(recipe) {
        add(name.as_bytes());
        add(bytes);
    }
    hex(&hash.finalize())
}

fn requirements() -> &'static [u8] {
    SOURCES.get_file("requirements.txt").map(include_dir::File::contents).unwrap_or_default()
}

fn app_files(recipe: &Recipe) -> Vec<(String, &'static [u8])> {
    SOURCES.get_dir(format!("src/{}", recipe.source)).map(embedded).unwrap_or_default()
}

/// The base and the layer of installed packages of an architecture.
async fn parts(
    engine: &dyn Engine,
    source: &Source,
    architecture: &str,
    work: &Path,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<(Base, Layer), BuildError> {
    progress(&format!("making the Python base for {architecture}"));
    let base = base::make(engine, source, architecture, work).await?;
    progress(&format!("base for {architecture}: {}, Python {}", base.from, base.python));
    if source.offline {
        let cause = "the Python packages must be fetched, and --offline forbids it";
        return Err(BuildError::step("fetching the Python packages", cause, "Build once with a network."));
    }
    progress(&format!("fetching the Python packages for {architecture}"));
    let list = work.join("requirements.txt");
    std::fs::write(&list, requirements()).map_err(|e| BuildError::step("writing the requirements", e, DISK_HINT))?;
    let site = work.join(format!("site-{architecture}"));
    base::packages(&list, &base.python, architecture, &site).await?;
    if architecture == "amd64" && !base::compile(&site, &base.python).await? {
        progress(&format!("this machine has no Python {}: the candidates start more slowly", base.python));
    }
    let tar = work.join(format!("site-{architecture}.tar"));
    Ok((base, pack(site, SITE.to_owned(), tar).await?))
}

async fn pack(folder: PathBuf, prefix: String, tar: PathBuf) -> Result<Layer, BuildError> {
    let packed = tokio::task::spawn_blocking(move || {
        pack_folder(&folder, &prefix, &tar)?;
        Layer::of_file(&tar)
    });
    packed
        .await
        .map_err(|e| BuildError::step("packing a layer", e, DISK_HINT))?
        .map_err(|e| BuildError::step("packing a layer", e, DISK_HINT))
}

fn labels(role: &str, content: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (SESSION_LABEL.to_owned(), KEPT.to_owned()),
        (ROLE_LABEL.to_owned(), role.to_owned()),
        (CONTENT_LABEL.to_owned(), content.to_owned()),
    ])
}

fn base_image(base: &Base) -> NewImage {
    NewImage {
        tag: BASE.to_owned(),
        architecture: "amd64".to_owned(),
        cmd: vec!["python3".to_owned()],
        env: base.env.iter().cloned().collect(),
        workdir: "/".to_owned(),
        labels: labels("base", BUILDER),
        layers: base.layers.clone(),
        ..NewImage::default()
    }
}

async fn image(recipe: &Recipe, base: &Base, site: &Layer, work: &Path) -> Result<NewImage, BuildError> {
    let folder = work.join(format!("app-{}", recipe.tag));
    for (name, bytes) in app_files(recipe) {
        let path = folder.join(&name);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, bytes));
        written.map_err(|e| BuildError::step("writing a source file", e, DISK_HINT))?;
    }
    if recipe.architecture == "amd64" {
        base::compile(&folder, &base.python).await?;
    }
    let app = pack(folder, "app".to_owned(), work.join(format!("app-{}.tar", recipe.tag))).await?;
    let mut env: BTreeMap<String, String> = base.env.iter().cloned().collect();
    env.insert("PYTHONPATH".to_owned(), format!("/app:/{SITE}"));
    env.extend(recipe.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut layers = base.layers.clone();
    layers.extend([site.clone(), app]);
    Ok(NewImage {
        tag: recipe.name(),
        architecture: recipe.architecture.to_owned(),
        cmd: recipe.cmd(),
        env,
        workdir: "/app".to_owned(),
        labels: labels("candidate", &content(recipe)),
        created: recipe.created,
        layers,
        ..NewImage::default()
    })
}
